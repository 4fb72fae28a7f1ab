from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError, VipeError
from vipe.geometry import canonicalize_array, random_rotation
from vipe.retrieve import BONE_GROUPS, BodyProportions, CameraPrior, fit_cameras, shared_proportions
from vipe.retrieve.camera import gauss_newton as solver_module
from vipe.retrieve.camera.gauss_newton import Workspace, solve
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.camera.problem import Layout, Problem
from vipe.skeletons import load
from vipe.skeletons.joint_conventions import load_convention
from vipe.skeletons.working import COCO13_IN_H36M17

H36M = load("h36m17")
SEEN = list(COCO13_IN_H36M17)
# The data decide alone: next to no noise, so that the priors do not pull.
EXACT = CameraPrior(noise=1e-4, misfit=1e-4, student=None, steps=30, further_steps=0)
GAUSS = CameraPrior(student=None, steps=15, further_steps=0)


def build(poses, factors):
    """Canonical poses with longer bones: the slow twin of the model's `X_j + sum_g l_g B_gj`."""
    body = np.zeros_like(poses, dtype=np.float64)
    for parent, child in H36M.bones:
        name = H36M.joints[child].removeprefix("left_").removeprefix("right_")
        factor = factors[:, BONE_GROUPS.index(name)] if name in BONE_GROUPS else np.zeros(len(poses))
        body[:, child] = body[:, parent] + (poses[:, child] - poses[:, parent]) * (1 + factor[:, None])
    return body


def image(body, R, inverse_depth, scale, shift):
    Y = body @ R.swapaxes(-1, -2)
    return scale * Y[..., :2] / (1 + inverse_depth[:, None, None] * Y[..., 2:]) + shift[:, None]


class Scene:
    """Poses, the cameras and builds that saw them, and what they saw."""

    def __init__(self, standing, count, rng, noise=0.0):
        world = standing + rng.normal(0, 0.13, size=(count, 17, 3))
        self.poses = canonicalize_array(world.astype(np.float32)).poses
        self.R = random_rotation(count, generator=torch.Generator().manual_seed(1), dtype=torch.float64).numpy()
        self.factors = rng.normal(0, 0.06, size=(count, 9))
        self.inverse_depth = rng.uniform(0.04, 0.22, size=count)
        self.shift = rng.normal(0, 300, size=(count, 2))
        self.images = image(build(self.poses, self.factors), self.R, self.inverse_depth, 170.0, self.shift)
        xy = self.images[:, SEEN] + rng.normal(0, noise * 170, size=(count, 13, 2))
        self.people = Keypoints.of(xy)


@pytest.fixture(scope="module")
def scene(standing):
    return Scene(standing, 1000, np.random.default_rng(5))


@pytest.fixture(scope="module")
def noisy(standing):
    return Scene(standing, 60, np.random.default_rng(6), noise=0.03)


def changed(people, xy, mask=None):
    return Keypoints.of(np.asarray(xy, dtype=np.float64), people.mask if mask is None else mask)


def test_the_camera_that_made_the_keypoints_is_found_by_every_one_of_a_thousand(scene):
    fits = fit_cameras(scene.poses[:, None], scene.people, EXACT)
    assert fits.residual.max() < 1e-4
    turn = np.linalg.norm(fits.rotation[:, 0] - scene.R, axis=(1, 2)) / np.sqrt(2)
    assert turn.max() < 1e-3  # radians
    assert np.linalg.norm(fits.shift[:, 0] - scene.shift, axis=1).max() < 1e-3 * 170
    # A person twice as large and twice as far away looks the same: only what that leaves alone can be known.
    assert np.abs(fits.inverse_depth[:, 0] * 170 / fits.scale[:, 0] - scene.inverse_depth).max() < 1e-3
    size = fits.scale[:, 0, None] / 170 * (1 + fits.bones[:, 0])
    # A bone that points at the camera on both sides shows its length to nobody.
    assert (np.abs(size - (1 + scene.factors)) < 1e-3).mean() > 0.99
    assert np.abs(fits.inverse_depth[:, 0] - scene.inverse_depth).max() < 0.02  # by the priors


def test_what_comes_back_is_one_model(scene):
    fits = fit_cameras(scene.poses[:50, None], scene.people[:50])
    one = [np.asarray(part[:, 0], dtype=np.float64) for part in (fits.rotation, fits.inverse_depth, fits.shift)]
    body = build(scene.poses[:50], fits.bones[:, 0].astype(np.float64))
    Y = body @ one[0].swapaxes(1, 2)
    np.testing.assert_allclose(fits.poses[:, 0], Y, atol=1e-5)
    near = fits.scale[:, 0, None, None] / (1 + one[1][:, None, None] * Y[..., 2:])
    images = near * Y[..., :2] + one[2][:, None]
    np.testing.assert_allclose(fits.project()[:, 0], images, atol=0.05)
    error = np.linalg.norm(images[:, SEEN] - scene.people.xy[:50], axis=-1)
    np.testing.assert_allclose(fits.error[:, 0], error, atol=0.05)
    np.testing.assert_allclose(fits.rotation @ fits.rotation.swapaxes(-1, -2), np.eye(3) + 0 * fits.rotation, atol=1e-4)
    assert (np.linalg.det(fits.rotation) > 0).all()


def test_it_is_never_worse_than_its_start_nor_with_more_steps(noisy):
    poses = np.roll(noisy.poses, 1, axis=0)[:, None]  # wrong poses: where steps go astray
    costs = [
        fit_cameras(poses, noisy.people, CameraPrior(steps=steps, further_steps=0)).cost for steps in (1, 2, 4, 8, 16)
    ]
    for more, fewer in zip(costs[1:], costs[:-1], strict=True):
        assert (more <= fewer * (1 + 1e-5) + 1e-3).all()


def posterior(pose, xy):
    """Residuals of the model in float64 for scipy: rotation vector, log scale, inverse_depth, shift, bones."""
    from scipy.spatial.transform import Rotation

    config = GAUSS
    unit = (xy - xy.mean(0)) / np.sqrt(np.square(xy - xy.mean(0)).sum(1).mean())

    def residuals(p):
        body = build(pose[None].astype(np.float64), p[None, 7:])
        R = Rotation.from_rotvec(p[:3]).as_matrix()
        seen = image(body, R, p[4:5], np.exp(p[3]), p[None, 5:7])[0, SEEN]
        prior = [(p[4] - config.inverse_depth) / config.inverse_depth_spread, *(p[7:] / config.bone_spread)]
        return np.concatenate([((seen - unit) / np.hypot(config.noise, config.misfit)).ravel(), prior])

    return residuals


def test_a_known_build_is_kept_to_and_a_vague_one_left(noisy):
    known = BodyProportions(mean=noisy.factors, spread=np.full((60, 9), 1e-3))
    told = fit_cameras(noisy.poses[:, None], noisy.people, GAUSS, proportions=known)
    np.testing.assert_allclose(told.bones[:, 0], noisy.factors, atol=2e-3)
    untold = fit_cameras(noisy.poses[:, None], noisy.people, GAUSS)
    turned = [np.einsum("nij,nij->n", fits.rotation[:, 0], noisy.R) for fits in (told, untold)]
    assert np.mean(turned[0]) > np.mean(turned[1])
    default = BodyProportions(mean=np.zeros((60, 9)), spread=np.full((60, 9), GAUSS.bone_spread))
    again = fit_cameras(noisy.poses[:, None], noisy.people, GAUSS, proportions=default)
    np.testing.assert_allclose(again.cost, untold.cost, rtol=1e-4, atol=1e-3)
    some = fit_cameras(noisy.poses[7:9, None], noisy.people[7:9], GAUSS, proportions=known[7:9])
    np.testing.assert_allclose(some.cost, told.cost[7:9], rtol=1e-4, atol=1e-3)


def test_one_persons_images_agree_on_a_build(standing, rng):
    scene = Scene(standing, 40, rng, noise=0.02)
    factors = scene.factors[0] - scene.factors[0].mean()
    scene.images = image(build(scene.poses, factors[None]), scene.R, scene.inverse_depth, 170.0, scene.shift)
    people = Keypoints.of(scene.images[:, SEEN] + rng.normal(0, 3, size=(40, 13, 2)))
    poses = scene.poses[np.arange(40)[:, None] - np.arange(3)]  # the right one and two wrong ones
    fits = fit_cameras(poses, people, GAUSS)
    shared = shared_proportions(fits, np.zeros(40, dtype=np.int64))
    assert (shared.mean == shared.mean[0]).all()
    assert (shared.spread == shared.spread[0]).all()
    alone = shared_proportions(fits, np.arange(40))

    def off(build):
        return np.sqrt(np.square(build.mean - build.mean.mean(1, keepdims=True) - factors).mean())

    assert off(shared) < 0.85 * off(alone)
    assert (shared.spread <= alone.spread.mean(0)).all()
    both = shared_proportions(fits, np.repeat([7, 3], 20))
    np.testing.assert_allclose(both.mean[25], shared_proportions(fits, np.arange(40) * 0).mean[25], atol=0.05)
    np.testing.assert_array_equal(both.mean[0], both.mean[19])
    assert (both.mean[0] != both.mean[20]).any()


def test_an_image_whose_candidates_disagree_counts_less_for_the_shared_proportions():
    """Two images of one person: in the first the candidates agree on 0, in the second they lie at 0.2 and 0.6."""
    fits = Fits.empty(2, 2)
    bones = np.zeros((2, 2, 9), dtype=np.float32)
    bones[1, 0], bones[1, 1] = 0.2, 0.6
    equal = replace(fits, cost=np.zeros((2, 2), dtype=np.float32), bones=bones)
    shared = shared_proportions(equal, np.zeros(2, dtype=np.int64))
    weights = np.array([1 / 0.03**2, 1 / (0.2**2 + 0.03**2)])  # one over the variance, 0.03 at least
    np.testing.assert_allclose(shared.mean, (weights @ [0, 0.4]) / weights.sum(), rtol=1e-5)


def test_what_keypoints_mark_may_be_off_the_joints(noisy, rng):
    offsets = rng.normal(0, 0.05, size=(13, 3))
    marked = noisy.poses.copy()
    marked[:, SEEN] += offsets.astype(np.float32)
    images = image(build(marked, 0 * noisy.factors), noisy.R, noisy.inverse_depth, 170.0, noisy.shift)
    people = Keypoints.of(images[:, SEEN])
    before = noisy.poses.copy()
    told = fit_cameras(noisy.poses[:, None], people, GAUSS, joint_offsets=offsets)
    np.testing.assert_array_equal(noisy.poses, before)
    untold = fit_cameras(noisy.poses[:, None], people, GAUSS)
    assert told.residual.max() < 0.015 < np.median(untold.residual)
    same = fit_cameras(marked[:, None], people, GAUSS)
    np.testing.assert_allclose(told.cost, same.cost, rtol=1e-4, atol=1e-3)


def marked(scene, offsets):
    """The people of a scene, of the canonical build, with keypoints that are off the joints by some torso lengths."""
    poses = scene.poses.copy()
    poses[:, SEEN] += offsets.astype(np.float32)
    images = image(poses.astype(np.float64), scene.R, scene.inverse_depth, 170.0, scene.shift)
    return Keypoints.of(images[:, SEEN])


@pytest.mark.parametrize("name", ["coco", "openpose", "blazepose"])
def test_the_camera_of_keypoints_that_follow_a_convention_is_found(noisy, name):
    people = marked(noisy, load_convention(name).offsets)
    before = noisy.poses.copy()
    told, untold = (
        fit_cameras(noisy.poses[:, None], replace(people, convention=convention), GAUSS)
        for convention in (name, "archive")
    )
    np.testing.assert_array_equal(noisy.poses, before)
    assert np.median(told.residual) < 0.2 * np.median(untold.residual)
    turned = [np.linalg.norm(fits.rotation[:, 0] - noisy.R, axis=(1, 2)) / np.sqrt(2) for fits in (told, untold)]
    assert np.median(turned[0]) < 0.5 * np.median(turned[1])
    assert np.median(turned[0]) < 0.03  # radians


def test_keypoints_of_a_convention_weigh_what_its_spread_says(noisy):
    """A convention of no offset: costs are those of joints as unsure as its spread, with its bones."""
    unknown = replace(noisy.people, convention="unknown")
    spread = load_convention("unknown").spread
    _, _, radius = normalize_keypoints(noisy.people)
    variance = (GAUSS.noise**2 + spread**2) * radius[:, None].astype(np.float64) ** 2
    by_hand = replace(noisy.people, covariance=variance[..., None, None] * np.eye(2))
    bones = load_convention("unknown").bones
    usual = [bones.get(group, GAUSS.bone_spread) for group in BONE_GROUPS]
    build = BodyProportions(mean=np.zeros((60, 9)), spread=np.tile(usual, (60, 1)))
    expected = fit_cameras(noisy.poses[:, None], by_hand, GAUSS, proportions=build)
    told = fit_cameras(noisy.poses[:, None], unknown, GAUSS)
    np.testing.assert_allclose(told.cost, expected.cost, rtol=1e-3, atol=1e-3)
    assert (told.cost < fit_cameras(noisy.poses[:, None], noisy.people, GAUSS).cost + 1e-3).all()


def test_offsets_that_are_given_take_the_place_of_the_convention(noisy, rng):
    offsets = rng.normal(0, 0.05, size=(13, 3))
    people = marked(noisy, offsets)
    given = [
        fit_cameras(noisy.poses[:, None], replace(people, convention=name), GAUSS, joint_offsets=offsets)
        for name in ("archive", "coco", "unknown")
    ]
    for fits in given[1:]:
        np.testing.assert_array_equal(fits.cost, given[0].cost)
        np.testing.assert_array_equal(fits.poses, given[0].poses)
    none = fit_cameras(noisy.poses[:, None], replace(people, convention="coco"), GAUSS, joint_offsets=np.zeros((13, 3)))
    np.testing.assert_array_equal(none.cost, fit_cameras(noisy.poses[:, None], people, GAUSS).cost)


def test_scipy_finds_no_better_camera(noisy):
    from scipy.spatial.transform import Rotation

    fits = fit_cameras(noisy.poses[:8, None], noisy.people[:8], GAUSS)
    for row in range(8):
        residuals = posterior(noisy.poses[row], noisy.people.xy[row].astype(np.float64))
        best = np.inf
        for turn in Rotation.random(4, rng=np.random.default_rng(row)):
            start = np.concatenate([turn.as_rotvec(), [-0.3, 0.12, 0, 0], np.zeros(9)])
            best = min(best, 2 * least_squares(residuals, start).cost)
        assert fits.cost[row, 0] <= best * 1.001 + 1e-3


def test_scipy_cannot_go_on_from_where_it_ended(noisy, rng):
    from scipy.spatial.transform import Rotation

    poses = (noisy.poses[:20] + rng.normal(0, 0.06, size=(20, 17, 3))).astype(np.float32)  # wrong, as most candidates
    fits = fit_cameras(poses[:, None], noisy.people[:20], GAUSS)
    unit, center, radius = normalize_keypoints(noisy.people[:20])
    ended = []
    for row in range(20):
        start = [
            *Rotation.from_matrix(fits.rotation[row, 0]).as_rotvec(),
            np.log(fits.scale[row, 0] / radius[row]),
            fits.inverse_depth[row, 0],
            *((fits.shift[row, 0] - center[row]) / radius[row]),
            *fits.bones[row, 0],
        ]
        further = least_squares(posterior(poses[row], unit[row].astype(np.float64)), start)
        ended.append(fits.cost[row, 0] <= 2 * further.cost * 1.001 + 1e-3)
    assert np.mean(ended) >= 0.9  # with large residuals Gauss-Newton comes near a minimum slowly


def test_shift_and_scale_of_the_image_are_taken_up_by_the_camera(noisy):
    fits = fit_cameras(noisy.poses[:, None], noisy.people, GAUSS)
    moved = fit_cameras(noisy.poses[:, None], changed(noisy.people, 0.4 * noisy.people.xy + [900, -70]), GAUSS)
    np.testing.assert_allclose(moved.cost, fits.cost, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(moved.scale, 0.4 * fits.scale, rtol=1e-3)
    np.testing.assert_allclose(moved.error, 0.4 * fits.error, atol=0.1)
    np.testing.assert_allclose(moved.project(), 0.4 * fits.project() + [900, -70], atol=0.3)


def test_turning_the_image_or_the_pose_changes_no_cost(noisy):
    fits = fit_cameras(noisy.poses[:, None], noisy.people, GAUSS)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    turned = fit_cameras(noisy.poses[:, None], changed(noisy.people, noisy.people.xy @ turn.T), GAUSS)
    np.testing.assert_allclose(turned.cost, fits.cost, rtol=1e-3, atol=1e-2)
    R = random_rotation(60, generator=torch.Generator().manual_seed(9)).numpy()
    turned = fit_cameras((noisy.poses @ R.swapaxes(1, 2))[:, None], noisy.people, GAUSS)
    np.testing.assert_allclose(turned.cost, fits.cost, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("missing", [1, 4, 7])
def test_where_a_missing_joint_lies_does_not_matter(noisy, rng, missing):
    mask = np.ones((60, 13), dtype=bool)
    for row in mask:
        row[rng.permutation(13)[:missing]] = False
    poses = noisy.poses[:, None]
    fits = fit_cameras(poses, changed(noisy.people, noisy.people.xy, mask))
    other = np.where(mask[..., None], noisy.people.xy, rng.normal(0, 1e4, size=(60, 13, 2)))
    again = fit_cameras(poses, changed(noisy.people, other, mask))
    np.testing.assert_array_equal(again.cost, fits.cost)
    np.testing.assert_array_equal(again.poses, fits.poses)
    assert (fits.error[:, 0][~mask] == 0).all()
    assert np.median(fits.residual) < 0.05


def test_every_candidate_of_every_person_is_fitted_alone(noisy):
    poses = noisy.poses[np.arange(60)[:, None] - np.arange(3)]
    together = fit_cameras(poses, noisy.people, GAUSS)
    for row in (0, 31):
        alone = fit_cameras(poses[row : row + 1, 1:2], noisy.people[row : row + 1], GAUSS)
        np.testing.assert_allclose(alone.cost[0, 0], together.cost[row, 1], rtol=1e-4)
    assert (together.cost[:, 0] < together.cost[:, 1:].min(axis=1)).mean() > 0.95


def test_the_mirrored_start_is_needed_and_tried(standing, rng, monkeypatch):
    # Nearly flat bodies: which way they lean shows in the perspective alone.
    scene = Scene(standing, 300, rng)
    flat = scene.poses * np.array([0.05, 1, 1], dtype=np.float32)
    images = image(flat[:, SEEN], scene.R, scene.inverse_depth, 170.0, scene.shift)
    people = Keypoints.of(images)
    both = fit_cameras(flat[:, None], people, GAUSS)
    monkeypatch.setattr(solver_module, "_DOUBT", -1.0)
    one = fit_cameras(flat[:, None], people, GAUSS)
    assert (both.cost <= one.cost + 1e-3).all()
    assert (one.cost > both.cost + 1).sum() > 5
    assert np.quantile(both.residual, 0.95) < 0.03


def test_a_joint_far_off_does_not_decide(noisy):
    xy = noisy.people.xy.copy()
    xy[:, 5] += [120, -90]
    robust = fit_cameras(noisy.poses[:, None], changed(noisy.people, xy))
    gauss = fit_cameras(noisy.poses[:, None], changed(noisy.people, xy), GAUSS)
    others = np.arange(13) != 5
    assert np.median(robust.error[..., others]) < 0.6 * np.median(gauss.error[..., others])
    assert (robust.error[..., 5] > 60).mean() > 0.9


def test_confident_joints_and_small_covariances_count_for_more(noisy):
    xy = noisy.people.xy.copy()
    xy[:, 5] += [120, -90]
    people = changed(noisy.people, xy)
    object.__setattr__(people, "confidence", np.where(np.arange(13) == 5, 0.05, 1.0) * np.ones((60, 1), np.float32))
    doubted = fit_cameras(noisy.poses[:, None], people, GAUSS)
    covariance = np.where(np.arange(13) == 5, 1e5, 10.0)[:, None, None] * np.eye(2) * np.ones((60, 1, 1, 1))
    object.__setattr__(people, "covariance", covariance)
    told = fit_cameras(noisy.poses[:, None], people, GAUSS)
    equal = fit_cameras(noisy.poses[:, None], changed(noisy.people, xy), GAUSS)
    assert (doubted.error[..., 5] > equal.error[..., 5]).mean() > 0.95
    assert (told.error[..., 5] > doubted.error[..., 5]).mean() > 0.9


def test_nothing_is_nan(noisy):
    people = noisy.people[:8]
    xy, mask = people.xy.copy(), people.mask.copy()
    poses = noisy.poses[:8, None].copy()
    xy[0] = 50
    mask[1] = False
    mask[2, 2:] = False
    poses[3, ..., 0] = 0
    poses[4, ..., :2] = 0
    poses[5] = 0
    poses[6] *= 1e4
    xy[7] = [1, 0] * xy[7]
    for config in (CameraPrior(), GAUSS):
        fits = fit_cameras(poses, Keypoints.of(xy, mask), config)
        for part in (fits.cost, fits.residual, fits.rotation, fits.scale, fits.shift, fits.poses, fits.error):
            assert np.isfinite(part).all()
        np.testing.assert_allclose(fits.project()[0, 0], 50)
        np.testing.assert_allclose(np.linalg.det(fits.rotation), 1, atol=1e-3)


def test_nobody_and_no_candidates(noisy):
    assert fit_cameras(noisy.poses[:0, None], noisy.people[:0]).cost.shape == (0, 1)
    assert fit_cameras(noisy.poses[:, None][:, :0], noisy.people).poses.shape == (60, 0, 17, 3)


def test_threads_and_blocks_change_nothing(noisy):
    poses = noisy.poses[np.arange(60)[:, None] - np.arange(20)]
    threads = torch.get_num_threads()
    costs = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            costs.append(fit_cameras(poses, noisy.people, CameraPrior(refine=5)).cost)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-4)


def test_a_second_round_starts_where_the_first_ended(noisy):
    points = torch.from_numpy(noisy.poses.reshape(60, 51))
    xy = torch.randn(13, 2, 60, generator=torch.Generator().manual_seed(0))
    problem = Problem.of(points, xy, torch.full((13, 60), 900.0), CameraPrior())
    first = solve(problem, 2, Workspace(60))
    assert (solve(problem, 3, Workspace(60), first)[Layout.COST] <= first[Layout.COST] * (1 + 1e-6)).all()


@pytest.mark.refusal
def test_what_does_not_fit_is_refused(noisy):
    with pytest.raises(ShapeError, match=r"poses must be \(60 people, K, 17, 3\), got shape \(60, 17, 3\)"):
        fit_cameras(noisy.poses, noisy.people)
    with pytest.raises(ShapeError, match="poses must be finite"):
        fit_cameras(np.full((60, 1, 17, 3), np.nan), noisy.people)
    with pytest.raises(ShapeError, match=r"joint_offsets must be \(13, 3\) finite numbers, got shape \(17, 3\)"):
        fit_cameras(noisy.poses[:, None], noisy.people, joint_offsets=np.zeros((17, 3)))
    with pytest.raises(ShapeError, match=r"proportions must be of 60 people, got 2"):
        fit_cameras(
            noisy.poses[:, None],
            noisy.people,
            proportions=BodyProportions(mean=np.zeros((2, 9)), spread=np.ones((2, 9))),
        )
    with pytest.raises(
        ShapeError, match=r"body proportions: spread must be \(2, 9\) finite numbers, got shape \(2, 8\)"
    ):
        BodyProportions(mean=np.zeros((2, 9)), spread=np.ones((2, 8)))
    with pytest.raises(VipeError, match=r"body proportions: spread must be above 0, got 0.0"):
        BodyProportions(mean=np.zeros((2, 9)), spread=np.zeros((2, 9)))
    with pytest.raises(ShapeError, match=r"group must be \(60,\)"):
        shared_proportions(fit_cameras(noisy.poses[:, None], noisy.people), np.zeros(3, dtype=np.int64))


@pytest.mark.parametrize(
    "setting",
    [
        {"noise": 0.0},
        {"bone_spread": -1.0},
        {"student": 0.0},
        {"student": np.inf},
        {"inverse_depth": np.nan},
        {"steps": 0},
        {"further_steps": -3},
    ],
)
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(VipeError, match=f"camera prior: {next(iter(setting))} must"):
        CameraPrior(**setting)


@pytest.mark.parametrize(
    "belief", ["noise", "misfit", "inverse_depth", "inverse_depth_spread", "bone_spread", "student"]
)
def test_a_prior_of_another_belief_differs_and_one_of_another_effort_does_not(belief):
    usual = CameraPrior()
    assert usual.differences(replace(usual, **{belief: 0.7})) == f"{belief} is 0.7, not {getattr(usual, belief)}"
    assert usual.differences(replace(usual, steps=7, refine=None, further_steps=0)) == ""


def test_keypoints_of_another_skeleton_are_refused(noisy, of_coco17):
    with pytest.raises(ShapeError, match="coco13, got coco17"):
        fit_cameras(noisy.poses[:1, None], of_coco17)
