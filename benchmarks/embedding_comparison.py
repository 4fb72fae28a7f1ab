"""V-VIPE and Pr-VIPE compared fairly: the same poses, views and steps, several seeds, and each paper's own settings.

    python benchmarks/embedding_comparison.py STORE --split ../shared/mocap/clips.csv --out out/comparison
    python benchmarks/embedding_comparison.py STORE --split clips.csv --out out/try --preset tiny --steps 20 --poses 100

Every row is trained once for each seed on the `train` clips of the table, and validated on `val`. The views of one part
(--part) are then searched by view invariance, over all camera pairs of both simulated rigs. Rows of V-VIPE also search
the part's 3D poses, by their embedding alone; Pr-VIPE embeds no 3D poses. Means and ranges are over seeds, and all
models have the same queries. `results` of a row has every figure.

Rows have equal steps on views (`keypoint_steps` of the preset); V-VIPE's VAE comes before them. What was not tuned
stands in the file as `not_tuned`.

--out gets models with their checkpoints, the figures of each model, and comparison.json, whose `columns` and `rows` are
a table as in results/. After an interrupt the same command goes on; no finished model is trained or measured again.
Rows that the preset does not have are left out, and named. --only takes some of the rows. Several such commands may
share a folder if their rows or seeds differ.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import results_tables
from inputs import arguments, splits

from vipe.embed import Embedder
from vipe.embed.presets import PRESETS, TRAIN, configurations
from vipe.errors import VipeError
from vipe.evaluate import RetrievalProtocol, SearchProtocol, evaluate_retrieval, evaluate_search
from vipe.evaluate.baselines.matchers import find_matcher
from vipe.evaluate.protocols.view_invariance import RETRIEVAL_CONDITIONS
from vipe.index import PoseIndex
from vipe.store import PoseStore

ROWS: dict[str, tuple[str, str | None, str | None]] = {  # method, ablation, variant
    "V-VIPE": ("v-vipe", None, None),
    "V-VIPE, paper triplet": ("v-vipe", None, "paper"),
    "Pr-VIPE": ("pr-vipe", None, None),
    "Pr-VIPE, paper": ("pr-vipe", None, "paper"),
    "V-VIPE, no-augmentation": ("v-vipe", "no-augmentation", None),
    "V-VIPE, no-universal": ("v-vipe", "no-universal", None),
}
RIGS = {"mpi_inf_3dhp": "3DHP", "h36m": "H36M"}
CONDITIONS = {"ground truth": "exact", "noise 0.03": "noise"}
WHOLE, PAIRS, HIT, SEARCH = "whole gallery", "all", "0.1", "search"
NOT_TUNED = [
    "Learning rate, batch, weights of losses, cameras and steps were chosen for V-VIPE (row 1); every other row has "
    "them as they are.",
    "Pr-VIPE has neither the optimizer of its paper (Adagrad at 0.02) nor its 5 million steps.",
    "A step of Pr-VIPE has two views of each of `batch` poses, one of V-VIPE's 2D encoder `batch` views.",
    "No row of V-VIPE has averaged weights or dropout 0.3, which Pr-VIPE's paper has. In short trials of V-VIPE "
    "(TRIALS.md) decay 0.995 changed nothing and dropout 0.2 cost one to two points.",
]
_EVERY = 10.0  # seconds between lines of progress

Report = dict[str, Any]


def main() -> None:
    options = _options()
    store, clips = PoseStore.open(options.store), _clips(options)
    wanted, left_out = _wanted(options)
    trained, validation = (store.poses({"clip": clips[part]}) for part in ("train", "val"))
    models = [(name, seed) for seed in options.seeds for name in wanted]
    for number, (name, seed) in enumerate(models, 1):
        label = f"[{number}/{len(models)}] {name}, seed {seed}"
        _train(name, seed, trained, validation, options, label)
    for seed in options.seeds:
        for what in (*RIGS, SEARCH):
            _measure(what, wanted, seed, store, clips[options.part], options)
    found = _compared(wanted, left_out, len(clips[options.part]), len(trained), options)
    results_tables.write(options.out / "comparison.json", found)
    print(json.dumps(found) if options.json else _table(found))


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True, help="table with columns clip and split")
    parser.add_argument("--part", default="test", help="split that is measured")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", choices=list(PRESETS), default="faithful")
    parser.add_argument("--keypoints", choices=("exact", "noisy"), default="exact", help="of training views")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=list(ROWS), metavar="ROW", help=f"of {'; '.join(ROWS)}")
    parser.add_argument("--steps", type=int, help="train so many steps a stage, to see that all of it works")
    parser.add_argument("--poses", type=int, help="measure view invariance on at most so many poses")
    parser.add_argument("--queries", type=int, default=600, help="of search")
    parser.add_argument("--device", default="cpu", help="to train on")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _clips(options: argparse.Namespace) -> dict[str, list[str]]:
    """The store's clips by split."""
    split = splits(options.split)
    parts: dict[str, list[str]] = {}
    for clip in PoseStore.open(options.store).clips():
        parts.setdefault(split.get(clip["clip"], ""), []).append(clip["clip"])
    if missing := sorted({"train", "val", options.part} - set(parts)):
        raise SystemExit(f"{options.split}: store {options.store} has no clip of split {missing[0]!r}")
    return parts


def _wanted(options: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """The rows to train, and why others are left out."""
    wanted, left_out = [], {}
    for name in options.only or ROWS:
        try:
            _settings(name, options)
        except VipeError as error:
            left_out[name] = str(error)
        else:
            wanted.append(name)
    return wanted, left_out


def _settings(name: str, options: argparse.Namespace) -> tuple[Any, Any]:
    """Network and training of a row."""
    method, ablation, variant = ROWS[name]
    network, config = configurations(method, options.preset, ablation, variant=variant, keypoints=options.keypoints)
    if options.steps is not None:
        names = [name for name in ("steps", "pose_steps", "keypoint_steps") if hasattr(config, name)]
        config = replace(config, **dict.fromkeys(names, options.steps))
    return network, config


def _train(
    name: str, seed: int, poses: np.ndarray, validation: np.ndarray, options: argparse.Namespace, label: str
) -> None:
    network, config = _settings(name, options)
    file = _place("cpu_seconds", name, seed, options, ".txt")
    before = float(file.read_text()) if file.exists() else 0.0
    start, tell = time.process_time(), _every(label)

    def progress(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        shown = "  ".join(f"{key} {value:.3f}" for key, value in metrics.items() if key.startswith(("loss", "val")))
        tell(stage, step, steps, shown)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{before + time.process_time() - start:.1f}\n")

    TRAIN[ROWS[name][0]](
        poses,
        validation,
        _place("models", name, seed, options),
        network=network,
        config=config,
        seed=seed,
        device=options.device,
        progress=progress,
        data=str(options.store),
    )


def _measure(
    what: str, wanted: list[str], seed: int, store: PoseStore, clips: list[str], options: argparse.Namespace
) -> None:
    """Measure one seed's models on a rig, or by search: those that have no file of figures yet."""
    conditions = tuple(condition for condition in RETRIEVAL_CONDITIONS if condition.name in CONDITIONS)
    files = {name: _figures_of(what, name, seed, options) for name in wanted if what in _measured(name)}
    files = {name: file for name, file in files.items() if not file.exists()}
    folders = {name: _place("models", name, seed, options) for name in files}
    tell, reports = _every(f"{what}, seed {seed}"), {}
    if what == SEARCH:
        protocol = SearchProtocol(conditions=conditions, queries=options.queries)
        for name, folder in folders.items():
            with tempfile.TemporaryDirectory(prefix="vipe-") as place:
                index = PoseIndex.build(
                    store, Embedder.from_pretrained(folder), Path(place) / "index", recipe="flat", where={"clip": clips}
                )
                how = {"modes": ("point",), "protocol": protocol, "progress": tell}
                reports[name] = evaluate_search(store, index, **how).to_json()["results"]["point"]
    elif files:
        views = RetrievalProtocol(rig=what, conditions=conditions, poses=options.poses)
        matchers = [find_matcher(folder, name) for name, folder in folders.items()]
        reports = evaluate_retrieval(store, matchers, protocol=views, where={"clip": clips}, progress=tell).to_json()[
            "results"
        ]
    for name, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(reports[name], indent=1))


def _measured(name: str) -> tuple[str, ...]:
    """What is measured of a row: Pr-VIPE embeds no poses, so it cannot search them."""
    return tuple(RIGS) if ROWS[name][0] == "pr-vipe" else (*RIGS, SEARCH)


def _compared(
    wanted: list[str],
    left_out: dict[str, str],
    clips: int,
    trained: int,
    options: argparse.Namespace,
) -> Report:
    """The one file: a table of results/, every figure of every row, and how it was made."""
    columns: dict[str, int | None] = {"method": None}
    rows, results = [], {}
    for name in wanted:
        figures = _figures(name, options)
        row: list[Any] = [name]
        for what, short in (*RIGS.items(), (SEARCH, SEARCH)):
            for condition, shorter in CONDITIONS.items():
                columns |= {f"{short} {shorter} @1": 1, f"{short} {shorter} range": 1}
                row += _first(figures, what, condition)
        columns |= {"CPU s": 0}
        row.append(figures["cpu_seconds"]["mean"])
        rows.append(row)
        network, config = _settings(name, options)
        steps = {key: value for key, value in vars(config).items() if key.endswith("steps")}
        results[name] = {"steps": steps, "network": vars(network), "training": _plain(config), **figures}
    stages = f"{options.steps} steps a stage" if options.steps else f"the steps of preset {options.preset}"
    gpu = "no GPU" if options.device == "cpu" else f"trained on {options.device}"
    return {
        "command": shlex.join(["python", "benchmarks/embedding_comparison.py", "STORE", *_public(sys.argv[1:])]),
        "data": f"{options.part}, {clips} clips; view invariance: Hit@1, all camera pairs; "
        f"search: Hit@1 of {options.queries} queries at most, embedding alone; 0.1 torso lengths, whole gallery; mean "
        "and range over seeds",
        "seed": " ".join(map(str, options.seeds)),
        "training": f"{trained:,} poses of train, {stages}, {options.keypoints} keypoints",
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), {gpu}",
        "not_tuned": NOT_TUNED,
        "left_out": left_out,
        "columns": columns,
        "rows": rows,
        "results": results,
    }


def _figures(name: str, options: argparse.Namespace) -> Report:
    """Every Hit@k of a row, with mean and range over seeds."""
    figures: Report = {}
    for what in _measured(name):
        files = [_figures_of(what, name, seed, options) for seed in options.seeds]
        figures[what] = _over_seeds([json.loads(file.read_text()) for file in files])
    seconds = [_place("cpu_seconds", name, seed, options, ".txt") for seed in options.seeds]
    return figures | {"cpu_seconds": _spread([float(file.read_text()) for file in seconds])}


def _over_seeds(found: list[Report]) -> Report:
    """Nested results of one form, one for each seed, as the same nest with Hit@k by threshold."""
    if "hit" in found[0]:
        return {
            threshold: {f"@{k}": _spread([one["hit"][threshold][k] for one in found]) for k in by_k}
            for threshold, by_k in found[0]["hit"].items()
        }
    return {key: _over_seeds([one[key] for one in found]) for key in found[0]}


def _spread(values: list[float]) -> Report:
    return {"mean": statistics.fmean(values), "range": [min(values), max(values)], "seeds": values}


def _first(figures: Report, what: str, condition: str) -> list[Any]:
    """Hit@1 in the whole gallery in percent, and its range; nothing where it is not measured."""
    if what not in figures:
        return [None, None]
    if what == SEARCH:
        (camera,) = figures[what].values()  # one distance
        at_1 = camera[condition][WHOLE][HIT]["@1"]
    else:
        at_1 = figures[what][condition][WHOLE][PAIRS][HIT]["@1"]
    return [100 * at_1["mean"], [100 * end for end in at_1["range"]]]


def _table(found: Report) -> str:
    """The table as people read it."""
    cells = [list(found["columns"])]
    cells += [
        [results_tables.cell(value, found["columns"][column]) for column, value in zip(cells[0], row, strict=True)]
        for row in found["rows"]
    ]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    lines.insert(1, "| --- " * len(cells[0]) + "|")
    lines += [f"\n{name}: left out. {why}" for name, why in found["left_out"].items()]
    return "\n".join([*lines, "", *found["not_tuned"]])


def _place(kind: str, name: str, seed: int, options: argparse.Namespace, suffix: str = "") -> Path:
    return options.out / kind / f"{name.lower().replace(', ', '-').replace(' ', '-')}-seed-{seed}{suffix}"


def _figures_of(what: str, name: str, seed: int, options: argparse.Namespace) -> Path:
    """Where the figures of a model are: those of another part or of another number of people are others."""
    people = options.queries if what == SEARCH else options.poses or "all"
    return _place(f"results/{options.part}/{what}-{people}", name, seed, options, ".json")


def _public(words: list[str]) -> list[str]:
    """The arguments without this machine's folders."""
    kept, taken = [], False
    for word in words:
        if word.startswith("--"):
            taken = word not in ("--out", "--json")
        if taken:
            kept.append(word)
    return kept


def _plain(config: Any) -> Report:
    """A configuration as JSON values."""
    return {key: vars(value) if hasattr(value, "__dict__") else value for key, value in vars(config).items()}


def _every(label: str) -> Callable[..., None]:
    """Tells on standard error how far something is, at most every ten seconds, and when a step of it is done."""
    last, start = [0.0], time.monotonic()

    def tell(step: str, done: float, total: float, note: str) -> None:
        now = time.monotonic()
        if now - last[0] < _EVERY and done != total:
            return
        last[0] = now
        print(f"{label}: {step} {done:,}/{total:,}, {now - start:.0f} s  {note}", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    try:
        main()
    except VipeError as error:  # such as a folder with models of other settings
        raise SystemExit(str(error)) from error
