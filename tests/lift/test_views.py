import math

import pytest
import torch

from vipe.errors import VipeError
from vipe.geometry import bone_lengths, look_at
from vipe.lift.views import (
    LiftViewConfig,
    mirrored_poses,
    simulate_lift_views,
    without_covariance,
)
from vipe.simulate import DetectorNoise
from vipe.skeletons.working import BONES, COCO13_IN_H36M17, H36M17

EXACT = {"noise": (0.0, 0.0), "missing_share": 0.0, "unknown_share": 0.0}


@pytest.fixture
def poses(bent):
    return torch.from_numpy(bent(500, seed=1))


def views(poses, generator, **settings):
    config = LiftViewConfig(**settings)
    return simulate_lift_views(poses, config.rig_views(torch.device("cpu")), config, generator)


def fitted(points, xy):
    """Weak-perspective residual of points to keypoints, relative to the keypoints' size."""
    points, xy = points - points.mean(1, keepdim=True), xy - xy.mean(1, keepdim=True)
    scale = (points * xy).sum((1, 2)) / points.square().sum((1, 2))
    rest = scale[:, None, None] * points - xy
    return (rest.square().sum((1, 2)) / xy.square().sum((1, 2))).sqrt()


def test_poses_have_unit_torsos_with_the_pelvis_at_the_origin(poses, generator):
    found = views(poses, generator).poses
    lengths = bone_lengths(found, H36M17.parents)
    torso = lengths[:, BONES.index("spine")] + lengths[:, BONES.index("thorax")]
    torch.testing.assert_close(torso, torch.ones(500))
    assert not found[:, 0].any()
    own = bone_lengths(poses, H36M17.parents)
    torch.testing.assert_close(lengths / lengths[:, :1], own / own[:, :1], atol=1e-4, rtol=1e-3)


def test_keypoints_are_the_image_of_the_pose_from_straight_ahead(poses, generator):
    far = views(poses, generator, distance=(400.0, 400.0), **EXACT)
    seen = far.poses[:, COCO13_IN_H36M17, :2]
    assert fitted(seen, far.condition.xy).max() < 5e-3
    near = views(poses, generator, distance=(3.0, 3.0), aim=1.0, **EXACT)
    # From three metres, up to 30 degrees off the axis, what is left is perspective.
    assert fitted(near.poses[:, COCO13_IN_H36M17, :2], near.condition.xy).median() < 0.08


def test_a_camera_that_looks_past_the_person_gives_the_pose_of_one_that_looks_at_it(standing):
    # Two cameras at one place, one turned by 20 degrees: the pose is the same, the keypoints almost.
    from vipe.lift import views as module

    pose = torch.from_numpy(standing)[None]
    center = pose[:, COCO13_IN_H36M17].mean(1)
    zero = torch.zeros(1)
    R, t = look_at(zero + 0.5, zero + 0.1, zero + 5, zero, center)
    straight = (pose - pose[:, :1]) @ R.mT
    angle = math.radians(20)
    turn = torch.tensor([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    camera = pose @ (turn @ R).mT + (turn @ t[..., None])[..., 0][:, None]
    back = module._to_ray(camera[:, COCO13_IN_H36M17].mean(1))
    torch.testing.assert_close((camera - camera[:, :1]) @ back.mT, straight, atol=1e-5, rtol=0)


def test_errors_have_the_covariance_that_is_told(poses, generator):
    many = poses[:1].expand(20000, 17, 3)
    found = views(many, generator, missing_share=0.0, unknown_share=0.0, noise=(0.02, 0.05))
    covariance = found.condition.covariance
    error = found.condition.xy - found.exact
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), error[..., None], upper=False)[..., 0]
    # Centring takes 1/13 of an error away.
    expected = torch.eye(2).expand(13, 2, 2)
    spread = torch.einsum("njc,njd->jcd", whitened, whitened) / len(many)
    assert (spread - expected).abs().max() < 0.2


def test_a_share_of_the_people_has_usual_errors_and_a_share_no_covariance(poses, generator):
    found = views(poses, generator, usual_share=1.0, unknown_share=0.3, missing_share=0.0).condition
    assert 0.2 < (~found.known).float().mean() < 0.4
    assert not found.covariance[~found.known].any()
    deviation = found.covariance[found.known][..., 0, 0].sqrt()
    usual = torch.tensor(DetectorNoise().multipliers, dtype=torch.float32)
    ratio = deviation / usual
    torch.testing.assert_close(ratio, ratio[:, :1].expand(-1, 13), rtol=1e-3, atol=1e-6)
    uneven = views(poses, generator, usual_share=0.0, unknown_share=0.0, missing_share=0.0).condition.covariance
    assert (uneven[..., 0, 1].abs() > 1e-7).float().mean() > 0.5


def test_missing_joints_are_zero_and_not_all_are_missing(poses, generator):
    found = views(poses, generator, missing_share=1.0, missing_most=4).condition
    missing = (~found.seen).sum(1)
    assert set(missing.tolist()) == {1, 2, 3, 4}
    assert not found.xy[~found.seen].any()
    assert not found.covariance[~found.seen].any()


def test_mirrored_views_show_mirrored_people(poses, generator):
    found = views(poses, generator, distance=(400.0, 400.0), **EXACT)
    other = found.mirrored()
    assert fitted(other.poses[:, COCO13_IN_H36M17, :2], other.condition.xy).max() < 5e-3
    assert torch.equal(mirrored_poses(other.poses), found.poses)
    both = found.joined(other)
    assert len(both.poses) == len(both.condition) == len(both.exact) == 1000
    assert torch.equal(both.exact[500:], other.exact)


def test_the_generator_alone_decides(poses):
    first, second = (views(poses, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.condition.xy, second.condition.xy)
    assert torch.equal(first.poses, second.poses)


def test_without_covariance_nothing_else_changes(poses, generator):
    found = views(poses, generator).condition
    untold = without_covariance(found)
    assert torch.equal(untold.xy, found.xy)
    assert not untold.known.any()
    assert not untold.covariance.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"uneven": -1.0}, "uneven must not be negative"),
        ({"unknown_share": 1.5}, "unknown_share must be 0 to 1"),
        ({"noise": (0.1, 0.0)}, "noise must be"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(VipeError, match=message):
        LiftViewConfig(**settings)
