"""The search protocol: simulated photos of a gallery's own poses, and how often a search finds them (numpy)."""

__all__ = ["Progress", "Search", "SearchProtocol", "Study", "evaluate_search", "fitting_modes", "recorded_poses"]

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import VipeError
from vipe.evaluate.conditions import CONDITIONS, Condition, simulate_condition
from vipe.evaluate.leave_out import CLIP, NOTHING, Gallery, LeaveOut, Ranker, rank_by_dropping, rank_by_filter
from vipe.evaluate.metrics import chance_at, hits_at, pose_distance, without_near_duplicates
from vipe.evaluate.neighbours import NearPairs, near_pairs
from vipe.evaluate.protocols.search_report import ANY, Rates, SearchReport, SearchScore
from vipe.evaluate.ranking_score import bootstrap_interval, rank_raw_2d
from vipe.index import PoseIndex
from vipe.index.frames import Where, frame_ids
from vipe.retrieve.query import MODES, Mode, query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.store import PoseStore

Progress = Callable[[str, int | float, int | float | None, str], None]
"""Told of (step, done, total, note)."""

Search = Callable[[PoseIndex, Keypoints, int, str, Int64[Array, " M"]], Int64[Array, "Q K"]]
"""Index, people, k, mode, rows to search among; gives rows of the index, best first, -1 where there is none."""

_ALONE = frozenset({"affine", "point", "raw 2D"})
"""Searches that rank each pose by a score of its own: leaving rows out of the gallery takes them from the ranking and
changes nothing else. Not so where a first stage picks candidates and a second ranks them."""

_RAW_2D = "raw 2D"
_TOLD = ("keypoints", "scores", "covariance")
_TIMED = 64  # queries that milliseconds are measured with
_AT_ONCE = 64  # queries that raw 2D compares with a whole gallery at a time


@dataclass(frozen=True, kw_only=True)
class SearchProtocol:
    """What is measured; the defaults are the figures that benchmarks/RESULTS.md reports.

    Raises:
        VipeError: If a number is out of its range, or conditions share a name.
    """

    rig: str = "mpi_inf_3dhp"
    distances: tuple[float, ...] = (4.0,)  # metres; the focal length is no setting, since it only scales the image
    conditions: tuple[Condition, ...] = CONDITIONS
    queries: int | None = 600  # at most so many, drawn at random from the gallery; None for all of it
    near_duplicate: float = 0.05  # torso lengths; 0 keeps every pose. Sun et al. 2020, sec. 5.1
    thresholds: tuple[float, ...] = (0.1, 0.05)  # torso lengths; the first is the one that counts
    ks: tuple[int, ...] = (1, 10, 20)
    recall_at: tuple[int, ...] = (50, 200, 1000)
    neighbourhood: float = 4.0  # seconds on either side of the query's frame
    observed: Literal["keypoints", "scores", "covariance"] = "keypoints"
    """How much of the simulated detector reaches the search: where joints are seen; the scores too, which know how far
    off a joint truly is; or the covariance of its noise as well, which few detectors give."""
    seed: int = 0
    draws: int = 2000  # of the bootstrap

    def __post_init__(self) -> None:
        names = [condition.name for condition in self.conditions]
        broken = {
            "distances": (not self.distances or min(self.distances) <= 0, "above 0"),
            "conditions": (not names or len(set(names)) < len(names), "at least one, each with a name of its own"),
            "queries": (self.queries is not None and self.queries < 1, "at least 1"),
            "near_duplicate": (not 0 <= self.near_duplicate < math.inf, "finite and not negative"),
            "thresholds": (not self.thresholds or min(self.thresholds) <= 0, "above 0"),
            "ks": (not self.ks or min(self.ks) < 1, "at least 1"),
            "recall_at": (min(self.recall_at, default=1) < 1, "at least 1"),
            "neighbourhood": (not 0 <= self.neighbourhood < math.inf, "finite and not negative"),
            "observed": (self.observed not in _TOLD, f"one of {', '.join(_TOLD)}"),
            "seed": (self.seed < 0, "not negative"),
            "draws": (self.draws < 1, "at least 1"),
        }
        for name, (wrong, rule) in broken.items():
            if wrong:
                found = names if name == "conditions" else getattr(self, name)
                raise VipeError(f"search protocol: {name} must be {rule}, got {found}")


def evaluate_search(
    store: PoseStore,
    index: PoseIndex,
    *,
    modes: Sequence[str] = ("affine",),
    protocol: SearchProtocol | None = None,
    where: Where | None = None,
    progress: Progress | None = None,
    search: Search | None = None,
) -> SearchReport:
    """Ask an index for its own poses as simulated cameras see them, and judge what comes back by 3D distance.

    The gallery is what remains of the index when near-duplicates go; queries are drawn from it, the person in their
    own proportions as the store recorded them. Three galleries are searched: all of it, that without the
    neighbourhood of the query's frame in its clip, and that without the query's clip. The last two ask whether a
    similar moment is found where the very moment is not there, and score only queries that have a hit in what
    remains, threshold by threshold. (Without near-duplicates hardly any query has another pose within 0.05.)

    A search that scores each pose by itself is asked once, deep enough that dropping the left-out rows leaves the
    ranking a filtered search would give; where it was not deep enough, that query is searched again with a filter.
    Any other mode is searched with a filter, once for all queries that leave out the same rows.

    Args:
        store: Holds the recorded poses of the index.
        index: The archive.
        modes: Of `vipe.query`.
        protocol: Sizes and conditions.
        where: Rows of the index to take for the archive, as in `PoseIndex.rows`.
        progress: Told how far each step is.
        search: What to measure instead of `vipe.query`.

    Returns:
        A score for each mode, and for raw 2D and chance beside them, under every condition.

    Raises:
        VipeError: If there is nothing to search, the store lacks a row of the index, or a mode does not fit.
    """
    protocol = protocol or SearchProtocol()
    tell = progress or _quiet
    start = time.perf_counter()
    if not modes:
        raise VipeError("evaluate search: no mode to measure; give at least one, such as 'affine'")
    modes = tuple(dict.fromkeys(modes))
    known = fitting_modes(index) if search is None else modes
    if unknown := [mode for mode in modes if mode not in known]:
        raise VipeError(f"index {index.path} cannot answer mode {unknown[0]!r}; expected one of {', '.join(known)}")
    study = Study.prepare(store, index, protocol, where, tell)
    searches = {mode: _of_mode(search or _query, index, mode) for mode in modes}
    scores: list[SearchScore] = []
    done, total = 0, len(protocol.distances) * len(protocol.conditions) * (len(searches) + 1)
    for distance in protocol.distances:
        raw = _Raw2D(study.gallery, study.views(distance))
        for condition in protocol.conditions:
            people = study.people(condition, distance)
            # Raw 2D has no answer for a person of whom a joint is missing.
            rankers: dict[str, Ranker] = {**searches, **({_RAW_2D: raw} if people.mask.all() else {})}
            for name, ranker in rankers.items():
                tell("searches", done, total, f"{name}, {condition.name}, {distance:g} m")
                scores += study.measure(name, ranker, people, condition.name, distance)
                done += 1
            done += len(searches) + 1 - len(rankers)
        scores += study.chance(distance)
    tell("searches", total, total, "")
    settings = asdict(protocol) | {"modes": modes, "conditions": [one.name for one in protocol.conditions]}
    return SearchReport(
        protocol=settings,
        scores=tuple(scores),
        queries=len(study.query),
        clips=len(set(study.clips)),
        gallery=len(study.gallery),
        seconds=round(time.perf_counter() - start, 3),
    )


def fitting_modes(index: PoseIndex) -> tuple[str, ...]:
    """Modes of `vipe.query` that an index can answer: "point" needs a learned embedding."""
    return tuple(mode for mode in MODES if index.is_learned or mode != "point")


def recorded_poses(store: PoseStore, index: PoseIndex, rows: Int64[Array, " M"]) -> Float32[Array, "M 17 3"]:
    """The poses of some rows of an index as they were recorded: metres, own proportions.

    Raises:
        VipeError: If the store does not hold one of them.
    """
    frames = index.frames()
    wanted = frames["id"][rows]
    clips = sorted(set(frames["clip"][rows]))
    held = store.table(["clip", "frame"], {"clip": clips})
    ids = frame_ids(held["clip"].combine_chunks(), held["frame"].combine_chunks())
    lost = np.flatnonzero(~np.isin(wanted, ids))
    if len(lost):
        row = rows[lost[0]]
        raise VipeError(
            f"{store.path}: does not hold clip {frames['clip'][row]!r} frame {frames['frame'][row]}, which index "
            f"{index.path} does ({len(lost)} such rows); give the store it was built from"
        )
    order = np.argsort(ids)
    return store.poses({"clip": clips})[order[np.searchsorted(ids, wanted, sorter=order)]]


@dataclass(frozen=True, kw_only=True)
class Study:
    """The poses that are asked for and those that are searched, the same under all conditions."""

    protocol: SearchProtocol
    rig: CameraRig
    poses: Float32[Array, "N 17 3"]  # canonical, of the whole index
    gallery: Int64[Array, " G"]  # rows, ascending
    query: Int64[Array, " Q"]
    clips: Shaped[Array, " Q"]
    asked: Float32[Array, "Q 17 3"]  # as recorded
    searched: Float32[Array, "G 17 3"]
    near: NearPairs
    galleries: tuple[Gallery, ...]

    @classmethod
    def prepare(
        cls, store: PoseStore, index: PoseIndex, protocol: SearchProtocol, where: Where | None, tell: Progress
    ) -> "Study":
        """Choose gallery and queries, and find out which poses are hits of which."""
        rig = CameraRig.load(protocol.rig)
        rows = np.arange(len(index)) if where is None else index.rows(where)
        if not len(rows):
            raise VipeError(f"{index.path}: no row to search; is the filter right?")
        searched = recorded_poses(store, index, rows)  # before what takes minutes: a wrong store is told at once
        poses = index.canonical
        gallery = rows
        if protocol.near_duplicate:
            kept = without_near_duplicates(
                poses[rows], protocol.near_duplicate, lambda done, total: tell("near-duplicates", done, total, "")
            )
            gallery, searched = rows[kept], searched[kept]
            tell("near-duplicates", len(rows), len(rows), f"{len(gallery):,} poses differ")
        generator = np.random.default_rng(protocol.seed)
        count = min(protocol.queries or len(gallery), len(gallery))
        chosen = np.sort(generator.choice(len(gallery), size=count, replace=False))
        query = gallery[chosen]
        near = near_pairs(
            poses, query, gallery, max(protocol.thresholds), lambda done, total: tell("pairs", done, total, "")
        )
        frames = index.frames()
        _, clip = np.unique(frames["clip"].astype(str), return_inverse=True)
        galleries = []
        for name, seconds in (
            ("whole gallery", NOTHING),
            (f"{protocol.neighbourhood:g} s left out", protocol.neighbourhood),
            ("clip left out", CLIP),
        ):
            left_out = LeaveOut(clip, frames["time"], seconds)
            remaining = len(gallery) - left_out.count(query, gallery)
            matches = {threshold: near.matches(query, left_out, threshold) for threshold in protocol.thresholds}
            galleries.append(Gallery(name=name, left_out=left_out, remaining=remaining, matches=matches))
        return cls(
            protocol=protocol,
            rig=rig,
            poses=poses,
            gallery=gallery,
            query=query,
            clips=frames["clip"][query],
            asked=searched[chosen],
            searched=searched,
            near=near,
            galleries=tuple(galleries),
        )

    def people(self, condition: Condition, distance: float) -> Keypoints:
        """The queries as cameras see them."""
        # One seed for all: conditions differ in what goes wrong, never in the cameras.
        generator = np.random.default_rng([self.protocol.seed, 1])
        people = simulate_condition(self.asked, self.rig, condition, distance=distance, generator=generator)
        if self.protocol.observed == "covariance":
            return people
        scores = people.confidence if self.protocol.observed == "scores" else people.mask.astype(np.float32)
        return replace(people, confidence=scores, covariance=None)

    def views(self, distance: float) -> Keypoints:
        """What raw 2D search has for a gallery: every pose from the rig's first camera, exact."""
        generator = np.random.default_rng([self.protocol.seed, 2])
        return simulate_keypoints(self.searched, self.rig.cameras[0], distance=distance, noise=0.0, generator=generator)

    def measure(
        self, name: str, ranker: Ranker, people: Keypoints, condition: str, distance: float
    ) -> list[SearchScore]:
        """One score a gallery."""
        ks, depths = self.protocol.ks, self.protocol.recall_at
        alone = name in _ALONE
        rank = rank_by_dropping if alone else rank_by_filter
        rankings = rank(ranker, people, self.query, self.gallery, self.galleries, max(ks + depths if alone else ks))
        few = people[: min(_TIMED, len(people))]
        start = time.perf_counter()
        ranker(few, max(ks), self.gallery)
        milliseconds = 1000 * (time.perf_counter() - start) / len(few)
        return [
            SearchScore(
                search=name,
                distance=distance,
                condition=condition,
                gallery=gallery.name,
                milliseconds=round(milliseconds, 4),
                **self._judged(rows, gallery, deep=alone),
            )
            for rows, gallery in zip(rankings, self.galleries, strict=True)
        ]

    def chance(self, distance: float) -> list[SearchScore]:
        """A random order's Hit@k, which no condition changes."""
        scores = []
        for gallery in self.galleries:
            hit = {}
            for threshold, matches in gallery.matches.items():
                if (scored := matches > 0).any():
                    hit[threshold] = chance_at(matches[scored], gallery.remaining[scored], self.protocol.ks)
            scores.append(
                SearchScore(
                    search="chance",
                    distance=distance,
                    condition=ANY,
                    gallery=gallery.name,
                    queries={threshold: int((matches > 0).sum()) for threshold, matches in gallery.matches.items()},
                    hit=hit,
                    interval={},
                    error=None,
                    recall={},
                    milliseconds=None,
                )
            )
        return scores

    def _judged(self, rows: Int64[Array, "Q K"], gallery: Gallery, deep: bool) -> dict[str, Any]:
        distance = self.near.of(rows)
        protocol, first = self.protocol, self.protocol.thresholds[0]
        scored = {threshold: matches > 0 for threshold, matches in gallery.matches.items()}
        hit: Rates = {}
        interval: dict[float, dict[int, tuple[float, float]]] = {}
        for threshold, which in scored.items():
            if which.any():
                found = hits_at(distance[which], protocol.ks, threshold)
                hit[threshold] = {k: float(hits.mean()) for k, hits in found.items()}
                interval[threshold] = {k: self._interval(hits, which) for k, hits in found.items()}
        reached = hits_at(distance[scored[first]], protocol.recall_at, first) if deep and first in hit else {}
        answered = scored[first] & (rows[:, 0] >= 0)
        error = pose_distance(self.poses[rows[answered, 0]], self.poses[self.query[answered]])
        return {
            "queries": {threshold: int(which.sum()) for threshold, which in scored.items()},
            "hit": hit,
            "interval": interval,
            "error": float(error.mean(dtype=np.float64)) if answered.any() else None,
            "recall": {depth: float(hits.mean()) for depth, hits in reached.items()},
        }

    def _interval(self, hits: Bool[Array, " scored"], which: Bool[Array, " Q"]) -> tuple[float, float]:
        generator = np.random.default_rng([self.protocol.seed, 3])
        return bootstrap_interval(hits, self.clips[which].tolist(), generator=generator, draws=self.protocol.draws)


@dataclass(frozen=True)
class _Raw2D:
    """Ranks gallery rows by how much their one view looks like the query's keypoints."""

    gallery: Int64[Array, " G"]
    views: Keypoints

    def __call__(self, people: Keypoints, k: int, rows: Int64[Array, " M"]) -> Int64[Array, "Q K"]:
        views = self.views if len(rows) == len(self.gallery) else self.views[np.searchsorted(self.gallery, rows)]
        starts = range(0, len(people), _AT_ONCE)
        found = np.concatenate([rank_raw_2d(people[i : i + _AT_ONCE], views, k) for i in starts])
        return np.asarray(rows[found])


def _of_mode(search: Search, index: PoseIndex, mode: str) -> Ranker:
    return lambda people, k, rows: search(index, people, k, mode, rows)


def _query(index: PoseIndex, people: Keypoints, k: int, mode: str, rows: Int64[Array, " M"]) -> Int64[Array, "Q K"]:
    found: Int64[Array, "Q K"] = query(index, people, k, mode=cast(Mode, mode), where=rows).rows
    return found


def _quiet(*_: object) -> None:
    pass
