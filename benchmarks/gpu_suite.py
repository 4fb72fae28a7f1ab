"""Train the full-size models on a GPU from one Parquet file, measure them, and time the parts of the library there.

python benchmarks/gpu_suite.py --data poses.parquet --out out/gpu --minutes 25
python benchmarks/gpu_suite.py --make STORE --split clips.csv --synthetic 400 --data poses.parquet

The second line writes the file (40 MB at most), on any machine with the whole library. The first needs torch,
safetensors, scikit-learn, pyarrow and rich, and this source tree; nothing is downloaded. It stops within --minutes;
called again it goes on where it stopped or was killed. --preset tiny shows on a CPU that all of it works.

--out gets a folder with weights for each model, metrics.json and timings.json.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gpu_standins  # noqa: F401 (before anything of vipe)
import numpy as np
import torch
from gpu_data import SYNTHETIC, TRAINING, Part, load_data, make_data
from gpu_measure import CONDITIONS, Learned, Probabilistic, measure_search, measure_views, time_geometry, time_model

from vipe.atomic_write import atomic_write
from vipe.embed import Embedder
from vipe.embed.presets import BASE, TINY, prvipe_like
from vipe.embed.prvipe.network import PrVIPE
from vipe.embed.prvipe.training import train_prvipe
from vipe.embed.towers.network import TowersConfig
from vipe.embed.towers.training import TowersTrainingConfig, train_towers
from vipe.embed.vvipe.training import train_vvipe
from vipe.errors import VipeError

MODELS = {"v-vipe": 3.0, "towers": 3.0, "towers-synthetic": 3.0, "pr-vipe": 2.0}  # with their shares of the time
RIGS = ("mpi_inf_3dhp", "h36m")
_PROBED = 30  # steps that tell how long one takes
_EVALUATING = 0.15  # of the time, for measuring
_LEARNS = 200  # steps; with fewer the figures say only that all of it runs
_SLACK = 0.85  # of a training's time is planned: others may use the machine too

Progress = Callable[[str, int, int, Mapping[str, float]], None]
Steps = dict[str, int]  # of each stage


class OutOfTime(Exception):
    """The minutes are over; what is done is kept."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a preset means beside the networks."""

    queries: int
    views: int
    rows: int
    batches: tuple[int, ...]


SIZES = {
    "full": Sizes(queries=4000, views=10_000, rows=1_000_000, batches=(1, 4096, 262_144)),
    "tiny": Sizes(queries=100, views=60, rows=2000, batches=(1, 256)),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One call of the suite."""

    data: dict[str, Part]
    out: Path
    preset: str
    device: torch.device
    seed: int
    end: float  # by time.monotonic()

    def train(self, name: str, folder: Path, steps: Steps, every: int, tell: Progress) -> None:
        """Train a model for so many steps, or go on with it; what is done already only loads."""
        poses, known = self._poses(name)
        validation = self.data["val" if "val" in self.data else TRAINING].poses
        how: dict[str, Any] = {"seed": self.seed, "device": str(self.device), "progress": tell, "data": known}
        often = {"validate_every": every, "record_every": max(1, every // 5)}
        preset = BASE if self.preset == "full" else TINY
        if name == "v-vipe":
            counts = {"pose_steps": steps["poses"], "keypoint_steps": steps["keypoints"]}
            config = replace(preset.training, **counts, **often)
            train_vvipe(poses, validation, folder, network=preset.network, config=config, **how)
        elif name == "pr-vipe":
            network, pairs = prvipe_like(preset)
            train_prvipe(
                poses, validation, folder, network=network, config=replace(pairs, steps=steps["pairs"], **often), **how
            )
        else:
            network, towers = self._towers()
            train_towers(
                poses,
                validation,
                folder,
                network=network,
                config=replace(towers, steps=steps["towers"], **often),
                **how,
            )

    def most(self, name: str) -> Steps:
        """Steps of each stage if time is no limit."""
        preset = BASE if self.preset == "full" else TINY
        if name == "v-vipe":
            return {"poses": preset.training.pose_steps, "keypoints": preset.training.keypoint_steps}
        if name == "pr-vipe":
            return {"pairs": preset.training.keypoint_steps}
        return {"towers": self._towers()[1].steps}

    def _towers(self) -> tuple[TowersConfig, TowersTrainingConfig]:
        if self.preset == "full":
            return TowersConfig(), TowersTrainingConfig(steps=60_000, batch=2048)
        return TowersConfig(width=128, decoder_width=64), TowersTrainingConfig(batch=64, precision="float32")

    def _poses(self, name: str) -> tuple[np.ndarray, str]:
        real, made = (self.data[part].poses if part in self.data else None for part in (TRAINING, SYNTHETIC))
        if name == "towers-synthetic" and made is not None:
            return made, "synthetic motion alone"
        if real is None:
            raise SystemExit(f"the data have no split {TRAINING!r}; --make writes it")
        if name == "towers" and made is not None:  # half and half
            return np.concatenate([np.tile(real, (max(1, round(len(made) / len(real))), 1, 1)), made]), "half synthetic"
        return real, "motion capture"


def main() -> None:
    options = _options()
    start = time.monotonic()
    if options.make is not None:
        make_data(
            options.make,
            options.data,
            table=options.split,
            synthetic=options.synthetic,
            megabytes=options.megabytes,
            seed=options.seed,
        )
        return
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run = Run(
        data=load_data(options.data),
        out=options.out,
        preset=options.preset or ("full" if device.type == "cuda" else "tiny"),
        device=device,
        seed=options.seed,
        end=start + 60 * options.minutes,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        complete = _everything(run, options.models, 60 * options.minutes)
    except VipeError as error:
        raise SystemExit(f"error: {error}") from error
    print(_tables(run.out))
    print(f"{time.monotonic() - start:.0f} s; " + ("done" if complete else "not done: the same command goes on"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the Parquet file")
    parser.add_argument("--out", type=Path, default=Path("out/gpu"), help="folder for all results")
    parser.add_argument("--minutes", type=float, default=25.0, help="stop after so many")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--preset", choices=list(SIZES), help="full on a GPU and tiny on a CPU, unless given")
    parser.add_argument("--device", help="as torch names it; a GPU if there is one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--make", type=Path, metavar="STORE", help="write --data from this store, and no more")
    parser.add_argument("--split", type=Path, help="with --make: CSV with columns clip and split")
    parser.add_argument("--synthetic", type=float, default=0.0, help="with --make: minutes of synthetic motion")
    parser.add_argument("--megabytes", type=float, default=40.0, help="with --make: the file is no larger")
    return parser.parse_args()


def _everything(run: Run, models: list[str], seconds: float) -> bool:
    """Train, measure and time all models in turn; whether all is done."""
    models = [name for name in models if name != "towers-synthetic" or SYNTHETIC in run.data]
    settings = {"preset": run.preset, "seed": run.seed, "data": {name: len(part) for name, part in run.data.items()}}
    metrics = _read(run.out / "metrics.json") or {**settings, "models": {}}
    if any(metrics[key] != value for key, value in settings.items()):
        raise SystemExit(f"{run.out}: has results of another preset, seed or data; give another --out")
    metrics |= {"device": _device_name(run.device), "torch": torch.__version__}
    _write(run.out / "metrics.json", metrics)
    last = run.end - _EVALUATING * seconds
    for number, name in enumerate(models):
        if name in metrics["models"]:
            continue
        left = [other for other in models[number:] if other not in metrics["models"]]
        share = MODELS[name] / sum(MODELS[other] for other in left)
        try:
            told = _trained(run, name, share * (last - time.monotonic()), last)
            metrics["models"][name] = told | _measured(run, name)
        except OutOfTime:
            return False
        _write(run.out / "metrics.json", metrics)
    if not (run.out / "timings.json").exists():
        _write(run.out / "timings.json", _timings(run, models))
    return True


def _trained(run: Run, name: str, budget: float, last: float) -> dict[str, Any]:
    folder, note = run.out / name, run.out / f"{name}.json"
    plan = _read(note)
    if plan is None:
        plan = _plan(run, name, budget) | {"preset": run.preset, "seed": run.seed, "training_seconds": 0.0}
        _write(note, plan)
    few = "; too few to learn from, more --minutes and another --out" if min(plan["steps"].values()) < _LEARNS else ""
    print(f"{name}: {plan['steps']} steps, {budget:.0f} s to go{few}", flush=True)
    before, start, shown = plan["training_seconds"], time.monotonic(), [time.monotonic()]

    def tell(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        at_check = step == steps or step % plan["validate_every"] == 0
        if at_check:
            _write(note, plan | {"training_seconds": round(before + now - start, 1)})
        elif now > last:  # not at a check: that is told before its checkpoint is written
            raise OutOfTime
        if now - shown[0] > 10 or step == steps:
            shown[0] = now
            figures = "  ".join(f"{key} {value:.3f}" for key, value in metrics.items() if key[:3] in ("los", "val"))
            print(f"{name}: {stage} {step}/{steps}  {figures}", flush=True)

    run.train(name, folder, plan["steps"], plan["validate_every"], tell)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return {**_read(note), "last": {line["stage"]: line for line in history}}


def _plan(run: Run, name: str, budget: float) -> dict[str, Any]:
    """As many steps as the time allows, from those of a training of a few steps."""
    if budget <= 0:
        raise OutOfTime
    start = time.monotonic()
    at: dict[str, list[float]] = {}

    def tell(stage: str, *_: object) -> None:
        at.setdefault(stage, []).append(time.monotonic())

    most = run.most(name)
    folder = run.out / f".{name}-probe"
    shutil.rmtree(folder, ignore_errors=True)
    # A record every fifth of these steps; the last one validates too.
    run.train(name, folder, dict.fromkeys(most, _PROBED), _PROBED, tell)
    shutil.rmtree(folder)
    per = {stage: (times[-2] - times[0]) / (len(times) - 2) / (_PROBED // 5) for stage, times in at.items()}
    check = max(times[-1] - times[-2] for times in at.values())
    left = _SLACK * (budget - (time.monotonic() - start)) - 11 * len(most) * check
    share = min(1.0, max(0.0, left) / sum(most[stage] * per[stage] for stage in most))
    steps = {stage: max(20, int(share * most[stage])) for stage in most}
    every = max(5, min(max(steps.values()) // 10, int(60 / max(per.values()))))
    return {"steps": steps, "validate_every": every, "seconds_a_step": {key: round(s, 6) for key, s in per.items()}}


def _measured(run: Run, name: str) -> dict[str, Any]:
    sizes, model = SIZES[run.preset], _loaded(run, name)
    result: dict[str, Any] = {"search": {}, "views": {}}
    for split in ("test", "cross"):
        part = run.data.get(split)
        if part is None or len(part) < 3:
            continue
        for rig in RIGS:
            key = f"{split}, {rig}"
            if isinstance(model, Learned):
                result["search"][key] = measure_search(
                    model, part.poses, part.clips, rig, queries=sizes.queries, seed=run.seed
                )
            result["views"][key] = measure_views(
                model, run.device, part.poses, part.clips, rig, most=sizes.views, seed=run.seed
            )
    return result


def _timings(run: Run, models: list[str]) -> dict[str, Any]:
    sizes, poses = SIZES[run.preset], next(iter(run.data.values())).poses
    rows = time_geometry(run.device, poses, sizes.rows)
    for name in models:
        if isinstance(model := _loaded(run, name), Learned) and name != "towers-synthetic":
            rows += time_model(model, poses, sizes.batches)
    return {"device": _device_name(run.device), "torch": torch.__version__, "rows": rows}


def _loaded(run: Run, name: str) -> Learned | Probabilistic:
    if name == "pr-vipe":
        return Probabilistic(PrVIPE.from_pretrained(run.out / name, device=str(run.device)).model, run.device)
    return Learned(Embedder.from_pretrained(run.out / name, device=str(run.device)), run.device)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def _tables(out: Path) -> str:
    """The figures as Markdown."""
    metrics, timings = _read(out / "metrics.json"), _read(out / "timings.json")
    lines = []
    if metrics:
        lines += [f"{metrics['device']}, torch {metrics['torch']}, {metrics['preset']}; Hit@1/10/20 in percent:", ""]
        lines += ["| model | steps | question | set | ground truth | noise 0.03 | 2 missing |", "| --- " * 7 + "|"]
        for name, model in metrics["models"].items():
            steps = "+".join(str(count) for count in model["steps"].values())
            for split, score in model["search"].items():
                lines.append(f"| {name} | {steps} | search | {split} | {_cells(score, None)} |")
            for split, score in model["views"].items():
                lines.append(f"| {name} | {steps} | views | {split} | {_cells(score, 'all')} |")
    if timings:
        lines += ["", "| what | rows | ms | rows/s |", "| --- " * 4 + "|"]
        for row in timings["rows"]:
            lines.append(f"| {row['what']} | {row['rows']:,} | {row['ms']:.3f} | {row['rows_a_second']:,} |")
    return "\n".join(lines)


def _cells(score: dict[str, Any], column: str | None) -> str:
    parts = [score[name] if column is None else score[name][column] for name in CONDITIONS]
    return " | ".join("/".join(f"{100 * rate:.1f}" for rate in part["hit"].values()) for part in parts)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _write(path: Path, value: Any) -> None:
    with atomic_write(path, replace=True) as file:
        file.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
