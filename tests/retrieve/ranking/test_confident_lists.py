"""How many hits a list needs to hold a right one."""

import math

import numpy as np
import pytest

from vipe.errors import ShapeError, VipeError
from vipe.retrieve.ranking.confident_lists import LEVELS, ConfidentLists
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.model import RankingModel

TABLE = ConfidentLists(levels=(0.5, 0.9), starts=(0.3, 0.6), lengths=((5, None), (3, 8), (1, 4)))


def simulated(rng, count):
    """Queries whose first right hit is the later the less sure the first one is."""
    first = rng.uniform(0, 1, count)
    return first, rng.geometric(0.1 + 0.8 * first) - 1


def test_a_group_starts_at_its_probability_and_a_level_between_two_takes_the_higher():
    first = np.array([0.0, 0.2999, 0.3, 0.59, 0.6, 1.0])
    assert TABLE.of(first, 0.5).tolist() == [5, 5, 3, 3, 1, 1]
    assert TABLE.of(first, 0.51).tolist() == TABLE.of(first, 0.9).tolist() == [0, 0, 8, 8, 4, 4]
    assert TABLE.of(np.zeros(0), 0.9).shape == (0,)


def test_lists_hold_a_right_hit_as_often_as_is_said_in_every_group(rng):
    lists = ConfidentLists.learn(*simulated(rng, 20_000))
    first, place = simulated(rng, 20_000)
    for level in (0.5, 0.8, 0.9, 0.95):
        holds = place < lists.of(first, level)
        for number in range(8):
            some = (first >= number / 8) & (first < (number + 1) / 8)
            assert holds[some].mean() > level - 0.02
        at_most = (0.1 + 0.8 * first.mean()) * 2  # a list is longer than it has to be by less than one hit
        assert holds.mean() < level + (1 - level) * at_most


def test_the_length_is_the_conformal_quantile_of_so_few_queries():
    first, place = np.full(9, 0.5), np.arange(9)
    lists = ConfidentLists.learn(first, place, (0.5, 0.9, 0.95))
    # ceil(0.9 * 10) = 9th of 9: the worst; ceil(0.95 * 10) = 10th of 9: nothing can be promised
    assert lists.of(np.array([0.5]), 0.9).item() == 9
    assert lists.of(np.array([0.5]), 0.5).item() == math.ceil(0.5 * 10)
    assert lists.of(np.array([0.5]), 0.95).item() == 0


def test_queries_of_which_nothing_ranked_is_right_make_a_list_impossible():
    first, place = np.full(100, 0.5), np.where(np.arange(100) < 85, 0, VOTERS)
    lists = ConfidentLists.learn(first, place, (0.8, 0.9))
    assert lists.of(first[:1], 0.8).item() == 1
    assert lists.of(first[:1], 0.9).item() == 0


def test_lists_grow_with_confidence_and_never_as_the_first_hit_gets_surer(rng):
    lists = ConfidentLists.learn(*simulated(rng, 400))  # few: chance has it otherwise somewhere
    table = np.array([[math.inf if length is None else length for length in row] for row in lists.lengths])
    ordered = np.where(np.isinf(table), 1e9, table)
    assert (np.diff(ordered, axis=1) >= 0).all() and (np.diff(ordered, axis=0) <= 0).all()


@pytest.mark.parametrize("confidence", [0.49, 0.95, 1.0, 90.0, math.nan])
def test_a_confidence_that_the_table_does_not_have_is_refused(confidence):
    with pytest.raises(VipeError, match=r"confidence must be from 0\.5 to 0\.9"):
        TABLE.of(np.zeros(1), confidence)


@pytest.mark.parametrize(
    "changed",
    [{"levels": (0.5,)}, {"starts": (0.6, 0.3)}, {"starts": (0.3,)}, {"lengths": ()}, {"levels": (0.9, 0.5)}],
)
def test_a_table_of_another_shape_is_refused(changed):
    with pytest.raises(ShapeError, match="confident lists"):
        ConfidentLists(**(vars(TABLE) | changed))


@pytest.mark.parametrize("convention", ["archive", "coco"])
def test_every_model_of_the_library_knows_its_lists(convention):
    lists = RankingModel.of(convention).lists
    assert lists.levels == LEVELS
    sure, unsure = lists.of(np.array([0.999, 0.01]), 0.9)
    assert 1 <= sure <= 3 < unsure <= VOTERS
