import numpy as np
import pytest

from vipe.errors import ShapeError, SkeletonError
from vipe.evaluate import consistency_metrics
from vipe.evaluate.consistency_metrics import head_size, mpsce, mpsse, reprojection_pckh
from vipe.skeletons import Skeleton, load
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17

NOSE, LEFT_SHOULDER, RIGHT_SHOULDER = (COCO13.index(joint) for joint in ("nose", "left_shoulder", "right_shoulder"))


@pytest.fixture
def upright(standing):
    """The standing person in camera space, facing the camera: x right in the image, y down."""
    return (standing - standing[0])[:, [1, 2, 0]] * np.array([1, -1, -1], dtype=np.float32)


def seen_all(n):
    return np.ones((n, 13), dtype=bool)


def three_points(*offsets):
    """Hypotheses whose nose lies at (0, h) between shoulders at (-1, 0) and (1, 0), and a mask of these three."""
    poses = np.zeros((1, len(offsets), 17, 3))
    poses[0, :, H36M17.index("nose"), 1] = offsets
    poses[0, :, H36M17.index("left_shoulder"), 0] = -1
    poses[0, :, H36M17.index("right_shoulder"), 0] = 1
    mask = np.zeros((1, 13), dtype=bool)
    mask[0, [NOSE, LEFT_SHOULDER, RIGHT_SHOULDER]] = True
    return poses, mask


def test_a_symmetric_body_has_no_symmetry_error(standing, bent):
    np.testing.assert_allclose(mpsse(standing), 0, atol=1e-7)
    np.testing.assert_allclose(mpsse(bent(5, seed=1)), 0, atol=1e-6)


def test_one_longer_forearm_is_a_sixth_of_the_symmetry_error(standing):
    pose = standing.astype(np.float64)
    elbow, wrist = H36M17.index("left_elbow"), H36M17.index("left_wrist")
    arm = pose[wrist] - pose[elbow]
    pose[wrist] += 0.03 * arm / np.linalg.norm(arm)
    assert mpsse(pose) == pytest.approx(0.03 / 6)
    assert mpsse(1000 * pose[None, None]).shape == (1, 1)
    assert mpsse(1000 * pose) == pytest.approx(5)  # millimetres in, millimetres out


def test_symmetry_needs_bones_that_mirror(standing):
    mast = Skeleton(name="mast", joints=("foot", "top"), parents=(-1, 0))
    with pytest.raises(SkeletonError, match=r"skeleton mast has no bones that mirror each other"):
        mpsse(standing[:2], mast)


def test_symmetry_of_other_skeletons_follows_their_tables(rng):
    poses = rng.normal(size=(4, 13, 3))
    skeleton = load("coco13")
    length = {
        skeleton.joints[child]: np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1)
        for parent, child in skeleton.bones
    }
    slow = np.mean([abs(length[left] - length[right]) for left, right in skeleton.mirror], axis=0)
    np.testing.assert_allclose(mpsse(poses, skeleton), slow)


def test_a_body_of_fixed_lengths_is_consistent(bent):
    poses = bent(20, seed=2)
    assert mpsce(poses) == pytest.approx(0, abs=1e-6)
    assert mpsce(np.stack([poses, 2 * poses])).shape == (2,)


def test_a_body_that_grows_is_inconsistent_by_the_deviation_of_its_lengths(standing):
    poses = standing.astype(np.float64) * np.array([1.0, 1.1, 1.2])[:, None, None]
    mean = np.mean([np.linalg.norm(standing[child] - standing[parent]) for parent, child in H36M17.bones])
    assert mpsce(poses) == pytest.approx(0.1 * mean)
    assert mpsce(1000 * poses) == pytest.approx(100 * mean)


def test_one_frame_has_no_consistency(standing):
    with pytest.raises(ShapeError, match=r"\(T, J, 3\) with T at least 2, got shape \(1, 17, 3\)"):
        mpsce(standing[None])


def test_head_size_is_the_head_segment_at_the_scale_of_the_fit(upright):
    head = np.linalg.norm(upright[H36M17.index("head")] - upright[H36M17.index("thorax")])
    xy = 200 * upright[COCO13_IN_H36M17, :2] + [300, 400]
    assert head_size(upright[None], xy[None], seen_all(1)) == pytest.approx(200 * head, rel=1e-5)
    nodding = upright.copy()
    nodding[H36M17.index("head")] = nodding[H36M17.index("thorax")] + [0, 0, -head]  # towards the camera
    assert head_size(nodding[None], xy[None], seen_all(1)) == pytest.approx(200 * head, rel=1e-5)


def test_a_pose_meets_its_own_projection_and_the_mirrored_depth_does_too(upright):
    xy = 200 * upright[COCO13_IN_H36M17, :2] + [300, 400]
    poses = np.stack([upright, upright * [1, 1, -1], upright * [-1, 1, 1], 3 * upright + 5])[None]
    share = reprojection_pckh(poses, xy[None], seen_all(1), np.array([10.0]))
    assert share[0, [0, 1, 3]].tolist() == [1, 1, 1]
    assert share[0, 2] < 0.5  # mirrored left to right


def test_reprojection_by_hand():
    # Keypoints (0, 3), (-1, 0), (1, 0): a flat hypothesis fits with scale 1 and shift (0, 1), off by 2, 1 and 1.
    poses, seen = three_points(0.0, 3.0)
    xy = np.zeros((1, 13, 2))
    xy[0, NOSE, 1], xy[0, LEFT_SHOULDER, 0], xy[0, RIGHT_SHOULDER, 0] = 3, -1, 1
    assert reprojection_pckh(poses, xy, seen, np.array([3.0])).tolist() == [[pytest.approx(2 / 3), 1]]
    assert reprojection_pckh(poses, xy, seen, np.array([2.0])).tolist() == [[pytest.approx(2 / 3), 1]]
    assert reprojection_pckh(poses, xy, seen, np.array([1.9])).tolist() == [[0, 1]]
    assert reprojection_pckh(poses, xy, seen, np.array([3.0]), threshold=0.7).tolist() == [[1, 1]]


def test_keypoints_that_are_not_seen_do_not_count(upright, rng):
    xy = np.stack([200 * upright[COCO13_IN_H36M17, :2] + [300, 400]] * 2)
    seen = rng.random((2, 13)) < 0.6
    poses = (upright + rng.normal(0, 0.1, size=(2, 3, 17, 3))).astype(np.float32)
    share = reprojection_pckh(poses, xy, seen, np.array([60.0, 60.0]))
    size = head_size(poses[:, 0], xy, seen)
    xy[~seen] = np.nan
    np.testing.assert_array_equal(reprojection_pckh(poses, xy, seen, np.array([60.0, 60.0])), share)
    np.testing.assert_array_equal(head_size(poses[:, 0], xy, seen), size)
    assert ((share > 0) & (share < 1)).any()


def test_two_keypoints_are_always_met_at_the_right_angle_and_one_says_nothing():
    poses, seen = three_points(7.0)
    xy = np.zeros((1, 13, 2))
    xy[0, LEFT_SHOULDER, 0], xy[0, RIGHT_SHOULDER, 0] = -30, 50
    seen[0, NOSE] = False
    assert reprojection_pckh(poses, xy, seen, np.array([1.0])).tolist() == [[1]]
    seen[0, LEFT_SHOULDER] = False
    assert np.isnan(reprojection_pckh(poses, xy, seen, np.array([1.0]))).all()
    assert np.isnan(head_size(poses[:, 0], xy, seen)).all()


def test_agreement_does_not_depend_on_blocks(upright, rng, monkeypatch):
    poses = upright + rng.normal(0, 0.1, size=(7, 3, 17, 3))
    xy, seen = rng.normal(0, 100, size=(7, 13, 2)), rng.random((7, 13)) < 0.8
    whole, symmetry = reprojection_pckh(poses, xy, seen, np.full(7, 100.0)), mpsse(poses)
    monkeypatch.setattr(consistency_metrics, "_POSES", 6)
    np.testing.assert_array_equal(mpsse(poses), symmetry)
    assert symmetry.shape == (7, 3)
    np.testing.assert_array_equal(reprojection_pckh(poses, xy, seen, np.full(7, 100.0)), whole)


def test_a_seen_keypoint_that_is_not_finite_is_refused(upright):
    xy = np.zeros((2, 13, 2))
    xy[1, 3] = np.nan
    with pytest.raises(ShapeError, match=r"keypoints of person 1 hold a seen one that is not finite"):
        head_size(np.stack([upright] * 2), xy, seen_all(2))


@pytest.mark.refusal
def test_keypoints_of_another_skeleton_or_number_are_refused(upright):
    poses, head = np.stack([upright] * 2)[:, None], np.ones(2)
    with pytest.raises(ShapeError, match=r"got shapes \(2, 1, 17, 3\), \(2, 17, 2\) and \(2, 17\)"):
        reprojection_pckh(poses, np.zeros((2, 17, 2)), np.ones((2, 17), bool), head)
    with pytest.raises(ShapeError, match=r"head sizes must be \(2,\), got shape \(1,\)"):
        reprojection_pckh(poses, np.zeros((2, 13, 2)), seen_all(2), np.ones(1))
    with pytest.raises(ShapeError, match=r"must end in \(17, 3\)"):
        mpsse(upright[:5])
