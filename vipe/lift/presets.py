"""Presets: sizes and training of a small and of a full lifter of each kind, and the one way to train any of them."""

__all__ = ["PRESETS", "configurations", "kinds", "train"]

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from jaxtyping import Float

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.lift.lifter import Lifter
from vipe.lift.ppca.network import PPCAConfig, PPCANetwork
from vipe.lift.ppca.prior.alignment import AlignmentConfig
from vipe.lift.ppca.training import PPCATrainingConfig, train_ppca
from vipe.lift.registry import NETWORKS
from vipe.lift.training import LifterTrainingConfig, train_lifter
from vipe.training.card import Told
from vipe.training.loop import TrainingProgress

PRESETS = ("tiny", "base")
"""`tiny` takes 10 to 40 seconds of a core, and shows that all works; `base` takes 15 to 20 minutes of a core.

The closed form, `ppca`, takes a few seconds and about a minute.
"""

_TINY_STEPS = 800
_TINY_WIDTH = {"width": 256}
_TINY: dict[str, Mapping[str, Any]] = {  # sizes of networks that differ from the defaults of their kind
    "bone-flow": {"width": 256, "context": 128, "flow_width": 128, "couplings": 4},
    "cvae": {"width": 256, "latent": 64, "samples": 5},
    "flow": {"width": 256, "blocks": 4, "hypotheses": 50, "critic_width": 256},
}
_BASE: dict[str, Mapping[str, Any]] = {
    "cvae": {"width": 512},
}
_BASE_STEPS = {
    "mdn": 9_000,
    "bone-flow": 16_000,
    "cvae": 3_000,
    "flow": 4_500,
}  # in about the time of 10,000 steps of the regression


def kinds() -> tuple[str, ...]:
    """The kinds of lifters that can be trained.

    >>> "regression" in kinds()
    True
    """
    return (*NETWORKS, PPCANetwork.kind)


def configurations(
    kind: str, preset: str, *, steps: int | None = None
) -> tuple[Any, LifterTrainingConfig | PPCATrainingConfig]:
    """Network and training of a kind under a preset's name.

    Args:
        kind: One of `kinds`.
        preset: One of `PRESETS`.
        steps: Of all stages together; the preset's if not given.

    Raises:
        VipeError: If there is no such kind or preset, `steps` is below 1, or the kind takes no steps.
    """
    if kind not in kinds() or preset not in PRESETS:
        raise VipeError(f"no lifter {kind!r} {preset!r}; kinds are {', '.join(kinds())}, presets {', '.join(PRESETS)}")
    if kind == PPCANetwork.kind:
        return _closed_form(preset, steps)
    network = NETWORKS[kind].config_type
    known = {field.name for field in fields(network)}
    if preset == "tiny":
        sizes = {name: size for name, size in _TINY.get(kind, _TINY_WIDTH).items() if name in known}
        training = LifterTrainingConfig(
            steps=_TINY_STEPS if steps is None else steps,
            batch=128,
            record_every=25,
            validate_every=200,
            validation_rows=200,
        )
        return network(**sizes), training
    usual = _BASE_STEPS.get(kind, LifterTrainingConfig().steps)
    return network(**_BASE.get(kind, {})), LifterTrainingConfig(steps=usual if steps is None else steps)


def train(
    kind: str,
    poses: Float[Array, "N 17 3"],
    validation: Float[Array, "M 17 3"],
    folder: str | Path,
    *,
    preset: str = "tiny",
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: TrainingProgress | None = None,
    data: str | Told = "",
) -> Lifter:
    """Train a lifter of a kind under a preset, and leave it in `folder`.

    Arguments and errors are those of `vipe.training.resume.ResumableTraining.train` and `configurations`: interrupted,
    and called again with the same arguments, it goes on where it stopped. The closed form begins anew (`train_ppca`).
    """
    network, config = configurations(kind, preset, steps=steps)
    settings: dict[str, Any] = {"network": network, "seed": seed, "device": device, "progress": progress, "data": data}
    if isinstance(config, PPCATrainingConfig):
        return train_ppca(poses, validation, folder, config=config, **settings)
    return train_lifter(poses, validation, folder, config=config, **settings)


def _closed_form(preset: str, steps: int | None) -> tuple[PPCAConfig, PPCATrainingConfig]:
    if steps is not None:
        raise VipeError(f"a lifter 'ppca' is fitted in closed form and takes no steps, got {steps}; leave them out")
    if preset == "base":
        return PPCAConfig(), PPCATrainingConfig()
    few = AlignmentConfig(components=8, passes=2)
    network = PPCAConfig(components=2, dimensions=16, angles=24)
    return network, PPCATrainingConfig(alignment=few, most_poses=4000, starts=1, validation_rows=200)
