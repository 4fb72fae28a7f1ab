"""Clips that a store holds already, told by what they hold and not by name (numpy and Arrow)."""

__all__ = ["Known", "motion_digest"]

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vipe.clips import Clip


class Known:
    """The motion of a store's clips: every pose to the last bit, and their rate."""

    def __init__(self, batches: Iterable[pa.RecordBatch], tell: Callable[[Clip, str], None] | None = None) -> None:
        """Read the columns clip, fps and pose of all rows; `tell` is called with each clip found and its name here."""
        running: dict[str, Any] = {}
        for batch in batches:
            runs = pc.run_end_encode(batch.column("clip"))
            start = 0
            for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                rows = batch.slice(start, end - start)
                if name not in running:
                    running[name] = _digest(rows.column("fps")[0].as_py())
                running[name].update(rows.column("pose").flatten().to_numpy())
                start = end
        self._names = {digest.digest(): name for name, digest in running.items()}
        self._tell = tell

    def has(self, clip: Clip, stored: Clip) -> bool:
        """Whether the store holds a clip, given as it came and as it would be stored."""
        name = self._names.get(motion_digest(stored))
        if name is not None and self._tell is not None:
            self._tell(clip, name)
        return name is not None


def motion_digest(stored: Clip) -> bytes:
    """What tells a clip's motion, as a store holds it, from any other: its rate, and every pose to the last bit."""
    digest = _digest(stored.fps)
    digest.update(np.ascontiguousarray(stored.positions, dtype=np.float32))
    return bytes(digest.digest())


def _digest(fps: float) -> Any:
    return hashlib.sha256(np.float32(fps).tobytes())
