import json
from dataclasses import replace

import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.evaluate import CONDITIONS, Condition, SearchProtocol, chance_at, evaluate_search, pose_distance
from vipe.evaluate.conditions import simulate_condition
from vipe.evaluate.leave_out import CLIP, NOTHING, LeaveOut, drop
from vipe.evaluate.near_pairs import near_pairs
from vipe.evaluate.protocols.search import _query, fitting_modes
from vipe.evaluate.study import recorded_poses
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.detector import GROUND_TRUTH
from vipe.skeletons import load

BODY = load("coco13")
CONDITION = {condition.name: condition for condition in CONDITIONS}
GALLERIES = ("whole gallery", "4 s left out", "clip left out")
# Every pose is searched and asked for, so that what must come out can be counted by hand.
EVERYTHING = SearchProtocol(queries=None, near_duplicate=0.0, draws=50)
CLEAN = replace(EVERYTHING, conditions=(CONDITION["ground truth"],))
SOME = replace(
    EVERYTHING, queries=60, near_duplicate=0.02, conditions=(CONDITION["noise 0.03"], CONDITION["2 missing"])
)


@pytest.fixture(scope="module")
def table(index):
    """Distance of each pose (column) to the truth of each query (row): all poses of the index."""
    return pose_distance(index.canonical[None], index.canonical[:, None])


@pytest.fixture(scope="module")
def perfect(table):
    """A search that knows the truth: queries are numbered in the order of the index."""

    def search(index, people, k, mode, rows):
        asked = np.array([int(name) for name in people.image_id])
        return rows[np.argsort(table[asked][:, rows], axis=1, kind="stable")[:, :k]]

    return search


@pytest.fixture(scope="module")
def report(store, index):
    return evaluate_search(store, index, protocol=SOME)


def remaining(index, seconds):
    """By a loop: which rows each row keeps when its neighbourhood in time goes."""
    frames = index.frames()
    clip, frame = frames["clip"], frames["frame"]
    return np.array(
        [
            [not (clip[i] == clip[j] and abs(frame[i] - frame[j]) <= 10 * seconds) for j in range(300)]
            for i in range(300)
        ]
    )


@pytest.mark.parametrize("mode", ["affine", "some other mode"], ids=["by dropping", "by filter"])
def test_a_perfect_search_finds_everything_that_is_there(store, index, perfect, mode):
    report = evaluate_search(store, index, modes=[mode], protocol=EVERYTHING, search=perfect)
    ours = [score for score in report.scores if score.search == mode]
    assert {(score.condition, score.gallery) for score in ours} == {
        (condition, gallery) for condition in CONDITION for gallery in GALLERIES
    }
    for score in ours:
        assert all(rate == 1 for by_k in score.hit.values() for rate in by_k.values())
        assert all(rate == 1 for rate in score.recall.values())
    whole = report.score(mode, "ground truth", "whole gallery", 4.0)
    assert whole.queries == {0.1: 300, 0.05: 300}
    assert whole.error == pytest.approx(0, abs=1e-6)


def test_intervals_are_over_clips_since_frames_of_one_clip_succeed_together(store, index, perfect):
    def first_clip_only(index, people, k, mode, rows):
        found = perfect(index, people, k, mode, rows)
        found[[index.frames()["clip"][int(name)] != "first" for name in people.image_id]] = -1
        return found

    report = evaluate_search(store, index, protocol=CLEAN, search=first_clip_only)
    score = report.score("affine", "ground truth", "whole gallery", 4.0)
    assert score.hit[0.1][1] == pytest.approx(1 / 3)
    low, high = score.interval[0.1][1]
    # A third of 300 queries, were they independent: 28% to 39%. Of three clips one succeeds: almost anything.
    assert low == 0
    assert high >= 2 / 3


def test_a_search_that_finds_everything_is_no_surer_than_three_clips_allow(store, index, perfect):
    report = evaluate_search(store, index, protocol=CLEAN, search=perfect)
    score = report.score("affine", "ground truth", "whole gallery", 4.0)
    assert score.interval[0.1][1] == pytest.approx((0.025 ** (1 / 3), 1))


def test_the_primary_figure_says_how_much_of_it_five_clips_give(report):
    score = report.score("affine", "noise 0.03", "4 s left out", 4.0)
    assert report.primary["share_of_five_clips"] == score.concentration[0.1] == 1  # the archive has three


def test_a_search_that_finds_nothing_scores_nothing(store, index):
    def blind(index, people, k, mode, rows):
        return np.full((len(people), k), -1)

    report = evaluate_search(store, index, protocol=CLEAN, search=blind)
    for gallery in GALLERIES:
        score = report.score("affine", "ground truth", gallery, 4.0)
        assert all(rate == 0 for by_k in score.hit.values() for rate in by_k.values())
        assert score.error is None


def test_four_seconds_are_forty_frames_on_either_side_of_the_same_clip(index):
    frames = index.frames()
    rows = np.arange(300)
    left_out = LeaveOut(frames["clip"], frames["time"], 4.0)
    gone = left_out.mask(rows[:, None], rows[None])
    np.testing.assert_array_equal(~gone, remaining(index, 4))
    middle = int(np.flatnonzero((frames["clip"] == "second") & (frames["frame"] == 50))[0])
    assert gone[middle].sum() == 81
    np.testing.assert_array_equal(left_out.count(rows, rows), gone.sum(axis=1))
    assert LeaveOut(frames["clip"], frames["time"], CLIP).count(rows, rows).tolist() == [100] * 300
    assert LeaveOut(frames["clip"], frames["time"], NOTHING).count(rows, rows).tolist() == [0] * 300


def test_only_queries_with_a_hit_in_what_remains_count(store, index, table):
    report = evaluate_search(store, index, protocol=CLEAN)
    for gallery, seconds in (("4 s left out", 4), ("clip left out", 100)):
        for threshold in (0.1, 0.05):
            expected = ((table < threshold) & remaining(index, seconds)).any(axis=1).sum()
            assert report.score("affine", "ground truth", gallery, 4.0).queries[threshold] == expected


def test_leaving_out_is_a_search_of_what_remains(store, index, table):
    # Brute force: one filtered search a query, judged by the table of all distances.
    protocol = replace(EVERYTHING, conditions=(CONDITION["noise 0.03"],))
    report = evaluate_search(store, index, protocol=protocol)
    generator = np.random.default_rng([0, 1])
    people = simulate_condition(
        store.poses(), CameraRig.load("mpi_inf_3dhp"), protocol.conditions[0], distance=4.0, generator=generator
    )
    people = replace(people, covariance=None, confidence=people.mask.astype(np.float32))
    kept = remaining(index, 4)
    hits = {k: [] for k in (1, 10, 20)}
    errors = []
    for i in range(300):
        if (table[i][kept[i]] < 0.1).any():
            rows = _query(index, people[i : i + 1], 20, "affine", np.flatnonzero(kept[i]))[0]
            errors.append(table[i, rows[0]])
            for k, found in hits.items():
                found.append((table[i, rows[:k]] < 0.1).any())
    score = report.score("affine", "noise 0.03", "4 s left out", 4.0)
    assert score.hit[0.1] == pytest.approx({k: np.mean(found) for k, found in hits.items()})
    assert score.error == pytest.approx(np.mean(errors), abs=1e-5)
    assert 0.1 < score.hit[0.1][1] < score.hit[0.1][20]


@pytest.mark.parametrize("deepest", [3, 30, 150])
def test_a_ranking_too_shallow_to_drop_from_is_searched_again(store, index, monkeypatch, deepest):
    protocol = replace(CLEAN, queries=100, recall_at=(20,))
    expected = evaluate_search(store, index, protocol=protocol)
    monkeypatch.setattr("vipe.evaluate.leave_out._DEEPEST", deepest)
    found = evaluate_search(store, index, protocol=protocol)
    assert [replace(score, milliseconds=0.0) for score in found.scores] == [
        replace(score, milliseconds=0.0) for score in expected.scores
    ]


def test_dropping_keeps_the_order_and_says_where_it_does_not_reach():
    rows = np.array([[5, 6, 7, 8], [5, 6, 7, 8], [5, 6, -1, -1]])
    out = np.array([[0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0]], dtype=bool)
    kept, complete = drop(rows, out, 2, np.array([9, 9, 1]))
    assert kept.tolist() == [[5, 7], [8, -1], [5, -1]]
    assert complete.tolist() == [True, False, True]  # the last had no more than one row to find


def test_near_pairs_are_those_of_the_whole_table(index, table):
    asked, gallery = np.array([3, 120, 250]), np.arange(0, 300, 2)
    near = near_pairs(index.canonical, asked, gallery, 0.1)
    rows = np.tile(np.arange(-1, 300), (3, 1))
    expected = np.full((3, 301), np.inf, dtype=np.float32)
    expected[:, 1::2] = np.where(table[asked][:, ::2] < 0.1, table[asked][:, ::2], np.inf)
    np.testing.assert_allclose(near.of(rows), expected, rtol=1e-5)


def test_chance_is_that_of_what_remains(store, index, table):
    report = evaluate_search(store, index, protocol=CLEAN)
    kept = remaining(index, 4)
    matches = ((table < 0.1) & kept).sum(axis=1)
    found = report.score("chance", "any", "4 s left out", 4.0)
    by_hand = [chance_at(matches[[i]], int(kept[i].sum())) for i in np.flatnonzero(matches)]
    for k in (1, 10, 20):
        assert found.hit[0.1][k] == pytest.approx(np.mean([one[k] for one in by_hand]))


def test_chance_agrees_with_random_rankings(rng):
    matches, size = np.array([1, 4, 2]), np.array([5, 20, 2])
    drawn = [[(rng.permutation(size[i])[:3] < matches[i]).any() for i in range(3)] for _ in range(4000)]
    assert chance_at(matches, size, ks=(3,))[3] == pytest.approx(np.mean(drawn), abs=0.02)


@pytest.mark.parametrize("name", CONDITION)
def test_a_condition_hides_and_disturbs_what_it_says(store, name):
    poses = store.poses()
    rig = CameraRig.load("mpi_inf_3dhp")
    truth = simulate_keypoints(poses, rig, distance=4.0, noise=GROUND_TRUTH, generator=np.random.default_rng(5))
    people = simulate_condition(poses, rig, CONDITION[name], distance=4.0, generator=np.random.default_rng(5))
    hidden = [{BODY.joints[j] for j in np.flatnonzero(~mask)} for mask in people.mask]
    counts = {"1 missing": 1, "2 missing": 2, "4 missing": 4, "an arm out": 2, "legs out": 4}
    assert {len(joints) for joints in hidden} == {counts.get(name, 0)}
    if name == "an arm out":
        arms = [{"left_elbow", "left_wrist"}, {"right_elbow", "right_wrist"}]
        assert all(joints in arms for joints in hidden)
        assert 100 < sum(joints == arms[0] for joints in hidden) < 200
    if name == "legs out":
        assert all(joints == {"left_knee", "right_knee", "left_ankle", "right_ankle"} for joints in hidden)
    limbs = ("elbow", "wrist", "knee", "ankle")
    assert all(joint.endswith(limbs) for joints in hidden for joint in joints)

    centred = truth.xy - truth.xy.mean(axis=1, keepdims=True)
    radius = np.sqrt(np.square(centred).sum(axis=2).mean(axis=1))[:, None]
    off = np.linalg.norm(people.xy - truth.xy, axis=2) / radius  # cameras are the same, so only the noise is left
    scale = {"ground truth": 0.0, "noise 0.06": 0.06}.get(name, 0.03)
    jumped = off > 10 * max(scale, 0.03)
    assert set((jumped & people.mask).sum(axis=1)) == {1 if name == "one joint off" else 0}
    usual = off[people.mask & ~jumped]
    np.testing.assert_allclose(np.sqrt(np.mean(usual**2) / 2), scale, rtol=0.06)


@pytest.mark.parametrize("observed", ["keypoints", "scores", "covariance"])
def test_a_search_observes_no_more_than_the_protocol_says(store, index, observed):
    seen = []

    def spy(index, people, k, mode, rows):
        seen.append(people)
        return np.full((len(people), k), -1)

    protocol = replace(EVERYTHING, conditions=(CONDITION["one joint off"],), observed=observed)
    evaluate_search(store, index, protocol=protocol, search=spy)
    assert all((people.covariance is not None) == (observed == "covariance") for people in seen)
    assert all((people.confidence == people.mask).all() == (observed == "keypoints") for people in seen)


def test_conditions_share_cameras_and_noise(store, index):
    photos = []

    def spy(index, people, k, mode, rows):
        photos.append(people)
        return np.full((len(people), k), -1)

    conditions = (CONDITION["noise 0.03"], CONDITION["2 missing"])
    evaluate_search(store, index, protocol=replace(EVERYTHING, queries=5, conditions=conditions), search=spy)
    whole, hidden = (next(one for one in photos if one.mask.all() == full) for full in (True, False))
    np.testing.assert_array_equal(whole.xy[hidden.mask], hidden.xy[hidden.mask])


def test_raw_2d_searches_exact_views_of_the_first_camera(store, index, tmp_path):
    (tmp_path / "one.toml").write_text(
        'name = "one"\ncameras = [{ name = "a", azimuth_deg = 0, elevation_deg = 0, chest = true }]'
    )
    report = evaluate_search(store, index, protocol=replace(CLEAN, rig=str(tmp_path / "one.toml")))
    score = report.score("raw 2D", "ground truth", "whole gallery", 4.0)
    assert score.hit[0.05][1] == 1  # from its own camera every pose looks most like itself
    assert score.error == pytest.approx(0, abs=1e-3)


def test_near_duplicates_are_neither_asked_for_nor_searched(store, index, table):
    report = evaluate_search(store, index, protocol=replace(CLEAN, near_duplicate=0.06))
    assert report.gallery == report.queries < 300
    # Nothing within 0.06 of a query is left but the query: well below, only the whole gallery has hits.
    report = evaluate_search(store, index, protocol=replace(CLEAN, near_duplicate=0.06, thresholds=(0.1, 0.05)))
    assert report.score("affine", "ground truth", "4 s left out", 4.0).queries[0.05] == 0
    assert 0.05 not in report.score("affine", "ground truth", "4 s left out", 4.0).hit


def test_the_archive_may_be_a_part_of_the_index(store, index):
    report = evaluate_search(store, index, protocol=CLEAN, where={"clip": ["first", "third"]})
    assert (report.gallery, report.clips) == (200, 2)
    assert report.score("affine", "ground truth", "clip left out", 4.0).queries[0.1] < 200


def test_the_same_seed_gives_the_same_report_and_another_does_not(store, index, report):
    def figures(one):
        return [replace(score, milliseconds=0.0) for score in one.scores]

    assert figures(evaluate_search(store, index, protocol=SOME)) == figures(report)
    assert figures(evaluate_search(store, index, protocol=replace(SOME, seed=1))) != figures(report)


def test_a_report_is_json_with_one_primary_figure(report):
    plain = json.loads(json.dumps(report.to_json(), allow_nan=False))
    place = plain["results"]["affine"]["4 m"]["noise 0.03"]["4 s left out"]
    assert plain["primary"]["value"] == place["hit"]["0.1"]["1"]
    assert plain["primary"]["interval"] == place["interval"]["0.1"]["1"]
    assert plain["primary"]["mode"] == "affine"
    assert set(plain["results"]) == {"affine", "raw 2D", "chance"}
    head, *rows = report.to_table()
    assert len(rows) == len(report.scores)
    assert {len(row) for row in rows} == {len(head)}


def test_without_the_primary_condition_there_is_no_primary_figure(store, index):
    assert evaluate_search(store, index, protocol=CLEAN).primary is None


def test_distances_are_measured_one_by_one_and_far_is_nearer_to_affine(store, index):
    report = evaluate_search(store, index, protocol=replace(CLEAN, distances=(1.5, 20.0)))
    near, far = (report.score("affine", "ground truth", "whole gallery", distance) for distance in (1.5, 20.0))
    assert near.hit[0.05][1] < far.hit[0.05][1]
    assert near.error > far.error


def test_recorded_poses_are_the_stores_own(store, index):
    rows = np.array([250, 3, 120])
    frames = index.frames()
    held = store.table(["clip", "frame"]).to_pylist()
    place = [held.index({"clip": frames["clip"][row], "frame": frames["frame"][row]}) for row in rows]
    np.testing.assert_array_equal(recorded_poses(store, index, rows), store.poses()[place])


def test_an_index_of_signatures_has_no_learned_mode(index):
    assert "affine" in fitting_modes(index)
    assert "point" not in fitting_modes(index)


def test_the_picture_has_a_panel_for_each_gallery_and_distance(report):
    pytest.importorskip("matplotlib")
    from vipe.plots.curves.search import search_picture

    panels = [axes.get_title().partition(":")[0] for axes in search_picture(report).axes]
    assert panels == list(dict.fromkeys(f"{score.gallery}, {score.distance:g} m" for score in report.scores))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queries": 0}, "queries must be at least 1"),
        ({"distances": ()}, "distances must be above 0"),
        ({"distances": (4.0, -1.0)}, "distances must be above 0"),
        ({"conditions": ()}, "at least one"),
        ({"conditions": (CONDITIONS[0], CONDITIONS[0])}, "name of its own"),
        ({"thresholds": ()}, "thresholds"),
        ({"ks": (0,)}, "ks must be at least 1"),
        ({"recall_at": (0,)}, "recall_at"),
        ({"near_duplicate": -0.1}, "near_duplicate"),
        ({"neighbourhood": float("nan")}, "neighbourhood"),
        ({"observed": "truth"}, "observed must be one of keypoints"),
        ({"draws": 0}, "draws"),
        ({"seed": -1}, "seed must be not negative, got -1"),
    ],
)
@pytest.mark.refusal
def test_a_protocol_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(VipeError, match=message):
        SearchProtocol(**settings)


@pytest.mark.refusal
def test_a_hidden_joint_must_be_a_keypoint():
    with pytest.raises(VipeError, match="no joint left_thumb"):
        Condition(name="x", noise=GROUND_TRUTH, hidden=(("left_thumb",),))


def test_what_cannot_be_measured_is_refused(store, index, tmp_path, standing):
    from vipe.clips import Clip
    from vipe.store import PoseStore

    with pytest.raises(VipeError, match="no mode to measure"):
        evaluate_search(store, index, modes=[])
    with pytest.raises(VipeError, match="no row to search"):
        evaluate_search(store, index, where={"clip": ["fourth"]})
    with pytest.raises(VipeError, match="cannot answer mode 'nonsense'; expected one of"):
        evaluate_search(store, index, modes=["nonsense"], protocol=CLEAN)
    clip = Clip(name="first", skeleton=load("h36m17"), positions=np.repeat(standing[None], 3, axis=0), fps=10.0)
    other = PoseStore.create(tmp_path / "other", [clip])
    with pytest.raises(VipeError, match="give the store it was built from"):
        evaluate_search(other, index, protocol=CLEAN)
