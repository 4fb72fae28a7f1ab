"""Frames of an archive that a prior of poses finds impossible: limbs exchanged, a joint that slipped (numpy)."""

__all__ = ["Outlier", "OutlierConfig", "Outliers", "find_outliers", "prior_of_store", "sampled_poses"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64, Shaped

from vipe.arrays import Array, take_rows
from vipe.errors import StoreError, VipeError
from vipe.lift.ppca.lifter import PPCALifter
from vipe.lift.ppca.prior.alignment import AlignmentConfig
from vipe.lift.ppca.prior.repairs import EXCHANGES, best_exchange, moved_joint
from vipe.lift.ppca.training import PPCATrainingConfig, fit_prior
from vipe.skeletons.working import H36M17
from vipe.store import PoseStore
from vipe.training.loop import TrainingProgress

_BATCH = 4096  # rows of the store at a time
_MOST_NEIGHBOURS = 64  # to either side of a frame: 0.2 s at 320 frames/s
_SAMPLE = 10_000  # rows that a prior of the store, and the usual likelihood, are learned from

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class OutlierConfig:
    """When a frame counts as impossible.

    The defaults were set on motion capture with planted errors (`benchmarks/ppca_outliers.py`).

    Raises:
        VipeError: If a number is out of its range.
    """

    exchange: float = 20.0  # nats that exchanging left and right limbs must gain
    fall: float = 50.0  # nats that a frame must lie below some frame before and some frame after it
    reach: float = 0.2  # seconds between these frames and it, at most
    below: float = 8.0  # times the distance from median to lower quartile: less likely is unlike any other pose
    most: int = 1000  # frames kept, those with the greatest excess

    def __post_init__(self) -> None:
        for name in ("exchange", "fall", "reach", "below"):
            if not getattr(self, name) > 0:
                raise VipeError(f"outliers: {name} must be more than 0, got {getattr(self, name)}")
        if self.most < 1:
            raise VipeError(f"outliers: most must be at least 1, got {self.most}")


@dataclass(frozen=True)
class Outlier:
    """One frame that cannot be."""

    row: int  # of the store
    clip: str
    frame: int  # of the source clip
    time: float  # seconds in it
    log_likelihood: float  # nats
    reason: str  # "legs left for right", "left_wrist slipped", "unlike any other pose"
    excess: float  # nats: gained by the exchange, fallen, or below what is usual
    joints: tuple[int, ...]  # that are wrong
    pose: Float32[Array, "17 3"]  # as recorded: metres, world space
    expected: Float64[Array, "17 3"]  # with these joints exchanged back, or the one joint where the others say


@dataclass(frozen=True)
class Outliers:
    """What was found in an archive."""

    found: tuple[Outlier, ...]  # the greatest excess first
    count: int  # of all, kept or not
    rows: int  # of the store
    usual: float  # median log-likelihood, nats
    least: float  # below it, a pose is unlike any other


def prior_of_store(store: PoseStore, *, seed: int = 0, progress: TrainingProgress | None = None) -> PPCALifter:
    """A prior fitted to some thousand poses of a store, evenly spaced: few broken ones among them do no harm.

    Args:
        store: At least three poses.
        seed: Determines the centres that EM starts from.
        progress: As of `fit_prior`.

    Raises:
        StoreError: If it holds fewer.
    """
    config = PPCATrainingConfig(alignment=AlignmentConfig(components=10, passes=3), starts=1)
    poses = sampled_poses(store)
    if len(poses) < 3:
        raise StoreError(f"{store.path}: a prior needs at least 3 poses, got {len(poses)}; give one with --prior")
    return fit_prior(poses, config=config, seed=seed, progress=progress)


def sampled_poses(store: PoseStore, most: int = _SAMPLE) -> Float32[Array, "N 17 3"]:
    """At most so many poses of a store, evenly spaced."""
    wanted = np.linspace(0, len(store) - 1, min(most, len(store))).round().astype(np.int64)
    parts, start = [np.zeros((0, 17, 3), np.float32)], 0
    for batch in store.batches(_BATCH):
        inside = wanted[(wanted >= start) & (wanted < start + len(batch))] - start
        parts.append(_poses(batch)[inside])
        start += len(batch)
    return np.concatenate(parts)


def find_outliers(
    store: PoseStore,
    prior: PPCALifter,
    *,
    config: OutlierConfig | None = None,
    progress: Progress | None = None,
) -> Outliers:
    """Stream a store, and list the frames that the prior finds impossible.

    A frame is one of these

    - if it is likelier by `config.exchange` nats with left and right limbs exchanged: so long stretches are found too;
    - if its log-likelihood falls by `config.fall` nats below some frame shortly before it and some frame shortly after
      it in its clip, as where a tracker slips for a moment. Rare poses, such as those of a handstand, are not found:
      their neighbours are as unlikely;
    - if its log-likelihood is far below that of all poses of the store.

    Memory does not grow with the store.

    Args:
        store: World space, z up.
        prior: Such as `prior_of_store`, or a trained lifter of kind `ppca`.
        config: When a frame counts.
        progress: Called with (what, rows done, rows of all).

    Raises:
        ShapeError: If a pose is not finite, or its bones have no length.
        StoreError: If a part of the store is damaged.
    """
    config, total = config or OutlierConfig(), len(store)
    sample = sampled_poses(store)
    usual, quarter = np.quantile(prior.pose_log_likelihood(sample, world=True), [0.5, 0.25]) if len(sample) else (0, 0)
    least = float(usual - config.below * max(usual - quarter, 1.0))
    found: list[Outlier] = []
    count = 0
    for rows, decided in _with_neighbours(_read(store, prior)):
        fall = _fall(rows, config.reach)
        excess = np.stack([rows.gain - config.exchange, fall - config.fall, least - rows.log_likelihood])
        wrong = decided & (excess > 0).any(axis=0)
        count += int(wrong.sum())
        if wrong.any():
            # The first reason that holds is told: an exchange explains more than a fall.
            reason = (excess[:, wrong] > 0).argmax(axis=0)
            nats = np.stack([rows.gain, fall, usual - rows.log_likelihood])[reason, np.flatnonzero(wrong)]
            found += _described(take_rows(rows, np.flatnonzero(wrong)), reason, nats, prior)
            found = sorted(found, key=lambda one: -one.excess)[: config.most]
        if progress is not None:
            progress("rows", int(rows.row[decided].max(initial=0)) + 1, total)
    return Outliers(tuple(found), count, total, float(usual), least)


@dataclass(frozen=True)
class _Rows:
    """Rows of a store, and what the prior says of each."""

    row: Int64[Array, " n"]
    clip: Shaped[Array, " n"]
    frame: Int64[Array, " n"]
    time: Float64[Array, " n"]
    poses: Float32[Array, "n 17 3"]
    log_likelihood: Float64[Array, " n"]
    exchange: Int64[Array, " n"]  # the best of `EXCHANGES`
    gain: Float64[Array, " n"]  # nats, by it

    def joined(self, other: "_Rows") -> "_Rows":
        return _Rows(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__annotations__))


def _read(store: PoseStore, prior: PPCALifter) -> Iterator[_Rows]:
    start = 0
    for batch in store.batches(_BATCH):
        poses = _poses(batch)
        log_likelihood = prior.pose_log_likelihood(poses, world=True)
        exchange, gain = best_exchange(prior, poses, log_likelihood)
        clip = np.asarray(batch.column("clip").to_pylist(), dtype=object)
        frame, time = (np.asarray(batch.column(name).to_numpy()) for name in ("frame", "time"))
        row = np.arange(start, start + len(batch))
        yield _Rows(row, clip, frame.astype(np.int64), time.astype(float), poses, log_likelihood, exchange, gain)
        start += len(batch)


def _with_neighbours(parts: Iterator[_Rows]) -> Iterator[tuple[_Rows, Bool[Array, " n"]]]:
    """Rows with those around them, each row marked once: as soon as all its neighbours are there."""
    held: _Rows | None = None
    done = -1
    for part in parts:
        held = part if held is None else held.joined(part)
        last = int(held.row[-1]) - _MOST_NEIGHBOURS
        yield held, (held.row > done) & (held.row <= last)
        done = max(done, last)
        held = take_rows(held, slice(-2 * _MOST_NEIGHBOURS, None))
    if held is not None:
        yield held, held.row > done


def _fall(rows: _Rows, reach: float) -> Float64[Array, " n"]:
    """How far each frame lies below the likeliest frame on either side, the lesser of both; nats.

    At a clip's end one side decides; a clip of one frame falls from nowhere. Neighbours that are farther than `reach`
    count if there are none nearer.
    """
    sides = []
    for direction in (1, -1):
        best = np.full(len(rows.row), -np.inf)
        for step in range(1, min(_MOST_NEIGHBOURS, len(best) - 1) + 1):
            here = np.arange(len(best))[step:] if direction > 0 else np.arange(len(best))[:-step]
            there = here - direction * step
            near = (rows.clip[here] == rows.clip[there]) & (
                (np.abs(rows.time[here] - rows.time[there]) <= reach * (1 + 1e-6)) | (step == 1)
            )
            if not near.any():
                break
            best[here] = np.where(near, np.maximum(best[here], rows.log_likelihood[there]), best[here])
        sides.append(best)
    before, after = sides
    level = np.where(np.isinf(before), after, np.where(np.isinf(after), before, np.minimum(before, after)))
    return np.asarray(np.where(np.isinf(level), 0.0, level - rows.log_likelihood))


def _described(rows: _Rows, reason: Int64[Array, " n"], nats: Float64[Array, " n"], prior: PPCALifter) -> list[Outlier]:
    names = list(EXCHANGES)
    moved = moved_joint(prior, rows.poses)
    described = []
    for i, kind in enumerate(reason.tolist()):
        if kind == 0:
            name = names[rows.exchange[i]]
            order = EXCHANGES[name]
            text, joints = f"{name} left for right", tuple(j for j in range(17) if order[j] != j)
            expected = rows.poses[i][list(order)].astype(np.float64)
        else:
            joint = int(moved.joint[i])
            text = f"{H36M17.joints[joint]} slipped" if kind == 1 else "unlike any other pose"
            joints, expected = (joint,), moved.poses[i]
        where = (int(rows.row[i]), str(rows.clip[i]), int(rows.frame[i]), float(rows.time[i]))
        likelihood = float(rows.log_likelihood[i])
        described.append(Outlier(*where, likelihood, text, float(nats[i]), joints, rows.poses[i], expected))
    return described


def _poses(batch: pa.RecordBatch) -> Float32[Array, "n 17 3"]:
    values: Array = batch.column("pose").flatten().to_numpy().reshape(-1, 17, 3)
    return values
