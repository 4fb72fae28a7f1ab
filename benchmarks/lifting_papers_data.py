"""The poses that lifting_papers.py runs on, by split: of a store, or of a user's .npz file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from inputs import splits

from vipe.store import PoseStore


@dataclass(frozen=True)
class Part:
    """The poses of one split."""

    poses: np.ndarray  # (N, 17, 3), metres, world space, z up
    clip: np.ndarray
    action: np.ndarray


def read_parts(data: Path, table: Path | None) -> dict[str, Part]:
    """The splits of a store, or of an .npz file, by name."""
    parts = _of_arrays(data) if data.suffix == ".npz" else _of_store(data, table)
    if missing := [name for name in ("train", "val", "test") if name not in parts]:
        raise SystemExit(f"{data}: no pose of split {missing[0]!r}")
    return parts


def _of_arrays(file: Path) -> dict[str, Part]:
    with np.load(file) as arrays:
        given = {name: arrays[name] for name in arrays.files}
    if missing := [name for name in ("poses", "split") if name not in given]:
        raise SystemExit(f"{file}: no array {missing[0]!r}; expected poses and split, and perhaps clip and action")
    poses, split = given["poses"].astype(np.float32), given["split"].astype(str)
    unnamed = np.full(len(poses), "all")
    clip, action = (given.get(name, unnamed).astype(str) for name in ("clip", "action"))
    if poses.shape[1:] != (17, 3) or any(one.shape != (len(poses),) for one in (split, clip, action)):
        raise SystemExit(f"{file}: poses must be (N, 17, 3) and the others (N,), got poses of shape {poses.shape}")
    return {str(name): Part(*(one[split == name] for one in (poses, clip, action))) for name in np.unique(split)}


def _of_store(path: Path, table: Path | None) -> dict[str, Part]:
    if table is None:
        raise SystemExit(f"{path}: a store needs --split, a table with columns clip and split")
    store, named = PoseStore.open(path), splits(table)
    parts = {}
    for name in sorted(set(named.values())):
        where = {"clip": [clip["clip"] for clip in store.clips() if named.get(clip["clip"]) == name]}
        columns = store.table(["clip", "action"], where)
        if len(columns):
            clip, action = (np.array([str(one) for one in columns[key].to_pylist()]) for key in ("clip", "action"))
            parts[name] = Part(store.poses(where), clip, action)
    return parts
