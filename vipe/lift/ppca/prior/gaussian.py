"""A Gaussian of few dimensions in many, with noise: probabilistic PCA in closed form (numpy, float64)."""

__all__ = ["PPCA", "dimensions_for"]

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError


@dataclass(frozen=True)
class PPCA:
    """x = mean + W z + noise, with z ~ N(0, I) of J dimensions and noise ~ N(0, noise I) of D.

    The covariance is W W^T + noise I. W is held by its singular vectors: the rows of `basis` are orthonormal, and along
    row j the data vary by `variance[j]`, noise included. So a = basis (x - mean) has the prior N(0, variance - noise).

    Reference:
        Tipping & Bishop 1999, "Probabilistic principal component analysis".
    """

    mean: Float64[Array, " D"]
    basis: Float64[Array, "J D"]
    variance: Float64[Array, " J"]  # descending, none below the noise
    noise: float  # variance

    @classmethod
    def of_moments(
        cls, mean: Float64[Array, " D"], covariance: Float64[Array, "D D"], latent: int, floor: float = 0.0
    ) -> "PPCA":
        """The maximum of the likelihood of data with these moments, among all with noise of at least `floor`.

        The basis holds the first eigenvectors, the noise is the mean of the eigenvalues that remain. Where that mean is
        below the floor, the floor takes its place, and that of every smaller eigenvalue: still the exact maximum.

        Args:
            mean: Of the data.
            covariance: Of the data, with the number of rows as divisor.
            latent: J.
            floor: Must be positive if the data lie in J dimensions or fewer, or the density has no maximum.

        Raises:
            VipeError: If `latent` is not from 0 to D - 1.
            ShapeError: If the covariance is not (D, D) or not finite.

        Reference:
            Tipping & Bishop 1999, eq. 7 and 8.

        Example:
            >>> model = PPCA.of_moments(np.zeros(3), np.diag([1.0, 9.0, 3.0]), latent=1)
            >>> model.variance, model.noise
            (array([9.]), 2.0)
        """
        size = len(mean)
        if not 0 <= latent < size:
            raise VipeError(f"a model of {size} dimensions has from 0 to {size - 1} latent ones, got {latent}")
        if covariance.shape != (size, size) or not np.isfinite(covariance).all():
            raise ShapeError(f"the covariance must be finite numbers ({size}, {size}), got shape {covariance.shape}")
        values, vectors = np.linalg.eigh(covariance)
        values = values[::-1].clip(0)
        noise = max(float(values[latent:].mean()), floor)
        basis = np.ascontiguousarray(vectors.T[::-1][:latent])
        return cls(mean=mean, basis=basis, variance=np.maximum(values[:latent], noise), noise=noise)

    @property
    def latent_variance(self) -> Float64[Array, " J"]:
        """Prior variance of each coefficient: what the data vary along its basis vector, less the noise."""
        return self.variance - self.noise

    @property
    def covariance(self) -> Float64[Array, "D D"]:
        """W W^T + noise I."""
        return (self.basis.T * self.latent_variance) @ self.basis + self.noise * np.eye(len(self.mean))

    def latent(self, x: Float64[Array, "N D"]) -> Float64[Array, "N J"]:
        """Posterior mean of the coefficients, a_j = (1 - noise / variance_j) basis_j (x - mean); x^ = mean + a basis.

        Reference:
            Tipping & Bishop 1999, sec. 3.3: W (W^T W + noise I)^-1 W^T (x - mean), in the basis of its columns.
        """
        return np.asarray(((x - self.mean) @ self.basis.T) * (self.latent_variance / self.variance))

    def log_prob(self, x: Float64[Array, "N D"]) -> Float64[Array, " N"]:
        """Log density in nats."""
        return self.log_prob_of_offsets(x - self.mean)

    def log_prob_of_offsets(self, offsets: Float64[Array, "N D"]) -> Float64[Array, " N"]:
        """Log density in nats of mean + offset.

        The squared Mahalanobis distance is that in the basis and that outside, both sums of squares: no small
        difference of large numbers, however small the noise.
        """
        along = offsets @ self.basis.T
        outside = offsets - along @ self.basis
        distance = np.square(along) @ (1 / self.variance) + np.einsum("nd,nd->n", outside, outside) / self.noise
        return np.asarray(-0.5 * (distance + self._log_volume()))

    def mean_log_prob(self, mean: Float64[Array, " D"], covariance: Float64[Array, "D D"]) -> float:
        """Mean log density in nats of data with these moments (divisor: the number of rows)."""
        second = covariance + np.outer(mean - self.mean, mean - self.mean)
        along = np.einsum("jd,de,je->j", self.basis, second, self.basis)
        outside = max(float(np.trace(second) - along.sum()), 0.0)
        return -0.5 * (float((along / self.variance).sum()) + outside / self.noise + self._log_volume())

    def _log_volume(self) -> float:
        """The log of the determinant of 2 pi C."""
        size, latent = len(self.mean), len(self.variance)
        inside = float(np.log(self.variance).sum())
        return size * math.log(2 * math.pi) + inside + (size - latent) * math.log(self.noise)


def dimensions_for(covariance: Float[Array, "D D"], share: float = 0.95) -> int:
    """The fewest principal components that hold this share of the variance; 0 if there is none.

    Example:
        >>> dimensions_for(np.diag([1.0, 90.0, 5.0, 4.0]))
        2
    """
    values = np.linalg.eigvalsh(covariance)[::-1].clip(0)
    if values.sum() == 0:
        return 0
    return min(int(np.searchsorted(np.cumsum(values) / values.sum(), share)) + 1, len(values))
