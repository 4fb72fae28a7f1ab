"""The calibration protocol: probabilities of hits, held against how often they were right (numpy)."""

__all__ = ["evaluate_calibration", "rows_searched"]

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.evaluate.intervals import bootstrap_interval, bootstrap_statistic, concentration
from vipe.evaluate.leave_out import Gallery, by_rows
from vipe.evaluate.metrics import (
    CLOSE_THRESHOLD,
    HIT_THRESHOLD,
    HIT_THRESHOLDS,
    auroc,
    calibration_error_by_chance,
    expected_calibration_error,
    reliability,
)
from vipe.evaluate.near_pairs import NearPairs
from vipe.evaluate.protocols.calibration_report import (
    ABSENT,
    CONFIDENCES,
    Calibration,
    CalibrationReport,
    ConfidentList,
    GalleryCalibration,
)
from vipe.evaluate.protocols.search import SearchProtocol, SearchStudy
from vipe.evaluate.study import Progress, quiet
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.retrieve.hits import Hits
from vipe.retrieve.query import query
from vipe.retrieve.ranking.confident_lists import ConfidentLists
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.model import RankingModel
from vipe.store import PoseStore


def evaluate_calibration(
    store: PoseStore,
    index: PoseIndex,
    *,
    protocol: SearchProtocol | None = None,
    where: Where | None = None,
    k: int = 10,
    progress: Progress | None = None,
) -> CalibrationReport:
    """Query an index with simulated photos of its own poses, in mode "full", and judge the probabilities.

    Queries and galleries are those of `evaluate_search`, and one more gallery from which every pose that would be
    right is left out (`ABSENT`). Unlike there all queries count, whether they have a hit in what remains or not.
    Lists that shall hold a right hit (`ConfidentLists`) are judged by the queries of which the gallery holds a pose.

    Args:
        store: Holds the recorded poses of the index.
        index: The archive.
        protocol: Sizes and conditions; of the distances the first. The thresholds are `HIT_THRESHOLDS` whatever it
            has, since those are what the probabilities mean.
        where: Rows of the index to take for the archive.
        k: Hits of each query that are judged.
        progress: Told how far each step is.
    """
    start = time.perf_counter()
    protocol = replace(protocol or SearchProtocol(), thresholds=HIT_THRESHOLDS)
    tell = progress or quiet
    study = SearchStudy.prepare(store, index, protocol, where, tell)
    judged: list[tuple[Calibration, _Judged]] = []
    names = [*(gallery.name for gallery in study.relevance.galleries), ABSENT]
    done, total = 0, len(protocol.conditions) * len(names)
    for condition in protocol.conditions:
        people = study.photos(condition, protocol.distances[0])
        for name, gallery in zip(names, (*study.relevance.galleries, None), strict=True):
            tell("calibration", done, total, f"{condition.name}, {name}")
            searched = rows_searched(study, gallery)
            present = np.zeros(len(study.query), dtype=bool) if gallery is None else gallery.matches[HIT_THRESHOLD] > 0
            found = _hits(index, people, searched, max(k, VOTERS))
            values = _Judged.of(study.relevance.near, found, k, present, RankingModel.of(people.convention).lists)
            judged.append((values.summary(condition.name, name), values))
            done += 1
    tell("calibration", total, total, "")
    usual = [values for row, values in judged if row.gallery != ABSENT]
    absent = [values for row, values in judged if row.gallery == ABSENT]
    whole = [values for row, values in judged if row.gallery == names[0]]
    left_out = [values for row, values in judged if row.gallery in names[1:-1]]
    pooled = _Judged.pooled(usual)
    parts = {name: _Judged.pooled([values for row, values in judged if row.gallery == name]) for name in names}
    return CalibrationReport(
        protocol=protocol.to_json(),
        rows=tuple(row for row, _ in judged),
        pooled=pooled.errors(),
        presence_auroc=_Judged.pooled(whole + absent).presence_auroc(),
        presence_auroc_left_out=_Judged.pooled(left_out).presence_auroc(),
        bins=pooled.bins(),
        gallery_bins={name: part.bins() for name, part in parts.items()},
        galleries=tuple(_of_gallery(name, part, study.clips) for name, part in parts.items()),
        lists=tuple(_lists(names[:-1], judged, study.clips)),
        share_of_five_clips=concentration(study.clips),
        seconds=round(time.perf_counter() - start, 3),
    )


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Probabilities of every query's hits, and what was right."""

    near: Float[Array, "Q K"]  # to be within `HIT_THRESHOLD`
    near_right: Bool[Array, "Q K"]
    close: Float[Array, "Q K"]  # to be within `CLOSE_THRESHOLD`
    close_right: Bool[Array, "Q K"]
    presence: Float[Array, " Q"]
    present: Bool[Array, " Q"]
    place: Int64[Array, " Q"]  # of the first right hit, from 0; `VOTERS` where there is none
    length: Int64[Array, "Q C"]  # of the lists for `CONFIDENCES`, 0 where there is none

    @classmethod
    def of(
        cls,
        near: NearPairs,
        hits: Sequence[tuple[Int64[Array, " _"], Hits]],
        k: int,
        present: Bool[Array, " Q"],
        lists: ConfidentLists | None,
    ) -> "_Judged":
        order = np.argsort(np.concatenate([numbers for numbers, _ in hits]))

        def joined(name: str) -> Array:
            return np.asarray(np.concatenate([getattr(one, name) for _, one in hits])[order])

        deep = near.of(joined("rows"))
        found = deep < HIT_THRESHOLD
        distance = deep[:, :k]
        probability = joined("probability")
        return cls(
            near=probability[:, :k],
            near_right=distance < HIT_THRESHOLD,
            close=joined("probability_close")[:, :k],
            close_right=distance < CLOSE_THRESHOLD,
            presence=joined("presence"),
            present=present,
            place=np.where(found.any(axis=1), found.argmax(axis=1), VOTERS),
            length=np.stack(
                [
                    np.zeros(len(probability), dtype=np.int64) if lists is None else lists.of(probability[:, 0], level)
                    for level in CONFIDENCES
                ],
                axis=1,
            ),
        )

    @classmethod
    def pooled(cls, parts: "list[_Judged]") -> "_Judged":
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__})

    def presence_auroc(self) -> float | None:
        return auroc(self.presence, self.present)

    def errors(self) -> dict[str, float]:
        """Expected calibration errors: of first hits, of all hits, of all hits' closer probability, of presence."""
        return {
            "first": expected_calibration_error(self.near[:, 0], self.near_right[:, 0]),
            "all": expected_calibration_error(self.near.ravel(), self.near_right.ravel()),
            "close": expected_calibration_error(self.close.ravel(), self.close_right.ravel()),
            "presence": expected_calibration_error(self.presence, self.present),
        }

    def bins(self) -> dict[str, list[dict[str, float]]]:
        """Reliability by kind of probability: of all hits, of first hits, of all hits' closer one, of presence."""
        within, close = f"within {HIT_THRESHOLD:g}", f"within {CLOSE_THRESHOLD:g}"
        return {
            within: reliability(self.near.ravel(), self.near_right.ravel()),
            f"{within}, first hit": reliability(self.near[:, 0], self.near_right[:, 0]),
            close: reliability(self.close.ravel(), self.close_right.ravel()),
            "presence": reliability(self.presence, self.present),
        }

    def summary(self, condition: str, gallery: str) -> Calibration:
        errors = self.errors()
        return Calibration(
            condition=condition,
            gallery=gallery,
            queries=len(self.near),
            first=float(self.near[:, 0].mean()),
            right=float(self.near_right[:, 0].mean()),
            error=errors["first"],
            error_all=errors["all"],
            error_close=errors["close"],
            presence=float(self.presence.mean()),
            present=float(self.present.mean()),
        )


def _of_gallery(name: str, judged: _Judged, clips: Shaped[Array, " Q"]) -> GalleryCalibration:
    first, right = judged.near[:, 0].astype(np.float64), judged.near_right[:, 0]
    of_queries = np.tile(clips, len(first) // len(clips))  # once for each condition

    def interval(said: Float[Array, " N"], true: Bool[Array, " N"]) -> tuple[float, float]:
        return bootstrap_statistic(
            lambda some: expected_calibration_error(said[some], true[some]),
            of_queries,
            generator=np.random.default_rng(0),
        )

    errors = judged.errors()
    return GalleryCalibration(
        gallery=name,
        queries=len(first),
        first=float(first.mean()),
        right=float(right.mean()),
        error=errors["first"],
        interval=interval(first, right),
        by_chance=calibration_error_by_chance(first, generator=np.random.default_rng(0)),
        presence=float(judged.presence.mean()),
        present=float(judged.present.mean()),
        presence_error=errors["presence"],
        presence_interval=interval(judged.presence, judged.present),
    )


def _lists(
    galleries: Sequence[str], judged: Sequence[tuple[Calibration, _Judged]], clips: Shaped[Array, " Q"]
) -> list[ConfidentList]:
    """How often lists hold a right hit, by gallery and confidence; all conditions together."""
    scores: list[ConfidentList] = []
    for gallery in galleries:
        parts = [values for row, values in judged if row.gallery == gallery]
        pooled, names = _Judged.pooled(parts), np.tile(clips, len(parts))
        if pooled.present.any():
            scores += [_list(gallery, number, pooled, names) for number in range(len(CONFIDENCES))]
    return scores


def _list(gallery: str, number: int, judged: _Judged, clips: Shaped[Array, " Q"]) -> ConfidentList:
    length = judged.length[:, number]
    given = judged.present & (length > 0)
    holds = (judged.place < length)[given]
    some = bool(given.any())
    return ConfidentList(
        gallery=gallery,
        confidence=CONFIDENCES[number],
        queries=int(judged.present.sum()),
        holds=float(holds.mean()) if some else 0.0,
        interval=bootstrap_interval(holds, clips[given], generator=np.random.default_rng(0)) if some else (0.0, 1.0),
        length=float(length[given].mean()) if some else 0.0,
        median=float(np.median(length[given])) if some else 0.0,
        none=1 - float(given.sum() / judged.present.sum()),
    )


def rows_searched(study: SearchStudy, gallery: Gallery | None) -> list[Int64[Array, " _"]]:
    """Rows that each query is searched among; without a gallery, all but those that would be right (`ABSENT`)."""
    if gallery is not None:
        return [gallery.rows_of(row, study.gallery) for row in study.query.tolist()]
    near = study.relevance.near
    right = near.distance < HIT_THRESHOLD
    return [np.setdiff1d(study.gallery, near.row[right & (near.query == number)]) for number in range(len(study.query))]


def _hits(
    index: PoseIndex, people: Keypoints, searched: list[Int64[Array, " _"]], k: int
) -> list[tuple[Int64[Array, " _"], Hits]]:
    """Numbers of queries that search among the same rows, and their hits."""
    return [(members, query(index, people[members], k, "full", where=rows)) for rows, members in by_rows(searched)]
