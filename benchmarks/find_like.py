"""How often `vipe find-like` finds a motion again, and other takes of the same action.

    python benchmarks/find_like.py STORE [--index INDEX] [--queries 100] [--out benchmarks/results]

"again": three seconds of a clip, played at another speed, every bone of every frame turned by about 7 degrees or not.
They are found where a stretch covers as much of the original as not (overlap over union of at least a half).
"action": a whole clip of Bandai Namco, which is left out. It is found where the first stretch is of the same action
(the words of the clip's name that say what is done, without style). Clips with no other take of their action are left
out. Beside both, what one pose finds: the middle of the motion by Procrustes distance (`vipe query --pose`).
--out writes find_like.json. STORE holds poses at 10 frames a second; an index of affine signatures is made for the run
if none is given.
"""

import argparse
import os
import platform
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import results_tables
from gallery_size import turned

from vipe import AffineSignature, PoseIndex, PoseStore
from vipe.evaluate.intervals import bootstrap_interval
from vipe.retrieve.pose_query import query_poses
from vipe.retrieve.segments.find_like import find_like

SECONDS, SPEEDS, DEPTH = 3.0, (0.7, 1.0, 1.4), 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    store = PoseStore.open(options.store)
    with tempfile.TemporaryDirectory() as folder:
        path = options.index or Path(folder) / "index"
        index = PoseIndex.open(path) if options.index else PoseIndex.build(store, AffineSignature(), path)
        rows = [*again(store, index, options), *actions(store, index, options)]
    for row in rows:
        print(*row)
    if options.out:
        names = {"motion": None, "by": None, "queries": 0, "first": 1, "95%": 1, f"of {DEPTH}": 1}
        found = {
            "command": f"python benchmarks/find_like.py STORE --queries {options.queries}",
            "data": f"{len(index):,} poses at 10 frames/s; percent",
            "seed": options.seed,
            "machine": f"{os.cpu_count()} cores ({platform.machine()}), no GPU",
            "columns": names,
            "rows": rows,
        }
        results_tables.write(options.out / "find_like.json", found)


def again(store: PoseStore, index: PoseIndex, options: argparse.Namespace) -> list[list]:
    """A row for each speed, exact and turned, and each way to search."""
    poses = store.poses()
    length = round(10 * SECONDS)
    starts = np.flatnonzero(index.clip_codes[length:] == index.clip_codes[:-length])
    rng = np.random.default_rng(options.seed)
    asked = rng.choice(starts, min(options.queries, len(starts)), replace=False)
    result = []
    for noisy in (False, True):
        for speed in SPEEDS:
            found: dict[str, list[np.ndarray]] = {}
            for start in asked:
                stretch = slice(start, start + length + 1)
                motion = played(poses[stretch], speed)
                motion = turned(motion, rng) if noisy else motion
                segments = find_like(index, motion, DEPTH)
                overlap = np.minimum(segments.last, stretch.stop - 1) - np.maximum(segments.first, start)
                union = np.maximum(segments.last, stretch.stop - 1) - np.minimum(segments.first, start)
                found.setdefault("motion", []).append(padded(overlap / union >= 0.5))
                middle = motion[len(motion) // 2][None]
                hits = query_poses(index, middle, DEPTH)
                found.setdefault("one pose", []).append(padded((hits.rows[0] >= start) & (hits.rows[0] < stretch.stop)))
            name = f"again, {speed:g} times as fast{', turned' if noisy else ''}"
            clips = index.clip_codes[asked]
            result += [row_of(name, way, right, clips, options.seed) for way, right in found.items()]
    return result


def actions(store: PoseStore, index: PoseIndex, options: argparse.Namespace) -> list[list]:
    """A row for each way to search for another take of an action."""
    names = index.frames()["clip"].astype(str)
    clips = [name for name in dict.fromkeys(names.tolist()) if name.startswith("dataset-")]
    takes = Counter(map(action_of, clips))
    clips = [name for name in clips if takes[action_of(name)] > 1]
    rng = np.random.default_rng(options.seed)
    chosen = rng.choice(clips, min(options.queries, len(clips)), replace=False).tolist() if clips else []
    poses = store.poses()
    found: dict[str, list[np.ndarray]] = {}
    for name in chosen:
        own = np.flatnonzero(names == name)
        motion = poses[own]
        segments = find_like(index, motion, DEPTH, but=own)
        same = [action_of(other) == action_of(name) for other in segments.clip]
        found.setdefault("motion", []).append(padded(np.array(same, dtype=bool)))
        rest, middle = np.flatnonzero(names != name), motion[len(motion) // 2][None]
        hits = query_poses(index, middle, DEPTH, where=rest)
        same = [action_of(str(other)) == action_of(name) for other in hits.clip[0]]
        found.setdefault("one pose", []).append(padded(np.array(same, dtype=bool)))
    groups = np.array([action_of(name) for name in chosen])
    return [row_of("action", way, right, groups, options.seed) for way, right in found.items()]


def played(poses: np.ndarray, speed: float) -> np.ndarray:
    """The motion at another speed, at the same rate of frames; joints between two frames lie on the line."""
    at = np.arange(0, len(poses) - 1, speed)
    before = at.astype(int)
    share = (at - before)[:, None, None].astype(np.float32)
    return (1 - share) * poses[before] + share * poses[np.minimum(before + 1, len(poses) - 1)]


def action_of(name: str) -> str:
    """What a clip of Bandai Namco shows, such as walk-left of dataset-2_walk-left_proud_001."""
    return "_".join(name.split("_")[1:-2])


def padded(right: np.ndarray) -> np.ndarray:
    return np.pad(right[:DEPTH], (0, DEPTH - len(right[:DEPTH])))


def row_of(name: str, way: str, right: list[np.ndarray], groups: np.ndarray, seed: int) -> list:
    hit = np.stack(right)
    low, high = bootstrap_interval(hit[:, 0], groups, generator=np.random.default_rng(seed))
    interval = [round(100 * low, 1), round(100 * high, 1)]
    first, among = 100 * float(hit[:, 0].mean()), 100 * float(hit.any(axis=1).mean())
    return [name, way, len(hit), first, interval, among]


if __name__ == "__main__":
    main()
