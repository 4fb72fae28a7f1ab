"""Frames that cannot be, planted among synthetic motion."""

import numpy as np
import pytest

from vipe.clips import Clip
from vipe.errors import StoreError, VipeError
from vipe.lift.ppca.prior import outliers
from vipe.lift.ppca.prior.outliers import OutlierConfig, find_outliers, prior_of_store, sampled_poses
from vipe.lift.ppca.prior.repairs import EXCHANGES
from vipe.simulate.motion import synthesize
from vipe.skeletons import load
from vipe.skeletons.working import H36M17
from vipe.store import PoseStore

PLANTED = 8  # of each kind


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A store of some thousand frames, the rows where something is wrong, and its prior."""
    draws = np.random.default_rng(3)
    clips = [clip.to(H36M17) for clip in synthesize(minutes=2.2, fps=20.0, generator=np.random.default_rng(0))]
    poses = [clip.positions.copy() for clip in clips]
    planted = {}
    free = [(i, t) for i, one in enumerate(poses) for t in range(2, len(one) - 2)]
    starts = np.cumsum([0, *map(len, poses)])
    for kind, place in enumerate(draws.choice(len(free), 4 * PLANTED, replace=False)):
        clip, frame = free[place]
        name = ("legs", "arms", "all limbs", "slip")[kind % 4]
        one = poses[clip][frame]
        if name == "slip":
            joint = ("left_wrist", "right_knee", "head", "left_ankle")[kind // 4 % 4]
            poses[clip][frame, H36M17.index(joint)] += np.array([0.4, 0.3, 0.2], np.float32)
            name = f"{joint} slipped"
        else:
            poses[clip][frame] = one[list(EXCHANGES[name])]
            name = f"{name} left for right"
        planted[int(starts[clip]) + frame] = name
    made = (
        Clip(name=clip.name, skeleton=H36M17, positions=one, fps=clip.fps)
        for clip, one in zip(clips, poses, strict=True)
    )
    store = PoseStore.create(tmp_path_factory.mktemp("outliers") / "store", made)
    return store, planted, prior_of_store(store)


@pytest.fixture(scope="module")
def found(archive):
    store, _, prior = archive
    return find_outliers(store, prior)


def test_planted_frames_are_found_among_thousands_and_hardly_any_other(archive, found):
    store, planted, _ = archive
    assert len(store) > 2000
    rows = {one.row for one in found.found}
    assert len(rows & planted.keys()) >= 0.9 * len(planted)
    assert len(rows & planted.keys()) >= 0.8 * len(rows)
    assert found.count == len(rows)
    assert found.rows == len(store)


def test_the_reason_says_which_limbs_or_which_joint(archive, found):
    _, planted, _ = archive
    right = [one for one in found.found if one.row in planted]
    named = [one for one in right if one.reason == planted[one.row]]
    assert len(named) >= 0.85 * len(right)
    for one in named:
        expected = {H36M17.joints[joint] for joint in one.joints}
        assert expected <= {
            f"{side}_{part}"
            for side in ("left", "right")
            for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
        } | {"head"}


def test_frames_are_named_as_the_store_names_them_the_worst_first(archive, found):
    store, _, prior = archive
    table = store.table(["clip", "frame", "time"])
    for one in found.found:
        told = table.slice(one.row, 1).to_pylist()[0]
        assert (one.clip, one.frame) == (told["clip"], told["frame"])
        assert one.time == pytest.approx(told["time"])
    assert [one.excess for one in found.found] == sorted((one.excess for one in found.found), reverse=True)
    worst = found.found[0]
    np.testing.assert_array_equal(worst.pose, store.poses()[worst.row])
    assert worst.log_likelihood == pytest.approx(prior.pose_log_likelihood(worst.pose, world=True), abs=1e-6)
    # What is expected is far likelier than what was recorded.
    assert prior.pose_log_likelihood(worst.expected, world=True) > worst.log_likelihood + 20


def test_the_size_of_batches_changes_nothing(archive, found, monkeypatch):
    store, _, prior = archive
    monkeypatch.setattr(outliers, "_BATCH", 150)
    again = find_outliers(store, prior)
    assert [one.row for one in again.found] == [one.row for one in found.found]
    assert again.count == found.count


def test_only_the_worst_are_kept_and_all_are_counted(archive, found):
    store, _, prior = archive
    few = find_outliers(store, prior, config=OutlierConfig(most=3))
    assert [one.row for one in few.found] == [one.row for one in found.found[:3]]
    assert few.count == found.count


def test_progress_ends_at_the_last_row(archive):
    store, _, prior = archive
    told = []
    find_outliers(store, prior, progress=lambda *line: told.append(line))
    assert told[-1] == ("rows", len(store), len(store))


def test_a_rare_pose_that_lasts_is_no_outlier(archive, tmp_path):
    _, _, prior = archive
    still = next(iter(synthesize(clips=1, fps=10.0, generator=np.random.default_rng(1)))).to(H36M17).positions[:40]
    rare = still.copy()
    rare[:, [H36M17.index("left_wrist"), H36M17.index("right_wrist")], 2] += 0.25  # nobody's forearms are so long
    store = PoseStore.create(tmp_path / "rare", [Clip(name="rare", skeleton=H36M17, positions=rare, fps=10.0)])
    assert not any("slipped" in one.reason for one in find_outliers(store, prior).found)


def test_a_sample_is_evenly_spaced(archive):
    store, _, _ = archive
    rows = np.linspace(0, len(store) - 1, 7).round().astype(int)
    np.testing.assert_array_equal(sampled_poses(store, 7), store.poses()[rows])


def test_each_row_is_decided_once_with_its_neighbours_around_it():
    def part(rows):
        zero = np.zeros(len(rows))
        clip = np.full(len(rows), "a", dtype=object)
        poses = np.zeros((len(rows), 17, 3), np.float32)
        return outliers._Rows(rows, clip, rows, zero, poses, zero, zero.astype(int), zero)

    rows, reach = np.arange(900), outliers._MOST_NEIGHBOURS
    decided = []
    for held, here in outliers._with_neighbours(part(some) for some in np.split(rows, [300, 330, 700])):
        for row in held.row[here]:
            assert {max(0, row - reach), min(899, row + reach)} <= set(held.row)
            decided.append(row)
        assert len(held.row) <= 370 + 2 * reach
    np.testing.assert_array_equal(decided, rows)


def test_a_fall_needs_both_sides_within_reach():
    count = 6
    rows = outliers._Rows(
        row=np.arange(count),
        clip=np.array(["a", "a", "a", "a", "b", "c"], dtype=object),
        frame=np.arange(count),
        time=np.array([0.0, 0.1, 0.2, 1.2, 0.0, 0.0]),
        poses=np.zeros((count, 17, 3), np.float32),
        log_likelihood=np.array([100.0, 20.0, 90.0, 95.0, 0.0, 0.0]),
        exchange=np.zeros(count, int),
        gain=np.zeros(count),
    )
    # The first frame has one side; the fourth has its neighbour although it is far; clips of one frame have none.
    np.testing.assert_allclose(outliers._fall(rows, 0.15), [-80, 70, -70, -5, 0, 0])


@pytest.mark.refusal
def test_settings_and_stores_that_make_no_sense_are_refused(tmp_path, standing):
    for name in ("exchange", "fall", "reach", "below"):
        with pytest.raises(VipeError, match=f"{name} must be more than 0"):
            OutlierConfig(**{name: 0})
    with pytest.raises(VipeError, match="most must be at least 1"):
        OutlierConfig(most=0)
    two = np.repeat(standing[None], 2, axis=0).astype(np.float32)
    clip = Clip(name="short", skeleton=load("h36m17"), positions=two, fps=10.0)
    store = PoseStore.create(tmp_path / "s", [clip])
    with pytest.raises(StoreError, match="a prior needs at least 3 poses, got 2"):
        prior_of_store(store)
