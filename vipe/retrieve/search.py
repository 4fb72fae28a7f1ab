"""The question users ask: which moments of an archive show the pose of these keypoints? (numpy; torch inside)."""

__all__ = ["CANDIDATES", "LEAST_SEEN", "MODES", "Mode", "query", "unanswerable"]

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float32, Int64

from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.embed.affine import COCO13_IN_H36M17, AffineSignature
from vipe.errors import ShapeError, VipeError
from vipe.index import Hits, PoseIndex
from vipe.index.frames import Where
from vipe.retrieve.fit import FitConfig, fit_cameras
from vipe.retrieve.scan import Gallery, scan

Array = np.ndarray[Any, np.dtype[Any]]
Mode = Literal["full", "affine", "point"]
Nearest = tuple[Int64[Array, "Q K"], Float32[Array, "Q K"]]

MODES: tuple[str, ...] = get_args(Mode)
CANDIDATES = 200
"""Poses that mode "full" looks at closely, for each person."""

_GALLERIES: WeakKeyDictionary[PoseIndex, Gallery] = WeakKeyDictionary()
_AT_ONCE = 256  # people whose candidates lie in memory together

LEAST_SEEN = 6
"""Seen joints a person needs. Of the 2 S numbers of S keypoints an affine camera explains 8 whatever the pose, which
leaves 2 S - 8 in which a wrong pose could show: none at four joints, four of twelve at six."""


def query(
    index: PoseIndex,
    keypoints: Keypoints,
    k: int = 10,
    mode: Mode | None = None,
    *,
    where: Where | None = None,
    candidates: int = CANDIDATES,
    fit: FitConfig | None = None,
) -> Hits:
    """Search an index with people's 2D keypoints.

    Mode "full" takes the nearest of mode "affine", fits a real camera and the person's bone lengths to each
    (`fit_cameras`), and ranks by what that costs. The distance of a hit is then the root mean square from the seen
    keypoints to the fitted pose's image, in RMS radii; `Hits.fit_cost` and `Hits.affine_residual` hold the parts.
    Distances need not increase down the list: the cost also counts how far camera and build are out of the ordinary.

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
        candidates: How many poses mode "full" looks at for each person, at least `k`; all, if there are fewer.
        fit: What mode "full" believes before looking.

    Returns:
        One query a person, in order. A person who cannot be searched for (fewer than `LEAST_SEEN` joints, or all at
        one place) has no hits, and `Hits.skipped` says why.

    Raises:
        ShapeError: If the keypoints are on another skeleton.
        VipeError: If there is no such mode, it does not fit the index, `k` or `candidates` is below 1, or `where` is
            wrong.
    """
    mode = mode or "full"
    if mode not in MODES:
        raise VipeError(f"no mode {mode!r}; expected one of {', '.join(MODES)}")
    if keypoints.skeleton.name != "coco13":
        raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
    if k < 1:
        raise VipeError(f"k must be at least 1, got {k}")
    if candidates < 1:
        raise VipeError(f"candidates must be at least 1, got {candidates}")
    if mode == "point" and index.manifest.encoder.name == AffineSignature.name:
        raise VipeError(
            f"index {index.path} holds affine signatures, no learned embedding; use mode 'affine', "
            "or build an index with a trained embedder"
        )
    skipped = unanswerable(keypoints)
    people = np.array([i for i, reason in enumerate(skipped) if reason is None], dtype=np.int64)
    allowed = None if where is None else index.rows(where)
    available = len(index) if allowed is None else len(allowed)
    k = min(k, available)
    if mode == "full":
        return _full(index, keypoints, people, skipped, k, min(max(k, candidates), available), allowed, fit)
    rows = np.full((len(keypoints), k), -1, dtype=np.int64)
    distance = np.full((len(keypoints), k), np.inf, dtype=np.float32)
    if len(people) and k:
        search = _by_affine_camera if mode == "affine" else _by_embedding
        rows[people], distance[people] = search(index, keypoints[people], k, allowed)
    return index.hits(rows, distance, skipped)


def unanswerable(keypoints: Keypoints) -> tuple[str | None, ...]:
    """Say for each person why no search can be made for them, or None."""
    seen = keypoints.mask.sum(axis=1)
    size = normalize_keypoints(keypoints)[2]
    return tuple(
        f"{count} joints seen, at least {LEAST_SEEN} are needed" + (f": {note}" if note else "")
        if count < LEAST_SEEN
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
    config: FitConfig | None,
) -> Hits:
    shape = (len(keypoints), k)
    rows = np.full(shape, -1, dtype=np.int64)
    distance, cost, residual = (np.full(shape, np.inf, dtype=np.float32) for _ in range(3))
    if len(people) and k:
        near, left = _by_affine_camera(index, keypoints[people], candidates, allowed)
        for start in range(0, len(people), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            fits = fit_cameras(index.poses(near[some]), keypoints[people[some]], config)
            best = np.argsort(fits.cost, axis=1, kind="stable")[:, :k]
            parts = ((rows, near[some]), (distance, fits.residual), (cost, fits.cost), (residual, left[some]))
            for whole, part in parts:
                whole[people[some]] = np.take_along_axis(part, best, axis=1)
    return replace(index.hits(rows, distance, skipped), fit_cost=cost, affine_residual=residual)


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
        found = scan(
            _gallery(index),
            torch.from_numpy(np.flatnonzero(seen)),
            torch.from_numpy(normalize_keypoints(group)[0][:, seen]),
            k,
            None if allowed is None else torch.from_numpy(allowed),
        )
        rows[members], distance[members] = (part.numpy() for part in found)
    return rows, distance


def _gallery(index: PoseIndex) -> Gallery:
    """An index's poses made ready to be scanned: once, and kept for as long as the index is."""
    if index not in _GALLERIES:
        _GALLERIES[index] = Gallery.prepare(torch.from_numpy(index.canonical[:, COCO13_IN_H36M17]))
    return _GALLERIES[index]


def _alike(people: Keypoints) -> Iterator[Int64[Array, " members"]]:
    """People who show the same joints, group by group: what a pose has to be made ready for is the mask."""
    _, group = np.unique(people.mask, axis=0, return_inverse=True)
    for number in range(int(group.max()) + 1):
        yield np.flatnonzero(group.reshape(-1) == number)
