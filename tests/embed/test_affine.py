import numpy as np
import pytest
import torch

from vipe.detections import Keypoints
from vipe.embed import AffineSignature, find_encoder
from vipe.embed.affine import column_basis, pose_signature, view_signature
from vipe.errors import ReadError, ShapeError
from vipe.geometry import canonicalize_array
from vipe.geometry.rotations import random_rotation
from vipe.skeletons import convert, load
from vipe.skeletons.working import COCO13_IN_H36M17


def bodies(standing, rng, n):
    """Poses of different people, each joint up to some 10 cm from where it stands."""
    return (standing + rng.normal(0, 0.1, size=(n, 17, 3))).astype(np.float32)


def affine_views(poses, rng, shift=300.0):
    """What random affine cameras, with shear and stretch, see of the canonical poses' 13 keypoints; no noise."""
    points = canonicalize_array(poses).poses[:, COCO13_IN_H36M17].astype(np.float64)
    cameras = rng.normal(0, 80, size=(len(poses), 3, 2))
    return points @ cameras + rng.normal(0, shift, size=(len(poses), 1, 2))


def residual_by_least_squares(points, xy):
    """Slow twin: solve for the camera and its shift, and see what is left, as a share of the keypoints' size."""
    design = np.concatenate([points, np.ones((len(points), 1))], axis=1).astype(np.float64)
    solution = np.linalg.lstsq(design, xy, rcond=None)[0]
    return np.linalg.norm(design @ solution - xy) / np.linalg.norm(xy - xy.mean(0))


def test_its_joints_are_those_of_the_skeleton_table(standing):
    expected, _ = convert(standing, load("h36m17"), load("coco13"))
    np.testing.assert_allclose(standing[list(COCO13_IN_H36M17)], expected)


def test_inner_product_is_the_residual_of_the_best_affine_camera(standing, rng):
    poses = bodies(standing, rng, 40)
    points = canonicalize_array(poses).poses[:, COCO13_IN_H36M17]
    xy = affine_views(poses[:25], rng) + rng.normal(0, 20, size=(25, 13, 2))
    encoder = AffineSignature()
    product = encoder.encode_keypoints(Keypoints.of(xy)) @ encoder.encode_poses(poses).T
    slow = np.array([[residual_by_least_squares(p, q) for p in points] for q in xy])
    assert ((product > 0) & (product <= 1 + 1e-6)).all()
    np.testing.assert_allclose(product, 1 - slow**2, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(1 - product), slow, atol=1e-4)


def test_a_noise_free_affine_view_scores_residual_zero_for_its_pose_whatever_the_camera(standing, rng):
    poses = bodies(standing, rng, 200)
    encoder = AffineSignature()
    product = encoder.encode_keypoints(Keypoints.of(affine_views(poses, rng))) @ encoder.encode_poses(poses).T
    np.testing.assert_allclose(np.diag(product), 1, atol=1e-5)
    assert (product.argmax(axis=1) == np.arange(200)).all()


def test_turning_moving_or_scaling_the_image_changes_no_score(standing, rng):
    poses = bodies(standing, rng, 30)
    xy = affine_views(poses, rng) + rng.normal(0, 10, size=(30, 13, 2))
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    encoder = AffineSignature()
    gallery = encoder.encode_poses(poses)
    score = encoder.encode_keypoints(Keypoints.of(xy)) @ gallery.T
    changed = encoder.encode_keypoints(Keypoints.of(0.3 * xy @ turn.T + 500)) @ gallery.T
    np.testing.assert_allclose(changed, score, atol=1e-5)


def test_a_perfect_fit_stays_perfect_when_the_image_is_stretched_and_sheared(standing, rng):
    poses = bodies(standing, rng, 30)
    sheared = affine_views(poses, rng) @ np.array([[1.3, 0.4], [0.0, 0.8]])
    encoder = AffineSignature()
    product = (encoder.encode_keypoints(Keypoints.of(sheared)) * encoder.encode_poses(poses)).sum(axis=1)
    np.testing.assert_allclose(product, 1, atol=1e-5)


def test_any_linear_map_of_the_points_leaves_their_signature(generator):
    points = torch.randn(20, 13, 3, generator=generator)
    linear = torch.randn(20, 3, 3, generator=generator) + 2 * torch.eye(3)
    torch.testing.assert_close(pose_signature(points @ linear + 3), pose_signature(points), atol=1e-4, rtol=0)


def test_a_pose_cannot_be_told_from_its_depth_reversal(generator):
    in_camera = torch.randn(20, 13, 3, generator=generator)
    reversed_depth = in_camera * torch.tensor([1.0, 1.0, -1.0])
    xy = in_camera[..., :2]
    torch.testing.assert_close(pose_signature(reversed_depth), pose_signature(in_camera), atol=1e-5, rtol=0)
    torch.testing.assert_close((pose_signature(reversed_depth) * view_signature(xy)).sum(-1), torch.ones(20))


def test_signature_is_78_numbers_of_norm_root_three(standing, rng):
    signatures = AffineSignature().encode_poses(bodies(standing, rng, 9))
    assert signatures.shape == (9, 78)
    assert signatures.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(signatures, axis=1), np.sqrt(3), rtol=1e-6)


def test_basis_is_orthonormal_and_spans_the_points(generator):
    points = torch.randn(50, 12, 3, generator=generator) * torch.tensor([1.0, 0.1, 0.001])
    basis = column_basis(points)
    torch.testing.assert_close(basis @ basis.mT, torch.eye(3).expand(50, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close((points.mT @ basis.mT) @ basis, points.mT, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("zeroed", "rank"), [((0,), 2), ((1,), 2), ((2,), 2), ((0, 2), 1), ((0, 1, 2), 0)])
def test_a_flat_body_spans_its_plane_and_nothing_is_nan(zeroed, rank, generator):
    points = torch.randn(5, 13, 3, generator=generator)
    points[..., list(zeroed)] = 0
    turned = points @ random_rotation(5, generator=generator, dtype=torch.float32).mT
    signature = pose_signature(turned)
    assert torch.isfinite(signature).all()
    torch.testing.assert_close(signature.norm(dim=-1), torch.full((5,), rank**0.5))
    if rank:
        seen = turned @ torch.randn(3, 2, generator=generator)
        torch.testing.assert_close((signature * view_signature(seen)).sum(-1), torch.ones(5))


def test_all_joints_at_one_point_give_zeros_not_nan():
    assert AffineSignature().encode_poses(np.ones((2, 17, 3), dtype=np.float32)).tolist() == [[0.0] * 78] * 2
    assert view_signature(torch.ones(13, 2)).abs().sum() == 0


def test_missing_joints_are_refused_and_point_to_query(rng):
    mask = np.ones((3, 13), dtype=bool)
    mask[1, 4] = False
    with pytest.raises(ShapeError, match=r"person 1 has 12 of 13 joints seen .* vipe.query"):
        AffineSignature().encode_keypoints(Keypoints.of(rng.normal(size=(3, 13, 2)), mask))


def test_joints_at_one_place_are_refused_by_row(rng):
    xy = rng.normal(size=(3, 13, 2))
    xy[2] = 123.4
    with pytest.raises(ShapeError, match="person 2 has all joints at one point"):
        AffineSignature().encode_keypoints(Keypoints.of(xy))


def test_keypoints_of_another_skeleton_are_refused(rng):
    people = Keypoints(
        xy=rng.normal(size=(1, 17, 2)).astype(np.float32),
        mask=np.ones((1, 17), dtype=bool),
        confidence=np.ones((1, 17), dtype=np.float32),
        image_id=("a",),
        person=np.zeros(1, dtype=np.int64),
        skeleton=load("coco17"),
    )
    with pytest.raises(ShapeError, match="coco13, got coco17"):
        AffineSignature().encode_keypoints(people)


def test_poses_that_are_not_finite_are_refused(standing):
    poses = np.stack([standing, standing])
    poses[1, 3, 0] = np.nan
    with pytest.raises(ShapeError, match="pose 1 is not finite"):
        AffineSignature().encode_poses(poses)


def test_every_copy_is_the_same_encoder(tmp_path):
    AffineSignature().save(tmp_path / "encoder")
    again = find_encoder(tmp_path / "encoder")
    assert isinstance(again, AffineSignature)
    assert again.fingerprint == AffineSignature().fingerprint == find_encoder("affine").fingerprint


def test_a_folder_made_with_other_constants_is_refused(tmp_path):
    AffineSignature().save(tmp_path / "encoder")
    config = tmp_path / "encoder" / "config.json"
    # As of earlier versions, which kept no digest of the configuration.
    config.write_text(config.read_text().replace('"flat": 0.0001', '"flat": 0.001').replace('"settings"', '"unread"'))
    with pytest.raises(ReadError, match=r"config.json: made with other constants"):
        AffineSignature.from_pretrained(tmp_path / "encoder")
    config.write_text(config.read_text().replace('"kind": "affine"', '"kind": "v-vipe"'))
    with pytest.raises(ReadError, match=r"is a 'v-vipe', expected 'affine'"):
        AffineSignature.from_pretrained(tmp_path / "encoder")
