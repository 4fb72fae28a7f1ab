"""Where annotators put joints is learned from keypoints alone, as far as cameras and builds leave it open."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError, VipeError
from vipe.geometry.rotations import random_rotation
from vipe.retrieve import CameraPrior, fit_cameras
from vipe.retrieve.camera.conventions import _derivatives, fit_offsets
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

COCO = load("coco13")


def convention():
    """Hips marked high, shoulders low, the nose in front."""
    offsets = np.zeros((13, 3))
    for side in ("left", "right"):
        offsets[COCO.index(f"{side}_hip")] = [0.0, 0.0, 0.12]
        offsets[COCO.index(f"{side}_shoulder")] = [0.0, 0.0, -0.08]
    offsets[COCO.index("nose")] = [-0.08, 0.0, 0.0]
    return offsets


@pytest.fixture
def annotated(affine, rng):
    """40 poses of the archive from cameras far away, marked by the convention."""
    rows = np.arange(0, 120, 3)
    turn = random_rotation(len(rows), generator=torch.Generator().manual_seed(2)).numpy()[:, :2]
    points = affine.canonical[rows][:, COCO13_IN_H36M17] + convention()
    xy = 150 * points @ turn.swapaxes(1, 2) + rng.normal(0, 1.5, size=(len(rows), 13, 2)) + 400
    return rows, Keypoints.of(xy)


def test_offsets_explain_what_the_convention_does(affine, annotated):
    rows, people = annotated
    fitted = fit_offsets(affine, people, candidates=40, spread=0.1)
    poses = affine.poses(rows)[:, None]
    ignored, known, found = (fit_cameras(poses, people, joint_offsets=one) for one in (None, convention(), fitted))
    assert found.cost.mean() < known.cost.mean() + 0.2 * (ignored.cost.mean() - known.cost.mean())
    nose = COCO.index("nose")
    assert fitted[nose, 0] == pytest.approx(-0.08, abs=0.04)
    apart = [one[COCO.index("left_shoulder"), 2] - one[COCO.index("left_hip"), 2] for one in (fitted, convention())]
    assert apart[0] < 0.4 * apart[1]  # the spine's bones take some of it


def test_offsets_are_mirror_images_and_nought_where_nobody_looks(affine, annotated):
    _, people = annotated
    mask = np.ones((40, 13), dtype=bool)
    mask[:, [COCO.index("left_wrist"), COCO.index("right_wrist")]] = False
    offsets = fit_offsets(affine, Keypoints.of(people.xy, mask), candidates=20)
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        left, right = offsets[COCO.index(f"left_{name}")], offsets[COCO.index(f"right_{name}")]
        np.testing.assert_allclose(left, right * [1, -1, 1], atol=1e-9)
    np.testing.assert_allclose(offsets[COCO.index("left_wrist")], 0, atol=1e-9)
    assert offsets[COCO.index("nose"), 1] == pytest.approx(0, abs=1e-9)


def test_keypoints_of_the_archives_own_joints_need_hardly_any(affine, annotated, rng):
    rows, _ = annotated
    turn = random_rotation(len(rows), generator=torch.Generator().manual_seed(4)).numpy()[:, :2]
    xy = 150 * affine.canonical[rows][:, COCO13_IN_H36M17] @ turn.swapaxes(1, 2)
    offsets = fit_offsets(affine, Keypoints.of(xy + rng.normal(0, 1.5, size=xy.shape)), candidates=20)
    assert np.linalg.norm(offsets, axis=1).max() < 0.03


def test_a_joint_of_little_confidence_hardly_counts_and_covariance_serves_as_well(affine, annotated):
    """The weighting of keypoints is that of the camera fit, whether a detector gives scores or covariances."""
    people = annotated[1][:4]  # few, so that the prior of the offsets counts beside them
    nose, prior = COCO.index("nose"), CameraPrior()
    confidence = np.ones((4, 13), dtype=np.float32)
    confidence[:, nose] = 0.05
    radius = normalize_keypoints(people)[2]
    variance = (prior.noise**2 / confidence) * radius[:, None] ** 2
    covariance = (variance[..., None, None] * np.eye(2)).astype(np.float32)
    of_scores, of_covariances, usual = (
        fit_offsets(affine, one, candidates=10)
        for one in (replace(people, confidence=confidence), replace(people, covariance=covariance), people)
    )
    np.testing.assert_allclose(of_scores, of_covariances, atol=1e-4)
    assert abs(of_scores[nose, 0]) < 0.7 * abs(usual[nose, 0])


def test_a_tight_belief_holds_offsets_at_nought(affine, annotated):
    _, people = annotated
    assert np.abs(fit_offsets(affine, people[:3], candidates=10, spread=1e-4)).max() < 1e-4


def test_derivatives_are_those_of_the_images(affine, annotated, rng):
    rows, people = annotated
    fits = fit_cameras(affine.poses(rows[:1])[:, None], people[:1])
    left, by_offset, _, _ = _derivatives(fits, people, 0, 0)
    scale = fits.scale[0, 0]
    np.testing.assert_allclose(
        np.linalg.norm(left.reshape(13, 2), axis=1) * scale, fits.error[0, 0], rtol=1e-3, atol=1e-2
    )
    step = rng.normal(0, 1e-3, size=(13, 3))
    body = fits.poses[0, 0, COCO13_IN_H36M17] + step @ fits.rotation[0, 0].T
    near = 1 / (1 + fits.inverse_depth[0, 0] * body[:, 2:])
    before = fits.poses[0, 0, COCO13_IN_H36M17]
    moved = near * body[:, :2] - before[:, :2] / (1 + fits.inverse_depth[0, 0] * before[:, 2:])
    np.testing.assert_allclose((by_offset @ step.ravel()).reshape(13, 2), moved, atol=2e-6)


@pytest.mark.refusal
def test_what_cannot_be_fitted_is_refused(affine, annotated):
    _, people = annotated
    with pytest.raises(VipeError, match="spread must be above 0, got 0"):
        fit_offsets(affine, people, spread=0.0)
    nobody = Keypoints.of(people.xy[:2], np.zeros((2, 13), dtype=bool))
    with pytest.raises(VipeError, match="nobody can be searched for; give people of whom at least 6 joints are seen"):
        fit_offsets(affine, nobody)
    with pytest.raises(ShapeError, match="must be on skeleton coco13, got h36m17"):
        fit_offsets(
            affine,
            Keypoints(
                xy=np.zeros((1, 17, 2), dtype=np.float32),
                mask=np.ones((1, 17), dtype=bool),
                confidence=np.ones((1, 17), dtype=np.float32),
                image_id=(0,),
                person=np.zeros(1, dtype=np.int64),
                skeleton=load("h36m17"),
            ),
        )
