import json

import numpy as np
import pytest
import torch
from lift.conftest import small

from vipe.errors import ShapeError, VipeError
from vipe.geometry.bones import bone_lengths
from vipe.lift import Lifter
from vipe.lift.registry import NETWORKS
from vipe.lift.regression import RegressionConfig
from vipe.lift.training import LifterTraining, LifterTrainingConfig, train_lifter
from vipe.lift.views import mirrored_poses
from vipe.skeletons.working import H36M17

CONFIG = LifterTrainingConfig(steps=8, batch=16, record_every=2, validate_every=4, validation_rows=20)


class Interrupt(Exception):
    pass


@pytest.fixture(scope="module")
def data(bent):
    return bent(100, seed=1), bent(40, seed=2)


def train(kind, data, folder, *, progress=None, config=CONFIG, seed=0):
    return train_lifter(*data, folder, network=small(kind), config=config, seed=seed, progress=progress, data="bodies")


def weights(lifter):
    return lifter.model.state_dict()


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_interrupted_and_resumed_it_ends_with_the_weights_of_a_run_without_interrupt(kind, data, tmp_path):
    whole = train(kind, data, tmp_path / "whole")
    last = []

    def stop(stage, step, steps, metrics):
        last.append((stage, step))
        if len(last) == 3:  # after the checkpoint of step 4 of a stage
            raise Interrupt

    with pytest.raises(Interrupt):
        train(kind, data, tmp_path / "parts", progress=stop)
    parts = train(kind, data, tmp_path / "parts")
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(parts)[name]), name


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_what_is_left_is_a_lifter_with_its_card_and_history(kind, data, tmp_path, people):
    lifter = train(kind, data, tmp_path / "model")
    again = Lifter.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(people), lifter.predict(people))
    card = (tmp_path / "model" / "card.md").read_text()
    assert "100 poses, augmented, bent and seen by simulated cameras, of bodies." in " ".join(card.split())
    assert "8 steps of 16 views, seed 0." in card
    history = [json.loads(line) for line in (tmp_path / "model" / "history.jsonl").read_text().splitlines()]
    assert {"loss", "val_mpjpe", "val_best", "val_energy"} <= set(history[-1])
    assert all(np.isfinite(value) for value in history[-1].values() if isinstance(value, float))


def test_finished_it_is_loaded_and_not_trained_again(data, tmp_path):
    train("regression", data, tmp_path / "model")

    def never(*_):
        raise AssertionError("trained again")

    train("regression", data, tmp_path / "model", progress=never)
    with pytest.raises(VipeError, match="seed"):
        train("regression", data, tmp_path / "model", seed=1)


def test_the_seed_decides(data, tmp_path):
    first, second, other = (
        train("regression", data, tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert all(torch.equal(weights(first)[name], tensor) for name, tensor in weights(second).items())
    assert not torch.equal(weights(first)["net.output.weight"], weights(other)["net.output.weight"])


def test_a_batch_holds_views_and_their_mirror_images(data):
    training = LifterTrainingProbe(data)
    views = training.draw(torch.Generator().manual_seed(0))
    assert len(views.poses) == len(views.condition) == 16
    assert torch.equal(views.poses[8:], mirrored_poses(views.poses[:8]))
    assert torch.equal(views.condition.xy[8:], views.condition[:8].mirrored().xy)


def test_validation_poses_influence_no_weight_and_are_those_that_are_validated(data, tmp_path, bent):
    poses, validation = data
    one = train("regression", (poses, validation), tmp_path / "one")
    other = train("regression", (poses, bent(40, seed=9)), tmp_path / "other")
    assert all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(other).items())
    figures = [
        json.loads((tmp_path / name / "history.jsonl").read_text().splitlines()[-1]) for name in ("one", "other")
    ]
    assert figures[0]["val_mpjpe"] != figures[1]["val_mpjpe"]


def test_the_error_in_training_falls(data, tmp_path):
    config = LifterTrainingConfig(steps=150, batch=64, record_every=25, validate_every=75, validation_rows=20)
    train("regression", data, tmp_path / "model", config=config)
    history = [json.loads(line) for line in (tmp_path / "model" / "history.jsonl").read_text().splitlines()]
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


@pytest.mark.refusal
def test_what_cannot_be_trained_is_refused(data, tmp_path):
    with pytest.raises(VipeError, match="no lifter has a configuration of type dict"):
        train_lifter(*data, tmp_path / "m", network={})
    with pytest.raises(ShapeError, match="poses must be"):
        train_lifter(data[0][:, :5], data[1], tmp_path / "m", network=RegressionConfig())
    with pytest.raises(VipeError, match="batch must be at least 4"):
        LifterTrainingConfig(batch=2)
    with pytest.raises(VipeError, match="width must be 1 to"):
        RegressionConfig(width=0)


class LifterTrainingProbe(LifterTraining):
    """A training whose batches can be looked at."""

    network_type = NETWORKS["regression"]

    def __init__(self, data):
        poses, validation = (torch.from_numpy(part) for part in data)
        super().__init__(small("regression"), CONFIG, seed=0, data="", poses=poses, validation=validation)


def test_it_is_calibrated_on_validation_people_and_on_as_many_augmented_ones(data, tmp_path, monkeypatch):
    """On people like those of the training alone it would become too sure of all others."""
    given = []
    network = NETWORKS["bone-flow"]
    monkeypatch.setattr(network, "calibrate", lambda self, views, generator: given.append(views))
    train("bone-flow", data, tmp_path / "model")
    (views,) = given
    assert len(views.poses) == 2 * CONFIG.validation_rows
    plain, augmented = (bone_lengths(half, H36M17.parents) for half in views.poses.split(CONFIG.validation_rows))
    knee = H36M17.joints.index("right_knee") - 1
    assert augmented[:, knee].std() > 1.5 * plain[:, knee].std()  # builds are drawn anew
