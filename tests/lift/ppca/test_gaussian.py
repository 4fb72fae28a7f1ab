from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from vipe.errors import ShapeError, VipeError
from vipe.lift.ppca.prior.gaussian import PPCA, dimensions_for


def moments(rows):
    return rows.mean(axis=0), np.cov(rows.T, bias=True)


def test_the_density_is_that_of_the_whole_covariance(gaussian, rng):
    rows = 3 * rng.normal(size=(50, 6))
    expected = multivariate_normal(gaussian.mean, gaussian.covariance).logpdf(rows)
    np.testing.assert_allclose(gaussian.log_prob(rows), expected, rtol=1e-12)


def test_the_density_keeps_its_digits_when_the_noise_is_tiny(gaussian):
    """A row inside the basis, far out: distance 2 x 5^2, whatever the noise."""
    sharp = replace(gaussian, noise=1e-13)
    row = gaussian.mean + 5 * np.sqrt(gaussian.variance) @ gaussian.basis
    volume = np.log(2 * np.pi) * 6 + np.log(gaussian.variance).sum() + 4 * np.log(1e-13)
    np.testing.assert_allclose(sharp.log_prob(row[None]), -0.5 * (50 + volume), rtol=1e-9)


def test_the_mean_log_density_of_rows_needs_only_their_moments(gaussian, rng):
    rows = rng.normal(size=(40, 6))
    np.testing.assert_allclose(gaussian.mean_log_prob(*moments(rows)), gaussian.log_prob(rows).mean(), rtol=1e-12)


def test_coefficients_are_the_posterior_mean_of_tipping_and_bishop(gaussian, rng):
    """(W^T W + noise I)^-1 W^T (x - mean), and the ridge regression with the penalties noise / latent variance."""
    rows = rng.normal(size=(5, 6))
    w = gaussian.basis.T * np.sqrt(gaussian.latent_variance)
    z = np.linalg.solve(w.T @ w + gaussian.noise * np.eye(2), w.T @ (rows - gaussian.mean).T).T
    np.testing.assert_allclose(gaussian.latent(rows), z * np.sqrt(gaussian.latent_variance), rtol=1e-12)
    penalty = np.diag(gaussian.noise / gaussian.latent_variance)
    ridge = np.linalg.solve(gaussian.basis @ gaussian.basis.T + penalty, gaussian.basis @ (rows - gaussian.mean).T).T
    np.testing.assert_allclose(gaussian.latent(rows), ridge, rtol=1e-12)


def test_its_own_moments_give_it_back(gaussian):
    again = PPCA.of_moments(gaussian.mean, gaussian.covariance, latent=2)
    np.testing.assert_allclose(again.covariance, gaussian.covariance, atol=1e-12)
    np.testing.assert_allclose(again.variance, gaussian.variance)
    np.testing.assert_allclose(again.noise, gaussian.noise)


@pytest.mark.parametrize(
    "floor", [0.0, 0.8, 5.0, 1e3], ids=["none", "above the noise", "above a variance", "above all"]
)
def test_no_model_with_noise_above_the_floor_is_more_likely(floor, rng):
    rows = rng.normal(size=(30, 6)) * [5.0, 3.0, 2.0, 1.0, 0.5, 0.2]
    mean, covariance = moments(rows)
    best = PPCA.of_moments(mean, covariance, 2, floor)
    assert best.noise >= floor
    likelihood = best.mean_log_prob(mean, covariance)
    for _ in range(300):
        basis = np.linalg.qr((best.basis + 0.1 * rng.normal(size=best.basis.shape)).T)[0].T
        noise = max(best.noise * np.exp(0.2 * rng.normal()), floor)
        variance = np.maximum(best.variance * np.exp(0.2 * rng.normal(size=2)), noise)
        other = PPCA(mean + 0.1 * rng.normal(size=6), basis, variance, noise)
        assert other.mean_log_prob(mean, covariance) <= likelihood + 1e-12


def test_without_latent_dimensions_it_is_a_ball(rng):
    rows = rng.normal(size=(20, 3))
    ball = PPCA.of_moments(*moments(rows), latent=0)
    np.testing.assert_allclose(ball.covariance, rows.var(axis=0).mean() * np.eye(3))
    assert ball.latent(rows).shape == (20, 0)


def test_agrees_with_scikit_learn(rng):
    decomposition = pytest.importorskip("sklearn.decomposition")
    rows = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
    theirs = decomposition.PCA(n_components=3, svd_solver="full").fit(rows)
    mean, covariance = rows.mean(axis=0), np.cov(rows.T)  # theirs divides by the number of rows less one
    ours = PPCA.of_moments(mean, covariance, latent=3)
    np.testing.assert_allclose(ours.log_prob(rows), theirs.score_samples(rows))
    np.testing.assert_allclose(ours.variance, theirs.explained_variance_)
    np.testing.assert_allclose(ours.noise, theirs.noise_variance_)
    np.testing.assert_allclose(np.abs(ours.basis), np.abs(theirs.components_))


def test_dimensions_for_a_share_of_the_variance():
    covariance = np.diag([1.0, 6.0, 3.0])
    assert [dimensions_for(covariance, share) for share in (0.5, 0.61, 0.89, 0.91, 1.0)] == [1, 2, 2, 3, 3]
    assert dimensions_for(np.zeros((3, 3))) == 0


def test_moments_that_make_no_model_are_refused():
    with pytest.raises(VipeError, match="from 0 to 2 latent ones, got 3"):
        PPCA.of_moments(np.zeros(3), np.eye(3), latent=3)
    with pytest.raises(ShapeError, match="finite"):
        PPCA.of_moments(np.zeros(3), np.full((3, 3), np.nan), latent=1)
