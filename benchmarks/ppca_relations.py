"""Relations that lifting by probabilistic PCA must show (Tome et al. 2017), each with its figures.

python benchmarks/ppca_relations.py MODEL STORE --split TABLE [--people 150] [--json]

MODEL is a lifter of kind `ppca`, trained on `train` of the store. People are from `val`. Distances are in mm of a
person with a torso of 490 mm.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from inputs import arguments, poses_of

from vipe.geometry import REFERENCE_TORSO
from vipe.lift.condition import Condition
from vipe.lift.lifter import of_unit_torso
from vipe.lift.ppca import AlignmentConfig, MixtureOfPPCA, align_poses
from vipe.lift.ppca.lifter import PPCALifter
from vipe.lift.ppca.network import PPCANetwork
from vipe.lift.ppca.prior.alignment import normalized
from vipe.lift.ppca.prior.gaussian import dimensions_for
from vipe.lift.ppca.prior.heading import turned
from vipe.lift.views import LiftViewConfig, LiftViews, simulate_lift_views
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17
from vipe.training.poses import validation_poses

MILLIMETRES = 1000 * REFERENCE_TORSO
TILT = 0.2  # known, where a relation is one of the heading
HIDDEN = ("left_wrist", "right_ankle", "left_elbow", "right_knee")
Row = tuple[str, str, str]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lifter = PPCALifter.from_pretrained(options.model)
    assert isinstance(lifter, PPCALifter), f"{options.model} is no ppca"
    train, val = (poses_of(options.store, options.split, part) for part in ("train", "val"))
    people = validation_poses(val, options.people, "cpu")
    rows = []
    for made in (
        of_prior(train),
        of_headings(lifter, people),
        of_keypoints(lifter, people),
        of_gradient(lifter, people),
    ):
        for row in made:
            rows.append(row)
            print(" | ".join(row), flush=True)
    if options.json:
        print(json.dumps(rows))


def of_prior(train: np.ndarray) -> Iterator[Row]:
    """Alignment and mixture."""
    poses = train[:: max(1, len(train) // 4000)]
    facing = np.random.default_rng(0).uniform(-np.pi, np.pi, len(poses))
    anywhere = turned(poses.astype(float), facing)  # most were recorded facing one way
    aligned = align_poses(anywhere, AlignmentConfig(components=10, mirror=False))
    rows = aligned.align(anywhere)[:, 1:].reshape(len(poses), -1)
    counts = [
        dimensions_for(np.cov(some.T))
        for some in (rows, *(normalized(one)[:, 1:].reshape(len(one), -1) for one in (poses, anywhere)))
    ]
    told = f"{counts[0]}", f"{counts[1]} as recorded, {counts[2]} facing anywhere"
    yield "aligned poses need fewer components for 95% of the variance", *told
    at_once = align_poses(anywhere, AlignmentConfig(components=10, first=10, mirror=False))
    objectives = [f"{one.objective[-1]:.3f} nats a pose" for one in (aligned, at_once)]
    yield "a basis grown to 10 fits better than one of 10 at once", *objectives
    steps = np.diff(MixtureOfPPCA(5, 28, noise_floor=0.005, tol=1e-3, random_state=0).fit(rows).lower_bounds_)
    yield "the likelihood never falls in EM", f"least step {steps.min():.1e} nats", f"{len(steps)} steps"


def of_headings(lifter: PPCALifter, people: torch.Tensor) -> Iterator[Row]:
    """Poses of the model, seen by a camera of weak perspective and known tilt without errors."""
    known = lifter.adjusted(tilt=(TILT,), roll=(0.0,), nominal_noise=0.0)
    camera = known.model.geometry.views.camera[0].float()
    sharp = PPCANetwork(replace(known.model.config, misfit=1e-3))
    state = known.model.state_dict()
    sharp.load_state_dict(state | {"noise": torch.full_like(state["noise"], 1e-8)})
    exact = PPCALifter(sharp)
    drawn = sharp.geometry.prior.draw(
        torch.multinomial(state["weight"], len(people), replacement=True, generator=torch.Generator().manual_seed(0)),
        torch.Generator().manual_seed(1),
    )
    truth = of_unit_torso(torch.cat([torch.zeros_like(drawn[:, :1]), drawn], dim=1)).float()
    single = (lifted(exact, truth, camera) - truth).norm(dim=-1).mean(-1) * MILLIMETRES
    apart = []
    for angle in (0.5, 1.0, 2.0, math.pi):
        turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
        again = lifted(exact, truth @ turn.mT, camera) @ turn
        apart.append((again - truth).norm(dim=-1).mean(-1) * MILLIMETRES)
    off = torch.cat(apart)
    shown = f"off by {off.median():.1f} mm when turned", f"{single.median():.1f} mm before (medians)"
    yield "turning a person of the model turns the answer", *shown
    with torch.inference_mode():
        many = exact.model.sample(seen(truth @ camera.mT), 200, torch.Generator().manual_seed(2)).poses @ camera
    best = (many - truth[:, None]).norm(dim=-1).mean(-1).amin(1) * MILLIMETRES
    told = f"single pose: median {single.median():.1f} mm", f"best of 200: median {best.median():.1f} mm"
    yield "a pose of the model comes back from its exact image", *told


def of_keypoints(lifter: PPCALifter, people: torch.Tensor) -> Iterator[Row]:
    """Noise and missing joints."""
    for noise in (0.02, 0.04, 0.06):
        views = photographed(people, noise)
        condition = views.condition
        _, implied = lifter.layer()(condition.xy, condition.seen, condition.covariance)
        off = [float((xy - views.exact).norm(dim=-1).mean()) for xy in (implied, condition.xy)]
        told = f"{off[0]:.4f} RMS radii", f"{off[1]:.4f} given: {100 * (1 - off[0] / off[1]):.0f}% nearer"
        yield f"reprojected keypoints lie nearer to the truth, noise {noise}", *told
    views, errors = photographed(people, 0.03), []
    for count in range(len(HIDDEN) + 1):
        mask = views.condition.seen.clone()
        mask[:, [COCO13.index(joint) for joint in HIDDEN[:count]]] = False
        with torch.inference_mode():
            found = lifter.model.predict(replace(views.condition, seen=mask))
        errors.append(float((found - views.poses).norm(dim=-1).mean()) * MILLIMETRES)
    told = ", ".join(f"{error:.1f}" for error in errors)
    yield "missing joints cost little each", f"{told} mm", "with 0 to 4 missing"


def of_gradient(lifter: PPCALifter, people: torch.Tensor) -> Iterator[Row]:
    """The derivative of the implied by the given keypoints."""
    layer, worst = lifter.layer(), 0.0
    views = photographed(people[:8], 0.03)
    directions = torch.randn(8, 13, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    xy = views.condition.xy.double().requires_grad_()
    _, implied = layer(xy)
    goal = torch.randn(8, 13, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    (gradient,) = torch.autograd.grad((implied * goal).sum(), xy)
    step = 1e-6
    with torch.no_grad():
        ends = [(layer(xy + sign * step * directions)[1] * goal).sum((1, 2)) for sign in (1, -1)]
    numeric, analytic = (ends[0] - ends[1]) / (2 * step), (gradient * directions).sum((1, 2))
    worst = float(((numeric - analytic).abs() / analytic.abs().clamp(min=0.1)).max())
    yield "the gradient is that of finite differences", f"{worst:.1e} of it off at most", "8 people"


def photographed(people: torch.Tensor, noise: float) -> LiftViews:
    config = LiftViewConfig(noise=(noise, noise), missing_share=0.0, usual_share=1.0, unknown_share=0.0)
    return simulate_lift_views(people, config.rig_views(people.device), config, torch.Generator().manual_seed(0))


def lifted(lifter: PPCALifter, poses: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
    """Poses in the world's directions, from their exact images."""
    with torch.inference_mode():
        return lifter.model.predict(seen(poses @ camera.mT)) @ camera


def seen(poses: torch.Tensor) -> Condition:
    """Exact keypoints of poses in camera space, all seen."""
    xy = poses[:, COCO13_IN_H36M17, :2]
    xy = xy - xy.mean(1, keepdim=True)
    xy = xy / xy.square().sum((1, 2), keepdim=True).div(13).sqrt()
    everything = torch.ones_like(xy[..., 0], dtype=torch.bool)
    return Condition(xy, everything, torch.zeros(*xy.shape, 2), torch.zeros_like(everything[:, 0]))


if __name__ == "__main__":
    main()
