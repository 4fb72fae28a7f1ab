import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from vipe.networks.couplings import CouplingFlow, soft_clamp
from vipe.networks.residual import initialize


def drawn(flow, seed=0, gain=0.2):
    """The flow with weights that bend space well, but not far."""
    initialize(flow, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for name, weight in flow.named_parameters():
            if "output" in name:
                weight.mul_(gain)
    return flow.requires_grad_(False)


@pytest.mark.parametrize("dim", [2, 5, 48])
@pytest.mark.parametrize("condition", [0, 3])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_inverse_brings_every_point_back(dim, condition, layers, generator):
    flow = drawn(CouplingFlow(dim, condition, width=16, blocks=8, layers=layers))
    points = torch.randn(6, 4, dim, generator=generator)
    given = torch.randn(6, condition, generator=generator)
    base, log_det = flow(points, given)
    back, log_det_back = flow.inverse(base, given)
    torch.testing.assert_close(back, points, atol=1e-4, rtol=0)
    torch.testing.assert_close(log_det_back, -log_det, atol=1e-3, rtol=0)
    assert (base - points).abs().max() > 0.5
    points = torch.randn(6, 4, dim, generator=generator)
    torch.testing.assert_close(flow(flow.inverse(points, given)[0], given)[0], points, atol=1e-3, rtol=1e-3)


def test_the_log_determinant_is_that_of_the_jacobian(generator):
    flow = drawn(CouplingFlow(5, 3, width=16, blocks=3)).double()
    points, condition = torch.randn(5, generator=generator).double(), torch.randn(1, 3, generator=generator).double()
    for way in (flow, flow.inverse):
        jacobian = torch.autograd.functional.jacobian(lambda x, way=way: way(x[None, None], condition)[0][0, 0], points)
        _, log_det = way(points[None, None], condition)
        torch.testing.assert_close(log_det[0, 0], torch.linalg.slogdet(jacobian).logabsdet)
        assert log_det.abs() > 0.1


def test_the_density_of_a_flow_in_the_plane_integrates_to_one(generator):
    flow = drawn(CouplingFlow(2, 2, width=16, blocks=3)).double()
    line = torch.linspace(-12, 12, 301, dtype=torch.float64)
    points = torch.cartesian_prod(line, line)
    for condition in torch.randn(2, 1, 2, generator=generator).double():
        base, log_det = flow(points[None], condition)
        density = (MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double()).log_prob(base) + log_det).exp()
        assert density.sum() * (line[1] - line[0]) ** 2 == pytest.approx(1, abs=1e-3)


def test_a_condition_serves_all_points_of_its_row_and_no_other(generator):
    flow = drawn(CouplingFlow(6, 3, width=16, blocks=2))
    points, condition = torch.randn(3, 4, 6, generator=generator), torch.randn(3, 3, generator=generator)
    whole = flow(points, condition)[0]
    for row in range(3):
        for i in range(4):
            alone = flow(points[row : row + 1, i : i + 1], condition[row : row + 1])[0]
            torch.testing.assert_close(alone[0, 0], whole[row, i])
    assert (flow(points, condition.flip(0))[0][0] - whole[0]).abs().max() > 1e-2


def test_scales_are_clamped_softly():
    x = torch.linspace(-1e-3, 1e-3, 5)
    torch.testing.assert_close(soft_clamp(x, 2.0), x * 2 / math.pi, atol=1e-9, rtol=1e-5)
    far = soft_clamp(torch.tensor([-1e6, -2.0, 2.0, 1e6]), 2.0)
    torch.testing.assert_close(far, torch.tensor([-2.0, -1.0, 1.0, 2.0]), atol=1e-4, rtol=0)


def test_no_weights_can_scale_more_than_the_clamp_allows(generator):
    flow = CouplingFlow(4, 0, width=8, blocks=1, clamp=0.5)
    with torch.no_grad():
        for weight in flow.parameters():
            weight.fill_(100.0)
    points = torch.ones(1, 3, 4) * torch.tensor([1.0, 2.0, 3.0])[:, None]
    assert flow(points, torch.zeros(1, 0))[1].abs().max() <= 4 * 0.5


def test_the_permutations_are_the_same_in_every_flow_and_on_the_meta_device():
    first, second = (CouplingFlow(7, 2, width=4, blocks=3) for _ in range(2))
    with torch.device("meta"):
        empty = CouplingFlow(7, 2, width=4, blocks=3)
    for other in (second, empty):
        assert torch.equal(first.order, other.order)
        assert torch.equal(first.back, other.back)
    assert not torch.equal(first.order, CouplingFlow(7, 2, width=4, blocks=3, seed=1).order)
    assert "order" not in first.state_dict()
