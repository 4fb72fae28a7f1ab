"""A stretch of a clip, taken out of a store (numpy)."""

__all__ = ["Moment", "take_moment"]

from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int64

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import StoreError
from vipe.similar_names import lacks_clip
from vipe.skeletons.working import H36M17
from vipe.store.store import PoseStore

_ROUND = 1e-6  # seconds: times are printed with few digits


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Frames of a clip at an even rate, and where they are in the clip they come from."""

    clip: Clip
    frame: Int64[Array, " frames"]  # counted in the source clip
    time: Float64[Array, " frames"]  # seconds in the source clip
    source_fps: float  # frames a second of the source clip

    @classmethod
    def of(cls, clip: Clip, start: float | None = None, end: float | None = None) -> "Moment":
        """The frames of a clip from `start` to `end` seconds, both included; all of it by default.

        Raises:
            StoreError: If there is no frame between them.

        >>> from vipe.skeletons import load
        >>> clip = Clip(name="walk", skeleton=load("h36m17"), positions=np.zeros((60, 17, 3)), fps=30.0)
        >>> Moment.of(clip, 0.5, 0.6).frame
        array([15, 16, 17, 18])
        """
        frame = np.arange(len(clip))
        time = frame / clip.fps
        keep = _within(time, start, end, f"clip {clip.name}")
        part = replace(clip, positions=clip.positions[keep])
        return cls(clip=part, frame=frame[keep], time=time[keep], source_fps=clip.fps)

    def __len__(self) -> int:
        return len(self.frame)


def take_moment(store: PoseStore, clip: str, start: float | None = None, end: float | None = None) -> Moment:
    """The rows of a store's clip from `start` to `end` seconds of the source clip, both included; all by default.

    A thinned store keeps the frames nearest to even steps; the rate of the moment's clip is their mean.

    Args:
        store: Where the clip is.
        clip: Its name.
        start: Seconds in the source clip.
        end: Seconds in the source clip.

    Raises:
        StoreError: If the store has no such clip, or the clip no row between them; names what it has.
    """
    chosen = pc.field("clip") == clip
    table = store.table(where=chosen)
    if not len(table):
        raise StoreError(lacks_clip(store.path, clip, store.clip_table().column("clip").to_pylist()))
    time = table.column("time").to_numpy()
    keep = _within(time, start, end, f"{store.path}: clip {clip!r}")
    table, time = table.filter(keep), time[keep]
    first = {name: table.column(name)[0].as_py() for name in ("subject", "action", "source", "fps")}
    fps = (len(time) - 1) / float(time[-1] - time[0]) if len(time) > 1 else min(store.fps or np.inf, first["fps"])
    poses = table.column("pose").combine_chunks().flatten().to_numpy().reshape(-1, 17, 3)
    return Moment(
        clip=Clip(
            name=clip,
            skeleton=H36M17,
            positions=poses,
            fps=round(float(fps), 6),
            subject=first["subject"],
            action=first["action"],
            source=first["source"],
            licence=store.summary["licence"],
        ),
        frame=table.column("frame").to_numpy().astype(np.int64),
        time=time,
        source_fps=round(float(first["fps"]), 6),
    )


def _within(
    time: Float64[Array, " frames"], start: float | None, end: float | None, where: str
) -> Bool[Array, " frames"]:
    low, high = (-np.inf if start is None else start), (np.inf if end is None else end)
    keep: Array = (time >= low - _ROUND) & (time <= high + _ROUND)
    if not keep.any():
        asked = " ".join(f"{word} {value:g}" for word, value in (("from", start), ("to", end)) if value is not None)
        raise StoreError(f"{where}: has no frame {asked} s; it goes from {time[0]:.2f} to {time[-1]:.2f} s")
    return keep
