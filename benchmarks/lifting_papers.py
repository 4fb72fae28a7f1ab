"""The tables of the papers behind the lifters, on motion capture at hand or on your own Human3.6M and 3DHP arrays.

    python benchmarks/lifting_papers.py STORE --split ../shared/mocap/clips.csv --out out/papers
    python benchmarks/lifting_papers.py h36m.npz --out out/h36m --preset paper --device cuda

Trains every row of the tables on the split `train` (validated on `val`), measures it on `test` and on `cross`, and
writes results/lifting_papers.json, where results_tables.py finds the tables (--tables writes it elsewhere).

The data are a store with a table of its clips' splits, or an .npz file with `poses` (N, 17, 3) in metres, world space,
z up, joints of h36m17; `split` (N,) with train, val, test and perhaps cross; and, if known, `clip` and `action` (N,).
Intervals and tables by action need those two.

--out gets a folder for each trained row and the measurements. After an interrupt the same command goes on; no finished
row is trained or measured again. --only takes some of the rows: tables then have these, and those measured before.
--train-only measures nothing; --steps trains every row for so many steps, to see that all of it works.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from inputs import arguments
from lifting_papers_data import Part, read_parts
from lifting_papers_measure import measure
from lifting_papers_rows import PRESETS, ROWS, configuration
from lifting_papers_tables import write_tables

from vipe.lift.training import train_lifter

TABLES = Path(__file__).parent / "results" / "lifting_papers.json"


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    parts = read_parts(options.data, options.split)
    for number, name in enumerate(options.only, 1):
        train(name, parts["train"], parts["val"], options, f"[{number}/{len(options.only)}] {name}")
    if options.train_only:
        return
    write_tables(options.tables, measure(options.only, parts, options), parts, options)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, help="store, or .npz file")
    parser.add_argument("--split", type=Path, help="table with columns clip and split, for a store")
    parser.add_argument("--name", default="", help="of the data, for cards and tables")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tables", type=Path, default=TABLES, help="JSON file of the tables")
    parser.add_argument("--preset", choices=list(PRESETS), default="cpu")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--queries", type=int, default=300, help="photos of each measurement")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def train(name: str, poses: Part, validation: Part, options: argparse.Namespace, label: str) -> None:
    """Train a row, or load it if it is finished; add to its CPU seconds."""
    network, config = configuration(name, options.preset, options.steps)
    file = options.out / "seconds.json"
    seconds = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    start = time.process_time() - seconds.get(name, 0)

    def progress(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if "val_mpjpe" in metrics:
            figures = " ".join(f"{key} {value:.1f}" for key, value in metrics.items() if key.startswith("val_"))
            print(f"{label} {stage} {step}/{steps} {figures}", file=sys.stderr, flush=True)
            seconds[name] = round(time.process_time() - start)
            file.write_text(json.dumps(seconds, indent=1) + "\n", "utf-8")

    train_lifter(
        poses.poses,
        validation.poses,
        options.out / name,
        network=network,
        config=config,
        seed=options.seed,
        device=options.device,
        progress=progress,
        data=options.name,
    )


if __name__ == "__main__":
    main()
