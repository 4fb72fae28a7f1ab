"""`vipe train`: commands that train models."""

__all__ = ["embedding", "lifter"]

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from vipe.cli.options.folders import StoreFolder
from vipe.cli.output import Json, Seed, emit, progress

if TYPE_CHECKING:
    from vipe.arrays import Array
    from vipe.training.card import Told

_Split = Annotated[
    Path | None,
    Parameter(help="Table of clips (.csv with columns `clip` and `split`): its `train` trains, its `val` validates."),
]
_Licence = Annotated[
    str, Parameter(help="Licence of the data, for the model card; else that of the store, where it states one.")
]
_Val = Annotated[Path | None, Parameter(help="Store to validate on; else every tenth clip of STORE.")]
_CHECKS = {
    "val_mpjpe": "torso lengths off, from 2D",
    "val_hit1": "search Hit@1",
    "val_view_hit1": "one view to another",
}
_TOWERS_CHECKS = {
    "val_mpjpe_noisy": "torso lengths off, from noisy 2D",
    "val_search_noisy": "search Hit@1",
    "val_views_noisy": "one view to another",
}
_LIFTER_CHECKS = {
    "val_mpjpe": "single pose off",
    "val_best": "best of 20 hypotheses",
    "val_random": "any hypothesis",
    "val_energy": "energy score",
}


def embedding(
    store: StoreFolder,
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder of the trained embedder; an unfinished training there continues.")],
    preset: Annotated[
        Literal["tiny", "faithful", "base"],
        Parameter(help="`tiny`: 75 s on 2 quiet cores. `faithful`: the paper's networks in minutes. `base`: in hours."),
    ] = "tiny",
    method: Annotated[
        Literal["v-vipe", "towers", "pr-vipe"],
        Parameter(
            help="`towers`: the method of `default`, better at search. `pr-vipe`: a baseline without an encoder of "
            "poses; no index can use it."
        ),
    ] = "v-vipe",
    ablation: Annotated[
        Literal["no-triplet", "no-alignment", "no-pretraining", "autoencoder", "no-augmentation", "no-universal"]
        | None,
        Parameter(help="Leave out one part of V-VIPE, to measure its effect."),
    ] = None,
    variant: Annotated[
        Literal["paper"] | None,
        Parameter(
            help="`paper`: what the method's own paper has otherwise. v-vipe: its rule for negatives; pr-vipe: its "
            "dropout, averaged weights, normalization and random cameras."
        ),
    ] = None,
    keypoints: Annotated[
        Literal["noisy", "exact"],
        Parameter(
            help="Of training views: `noisy` as from a detector, or `exact` as for the papers' ground-truth figures."
        ),
    ] = "noisy",
    precision: Annotated[
        Literal["float32", "bfloat16"] | None,
        Parameter(help="Of matrix products; bfloat16 is faster where the processor has it. Default: the preset's."),
    ] = None,
    split: _Split = None,
    val: _Val = None,
    licence: _Licence = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train an embedder on a store. V-VIPE: the 3D pose VAE, then the 2D encoder with the decoder frozen."""
    from dataclasses import replace

    from vipe.embed.presets import TRAIN, configurations

    start = time.perf_counter()
    network, config = configurations(method, preset, ablation, variant=variant, keypoints=keypoints)
    if precision is not None:
        config = replace(config, precision=precision)
    poses, validation = _poses(store, split, val)
    with _reported() as report:
        settings: dict[str, Any] = {"network": network, "config": config, "seed": seed}
        model = TRAIN[method](poses, validation, out, **settings, progress=report, data=_told(store, licence))
    history, figures = _history(out)
    result = {
        "embedder": str(out),
        "method": method,
        "preset": preset,
        "ablation": ablation,
        "variant": variant,
        "keypoints": keypoints,
        "fingerprint": model.fingerprint,
        "seconds": round(time.perf_counter() - start, 3),
        "validation": figures,
    }
    what = " ".join(part for part in (preset, method, ablation, variant) if part)
    names = _TOWERS_CHECKS if method == "towers" else _CHECKS
    shown = [f"{label} {figures[name]:.3f}" for name, label in names.items() if name in figures]
    text = [
        f"{out}: {what} {model.fingerprint} in {result['seconds']:.0f} s",
        f"validation: {', '.join(shown)}",
    ]
    emit(result, *text, _picture(out, history), as_json=as_json)


def lifter(
    store: StoreFolder,
    /,
    *,
    kind: Annotated[
        str,
        Parameter(
            help="`regression`, `mdn`, `bone-flow`, `ppca`, or another one: a wrong name lists those that there are."
        ),
    ],
    out: Annotated[Path, Parameter(help="Folder of the trained lifter; an unfinished training there continues.")],
    preset: Annotated[
        Literal["tiny", "base"],
        Parameter(
            help="`tiny`: 10 to 40 s of a core, to see that it works. `base`: 15 to 20 minutes; `ppca`: 1 minute."
        ),
    ] = "tiny",
    steps: Annotated[
        int | None,
        Parameter(
            help="Of the training, all its stages together; `ppca` takes none. Default: the preset's.",
            validator=validators.Number(gte=1),
        ),
    ] = None,
    split: _Split = None,
    val: _Val = None,
    licence: _Licence = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a lifter, which gives 3D poses for keypoints, on simulated views of a store's poses."""
    from vipe.lift.presets import configurations, train

    start = time.perf_counter()
    configurations(kind, preset, steps=steps)  # refuses a kind that there is not, before the store is read
    poses, validation = _poses(store, split, val)
    with _reported() as report:
        settings: dict[str, Any] = {"preset": preset, "steps": steps, "seed": seed}
        model = train(kind, poses, validation, out, **settings, progress=report, data=_told(store, licence))
    history, figures = _history(out)
    result = {
        "lifter": str(out),
        "kind": model.kind,
        "preset": preset,
        "steps": sum({line["stage"]: line["step"] for line in history}.values()),
        "seconds": round(time.perf_counter() - start, 3),
        "validation": figures,
    }
    text = [f"{out}: {preset} {kind} in {result['seconds']:.0f} s"]
    if history:
        shown = [f"{label} {figures[name]:.0f}" for name, label in _LIFTER_CHECKS.items() if name in figures]
        text += [f"validation, mm: {', '.join(shown)}", _picture(out, history)]
    emit(result, *text, as_json=as_json)


def _poses(store: Path, split: Path | None, val: Path | None) -> "tuple[Array, Array]":
    """Poses to train on, and to validate on."""
    from vipe.cli.options.splits import clips_of_part
    from vipe.errors import StoreError, VipeError
    from vipe.store import PoseStore

    if split is not None and val is not None:
        raise VipeError("--split and --val both name the clips to validate on; give one of them")
    opened = PoseStore.open(store)
    if split is None:
        clips = [clip["clip"] for clip in opened.clips()]
        validated = [] if val else clips[::10]
        if not val and len(clips) < 2:
            raise StoreError(f"{store}: one clip cannot be split into training and validation; give --val STORE")
        trained = [clip for clip in clips if clip not in set(validated)]
    else:
        trained, validated = (clips_of_part(split, part, opened) for part in ("train", "val"))
    poses = opened.poses({"clip": trained})
    return poses, PoseStore.open(val).poses() if val else opened.poses({"clip": validated})


def _told(store: Path, licence: str) -> "Told":
    """What the model card says of the data."""
    from vipe.shareable import command_line
    from vipe.store import PoseStore
    from vipe.training.card import Told

    stated = str(PoseStore.open(store).summary["licence"])
    return Told(data=store.absolute().name, licence=licence or stated, command=command_line())


@contextmanager
def _reported() -> "Iterator[Callable[[str, int, int, Mapping[str, float]], None]]":
    """What a training calls every few steps, to move its progress bar."""
    with progress() as advance:

        def report(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in list(metrics.items())[:4])
            advance(stage, step, steps, shown)

        yield report


def _history(out: Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The history of a finished training, and its last validation figures; empty for one that takes no steps."""
    file = out / "history.jsonl"
    history = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    last = history[-1] if history else {}
    return history, {name: value for name, value in last.items() if name.startswith("val_")}


def _picture(out: Path, history: list[dict[str, Any]]) -> str:
    """Draw the history beside the model, and say where, or why not."""
    from vipe.errors import VipeError
    from vipe.plots.curves.history import save_history

    try:
        save_history(out / "history.png", history)
    except VipeError as error:  # a package that is missing, a full disk: the model is there all the same
        return f"no picture: {error}"
    return f"picture: {out / 'history.png'}"
