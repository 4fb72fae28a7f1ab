"""A store of many rows written, opened, listed, filtered and streamed: seconds, and how much memory each step needs.

    python benchmarks/store_size.py [--rows 10000000] [--work out/store_size] [--keep]

Clips of 1,000 frames come from a generator: one standing body that shakes, each number another, so that nothing
compresses well. Each step runs in a process of its own and prints its peak of resident memory; a process that has only
imported vipe is the first. Exits with 1 if a step goes beyond 1 GiB.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from inputs import arguments

from vipe.clips import Clip
from vipe.geometry.upright import upright_pose
from vipe.skeletons import load
from vipe.store import PoseStore

FRAMES = 1000  # of a clip
SUBJECTS = 50
LIMIT = 1 << 30  # bytes
BATCH = 65536


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--work", type=Path, default=Path("out/store_size"))
    parser.add_argument("--keep", action="store_true", help="leave the store there")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    store = options.work / "store"
    if options.step:
        start = time.perf_counter()
        said = STEPS[options.step](store, options.rows)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak, "said": said}))
        return
    shutil.rmtree(store, ignore_errors=True)
    options.work.mkdir(parents=True, exist_ok=True)
    worst = 0
    print(f"{'step':10} {'seconds':>8} {'rows/s':>12} {'peak MiB':>9}")
    try:
        for step in STEPS:
            words = [sys.executable, __file__, "--step", step, "--rows", str(options.rows), "--work", str(options.work)]
            done = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
            worst = max(worst, done["peak"])
            speed = options.rows / max(done["seconds"], 1e-9)
            print(
                f"{step:10} {done['seconds']:8.1f} {speed:12,.0f} {done['peak'] / 2**20:9.0f}  {done['said']}",
                flush=True,
            )
    finally:
        if not options.keep:
            shutil.rmtree(store, ignore_errors=True)
    print(f"highest: {worst / 2**20:.0f} MiB of {LIMIT / 2**20:.0f}")
    sys.exit(1 if worst > LIMIT else 0)


def clips(rows: int) -> Iterator[Clip]:
    """Clips of a body that shakes, of all subjects in turn."""
    skeleton, body = load("h36m17"), upright_pose().astype(np.float32)
    generator = np.random.default_rng(0)
    for number, first in enumerate(range(0, rows, FRAMES)):
        shake = generator.normal(scale=0.01, size=(min(FRAMES, rows - first), *body.shape)).astype(np.float32)
        yield Clip(
            name=f"{number:06}",
            skeleton=skeleton,
            positions=body + shake,
            fps=30.0,
            subject=f"s{number % SUBJECTS:02}",
            action=("walk", "jump", "sit")[number % 3],
        )


def imported(_: Path, __: int) -> str:
    return ""


def written(store: Path, rows: int) -> str:
    made = PoseStore.create(store, clips(rows))
    return f"{len(made):,} rows, {sum(part.stat().st_size for part in store.iterdir()) / 2**30:.2f} GiB"


def summary(store: Path, _: int) -> str:
    return f"{PoseStore.open(store).summary['clips']:,} clips"


def filtered(store: Path, _: int) -> str:
    return f"{len(PoseStore.open(store).poses({'subject': 's07', 'action': 'jump'})):,} poses of one subject's action"


def columns(store: Path, _: int) -> str:
    return f"{PoseStore.open(store).table(['frame'], {'action': 'walk'}).num_rows:,} rows of one action, one column"


def streamed(store: Path, _: int) -> str:
    count, total = 0, 0.0
    for batch in PoseStore.open(store).batches(BATCH):
        poses = batch.column("pose").flatten().to_numpy()
        count, total = count + len(batch), total + float(poses[::51].sum())
    return f"{count:,} rows in batches of {BATCH:,}"


def appended(store: Path, _: int) -> str:
    more = (Clip(name=f"more {i}", skeleton=clip.skeleton, positions=clip.positions + 0.5, fps=30.0)
            for i, clip in enumerate(clips(100 * FRAMES)))  # fmt: skip
    opened = PoseStore.open(store)
    before = len(opened)
    return f"{len(opened.append(more)) - before:,} rows more"


STEPS = {
    "import": imported,
    "write": written,
    "summary": summary,
    "filter": filtered,
    "column": columns,
    "stream": streamed,
    "append": appended,
}

if __name__ == "__main__":
    main()
