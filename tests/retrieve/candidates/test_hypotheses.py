"""Frames are ranked by their probability under a lifter's hypotheses, each hypothesis by its weight."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from vipe.errors import ReadError, ShapeError, VipeError
from vipe.geometry.canonical import canonicalize_array
from vipe.lift import Hypotheses
from vipe.retrieve.candidates import hypotheses as module
from vipe.retrieve.candidates.hypotheses import HypothesisKernel, near_hypotheses, spacing_of

KERNEL = HypothesisKernel(offset=0.1, reach_by_spacing=0.5, scale_by_spacing=0.1, made="for tests")


def proposed(poses, weight=None):
    """Hypotheses of people from canonical poses (N, M, 17, 3)."""
    weight = np.full(poses.shape[:2], 1 / poses.shape[1]) if weight is None else weight
    with np.errstate(divide="ignore"):
        return Hypotheses(poses=(0.49 * poses).astype(np.float32), log_weight=np.log(weight).astype(np.float32))


@pytest.fixture
def three(affine):
    """Three hypotheses of each of two people: archive poses and noise about them."""
    noise = np.random.default_rng(4).normal(0, 0.05, size=(2, 3, 17, 3))
    return canonicalize_array((affine.canonical[[[3, 50, 90], [7, 8, 9]]] + noise).astype(np.float32)).poses


def by_hand(index, poses, weight):
    """Slow twin: one frame, one hypothesis at a time."""
    between = np.array([[np.sqrt(np.square(a - b).sum(-1).mean()) for b in poses] for a in poses])
    spacing = np.median(np.where(np.eye(len(poses)) > 0, np.inf, between).min(axis=1))
    chances = []
    for frame in index.canonical:
        apart = np.array([np.sqrt(np.square(frame - pose).sum(-1).mean()) for pose in poses])
        chances.append(expit((0.1 + 0.5 * spacing - apart) / (0.1 * spacing)))
    return np.array(chances) @ weight, np.max(chances, axis=0) @ weight


@pytest.mark.parametrize("at_once", [4096, 50])
def test_every_frame_has_the_probability_of_the_mixture(affine, three, monkeypatch, at_once):
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    weight = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    found = near_hypotheses(affine, proposed(three, weight), len(affine), kernel=KERNEL)
    for person in range(2):
        expected, presence = by_hand(affine, three[person], weight[person])
        assert found.presence[person] == pytest.approx(presence, rel=2e-2)
        assert sorted(found.rows[person]) == list(range(len(affine)))
        np.testing.assert_allclose(found.probability[person], expected[found.rows[person]], rtol=2e-2, atol=1e-6)
        assert (np.diff(found.probability[person]) <= 0).all()


def test_distance_is_that_of_the_nearest_hypothesis(affine, three):
    found = near_hypotheses(affine, proposed(three), 5)
    apart = np.sqrt(np.square(affine.canonical[found.rows][:, :, None] - three[:, None]).sum(-1).mean(-1)).min(-1)
    np.testing.assert_allclose(found.distance, apart, atol=2e-3)


def test_a_frame_at_the_one_hypothesis_comes_first_and_is_as_probable_as_the_kernel_says(affine):
    found = near_hypotheses(affine, proposed(affine.canonical[[[4]]]), 3, kernel=KERNEL)
    assert found.rows[0, 0] == 4
    spacing = spacing_of(torch.zeros(1, 51))
    assert found.probability[0, 0] == pytest.approx(expit((0.1 + 0.5 * spacing) / (0.1 * spacing)), abs=1e-3)
    assert found.presence[0] == pytest.approx(found.probability[0, 0], abs=1e-6)


def test_presence_is_at_least_the_probability_of_any_row(affine, three):
    found = near_hypotheses(affine, proposed(three), 4)
    assert (found.presence >= found.probability[:, 0] - 1e-6).all()
    assert (found.presence <= 1).all()


def test_no_probability_is_above_one_though_weights_are_rounded(affine):
    sure = HypothesisKernel(offset=1.0, reach_by_spacing=0.0, scale_by_spacing=0.01, made="for tests")
    poses = affine.canonical[5][None, None] + 1e-3 * np.random.default_rng(0).normal(size=(1, 60, 17, 3))
    for count in range(1, 60):
        found = near_hypotheses(affine, proposed(poses[:, :count]), 1, kernel=sure)
        assert found.probability.max() <= 1 and found.presence.max() <= 1
        assert found.probability.max() == pytest.approx(1, abs=1e-5)


def test_the_same_hypothesis_many_times_is_one_of_all_its_weight(affine, three):
    weight = np.array([[0.25, 0.25, 0.5]] * 2)
    twice = np.concatenate([three, three[:, :1]], axis=1)
    several = near_hypotheses(affine, proposed(twice, np.array([[0.1, 0.25, 0.5, 0.15]] * 2)), 9)
    once = near_hypotheses(affine, proposed(three, weight), 9)
    np.testing.assert_array_equal(several.rows, once.rows)
    np.testing.assert_allclose(several.probability, once.probability, rtol=1e-4)


def test_the_order_of_hypotheses_does_not_matter(affine, three):
    weight = np.array([[0.2, 0.5, 0.3]] * 2)
    a = near_hypotheses(affine, proposed(three, weight), 9)
    b = near_hypotheses(affine, proposed(three[:, [2, 0, 1]], weight[:, [2, 0, 1]]), 9)
    np.testing.assert_array_equal(a.rows, b.rows)
    np.testing.assert_allclose(a.probability, b.probability, rtol=1e-4)


def test_only_allowed_rows_are_found(affine, three):
    allowed = np.array([2, 50, 70])
    found = near_hypotheses(affine, proposed(three), 5, allowed)
    assert found.rows.shape == (2, 3)
    assert set(found.rows[0]) == set(allowed)
    none = near_hypotheses(affine, proposed(three), 5, np.zeros(0, dtype=np.int64))
    assert none.rows.shape == (2, 0) and none.presence.tolist() == [0, 0]


def test_of_a_large_index_the_lists_near_hypotheses_are_compared(index, three, monkeypatch):
    exact = near_hypotheses(index, proposed(three), 1)
    monkeypatch.setattr(module, "EXACT", 10)
    monkeypatch.setattr(module, "_COMPARED", 60)
    found = near_hypotheses(index, proposed(three), 100)
    np.testing.assert_array_equal(found.rows[:, 0], exact.rows[:, 0])
    np.testing.assert_allclose(found.probability[:, 0], exact.probability[:, 0], rtol=1e-4)
    few = near_hypotheses(index, proposed(three), 100, np.arange(0, 120, 2))
    assert (few.rows[few.rows >= 0] % 2 == 0).all()
    assert (few.probability[few.rows < 0] == 0).all() and np.isinf(few.distance[few.rows < 0]).all()


def test_the_kernel_falls_with_distance_and_reaches_farther_where_hypotheses_are_far_apart():
    distance = torch.linspace(0, 1, 20)
    assert (KERNEL(distance, 0.2).diff() <= 0).all()
    assert (KERNEL(distance, 0.4) >= KERNEL(distance, 0.2))[3:].all()
    default = HypothesisKernel.default()
    assert float(default(torch.tensor(0.0), 0.15)) > 0.9 > 0.1 > float(default(torch.tensor(0.5), 0.15))


def test_spacing_is_the_median_of_distances_to_the_nearest_other():
    points = torch.zeros(3, 51)
    points[1], points[2] = 0.1, 0.4
    assert spacing_of(points) == pytest.approx(0.1 * 3**0.5, rel=1e-4)


def test_numbers_are_kept_in_a_file(tmp_path):
    KERNEL.save(tmp_path / "kernel.json")
    assert HypothesisKernel.load(tmp_path / "kernel.json") == KERNEL
    (tmp_path / "kernel.json").write_text('{"offset": "far"}')
    with pytest.raises(ReadError, match=r"kernel\.json: does not say how far hypotheses reach"):
        HypothesisKernel.load(tmp_path / "kernel.json")


@pytest.mark.refusal
def test_refuses_no_hypothesis_no_row_and_a_kernel_without_width(affine, three):
    with pytest.raises(ShapeError, match="each person needs a hypothesis"):
        near_hypotheses(affine, proposed(three[:, :0], np.zeros((2, 0))), 3)
    with pytest.raises(VipeError, match="k must be at least 1, got 0"):
        near_hypotheses(affine, proposed(three), 0)
    with pytest.raises(VipeError, match="scale_by_spacing must be above 0, got 0"):
        HypothesisKernel(offset=0.1, reach_by_spacing=0.5, scale_by_spacing=0.0, made="")
