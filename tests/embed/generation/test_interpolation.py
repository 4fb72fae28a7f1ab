import numpy as np
import pytest

from vipe.embed.generation.checks import bone_length_error, pose_difference
from vipe.embed.generation.interpolation import interpolate
from vipe.errors import VipeError


def test_the_way_between_two_poses_starts_and_ends_there(model, poses):
    embedder, _ = model
    made = interpolate(embedder, poses[0], poses[1], 5)
    np.testing.assert_allclose(made[0], poses[0], atol=2e-5)
    assert pose_difference(made[-1], poses[1]) < 1e-4
    assert bone_length_error(made, poses[0]) < 1e-5


def test_fewer_than_two_steps_are_refused(embedder, poses):
    with pytest.raises(VipeError, match="at least 2, got 1"):
        interpolate(embedder, poses[0], poses[1], 1)
