"""Several keypoints of one person tell more than one: frames of a movement, cameras around a moment."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.errors import ShapeError, VipeError
from vipe.geometry.rotations import random_rotation
from vipe.index import PoseIndex
from vipe.retrieve import TrackConfig, middle_rows, query_tracks, query_views
from vipe.retrieve.query import query
from vipe.retrieve.ranking.archive_size import ArchiveSize
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.sequences.alignment import best_paths
from vipe.retrieve.sequences.timeline import Timeline
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.store import PoseStore

FORWARDS = {"clip": ["a", "b", "c"]}  # of which no pose is there twice


@pytest.fixture(scope="module")
def moving(standing, tmp_path_factory):
    """Four clips of 40 frames at 10 fps: bodies that drift, the fourth through the first one's poses backwards."""
    rng = np.random.default_rng(5)
    paths = [standing + np.cumsum(rng.normal(0, 0.02, size=(40, 17, 3)), axis=0) for _ in range(3)]
    clips = [
        Clip(name=name, skeleton=load("h36m17"), positions=path.astype(np.float32), fps=10.0)
        for name, path in zip(("a", "b", "c", "backwards"), (*paths, paths[0][::-1]), strict=True)
    ]
    folder = tmp_path_factory.mktemp("moving")
    return PoseIndex.build(PoseStore.create(folder / "store", clips), AffineSignature(), folder / "index")


def seen(index, rows, rng, noise=2.0):
    """Rows of the index as cameras far away see them, one camera a row; 100 pixels a torso."""
    turn = random_rotation(len(rows), generator=_generator(rng)).numpy()[:, :2]
    points = index.canonical[rows][:, COCO13_IN_H36M17]
    xy = 100 * points @ turn.swapaxes(1, 2) + 300
    return Keypoints.of(xy + rng.normal(0, noise, size=xy.shape))


def _generator(rng):
    import torch

    return torch.Generator().manual_seed(int(rng.integers(1 << 31)))


def test_the_line_keeps_clips_apart_and_finds_what_is_near_in_time(moving):
    allowed = np.sort(np.random.default_rng(0).permutation(160)[:90])
    line = Timeline(moving, allowed, reach=3.0)
    frames = moving.frames()
    assert line.step == pytest.approx(0.1)
    np.testing.assert_array_equal(np.sort(line.rows), allowed)
    np.testing.assert_array_equal(line.rows[line.place(allowed)], allowed)
    assert (line.place(np.setdiff1d(np.arange(160), allowed)) == -1).all()
    for row in allowed:
        at = line.at[line.place(np.array([row]))]
        first, last = line.between(at - 1.0001, at + 0.5001)
        away = frames["time"][allowed] - frames["time"][row]
        expected = allowed[(frames["clip"][allowed] == frames["clip"][row]) & (away > -1.0001) & (away < 0.5001)]
        np.testing.assert_array_equal(np.sort(line.rows[first[0] : last[0]]), expected)


def test_a_movement_is_told_from_the_same_poses_in_another_order(moving, rng):
    rows = np.arange(10, 19)
    people = seen(moving, rows, rng)
    hits = query_tracks(moving, people, 3, track=np.zeros(9, dtype=int), time=np.arange(9) / 10)
    assert (hits.clip[0, 0], hits.rows[0, 0]) == ("a", 14)
    backwards = query_tracks(moving, people, 3, track=np.zeros(9, dtype=int), time=np.arange(9)[::-1] / 10)
    assert (backwards.clip[0, 0], backwards.time[0, 0]) == ("backwards", pytest.approx(2.5))
    assert hits.fit_cost[0, 0] < hits.fit_cost[0, 1]


def test_order_of_rows_and_other_tracks_do_not_matter(moving, rng):
    people = seen(moving, np.concatenate([np.arange(10, 15), np.arange(90, 95), [3]]), rng)
    track, time = np.array([0] * 5 + [7] * 5 + [-1]), np.concatenate([np.arange(5), np.arange(5), [0]]) / 10
    hits = query_tracks(moving, people, 4, track=track, time=time)
    assert hits.rows[:, 0].tolist() == [12, 92]
    order = rng.permutation(11)
    mixed = query_tracks(moving, people[order], 4, track=track[order], time=time[order])
    np.testing.assert_array_equal(mixed.rows, hits.rows)
    np.testing.assert_allclose(mixed.fit_cost, hits.fit_cost, rtol=1e-4)
    alone = query_tracks(moving, people[5:10], 4, track=track[5:10], time=time[5:10])
    np.testing.assert_array_equal(alone.rows[0], hits.rows[1])


def test_a_slower_performance_is_found(moving, rng):
    people = seen(moving, np.arange(50, 59), rng)
    hits = query_tracks(moving, people, 1, track=np.zeros(9, dtype=int), time=np.arange(9) * 0.14)
    assert hits.rows[0, 0] == 54


def test_a_bad_frame_does_not_decide(moving, rng):
    people = seen(moving, np.arange(100, 107), rng)
    xy = people.xy.copy()
    xy[3] = rng.normal(300, 100, size=(13, 2))
    hits = query_tracks(moving, Keypoints.of(xy), 1, track=np.zeros(7, dtype=int), time=np.arange(7) / 10)
    assert abs(int(hits.rows[0, 0]) - 103) <= 1


def test_a_track_may_hang_over_the_end_of_a_clip_and_lack_frames(moving, rng):
    people = seen(moving, np.array([36, 37, 38, 39, 39, 39, 39]), rng)
    mask = people.mask.copy()
    mask[3] = False  # the middle frame itself, and two others, are not to be used
    mask[4:, 4:] = False
    track, time = np.zeros(7, dtype=int), np.arange(7) / 10
    hits = query_tracks(moving, Keypoints.of(people.xy, mask), 1, track=track, time=time)
    assert hits.rows[0, 0] in (38, 39)
    assert hits.skipped == (None,)


def test_several_cameras_add(moving, rng):
    rows = np.repeat(np.array([20, 75, 110]), 3)
    people = seen(moving, rows, rng, noise=6.0)
    moment = np.repeat(np.arange(3), 3)
    hits = query_views(moving, people, 5, moment=moment, where=FORWARDS)
    assert hits.rows[:, 0].tolist() == [20, 75, 110]
    assert hits.fit_cost.shape == (3, 5)


def test_one_image_is_answered_like_any_query(moving, rng):
    people = seen(moving, np.array([31, 85]), rng)
    expected = query(moving, people, 8, where=FORWARDS)
    for hits in (
        query_views(moving, people, 8, moment=np.arange(2), where=FORWARDS),
        query_tracks(moving, people, 8, track=np.arange(2), time=np.array([0.3, 0.7]), where=FORWARDS),
    ):
        for name in ("rows", "distance", "probability", "probability_close", "presence", "fit_cost"):
            np.testing.assert_allclose(getattr(hits, name), getattr(expected, name), rtol=2e-3, atol=1e-3)
        assert not hits.contributions["other images"].any()


def test_equal_images_of_one_moment_say_what_one_says(moving, rng):
    people = seen(moving, np.array([31, 85, 110]), rng, noise=8.0)
    single = query(moving, people, 1, where=FORWARDS)
    moment = np.repeat(np.arange(3), 3)
    hits = query_views(moving, people[moment], 1, moment=moment, where=FORWARDS)
    np.testing.assert_array_equal(hits.rows, single.rows)


def test_the_order_of_cameras_does_not_matter(moving, rng):
    people = seen(moving, np.repeat([20, 75], 3), rng, noise=6.0)
    moment, order = np.repeat([0, 1], 3), np.array([4, 2, 0, 5, 3, 1])
    hits = query_views(moving, people, 5, moment=moment, where=FORWARDS)
    mixed = query_views(moving, people[order], 5, moment=moment[order], where=FORWARDS)
    np.testing.assert_array_equal(mixed.rows, hits.rows)
    np.testing.assert_allclose(mixed.probability, hits.probability, atol=1e-4)


def test_a_camera_that_says_nothing_changes_nothing(moving, rng):
    people = seen(moving, np.array([20, 20, 20]), rng, noise=6.0)
    mask = people.mask.copy()
    mask[2, 5:] = False
    with_it = query_views(moving, Keypoints.of(people.xy, mask), 5, moment=np.zeros(3, dtype=int))
    without = query_views(moving, people[:2], 5, moment=np.zeros(2, dtype=int))
    np.testing.assert_array_equal(with_it.rows, without.rows)
    np.testing.assert_array_equal(with_it.probability, without.probability)


def test_hits_of_several_images_are_as_sure_as_their_parts_sum_to(moving, rng):
    people = seen(moving, np.array([*range(10, 19), 60, 60]), rng, noise=4.0)
    tracks = query_tracks(moving, people[:9], 10, track=np.zeros(9, dtype=int), time=np.arange(9) / 10)
    for hits in (tracks, query_views(moving, people[9:], 10, moment=np.zeros(2, dtype=int))):
        near, close = hits.probability[0], hits.probability_close[0]
        assert ((near >= 0) & (near <= hits.presence[0] + 1e-6) & (close <= near + 1e-6)).all()
        assert 0 < hits.presence[0] <= 1
        odds = np.sum(list(hits.contributions.values()), axis=0)[0]
        np.testing.assert_allclose(1 / (1 + np.exp(-odds)), near, atol=1e-4)
        assert hits.contributions["other images"][0].any()


@pytest.mark.parametrize("convention", ["archive", "coco"])
def test_several_images_are_as_sure_as_their_conventions_model_in_so_small_an_archive(moving, rng, convention):
    people = replace(seen(moving, np.array([20, 20]), rng, noise=4.0), convention=convention)
    given = {"moment": np.zeros(2, dtype=int), "where": FORWARDS}
    hits = query_views(moving, people, 5, **given)
    plain = query_views(moving, people, 5, model=RankingModel.of(convention), **given)
    size, smaller = ArchiveSize.default(), float(ArchiveSize.default().smaller(120))
    assert smaller > 1
    expected = size.near.applied(logit(plain.probability), smaller)
    np.testing.assert_allclose(logit(hits.probability), expected, rtol=1e-3, atol=1e-3)
    there = np.maximum(size.presence.applied(logit(plain.presence), smaller), expected.max())
    np.testing.assert_allclose(logit(hits.presence), there, rtol=1e-3)


def test_a_convention_of_joints_is_handed_on(moving, rng):
    offsets = np.zeros((13, 3))
    offsets[0, 0] = -0.3  # the nose
    turn = random_rotation(2, generator=_generator(rng)).numpy()[:, :2]
    points = moving.canonical[np.array([20, 20])][:, COCO13_IN_H36M17] + offsets
    people = Keypoints.of(100 * points @ turn.swapaxes(1, 2) + 300)
    given = {"moment": np.zeros(2, dtype=int), "where": FORWARDS}
    known, ignored = (query_views(moving, people, 1, joint_offsets=assumed, **given) for assumed in (offsets, None))
    assert known.rows[0, 0] == 20
    assert known.distance[0, 0] < 0.5 * ignored.distance[0, 0]


def test_the_best_path_is_the_best_of_all_paths(rng):
    cost = rng.random((2, 4, 3)).astype(np.float32)
    cost[0, 1, 2] = np.inf
    at, steps = np.cumsum(rng.random((2, 4, 3)), axis=1), np.array([0.3, 0.5, 0.2])
    total, found = best_paths(cost, at, steps, 0.5, 0.1)
    for moment in range(2):
        every = []
        for path in np.ndindex(3, 3, 3, 3):
            taken = [(frame, slot) for frame, slot in enumerate(path)]
            change = np.diff([at[moment, frame, slot] for frame, slot in taken]) - steps
            warped = np.square(change / np.hypot(0.5 * steps, 0.05)).sum()
            every.append((sum(cost[moment][one] for one in taken) + warped, path))
        assert total[moment] == pytest.approx(min(every)[0], rel=1e-5)
        assert tuple(found[moment]) == min(every)[1]


def test_hits_may_have_to_differ_and_rows_to_match(moving, rng):
    people = seen(moving, np.arange(10, 15), rng)
    given = {"track": np.zeros(5, dtype=int), "time": np.arange(5) / 10}
    hits = query_tracks(moving, people, 10, max_per_clip=2, min_gap_seconds=1.0, **given)
    assert hits.found.sum() == len(set(hits.clip[hits.found])) * 2
    for name in set(hits.clip[hits.found]):
        assert np.ptp(hits.time[hits.clip == name]) >= 1 - 1e-6
    assert set(query_tracks(moving, people, 5, where={"clip": "c"}, **given).clip[0]) == {"c"}
    assert query_tracks(moving, people, 5, where={"clip": "nobody"}, **given).rows.shape == (1, 0)


def test_who_cannot_be_searched_for_is_told_why(moving, rng):
    people = seen(moving, np.array([1, 2, 3, 4]), rng)
    mask = people.mask.copy()
    mask[:2, 3:] = False
    hits = query_views(moving, Keypoints.of(people.xy, mask), 2, moment=np.array([0, 0, 1, 1]))
    assert hits.skipped == ("3 joints seen, at least 6 are needed", None)
    assert hits.found.sum(axis=1).tolist() == [0, 2]
    assert len(query_views(moving, people[:0], 2, moment=np.zeros(0, dtype=int))) == 0


def test_the_middle_of_a_track_is_a_frame_of_it():
    track, time = np.array([2, 0, 0, 0, 2, -1]), np.array([0.1, 0.5, 0.0, 0.2, 0.0, 9.0])
    assert middle_rows(track, time).tolist() == [3, 4]


def test_frames_faster_than_the_archive_say_no_more(moving, rng):
    rows = np.repeat(np.arange(10, 19), 3)
    people = seen(moving, rows, rng)
    time = np.arange(27) / 30
    thinned = query_tracks(moving, people[::3][1:8], 1, track=np.zeros(7, dtype=int), time=time[::3][1:8])
    dense = query_tracks(moving, people, 1, track=np.zeros(27, dtype=int), time=time)
    assert abs(int(dense.rows[0, 0]) - int(thinned.rows[0, 0])) <= 1
    assert dense.fit_cost[0, 0] < 3 * thinned.fit_cost[0, 0]


@pytest.mark.refusal
def test_numbers_that_do_not_fit_are_refused(moving, rng):
    people = seen(moving, np.arange(3), rng)
    with pytest.raises(ShapeError, match=r"track and time must be \(3,\), got \(2,\) and \(3,\)"):
        query_tracks(moving, people, track=np.zeros(2, dtype=int), time=np.zeros(3))
    with pytest.raises(ShapeError, match="time must be finite; give frame numbers over the rate"):
        query_tracks(moving, people, track=np.zeros(3, dtype=int), time=np.array([0, np.nan, 1]))
    with pytest.raises(ShapeError, match=r"moment must be \(3,\), got \(1,\)"):
        query_views(moving, people, moment=np.zeros(1, dtype=int))
    with pytest.raises(VipeError, match="k must be at least 1, got 0"):
        query_views(moving, people, 0, moment=np.zeros(3, dtype=int))
    with pytest.raises(VipeError, match="candidates must be at least 1, got 0"):
        query_views(moving, people, moment=np.zeros(3, dtype=int), candidates=0)
    with pytest.raises(VipeError, match="slack must be at least 0 and below 1, got 1"):
        TrackConfig(slack=1.0)
    with pytest.raises(VipeError, match="fade must be finite and above 0, got 0"):
        TrackConfig(fade=0.0)


def test_hits_of_a_track_carry_the_camera_of_its_middle_frame_and_of_views_that_of_the_first(moving):
    rows = np.arange(10, 15)
    people = seen(moving, rows, np.random.default_rng(1), noise=0.5)
    none = np.zeros(5, dtype=np.int64)
    track = query_tracks(moving, people, 2, track=none, time=np.arange(5) / 10)
    views = query_views(moving, seen(moving, np.repeat(12, 5), np.random.default_rng(1), noise=0.5), 2, moment=none)
    assert track.rows[0, 0] == views.rows[0, 0] == 12
    middle = middle_rows(none, np.arange(5) / 10)[0]
    image = track.fits.project()[0, 0, COCO13_IN_H36M17]
    assert np.linalg.norm(image - people.xy[middle], axis=-1).mean() < 5
    assert np.linalg.norm(image - people.xy[0], axis=-1).mean() > 10
    assert np.isfinite(views.fits.scale).all()


def test_where_the_middle_frame_cannot_be_used_the_nearest_is_named_and_its_camera_kept(moving):
    people = seen(moving, np.arange(10, 15), np.random.default_rng(1), noise=0.5)
    mask = people.mask.copy()
    mask[2] = False
    people, none = Keypoints.of(people.xy, mask), np.zeros(5, dtype=np.int64)
    hits = query_tracks(moving, people, 2, track=none, time=np.arange(5) / 10)
    assert hits.image.tolist() == [1]  # the earlier of the two beside the middle
    image = hits.fits.project()[0, 0, COCO13_IN_H36M17]
    assert np.linalg.norm(image - people.xy[1], axis=-1).mean() < 5
    views = query_views(moving, people[np.array([2, 0, 1])], 2, moment=np.zeros(3, dtype=np.int64))
    assert views.image.tolist() == [1]  # the first of the views that can be used
    assert views.people(people[np.array([2, 0, 1])]).image_id == people[:1].image_id


def test_tracks_of_one_image_and_of_several_stand_beside_each_other(moving):
    people = seen(moving, np.array([10, 11, 12, 30]), np.random.default_rng(1))
    for track in (np.array([0, 0, 0, 1]), np.array([1, 1, 1, 0])):
        hits = query_tracks(moving, people, 2, track=track, time=np.array([0.0, 0.1, 0.2, 0.0]), where=FORWARDS)
        assert hits.affine_residual is None
        assert hits.rows[track[3], 0] == 30 and hits.rows[track[0], 0] == 11
