import numpy as np
import torch

from vipe.training.losses import kl_to_standard_normal, mpjpe


def test_kl_agrees_with_torch_distributions_and_vanishes_at_the_prior(generator):
    mean = torch.randn(30, 8, generator=generator, dtype=torch.float64)
    log_variance = torch.randn(30, 8, generator=generator, dtype=torch.float64)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(q, p).sum(-1).mean()
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)
    assert kl_to_standard_normal(torch.zeros(3, 4), torch.zeros(3, 4)) == 0


def test_mpjpe_is_the_mean_joint_distance_with_a_finite_gradient_at_zero(generator):
    a, b = torch.randn(2, 5, 17, 3, generator=generator)
    slow = np.linalg.norm(a.numpy() - b.numpy(), axis=-1).mean()
    np.testing.assert_allclose(float(mpjpe(a, b)), slow, rtol=1e-6)
    a.requires_grad_()
    mpjpe(a, a.detach().clone()).backward()
    assert torch.isfinite(a.grad).all()
