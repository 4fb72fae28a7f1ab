"""Learning how images are fused from sequences whose truth is known (numpy). `benchmarks/tracks.py` simulates them."""

__all__ = ["FusionExample", "fit_fusion"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from scipy.special import expit

from vipe.arrays import Array
from vipe.geometry.procrustes import CLOSE_THRESHOLD, HIT_THRESHOLD
from vipe.retrieve.ranking.coverage import coverage_order
from vipe.retrieve.ranking.evidence import SAME_WIDTH
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.sequences.fusion import Change, Changes, Fused, Fusion, SequenceEvidence, fuse

FRAMES_POWERS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
CAMERAS_POWERS = (0.25, 0.5, 1.0, 2.0)
"""Powers that are tried; the best by the gain over a single image is taken."""

_NO_CHANGE = Change(offset=0.0, slope=0.0)
_UNCHANGED = Changes(near=_NO_CHANGE, close=_NO_CHANGE, presence=_NO_CHANGE)
_HITS = 10  # of each query that the changes are learned from
_FIRST_HIT = 9.0  # how much the first hit counts: it matters most
_ABSENT = 0.5  # how much a query counts whose pose the gallery lacks
_LEAST_SLOPE = -0.5  # more images must not turn the log odds around


@dataclass(frozen=True, kw_only=True)
class FusionExample:
    """What the images of one query say, and what is true."""

    group: tuple[object, ...]  # queries under one condition
    track: bool  # frames over time; otherwise cameras of one moment
    evidence: SequenceEvidence
    distance: Float[Array, " S"]  # of each moment from the true pose, torso lengths
    present: bool  # whether any pose searched lies within `HIT_THRESHOLD` of it
    absent: bool  # whether the true pose was left out on purpose
    single: float  # distance of the first hit of a single image


def fit_fusion(examples: Sequence[FusionExample], model: RankingModel, made: str) -> Fusion:
    """Choose the powers that rank best, then how much surer several images are than one.

    Of the powers of frames the one is taken whose least gain over a single image, of all groups, is greatest; of the
    powers of cameras the one of greatest mean gain.

    Args:
        examples: Tracks and cameras.
        model: Ranks single images; fit again when it has changed.
        made: By which command, from which data.
    """
    tracks = [one for one in examples if one.track]
    views = [one for one in examples if not one.track]
    fusion = Fusion(cameras=1.0, frames=0.3, of_views=_UNCHANGED, of_tracks=_UNCHANGED, made=made)

    def gains(some: Sequence[FusionExample], tried: Fusion) -> list[float]:
        by_group: dict[tuple[object, ...], list[float]] = {}
        for one in some:
            if one.present and not one.absent:
                first = float(one.distance[fuse(one.evidence, model, tried).ranking.argmax()])
                by_group.setdefault(one.group, []).append(_hit(first) - _hit(one.single))
        return [float(np.mean(gain)) for gain in by_group.values()]

    frames = max(FRAMES_POWERS, key=lambda power: min(gains(tracks, replace(fusion, frames=power))))
    cameras = max(CAMERAS_POWERS, key=lambda power: float(np.mean(gains(views, replace(fusion, cameras=power)))))
    fusion = replace(fusion, frames=frames, cameras=cameras)
    return replace(fusion, of_tracks=_changes(tracks, model, fusion), of_views=_changes(views, model, fusion))


def _hit(distance: float) -> float:
    """1 well within `HIT_THRESHOLD`, 0 well beyond, smooth between: near misses are not all alike."""
    return float(expit((HIT_THRESHOLD - distance) / SAME_WIDTH))


def _changes(examples: Sequence[FusionExample], model: RankingModel, fusion: Fusion) -> Changes:
    fused: list[Fused] = [fuse(one.evidence, model, fusion) for one in examples]
    order = [coverage_order(one.ranking[None], one.features, _HITS)[0] for one in fused]
    distance = np.stack([one.distance[places] for one, places in zip(examples, order, strict=True)])
    images = np.array([one.evidence.images for one in examples])
    weight = np.array([_ABSENT if one.absent else 1.0 for one in examples])
    of_hits = weight[:, None] * np.array([_FIRST_HIT, *[1.0] * (_HITS - 1)])
    near, close = (
        np.stack([getattr(one.log_odds, name)[0, places] for one, places in zip(fused, order, strict=True)])
        for name in ("near", "close")
    )
    presence = np.array([one.log_odds.presence[0] for one in fused])
    present = np.array([one.present and not one.absent for one in examples])
    of_images = np.broadcast_to(images[:, None], distance.shape)
    return Changes(
        near=_change(near, distance < HIT_THRESHOLD, of_images, of_hits),
        close=_change(close, distance < CLOSE_THRESHOLD, of_images, of_hits),
        presence=_change(presence, present, images, weight),
    )


def _change(
    log_odds: Float[Array, "*any"],
    right: Bool[Array, "*any"],
    images: Float[Array, "*any"],
    weight: Float[Array, "*any"],
) -> Change:
    """The offset and slope under which what was right is likeliest, with a small ridge."""
    before = log_odds.astype(np.float64)

    def loss(numbers: Float[Array, " 2"]) -> float:
        after = before + np.log(images) * (numbers[0] + numbers[1] * before)
        return float((weight * np.logaddexp(0, np.where(right, -after, after))).sum() + numbers @ numbers / 2)

    offset, slope = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return Change(offset=round(float(offset), 3), slope=round(float(max(slope, _LEAST_SLOPE)), 3))
