import numpy as np
import pytest
import torch

from vipe.lift.flow.losses import BANDWIDTHS, best_mean_error, mmd, spread_shortfall


def test_equal_samples_have_no_discrepancy(generator):
    points = torch.randn(40, 6, generator=generator)
    assert abs(mmd(points, points)) < 1e-6
    assert abs(mmd(points, points[torch.randperm(40, generator=generator)])) < 1e-6


def test_the_discrepancy_of_shifted_samples_is_positive_and_grows(generator):
    points, others = torch.randn(2, 200, 3, generator=generator).double()
    found = [float(mmd(points, others + shift)) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert 0 < found[0] < 0.05
    assert found == sorted(found)
    assert found[3] > 5 * found[0]


def test_the_discrepancy_is_that_of_a_sum_over_all_pairs(generator):
    a, b = torch.randn(7, 4, generator=generator).double(), 0.3 * torch.randn(7, 4, generator=generator).double()

    def kernel(x, y):
        return sum(h / (h + sum((float(s) - float(t)) ** 2 for s, t in zip(x, y, strict=True))) for h in (0.2, 3.0))

    pairs = [(i, j) for i in range(7) for j in range(7)]
    slow = sum(kernel(a[i], a[j]) + kernel(b[i], b[j]) - 2 * kernel(a[i], b[j]) for i, j in pairs) / 49
    assert mmd(a, b, bandwidths=(0.2, 3.0)) == pytest.approx(slow)
    assert BANDWIDTHS == (0.0025, 0.04, 0.81)


def test_the_discrepancy_draws_latents_to_the_normal_distribution(generator):
    points = (1 + 0.3 * torch.randn(128, 2, generator=generator)).requires_grad_()
    optimizer = torch.optim.Adam([points], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        mmd(torch.randn(128, 2, generator=generator), points, bandwidths=(0.5, 4.0)).backward()
        optimizer.step()
    torch.testing.assert_close(points.detach().mean(0), torch.zeros(2), atol=0.2, rtol=0)
    torch.testing.assert_close(points.detach().std(0), torch.ones(2), atol=0.25, rtol=0)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_the_best_hypotheses_are_averaged_and_compared(k, generator):
    hypotheses, truth = torch.randn(5, 8, 16, 3, generator=generator), torch.randn(5, 16, 3, generator=generator)
    slow = []
    for row in range(5):
        error = [np.linalg.norm(pose - truth[row].numpy(), axis=1).mean() for pose in hypotheses[row].numpy()]
        mean = hypotheses[row].numpy()[np.argsort(error)[:k]].mean(axis=0)
        slow.append(np.abs(mean - truth[row].numpy()).mean())
    assert float(best_mean_error(hypotheses, truth, k)) == pytest.approx(np.mean(slow), abs=1e-6)


def test_only_the_best_hypotheses_learn(generator):
    hypotheses = torch.randn(2, 6, 16, 3, generator=generator).requires_grad_()
    best_mean_error(hypotheses, torch.zeros(2, 16, 3), 2).backward()
    moved = hypotheses.grad.flatten(2).abs().amax(-1) > 0
    assert moved.sum(1).tolist() == [2, 2]


def test_the_shortfall_is_that_of_the_sample_covariance(generator):
    points = torch.randn(3, 9, 4, 2, generator=generator)
    covariance = torch.randn(3, 4, 2, 2, generator=generator)
    covariance = covariance @ covariance.mT
    doubtful = torch.rand(3, 4, generator=generator) < 0.6
    slow = 0.0
    for row, joint in np.ndindex(3, 4):
        found = np.cov(points[row, :, joint].numpy().T)
        short = covariance[row, joint].numpy() - found
        parts = max(0.0, short[0, 0]), max(0.0, short[1, 1]), short[0, 1]
        slow += np.linalg.norm(parts) * float(doubtful[row, joint]) / 12
    assert float(spread_shortfall(points, covariance, doubtful)) == pytest.approx(slow, abs=1e-6)


def test_points_that_spread_further_than_asked_lose_nothing_and_learn_nothing():
    corners = 3 * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]).view(1, 4, 1, 2).requires_grad_()
    corners.retain_grad()
    loss = spread_shortfall(corners, torch.eye(2).expand(1, 1, 2, 2), torch.ones(1, 1, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert torch.equal(corners.grad, torch.zeros_like(corners))


def test_equal_points_are_driven_apart_only_where_a_joint_is_doubtful():
    points = (1e-3 * torch.tensor([[-1.0, 1.0], [1.0, -2.0], [0.0, 1.0]])).view(1, 3, 1, 2).repeat(1, 1, 2, 1)
    points.requires_grad_()
    spread_shortfall(points, torch.eye(2).expand(1, 2, 2, 2), torch.tensor([[True, False]])).backward()
    assert ((points.grad[:, :, 0] * points[:, :, 0]) <= 0).all()
    assert points.grad[:, :, 0].abs().max() > 0
    assert not points.grad[:, :, 1].any()
