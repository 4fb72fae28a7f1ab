import math

import pytest
import torch
from lift.worlds import person

from vipe.geometry import random_rotation
from vipe.lift.flow.critic import Critic, critic_losses, gradient_penalty, kinematic_chains
from vipe.skeletons.working import BONES


def poses(batch, generator):
    found = torch.randn(batch, 17, 3, generator=generator)
    return found - found[:, :1]


def test_the_chain_matrix_holds_lengths_and_angles_of_bones():
    body = torch.zeros(17, 3)
    body[1], body[2] = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([3.0, 4.0, 0.0])  # right hip, right knee
    body[3] = torch.tensor([4.0, 5.0, 0.0])  # right ankle: 45 degrees from the thigh
    chains = kinematic_chains(body)
    hip, knee, ankle = (BONES.index(f"right_{name}") for name in ("hip", "knee", "ankle"))
    assert chains.shape == (16, 16)
    assert chains[hip, hip] == 9
    assert chains[knee, knee] == 16
    assert chains[hip, knee] == 0
    assert chains[ankle, ankle] == 2
    assert float(chains[knee, ankle]) == pytest.approx(4 * math.sqrt(2) * math.cos(math.pi / 4))
    torch.testing.assert_close(chains, chains.mT)


def test_the_chain_matrix_does_not_change_when_a_body_is_turned_or_moved(generator):
    turned = person() @ random_rotation(5, generator=generator, dtype=torch.float32).mT + 3.0
    torch.testing.assert_close(kinematic_chains(turned), kinematic_chains(person()).expand(5, 16, 16))


def test_the_critic_hears_both_of_its_paths(generator):
    critic = Critic(pose_width=8, chain_width=12)
    body = poses(3, generator)
    said = critic(body)
    assert said.shape == (3,)
    turned = body @ random_rotation(3, generator=generator, dtype=torch.float32).mT
    assert (critic(turned) - said).abs().max() > 1e-4  # the path of joints
    with torch.no_grad():
        critic.head[0].weight[:, :8] = 0
    torch.testing.assert_close(critic(turned), critic(body), atol=1e-5, rtol=1e-5)  # that of chains does not hear it
    assert (critic(2 * body) - critic(body)).abs().max() > 1e-4


def test_the_papers_critic_has_the_widths_of_repnet():
    critic = Critic()
    assert [tuple(part.weight.shape) for part in critic.modules() if isinstance(part, torch.nn.Linear)] == [
        *[(100, 48), (100, 100), (100, 100), (100, 100)],
        *[(1000, 256), (1000, 1000), (1000, 1000)],
        *[(100, 1100), (1, 100)],
    ]


@pytest.mark.parametrize(("slope", "expected"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_the_penalty_is_the_squared_departure_from_a_slope_of_one(slope, expected, generator):
    direction = torch.randn(17, 3, generator=generator)
    direction[0] = 0
    direction *= slope / direction.norm()
    penalty = gradient_penalty(
        lambda x: (x * direction).sum((1, 2)), poses(6, generator), poses(6, generator), generator
    )
    assert float(penalty) == pytest.approx(expected, abs=1e-5)


def test_the_slope_is_measured_between_made_and_real_poses(generator):
    real, made = torch.ones(400, 17, 3), torch.full((400, 17, 3), 3.0)
    places = []

    def critic(x):
        places.append(x.detach())
        return x.sum((1, 2))

    gradient_penalty(critic, real, made, generator)
    place = places[0][:, 1, 0]
    assert 1 <= place.min() < 1.1
    assert 2.9 < place.max() <= 3
    assert float(place.mean()) == pytest.approx(2, abs=0.1)
    assert torch.equal(places[0], place[:, None, None].expand(400, 17, 3))  # one place a pose


def test_a_critic_learns_to_tell_two_sets_apart_with_a_slope_of_one(generator):
    """The Wasserstein distance of two sets that differ by a shift is the length of the shift."""
    torch.manual_seed(0)
    critic = Critic(pose_width=16, chain_width=16)
    optimizer = torch.optim.Adam(critic.parameters(), lr=3e-3, betas=(0.5, 0.9))
    shift = torch.zeros(17, 3)
    shift[5, 2] = 0.5
    for _ in range(120):
        real = person() + 0.05 * poses(64, generator)
        made = person() + shift + 0.05 * poses(64, generator)
        losses = critic_losses(critic, real, made, 10.0, generator)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    loss, distance, penalty = (float(losses[name].detach()) for name in ("loss", "distance", "penalty"))
    assert distance == pytest.approx(0.5, abs=0.15)
    assert loss == pytest.approx(10 * penalty - distance, abs=1e-5)
