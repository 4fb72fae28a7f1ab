from dataclasses import replace

import numpy as np
import pytest
from lift.ppca.conftest import same_angle, turn

from vipe.lift.ppca.prior.gaussian import PPCA
from vipe.lift.ppca.prior.heading import HeadingStart, best_headings, turned

GRID = np.linspace(-np.pi, np.pi, 721)


@pytest.fixture
def model(rng):
    """Poses of five joints; two of the four directions vary a lot."""
    basis = np.linalg.qr(rng.normal(size=(15, 4)))[0].T
    return PPCA(mean=rng.normal(size=15), basis=basis, variance=np.array([5.0, 4.0, 0.2, 0.1]), noise=0.05)


def density(model, pose, angles):
    """Log density of one pose turned back by each angle."""
    rows = turn(np.broadcast_to(pose, (len(angles), *pose.shape)), -angles)
    return model.log_prob(rows.reshape(len(angles), -1))


def test_turned_is_a_rotation_about_the_vertical(rng):
    poses, angles = rng.normal(size=(6, 5, 3)), rng.uniform(-4, 4, 6)
    np.testing.assert_allclose(turned(poses, angles), turn(poses, angles), atol=1e-14)
    np.testing.assert_allclose(turned(turned(poses, angles), -angles), poses, atol=1e-14)


@pytest.mark.parametrize("kind", ["any", "no latent dimensions", "mean on the vertical", "all latent"])
def test_no_angle_of_a_fine_grid_is_better(kind, model, rng):
    if kind == "no latent dimensions":
        model = replace(model, basis=model.basis[:0], variance=model.variance[:0])
    elif kind == "mean on the vertical":  # every pose then fits as well from behind: two equal maxima
        model = replace(model, mean=model.mean * np.tile([0, 0, 1], 5), basis=model.basis * np.tile([1, 1, 0], 5))
        model = replace(model, basis=np.linalg.qr(model.basis.T)[0].T)
    elif kind == "all latent":
        model = replace(model, variance=1e6 * model.variance, noise=1e-6)
    poses = 2 * rng.normal(size=(200, 5, 3))
    found = best_headings(poses, model)
    for pose, angle in zip(poses, found, strict=True):
        (best,) = density(model, pose, np.array([angle]))
        assert best >= density(model, pose, GRID).max() - 1e-9 * abs(best)


def test_without_a_basis_the_angle_is_the_closed_one(model, rng):
    """That of the least squared distance to the mean, to all digits also of small turns."""
    ball = replace(model, basis=model.basis[:0], variance=model.variance[:0])
    mean = model.mean.reshape(5, 3)
    poses = turn(np.broadcast_to(mean, (40, 5, 3)), np.logspace(-12, 0, 40))
    poses[20:] += rng.normal(size=(20, 5, 3))
    (q_x, q_y, _), (p_x, p_y, _) = mean.T, np.moveaxis(poses, -1, 0)
    closed = np.arctan2((q_x * p_y - q_y * p_x).sum(axis=1), (q_x * p_x + q_y * p_y).sum(axis=1))
    np.testing.assert_allclose(best_headings(poses, ball), closed, atol=1e-14, rtol=0)


def test_an_angle_is_exact_to_many_digits(model, rng):
    """The log density falls to both sides, by nearly the same."""
    step = 1e-4
    for pose in rng.normal(size=(50, 5, 3)):
        (angle,) = best_headings(pose[None], model)
        below, here, above = density(model, pose, angle + np.array([-step, 0, step]))
        offset = step / 2 * (above - below) / (2 * here - above - below)
        assert abs(offset) < 1e-8


def test_the_angle_follows_the_pose(model, rng):
    poses, angles = rng.normal(size=(100, 5, 3)), rng.uniform(-np.pi, np.pi, 100)
    same_angle(best_headings(turn(poses, angles), model), best_headings(poses, model) + angles, atol=1e-9)


def test_a_pose_on_the_vertical_gets_some_angle(model):
    assert np.isfinite(best_headings(np.array([[[0.0, 0.0, 1.0]] * 5, [[0.0, 0.0, 0.0]] * 5]), model)).all()


def test_the_start_recovers_turns_of_one_shape(rng):
    """Up to one turn of all of them, which no data tell."""
    shape, angles = rng.normal(size=(5, 3)), rng.uniform(-np.pi, np.pi, 60)
    poses = turn(np.broadcast_to(shape, (60, 5, 3)), angles)
    found = HeadingStart(lambda: [poses[:20], poses[20:]])
    offsets = found.angles(poses) - angles
    same_angle(offsets, np.full(60, offsets[0]), atol=1e-9)


def test_the_start_is_not_led_astray_by_noise(planted):
    found = HeadingStart(lambda: [planted.recorded - planted.recorded[:, :1]]).angles(
        planted.recorded - planted.recorded[:, :1]
    )
    turns = np.exp(1j * (found - planted.angles))
    assert abs(turns.mean()) > 0.8  # 0 for random turns


def test_poses_without_width_have_a_start():
    poses = np.zeros((4, 5, 3)) + np.arange(5)[:, None] * [0.0, 0.0, 1.0]
    assert np.isfinite(HeadingStart(lambda: [poses]).angles(poses)).all()
