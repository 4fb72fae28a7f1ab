"""People of a known prior, as belief maps."""

import math
from dataclasses import dataclass

import pytest
import torch

from vipe.errors import SkeletonError, VipeError
from vipe.lift.stages.beliefs import gaussian_beliefs
from vipe.lift.stages.cpm import CPM_JOINTS
from vipe.lift.stages.prior import PriorConfig, ProjectedBeliefs
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17

SIZE = (96, 96)
SIGMA = 2.0


@dataclass(frozen=True)
class Planted:
    xy: torch.Tensor  # (N, 17, 2) pixels
    poses: torch.Tensor  # (N, 17, 3) camera space


@pytest.fixture(scope="session")
def planted(ppca):
    """People drawn from the prior, seen under headings and tilts that it tries, without errors."""
    geometry, generator = ppca.model.geometry, torch.Generator().manual_seed(0)
    some = geometry.aspects[torch.arange(0, len(geometry.aspects), 7)[:10]]
    joints = geometry.prior.draw(some.component, generator) @ some.rotation.mT
    poses = torch.cat([torch.zeros_like(joints[:, :1]), joints], dim=1).float()
    xy = poses[..., :2] - poses[..., :2].mean(1, keepdim=True)
    xy = xy / xy.norm(dim=-1).amax(1)[:, None, None] * 35 + 47.5
    return Planted(xy, poses)


def keypoints(planted):
    return planted.xy[:, COCO13_IN_H36M17]


def prior_of(ppca, joints=COCO13.joints, **config):
    return ProjectedBeliefs(ppca.layer(), joints, PriorConfig(sigma=SIGMA, **config))


def test_a_person_of_the_model_is_recovered(ppca, planted):
    found = prior_of(ppca)(gaussian_beliefs(keypoints(planted), SIZE, SIGMA))
    assert (found.implied - keypoints(planted)).norm(dim=-1).mean() < 0.6  # landmarks were rounded: 0.4 on average
    assert (found.found - keypoints(planted)).norm(dim=-1).mean() < 0.5
    torch.testing.assert_close(found.beliefs, gaussian_beliefs(found.implied, SIZE, SIGMA))
    own = (planted.poses[:, 7] - planted.poses[:, 0]).norm(dim=-1) + (planted.poses[:, 8] - planted.poses[:, 7]).norm(
        dim=-1
    )
    away = (found.pose - planted.poses / own[:, None, None]).norm(dim=-1).mean(1)
    assert away.median() < 0.2  # torso lengths: depth is the prior's guess


def test_a_joint_without_evidence_is_put_where_the_others_say(ppca, planted):
    maps = gaussian_beliefs(keypoints(planted), SIZE, SIGMA)
    wrist = COCO13.index("left_elbow")
    wrong = keypoints(planted)[:, wrist] + torch.tensor([20.0, -15.0])
    maps[:, wrist] = 0.02 * gaussian_beliefs(wrong, SIZE, SIGMA)
    away = {even: (prior_of(ppca, even=even)(maps).implied - keypoints(planted)).norm(dim=-1) for even in (False, True)}
    assert away[False][:, wrist].mean() < 8
    assert away[True][:, wrist].mean() > 12  # all alike, the wrong landmark is believed
    assert away[False].mean() < 0.5 * away[True].mean()


def test_a_peaks_height_tells_the_variance_of_its_landmark(ppca, planted):
    xy = keypoints(planted).double()
    variance = torch.linspace(0, 30, 13).expand(len(xy), 13).double()
    height = SIGMA**2 / (SIGMA**2 + variance)
    pose, implied = prior_of(ppca).lift(xy, height)
    center = xy.mean(1, keepdim=True)
    radius = (xy - center).square().sum((1, 2), keepdim=True).div(13).sqrt()
    nominal = ppca.model.config.nominal_noise**2
    covariance = (variance / radius[..., 0].square() + nominal)[..., None, None] * torch.eye(2)
    expected, images = ppca.layer()((xy - center) / radius, None, covariance)
    torch.testing.assert_close(pose, expected)
    torch.testing.assert_close(implied, images * radius + center)


def test_landmarks_alike_are_those_of_the_layer(ppca, planted):
    xy = keypoints(planted).double()
    pose, _ = prior_of(ppca, even=True).lift(xy, torch.rand(xy.shape[:2], generator=torch.Generator().manual_seed(0)))
    center = xy.mean(1, keepdim=True)
    radius = (xy - center).square().sum((1, 2), keepdim=True).div(13).sqrt()
    torch.testing.assert_close(pose, ppca.layer()((xy - center) / radius)[0])


def test_peaks_below_the_threshold_are_not_given_to_the_prior(ppca, planted):
    xy = keypoints(planted).double()
    height = torch.ones(xy.shape[:2], dtype=torch.float64)
    height[:, 3] = 0.1
    lift = prior_of(ppca, seen_from=0.2).lift
    moved = xy.clone()
    moved[:, 3] += 30
    for one, other in zip(lift(xy, height), lift(moved, height), strict=True):
        torch.testing.assert_close(one, other)


def test_the_gradient_of_the_lifting_is_that_of_differences(ppca, planted):
    xy = keypoints(planted)[:2].double()
    height = torch.linspace(0.3, 1, 13).expand(2, 13).double()
    even = prior_of(ppca, even=True)  # with heights, the radius that variances are divided by has no gradient
    cost = torch.rand(2, 13, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    given = xy.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((even.lift(given, height)[1] * cost).sum(), given)
    for joint in (0, 5, 12):
        for axis in range(2):
            step = torch.zeros_like(xy)
            step[:, joint, axis] = 1e-4
            up, down = ((even.lift(xy + sign * step, height)[1] * cost).sum((1, 2)) for sign in (1, -1))
            torch.testing.assert_close(gradient[:, joint, axis], (up - down) / 2e-4, atol=1e-5, rtol=1e-4)


def test_the_gradient_reaches_the_maps_through_lifting_and_stops_where_it_is_told_to(ppca, planted):
    for gradient in (True, False):
        maps = gaussian_beliefs(keypoints(planted) + 3, SIZE, SIGMA).requires_grad_()
        found = prior_of(ppca, gradient=gradient)(maps)
        assert found.beliefs.requires_grad == gradient
        if gradient:
            (found.beliefs - gaussian_beliefs(keypoints(planted), SIZE, SIGMA)).square().sum().backward()
            assert maps.grad.isfinite().all()
            assert maps.grad.abs().sum((-1, -2)).gt(0).float().mean() > 0.9


def test_maps_that_say_nothing_give_the_landmarks_back(ppca, planted):
    maps = gaussian_beliefs(keypoints(planted)[:3], SIZE, SIGMA)
    maps[1] = 0
    maps = maps.requires_grad_()
    found = prior_of(ppca)(maps)
    assert not found.pose[1].any()
    torch.testing.assert_close(found.implied[1], found.found[1])
    torch.testing.assert_close(found.implied[0], prior_of(ppca)(maps[:1]).implied[0])
    found.beliefs.square().sum().backward()
    assert maps.grad.isfinite().all()


def test_one_person_is_a_row_of_many(ppca, planted):
    maps = gaussian_beliefs(keypoints(planted), SIZE, SIGMA)
    many, one = prior_of(ppca)(maps), prior_of(ppca)(maps[4:5])
    torch.testing.assert_close(one.beliefs[0], many.beliefs[4])
    torch.testing.assert_close(one.pose[0], many.pose[4])


def test_half_precision_around_it_does_not_reach_the_lifting(ppca, planted):
    maps = gaussian_beliefs(keypoints(planted), SIZE, SIGMA)
    with torch.autocast("cpu", torch.bfloat16):
        found = prior_of(ppca)(maps)
    torch.testing.assert_close(found.implied, prior_of(ppca)(maps).implied)


def test_joints_that_the_lifter_is_not_given_are_projected_too(ppca, planted):
    xy = planted.xy[:, [H36M17.index(joint) for joint in CPM_JOINTS]]
    found = prior_of(ppca, CPM_JOINTS)(gaussian_beliefs(xy, SIZE, SIGMA))
    away = (found.implied - xy).norm(dim=-1)
    assert away[:, 2:].mean() < 0.8
    assert away[:, :2].mean() < 5  # head and neck, from the rest; the person is 70 pixels long


def test_all_joints_of_a_pose_have_the_images_that_the_keypoints_fix(ppca, planted):
    prior = prior_of(ppca, H36M17.joints)
    pose, placed = prior.lift(planted.xy.double(), torch.ones(len(planted.xy), 17, dtype=torch.float64))
    flat, shown = pose[..., :2] - pose[:, :1, :2], placed - placed[:, :1]
    scale = (flat * shown).sum((1, 2)) / flat.square().sum((1, 2))
    torch.testing.assert_close(shown, scale[:, None, None] * flat, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (("nose", "tail"), "no joint 'tail' in h36m17"),
        (("nose", "nose"), "one joint has two maps"),
        (("nose", "head", "pelvis", "left_hip", "spine"), "2 of the joints are in coco13, 4 are needed"),
    ],
)
def test_maps_of_other_joints_are_refused(ppca, joints, message):
    with pytest.raises(SkeletonError, match=message):
        ProjectedBeliefs(ppca.layer(), joints)


def test_settings_out_of_their_range_are_refused():
    with pytest.raises(VipeError, match="sigma must be above 0"):
        PriorConfig(sigma=0.0)
    with pytest.raises(VipeError, match="seen_from 0 to 1"):
        PriorConfig(seen_from=math.nan)
