"""How long one query of mode hypotheses takes on a large archive, where the time goes, and beside busy processes.

    python benchmarks/hypotheses_speed.py STORE [--poses 1000000] [--queries 60] [--out benchmarks/results]

The archive is the store's poses, then the same mirrored and with noise of 0.02 torso on every coordinate, until there
are enough; they are in memory. Queries are poses of the store with noise 0.03; one person at a time with 200 hypotheses
of the lifter `default`, after a few that nobody counts, and the first, which makes the lists of similar poses. One
thread. "cpu" is the processor time of a query, which other processes change less; p50 and p99 are what a user waits.
The second round runs beside four processes that keep cores busy. Waiting times count only if nothing else runs.
--out writes speed_hypotheses.json.
"""

import os
import platform
import shlex
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import results_tables
import torch
from busy import busy
from inputs import arguments

from vipe import AffineSignature, PoseIndex, PoseStore
from vipe.evaluate.study import recorded_poses
from vipe.lift import Hypotheses
from vipe.retrieve import session
from vipe.retrieve.candidates import hypotheses
from vipe.retrieve.hits import Hits
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load

WARM_UP = 5
STEPS: dict[str, tuple[Any, str]] = {
    "lifter": (session.Search, "hypotheses"),
    "canonical": (Hypotheses, "canonical"),
    "merge": (hypotheses, "_merged"),
    "lists": (hypotheses, "_near"),
    "compare": (hypotheses, "_judged"),
    "table": (Hits, "look_up"),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--poses", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--processes", type=int, default=4, help="busy ones of the second round")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    store = PoseStore.open(options.store)
    with tempfile.TemporaryDirectory() as folder:
        small = PoseIndex.build(store, AffineSignature(), Path(folder) / "index")
        index = Enlarged(small, options.poses)
        rows = np.random.default_rng(1).choice(len(small), options.queries, replace=False)
        poses = recorded_poses(store, small, rows)
        rig, generator = CameraRig.load("mpi_inf_3dhp"), np.random.default_rng(2)
        measured(index, simulate_keypoints(poses, rig, distance=4.0, noise=0.03, generator=generator), options)


class Enlarged(PoseIndex):
    """An index with more poses than its folder has: others like them, of the same frames."""

    def __init__(self, index: PoseIndex, count: int) -> None:
        vars(self).update(vars(index))
        self._made: dict[Any, Any] = {}
        self.small, self.count = len(index), count
        body, generator = load("h36m17"), np.random.default_rng(0)
        poses, parts = index.canonical, [index.canonical]
        while sum(map(len, parts)) < count:
            copy = poses[:, list(body.mirrored)] * np.float32([1, -1, 1]) if len(parts) % 2 else poses
            parts.append(copy + generator.normal(0, 0.02, poses.shape).astype(np.float32))
        self.held = np.concatenate(parts)[:count]

    def __len__(self) -> int:
        return self.count

    def poses(self, rows: np.ndarray) -> np.ndarray:
        """Of memory."""
        return self.held[rows]

    def look_up(self, column: str, rows: np.ndarray, blank: object) -> np.ndarray:
        """Those of the frames that poses are copies of."""
        return super().look_up(column, np.where(rows < 0, rows, rows % self.small), blank)


def measured(index: PoseIndex, people, options) -> None:
    """Time queries quietly and beside busy processes, and tell."""
    spent: dict[str, float] = defaultdict(float)
    for step, (owner, name) in STEPS.items():
        put_on(owner, name, spent, step)
    start = time.process_time()
    query(index, people[:1], mode="hypotheses")
    print(
        f"{len(index):,} poses; first query, with the lists: {time.process_time() - start:.1f} s of one core",
        flush=True,
    )
    rows = [["quiet", *timed(index, people, spent)]]
    print(told(rows[-1]), flush=True)
    with busy(options.processes):
        rows.append([f"beside {options.processes} busy processes", *timed(index, people, spent)])
    print(told(rows[-1]), flush=True)
    if options.out:
        names = ["machine", "p50", "p99", "cpu", *STEPS, "all else"]
        found = {
            "command": shlex.join(["python", "benchmarks/hypotheses_speed.py", "STORE", *public(sys.argv[1:])]),
            "data": f"{len(index):,} poses, {len(people)} queries one at a time, 200 hypotheses; milliseconds; steps "
            "are medians of processor time",
            "seed": 0,
            "machine": f"{os.cpu_count()} cores ({platform.machine()}), 1 thread, no GPU",
            "columns": dict.fromkeys(names, 1) | {"machine": None},
            "rows": rows,
        }
        results_tables.write(options.out / "speed_hypotheses.json", found)


def public(words: list[str]) -> list[str]:
    """The arguments without this machine's folders."""
    kept = [place for place, word in enumerate(words) if word in ("--poses", "--queries", "--processes")]
    return [word for place in kept for word in words[place : place + 2]]


def put_on(owner: Any, name: str, spent: dict[str, float], step: str) -> None:
    """Have a function's processor time counted from now on."""
    function = getattr(owner, name)
    plain = getattr(function, "__func__", function)

    def counted(*given: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return plain(*given, **named)
        finally:
            spent[step] += 1e3 * (time.process_time() - start)

    setattr(owner, name, classmethod(counted) if plain is not function else counted)


def timed(index, people, spent: dict[str, float]) -> list[float]:
    """Median and 99th percentile of milliseconds waited, processor time, and that of each step."""
    waited, used, steps = [], [], defaultdict(list)
    for number in [*range(min(WARM_UP, len(people))), *range(len(people))]:
        spent.clear()
        start, processor = time.perf_counter(), time.process_time()
        query(index, people[number : number + 1], mode="hypotheses")
        used.append(1e3 * (time.process_time() - processor))
        waited.append(1e3 * (time.perf_counter() - start))
        for step in STEPS:
            steps[step].append(spent[step])
    waited, used = np.array(waited[WARM_UP:]), np.array(used[WARM_UP:])
    medians = [float(np.median(values[WARM_UP:])) for values in steps.values()]
    whole = float(np.median(used))
    return [float(np.median(waited)), float(np.quantile(waited, 0.99)), whole, *medians, whole - sum(medians)]


def told(row: list) -> str:
    name, p50, p99, cpu, *steps = row
    each = ", ".join(f"{step} {value:.1f}" for step, value in zip([*STEPS, "all else"], steps, strict=True))
    return f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms; {cpu:.1f} ms of processor time: {each}"


if __name__ == "__main__":
    main()
