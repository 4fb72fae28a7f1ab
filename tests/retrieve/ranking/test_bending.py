from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vipe.arrays import take_rows
from vipe.detections import Keypoints, normalize_keypoints
from vipe.geometry import axis_angle, bone_lengths, bone_vectors, from_bone_vectors
from vipe.retrieve import BONE_GROUPS, CameraPrior, fit_cameras
from vipe.retrieve.camera.images import flattened, seen_by
from vipe.retrieve.ranking.bending import BentCandidates
from vipe.retrieve.ranking.marginal_likelihood import marginal_likelihood
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

BODY = load("h36m17")
LIMBS = ("knee", "ankle", "elbow", "wrist")
GAUSS = CameraPrior(student=None)
SIGMA = 0.033


def group(bone):
    name = BODY.joints[BODY.bones[bone][1]].removeprefix("left_").removeprefix("right_")
    return BONE_GROUPS.index(name) if name in BONE_GROUPS else None


def body(pose, unknowns):
    """A fitted body with its bones turned and lengthened, then turned as a whole."""
    tilts, lengths, turn = unknowns[:48].reshape(16, 3), unknowns[48:57], unknowns[58:61]
    joints = np.zeros_like(pose)
    for bone, (parent, end) in enumerate(BODY.bones):
        longer = 1 + (0 if group(bone) is None else lengths[group(bone)])
        joints[end] = joints[parent] + Rotation.from_rotvec(tilts[bone]).apply(pose[end] - pose[parent]) * longer
    return Rotation.from_rotvec(turn).apply(joints)


def image(pose, scale, inverse_depth, unknowns):
    joints = body(pose, unknowns)[list(COCO13_IN_H36M17)]
    zoom = scale * np.exp(unknowns[61]) / (1 + (inverse_depth + unknowns[57]) * joints[:, 2])
    return (zoom[:, None] * joints[:, :2] + unknowns[62:64]).ravel()


def differences(function, count=64, step=1e-5):
    return np.column_stack([(function(one) - function(-one)) / (2 * step) for one in np.eye(count) * step])


def by_hand(fits, people, person, place, tilt, prior=GAUSS):
    """Slow twin: derivatives by differences, the posterior by inverses; mean and covariance of the unknowns."""
    size = normalize_keypoints(people)[2][person]
    pose, bones = fits.poses[person, place].astype(float), fits.bones[person, place].astype(float)
    scale, inverse_depth = fits.scale[person, place] / size, float(fits.inverse_depth[person, place])
    H = differences(lambda step: image(pose, scale, inverse_depth, step))
    H[:, 48:57] /= 1 + bones  # a length's unit is the canonical bone
    r = ((people.xy[person] - fits.shift[person, place]) / size).ravel() - image(
        pose, scale, inverse_depth, np.zeros(64)
    )
    seen = np.repeat(people.mask[person], 2)
    H, r = H[seen], r[seen]
    limb = np.repeat([1.0 if BODY.joints[end].split("_")[-1] in LIMBS else 0.5 for _, end in BODY.bones], 3)
    spread = np.r_[tilt * limb, np.full(9, prior.bone_spread), prior.inverse_depth_spread, np.full(6, 1e3)]
    mean = np.r_[np.zeros(48), -bones, prior.inverse_depth - inverse_depth, np.zeros(6)]
    S = H * spread**2 @ H.T + np.eye(len(r)) * (prior.noise**2 + (prior.misfit / 10) ** 2)
    gain = np.linalg.solve(S, H * spread**2).T
    return mean + gain @ (r - H @ mean), np.diag(spread**2) - gain @ (H * spread**2)


@pytest.fixture
def fitted(affine, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)
    return fit_cameras(affine.poses(np.arange(36).reshape(12, 3)), noisy, GAUSS), noisy


def bent(fits, people, person, tilts, which=None, prior=GAUSS):
    one = slice(person, person + 1)
    return BentCandidates.of(take_rows(fits, one), people[one], np.array(tilts), which, prior)


def test_the_posterior_is_that_of_the_model_by_its_definition(fitted):
    fits, people = fitted
    for person, place, tilt in ((0, 0, 0.05), (3, 1, 0.2), (7, 2, 0.025)):
        mean, covariance = by_hand(fits, people, person, place, tilt)
        said = bent(fits, people, person, [tilt] * 3)
        spread = said.spread[place].numpy()
        found = said.believed[place].numpy() + spread * said.mean[place].numpy()
        inverse = torch.cholesky_inverse(said.factor[place]).numpy() * np.outer(spread, spread)
        # What one image leaves open of the camera is as wide as the priors of the two, which differ.
        np.testing.assert_allclose(found[:58], mean[:58], atol=2e-3)
        np.testing.assert_allclose(inverse[:58, :58], covariance[:58, :58], atol=2e-5)


def test_weight_and_bend_are_of_one_model(fitted):
    # log p(r) = log p(r | u) + log p(u) - log p(u | r) at any u, here the mean: what is bent is what is integrated out.
    fits, people = fitted
    said = marginal_likelihood(fits, people, GAUSS).cost
    for person, number, tilt in ((0, 2, 0.05), (5, 4, 0.2)):
        cost = []
        for place in range(3):
            one = bent(fits, people, person, [tilt] * 3)
            pose, size = fits.poses[person, place].astype(float), normalize_keypoints(people)[2][person]
            unknowns = (one.spread[place] * one.mean[place] + one.believed[place]).numpy()
            scale, depth = fits.scale[person, place] / size, float(fits.inverse_depth[person, place])
            H = differences(lambda step, p=pose, s=scale, d=depth: image(p, s, d, step))
            H[:, 48:57] /= 1 + fits.bones[person, place].astype(float)
            left = ((people.xy[person] - fits.shift[person, place]) / size).ravel()
            left = left - image(pose, scale, depth, np.zeros(64)) - H @ unknowns
            seen = np.repeat(people.mask[person], 2)
            quadratic = (left[seen] ** 2).sum() / (GAUSS.noise**2 + (GAUSS.misfit / 10) ** 2)
            quadratic += (one.mean[place, :58] ** 2).sum().item()
            cost.append(quadratic + 2 * one.factor[place].diagonal().log().sum().item())
        np.testing.assert_allclose(np.diff(cost), np.diff(said[number, person]), atol=0.05, rtol=5e-3)


def test_the_likeliest_bend_is_the_body_at_the_mean_unknowns(fitted):
    fits, people = fitted
    one = bent(fits, people, 2, [0.1, 0.2, 0.05])
    poses, inverse_depth = one.means()
    for place in range(3):
        unknowns = (one.believed + one.spread * one.mean)[place].numpy().copy()
        assert inverse_depth[place].item() == pytest.approx(fits.inverse_depth[2, place] + unknowns[57], abs=1e-6)
        unknowns[48:57] /= 1 + fits.bones[2, place]
        np.testing.assert_allclose(poses[place].numpy(), body(fits.poses[2, place].astype(float), unknowns), atol=1e-6)


def test_draws_have_the_mean_and_the_covariance_that_are_said(fitted, generator):
    fits, people = fitted
    one = bent(fits, people, 0, [0.03], np.array([1]))
    poses, depth = one.draw(torch.zeros(5_000, dtype=torch.int64), generator)
    mean, covariance = by_hand(fits, people, 0, 1, 0.03)
    pose, bones = fits.poses[0, 1].astype(float), 1 + fits.bones[0, 1].astype(float)

    def joints(unknowns):
        unknowns = mean + unknowns
        return body(pose, np.r_[unknowns[:48], unknowns[48:57] / bones, unknowns[57:]]).ravel()

    J = differences(joints)
    drawn = poses.flatten(1).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), joints(np.zeros(64)), atol=5e-3)
    np.testing.assert_allclose(np.cov(drawn.T), J @ covariance @ J.T, atol=6e-4)
    assert depth.std().item() == pytest.approx(covariance[57, 57] ** 0.5, rel=0.05)


def test_without_a_tilt_bones_keep_their_directions_and_only_lengths_and_camera_move(fitted, generator):
    fits, people = fitted
    poses, _ = bent(fits, people, 1, [0.0], np.array([2])).draw(torch.zeros(5, dtype=torch.int64), generator)
    lengths = bone_lengths(poses, BODY.parents)
    assert lengths.std(0)[[group(bone) is not None for bone in range(16)]].min() > 1e-4
    ends, starts = [end for _, end in BODY.bones], [start for start, _ in BODY.bones]
    directions = (poses[:, ends] - poses[:, starts]) / lengths[..., None]
    own = torch.from_numpy(fits.poses[1, 2]).double()
    own = torch.nn.functional.normalize(own[ends] - own[starts], dim=-1)
    cosines = directions @ directions.mT
    torch.testing.assert_close(cosines, (own @ own.mT).expand_as(cosines), atol=1e-5, rtol=0)


def test_given_the_bone_lengths_all_else_is_the_conditional_gaussian(fitted, generator):
    fits, people = fitted
    wanted = torch.linspace(0.9, 1.1, 9, dtype=torch.float64)
    mean, covariance = by_hand(fits, people, 3, 1, 0.2)
    said = bent(fits, people, 3, [0.2] * 3).with_lengths(wanted)
    known, others = np.arange(48, 57), np.r_[0:48, 57]
    gain = covariance[np.ix_(others, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    off = wanted.numpy() - (1 + fits.bones[3, 1]) - mean[known]
    spread = said.spread[1].numpy()
    found = said.believed[1].numpy() + spread * said.mean[1].numpy()
    inverse = torch.cholesky_inverse(said.factor[1]).numpy() * np.outer(spread, spread)
    np.testing.assert_allclose(found[others], mean[others] + gain @ off, atol=2e-3)
    expected = covariance[np.ix_(others, others)] - gain @ covariance[np.ix_(known, others)]
    np.testing.assert_allclose(inverse[np.ix_(others, others)], expected, atol=2e-5)
    torch.testing.assert_close(said.mean_lengths(), wanted.expand(3, 9))
    canonical = bone_lengths(torch.from_numpy(fits.poses[3, 1]).double(), BODY.parents)
    for bone, length in enumerate(
        bone_lengths(said.draw(torch.ones(4, dtype=torch.int64), generator)[0], BODY.parents).T
    ):
        share = 1 if group(bone) is None else wanted[group(bone)] / (1 + fits.bones[3, 1, group(bone)])
        torch.testing.assert_close(length, (canonical[bone] * share).expand(4), atol=1e-6, rtol=0)


def test_a_near_bend_stays_the_same_if_it_is_linearized_again(affine, rng):
    # There the problem is linear, so a second step moves nothing: it is still believed that bones point as the fit's.
    pose = affine.poses(np.array([[0, 0]]))
    xy = 200 * flattened(torch.from_numpy(pose[0, :1]).double(), torch.tensor([0.12]).double()).numpy()
    near = Keypoints.of(xy + rng.normal(0, 1.0, size=xy.shape))
    fits = fit_cameras(pose, near, GAUSS)
    once = bent(fits, near, 0, [0.2, 0.05])
    again = once.again(near, GAUSS)
    moved = (once.means()[0] - torch.from_numpy(fits.poses[0]).double()).norm(dim=-1).amax(1)
    further = (again.means()[0] - once.means()[0]).norm(dim=-1).amax(1)
    assert (further < 0.05 * moved).all()
    torch.testing.assert_close(again.means()[1], once.means()[1], atol=2e-3, rtol=0)


def test_a_far_bend_lands_nearer_if_it_is_linearized_again(affine, generator):
    pose = torch.from_numpy(affine.poses(np.arange(8))).double()
    axes = torch.nn.functional.normalize(torch.randn(8, 16, 3, generator=generator).double(), dim=-1)
    turned = axis_angle(axes, 0.5 * torch.ones(8, 16).double()) @ bone_vectors(pose, BODY.parents)[..., None]
    true = from_bone_vectors(turned[..., 0], BODY.parents)
    landed = []
    for own, other in zip(pose, true, strict=True):
        person = Keypoints.of(200 * flattened(other[None], torch.tensor([0.12]).double()).numpy())
        fits = fit_cameras(own[None, None].numpy(), person, GAUSS)
        one = bent(fits, person, 0, [0.2])
        steps = [one, one.again(person, GAUSS), one.again(person, GAUSS).again(person, GAUSS)]
        landed.append([distance(step, person) for step in steps])
    first, second, third = np.median(landed, axis=0)
    assert second < 0.8 * first
    assert third == pytest.approx(second, rel=0.25)


def distance(kernel, person):
    """RMS distance from keypoints to the mean's image, RMS radii."""
    poses, inverse_depth = kernel.means()
    scale, shift = seen_by(poses, inverse_depth, person)
    off = scale[:, None, None] * flattened(poses, inverse_depth) + shift[:, None] - torch.tensor(person.xy)
    return off.square().sum(-1).mean().sqrt().item() / normalize_keypoints(person)[2][0]


def test_candidates_are_bent_alone_as_among_others(fitted, generator):
    fits, people = fitted
    whole = bent(fits, people, 4, [0.1, 0.05, 0.1, 0.2], np.array([2, 0, 0, 1]))
    for number, (place, tilt) in enumerate(((2, 0.1), (0, 0.05), (0, 0.1), (1, 0.2))):
        alone = bent(fits, people, 4, [tilt], np.array([place]))
        torch.testing.assert_close(alone.means()[0][0], whole.means()[0][number])
        torch.testing.assert_close(alone.factor[0], whole.factor[number])


def test_a_joint_far_off_bends_less_with_robust_noise(affine, people):
    wrist = 9
    whole = people[:1]
    assert whole.mask[0, wrist]
    xy = whole.xy.copy()
    xy[0, wrist] += 2 * normalize_keypoints(whole)[2][0]
    off = replace(whole, xy=xy)
    rows = np.array([[0]])
    moved = []
    for prior in (GAUSS, CameraPrior()):
        before, after = (
            bent(fit_cameras(affine.poses(rows), whole, prior), one, 0, [0.1], prior=prior) for one in (whole, off)
        )
        moved.append((before.means()[0] - after.means()[0]).norm(dim=-1).mean().item())
    assert moved[1] < moved[0] / 2


def test_unseen_joints_change_nothing_and_all_joints_at_one_place_give_numbers(fitted, generator):
    fits, people = fitted
    xy = people.xy.copy()
    xy[~people.mask] = 1e4
    filled = replace(people)
    object.__setattr__(filled, "xy", xy)
    assert (~people.mask[6]).any()
    torch.testing.assert_close(*(bent(fits, one, 6, [0.1] * 3).means()[0] for one in (people, filled)))
    point = Keypoints.of(np.zeros((1, 13, 2)))
    still = fit_cameras(fits.poses[:1], point, GAUSS)
    assert torch.isfinite(bent(still, point, 0, [0.1] * 3).draw(torch.arange(3), generator)[0]).all()


def test_what_is_drawn_is_calibrated_where_the_model_holds(affine, generator):
    # Bodies bent by the model's own tilts, lengths and cameras: the truth's rank among the samples is uniform.
    count, tilt, rng = 150, 0.1, np.random.default_rng(1)
    limb = np.repeat([1.0 if BODY.joints[end].split("_")[-1] in LIMBS else 0.5 for _, end in BODY.bones], 3)
    poses = affine.poses(np.arange(count // 2)).repeat(2, axis=0)
    turns = Rotation.random(count, random_state=2).as_matrix()
    unknowns = np.c_[
        rng.normal(size=(count, 48)) * tilt * limb, rng.normal(size=(count, 9)) * 0.08, rng.normal(0, 0.05, count),
        np.zeros((count, 6)),
    ]  # fmt: skip
    true = np.stack(
        [body(pose @ turn.T, one) for pose, turn, one in zip(poses.astype(float), turns, unknowns, strict=True)]
    )
    unknowns[:, :57] = 0
    xy = np.stack([image(pose, 200.0, 0.12, one).reshape(13, 2) for pose, one in zip(true, unknowns, strict=True)])
    size = normalize_keypoints(Keypoints.of(xy))[2]
    people = Keypoints.of(xy + SIGMA * size[:, None, None] * rng.normal(size=xy.shape))
    prior = CameraPrior(student=None, misfit=0.01)
    fits = fit_cameras(poses[:, None], people, prior)
    below = []
    for person in range(count):
        drawn, _ = bent(fits, people, person, [tilt], prior=prior).draw(torch.zeros(60, dtype=torch.int64), generator)
        below.append((drawn.numpy() < true[person]).mean(axis=0)[1:])
    ranks = np.stack(below)
    levels = np.linspace(0.1, 0.9, 9)
    covered = (ranks[..., None] <= levels).mean(axis=(0, 1))
    assert np.abs(covered - levels).mean() < 0.03
