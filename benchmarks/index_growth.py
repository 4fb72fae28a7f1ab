"""What it costs to grow an index, to search one that was grown, and to open one.

    python benchmarks/index_growth.py [--sizes 10000 100000 1000000] [--only growth parts churn] [--json]

- growth: to an index of so many poses, by affine signatures and recipe auto, clips of about 100 poses are added one by
  one, each from a store of its own. Seconds of `PoseIndex.add`, which opens the longer index, too.
- open: seconds to open, the first time (every file is compared with its checksum) and from then on; and of the first
  search, with the memory that the process has of its own and that is mapped, less what the libraries take.
- parts: 100,000 poses (or the size nearest to it) in more and more equal parts; milliseconds of the processor
  for one signature, k = 200.
- churn: of as many poses, 30% of the clips are removed and as many others added, in ten adds; the share of the exact 10
  and 200 nearest to keypoints with noise that is found, against an index that was built of the same clips at once.

The archive is that of gallery_size.py: real poses, then the same with every bone turned.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gallery_size import grown_store
from inputs import archive_arguments

from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.index import PoseIndex, grow
from vipe.index.folder import checks
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load
from vipe.store import PoseStore

ADDED = 12  # clips, one by one
POSES = 100  # of each
PARTS = (1, 2, 4, 8, 16, 32)
RECIPES = ("flat", "fp16", "int8", "ivf")
CHURN = 0.3
STEP = """
import json, sys, time
import numpy as np
import vipe

def memory():
    lines = dict(line.split(":") for line in open("/proc/self/status") if ":" in line)
    return [int(lines[name].split()[0]) / 1000 for name in ("RssAnon", "RssFile")]

path = sys.argv[1]
vipe.PoseIndex, vipe.AffineSignature()
libraries = memory()
start = time.perf_counter()
index = vipe.PoseIndex.open(path)
opened = time.perf_counter() - start
after = memory()
z = np.asarray(index.vectors(np.array([len(index) // 2])))
start = time.perf_counter()
near = index.search(z, 200)
clips = index.look_up("clip", near.rows, "")
asked = time.perf_counter() - start
last = memory()
print(json.dumps({"open_s": opened, "search_s": asked, "open_mb": after[0] - libraries[0],
    "search_mb": last[0] - libraries[0], "mapped_mb": last[1] - libraries[1]}))
"""


def main() -> None:
    parser = archive_arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", default=["growth", "parts", "churn"], help="growth has open with it")
    options = parser.parse_args()
    work = options.work / "growth"
    work.mkdir(parents=True, exist_ok=True)
    store = grown_store(options.work, options.real, max(options.sizes))
    middle = min(options.sizes, key=lambda size: abs(size - 100_000))
    rows: dict[str, list[dict[str, Any]]] = {"growth": [], "open": [], "parts": [], "churn": []}
    for size in options.sizes if "growth" in options.only else ():
        for name, row in zip(("growth", "open"), growth(store, work, size), strict=True):
            told(rows[name], name, row, options.json)
    for name, measured in (("parts", parts), ("churn", churn)):
        for row in measured(store, work, middle) if name in options.only else ():
            told(rows[name], name, row, options.json)
    if options.json:
        print(json.dumps(rows))


def told(rows: list[dict[str, Any]], name: str, row: dict[str, Any], quiet: bool) -> None:
    rows.append(row)
    if not quiet:
        print(json.dumps({"table": name, **row}), flush=True)


def growth(store: PoseStore, work: Path, size: int) -> tuple[dict[str, Any], dict[str, Any]]:
    path = emptied(work / "grown")
    start = time.perf_counter()
    index = PoseIndex.build(store, AffineSignature(), path, where={"clip": first_clips(store, size)})
    built, poses = time.perf_counter() - start, len(index)
    del index
    time.sleep(checks._SETTLED / 1e9 + 0.1)  # files that were written just now are not remembered
    (path / "checked.json").unlink(missing_ok=True)
    first, later = (opened(path) for _ in range(2))
    index, seconds, cpu = PoseIndex.open(path), [], []
    for added in new_stores(work, ADDED):
        begun, used = time.perf_counter(), time.process_time()
        index = index.add(added)
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    return (
        {
            "poses": poses,
            "build s": round(built, 1),
            "add s, median": round(statistics.median(seconds), 3),
            "add s, most": round(max(seconds), 3),
            "add CPU s, median": round(statistics.median(cpu), 3),
            "parts": index.info()["parts"],
        },
        {
            "poses": poses,
            "MB on disk": round(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6),
            "first open s": round(first["open_s"], 3),
            "open s": round(later["open_s"], 3),
            "search s": round(later["search_s"], 3),
            "own MB, open": round(later["open_mb"], 1),
            "own MB, searched": round(later["search_mb"], 1),
            "mapped MB": round(later["mapped_mb"], 1),
        },
    )


def parts(store: PoseStore, work: Path, size: int) -> Iterator[dict[str, Any]]:
    clips = first_clips(store, size)
    z = seen(store, clips, 100)
    for count in (count for count in PARTS if count <= len(clips)):
        row: dict[str, Any] = {"parts": count}
        path = emptied(work / "parts")
        with merging_up_to(0):
            index = grown(store, path, [part.tolist() for part in np.array_split(clips, count)], "fp16")
        for recipe in RECIPES:
            coded = index.recoded(recipe)
            coded.search(z[:1], 200)
            each = [timed(coded, one) for one in z]
            row[f"{recipe} CPU ms"] = round(1e3 * statistics.median(each), 2)
        yield row


def churn(store: PoseStore, work: Path, size: int) -> Iterator[dict[str, Any]]:
    clips = np.array(first_clips(store, int(size * (1 + CHURN))))
    count = round(len(clips) / (1 + CHURN))
    order = np.random.default_rng(0).permutation(len(clips))
    stay, gone, more = np.split(clips[order], [round((1 - CHURN) * count), count])
    exact, z = None, seen(store, [*stay, *more], 300)
    for recipe in RECIPES:
        index = grown(store, emptied(work / "churned"), [[*stay, *gone]], recipe)
        index = index.remove({"clip": gone.tolist()})
        for part in np.array_split(more, min(10, len(more))):
            index = index.add(store, where={"clip": part.tolist()})
        fresh = grown(store, emptied(work / "fresh"), [[*stay, *more]], recipe)
        if exact is None:
            exact = fresh.recoded("flat")
        row: dict[str, Any] = {"recipe": recipe, "parts": index.info()["parts"], "removed": index.info()["removed"]}
        ids = {"exact": exact, "churned": index, "fresh": fresh}
        for k in (10, 200):
            found = {name: one.look_up("id", one.search(z, k).rows, -1) for name, one in ids.items()}
            for name in ("churned", "fresh"):
                shared = [np.isin(own, mine).mean() for own, mine in zip(found["exact"], found[name], strict=True)]
                row[f"{name}, of {k}"] = round(100 * float(np.mean(shared)), 2)
        yield row


def grown(store: PoseStore, path: Path, groups: Sequence[Sequence[str]], recipe: str) -> PoseIndex:
    """An index built of some clips, to which others are added group by group."""
    first, *others = groups
    index = PoseIndex.build(store, AffineSignature(), path, recipe=recipe, where={"clip": list(first)})
    for group in others:
        index = index.add(store, where={"clip": list(group)})
    return index


class merging_up_to:  # noqa: N801
    """While it lasts, parts of more rows are never written anew."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __enter__(self) -> None:
        self.rows, grow._MERGED = grow._MERGED, self.rows

    def __exit__(self, *_: object) -> None:
        grow._MERGED = self.rows


def first_clips(store: PoseStore, poses: int) -> list[str]:
    """Names of the first clips of a store that have so many poses together."""
    table = store.clip_table()
    rows, names = np.cumsum(table["rows"].to_numpy()), table["clip"].to_pylist()
    return names[: int(np.searchsorted(rows, poses)) + 1]


def new_stores(work: Path, count: int) -> list[PoseStore]:
    """Stores of a clip that is in no other."""
    standing = np.zeros((17, 3)) + np.arange(17)[:, None] * [0.02, 0.03, 0.1]
    rng = np.random.default_rng(3)
    made = []
    for number in range(count):
        positions = (standing + rng.normal(0, 0.05, size=(POSES, 17, 3))).astype(np.float32)
        clip = Clip(name=f"new {number}", skeleton=load("h36m17"), positions=positions, fps=10.0)
        made.append(PoseStore.create(emptied(work / f"new-{number}"), [clip]))
    return made


def opened(path: Path) -> dict[str, float]:
    """Times and memory of a process that opens an index and searches once."""
    process = subprocess.run([sys.executable, "-c", STEP, str(path)], check=True, capture_output=True)
    figures: dict[str, float] = json.loads(process.stdout)
    return figures


def timed(index: PoseIndex, z: np.ndarray) -> float:
    """Of the processor: other work on the machine does not count."""
    start = time.process_time()
    index.search(z, 200)
    return time.process_time() - start


def seen(store: PoseStore, clips: Sequence[str], count: int) -> np.ndarray:
    """Signatures of people in poses of some clips, seen by simulated cameras with noise."""
    rng = np.random.default_rng(1)
    poses = store.poses({"clip": rng.permutation(clips)[:count].tolist()})
    world = poses[np.sort(rng.choice(len(poses), size=count))]
    people = simulate_keypoints(world, CameraRig.load("mpi_inf_3dhp"), distance=4.0, noise=0.03, generator=rng)
    return AffineSignature().encode_keypoints(Keypoints.of(people.xy))


def emptied(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    return path


if __name__ == "__main__":
    main()
