"""A map: some poses of an index, laid out in the plane by their embeddings, and new poses placed among them (numpy)."""

__all__ = ["LIMIT", "EmbeddingMap", "Method", "encoder_of", "lay_onto", "lay_out", "place"]

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int64

from vipe.arrays import Array
from vipe.cores import cores
from vipe.embed import Embedder
from vipe.embed.encoder import Encoder
from vipe.errors import EncoderMismatch, ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.plots.embedding_map.coverage import covering_rows
from vipe.plots.embedding_map.nearest import nearest_in, neighbour_graph
from vipe.plots.embedding_map.tsne_layout import has_opentsne, tsne_layout
from vipe.plots.embedding_map.umap_layout import umap_layout

LIMIT = 100_000
"""Poses of a map by default: what a page of 15 MB holds, and three minutes on two cores lay out."""
Method = Literal["umap", "tsne"]
_LEAST = 10  # poses of a map
_NEIGHBOURS = 15  # that UMAP keeps near; umap-learn's default
_PERPLEXITY = 30.0  # of t-SNE; scikit-learn's and openTSNE's default
_PLACED_BY = 5  # neighbours: measured beside 1, 3, 10 and 15 (benchmarks/maps.py)


@runtime_checkable
class StepProgress(Protocol):
    """Is told how far a step of the work is; a step of unknown length has no total."""

    def __call__(self, step: str, done: int, total: int | None = None, /) -> None:
        """Told again and again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingMap:
    """Poses of an index in the plane. Near points are similar poses; what else a distance means, docs/map.md says."""

    rows: Int64[Array, " N"]  # of the index, ascending
    xy: Float32[Array, "N 2"]
    embeddings: Float32[Array, "N D"]
    reach: Float32[Array, " N"]  # distance to the 15th nearest pose of the map, in the embedding
    method: Method
    encoder: str  # fingerprint of what made the embeddings
    settings: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


def lay_out(
    index: PoseIndex,
    method: Method = "umap",
    limit: int = LIMIT,
    *,
    generator: np.random.Generator,
    encoder: Encoder | None = None,
    progress: StepProgress | None = None,
) -> EmbeddingMap:
    """Lay the poses of an index out in the plane, from principal components on.

    An index of affine signatures, which do not compare poses with poses, is mapped by the default embedding of its
    canonical poses.

    Args:
        index: The poses.
        method: `umap`, or `tsne`.
        limit: Of more poses, so many that cover the others (`covering_rows`).
        generator: Of UMAP's draws. t-SNE has none.
        encoder: In place of `encoder_of(index)`.
        progress: Told how far each step is.

    Raises:
        MissingExtra: If what lays out is not installed.
        VipeError: If `limit` or the number of poses is below 10.
    """
    rows, vectors, made_by = _covered(index, limit, encoder, progress)
    if len(rows) < _LEAST:
        raise VipeError(f"{index.path}: a map needs at least {_LEAST} poses, this index has {len(rows)}")
    perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
    wanted = int(3 * perplexity) + 1 if method == "tsne" else _NEIGHBOURS
    kept = min(max(wanted, _NEIGHBOURS + 1), len(rows))

    def told(step: str) -> Any:
        return None if progress is None else lambda done, total: progress(step, done, total)

    graph = neighbour_graph(vectors, kept, told("neighbours"))
    start = _principal_plane(vectors)
    seed = int(generator.integers(2**31))
    if method == "umap":
        if progress is not None:
            progress("umap", 0)
        near = min(_NEIGHBOURS, len(rows) - 1)
        xy = umap_layout(vectors, graph.first(near), start, seed)
        if progress is not None:
            progress("umap", len(rows), len(rows))
        settings: dict[str, Any] = {"n_neighbors": near, "min_dist": 0.1}
    else:
        if progress is not None:
            progress("tsne", 0)
        xy = tsne_layout(vectors, graph, start, perplexity=perplexity, workers=cores(), progress=told("tsne"))
        settings = {"perplexity": perplexity, "by": "openTSNE" if has_opentsne() else "scikit-learn"}
    return EmbeddingMap(
        rows=rows,
        xy=xy,
        embeddings=vectors,
        reach=graph.distances[:, min(_NEIGHBOURS, kept - 1)],
        method=method,
        encoder=made_by,
        settings=settings,
    )


def lay_onto(
    earlier: EmbeddingMap,
    index: PoseIndex,
    limit: int = LIMIT,
    *,
    encoder: Encoder | None = None,
    progress: StepProgress | None = None,
) -> EmbeddingMap:
    """Place the poses of an index on an earlier map, of this index or another one. Nothing is fitted.

    Poses of the earlier map keep their places, for `place` puts a pose where an equal one is.

    Raises:
        EncoderMismatch: If the earlier map was made with another embedding.
    """
    rows, vectors, made_by = _covered(index, limit, encoder, progress)
    if made_by != earlier.encoder:
        raise EncoderMismatch(
            f"the earlier map was made by embedding {earlier.encoder}, the poses of {index.path} are embedded by "
            f"{made_by}; lay them out anew"
        )

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress("neighbours", done, total)

    kept = min(_NEIGHBOURS + 1, len(rows))
    return EmbeddingMap(
        rows=rows,
        xy=place(earlier, vectors),
        embeddings=vectors,
        reach=nearest_in(vectors, vectors, kept, told).distance[:, -1],
        method=earlier.method,
        encoder=made_by,
        settings={**earlier.settings, "placed_on": len(earlier)},
    )


def place(layout: EmbeddingMap, embeddings: Float[Array, "Q D"], neighbours: int = _PLACED_BY) -> Float32[Array, "Q 2"]:
    """Places of new poses, or of keypoints, on a map that stays as it is.

    The place is the mean of those of the nearest mapped poses, weighted by the inverse square of their distances in the
    embedding. A neighbour that lies far from the nearest one on the map has no say: between two islands is nothing. An
    embedding that is on the map gets its own place.

    Args:
        layout: The map.
        embeddings: By the embedding that made the map.
        neighbours: How many say where.

    Raises:
        ShapeError: If the embeddings have another length than those of the map.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != layout.embeddings.shape[1]:
        expected = f"(Q, {layout.embeddings.shape[1]})"
        raise ShapeError(f"embeddings must be {expected} for this map, got shape {embeddings.shape}")
    if not len(embeddings):
        return np.empty((0, 2), dtype=np.float32)
    found = nearest_in(layout.embeddings, np.asarray(embeddings, dtype=np.float32), neighbours)
    near = layout.xy[found.rows].astype(np.float64)
    first = near[:, :1]
    apart = np.linalg.norm(near - first, axis=-1)
    typical = np.median(apart, axis=1, keepdims=True)
    weight = 1 / np.maximum(found.distance.astype(np.float64), 1e-12) ** 2
    weight = np.where(apart <= np.maximum(2 * typical, 1e-12), weight, 0)
    exact = found.distance[:, 0] <= 1e-6
    weight[exact, 1:] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    return np.asarray((weight[..., None] * near).sum(axis=1), dtype=np.float32)


def encoder_of(index: PoseIndex) -> Encoder:
    """What embeds poses and people for a map of an index: its own encoder if it is learned, else the default one."""
    return index.encoder if index.is_learned else Embedder.from_pretrained("default")


def _covered(
    index: PoseIndex, limit: int, encoder: Encoder | None, progress: StepProgress | None
) -> tuple[Int64[Array, " N"], Float32[Array, "N D"], str]:
    """Rows that cover an index, their embeddings, and who made these."""
    if limit < _LEAST:
        raise VipeError(f"limit must be at least {_LEAST}, got {limit}")
    made_by = encoder or encoder_of(index)
    if made_by.metric != "l2":
        raise VipeError(f"encoder {made_by.name} compares by inner product: a map needs distances, so a learned one")
    if index.holds(made_by):
        vectors = index.embeddings
    else:
        if progress is not None:
            progress("embeddings", 0)
        vectors = made_by.encode_poses(index.canonical)
        if progress is not None:
            progress("embeddings", len(vectors), len(vectors))
    rows = covering_rows(np.asarray(vectors), limit)
    return rows, np.ascontiguousarray(vectors[rows], dtype=np.float32), made_by.fingerprint


def _principal_plane(vectors: Float32[Array, "N D"]) -> Float32[Array, "N 2"]:
    """Coordinates along the two widest directions; each points to where its greatest number is positive."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    wide = axes[:, [-1, -2]]
    wide = wide * np.sign(wide[np.abs(wide).argmax(axis=0), [0, 1]])
    return np.asarray(centred @ wide, dtype=np.float32)
