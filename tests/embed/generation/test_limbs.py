import numpy as np
import pytest
import torch

from vipe.embed.generation.interpolation import interpolate
from vipe.embed.generation.joint_limits import JOINT_ANGLES, joint_angles
from vipe.embed.generation.limbs import LIMBS
from vipe.embed.generation.samples import sample
from vipe.embed.generation.variations import vary
from vipe.geometry import bone_vectors
from vipe.skeletons import load

BODY = load("h36m17")
BONES = [BODY.joints[child] for _, child in BODY.bones]


def directions(poses):
    vectors = bone_vectors(torch.tensor(poses), BODY.parents)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def draws(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("limbs", [("left_arm",), ("legs", "head"), ("torso",), ("arms", "torso")])
def test_bones_of_held_limbs_keep_their_directions(model, poses, limbs):
    embedder, prior = model
    free = {bone for limb in limbs for bone in LIMBS[limb]}
    held = [bone not in free for bone in BONES]
    first = directions(poses[0])
    made = [
        *vary(embedder, poses[0], (0.5,), 3, generator=draws(), prior=prior, limbs=limbs)[:, 0],
        *interpolate(embedder, poses[0], poses[1], 3, limbs=limbs),
        *sample(embedder, 2, generator=draws(), prior=prior, source=poses[0], limbs=limbs),
    ]
    for pose in made:
        np.testing.assert_allclose(directions(pose)[held], first[held], atol=1e-5)
    moved = np.abs(directions(made[0]) - first).max(axis=-1)
    assert (moved[~np.array(held)] > 1e-3).any()


def test_a_limb_that_moves_alone_keeps_its_angles_to_the_torso(default, prior, poses):
    whole, alone = (
        vary(default, poses[0], (0.5,), 1, generator=draws(), prior=prior, limbs=limbs)[0]
        for limbs in ((), ("arms", "legs"))
    )
    angles = [name for name in JOINT_ANGLES if "shoulder" in name or "hip" in name or "elbow" in name]
    columns = [JOINT_ANGLES.index(name) for name in angles]
    np.testing.assert_allclose(joint_angles(whole)[:, columns], joint_angles(alone)[:, columns], atol=1e-3)


def test_every_bone_is_of_one_limb():
    single = [name for name in LIMBS if name not in ("arms", "legs")]
    assert sorted(bone for name in single for bone in LIMBS[name]) == sorted(BONES)
