import pytest
import torch
from torch import nn

from vipe.errors import ShapeError, VipeError
from vipe.lift.stages import (
    BeliefStages,
    PriorConfig,
    ProjectedBeliefs,
    SmallStagesConfig,
    fuse,
    small_stages,
    stage_loss,
)
from vipe.lift.stages.beliefs import gaussian_beliefs

SMALL = SmallStagesConfig(stages=3, features=8, width=8)


@pytest.fixture
def lifted(ppca):
    return ProjectedBeliefs(ppca.layer(), config=PriorConfig())


@pytest.fixture
def images(generator):
    return torch.rand(3, 3, 32, 32, generator=generator)


class Counting(nn.Module):
    """A stage that adds 1 to what it is given."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def forward(self, features, previous):
        self.seen.append((features, previous))
        return torch.zeros(len(features), 14, 8, 8) if previous is None else previous + 1


def made(prior=None, seed=0, **options):
    return small_stages(SMALL, prior, generator=torch.Generator().manual_seed(seed), **options)


def test_fusion_weighs_the_network_against_the_prior(generator):
    own, projected = torch.rand(2, 14, 5, 5, generator=generator), torch.rand(2, 13, 5, 5, generator=generator)
    torch.testing.assert_close(fuse(own, projected, torch.tensor([1.0])), own)
    torch.testing.assert_close(fuse(own, projected, torch.tensor([0.0]))[:, :13], projected)
    each = torch.linspace(0, 1, 13)
    fused = fuse(own, projected, each)
    torch.testing.assert_close(fused[:, 4], each[4] * own[:, 4] + (1 - each[4]) * projected[:, 4])
    torch.testing.assert_close(fused[:, 13], own[:, 13])  # the background


def test_with_weight_one_the_network_stands_alone(lifted, images):
    alone, fused = made().eval()(images), made(lifted, weight=1.0).eval()(images)
    torch.testing.assert_close(fused.fused, alone.fused)
    torch.testing.assert_close(alone.own, alone.fused)
    assert alone.projected is None
    assert alone.pose is None


def test_with_weight_zero_the_prior_stands_alone(lifted, images):
    found = made(lifted, weight=0.0).eval()(images)
    torch.testing.assert_close(found.fused, found.projected)
    assert found.pose.shape == (3, 3, 17, 3)


def test_any_network_is_a_stage_and_sees_the_fused_maps_of_the_one_before(lifted, images):
    seen = []
    network = BeliefStages(nn.Identity(), [Counting(seen) for _ in range(3)], lifted, weight=0.25)
    found = network(images)
    assert seen[0][1] is None
    for number in (1, 2):
        torch.testing.assert_close(seen[number][1], found.fused[:, number - 1])
        assert seen[number][0] is images
    torch.testing.assert_close(found.own[:, 1], found.fused[:, 0] + 1)
    torch.testing.assert_close(found.fused[:, 1, :13], 0.25 * found.own[:, 1, :13] + 0.75 * found.projected[:, 1])
    assert found.landmarks().shape == (3, 3, 14, 2)


def test_there_is_a_weight_a_stage_or_one_for_each_of_its_joints(lifted):
    assert made(lifted).weights.shape == (3, 1)
    assert made(lifted, each=True, weight=0.7).weights.tolist() == torch.full((3, 13), 0.7).tolist()
    assert made().weights is None


def test_the_loss_is_the_squared_distance_summed_over_stages_and_maps(generator):
    fused, target = torch.rand(4, 6, 13, 3, 5, generator=generator), torch.rand(4, 13, 3, 5, generator=generator)
    slow = sum((fused[:, stage] - target).square().sum() for stage in range(6)) / 4
    torch.testing.assert_close(stage_loss(fused, target), slow)


@pytest.mark.refusal
def test_maps_of_another_shape_are_no_target():
    with pytest.raises(ShapeError, match=r"must be \(2, 13, 4, 4\), got \(2, 14, 4, 4\)"):
        stage_loss(torch.zeros(2, 6, 13, 4, 4), torch.zeros(2, 14, 4, 4))


def test_no_stage_is_refused():
    with pytest.raises(VipeError, match="at least one stage"):
        BeliefStages(nn.Identity(), [])


def test_training_end_to_end_reaches_every_part_and_lowers_the_loss(lifted, images):
    network = made(lifted)
    xy = torch.rand(3, 13, 2, generator=torch.Generator().manual_seed(1)) * 12 + 2
    target = gaussian_beliefs(xy, (16, 16))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = stage_loss(network(images).fused, target)
        optimizer.zero_grad()
        loss.backward()
        assert all(part.grad.isfinite().all() for part in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert (network.weights != 0.5).all()
    assert all(part.grad.any() for part in network.backbone.parameters() if part.ndim > 1)


def test_the_last_stages_error_reaches_the_first_through_the_prior(lifted, images):
    network = made(lifted, weight=0.0).eval()  # nothing but the prior connects stages to their maps
    network.weights.requires_grad_(False)
    fused = network(images).fused
    fused[:, -1].square().sum().backward()
    assert network.stages[0].leave.weight.grad.any()


def test_weights_are_kept_with_the_networks(lifted, images, tmp_path):
    network = made(lifted, weight=0.3)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    again = made(lifted, seed=1)
    again.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))
    torch.testing.assert_close(again.eval()(images).fused, network.eval()(images).fused)


def test_initial_weights_depend_on_the_generator_alone(lifted, images):
    before = torch.get_rng_state()
    one, other = made(lifted), made()
    assert torch.equal(torch.get_rng_state(), before)
    for name, part in other.state_dict().items():
        torch.testing.assert_close(one.state_dict()[name], part)  # with and without a prior
    assert not torch.equal(made(seed=1).stages[0].leave.weight, other.stages[0].leave.weight)


def test_one_picture_is_a_row_of_many(lifted, images):
    network = made(lifted).eval()
    many, one = network(images), network(images[1:2])
    torch.testing.assert_close(one.fused[0], many.fused[1], atol=1e-5, rtol=1e-4)
    assert many.own.shape == (3, 3, 13, 16, 16)


@pytest.mark.parametrize("name", ["joints", "stages", "features", "width"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(VipeError, match=f"{name} must be at least 1, got 0"):
        SmallStagesConfig(**{name: 0})
