"""View invariance of V-VIPE, its ablations and its rivals: trains what is missing, measures all, prints the table.

python benchmarks/retrieval_table.py --out out/retrieval [--source ../shared/mocap] [--ours NAME=FOLDER ...]
python benchmarks/retrieval_table.py --out out/h36m --dataset h36m --train h36m.npz --test 3dhp.npz

--out gets everything: stores, models with their checkpoints, a JSON file of figures for each row. After an interrupt,
the same command resumes, and no finished model is trained again. --only trains and measures some of the rows. Several
such commands may run at once as soon as the store exists. --print only prints the figures in --out.

--dataset mocap: trains on the `train` clips of `clips.csv` beside the motion, validates on `val`; in-domain is `test`,
cross-data is `cross`. --dataset h36m: the papers' data, for those who have them, each as one .npz file:

    poses  (N, 17, 3) float, metres, world space with z up, joints in the order of the skeleton h36m17
    clip   (N,) str, the recording a pose is from; a clip's poses follow each other in time
    fps    a number: poses a second, after any thinning
    split  (N,) str, of --train only: "train" (subjects 1, 5, 6, 7, 8), "val" and "test" (9 and 11)

Both data sets get simulated images: every pose from every camera of both simulated rigs. A row is trained on exact
keypoints, as the papers' ground-truth figures are. "noisy views" and the preset `tiny` are trained on simulated
detections instead, with noise and missing joints. V-VIPE and Pr-VIPE also learn from cameras anywhere, which see the
universal skeleton (`TrainingConfig.universal`; not `tiny`). benchmarks/embedding_comparison.py trains them and parts of
V-VIPE with several seeds, and with the settings of their papers.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from inputs import FPS, MOCAP, arguments, splits

from vipe.clips import Clip
from vipe.embed import Embedder
from vipe.embed.presets import ABLATIONS, FAITHFUL, TINY, Preset, ablate, exact, prvipe_like
from vipe.embed.prvipe.training import train_prvipe
from vipe.embed.vvipe.training import train_vvipe
from vipe.evaluate import CONDITIONS, RetrievalProtocol, evaluate_retrieval
from vipe.evaluate.baselines.lift_then_align import LiftedPoses
from vipe.evaluate.baselines.matchers import Matcher, find_matcher
from vipe.evaluate.baselines.raw_2d import Raw2D
from vipe.evaluate.protocols.view_invariance import RETRIEVAL_CONDITIONS
from vipe.readers import read
from vipe.skeletons import load
from vipe.store import PoseStore

SKELETON = load("h36m17")
RIGS = ("h36m", "mpi_inf_3dhp")
NOISY, MISSING = "noise 0.03", "2 missing"
RAW, SMALL = "raw 2D", "V-VIPE, tiny"
LIFT, PRVIPE, VVIPE = "lift, then Procrustes", "Pr-VIPE", "V-VIPE"
AS_SEEN = ", noisy views"
PAPER = """The papers' figures (levy2024, table 1 and sec. 5), Hit@1/10/20, on other data, so only relations compare:

| | H3.6M | 3DHP all | 3DHP unseen |
| --- | --- | --- | --- |
| 2D keypoints | 28.7/47.1/50.9 | 9.8/21.6/25.5 | - |
| EpipolarPose, Procrustes (trained on 3DHP for 3DHP) | 69.0/89.7/92.7 | 24.6/53.2/61.3 | - |
| Pr-VIPE, ground truth | 97.6/99.9/100 | 42.6/72.8/79.1 | 43.7/73.2/82.0 |
| V-VIPE, ground truth | 89.7/98.8/99.4 | 45.3/76.2/83.1 | 47.9/77.9/84.5 |
| Pr-VIPE, detected, augmented | 70.9/93.1/96.0 | 25.4/55.6/64.1 | 27.8/57.7/65.8 |
| V-VIPE, detected, augmented | 69.0/93.5/96.3 | 26.9/59.0/68.2 | 30.1/61.6/70.3 |
| V-VIPE, detected: whole; no triplet; no rotation alignment; no pretraining | - | @1 23.5; 17.4; 18.0; 23.4 | - |
"""


def main() -> None:
    options = _options()
    stores = _mocap(options) if options.dataset == "mocap" else _h36m(options)
    if stores is None:
        return
    trained, validation, archives = stores
    rows = _rows(options)
    if unknown := sorted(set(options.only) - set(rows)):
        raise SystemExit(f"--only {unknown[0]!r}: expected some of {', '.join(rows)}")
    wanted = options.only or list(rows)
    if not options.print:
        for name in wanted:
            if (preset := rows[name]) is not None:
                _train(name, preset, trained, validation, options)
        for archive, (store, clips) in archives.items():
            for rig in RIGS:
                _measure(archive, store, clips, rig, wanted, options)
    print(_tables(list(archives), wanted, options))
    print(PAPER)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dataset", choices=("mocap", "h36m"), default="mocap")
    parser.add_argument("--source", type=Path, default=MOCAP, help="motion capture with a clips.csv")
    parser.add_argument("--train", type=Path, help="h36m: poses that train and are searched in-domain")
    parser.add_argument("--test", type=Path, help="h36m: poses of the other data set")
    parser.add_argument("--ours", nargs="+", default=[], help="NAME=FOLDER of trained embedders to measure too")
    parser.add_argument("--only", nargs="+", default=[], help="names of rows")
    parser.add_argument("--print", action="store_true", help="train and measure nothing")
    parser.add_argument("--poses", type=int, help="measure at most so many poses")
    parser.add_argument("--steps", type=int, help="train so many steps, to see that all of it works")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _rows(options: argparse.Namespace) -> dict[str, Preset | None]:
    """What each row needs to be trained; None where it needs no training of its own."""
    full, small = FAITHFUL, TINY
    if options.steps:
        full, small = (
            replace(preset, training=replace(preset.training, pose_steps=options.steps, keypoint_steps=options.steps))
            for preset in (full, small)
        )
    rows: dict[str, Preset | None] = {RAW: None}
    for views, preset in (("", exact(full)), (AS_SEEN, full)):
        rows |= {VVIPE + views: preset, LIFT + views: None, PRVIPE + views: preset}
    rows |= {f"{VVIPE}, {name}": ablate(exact(full), name) for name in ABLATIONS}
    rows[SMALL] = small
    return rows | {entry.split("=")[0]: None for entry in options.ours}


def _folder(name: str, options: argparse.Namespace) -> Path:
    given = dict(entry.split("=") for entry in options.ours)
    return Path(given[name]) if name in given else options.out / "models" / _plain(name)


def _plain(name: str) -> str:
    return name.lower().replace(", ", "-").replace(" ", "-")


def _mocap(
    options: argparse.Namespace,
) -> tuple[np.ndarray, np.ndarray, dict[str, tuple[PoseStore, list[str]]]] | None:
    if not options.source.is_dir():
        print(f"{options.source}: no motion capture here; give --source")
        return None
    path = options.out / "store"
    store = PoseStore.open(path) if path.exists() else PoseStore.create(path, read(options.source), fps=FPS)
    split = splits(options.source / "clips.csv")
    parts: dict[str, list[str]] = {}
    for clip in store.clips():
        parts.setdefault(split.get(clip["clip"], ""), []).append(clip["clip"])
    archives = {"in-domain": (store, parts["test"]), "cross-data": (store, parts["cross"])}
    return store.poses({"clip": parts["train"]}), store.poses({"clip": parts["val"]}), archives


def _h36m(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, dict[str, tuple[PoseStore, list[str]]]] | None:
    if options.train is None or options.test is None:
        print("--dataset h36m needs --train and --test; --help says what the files hold")
        return None
    stores = {}
    for name, file in (("train", options.train), ("test", options.test)):
        path = options.out / f"store-{name}"
        stores[name] = PoseStore.open(path) if path.exists() else PoseStore.create(path, _clips(file))
    with np.load(options.train) as file:
        split = dict(zip(file["clip"].astype(str).tolist(), file["split"].astype(str).tolist(), strict=True))
    parts: dict[str, list[str]] = {}
    for clip, part in split.items():
        parts.setdefault(part, []).append(clip)
    own, other = stores["train"], stores["test"]
    archives = {
        "in-domain": (own, parts["test"]),
        "cross-data": (other, [clip["clip"] for clip in other.clips()]),
    }
    return own.poses({"clip": parts["train"]}), own.poses({"clip": parts["val"]}), archives


def _clips(path: Path) -> Iterator[Clip]:
    with np.load(path) as file:
        poses, names, fps = file["poses"].astype(np.float32), file["clip"].astype(str), float(file["fps"])
    edges = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    for part, name in zip(np.split(poses, edges[1:]), names[edges], strict=True):
        yield Clip(name=str(name), skeleton=SKELETON, positions=part, fps=fps)


def _train(name: str, preset: Preset, poses: np.ndarray, validation: np.ndarray, options: argparse.Namespace) -> None:
    folder = _folder(name, options)
    before, start = _spent(name, options) or 0.0, time.process_time()

    def tell(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if step % 200 == 0 or step == steps:
            shown = "  ".join(f"{key} {value:.3f}" for key, value in metrics.items() if key.startswith(("loss", "val")))
            print(f"{name}: {stage} {step}/{steps}  {shown}", flush=True)
            file = _times(name, options)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{before + time.process_time() - start:.1f}\n")

    if name.startswith(PRVIPE):
        network, config = prvipe_like(preset)
        train_prvipe(poses, validation, folder, network=network, config=config, seed=options.seed, progress=tell)
    else:
        train_vvipe(
            poses,
            validation,
            folder,
            network=preset.network,
            config=preset.training,
            seed=options.seed,
            progress=tell,
        )


def _times(name: str, options: argparse.Namespace) -> Path:
    """CPU seconds of a training: the wall's clock says nothing where others work too."""
    return options.out / "cpu_seconds" / f"{_plain(name)}.txt"


def _spent(name: str, options: argparse.Namespace) -> float | None:
    file = _times(name, options)
    return float(file.read_text()) if file.exists() else None


def _matcher(name: str, options: argparse.Namespace) -> Matcher:
    if name == RAW:
        return Raw2D()
    if name.startswith(LIFT):
        return LiftedPoses(Embedder.from_pretrained(_folder(name.replace(LIFT, VVIPE), options)), name)
    return find_matcher(_folder(name, options), name)


def _result(archive: str, rig: str, name: str, options: argparse.Namespace) -> Path:
    return options.out / "results" / archive / rig / f"{_plain(name)}.json"


def _measure(
    archive: str, store: PoseStore, clips: list[str], rig: str, wanted: list[str], options: argparse.Namespace
) -> None:
    """Measure what has no file of figures yet: the slow row by itself, so that an interrupt loses little."""
    missing = [name for name in wanted if not _result(archive, rig, name, options).exists()]
    quick = [name for name in missing if not name.startswith(LIFT)]
    for group in (quick, *([name] for name in missing if name not in quick)):
        if not group:
            continue
        print(f"{archive}, {rig}: {', '.join(group)}", flush=True)
        report = evaluate_retrieval(
            store,
            [_matcher(name, options) for name in group],
            protocol=RetrievalProtocol(rig=rig, poses=options.poses, seed=options.seed),
            where={"clip": clips},
            progress=_every(30.0),
        ).to_json()
        for name in group:
            figures = {**report, "results": {key: report["results"][key] for key in (name, "chance")}}
            path = _result(archive, rig, name, options)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(figures, indent=1))


def _every(seconds: float) -> Callable[..., None]:
    last = [time.monotonic()]

    def tell(step: str, done: float, total: float, note: str) -> None:
        if time.monotonic() - last[0] > seconds:
            last[0] = time.monotonic()
            print(f"  {step} {done}/{total} {note}", flush=True)

    return tell


def _tables(archives: list[str], wanted: list[str], options: argparse.Namespace) -> str:
    truth = RETRIEVAL_CONDITIONS[0].name
    assert {truth, NOISY, MISSING} <= {condition.name for condition in CONDITIONS}
    blocks = []
    for archive in archives:
        for rig in RIGS:
            lines: list[str] = []
            for name in wanted:
                if not _result(archive, rig, name, options).exists():
                    continue
                figures = json.loads(_result(archive, rig, name, options).read_text())
                found, pairs = figures["results"][name], list(figures["pairs"])
                columns = [(condition, pair) for condition in (truth, NOISY, MISSING) for pair in pairs]
                whole, apart = figures["protocol"]["galleries"]
                if not lines:
                    lines += _head(archive, rig, figures, columns, apart)
                spent = _spent(name, options)
                first = found[truth][whole]["all"]
                low, high = (f"{100 * end:.1f}" for end in first["interval"]["0.1"]["1"])
                cells = [_hits(found[condition][whole][pair]) for condition, pair in columns]
                cells += [f"{low}-{high}", _hits(found[truth][apart]["all"]), _hits(first, "0.05")]
                cells += [f"{first['reciprocal_rank']['0.1']:.3f}", "-" if spent is None else f"{spent:.0f}"]
                lines.append(f"| {name} | {' | '.join(cells)} |")
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _head(archive: str, rig: str, figures: dict, columns: list[tuple[str, str]], apart: str) -> list[str]:
    chance = figures["results"]["chance"]["any"]["whole gallery"]["all"]
    names = [f"{condition}, {pair}" for condition, pair in columns]
    names += ["95% of the first @1", f"ground truth, {apart}", "ground truth < 0.05", "MRR", "CPU s to train"]
    return [
        f"{archive}, rig {rig}: {figures['poses']} poses of {figures['clips']} clips, {figures['pairs']['all']} "
        f"ordered camera pairs, seed {figures['protocol']['seed']}; Hit@1/10/20 in percent, chance {_hits(chance)}:",
        "",
        f"| | {' | '.join(names)} |",
        "| --- " * (len(names) + 1) + "|",
    ]


def _hits(score: dict, threshold: str = "0.1") -> str:
    hit = score["hit"].get(threshold)
    return "/".join(f"{100 * rate:.1f}" for rate in hit.values()) if hit else "-"


if __name__ == "__main__":
    main()
