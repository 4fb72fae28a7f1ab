"""The search protocol: simulated photos of a gallery's own poses, and how often a search finds them (numpy)."""

__all__ = ["SearchFunction", "SearchProtocol", "SearchStudy", "evaluate_search", "fitting_modes"]

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import VipeError
from vipe.evaluate.baselines.raw_2d import Raw2D
from vipe.evaluate.conditions import Condition, simulate_condition
from vipe.evaluate.leave_out import CLIP, NOTHING, Ranker, rank_by_dropping, rank_by_filter
from vipe.evaluate.metrics import hits_at, pose_distance
from vipe.evaluate.protocols.search_report import SearchReport, SearchScore
from vipe.evaluate.scoring import ANY, Scoring, chance_score
from vipe.evaluate.study import Archive, Progress, Relevance, Study, StudySettings, quiet, recorded_poses
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.retrieve.query import MODES, Mode, query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.store import PoseStore

SearchFunction = Callable[[PoseIndex, Keypoints, int, str, Int64[Array, " M"]], Int64[Array, "Q K"]]
"""Index, people, k, mode, rows to search among; gives rows of the index, best first, -1 where there is none."""

_OWN_SCORE = frozenset({"affine", "point", Raw2D.name})
"""Searches that rank each pose by a score of its own: leaving rows out of the gallery takes them from the ranking and
changes nothing else. Not so where a first stage picks candidates and a second ranks them."""

_OBSERVED = ("keypoints", "scores", "covariance")
_TIMED = 64  # queries that milliseconds are measured with


@dataclass(frozen=True, kw_only=True)
class SearchProtocol(StudySettings):
    """What is measured; the defaults are the figures that benchmarks/RESULTS.md reports.

    The camera is 4 m away with the person on its optical axis. 4 m is also the mean of the camera prior under which
    mode "full" fits a camera: on this point the protocol agrees with the method, which other distances do not.

    Raises:
        VipeError: If a number is out of its range, or conditions share a name.
    """

    protocol: ClassVar[str] = "search"

    distances: tuple[float, ...] = (4.0,)  # metres; the focal length is no setting, since it only scales the image
    queries: int | None = 600  # at most so many, drawn at random from the gallery; None for all of it
    recall_at: tuple[int, ...] = (50, 200, 1000)
    observed: Literal["keypoints", "scores", "covariance"] = "keypoints"
    """How much of the simulated detector reaches the search: the visible joints' places only; the scores too, which
    know how far off a joint truly is; or the covariance of its noise as well, which few detectors give."""

    def rules(self) -> dict[str, tuple[bool, str]]:
        """By setting: whether it is broken, and what it must be."""
        return super().rules() | {
            "distances": (not self.distances or min(self.distances) <= 0, "above 0"),
            "queries": (self.queries is not None and self.queries < 1, "at least 1"),
            "recall_at": (min(self.recall_at, default=1) < 1, "at least 1"),
            "observed": (self.observed not in _OBSERVED, f"one of {', '.join(_OBSERVED)}"),
        }


def evaluate_search(
    store: PoseStore,
    index: PoseIndex,
    *,
    modes: Sequence[str] = ("affine",),
    protocol: SearchProtocol | None = None,
    where: Where | None = None,
    progress: Progress | None = None,
    search: SearchFunction | None = None,
    scored_alone: frozenset[str] = _OWN_SCORE,
) -> SearchReport:
    """Query an index with simulated photos of its own poses, and judge the results by 3D distance.

    The gallery is the index without near-duplicates. Queries are drawn from it; the camera sees the person in their
    own proportions, as the store recorded them. Three galleries are searched: all of it, all but the neighbourhood of
    the query's frame in its clip, and all but the query's clip. The last two show whether a similar moment is found
    where the very moment is absent. They score only queries that have a hit in what remains, threshold by threshold.
    (Without near-duplicates hardly any query has another pose within `CLOSE_THRESHOLD`.)

    A search that ranks each pose by a score of its own runs once; the rows to leave out are then taken from its
    ranking, and queries whose ranking was too short for that are searched again with a filter. Any other mode is
    searched with a filter, once for all queries that leave out the same rows.

    Args:
        store: Holds the recorded poses of the index.
        index: The archive.
        modes: Of `vipe.query`.
        protocol: Sizes and conditions.
        where: Rows of the index to take for the archive, as in `PoseIndex.rows`.
        progress: Told how far each step is.
        search: What to measure instead of `vipe.query`.
        scored_alone: Modes that rank each pose by a score of its own.

    Returns:
        A score for each mode, and for raw 2D and chance beside them, under every condition.

    Raises:
        VipeError: If there is nothing to search, the store lacks a row of the index, or a mode does not fit.
    """
    protocol = protocol or SearchProtocol()
    tell = progress or quiet
    start = time.perf_counter()
    if not modes:
        raise VipeError("evaluate search: no mode to measure; give at least one, such as 'affine'")
    modes = tuple(dict.fromkeys(modes))
    known = fitting_modes(index) if search is None else modes
    if unknown := [mode for mode in modes if mode not in known]:
        raise VipeError(f"index {index.path} cannot answer mode {unknown[0]!r}; expected one of {', '.join(known)}")
    study = SearchStudy.prepare(store, index, protocol, where, tell)
    judge = _Judge(study, scored_alone | _OWN_SCORE)
    searches = {mode: _of_mode(search or _query, index, mode) for mode in modes}
    scores: list[SearchScore] = []
    done, total = 0, len(protocol.distances) * len(protocol.conditions) * (len(searches) + 1)
    for distance in protocol.distances:
        raw = _raw_2d(study.gallery, study.views(distance))
        for condition in protocol.conditions:
            people = study.photos(condition, distance)
            # Raw 2D is measured where every joint is visible, which is where it is at its best.
            rankers: dict[str, Ranker] = {**searches, **({Raw2D.name: raw} if people.mask.all() else {})}
            for name, ranker in rankers.items():
                tell("searches", done, total, f"{name}, {condition.name}, {distance:g} m")
                scores += judge.measured(name, ranker, people, condition.name, distance)
                done += 1
            done += len(searches) + 1 - len(rankers)
        scores += judge.chance(distance)
    tell("searches", total, total, "")
    return SearchReport(
        protocol=protocol.to_json() | {"modes": modes},
        scores=tuple(scores),
        queries=len(study.query),
        clips=len(set(study.clips)),
        gallery=len(study.gallery),
        seconds=round(time.perf_counter() - start, 3),
    )


def fitting_modes(index: PoseIndex) -> tuple[str, ...]:
    """Modes of `vipe.query` that an index can answer: "point" needs a learned embedding."""
    return tuple(mode for mode in MODES if index.is_learned or mode != "point")


@dataclass(frozen=True, kw_only=True)
class SearchStudy(Study):
    """A study of an index, with simulated photos as queries; the same under all conditions."""

    protocol: SearchProtocol
    rig: CameraRig
    asked: Float32[Array, "Q 17 3"]  # as recorded
    searched: Float32[Array, "G 17 3"]
    relevance: Relevance

    @classmethod
    def prepare(
        cls, store: PoseStore, index: PoseIndex, protocol: SearchProtocol, where: Where | None, progress: Progress
    ) -> "SearchStudy":
        """Choose gallery and queries, and find out which poses are hits of which.

        Raises:
            VipeError: If there is nothing to search, or the store lacks a row of the index.
        """
        rig = CameraRig.load(protocol.rig)
        rows = np.arange(len(index)) if where is None else index.rows(where)
        if not len(rows):
            raise VipeError(f"{index.path}: no row to search; is the filter right?")
        recorded = recorded_poses(store, index, rows)  # first: a wrong store is refused before what takes minutes
        study = Study.choose(
            Archive.of_index(index),
            rows,
            near_duplicate=protocol.near_duplicate,
            queries=protocol.queries,
            seed=protocol.seed,
            progress=progress,
        )
        left_out = {
            "whole gallery": NOTHING,
            f"{protocol.neighbourhood:g} s left out": protocol.neighbourhood,
            "clip left out": CLIP,
        }
        return cls(
            **vars(study),
            protocol=protocol,
            rig=rig,
            asked=recorded[np.searchsorted(rows, study.query)],
            searched=recorded[np.searchsorted(rows, study.gallery)],
            relevance=study.judge(protocol.thresholds, left_out, progress),
        )

    def photos(self, condition: Condition, distance: float) -> Keypoints:
        """The queries' keypoints, as far as the protocol lets a search observe them."""
        # One seed for all: conditions differ in what goes wrong, never in the cameras.
        generator = np.random.default_rng([self.protocol.seed, 1])
        people = simulate_condition(self.asked, self.rig, condition, distance=distance, generator=generator)
        if self.protocol.observed == "covariance":
            return people
        scores = people.confidence if self.protocol.observed == "scores" else people.mask.astype(np.float32)
        return replace(people, confidence=scores, covariance=None)

    def views(self, distance: float) -> Keypoints:
        """The gallery of raw 2D: every pose from the rig's first camera, exact."""
        generator = np.random.default_rng([self.protocol.seed, 2])
        return simulate_keypoints(self.searched, self.rig.cameras[0], distance=distance, noise=0.0, generator=generator)


class _Judge:
    """Runs a search in every gallery and scores it."""

    def __init__(self, study: SearchStudy, scored_alone: frozenset[str]) -> None:
        self.scored_alone, protocol = scored_alone, study.protocol
        self.protocol, self.study, self.relevance = protocol, study, study.relevance
        self.scoring = Scoring(
            clips=study.clips,
            generator=lambda: np.random.default_rng([protocol.seed, 3]),
            thresholds=protocol.thresholds,
            ks=protocol.ks,
            draws=protocol.draws,
        )

    def measured(
        self, name: str, ranker: Ranker, people: Keypoints, condition: str, distance: float
    ) -> list[SearchScore]:
        """One score a gallery."""
        ks, depths = self.protocol.ks, self.protocol.recall_at
        deep = name in self.scored_alone
        rank = rank_by_dropping if deep else rank_by_filter
        study, galleries = self.study, self.relevance.galleries
        rankings = rank(ranker, people, study.query, study.gallery, galleries, max(ks + depths if deep else ks))
        few = people[: min(_TIMED, len(people))]
        start = time.perf_counter()
        ranker(few, max(ks), study.gallery)
        milliseconds = round(1000 * (time.perf_counter() - start) / len(few), 4)
        scores = []
        for rows, gallery in zip(rankings, galleries, strict=True):
            scored = {threshold: matches > 0 for threshold, matches in gallery.matches.items()}
            near = self.relevance.near.of(rows)
            counts = scored[self.protocol.thresholds[0]]
            reached = hits_at(near[counts], depths, self.protocol.thresholds[0]) if deep and counts.any() else {}
            scores.append(
                SearchScore(
                    **vars(self.scoring.of_distances(near, scored)),
                    search=name,
                    distance=distance,
                    condition=condition,
                    gallery=gallery.name,
                    error=self._error(rows[counts, 0], study.query[counts]),
                    recall={depth: float(hits.mean()) for depth, hits in reached.items()},
                    milliseconds=milliseconds,
                )
            )
        return scores

    def chance(self, distance: float) -> list[SearchScore]:
        """One score a gallery."""
        return [
            SearchScore(
                **vars(chance_score(gallery, self.protocol.ks)),
                search="chance",
                distance=distance,
                condition=ANY,
                gallery=gallery.name,
                error=None,
                recall={},
                milliseconds=None,
            )
            for gallery in self.relevance.galleries
        ]

    def _error(self, first: Int64[Array, " Q"], query: Int64[Array, " Q"]) -> float | None:
        """Mean distance of the first results to the true poses, where a result came back."""
        answered = first >= 0
        if not answered.any():
            return None
        poses = self.study.archive.poses
        return float(pose_distance(poses[first[answered]], poses[query[answered]]).mean(dtype=np.float64))


def _raw_2d(gallery: Int64[Array, " G"], views: Keypoints) -> Ranker:
    """Ranks gallery rows by how much their one view looks like the query's keypoints."""

    def ranker(people: Keypoints, k: int, rows: Int64[Array, " M"]) -> Int64[Array, "Q K"]:
        searched = views if len(rows) == len(gallery) else views[np.searchsorted(gallery, rows)]
        return np.asarray(rows[Raw2D().rank(people, searched, k)])

    return ranker


def _of_mode(search: SearchFunction, index: PoseIndex, mode: str) -> Ranker:
    return lambda people, k, rows: search(index, people, k, mode, rows)


def _query(index: PoseIndex, people: Keypoints, k: int, mode: str, rows: Int64[Array, " M"]) -> Int64[Array, "Q K"]:
    found: Int64[Array, "Q K"] = query(index, people, k, mode=cast(Mode, mode), where=rows).rows
    return found
