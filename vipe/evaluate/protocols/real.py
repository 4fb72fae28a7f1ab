"""The protocol of real photos: keypoints of calibrated recordings, searched for in an archive that holds the motion."""

__all__ = ["REAL_MODES", "RealReport", "RealScore", "evaluate_real"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped

from vipe.arrays import Array
from vipe.detections import Keypoints, frame_numbers
from vipe.errors import VipeError
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.metrics import HIT_DEPTHS, HIT_THRESHOLD, pose_distance
from vipe.evaluate.study import Progress, quiet
from vipe.index import PoseIndex
from vipe.lift import Lifter
from vipe.retrieve import query
from vipe.retrieve.candidates.hypotheses import near_hypotheses
from vipe.retrieve.session import SAMPLES
from vipe.similar_names import lacks_clip

REAL_MODES = ("affine", "full")
_BLOCK_SECONDS = 0.5  # frames nearer in time succeed and fail together: intervals are over such blocks of each camera
_LEAST_JOINTS = 8  # of the person who is taken from an image: somebody in the background shows fewer
_AT_ONCE = 64


class _Found(NamedTuple):
    """What a search gives: rows, best first, -1 where there is none; and what it says of the first and of any."""

    rows: Int64[Array, "Q K"]
    probability: Float[Array, " Q"] | None
    presence: Float[Array, " Q"] | None


_Ask = Callable[[Keypoints], _Found]


@dataclass(frozen=True, kw_only=True)
class RealScore:
    """One mode over the images of one camera, or of all."""

    mode: str  # of `vipe.query`, or a lifter and how many of its hypotheses searched
    camera: str  # a number of `Keypoints.video`, or "all"
    queries: int
    hit: dict[int, float]  # by k: share of queries with a hit among the first k
    interval: tuple[float, float]  # 95%, of the first k, over blocks of half a second
    said: float | None  # mean probability of the first hit; None where the mode gives none
    presence: float | None  # mean

    def to_json(self) -> dict[str, Any]:
        """Plain values; ks as strings."""
        return vars(self) | {"hit": {str(k): rate for k, rate in self.hit.items()}, "interval": list(self.interval)}


@dataclass(frozen=True, kw_only=True)
class RealReport:
    """Every score, and what was searched for."""

    clip: str
    rows: int  # of the archive
    convention: str
    frames: int  # of the clip that the archive holds
    left_out: int  # people in images that were not taken, or of frames that the archive does not hold
    scores: tuple[RealScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self) | {"scores": [score.to_json() for score in self.scores]}

    def to_table(self) -> list[list[str]]:
        """Rows of cells, head first; shares in percent."""
        ks = [f"@{k}" for k in HIT_DEPTHS]
        table = [["mode", "camera", "queries", *ks, "95% of @1", "said", "right", "presence"]]
        for score in self.scores:
            low, high = score.interval
            shares = [f"{100 * score.hit[k]:.1f}" for k in HIT_DEPTHS]
            said, there = ("-" if one is None else f"{one:.2f}" for one in (score.said, score.presence))
            right = f"{score.hit[HIT_DEPTHS[0]]:.2f}"
            ends = f"{100 * low:.1f}-{100 * high:.1f}"
            table.append([score.mode, score.camera, str(score.queries), *shares, ends, said, right, there])
        return table


def evaluate_real(
    index: PoseIndex,
    clip: str,
    keypoints: Keypoints,
    *,
    modes: tuple[str, ...] = REAL_MODES,
    lifters: Mapping[str, Lifter] | None = None,
    samples: int = SAMPLES,
    progress: Progress | None = None,
) -> RealReport:
    """Measure how often real keypoints find the moment at which they were seen.

    The archive holds the person's motion as one of its clips. Images are matched to it by frame number
    (`frame_numbers`): frame n of the keypoints shows frame n of the clip's file. The person of an image is the one
    whose confidences sum to most; frames that the archive does not hold, because it was made at a lower rate, are left
    out.

    Args:
        index: The archive.
        clip: The clip that the keypoints show.
        keypoints: On coco13; `video` tells cameras apart.
        modes: Of `vipe.query`.
        lifters: By name; the archive is ranked by the hypotheses of each alone, too (`near_hypotheses`). Nothing is
            left out of the archive, so nothing is of an archive lifter.
        samples: Hypotheses of each person.
        progress: Told how far it is.

    Raises:
        ShapeError: If a lifter needs more joints than are seen of somebody.
        VipeError: If the archive has no such clip, no frame is in both, or there is nothing to measure.
    """
    if not modes and not lifters:
        raise VipeError("evaluate real: neither a mode nor a lifter to measure; give at least one, such as 'full'")
    tell = progress or quiet
    frames = index.frames()
    rows = np.flatnonzero(frames["clip"].astype(str) == clip)
    if not len(rows):
        told = lacks_clip(index.path, clip, index.labels["clip"].unique().to_pylist())
        raise VipeError(f"{told}; expected the clip that the keypoints show")
    keypoints = replace(keypoints, frame=frame_numbers(keypoints))
    held = {int(frame): int(row) for frame, row in zip(frames["frame"][rows], rows, strict=True)}
    chosen = _one_an_image(keypoints, held)
    if not len(chosen):
        raise VipeError(
            f"no image shows a frame of clip {clip!r} that the index holds ({len(held)} frames, the first of them "
            f"{sorted(held)[:3]}) with at least {_LEAST_JOINTS} joints seen; make the archive at the images' rate"
        )
    people = keypoints[chosen]
    number = np.asarray(people.frame)
    truth = index.poses(np.array([held[int(one)] for one in number]))
    camera = np.zeros(len(people), dtype=np.int64) if people.video is None else np.asarray(people.video)
    seconds = frames["time"][[held[int(one)] for one in number]].astype(np.float64)
    scores: list[RealScore] = []
    for search, ask in _searches(index, modes, lifters or {}, samples).items():
        near, said, presence = _hits(index, people, truth, search, ask, tell)
        for name, some in _cameras(camera):
            scores.append(_score(search, name, near[some], said, presence, some, camera, seconds))
    tell("searches", 1, 1, "")
    return RealReport(
        clip=clip,
        rows=len(index),
        convention=people.convention,
        frames=len(held),
        left_out=len(keypoints) - len(people),
        scores=tuple(scores),
    )


def _one_an_image(people: Keypoints, held: dict[int, int]) -> Int64[Array, " M"]:
    """The person of each image of a frame that is held."""
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for row in range(len(people)):
        frame = -1 if people.frame is None else int(people.frame[row])
        camera = 0 if people.video is None else int(people.video[row])
        if frame not in held or people.mask[row].sum() < _LEAST_JOINTS:
            continue
        score = float(people.confidence[row].sum())
        if score > best.get((camera, frame), (-1.0, 0))[0]:
            best[camera, frame] = (score, row)
    return np.array(sorted(row for _, row in best.values()), dtype=np.int64)


def _searches(index: PoseIndex, modes: tuple[str, ...], lifters: Mapping[str, Lifter], samples: int) -> dict[str, _Ask]:
    """Every search by the name of its rows."""
    depth = max(HIT_DEPTHS)

    def by_mode(mode: str) -> _Ask:
        def ask(people: Keypoints) -> _Found:
            hits = query(index, people, depth, mode=mode)  # type: ignore[arg-type]
            return _Found(hits.rows, None if hits.probability is None else hits.probability[:, 0], hits.presence)

        return ask

    def by_lifter(lifter: Lifter) -> _Ask:
        generator = torch.Generator().manual_seed(0)

        def ask(people: Keypoints) -> _Found:
            found = near_hypotheses(index, lifter.sample(people, samples, generator), depth)
            return _Found(found.rows, found.probability[:, 0], found.presence)

        return ask

    named = {f"{name} x {samples}": by_lifter(lifter) for name, lifter in lifters.items()}
    return {mode: by_mode(mode) for mode in modes} | named


def _hits(
    index: PoseIndex, people: Keypoints, truth: Float[Array, "Q 17 3"], search: str, ask: _Ask, tell: Progress
) -> tuple[Bool[Array, "Q K"], Float[Array, " Q"] | None, Float[Array, " Q"] | None]:
    """Which of the first hits are right, and what is said of the first."""
    near = np.zeros((len(people), max(HIT_DEPTHS)), dtype=bool)
    said, presence = np.full((2, len(people)), np.nan)
    judged = False
    for start in range(0, len(people), _AT_ONCE):
        tell("searches", start, len(people), search)
        some = slice(start, start + _AT_ONCE)
        found = ask(people[np.arange(len(people))[some]])
        distance = pose_distance(index.poses(np.maximum(found.rows, 0)), truth[some][:, None])
        near[some, : found.rows.shape[1]] = (distance < HIT_THRESHOLD) & (found.rows >= 0)
        if found.probability is not None and found.presence is not None:
            judged = True
            said[some], presence[some] = found.probability, found.presence
    return near, said if judged else None, presence if judged else None


def _cameras(camera: Int64[Array, " Q"]) -> list[tuple[str, Bool[Array, " Q"]]]:
    """All together, then each camera if there are several."""
    everything = [("all", np.ones(len(camera), dtype=bool))]
    numbers = np.unique(camera)
    return everything + ([(str(number), camera == number) for number in numbers.tolist()] if len(numbers) > 1 else [])


def _score(
    mode: str,
    name: str,
    near: Bool[Array, "M K"],
    said: Float[Array, " Q"] | None,
    presence: Float[Array, " Q"] | None,
    some: Bool[Array, " Q"],
    camera: Int64[Array, " Q"],
    seconds: Float[Array, " Q"],
) -> RealScore:
    blocks: Shaped[Array, " M"] = np.array(
        [f"{a} {b}" for a, b in zip(camera[some], (seconds[some] // _BLOCK_SECONDS).astype(int), strict=True)]
    )
    return RealScore(
        mode=mode,
        camera=name,
        queries=len(near),
        hit={k: float(near[:, :k].any(axis=1).mean()) for k in HIT_DEPTHS},
        interval=bootstrap_interval(near[:, 0], blocks, generator=np.random.default_rng(0)),
        said=None if said is None else float(np.nanmean(said[some])),
        presence=None if presence is None else float(np.nanmean(presence[some])),
    )
