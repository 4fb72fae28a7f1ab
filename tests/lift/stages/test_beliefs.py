import numpy as np
import pytest
import torch

from vipe.errors import VipeError
from vipe.lift.stages.beliefs import beliefs_at, gaussian_beliefs, peaks, to_image, to_map

SIZE = (14, 11)  # width, height


def smooth(xy, sigma):
    """Slow twin: a Gaussian at exact places."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    return np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2))


def test_a_map_is_a_gaussian_at_the_pixel_that_the_landmark_falls_in():
    xy = torch.tensor([[[4.3, 6.4], [0.2, 9.8]]], dtype=torch.float64)
    maps = gaussian_beliefs(xy, SIZE, 1.5)
    assert maps.shape == (1, 2, 11, 14)
    np.testing.assert_allclose(maps[0, 0].numpy(), smooth((4, 6), 1.5), atol=1e-12)
    np.testing.assert_allclose(maps[0, 1].numpy(), smooth((0, 10), 1.5), atol=1e-12)


def test_a_landmark_outside_leaves_only_what_reaches_in():
    maps = gaussian_beliefs(torch.tensor([[-2.0, 5.0], [400.0, 5.0]]), SIZE, 1.5)
    assert maps[0].max() == pytest.approx(np.exp(-4 / 4.5))
    assert maps[1].max() == 0


def test_the_gradient_is_the_difference_of_gaussians_a_pixel_apart(generator):
    xy = torch.tensor([[4.3, 6.4], [0.2, 9.8]], dtype=torch.float64, requires_grad=True)
    cost = torch.rand(2, 11, 14, dtype=torch.float64, generator=generator)
    (cost * gaussian_beliefs(xy, SIZE, 1.5)).sum().backward()
    for joint in range(2):
        here = xy[joint].detach().numpy().round()
        for axis in range(2):
            step = np.eye(2)[axis] / 2
            expected = (cost[joint].numpy() * (smooth(here + step, 1.5) - smooth(here - step, 1.5))).sum()
            assert xy.grad[joint, axis].item() == pytest.approx(expected, abs=1e-12)


def test_the_gradient_is_nearly_the_derivative_of_a_smooth_map(generator):
    here, sigma = np.array([6.0, 5.0]), 2.5
    xy = torch.tensor(here[None], requires_grad=True)
    cost = torch.rand(1, 11, 14, dtype=torch.float64, generator=generator)
    (cost * gaussian_beliefs(xy, SIZE, sigma)).sum().backward()
    for axis in range(2):
        step = 1e-4 * np.eye(2)[axis]
        slope = (cost[0].numpy() * (smooth(here + step, sigma) - smooth(here - step, sigma))).sum() / 2e-4
        assert xy.grad[0, axis].item() == pytest.approx(slope, rel=0.03)


def test_the_peak_is_the_most_confident_pixel_and_the_first_of_equals(generator):
    maps = torch.rand(3, 2, 11, 14, generator=generator)
    maps[0, 0] = 0
    maps[1, 1, 7, 3] = maps[1, 1, 7, 9] = 2
    found = peaks(maps)
    assert found[0, 0].tolist() == [0, 0]
    assert found[1, 1].tolist() == [3, 7]
    np.testing.assert_array_equal(
        found[2].numpy(), [np.unravel_index(one.argmax(), one.shape)[::-1] for one in maps[2].numpy()]
    )


def test_peaks_of_maps_are_the_landmarks_that_they_were_drawn_at(generator):
    xy = torch.randint(0, 11, (5, 13, 2), generator=generator).float()
    torch.testing.assert_close(peaks(gaussian_beliefs(xy, SIZE)), xy)
    torch.testing.assert_close(beliefs_at(gaussian_beliefs(xy, SIZE), xy), torch.ones(5, 13))


@pytest.mark.parametrize("way", [(1, 1), (-1, 1), (1, -1), (-1, -1)], ids=str)
def test_descent_lowers_the_peak_and_raises_the_quadrant_towards_the_wanted_side(way):
    maps = gaussian_beliefs(torch.tensor([[6.0, 5.0]]), SIZE, 1.5).requires_grad_()
    wanted = torch.tensor(way, dtype=torch.float32) * torch.tensor([3.0, 4.0])
    (-(peaks(maps, 1.5) * wanted).sum()).backward()  # the landmark should move by `wanted`
    fall = maps.grad[0]
    assert fall[5, 6] == pytest.approx(5.0)  # |g|
    rise = -fall.clone()
    rise[5, 6] = 0
    y, x = np.mgrid[:11, :14]
    inside = torch.from_numpy(((x - 6) * way[0] >= 0) & ((y - 5) * way[1] >= 0))
    assert not rise[~inside].any()
    expected = 5 * torch.from_numpy(smooth((6, 5), 1.5)).float() * inside
    expected[5, 6] = 0
    torch.testing.assert_close(rise, expected)


def test_steps_of_descent_bring_the_peak_to_its_target():
    maps = gaussian_beliefs(torch.tensor([[3.0, 3.0]]), SIZE, 1.5)
    target = torch.tensor([[9.0, 6.0]])
    start = (peaks(maps) - target).norm()
    for _ in range(40):
        maps.requires_grad_()
        (gradient,) = torch.autograd.grad((peaks(maps) - target).square().sum() / 2, maps)
        maps = (maps - 0.05 * gradient).detach()
    assert (peaks(maps) - target).norm() < 0.4 * start


def test_a_landmark_that_is_right_asks_for_nothing():
    maps = gaussian_beliefs(torch.tensor([[6.0, 5.0]]), SIZE).requires_grad_()
    (peaks(maps) - torch.tensor([[6.0, 5.0]])).square().sum().backward()
    assert not maps.grad.any()


def test_the_value_at_a_landmark_outside_is_that_of_the_nearest_pixel():
    maps = torch.arange(4.0).view(1, 2, 2)
    assert beliefs_at(maps, torch.tensor([[5.0, -3.0]])).tolist() == [1.0]


def test_maps_and_pictures_have_the_same_places(generator):
    xy = torch.rand(5, 2, generator=generator)
    torch.testing.assert_close(to_image(to_map(xy, 4.0), 4.0), xy)
    assert to_map(torch.tensor([4.0, 0.0]), 8.0).tolist() == [
        0.0,
        -0.5,
    ]  # the first pixel covers 0 to 8, its middle is 4


@pytest.mark.parametrize(
    "call", [lambda: peaks(torch.zeros(1, 4, 4), 0.0), lambda: gaussian_beliefs(torch.zeros(1, 2), SIZE, -1.0)]
)
def test_a_width_of_nothing_is_refused(call):
    with pytest.raises(VipeError, match="sigma must be above 0 pixels"):
        call()
