"""Memory of opening an index and of one query, by the number of poses.

    python benchmarks/memory.py [--sizes 100000 1000000] [--recipe auto] [--work out/memory] [--json]

Each step runs in a process of its own: the libraries alone, the index opened, and the index opened and asked once for
one person in mode `affine` with all joints, `affine` with two limb joints missing (which compares every pose), and
`full`. Printed is the largest resident memory, without that of the libraries, and what the process holds at the end:
its own memory, and what is mapped from files, which the system takes back when it needs it. An index that is not there
yet is built first; standard error tells the time, and the memory of the process, which the codes are part of.

The poses are synthetic motion, turned a little at every repetition, so that any number can be had.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from gallery_size import turned
from inputs import FPS, arguments

from vipe.clips import Clip
from vipe.embed import AffineSignature
from vipe.index import PoseIndex
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

STEPS = ("libraries", "open", "affine", "affine, 11 joints", "full")
STEP = """
import sys
import numpy as np
import vipe
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints

def told():
    lines = dict(line.split(":") for line in open("/proc/self/status") if ":" in line)
    return [int(lines[name].split()[0]) for name in ("VmHWM", "RssAnon", "RssFile")]

path, step = sys.argv[1:]
if step != "libraries":
    index = vipe.PoseIndex.open(path)
if step not in ("libraries", "open"):
    pose = np.load(path + "-person.npy")
    person = simulate_keypoints(pose, CameraRig.load("mpi_inf_3dhp"), generator=np.random.default_rng(0))
    mask = np.ones((1, 13), dtype=bool)
    if step.endswith("joints"):
        mask[:, 11:] = False
    people = vipe.Keypoints.of(person.xy, mask, skeleton="coco13")
    query(index, people, 10, step.split(",")[0])
print(*told())
"""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--work", type=Path, default=Path("out/memory"), help="where stores and indexes are kept")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for size in options.sizes:
        path = built(options.work, size, options.recipe)
        base = 0
        for step in STEPS:
            command = [sys.executable, "-c", STEP, str(path), step]
            peak, own, mapped = map(int, subprocess.run(command, check=True, capture_output=True).stdout.split())
            base = base or peak
            row = {"poses": size, "step": step, "peak_mb": (peak if step == "libraries" else peak - base) // 1000}
            row |= {"own_mb": own // 1000, "mapped_mb": mapped // 1000}
            text = f"{size:>10,}  {step:<18} {row['peak_mb']:>6,} MB at most; {row['own_mb']:,} own, "
            print(json.dumps(row) if options.json else f"{text}{row['mapped_mb']:,} mapped at the end", flush=True)


def built(work: Path, size: int, recipe: str) -> Path:
    """An index of so many poses, and a pose to ask for beside it."""
    path = work / f"index-{size}-{recipe}"
    if not path.exists():
        store_path = work / f"store-{size}"
        if not store_path.exists():
            PoseStore.create(store_path, clips(size))
        store = PoseStore.open(store_path)
        np.save(f"{path}-person.npy", next(store.batches(1))["pose"].flatten().to_numpy().reshape(1, 17, 3))
        start, used = time.perf_counter(), time.process_time()
        with held() as most:
            PoseIndex.build(store, AffineSignature(), path, recipe=recipe)
        wall, used = time.perf_counter() - start, time.process_time() - used
        print(
            f"{size:>10,}  built in {wall:.0f} s, {used:.0f} s of all cores, {most[0]:,} MB of its own at most",
            file=sys.stderr,
        )
    return path


@contextmanager
def held() -> Iterator[list[int]]:
    """The most memory of its own that this process holds meanwhile, MB, looked at twice a second."""
    most, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            with Path("/proc/self/status").open() as status:
                own = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
            most[0] = max(most[0], own // 1000)

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        yield most
    finally:
        done.set()
        watch.join()


def clips(size: int) -> Iterator[Clip]:
    """Synthetic clips of so many poses together; from the second round on every bone is turned a little."""
    generator = np.random.default_rng(0)
    first = list(synthesize(minutes=min(50.0, size / (60 * FPS)), fps=FPS, generator=generator))
    left, lap = size, 0
    while left:
        for clip in first:
            positions = clip.positions[:left] if lap == 0 else turned(clip.positions[:left], generator)
            if len(positions):
                yield Clip(name=f"{clip.name} {lap}", skeleton=clip.skeleton, positions=positions, fps=FPS)
            left -= len(positions)
        lap += 1


if __name__ == "__main__":
    main()
