"""What the queries of a search are called: people of images, or moments of an archive (numpy; Arrow)."""

__all__ = ["Asked", "name_columns", "names"]

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from vipe.arrays import Array
from vipe.detections import Keypoints

Asked = Keypoints | Sequence[tuple[str, int]]
"""One a query: a person, or a moment by the name of its clip and the number of its frame."""


def names(asked: Asked) -> list[dict[str, Any]]:
    """What each query is called, in plain values.

    >>> names([("walk", 30)])
    [{'clip': 'walk', 'frame': 30}]
    """
    if isinstance(asked, Keypoints):
        return [
            {"image_id": _plain(image), "person": int(person)}
            for image, person in zip(asked.image_id, asked.person, strict=True)
        ]
    return [{"clip": clip, "frame": int(frame)} for clip, frame in asked]


def name_columns(asked: Asked, query: Int64[Array, " hits"]) -> dict[str, pa.Array]:
    """Columns of a table of hits: what the query of each hit is called.

    Ids of images are text, for a file may have numbers and texts. Columns of a moment begin with "query".

    Args:
        asked: All queries.
        query: Number of each hit's.
    """
    if isinstance(asked, Keypoints):
        ids = np.array([str(one) for one in asked.image_id], dtype=object)
        return {"image_id": pa.array(ids[query], type=pa.string()), "person": pa.array(asked.person[query])}
    clips = np.array([clip for clip, _ in asked], dtype=object)
    frames = np.array([frame for _, frame in asked], dtype=np.int64)
    return {"query_clip": pa.array(clips[query], type=pa.string()), "query_frame": pa.array(frames[query])}


def _plain(image_id: Any) -> Any:
    """A numpy number as Python's own, which JSON knows."""
    return image_id.item() if isinstance(image_id, np.generic) else image_id
