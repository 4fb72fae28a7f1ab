"""Lists that hold a right hit with a given confidence: `vipe.query(..., confidence=0.9)`."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.errors import ArgumentError, VipeError
from vipe.plots.pages.answers import save_query_page
from vipe.retrieve.hits import Hits, told_list
from vipe.retrieve.query import query
from vipe.retrieve.ranking.confident_lists import ConfidentLists
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.model import RankingModel


def with_lists(first, levels=(0.5, 0.9, 0.99)):
    """The shipped model; a first hit likelier than `first` needs 2 hits for 0.9, others 14, and 0.99 is too much."""
    lists = ConfidentLists(levels=levels, starts=(first,), lengths=((3, 14, None), (1, 2, None)))
    return replace(RankingModel.default(), lists=lists)


@pytest.fixture
def noisy(people, rng):
    return Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)


@pytest.fixture
def plain(affine, noisy):
    return query(affine, noisy, VOTERS, model=RankingModel.default())  # what is given is as sure in small archives


@pytest.fixture
def model(plain):
    """Half of the people are surer of their first hit than the other half."""
    return with_lists(float(np.median(plain.probability[:, 0])))


def test_each_person_gets_as_many_hits_as_it_takes_and_no_other_ones(affine, noisy, plain, model):
    hits = query(affine, noisy, 5, model=model, confidence=0.9)
    sure = plain.probability[:, 0] > np.median(plain.probability[:, 0])
    np.testing.assert_array_equal(hits.enough, np.where(sure, 2, 14))
    np.testing.assert_array_equal(hits.found.sum(axis=1), hits.enough)
    assert hits.confidence == 0.9 and hits.rows.shape == (12, 14)
    for row, enough in enumerate(hits.enough):
        np.testing.assert_array_equal(hits.rows[row, :enough], plain.rows[row, :enough])
        np.testing.assert_allclose(hits.probability[row, :enough], plain.probability[row, :enough])
        assert len(hits.of(row)) == enough
    assert np.isnan(hits.fits.scale[sure, 2:]).all() and (hits.probability[sure, 2:] == 0).all()
    total = sum(hits.contributions.values())
    np.testing.assert_allclose(total[~sure], sum(plain.contributions.values())[~sure, :14], atol=1e-5)
    assert (total[sure, 2:] == 0).all()


def test_where_no_list_is_long_enough_it_is_said_and_the_usual_hits_come(affine, noisy, plain, model):
    hits = query(affine, noisy, 5, model=model, confidence=0.99)
    assert (hits.enough == 0).all()
    np.testing.assert_array_equal(hits.rows, plain.rows[:, :5])
    assert hits.to_json(noisy)["queries"][0]["enough"] is None
    assert "no list" in told_list(0, 0.99)


def test_all_of_a_small_archive_holds_what_it_holds(affine, noisy, model):
    hits = query(affine, noisy, 5, where=np.arange(10), model=model, confidence=0.99)
    assert (hits.enough == 10).all() and hits.rows.shape == (12, 10)
    short = query(affine, noisy, 5, where=np.arange(10), model=with_lists(1.0), confidence=0.9)
    assert (short.enough == 10).all()  # 14 would be asked for


def test_who_cannot_be_searched_for_has_no_list(affine, noisy, model):
    mask = noisy.mask.copy()
    mask[3, 3:] = False
    hits = query(affine, Keypoints.of(noisy.xy, mask), 5, model=model, confidence=0.9)
    assert hits.enough[3] == 0 and hits.skipped[3] and (hits.enough[:3] > 0).all()
    said = hits.to_json(noisy)["queries"]
    assert "enough" not in said[3] and (said[0]["enough"], said[0]["confidence"]) == (hits.enough[0], 0.9)
    json.dumps(said)
    nowhere = query(affine, noisy, 5, where=np.zeros(0, dtype=int), model=model, confidence=0.9)
    assert (nowhere.enough == 0).all()


def test_a_page_says_it_and_draws_the_whole_list(affine, noisy, model, tmp_path):
    sure = query(affine, noisy, 5, model=model, confidence=0.9)
    row = int(sure.enough.argmax())
    hits = query(affine, noisy[row : row + 1], 5, model=model, confidence=0.9)
    save_query_page(tmp_path / "page.html", affine, noisy[row : row + 1], hits)
    page = (tmp_path / "page.html").read_text()
    assert "One of the first 14 is right with 90% confidence, if the moment is in the archive." in page
    assert f"14. {hits.clip[0, 13]}" in page


def test_the_first_hit_alone_is_told_as_such():
    assert told_list(1, 0.95) == "the first is right with 95% confidence, if the moment is in the archive"
    assert "97.5%" in told_list(3, 0.975)


def test_hits_without_probabilities_are_cut_too(affine, people):
    hits = query(affine, people, 6, mode="affine").first(np.arange(12) % 4)
    assert isinstance(hits, Hits) and hits.rows.shape == (12, 3)
    np.testing.assert_array_equal(hits.found.sum(axis=1), np.arange(12) % 4)
    assert hits.clip[0, 0] == "" and hits.distance[0, 0] == np.inf


@pytest.mark.parametrize(
    "given",
    [{"mode": "affine"}, {"max_per_clip": 1}, {"min_gap_seconds": 0.5}, {"candidates": 60}],
    ids=lambda given: next(iter(given)),
)
def test_settings_that_lists_were_not_learned_under_are_refused(affine, people, model, given):
    with pytest.raises(VipeError, match="confidence is known of mode full alone"):
        query(affine, people, 5, model=model, confidence=0.9, **given)


def test_a_model_without_lists_and_a_wrong_confidence_are_refused(affine, people, model):
    with pytest.raises(VipeError, match="without lengths of lists"):
        query(affine, people, 5, model=replace(model, lists=None), confidence=0.9)
    with pytest.raises(VipeError, match=r"confidence must be from 0\.5 to 0\.99, got 90"):
        query(affine, people, 5, model=model, confidence=90)


@pytest.mark.refusal
def test_a_confidence_in_words_is_refused(affine, people):
    with pytest.raises(ArgumentError, match=r"confidence must be a number such as 0\.9, or None, got str 'high'"):
        query(affine, people, 5, confidence="high")
