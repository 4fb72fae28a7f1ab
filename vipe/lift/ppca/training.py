"""Training of the lifter of Tome et al. 2017: poses aligned, a mixture fitted to them (numpy; no gradient descent)."""

__all__ = ["PPCATrainingConfig", "fit_prior", "train_ppca"]

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.lift.ppca.lifter import PPCALifter
from vipe.lift.ppca.network import PPCAConfig
from vipe.lift.ppca.prior.alignment import AlignmentConfig, align_poses, mirrored
from vipe.lift.ppca.prior.mixture import MixtureOfPPCA
from vipe.lift.training import card_figures, validation_figures
from vipe.lift.views import LiftViewConfig, simulate_lift_views
from vipe.training.card import Told, model_card
from vipe.training.checkpoint import CheckpointFolder, refuse_other_origin
from vipe.training.loop import TrainingProgress
from vipe.training.poses import checked_poses, digest, validation_poses


@dataclass(frozen=True, kw_only=True)
class PPCATrainingConfig:
    """How a prior of poses is fitted.

    Raises:
        VipeError: If a number is out of its range.
    """

    alignment: AlignmentConfig = field(default_factory=lambda: AlignmentConfig(components=20))
    most_poses: int = 40_000  # evenly spaced among all: neighbouring frames say nearly the same
    starts: int = 3  # of EM, each from other centres; the likeliest mixture is kept
    noise_floor: float = 0.005  # of a component, as a share of the data's mean variance: about 7 mm of a person
    tolerance: float = 0.01  # nats a pose: EM stops when a step gains less
    views: LiftViewConfig = field(default_factory=LiftViewConfig)
    validation_rows: int = 300

    def __post_init__(self) -> None:
        for name, least in (("most_poses", 3), ("starts", 1), ("validation_rows", 1)):
            if getattr(self, name) < least:
                raise VipeError(f"training: {name} must be at least {least}, got {getattr(self, name)}")


def train_ppca(
    poses: Float[Array, "N 17 3"],
    validation: Float[Array, "M 17 3"],
    folder: str | Path,
    *,
    network: PPCAConfig | None = None,
    config: PPCATrainingConfig | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: TrainingProgress | None = None,
    data: str | Told = "",
) -> PPCALifter:
    """Fit a prior of poses, and leave the lifter in `folder`, as `Lifter.from_pretrained` reads it.

    It takes under a minute, so nothing is kept of one that is interrupted. Finished, and called again with the same
    arguments, it only loads.

    Args:
        poses: Joint positions: metres, world space, z up, own proportions.
        validation: Likewise, of other clips. They influence nothing; their figures go into history and card.
        folder: For the lifter. Made if it does not exist.
        network: Size of the prior, and how keypoints are compared with it.
        config: How it is fitted.
        seed: Determines the centres that EM starts from.
        device: Of the lifter that comes back; the fit itself is done by numpy.
        progress: Called after each size of the alignment's basis, each start of EM, and the validation.
        data: Name of the data, for the model card; or a `Told` with its licence and the command as well.

    Raises:
        ShapeError: If poses are not (N, 17, 3) with N at least 3, in metres, each with a canonical form.
        VipeError: If the seed is negative, or the folder cannot be written, holds something else, holds a training of
            another origin, or another process trains there.

    Reference:
        Tome et al. 2017, sec. 4.
    """
    network, config, folder = network or PPCAConfig(), config or PPCATrainingConfig(), Path(folder)
    if seed < 0:
        raise VipeError(f"training: seed must not be negative, got {seed}")
    origin = {
        "network": asdict(network),
        "training": asdict(config),
        "seed": seed,
        "poses": digest(poses),
        "validation": digest(validation),
    }
    origin = json.loads(json.dumps(origin))  # as it is read again: tuples are lists
    if (finished := _finished(folder, origin, device)) is not None:
        return finished
    checkpoints = CheckpointFolder(folder, origin)
    with checkpoints.held():
        if (finished := _finished(folder, origin, device)) is not None:  # by another process, just now
            return finished
        checkpoints.read()  # refuses one of another training
        held_out = validation_poses(validation, config.validation_rows, device)
        fitted = checked_poses("poses", poses, "cpu").numpy()
        history = _History(progress)
        lifter = fit_prior(fitted, network=network, config=config, seed=seed, progress=history.add)
        lifter.model.to(device)
        views = simulate_lift_views(
            held_out, config.views.rig_views(held_out.device), config.views, torch.Generator(device).manual_seed(0)
        )
        with torch.inference_mode():
            figures = validation_figures(lifter.model, views)
        history.add("validation", 1, 1, figures)
        lifter.card, lifter.origin = _card(lifter, figures, len(poses), seed, Told.of(data)), origin
        lines = "".join(json.dumps(line) + "\n" for line in history.lines)
        lifter.save(folder, files={"history.jsonl": lines}, replace=True)
        return lifter


def _finished(folder: Path, origin: Mapping[str, Any], device: str) -> PPCALifter | None:
    """The lifter of a training that has ended, or None."""
    if not (folder / "config.json").is_file():
        return None
    finished = PPCALifter.from_pretrained(folder, device=device)
    refuse_other_origin(folder, finished.origin, origin)
    assert isinstance(finished, PPCALifter)  # its origin names its settings
    return finished


class _History:
    """Lines of the history, each also told to the caller."""

    def __init__(self, progress: TrainingProgress | None) -> None:
        self.lines: list[Mapping[str, object]] = []
        self._progress = progress

    def add(self, stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        self.lines.append({"stage": stage, "step": step, **metrics})
        if self._progress is not None:
            self._progress(stage, step, steps, metrics)


def fit_prior(
    poses: Float[Array, "N 17 3"],
    *,
    network: PPCAConfig | None = None,
    config: PPCATrainingConfig | None = None,
    seed: int = 0,
    progress: TrainingProgress | None = None,
) -> PPCALifter:
    """Align poses, and fit the likeliest mixture of some starts to them and their mirror images.

    Args:
        poses: World space, z up, any unit; thinned to `config.most_poses`.
        network: Size of the prior.
        config: How it is fitted.
        seed: Determines the centres that EM starts from.
        progress: Called after each size of the alignment's basis, and each start of EM.

    Raises:
        ShapeError: As `align_poses`.
    """
    network, config = network or PPCAConfig(), config or PPCATrainingConfig()
    some, sizes = poses[_spaced(len(poses), config.most_poses)], config.alignment.components

    def tell(*line: Any) -> None:
        if progress is not None:
            progress(*line)

    alignment = align_poses(
        some, config.alignment, progress=lambda size, now: tell("alignment", size, sizes, {"objective": now})
    )
    aligned = alignment.align(some)
    if config.alignment.mirror:
        aligned = np.concatenate([aligned, mirrored(aligned)])
    rows: Float64[Array, "N 48"] = aligned[:, 1:].reshape(len(aligned), -1)
    best: MixtureOfPPCA | None = None
    for start, generator in enumerate(np.random.default_rng(seed).spawn(config.starts)):
        mixture = MixtureOfPPCA(
            network.components,
            network.dimensions,
            noise_floor=config.noise_floor,
            tol=config.tolerance,
            random_state=generator,
        ).fit(rows)
        tell("mixture", start + 1, config.starts, {"log_likelihood": mixture.lower_bound_})
        if best is None or mixture.lower_bound_ > best.lower_bound_:
            best = mixture
    assert best is not None  # there is at least one start
    return PPCALifter.fit(best, network)


def _spaced(count: int, most: int) -> Array:
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def _card(lifter: PPCALifter, figures: Mapping[str, float], count: int, seed: int, told: Told) -> str:
    components, dimensions, _ = lifter.model.basis.shape
    return model_card(
        f"Lifter {lifter.kind}",
        "From 13 keypoints of one person to 3D poses in camera space, by a prior of poses (Tome et al. 2017).",
        told,
        data=f"{count} poses",
        protocol=f"a mixture of {components} Gaussians of {dimensions} dimensions fitted in closed form and by EM, "
        f"seed {seed}",
        measured=f"on validation views, mm of a person with a torso of {1000 * REFERENCE_TORSO:.0f} mm",
        figures=card_figures(figures),
        limits="one person, 13 COCO keypoints. The camera is one of weak perspective, upright, of a tilt among those "
        "of its settings. Size cannot be told from one image.",
    )
