import numpy as np
import pytest

from vipe import canonicalize
from vipe.clips import Clip
from vipe.errors import StoreError
from vipe.skeletons import load
from vipe.store import PoseStore, most_different
from vipe.store.most_different import most_different as choose


def apart(poses):
    canonical = canonicalize(poses).poses
    return np.linalg.norm(canonical[:, None] - canonical[None], axis=-1).mean(axis=-1)


@pytest.fixture
def poses(bent):
    return bent(300, seed=4)


@pytest.fixture
def archive(poses, tmp_path):
    clips = [
        Clip(name=f"c{i}", skeleton=load("h36m17"), positions=poses[i * 100 : i * 100 + 100], fps=50.0)
        for i in range(3)
    ]
    return PoseStore.create(tmp_path / "store", clips)


def test_each_pose_is_the_farthest_from_those_before_it(archive, poses):
    found = choose(archive, 8)
    canonical = canonicalize(poses).poses
    from_mean = np.linalg.norm(canonical - canonical.mean(axis=0), axis=-1).mean(axis=-1)
    rows = [100 * int(clip[1:]) + int(frame) for clip, frame in zip(found.clip, found.frame, strict=True)]
    distance = apart(poses)
    assert rows[0] == from_mean.argmax()
    for number in range(1, 8):
        nearest = distance[rows[:number]].min(axis=0)
        assert rows[number] == nearest.argmax()
        assert found.distance[number] == pytest.approx(nearest.max(), abs=1e-5)
    np.testing.assert_array_equal(found.poses, poses[rows])
    np.testing.assert_allclose(found.time, found.frame / 50, atol=1e-6)


def test_in_blocks_no_pose_is_left_far_from_all(archive, poses, monkeypatch):
    monkeypatch.setattr(most_different, "_BLOCK", 40)
    found = choose(archive, 8)
    rows = [100 * int(clip[1:]) + int(frame) for clip, frame in zip(found.clip, found.frame, strict=True)]
    distance = apart(poses)
    monkeypatch.undo()
    best = choose(archive, 9).distance[-1]  # nine poses so far apart: two of them share a centre, whatever one chooses
    assert distance[rows].min(axis=0).max() <= 4 * best
    assert len(set(rows)) == 8


def test_poses_that_are_the_same_count_once(poses, tmp_path):
    same = np.concatenate([poses[:3]] * 4) + 1
    store = PoseStore.create(tmp_path / "s", [Clip(name="a", skeleton=load("h36m17"), positions=same, fps=1.0)])
    found = choose(store, 10)
    assert len(found) == 3 or found.distance[3:].max() < 1e-5
    assert len(choose(store, 1)) == 1


def test_only_chosen_rows_and_at_least_one(archive):
    assert set(choose(archive, 5, {"clip": "c1"}).clip) == {"c1"}
    with pytest.raises(StoreError, match="no pose fits"):
        choose(archive, 5, {"clip": "none"})
    with pytest.raises(StoreError, match="count must be at least 1"):
        choose(archive, 0)
