"""`vipe train`: commands that train models."""

__all__ = ["embedding"]

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from vipe.cli.output import Json, Seed, emit, progress

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


def embedding(
    store: Path,
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
        Literal["no-triplet", "no-alignment", "no-pretraining", "autoencoder", "no-augmentation"] | None,
        Parameter(help="Leave out one part of V-VIPE, to measure its effect."),
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
    split: Annotated[
        Path | None,
        Parameter(
            help="Table of clips (.csv with columns `clip` and `split`): its `train` trains, its `val` validates."
        ),
    ] = None,
    val: Annotated[Path | None, Parameter(help="Store to validate on; else every tenth clip of STORE.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train an embedder on a store. V-VIPE: the 3D pose VAE, then the 2D encoder with the decoder frozen.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from dataclasses import replace

    from vipe.cli.splits import clips_of_part
    from vipe.embed.presets import TRAIN, configurations
    from vipe.errors import MissingExtra, StoreError, VipeError
    from vipe.plots.history import save_history
    from vipe.store import PoseStore

    start = time.perf_counter()
    network, config = configurations(method, preset, ablation, keypoints=keypoints)
    if precision is not None:
        config = replace(config, precision=precision)
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
    validation = PoseStore.open(val).poses() if val else opened.poses({"clip": validated})
    with progress() as advance:

        def report(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in list(metrics.items())[:4])
            advance(stage, step, steps, shown)

        settings: dict[str, Any] = {"network": network, "config": config, "seed": seed}
        model = TRAIN[method](poses, validation, out, **settings, progress=report, data=str(store))
    history = [json.loads(line) for line in (out / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    figures = {name: value for name, value in history[-1].items() if name.startswith("val_")}
    result = {
        "embedder": str(out),
        "method": method,
        "preset": preset,
        "ablation": ablation,
        "keypoints": keypoints,
        "fingerprint": model.fingerprint,
        "seconds": round(time.perf_counter() - start, 3),
        "validation": figures,
    }
    what = " ".join(part for part in (preset, method, ablation) if part)
    names = _TOWERS_CHECKS if method == "towers" else _CHECKS
    shown = [f"{label} {figures[name]:.3f}" for name, label in names.items() if name in figures]
    text = [
        f"{out}: {what} {model.fingerprint} in {result['seconds']:.0f} s",
        f"validation: {', '.join(shown)}",
    ]
    try:
        save_history(out / "history.png", history)
        text.append(f"picture: {out / 'history.png'}")
    except MissingExtra as error:
        text.append(f"no picture: {error}")
    emit(result, *text, as_json=as_json)
