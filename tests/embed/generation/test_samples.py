import numpy as np
import pytest

from vipe.embed.generation.checks import bone_length_error, nearest_poses, pose_difference
from vipe.embed.generation.joint_limits import JointLimits
from vipe.embed.generation.prior import Prior
from vipe.embed.generation.samples import sample
from vipe.errors import VipeError


def draws(seed=0):
    return np.random.default_rng(seed)


def test_samples_stand_on_the_floor_on_the_reference_body(model):
    embedder, prior = model
    made = sample(embedder, 5, generator=draws(), prior=prior)
    assert made.shape == (5, 17, 3)
    np.testing.assert_allclose(made[..., 2].min(axis=1), 0, atol=1e-6)
    assert bone_length_error(made, made[0]) < 1e-5
    assert pose_difference(made[1:], made[0]).min() > 1e-3


def test_samples_are_like_the_poses_of_the_prior(default, prior, moved):
    made = sample(default, 50, generator=draws(), prior=prior)
    limits = JointLimits.learn(moved)
    assert limits.within(made).mean() > 0.9
    anyhow = sample(default, 50, generator=draws(), prior=Prior.standard(32))
    assert nearest_poses(made, moved)[0].mean() < nearest_poses(anyhow, moved)[0].mean()


def test_held_limbs_need_a_source(embedder):
    with pytest.raises(VipeError, match="none is given"):
        sample(embedder, 2, generator=draws(), limbs=("head",))


def test_samples_of_a_prior_without_spread_are_the_decoded_mean(default, prior):
    point = Prior(prior.mean, np.zeros_like(prior.factor))
    made = sample(default, 2, generator=draws(), prior=point)
    assert pose_difference(made, default.decode(prior.mean[None])[0]).max() < 1e-3
