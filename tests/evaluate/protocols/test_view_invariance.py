import json
from dataclasses import replace

import numpy as np
import pytest

from vipe.embed import AffineSignature
from vipe.errors import ShapeError, VipeError
from vipe.evaluate import CONDITIONS, RetrievalProtocol, evaluate_retrieval, pose_distance
from vipe.evaluate.baselines.matchers import EmbeddingMatcher
from vipe.evaluate.baselines.raw_2d import Raw2D
from vipe.evaluate.first_hit_rank import Targets, first_hit_ranks
from vipe.evaluate.leave_out import LeaveOut
from vipe.evaluate.near_pairs import near_pairs
from vipe.evaluate.protocols.view_invariance import RETRIEVAL_CONDITIONS
from vipe.geometry.canonical import canonicalize_array
from vipe.simulate import CameraRig, simulate_keypoints

CONDITION = {condition.name: condition for condition in CONDITIONS}
GALLERIES = ("whole gallery", "4 s left out")
# Every pose is kept, so that what must come out can be counted by hand.
EVERYTHING = RetrievalProtocol(near_duplicate=0.0, draws=50, conditions=(CONDITION["ground truth"],), rig="h36m")


class Named:
    """A matcher made of two functions."""

    def __init__(self, describe, compare, name="test"):
        self.describe, self.compare, self.name = describe, compare, name


def numbers(people):
    """People by the number of their image, which is that of their pose."""
    return np.array([[float(name)] for name in people.image_id], dtype=np.float32)


@pytest.fixture(scope="module")
def canonical(store):
    return canonicalize_array(store.poses()).poses


@pytest.fixture(scope="module")
def left_out(store):
    table = store.table(["clip", "time"])
    _, clip = np.unique(table["clip"].to_numpy().astype(str), return_inverse=True)
    return LeaveOut(clip, table["time"].to_numpy(), 4.0)


@pytest.fixture(scope="module")
def perfect(canonical):
    """Knows the 3D distance of every two poses."""
    table = pose_distance(canonical[None], canonical[:, None])

    def compare(query, gallery):
        return -table[query[:, 0].astype(int)][:, gallery[:, 0].astype(int)]

    return Named(numbers, compare, "perfect")


def ranks_by_sorting(scores, table, threshold, away):
    """The slow twin: sort each query's gallery, non-hits first among equals, and walk down to the first hit."""
    ranks = []
    for i in range(len(scores)):
        there = np.flatnonzero(~away[i])
        hit = table[i, there] < threshold
        order = np.lexsort((hit, -scores[i, there]))
        places = np.flatnonzero(hit[order])
        ranks.append(places[0] + 1 if len(places) else 0)
    return np.array(ranks)


@pytest.mark.parametrize("levels", [3, 40, None], ids=["many ties", "some ties", "no ties"])
def test_the_rank_of_the_first_hit_is_that_of_sorting(canonical, left_out, rng, levels):
    everything = np.arange(300)
    near = near_pairs(canonical, everything, everything, 0.1)
    questions = [(0.1, False), (0.05, False), (0.1, True), (0.05, True)]
    targets = Targets.of(near, left_out, questions)
    table = pose_distance(canonical[None], canonical[:, None])
    away = left_out.mask(everything[:, None], everything[None])
    scores = rng.normal(size=(300, 300)) if levels is None else rng.integers(levels, size=(300, 300))
    scores = scores.astype(np.float32)
    found = np.concatenate([first_hit_ranks(scores[i : i + 70], i, targets) for i in range(0, 300, 70)], axis=1)
    for number, (threshold, drops) in enumerate(questions):
        expected = ranks_by_sorting(scores, table, threshold, away & drops)
        np.testing.assert_array_equal(found[number], expected)
        np.testing.assert_array_equal(targets.matches[number] > 0, expected > 0)


def test_all_of_it_is_what_loops_over_cameras_and_queries_find(store, canonical, left_out, rng):
    """The slow twin of the whole protocol, for a matcher whose scores depend on both cameras."""
    direction = rng.normal(size=(26, 6)).astype(np.float32)

    def describe(people):
        return (people.xy.reshape(len(people), 26) / 100) @ direction

    def compare(query, gallery):
        return np.cos(query @ gallery.T / 50).astype(np.float32)

    report = evaluate_retrieval(store, [Named(describe, compare)], protocol=EVERYTHING)
    table = pose_distance(canonical[None], canonical[:, None])
    away = left_out.mask(np.arange(300)[:, None], np.arange(300)[None])
    cameras = CameraRig.load("h36m").cameras
    views = [
        describe(simulate_keypoints(store.poses(), camera, distance=4.0, noise=0.0, generator=rng))
        for camera in cameras
    ]
    for name, drops in zip(GALLERIES, (False, True), strict=True):
        score = report.score("test", "ground truth", name)
        for threshold in (0.1, 0.05):
            ranks = [
                ranks_by_sorting(compare(views[i], views[j]), table, threshold, away & drops)
                for i in range(4)
                for j in range(4)
                if i != j
            ]
            own = np.array(ranks)
            own = own[:, own[0] > 0]
            assert score.queries[threshold] == own.shape[1] > 0
            for k in (1, 10, 20):
                assert score.hit[threshold][k] == pytest.approx((own <= k).mean(), abs=1e-9)
            assert score.reciprocal_rank[threshold] == pytest.approx((1 / own).mean(), rel=1e-9)


def test_who_knows_the_truth_finds_everything_and_a_constant_nothing(store, perfect):
    blind = Named(numbers, lambda query, gallery: np.zeros((len(query), len(gallery)), dtype=np.float32), "blind")
    report = evaluate_retrieval(store, [perfect, blind], protocol=EVERYTHING)
    for gallery in GALLERIES:
        score = report.score("perfect", "ground truth", gallery)
        assert all(rate == 1 for by_k in score.hit.values() for rate in by_k.values())
        assert all(0 < low < high == 1 for by_k in score.interval.values() for low, high in by_k.values())
        assert score.reciprocal_rank[0.1] == 1
        assert score.over_first is None
        nothing = report.score("blind", "ground truth", gallery)
        assert nothing.hit[0.1][20] == 0
        gain, (low, high) = nothing.over_first
        assert gain == low == -1 < high  # three clips, all alike, do not exclude others
    assert report.primary["value"] == 1
    assert report.primary["matcher"] == "perfect"
    assert report.pairs == {"all": 12}
    assert report.left_out == 0


def test_intervals_are_over_clips_since_frames_of_one_clip_succeed_together(store, perfect):
    def first_clip_only(query, gallery):
        scores = perfect.compare(query, gallery)
        scores[query[:, 0] >= 100] = 0  # the other two clips are found by nobody
        return scores

    report = evaluate_retrieval(store, [Named(numbers, first_clip_only, "one clip"), perfect], protocol=EVERYTHING)
    score = report.score("one clip", "ground truth", GALLERIES[0])
    assert score.hit[0.1][1] == pytest.approx(1 / 3)
    low, high = score.interval[0.1][1]
    # A third of 300 queries, were they independent: 28% to 39%. Of three clips one succeeds: almost anything.
    assert low == 0
    assert high >= 2 / 3
    gain, (low, high) = report.score("perfect", "ground truth", GALLERIES[0]).over_first
    assert gain == pytest.approx(2 / 3)
    assert low <= 1 / 3
    assert high == 1
    assert report.primary["share_of_five_clips"] == 1


def test_a_difference_is_that_of_the_figures(store):
    def worse(query, gallery):
        scores = query @ gallery.T
        scores[::5] = 0  # finds nothing for every fifth person
        return scores

    matchers = [Named(numbers, worse, "worse"), Raw2D()]
    report = evaluate_retrieval(store, matchers, protocol=EVERYTHING)
    base, other = (report.score(name, "ground truth", GALLERIES[0]) for name in ("worse", "raw 2D"))
    gain, (low, high) = other.over_first
    assert gain == pytest.approx(other.hit[0.1][1] - base.hit[0.1][1], abs=1e-9)
    assert low < gain < high
    cell = next(row for row in report.to_table() if row[3] == "raw 2D")[-1]
    assert cell == f"{100 * gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def test_the_unseen_column_pairs_a_chest_camera_with_another(store, perfect):
    """Who knows the truth only between chest cameras is told from who knows it always."""
    rig = CameraRig.load("mpi_inf_3dhp")
    seen = []

    def describe(people):
        seen.append(people)
        return np.hstack([numbers(people), np.full((len(people), 1), rig.cameras[len(seen) - 1].chest)])

    def compare(query, gallery):
        alike = perfect.compare(query, gallery)
        return alike if query[0, 1] == gallery[0, 1] == 1 else -alike

    protocol = replace(EVERYTHING, rig="mpi_inf_3dhp", poses=40)
    few = Named(lambda people: describe(people).astype(np.float32), compare)
    report = evaluate_retrieval(store, [few], protocol=protocol)
    assert report.pairs == {"all": 110, "unseen": 60}
    assert report.poses == 40
    everything = report.score("test", "ground truth", "whole gallery", "all").hit[0.1][1]
    unseen = report.score("test", "ground truth", "whole gallery", "unseen").hit[0.1][1]
    assert unseen < everything
    assert everything >= 20 / 110  # the pairs of chest cameras


def test_cameras_and_noise_are_the_same_for_every_matcher_and_condition(store):
    seen = {}

    def matcher(name):
        def describe(people):
            seen.setdefault(name, []).append(people)
            return numbers(people)

        return Named(describe, lambda query, gallery: np.zeros((len(query), len(gallery)), dtype=np.float32), name)

    protocol = replace(EVERYTHING, conditions=RETRIEVAL_CONDITIONS, poses=20)
    evaluate_retrieval(store, [matcher("first"), matcher("second")], protocol=protocol)
    for one, other in zip(seen["first"], seen["second"], strict=True):
        np.testing.assert_array_equal(one.xy, other.xy)
    truth, noisy, missing = seen["first"][:4], seen["first"][4:8], seen["first"][8:]
    assert all(people.mask.all() and people.covariance is None for people in (*truth, *noisy))
    assert all((people.mask.sum(axis=1) == 11).all() for people in missing)
    for exact, off, hidden in zip(truth, noisy, missing, strict=True):
        assert (exact.xy != off.xy).any()
        np.testing.assert_array_equal(off.xy[hidden.mask], hidden.xy[hidden.mask])
    assert (truth[0].xy != truth[1].xy).any()
    errors = [off.xy - exact.xy for exact, off in zip(truth, noisy, strict=True)]
    assert np.abs(errors[0] - errors[1]).max() > 1e-3  # two cameras do not make the same mistakes


def test_a_report_is_plain_values(store):
    protocol = replace(EVERYTHING, conditions=RETRIEVAL_CONDITIONS, rig="mpi_inf_3dhp", poses=30)
    told = []
    report = evaluate_retrieval(store, [Raw2D()], protocol=protocol, progress=lambda *step: told.append(step))
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert values["primary"]["name"] == "Hit@1 below 0.1 torso, ground truth, whole gallery, all camera pairs"
    found = values["results"]["raw 2D"]["2 missing"]["whole gallery"]["unseen"]
    assert set(found) == {"queries", "hit", "interval", "reciprocal_rank", "over_first"}
    assert 0 <= found["hit"]["0.1"]["1"] <= found["hit"]["0.1"]["20"] <= 1
    head, *rows = report.to_table()
    assert all(len(row) == len(head) for row in rows)
    assert {step[0] for step in told} == {"3D distances", "camera pairs"}
    assert told[-1][1:3] == (330, 330)
    again = evaluate_retrieval(store, [Raw2D()], protocol=protocol)
    assert {**again.to_json(), "seconds": 0} == {**report.to_json(), "seconds": 0}


class Projection:
    """An encoder that needs no training and embeds keypoints only."""

    name, dim, fingerprint = "projection", 26, "0"

    def __init__(self, metric):
        self.metric = metric

    def encode_poses(self, poses):
        raise NotImplementedError

    def encode_keypoints(self, keypoints):
        return keypoints.xy.reshape(len(keypoints), 26)

    def save(self, path):
        raise NotImplementedError


def test_embeddings_are_ranked_by_their_distance(store, rng):
    people = simulate_keypoints(store.poses()[::7], CameraRig.load("h36m"), noise=0.0, generator=rng)
    matcher = EmbeddingMatcher(Projection("l2"), name="mine")
    assert matcher.name == "mine"
    points = matcher.describe(people).astype(np.float64)
    query, gallery = points[:6].astype(np.float32), points[6:].astype(np.float32)
    distance = np.linalg.norm(query[:, None] - gallery[None], axis=-1)
    np.testing.assert_array_equal(matcher.compare(query, gallery).argmax(1), distance.argmin(1))
    ranked = np.take_along_axis(distance, (-matcher.compare(query, gallery)).argsort(1), axis=1)
    assert (np.diff(ranked, axis=1) > -0.1).all()
    inner = EmbeddingMatcher(Projection("ip"))
    assert inner.name == "projection"
    np.testing.assert_allclose(inner.compare(query, gallery), query @ gallery.T, rtol=1e-5)
    with pytest.raises(VipeError, match="compares keypoints with 3D poses only"):
        EmbeddingMatcher(AffineSignature())


def test_what_is_not_finite_is_refused(store):
    bad = Named(lambda people: np.full((len(people), 2), np.nan, dtype=np.float32), np.outer, "bad")
    with pytest.raises(ShapeError, match="bad must give finite numbers for each of 300 people"):
        evaluate_retrieval(store, [bad], protocol=EVERYTHING)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distance": 0.0}, "distance must be above 0"),
        ({"conditions": ()}, "conditions must be at least one"),
        ({"poses": 1}, "poses must be at least 2"),
        ({"thresholds": (0.1, 0.0)}, "thresholds must be above 0"),
        ({"ks": ()}, "ks must be at least 1"),
        ({"near_duplicate": -1.0}, "near_duplicate must be finite"),
        ({"neighbourhood": float("nan")}, "neighbourhood must be finite"),
        ({"seed": -1}, "seed must be not negative"),
        ({"draws": 0}, "draws must be at least 1"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(VipeError, match=f"retrieval protocol: {message}"):
        replace(EVERYTHING, **changes)


def test_nothing_to_compare_is_refused(store, tmp_path):
    with pytest.raises(VipeError, match="matchers must be at least one"):
        evaluate_retrieval(store, [], protocol=EVERYTHING)
    with pytest.raises(VipeError, match="each with a name of its own"):
        evaluate_retrieval(store, [Raw2D(), Raw2D()], protocol=EVERYTHING)
    with pytest.raises(VipeError, match="0 poses to compare"):
        evaluate_retrieval(store, [Raw2D()], protocol=EVERYTHING, where={"clip": ["nobody"]})
    (tmp_path / "one.toml").write_text(
        'name = "one"\ncameras = [{ name = "a", azimuth_deg = 0, elevation_deg = 0, chest = true }]'
    )
    with pytest.raises(VipeError, match="has one camera"):
        evaluate_retrieval(store, [Raw2D()], protocol=replace(EVERYTHING, rig=str(tmp_path / "one.toml")))
