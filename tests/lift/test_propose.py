import pytest
import torch
from lift import worlds
from torch.distributions import Normal

from vipe.errors import VipeError
from vipe.lift.network import to_free_joints
from vipe.lift.propose.losses import (
    bidirectional,
    discriminator_loss,
    flow_nll,
    joint_distance,
    keypoint_distance,
    mode_to_mode,
    pulling_away,
)
from vipe.lift.propose.network import ProPose, ProPoseConfig
from vipe.training.draws import Draws

SMALL = {
    "latent": 8,
    "width": 32,
    "decoder_width": 32,
    "blocks": 1,
    "context": 16,
    "flow_width": 32,
    "couplings": 4,
    "critic_width": 16,
}
LIMBS = [3, 6, 13, 16]  # that the two poses of the bimodal world differ in
FIRST, SECOND = ("g", "k", "critic"), ("q", "v", "h", "f")  # what each phase trains
LEARNER = {"recon3d", "generator", "pulling_away", "discriminator", "bi"}
FLOW = {"recon2d", "nll", "m2m"}


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


def untrained(**settings):
    return ProPose.untrained(ProPoseConfig(**SMALL | settings), seed=0)


@pytest.fixture
def views():
    return worlds.linear_gaussian(12, seeded())


def weights(network, names):
    return {key: value.clone() for key, value in network.state_dict().items() if key.split(".")[0] in names}


# Losses


def test_the_likelihood_of_a_latent_is_that_of_its_image_times_the_volume(views):
    """Against torch.distributions, and autograd's Jacobian of the flow."""
    network = untrained(latent=5).double()
    with torch.no_grad():
        for weight in network.f.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=seeded(), dtype=torch.float64))
    base = network.base(views.condition.features().double())
    latents = torch.randn(12, 5, generator=seeded(), dtype=torch.float64)
    image, log_det = network.f(latents[:, None], base.code)
    log_scale = base.log_scale + 0.4
    said = flow_nll(image[:, 0], log_det[:, 0], base.mean, log_scale)
    slow = []
    for row in range(12):
        code = base.code[row : row + 1]
        jacobian = torch.autograd.functional.jacobian(
            lambda w, code=code: network.f(w[None, None], code)[0][0, 0], latents[row]
        )
        density = Normal(base.mean[row], log_scale[row].exp()).log_prob(image[row, 0]).sum()
        slow.append(density + torch.linalg.slogdet(jacobian)[1])
    torch.testing.assert_close(said, -torch.stack(slow).mean())


def test_pulling_away_is_the_mean_squared_cosine_of_pairs():
    codes = torch.tensor([[3.0, 0.0], [0.0, 0.1], [2.0, 2.0]])  # 90, 45 and 45 degrees, in both orders
    assert float(pulling_away(codes)) == pytest.approx(2 * (0 + 0.5 + 0.5) / 6)
    assert float(pulling_away(codes[:1])) == 0
    assert float(pulling_away(torch.ones(4, 3))) == pytest.approx(1)


def test_the_discriminator_pushes_made_poses_up_to_the_margin_only():
    real, made = torch.tensor([0.5, 1.5]), torch.tensor([0.4, 7.0])
    assert float(discriminator_loss(real, made, margin=2.0)) == pytest.approx(1.0 + (1.6 + 0.0) / 2)
    made.requires_grad_()
    discriminator_loss(real, made, margin=2.0).backward()
    assert made.grad.tolist() == [-0.5, 0.0]


def test_distances_add_up_over_joints_and_count_linearly(generator):
    poses, target = torch.randn(2, 4, 17, 3, generator=generator)
    slow = [sum(float((poses[n, j] - target[n, j]).square().sum()) ** 0.5 for j in range(17)) for n in range(4)]
    torch.testing.assert_close(joint_distance(poses, target), torch.tensor(slow))
    torch.testing.assert_close(joint_distance(2 * poses, 2 * target), 2 * joint_distance(poses, target))
    image, mean = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.zeros(2, 2)
    assert float(mode_to_mode(image, mean)) == 3.0


def test_keypoints_that_are_not_seen_are_not_reconstructed(views):
    xy, seen = views.condition.xy.clone(), views.condition.seen.clone()
    seen[:, 2:] = False
    decoded = xy + 0.5
    said = keypoint_distance(decoded, xy, seen)
    assert float(said) == pytest.approx(2 * 2 * 0.5)
    decoded[:, 2:], xy[:, 2:] = torch.nan, 7.0
    torch.testing.assert_close(keypoint_distance(decoded, xy, seen), said)


def test_the_mean_of_the_best_hypotheses_and_a_random_one_are_compared_with_the_truth(generator):
    best, random, target = torch.zeros(1, 2, 1, 3), torch.zeros(1, 1, 3), torch.zeros(1, 1, 3)
    best[0, 0, 0, 0], best[0, 1, 0, 0], random[0, 0, 1] = -1.0, 3.0, 5.0
    assert bidirectional(best, random, target).tolist() == [1.0 + 5.0]


# Training


@pytest.mark.parametrize(("phase", "other"), [(FIRST, SECOND), (SECOND, FIRST)], ids=["first", "second"])
def test_a_phase_changes_its_own_networks_and_no_parameter_of_the_other(views, phase, other):
    network = untrained(first_phase=float(phase is FIRST), unidirectional=0.0).train()
    before, others = weights(network, phase), weights(network, other)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        losses = network.losses(views, seeded())
        losses["loss"].backward()
        optimizer.step()
    assert losses.keys() - {"loss"} == (LEARNER if phase is FIRST else FLOW)
    after = weights(network, other)
    assert all(torch.equal(after[name], value) for name, value in others.items())
    changed = {name for name, value in weights(network, phase).items() if not torch.equal(value, before[name])}
    assert changed == before.keys() - {name for name in before if name.startswith("f.") and "order" in name}


def test_phases_are_drawn_in_the_ratio_that_is_set(views):
    network, generator = untrained(first_phase=0.25, bidirectional=False), seeded()
    with torch.no_grad():
        drawn = ["recon3d" in network.losses(views, generator) for _ in range(300)]
    assert sum(drawn) / 300 == pytest.approx(0.25, abs=0.08)


def test_the_adversary_and_the_learner_do_not_train_each_other(views):
    network, draws = untrained(bidirectional=False), Draws(views.poses, seeded())
    losses = network.learner_losses(views, network.latents(views, draws), draws)
    for name, trained in (("discriminator", {"critic"}), ("generator", {"g", "k"}), ("pulling_away", {"g", "k"})):
        network.zero_grad()
        losses[name].backward(retain_graph=True)
        assert {key.split(".")[0] for key, weight in network.named_parameters() if weight.grad is not None} == trained


def test_end_to_end_training_reaches_all_networks_through_all_losses(views):
    network = untrained(alternate=False, unidirectional=0.0)
    draws = Draws(views.poses, seeded())
    losses = network.learner_losses(views, network.latents(views, draws), draws)
    losses |= network.flow_losses(views, network.latents(views, draws))
    for name, reached in (("nll", {"g", "q", "h", "f"}), ("m2m", {"g", "q", "h", "f"}), ("bi", {"k", "q", "h", "f"})):
        network.zero_grad()
        losses[name].backward(retain_graph=True)
        assert {key.split(".")[0] for key, weight in network.named_parameters() if weight.grad is not None} == reached
    assert network.losses(views, seeded()).keys() - {"loss"} == LEARNER | FLOW


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"mode_to_mode": False}, {"m2m"}),
        ({"bidirectional": False}, {"bi"}),
        ({"likelihood": False}, {"nll"}),
        ({"pose_adaptive": False}, set()),
    ],
    ids=["no L_m2m", "no L_Bi", "no L_NLL", "no PAGD"],
)
def test_a_switch_takes_its_loss_out_and_no_other(views, settings, missing):
    losses = untrained(alternate=False, **settings).losses(views, seeded())
    assert losses.keys() - {"loss"} == (LEARNER | FLOW) - missing
    torch.testing.assert_close(losses["loss"], sum(value for name, value in losses.items() if name != "loss"))


def test_without_pagd_the_base_is_standard_and_without_pilgd_the_spread_is_learned(views):
    features = views.condition.features()
    base = untrained(pose_adaptive=False).base(features)
    assert not base.mean.any()
    assert not base.log_scale.any()
    network = untrained(instance_level=False)
    latents = network.latents(views, Draws(views.poses, seeded()))
    assert latents.log_variance.shape == latents.mean.shape
    losses = network.learner_losses(views, latents, Draws(views.poses, seeded()))
    assert losses.keys() == LEARNER | {"kl"}
    assert losses["kl"].requires_grad


def test_the_bidirectional_loss_takes_the_best_of_what_sampling_gives(views):
    network = untrained(unidirectional=0.0, hypotheses=6, best=2)
    features = views.condition.features()
    with torch.no_grad():
        said = network._bidirectional(views, features, Draws(features, seeded()))
        draws = Draws(features, seeded())
        draws.uniform(12)
        poses = network._posed(network.base(features).draw(7, draws), network.base(features), features)
    slow = 0.0
    for row in range(12):
        error = [float(joint_distance(pose, views.poses[row])) for pose in poses[row, 1:]]
        first, second = sorted(range(6), key=lambda i: error[i])[:2]
        mean = (poses[row, 1 + first] + poses[row, 1 + second]) / 2
        slow += float(joint_distance(mean, views.poses[row]) + joint_distance(poses[row, 0], views.poses[row]))
    assert float(said) == pytest.approx(slow / 12, rel=1e-5)


def test_the_bidirectional_loss_counts_the_share_of_poses_that_it_is_drawn_for():
    views = worlds.linear_gaussian(400, seeded())
    features = views.condition.features()
    said = {}
    for share in (0.0, 0.75, 1.0):
        network = untrained(unidirectional=share)
        with torch.no_grad():
            said[share] = float(network._bidirectional(views, features, Draws(features, seeded())))
    assert said[1.0] == 0
    assert said[0.75] == pytest.approx(0.25 * said[0.0], rel=0.3)


# PILGD and PAGD


def test_latents_have_the_fixed_spread_around_clamped_means(views):
    network = untrained(noise=0.3, clamp=0.5).requires_grad_(False)
    many = worlds.linear_gaussian(2000, seeded())
    latents = network.latents(many, Draws(many.poses, seeded()))
    assert (latents.drawn - latents.mean).std() == pytest.approx(0.3, abs=0.01)
    assert latents.mean.abs().max() < 0.5
    network.g.straight.weight.mul_(1e6)
    far = network.latents(many, Draws(many.poses, seeded())).mean.abs()
    assert 0.49 < far.max() <= 0.5


def test_the_base_distribution_is_clamped(views):
    network = untrained(base_clamp=1.5)
    with torch.no_grad():
        network.h.weight.mul_(1e9)
    base = network.base(views.condition.features())
    for part in (base.mean, base.log_scale):
        assert 1.49 < part.abs().max() <= 1.5


def test_an_untrained_autoencoder_of_48_numbers_only_adds_its_noise(views):
    network = untrained(latent=48, noise=1e-6, clamp=1e3).requires_grad_(False)
    for part in (network.g, network.k):
        part.output[-1].weight.zero_()
    latents = network.latents(views, Draws(views.poses, seeded()))
    made = network._decoded(latents.drawn[:, None], views.condition.features())[:, 0]
    torch.testing.assert_close(made, views.poses, atol=1e-4, rtol=1e-4)


# Sampling


def test_the_true_pose_has_no_part_in_sampling(views):
    network = untrained().eval()
    condition = views.condition
    before = network.sample(condition, 5, seeded()).poses, network.predict(condition)
    with torch.no_grad():
        for part in (network.g, network.critic, network.v):
            for weight in part.parameters():
                weight.fill_(torch.nan)
    torch.testing.assert_close((network.sample(condition, 5, seeded()).poses, network.predict(condition)), before)


def test_the_single_pose_is_that_of_the_bases_mean(views, monkeypatch):
    network = untrained().eval()
    monkeypatch.setattr(Draws, "normal", lambda self, *shape: torch.zeros(shape))
    drawn = network.sample(views.condition, 2, seeded()).poses
    torch.testing.assert_close(drawn[:, 1], network.predict(views.condition))


def test_samples_are_the_base_spread_through_the_inverse_flow(views):
    """Mapped back by the flow, the latents of samples have the base's mean and standard deviation."""
    network = untrained(latent=6, clamp=100.0).eval()
    features = views.condition[:2].features()
    base = network.base(features)
    points = base.draw(20_000, Draws(features, seeded()))
    torch.testing.assert_close(points.mean(1), base.mean, atol=0.03, rtol=0)
    torch.testing.assert_close(points.std(1), base.log_scale.exp(), atol=0.03, rtol=0)
    back, _ = network.f(network._latent(points, base), base.code)
    torch.testing.assert_close(back, points, atol=1e-4, rtol=1e-4)


def test_a_row_is_encoded_once_whatever_the_number_of_samples(views):
    network, rows = untrained().eval(), []
    network.q.register_forward_hook(lambda module, given, out: rows.append(len(given[0])))
    network.k.given[1].register_forward_hook(lambda module, given, out: rows.append(len(given[0])))
    network.sample(views.condition, 30, seeded())
    assert rows == [12, 12]


def test_wild_latents_stay_where_the_decoder_has_been(views):
    network = untrained(noise=0.2, clamp=3.0).requires_grad_(False)
    base = network.base(views.condition.features())
    assert network._latent(torch.full((12, 3, 8), 1e30), base).abs().max() == pytest.approx(3.8)


# Worlds with known answers


def trained(world):
    return worlds.fit(untrained(noise=0.1, first_phase=0.4), world, steps=300, batch=64, rate=8e-3)


@pytest.fixture(scope="module")
def linear():
    return trained(worlds.linear_gaussian)


def test_in_a_linear_gaussian_world_it_finds_the_posterior_and_is_calibrated(linear):
    """But for the poses' thickness of 0.1 in all 48 numbers, for which 8 latents and a decoder have no place."""
    views = worlds.linear_gaussian(300, seeded())
    mean, covariance = worlds.posterior(views.condition)
    samples = to_free_joints(linear.sample(views.condition, 200, seeded()).poses)
    spread = covariance.diagonal().mean().sqrt()
    for single in (samples.mean(1), to_free_joints(linear.predict(views.condition))):
        assert (single - mean).square().mean().sqrt() / spread < 0.25

    offset = samples - samples.mean(1, keepdim=True)
    found = torch.einsum("nma,nmb->ab", offset, offset) / (300 * 199)
    thin = covariance - worlds.THICKNESS**2 * torch.eye(48)
    assert (found - thin).norm() / thin.norm() < 0.3

    widest = torch.linalg.eigh(covariance)[1][:, -2:]
    rank = (samples @ widest < (to_free_joints(views.poses) @ widest)[:, None]).float().mean(1)
    levels = torch.linspace(0.05, 0.95, 19)
    assert (torch.stack([(rank <= q).float().mean() for q in levels]) - levels).abs().mean() < 0.06


def test_a_pose_is_reconstructed_much_better_than_it_is_lifted(linear):
    views = worlds.linear_gaussian(300, seeded())
    latents = linear.latents(views, Draws(views.poses, seeded()))
    made = linear._decoded(latents.drawn[:, None], views.condition.features())[:, 0]
    lifted = joint_distance(linear.predict(views.condition), views.poses).mean()
    assert joint_distance(made, views.poses).mean() < 0.7 * lifted


def test_the_fixed_noise_stays_small_beside_the_means_and_the_decoder_uses_the_latent(linear):
    """Learned spreads can grow until the latent tells nothing; a decoder then ignores it."""
    views = worlds.linear_gaussian(300, seeded())
    latents = linear.latents(views, Draws(views.poses, seeded()))
    assert (latents.mean.std(0) > 3 * linear.config.noise).all()
    features = views.condition.features()
    one, other, wrong = (
        linear._decoded(w[:, None], features) for w in (latents.drawn, latents.mean, latents.mean.roll(1, 0))
    )
    moved = joint_distance(one, other).mean()
    assert 0.1 < moved < 0.2 * joint_distance(wrong, other).mean()


def test_two_possible_poses_come_equally_often():
    network = trained(worlds.bimodal)
    condition = worlds.bimodal(50, seeded()).condition
    samples = network.sample(condition, 100, seeded()).poses
    depth = samples[:, :, LIMBS, 2].mean(-1)
    assert (depth > 0).float().mean() == pytest.approx(0.5, abs=0.12)
    assert depth.abs().median() > 0.8  # the modes are at 1 and -1
    off = (samples[:, :, None] - worlds.modes()).norm(dim=-1).mean(-1).amin(-1)
    assert off.median() < 0.12  # the modes are 0.47 apart


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 1}, "latent must be 2 to 512, got 1"),
        ({"width": 0}, "ProPose: width must be 1"),
        ({"couplings": 1000}, "couplings must be 1 to 64, got 1000"),
        ({"best": 11}, "best and hypotheses must be 1 to 1024 and best the smaller one, got 11 and 10"),
        ({"noise": 0.0}, "noise must be above 0, got 0.0"),
        ({"margin": float("nan")}, "margin must be above 0, got nan"),
        ({"first_phase": 1.5}, "first_phase must be 0 to 1, got 1.5"),
        ({"likelihood": False}, "likelihood=False needs alternate=False"),
    ],
)
def test_a_configuration_out_of_range_is_refused(settings, message):
    with pytest.raises(VipeError, match=message):
        ProPoseConfig(**settings)
