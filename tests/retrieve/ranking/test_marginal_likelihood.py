from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve import BONE_GROUPS, CameraPrior, fit_cameras
from vipe.retrieve.ranking.marginal_likelihood import TILTS, marginal_likelihood
from vipe.skeletons import load
from vipe.skeletons.joint_conventions import load_convention
from vipe.skeletons.working import COCO13_IN_H36M17

BODY = load("h36m17")
LIMBS = ("knee", "ankle", "elbow", "wrist")
GAUSS = CameraPrior(student=None)


def group(bone):
    name = BODY.joints[BODY.bones[bone][1]].removeprefix("left_").removeprefix("right_")
    return BONE_GROUPS.index(name) if name in BONE_GROUPS else None


def image(pose, scale, inverse_depth, unknowns, marked=0.0):
    """Where a fitted body's keypoints land when it is turned, scaled, shifted, its bones turned and lengthened.

    Each keypoint may be `marked` off its joint.
    """
    turn, log_scale, shift, lengths, further, tilts = np.split(unknowns, [3, 4, 6, 15, 16])
    body = np.zeros_like(pose)
    for bone, (parent, end) in enumerate(BODY.bones):
        vector = pose[end] - pose[parent]
        longer = 1 + (0 if group(bone) is None else lengths[group(bone)])
        tilt = Rotation.from_rotvec(tilts.reshape(-1, 3)[bone]).as_matrix()
        body[end] = body[parent] + tilt @ vector * longer
    body = (body[list(COCO13_IN_H36M17)] + marked) @ Rotation.from_rotvec(turn).as_matrix().T
    zoom = scale * np.exp(log_scale) / (1 + (inverse_depth + further) * body[:, 2])
    return (zoom[:, None] * body[:, :2] + shift).ravel()


def by_hand(fits, people, person, place, config):
    """Slow twin: derivatives by differences, then the marginal likelihood of its definition at every tilt."""
    size = normalize_keypoints(people)[2][person]
    pose = fits.poses[person, place].astype(float)
    scale, inverse_depth = fits.scale[person, place] / size, float(fits.inverse_depth[person, place])
    bones = fits.bones[person, place].astype(float)
    count = 16 + 3 * len(BODY.bones)
    around = np.eye(count) * 1e-5
    slopes = [
        (image(pose, scale, inverse_depth, step) - image(pose, scale, inverse_depth, -step)) / 2e-5 for step in around
    ]
    J = np.column_stack(slopes)
    A, L, k, T = np.split(J, [6, 15, 16], axis=1)
    L = L / (1 + bones)
    T = T * np.repeat([1.0 if BODY.joints[end].split("_")[-1] in LIMBS else 0.5 for _, end in BODY.bones], 3)
    xy = (people.xy[person] - fits.shift[person, place]) / size
    r = xy.ravel() - image(pose, scale, inverse_depth, np.zeros(count))
    r = r + L @ bones + k[:, 0] * (inverse_depth - config.inverse_depth)
    seen = np.repeat(people.mask[person], 2)
    A, L, k, T, r = (part[seen] for part in (A, L, k, T, r))
    convention = load_convention(people.convention)
    zoom = scale / (1 + inverse_depth * pose[list(COCO13_IN_H36M17), 2])
    variance = config.noise**2 + (config.misfit / 10) ** 2 + (zoom * convention.spread) ** 2
    spreads = np.array([convention.bones.get(name, config.bone_spread) for name in BONE_GROUPS])
    S = np.diag(np.repeat(variance, 2)[seen]) + L @ np.diag(spreads**2) @ L.T + config.inverse_depth_spread**2 * k @ k.T
    # The strength of the convention's offset is open: what moves with it goes together.
    step = 1e-5 * convention.mean @ fits.rotation[person, place].T
    ends = [image(pose, scale, inverse_depth, np.zeros(count), sign * step) for sign in (1, -1)]
    o = 0.5 * ((ends[0] - ends[1]) / 2e-5)[seen]
    S = S + np.outer(o, o)
    for tilt in TILTS:
        tilted = S + tilt**2 * T @ T.T
        inverse = np.linalg.inv(tilted)
        information = A.T @ inverse @ A
        quadratic = r @ inverse @ r - (A.T @ inverse @ r) @ np.linalg.solve(information, A.T @ inverse @ r)
        yield quadratic + np.linalg.slogdet(tilted)[1] + np.linalg.slogdet(information)[1], quadratic


@pytest.fixture
def fitted(index, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)
    poses = index.poses(np.arange(36).reshape(12, 3))
    return fit_cameras(poses, noisy, GAUSS), noisy


@pytest.mark.parametrize("convention", ["archive", "coco", "unknown"])
def test_it_is_the_marginal_likelihood_of_the_model_by_its_definition(fitted, convention):
    fits, people = fitted
    people = replace(people, convention=convention)
    said = marginal_likelihood(fits, people, GAUSS)
    unseen = 2 * (~people.mask).sum(axis=1)  # their unit variance adds nothing: log 1
    assert unseen.any()
    for person, place in ((3, 1), (7, 2)):
        for number, (cost, quadratic) in enumerate(by_hand(fits, people, person, place, GAUSS)):
            assert said.cost[number, person, place] == pytest.approx(cost, rel=2e-3, abs=0.05)
            assert said.chi_squared[number, person, place] == pytest.approx(quadratic, rel=5e-3, abs=0.02)


def test_bones_that_may_turn_explain_more_and_pay_for_it(fitted):
    said = marginal_likelihood(*fitted, GAUSS)
    assert (np.diff(said.chi_squared, axis=0) <= 1e-3).all()
    volume = said.cost - said.chi_squared
    assert (np.diff(volume, axis=0) > 0).all()


def test_it_does_not_change_with_place_and_size_in_the_image(index, people):
    poses = index.poses(np.arange(36).reshape(12, 3))
    moved = Keypoints.of(people.xy * 3 + 500, people.mask)
    here, there = (marginal_likelihood(fit_cameras(poses, seen, GAUSS), seen, GAUSS) for seen in (people, moved))
    np.testing.assert_allclose(here.cost, there.cost, rtol=1e-2, atol=0.3)


def test_a_joint_far_off_decides_less_with_robust_noise(index, people):
    xy = people.xy.copy()
    xy[0, np.flatnonzero(people.mask[0])[0]] += 150
    off = Keypoints.of(xy, people.mask)
    poses = index.poses(np.arange(36).reshape(12, 3))
    robust = CameraPrior()
    gauss, student = (marginal_likelihood(fit_cameras(poses, off, robust), off, config) for config in (GAUSS, robust))
    assert student.chi_squared[2, 0, 0] < gauss.chi_squared[2, 0, 0] / 2


def test_one_candidate_alone_says_what_it_says_among_others(fitted):
    fits, people = fitted
    whole = marginal_likelihood(fits, people).cost
    import dataclasses

    first = type(fits)(**{f.name: getattr(fits, f.name)[4:5, 1:2] for f in dataclasses.fields(fits)})
    np.testing.assert_allclose(marginal_likelihood(first, people[4:5]).cost, whole[:, 4:5, 1:2], rtol=1e-4, atol=1e-2)


def test_marks_that_lie_a_convention_off_are_likely_under_it_and_under_none_in_particular(affine, rng):
    poses = affine.poses(np.arange(24))
    joints = poses[:, COCO13_IN_H36M17] + load_convention("coco").mean
    turned = np.linalg.qr(rng.normal(size=(24, 3, 3)))[0][..., :2]
    likely = {}
    for name in ("archive", "coco", "unknown"):
        people = Keypoints.of(120 * joints @ turned + 400, convention=name)
        likely[name] = marginal_likelihood(fit_cameras(poses[:, None], people, GAUSS), people, GAUSS).chi_squared[0]
    assert np.median(likely["coco"]) < 0.2 * np.median(likely["archive"])
    assert np.median(likely["unknown"]) < 0.5 * np.median(likely["archive"])
