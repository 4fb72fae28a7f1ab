"""Pose-to-pose search: the moments of an archive that show the pose of a moment."""

import numpy as np
import pytest
import torch

import vipe
from vipe.clips import Clip
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.evaluate.leave_out import LeaveOut
from vipe.evaluate.metrics import pose_distance
from vipe.geometry import random_rotation
from vipe.index import PoseIndex
from vipe.retrieve import pose_query, query_moments, query_poses
from vipe.retrieve.candidates import pose_scan
from vipe.retrieve.candidates.body_parts import joint_weights
from vipe.retrieve.mirrored import mirrored_poses
from vipe.retrieve.pose_query import moment_rows
from vipe.retrieve.ranking.diversity import diversify
from vipe.skeletons import load
from vipe.skeletons.working import H36M17
from vipe.store import PoseStore


def by_hand(index, pose, rows=None, weight=None):
    """Slow twin: rows and distances of all of them, nearest first; aligned by SVD (Umeyama 1991), in float64."""
    rows = np.arange(len(index)) if rows is None else rows
    w = (np.ones(17) if weight is None else weight)[:, None]
    w = w / w.sum()
    a, b = index.poses(rows).astype(np.float64), pose.astype(np.float64)
    a, b = a - (w * a).sum(axis=1, keepdims=True), b - (w * b).sum(axis=0)
    u, s, vt = np.linalg.svd(np.swapaxes(w * b, 0, 1) @ a)
    s[:, 2] *= (sign := np.sign(np.linalg.det(u @ vt)))
    u[:, :, 2] *= sign[:, None]
    scale = s.sum(axis=1) / (w * a * a).sum(axis=(1, 2))
    moved = scale[:, None, None] * a @ np.swapaxes(u @ vt, 1, 2)
    distance = (w[:, 0] * np.linalg.norm(moved - b, axis=2)).sum(axis=1)
    order = np.argsort(distance, kind="stable")
    return rows[order], distance[order]


def moment(index, row):
    return str(index.frames()["clip"][row]), int(index.frames()["frame"][row])


def test_hits_are_the_poses_of_least_distance_after_alignment(index):
    moments = [moment(index, row) for row in (3, 100)]
    hits = query_moments(index, moments, 7, leave_out=-1.0)
    for query, row in enumerate((3, 100)):
        rows, distance = by_hand(index, index.poses(np.array([row]))[0])
        assert hits.rows[query].tolist() == rows[:7].tolist()
        np.testing.assert_allclose(hits.distance[query], distance[:7], atol=1e-6)
        assert hits.rows[query, 0] == row  # itself
        np.testing.assert_allclose(
            hits.distance[query], pose_distance(index.poses(hits.rows[query]), index.poses(np.array([row]))), atol=1e-6
        )
    assert hits.mirrored is None and hits.probability is None and hits.skipped == (None, None)
    assert hits.clip[0, 0] == moments[0][0] and hits.frame[0, 0] == moments[0][1]


def test_a_pose_from_anywhere_is_asked_with_as_it_is(index):
    turned = random_rotation(1, generator=torch.Generator().manual_seed(1))[0].numpy()
    pose = 1.8 * index.poses(np.array([17]))[0] @ turned.T + np.array([3.0, -2.0, 0.5])
    hits = query_poses(index, pose[None], 3)
    assert hits.rows[0].tolist() == by_hand(index, index.poses(np.array([17]))[0])[0][:3].tolist()
    assert hits.distance[0, 0] < 1e-5


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.1, 0.25, 1.0, np.inf])
def test_neighbours_in_time_are_left_out_as_in_evaluation(index, seconds):
    hits = query_moments(index, [moment(index, 70)], 120, leave_out=seconds)
    frames = index.frames()
    out = LeaveOut(frames["clip"], frames["time"], seconds).mask(np.array([70]), np.arange(120))
    assert sorted(hits.rows[0][hits.found[0]].tolist()) == np.flatnonzero(~out).tolist()
    assert query_moments(index, [moment(index, 70)], 120).found.sum() == 120 - 21  # a second either way


def test_everything_within_a_distance_is_found_and_nothing_else(index):
    moments = [moment(index, row) for row in (0, 50, 119)]
    poses = index.poses(np.array([0, 50, 119]))
    radius = float(np.median(by_hand(index, poses[0])[1]))
    hits = query_moments(index, moments, within=radius, leave_out=-1.0)
    for query, pose in enumerate(poses):
        rows, distance = by_hand(index, pose)
        assert hits.rows[query][hits.found[query]].tolist() == rows[distance <= radius].tolist()
        assert (hits.rows[query][~hits.found[query]] == -1).all()
    assert query_moments(index, moments, 5, within=radius).rows.shape == (3, 5)
    assert query_moments(index, moments, within=0.0).rows.shape == (3, 0)
    assert query_moments(index, moments, within=1e-5, leave_out=-1.0).rows.tolist() == [[0], [50], [119]]


def test_the_mirror_image_is_found_and_told(bent, tmp_path):
    """An archive that holds each of some poses, and of others the mirror image alone."""
    poses = vipe.canonicalize(bent(20, 1)).poses
    held = poses.copy()
    held[10:] = mirrored_poses(poses[10:])
    clip = Clip(name="a", skeleton=load("h36m17"), positions=held * 0.5, fps=10.0)
    index = PoseIndex.build(PoseStore.create(tmp_path / "store", [clip]), AffineSignature(), tmp_path / "index")
    plain, both = query_poses(index, poses, 5), query_poses(index, poses, 5, mirrored=True)
    assert plain.distance[10:, 0].min() > 0.02
    assert both.rows[:, 0].tolist() == list(range(20))
    assert both.distance[:, 0].max() < 1e-4
    assert both.mirrored[:, 0].tolist() == [False] * 10 + [True] * 10
    for query in range(20):
        there, other = (
            dict(zip(*(part.tolist() for part in by_hand(index, one)), strict=True))
            for one in (poses[query], mirrored_poses(poses[query]))
        )
        best = {row: min(there[row], other[row]) for row in there}
        assert both.rows[query].tolist() == sorted(best, key=best.get)[:5]
        assert both.mirrored[query].tolist() == [bool(other[row] < there[row]) for row in both.rows[query].tolist()]
        assert [hit["mirrored"] for hit in both.of(query)] == both.mirrored[query].tolist()


def test_mirroring_twice_changes_nothing_and_exchanges_sides(bent):
    poses = vipe.canonicalize(bent(4, 2)).poses
    mirrored = mirrored_poses(poses)
    np.testing.assert_array_equal(mirrored_poses(mirrored), poses)
    left, right = H36M17.index("left_wrist"), H36M17.index("right_wrist")
    np.testing.assert_array_equal(mirrored[:, left] * [1, -1, 1], poses[:, right])
    # It is canonical: the mirror image of the person, seen as a person.
    world = poses[:, H36M17.mirrored] * np.array([-1, 1, 1], dtype=np.float32)  # mirrored at another plane
    np.testing.assert_allclose(vipe.canonicalize(world).poses, mirrored, atol=1e-5)


@pytest.mark.parametrize("joints", [("upper",), ("torso", "left_arm"), {"torso": 1, "left_wrist": 5.0}])
def test_joints_that_are_not_named_may_be_anywhere(index, joints):
    hits = query_moments(index, [moment(index, 5)], 10, joints=joints, leave_out=-1.0)
    rows, distance = by_hand(index, index.poses(np.array([5]))[0], weight=joint_weights(joints))
    assert hits.rows[0].tolist() == rows[:10].tolist()
    np.testing.assert_allclose(hits.distance[0], distance[:10], atol=1e-6)
    assert hits.rows[0].tolist() != query_moments(index, [moment(index, 5)], 10, leave_out=-1.0).rows[0].tolist()


def test_filters_and_blocks_change_nothing_else(index, monkeypatch):
    where = {"clip": "second"}
    asked = [moment(index, 5)]  # of the other clip
    monkeypatch.setattr(pose_scan, "_AT_ONCE", 7)
    hits = query_moments(index, asked, 4, where=where)
    assert hits.rows[0].tolist() == by_hand(index, index.poses(np.array([5]))[0], np.arange(60, 120))[0][:4].tolist()
    nothing = query_moments(index, asked, where=np.empty(0, dtype=np.int64))
    assert nothing.rows.shape == (1, 0) and nothing.of(0) == []
    assert query_moments(index, [], 3).rows.shape == (0, 3)
    assert query_moments(index, asked, 1000).found.sum() == 120 - 16


@pytest.mark.parametrize(
    "limits", [{"max_per_clip": 2}, {"min_gap_seconds": 0.5}, {"max_per_clip": 3, "min_gap_seconds": 1.0}]
)
@pytest.mark.parametrize("within", [None, 0.2])
def test_limits_are_those_of_every_search(index, limits, within):
    hits = query_moments(index, [moment(index, 30)], 20, within=within, leave_out=-1.0, **limits)
    rows, distance = by_hand(index, index.poses(np.array([30]))[0])
    rows = rows if within is None else rows[distance <= within]
    places = diversify(rows[None], index.clip_codes, index.times, 20, **limits)[0]
    assert hits.rows[0][hits.found[0]].tolist() == rows[places[places >= 0]].tolist()


@pytest.fixture(scope="module")
def many(bent, tmp_path_factory):
    """A learned index of 1,500 poses, more than are candidates."""
    folder = tmp_path_factory.mktemp("many")
    clips = [Clip(name=f"c{n}", skeleton=load("h36m17"), positions=bent(500, n), fps=10.0) for n in range(3)]
    embedder = Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=0))
    return PoseIndex.build(PoseStore.create(folder / "store", clips), embedder, folder / "index")


def test_a_large_learned_index_is_searched_by_its_embedding(many, monkeypatch):
    compared = []
    scan = pose_query.pose_distances
    monkeypatch.setattr(
        pose_query,
        "pose_distances",
        lambda index, pose, rows, weight: compared.append(rows) or scan(index, pose, rows, weight),
    )
    asked = [moment(many, 700)]
    exact = query_moments(many, asked, 10)
    assert compared.pop() is None  # all
    near = query_moments(many, asked, 10, exact=False)
    rows = compared.pop()
    assert len(rows) == 500 + 21  # and as many as are left out
    assert np.isin(near.rows, rows).all()
    kept = by_hand(many, many.poses(np.array([700]))[0], rows)[0]
    kept = kept[
        ~((many.clip_codes[kept] == many.clip_codes[700]) & (np.abs(many.times[kept] - many.times[700]) < 1.01))
    ]
    assert near.rows[0].tolist() == kept[:10].tolist()
    assert len(np.intersect1d(near.rows, exact.rows)) > 3  # though weights are random
    monkeypatch.setattr(pose_query, "EXACT", 1000)
    query_moments(many, asked, 10)
    assert compared.pop() is not None
    for settings in ({"within": 0.1}, {"joints": ("upper",)}, {"exact": True}):
        query_moments(many, asked, 10, **settings)
        assert compared.pop() is None
    query_moments(many, asked, 10, mirrored=True)
    one, other = compared
    np.testing.assert_array_equal(one, other)
    assert len(one) > 540  # those of the pose and those of its mirror image


def test_candidates_by_the_shipped_embedding_hold_nearly_all_of_the_nearest(bent, tmp_path):
    """Poses bent at random are harder than those of motion: their nearest are far, and much alike in distance."""
    clips = [Clip(name=f"c{n}", skeleton=load("h36m17"), positions=bent(1000, n), fps=10.0) for n in range(3)]
    store = PoseStore.create(tmp_path / "store", clips)
    index = PoseIndex.build(store, Embedder.from_pretrained("default"), tmp_path / "index")
    asked = [("c1", frame) for frame in range(0, 1000, 50)]
    exact, near = (query_moments(index, asked, 10, exact=every) for every in (True, False))
    assert np.mean([np.isin(*both).mean() for both in zip(exact.rows, near.rows, strict=True)]) > 0.95


def test_the_search_goes_deeper_where_limits_leave_too_few(many, monkeypatch):
    monkeypatch.setattr(pose_query, "_DEEPER", 1)
    monkeypatch.setattr(pose_query, "_LEAST", 1)
    hits = query_moments(many, [moment(many, 700)], 6, exact=False, max_per_clip=2)
    assert hits.found.all()
    assert np.unique(many.clip_codes[hits.rows], return_counts=True)[1].tolist() == [2, 2, 2]


def test_2048_hits_are_given(many):
    deep = query_moments(many, [moment(many, 700)], 2048, leave_out=-1.0)
    assert deep.rows.shape == (1, 1500)
    assert (np.diff(deep.distance[0]) >= 0).all()


def test_moments_are_rows(index):
    assert moment_rows(index, [("second", 3), ("first", 59)]).tolist() == [63, 59]
    with pytest.raises(VipeError, match="no clip 'third'; it has 2 clips, such as 'first', 'second'"):
        moment_rows(index, [("third", 0)])
    with pytest.raises(VipeError, match="no frame 60 of clip 'first'; it has 60 of its frames, of which 58 and 59 are"):
        moment_rows(index, [("first", 60)])


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"k": 0}, VipeError, "k must be at least 1, got 0"),
        ({"k": 1.5}, ArgumentError, "k must be a whole number, got float 1.5"),
        ({"within": -1}, VipeError, "within must be finite and not negative, got -1"),
        ({"within": "1"}, ArgumentError, "within must be a number, got str"),
        ({"leave_out": np.nan}, VipeError, "leave_out must be a number of seconds, got nan"),
        ({"leave_out": "1"}, ArgumentError, "leave_out must be a number of seconds, got str '1'"),
        ({"joints": ("left_arm",)}, VipeError, "3 joints count, at least 4 are needed; add torso"),
        ({"joints": ("tail",)}, VipeError, "no part or joint 'tail'"),
        ({"max_per_clip": 0}, VipeError, "max_per_clip must be at least 1"),
        ({"max_per_clip": 1.5}, ArgumentError, "max_per_clip must be a whole number"),
        ({"min_gap_seconds": -1}, VipeError, "min_gap_seconds must be finite and not negative"),
        ({"exact": False, "within": 0.1}, VipeError, "exact=False needs a learned index"),
        ({"where": {"colour": "red"}}, VipeError, "no column 'colour'"),
    ],
)
def test_refuses_what_makes_no_question(learned, settings, error, message):
    with pytest.raises(error, match=message):
        query_moments(learned, [("first", 0)], **settings)


@pytest.mark.refusal
def test_refuses_poses_that_are_none(affine):
    with pytest.raises(ShapeError, match=r"poses must be \(Q, 17, 3\), got shape \(17, 3\); one alone"):
        query_poses(affine, np.ones((17, 3)))
    with pytest.raises(ShapeError, match="pose 1 has no canonical form"):
        query_poses(affine, np.stack([affine.canonical[0], np.zeros((17, 3), dtype=np.float32)]))
    with pytest.raises(ShapeError, match="finite"):
        query_poses(affine, np.full((1, 17, 3), np.nan))
    with pytest.raises(VipeError, match="exact=False needs a learned index"):
        query_poses(affine, affine.canonical[:1], exact=False)
    with pytest.raises(ArgumentError, match="index must be a PoseIndex, got str 'x'; open it"):
        query_moments("x", [("a", 0)])
