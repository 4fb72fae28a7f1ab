"""How much longer commands take beside busy processes: the ratio to their time on the quiet machine.

    python benchmarks/busy.py [--index FOLDER --keypoints FILE] [--processes 4] [--rounds 3] [--demo] [--json]

Without an index, one is made of synthetic motion, and the people are poses of it as a camera sees them.

With N cores and P busy processes a command that keeps one core at work takes at least (1 + P) / N times as long: 2.5
times with 2 cores and 4 processes. With `--demo` the demo runs once quiet and once beside them, 10 minutes in all. The
quiet times count only if nothing else runs meanwhile.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from inputs import FPS, arguments

from vipe.detections import write_coco_results
from vipe.embed import AffineSignature
from vipe.index import PoseIndex
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

VIPE = [sys.executable, "-c", "from vipe.cli.app import main; main()"]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--index", type=Path, help="to search in; one of synthetic motion if not given")
    parser.add_argument("--keypoints", type=Path, help="people to search with; simulated ones if not given")
    parser.add_argument("--minutes", type=float, default=50.0, help="of synthetic motion")
    parser.add_argument("--people", type=int, default=14, help="simulated people")
    parser.add_argument("--processes", type=int, default=4, help="busy ones")
    parser.add_argument("--rounds", type=int, default=3, help="of the query; the median counts")
    parser.add_argument("--demo", action="store_true", help="also the demo")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vipe-busy-") as name:
        work = Path(name)
        index, keypoints = options.index, options.keypoints
        if index is None or keypoints is None:
            index, keypoints = _prepared(work, options.minutes, options.people)
        commands = {"query": (["query", str(index), str(keypoints), "--json"], options.rounds)}
        if options.demo:
            commands["demo"] = (["demo", "--json", "--out"], 1)
        for what, (command, rounds) in commands.items():
            quiet = [_seconds(command, work / f"{what}{number}") for number in range(rounds)]
            with busy(options.processes):
                beside = [_seconds(command, work / f"{what}{number}-busy") for number in range(rounds)]
            one, other = statistics.median(quiet), statistics.median(beside)
            figures = {"command": what, "quiet": round(one, 2), "busy": round(other, 2), "ratio": round(other / one, 2)}
            text = f"{what}: {one:.2f} s quiet, {other:.2f} s beside {options.processes}: {other / one:.2f} times"
            print(json.dumps(figures) if options.json else text, flush=True)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Processes that do nothing but keep cores at work."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _seconds(command: list[str], out: Path) -> float:
    """The time of one command from its start to its end; a demo gets a folder of its own."""
    whole = [*VIPE, *command, *([str(out)] if command[-1] == "--out" else [])]
    start = time.perf_counter()
    subprocess.run(whole, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def _prepared(work: Path, minutes: float, people: int) -> tuple[Path, Path]:
    """An index of synthetic motion, and keypoints of some of its poses."""
    generator = np.random.default_rng(0)
    store = PoseStore.create(work / "store", synthesize(minutes=minutes, fps=FPS, generator=generator))
    index = PoseIndex.build(store, AffineSignature(), work / "index")
    rows = generator.choice(len(store), size=people, replace=False)
    seen = simulate_keypoints(store.poses()[rows], CameraRig.load("mpi_inf_3dhp"), generator=generator)
    write_coco_results(work / "people.json", seen)
    return index.path, work / "people.json"


if __name__ == "__main__":
    main()
