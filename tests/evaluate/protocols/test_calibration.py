import json
from dataclasses import replace

import numpy as np
import pytest

from vipe.evaluate import CONDITIONS, SearchProtocol, evaluate_calibration, pose_distance
from vipe.evaluate.protocols import calibration
from vipe.evaluate.protocols.calibration_report import ABSENT
from vipe.retrieve.hits import Hits
from vipe.retrieve.ranking.model import RankingModel

CONDITION = {condition.name: condition for condition in CONDITIONS}
FEW = SearchProtocol(queries=8, near_duplicate=0.0, draws=50, conditions=(CONDITION["noise 0.03"],))
EVERYTHING = replace(FEW, queries=None, conditions=(CONDITION["ground truth"],))


@pytest.fixture(scope="module")
def table(index):
    """Distance of each pose (column) to the truth of each query (row): all poses of the index."""
    return pose_distance(index.canonical[None], index.canonical[:, None])


@pytest.fixture(scope="module")
def report(store, index):
    return evaluate_calibration(store, index, protocol=FEW, k=3)


@pytest.fixture
def certain(index, table, monkeypatch):
    """A search that is certain of its three hits: a row between 0.05 and 0.1 of the query, itself, and a far row."""

    def query(_, people, k, mode, where):
        assert (k, mode) == (60, "full")
        asked = np.array([int(name) for name in people.image_id])
        between = (table[asked] >= 0.05) & (table[asked] < 0.1)
        assert between.any(axis=1).all()
        rows = np.stack([between.argmax(axis=1), asked, table[asked].argmax(axis=1)], axis=1)
        sure = np.ones(rows.shape, dtype=np.float32)
        hits = Hits.look_up(index, rows, np.zeros(rows.shape, dtype=np.float32))
        return replace(hits, probability=sure, probability_close=sure, presence=sure[:, 0])

    monkeypatch.setattr(calibration, "query", query)


def test_each_probability_is_judged_at_its_own_threshold_and_the_first_hit_by_itself(store, index, certain):
    report = evaluate_calibration(store, index, protocol=EVERYTHING, k=3)
    whole = next(row for row in report.rows if row.gallery == "whole gallery")
    # Who is always certain is off by the share that was wrong: within 0.1 the far row, within 0.05 the first row too.
    assert whole.error == pytest.approx(0, abs=1e-6)
    assert whole.error_all == pytest.approx(1 / 3, abs=1e-6)
    assert whole.error_close == pytest.approx(2 / 3, abs=1e-6)
    assert report.pooled["first"] == pytest.approx(0, abs=1e-6)
    assert report.pooled["all"] == pytest.approx(1 / 3, abs=1e-6)
    assert report.pooled["close"] == pytest.approx(2 / 3, abs=1e-6)
    rates = {name: bins[0]["rate"] for name, bins in report.bins.items()}
    assert rates["within 0.1, first hit"] == pytest.approx(1)
    assert rates["within 0.1"] == pytest.approx(2 / 3)
    assert rates["within 0.05"] == pytest.approx(1 / 3)
    assert list(report.gallery_bins) == list(dict.fromkeys(row.gallery for row in report.rows))
    usual = [bins for gallery, bins in report.gallery_bins.items() if gallery != ABSENT]
    for kind, bins in report.bins.items():  # as many queries in each gallery: all together are their mean
        assert bins[0]["rate"] == pytest.approx(np.mean([own[kind][0]["rate"] for own in usual]))


def test_other_thresholds_of_a_protocol_change_no_probability(store, index, certain):
    usual, other = (
        evaluate_calibration(store, index, protocol=replace(EVERYTHING, thresholds=thresholds), k=3)
        for thresholds in ((0.1, 0.05), (0.02,))
    )
    assert replace(usual, seconds=0.0) == replace(other, seconds=0.0)


def test_presence_is_judged_by_what_remains_of_each_gallery(store, index, table, certain):
    report = evaluate_calibration(store, index, protocol=EVERYTHING, k=3)
    present = {row.gallery: row.present for row in report.rows}
    clip = index.frames()["clip"]
    others = ((table < 0.1) & (clip[:, None] != clip[None])).any(axis=1)
    assert present["whole gallery"] == 1
    assert present["clip left out"] == pytest.approx(others.mean())
    assert present[ABSENT] == 0


def test_presence_is_ranked_against_absence_in_the_galleries_it_is_said_of(store, index, table, monkeypatch):
    def query(_, people, k, mode, where):
        """Is sure of every pose in the whole gallery, and in a smaller one of just those that are absent."""
        asked = np.array([int(name) for name in people.image_id])
        absent = (table[asked][:, where] >= 0.1).all(axis=1) | (len(where) == len(index))
        rows = asked[:, None]
        sure = np.ones(rows.shape, dtype=np.float32)
        hits = Hits.look_up(index, rows, np.zeros(rows.shape, dtype=np.float32))
        return replace(hits, probability=sure, probability_close=sure, presence=absent.astype(np.float32))

    monkeypatch.setattr(calibration, "query", query)
    report = evaluate_calibration(store, index, protocol=EVERYTHING, k=1)
    assert report.presence_auroc == 0.5  # the whole gallery and the pose left out: equally sure
    assert report.presence_auroc_left_out == 0  # seconds or the clip left out: sure where it should not be


def test_the_gallery_without_the_pose_takes_no_part_in_the_ranking_of_the_left_out_ones(
    store, index, table, monkeypatch
):
    def query(_, people, k, mode, where):
        """Is sure of what is present, and wrongly so where only the poses like the query's own are left out."""
        asked = np.array([int(name) for name in people.image_id])
        present = (table[asked][:, where] < 0.1).any(axis=1)
        wrongly = len(where) == (table[asked] >= 0.1).sum(axis=1)
        sure = np.ones((len(asked), 1), dtype=np.float32)
        hits = Hits.look_up(index, asked[:, None], np.zeros(sure.shape, dtype=np.float32))
        return replace(hits, probability=sure, probability_close=sure, presence=(present | wrongly).astype(np.float32))

    monkeypatch.setattr(calibration, "query", query)
    report = evaluate_calibration(store, index, protocol=EVERYTHING, k=1)
    assert report.presence_auroc_left_out == 1
    assert report.presence_auroc == 0.5


def test_where_all_that_is_right_is_left_out_nothing_is_right_and_the_search_is_less_sure(report):
    rows = {row.gallery: row for row in report.rows}
    assert list(rows) == ["whole gallery", "4 s left out", "clip left out", ABSENT]
    assert rows["whole gallery"].present == 1
    assert rows[ABSENT].right == rows[ABSENT].present == 0
    assert rows[ABSENT].error == pytest.approx(rows[ABSENT].first)
    assert rows[ABSENT].presence < rows["whole gallery"].presence
    assert rows[ABSENT].first < rows["whole gallery"].first
    assert report.presence_auroc > 0.5
    assert report.share_of_five_clips == 1  # the archive has three
    json.dumps(report.to_json(), allow_nan=False)
    assert len(report.to_table()) == 9  # head, four galleries, four of all conditions together


def test_the_bins_of_a_gallery_are_of_its_own_queries(report):
    assert set(report.gallery_bins) == {row.gallery for row in report.rows}
    for gallery, bins in report.gallery_bins.items():
        first, rows = bins["within 0.1, first hit"], [row for row in report.rows if row.gallery == gallery]
        for name, mean in (("rate", "right"), ("probability", "first")):
            told = sum(bar[name] * bar["share"] for bar in first)
            assert told == pytest.approx(np.mean([getattr(row, mean) for row in rows]), abs=1e-6)


def test_a_gallery_is_judged_over_all_conditions(store, index):
    conditions = (CONDITION["noise 0.03"], CONDITION["4 missing"])
    report = evaluate_calibration(store, index, protocol=replace(FEW, conditions=conditions), k=3)
    assert [one.gallery for one in report.galleries] == list(report.gallery_bins)
    for one in report.galleries:
        rows = [row for row in report.rows if row.gallery == one.gallery]
        assert one.queries == sum(row.queries for row in rows) == 16
        for name in ("first", "right", "presence", "present"):
            assert getattr(one, name) == pytest.approx(np.mean([getattr(row, name) for row in rows]), abs=1e-6)
        for error, kind in ((one.error, "within 0.1, first hit"), (one.presence_error, "presence")):
            bins = report.gallery_bins[one.gallery][kind]
            assert error == pytest.approx(sum(bar["share"] * abs(bar["probability"] - bar["rate"]) for bar in bins))
        assert 0 <= one.interval[0] <= one.interval[1] and 0 < one.by_chance < 0.3
        told = next(row for row in report.to_table() if row[:2] == ["all together", one.gallery])
        assert told[2:6] == ["16", f"{100 * one.first:.1f}", f"{100 * one.right:.1f}", f"{one.error:.3f}"]
        assert told[6:8] == ["{:.3f}-{:.3f}".format(*one.interval), f"{one.by_chance:.3f}"]


def test_a_search_that_is_certain_and_right_has_no_error_in_any_gallery_that_holds_the_pose(store, index, certain):
    report = evaluate_calibration(store, index, protocol=EVERYTHING, k=3)
    whole = report.galleries[0]
    assert (whole.error, whole.by_chance) == pytest.approx((0, 0), abs=1e-6)
    assert whole.interval == pytest.approx((0, 0), abs=1e-6)


def test_the_same_seed_gives_the_same_report(store, index, report):
    again = evaluate_calibration(store, index, protocol=FEW, k=3)
    assert replace(again, seconds=0.0) == replace(report, seconds=0.0)


@pytest.mark.parametrize(("said", "holds"), [(1.0, 0.0), (0.0, 1.0)], ids=["sure", "unsure"])
def test_lists_are_judged_by_whether_they_reach_the_first_right_hit(store, index, table, monkeypatch, said, holds):
    def query(_, people, k, mode, where):
        """Finds the pose in the ninth place; who is sure of the first hit gets a list shorter than that."""
        asked = np.array([int(name) for name in people.image_id])
        rows = np.repeat(table[asked].argmax(axis=1)[:, None], 12, axis=1)
        rows[:, 8] = asked
        probability = np.full(rows.shape, said, dtype=np.float32)
        hits = Hits.look_up(index, rows, np.zeros(rows.shape, dtype=np.float32))
        return replace(hits, probability=probability, probability_close=probability, presence=probability[:, 0])

    monkeypatch.setattr(calibration, "query", query)
    report = evaluate_calibration(store, index, protocol=EVERYTHING, k=3)
    whole = [one for one in report.lists if one.gallery == "whole gallery"]
    assert [one.confidence for one in whole] == [0.8, 0.9, 0.95]
    assert [one.holds for one in whole[1:]] == [holds] * 2
    assert whole[1].queries == len(index) and whole[1].none == 0
    low, high = whole[1].interval
    assert low <= holds <= high
    assert whole[1].length == whole[1].median == RankingModel.default().lists.of(np.array([said]), 0.9).item()
    assert f"{100 * holds:.1f}%" in str(whole[1]) and "whole gallery" in str(whole[1])
    assert not [one for one in report.lists if one.gallery == ABSENT]
