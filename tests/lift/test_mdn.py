import math

import numpy as np
import pytest
import torch
from lift import worlds

from vipe.errors import VipeError
from vipe.geometry import REFERENCE_TORSO
from vipe.lift.aggregation.one_pose import weighted_mean
from vipe.lift.lifter import TrainedLifter
from vipe.lift.mdn import MDN, MDNConfig, PoseMixture
from vipe.lift.network import from_free_joints, to_free_joints
from vipe.lift.regression import Regression, RegressionConfig

SMALL = {"width": 32, "blocks": 1}


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


def mixture(batch, kernels, generator):
    """A mixture with any factors."""
    factor = torch.randn(batch, kernels, 16, 3, 3, generator=generator).tril()
    factor.diagonal(dim1=-2, dim2=-1).abs_().add_(0.3)
    weight = torch.randn(batch, kernels, generator=generator).log_softmax(-1)
    return PoseMixture(weight, from_free_joints(torch.randn(batch, kernels, 48, generator=generator)), factor)


@pytest.fixture(scope="module", params=["isotropic", "per-joint"])
def untrained(request):
    return MDN.untrained(MDNConfig(covariance=request.param, **SMALL), seed=3).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def two_poses():
    """Trained on two poses, 80 to 20, without a prior of the mixing coefficients, and with the paper's."""
    configs = [MDNConfig(components=2, concentration=value, **SMALL) for value in (1.0, 2.0)]
    return [
        worlds.fit(MDN.untrained(config, seed=0), lambda n, drawn: worlds.bimodal(n, drawn, share=0.8), 200, rate=1e-2)
        for config in configs
    ]


def test_the_density_is_that_of_a_mixture_of_multivariate_normals(generator):
    mix = mixture(2, 3, generator)
    poses = from_free_joints(torch.randn(2, 2, 48, generator=generator))
    slow = torch.zeros(2, 2, 3)
    for row, m, k in np.ndindex(2, 2, 3):
        offset = (poses[row, m] - mix.mean[row, k])[1:].double()
        covariance = (mix.factor[row, k] @ mix.factor[row, k].mT).double()
        normal = torch.distributions.MultivariateNormal(torch.zeros(16, 3).double(), covariance)
        slow[row, m, k] = mix.log_weight[row, k] + normal.log_prob(offset).sum()
    torch.testing.assert_close(mix.log_prob(poses), slow.logsumexp(-1), rtol=1e-4, atol=1e-2)


def test_samples_have_the_moments_of_the_mixture(generator):
    mix = mixture(1, 3, generator)
    flat = to_free_joints(mix.sample(40_000, generator))[0]
    weight, means = mix.log_weight.exp()[0], to_free_joints(mix.mean)[0]
    mean = weight @ means
    off = (means - mean).view(3, 16, 3)
    blocks = torch.einsum("k,kjab->jab", weight, mix.factor[0] @ mix.factor[0].mT + off[..., None] * off[..., None, :])
    joints = (flat - mean).view(-1, 16, 3)
    torch.testing.assert_close(flat.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(torch.einsum("nja,njb->jab", joints, joints) / len(joints), blocks, atol=0.15, rtol=0.05)


def test_samples_of_a_kernel_have_its_mean_and_its_spread(generator):
    scale = torch.tensor([0.1, 1.0])
    factor = (scale[:, None, None, None] * torch.eye(3)).expand(1, 2, 16, 3, 3)
    mean = from_free_joints(torch.tensor([[-10.0], [10.0]]).expand(1, 2, 48))
    poses = PoseMixture(torch.tensor([[0.5, 0.5]]).log(), mean, factor).sample(2000, generator)[0, :, 1:]
    first = poses.mean((1, 2)) < 0
    assert first.float().mean() == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(torch.stack([poses[first].std(), poses[~first].std()]), scale, rtol=0.02, atol=0)


def test_one_kernel_of_fixed_spread_learns_as_regression_does(generator):
    """Gradients of all weights agree: those of the mean squared error times 48 / (2 sigma^2)."""
    views = worlds.linear_gaussian(16, generator)
    mdn = MDN.untrained(MDNConfig(components=1, concentration=1.0, **SMALL), seed=0)
    regression = Regression.untrained(RegressionConfig(**SMALL), seed=0)
    with torch.no_grad():
        mdn.net.layers.load_state_dict(regression.net.layers.state_dict())
        weight = torch.cat([torch.zeros(1, 32), regression.net.output.weight, torch.zeros(1, 32)])
        mdn.net.output.weight.copy_(weight)
        mdn.net.output.bias[-1] = -0.5
    scale = math.exp(-0.5) + 1e-3
    for network in (mdn, regression):
        network.losses(views, generator)["loss"].backward()
    grads = [part.grad for part in mdn.net.layers.parameters()]
    grads += [mdn.net.output.weight.grad[1:-1], mdn.net.output.bias.grad[1:-1]]
    for grad, part in zip(grads, regression.net.parameters(), strict=True):
        torch.testing.assert_close(grad, part.grad * 48 / (2 * scale**2), rtol=1e-3, atol=1e-4)


def test_the_loss_is_that_of_equation_15(untrained, generator):
    views = worlds.linear_gaussian(6, generator)
    mix, losses = untrained.mixture(views.condition), untrained.losses(views, generator)
    nll = -untrained.log_prob(views.condition, views.poses[:, None]).mean()
    torch.testing.assert_close(losses["nll"], nll)
    torch.testing.assert_close(losses["loss"], nll - mix.log_weight.sum(1).mean())


def test_standard_deviations_are_elu_plus_one_above_the_floor():
    network = MDN.untrained(MDNConfig(components=3, least_scale=0.01, **SMALL), seed=0)
    factor = network._factor(torch.tensor([[[2.0], [-1.0], [-40.0]]]))
    expected = torch.tensor([3.01, math.exp(-1) + 0.01, 0.01])
    torch.testing.assert_close(factor.diagonal(dim1=-2, dim2=-1)[0], expected[:, None, None].expand(3, 16, 3))
    assert not factor.tril(-1).any()


def test_numbers_however_large_tilt_a_covariance_but_do_not_enlarge_it(generator):
    network = MDN.untrained(MDNConfig(components=2, covariance="per-joint", **SMALL), seed=0)
    raw = 1000 * torch.randn(3, 2, 96, generator=generator)
    raw.view(3, 2, 16, 6)[..., :3] = torch.tensor([2.0, 0.0, -1.0])
    factor = network._factor(raw)
    covariance = factor @ factor.mT
    deviation = torch.tensor([3.001, 1.001, math.exp(-1) + 1e-3])
    torch.testing.assert_close(covariance.diagonal(dim1=-2, dim2=-1).sqrt(), deviation.expand(3, 2, 16, 3))
    correlation = covariance / torch.outer(deviation, deviation)
    assert correlation.triu(1).abs().max() < 0.9999
    assert correlation.triu(1).abs().max() > 0.9
    assert not factor.triu(1).any()
    assert (factor.diagonal(dim1=-2, dim2=-1) > 0.05 * deviation).all()


def test_a_mixture_of_two_poses_finds_both_and_how_often_each_comes(two_poses):
    network, modes = two_poses[0], worlds.modes()
    condition = worlds.bimodal(50, seeded()).condition
    kernels = network.kernels(condition)
    torch.testing.assert_close(kernels.log_weight.exp().mean(0), torch.tensor([0.8, 0.2]), atol=0.05, rtol=0)
    assert (kernels.poses - modes.flip(0)).norm(dim=-1).mean(-1).max() < 0.12
    assert (network.predict(condition) - modes[1]).norm(dim=-1).mean(-1).max() < 0.12
    between = 0.8 * modes[1] + 0.2 * modes[0]
    assert (network.mean(condition) - between).norm(dim=-1).mean(-1).max() < 0.12
    drawn = network.sample(condition, 100, seeded()).poses
    near = (drawn[:, :, None] - modes).norm(dim=-1).mean(-1) < 0.3  # the modes are 0.5 apart
    torch.testing.assert_close(near.float().mean((0, 1)), torch.tensor([0.2, 0.8]), atol=0.05, rtol=0)


def test_the_prior_raises_the_entropy_of_mixing_coefficients_as_known(two_poses):
    """From a share r of the poses to (r + lambda - 1) / (1 + K (lambda - 1)); even a kernel of none would keep 1/3."""
    condition = worlds.bimodal(50, seeded()).condition
    without, with_prior = (network.kernels(condition).log_weight for network in two_poses)
    entropy = [-(log_weight.exp() * log_weight).sum(1).mean() for log_weight in (without, with_prior)]
    assert entropy[1] > entropy[0] + 0.1
    torch.testing.assert_close(with_prior.exp().mean(0), torch.tensor([1.8, 1.2]) / 3, atol=0.04, rtol=0)


@pytest.mark.parametrize("covariance", ["isotropic", "per-joint"])
def test_one_kernel_learns_the_known_posterior_as_far_as_its_covariance_can(covariance):
    config = MDNConfig(components=1, covariance=covariance, **SMALL)
    network = worlds.fit(MDN.untrained(config, seed=0), worlds.linear_gaussian, 300, rate=1e-2)
    views = worlds.linear_gaussian(1000, seeded())
    mean, covariance = worlds.posterior(views.condition)
    mix = network.mixture(views.condition)
    assert (to_free_joints(mix.mean[:, 0]) - mean).square().mean().sqrt() < 0.04  # the poses' own spread is 0.22
    if config.covariance == "isotropic":
        variance = covariance.diagonal().mean()
        assert mix.factor[:, 0, 0, 0, 0].mean() == pytest.approx(float(variance.sqrt()), rel=0.05)
        best = -24 * (math.log(2 * math.pi * variance) + 1)
    else:
        blocks = torch.stack([covariance[j : j + 3, j : j + 3] for j in range(0, 48, 3)])
        found = (mix.factor[:, 0] @ mix.factor[:, 0].mT).mean(0)
        assert (found - blocks).norm() < 0.12 * blocks.norm()
        best = -0.5 * (torch.logdet(blocks).sum() + 48 * (math.log(2 * math.pi) + 1))
        score = (to_free_joints(views.poses) - to_free_joints(mix.mean[:, 0])).view(-1, 16, 3, 1)
        white = torch.linalg.solve_triangular(mix.factor[:, 0], score, upper=False)
        assert white.std() == pytest.approx(1, abs=0.06)  # calibrated
    log_prob = network.log_prob(views.condition, views.poses[:, None]).mean()
    assert best - 2.5 < log_prob < best + 0.3


def test_kernels_are_ranked_and_their_first_is_the_single_pose(untrained, generator):
    condition = worlds.linear_gaussian(6, generator).condition
    mix, kernels = untrained.mixture(condition), untrained.kernels(condition)
    assert kernels.poses.shape == (6, 5, 17, 3)
    assert (kernels.log_weight.diff(dim=1) <= 0).all()
    torch.testing.assert_close(kernels.log_weight.exp().sum(1), torch.ones(6))
    torch.testing.assert_close(kernels.log_density, untrained.log_prob(condition, kernels.poses))
    best = mix.log_weight.argmax(1)
    assert torch.equal(untrained.predict(condition), mix.mean[torch.arange(6), best])
    assert torch.equal(kernels.poses[:, 0], untrained.predict(condition))
    torch.testing.assert_close(untrained.mean(condition), weighted_mean(kernels.poses, kernels.log_weight))


def test_samples_come_with_their_density_and_are_draws_however_many(untrained, generator):
    condition = worlds.linear_gaussian(4, generator).condition
    drawn = untrained.sample(condition, 5, seeded())
    torch.testing.assert_close(drawn.log_density, untrained.log_prob(condition, drawn.poses))
    assert not torch.isclose(drawn.poses, untrained.kernels(condition).poses).flatten(2).all(-1).any()


def test_a_lifter_gives_kernels_as_hypotheses_or_refuses(untrained, people):
    lifter = TrainedLifter(untrained)
    found = lifter.kernels(people)
    assert found.poses.shape == (12, 5, 17, 3)
    np.testing.assert_allclose(found.poses[:, 0], lifter.predict(people), atol=1e-6)
    np.testing.assert_allclose(found.weight.sum(axis=1), 1, atol=1e-6)
    torso = np.linalg.norm(found.mean(), axis=-1).mean() / REFERENCE_TORSO
    assert torso < 5  # metres, not torso lengths twice
    assert lifter.kernels(people[:0]).poses.shape == (0, 5, 17, 3)
    regression = TrainedLifter(Regression.untrained(RegressionConfig(**SMALL), seed=0))
    with pytest.raises(VipeError, match="'regression' cannot give kernels for 12 people"):
        regression.kernels(people)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"components": 0}, "components must be 1 to 256, got 0"),
        ({"concentration": 0.5}, "concentration must be at least 1"),
        ({"least_scale": 0.0}, "least_scale above 0"),
        ({"covariance": "full"}, "covariance must be isotropic or per-joint, got 'full'"),
        ({"width": 0}, "width must be"),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.refusal
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(VipeError, match=f"MDN: .*{message}"):
        MDNConfig(**settings)
