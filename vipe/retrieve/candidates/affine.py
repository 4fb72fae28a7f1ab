"""Candidates by the best affine camera: an index of signatures answers, or every pose is scanned (numpy; torch)."""

__all__ = [
    "FEWEST",
    "MIN_JOINTS",
    "SCANNED",
    "affine_residuals",
    "by_affine_camera",
    "quickly_by_affine_camera",
    "skip_reasons",
]

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.crossing import to_array, to_tensor
from vipe.detections import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.embed.affine import AffineSignature
from vipe.index import Neighbours, PoseIndex
from vipe.retrieve.candidates.completion import completed_candidates
from vipe.retrieve.candidates.everywhere import rows_around
from vipe.retrieve.candidates.prepared import SPREAD, PreparedIndex
from vipe.retrieve.candidates.scan import affine_residual, scan
from vipe.skeletons.working import COCO13_IN_H36M17

SCANNED = 3_000_000
"""Poses up to which every pose is compared where the index cannot answer by itself: 0.1 s."""

MIN_JOINTS = 6
"""Visible joints a person needs. Of the 2 S numbers of S keypoints an affine camera explains 8 whatever the pose, which
leaves 2 S - 8 in which a wrong pose could show: none at four joints, four of twelve at six."""

FEWEST = 4
"""Visible joints that mode "full" needs: a camera with a rotation, a size and a place explains 6 numbers, which leaves
two of eight at four joints. Three joints land anywhere."""


def skip_reasons(keypoints: Keypoints, least: int = MIN_JOINTS) -> tuple[str | None, ...]:
    """For each person, why no search can be made for them, or None; `least` joints have to be seen."""
    visible = keypoints.mask.sum(axis=1)
    size = normalize_keypoints(keypoints)[2]
    return tuple(
        f"{count} {'joint' if count == 1 else 'joints'} seen, at least {least} are needed"
        + (f": {note}" if note else "")
        if count < least
        else ("all seen joints are at one place" if radius == 0 else None)
        for count, radius, note in zip(visible.tolist(), size.tolist(), keypoints.note, strict=True)
    )


def by_affine_camera(
    index: PoseIndex, people: Keypoints, k: int, allowed: Int64[Array, " M"] | None = None
) -> Neighbours:
    """The rows of least affine residual: from an index of signatures where all joints are visible, else by a scan."""
    rows = np.empty((len(people), k), dtype=np.int64)
    distance = np.empty((len(people), k), dtype=np.float32)
    signature = AffineSignature()
    indexed = index.holds(signature)
    prepared = index.cached(PreparedIndex)
    for members in _by_mask(people):
        group = people[members]
        visible = group.mask[0]
        if indexed and visible.all():
            rows[members], distance[members] = index.nearest(signature.encode_keypoints(group), k, allowed)
            continue
        if indexed and len(index if allowed is None else allowed) > SCANNED:
            rows[members], distance[members] = completed_candidates(index, group, k, allowed)
            continue
        found = scan(
            prepared.gallery,
            to_tensor(np.flatnonzero(visible), index.device),
            to_tensor(normalize_keypoints(group)[0][:, visible], index.device),
            k,
            None if allowed is None else to_tensor(allowed, index.device),
        )
        rows[members], distance[members] = map(to_array, found)
    return Neighbours(rows, distance)


def quickly_by_affine_camera(
    index: PoseIndex, people: Keypoints, k: int, allowed: Int64[Array, " M"] | None = None
) -> Int64[Array, "Q k"]:
    """Rows of small affine residual; in a large archive not always the smallest.

    Where the index cannot answer, for a joint is missing, and there are more than `SPREAD` poses, poses spread evenly
    over the archive are compared, and then the rows around the best of them: poses change little from row to row.

    Args:
        index: The archive.
        people: On coco13; each can be searched for.
        k: How many rows a person; at most as many as there are.
        allowed: Only these rows, ascending; all of them are compared.
    """
    everyone_whole = index.holds(AffineSignature()) and people.mask.all()
    if everyone_whole or allowed is not None or len(index) <= SPREAD:
        return by_affine_camera(index, people, k, allowed).rows
    spread, gallery = index.cached(PreparedIndex).spread
    every, found = np.arange(len(index)), np.empty((len(people), k), dtype=np.int64)
    for members in _by_mask(people):
        group = people[members]
        joints = np.flatnonzero(group.mask[0])
        unit = normalize_keypoints(group)[0]
        shown = to_tensor(unit[:, joints], index.device)
        best = to_array(scan(gallery, to_tensor(joints, index.device), shown, k)[0])
        for place, member in enumerate(members):
            rows = rows_around(every, spread[best[place]], SPREAD)
            residual = affine_residuals(index, group[place], rows[None])[0]
            found[member] = rows[np.argsort(residual, kind="stable")[:k]]
    return found


def affine_residuals(index: PoseIndex, people: Keypoints, rows: Int64[Array, "Q C"]) -> Float32[Array, "Q C"]:
    """Affine residuals of some rows of each person; infinite where the row is -1.

    On the CPU, wherever the index lies: a person's few hundred rows in double precision take less time than the calls
    to a GPU would.
    """
    residual = np.full(rows.shape, np.inf, dtype=np.float32)
    unit = normalize_keypoints(people)[0]
    for person, own in enumerate(rows):
        joints = np.flatnonzero(people.mask[person])
        some = own >= 0
        points = index.poses(own[some])[:, np.array(COCO13_IN_H36M17)[joints]]
        xy = to_tensor(unit[person : person + 1, joints])
        residual[person, some] = to_array(affine_residual(to_tensor(points), xy)[0])
    return residual


def _by_mask(people: Keypoints) -> Iterator[Int64[Array, " members"]]:
    """People with the same visible joints, group by group: a scan prepares poses for one mask."""
    _, group = np.unique(people.mask, axis=0, return_inverse=True)
    for number in range(int(group.max()) + 1):
        yield np.flatnonzero(group.reshape(-1) == number)
