"""Sizes of the prior of poses, chosen on validation clips, and what more components or more angles change.

python benchmarks/ppca_choices.py STORE --split TABLE [--queries 600] [--seeds 2] [--json]

Priors of each size are fitted to `train`. `chosen by` is the MPJPE in mm of views of `val` with noise 0.03, cameras
anywhere, as in `vipe evaluate lifting --observed keypoints`. Nothing is chosen by the keypoints without noise of `val`
and `test`. A second table has the angles, with the sizes of the defaults and all tilts and rolls. Figures of sizes are
means over seeds, from which EM starts.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from inputs import arguments, poses_of

from vipe.arrays import blocks
from vipe.detections import Keypoints
from vipe.evaluate import LIFT_CONDITIONS, LiftingProtocol
from vipe.evaluate.lifting_metrics import mpjpe, p_mpjpe
from vipe.evaluate.protocols.lifting import LiftingViews, simulate_lifting
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.lift.condition import Condition
from vipe.lift.lifter import of_unit_torso
from vipe.lift.ppca import MixtureOfPPCA, align_poses
from vipe.lift.ppca.lifter import PPCAConfig, PPCALifter
from vipe.lift.ppca.prior.alignment import mirrored
from vipe.lift.ppca.training import PPCATrainingConfig

SIZES = ((1, 28), (2, 28), (3, 28), (5, 10), (5, 20), (5, 28), (5, 40), (8, 28), (12, 28))
ANGLES = ((20, False), (20, True), (40, False), (80, False), (160, False), (10_000, False))
VIEWS = (("val", "noise 0.03"), ("val", "ground truth"), ("test", "ground truth"))
CONDITIONS = {condition.name: condition for condition in LIFT_CONDITIONS}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    poses = {part: poses_of(options.store, options.split, part) for part in ("train", "val", "test")}
    views = [photographed(poses[part], options.queries, condition) for part, condition in VIEWS]
    training, default = PPCATrainingConfig(), PPCAConfig()
    alignment = align_poses(poses["train"], training.alignment)
    rows = {part: mirrored_rows(alignment.align(poses[part])) for part in ("train", "val")}
    sizes = []
    for components, dimensions in SIZES:
        found = []
        for seed in range(options.seeds):
            lifter = fitted(rows["train"], components, dimensions, training, seed)
            if (components, dimensions, seed) == (default.components, default.dimensions, 0):
                chosen = lifter
            errors = [1000 * mpjpe(lifter.predict(one.people)[:, None], one.truth).mean() for one in views]
            found.append([log_density(lifter, rows["val"]), *errors])
        row = [str(components), str(dimensions), *np.mean(found, axis=0), float(np.ptp(found, axis=0)[1])]
        sizes.append(row)
        report(row)
    angles = [[*name, *figures] for name, figures in of_angles(chosen, views[-1])]
    for row in angles:
        report(row)
    if options.json:
        print(json.dumps({"sizes": sizes, "angles": angles}))


def photographed(poses: np.ndarray, queries: int, condition: str) -> LiftingViews:
    rows = np.linspace(0, len(poses) - 1, min(queries, len(poses))).round().astype(int)
    names = np.full(len(rows), "")
    return simulate_lifting(poses[rows], names, names, CONDITIONS[condition], LiftingProtocol(observed="keypoints"))


def mirrored_rows(aligned: np.ndarray) -> np.ndarray:
    return np.concatenate([aligned, mirrored(aligned)])[:, 1:].reshape(-1, 48)


def fitted(rows: np.ndarray, components: int, dimensions: int, training: PPCATrainingConfig, seed: int) -> PPCALifter:
    """As `train_ppca`, without aligning again."""
    best: MixtureOfPPCA | None = None
    for generator in np.random.default_rng(seed).spawn(training.starts):
        mixture = MixtureOfPPCA(
            components,
            dimensions,
            noise_floor=training.noise_floor,
            tol=training.tolerance,
            random_state=generator,
        ).fit(rows)
        if best is None or mixture.lower_bound_ > best.lower_bound_:
            best = mixture
    assert best is not None
    return PPCALifter.fit(best)


def log_density(lifter: PPCALifter, rows: np.ndarray) -> float:
    parts = [gaussian.log_prob(rows) for gaussian in lifter.gaussians()]
    weighted = np.stack(parts) + np.log(lifter.model.weight.numpy())[:, None]
    return float(np.logaddexp.reduce(weighted).mean())


def of_angles(lifter: PPCALifter, seen: LiftingViews) -> Iterator[tuple[list[str], list[float]]]:
    """MPJPE and P-MPJPE in mm, how far the poses lie from those of the most angles, and how many far from them."""
    poses = {(count, refine): lifted(lifter, seen.people, count, refine) for count, refine in ANGLES}
    reference = poses[ANGLES[-1]]
    base = poses[80, False]
    for (count, refine), found in poses.items():
        apart = 1000 * np.linalg.norm(found - reference, axis=-1).mean(axis=1)
        error = 1000 * mpjpe(found[:, None], seen.truth).mean()
        change = 100 * (error / (1000 * mpjpe(base[:, None], seen.truth).mean()) - 1)
        aligned = 1000 * p_mpjpe(found[:, None], seen.truth).mean()
        name = [f"{count:,}" + (", then a search" if refine else "")]
        yield name, [error, change, aligned, float(np.median(apart)), float(100 * (apart > 20).mean())]


def lifted(lifter: PPCALifter, people: Keypoints, angles: int, refine: bool) -> np.ndarray:
    """Poses in metres; of many angles one tilt and roll after another: all aspects do not fit into memory."""
    condition = Condition.of(people)
    best = torch.full((len(people),), -torch.inf, dtype=torch.float64)
    poses = torch.zeros(len(people), 17, 3)
    tilts, rolls = lifter.model.config.tilt, lifter.model.config.roll
    each = [((tilt,), (roll,)) for tilt in tilts for roll in rolls]
    for tilt, roll in each if angles > 1000 else [(tilts, rolls)]:
        model = lifter.adjusted(tilt=tilt, roll=roll, angles=angles, refine=refine).model
        with torch.inference_mode():
            for rows in blocks(len(people), 100):
                some = condition[rows]
                evidence = model.log_evidence(some).amax(1)
                found = of_unit_torso(model.predict(some))
                better = evidence > best[rows]
                poses[rows][better] = found[better]
                best[rows] = torch.maximum(best[rows], evidence)
    return REFERENCE_TORSO * poses.numpy()


def report(row: list) -> None:
    print(" | ".join(one if isinstance(one, str) else f"{one:.2f}" for one in row), flush=True)


if __name__ == "__main__":
    main()
