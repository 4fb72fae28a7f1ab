"""Gaussians fitted to heatmaps: what was drawn comes back, no worse than scipy's fit, and failures are told."""

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

from vipe.detections import fit_gaussians, heatmaps, to_keypoints
from vipe.errors import ShapeError, VipeError


def gaussian(pixels, amplitude, x, y, xx, yx, yy):
    """The model in float64; xx, yx, yy: Cholesky factor of the covariance."""
    u = (pixels[0] - x) / xx
    v = (pixels[1] - y - yx * u) / yy
    return amplitude * np.exp(-(u * u + v * v) / 2)


def grid(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y]).astype(np.float64)


def drawn(rng, count, height=64, width=64, least=1.0, most=8.0):
    """Parameters of Gaussians inside a heatmap, with axes at any angle."""
    axes, angle = rng.uniform(least, most, (count, 2)), rng.uniform(0, np.pi, count)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    factor = np.linalg.cholesky(turn * axes[:, None] ** 2 @ turn.mT)
    mean = rng.uniform(0.3, 0.7, (count, 2)) * [width - 1, height - 1]
    shape = (factor[:, 0, 0], factor[:, 1, 0], factor[:, 1, 1])
    return np.stack([rng.uniform(0.1, 1, count), *mean.T, *shape], axis=1)


def images(parameters, height=64, width=64):
    pixels = grid(height, width)
    return np.stack([gaussian(pixels, *row) for row in parameters])


def fit(maps):
    """Fit images of one joint; the fields without that axis."""
    return fitted_rows(fit_gaussians(torch.from_numpy(np.asarray(maps, dtype=np.float32))[:, None]))


def fitted_rows(fitted):
    names = ("amplitude", "mean", "covariance", "residual", "converged")
    return {name: getattr(fitted, name)[:, 0].numpy() for name in names}


def covariance_of(parameters):
    xx, yx, yy = parameters[:, 3:].T
    return np.stack([xx * xx, xx * yx, xx * yx, yx * yx + yy * yy], axis=1).reshape(-1, 2, 2)


def residual_of(maps, found):
    """The sum of squares in float64, from what was found."""
    factor = np.linalg.cholesky(found["covariance"].astype(np.float64))
    shape = (factor[:, 0, 0], factor[:, 1, 0], factor[:, 1, 1])
    parameters = np.stack([found["amplitude"], *found["mean"].T, *shape], axis=1)
    return ((images(parameters, *maps.shape[1:]) - maps) ** 2).sum((1, 2))


def by_scipy(maps):
    """The residual of scipy's fit from the same start, one heatmap after the other."""
    pixels = grid(*maps.shape[1:]).reshape(2, -1)
    residuals = []
    for values in maps.reshape(len(maps), -1).astype(np.float64):
        y, x = divmod(int(values.argmax()), maps.shape[2])
        found, _ = curve_fit(gaussian, pixels, values, p0=[values.max(), x, y, 2, 0, 2])
        residuals.append(((gaussian(pixels, *found) - values) ** 2).sum())
    return np.array(residuals)


@pytest.mark.parametrize("size", [(64, 64), (48, 40), (33, 95)], ids=["square", "upright", "odd sides"])
def test_a_clean_gaussian_comes_back(size, rng):
    true = drawn(rng, 200, *size, most=5)
    found = fit(images(true, *size))
    assert found["converged"].all()
    np.testing.assert_allclose(found["mean"], true[:, 1:3], atol=1e-3)
    np.testing.assert_allclose(found["amplitude"], true[:, 0], rtol=1e-3)
    np.testing.assert_allclose(found["covariance"], covariance_of(true), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(found["residual"], 0, atol=1e-5)


def test_small_heatmaps_are_fitted_too(rng):
    true = drawn(rng, 20, 9, 7, least=1, most=1.5)
    np.testing.assert_allclose(fit(images(true, 9, 7))["mean"], true[:, 1:3], atol=1e-3)


def test_x_is_to_the_right_and_y_down():
    found = fit(images([[1, 40.25, 20, 4, 0, 2]]))
    np.testing.assert_allclose(found["mean"], [[40.25, 20]], atol=1e-3)
    np.testing.assert_allclose(found["covariance"], [[[16, 0], [0, 4]]], atol=1e-2)


def test_is_no_worse_than_scipy_on_noisy_heatmaps_and_on_two_peaks(rng):
    maps = images(drawn(rng, 45))
    maps[15:30] += 0.5 * images(drawn(rng, 15))
    maps = (maps + rng.normal(0, [[[0.02]]], maps.shape)).astype(np.float32)
    found, reference = fit(maps), by_scipy(maps)
    assert (residual_of(maps, found) <= 1.001 * reference).mean() >= 0.95
    np.testing.assert_allclose(found["residual"], residual_of(maps, found), rtol=1e-3)


def test_what_is_found_cannot_be_improved_by_a_change_of_any_number(rng):
    maps = images(drawn(rng, 20, most=4)) + rng.normal(0, 0.02, (20, 64, 64))
    found = fit(maps)
    best = residual_of(maps, found)
    for name, change in (("amplitude", 0.02), ("mean", 0.1), ("covariance", np.array([[0.5, 0], [0, 0]]))):
        for sign in (-1, 1):
            assert (residual_of(maps, found | {name: found[name] + sign * change}) > best).all(), name


def test_of_two_separate_peaks_it_fits_the_higher():
    maps = images([[1, 16, 20, 2, 0, 3], [0.6, 48, 40, 2, 0, 2]]).sum(axis=0, keepdims=True)
    np.testing.assert_allclose(fit(maps)["mean"], [[16, 20]], atol=1e-3)


@pytest.mark.parametrize("place", [(0.0, 30.0), (63.0, 30.0), (30.0, -1.0), (30.0, 64.0), (0.0, 0.0)])
def test_a_peak_at_the_border_is_found_by_the_half_that_is_seen(place):
    found = fit(images([[0.8, *place, 3, 1, 4]]))
    np.testing.assert_allclose(found["mean"], [place], atol=1e-2)
    np.testing.assert_allclose(found["covariance"], [[[9, 3], [3, 17]]], rtol=1e-2)
    assert found["converged"].all()


def test_covariances_are_positive_definite_whatever_the_heatmap(rng):
    maps = [
        rng.random((64, 64)),
        rng.standard_normal((64, 64)),
        np.eye(64),
        np.eye(64)[::-1] + 0.1,
        np.arange(64.0)[None] * np.ones((64, 1)),
        (grid(64, 64).sum(0) == 63) * 0.5,
        np.where(np.arange(4096).reshape(64, 64) == 1000, 1.0, 0.0),
        np.exp(rng.normal(0, 4, (64, 64))),
        np.zeros((64, 64)),
        np.pad(np.ones((64, 3)), ((0, 0), (61, 0))),
    ]
    found = fit(np.stack(maps))
    assert all(np.isfinite(values).all() for values in found.values())
    assert (np.linalg.eigvalsh(found["covariance"]) > 0).all()
    assert (found["residual"] <= 1.001 * (np.stack(maps) ** 2).sum((1, 2)) + residual_of(np.stack(maps), found)).all()


def test_one_heatmap_alone_is_what_it_is_in_a_batch(rng):
    maps = images(drawn(rng, 12)) + rng.normal(0, 0.02, (12, 64, 64))
    batch = torch.from_numpy(maps.astype(np.float32)).reshape(2, 2, 3, 64, 64)
    whole = fit_gaussians(batch)
    assert whole.mean.shape == (2, 2, 3, 2)
    assert whole.size == (64, 64)
    alone = fit_gaussians(batch[1, 0, 2:])
    for name in ("amplitude", "mean", "covariance", "residual", "converged"):
        torch.testing.assert_close(getattr(alone, name)[0], getattr(whole, name)[1, 0, 2], rtol=1e-4, atol=1e-4)


def test_blocks_make_no_difference(rng, monkeypatch):
    maps = images(drawn(rng, 10, most=4)) + rng.normal(0, 0.02, (10, 64, 64))
    whole = fit(maps)
    monkeypatch.setattr(heatmaps, "_BLOCK", 3 * 64 * 64)
    monkeypatch.setattr(heatmaps, "_CACHE", 2 * 24 * 24)
    monkeypatch.setattr(heatmaps, "_FEW", 4)
    for name, values in fit(maps).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-3, atol=1e-3)


def test_the_scale_of_the_heatmap_is_the_scale_of_the_amplitude(rng):
    maps = images(drawn(rng, 8, most=4)) + rng.normal(0, 0.02, (8, 64, 64))
    first, second = fit(maps), fit(200 * maps)
    np.testing.assert_allclose(second["amplitude"], 200 * first["amplitude"], rtol=1e-3)
    np.testing.assert_allclose(second["mean"], first["mean"], atol=1e-3)


def test_a_heatmap_turned_over_gives_the_gaussian_turned_over(rng):
    maps = images(drawn(rng, 8, 40, 64, most=4), 40, 64) + rng.normal(0, 0.02, (8, 40, 64))
    first, second = fit(maps), fit(maps.transpose(0, 2, 1))
    np.testing.assert_allclose(second["mean"], first["mean"][:, ::-1], atol=0.01)
    np.testing.assert_allclose(second["covariance"], first["covariance"][:, ::-1, ::-1], atol=0.1)


@pytest.mark.parametrize("value", [0.0, 0.7, -1.0])
def test_without_a_peak_there_is_a_start_without_amplitude(value):
    found = fit(np.full((1, 64, 64), value))
    assert found["amplitude"] == 0
    assert not found["converged"]
    np.testing.assert_allclose(found["covariance"], [[[4, 0], [0, 4]]])
    np.testing.assert_allclose(found["residual"], 64 * 64 * value**2, rtol=1e-5)


def test_a_fit_that_fails_is_the_start(monkeypatch):
    maps = images([[0.9, 30.2, 20, 5, 0, 5]])
    monkeypatch.setattr(heatmaps, "_STEPS", 1)
    found = fit(maps)
    assert not found["converged"]
    assert found["amplitude"] == np.float32(maps.max())
    np.testing.assert_array_equal(found["mean"], [[30, 20]])
    np.testing.assert_array_equal(found["covariance"], [[[4, 0], [0, 4]]])
    np.testing.assert_allclose(found["residual"], residual_of(maps, found), rtol=1e-4)


def test_a_fit_that_leaves_the_heatmap_is_the_start():
    maps = images([[300, 73, 30, 3, 0, 4]])  # of a peak of 300, only its foot of 1.2
    found = fit(maps)
    assert not found["converged"]
    np.testing.assert_array_equal(found["mean"], [[63, 30]])
    np.testing.assert_allclose(found["residual"], residual_of(maps, found), rtol=1e-4)


def test_nobody_has_no_gaussians():
    fitted = fit_gaussians(torch.zeros(0, 17, 64, 64))
    assert fitted.mean.shape == (0, 17, 2)
    assert to_keypoints(fitted, np.zeros((0, 4)), skeleton="coco17").mask.shape == (0, 17)


def test_the_heatmaps_stay_as_they_are(rng):
    maps = torch.from_numpy(images(drawn(rng, 3)))[:, None].requires_grad_()
    before = maps.detach().clone()
    fit_gaussians(maps)
    assert torch.equal(maps, before)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_heatmap(value):
    maps = torch.ones(3, 5, 16, 16)
    maps[1, 4, 2, 3] = value
    with pytest.raises(ShapeError, match=r"^heatmaps: the one at \(1, 4\) has a value that is not finite"):
        fit_gaussians(maps)


@pytest.mark.refusal
@pytest.mark.parametrize("shape", [(64, 64), (17, 3, 64)])
def test_what_is_no_heatmap_of_joints_is_refused(shape):
    with pytest.raises(ShapeError, match=r"at least 4 pixels a side, got shape \(\d+, "):
        fit_gaussians(torch.zeros(shape))


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
def test_a_start_without_width_is_refused(sigma):
    with pytest.raises(VipeError, match=r"start_sigma must be above 0 pixels, got"):
        fit_gaussians(torch.ones(1, 8, 8), start_sigma=sigma)


def people(rng):
    """Heatmaps of two people on coco13, the second without a nose."""
    maps = images(drawn(rng, 26, 48, 64, most=4), 48, 64).reshape(2, 13, 48, 64)
    maps[1, 0] = 0
    return fit_gaussians(torch.from_numpy(maps))


def test_keypoints_lie_in_their_boxes_as_in_the_heatmaps(rng):
    gaussians = people(rng)
    boxes = np.array([[10.0, 20, 128, 96], [-5, 0, 64, 480]])
    keypoints = to_keypoints(gaussians, boxes, np.array([[640.0, 480], [640, 480]]))
    scale = np.array([[2, 2], [1, 10]])
    expected = boxes[:, None, :2] + (gaussians.mean.numpy() + 0.5) * scale[:, None]
    seen = keypoints.mask
    np.testing.assert_allclose(keypoints.xy[seen], expected[seen], rtol=1e-5)
    np.testing.assert_allclose(keypoints.covariance[0], 4 * gaussians.covariance[0], rtol=1e-5)
    np.testing.assert_allclose(
        keypoints.covariance[1], gaussians.covariance[1] * torch.tensor([[1, 10], [10, 100]]), rtol=1e-5
    )
    assert keypoints.image_size.tolist() == [[640, 480], [640, 480]]
    assert keypoints.skeleton.name == "coco13"


def test_the_corners_of_the_heatmap_are_the_corners_of_the_box():
    corners = images([[1, -0.5, -0.5, 3, 0, 3], [1, 63.5, 63.5, 3, 0, 3]])
    maps = np.concatenate([corners, np.zeros((11, 64, 64))])
    keypoints = to_keypoints(fit_gaussians(torch.from_numpy(maps)[None]), np.array([[100.0, 200, 50, 80]]))
    np.testing.assert_allclose(keypoints.xy[0, :2], [[100, 200], [150, 280]], atol=0.1)


def test_a_joint_is_seen_by_its_amplitude(rng):
    gaussians = people(rng)
    gaussians.amplitude[0, :3] = torch.tensor([1.3, 0.19, 0.21])
    boxes = np.array([[0.0, 0, 64, 48]] * 2)
    keypoints = to_keypoints(gaussians, boxes)
    assert keypoints.mask[0, :3].tolist() == [True, False, True]
    assert keypoints.confidence[0, 0] == 1
    assert not keypoints.mask[1, 0]
    assert not to_keypoints(gaussians, boxes, min_confidence=0.0).mask[1, 0]
    assert to_keypoints(gaussians, boxes, min_confidence=0.0).mask.sum() == 25


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("boxes", "skeleton", "message"),
    [
        (np.ones((2, 4)), "coco17", r"gaussians must be \(N, 17\) for coco17, got shape \(2, 13\)"),
        (np.ones((1, 4)), "coco13", r"boxes must be \(2, 4\): left, top, width, height; got shape \(1, 4\)"),
        (np.array([[0, 0, 5, 5], [0, 0, 5, 0.0]]), "coco13", r"box 1 is \[0.0, 0.0, 5.0, 0.0\], expected a width"),
        (np.array([[0, np.nan, 5, 5], [0, 0, 5, 5]]), "coco13", r"box 0 is \[0.0, nan, 5.0, 5.0\]"),
    ],
)
def test_boxes_and_skeletons_that_do_not_fit_are_refused(boxes, skeleton, message, rng):
    with pytest.raises(ShapeError, match=message):
        to_keypoints(people(rng), boxes, skeleton=skeleton)
