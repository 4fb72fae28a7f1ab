"""Commands that train models."""

__all__ = ["embedding"]

import json
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vipe.cli.output import Json, Seed, emit, progress


def embedding(
    store: Path,
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder of the trained embedder; an unfinished training there goes on.")],
    preset: Annotated[
        Literal["tiny", "base"], Parameter(help="`tiny`: about 90 s on 2 cores. `base`: the paper's.")
    ] = "tiny",
    val: Annotated[Path | None, Parameter(help="Store to validate on; else every tenth clip of STORE.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train V-VIPE on a store: the 3D pose VAE, then the 2D encoder with the decoder frozen.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe.embed.presets import PRESETS
    from vipe.embed.training import train
    from vipe.errors import MissingExtra, StoreError
    from vipe.plots.history import save_history
    from vipe.store import PoseStore

    start = time.perf_counter()
    opened = PoseStore.open(store)
    clips = [clip["clip"] for clip in opened.clips()]
    held = [] if val else clips[::10]
    if not val and len(clips) < 2:
        raise StoreError(f"{store}: one clip cannot be split into training and validation; give --val STORE")
    chosen = PRESETS[preset]
    with progress() as advance:
        embedder = train(
            opened.poses({"clip": [clip for clip in clips if clip not in set(held)]}),
            PoseStore.open(val).poses() if val else opened.poses({"clip": held}),
            out,
            network=chosen.network,
            config=chosen.training,
            seed=seed,
            progress=lambda stage, step, steps, metrics: advance(
                stage, step, steps, "  ".join(f"{name} {value:.3f}" for name, value in list(metrics.items())[:4])
            ),
            data=str(store),
        )
    history = [json.loads(line) for line in (out / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    result = {
        "embedder": str(out),
        "preset": preset,
        "fingerprint": embedder.fingerprint,
        "seconds": round(time.perf_counter() - start, 3),
        "validation": {name: value for name, value in history[-1].items() if name.startswith("val_")},
    }
    text = [
        f"{out}: {preset} embedder {embedder.fingerprint} in {result['seconds']:.0f} s",
        f"validation: {history[-1]['val_mpjpe']:.3f} torso from 2D, search Hit@1 {history[-1]['val_hit1']:.1%}",
    ]
    try:
        save_history(out / "history.png", history)
        text.append(f"picture: {out / 'history.png'}")
    except MissingExtra as error:
        text.append(f"no picture: {error}")
    emit(result, *text, as_json=as_json)
