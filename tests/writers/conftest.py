"""Motions to write: of bones that keep their lengths, and as they are recorded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.clips import Clip
from vipe.geometry.bones import bone_vectors, from_bone_vectors
from vipe.geometry.rotations import axis_angle
from vipe.geometry.upright import upright_pose
from vipe.skeletons import load


@pytest.fixture
def moving(standing):
    """Makes a clip of `n` frames that moves smoothly; every bone keeps its length, and turns as it likes."""

    def made(n=40, name="dance", fps=25.0, **more):
        return Clip(name=name, skeleton=load("h36m17"), positions=_dance(standing, n), fps=fps, **more)

    return made


@pytest.fixture
def recorded(moving):
    """Makes a clip whose spine, neck and shoulders change their lengths as in recordings, by up to 3 cm."""

    def made(n=40, **more):
        clip = moving(n, **more)
        positions, wave = clip.positions.copy(), 0.015 * np.sin(np.linspace(0, 9, n))[:, None]
        at = clip.skeleton.index
        limbs = {"spine": "spine", "thorax": "thorax", "nose": "nose head"}
        limbs |= {f"{side}_shoulder": f"{side}_shoulder {side}_elbow {side}_wrist" for side in ("left", "right")}
        for number, (joint, carried) in enumerate(limbs.items()):
            parent = clip.skeleton.parents[at(joint)]
            along = clip.positions[:, at(joint)] - clip.positions[:, parent]
            along = along / np.linalg.norm(along, axis=-1, keepdims=True)
            for other in carried.split():
                positions[:, at(other)] += np.roll(wave, 7 * number) * along
        return replace(clip, positions=positions)

    return made


@pytest.fixture
def upright():
    """One frame of the reference body standing."""
    return Clip(name="stand", skeleton=load("h36m17"), positions=upright_pose()[None], fps=30.0)


def _dance(standing, n, seed=3, most=0.9):
    """The standing person: each bone swings about an axis of its own, and the whole turns one and a half times."""
    parents, generator = load("h36m17").parents, torch.Generator().manual_seed(seed)
    vectors = bone_vectors(torch.from_numpy(standing).double(), parents)
    time = torch.linspace(0, 6, n, dtype=torch.float64)[:, None]
    axes = torch.randn(16, 3, generator=generator, dtype=torch.float64)
    phase = 6.28 * torch.rand(16, generator=generator, dtype=torch.float64)
    axes[9], phase[9] = axes[8], phase[8]  # the head is one
    swung = (axis_angle(axes, most * torch.sin(time + phase)) @ vectors[..., None])[..., 0]
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    heading = axis_angle(up.expand(n, 3), 1.5 * time[:, 0])
    root = torch.stack([torch.cos(time[:, 0]), 0.3 * time[:, 0], 0.9 + 0.05 * torch.sin(time[:, 0])], dim=-1)
    return from_bone_vectors(swung @ heading.mT, parents, root).float().numpy()
