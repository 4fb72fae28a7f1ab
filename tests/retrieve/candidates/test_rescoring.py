"""Candidates compared again: plain weighted least squares over affine cameras, each keypoint as sure as it is."""

import numpy as np
import pytest

from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.variances import candidate_weights
from vipe.retrieve.candidates.candidates import candidates_for
from vipe.retrieve.candidates.rescoring import DEPTH, rescored, rescored_places, weighted_residuals
from vipe.skeletons.joint_conventions import load_convention
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17


def by_least_squares(points, xy, weight):
    """Slow twin: eight numbers of an affine camera for each pose."""
    root, residuals = np.sqrt(weight)[:, None], []
    for pose in points:
        columns = np.column_stack([pose, np.ones(len(pose))])
        camera = np.linalg.lstsq(root * columns, root * xy, rcond=None)[0]
        residuals.append(np.square(root * (columns @ camera - xy)).sum())
    return np.array(residuals)


@pytest.fixture
def scene(standing, rng):
    points = standing[list(COCO13_IN_H36M17)] + rng.normal(0, 0.2, (30, 13, 3))
    return points, rng.normal(size=(13, 2)), rng.uniform(1, 400, 13)


def test_it_is_weighted_least_squares(scene):
    np.testing.assert_allclose(weighted_residuals(*scene), by_least_squares(*scene), rtol=1e-6)


def test_poses_in_a_plane_and_on_a_line_have_their_least_squares_too(scene):
    points, xy, weight = scene
    for flat in ([0.0, 1, 1], [0, 0, 1]):
        own = points * flat
        np.testing.assert_allclose(
            weighted_residuals(own, xy, weight), by_least_squares(own, xy, weight), rtol=1e-5, err_msg=str(flat)
        )


def test_a_joint_without_weight_is_not_there(scene, rng):
    points, xy, weight = scene
    weight[[2, 9]] = 0
    seen = weight > 0
    alone = by_least_squares(points[:, seen], xy[seen], weight[seen])
    np.testing.assert_allclose(weighted_residuals(points, xy, weight), alone, rtol=1e-6)
    elsewhere = np.where(seen[:, None], xy, rng.normal(0, 50, (13, 2)))
    np.testing.assert_allclose(weighted_residuals(points, elsewhere, weight), alone, rtol=1e-6)


def test_an_affine_change_of_pose_or_image_place_changes_nothing(scene, rng):
    points, xy, weight = scene
    expected = weighted_residuals(points, xy, weight)
    changed = points @ rng.normal(size=(3, 3)) + rng.normal(size=3)
    np.testing.assert_allclose(weighted_residuals(changed, xy - 8, weight), expected, rtol=1e-6)
    np.testing.assert_allclose(weighted_residuals(points, xy, 4 * weight), 4 * expected, rtol=1e-9)


def marked_as_coco(index, rows, rng):
    """Orthographic views of poses whose joints are where COCO's annotators put them, and wrists that are anywhere."""
    points = index.poses(rows)[:, COCO13_IN_H36M17] + load_convention("coco").offsets
    turned = np.linalg.qr(rng.normal(size=(len(rows), 3, 3)))[0][..., :2]
    xy = 150 * points @ turned + 400
    wrists = [COCO13.index(f"{side}_wrist") for side in ("left", "right")]
    xy[:, wrists] += rng.normal(0, 60, (len(rows), 2, 2))
    confidence = np.ones((len(rows), 13))
    confidence[:, wrists] = 0.06
    return Keypoints.of(xy, confidence=confidence, convention="coco")


def test_keypoints_that_are_sure_bring_the_true_pose_to_the_front(affine, rng):
    rows = np.arange(0, 120, 12)
    people = marked_as_coco(affine, rows, rng)
    weight = candidate_weights(people, CameraPrior())
    every = np.broadcast_to(np.arange(len(affine)), (len(rows), len(affine)))
    best = rescored(affine, people, weight, every, 5)
    assert best.shape == (len(rows), 5)
    np.testing.assert_array_equal(best[:, 0], rows)
    equal = rescored(affine, people, np.ones_like(weight), every, 5)
    assert (equal[:, 0] == rows).mean() < 0.9


def test_places_are_ordered_by_the_weighted_residual(affine, rng):
    people = marked_as_coco(affine, np.array([4, 70]), rng)
    weight = candidate_weights(people, CameraPrior())
    rows = np.stack([rng.permutation(120)[:40] for _ in range(2)])
    best = rescored(affine, people, weight, rows, 40)
    unit = normalize_keypoints(people)[0].astype(np.float64)
    for person in range(2):
        points = affine.poses(rows[person])[:, COCO13_IN_H36M17] + load_convention("coco").offsets
        residual = by_least_squares(points, unit[person], weight[person])
        np.testing.assert_array_equal(best[person], np.argsort(residual))
    alone = rescored(affine, people[1], weight[1:], rows[1:], 7)
    np.testing.assert_array_equal(alone[0], best[1, :7])
    assert rescored(affine, people[:0], weight[:0], rows[:0], 7).shape == (0, 7)


def test_poses_that_are_not_usable_come_last(affine, rng):
    people = marked_as_coco(affine, np.array([4]), rng)
    poses = affine.poses(np.arange(12))[None]
    weight = candidate_weights(people, CameraPrior())
    usable = np.arange(12)[None] != 4
    assert rescored_places(poses, people, weight, 12)[0, 0] == 4
    assert rescored_places(poses, people, weight, 12, usable)[0, -1] == 4


def test_candidates_are_the_best_of_more_where_keypoints_differ_in_how_sure_they_are(affine, rng):
    people = marked_as_coco(affine, np.arange(0, 120, 12), rng)
    weight = candidate_weights(people, CameraPrior())
    few = candidates_for(affine, people, 4, weight=weight)
    more = candidates_for(affine, people, 4 * DEPTH)
    places = rescored(affine, people, weight, more.rows, 4)
    np.testing.assert_array_equal(few.rows, np.take_along_axis(more.rows, places, axis=1))
    np.testing.assert_array_equal(few.affine_residual, np.take_along_axis(more.affine_residual, places, axis=1))
