"""A known focal length in the camera fit: scale and distance are one number."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from vipe.detections import Keypoints, normalize_keypoints
from vipe.detections.cameras.known_cameras import in_perspective_crops
from vipe.detections.cameras.lens import Lens
from vipe.geometry import canonicalize_array, random_rotation
from vipe.retrieve import BONE_GROUPS, CameraPrior, Search, fit_cameras
from vipe.retrieve.camera.known_focal import FOCAL_SPREAD, depth_priors, known_focal
from vipe.retrieve.labels.labelling import MIRRORED, SIDES, STRETCHES, suspected
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

SEEN = list(COCO13_IN_H36M17)
GAUSS = CameraPrior(student=None, steps=25, further_steps=0)
LENS = Lens(900.0, 900.0, 600.0, 400.0)


def built(pose: np.ndarray, factors: np.ndarray) -> np.ndarray:
    body = np.zeros((17, 3))
    for parent, child in load("h36m17").bones:
        name = load("h36m17").joints[child].removeprefix("left_").removeprefix("right_")
        factor = factors[BONE_GROUPS.index(name)] if name in BONE_GROUPS else 0.0
        body[child] = body[parent] + (pose[child] - pose[parent]) * (1 + factor)
    return body


@pytest.fixture(scope="module")
def scene(standing: np.ndarray) -> tuple[np.ndarray, Keypoints, np.ndarray]:
    """Poses, what a camera 1 to 8 torso lengths off sees of them beside its axis, and the depth of the pelvis."""
    rng = np.random.default_rng(3)
    poses = canonicalize_array((standing + rng.normal(0, 0.1, (40, 17, 3))).astype(np.float32)).poses
    turn = random_rotation(40, generator=torch.Generator().manual_seed(2), dtype=torch.float64).numpy()
    depth = rng.uniform(2.5, 8, 40)
    aside = np.stack([rng.uniform(-0.5, 0.5, 40), rng.uniform(-0.3, 0.3, 40), np.ones(40)], axis=1)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    points = (poses.astype(np.float64) @ turn.swapaxes(1, 2) + (depth[:, None] * aside)[:, None])[:, SEEN]
    return poses, Keypoints.of(LENS.project(points), convention="archive"), depth


def test_the_distance_follows_from_the_focal_length(scene: tuple[np.ndarray, Keypoints, np.ndarray]) -> None:
    poses, people, depth = scene
    cropped = in_perspective_crops(people, [LENS] * 40)
    known, unknown = fit_cameras(poses[:, None], cropped, GAUSS), fit_cameras(poses[:, None], people, GAUSS)
    tied = known.scale[:, 0] / 900
    assert np.abs(known.inverse_depth[:, 0] - tied).max() < 3 * FOCAL_SPREAD
    off = [np.abs(fits.inverse_depth[:, 0] * depth - 1) for fits in (known, unknown)]
    assert np.median(off[0]) < 0.03
    assert np.median(off[1]) > 0.15
    assert np.median(known.residual) < 0.3 * np.median(unknown.residual)


def test_scipy_finds_no_better_camera(scene: tuple[np.ndarray, Keypoints, np.ndarray]) -> None:
    poses, people, _ = scene
    rng = np.random.default_rng(4)
    noisy = replace(people, xy=(people.xy + rng.normal(0, 5, people.xy.shape)).astype(np.float32))
    cropped = in_perspective_crops(noisy, [LENS] * 40)
    fits = fit_cameras(poses[:8, None], cropped[:8], GAUSS)
    unit, centre, radius = normalize_keypoints(cropped[:8])
    for row in range(8):
        size = float(radius[row]) / 900

        def residuals(p: np.ndarray, row: int = row, size: float = size) -> np.ndarray:
            Y = built(poses[row].astype(np.float64), p[7:]) @ Rotation.from_rotvec(p[:3]).as_matrix().T
            image = np.exp(p[3]) * Y[SEEN, :2] / (1 + p[4] * Y[SEEN, 2:]) + p[5:7]
            data = (image - unit[row]) / np.sqrt(GAUSS.noise**2 / cropped.confidence[row] + GAUSS.misfit**2)[:, None]
            return np.concatenate([data.ravel(), [(p[4] - size * np.exp(p[3])) / FOCAL_SPREAD], p[7:] / 0.08])

        best = min(
            2 * least_squares(residuals, [*turn.as_rotvec(), -0.3, 0.2, 0, 0, *np.zeros(9)]).cost
            for turn in Rotation.random(4, rng=np.random.default_rng(row))
        )
        assert fits.cost[row, 0] <= best * 1.002 + 5e-3
        own = [
            *Rotation.from_matrix(fits.rotation[row, 0].astype(np.float64)).as_rotvec(),
            np.log(fits.scale[row, 0] / radius[row]),
            fits.inverse_depth[row, 0],
            *(fits.shift[row, 0] - centre[row]) / radius[row],
            *fits.bones[row, 0],
        ]
        assert fits.cost[row, 0] == pytest.approx(np.square(residuals(np.array(own))).sum(), rel=1e-3, abs=5e-3)


def test_a_step_or_two_are_enough(scene: tuple[np.ndarray, Keypoints, np.ndarray]) -> None:
    poses, people, _ = scene
    cropped = in_perspective_crops(people, [LENS] * 40)
    ended = fit_cameras(poses[:, None], cropped, GAUSS).cost
    for steps, left in ((1, 2.0), (2, 0.02)):
        early = fit_cameras(poses[:, None], cropped, replace(GAUSS, steps=steps)).cost
        assert np.quantile(early - ended, 0.9) < left


def test_people_of_unknown_cameras_are_fitted_as_if_they_were_alone(
    scene: tuple[np.ndarray, Keypoints, np.ndarray],
) -> None:
    poses, people, _ = scene
    cropped = in_perspective_crops(people[:5], [LENS] * 5)
    mixed = Keypoints.concat([cropped, people[5:10]])
    fits = fit_cameras(poses[:10, None], mixed)
    np.testing.assert_allclose(fits.cost[:5], fit_cameras(poses[:5, None], cropped).cost, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(fits.cost[5:], fit_cameras(poses[5:10, None], people[5:10]).cost, rtol=1e-4, atol=1e-3)
    assert known_focal(people, np.ones(40, dtype=np.float32), CameraPrior()) is None


def test_fits_are_judged_at_the_depth_they_were_fitted_at(scene: tuple[np.ndarray, Keypoints, np.ndarray]) -> None:
    poses, people, depth = scene
    cropped = in_perspective_crops(people[:6], [LENS] * 6)
    mixed = Keypoints.concat([cropped, people[6:7]])
    fits = fit_cameras(np.stack([poses[:9]] * 7), mixed)
    every = list(depth_priors(CameraPrior(), fits, mixed))
    assert [rows for rows, _ in every] == [slice(row, row + 1) for row in range(7)]
    for row in range(6):
        assert every[row][1].inverse_depth * depth[row] == pytest.approx(1, abs=0.15)
        own = every[row][1]
        assert own == replace(
            CameraPrior(), inverse_depth=own.inverse_depth, inverse_depth_spread=own.inverse_depth_spread
        )
        assert 0.02 < own.inverse_depth_spread < 0.5 * own.inverse_depth
    assert every[6][1] == CameraPrior()
    ((rows, prior),) = depth_priors(CameraPrior(), fits, replace(mixed, crop=()))
    assert (rows, prior) == (slice(0, 7), CameraPrior())


def test_features_and_likelihoods_are_those_of_each_person_alone(affine) -> None:
    rng = np.random.default_rng(5)
    poses = affine.canonical[:3].astype(np.float64)
    points = (poses + rng.normal(0, 0.01, poses.shape))[:, SEEN][..., [1, 2, 0]] * [1, -1, 1] + [0.5, 0.2, 4.0]
    people = in_perspective_crops(Keypoints.of(LENS.project(points), convention="archive"), [LENS] * 3)
    search = Search(affine)
    fitted = search.fitted(search.candidates(people, 50), people, 20)
    features, likelihood = search.features(fitted, people), search.likelihood(fitted.fits, people)
    assert features.values.shape[:2] == (3, 20)
    assert likelihood.cost.shape[1:] == (3, 20)
    for row in range(3):
        one = people[row]
        alone = search.fitted(search.candidates(one, 50), one, 20)
        np.testing.assert_allclose(
            search.features(alone, one).evidence[0], features.evidence[row], rtol=1e-2, atol=0.05
        )
    shown = search.features(fitted, replace(people, crop=()))
    assert np.abs(shown.evidence - features.evidence).max() > 0.1


def test_images_of_known_cameras_are_neither_squeezed_nor_mirrored(scene: tuple) -> None:
    poses, people, _ = scene
    mixed = Keypoints.concat([in_perspective_crops(people[:2], [LENS] * 2), people[2:3]])
    fits = fit_cameras(poses[:3, None], mixed)
    for labelling, rows in suspected(mixed, fits):
        if labelling in (MIRRORED, *STRETCHES):
            assert rows.tolist() == [2]
        elif labelling in SIDES:
            assert rows.tolist() == [0, 1, 2]
