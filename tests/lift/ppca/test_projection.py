import numpy as np
import pytest
import torch

from vipe.geometry.cameras import look_at, project
from vipe.lift.ppca.prior.heading import turned
from vipe.lift.ppca.projection import Aspects, PosePrior, Views, from_image, keypoint_image
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17


@pytest.fixture(scope="module")
def geometry(ppca):
    return ppca.model.geometry


def joint(poses, name):
    """A joint of poses without the pelvis."""
    return poses[..., H36M17.index(name) - 1, :]


def test_at_heading_zero_the_person_faces_the_camera_with_their_left_on_its_right(geometry):
    mean = geometry.prior.mean[0] @ geometry.views.rotations()[0, 0].mT
    assert joint(mean, "nose")[2] < joint(mean, "head")[2]
    assert joint(mean, "left_hip")[0] > 0 > joint(mean, "right_hip")[0]
    assert joint(mean, "nose")[1] < 0 < joint(mean, "left_ankle")[1]


def test_the_image_is_that_of_a_camera_far_away(geometry, standing):
    """The second view looks down by 0.3; the person is turned to the left by a sixth of a circle."""
    heading = float(geometry.views.heading[4])
    person = standing[None] - standing[0]
    tilt, zero = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    R_cam_world, t_cam = look_at(zero, tilt, zero + 1e5, zero, torch.zeros(3, dtype=torch.float64))
    points = torch.from_numpy(turned(person.astype(np.float64), np.array([heading]))[0, COCO13_IN_H36M17])
    seen = project(points, R_cam_world, t_cam, zero + 1e5, torch.zeros(2, dtype=torch.float64))
    ours = keypoint_image(torch.from_numpy(person[:, 1:]).double() @ geometry.views.rotations()[1, 4].mT)
    torch.testing.assert_close(ours.view(13, 2), seen, atol=1e-4, rtol=0)


def test_aspects_have_mean_and_covariance_of_images_of_poses_drawn(geometry):
    rotation = geometry.views.rotations()[1, 7]
    component = torch.ones(40_000, dtype=torch.long)
    drawn = keypoint_image(geometry.prior.draw(component, torch.Generator().manual_seed(0)) @ rotation.mT)
    aspect = Aspects.of(geometry.prior, component[:1], rotation[None])
    deviation = aspect.covariance[0].diagonal().sqrt()
    torch.testing.assert_close(drawn.mean(0) / deviation, aspect.mean[0] / deviation, atol=0.025, rtol=0)
    unit = torch.outer(deviation, deviation)
    torch.testing.assert_close(drawn.T.cov() / unit, aspect.covariance[0] / unit, atol=0.025, rtol=0)


def test_covariances_multiply_as_matrices_do(geometry):
    prior = geometry.prior
    rows = torch.randn(5, 16, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    component = torch.tensor([0, 1, 1, 0, 1])
    dense = prior.factors.flatten(2).mT @ prior.factors.flatten(2) + prior.noise[:, None, None] * torch.eye(48)
    expected = (dense[component] @ rows.flatten(1)[..., None]).view(5, 16, 3)
    torch.testing.assert_close(prior.times_covariance(component, rows), expected)


def test_the_first_factor_is_the_spread_of_sizes():
    mean = torch.arange(96, dtype=torch.float64).view(2, 48)
    parts = (torch.tensor([0.5, 0.5]).double(), mean, torch.zeros(2, 1, 48).double(), torch.ones(2, 1).double())
    prior = PosePrior.of(*parts, torch.ones(2).double(), scale_spread=0.3)
    torch.testing.assert_close(prior.factors[:, 0], 0.3 * prior.mean)
    assert not prior.factors[:, 1].any()


def test_the_transpose_of_an_image_is_one():
    generator = torch.Generator().manual_seed(0)
    poses, image = torch.randn(4, 16, 3, generator=generator), torch.randn(4, 26, generator=generator)
    torch.testing.assert_close((keypoint_image(poses) * image).sum(), (poses * from_image(image)).sum())
    nose = keypoint_image(poses)[:, 2 * COCO13.index("nose")]
    torch.testing.assert_close(nose, joint(poses, "nose")[:, 0])


def test_aspects_are_in_the_order_of_component_view_and_heading(geometry):
    views, aspects = geometry.views, geometry.aspects
    assert len(aspects) == 2 * 2 * 24
    number = 1 * 48 + 1 * 24 + 5
    assert aspects.component[number] == 1
    torch.testing.assert_close(aspects.rotation[number], views.rotations()[1, 5])
    torch.testing.assert_close(views.log_prior(geometry.prior)[number], (geometry.prior.log_weight[1].exp() / 48).log())
    torch.testing.assert_close(views.log_prior(geometry.prior).exp().sum().item(), 1.0)


def test_tilts_and_rolls_are_all_combined():
    views = Views.of((0.0, 0.2), (-0.1, 0.0, 0.1), 5, like=torch.zeros(1, dtype=torch.float64))
    assert views.rotations().shape == (6, 5, 3, 3)
    torch.testing.assert_close(views.log_weight.exp().sum().item(), 1.0)
    eye = torch.eye(3, dtype=torch.float64).expand(6, 5, 3, 3)
    torch.testing.assert_close(views.rotations() @ views.rotations().mT, eye)
