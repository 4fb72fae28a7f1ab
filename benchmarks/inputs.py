"""What the benchmarks run on: motion capture beside the project, or synthetic motion where there is none."""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vipe.clips import Clip
from vipe.readers import read
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

MOCAP = Path("../shared/mocap")
FPS = 10.0
SYNTHETIC = "synthetic"  # subject of synthetic clips, and the source in their place
MOST_MINUTES = 50.0  # of synthetic motion: about as many poses as the motion capture beside the project has


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring as it stands there."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def archive_arguments(description: str | None) -> argparse.ArgumentParser:
    """The parser of a script that searches the archive of gallery_size.py."""
    parser = arguments(description)
    parser.add_argument("--real", type=Path, default=MOCAP, help="motion capture; synthetic motion where it is absent")
    parser.add_argument("--work", type=Path, default=Path("out/grown"), help="where the store and the index are kept")
    parser.add_argument("--queries", type=int, default=240)
    parser.add_argument("--json", action="store_true")
    return parser


def motion(mocap: Path, poses: int) -> Iterator[Clip]:
    """The clips of a folder. If it does not exist, synthetic clips: about `poses` poses, 50 minutes at most."""
    if mocap.exists():
        yield from read(mocap)
        return
    yield from synthesize(minutes=min(MOST_MINUTES, poses / (60 * FPS)), fps=FPS, generator=np.random.default_rng(0))


def splits(table: Path) -> dict[str, str]:
    """The split of each clip, from a table with the columns clip and split."""
    with table.open(encoding="utf-8", newline="") as file:
        return {row["clip"]: row["split"] for row in csv.DictReader(file)}


def poses_of(store: Path, table: Path, part: str) -> np.ndarray:
    """The poses of a store's clips that a table counts to a split, in the order of the store."""
    opened, split = PoseStore.open(store), splits(table)
    return opened.poses({"clip": [clip["clip"] for clip in opened.clips() if split.get(clip["clip"]) == part]})
