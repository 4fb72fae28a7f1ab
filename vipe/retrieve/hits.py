"""Hits: what a search gives back (numpy)."""

__all__ = ["Hits"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64, Shaped

from vipe.arrays import Array
from vipe.index import PoseIndex

_OPTIONAL = ("probability", "probability_close", "fit_cost", "affine_residual")


@dataclass(frozen=True, kw_only=True)
class Hits:
    """The K nearest frames of an archive for each of Q queries, best first.

    A query may have fewer than K: the places left have row -1, distance infinity, time NaN and empty names, and come
    last. `skipped` says for each query why it has none, where it could not be searched for at all.
    """

    rows: Int64[Array, "Q K"]  # of the index
    ids: Int64[Array, "Q K"]  # the same in every index of the same clips
    distance: Float32[Array, "Q K"]  # smaller is nearer, whatever the encoder's metric or the mode of the search
    clip: Shaped[Array, "Q K"]
    frame: Int64[Array, "Q K"]  # in the source clip, from 0
    time: Float64[Array, "Q K"]  # in the source clip, seconds
    subject: Shaped[Array, "Q K"]
    action: Shaped[Array, "Q K"]
    skipped: tuple[str | None, ...]
    probability: Float32[Array, "Q K"] | None = None  # that the pose lies within 0.1 torso of the true one
    probability_close: Float32[Array, "Q K"] | None = None  # within 0.05
    presence: Float32[Array, " Q"] | None = None  # probability that any pose searched lies within 0.1; NaN if skipped
    parts: Mapping[str, Float32[Array, "Q K"]] | None = None  # of the log odds of `probability`: they sum to it
    fit_cost: Float32[Array, "Q K"] | None = None  # twice the negative log posterior of camera and build
    affine_residual: Float32[Array, "Q K"] | None = None  # what made it a candidate

    @classmethod
    def look_up(
        cls,
        index: PoseIndex,
        rows: Int64[Array, "Q K"],
        distance: Float32[Array, "Q K"],
        skipped: tuple[str | None, ...] | None = None,
    ) -> "Hits":
        """The moments that rows of an index are; row -1 is an empty place."""
        return cls(
            rows=rows,
            ids=index.look_up("id", rows, -1),
            distance=np.where(rows < 0, np.float32(np.inf), distance),
            clip=index.look_up("clip", rows, ""),
            frame=index.look_up("frame", rows, -1).astype(np.int64),
            time=index.look_up("time", rows, np.nan),
            subject=index.look_up("subject", rows, ""),
            action=index.look_up("action", rows, ""),
            skipped=(None,) * len(rows) if skipped is None else skipped,
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def found(self) -> Bool[Array, "Q K"]:
        """Which places hold a hit."""
        return np.asarray(self.rows >= 0)

    def of(self, query: int) -> list[dict[str, Any]]:
        """The hits of one query as plain values, best first: the columns of `table` but for the query."""
        number = range(len(self))[query]
        columns = {name: values[number, self.found[number]].tolist() for name, values in self._columns().items()}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def table(self) -> pa.Table:
        """One row a hit: query (from 0), rank (from 1), row, id, clip, frame, time, subject, action, distance.

        Columns `probability`, `probability_close`, `fit_cost` and `affine_residual` follow where the hits have them.
        """
        query, place = np.nonzero(self.found)
        columns = {
            name: pa.array(values[query, place], type=pa.string() if values.dtype == object else None)
            for name, values in self._columns().items()
        }
        return pa.table({"query": pa.array(query), **columns})

    def _columns(self) -> dict[str, Shaped[Array, "Q K"]]:
        rank = np.broadcast_to(np.arange(1, self.rows.shape[1] + 1), self.rows.shape)
        columns = {"rank": rank, "row": self.rows, "id": self.ids}
        columns |= {name: getattr(self, name) for name in ("clip", "frame", "time", "subject", "action", "distance")}
        optional = {name: getattr(self, name) for name in _OPTIONAL}
        return columns | {name: values for name, values in optional.items() if values is not None}
