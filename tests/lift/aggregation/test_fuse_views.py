import numpy as np
import pytest

from vipe.errors import ShapeError
from vipe.geometry import random_rotation
from vipe.lift import Hypotheses
from vipe.lift.aggregation.fuse_views import along_rays, fuse_views

MIRROR = np.array([1.0, 1.0, -1.0], np.float32)  # in depth


@pytest.fixture
def truth(bent):
    """World axes, pelvis at the origin."""
    poses = bent(6, seed=1)
    return poses - poses[:, :1]


@pytest.fixture
def rotations(generator):
    return random_rotation(3, generator=generator).float().numpy()


def hypotheses(poses):
    return Hypotheses(poses=poses.astype(np.float32), log_weight=np.zeros(poses.shape[:2], np.float32))


def views(truth, rotations, rng, guesses=4, noise=0.01):
    """In each view one hypothesis near the truth, at a place that differs, among others that are far off."""
    found = []
    for v, R_cam_world in enumerate(rotations):
        seen = truth @ R_cam_world.T
        poses = seen[:, None] + 0.3 * rng.normal(size=(len(truth), guesses + v, 17, 3))
        poses[:, v] = seen + noise * rng.normal(size=seen.shape)
        poses[:, :, 0] = 0
        found.append(hypotheses(poses))
    return found


def distance(one, other):
    return np.linalg.norm(one - other, axis=-1).mean(-1)


def test_the_hypotheses_that_agree_are_found_and_averaged(truth, rotations, rng):
    given = views(truth, rotations, rng)
    fused = fuse_views(given, rotations)
    np.testing.assert_array_equal(fused.chosen, np.tile([0, 1, 2], (6, 1)))
    chosen = [given[v].poses[:, v] @ rotations[v] for v in range(3)]
    np.testing.assert_allclose(fused.poses, np.mean(chosen, axis=0), atol=1e-6)
    assert distance(fused.poses, truth).mean() < 0.8 * np.mean([distance(pose, truth) for pose in chosen])
    np.testing.assert_array_equal(fused.R_cam_world, np.broadcast_to(rotations, (6, 3, 3, 3)))


def test_each_choice_has_the_least_sum_of_distances_from_the_nearest_of_the_other_views(truth, rotations, rng):
    given = views(truth, rotations, rng, noise=0.3)
    fused = fuse_views(given, rotations)
    for n in range(6):
        world = [view.poses[n] @ R_cam_world for view, R_cam_world in zip(given, rotations, strict=True)]
        for v in range(3):
            cost = [
                np.mean([min(distance(pose, other) for other in world[u]) for u in range(3) if u != v])
                for pose in world[v]
            ]
            assert fused.chosen[n, v] == np.argmin(cost)
            assert fused.apart[n, v] == pytest.approx(min(cost), abs=1e-5)


def test_rotations_that_are_not_given_are_estimated(truth, rotations, rng):
    given = views(truth, rotations, rng)
    fused = fuse_views(given)
    np.testing.assert_array_equal(fused.chosen, np.tile([0, 1, 2], (6, 1)))
    relative = rotations @ rotations[0].T
    assert np.abs(fused.R_cam_world - relative).max() < 0.1
    np.testing.assert_array_equal(fused.R_cam_world[:, 0], np.broadcast_to(np.eye(3), (6, 3, 3)))
    assert distance(fused.poses, truth @ rotations[0].T).max() < 0.03
    np.testing.assert_allclose(np.linalg.det(fused.R_cam_world), 1, atol=1e-5)


def test_the_mirror_image_in_depth_is_left_out_where_rotations_are_known(truth, rotations):
    seen = [truth @ R_cam_world.T for R_cam_world in rotations]
    both = [hypotheses(np.stack([pose * MIRROR, pose], axis=1)) for pose in seen]
    fused = fuse_views(both, rotations)
    assert (fused.chosen == 1).all()
    np.testing.assert_allclose(fused.poses, truth, atol=1e-5)


def test_without_rotations_the_mirror_images_fit_each_other_as_well(truth, rotations):
    seen = [truth @ R_cam_world.T for R_cam_world in rotations]
    both = [hypotheses(np.stack([pose * MIRROR, pose], axis=1)) for pose in seen]
    fused = fuse_views(both)
    one, other = distance(fused.poses, seen[0]), distance(fused.poses, seen[0] * MIRROR)
    assert np.minimum(one, other).max() < 1e-4
    assert fused.apart.max() < 1e-4


def test_rotations_of_the_world_turn_the_pose(truth, rotations, rng, generator):
    given = views(truth, rotations, rng)
    turn = random_rotation(generator=generator).float().numpy()
    one, other = fuse_views(given, rotations), fuse_views(given, rotations @ turn.T)
    np.testing.assert_allclose(other.poses, one.poses @ turn.T, atol=1e-5)
    np.testing.assert_array_equal(other.chosen, one.chosen)


def test_people_are_fused_one_by_one_each_with_its_rotations(truth, rotations, rng, generator, monkeypatch):
    each = random_rotation(6, 3, generator=generator).float().numpy()
    given = [
        hypotheses(np.concatenate([views(truth[n : n + 1], each[n], rng)[v].poses for n in range(6)])) for v in range(3)
    ]
    together = fuse_views(given, each)
    np.testing.assert_array_equal(together.chosen, np.tile([0, 1, 2], (6, 1)))
    monkeypatch.setattr("vipe.lift.aggregation.fuse_views._MOST_PAIRS", 1)
    np.testing.assert_allclose(fuse_views(given, each).poses, together.poses, atol=1e-6)
    for n in (0, 4):
        alone = fuse_views([view[n : n + 1] for view in given], each[n])
        np.testing.assert_allclose(alone.poses[0], together.poses[n], atol=1e-6)
    nobody = fuse_views([view[:0] for view in given], each[:0])
    assert nobody.poses.shape == (0, 17, 3)
    assert nobody.chosen.shape == (0, 3)


def test_a_camera_along_the_ray_is_turned_by_the_least_angle(rotations, rng):
    rays = rng.normal(size=(5, 1, 3)) + np.array([0, 0, 4])
    turned = along_rays(rotations, rays)
    assert turned.shape == (5, 3, 3, 3)
    turn = turned @ rotations.swapaxes(-2, -1)
    straight = np.broadcast_to(rays, (5, 3, 3)) / np.linalg.norm(rays, axis=-1, keepdims=True)
    np.testing.assert_allclose((turn @ straight[..., None])[..., 0], np.broadcast_to([0, 0, 1], (5, 3, 3)), atol=1e-6)
    angle = np.arccos((np.trace(turn, axis1=-2, axis2=-1) - 1) / 2)
    np.testing.assert_allclose(angle, np.arccos(straight[..., 2]), atol=1e-3)


@pytest.mark.refusal
def test_what_cannot_be_fused_is_refused_in_one_line(truth, rotations, rng):
    given = views(truth, rotations, rng)
    with pytest.raises(ShapeError, match="2 or more, got 1"):
        fuse_views(given[:1])
    with pytest.raises(ShapeError, match=r"the same people, got \[6, 6, 4\]"):
        fuse_views([*given[:2], given[2][:4]])
    with pytest.raises(ShapeError, match=r"R_cam_world must be \(3, 3, 3\) or \(6, 3, 3, 3\), got shape \(2, 3, 3\)"):
        fuse_views(given, rotations[:2])
    with pytest.raises(ShapeError, match="rays must point forward"):
        along_rays(rotations, np.array([0.0, 0.0, -1.0]))
