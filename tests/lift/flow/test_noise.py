from dataclasses import replace

import torch
from lift.worlds import condition_of, person

from vipe.lift.condition import NOMINAL_NOISE
from vipe.lift.flow.noise import noise_around
from vipe.skeletons.working import COCO13_IN_H36M17, H36M17


def told(scale=0.5):
    """A person whose keypoints have the covariance (4, 1; 1, 2) 1e-3, but for the first, which is not seen."""
    xy = scale * person()[COCO13_IN_H36M17, :2][None] + 0.1
    covariance = 1e-3 * torch.tensor([[4.0, 1.0], [1.0, 2.0]]).expand(1, 13, 2, 2).clone()
    seen = torch.ones(1, 13, dtype=torch.bool)
    seen[0, 0] = False
    covariance[0, 0] = 0
    return replace(condition_of(xy), covariance=covariance, seen=seen, known=torch.ones(1, dtype=torch.bool))


def test_joints_move_by_their_keypoints_covariance_in_the_units_of_the_pose(generator):
    drawn = noise_around(person()[None], told(), 20_000, 0.2, generator).poses[0]
    joint = COCO13_IN_H36M17[5]
    offset = drawn[:, joint] - person()[joint]
    expected = torch.zeros(3, 3)
    expected[:2, :2] = 1e-3 * torch.tensor([[4.0, 1.0], [1.0, 2.0]]) / 0.5**2
    expected[2, 2] = 0.2**2
    torch.testing.assert_close(torch.cov(offset.T), expected, atol=6e-4, rtol=0.03)
    torch.testing.assert_close(offset.mean(0), torch.zeros(3), atol=5e-3, rtol=0)


def test_what_is_not_seen_or_not_told_has_the_usual_errors(generator):
    unseen = noise_around(person()[None], told(), 20_000, 0.0, generator).poses[0, :, COCO13_IN_H36M17[0]]
    untold = replace(told(), known=torch.zeros(1, dtype=torch.bool))
    other = noise_around(person()[None], untold, 20_000, 0.0, generator).poses[0, :, COCO13_IN_H36M17[5]]
    for points in (unseen, other):
        torch.testing.assert_close(points.std(0)[:2], torch.full((2,), NOMINAL_NOISE / 0.5), rtol=0.03, atol=0)
        assert points[:, 2].std() < 1e-6


def test_a_joint_without_a_keypoint_moves_in_depth_only_and_the_pelvis_not_at_all(generator):
    drawn = noise_around(person()[None], told(), 50, 0.2, generator)
    for name in ("spine", "thorax", "head"):
        joint = H36M17.index(name)
        assert torch.equal(drawn.poses[0, :, joint, :2], person()[joint, :2].expand(50, 2))
        assert drawn.poses[0, :, joint, 2].std() > 0.1
    assert not drawn.poses[:, :, 0].any()
    torch.testing.assert_close(drawn.log_weight.exp().sum(1), torch.ones(1))


def test_without_a_scale_x_and_y_stay(generator):
    nowhere = replace(told(), xy=torch.zeros(1, 13, 2))
    drawn = noise_around(person()[None], nowhere, 5, 0.1, generator).poses
    assert torch.isfinite(drawn).all()
    assert torch.equal(drawn[..., :2], person()[:, :2].expand(1, 5, 17, 2))
