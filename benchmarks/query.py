"""How long one query takes in mode full on a large archive: median, 99th percentile, and where the time goes.

    python benchmarks/query.py [--poses 1000000] [--queries 240] [--recipe auto] [--seen 13 12 9] [--json] [--out DIR]

The archive and the queries are those of gallery_size.py, with noise 0.03; one person at a time, after a few that nobody
counts, for an index reads its tables at the first query. With `--seen` below 13 limb joints are missing, and every
pose is scanned. The breakdown sums what each step of `vipe.query` takes; "other" is what remains of the whole.
"Doubted" is the share of people whose labels are read in other ways too. Times count only if nothing else runs.
--out writes speed_query.json.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import results_tables
import torch
from gallery_size import asked_rows, grown_index, people_of

from vipe.detections import Keypoints
from vipe.index import PoseIndex
from vipe.retrieve import session
from vipe.retrieve.candidates import affine
from vipe.retrieve.hits import Hits
from vipe.retrieve.labels import reading
from vipe.retrieve.query import query

query_module = sys.modules["vipe.retrieve.query"]

LIMBS = [3, 4, 5, 6, 11, 12, 9, 10]  # coco13: these go missing, in this order
WARM_UP = 5
STEPS: dict[str, tuple[Any, str]] = {
    "candidates, index": (PoseIndex, "nearest"),
    "candidates, scan": (affine, "scan"),
    "poses gathered": (PoseIndex, "poses"),
    "cameras fitted": (session, "fit_cameras"),
    "features": (session, "compute_features"),
    "order": (query_module, "coverage_order"),
    "table of hits": (Hits, "judged"),
}

GROUPS = {
    "candidates": ("candidates, index", "candidates, scan"),
    "cameras": ("poses gathered", "cameras fitted"),
    "features": ("features",),
}


class Watch:
    """Milliseconds spent in some functions, each query's own."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)
        self.current: dict[str, float] = {}

    def put_on(self, owner: Any, name: str, step: str) -> None:
        """Have a function's time counted from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.current[step] = self.current.get(step, 0.0) + 1e3 * (time.perf_counter() - start)

        setattr(owner, name, timed)

    def next(self, whole: float) -> None:
        """Close the account of one query, which took so long as a whole."""
        for step in STEPS:
            self.spent[step].append(self.current.get(step, 0.0))
        self.spent["other"].append(whole - sum(self.current.values()))
        self.spent["whole"].append(whole)
        self.current = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=Path("../shared/mocap"))
    parser.add_argument("--work", type=Path, default=Path("out/grown"), help="where the store and the index are kept")
    parser.add_argument("--poses", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=240)
    parser.add_argument("--seen", type=int, nargs="+", default=[13])
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=session.CANDIDATES)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    store, index = grown_index(options.work, options.real, options.poses, options.recipe)
    whole = people_of(store, asked_rows(index, options.queries), noise=0.03)
    watch = Watch()
    for step, (owner, name) in STEPS.items():
        if hasattr(owner, name):
            watch.put_on(owner, name, step)
    results = [timed(index, without_limbs(whole, seen), watch, options) for seen in options.seen]
    for result in results:
        print(json.dumps(result) if options.json else told(result))
    if options.out:
        names = ["joints", "p50", "p99", *GROUPS, "all else", "doubted, %"]
        found = {
            "command": shlex.join(["python", "benchmarks/query.py", *public(sys.argv[1:])]),
            "data": f"{len(index):,} poses ({index.manifest.recipe}), {len(whole)} queries one at a time, "
            f"{options.candidates} candidates; milliseconds, steps are medians",
            "seed": 0,
            "machine": f"{os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads, no GPU",
            "columns": dict.fromkeys(names, 1) | {"joints": None, "doubted, %": 0},
            "rows": [row_of(result) for result in results],
        }
        results_tables.write(options.out / "speed_query.json", found)


def without_limbs(people: Keypoints, seen: int) -> Keypoints:
    """The same people with so many joints seen."""
    mask = np.ones(people.mask.shape, dtype=bool)
    mask[:, LIMBS[: 13 - seen]] = False
    return Keypoints.of(people.xy, mask)


def timed(index: PoseIndex, people: Keypoints, watch: Watch, options: argparse.Namespace) -> dict[str, Any]:
    """What people wait for, one at a time."""
    watch.spent.clear()
    used, doubts = 0.0, []
    is_doubted = reading.doubtful

    def noted(*given: Any) -> np.ndarray:
        doubts.append(is_doubted(*given))
        return doubts[-1]

    reading.doubtful = noted
    for number in [*range(min(WARM_UP, len(people))), *range(len(people))]:
        one = people[number : number + 1]
        start, spent = time.perf_counter(), time.process_time()
        query(index, one, options.k, mode="full", candidates=options.candidates)
        used += time.process_time() - spent
        watch.next(1e3 * (time.perf_counter() - start))
    reading.doubtful = is_doubted
    times = {step: np.array(values[WARM_UP:]) for step, values in watch.spent.items()}
    return {
        "poses": len(index),
        "queries": len(people),
        "recipe": index.manifest.recipe,
        "seen": int(people.mask[0].sum()),
        "candidates": options.candidates,
        "threads": torch.get_num_threads(),
        "p50_ms": float(np.median(times["whole"])),
        "p99_ms": float(np.quantile(times["whole"], 0.99)),
        "cpu_ms": 1e3 * used / (len(people) + WARM_UP),
        "doubted": float(np.mean(np.concatenate(doubts[WARM_UP:]))),
        "median_ms": {step: float(np.median(values)) for step, values in times.items() if values.any()},
    }


def row_of(result: dict[str, Any]) -> list[Any]:
    """One row of the table."""
    steps = [sum(result["median_ms"].get(step, 0.0) for step in names) for names in GROUPS.values()]
    seen = result["seen"]
    name = f"{seen} (index)" if seen == 13 else f"{seen} (every pose scanned)"
    whole = result["median_ms"]["whole"]
    return [name, result["p50_ms"], result["p99_ms"], *steps, whole - sum(steps), 100 * result["doubted"]]


def told(result: dict[str, Any]) -> str:
    """The same in words."""
    lines = [
        f"{result['poses']:,} poses ({result['recipe']}), {result['queries']} queries with {result['seen']} joints, "
        f"{result['candidates']} candidates, {result['threads']} threads: p50 {result['p50_ms']:.1f} ms, "
        f"p99 {result['p99_ms']:.1f} ms, {result['cpu_ms']:.1f} ms of all cores, {result['doubted']:.0%} doubted"
    ]
    return "\n".join(lines + [f"  {step:<20} {value:7.2f} ms" for step, value in result["median_ms"].items()])


def public(words: list[str]) -> list[str]:
    """The arguments without this machine's folders."""
    kept: list[str] = []
    for word in words:
        if word.startswith("--"):
            taken = word not in ("--work", "--real", "--out", "--json")
        if taken:
            kept.append(word)
    return kept


if __name__ == "__main__":
    main()
