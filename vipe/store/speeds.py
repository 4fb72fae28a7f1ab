"""How fast the joints of a store's clips move: what a slipped marker or a wrong unit or rate shows at once (numpy)."""

__all__ = ["FAST", "ClipSpeed", "clip_speeds"]

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from vipe.arrays import Array
from vipe.skeletons.working import H36M17
from vipe.store.parts import GROUP_ROWS
from vipe.store.store import PoseStore

FAST = 15.0
"""Metres a second; the hand of one who throws as far as possible is faster, hardly anything else of people is."""


class ClipSpeed(NamedTuple):
    """The fastest move of a clip, between two rows of the store."""

    clip: str
    speed: float  # of its fastest joint, metres a second
    joint: str
    time: float  # seconds in the source clip, of the later row
    usual: float  # median over the rows of the fastest joint's speed


def clip_speeds(store: PoseStore) -> list[ClipSpeed]:
    """The fastest move of each clip with two rows or more, in the order of the store; in one pass and bounded memory.

    Rows of one instant, and gaps between rows, are taken as they are: a speed is the way over the time between.
    """
    found: dict[str, list[tuple[float, int, float]]] = {}
    usual: dict[str, list[Float[Array, " steps"]]] = {}
    before: tuple[str, float, Float32[Array, "17 3"]] | None = None
    for batch in store.batches(GROUP_ROWS):
        clips = np.asarray(batch.column("clip").to_pylist(), dtype=object)
        time = batch.column("time").to_numpy().astype(np.float64)
        poses = batch.column("pose").flatten().to_numpy().reshape(-1, 17, 3)
        if before is not None:
            clips, time = np.append([before[0]], clips), np.append([before[1]], time)
            poses = np.concatenate([before[2][None], poses])
        before = (str(clips[-1]), float(time[-1]), poses[-1])
        same = (clips[1:] == clips[:-1]) & (time[1:] > time[:-1])
        way = np.linalg.norm(np.diff(poses, axis=0), axis=-1)[same]
        speed = way / np.diff(time)[same][:, None]
        later, names = time[1:][same], clips[1:][same]
        edges = np.flatnonzero(names[1:] != names[:-1]) + 1
        for rows in np.split(np.arange(len(names)), edges):
            if len(rows):
                row = int(speed[rows].max(axis=1).argmax())
                joint = int(speed[rows[row]].argmax())
                found.setdefault(str(names[rows[0]]), []).append(
                    (float(speed[rows[row], joint]), joint, float(later[rows[row]]))
                )
                usual.setdefault(str(names[rows[0]]), []).append(speed[rows].max(axis=1))
    speeds = []
    for clip, parts in found.items():
        fastest, joint, at = max(parts)
        speeds.append(ClipSpeed(clip, fastest, H36M17.joints[joint], at, float(np.median(np.concatenate(usual[clip])))))
    return speeds
