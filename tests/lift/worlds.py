"""Worlds in which it is known which poses the keypoints allow."""

import torch

from vipe.lift.condition import Condition
from vipe.lift.network import from_free_joints, to_free_joints
from vipe.lift.views import LiftViews
from vipe.skeletons.working import COCO13_IN_H36M17

SEEN, HIDDEN = 2, 2  # latents that move joints in all directions, and in depth only
NOISE = 0.1  # of keypoints
THICKNESS = 0.1  # of poses around those of the latents or modes: without it they have no density


def person():
    """A pose in torso lengths: camera space, pelvis at 0."""
    x = [0, -0.25, -0.27, -0.27, 0.25, 0.27, 0.27, 0, 0, 0, 0, 0.35, 0.45, 0.5, -0.35, -0.45, -0.5]
    y = [0, 0.02, 0.9, 1.8, 0.02, 0.9, 1.8, -0.5, -1, -1.2, -1.45, -0.95, -0.4, 0.1, -0.95, -0.4, 0.1]
    z = [0, 0, 0, 0.1, 0, 0, 0.1, 0, 0, -0.1, 0, 0, 0, -0.1, 0, 0, -0.1]
    return torch.tensor([x, y, z], dtype=torch.float32).T


def condition_of(xy):
    """All keypoints seen, nothing known of their errors."""
    people = len(xy)
    seen = torch.ones(people, 13, dtype=torch.bool)
    return Condition(xy, seen, torch.zeros(people, 13, 2, 2), torch.zeros(people, dtype=torch.bool))


def linear_gaussian(batch, generator):
    """z ~ N(0, I), keypoints = A (m + B z) + noise, pose = m + B z + a little noise."""
    mean, basis, view = _linear()
    z = torch.randn(batch, SEEN + HIDDEN, generator=generator)
    flat = mean + z @ basis.T
    exact = (flat @ view.T).view(batch, 13, 2)
    xy = exact + NOISE * torch.randn(batch, 13, 2, generator=generator)
    poses = from_free_joints(flat + THICKNESS * torch.randn(batch, 48, generator=generator))
    return LiftViews(condition_of(xy), poses, exact)


def posterior(condition):
    """Mean (batch, 48) and covariance (48, 48) of the free coordinates of the poses of `linear_gaussian`."""
    mean, basis, view = _linear()
    seen = view @ basis
    covariance = torch.linalg.inv(torch.eye(SEEN + HIDDEN) + seen.T @ seen / NOISE**2)
    z = (condition.xy.flatten(1) - view @ mean) @ seen @ covariance / NOISE**2
    return mean + z @ basis.T, basis @ covariance @ basis.T + THICKNESS**2 * torch.eye(48)


def bimodal(batch, generator, share=0.5, depth=1.0):
    """Keypoints of one person, and each time near one of two poses: wrists and ankles before the body, or behind it."""
    xy = person()[COCO13_IN_H36M17, :2].expand(batch, 13, 2) + 0.02 * torch.randn(batch, 13, 2, generator=generator)
    second = torch.rand(batch, generator=generator) < share
    flat = to_free_joints(modes(depth)[second.long()])
    poses = from_free_joints(flat + THICKNESS * torch.randn(batch, 48, generator=generator))
    return LiftViews(condition_of(xy), poses, xy)


def fit(network, world, steps, batch=128, rate=3e-3, losses=None):
    """The network after some steps of its losses on views of `world(batch, generator)`, at a rate that falls to 0."""
    losses = losses or network.losses
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    network.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        losses(world(batch, generator), generator)["loss"].backward()
        optimizer.step()
    return network.eval().requires_grad_(False)


def modes(depth=1.0):
    """The two poses of `bimodal`, (2, 17, 3): the second one is drawn with probability `share`."""
    poses = person().expand(2, 17, 3).clone()
    for joint in (3, 6, 13, 16):
        poses[:, joint, 2] = torch.tensor([-depth, depth])
    return poses


def _linear():
    generator = torch.Generator().manual_seed(11)
    basis = 0.2 * torch.randn(16, 3, SEEN + HIDDEN, generator=generator)
    basis[:, :2, SEEN:] = 0
    view = torch.zeros(13, 2, 17, 3)
    for keypoint, joint in enumerate(COCO13_IN_H36M17):
        view[keypoint, 0, joint, 0] = view[keypoint, 1, joint, 1] = 1
    return to_free_joints(person()), basis.reshape(48, -1), view[:, :, 1:].reshape(26, 48)
