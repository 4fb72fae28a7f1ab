"""Engine: what an index asks of whatever searches its embeddings (numpy)."""

__all__ = ["Engine"]

from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.embed.encoder import Metric
from vipe.index.neighbours import Neighbours
from vipe.index.recipe import Recipe


@runtime_checkable
class Engine(Protocol):
    """Holds N embeddings and finds those nearest to a query."""

    recipe: Recipe
    """It was built by."""

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Refuse a recipe that nothing can be built by on this machine, before anything is embedded.

        Raises:
            VipeError: Says what is missing, and what to install.
        """
        ...

    @classmethod
    def build(cls, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric) -> "Engine":
        """Make one of embeddings, which may be mapped from a file: they are read in blocks."""
        ...

    @classmethod
    def open(
        cls, file: Path, recipe: Recipe, vectors: Float32[Array, "N D"], metric: Metric, *, fresh: bool = True
    ) -> "Engine":
        """Map what `save` wrote, or read it; the file's checksum was compared before.

        Args:
            file: What `save` wrote.
            recipe: It was built by.
            vectors: And of.
            metric: Of these.
            fresh: Whether nobody has looked into the file since it was written, so that all of it must be checked.

        Raises:
            IndexFormatError: If it cannot be read, or was not made of embeddings of this number, length and metric.
        """
        ...

    def save(self, file: Path) -> None:
        """Write all but the embeddings themselves.

        Raises:
            OSError: If the disk refuses.
        """
        ...

    def on_gpu(self, gpu: int) -> "Engine":
        """The same, searched by a GPU.

        Raises:
            VipeError: If it has no form there, or no room.
        """
        ...

    def searching(self, recipe: Recipe) -> "Engine":
        """The same, searched as a recipe says that differs in its `search` alone."""
        ...

    def exactly(self, queries: Float32[Array, "Q D"], k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
        """As `search`, comparing every row that may be found with each query."""
        ...

    def search(self, queries: Float32[Array, "Q D"], k: int, allowed: Int64[Array, " M"] | None = None) -> Neighbours:
        """Find the k nearest rows of each query.

        Args:
            queries: Finite, of the embeddings' length.
            k: At least 1; at most as many as there are rows, or allowed rows.
            allowed: Rows that may be found, each once and ascending; None allows all.

        Returns:
            Exact distances: Euclidean for metric l2, sqrt(1 - inner product) for ip. Nearest first.
        """
        ...
