"""What lifting_papers.py measures of each trained row, kept in measured.json.

Errors are mm of a person with a torso of 490 mm, root-aligned; the photos are those of `vipe evaluate lifting`.
Whatever is chosen is chosen on `val`.
"""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lifting_papers_data import Part
from lifting_papers_rows import ROWS

from vipe.evaluate import consistency_metrics as consistency
from vipe.evaluate import distribution_metrics as distribution
from vipe.evaluate import lifting_metrics as errors
from vipe.evaluate.conditions import CONDITIONS
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.lifting_calibration import radial_calibration
from vipe.evaluate.protocols.lifting import AMBIGUOUS, LiftingProtocol, LiftingViews, simulate_lifting
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.lift.aggregation.one_pose import mean_pose, weak_perspective, weighted_mean
from vipe.lift.aggregation.reduce import reduce_hypotheses
from vipe.lift.condition import Condition
from vipe.lift.flow.noise import noise_around
from vipe.lift.hypotheses import Hypotheses
from vipe.lift.lifter import TrainedLifter
from vipe.lift.ordinal import oracle_relations, ordinal_scores, predict_relations
from vipe.lift.propose.losses import flow_nll, joint_distance
from vipe.lift.propose.network import ProPose
from vipe.lift.training import LifterTrainingConfig
from vipe.lift.views import simulate_lift_views
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.training.draws import Draws

NOISY, AMBIGUOUS_NAME = "noise 0.03", AMBIGUOUS.name
MAIN = {  # photos of the main rows, as far as a table has them
    "regression": (NOISY, "1 missing", "2 missing"),
    "mdn": (NOISY, AMBIGUOUS_NAME, "1 missing", "2 missing"),
    "cvae": (NOISY, AMBIGUOUS_NAME),
    "flow": (NOISY, AMBIGUOUS_NAME),
    "propose": (NOISY,),
}
SAMPLES = 200
CURVE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DEPTHS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)  # torso lengths, of which the noise baseline has the best on `val`
SHARPNESS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, np.inf)  # of the soft-max; the best on `val` is taken

_MM = 1000.0
_MOST_ACTIONS = 20  # more are grouped by their first word
_FAR = 10.0  # metres: no error is larger

Figures = dict[str, Any]


def conditions(name: str) -> tuple[str, ...]:
    """The photos that a row is measured on."""
    if ROWS[name].main:
        return MAIN[ROWS[name].kind]
    return (AMBIGUOUS_NAME,) if ROWS[name].kind == "flow" else (NOISY,)


def measure(names: list[str], parts: Mapping[str, Part], options: Namespace) -> Figures:
    """Figures by row, split and condition; what measured.json holds already is not measured again."""
    file: Path = options.out / "measured.json"
    found: Figures = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    for name in names:
        lifter = TrainedLifter.from_pretrained(options.out / name)
        for part in [one for one in ("test", "cross") if one in parts]:
            for condition in conditions(name):
                key = f"{name}, {part}, {condition}"
                if key not in found:
                    views = photographed(parts[part], condition, options.queries)
                    found[key] = figures(lifter, views) | of_kind(lifter, views)
                    if condition == NOISY and getattr(lifter.model, "relations", None) is not None:
                        chosen = photographed(parts["val"], condition, options.queries)
                        found[key] |= ranked(lifter, views, chosen)
                    file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
                    print(key, {one: round(found[key][one]["error"], 1) for one in ("single", "best 200")}, flush=True)
        if isinstance(lifter.model, ProPose) and (key := f"{name}, inside") not in found:
            found[key] = inside_propose(lifter.model, parts["test"], options.queries)
        if f"{name}, history" not in found:
            found[f"{name}, history"] = history(options.out / name)
        file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if {"flow", "cvae"} <= set(names) and "curve" not in found:
        lifters = {name: TrainedLifter.from_pretrained(options.out / name) for name in ("flow", "cvae")}
        found["curve"] = curve(lifters, parts, options.queries)
        file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found


def photographed(part: Part, name: str, queries: int) -> LiftingViews:
    """Simulated photos of evenly spaced poses of a split, each the same for all lifters."""
    rows = np.linspace(0, len(part.poses) - 1, min(queries, len(part.poses))).round().astype(int)
    condition = AMBIGUOUS if name == AMBIGUOUS.name else next(one for one in CONDITIONS if one.name == name)
    action = part.action[rows]
    if len(np.unique(part.action)) > _MOST_ACTIONS:
        action = np.array([one.replace(",", " ").split()[0] for one in action])
    return simulate_lifting(part.poses[rows], part.clip[rows], action, condition, LiftingProtocol())


def figures(lifter: TrainedLifter, views: LiftingViews) -> Figures:
    """What every row has: errors of the single pose and of samples, and calibration."""
    people, truth = views.people, views.truth
    drawn = lifter.sample(people, SAMPLES, torch.Generator().manual_seed(0))
    poses = drawn.poses
    curve = radial_calibration(poses, truth)
    every = each(poses, truth)
    return {
        "single": scored(lifter.predict(people)[:, None], views),
        "mean": scored(mean_pose(torch.from_numpy(poses)).numpy()[:, None], views),
        **{f"best {count}": summed_up(every, count, views) for count in (1, 5, 10, SAMPLES)},
        "ece": curve.ece,
        "area": curve.signed_area,
        "energy": float(distribution.energy_score(poses, truth).mean()) * _MM,
        "spread": (distribution.spread(poses).mean(axis=0) * _MM).tolist(),
    }


def scored(poses: np.ndarray, views: LiftingViews) -> Figures:
    """Figures of all hypotheses given."""
    return summed_up(each(poses, views.truth), poses.shape[1], views)


def each(poses: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics of each hypothesis, (N, M): errors in metres, shares of joints, areas in mm."""
    metrics = {
        "error": errors.mpjpe,
        "aligned": errors.p_mpjpe,
        "pck": errors.pck,
        "auc": errors.auc,
        "cps": errors.cps,
    }
    return {name: metric(poses, truth) for name, metric in metrics.items()}


def summed_up(values: Mapping[str, np.ndarray], count: int, views: LiftingViews) -> Figures:
    """Figures of the best of the first hypotheses, by each metric its own best; and of the worst."""
    few = {name: value[:, :count] for name, value in values.items()}
    best = few["error"].min(axis=1)
    low, high = bootstrap_interval(best, views.clip, generator=np.random.default_rng(0), span=(0.0, _FAR))
    return {
        "error": float(best.mean()) * _MM,
        "interval": [low * _MM, high * _MM],
        "aligned": float(few["aligned"].min(axis=1).mean()) * _MM,
        "worst": float(few["error"].max(axis=1).mean()) * _MM,
        "worst aligned": float(few["aligned"].max(axis=1).mean()) * _MM,
        "pck": 100 * float(few["pck"].max(axis=1).mean()),
        "auc": 100 * float(few["auc"].max(axis=1).mean()),
        "cps": float(few["cps"].max(axis=1).mean()),
        "actions": {str(one): float(best[views.action == one].mean()) * _MM for one in np.unique(views.action)},
        "people": {str(one): int((views.action == one).sum()) for one in np.unique(views.action)},
    }


def of_kind(lifter: TrainedLifter, views: LiftingViews) -> Figures:
    """What only this kind of lifter has: kernels, clusters of samples."""
    if lifter.kind == "mdn":
        return of_kernels(lifter, views)
    if lifter.kind == "flow":
        drawn = lifter.sample(views.people, SAMPLES, torch.Generator().manual_seed(0))
        reduced = reduce_hypotheses(drawn, 5, np.random.default_rng(0))
        return {"k-means 5": scored(reduced.poses, views), "doubt": spread_where_doubtful(drawn, views)}
    return {}


def of_kernels(lifter: TrainedLifter, views: LiftingViews) -> Figures:
    """The means of the kernels as hypotheses, and how the mixing coefficients and the means spread (li2019)."""
    kernels = lifter.kernels(views.people)
    poses, log_weight = torch.from_numpy(kernels.poses), torch.from_numpy(kernels.log_weight)
    agreement = consistency.reprojection_pckh(
        kernels.poses,
        views.people.xy,
        views.people.mask,
        consistency.head_size(views.truth, views.people.xy, views.people.mask),
    )
    entropy = -(log_weight.exp() * log_weight).sum(1)
    deviation = poses.std(1, correction=0).mean(1) * _MM
    return {
        "kernels": scored(kernels.poses, views),
        "weighted mean": scored(weighted_mean(poses, log_weight).numpy()[:, None], views),
        "reprojection": 100 * float(agreement.mean()),
        "reprojection by action": {
            str(one): 100 * float(agreement[views.action == one].mean()) for one in np.unique(views.action)
        },
        "entropy": float(entropy.mean()),
        "apart": deviation.mean(0).tolist(),  # of the means, by axis
        "apart by action": {
            str(one): float(deviation[torch.from_numpy(views.action == one), 2].mean())
            for one in np.unique(views.action)
        },
    }


def spread_where_doubtful(drawn: Hypotheses, views: LiftingViews) -> Figures:
    """Spread of samples in x and y, mm: of sure and of doubtful keypoints, and what the detector says."""
    people = views.people
    assert people.covariance is not None
    poses = torch.from_numpy(drawn.poses)
    _, scale = weak_perspective(poses.mean(1), torch.from_numpy(people.xy.copy()), torch.from_numpy(people.mask.copy()))
    told = torch.from_numpy(np.trace(people.covariance, axis1=-2, axis2=-1) / 2).sqrt() / scale[:, None] * _MM
    found = poses[:, :, COCO13_IN_H36M17, :2].var(1).mean(-1).sqrt() * _MM
    wide = told > 2 * told.median()
    seen = torch.from_numpy(people.mask.copy())
    return {
        name: {"told": float(told[rows & seen].mean()), "found": float(found[rows & seen].mean())}
        for name, rows in (("doubtful", wide), ("sure", ~wide))
        if (rows & seen).any()
    }


def ranked(lifter: TrainedLifter, views: LiftingViews, chosen: LiftingViews) -> Figures:
    """The pose by ordinal ranking, with predicted relations and with true ones (sharma2019)."""
    found: Figures = {}
    for kind in ("predicted", "true"):
        tried = by_rank(lifter, chosen, kind)
        best = min(SHARPNESS, key=lambda sharpness: float(errors.mpjpe(tried[sharpness], chosen.truth).mean()))
        made = by_rank(lifter, views, kind)
        found[f"{kind} relations"] = scored(made[best], views) | {"sharpness": min(best, 1e9)}
        found[f"first by {kind}"] = scored(made[np.inf], views)
    given = predict_relations(lifter, views.people)
    pairs = ~np.eye(given.shape[1], dtype=bool)
    found["right"] = 100 * float((given == oracle_relations(views.truth))[:, pairs].mean())
    return found


def by_rank(lifter: TrainedLifter, views: LiftingViews, kind: str) -> dict[float, np.ndarray]:
    """The mean of the samples by their weights, as one hypothesis a person, for each sharpness.

    Scores are counted once: `rank_by_ordinal` would do so for each sharpness.
    """
    drawn = lifter.sample(views.people, SAMPLES, torch.Generator().manual_seed(0))
    relations = predict_relations(lifter, views.people) if kind == "predicted" else oracle_relations(views.truth)
    score = ordinal_scores(drawn, relations)
    behind = score - score.max(axis=1, keepdims=True)
    made = {}
    for sharpness in SHARPNESS:
        weight = (behind == 0).astype(float) if np.isinf(sharpness) else np.exp(sharpness * behind)
        weight /= weight.sum(axis=1, keepdims=True)
        made[sharpness] = np.einsum("nm,nmjc->njc", weight, drawn.poses).astype(np.float32)[:, None]
    return made


def inside_propose(model: ProPose, part: Part, queries: int) -> Figures:
    """Of held-out views: error of the autoencoder and of lifting, likelihood of latents, and whether they are white."""
    config = LifterTrainingConfig().views
    rows = np.linspace(0, len(part.poses) - 1, min(queries, len(part.poses))).round().astype(int)
    poses = torch.from_numpy(part.poses[rows])
    generator = torch.Generator().manual_seed(0)
    views = simulate_lift_views(poses, config.rig_views(torch.device("cpu")), config, generator)
    with torch.inference_mode():
        features = views.condition.features()
        latents = model.latents(views, Draws(views.poses, generator))
        made = model._decoded(latents.drawn[:, None], features)[:, 0]
        lifted = model.predict(views.condition)
        base = model.base(features)
        image, log_det = model.f(latents.drawn[:, None], base.code)
        white = (image[:, 0] - base.mean) * (-base.log_scale).exp()
        nll = flow_nll(image[:, 0], log_det[:, 0], base.mean, base.log_scale)
    unit = _MM * REFERENCE_TORSO / views.poses.shape[1]
    return {
        "reconstruction": float(joint_distance(made, views.poses).mean()) * unit,
        "lifting": float(joint_distance(lifted, views.poses).mean()) * unit,
        "nll": float(nll),
        "white": float(white.square().mean()),
        "white median": float(white.square().mean(0).median()),
    }


def history(folder: Path) -> Figures:
    """Validation figures after half of the steps and after all, of the first stage."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text("utf-8").splitlines()]
    checks = [line for line in lines if line["stage"] == lines[0]["stage"] and "val_mpjpe" in line]
    half = next(line for line in checks if line["step"] >= checks[-1]["step"] / 2)
    names = ("val_mpjpe", "val_best", "val_energy")
    return {"steps": checks[-1]["step"], **{name: [half[name], checks[-1][name]] for name in names}}


def curve(lifters: Mapping[str, TrainedLifter], parts: Mapping[str, Part], queries: int) -> Figures:
    """Error of the best of M on ambiguous photos of `test`: two lifters, and noise around the z = 0 of the flow."""
    views, chosen = (photographed(parts[part], AMBIGUOUS_NAME, queries) for part in ("test", "val"))

    def noisy(photos: LiftingViews, depth: float, count: int) -> np.ndarray:
        single = torch.from_numpy(lifters["flow"].predict(photos.people)) / REFERENCE_TORSO
        condition = Condition.of(photos.people)
        drawn = noise_around(single, condition, count, depth, torch.Generator().manual_seed(0))
        return (drawn.poses * REFERENCE_TORSO).numpy()

    def best(poses: np.ndarray, truth: np.ndarray) -> list[float]:
        values = errors.best_of(errors.mpjpe(poses, truth), [count for count in CURVE if count <= poses.shape[1]])
        return [float(value.mean()) * _MM for value in values.values()]

    depth = min(DEPTHS, key=lambda one: best(noisy(chosen, one, SAMPLES), chosen.truth)[-1])
    found: Figures = {"counts": CURVE, "depth": depth}
    for name, lifter in lifters.items():
        drawn = lifter.sample(views.people, CURVE[-1], torch.Generator().manual_seed(0))
        found[name] = {"best": best(drawn.poses, views.truth), "ece": radial_calibration(drawn.poses, views.truth).ece}
    poses = noisy(views, depth, CURVE[-1])
    found["noise"] = {"best": best(poses, views.truth), "ece": radial_calibration(poses, views.truth).ece}
    return found
