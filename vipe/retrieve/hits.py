"""Hits: what a search gives back (numpy)."""

__all__ = ["Hits", "told_list"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64, Shaped
from scipy.special import expit

from vipe.arrays import Array, take_columns
from vipe.detections import Keypoints
from vipe.errors import MissingExtra, ShapeError
from vipe.index import PoseIndex
from vipe.retrieve.asked import Asked, name_columns, names
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.ranking.evidence import FittedCandidates
from vipe.retrieve.ranking.model import Probabilities

_OPTIONAL = ("probability", "probability_close", "fit_cost", "affine_residual", "mirrored")

_EMPTY: dict[str, object] = {  # what an empty place holds
    "rows": -1,
    "ids": -1,
    "distance": np.inf,
    "clip": "",
    "frame": -1,
    "time": np.nan,
    "subject": "",
    "action": "",
    "probability": 0,
    "probability_close": 0,
    "presence": np.nan,
    "presence_mirrored": np.nan,
    "enough": 0,
    "fit_cost": np.inf,
    "affine_residual": np.inf,
    "image": -1,
    "mirrored": False,
}


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Hits:
    """K frames of an archive for each of Q queries: the best first, then in order of coverage (mode "full").

    A query may have fewer than K: the places left have row -1, distance infinity, time NaN and empty names, and come
    last. `skipped` gives for each query the reason why it has none, where it could not be searched for at all.
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
    contributions: Mapping[str, Float32[Array, "Q K"]] | None = None  # to the log odds of `probability`: they sum to it
    fit_cost: Float32[Array, "Q K"] | None = None  # twice the negative log posterior of camera and body
    affine_residual: Float32[Array, "Q K"] | None = None  # what made it a candidate
    fits: Fits | None = None  # the camera and body of each hit, as they were ranked; NaN in empty places
    relabelled: tuple[str, ...] | None = None
    """How each query's keypoints were read, where they were doubted: "legs" if left and right leg are exchanged, ""
    if as they are. Cameras and errors (`fits`) are those of the keypoints as they were read."""
    stretch: Float32[Array, " Q"] | None = None  # what x was multiplied by in that reading
    confidence: float | None = None  # asked for: `enough` are the first hits of which one is right with it
    enough: Int64[Array, " Q"] | None = None
    """How many first hits hold a right one with `confidence`, if the archive holds the moment; 0 where no list that
    was ranked does, or there are no hits (`ConfidentLists`)."""
    image: Int64[Array, " Q"] | None = None
    """Of tracks and views: which of the given keypoints each query is named for and its cameras were fitted to."""
    mirrored: Bool[Array, "Q K"] | None = None
    """Whether a hit shows the mirror image of what was asked for, where that was searched for too. Cameras and bodies
    (`fits`) of such hits are those of the mirror image of the archive's pose, which is what the keypoints show."""
    presence_mirrored: Float32[Array, " Q"] | None = None  # as `presence`, of the mirror image

    @classmethod
    def look_up(
        cls,
        index: PoseIndex,
        rows: Int64[Array, "Q K"],
        distance: Float32[Array, "Q K"],
        skipped: tuple[str | None, ...] | None = None,
        **judged: Any,
    ) -> "Hits":
        """The moments that rows of an index are; row -1 is an empty place.

        Args:
            index: The archive.
            rows: Of the index.
            distance: Of each.
            skipped: Why a query has no hits.
            judged: The fields that a ranking adds.
        """
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
            **judged,
        )

    @classmethod
    def judged(
        cls,
        index: PoseIndex,
        candidates: FittedCandidates,
        log_odds: Probabilities,
        contributions: Mapping[str, Float32[Array, "Q S"]],
        places: Int64[Array, "Q K"],
        *,
        cost: Float32[Array, "Q S"] | None = None,
        distance: Float32[Array, "Q S"] | None = None,
        affine: bool = True,
    ) -> "Hits":
        """Hits of fitted candidates.

        Args:
            index: The archive.
            candidates: Of Q people.
            log_odds: Of their probabilities.
            contributions: To them.
            places: Which candidates are hits, in order; -1 for an empty place.
            cost: Of each candidate, if not that of its fit.
            distance: Likewise, if not the residual of its fit.
            affine: Whether the affine residual belongs to the hits.
        """
        empty, taken = places < 0, np.maximum(places, 0)

        def of_hits(values: Array, blank: object) -> Array:
            own = take_columns(values, taken)
            own[empty] = blank
            return own

        fits = candidates.fits.take(taken)
        for field in fields(Fits):
            getattr(fits, field.name)[empty] = np.nan
        return cls.look_up(
            index,
            of_hits(candidates.rows, -1),
            of_hits(candidates.fits.residual if distance is None else distance, np.inf),
            probability=of_hits(expit(log_odds.near), 0),
            probability_close=of_hits(expit(log_odds.close), 0),
            presence=expit(log_odds.presence),
            contributions={name: of_hits(values, 0) for name, values in contributions.items()},
            fit_cost=of_hits(candidates.fits.cost if cost is None else cost, np.inf),
            affine_residual=of_hits(candidates.affine_residual, np.inf) if affine else None,
            fits=fits,
        )

    @classmethod
    def none(
        cls,
        index: PoseIndex,
        queries: int,
        k: int,
        skipped: tuple[str | None, ...],
        groups: Sequence[str] | None = None,
        *,
        affine: bool = True,
    ) -> "Hits":
        """Queries without a hit, as of a ranking if `groups` of contributions are given."""

        def empty(name: str) -> Float32[Array, "Q K"]:
            return np.full((queries, k), _EMPTY[name], dtype=np.float32)

        rows = np.full((queries, k), -1, dtype=np.int64)
        if groups is None:
            return cls.look_up(index, rows, empty("distance"), skipped)
        return cls.look_up(
            index,
            rows,
            empty("distance"),
            skipped,
            probability=empty("probability"),
            probability_close=empty("probability_close"),
            presence=np.full(queries, np.nan, dtype=np.float32),
            contributions={name: np.zeros((queries, k), dtype=np.float32) for name in groups},
            fit_cost=empty("fit_cost"),
            affine_residual=empty("affine_residual") if affine else None,
            fits=Fits.empty(queries, k),
        )

    @classmethod
    def stacked(cls, hits: "Sequence[Hits]") -> "Hits":
        """The queries of several searches as those of one."""
        return hits[0]._combined([*hits], tuple(reason for one in hits for reason in one.skipped))

    def spread_over(self, queries: Int64[Array, " Q"], skipped: tuple[str | None, ...]) -> "Hits":
        """These hits as those of some of more queries; the others have none, for the reasons given."""

        def spread(values: Array, blank: object) -> Array:
            whole = np.full((len(skipped), *values.shape[1:]), blank, dtype=values.dtype)
            whole[queries] = values
            return whole

        changed: dict[str, Any] = {
            name: spread(getattr(self, name), blank)
            for name, blank in _EMPTY.items()
            if getattr(self, name) is not None
        }
        if self.contributions is not None:
            changed["contributions"] = {name: spread(values, 0) for name, values in self.contributions.items()}
        if self.fits is not None:
            arrays = {field.name: spread(getattr(self.fits, field.name), np.nan) for field in fields(Fits)}
            changed["fits"] = Fits(**arrays)
        if self.relabelled is not None:
            names = [""] * len(skipped)
            for place, name in zip(queries.tolist(), self.relabelled, strict=True):
                names[place] = name
            changed["relabelled"] = tuple(names)
        if self.stretch is not None:
            changed["stretch"] = spread(self.stretch, 1)
        return replace(self, **changed, skipped=skipped)

    def first(self, counts: Int64[Array, " Q"]) -> "Hits":
        """The first hits of each query, as many as given; as wide as the longest list."""
        width = max(1, int(counts.max(initial=1)))
        gone = np.arange(self.rows.shape[1])[:width] >= counts[:, None]

        def cut(values: Array, blank: object) -> Array:
            own = values[:, :width].copy()
            own[gone] = blank
            return own

        changed: dict[str, Any] = {name: cut(values, blank) for name, blank, values in self.by_place()}
        if self.contributions is not None:
            changed["contributions"] = {name: cut(values, 0) for name, values in self.contributions.items()}
        if self.fits is not None:
            arrays = {field.name: cut(getattr(self.fits, field.name), np.nan) for field in fields(Fits)}
            changed["fits"] = Fits(**arrays)
        return replace(self, **changed)

    def _combined(self, hits: "list[Hits]", skipped: tuple[str | None, ...]) -> "Hits":
        changed: dict[str, Any] = {
            name: np.concatenate([getattr(one, name) for one in hits])
            for name in _EMPTY
            if getattr(self, name) is not None
        }
        if self.contributions is not None:
            changed["contributions"] = {
                name: np.concatenate([one.contributions[name] for one in hits if one.contributions is not None])
                for name in self.contributions
            }
        if self.fits is not None:
            changed["fits"] = Fits(
                **{
                    field.name: np.concatenate([getattr(one.fits, field.name) for one in hits if one.fits is not None])
                    for field in fields(Fits)
                }
            )
        if self.relabelled is not None:
            changed["relabelled"] = tuple(name for one in hits for name in one.relabelled or ())
        if self.stretch is not None:
            changed["stretch"] = np.concatenate([one.stretch for one in hits if one.stretch is not None])
        return replace(self, **changed, skipped=skipped)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        queries, k = self.rows.shape
        kind = "ranked" if self.probability is not None else "by distance"
        return f"Hits({queries:,} queries, k={k}, {int(self.found.sum()):,} hits, {kind})"

    @property
    def found(self) -> Bool[Array, "Q K"]:
        """Which places hold a hit."""
        return np.asarray(self.rows >= 0)

    def by_place(self) -> Iterator[tuple[str, object, Shaped[Array, "Q K"]]]:
        """Each array with one value a place: its field, what an empty place holds, and the array."""
        for name, blank in _EMPTY.items():
            values = getattr(self, name)
            if values is not None and values.ndim == 2:
                yield name, blank, values

    def people(self, keypoints: Keypoints) -> Keypoints:
        """The person that each query is named for, from the keypoints that were searched with."""
        return keypoints if self.image is None else keypoints[self.image]

    def of(self, query: int) -> list[dict[str, Any]]:
        """The hits of one query as plain values, best first: the columns of `table` but for the query."""
        number = range(len(self))[query]
        columns = {name: values[number, self.found[number]].tolist() for name, values in self._columns().items()}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def to_json(self, people: Asked, *, explain: bool = False) -> dict[str, Any]:
        """Plain values: {"queries": [{"image_id", "person", "presence", "hits": [...]}]}, one a query, in order.

        Args:
            people: The person that each query is named for; of tracks and views `hits.people(keypoints)`. Of
                `query_moments` the moments: queries have "clip" and "frame" then.
            explain: Add each hit's contributions, camera and bones, where the hits have them.

        Raises:
            ShapeError: If there are not as many people as queries.
        """
        self._check_number(people)
        queries: list[dict[str, Any]] = []
        for number, named in enumerate(names(people)):
            query: dict[str, Any] = dict(named)
            if self.skipped[number]:
                query["skipped"] = self.skipped[number]
            else:
                query |= {
                    name: round(float(values[number]), 6)
                    for name in ("presence", "presence_mirrored")
                    if (values := getattr(self, name)) is not None and np.isfinite(values[number])
                }
            if self.relabelled is not None and self.relabelled[number]:
                query["relabelled"] = self.relabelled[number]
            if self.enough is not None and not self.skipped[number]:
                query |= {"confidence": self.confidence, "enough": int(self.enough[number]) or None}
            query["hits"] = self.of(number)
            if explain:
                for place, hit in enumerate(query["hits"]):
                    hit |= self._explained(number, place)
            queries.append(query)
        return {"queries": queries}

    def table(self, people: Asked | None = None) -> pa.Table:
        """One row a hit: query (from 0), rank (from 1), row, id, clip, frame, time, subject, action, distance.

        Columns `probability`, `probability_close`, `fit_cost`, `affine_residual` and `mirrored` follow where the hits
        have them.

        Args:
            people: As in `to_json`: adds what each query is called, as text, in columns `image_id` and `person`, or
                `query_clip` and `query_frame`.

        Raises:
            ShapeError: As `to_json`.
        """
        query, place = np.nonzero(self.found)
        if people is not None:
            self._check_number(people)
        called = {} if people is None else name_columns(people, query)
        columns = {
            name: pa.array(values[query, place], type=pa.string() if values.dtype == object else None)
            for name, values in self._columns().items()
        }
        return pa.table({"query": pa.array(query), **called, **columns})

    def to_pandas(self, people: Asked | None = None) -> Any:
        """The table as a pandas DataFrame.

        Raises:
            MissingExtra: If pandas is not installed.
            ShapeError: As `to_json`.
        """
        if find_spec("pandas") is None:
            raise MissingExtra("to_pandas needs pandas: pip install pandas; or take table(), which is an Arrow table")
        return self.table(people).to_pandas()

    def _check_number(self, people: Asked) -> None:
        if len(people) != len(self):
            advice = "" if self.image is None else "; give hits.people(keypoints)"
            raise ShapeError(f"people must be one for each of {len(self)} queries, got {len(people)}{advice}")

    def _columns(self) -> dict[str, Shaped[Array, "Q K"]]:
        rank = np.broadcast_to(np.arange(1, self.rows.shape[1] + 1), self.rows.shape)
        columns = {"rank": rank, "row": self.rows, "id": self.ids}
        columns |= {name: getattr(self, name) for name in ("clip", "frame", "time", "subject", "action", "distance")}
        optional = {name: getattr(self, name) for name in _OPTIONAL}
        return columns | {name: values for name, values in optional.items() if values is not None}

    def _explained(self, query: int, place: int) -> dict[str, Any]:
        added: dict[str, Any] = {}
        if self.contributions is not None:
            added["contributions"] = {name: float(part[query, place]) for name, part in self.contributions.items()}
        if self.fits is not None:
            camera = {name: getattr(self.fits, name)[query, place].tolist() for name in _CAMERA}
            added |= {"camera": camera, "bones": self.fits.bones[query, place].tolist()}
        return added


def told_list(enough: int | None, confidence: float) -> str:
    """A sentence on how many first hits hold a right one; none or 0 if no list does.

    >>> told_list(4, 0.9)
    'one of the first 4 is right with 90% confidence, if the moment is in the archive'
    """
    if not enough:
        return f"no list of hits holds a right one with {_percent(confidence)} confidence; ask for less"
    which = "the first" if enough == 1 else f"one of the first {enough}"
    return f"{which} is right with {_percent(confidence)} confidence, if the moment is in the archive"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


_CAMERA = ("rotation", "scale", "shift", "inverse_depth")
