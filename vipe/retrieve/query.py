"""The question users ask: which moments of an archive show the pose of these keypoints? (numpy; torch inside)."""

__all__ = ["CANDIDATES", "MIN_JOINTS", "MODES", "Mode", "query", "residuals_of", "shortlisted", "skip_reasons"]

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from scipy.special import expit

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.embed.affine import AffineSignature
from vipe.errors import ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.index.frames import Where
from vipe.retrieve.arguments import check_asked
from vipe.retrieve.camera.perspective import CameraPrior, Fits, fit_cameras
from vipe.retrieve.candidates.completion import completed_candidates
from vipe.retrieve.candidates.leave_one_out import robust_candidates
from vipe.retrieve.candidates.scan import PreparedGallery, affine_residual, scan
from vipe.retrieve.hits import Hits
from vipe.retrieve.ranking.diversity import diversify
from vipe.retrieve.ranking.features import (
    VOTERS,
    CandidateFeatures,
    EmbeddingFeatures,
    FittedCandidates,
    compute_features,
    coverage_order,
)
from vipe.retrieve.ranking.model import CONTRIBUTIONS, RankingModel, contributions_by_group
from vipe.skeletons.working import COCO13_IN_H36M17

Mode = Literal["full", "affine", "point"]
Nearest = tuple[Int64[Array, "Q K"], Float32[Array, "Q K"]]

MODES: tuple[str, ...] = get_args(Mode)
CANDIDATES = 200
"""Poses that mode "full" looks at closely, for each person."""

SCANNED = 3_000_000
"""Poses up to which mode "full" looks at every one for its candidates though there is a learned embedding: 0.1 s."""

_GALLERIES: WeakKeyDictionary[PoseIndex, PreparedGallery] = WeakKeyDictionary()
_CLIPS: WeakKeyDictionary[PoseIndex, Int64[Array, " N"]] = WeakKeyDictionary()
_AT_ONCE = 256  # people whose candidates lie in memory together

MIN_JOINTS = 6
"""Seen joints a person needs. Of the 2 S numbers of S keypoints an affine camera explains 8 whatever the pose, which
leaves 2 S - 8 in which a wrong pose could show: none at four joints, four of twelve at six."""


def query(
    index: PoseIndex,
    keypoints: Keypoints,
    k: int = 10,
    mode: Mode | None = None,
    *,
    where: Where | None = None,
    max_per_clip: int | None = None,
    min_gap_seconds: float = 0.0,
    candidates: int = CANDIDATES,
    fit: CameraPrior | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
    model: RankingModel | None = None,
) -> Hits:
    """Search an index with people's 2D keypoints.

    Mode "full" takes the nearest of mode "affine" (and those of mode "point", if the index has a learned embedding),
    fits a real camera and the person's bone lengths to each (`fit_cameras`), works out how likely each is to be the
    true pose, and gives those k that together are likeliest to hold it (`coverage_order`): the likeliest first, then
    the likeliest of what none of these covers. `Hits.probability` is the chance that a hit lies within 0.1 torso of the
    true pose, `Hits.presence` that any pose searched does; `Hits.parts` says what the odds are made of. The
    distance of a hit is the root mean square from the seen keypoints to the fitted pose's image, in RMS radii; it
    need not increase down the list.

    In archives beyond `SCANNED` poses with a learned embedding, that brings all candidates: it reads keypoints with
    joints missing too, and comparing 32 numbers is cheaper than looking at every pose.

    Mode "affine" ranks the archive by how well the best affine camera makes each canonical pose land on the seen
    joints. It is exact, works on an index of any encoder and with any joints missing: with all 13 seen an index of
    affine signatures answers by inner product, otherwise every pose is scanned. Mode "point" ranks by distance in the
    index's learned embedding. The default is "full": it puts the right pose first far more often.

    Args:
        index: The archive.
        keypoints: The people, on coco13; unseen joints have mask False.
        k: How many hits a person; as many as there are where the archive (or `where`) has fewer.
        mode: "full", "affine" or "point".
        where: Search only rows that match, as in `PoseIndex.rows`.
        max_per_clip: At most so many hits of one clip.
        min_gap_seconds: Hits of one clip lie at least so far apart; neighbouring frames are one moment to most users.
        candidates: How many poses of each source mode "full" looks at for each person, at least `k`.
        fit: What mode "full" believes before looking.
        joint_offsets: From the archive's joints to what these keypoints mark, as `fit_offsets` estimates them.
        model: What makes its odds of what it saw, if not the model that comes with the library.

    Returns:
        One query a person, in order. A person who cannot be searched for (fewer than `MIN_JOINTS` joints, or all at
        one place) has no hits, and `Hits.skipped` says why. `max_per_clip` and `min_gap_seconds` may leave fewer than
        `k`: they choose among the candidates of mode "full", among the whole archive otherwise.

    Raises:
        ShapeError: If the keypoints are on another skeleton.
        VipeError: If there is no such mode, it does not fit the index, a number is out of its range, or `where` is
            wrong; an `ArgumentError`, which is a TypeError too, if an argument is of another kind than it takes.
    """
    check_asked(
        index,
        keypoints,
        k=k,
        candidates=candidates,
        max_per_clip=max_per_clip,
        min_gap_seconds=min_gap_seconds,
        fit=fit,
    )
    mode = mode or "full"
    if mode not in MODES:
        raise VipeError(f"no mode {mode!r}; expected one of {', '.join(MODES)}")
    if keypoints.skeleton.name != "coco13":
        raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
    if k < 1:
        raise VipeError(f"k must be at least 1, got {k}")
    if candidates < 1:
        raise VipeError(f"candidates must be at least 1, got {candidates}")
    if mode == "point" and not _learned(index):
        raise VipeError(
            f"index {index.path} holds affine signatures, no learned embedding; use mode 'affine', "
            "or build an index with a trained embedder"
        )
    skipped = skip_reasons(keypoints)
    people = np.array([i for i, reason in enumerate(skipped) if reason is None], dtype=np.int64)
    allowed = None if where is None else index.rows(where)
    available = len(index) if allowed is None else len(allowed)
    k = min(k, available)
    spread = _Spread(index, max_per_clip, min_gap_seconds)
    if mode == "full":
        few = min(max(k, candidates), available)
        judge = model or RankingModel.default()
        return _full(index, keypoints, people, skipped, k, few, allowed, fit, joint_offsets, judge, spread)
    rows = np.full((len(keypoints), k), -1, dtype=np.int64)
    distance = np.full((len(keypoints), k), np.inf, dtype=np.float32)
    if len(people) and k:
        search = _by_affine_camera if mode == "affine" else _by_embedding
        depth = k
        while True:
            found, near = search(index, keypoints[people], depth, allowed)
            places = spread.of(found, k)
            if depth == available or (places >= 0).all():
                break
            depth = min(4 * depth, available)  # neighbours filled the list: look deeper
        rows[people] = _taken(found, places, -1)
        distance[people] = _taken(near, places, np.inf)
    return Hits.look_up(index, rows, distance, skipped)


def skip_reasons(keypoints: Keypoints) -> tuple[str | None, ...]:
    """Say for each person why no search can be made for them, or None."""
    seen = keypoints.mask.sum(axis=1)
    size = normalize_keypoints(keypoints)[2]
    return tuple(
        f"{count} {'joint' if count == 1 else 'joints'} seen, at least {MIN_JOINTS} are needed"
        + (f": {note}" if note else "")
        if count < MIN_JOINTS
        else ("all seen joints are at one place" if radius == 0 else None)
        for count, radius, note in zip(seen.tolist(), size.tolist(), keypoints.note, strict=True)
    )


def _full(
    index: PoseIndex,
    keypoints: Keypoints,
    people: Int64[Array, " people"],
    skipped: tuple[str | None, ...],
    k: int,
    candidates: int,
    allowed: Int64[Array, " M"] | None,
    config: CameraPrior | None,
    joint_offsets: Float[Array, "13 3"] | None,
    model: RankingModel,
    spread: "_Spread",
) -> Hits:
    found = _Found.empty(len(keypoints), k)
    closely = min(candidates if spread.asked else max(VOTERS, k), candidates)
    for start in range(0, len(people) if k else 0, _AT_ONCE):
        some = people[start : start + _AT_ONCE]
        asked = keypoints[some]
        near, left = _candidates(index, asked, candidates, allowed)
        rows, shortlist = shortlisted(index, asked, near, left, closely, config, joint_offsets)
        described = compute_features(shortlist, asked, config)
        order = coverage_order(model.near.odds(described.parts), described, closely if spread.asked else k)
        places = spread.of(np.take_along_axis(rows, order, axis=1), k)
        found.put(some, rows, shortlist, described, model, _taken(order, places, -1))
    hits = Hits.look_up(index, found.rows, found.distance, skipped)
    return replace(
        hits,
        probability=found.near,
        probability_close=found.close,
        presence=found.presence,
        parts=dict(zip(CONTRIBUTIONS, found.parts, strict=True)),
        fit_cost=found.cost,
        affine_residual=found.affine,
    )


def _candidates(index: PoseIndex, people: Keypoints, count: int, allowed: Int64[Array, " M"] | None) -> Nearest:
    """Rows to look at closely, and their affine residuals; row -1 where both sources brought the same."""
    available = len(index) if allowed is None else len(allowed)
    if _learned(index) and available > SCANNED:
        near, _ = _by_embedding(index, people, min(2 * count, available), allowed)
        return near, residuals_of(index, people, near)
    near, left = robust_candidates(index, people, count, allowed, search=_by_affine_camera)
    if not _learned(index) or count == available:
        return near, left
    more, _ = _by_embedding(index, people, count, allowed)
    known = np.stack([np.isin(rows, others) for rows, others in zip(more, near, strict=True)])
    fresh = np.argsort(known, axis=1, kind="stable")[:, : int((~known).sum(axis=1).max())]
    more = np.where(np.take_along_axis(known, fresh, axis=1), -1, np.take_along_axis(more, fresh, axis=1))
    left = np.concatenate([left, residuals_of(index, people, more)], axis=1)
    return np.concatenate([near, more], axis=1), left


def residuals_of(index: PoseIndex, people: Keypoints, near: Int64[Array, "Q C"]) -> Float32[Array, "Q C"]:
    """Affine residuals of some rows of each person; infinite where the row is -1."""
    residual = np.full(near.shape, np.inf, dtype=np.float32)
    unit = normalize_keypoints(people)[0]
    for person, rows in enumerate(near):
        joints = np.flatnonzero(people.mask[person])
        some = rows >= 0
        points = index.poses(rows[some])[:, np.array(COCO13_IN_H36M17)[joints]]
        xy = torch.from_numpy(unit[person : person + 1, joints])
        residual[person, some] = affine_residual(torch.from_numpy(points), xy)[0].numpy()
    return residual


def shortlisted(
    index: PoseIndex,
    people: Keypoints,
    near: Int64[Array, "Q C"],
    left: Float32[Array, "Q C"],
    count: int,
    config: CameraPrior | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
) -> tuple[Int64[Array, "Q S"], FittedCandidates]:
    """Fit cameras to candidates and keep the `count` of least cost; row -1 is an empty place and never kept.

    Args:
        index: Holds the candidates.
        people: The queries.
        near: Rows of the index.
        left: Their affine residuals.
        count: How many to keep; no person may have fewer candidates.
        config: What is believed before looking.
        joint_offsets: As `fit_cameras` takes them.
    """
    empty = near < 0
    near = np.where(empty, near[:, :1], near)
    poses = index.poses(near)
    fits = fit_cameras(poses, people, config, joint_offsets=joint_offsets)
    best = np.argsort(np.where(empty, np.inf, fits.cost), axis=1, kind="stable")[:, :count]

    def kept(values: Array) -> Array:
        return np.take_along_axis(values, best.reshape(best.shape + (1,) * (values.ndim - 2)), axis=1)

    rows, poses = kept(near), kept(poses)
    shortlist = FittedCandidates(
        poses=poses,
        fits=Fits(**{field.name: kept(getattr(fits, field.name)) for field in fields(Fits)}),
        affine_residual=kept(left),
        clip=_clips(index)[rows],
        embedded=EmbeddingFeatures.of(poses, people),
    )
    return rows, shortlist


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What mode "full" says of each hit, filled in as people are done."""

    rows: Int64[Array, "Q K"]
    distance: Float32[Array, "Q K"]
    near: Float32[Array, "Q K"]
    close: Float32[Array, "Q K"]
    cost: Float32[Array, "Q K"]
    affine: Float32[Array, "Q K"]
    parts: Float32[Array, "parts Q K"]
    presence: Float32[Array, " Q"]

    @classmethod
    def empty(cls, people: int, k: int) -> "_Found":
        def filled(value: float) -> Float32[Array, "Q K"]:
            return np.full((people, k), value, dtype=np.float32)

        return cls(
            rows=np.full((people, k), -1, dtype=np.int64),
            distance=filled(np.inf),
            near=filled(0.0),
            close=filled(0.0),
            cost=filled(np.inf),
            affine=filled(np.inf),
            parts=np.zeros((len(CONTRIBUTIONS), people, k), dtype=np.float32),
            presence=np.full(people, np.nan, dtype=np.float32),
        )

    def put(
        self,
        people: Int64[Array, " people"],
        rows: Int64[Array, "people S"],
        shortlist: FittedCandidates,
        described: CandidateFeatures,
        model: RankingModel,
        order: Int64[Array, "people K"],
    ) -> None:
        """Keep the hits of some people: places in their shortlists, -1 for none."""
        there = model.present(described.person)
        # Three regressions may cross where they are unsure: what is within 0.05 is within 0.1, and then something is.
        log_odds = np.minimum(model.near.log_odds(described.parts, there)[1], there[:, None])
        near = expit(log_odds)
        close = np.minimum(expit(model.close.log_odds(described.parts, there)[1]), near)
        reasons = contributions_by_group(model.near.odds, described.parts, log_odds)
        kinds = (
            (self.rows, rows, -1),
            (self.distance, shortlist.fits.residual, np.inf),
            (self.near, near, 0),
            (self.close, close, 0),
            (self.cost, shortlist.fits.cost, np.inf),
            (self.affine, shortlist.affine_residual, np.inf),
            *((part, values, 0) for part, values in zip(self.parts, reasons, strict=True)),
        )
        for whole, values, blank in kinds:
            whole[people] = _taken(values, order, blank)
        self.presence[people] = expit(there)


@dataclass(frozen=True)
class _Spread:
    """How different hits have to be from each other."""

    index: PoseIndex
    max_per_clip: int | None
    min_gap_seconds: float

    @property
    def asked(self) -> bool:
        return self.max_per_clip is not None or self.min_gap_seconds != 0

    def of(self, rows: Int64[Array, "Q C"], k: int) -> Int64[Array, "Q K"]:
        """Places of the first k rows that differ enough; -1 where fewer do."""
        if not self.asked:
            return np.broadcast_to(np.arange(k), (len(rows), k))
        time = self.index.labels["time"].to_numpy()
        most, gap = self.max_per_clip, self.min_gap_seconds
        return diversify(rows, _clips(self.index), time, k, max_per_clip=most, min_gap_seconds=gap)


def _taken(values: Array, places: Int64[Array, "Q K"], blank: float | int) -> Array:
    """Values at places, `blank` where the place is -1."""
    return np.where(places >= 0, np.take_along_axis(values, np.maximum(places, 0), axis=1), blank)


def _learned(index: PoseIndex) -> bool:
    return index.is_learned


def _by_embedding(index: PoseIndex, people: Keypoints, k: int, allowed: Int64[Array, " M"] | None) -> Nearest:
    return index.nearest(index.encoder.encode_keypoints(people), k, allowed)


def _by_affine_camera(index: PoseIndex, people: Keypoints, k: int, allowed: Int64[Array, " M"] | None) -> Nearest:
    rows = np.empty((len(people), k), dtype=np.int64)
    distance = np.empty((len(people), k), dtype=np.float32)
    signature = AffineSignature()
    indexed = index.manifest.encoder.fingerprint == signature.fingerprint
    for members in _alike(people):
        group = people[members]
        seen = group.mask[0]
        if indexed and seen.all():
            rows[members], distance[members] = index.nearest(signature.encode_keypoints(group), k, allowed)
            continue
        if indexed and len(index if allowed is None else allowed) > SCANNED:
            rows[members], distance[members] = completed_candidates(index, group, k, allowed)
            continue
        found = scan(
            _gallery(index),
            torch.from_numpy(np.flatnonzero(seen)),
            torch.from_numpy(normalize_keypoints(group)[0][:, seen]),
            k,
            None if allowed is None else torch.from_numpy(allowed),
        )
        rows[members], distance[members] = (part.numpy() for part in found)
    return rows, distance


def _gallery(index: PoseIndex) -> PreparedGallery:
    """An index's poses made ready to be scanned: once, and kept for as long as the index is."""
    if index not in _GALLERIES:
        _GALLERIES[index] = PreparedGallery.prepare(torch.from_numpy(index.canonical[:, COCO13_IN_H36M17]))
    return _GALLERIES[index]


def _clips(index: PoseIndex) -> Int64[Array, " N"]:
    """A number for the clip of each row."""
    if index not in _CLIPS:
        _CLIPS[index] = index.labels["clip"].combine_chunks().indices.to_numpy().astype(np.int64)
    return _CLIPS[index]


def _alike(people: Keypoints) -> Iterator[Int64[Array, " members"]]:
    """People who show the same joints, group by group: what a pose has to be made ready for is the mask."""
    _, group = np.unique(people.mask, axis=0, return_inverse=True)
    for number in range(int(group.max()) + 1):
        yield np.flatnonzero(group.reshape(-1) == number)
