import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import multivariate_normal

from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.lift.ppca import PPCA, MixtureOfPPCA
from vipe.lift.ppca.prior.em import Components


def planted(generator, count=4000):
    """Three clusters in six dimensions, each wide in one direction of its own; which row is of which."""
    labels = generator.choice(3, size=count, p=[0.5, 0.3, 0.2])
    rows = 0.3 * generator.normal(size=(count, 6)) + 4 * np.eye(6)[labels]
    rows += 2 * generator.normal(size=(count, 1)) * np.eye(6)[labels + 3]
    return rows, labels


def awkward(name):
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(60, 5))
    match name:
        case "duplicates":
            return np.repeat(rows[:6], 10, axis=0)
        case "all the same":
            return np.ones((20, 5))
        case "fewer rows than dimensions":
            return generator.normal(size=(8, 30))
        case "as many rows as components":
            return rows[:3]
        case "one row":
            return rows[:1]
        case "a constant column":
            return rows * [1, 1, 0, 1, 1]
        case "on a line":
            return rows[:, :1] * np.ones(5)
        case "one far away":
            return np.concatenate([rows, np.full((1, 5), 1e6)])
        case "far from the origin":
            return rows + 1e6
        case "tiny":
            return 1e-9 * rows
        case "heavy tails":
            return generator.standard_cauchy(size=(300, 5))


AWKWARD = [
    "duplicates",
    "all the same",
    "fewer rows than dimensions",
    "as many rows as components",
    "one row",
    "a constant column",
    "on a line",
    "one far away",
    "far from the origin",
    "tiny",
    "heavy tails",
]


@pytest.fixture(scope="module")
def fitted():
    return MixtureOfPPCA(3, 1, random_state=0).fit(planted(np.random.default_rng(0))[0])


def matched(fitted):
    """The order of its components that is the planted one."""
    return [int(np.argmax(fitted.means_[:, k])) for k in range(3)]


def test_a_planted_mixture_is_recovered(fitted):
    order = matched(fitted)
    np.testing.assert_allclose(fitted.weights_[order], [0.5, 0.3, 0.2], atol=0.03)
    np.testing.assert_allclose(fitted.means_[order], 4 * np.eye(6)[:3], atol=0.15)
    np.testing.assert_allclose(np.abs(fitted.components_[order][:, 0]), np.eye(6)[3:], atol=0.05)
    np.testing.assert_allclose(fitted.explained_variance_[order][:, 0], 4.09, rtol=0.12)
    np.testing.assert_allclose(fitted.noise_variance_[order], 0.09, rtol=0.12)


def test_rows_are_given_to_the_cluster_that_they_come_from(fitted):
    rows, labels = planted(np.random.default_rng(1))
    order = np.argsort(matched(fitted))
    assert (order[fitted.predict(rows)] == labels).mean() > 0.99
    shares = fitted.predict_proba(rows)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(shares.argmax(axis=1), fitted.predict(rows))


def test_the_density_is_that_of_gaussians(fitted, rng):
    rows = 3 * rng.normal(size=(30, 6))
    expected = sum(
        weight * multivariate_normal(gaussian.mean, gaussian.covariance).pdf(rows)
        for weight, gaussian in zip(fitted.weights_, fitted.gaussians, strict=True)
    )
    np.testing.assert_allclose(np.exp(fitted.score_samples(rows)), expected, rtol=1e-9)
    np.testing.assert_allclose(fitted.score(rows), np.log(expected).mean(), rtol=1e-9)


def test_the_density_integrates_to_one(rng):
    rows = np.concatenate([rng.normal(size=(50, 2)) * [2, 0.5], rng.normal(size=(50, 2)) + 4])
    mixture = MixtureOfPPCA(2, 1, random_state=0).fit(rows)
    axis, step = np.linspace(-15, 20, 701, retstep=True)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(np.exp(mixture.score_samples(grid)).sum() * step**2, 1, rtol=1e-6)


def test_one_component_is_probabilistic_pca(rng):
    rows = rng.normal(size=(100, 5)) * [3, 2, 1, 0.5, 0.4] + 7
    mixture = MixtureOfPPCA(1, 2).fit(rows)
    closed = PPCA.of_moments(rows.mean(axis=0), np.cov(rows.T, bias=True), latent=2)
    np.testing.assert_allclose(mixture.score_samples(rows), closed.log_prob(rows), rtol=1e-9)
    np.testing.assert_allclose(mixture.explained_variance_[0], closed.variance)
    np.testing.assert_allclose(mixture.noise_variance_[0], closed.noise)
    assert mixture.converged_
    assert mixture.n_iter_ == 1


def test_one_component_agrees_with_scikit_learn(rng):
    decomposition = pytest.importorskip("sklearn.decomposition")
    rows = rng.normal(size=(400, 5)) * [3, 2, 1, 0.5, 0.4]
    theirs, ours = decomposition.PCA(2, svd_solver="full").fit(rows), MixtureOfPPCA(1, 2).fit(rows)
    bessel = 400 / 399  # theirs divides by the number of rows less one
    np.testing.assert_allclose(ours.explained_variance_[0] * bessel, theirs.explained_variance_)
    np.testing.assert_allclose(ours.noise_variance_[0] * bessel, theirs.noise_variance_)
    np.testing.assert_allclose(ours.means_[0], theirs.mean_, atol=1e-12)
    np.testing.assert_allclose(np.abs(ours.components_[0]), np.abs(theirs.components_))
    np.testing.assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), atol=0.1)


def test_balls_of_no_latent_dimension_agree_with_scikit_learn(rng):
    mixture = pytest.importorskip("sklearn.mixture")
    rows = np.concatenate([rng.normal(size=(100, 3)), 0.5 * rng.normal(size=(50, 3)) + 3])
    ours = MixtureOfPPCA(2, 0, tol=1e-10, max_iter=2000).fit(rows)
    theirs = mixture.GaussianMixture(
        2, covariance_type="spherical", means_init=ours.means_, tol=1e-10, max_iter=2000, reg_covar=0
    ).fit(rows)
    np.testing.assert_allclose(ours.noise_variance_, theirs.covariances_, rtol=1e-3)
    np.testing.assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), atol=1e-3)
    assert ours.components_.shape == (2, 0, 3)


def test_the_likelihood_never_falls(rng):
    """Of clusters that overlap, so that EM has much to do after the start."""
    rows = rng.normal(size=(300, 6)) + 2 * rng.choice(2, size=(300, 1)) * rng.normal(size=(300, 6))
    mixture = MixtureOfPPCA(4, 2, tol=1e-6).fit(rows)
    assert mixture.converged_
    assert len(mixture.lower_bounds_) == mixture.n_iter_ + 1 > 10
    assert (np.diff(mixture.lower_bounds_) >= -1e-12).all()
    assert mixture.lower_bounds_[-1] > mixture.lower_bounds_[0] + 0.1
    np.testing.assert_allclose(mixture.score(rows), mixture.lower_bound_)


@pytest.mark.parametrize("latent", [0, 2])
@pytest.mark.parametrize("name", AWKWARD)
def test_the_likelihood_never_falls_on_awkward_rows(name, latent):
    rows = awkward(name)
    mixture = MixtureOfPPCA(3, latent, tol=0.0, max_iter=30, random_state=0).fit(rows)
    bounds = mixture.lower_bounds_
    assert np.isfinite(bounds).all()
    assert (np.diff(bounds) >= -1e-9 * np.abs(bounds[1:])).all()
    np.testing.assert_allclose(mixture.score(rows), mixture.lower_bound_, rtol=1e-6)
    np.testing.assert_allclose(mixture.weights_.sum(), 1)
    assert (mixture.noise_variance_ > 0).all()
    assert (mixture.explained_variance_ >= mixture.noise_variance_[:, None]).all()


def test_noise_stays_above_its_floor(rng):
    rows = np.concatenate([rng.normal(size=(100, 5)), np.full((100, 5), 9.0)])
    spread = rows.var(axis=0).mean()
    for floor in (1e-6, 1e-2):
        mixture = MixtureOfPPCA(2, 1, noise_floor=floor).fit(rows)
        np.testing.assert_allclose(mixture.noise_variance_.min(), floor * spread, rtol=1e-9)


def test_a_component_that_gets_nothing_stays_and_counts_for_nothing(gaussian, rng):
    far = PPCA(gaussian.mean + 1e4, gaussian.basis, gaussian.variance, gaussian.noise)
    rows = gaussian.mean + rng.normal(size=(50, 6))
    components = Components(np.array([0.5, 0.5]), (gaussian, far))
    next_one = components.moments(rows, np.ones(50)).most_likely(2, 1e-6, components)
    np.testing.assert_array_equal(next_one.weights, [1, 0])
    assert next_one.models[1] is far
    after = next_one.moments(rows, np.ones(50))
    assert np.isfinite(after.log_likelihood)
    np.testing.assert_allclose(after.log_likelihood, next_one.models[0].log_prob(rows).sum())


def test_fewer_components_are_found_where_the_rows_hold_no_more(rng):
    rows = np.concatenate([rng.normal(size=(100, 4)), rng.normal(size=(100, 4)) + 30])
    assert len(MixtureOfPPCA(5, 1, min_distance=10.0).fit(rows).weights_) == 2
    assert len(MixtureOfPPCA(5, 1).fit(rows).weights_) == 5


def test_a_row_counts_as_often_as_its_weight_says(rng):
    rows, counts = rng.normal(size=(80, 4)) * [3, 2, 1, 1], rng.integers(0, 4, 80)
    weighted = MixtureOfPPCA(2, 1).fit(rows, sample_weight=counts)
    repeated = MixtureOfPPCA(2, 1).fit(np.repeat(rows, counts, axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-9)
    np.testing.assert_allclose(weighted.noise_variance_, repeated.noise_variance_, rtol=1e-9)
    np.testing.assert_allclose(weighted.lower_bound_, repeated.lower_bound_, rtol=1e-9)


def test_moving_and_scaling_the_rows_moves_and_scales_the_mixture(rng):
    rows = rng.normal(size=(200, 4)) * [3, 2, 1, 1]
    here, there = (MixtureOfPPCA(2, 1, random_state=0).fit(some) for some in (rows, 100 * rows + 5000))
    np.testing.assert_allclose(there.means_, 100 * here.means_ + 5000, rtol=1e-6)
    np.testing.assert_allclose(there.noise_variance_, 1e4 * here.noise_variance_, rtol=1e-6)
    np.testing.assert_allclose(there.lower_bound_, here.lower_bound_ - 4 * np.log(100), rtol=1e-6)


def test_samples_have_the_moments_of_the_mixture(fitted, rng):
    rows, labels = fitted.sample(200_000, rng)
    np.testing.assert_allclose(np.bincount(labels) / len(rows), fitted.weights_, atol=0.005)
    for k, gaussian in enumerate(fitted.gaussians):
        np.testing.assert_allclose(rows[labels == k].mean(axis=0), gaussian.mean, atol=0.05)
        np.testing.assert_allclose(np.cov(rows[labels == k].T), gaussian.covariance, atol=0.1)
    np.testing.assert_allclose(fitted.score(rows), fitted.lower_bound_, atol=0.1)


def test_samples_depend_on_the_generator_alone(fitted):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, seeded = (fitted.sample(5, state)[0] for state in (*map(np.random.default_rng, (7, 7)), 7))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, seeded)
    assert (first != fitted.sample(5, 8)[0]).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert fitted.sample(0)[0].shape == (0, 6)


def test_fits_depend_on_the_generator_alone():
    rows = planted(np.random.default_rng(0), 5000)[0]
    first, second = (MixtureOfPPCA(3, 1, max_iter=2, random_state=4).fit(rows) for _ in range(2))
    np.testing.assert_array_equal(first.means_, second.means_)
    other = MixtureOfPPCA(3, 1, max_iter=2, random_state=np.random.default_rng(5)).fit(rows)
    assert (first.means_ != other.means_).any()


def test_bic_counts_the_free_numbers(fitted, rng):
    rows = rng.normal(size=(100, 6))
    free = 3 * (6 + 6 * 1 + 1) + 2
    np.testing.assert_allclose(fitted.bic(rows), -2 * fitted.score_samples(rows).sum() + free * np.log(100))


def test_single_precision_rows_are_fitted_in_double(rng):
    rows = rng.normal(size=(100, 4)).astype(np.float32) + 100
    single, double = MixtureOfPPCA(2, 1).fit(rows), MixtureOfPPCA(2, 1).fit(rows.astype(np.float64))
    np.testing.assert_array_equal(single.means_, double.means_)


def test_settings_are_read_and_changed_by_name():
    mixture = MixtureOfPPCA(2).set_params(n_latent=4, tol=1e-3)
    assert mixture.get_params()["n_latent"] == 4
    assert eval(repr(mixture)).get_params() == mixture.get_params()
    with pytest.raises(VipeError, match="no setting 'latent'; it has n_components, n_latent"):
        mixture.set_params(latent=4)


@pytest.mark.parametrize(
    "setting",
    [{"n_components": 0}, {"n_latent": -1}, {"max_iter": 0}, {"min_distance": -1.0}, {"tol": float("nan")}],
    ids=lambda setting: next(iter(setting)),
)
def test_a_setting_out_of_its_range_is_refused_by_fit(setting):
    with pytest.raises(VipeError, match=f"{next(iter(setting))} must be at least"):
        MixtureOfPPCA(**{"n_latent": 1, **setting}).fit(np.eye(3))


def test_other_settings_that_make_no_sense_are_refused_by_fit():
    with pytest.raises(VipeError, match="noise_floor must be more than 0"):
        MixtureOfPPCA(1, 1, noise_floor=0.0).fit(np.eye(3))
    with pytest.raises(VipeError, match="random_state must be a Generator, a seed or None"):
        MixtureOfPPCA(1, 1, random_state=-1).fit(np.eye(3))
    with pytest.raises(ShapeError, match=r"n_latent=3 needs more features than that, got 3 feature\(s\)"):
        MixtureOfPPCA(1, 3).fit(np.eye(3))


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (np.ones(3), ShapeError, "2D array"),
        (np.ones((2, 3, 3)), ShapeError, r"2D array.* \(2, 3, 3\)"),
        (np.ones((0, 3)), ShapeError, r"0 sample\(s\)"),
        (np.ones((3, 0)), ShapeError, r"0 feature\(s\)"),
        (np.array([[1.0] * 6, [np.nan] * 6]), ShapeError, "row 1 contains NaN"),
        (np.array([[1.0] * 6, [np.inf, -np.inf] * 3]), ShapeError, "row 1 contains NaN or inf"),
        (np.ones((3, 2)) * 1j, ShapeError, "Complex"),
        ([["a", "b"]], ArgumentError, "must hold numbers"),
        (csr_array(np.eye(3)), ArgumentError, "sparse"),
    ],
    ids=["a vector", "three axes", "no rows", "no columns", "NaN", "inf", "complex", "words", "sparse"],
)
def test_rows_that_are_none_are_refused(rows, error, message, fitted):
    with pytest.raises(error, match=message):
        MixtureOfPPCA(1, 1).fit(rows)
    with pytest.raises(error, match=message):
        fitted.score_samples(rows)


def test_rows_of_another_width_are_refused(fitted):
    with pytest.raises(ShapeError, match="5 features, but MixtureOfPPCA is expecting 6"):
        fitted.predict(np.ones((2, 5)))


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1, 1], r"\(3,\).* \(2,\)"), ([1, -1, 1], "negative"), ([1, np.nan, 1], "finite"), ([0, 0, 0], "zero")],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(ShapeError, match=message):
        MixtureOfPPCA(1, 1).fit(np.eye(3), sample_weight=weights)


def test_an_unfitted_mixture_says_so():
    for use in (
        lambda mixture: mixture.score_samples(np.eye(3)),
        lambda mixture: mixture.sample(1),
        lambda mixture: mixture.gaussians,
    ):
        with pytest.raises(VipeError, match="not fitted yet; call fit"):
            use(MixtureOfPPCA())


def test_a_negative_number_of_samples_is_refused(fitted):
    with pytest.raises(VipeError, match="n_samples"):
        fitted.sample(-1)
