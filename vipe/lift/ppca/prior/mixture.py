"""A mixture of probabilistic PCA, with the methods and names of scikit-learn's estimators (numpy, float64)."""

__all__ = ["MixtureOfPPCA"]

import inspect
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import logsumexp, softmax

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.lift.ppca.prior.em import Components, fit_mixture
from vipe.lift.ppca.prior.gaussian import PPCA
from vipe.lift.ppca.prior.rows import checked_rows, checked_weights, mean_variance


class MixtureOfPPCA:
    """p(x) = sum_k weight_k N(mean_k, W_k W_k^T + noise_k I): Gaussians of few dimensions, each with its own noise.

    Fitted by EM in closed form. A row belongs to component k with probability r_k. A component's weight is the mean
    of r_k, its mean and covariance are those of the rows so weighted, and its basis and noise follow from the
    eigenvalues of that covariance (`PPCA.of_moments`). The log-likelihood never falls. EM starts from greedy centres
    (`greedy_centres`), each row given to the nearest one.

    It is used as any estimator of scikit-learn, which need not be installed: X is (rows, features), `fit` returns
    itself, what is learned ends in `_`, and a setting out of its range is reported by `fit`.

    Args:
        n_components: K, at most: see `min_distance`. The paper uses 3.
        n_latent: J, dimensions of each component; 0 makes it a ball. The paper does not state its own.
        min_distance: In the unit of X. No centre is added that lies nearer than this to another, so the data decide
            the number of components. At 0 only centres that coincide are left out.
        noise_floor: Least noise of a component, as a share of the data's mean variance. It keeps the likelihood
            bounded where rows repeat or a component has fewer rows than dimensions.
        tol: EM stops when a step raises the mean log-likelihood of a row by less, in nats.
        max_iter: Steps of EM at most.
        random_state: Where more than 2000 rows are given, those that the centres are chosen from are drawn with it: a
            numpy Generator, a seed for one, or None for a fresh one.

    Attributes:
        weights_: (K,), they sum to one.
        means_: (K, D).
        components_: (K, J, D), the basis of each component: orthonormal rows, as in scikit-learn's PCA.
        explained_variance_: (K, J), variance along each row of the basis, noise included, descending.
        noise_variance_: (K,), variance in every direction outside the basis.
        lower_bound_: Mean log-likelihood of the rows it was fitted to, nats.
        lower_bounds_: (n_iter_ + 1,), that before each step of EM and after the last.
        n_iter_: Steps of EM taken.
        converged_: Whether `tol` ended them, not `max_iter`.
        n_features_in_: D.

    Reference:
        Tipping & Bishop 1999, "Mixtures of probabilistic principal component analysers", sec. 3 and appendix C.
        Tome et al. 2017, sec. 4.2, for the start.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(500, 3)) * [3.0, 0.1, 0.1]
        >>> mixture = MixtureOfPPCA(n_components=1, n_latent=1).fit(rows)
        >>> mixture.explained_variance_.round(), mixture.noise_variance_.round(2)
        (array([[9.]]), array([0.01]))
    """

    weights_: Float64[Array, " K"]
    means_: Float64[Array, "K D"]
    components_: Float64[Array, "K J D"]
    explained_variance_: Float64[Array, "K J"]
    noise_variance_: Float64[Array, " K"]
    lower_bound_: float
    lower_bounds_: Float64[Array, " steps"]
    n_iter_: int
    converged_: bool
    n_features_in_: int

    def __init__(
        self,
        n_components: int = 3,
        n_latent: int = 10,
        *,
        min_distance: float = 0.0,
        noise_floor: float = 1e-6,
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_latent = n_latent
        self.min_distance = min_distance
        self.noise_floor = noise_floor
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "MixtureOfPPCA":
        """Fit to rows.

        Args:
            X: (N, D) numbers. They are converted to float64 a block at a time.
            y: Not used; scikit-learn hands it over.
            sample_weight: (N,) how often each row counts; once by default.

        Raises:
            VipeError: If a setting is out of its range.
            ShapeError: If X is not (N, D), has no rows, is not finite, or has no more columns than `n_latent`; or if
                the weights are not N finite numbers, none negative and not all zero.
            ArgumentError: If X is sparse or holds no real numbers.
        """
        self._check_settings()
        rows = checked_rows(X)
        count, features = rows.shape
        if not self.n_latent < features:
            raise ShapeError(f"n_latent={self.n_latent} needs more features than that, got {features} feature(s)")
        row_weights = checked_weights(sample_weight, count)
        if not row_weights.all():
            rows, row_weights = rows[row_weights > 0], row_weights[row_weights > 0]
        fitted = fit_mixture(
            rows,
            row_weights,
            components=self.n_components,
            latent=self.n_latent,
            min_distance=self.min_distance,
            # Rows that are all the same have no scale of their own.
            floor=self.noise_floor * (mean_variance(rows, row_weights) or 1.0),
            tolerance=self.tol,
            steps=self.max_iter,
            generator=_generator(self.random_state),
        )
        models = fitted.components.models
        self.n_features_in_ = features
        self.weights_ = fitted.components.weights
        self.means_ = np.stack([model.mean for model in models])
        self.components_ = np.stack([model.basis for model in models])
        self.explained_variance_ = np.stack([model.variance for model in models])
        self.noise_variance_ = np.array([model.noise for model in models])
        self.lower_bounds_ = fitted.log_likelihoods
        self.lower_bound_ = float(fitted.log_likelihoods[-1])
        self.n_iter_ = len(fitted.log_likelihoods) - 1
        self.converged_ = fitted.converged
        return self

    @property
    def gaussians(self) -> tuple[PPCA, ...]:
        """The components, in the order of `weights_`; each has its `latent_variance`, the prior of its coefficients.

        Raises:
            VipeError: If it is not fitted.
        """
        self._fitted()
        parts = zip(self.means_, self.components_, self.explained_variance_, self.noise_variance_, strict=True)
        return tuple(PPCA(mean, basis, variance, float(noise)) for mean, basis, variance, noise in parts)

    def score_samples(self, X: Any) -> Float64[Array, " N"]:
        """Log density of each row in nats; raises as `predict`."""
        return np.asarray(logsumexp(self._log_joint(X), axis=1))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density of the rows in nats; raises as `predict`."""
        return float(self.score_samples(X).mean())

    def bic(self, X: Any) -> float:
        """Bayesian information criterion, the lower the better; raises as `predict`.

        A component has D numbers for its mean, D J - J (J - 1) / 2 for W up to a rotation, and its noise.
        """
        total = self.score_samples(X)
        count, latent, size = self.components_.shape
        free = count * (size + size * latent - latent * (latent - 1) // 2 + 1) + count - 1
        return float(-2 * total.sum() + free * np.log(len(total)))

    def predict(self, X: Any) -> Int64[Array, " N"]:
        """The component that each row most probably belongs to.

        Raises:
            VipeError: If it is not fitted.
            ShapeError: If X is not (N, D), has no rows, or is not finite.
            ArgumentError: If X is sparse or holds no real numbers.
        """
        return np.asarray(np.argmax(self._log_joint(X), axis=1), dtype=np.int64)

    def predict_proba(self, X: Any) -> Float64[Array, "N K"]:
        """With which probability each row belongs to each component; raises as `predict`."""
        return np.asarray(softmax(self._log_joint(X), axis=1))

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.Generator | None = None
    ) -> tuple[Float64[Array, "N D"], Int64[Array, " N"]]:
        """Draw rows.

        Args:
            n_samples: How many.
            random_state: A numpy Generator, which every draw uses; a seed for one, or None for a fresh one. The
                estimator's own is for `fit` alone.

        Returns:
            The rows, in no order, and the component that each was drawn from.

        Raises:
            VipeError: If it is not fitted, or `n_samples` is negative.
        """
        gaussians = self.gaussians
        if n_samples < 0:
            raise VipeError(f"n_samples must be 0 or more, got {n_samples}")
        generator = _generator(random_state)
        labels = generator.choice(len(gaussians), size=n_samples, p=self.weights_)
        latent = generator.standard_normal((n_samples, self.components_.shape[1]))
        rows = generator.standard_normal((n_samples, self.n_features_in_))
        for k, gaussian in enumerate(gaussians):
            mine = labels == k
            varied = (latent[mine] * np.sqrt(gaussian.latent_variance)) @ gaussian.basis
            rows[mine] = gaussian.mean + varied + np.sqrt(gaussian.noise) * rows[mine]
        return rows, labels.astype(np.int64)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name; none of them has settings of its own, so `deep` changes nothing."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> "MixtureOfPPCA":
        """Change settings; `fit` applies them.

        Raises:
            VipeError: If there is no setting of that name.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise VipeError(f"MixtureOfPPCA has no setting {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_params().items())})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weights_")

    def __sklearn_tags__(self) -> Any:
        utils = import_module("sklearn.utils")  # only scikit-learn calls this, so it is there
        return utils.Tags(estimator_type="density_estimator", target_tags=utils.TargetTags(required=False))

    def _log_joint(self, X: Any) -> Float64[Array, "N K"]:
        components = Components(self._fitted().weights_, self.gaussians)
        return components.log_joint(checked_rows(X, self.n_features_in_))

    def _fitted(self) -> "MixtureOfPPCA":
        if not self.__sklearn_is_fitted__():
            raise VipeError("this MixtureOfPPCA is not fitted yet; call fit(X) first")
        return self

    def _check_settings(self) -> None:
        for name, least in (("n_components", 1), ("n_latent", 0), ("max_iter", 1), ("min_distance", 0), ("tol", 0)):
            value = getattr(self, name)
            if not value >= least:
                raise VipeError(f"{name} must be at least {least}, got {value!r}")
        if not self.noise_floor > 0:
            raise VipeError(f"noise_floor must be more than 0, got {self.noise_floor!r}")


def _generator(random_state: Any) -> np.random.Generator:
    """A numpy Generator from any `random_state`.

    Raises:
        VipeError: If it is none.
    """
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise VipeError(f"random_state must be a Generator, a seed or None, got {random_state!r}: {error}") from error
