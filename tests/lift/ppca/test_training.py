import json
from dataclasses import replace

import numpy as np
import pytest

from vipe.errors import ShapeError, VipeError
from vipe.lift import Lifter
from vipe.lift.ppca.lifter import PPCAConfig
from vipe.lift.ppca.prior.alignment import AlignmentConfig
from vipe.lift.ppca.training import PPCATrainingConfig, train_ppca

SMALL = PPCATrainingConfig(alignment=AlignmentConfig(components=3, passes=2), starts=2, validation_rows=20)
NETWORK = PPCAConfig(components=2, dimensions=5, angles=12, tilt=(0.0, 0.3), roll=(0.0,))


@pytest.fixture(scope="module")
def data(bent):
    return bent(120, seed=2), bent(25, seed=3)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    told = []
    folder = tmp_path_factory.mktemp("ppca") / "model"
    lifter = train_ppca(
        *data,
        folder,
        network=NETWORK,
        config=SMALL,
        seed=1,
        data="bent people",
        progress=lambda *line: told.append(line),
    )
    return lifter, folder, told


def test_it_leaves_a_folder_that_says_the_same(trained, people):
    lifter, folder, _ = trained
    again = Lifter.from_pretrained(folder)
    assert again.kind == "ppca"
    np.testing.assert_array_equal(again.predict(people), lifter.predict(people))
    card = " ".join((folder / "card.md").read_text().split())
    assert "120 poses of bent people." in card
    assert "by EM, seed 1." in card
    assert again.origin == lifter.origin


def test_history_and_progress_tell_each_step(trained):
    _, folder, told = trained
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == [stage for stage, *_ in told]
    assert [line["stage"] for line in lines][-3:] == ["mixture", "mixture", "validation"]
    assert lines[0]["stage"] == "alignment"
    assert {"val_mpjpe", "val_random", "val_best", "val_energy"} <= lines[-1].keys()
    assert lines[-1]["val_best"] < lines[-1]["val_random"]
    assert told[-2][1:3] == (2, 2)


def test_the_likeliest_of_the_starts_is_kept(trained):
    lifter, folder, _ = trained
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    starts = [line["log_likelihood"] for line in lines if line["stage"] == "mixture"]
    assert len(set(starts)) >= 1
    assert lifter.model.weight.sum().item() == pytest.approx(1)


def test_finished_it_only_loads_and_other_settings_are_refused(trained, data):
    lifter, folder, _ = trained
    told = []
    again = train_ppca(*data, folder, network=NETWORK, config=SMALL, seed=1, progress=lambda *line: told.append(line))
    assert not told
    np.testing.assert_array_equal(again.model.mean, lifter.model.mean)
    with pytest.raises(VipeError, match=r"was trained with seed 1 \(now 2\)"):
        train_ppca(*data, folder, network=NETWORK, config=SMALL, seed=2)
    with pytest.raises(VipeError, match=r"network\.misfit"):
        train_ppca(*data, folder, network=replace(NETWORK, misfit=0.1), config=SMALL, seed=1)


def test_few_of_many_poses_are_enough(data, tmp_path):
    poses = np.concatenate([data[0]] * 2)
    few = train_ppca(poses, data[1], tmp_path / "few", network=NETWORK, config=replace(SMALL, most_poses=50))
    assert "**Data**: 240 poses" in few.card


def test_the_seed_alone_decides(data, tmp_path):
    lifters = [train_ppca(*data, tmp_path / name, network=NETWORK, config=SMALL, seed=3) for name in ("a", "b")]
    np.testing.assert_array_equal(*(lifter.model.mean.numpy() for lifter in lifters))


@pytest.mark.refusal
def test_what_cannot_be_fitted_is_refused(data, tmp_path):
    with pytest.raises(ShapeError, match="poses must be"):
        train_ppca(data[0][:, :16], data[1], tmp_path / "a")
    with pytest.raises(VipeError, match="seed must not be negative"):
        train_ppca(*data, tmp_path / "a", seed=-1)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("mine")
    with pytest.raises(VipeError, match=r"holds 'letter\.txt'"):
        train_ppca(*data, tmp_path / "taken", network=NETWORK, config=SMALL)
    for name in ("most_poses", "starts", "validation_rows"):
        with pytest.raises(VipeError, match=f"{name} must be at least"):
            PPCATrainingConfig(**{name: 0})
