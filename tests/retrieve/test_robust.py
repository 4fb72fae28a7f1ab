import pytest
import torch

from vipe.retrieve.robust import joint_weights, leave_one_out
from vipe.retrieve.scan import Gallery, affine_residual


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
    ready = Gallery.prepare(poses).at(torch.arange(40))
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
