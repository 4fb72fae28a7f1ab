"""Whether the keypoints of a file follow another convention than ours, told by how their search goes (numpy)."""

__all__ = ["doubts"]

from collections import Counter
from dataclasses import replace

import numpy as np

from vipe.detections import Keypoints
from vipe.index import PoseIndex
from vipe.retrieve.hits import Hits
from vipe.retrieve.labelling import SIDES
from vipe.retrieve.query import query

_USUAL = 0.04  # RMS radii: detections of poses that the archive holds fit within 0.03 (simulated), never doubted
_FAR_BETTER = 0.65  # of the misfit; changed wrongly, keypoints never fitted below 0.74 of it, changed rightly below 0.6
_FEWEST, _LOOKED_AT = 3, 5  # people: of one, a chance may be to blame; of more, the search would take long


def doubts(index: PoseIndex, people: Keypoints, hits: Hits) -> list[str]:
    """Lines on a convention under which the people of a file fit far better.

    A reading of the labels (`Hits.relabelled`) that most people share is told: it is a habit of the file, no mistake
    with one person. And a few people are searched for again with the image mirrored, if their best hits fit worse than
    is usual: if that makes the fits of most of them far better, it is told as well.

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
    if len(answered) < _FEWEST:
        return []
    if hits.relabelled is not None:
        name, count = Counter(hits.relabelled[row] for row in answered.tolist()).most_common(1)[0]
        if name and count > len(answered) / 2:
            what = f"left and right swapped ({name})" if name in {side.name for side in SIDES} else name
            return [f"{count} of {len(answered)} people fit far better with {what}: is that how the file is meant?"]
    chosen = answered[np.linspace(0, len(answered) - 1, min(_LOOKED_AT, len(answered))).astype(np.int64)]
    before = hits.distance[chosen, 0]
    if not np.median(before) > _USUAL:
        return []
    flipped = replace(people[chosen], xy=people.xy[chosen] * np.array([1, -1], dtype=np.float32), image_size=None)
    after = query(index, flipped, 1).distance[:, 0]
    if not float(np.median(after / before)) < _FAR_BETTER:
        return []
    return [
        f"these people fit far better with the image mirrored: y up, or y before x (distance {np.median(before):.3f} "
        f"-> {np.median(after):.3f}): is that how the file is meant?"
    ]
