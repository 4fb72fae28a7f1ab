"""View invariance: a gallery of one camera's views, searched with every other camera's views of the poses (numpy)."""

__all__ = ["RETRIEVAL_CONDITIONS", "RetrievalProtocol", "evaluate_retrieval"]

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Int32

from vipe.arrays import Array
from vipe.cores import cores
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.evaluate.baselines.matchers import Matcher
from vipe.evaluate.conditions import CONDITIONS, Condition, simulate_condition
from vipe.evaluate.first_hit_rank import Targets, first_hit_ranks
from vipe.evaluate.leave_out import NOTHING
from vipe.evaluate.protocols.view_invariance_report import (
    CHANCE,
    EVERY_PAIR,
    UNSEEN_PAIRS,
    RetrievalReport,
    RetrievalScore,
)
from vipe.evaluate.scoring import ANY, Scoring, chance_score
from vipe.evaluate.study import Archive, Progress, Relevance, Study, StudySettings, quiet
from vipe.geometry.canonical import canonicalize_array
from vipe.geometry.planes import in_blocks
from vipe.simulate import CameraRig
from vipe.store import PoseStore
from vipe.store.store import Where

RETRIEVAL_CONDITIONS: tuple[Condition, ...] = tuple(
    condition for condition in CONDITIONS if condition.name in ("ground truth", "noise 0.03", "2 missing")
)
"""The protocol's default; query and gallery both suffer it."""

_SCORES = 1 << 20  # at a time: they stay in a core's cache between the product and the counting


@dataclass(frozen=True, kw_only=True)
class RetrievalProtocol(StudySettings):
    """What is measured; the defaults are the figures that benchmarks/RESULTS.md reports.

    Raises:
        VipeError: If a number is out of its range, or conditions share a name.
    """

    protocol: ClassVar[str] = "retrieval"

    conditions: tuple[Condition, ...] = RETRIEVAL_CONDITIONS
    distance: float = 4.0  # metres; the focal length is no setting, since it only scales the image
    poses: int | None = None  # at most so many, drawn at random from those that differ; None for all

    def rules(self) -> dict[str, tuple[bool, str]]:
        """By setting: whether it is broken, and what it must be."""
        return super().rules() | {
            "distance": (not 0 < self.distance < math.inf, "above 0"),
            "poses": (self.poses is not None and self.poses < 2, "at least 2"),
        }


def evaluate_retrieval(
    store: PoseStore,
    matchers: Sequence[Matcher],
    *,
    protocol: RetrievalProtocol | None = None,
    where: Where = None,
    progress: Progress | None = None,
) -> RetrievalReport:
    """Measure how well people are found again from another side, as Sun et al. 2020 and Levy & Shrivastava 2024 do.

    The poses are the store's without near-duplicates. Every camera of a rig sees every pose, the person as recorded:
    own proportions, full perspective. For each ordered pair of cameras, every view of the first is a query, and all
    views of the second are the gallery. A hit is a view of a pose within the threshold of the query's, after
    similarity alignment. The same pose from the other camera is a hit, as in the papers. A second gallery leaves out
    the query's clip within some seconds, that pose included, and scores the queries that still have a hit.

    All pairs are compared. Intervals are 95%, over clips, of a query's mean over camera pairs. Differences to the
    first matcher have intervals of their own, since all matchers have the same queries.

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
        ShapeError: If a matcher gives a person a number that is not finite.
    """
    protocol = protocol or RetrievalProtocol()
    tell = progress or quiet
    start = time.perf_counter()
    names = [matcher.name for matcher in matchers]
    if not names or len(set(names)) < len(names):
        raise VipeError(f"evaluate retrieval: matchers must be at least one, each with a name of its own, got {names}")
    views = _Views.prepare(store, protocol, where, tell)
    study = views.study
    judge = _Judge(protocol, views, study.judge(protocol.thresholds, _galleries(protocol), tell))
    scores: list[RetrievalScore] = []
    done, total = 0, len(views.pairs) * len(protocol.conditions) * len(matchers)
    for condition in protocol.conditions:
        tell("camera pairs", done, total, f"views, {condition.name}")
        seen = views.of(condition)
        first = None
        for matcher in matchers:
            ranks = np.empty((len(views.pairs), len(judge.questions), len(study.query)), dtype=np.int32)
            described = [_described(matcher, view) for view in seen]
            for number, (query, gallery) in enumerate(views.pairs):
                tell("camera pairs", done, total, f"{matcher.name}, {condition.name}")
                judge.rank(matcher, described[query], described[gallery], ranks[number])
                done += 1
            first = ranks if first is None else first
            scores += judge.scores(matcher.name, condition.name, ranks, first)
    tell("camera pairs", total, total, "")
    scores += judge.chance()
    return RetrievalReport(
        protocol=protocol.to_json() | {"matchers": names, "galleries": list(_galleries(protocol))},
        scores=tuple(scores),
        poses=len(study.gallery),
        left_out=views.left_out,
        clips=len(set(study.clips)),
        pairs={name: int(which.sum()) for name, which in views.columns.items()},
        seconds=round(time.perf_counter() - start, 3),
    )


def _galleries(protocol: RetrievalProtocol) -> dict[str, float]:
    """Names of the galleries, and the seconds that each leaves out around a query's frame in its clip."""
    return {"whole gallery": NOTHING, f"{protocol.neighbourhood:g} s left out": protocol.neighbourhood}


@dataclass(frozen=True, kw_only=True)
class _Views:
    """The poses, and the cameras that see all of them."""

    protocol: RetrievalProtocol
    study: Study
    rig: CameraRig
    recorded: Float32[Array, "N 17 3"]
    left_out: int
    pairs: tuple[tuple[int, int], ...]  # cameras of query and gallery
    columns: dict[str, Bool[Array, " pairs"]]  # which pairs

    @classmethod
    def prepare(cls, store: PoseStore, protocol: RetrievalProtocol, where: Where, tell: Progress) -> "_Views":
        rig = CameraRig.load(protocol.rig)
        if len(rig) < 2:
            raise VipeError(f"camera rig {rig.name!r} has one camera; view invariance needs at least two")
        recorded, frames = store.poses(where), store.table(["clip", "time"], where)
        canonical = canonicalize_array(recorded)
        study = Study.choose(
            Archive(
                poses=canonical.poses,
                clip=frames["clip"].to_numpy().astype(str),
                time=frames["time"].to_numpy(),
            ),
            np.flatnonzero(~canonical.degenerate),
            near_duplicate=protocol.near_duplicate,
            poses=protocol.poses,
            seed=protocol.seed,
            progress=tell,
        )
        rows = study.gallery
        if len(rows) < 2:
            raise VipeError(f"{store.path}: {len(rows)} poses to compare, need at least 2; is the filter right?")
        cameras = range(len(rig))
        pairs = tuple((i, j) for i in cameras for j in cameras if i != j)
        mixed = np.array([rig.cameras[i].chest != rig.cameras[j].chest for i, j in pairs])
        columns = {EVERY_PAIR: np.ones(len(pairs), dtype=bool)} | ({UNSEEN_PAIRS: mixed} if mixed.any() else {})
        return cls(
            protocol=protocol,
            study=study.of_gallery_alone(),
            rig=rig,
            recorded=recorded[rows],
            left_out=int(canonical.degenerate.sum()),
            pairs=pairs,
            columns=columns,
        )

    def of(self, condition: Condition) -> list[Keypoints]:
        """All poses by each camera: the visible joints' places and nothing more of the detector."""
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


class _Judge:
    """Ranks and scores one matcher under one condition at a time, in both galleries."""

    def __init__(self, protocol: RetrievalProtocol, views: _Views, relevance: Relevance) -> None:
        self.protocol, self.views, self.galleries = protocol, views, relevance.galleries
        self.questions = tuple(
            (gallery, threshold) for gallery in relevance.galleries for threshold in protocol.thresholds
        )
        _, left_out = self.galleries
        self.targets = Targets.of(
            relevance.near, left_out.left_out, [(threshold, one is left_out) for one, threshold in self.questions]
        )
        self.scoring = Scoring(
            clips=views.study.clips,
            generator=lambda: np.random.default_rng([protocol.seed, 3]),
            thresholds=protocol.thresholds,
            ks=protocol.ks,
            draws=protocol.draws,
        )

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

        in_blocks(work, len(query), max(1, _SCORES // len(gallery)), workers=cores())

    def scores(
        self,
        matcher: str,
        condition: str,
        ranks: Int32[Array, "pairs questions N"],
        first: Int32[Array, "pairs questions N"],
    ) -> list[RetrievalScore]:
        """One score a gallery and column; `first` are the ranks of the first matcher."""
        scores = []
        for gallery in self.galleries:
            scored = {threshold: matches > 0 for threshold, matches in gallery.matches.items()}
            numbers = {at: number for number, (one, at) in enumerate(self.questions) if one is gallery}
            for cameras, pairs in self.views.columns.items():
                own = {at: ranks[pairs, numbers[at]][:, which] for at, which in scored.items() if which.any()}
                values = {at: {k: (rank <= k).mean(axis=0) for k in self.protocol.ks} for at, rank in own.items()}
                at, k = self.protocol.thresholds[0], self.protocol.ks[0]
                over_first = None
                if ranks is not first and at in own:
                    gain = values[at][k] - (first[pairs, numbers[at]][:, scored[at]] <= k).mean(axis=0)
                    over_first = (float(gain.mean()), self.scoring.interval(gain, scored[at], span=(-1.0, 1.0)))
                scores.append(
                    RetrievalScore(
                        **vars(self.scoring.of_values(values, scored)),
                        matcher=matcher,
                        condition=condition,
                        gallery=gallery.name,
                        cameras=cameras,
                        reciprocal_rank={at: float((1 / rank).mean()) for at, rank in own.items()},
                        over_first=over_first,
                    )
                )
        return scores

    def chance(self) -> list[RetrievalScore]:
        """One score a gallery."""
        return [
            RetrievalScore(
                **vars(chance_score(gallery, self.protocol.ks)),
                matcher=CHANCE,
                condition=ANY,
                gallery=gallery.name,
                cameras=EVERY_PAIR,
                reciprocal_rank={},
            )
            for gallery in self.galleries
        ]


def _described(matcher: Matcher, people: Keypoints) -> Float32[Array, " N *shape"]:
    described = np.ascontiguousarray(matcher.describe(people), dtype=np.float32)
    finite = np.isfinite(described).reshape(len(described), -1).all(axis=1)
    if len(described) != len(people) or not finite.all():
        raise ShapeError(
            f"{matcher.name} must give finite numbers for each of {len(people)} people, got shape {described.shape} "
            f"with {int((~finite).sum())} people of whom a number is not finite"
        )
    return described
