import numpy as np
import pytest
import torch

from vipe.embed.generation.checks import bone_length_error, decreasing_steps, pose_difference
from vipe.embed.generation.joint_limits import JointLimits, joint_angles
from vipe.embed.generation.prior import Prior
from vipe.embed.generation.samples import sample
from vipe.embed.generation.variations import vary
from vipe.errors import ShapeError, VipeError
from vipe.geometry import bone_vectors, random_rotation
from vipe.skeletons import load

BODY = load("h36m17")
ALPHAS = (0.0, 0.2, 0.5)


def directions(poses):
    vectors = bone_vectors(torch.tensor(poses), BODY.parents)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def draws(seed=0):
    return np.random.default_rng(seed)


def test_variations_keep_the_body_and_its_place(model, poses):
    embedder, prior = model
    made = vary(embedder, poses[0], ALPHAS, 3, generator=draws(), prior=prior)
    assert made.shape == (3, 3, 17, 3)
    assert bone_length_error(made.reshape(-1, 17, 3), poses[0]) < 1e-5
    np.testing.assert_allclose(made[:, :, 0], np.broadcast_to(poses[0, 0], (3, 3, 3)), atol=1e-6)
    assert (pose_difference(made, poses[0])[:, 2] > 1e-3).all()


def test_alpha_zero_is_the_source_and_without_detail_what_decoding_leaves_of_it(model, poses):
    embedder, prior = model
    made = vary(embedder, poses[0], ALPHAS, 2, generator=draws(), prior=prior)
    np.testing.assert_allclose(made[:, 0], np.stack([poses[0]] * 2), atol=2e-5)
    plain = vary(embedder, poses[0], (0.0,), 1, generator=draws(), prior=prior, detail=False)[0, 0]
    decoded = embedder.decode(embedder.encode_poses(poses[:1]))[0]
    assert pose_difference(plain, poses[0]) > 1e-3
    # The same bone directions up to the rotation that puts it into the world.
    cosines = [one @ one.T for one in (directions(plain), directions(decoded))]
    np.testing.assert_allclose(*cosines, atol=1e-4)


def test_alphas_come_back_in_the_order_they_were_given(model, poses):
    embedder, prior = model
    up, down = (
        vary(embedder, poses[0], alphas, 2, generator=draws(), prior=prior) for alphas in ((0.2, 0.4), (0.4, 0.2))
    )
    np.testing.assert_allclose(down, up[:, ::-1], atol=1e-5)
    assert np.abs(up[:, 0] - up[:, 1]).max() > 1e-3


def test_variations_turn_and_move_with_the_source(model, poses, generator):
    embedder, prior = model
    rotation = random_rotation(generator=generator, dtype=torch.float32).numpy()
    shift = np.array([3.0, -1.0, 0.5], np.float32)
    first = vary(embedder, poses[0], ALPHAS, 2, generator=draws(), prior=prior)
    other = vary(embedder, poses[0] @ rotation.T + shift, ALPHAS, 2, generator=draws(), prior=prior)
    np.testing.assert_allclose(other, first @ rotation.T + shift, atol=2e-3)


def test_a_direction_stays_when_alphas_change_and_the_seed_decides_it(model, poses):
    embedder, prior = model
    one, same, other = (
        vary(embedder, poses[0], alphas, 2, generator=draws(seed), prior=prior)
        for alphas, seed in ((ALPHAS, 0), ((0.5,), 0), (ALPHAS, 1))
    )
    np.testing.assert_allclose(one[:, 2], same[:, 0], atol=1e-5)
    assert np.abs(one[:, 2] - other[:, 2]).max() > 1e-3


def test_the_distance_to_the_source_grows(default, prior, moved):
    for source in moved[::60]:
        made = vary(default, source, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), 4, generator=draws(), prior=prior)
        assert not decreasing_steps(pose_difference(made, source)).any()


def test_within_limits_every_variation_and_sample_is(default, prior, moved):
    limits = JointLimits.learn(moved)
    source = moved[limits.within(moved).all(axis=1)][0]
    options = {"prior": prior, "limits": limits}
    made = vary(default, source, ALPHAS, 4, generator=draws(), **options)
    assert limits.within(made.reshape(-1, 17, 3)).all()
    assert limits.within(sample(default, 10, generator=draws(), **options)).all()
    nobody = JointLimits(low=limits.high, high=limits.low)
    with pytest.raises(VipeError, match="0 of 64 drawn are within"):
        sample(default, 2, generator=draws(), prior=prior, limits=nobody)
    # What the source itself has out of range is excused.
    vary(default, source, ALPHAS, 1, generator=draws(), prior=prior, limits=nobody)


def test_the_method_of_an_embedder_is_the_function(default, prior, poses):
    made = default.generate(poses[0], ALPHAS, 2, generator=draws(), prior=prior)
    np.testing.assert_array_equal(made, vary(default, poses[0], ALPHAS, 2, generator=draws(), prior=prior))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limbs": ("tail",)}, "no limb 'tail'; limbs are left_arm"),
        ({"alphas": (-0.1,)}, "alphas must be"),
        ({"alphas": (float("nan"),)}, "alphas must be"),
        ({"alphas": ()}, "alphas must be"),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"prior": Prior.standard(7)}, "7 dimensions, the embedding 32"),
    ],
)
def test_wrong_settings_are_refused(embedder, poses, options, message):
    with pytest.raises(VipeError, match=message):
        vary(embedder, poses[0], generator=draws(), **options)


def test_a_source_without_a_canonical_form_is_refused(embedder, poses):
    flat = poses[0].copy()
    flat[7] = flat[0]
    with pytest.raises(ShapeError, match="cannot be embedded"):
        vary(embedder, flat, generator=draws())


@pytest.mark.refusal
def test_wrong_shapes_are_refused(embedder, poses):
    with pytest.raises(ShapeError, match=r"source must be one pose \(17, 3\)"):
        vary(embedder, poses[:1], generator=draws())
    with pytest.raises(ShapeError, match=r"poses must be \(N, 17, 3\)"):
        joint_angles(poses[0])
