import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.errors import ShapeError
from vipe.retrieve import affine_camera
from vipe.retrieve.query import query


def test_the_camera_that_made_the_keypoints_comes_back(affine, rng):
    poses = affine.canonical[:20]
    A, t = rng.normal(0, 80, size=(20, 2, 3)), rng.normal(0, 300, size=(20, 2))
    joints = [9, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]
    xy = poses[:, joints] @ A.swapaxes(1, 2) + t[:, None]
    camera = affine_camera(poses[:, None], Keypoints.of(xy))
    np.testing.assert_allclose(camera.A[:, 0], A, atol=0.01)
    np.testing.assert_allclose(camera.t[:, 0], t, atol=0.01)
    assert camera.residual.max() < 1e-4
    np.testing.assert_allclose(camera.project(poses[:, None])[:, 0][:, joints], xy, atol=0.01)


def test_its_residual_is_what_the_search_ranks_by(index, people):
    hits = query(index, people, 8, mode="affine")
    for row in range(len(people)):
        poses = index.poses(hits.rows[row])
        camera = affine_camera(poses[None], people[row : row + 1])
        np.testing.assert_allclose(camera.residual[0], hits.distance[row], atol=1e-3)
        A, t, residual = camera
        assert (A.shape, t.shape, residual.shape) == ((1, 8, 2, 3), (1, 8, 2), (1, 8))


def test_all_people_at_once_are_each_alone(affine, people):
    poses = affine.poses(np.arange(36).reshape(12, 3))
    together = affine_camera(poses, people)
    for row in range(len(people)):
        alone = affine_camera(poses[row : row + 1], people[row : row + 1])
        np.testing.assert_allclose(together.project(poses)[row], alone.project(poses[row : row + 1])[0], atol=1e-3)


def test_a_flat_body_and_joints_at_one_place_are_defined(affine, rng):
    poses = affine.poses(np.arange(4).reshape(2, 2)).copy()
    poses[0, :, :, 0] = 0
    xy = rng.normal(100, 20, size=(2, 13, 2))
    xy[1] = 50
    camera = affine_camera(poses, Keypoints.of(xy))
    assert np.isfinite(camera.project(poses)).all()
    assert (np.abs(camera.A[0, :, :, 0]) < 1e-6).all()  # what the keypoints do not tell stays zero
    np.testing.assert_allclose(camera.project(poses)[1], 50)
    assert (camera.residual[1] == 0).all()


def test_keypoints_of_another_skeleton_are_refused(affine, of_coco17):
    with pytest.raises(ShapeError, match="coco13, got coco17"):
        affine_camera(affine.poses(np.zeros((1, 1), dtype=np.int64)), of_coco17)


@pytest.mark.refusal
def test_poses_that_do_not_fit_the_people_are_refused(affine, people):
    with pytest.raises(ShapeError, match=r"poses must be \(12 people, K, 17, 3\), got shape \(3, 17, 3\)"):
        affine_camera(affine.poses(np.arange(3)), people)
