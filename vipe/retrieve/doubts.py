"""What is told beside an answer: keypoints of another convention than ours, and archives too small (numpy)."""

__all__ = ["SMALL", "doubts", "doubts_of_size"]

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.index import PoseIndex
from vipe.retrieve.candidates.affine import MIN_JOINTS
from vipe.retrieve.candidates.candidates import quick_candidates
from vipe.retrieve.hits import Hits
from vipe.retrieve.labels.labelling import MIRRORED, SIDES
from vipe.retrieve.query import query
from vipe.retrieve.session import Search

_USUAL = 0.04  # RMS radii: detections of poses that the archive holds fit within 0.03 (simulated), never doubted
_FAR_BETTER = 0.65  # of the misfit; changed wrongly, keypoints never fitted below 0.74 of it, changed rightly below 0.6
_FEWEST, _LOOKED_AT = 3, 9  # people: of one, a chance may be to blame; of more, the search would take long
_FEW = 40  # candidates of the look before a search
_WORTH = 0.9
"""Of the misfit, by few candidates and rough cameras: a change that fits worse is not searched with. It has to lie well
above `_FAR_BETTER`, for a search fits better than this look does."""
_STRETCHED = (9 / 16, 3 / 4, 4 / 3, 16 / 9)  # width over height of usual images


SMALL = 1_000
"""Poses. Below, first hits are said to be right 4 to 10 points too often if the archive lacks the moment, in spite of
`ArchiveSize` (benchmarks/small_archives.py)."""


def doubts_of_size(index: PoseIndex, hits: Hits) -> list[str]:
    """A line if the archive is so small that probabilities are too high; none for hits without probabilities."""
    if hits.probability is None or len(index) >= SMALL:
        return []
    return [
        f"the archive has {len(index):,} poses: below {SMALL:,}, "
        "probabilities are 4 to 10 points too high where it lacks the moment"
    ]


def doubts(index: PoseIndex, people: Keypoints, hits: Hits) -> list[str]:
    """Lines on a convention under which the people of a file would fit far better.

    A reading of the keypoints (`Hits.relabelled`) that most people share is a habit of the file, and is told. If there
    is none, and the best hits fit worse than is usual, a few of the people who were read as they are get searched for
    again, with what no reading says: the image mirrored and its sides kept; sides swapped, where the search was for
    mirror images too and read nobody so; and the image stretched, which several people may tell where no single one
    does. A change that makes the fits of most of them far better is told: in an archive that does not hold their poses,
    no change does. A search is long, so each change is first looked at with a few candidates.

    Args:
        index: The archive.
        people: On coco13.
        hits: Of those people, one query each, of mode `full`; anything else gives no line.
    """
    if hits.contributions is None or len(hits.rows) != len(people):
        return []
    answered = (
        np.flatnonzero((hits.rows[:, :1] >= 0).all(axis=1)) if hits.rows.shape[1] else np.zeros(0, dtype=np.int64)
    )
    answered = answered[people.mask[answered].sum(axis=1) >= MIN_JOINTS]  # fewer fit whatever is done to them
    if len(answered) < _FEWEST:
        return []
    if shared := _shared(hits, answered):
        return [f"most of these people fit far better with {shared}: is that how the file is meant?"]
    if hits.relabelled is not None:  # others fit by a reading of their own
        answered = answered[[not hits.relabelled[row] for row in answered.tolist()]]
    if not len(answered):
        return []
    chosen = answered[np.linspace(0, len(answered) - 1, min(_LOOKED_AT, len(answered))).astype(np.int64)]
    before = hits.distance[chosen, 0]
    if not np.median(before) > _USUAL:
        return []
    best, line = _FAR_BETTER, ""
    changes = tuple(_changed(replace(people[chosen], image_size=None)))
    roughly = _misfits(Search(index), [changed for changed, _ in changes])
    for (changed, what), misfit in zip(changes, roughly, strict=True):
        if np.median(misfit / before) > _WORTH:
            continue
        found = query(index, changed, 1)
        # A change that wants another reading on top explains nothing.
        again = np.array([bool(name) for name in found.relabelled or ()])
        after = np.where(again, before, found.distance[:, 0])
        ratio = float(np.median(after / before))
        if ratio < best:
            best = ratio
            line = (
                f"these people fit far better with {what} (distance {np.median(before):.3f} -> "
                f"{np.median(after):.3f}): is that how the file is meant?"
            )
    return [line] if line else []


def _misfits(search: Search, changes: Sequence[Keypoints]) -> Float32[Array, "C N"]:
    """RMS radii from each person to a roughly fitted one of a few candidates, under each change: all in one go."""
    people = Keypoints.concat(changes)
    fits = search.rough_cameras(quick_candidates(search.index, people, _FEW), people)
    best = fits.cost.argmin(axis=1)
    return np.asarray(fits.residual[np.arange(len(people)), best].reshape(len(changes), -1))


def _shared(hits: Hits, answered: Int64[Array, " N"]) -> str:
    """In words, the reading of their keypoints that most people share; "" if most are taken as they are."""
    if hits.relabelled is None or hits.stretch is None:
        return ""
    name, count = Counter(hits.relabelled[row] for row in answered.tolist()).most_common(1)[0]
    if not name or count <= len(answered) / 2:
        return ""
    if name in (side.name for side in SIDES):
        return "left and right swapped" + ("" if name == "body" else f" ({name})")
    if name == MIRRORED.name:
        return "the image mirrored left to right"
    one = answered[[hits.relabelled[row] == name for row in answered.tolist()]][0]
    return name if hits.stretch[one] == 1 else _squashed(float(hits.stretch[one]))


def _squashed(ratio: float) -> str:
    return f"x multiplied by {ratio:.2f}: the images were squashed"


def _changed(people: Keypoints) -> Iterator[tuple[Keypoints, str]]:
    """The people as a file of each other convention would mean them, and that convention in words."""
    swap = list(people.skeleton.mirrored)
    yield (
        replace(people, xy=people.xy[:, swap], mask=people.mask[:, swap], confidence=people.confidence[:, swap]),
        "left and right swapped",
    )
    flipped = np.array([1, -1], dtype=np.float32)
    yield replace(people, xy=people.xy * flipped), "the image mirrored: y up, or y before x"
    for ratio in _STRETCHED:
        stretched = people.xy * np.array([ratio, 1], dtype=np.float32)
        yield replace(people, xy=stretched), _squashed(ratio)
