"""The one file that the GPU suite reads: poses of several splits as float16 in Parquet, pelvis at the origin.

Columns: `split` and `clip` (strings), `pose` (51 float16: 17 joints of h36m17 in metres, axes of the world, z up).
float16 holds a joint to half a millimetre. `make_data` needs the whole library; `load_data` only numpy and pyarrow.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TRAINING, SYNTHETIC = "train", "synthetic"
APART = 0.02  # torso lengths: a training pose differs from the one before it in its clip by more
ROW_BYTES = 104  # of a row before compression
FRAME_BYTES = 20_000  # of the file beside its rows
_TENTH = {8: "val", 9: "test"}  # of clips in order, where no table says


@dataclass(frozen=True, kw_only=True)
class Part:
    """The poses of one split."""

    poses: np.ndarray  # (N, 17, 3) float32, metres, pelvis at 0
    clips: np.ndarray  # (N,) str

    def __len__(self) -> int:
        return len(self.poses)


def load_data(path: Path) -> dict[str, Part]:
    """The splits of the file."""
    try:
        table = pq.read_table(path)
        columns = [table[name].combine_chunks() for name in ("split", "clip", "pose")]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise SystemExit(f"{path}: not a file of poses ({error}); --make writes one") from error
    split, clip = (column.cast(pa.string()).to_numpy(zero_copy_only=False).astype(str) for column in columns[:2])
    poses = columns[2].flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 17, 3)
    return {name: Part(poses=poses[split == name], clips=clip[split == name]) for name in dict.fromkeys(split)}


def make_data(store: Path, path: Path, *, table: Path | None, synthetic: float, megabytes: float, seed: int) -> None:
    """Write the file from a pose store.

    Training poses that hardly differ from the one before are left out; among those of every other split none lies
    within 0.05 torso lengths of another, as the protocols ask. What is too much for `megabytes` is thinned evenly,
    training and synthetic poses first.

    Args:
        store: Poses as recorded.
        path: The file.
        table: CSV with columns clip and split. Without it two tenths of the clips are val and test.
        synthetic: Minutes of synthetic motion beside it, 10 poses a second.
        megabytes: The file is no larger.
        seed: Of the synthetic motion.
    """
    from vipe.evaluate import without_near_duplicates
    from vipe.geometry import canonicalize_array
    from vipe.simulate.motion import synthesize
    from vipe.store import PoseStore

    archive = PoseStore.open(store)
    clips = archive.table(["clip"])["clip"].to_numpy().astype(str)
    parts: dict[str, Part] = {}
    poses, split = archive.poses(), _splits(clips, table)
    for name in dict.fromkeys(split[split != ""].tolist()):
        rows = np.flatnonzero(split == name)
        canonical = canonicalize_array(poses[rows])
        rows, bodies = rows[~canonical.degenerate], canonical.poses[~canonical.degenerate]
        kept = _moved(bodies, clips[rows]) if name == TRAINING else without_near_duplicates(bodies, 0.05)
        parts[name] = Part(poses=poses[rows[kept]], clips=clips[rows[kept]])
    if synthetic > 0:
        made = list(synthesize(minutes=synthetic, fps=10.0, generator=np.random.default_rng(seed)))
        bodies = np.concatenate([clip.positions for clip in made]).astype(np.float32)
        names = np.repeat([clip.name for clip in made], [len(clip.positions) for clip in made]).astype(str)
        whole = ~canonicalize_array(bodies).degenerate
        parts[SYNTHETIC] = Part(poses=bodies[whole], clips=names[whole])
    _write(path, _thinned(parts, int((megabytes * 1e6 - FRAME_BYTES) / ROW_BYTES)))
    size = path.stat().st_size / 1e6
    rows = ", ".join(f"{len(part):,} {name}" for name, part in load_data(path).items())
    print(f"{path}: {size:.1f} MB: {rows}")


def _splits(clips: np.ndarray, table: Path | None) -> np.ndarray:
    """The split of each row; empty where the table has none."""
    names = list(dict.fromkeys(clips.tolist()))
    if table is None:
        of = {name: _TENTH.get(number % 10, TRAINING) for number, name in enumerate(names)}
    else:
        with table.open(encoding="utf-8", newline="") as file:
            of = {row["clip"]: row["split"] for row in csv.DictReader(file)}
    return np.array([of.get(name, "") for name in clips.tolist()])


def _moved(canonical: np.ndarray, clips: np.ndarray) -> np.ndarray:
    kept: list[int] = []
    for row in range(len(canonical)):
        if (
            not kept
            or clips[row] != clips[kept[-1]]
            or np.linalg.norm(canonical[row] - canonical[kept[-1]], axis=-1).mean() > APART
        ):
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def _thinned(parts: dict[str, Part], most: int) -> dict[str, Part]:
    """At most so many rows in all: the splits that train give way first, by one share, then all others."""
    result = dict(parts)
    for names in ((TRAINING, SYNTHETIC), tuple(parts)):
        total = sum(len(part) for part in result.values())
        these = [name for name in names if name in result]
        own = sum(len(result[name]) for name in these)
        share = max(0.0, min(1.0, 1 - (total - most) / max(own, 1)))
        for name in these:
            part = result[name]
            rows = np.floor(np.arange(max(int(len(part) * share), min(3, len(part)))) / max(share, 1e-9)).astype(int)
            rows = np.minimum(rows, len(part) - 1)
            result[name] = Part(poses=part.poses[rows], clips=part.clips[rows])
    return result


def _write(path: Path, parts: dict[str, Part]) -> None:
    poses = np.concatenate([part.poses - part.poses[:, :1] for part in parts.values()]).astype(np.float16)
    columns = {
        "split": pa.array(np.repeat(list(parts), [len(part) for part in parts.values()])).dictionary_encode(),
        "clip": pa.array(np.concatenate([part.clips for part in parts.values()])).dictionary_encode(),
        "pose": pa.FixedSizeListArray.from_arrays(pa.array(poses.ravel()), 51),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd")
