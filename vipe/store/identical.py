"""When two clips are identical, and which clips were passed over for it (numpy and Arrow).

Two clips are identical if the store would keep the same of both: the same poses on the working skeleton after thinning,
to the last bit, and the same rate of the original clip. Names, subjects and sources do not count. The rule is judged
on what is kept, and not on what was read, because a store that exists holds nothing else: so the same clips give the
same store, added at once or one after the other. Two clips that differ only in frames that thinning drops are
identical, too: the second would add no new row.
"""

__all__ = ["Motions", "PassedOver", "begin_digest", "motion_digest"]

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vipe.clips import Clip


class PassedOver(NamedTuple):
    """A clip that was not stored, because an identical one is in the store."""

    clip: str
    source: str
    stored_as: str
    """Name of the identical clip."""


class Motions:
    """The clips of a store, by what they hold. Of several that are identical the first counts."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch]) -> "Motions":
        """Read them from the columns clip, fps and pose of a store, in the order of its rows."""
        digests: dict[str, Any] = {}
        for batch in batches:
            runs = pc.run_end_encode(batch.column("clip"))
            start = 0
            for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                rows = batch.slice(start, end - start)
                if name not in digests:
                    digests[name] = begin_digest(rows.column("fps")[0].as_py())
                digests[name].update(rows.column("pose").flatten().to_numpy())
                start = end
        motions = cls()
        motions.add_all((digest.digest(), name) for name, digest in digests.items())
        return motions

    def add_all(self, clips: Iterable[tuple[bytes, str]]) -> None:
        """Remember clips, each by its `motion_digest` and name."""
        for digest, name in clips:
            self._names.setdefault(digest, name)

    def name(self, digest: bytes) -> str | None:
        """Name of the clip with this `motion_digest`, if there is one."""
        return self._names.get(digest)


def motion_digest(clip: Clip) -> bytes:
    """SHA-256 of a clip's rate and poses; of a clip as the store keeps it, equal for identical clips alone."""
    digest = begin_digest(clip.fps)
    digest.update(np.ascontiguousarray(clip.positions, dtype=np.float32))
    return bytes(digest.digest())


def begin_digest(fps: float) -> Any:
    """The SHA-256 that a clip's poses (float32, in order) are to follow; its rate is in it already."""
    return hashlib.sha256(np.float32(fps).tobytes())  # the store keeps rates as float32
