import numpy as np
import pytest
import torch

from vipe.embed.generation.checks import decreasing_steps, nearest_poses
from vipe.errors import VipeError
from vipe.geometry import random_rotation


def test_steps_back_are_found():
    found = decreasing_steps(np.array([[0.0, 0.2, 0.1, 0.1], [0.0, 0.1, 0.2, 0.3]]))
    np.testing.assert_array_equal(found, [[False, True, False], [False] * 3])


def test_the_nearest_pose_is_found(moved, generator):
    rotation = random_rotation(generator=generator, dtype=torch.float32).numpy()
    distance, row = nearest_poses(1.3 * moved[5:8] @ rotation.T, moved)
    np.testing.assert_array_equal(row, [5, 6, 7])
    np.testing.assert_allclose(distance, 0, atol=1e-3)
    apart = np.ones((3, len(moved)), dtype=bool)
    apart[:, 5:8] = False
    assert not set(nearest_poses(moved[5:8], moved, apart=apart)[1]) & {5, 6, 7}


def test_without_a_recorded_pose_there_is_no_nearest(poses):
    with pytest.raises(VipeError, match="no recorded pose"):
        nearest_poses(poses, poses[:0])
