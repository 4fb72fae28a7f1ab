"""Candidates compared again: plain weighted least squares over affine cameras, each keypoint as sure as it is."""

import numpy as np
import pytest

from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve.body import BONE_GROUPS, GROUP_OF_BONE
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.variances import candidate_sureness
from vipe.retrieve.candidates.candidates import candidates_for
from vipe.retrieve.candidates.rescoring import (
    _CLOSELY,
    DEPTH,
    Sureness,
    rescored,
    rescored_places,
    residuals_of_any_build,
    weighted_residuals,
)
from vipe.retrieve.session import CANDIDATES
from vipe.simulate.people import rebuilt
from vipe.skeletons.joint_conventions import load_convention
from vipe.skeletons.working import CHILDREN, COCO13, COCO13_IN_H36M17, H36M17, PARENTS


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
    sure = candidate_sureness(people, CameraPrior())
    every = np.broadcast_to(np.arange(len(affine)), (len(rows), len(affine)))
    best = rescored(affine, people, sure, every, 5)
    assert best.shape == (len(rows), 5)
    np.testing.assert_array_equal(best[:, 0], rows)
    equal = rescored(affine, people, Sureness(np.ones_like(sure.weight), sure.bone_spread), every, 5)
    assert (equal[:, 0] == rows).mean() < 0.9


def by_all_at_once(points, bones, xy, weight, spread):
    """Slow twin: the camera and nine bone factors from one least-squares problem, moves added up bone by bone."""
    residuals = []
    for pose, vectors, plain in zip(points, bones, cameras(points, xy, weight), strict=True):
        moves = np.zeros((17, len(BONE_GROUPS), 3))
        for bone, (parent, end) in enumerate(H36M17.bones):
            moves[end] = moves[parent]
            if GROUP_OF_BONE[bone] is not None:
                moves[end, GROUP_OF_BONE[bone]] += vectors[bone]
        moves = moves[list(COCO13_IN_H36M17)] @ plain[:3]  # joints, groups, x and y
        rows, seen = [], []
        for joint in range(13):
            for axis in range(2):
                camera = np.zeros(8)
                camera[axis::2] = [*pose[joint], 1]
                rows.append(np.sqrt(weight[joint]) * np.concatenate([camera, moves[joint, :, axis]]))
                seen.append(np.sqrt(weight[joint]) * xy[joint, axis])
        matrix = np.concatenate([rows, np.eye(17)[8:] / spread[:, None]])
        target = np.concatenate([seen, np.zeros(9)])
        found = np.linalg.lstsq(matrix, target, rcond=None)[0]
        residuals.append(np.square(matrix @ found - target).sum())
    return np.array(residuals)


def cameras(points, xy, weight):
    """The affine camera of each pose, (4, 2)."""
    root = np.sqrt(weight)[:, None]
    columns = [np.column_stack([pose, np.ones(len(pose))]) for pose in points]
    return [np.linalg.lstsq(root * one, root * xy, rcond=None)[0] for one in columns]


@pytest.fixture
def bones(standing, rng):
    pose = standing + rng.normal(0, 0.2, (30, 17, 3))
    return pose[:, list(CHILDREN)] - pose[:, list(PARENTS)]


def test_bones_of_any_length_are_found_with_the_camera(scene, bones, rng):
    points, xy, weight = scene
    spread = rng.uniform(0.05, 0.3, 9)
    found = residuals_of_any_build(points, bones, xy, weight, spread)
    np.testing.assert_allclose(found, by_all_at_once(points, bones, xy, weight, spread), rtol=1e-6)
    assert (found < weighted_residuals(points, xy, weight)).all()


def test_bones_that_may_not_change_change_nothing(scene, bones):
    points, xy, weight = scene
    found = residuals_of_any_build(points, bones, xy, weight, np.full(9, 1e-7))
    np.testing.assert_allclose(found, weighted_residuals(points, xy, weight), rtol=1e-6)


def test_a_pose_of_another_build_is_found_behind_its_keypoints(affine, rng):
    """Legs a fifth longer, trunk a fifth shorter: bones explain the view, and the canonical body does not."""
    poses = affine.poses(np.arange(120)).astype(np.float64)
    lengths = {"knee": 1.2, "ankle": 1.2, "spine": 0.8, "thorax": 0.8}
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0][:, :2]
    spread = np.full(9, 0.2)
    points, bones = poses[:, list(COCO13_IN_H36M17)], poses[:, list(CHILDREN)] - poses[:, list(PARENTS)]
    for row in range(0, 120, 24):
        xy = rebuilt(poses[row, None], lengths)[0, list(COCO13_IN_H36M17)] @ turned
        plain = weighted_residuals(points[row, None], xy, np.full(13, 400.0))
        free = residuals_of_any_build(points[row, None], bones[row, None], xy, np.full(13, 400.0), spread)
        assert free < 0.35 * plain


def test_all_places_are_ordered_by_the_residual_of_any_build(affine, rng):
    people = marked_as_coco(affine, np.array([4, 70]), rng)
    sure = candidate_sureness(people, CameraPrior())
    rows = np.stack([rng.permutation(120)[:40] for _ in range(2)])
    best = rescored(affine, people, sure, rows, 40)
    unit = normalize_keypoints(people)[0].astype(np.float64)
    for person in range(2):
        poses = affine.poses(rows[person]).astype(np.float64)
        points = poses[:, COCO13_IN_H36M17] + load_convention("coco").offsets
        bones = poses[:, list(CHILDREN)] - poses[:, list(PARENTS)]
        residual = by_all_at_once(points, bones, unit[person], sure.weight[person], sure.bone_spread)
        np.testing.assert_array_equal(best[person], np.argsort(residual))
    # Three times 14 are more than 40, so all are compared with bones of any length.
    np.testing.assert_array_equal(rescored(affine, people, sure, rows, 14), best[:, :14])
    alone = rescored(affine, people[1], sure[1:], rows[1:], 7)
    assert alone.shape == (1, 7)
    assert rescored(affine, people[:0], sure[:0], rows[:0], 7).shape == (0, 7)


def test_poses_that_are_not_usable_come_last(affine, rng):
    people = marked_as_coco(affine, np.array([4]), rng)
    poses = affine.poses(np.arange(12))[None]
    sure = candidate_sureness(people, CameraPrior())
    usable = np.arange(12)[None] != 4
    assert rescored_places(poses, people, sure, 12)[0, 0] == 4
    assert rescored_places(poses, people, sure, 12, usable)[0, -1] == 4


def test_candidates_are_the_best_of_more_where_keypoints_differ_in_how_sure_they_are(affine, rng):
    people = marked_as_coco(affine, np.arange(0, 120, 12), rng)
    sure = candidate_sureness(people, CameraPrior())
    few = candidates_for(affine, people, 4, sureness=sure)
    more = candidates_for(affine, people, 4 * DEPTH)
    places = rescored(affine, people, sure, more.rows, 4)
    np.testing.assert_array_equal(few.rows, np.take_along_axis(more.rows, places, axis=1))
    np.testing.assert_array_equal(few.affine_residual, np.take_along_axis(more.affine_residual, places, axis=1))


def test_as_many_are_compared_again_as_the_documentation_says():
    assert (DEPTH * CANDIDATES, _CLOSELY * CANDIDATES) == (3000, 600)


def test_those_that_keypoints_alone_rule_out_are_not_compared_with_bones_of_any_length(affine, rng):
    people = marked_as_coco(affine, np.array([4]), rng)
    sure = candidate_sureness(people, CameraPrior())
    every = np.arange(120)[None]
    by_keypoints = rescored(affine, people, Sureness(sure.weight, np.full(9, 1e-6)), every, 120)[0]
    best = rescored(affine, people, sure, every, 120)[0]
    near = by_keypoints[: 3 * 5]
    expected = [place for place in best if place in near][:5]
    np.testing.assert_array_equal(rescored(affine, people, sure, every, 5)[0], expected)
