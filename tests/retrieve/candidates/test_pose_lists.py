"""Lists of similar poses: every row is in one, and the best lists hold what is near."""

import numpy as np
import pytest
import torch

from vipe.embed import AffineSignature
from vipe.index import PoseIndex
from vipe.retrieve.candidates.pose_lists import PoseLists
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    store = PoseStore.create(folder / "s", synthesize(clips=8, fps=10.0, generator=np.random.default_rng(0)))
    return PoseIndex.build(store, AffineSignature(), folder / "index")


def test_every_row_is_in_the_list_of_its_nearest_centre(index):
    lists = index.cached(PoseLists)
    assert lists is index.cached(PoseLists)
    assert sorted(lists.order.tolist()) == list(range(len(index)))
    points = torch.from_numpy(index.canonical.reshape(len(index), -1))
    apart = torch.cdist(points.double(), lists.centres.double())
    for number in range(len(lists.centres)):
        own = lists.order[lists.starts[number] : lists.starts[number + 1]]
        assert (np.diff(own) > 0).all()
        assert (apart[own, number] <= apart[own].amin(dim=1) + 1e-4).all()


def test_there_are_about_as_many_lists_as_the_root_of_the_rows_and_they_are_tight(index):
    lists = index.cached(PoseLists)
    assert 0.5 < len(lists.centres) / len(index) ** 0.5 < 1.5
    points = torch.from_numpy(index.canonical.reshape(len(index), -1))
    of_row = np.empty(len(index), dtype=int)
    of_row[lists.order] = np.repeat(np.arange(len(lists.centres)), np.diff(lists.starts))
    own = (points - lists.centres[of_row]).square().sum(dim=1).mean()
    assert own < 0.5 * (points - points.mean(dim=0)).square().sum(dim=1).mean()


def test_rows_are_those_of_the_best_lists_until_there_are_enough(index):
    lists = index.cached(PoseLists)
    sizes = np.diff(lists.starts)
    score = torch.arange(len(sizes)).float()
    last, before = (set(lists.order[lists.starts[n] : lists.starts[n + 1]]) for n in (len(sizes) - 1, len(sizes) - 2))
    assert set(lists.rows(score, 1, None)) == last
    assert set(lists.rows(score, len(last) + 1, None)) == last | before
    np.testing.assert_array_equal(lists.rows(score, len(index), None), np.arange(len(index)))


def test_rows_that_are_not_allowed_do_not_count(index):
    lists, allowed = index.cached(PoseLists), np.arange(0, len(index), 3)
    found = lists.rows(torch.arange(len(lists.centres)).float(), 40, allowed)
    assert set(found) <= set(allowed) and len(found) >= 40
    np.testing.assert_array_equal(lists.rows(torch.zeros(len(lists.centres)), 10**6, allowed), allowed)


def test_the_nearest_row_lies_in_the_best_lists(index):
    lists, rng = index.cached(PoseLists), np.random.default_rng(1)
    found = []
    for row in rng.choice(len(index), 20, replace=False):
        point = torch.from_numpy(index.canonical[row].reshape(1, -1) + rng.normal(0, 0.01, (1, 51)).astype("f4"))
        near = -torch.cdist(lists.centres, point)[:, 0]
        found.append(row in lists.rows(near, 30, None))
    assert np.mean(found) > 0.9
