"""People of whom four or five joints are seen: looked for all over the archive, with probabilities of their own."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.errors import ReadError, ShapeError
from vipe.index import PoseIndex
from vipe.retrieve import Search
from vipe.retrieve.candidates.everywhere import rows_around, spread_rows
from vipe.retrieve.doubts import doubts
from vipe.retrieve.query import query
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.few_joints import FewJoints
from vipe.retrieve.ranking.model import RankingModel
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

JOINTS = [0, 3, 6, 9, 12]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    store = PoseStore.create(folder / "s", synthesize(clips=6, fps=10.0, generator=np.random.default_rng(0)))
    return PoseIndex.build(store, AffineSignature(), folder / "index"), store.poses()


@pytest.fixture(scope="module")
def seen(archive):
    """Eight people, of whom all, five or four joints are seen, in turn."""
    rows = np.linspace(5, len(archive[1]) - 5, 8).astype(int)
    rig = CameraRig.load("mpi_inf_3dhp")
    people = simulate_keypoints(archive[1][rows], rig, noise=0.0, generator=np.random.default_rng(1))
    mask = np.zeros((8, 13), dtype=bool)
    mask[:, JOINTS] = True
    mask[::3] = True
    mask[2::3, JOINTS[0]] = False
    return rows, replace(people, mask=mask)


@pytest.mark.parametrize(("count", "most"), [(10, 10), (10, 4), (11, 3), (1, 5), (100, 7)])
def test_spread_rows_and_those_around_all_of_them_are_the_whole_archive(count, most):
    rows = np.arange(3, 3 + 2 * count, 2)
    some = spread_rows(rows, most)
    assert 0 < len(some) <= most and len(np.unique(np.diff(some))) <= 1
    around = rows_around(rows, some, most)
    assert set(some) <= set(around) <= set(rows)
    if len(some) * (2 * -(-count // most) - 1) <= most:
        np.testing.assert_array_equal(around, rows)


def test_rows_around_one_are_its_neighbours_up_to_the_next_that_was_looked_at():
    rows = np.arange(100)
    np.testing.assert_array_equal(rows_around(rows, np.array([40]), 20), np.arange(36, 45))
    assert len(rows_around(rows, np.array([0, 10, 40, 70]), 10)) <= 2 * 10
    np.testing.assert_array_equal(rows_around(rows, np.array([0, 90]), 100), [0, 90])


def test_the_candidates_are_those_of_least_cost_in_the_whole_archive(archive, seen):
    search = Search(archive[0])
    person = seen[1][np.array([1])]
    found = search.fitted_everywhere(person, 20)
    every = search.cameras(np.arange(len(archive[0]))[None], person)
    expected = np.argsort(every.cost[0], kind="stable")[:20]
    np.testing.assert_array_equal(found.rows[0], expected)
    np.testing.assert_array_equal(found.fits.cost[0], every.cost[0, expected])
    np.testing.assert_array_equal(found.poses[0], archive[0].canonical[expected])


def test_larger_archives_are_looked_at_twice_and_the_best_is_seldom_missed(archive, seen, monkeypatch):
    index, people = archive[0], seen[1]
    whole = Search(index).fitted_everywhere(people, 1)
    for module in ("vipe.retrieve.session.spread_rows", "vipe.retrieve.session.rows_around"):
        function = spread_rows if "spread" in module else rows_around
        monkeypatch.setattr(module, lambda *given, function=function: function(*given, len(index) // 4))
    part = Search(index).fitted_everywhere(people, 1)
    assert (part.fits.cost >= whole.fits.cost - 1e-4).all()
    assert np.mean(np.abs(part.rows - whole.rows) <= 2) >= 0.75


def test_four_and_five_joints_are_answered_and_three_are_not(archive, seen):
    rows, people = seen
    few = replace(
        people, mask=people.mask & (np.arange(8) != 7)[:, None] | (np.arange(13) < 3) & (np.arange(8) == 7)[:, None]
    )
    hits = query(archive[0], few, 5)
    assert hits.skipped[:7] == (None,) * 7 and hits.found[:7].all()
    assert hits.skipped[7] == "3 joints seen, at least 4 are needed" and not hits.found[7].any()
    whole = people.mask.all(axis=1)
    assert (np.abs(hits.rows[whole, 0] - rows[whole]) <= 1).all()
    many, some = hits.probability[:7][whole[:7], 0], hits.probability[:7][~whole[:7], 0]
    assert some.max() < 0.9 < many.min()
    assert (hits.presence[:7] >= hits.probability[:7].max(axis=1) - 1e-6).all()
    total = sum(hits.contributions.values())
    np.testing.assert_allclose(expit(total[:7]), hits.probability[:7], atol=1e-4)


def test_a_person_gets_the_same_answer_alone_and_among_people_of_whom_more_or_less_is_seen(archive, seen):
    people = seen[1]
    together = query(archive[0], people, 4)
    few = people.mask.sum(axis=1) < 6
    # Cameras of people of whom more is seen are fitted side by side, in float32: these are compared as a group.
    for some in (*([row] for row in np.flatnonzero(few)), np.flatnonzero(~few)):
        alone = query(archive[0], people[np.array(some)], 4)
        np.testing.assert_array_equal(alone.rows, together.rows[some])
        np.testing.assert_allclose(alone.probability, together.probability[some], atol=1e-6)
        np.testing.assert_allclose(alone.fits.cost, together.fits.cost[some], rtol=1e-4, atol=1e-3)
    assert together.relabelled == ("",) * 8


def test_hits_keep_to_the_filter_and_differ_as_asked(archive, seen):
    names = archive[0].frames()["clip"]
    allowed = sorted(set(names))[:3]
    hits = query(archive[0], seen[1][np.array([1])], 5, where={"clip": allowed}, max_per_clip=1)
    found = [clip for clip in hits.clip[0] if clip]
    assert 1 <= len(found) <= 3 and len(set(found)) == len(found) and set(found) <= set(allowed)


def test_the_order_stays_and_what_is_said_is_the_calibrations_own(archive, seen):
    few, model = FewJoints.default(), RankingModel.default()
    applied = few.applied(model)
    assert applied.near.ranking == model.near.ranking and applied.close.ranking == model.close.ranking
    assert (applied.near.calibration, applied.close.calibration) == (few.near, few.close)
    assert (applied.presence, applied.lists) == (few.presence, few.lists)
    search, person = Search(archive[0]), seen[1][np.array([1])]
    features = search.features(search.fitted_everywhere(person, VOTERS), person)
    log_odds = search.in_this_archive(applied.probabilities(features)[1])
    hits = query(archive[0], person, 1)
    first = int(model.near.ranking(features.values)[0].argmax())
    assert hits.probability[0, 0] == pytest.approx(float(expit(log_odds.near[0, first])), abs=1e-6)


def test_keypoints_of_a_convention_and_models_of_ones_own_have_their_own_probabilities(archive, seen):
    marked = replace(seen[1], convention="coco")
    search = Search(archive[0])
    assert search.model_of_few(marked).near.calibration == FewJoints.of("coco").near
    assert search.model_of_few(marked).near.ranking == RankingModel.of("coco").near.ranking
    assert FewJoints.of("coco") != FewJoints.of("archive") == FewJoints.default()
    own = replace(RankingModel.default(), made="own")
    from vipe.retrieve import SearchSettings

    assert Search(archive[0], SearchSettings(model=own)).model_of_few(marked) is own


def test_lists_with_a_confidence_are_longer_where_less_is_seen(archive, seen):
    people = seen[1]
    few, many = people[np.array([1])], people[np.array([0])]
    hits = query(archive[0], Keypoints.concat([few, many]), 3, confidence=0.5)
    first = query(archive[0], few, 1).probability[0, :1]
    assert hits.enough[0] == FewJoints.default().lists.of(first, 0.5)[0] != hits.enough[1]


def test_a_file_is_not_doubted_for_people_of_whom_little_is_seen(archive, seen):
    few = seen[1][np.array([1, 2, 4, 5, 7])]
    hits = query(archive[0], few, 2)
    assert doubts(archive[0], few, replace(hits, distance=hits.distance + 1)) == []


@pytest.mark.refusal
def test_numbers_are_saved_and_those_of_other_features_refused(tmp_path):
    few = FewJoints.default()
    few.save(tmp_path / "few.json")
    assert FewJoints.load(tmp_path / "few.json") == few
    with pytest.raises(ShapeError, match="few joints: learned on other features"):
        replace(few, presence=few.near)
    (tmp_path / "few.json").write_text("{}")
    with pytest.raises(ReadError, match="does not say how sure a ranking is"):
        FewJoints.load(tmp_path / "few.json")
