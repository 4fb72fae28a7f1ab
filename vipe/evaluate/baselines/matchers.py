"""Matchers: a score for how alike two people in two images are, from any cameras (numpy)."""

__all__ = ["EmbeddingMatcher", "Matcher", "ProbabilityMatcher", "find_matcher"]

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32

from vipe import pretrained
from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.embed import AffineSignature, Encoder, find_encoder
from vipe.embed.prvipe.network import PrVIPE
from vipe.errors import VipeError


@runtime_checkable
class Matcher(Protocol):
    """A score for every pair of people; each person is first described without knowing the other."""

    @property
    def name(self) -> str:
        """What to call it in tables."""

    def describe(self, keypoints: Keypoints) -> Float32[Array, " N *shape"]:
        """What `compare` needs of each person."""

    def compare(
        self, query: Float32[Array, " Q *shape"], gallery: Float32[Array, " G *shape"]
    ) -> Float32[Array, "Q G"]:
        """How alike the described people are; larger is more alike. Called with a block of queries at a time."""


class EmbeddingMatcher:
    """The distance between embeddings of keypoints, in an encoder's metric."""

    def __init__(self, encoder: Encoder, name: str = "") -> None:
        if isinstance(encoder, AffineSignature):
            raise VipeError("the affine signature compares keypoints with 3D poses only; see vipe evaluate search")
        self.encoder = encoder
        self.name = name or encoder.name

    def describe(self, keypoints: Keypoints) -> Float32[Array, "N D"]:
        """The embeddings of keypoints."""
        return self.encoder.encode_keypoints(keypoints)

    def compare(self, query: Float32[Array, "Q D"], gallery: Float32[Array, "G D"]) -> Float32[Array, "Q G"]:
        """Inner product, or minus the squared distance plus a constant of each query, which changes no ranking.

        One matrix product: |q - g|² = |q|² - (2 q · g - |g|²), and the bracket is (q, 1) · (2 g, -|g|²).
        """
        if self.encoder.metric == "ip":
            return _product(query, gallery)
        # From the gallery's middle, where squares are small and lose no digits.
        middle = gallery.mean(axis=0)
        query, gallery = query - middle, gallery - middle
        one = np.ones((len(query), 1), dtype=np.float32)
        square = np.einsum("gd,gd->g", gallery, gallery)[:, None]
        return _product(np.hstack([query, one]), np.hstack([2 * gallery, -square]))


class ProbabilityMatcher:
    """Pr-VIPE's probability that two people are in one pose."""

    def __init__(self, embedder: PrVIPE, name: str = "") -> None:
        self.embedder = embedder
        self.name = name or embedder.name

    def describe(self, keypoints: Keypoints) -> Float32[Array, "N 2 D"]:
        """Means and scales of the Gaussians."""
        return self.embedder.describe(keypoints)

    def compare(self, query: Float32[Array, "Q 2 D"], gallery: Float32[Array, "G 2 D"]) -> Float32[Array, "Q G"]:
        """`PrVIPE.compare`."""
        return self.embedder.compare(query, gallery)


def find_matcher(source: str | Path, name: str = "") -> Matcher:
    """The matcher of a trained model: Pr-VIPE's probability, or the distance of any other encoder's embeddings.

    Args:
        source: A folder, or the name of a model that comes with the library.
        name: What to call it in tables; the model's kind if not given.

    Raises:
        ReadError: If there is no such model, or it is broken.
        VipeError: If the model cannot compare two images.
    """
    if str(source) != AffineSignature.name:
        trained = pretrained.load(source, also=(AffineSignature.name,))
        if trained.kind == PrVIPE.name:
            return ProbabilityMatcher(PrVIPE.from_pretrained(source), name)
    return EmbeddingMatcher(find_encoder(source), name)


def _product(a: Float32[Array, "Q D"], b: Float32[Array, "G D"]) -> Float32[Array, "Q G"]:
    product: Float32[Array, "Q G"] = (torch.from_numpy(a) @ torch.from_numpy(b).T).numpy()
    return product
