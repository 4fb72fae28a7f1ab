"""The lifter that comes with the library."""

from pathlib import Path

import numpy as np
import pytest
import torch

import vipe
from vipe import pretrained
from vipe.evaluate.lifting_calibration import radial_calibration
from vipe.evaluate.lifting_metrics import best_of, mpjpe
from vipe.evaluate.protocols.lifting import LIFT_CONDITIONS, LiftingProtocol, simulate_lifting
from vipe.geometry import bone_lengths
from vipe.lift.lifter import SHELF
from vipe.simulate.motion import synthesize
from vipe.skeletons import load


@pytest.fixture(scope="module")
def default():
    return vipe.Lifter.from_pretrained("default")


@pytest.fixture(scope="module")
def views():
    """People of synthetic motion that it was not trained on, noise 0.03."""
    clips = synthesize(minutes=3.0, fps=1.0, generator=np.random.default_rng(77))
    poses = np.concatenate([clip.to(load("h36m17")).positions for clip in clips])
    names = np.arange(len(poses)).astype(str)
    (condition,) = (one for one in LIFT_CONDITIONS if one.name == "noise 0.03")
    return simulate_lifting(poses, names, names, condition, LiftingProtocol())


def test_it_comes_with_the_library_small_and_with_a_card(default):
    assert pretrained.names(SHELF) == ("default",)
    trained = pretrained.load("default", shelf=SHELF)
    assert sum(file.stat().st_size for file in Path(trained.where).iterdir()) < 8e6
    assert "synthetic motion alone" in trained.card
    assert default.kind == "bone-flow"
    assert default.has_density


def test_its_single_pose_and_its_best_hypothesis_are_near_and_its_spread_is_right(default, views):
    # Measured with this seed: 0.074, 0.055 and 0.017.
    single = mpjpe(default.predict(views.people)[:, None], views.truth).mean()
    assert single < 0.085
    poses = default.sample(views.people, 100, torch.Generator().manual_seed(0)).poses
    assert best_of(mpjpe(poses, views.truth), (100,))[100].mean() < 0.8 * single
    assert radial_calibration(poses, views.truth).ece < 0.1


def test_every_hypothesis_of_a_person_has_one_body(default, views):
    poses = default.sample(views.people[:20], 10, torch.Generator().manual_seed(0)).poses
    lengths = bone_lengths(torch.from_numpy(poses), load("h36m17").parents).numpy()
    assert np.ptp(lengths, axis=1).max() < 1e-5


def test_a_mirrored_person_gets_almost_the_mirrored_pose(default, views):
    order = list(load("coco13").mirrored)
    people = views.people
    flipped = vipe.Keypoints.of(people.xy[:, order] * np.array([-1.0, 1.0]), people.mask[:, order])
    one, other = (default.predict(vipe.Keypoints.of(people.xy, people.mask))), default.predict(flipped)
    back = other[:, list(load("h36m17").mirrored)] * np.array([-1.0, 1.0, 1.0], np.float32)
    assert np.linalg.norm(back - one, axis=-1).mean() < 0.03
