"""`vipe train embedding`: which model it trains, and what it says and refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vipe.cli.app import main
from vipe.errors import VipeError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store, and a table of which of its clips train."""
    from vipe import PoseStore

    folder = tmp_path_factory.mktemp("train")
    main(["synth", "--out", str(folder / "store"), "--minutes", "1", "--fps", "10", "--seed", "1"])
    names = [clip["clip"] for clip in PoseStore.open(folder / "store").clips()]
    rows = [f"{name},{'val' if i == 0 else 'train'}" for i, name in enumerate(names)]
    (folder / "clips.csv").write_text("\n".join(["clip,split", *rows]))
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The preset's name with a training of seconds."""
    from vipe.embed.presets import PRESETS, TOWERS, Preset
    from vipe.embed.towers.training import TowersTrainingConfig
    from vipe.embed.vvipe.network import VVIPEConfig
    from vipe.embed.vvipe.training import TrainingConfig

    training = TrainingConfig(
        pose_steps=4, keypoint_steps=4, batch=16, record_every=2, validate_every=4, validation_rows=20
    )
    monkeypatch.setitem(TOWERS, "tiny", TowersTrainingConfig(steps=4, batch=16, record_every=2, validate_every=4))
    monkeypatch.setitem(PRESETS, "tiny", Preset(network=VVIPEConfig(width=16), training=training))


def test_pr_vipe_is_trained_and_measured_like_any_embedder(folder, run, tmp_path):
    options = (
        "--out",
        tmp_path / "p",
        "--method",
        "pr-vipe",
        "--keypoints",
        "exact",
        "--split",
        folder / "clips.csv",
        "--json",
    )
    code, out, _ = run("train", "embedding", folder / "store", *options)
    assert code == 0
    result = json.loads(out)
    assert (result["method"], result["keypoints"]) == ("pr-vipe", "exact")
    assert 0 <= result["validation"]["val_view_hit1"] <= 1
    assert (tmp_path / "p" / "history.png").is_file()
    code, out, _ = run(
        "evaluate", "retrieval", folder / "store", "--poses", "10", "--embedder", tmp_path / "p", "--json"
    )
    assert code == 0


@pytest.mark.parametrize("method", ["v-vipe", "towers", "pr-vipe"])
@pytest.mark.parametrize("table", [True, False], ids=["clips of a table", "every tenth clip"])
def test_a_training_gets_no_clip_to_validate_on_that_it_trains_on(folder, run, tmp_path, monkeypatch, method, table):
    from vipe import PoseStore
    from vipe.embed.presets import TRAIN

    given = {}

    def train(poses, validation, out, **settings):
        given.update(poses=poses, validation=validation)
        raise VipeError("enough")

    monkeypatch.setitem(TRAIN, method, train)
    split = ("--split", folder / "clips.csv") if table else ()
    code, _, err = run("train", "embedding", folder / "store", "--out", tmp_path / "t", "--method", method, *split)
    assert (code, "enough" in err) == (2, True)
    store = PoseStore.open(folder / "store")
    names = [clip["clip"] for clip in store.clips()]
    validated = names[:1] if table else names[::10]
    np.testing.assert_array_equal(given["validation"], store.poses({"clip": validated}))
    np.testing.assert_array_equal(given["poses"], store.poses({"clip": [n for n in names if n not in validated]}))


def test_an_ablation_is_named_and_trained_on_the_clips_of_the_table(folder, run, tmp_path):
    from vipe import Embedder, PoseStore

    options = ("--out", tmp_path / "v", "--ablation", "no-pretraining", "--split", folder / "clips.csv")
    code, out, _ = run("train", "embedding", folder / "store", *options, "--precision", "bfloat16")
    assert code == 0
    assert "tiny v-vipe no-pretraining" in out
    assert "one view to another" in out
    trained = Embedder.from_pretrained(tmp_path / "v")
    assert trained.origin["training"]["pretraining"] is False
    assert trained.origin["training"]["precision"] == "bfloat16"
    store = PoseStore.open(folder / "store")
    assert f"**Data**: {len(store) - store.clips()[0]['rows']} poses of store." in trained.card


@pytest.mark.parametrize("method", ["v-vipe", "pr-vipe"])
def test_the_papers_own_settings_are_an_option_and_are_named(folder, run, tmp_path, method):
    from vipe import pretrained

    options = ("--out", tmp_path / "v", "--method", method, "--variant", "paper", "--split", folder / "clips.csv")
    code, out, _ = run("train", "embedding", folder / "store", *options, "--json")
    assert (code, json.loads(out)["variant"]) == (0, "paper")
    origin = pretrained.load(tmp_path / "v").origin
    theirs = {"v-vipe": ("triplet_negative", "apart"), "pr-vipe": ("averaging", 0.9999)}
    assert origin["training"][theirs[method][0]] == theirs[method][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "towers", "--variant", "paper"], "towers have no paper"),
        (["--method", "pr-vipe", "--ablation", "no-triplet"], "method pr-vipe does not have it"),
        (["--split", "{folder}/clips.csv", "--val", "{folder}/store"], "give one of them"),
        (["--ablation", "no-data"], "no-data"),
        (["--split", "nowhere.csv"], "nowhere.csv"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(folder, run, tmp_path, options, message):
    options = [option.format(folder=folder) for option in options]
    code, out, err = run("train", "embedding", folder / "store", "--out", tmp_path / "model", *options)
    assert (code, out) == (2, "")
    assert message in err.strip().splitlines()[-1]


def test_presets_have_a_method_of_the_same_size():
    from vipe.embed.presets import PRESETS, prvipe_like

    for preset in PRESETS.values():
        network, training = prvipe_like(replace(preset))
        assert network.width == preset.network.width
        assert training.steps == preset.training.keypoint_steps


def test_towers_are_trained_and_make_an_index(folder, run, tmp_path):
    options = ("--out", tmp_path / "t", "--method", "towers", "--split", folder / "clips.csv", "--json")
    code, out, _ = run("train", "embedding", folder / "store", *options)
    said = json.loads(out)
    assert (code, said["method"]) == (0, "towers")
    assert {"val_search_noisy", "val_views_noisy", "val_mpjpe_noisy"} <= set(said["validation"])
    code, out, _ = run(
        "index", "build", folder / "store", "--out", tmp_path / "i", "--encoder", tmp_path / "t", "--json"
    )
    assert code == 0


def test_what_belongs_to_other_methods_is_refused(folder, run, tmp_path):
    for option in (("--ablation", "no-triplet"), ("--keypoints", "exact")):
        code, _, err = run(
            "train", "embedding", folder / "store", "--out", tmp_path / "t", "--method", "towers", *option
        )
        assert code == 2
        assert err.count("\n") == 1
        assert option[0].removeprefix("--") in err
