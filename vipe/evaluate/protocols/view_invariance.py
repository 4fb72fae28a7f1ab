"""View invariance: a gallery of one camera's views, searched with every other camera's views of the poses (numpy)."""

__all__ = ["RETRIEVAL_CONDITIONS", "RetrievalProtocol", "evaluate_retrieval"]

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from jaxtyping import Float32, Int32, Int64, Shaped

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.evaluate.baselines.matchers import Matcher
from vipe.evaluate.conditions import CONDITIONS, Condition, simulate_condition
from vipe.evaluate.first_hit_rank import Targets, first_hit_ranks
from vipe.evaluate.leave_out import LeaveOut
from vipe.evaluate.metrics import chance_at, without_near_duplicates
from vipe.evaluate.neighbours import near_pairs
from vipe.evaluate.protocols.search import Progress
from vipe.evaluate.protocols.view_invariance_report import (
    CHANCE,
    EVERY_PAIR,
    UNSEEN_PAIRS,
    RetrievalReport,
    RetrievalScore,
)
from vipe.evaluate.ranking_score import bootstrap_interval
from vipe.evaluate.score import ANY, Rates
from vipe.geometry.canonical import canonicalize_array
from vipe.geometry.planes import in_blocks
from vipe.simulate import CameraRig
from vipe.store import PoseStore
from vipe.store.store import Where

RETRIEVAL_CONDITIONS: tuple[Condition, ...] = tuple(
    condition for condition in CONDITIONS if condition.name in ("ground truth", "noise 0.03", "2 missing")
)
"""Those that the protocol asks for unless told otherwise; both views suffer."""

Firsts = dict[tuple[str, str], tuple[str, Shaped[Array, " asked"]]]
"""By gallery and column: the first matcher, and how often each query had a hit among the first k."""

_SCORES = 1 << 20  # at a time: they stay in a core's cache between the product and the counting


@dataclass(frozen=True, kw_only=True)
class RetrievalProtocol:
    """What is measured; the defaults are the figures that benchmarks/RESULTS.md reports.

    Raises:
        VipeError: If a number is out of its range, or conditions share a name.
    """

    rig: str = "mpi_inf_3dhp"
    distance: float = 4.0  # metres; the focal length is no setting, since it only scales the image
    conditions: tuple[Condition, ...] = RETRIEVAL_CONDITIONS
    poses: int | None = None  # at most so many, drawn at random after near-duplicates went; None for all
    near_duplicate: float = 0.05  # torso lengths; 0 keeps every pose. Sun et al. 2020, sec. 5.1
    thresholds: tuple[float, ...] = (0.1, 0.05)  # torso lengths; the first is the papers'
    ks: tuple[int, ...] = (1, 10, 20)
    neighbourhood: float = 4.0  # seconds on either side of the query's frame
    seed: int = 0
    draws: int = 2000  # of the bootstrap

    def __post_init__(self) -> None:
        names = [condition.name for condition in self.conditions]
        broken = {
            "distance": (not 0 < self.distance < math.inf, "above 0"),
            "conditions": (not names or len(set(names)) < len(names), "at least one, each with a name of its own"),
            "poses": (self.poses is not None and self.poses < 2, "at least 2"),
            "near_duplicate": (not 0 <= self.near_duplicate < math.inf, "finite and not negative"),
            "thresholds": (not self.thresholds or min(self.thresholds) <= 0, "above 0"),
            "ks": (not self.ks or min(self.ks) < 1, "at least 1"),
            "neighbourhood": (not 0 <= self.neighbourhood < math.inf, "finite and not negative"),
            "seed": (self.seed < 0, "not negative"),
            "draws": (self.draws < 1, "at least 1"),
        }
        for name, (wrong, rule) in broken.items():
            if wrong:
                found = names if name == "conditions" else getattr(self, name)
                raise VipeError(f"retrieval protocol: {name} must be {rule}, got {found}")


def evaluate_retrieval(
    store: PoseStore,
    matchers: Sequence[Matcher],
    *,
    protocol: RetrievalProtocol | None = None,
    where: Where = None,
    progress: Progress | None = None,
) -> RetrievalReport:
    """Ask how well people are found again from another side, as Sun et al. 2020 and Levy & Shrivastava 2024 do.

    Every pose that remains when near-duplicates go is seen by every camera of a rig, the person as recorded: own
    proportions, full perspective. For each ordered pair of cameras every view of the first is a query and all views
    of the second are the gallery; a hit is a view of a pose within the threshold of the query's, after similarity
    alignment. The same pose from the other camera counts, as in the papers; a second gallery leaves out what lies
    within some seconds of the query in its clip, that pose included, and scores the queries that still have a hit.

    All pairs are compared, exactly. Intervals are 95%, by drawing clips again, of a query's mean over camera pairs.
    Differences to the first matcher have intervals of their own, since all matchers are asked the same queries.

    Args:
        store: Poses as recorded.
        matchers: What to measure, the one that counts first.
        protocol: Sizes and conditions.
        where: Rows of the store to take.
        progress: Told how far each step is.

    Returns:
        A score for each matcher, condition, gallery and column of camera pairs ("all"; "unseen", where one camera
        stands at chest height and one does not, if the rig has both kinds), and chance beside them.

    Raises:
        VipeError: If there is nothing to compare, or two matchers share a name.
        ShapeError: If a matcher gives what is no finite number for a person.
    """
    protocol = protocol or RetrievalProtocol()
    tell = progress or _quiet
    start = time.perf_counter()
    names = [matcher.name for matcher in matchers]
    if not names or len(set(names)) < len(names):
        raise VipeError(f"evaluate retrieval: matchers must be at least one, each with a name of its own, got {names}")
    study = _Study.prepare(store, protocol, where, tell)
    scores: list[RetrievalScore] = []
    done, total = 0, len(study.pairs) * len(protocol.conditions) * len(matchers)
    for condition in protocol.conditions:
        tell("camera pairs", done, total, f"views, {condition.name}")
        views = study.views(condition)
        first: Firsts = {}
        for matcher in matchers:
            ranks = np.empty((len(study.pairs), len(study.questions), len(study.clips)), dtype=np.int32)
            described = [_described(matcher, view) for view in views]
            for number, (query, gallery) in enumerate(study.pairs):
                tell("camera pairs", done, total, f"{matcher.name}, {condition.name}")
                study.rank(matcher, described[query], described[gallery], ranks[number])
                done += 1
            scores += study.judge(matcher.name, condition.name, ranks, first)
    tell("camera pairs", total, total, "")
    scores += study.chance()
    settings = asdict(protocol) | {
        "matchers": names,
        "conditions": [one.name for one in protocol.conditions],
        "galleries": list(study.galleries),
    }
    return RetrievalReport(
        protocol=settings,
        scores=tuple(scores),
        poses=len(study.clips),
        left_out=study.left_out,
        clips=len(set(study.clips)),
        pairs={name: int(which.sum()) for name, which in study.columns.items()},
        seconds=round(time.perf_counter() - start, 3),
    )


@dataclass(frozen=True, kw_only=True)
class _Study:
    """The poses and what counts as found, the same for all matchers and conditions."""

    protocol: RetrievalProtocol
    rig: CameraRig
    recorded: Float32[Array, "N 17 3"]
    clips: Shaped[Array, " N"]
    left_out: int
    targets: Targets
    questions: tuple[tuple[float, int], ...]  # threshold, number of the gallery
    galleries: dict[str, Int64[Array, " N"]]  # how many rows remain for each query, by name
    pairs: tuple[tuple[int, int], ...]  # cameras of query and gallery
    columns: dict[str, Shaped[Array, " pairs"]]  # which pairs

    @classmethod
    def prepare(cls, store: PoseStore, protocol: RetrievalProtocol, where: Where, tell: Progress) -> "_Study":
        rig = CameraRig.load(protocol.rig)
        if len(rig) < 2:
            raise VipeError(f"camera rig {rig.name!r} has one camera; view invariance needs at least two")
        recorded, found = store.poses(where), store.table(["clip", "time"], where)
        canonical = canonicalize_array(recorded)
        rows = np.flatnonzero(~canonical.degenerate)
        if protocol.near_duplicate:
            kept = without_near_duplicates(
                canonical.poses[rows],
                protocol.near_duplicate,
                lambda done, total: tell("near-duplicates", done, total, ""),
            )
            tell("near-duplicates", len(rows), len(rows), f"{len(kept):,} poses differ")
            rows = rows[kept]
        if protocol.poses is not None and protocol.poses < len(rows):
            generator = np.random.default_rng(protocol.seed)
            rows = np.sort(generator.choice(rows, size=protocol.poses, replace=False))
        if len(rows) < 2:
            raise VipeError(f"{store.path}: {len(rows)} poses to compare, need at least 2; is the filter right?")
        everything = np.arange(len(rows))
        near = near_pairs(
            canonical.poses[rows],
            everything,
            everything,
            max(protocol.thresholds),
            lambda done, total: tell("3D distances", done, total, ""),
        )
        clips = found["clip"].to_numpy()[rows].astype(str)
        _, clip = np.unique(clips, return_inverse=True)
        left_out = LeaveOut(clip, found["time"].to_numpy()[rows], protocol.neighbourhood)
        questions = tuple((threshold, gallery) for gallery in (0, 1) for threshold in protocol.thresholds)
        targets = Targets.of(near, left_out, [(threshold, gallery == 1) for threshold, gallery in questions])
        gone = np.diff(targets.out_start)
        cameras = range(len(rig))
        pairs = tuple((i, j) for i in cameras for j in cameras if i != j)
        mixed = np.array([rig.cameras[i].chest != rig.cameras[j].chest for i, j in pairs])
        columns = {EVERY_PAIR: np.ones(len(pairs), dtype=bool)} | ({UNSEEN_PAIRS: mixed} if mixed.any() else {})
        return cls(
            protocol=protocol,
            rig=rig,
            recorded=recorded[rows],
            clips=clips,
            left_out=int(canonical.degenerate.sum()),
            targets=targets,
            questions=questions,
            galleries={
                "whole gallery": np.full(len(rows), len(rows)),
                f"{protocol.neighbourhood:g} s left out": len(rows) - gone,
            },
            pairs=pairs,
            columns=columns,
        )

    def views(self, condition: Condition) -> list[Keypoints]:
        """All poses by each camera, and no more of them than where joints are seen."""
        views = []
        for number, camera in enumerate(self.rig.cameras):
            alone = CameraRig(name=self.rig.name, cameras=(camera,))
            # Draws of their own for each camera, the same under all conditions.
            generator = np.random.default_rng([self.protocol.seed, 1, number])
            people = simulate_condition(
                self.recorded, alone, condition, distance=self.protocol.distance, generator=generator
            )
            views.append(replace(people, confidence=people.mask.astype(np.float32), covariance=None))
        return views

    def rank(
        self,
        matcher: Matcher,
        query: Float32[Array, " N *shape"],
        gallery: Float32[Array, " N *shape"],
        ranks: Int32[Array, "questions N"],
    ) -> None:
        """Fill in the rank of each query's first hit; 0 where it has none."""

        def work(rows: slice) -> None:
            scores = matcher.compare(query[rows], gallery)
            ranks[:, rows] = first_hit_ranks(scores, rows.start, self.targets)

        in_blocks(work, len(query), max(1, _SCORES // len(gallery)))

    def judge(
        self, matcher: str, condition: str, ranks: Int32[Array, "pairs questions N"], first: Firsts
    ) -> list[RetrievalScore]:
        """One score a gallery and column; `first` remembers what the first matcher found."""
        scores = []
        for gallery, name in enumerate(self.galleries):
            for cameras, which in self.columns.items():
                queries: dict[float, int] = {}
                hit: Rates = {}
                interval: dict[float, dict[int, tuple[float, float]]] = {}
                reciprocal: dict[float, float] = {}
                over_first = None
                for number, (threshold, of) in enumerate(self.questions):
                    if of != gallery:
                        continue
                    asked = self.targets.matches[number] > 0
                    queries[threshold] = int(asked.sum())
                    if not asked.any():
                        continue
                    own = ranks[which, number][:, asked]
                    found = {k: (own <= k).mean(axis=0) for k in self.protocol.ks}
                    hit[threshold] = {k: float(rate.mean()) for k, rate in found.items()}
                    interval[threshold] = {k: self._interval(rate, asked) for k, rate in found.items()}
                    reciprocal[threshold] = float((1 / own).mean())
                    if threshold == self.protocol.thresholds[0]:
                        rate = found[self.protocol.ks[0]]
                        gain = rate - first.setdefault((name, cameras), (matcher, rate))[1]
                        if first[name, cameras][0] != matcher:
                            over_first = (float(gain.mean()), self._interval(gain, asked))
                scores.append(
                    RetrievalScore(
                        matcher=matcher,
                        condition=condition,
                        gallery=name,
                        cameras=cameras,
                        queries=queries,
                        hit=hit,
                        interval=interval,
                        reciprocal_rank=reciprocal,
                        over_first=over_first,
                    )
                )
        return scores

    def chance(self) -> list[RetrievalScore]:
        """A random order's Hit@k, which neither condition nor cameras change."""
        scores = []
        for gallery, (name, remaining) in enumerate(self.galleries.items()):
            hit, queries = {}, {}
            for number, (threshold, of) in enumerate(self.questions):
                matches = self.targets.matches[number]
                asked = matches > 0
                if of == gallery:
                    queries[threshold] = int(asked.sum())
                    if asked.any():
                        hit[threshold] = chance_at(matches[asked], remaining[asked], self.protocol.ks)
            scores.append(
                RetrievalScore(
                    matcher=CHANCE,
                    condition=ANY,
                    gallery=name,
                    cameras=EVERY_PAIR,
                    queries=queries,
                    hit=hit,
                    interval={},
                    reciprocal_rank={},
                )
            )
        return scores

    def _interval(self, rate: Shaped[Array, " asked"], asked: Shaped[Array, " N"]) -> tuple[float, float]:
        generator = np.random.default_rng([self.protocol.seed, 3])
        return bootstrap_interval(rate, self.clips[asked].tolist(), generator=generator, draws=self.protocol.draws)


def _described(matcher: Matcher, people: Keypoints) -> Float32[Array, " N *shape"]:
    described = np.ascontiguousarray(matcher.describe(people), dtype=np.float32)
    finite = np.isfinite(described).reshape(len(described), -1).all(axis=1)
    if len(described) != len(people) or not finite.all():
        raise ShapeError(
            f"{matcher.name} must give finite numbers for each of {len(people)} people, got shape {described.shape} "
            f"with {int((~finite).sum())} people of whom a number is not finite"
        )
    return described


def _quiet(*_: object) -> None:
    pass
