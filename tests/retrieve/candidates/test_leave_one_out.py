import numpy as np
import pytest
import torch

from vipe.detections import Keypoints
from vipe.retrieve.candidates.leave_one_out import joint_weights, leave_one_out, robust_candidates
from vipe.retrieve.candidates.scan import PreparedGallery, affine_residual
from vipe.skeletons.working import COCO13_IN_H36M17


@pytest.fixture
def poses(standing, generator):
    return torch.from_numpy(standing)[:13] + 0.1 * torch.randn(40, 13, 3, generator=generator)


@pytest.mark.parametrize("seen", [6, 9, 13])
def test_equals_the_residual_of_what_is_left(poses, generator, seen):
    points, xy = poses[:, :seen], 100 * torch.randn(5, 1, seen, 2, generator=generator) + 400
    without = leave_one_out(points, xy)
    assert without.residual.shape == (5, 40, seen)
    for joint in range(seen):
        others = [other for other in range(seen) if other != joint]
        slow = affine_residual(points[:, others], xy[:, 0, others])
        torch.testing.assert_close(without.residual[..., joint], slow, atol=1e-4, rtol=0)


def test_any_affine_map_of_the_candidates_does(poses, generator):
    xy = torch.randn(40, 13, 2, generator=generator)
    ready = PreparedGallery.prepare(poses).at(torch.arange(40))
    torch.testing.assert_close(leave_one_out(ready, xy), leave_one_out(poses, xy), atol=1e-5, rtol=0)


@pytest.mark.parametrize("joint", range(13))
def test_the_joint_that_is_off_weighs_least_and_the_others_keep_most(poses, generator, joint):
    xy = poses @ torch.randn(40, 3, 2, generator=generator)
    radius = (xy - xy.mean(1, keepdim=True)).square().sum((1, 2)).div(13).sqrt()[:, None]
    xy = xy + 0.01 * radius[:, None] * torch.randn(40, 13, 2, generator=generator)
    xy[:, joint] += 0.7 * radius * torch.tensor([0.6, 0.8])
    without = leave_one_out(poses, xy)
    weights = joint_weights(without)
    assert (weights.argmin(1) == joint).float().mean() > 0.9
    assert (without.residual.argmin(1) == joint).float().mean() > 0.9
    assert weights[:, joint].median() < 0.1
    others = torch.cat([weights[:, :joint], weights[:, joint + 1 :]], dim=1)
    assert others.median() > 0.8


def test_clean_keypoints_keep_their_weight(poses, generator):
    xy = poses @ torch.randn(40, 3, 2, generator=generator)
    torch.testing.assert_close(joint_weights(leave_one_out(poses, xy)), torch.ones(40, 13))


def test_a_joint_that_alone_leaves_the_plane_is_not_blamed(poses, generator):
    flat = poses.clone()
    flat[..., 0] = 0
    flat[:, 4, 0] = 1
    without = leave_one_out(flat, torch.randn(40, 13, 2, generator=generator))
    torch.testing.assert_close(without.drop[:, 4], torch.zeros(40), atol=1e-6, rtol=0)
    assert (joint_weights(without)[:, 4] == 1).all()


@pytest.mark.parametrize("broken", ["all keypoints at one place", "all joints at one place", "five joints"])
def test_degenerate_input_stays_finite(poses, generator, broken):
    xy = torch.randn(40, 13, 2, generator=generator)
    if broken == "all keypoints at one place":
        xy = torch.ones_like(xy)
    if broken == "all joints at one place":
        poses = torch.ones_like(poses)
    if broken == "five joints":
        poses, xy = poses[:, :5], xy[:, :5]
    without = leave_one_out(poses, xy)
    assert all(torch.isfinite(part).all() for part in without)
    weights = joint_weights(without)
    assert ((weights > 0) & (weights <= 1)).all()
    if broken != "all joints at one place":
        assert (weights == 1).all()


def slow_search(index, people, count, allowed):
    """Every pose compared with every person, by the joints they show."""
    rows = np.arange(len(index)) if allowed is None else allowed
    found, residual = [], []
    for person in range(len(people)):
        seen = np.flatnonzero(people.mask[person])
        points = torch.from_numpy(index.poses(rows)[:, np.array(COCO13_IN_H36M17)[seen]])
        left = affine_residual(points, torch.from_numpy(people.xy[person : person + 1, seen]))[0].numpy()
        order = np.argsort(left, kind="stable")[:count]
        found.append(rows[order])
        residual.append(left[order])
    return np.stack(found), np.stack(residual)


def slow_rows(*asked):
    return slow_search(*asked)[0]


def seen_from_the_side(index, rng, noise, off=0.0):
    """Views of the first 39 poses, joint i mod 13 moved by `off` RMS radii."""
    points = index.canonical[:39, COCO13_IN_H36M17]
    xy = points @ np.linalg.qr(rng.standard_normal((39, 3, 3)))[0][:, :, :2]
    xy -= xy.mean(1, keepdims=True)
    xy /= np.sqrt(np.square(xy).sum(2).mean(1))[:, None, None]
    xy += noise * rng.standard_normal(xy.shape)
    turn = rng.uniform(0, 2 * np.pi, 39)
    xy[np.arange(39), np.arange(39) % 13] += off * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return Keypoints.of((100 * xy + 300).astype(np.float32))


def test_a_joint_that_is_off_does_not_keep_the_right_pose_away(affine, rng):
    people = seen_from_the_side(affine, rng, 0.01, off=1.8)
    plain, _ = slow_search(affine, people, 8, None)
    robust, residual = robust_candidates(affine, people, 8, search=slow_search, again=slow_rows)
    truth = np.arange(39)[:, None]
    assert (plain == truth).any(1).mean() < 0.8
    assert (robust == truth).any(1).mean() > 0.9
    assert (np.diff(residual, axis=1) >= 0).all()
    for person, found in enumerate(robust):
        assert len(set(found)) == 8
        every, left = slow_search(affine, people[person : person + 1], len(affine), None)
        assert residual[person] == pytest.approx(left[0][[list(every[0]).index(row) for row in found]], abs=1e-5)


def test_where_no_joint_is_to_be_doubted_the_search_decides(affine, rng):
    people = seen_from_the_side(affine, rng, 0.01)
    plain, robust = (
        slow_search(affine, people, 6, None),
        robust_candidates(affine, people, 6, search=slow_search, again=slow_rows),
    )
    same = (plain[0] == robust[0]).all(1)
    assert same.mean() > 0.8
    np.testing.assert_array_equal(plain[1][same], robust[1][same])


def test_only_allowed_rows_are_candidates_and_six_joints_are_all_believed(affine, rng):
    people = seen_from_the_side(affine, rng, 0.01, off=0.8)
    allowed = np.arange(10, 50, 3)
    found, _ = robust_candidates(affine, people, 100, allowed, search=slow_search, again=slow_rows)
    for rows in found:
        np.testing.assert_array_equal(np.sort(rows), allowed)
    mask = np.zeros((39, 13), dtype=bool)
    mask[:, [0, 1, 4, 7, 9, 12]] = True
    few = Keypoints.of(people.xy, mask)
    plain, robust = (
        slow_search(affine, few, 5, None),
        robust_candidates(affine, few, 5, search=slow_search, again=slow_rows),
    )
    np.testing.assert_array_equal(plain[0], robust[0])
