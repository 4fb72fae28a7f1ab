import numpy as np
import pytest
import torch
from lift.ppca.dense import Dense
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from vipe.lift.condition import Condition
from vipe.lift.ppca.density import log_cone_integral


@pytest.mark.parametrize("beta", [-300.0, -20.0, -3.0, 0.0, 2.0, 9.0, 40.0, 400.0])
def test_the_integral_over_sizes_is_that_of_quadrature(beta):
    a = 3.7
    b = beta * np.sqrt(a)
    mode = (beta + np.sqrt(beta**2 + 4 * 47)) / 2 / np.sqrt(a)
    peak = -a * mode**2 / 2 + b * mode + 47 * np.log(mode)
    width = 12 / np.sqrt(a + 47 / mode**2)
    area = quad(
        lambda c: np.exp(-a * c * c / 2 + b * c + 47 * np.log(c) - peak),
        max(mode - width, 1e-9),
        mode + width,
        epsabs=0,
        epsrel=1e-11,
    )[0]
    found = log_cone_integral(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64), 47)
    np.testing.assert_allclose(found.item(), peak + np.log(area), atol=3e-7)


def test_the_density_is_that_of_the_written_out_mixture_integrated_over_sizes(ppca, people):
    """Two components, two tilts, three headings: Gaussians of 48 dimensions, summed along each ray."""
    tiny = ppca.adjusted(angles=3, tilt=(0.0, 0.4))
    condition = Condition.of(people[:1])
    observed = tiny.model.observe(condition)
    noise = observed.noise[0].view(13, 2, 13, 2).diagonal(dim1=0, dim2=2).movedim(-1, 0).numpy()
    pose = tiny.model.sample(condition, 2, torch.Generator().manual_seed(0)).poses.double()
    aspects = [
        Dense.of(tiny, k, tilt, heading, condition.xy[0].double().numpy(), condition.seen[0].numpy(), noise)
        for k in (0, 1)
        for tilt in (0.0, 0.4)
        for heading in np.arange(3) * 2 * np.pi / 3
    ]
    prior = np.repeat(tiny.model.weight.log().numpy(), 6) - np.log(6)
    evidence = prior + [aspect.log_evidence() for aspect in aspects]
    np.testing.assert_allclose(tiny.model.log_evidence(condition)[0].numpy(), evidence, rtol=1e-7)
    expected = []
    for one in pose[0, :, 1:].flatten(1).numpy():
        parts = []
        for aspect in aspects:
            gaussian = multivariate_normal(*aspect.posterior())
            sizes = np.linspace(1e-3, 3, 6001)
            along = gaussian.logpdf(sizes[:, None] * one) + 47 * np.log(sizes)
            parts.append(logsumexp(along) + np.log(sizes[1] - sizes[0]))
        expected.append(logsumexp(evidence + parts) - logsumexp(evidence))
    np.testing.assert_allclose(tiny.model.log_prob(condition, pose)[0].numpy(), expected, atol=1e-4)


def test_poses_drawn_are_likelier_than_those_drawn_for_another_person(ppca, people):
    """The mean log ratio is the divergence of one posterior from the other."""
    condition = Condition.of(people)
    drawn = ppca.model.sample(condition, 20, torch.Generator().manual_seed(1)).poses
    own = ppca.model.log_prob(condition, drawn)
    others = ppca.model.log_prob(condition, drawn.roll(1, 0))
    assert (own.mean(1) > others.mean(1)).all()
