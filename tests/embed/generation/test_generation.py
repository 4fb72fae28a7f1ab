import numpy as np
import pytest
import torch

from vipe.embed import Embedder
from vipe.embed.generation.checks import bone_length_error, decreasing_steps, nearest_poses, pose_difference
from vipe.embed.generation.interpolation import interpolate
from vipe.embed.generation.joint_limits import JOINT_ANGLES, JointLimits, joint_angles
from vipe.embed.generation.limbs import LIMBS
from vipe.embed.generation.prior import Prior
from vipe.embed.generation.samples import sample
from vipe.embed.generation.variations import vary
from vipe.errors import ShapeError, VipeError
from vipe.geometry import bone_vectors, random_rotation
from vipe.simulate.motion import synthesize
from vipe.skeletons import load

BODY = load("h36m17")
BONES = [BODY.joints[child] for _, child in BODY.bones]
ALPHAS = (0.0, 0.2, 0.5)


def directions(poses):
    vectors = bone_vectors(torch.tensor(poses), BODY.parents)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def draws(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def default():
    return Embedder.from_pretrained("default")


@pytest.fixture(scope="module")
def moved():
    clips = synthesize(minutes=1.0, fps=5.0, generator=np.random.default_rng(5))
    return np.concatenate([clip.positions for clip in clips])


@pytest.fixture(scope="module")
def prior(default, moved):
    return Prior.fit(default.encode_poses(moved))


@pytest.fixture(params=["v-vipe", "towers"])
def model(request):
    """Each kind of embedding, with a prior."""
    if request.param == "v-vipe":
        return request.getfixturevalue("embedder"), None
    return request.getfixturevalue("default"), request.getfixturevalue("prior")


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


def test_the_way_between_two_poses_starts_and_ends_there(model, poses):
    embedder, _ = model
    made = interpolate(embedder, poses[0], poses[1], 5)
    np.testing.assert_allclose(made[0], poses[0], atol=2e-5)
    assert pose_difference(made[-1], poses[1]) < 1e-4
    assert bone_length_error(made, poses[0]) < 1e-5


def test_the_distance_to_the_source_grows(default, prior, moved):
    for source in moved[::60]:
        made = vary(default, source, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), 4, generator=draws(), prior=prior)
        assert not decreasing_steps(pose_difference(made, source)).any()


def test_steps_back_are_found():
    found = decreasing_steps(np.array([[0.0, 0.2, 0.1, 0.1], [0.0, 0.1, 0.2, 0.3]]))
    np.testing.assert_array_equal(found, [[False, True, False], [False] * 3])


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


def test_a_prior_has_the_mean_and_covariance_of_the_data():
    data = draws().normal(size=(4000, 3)) @ np.array([[1.0, 0.5, 0], [0, 2.0, 0], [0, 0, 0]]) + [1, 2, 3]
    fitted = Prior.fit(data.astype(np.float32))
    drawn = fitted.mean + fitted.directions(20000, draws(1))
    np.testing.assert_allclose(drawn.mean(axis=0), data.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(data.T), atol=0.1)


def test_angles_of_a_standing_person(standing):
    angles = dict(zip(JOINT_ANGLES, np.degrees(joint_angles(standing[None])[0]), strict=True))
    assert angles["left knee bend"] == pytest.approx(0, abs=0.1)
    assert angles["right hip up"] == pytest.approx(-90, abs=0.1)
    assert angles["left elbow bend"] > 1
    assert angles["trunk twist"] == pytest.approx(0, abs=0.1)
    assert angles["neck forward"] > 20


def test_a_knee_bends_back_and_a_raised_thigh_points_forward(standing):
    lifted = standing.copy()  # faces +x: the right thigh raised, the shank hanging
    lifted[2] = lifted[1] + [0.43, 0, 0]
    lifted[3] = lifted[2] + [0, 0, -0.42]
    angles = dict(zip(JOINT_ANGLES, np.degrees(joint_angles(lifted[None])[0]), strict=True))
    assert angles["right hip forward"] == pytest.approx(90, abs=0.1)
    assert angles["right knee bend"] == pytest.approx(90, abs=0.1)
    assert angles["right knee forward"] == pytest.approx(-90, abs=0.1)
    bent_forward = standing.copy()
    bent_forward[3] = bent_forward[2] + [0.42, 0, 0]
    angles = dict(zip(JOINT_ANGLES, np.degrees(joint_angles(bent_forward[None])[0]), strict=True))
    assert angles["right knee forward"] == pytest.approx(90, abs=0.1)


def test_angles_depend_on_neither_place_nor_size_and_mirror(poses, turned):
    np.testing.assert_allclose(joint_angles(turned.astype(np.float32)), joint_angles(poses), atol=2e-3)
    mirrored = joint_angles(poses[:, list(BODY.mirrored)] * np.array([1, -1, 1], np.float32))
    swap = {"left": "right", "right": "left"}
    for column, name in enumerate(JOINT_ANGLES):
        side, rest = name.split(" ", 1)
        own = joint_angles(poses)[:, column]
        if side in swap:
            np.testing.assert_allclose(mirrored[:, JOINT_ANGLES.index(f"{swap[side]} {rest}")], own, atol=1e-3)
        else:
            sign = -1 if rest in ("right", "twist") else 1
            np.testing.assert_allclose(mirrored[:, column], sign * own, atol=1e-3)


def test_limits_are_those_of_the_data(moved):
    limits = JointLimits.learn(moved, quantile=0.0)
    assert limits.within(moved).all()
    assert set(limits.broken(moved[:5])[0]) == set()
    broken = moved[:1].copy()
    knee, ankle = BODY.index("right_knee"), BODY.index("right_ankle")
    pelvis_to_hip = broken[:, 1] - broken[:, 0]
    broken[:, ankle] = broken[:, knee] + 3 * pelvis_to_hip  # a shank out to the side
    assert "right knee outward" in limits.broken(broken)[0]


def test_the_nearest_pose_is_found(moved, generator):
    rotation = random_rotation(generator=generator, dtype=torch.float32).numpy()
    distance, row = nearest_poses(1.3 * moved[5:8] @ rotation.T, moved)
    np.testing.assert_array_equal(row, [5, 6, 7])
    np.testing.assert_allclose(distance, 0, atol=1e-3)
    apart = np.ones((3, len(moved)), dtype=bool)
    apart[:, 5:8] = False
    assert not set(nearest_poses(moved[5:8], moved, apart=apart)[1]) & {5, 6, 7}


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


def test_an_embedding_without_a_prior_says_how_to_get_one(default, poses):
    with pytest.raises(VipeError, match=r"Prior\.fit"):
        vary(default, poses[0], generator=draws())
    with pytest.raises(VipeError, match="more than 32 embeddings, got 3"):
        Prior.fit(default.encode_poses(poses[:3]))


def test_other_refusals(embedder, poses):
    with pytest.raises(VipeError, match="at least 2, got 1"):
        interpolate(embedder, poses[0], poses[1], 1)
    with pytest.raises(VipeError, match="none is given"):
        sample(embedder, 2, generator=draws(), limbs=("head",))
    with pytest.raises(VipeError, match="at least 100 poses, got 60"):
        JointLimits.learn(poses)
    with pytest.raises(VipeError, match="quantile"):
        JointLimits.learn(np.concatenate([poses, poses]), quantile=0.5)
    with pytest.raises(VipeError, match="no recorded pose"):
        nearest_poses(poses, poses[:0])


@pytest.mark.refusal
def test_wrong_shapes_are_refused(embedder, poses):
    with pytest.raises(ShapeError, match=r"source must be one pose \(17, 3\)"):
        vary(embedder, poses[:1], generator=draws())
    with pytest.raises(ShapeError, match=r"poses must be \(N, 17, 3\)"):
        joint_angles(poses[0])


def test_a_source_without_a_canonical_form_is_refused(embedder, poses):
    flat = poses[0].copy()
    flat[7] = flat[0]
    with pytest.raises(ShapeError, match="cannot be embedded"):
        vary(embedder, flat, generator=draws())
