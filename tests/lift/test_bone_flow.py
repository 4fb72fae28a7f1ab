import copy
import math

import numpy as np
import pytest
import torch
from lift.worlds import bimodal, condition_of, modes, person

from vipe.errors import VipeError
from vipe.geometry import bone_lengths, bone_vectors, random_rotation
from vipe.lift.bone_flow import BoneFlow, BoneFlowConfig, tangent_basis, tangent_coordinates, turned
from vipe.lift.lifter import TrainedLifter
from vipe.lift.views import LiftViews, mirrored_poses
from vipe.skeletons.working import BONES, COCO13_IN_H36M17, H36M17

SMALL = BoneFlowConfig(width=64, blocks=1, context=32, flow_width=32, couplings=4, layers=1, components=4)
SEEN, HIDDEN, NOISE, THICKNESS = 2, 2, 0.05, 0.03


def unit(*shape, generator):
    return torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator, dtype=torch.float64), dim=-1)


def fit(network, world, steps, batch=128, rate=4e-3):
    """The network after the stages of its training on views of `world(batch, generator)`."""
    generator = torch.Generator().manual_seed(5)
    for stage in network.stages():
        count = round(steps * stage.share)
        optimizer = torch.optim.Adam([weight for module in stage.trained for weight in module.parameters()], lr=rate)
        network.eval()
        for module in stage.trained:
            module.train()
        for step in range(count):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / count)
            optimizer.zero_grad()
            stage.losses(world(batch, generator), generator)["loss"].backward()
            optimizer.step()
    return network.eval().requires_grad_(False)


# The sphere


def test_the_tangent_axes_are_orthonormal_and_the_first_leads_towards_the_camera_axis(generator):
    directions = unit(1000, generator=generator)
    first, second = tangent_basis(directions)
    frame = torch.stack([directions, first, second], dim=-1)
    torch.testing.assert_close(frame.mT @ frame, torch.eye(3, dtype=torch.float64).expand(1000, 3, 3))
    assert (first[:, 2] >= 0).all()
    assert second[:, 2].abs().max() < 1e-12


@pytest.mark.parametrize("along", [1.0, -1.0])
def test_a_direction_along_the_camera_axis_has_axes_too(along):
    directions = torch.tensor([[0.0, 0.0, along]])
    first, second = tangent_basis(directions)
    assert first.tolist() == [[1, 0, 0]]
    assert second[0, 1].abs() == 1


def test_coordinates_lead_back_to_the_direction(generator):
    one, other = unit(1000, generator=generator), unit(1000, generator=generator)
    torch.testing.assert_close(turned(one, tangent_coordinates(one, other)), other)
    angles = 0.9 * math.pi * torch.rand(1000, 2, generator=generator, dtype=torch.float64) / 2**0.5
    torch.testing.assert_close(tangent_coordinates(one, turned(one, angles)), angles, atol=1e-7, rtol=1e-6)


def test_the_length_of_the_coordinates_is_the_angle(generator):
    one, other = unit(1000, generator=generator), unit(1000, generator=generator)
    angle = torch.arccos((one * other).sum(-1))
    torch.testing.assert_close(tangent_coordinates(one, other).norm(dim=-1), angle, atol=1e-6, rtol=1e-6)


def test_no_turn_has_no_coordinates_and_finite_gradients(generator):
    one = unit(10, generator=generator).requires_grad_()
    coordinates = tangent_coordinates(one, one.detach())
    assert coordinates.abs().max() < 1e-5
    coordinates.sum().backward()
    assert torch.isfinite(one.grad).all()


# The distribution


@pytest.fixture(scope="module")
def untrained():
    network = BoneFlow.untrained(SMALL, seed=1).eval()
    with torch.no_grad():  # a flow and a mixture that are far from the identity, and narrow enough for one chart
        generator = torch.Generator().manual_seed(2)
        for name, weight in network.named_parameters():
            if name.startswith("flow"):
                weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
        network.scale.bias[32:] = -2.5
        network.base.weight.mul_(0.3)
    return network.requires_grad_(False)


@pytest.fixture
def views(generator):
    return bimodal(6, generator)


def test_the_density_is_that_of_the_angles_times_the_area(untrained, views, generator):
    """By autograd: the Jacobian of the map from directions' charts to the base, bone by bone."""
    condition = views.condition[:1]
    directions, _ = untrained.single(condition)
    center = untrained.sample(condition, 1, generator).poses
    chart = torch.nn.functional.normalize(bone_vectors(center, H36M17.parents), dim=-1)[0, 0]

    def base(angles):  # of the chart at the pose itself, where area is exact, to the base space
        moved = turned(chart, angles.view(16, 2))
        around = tangent_coordinates(directions[0], moved).flatten()
        context = untrained._context(condition, directions)
        shift, log_size = untrained._scale_and_shift(context)
        return untrained.flow((around - shift) * (-log_size).exp(), context)[0].flatten()

    zero = torch.zeros(32)
    jacobian = torch.autograd.functional.jacobian(base, zero, vectorize=False)
    log_weight, mean, log_scale = untrained._mixture(untrained._context(condition, directions))
    parts = torch.distributions.Normal(mean[0], log_scale[0].exp()).log_prob(base(zero)).sum(-1)
    expected = (log_weight[0] + parts).logsumexp(0) + torch.linalg.slogdet(jacobian)[1]
    assert float(untrained.log_prob(condition, center)) == pytest.approx(float(expected), abs=0.05)


def test_the_density_of_samples_is_that_of_the_poses(untrained, views, generator):
    found = untrained.sample(views.condition, 50, generator)
    torch.testing.assert_close(
        untrained.log_prob(views.condition, found.poses), found.log_density, atol=5e-2, rtol=1e-3
    )


def test_bones_of_a_person_are_equally_long_left_and_right_and_in_every_hypothesis(untrained, views, generator):
    found = untrained.sample(views.condition, 20, generator).poses
    lengths = bone_lengths(found, H36M17.parents)
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), atol=1e-5, rtol=1e-4)
    for bone, name in enumerate(BONES):
        other = BONES.index(H36M17.joints[H36M17.mirrored[H36M17.index(name)]])
        torch.testing.assert_close(lengths[..., bone], lengths[..., other], atol=1e-5, rtol=1e-4)
    assert (lengths > 0.01).all()


def test_samples_follow_the_mixture_and_not_the_order_of_draws(untrained, views):
    many = untrained.sample(views.condition[:1], 4000, torch.Generator().manual_seed(1)).poses
    first, second = many[0, :2000].mean(0), many[0, 2000:].mean(0)
    assert (first - second).norm(dim=-1).max() < 0.1


# Worlds in which the answer is known


def swinging(batch, generator):
    """Two hidden and two seen numbers turn the bones; keypoints show the seen ones, with noise."""
    turns, shifts = _swing()
    u = torch.randn(batch, SEEN + HIDDEN, generator=generator)
    angles = u @ turns.T + THICKNESS * torch.randn(batch, 32, generator=generator)
    vectors = bone_vectors(person(), H36M17.parents)
    lengths = vectors.norm(dim=-1)
    directions = turned(vectors / lengths[:, None], angles.view(batch, 16, 2))
    xy = person()[COCO13_IN_H36M17, :2] + (u[:, :SEEN] @ shifts.T).view(batch, 13, 2)
    noisy = xy + NOISE * torch.randn(batch, 13, 2, generator=generator)
    return LiftViews(condition_of(noisy), BoneFlow.untrained(SMALL, 0).joints(directions, lengths), xy)


def _swing():
    generator = torch.Generator().manual_seed(3)
    turns = 0.08 * torch.randn(32, SEEN + HIDDEN, generator=generator)
    return turns, 0.1 * torch.randn(26, SEEN, generator=generator)


def swing_posterior(condition):
    """Mean (batch, 32) and covariance (32, 32) of the angles around the person's bones."""
    turns, shifts = _swing()
    seen = torch.linalg.inv(torch.eye(SEEN) + shifts.T @ shifts / NOISE**2)
    off = condition.xy.flatten(1) - person()[COCO13_IN_H36M17, :2].flatten()
    covariance = torch.block_diag(seen, torch.eye(HIDDEN))
    mean = off @ shifts @ seen / NOISE**2 @ turns[:, :SEEN].T
    return mean, turns @ covariance @ turns.T + THICKNESS**2 * torch.eye(32)


@pytest.fixture(scope="module")
def swung():
    return fit(BoneFlow.untrained(SMALL, seed=0), swinging, steps=600)


@pytest.mark.slow
def test_in_a_linear_gaussian_world_it_finds_the_posterior_and_is_calibrated(swung):
    held_out = swinging(200, torch.Generator().manual_seed(9))
    mean, covariance = swing_posterior(held_out.condition)
    found = swung.sample(held_out.condition, 400, torch.Generator().manual_seed(1)).poses
    vectors = bone_vectors(person(), H36M17.parents)
    base = vectors / vectors.norm(dim=-1, keepdim=True)
    directions = torch.nn.functional.normalize(bone_vectors(found, H36M17.parents), dim=-1)
    sampled = tangent_coordinates(base, directions).flatten(2)
    deviation = covariance.diagonal().sqrt()
    assert ((sampled.mean(1) - mean) / deviation).abs().mean() < 0.25
    offset = sampled - sampled.mean(1, keepdim=True)
    spread = torch.einsum("nma,nmb->ab", offset, offset) / (200 * 399)
    assert (spread - covariance).norm() / covariance.norm() < 0.15
    true = tangent_coordinates(
        base, torch.nn.functional.normalize(bone_vectors(held_out.poses, H36M17.parents), dim=-1)
    ).flatten(1)
    said = swung.log_prob(held_out.condition, held_out.poses[:, None])[:, 0]
    right = torch.distributions.MultivariateNormal(mean, covariance).log_prob(true)
    assert float((right - said).mean()) == pytest.approx(1.0, abs=1.5)  # nats of 32 numbers; it cannot be better
    rank = (sampled < true[:, None]).float().mean(1)
    levels = torch.linspace(0.05, 0.95, 19)
    assert (torch.stack([(rank <= q).float().mean() for q in levels]) - levels).abs().mean() < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("off", [0.7, 1.3])
def test_calibration_finds_by_how_much_the_samples_spread_too_much_or_too_little(swung, off):
    network = copy.deepcopy(swung)
    held_out = swinging(200, torch.Generator().manual_seed(9))
    network.calibrate(held_out, torch.Generator().manual_seed(1))
    assert network.temperature.mean() == pytest.approx(1, abs=0.1)
    half = network.scale.bias.shape[0] // 2
    with torch.no_grad():
        network.scale.bias[half:] -= math.log(off)  # now every angle is spread too little, or too much
    network.calibrate(held_out, torch.Generator().manual_seed(1))
    assert network.temperature.mean() == pytest.approx(off, abs=0.1)


@pytest.mark.slow
def test_the_temperature_is_part_of_the_density_and_of_the_folder(swung, tmp_path):
    network = copy.deepcopy(swung)
    network.temperature.copy_(torch.linspace(0.7, 1.3, 16))
    condition = swinging(5, torch.Generator().manual_seed(9)).condition
    found = network.sample(condition, 20, torch.Generator().manual_seed(1))
    torch.testing.assert_close(network.log_prob(condition, found.poses), found.log_density, atol=5e-2, rtol=1e-3)
    TrainedLifter(network).save(tmp_path / "model")
    again = TrainedLifter.from_pretrained(tmp_path / "model").model
    assert torch.equal(again.temperature, network.temperature)


@pytest.mark.slow
def test_of_two_poses_with_equal_keypoints_it_gives_both(generator):
    flipped = bimodal
    network = fit(BoneFlow.untrained(SMALL, seed=0), flipped, steps=500)
    found = network.sample(flipped(50, generator).condition, 100, generator).poses
    depth = found[:, :, [3, 6, 13, 16], 2]
    limbs = modes()[:, [3, 6, 13, 16], 2]
    near = [(depth - limb).abs().mean(-1) < 0.45 for limb in limbs]
    assert 0.35 < near[0].float().mean() < 0.65
    assert (near[0] | near[1]).float().mean() > 0.9


@pytest.mark.slow
def test_a_mirrored_person_gets_mirrored_hypotheses_as_far_as_it_has_learned():
    def both(batch, generator):
        half = swinging(batch // 2, generator)
        return half.joined(half.mirrored())

    network = fit(BoneFlow.untrained(SMALL, seed=0), both, steps=400)
    seen = swinging(100, torch.Generator().manual_seed(4))
    one, other = (
        network.sample(c, 200, torch.Generator().manual_seed(1)).poses
        for c in (seen.condition, seen.mirrored().condition)
    )
    apart = (mirrored_poses(other).mean(1) - one.mean(1)).norm(dim=-1).mean()
    assert apart < 0.03
    assert apart < 0.2 * (other.mean(1) - one.mean(1)).norm(dim=-1).mean()


def test_a_pose_turned_as_a_whole_keeps_its_density_of_lengths(untrained, views, generator):
    """Lengths and place of a pose do not matter to its density; directions do."""
    poses = untrained.sample(views.condition, 2, generator).poses
    said = untrained.log_prob(views.condition, poses)
    torch.testing.assert_close(untrained.log_prob(views.condition, 2 * poses + 1), said, atol=2e-2, rtol=1e-3)
    rotation = random_rotation(1, generator=generator, dtype=torch.float32)
    assert (untrained.log_prob(views.condition, poses @ rotation.mT) - said).abs().max() > 1
    assert np.isfinite(said.numpy()).all()


def test_a_sample_past_the_opposite_direction_has_the_density_of_where_it_ends(untrained, views):
    """The shorter way there is the other one: the density must be that of `log_prob`."""
    with torch.no_grad():
        wide = copy.deepcopy(untrained)
        wide.temperature.fill_(12.0)
        found = wide.sample(views.condition, 40, torch.Generator().manual_seed(0))
        said = wide.log_prob(views.condition, found.poses)
    torch.testing.assert_close(said, found.log_density, atol=5e-2, rtol=1e-3)


@pytest.mark.parametrize(
    "wrong", [{"components": 0}, {"components": 257}, {"couplings": 0}, {"layers": 65}, {"context": -1}]
)
def test_sizes_out_of_range_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(VipeError, match=f"bone flow: {name} must be 1 to"):
        BoneFlowConfig(**wrong)
