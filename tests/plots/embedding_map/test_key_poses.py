import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.plots.embedding_map.key_poses import key_poses


def pose_distance(a, b):
    return np.linalg.norm(a - b, axis=-1).mean(axis=-1)


@pytest.fixture
def crowds(canonical, rng):
    """Four kinds of pose that look different, many of each, and one broken frame like no other."""
    kinds = canonical + np.stack([0 * canonical, *(0.5 * rng.normal(size=(3, 17, 3)))])
    poses = np.repeat(kinds, [200, 150, 100, 50], axis=0) + 0.01 * rng.normal(size=(500, 17, 3))
    return np.concatenate([poses, 9 * rng.normal(size=(1, 17, 3))]).astype(np.float32)


def test_each_kind_of_pose_has_a_key_and_its_poses_are_nearest_to_it(crowds):
    keys = key_poses(crowds[:500], 4)
    kind = np.repeat(np.arange(4), [200, 150, 100, 50])
    assert sorted(kind[keys.points]) == [0, 1, 2, 3]
    np.testing.assert_array_equal(kind[keys.points][keys.nearest], kind)


def test_the_first_key_is_the_most_usual_pose(crowds):
    assert key_poses(crowds[:500], 4).points[0] < 200


def test_a_broken_frame_does_not_hide_a_kind_of_pose(crowds):
    kind = np.append(np.repeat(np.arange(4), [200, 150, 100, 50]), 4)
    assert {0, 1, 2, 3} <= set(kind[key_poses(crowds, 5).points])


def test_every_pose_has_its_nearest_key(crowds):
    keys = key_poses(crowds, 6)
    apart = np.stack([pose_distance(crowds, crowds[point]) for point in keys.points])
    np.testing.assert_array_equal(keys.nearest, apart.argmin(axis=0))


def test_no_two_keys_are_equal(canonical):
    poses = np.repeat(canonical[None], 30, axis=0).astype(np.float32)
    poses[:10, 13] += 1
    assert len(key_poses(poses, 10).points) == 2


@pytest.mark.refusal
def test_no_pose_has_no_key(crowds):
    with pytest.raises(VipeError, match="got 10 of 0"):
        key_poses(crowds[:0])
