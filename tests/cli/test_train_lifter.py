"""`vipe train lifter`: what it trains, and what it says and refuses."""

import json

import numpy as np
import pytest

import vipe
from vipe.cli.app import main
from vipe.errors import VipeError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store, and a table of which of its clips train."""
    folder = tmp_path_factory.mktemp("train")
    main(["synth", "--out", str(folder / "store"), "--minutes", "0.5", "--fps", "10", "--seed", "1"])
    names = [clip["clip"] for clip in vipe.PoseStore.open(folder / "store").clips()]
    rows = [f"{name},{'val' if i == 1 else 'train'}" for i, name in enumerate(names)]
    (folder / "clips.csv").write_text("\n".join(["clip,split", *rows]))
    return folder


@pytest.fixture
def caught(monkeypatch):
    """What reaches the training, which then stops."""
    given = {}

    def train(kind, poses, validation, out, **settings):
        given.update(kind=kind, poses=poses, validation=validation, out=out, **settings)
        raise VipeError("enough")

    monkeypatch.setattr("vipe.lift.presets.train", train)
    return given


def test_a_lifter_is_trained_and_lifts(folder, run, tmp_path):
    options = ("--kind", "regression", "--out", tmp_path / "m", "--steps", 3, "--split", folder / "clips.csv")
    code, out, _ = run("train", "lifter", folder / "store", *options, "--json")
    said = json.loads(out)
    assert (code, said["kind"], said["preset"], said["steps"]) == (0, "regression", "tiny", 3)
    assert {"val_mpjpe", "val_best", "val_random", "val_energy"} <= set(said["validation"])
    assert (tmp_path / "m" / "history.png").is_file()
    lifter = vipe.Lifter.from_pretrained(tmp_path / "m")
    store = vipe.PoseStore.open(folder / "store")
    assert f"**Data**: {len(store) - store.clips()[1]['rows']} poses" in lifter.card
    code, out, _ = run("train", "lifter", folder / "store", *options)
    assert code == 0
    assert "tiny regression in" in out and "validation, mm: single pose off" in out


def test_the_closed_form_is_fitted_and_lifts(folder, run, tmp_path):
    options = ("--kind", "ppca", "--out", tmp_path / "m", "--split", folder / "clips.csv", "--json")
    code, out, err = run("train", "lifter", folder / "store", *options)
    said = json.loads(out)
    assert (code, said["kind"], said["preset"]) == (0, "ppca", "tiny")
    assert {"val_mpjpe", "val_best", "val_random", "val_energy"} <= set(said["validation"])
    assert "alignment" in err and "mixture" in err  # its progress
    assert (tmp_path / "m" / "history.png").is_file()
    assert vipe.Lifter.from_pretrained(tmp_path / "m").kind == "ppca"


def test_a_picture_that_cannot_be_drawn_ends_no_training(folder, run, tmp_path, monkeypatch):
    def full(path, _):
        raise VipeError(f"{path}: the picture cannot be written: No space left on device")

    monkeypatch.setattr("vipe.plots.curves.history.save_history", full)
    options = ("--kind", "regression", "--steps", 2, "--out", tmp_path / "m")
    code, out, _ = run("train", "lifter", folder / "store", *options)
    assert code == 0
    assert f"no picture: {tmp_path / 'm' / 'history.png'}: the picture cannot be written" in out
    assert vipe.Lifter.from_pretrained(tmp_path / "m").kind == "regression"


def test_an_interrupted_fit_leaves_nothing(folder, run, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vipe.lift.ppca.training.validation_figures", interrupt)
    code, out, err = run("train", "lifter", folder / "store", "--kind", "ppca", "--out", tmp_path / "m")
    assert (code, out) == (130, "")
    assert "interrupted" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("table", [True, False], ids=["clips of a table", "every tenth clip"])
def test_a_training_gets_no_clip_to_validate_on_that_it_trains_on(folder, run, tmp_path, caught, table):
    split = ("--split", folder / "clips.csv") if table else ()
    run("train", "lifter", folder / "store", "--kind", "regression", "--out", tmp_path / "m", *split)
    store = vipe.PoseStore.open(folder / "store")
    names = [clip["clip"] for clip in store.clips()]
    validated = names[1:2] if table else names[::10]
    np.testing.assert_array_equal(caught["validation"], store.poses({"clip": validated}))
    np.testing.assert_array_equal(caught["poses"], store.poses({"clip": [n for n in names if n not in validated]}))


def test_options_reach_the_training(folder, run, tmp_path, caught):
    options = ("--preset", "base", "--steps", 7, "--seed", 5, "--val", folder / "store")
    run("train", "lifter", folder / "store", "--kind", "mdn", "--out", tmp_path / "m", *options)
    assert (caught["kind"], caught["preset"], caught["steps"], caught["seed"]) == ("mdn", "base", 7, 5)
    assert caught["out"] == tmp_path / "m"
    told = caught["data"]
    assert told.data == "store" and "CC0-1.0" in told.licence
    assert told.command.startswith("vipe train lifter store --kind mdn --out m --preset base")
    assert len(caught["validation"]) == len(caught["poses"]) == len(vipe.PoseStore.open(folder / "store"))


def test_the_licence_of_the_data_may_be_told(folder, run, tmp_path, caught):
    run("train", "lifter", folder / "store", "--kind", "mdn", "--out", tmp_path / "m", "--licence", "CC BY-NC 4.0")
    assert caught["data"].licence == "CC BY-NC 4.0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "nothing"], "kinds are regression"),
        (["--kind", "mdn", "--preset", "huge"], "huge"),
        (["--kind", "mdn", "--steps", "0"], "--steps"),
        (["--kind", "ppca", "--steps", "5"], "takes no steps"),
        (["--kind", "mdn", "--split", "{folder}/clips.csv", "--val", "{folder}/store"], "give one of them"),
        (["--kind", "mdn", "--split", "nowhere.csv"], "nowhere.csv"),
        (["--kind", "mdn", "--val", "nowhere"], "nowhere"),
        (["--kind", "mdn", "--seed", "-1"], "seed"),
        ([], "--kind"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(folder, run, tmp_path, options, message):
    options = [option.format(folder=folder) for option in options]
    code, out, err = run("train", "lifter", folder / "store", "--out", tmp_path / "m", *options)
    assert (code, out) == (2, "")
    assert message in err.strip().splitlines()[-1]
    assert not (tmp_path / "m").exists()
