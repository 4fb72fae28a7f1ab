from dataclasses import replace

import pytest
import torch
from lift import worlds

from vipe.errors import VipeError
from vipe.lift.condition import NOMINAL_NOISE
from vipe.lift.flow.losses import best_mean_error, mmd
from vipe.lift.flow.network import LATENT, Flow, FlowConfig
from vipe.lift.flow.noise import noise_around
from vipe.lift.network import to_free_joints

SMALL = {"width": 32, "blocks": 4, "context": 16, "encoder_width": 32, "hypotheses": 12, "best": 3}
SMALL |= {"critic_width": 16, "critic_pose_width": 16}


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


def small(seed=3, **changed):
    return Flow.untrained(FlowConfig(**SMALL | changed), seed=seed)


def bent(**changed):
    """A flow that is far from the identity."""
    network = small(**changed)
    with torch.no_grad():
        for name, weight in network.flow.named_parameters():
            if ".output.weight" in name:
                weight.mul_(3)
    return network.eval().requires_grad_(False)


def told(views, variance=4e-3):
    """The same views, of a detector that tells the covariance of every keypoint."""
    people = len(views.condition)
    covariance = variance * torch.tensor([[1.0, 0.3], [0.3, 0.8]]).expand(people, 13, 2, 2)
    known = torch.ones(people, dtype=torch.bool)
    return replace(views, condition=replace(views.condition, covariance=covariance, known=known))


@pytest.fixture(scope="module")
def two_modes():
    return worlds.fit(small(seed=0, realism_weight=0.0, best=1), worlds.bimodal, 800, rate=3e-3)


def test_the_latent_has_what_the_keypoints_leave_open():
    assert LATENT == 48 - 26


def test_keypoints_and_latent_of_a_pose_give_the_pose_back(generator):
    network, views = bent(), worlds.linear_gaussian(50, generator)
    context = network._encode(views.condition)
    found, latent = network._forward(views.poses, context)
    assert found.shape == (50, 26)
    assert latent.shape == (50, LATENT)
    again = network._inverse(found, latent[:, None], context)[:, 0]
    torch.testing.assert_close(again, views.poses, atol=1e-4, rtol=0)
    assert (found.view(50, 13, 2) - views.exact).abs().max() > 0.1


def test_an_untrained_flow_finds_each_keypoint_at_its_joint(generator):
    network, views = small(), worlds.linear_gaussian(20, generator)
    with torch.no_grad():
        for block in network.flow.blocks:
            for net in (block.one, block.two):
                net.output.weight.zero_()
        found, latent = network._forward(views.poses, network._encode(views.condition))
    joints = views.poses[:, list(worlds.COCO13_IN_H36M17), :2].flatten(1)
    torch.testing.assert_close(found, joints)
    everything = torch.cat([found, 0.3 * latent], 1).sort(1).values
    torch.testing.assert_close(everything, to_free_joints(views.poses).sort(1).values)


def test_the_flow_tells_the_poses_of_one_condition_apart_by_their_latents_alone(generator):
    network, views = bent(), worlds.linear_gaussian(4, generator)
    drawn = network.sample(views.condition, 6, seeded()).poses
    context = network._encode(views.condition)
    for m in range(6):
        found, latent = network._forward(drawn[:, m], context)
        torch.testing.assert_close(found, views.condition.xy.flatten(1), atol=1e-4, rtol=0)
        torch.testing.assert_close(latent, torch.randn(4, 6, LATENT, generator=seeded())[:, m], atol=1e-3, rtol=0)
    zero = network._forward(network.predict(views.condition), context)[1]
    torch.testing.assert_close(zero, torch.zeros(4, LATENT), atol=1e-4, rtol=0)


def test_the_loss_is_the_weighted_sum_of_its_parts(generator):
    network, views = small(), told(worlds.linear_gaussian(16, generator))
    losses = network.flow_losses(views, generator)
    config = network.config
    weights = {
        "keypoints": config.keypoint_weight,
        "mmd": config.mmd_weight,
        "exact": config.exact_weight,
        "best": config.best_weight,
        "spread": config.spread_weight,
        "realism": config.realism_weight,
    }
    assert losses.keys() == {"loss", *weights}
    torch.testing.assert_close(losses["loss"], sum(weights[name] * losses[name] for name in weights))
    assert losses["spread"] > 0


def test_each_part_is_what_the_paper_says(generator):
    network, views = small().eval(), worlds.linear_gaussian(16, generator)
    losses = network.flow_losses(views, seeded())
    with torch.no_grad():
        context, xy = network._encode(views.condition), views.condition.xy.flatten(1)
        found, latent = network._forward(views.poses, context)
        draws = torch.randn(16, 12, LATENT, generator=seeded())
        drawn = network._inverse(xy, draws, context)
        own = network._inverse(xy, latent[:, None], context)[:, 0]
        realism = -network.critic(drawn[:, 0]).mean()
    torch.testing.assert_close(losses["keypoints"].detach(), (found - xy).abs().mean())
    torch.testing.assert_close(losses["exact"].detach(), (to_free_joints(own - views.poses)).abs().mean())
    torch.testing.assert_close(losses["best"].detach(), best_mean_error(drawn[:, :, 1:], views.poses[:, 1:], 3))
    torch.testing.assert_close(losses["realism"].detach(), realism)
    joint = torch.cat([xy, draws[:, 0]], 1), torch.cat([found, latent], 1)
    torch.testing.assert_close(losses["mmd"].detach(), mmd(*joint), atol=1e-6, rtol=1e-5)
    assert losses["spread"] == 0  # nothing is known of the keypoints' errors


def test_the_discrepancy_does_not_change_what_the_flow_finds_of_keypoints(generator):
    """Its gradient is stopped at y: through the last block's other half only z may change."""
    network, views = small(realism_weight=0.0), worlds.linear_gaussian(16, generator)
    found = []
    forward = network._forward
    network._forward = lambda poses, context: found.extend(forward(poses, context)) or tuple(found)
    losses = network.flow_losses(views, generator)
    y, z = (torch.autograd.grad(losses["mmd"], part, allow_unused=True, retain_graph=True)[0] for part in found)
    assert y is None
    assert z is not None
    assert torch.autograd.grad(losses["exact"], found[1], allow_unused=True)[0] is None  # z of L_det is stopped


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_the_spread_of_hypotheses_is_compared_in_the_units_of_the_keypoints(factor, generator):
    """Poses that move by the keypoints' own covariance have as much as is asked: poses half as large, twice as far."""
    views = told(worlds.linear_gaussian(6, generator))
    half = replace(views.condition, xy=views.exact * 0.5)
    views = replace(views, condition=half, exact=views.exact * 0.5)
    drawn = noise_around(views.poses, half, 4000, 0.0, generator).poses
    asked = replace(views, condition=replace(half, covariance=factor * half.covariance))
    short = small()._spread_shortfall(asked, drawn)
    expected = (factor - 1) * views.condition.covariance[0, 0][[0, 1, 0], [0, 1, 1]].norm()
    assert float(short) == pytest.approx(float(expected), abs=2e-4)


def test_only_keypoints_less_sure_than_usual_must_spread(generator):
    views = worlds.linear_gaussian(4, generator)
    still = views.poses[:, None].expand(-1, 5, -1, -1)
    for ratio, counts in ((1.0, False), (1.1, True)):
        covariance = (ratio * NOMINAL_NOISE) ** 2 * torch.eye(2).expand(4, 13, 2, 2)
        asked = replace(views, condition=replace(views.condition, covariance=covariance))
        assert (small()._spread_shortfall(asked, still) > 0) == counts


def test_a_step_is_the_critics_five_times_as_often_as_the_flows(generator):
    network, views = small(blocks=1), worlds.linear_gaussian(4, generator)
    turns = ["penalty" in network.losses(views, seeded(seed)) for seed in range(300)]
    assert sum(turns) / 300 == pytest.approx(5 / 6, abs=0.06)
    assert ["penalty" in network.losses(views, seeded(seed)) for seed in range(20)] == turns[:20]
    alone = small(realism_weight=0.0, blocks=1)
    assert alone.critic is None
    assert all("best" in alone.losses(views, seeded(seed)) for seed in range(20))


def test_a_step_of_the_critic_changes_the_critic_alone_and_one_of_the_flow_all_else(generator):
    network, views = small(), told(worlds.linear_gaussian(8, generator))
    turns = set()
    for seed in range(30):
        network.zero_grad(set_to_none=True)
        losses = network.losses(views, seeded(seed))
        turns.add("penalty" in losses)
        losses["loss"].backward()
        changed = {name for name, weight in network.named_parameters() if weight.grad is not None}
        critics = {name for name, _ in network.named_parameters() if name.startswith("critic.")}
        everything = {name for name, _ in network.named_parameters()}
        assert changed == (critics if "penalty" in losses else everything - critics)
    assert turns == {True, False}


def test_without_condition_only_the_keypoints_places_count(generator):
    network, views = bent(conditioned=False), told(worlds.linear_gaussian(5, generator))
    assert network.encoder is None
    other = replace(views.condition, covariance=9 * views.condition.covariance)
    assert torch.equal(network.predict(other), network.predict(views.condition))
    conditioned = bent()
    assert (conditioned.predict(other) - conditioned.predict(views.condition)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("changed", "gone"), [({"spread_weight": 0.0}, "spread"), ({"realism_weight": 0.0}, "realism")]
)
def test_losses_without_weight_are_not_computed(changed, gone, generator):
    assert gone not in small(**changed).flow_losses(worlds.linear_gaussian(4, generator), generator)


@pytest.mark.slow
def test_best_of_two_modes_keeps_both(two_modes):
    condition = worlds.bimodal(40, seeded()).condition
    drawn = two_modes.sample(condition, 200, seeded()).poses
    error = (drawn[:, :, None] - worlds.modes()).norm(dim=-1).mean(-1)
    near = error < 0.35 * (worlds.modes()[0] - worlds.modes()[1]).norm(dim=-1).mean()
    share = near.float().mean((0, 1))
    assert share.min() > 0.25
    assert share.sum() > 0.6
    assert (error.amin(1) < 0.15).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 0}, "width must be 1 to 65536, got 0"),
        ({"context": 0}, "context must be 1 to 65536, got 0"),
        ({"critic_steps": 0}, "critic_steps must be 1 to 65536, got 0"),
        ({"encoder_blocks": -1}, "encoder_blocks must be 0 to 64, got -1"),
        ({"best": 300}, "best from 1 to as many, got 200 and 300"),
        ({"hypotheses": 1, "best": 1}, "hypotheses must be 2 or more"),
        ({"spread_weight": -1.0}, "spread_weight must be at least 0, got -1.0"),
        ({"uncertain": -1.0}, "uncertain must be at least 0"),
        ({"clamp": 0.0}, "clamp and bandwidths must be above 0"),
        ({"bandwidths": (1.0, 0.0)}, "clamp and bandwidths must be above 0"),
        ({"bandwidths": ()}, "clamp and bandwidths must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(changed, message):
    with pytest.raises(VipeError, match=message):
        FlowConfig(**changed)
