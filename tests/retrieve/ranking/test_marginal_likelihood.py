import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve import BONE_GROUPS, CameraPrior, fit_cameras
from vipe.retrieve.ranking.marginal_likelihood import TILTS, marginal_likelihood
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

BODY = load("h36m17")
LIMBS = ("knee", "ankle", "elbow", "wrist")
GAUSS = CameraPrior(student=None)


def group(bone):
    name = BODY.joints[BODY.bones[bone][1]].removeprefix("left_").removeprefix("right_")
    return BONE_GROUPS.index(name) if name in BONE_GROUPS else None


def image(pose, scale, inverse_depth, unknowns):
    """Where a fitted body's keypoints land when it is turned, scaled, shifted, its bones turned and lengthened."""
    turn, log_scale, shift, lengths, further, tilts = np.split(unknowns, [3, 4, 6, 15, 16])
    body = np.zeros_like(pose)
    for bone, (parent, end) in enumerate(BODY.bones):
        vector = pose[end] - pose[parent]
        longer = 1 + (0 if group(bone) is None else lengths[group(bone)])
        tilt = Rotation.from_rotvec(tilts.reshape(-1, 3)[bone]).as_matrix()
        body[end] = body[parent] + tilt @ vector * longer
    body = body[list(COCO13_IN_H36M17)] @ Rotation.from_rotvec(turn).as_matrix().T
    zoom = scale * np.exp(log_scale) / (1 + (inverse_depth + further) * body[:, 2])
    return (zoom[:, None] * body[:, :2] + shift).ravel()


def by_hand(fits, people, person, place, tilt, config):
    """Slow twin: derivatives by differences, then the marginal likelihood of its definition."""
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
    variance = config.noise**2 + (config.misfit / 10) ** 2
    S = variance * np.eye(len(r)) + tilt**2 * T @ T.T + config.bone_spread**2 * L @ L.T
    S = S + config.inverse_depth_spread**2 * k @ k.T
    inverse = np.linalg.inv(S)
    information = A.T @ inverse @ A
    quadratic = r @ inverse @ r - (A.T @ inverse @ r) @ np.linalg.solve(information, A.T @ inverse @ r)
    return quadratic + np.linalg.slogdet(S)[1] + np.linalg.slogdet(information)[1], quadratic


@pytest.fixture
def fitted(index, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)
    poses = index.poses(np.arange(36).reshape(12, 3))
    return fit_cameras(poses, noisy, GAUSS), noisy


def test_it_is_the_marginal_likelihood_of_the_model_by_its_definition(fitted):
    fits, people = fitted
    said = marginal_likelihood(fits, people, GAUSS)
    unseen = 2 * (~people.mask).sum(axis=1)  # their unit variance adds nothing: log 1
    assert unseen.any()
    for person, place in ((3, 1), (7, 2)):
        for number, tilt in enumerate(TILTS):
            cost, quadratic = by_hand(fits, people, person, place, tilt, GAUSS)
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
