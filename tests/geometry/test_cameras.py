"""Cameras: where they stand, what is up, and where points fall."""

import math

import pytest
import torch

from vipe.geometry import in_front, look_at, project, to_camera

TARGET = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)
CENTER = torch.tensor([320.0, 240.0], dtype=torch.float64)
FOCAL = torch.tensor(1000.0, dtype=torch.float64)


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def camera(azimuth=0.0, elevation=0.0, distance=4.0, roll=0.0, target=TARGET):
    return look_at(number(azimuth), number(elevation), number(distance), number(roll), target)


def around(generator, *batch):
    """Cameras all around."""
    angles = torch.rand(3, *batch, generator=generator, dtype=torch.float64)
    azimuth, elevation, roll = angles[0] * 2 * math.pi, (angles[1] - 0.5) * 3, (angles[2] - 0.5) * 6
    return azimuth, elevation, torch.full(batch, 4.0, dtype=torch.float64), roll, TARGET.expand(*batch, 3)


def test_stands_where_the_angles_say_and_sees_the_target_ahead(generator):
    azimuth, elevation, distance, roll, target = around(generator, 50)
    R_cam_world, t_cam = look_at(azimuth, elevation, distance, roll, target)
    centre = -(R_cam_world.mT @ t_cam[..., None])[..., 0]
    flat = elevation.cos()
    expected = target + 4 * torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], dim=-1)
    torch.testing.assert_close(centre, expected)
    seen = to_camera(target[:, None], R_cam_world, t_cam)[:, 0]
    torch.testing.assert_close(seen, torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64).expand(50, 3))
    eye = torch.eye(3, dtype=torch.float64).expand(50, 3, 3)
    torch.testing.assert_close(R_cam_world @ R_cam_world.mT, eye)
    torch.testing.assert_close(torch.linalg.det(R_cam_world), torch.ones(50, dtype=torch.float64))


@pytest.mark.parametrize("elevation", [-1.2, 0.0, 0.7])
@pytest.mark.parametrize("azimuth", [0.0, 2.0, -1.0])
def test_the_world_s_up_is_up_in_the_image(azimuth, elevation):
    view = camera(azimuth, elevation)
    pixels = project(TARGET + torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.1]]), *view, FOCAL, CENTER)
    torch.testing.assert_close(pixels[0], CENTER)
    assert pixels[1, 1] < pixels[0, 1] - 5
    torch.testing.assert_close(pixels[1, 0], pixels[0, 0])


def test_from_the_x_axis_y_is_on_the_right():
    pixels = project(TARGET + torch.tensor([[0.0, 0.4, 0.0]]), *camera(), FOCAL, CENTER)
    torch.testing.assert_close(pixels, torch.tensor([[420.0, 240.0]], dtype=torch.float64))


def test_a_clockwise_roll_turns_the_image_counterclockwise():
    pixels = project(TARGET + torch.tensor([[0.0, 0.0, 0.4]]), *camera(roll=math.pi / 2), FOCAL, CENTER)
    torch.testing.assert_close(pixels, torch.tensor([[220.0, 240.0]], dtype=torch.float64))  # up has become left


def test_what_is_near_is_large():
    points = TARGET + torch.tensor([[0.0, 0.4, 0.0], [2.0, 0.4, 0.0]])
    pixels = project(points, *camera(), FOCAL, CENTER)
    torch.testing.assert_close(pixels[:, 0], torch.tensor([420.0, 520.0], dtype=torch.float64))


def test_looking_straight_down_is_defined():
    R_cam_world, t_cam = camera(azimuth=0.5, elevation=math.pi / 2)
    assert R_cam_world.isfinite().all()
    assert t_cam.isfinite().all()
    torch.testing.assert_close(R_cam_world[2], torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64))


def test_arguments_broadcast(generator):
    azimuth, elevation, _, _, _ = around(generator, 5, 1)
    R_cam_world, t_cam = look_at(azimuth, elevation[:3].mT, number(3.0), number(0.0), TARGET)
    assert R_cam_world.shape == (5, 3, 3, 3)
    points = torch.randn(3, 17, 3, generator=generator, dtype=torch.float64) * 0.3
    assert project(points, R_cam_world, t_cam, FOCAL, CENTER).shape == (5, 3, 17, 2)


def test_what_is_behind_has_no_image_and_no_gradient():
    points = (TARGET + torch.tensor([[0.0, 0.1, 0.0], [9.0, 0.0, 0.0], [4.0, 0.0, 0.0]])).requires_grad_()
    view = camera()
    pixels = project(points, *view, FOCAL, CENTER)
    assert in_front(points, *view).tolist() == [True, False, False]
    assert pixels.isfinite().all(dim=-1).tolist() == [True, False, False]
    pixels[in_front(points, *view)].sum().backward()
    assert points.grad.isfinite().all()


def test_gradients_are_right(generator):
    arguments = [x.clone().requires_grad_() for x in around(generator, 3)]
    points = (TARGET + torch.randn(3, 5, 3, generator=generator, dtype=torch.float64) * 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, *a: project(p, *look_at(*a), FOCAL, CENTER), (points, *arguments))


def test_a_point_counts_as_visible_from_0_1_m_in_front_of_the_camera():
    ahead = TARGET + torch.tensor([[3.95, 0.0, 0.0], [3.85, 0.0, 0.0], [3.6, 0.0, 0.0]])  # 0.05, 0.15 and 0.4 m away
    assert in_front(ahead, *camera()).tolist() == [False, True, True]
    assert in_front(ahead, *camera(), near=0.2).tolist() == [False, False, True]
