"""The prior: where an embedding's poses lie (numpy)."""

__all__ = ["Generative", "Prior", "prior_of"]

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from vipe.arrays import Array
from vipe.embed.vvipe.network import VVIPE
from vipe.errors import ShapeError, VipeError


@runtime_checkable
class Generative(Protocol):
    """An embedding of poses with a decoder."""

    @property
    def name(self) -> str:
        """Its kind; "v-vipe" has a standard normal prior."""

    @property
    def dim(self) -> int:
        """Length D of an embedding."""

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N D"]:
        """Embed poses."""

    def decode(self, z: Float[Array, "N D"]) -> Float32[Array, "N 17 3"]:
        """Canonical poses of embeddings."""


@dataclass(frozen=True)
class Prior:
    """The distribution of embeddings: a Gaussian.

    Directions of variations have its spread, so that one `alpha` means the same for every embedding.

    >>> prior = Prior.standard(3)
    >>> prior.directions(2, np.random.default_rng(0)).round(2)
    array([[ 0.13, -0.13,  0.64],
           [ 0.1 , -0.54,  0.36]], dtype=float32)
    """

    mean: Float32[Array, " D"]
    factor: Float32[Array, "D D"]  # times its transpose is the covariance

    @classmethod
    def standard(cls, dim: int) -> "Prior":
        """N(0, I), the prior of a variational autoencoder."""
        return cls(np.zeros(dim, np.float32), np.eye(dim, dtype=np.float32))

    @classmethod
    def fit(cls, embeddings: Float[Array, "N D"]) -> "Prior":
        """Fit mean and covariance to embeddings of poses, for an embedding trained without a prior.

        Raises:
            VipeError: If there are not more embeddings than dimensions.
        """
        count, dim = embeddings.shape
        if count <= dim:
            raise VipeError(f"a prior of {dim} dimensions is fitted to more than {dim} embeddings, got {count}")
        values, vectors = np.linalg.eigh(np.cov(embeddings.astype(np.float64), rowvar=False).reshape(dim, dim))
        factor = vectors * np.sqrt(values.clip(0))
        return cls(embeddings.mean(axis=0).astype(np.float32), factor.astype(np.float32))

    def directions(self, count: int, generator: np.random.Generator) -> Float32[Array, "count D"]:
        """Draw steps of mean 0 with the covariance of the prior."""
        normal = generator.standard_normal((count, len(self.mean))).astype(np.float32)
        return np.asarray(normal @ self.factor.T)


def prior_of(embedder: Generative, prior: Prior | None) -> Prior:
    """The prior given, or else the embedding's own.

    Raises:
        VipeError: If the embedding has none.
        ShapeError: If the prior given has another number of dimensions.
    """
    if prior is None:
        if embedder.name != VVIPE.kind:
            raise VipeError(
                f"an embedding of kind {embedder.name!r} was trained without a prior; fit one to the embeddings of "
                "poses: Prior.fit(embedder.encode_poses(poses))"
            )
        return Prior.standard(embedder.dim)
    if len(prior.mean) != embedder.dim:
        raise ShapeError(f"the prior has {len(prior.mean)} dimensions, the embedding {embedder.dim}")
    return prior
