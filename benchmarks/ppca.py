"""Lifting speed in closed form: frames/s of `ppca`, beside least squares in a loop over frames and angles.

python benchmarks/ppca.py [MODEL] [--frames 20000] [--slow 10] [--rounds 5] [--threads 2] [--cpu]

MODEL is the folder of a trained lifter, whose prior is cut to its likeliest components; without one, priors are fitted
to synthetic motion. 80 angles, one tilt. The loop is the published way: for each frame, component and angle one least
squares problem, whose least residual (here with its evidence) wins. It is timed on `--slow` frames and must give the
same poses. Rounds of both alternate.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from inputs import arguments
from products import times

from vipe.detections import Keypoints
from vipe.lift import Lifter
from vipe.lift.condition import Condition
from vipe.lift.ppca import AlignmentConfig, MixtureOfPPCA, align_poses
from vipe.lift.ppca.lifter import PPCAConfig, PPCALifter
from vipe.lift.ppca.prior.alignment import mirrored
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

TILT = 0.1  # radians
ROWS = {  # components, what of each frame is known
    "all keypoints, error not told": (1, "all"),
    "the same, three components": (3, "all"),
    "another choice of keypoints each frame": (1, "some"),
    "another covariance each keypoint": (1, "covariance"),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--slow", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu else time.perf_counter
    clips = [clip.to(load("h36m17")).positions for clip in synthesize(clips=6, generator=np.random.default_rng(0))]
    poses = np.concatenate(clips)
    lifters = {count: prior(count, poses, options.model) for count in (1, 3)}
    seen = simulate_keypoints(poses, CameraRig.load("h36m"), generator=np.random.default_rng(0), noise=0.0)
    people = seen[np.random.default_rng(1).integers(len(seen), size=options.frames)]
    print(f"{options.threads} threads, torch {torch.__version__}, best of {options.rounds} rounds\n")
    print("| of each frame | components | frames/s | of a loop, frames/s | ratio | largest difference, torsos |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (count, known) in ROWS.items():
        lifter = lifters[count]
        frames = of_frame(people if known == "all" else people[: options.frames // 10], known)
        few = frames[: options.slow]
        quick, loop = times(lambda: lifter.predict(frames), lambda: slowly(lifter, few), options.rounds, 1, clock)  # noqa: B023
        fast, slow = len(frames) / quick, len(few) / loop
        apart = np.abs(lifter.predict(few) / 0.49 - slowly(lifter, few)).max()
        print(f"| {name} | {count} | {fast:,.0f} | {slow:,.1f} | {fast / slow:,.0f} | {apart:.1e} |", flush=True)


def prior(count: int, poses: np.ndarray, model: str | None) -> PPCALifter:
    """A lifter of so many components."""
    config = PPCAConfig(tilt=(TILT,), roll=(0.0,))
    if model is None:
        alignment = align_poses(poses, AlignmentConfig(components=10, passes=3))
        aligned = alignment.align(poses)
        rows = np.concatenate([aligned, mirrored(aligned)])[:, 1:].reshape(-1, 48)
        mixture = MixtureOfPPCA(count, config.dimensions, noise_floor=0.01, tol=0.1, random_state=0).fit(rows)
        return PPCALifter.fit(mixture, config)
    found = Lifter.from_pretrained(Path(model))
    assert isinstance(found, PPCALifter), f"{model} is a {found.kind!r}, not a ppca"
    state = found.model.state_dict()
    kept = state["weight"].argsort(descending=True)[:count]
    state = {name: part[kept] for name, part in state.items()}
    state["weight"] = state["weight"] / state["weight"].sum()
    network = type(found.model)(replace(found.model.config, components=count, tilt=(TILT,), roll=(0.0,)))
    network.load_state_dict(state)
    return PPCALifter(network)


def of_frame(people: Keypoints, known: str) -> Keypoints:
    """The frames, with what is known of their keypoints."""
    generator = np.random.default_rng(2)
    mask, covariance = people.mask.copy(), None
    if known == "some":
        for row in range(len(people)):
            mask[row, generator.choice(13, size=generator.integers(0, 5), replace=False)] = False
    if known == "covariance":
        root = 6 * generator.normal(size=(len(people), 13, 2, 2))
        covariance = (root @ root.swapaxes(-1, -2) + np.eye(2)).astype(np.float32)
    return replace(Keypoints.of(people.xy, mask), covariance=covariance)


def slowly(lifter: PPCALifter, people: Keypoints) -> np.ndarray:
    """Poses in torso lengths, each frame, component and angle by itself."""
    config, model = lifter.model.config, lifter.model
    observed = model.observe(Condition.of(people))
    turns = model.geometry.views.rotations()[0].numpy()
    free = [joint - 1 for joint in COCO13_IN_H36M17]
    poses = np.zeros((len(people), 17, 3))
    parts = [getattr(model, name).numpy() for name in ("weight", "mean", "basis", "variance", "noise")]
    for row in range(len(people)):
        shown = np.repeat(observed.seen[row].numpy(), 2)
        y = observed.xy[row].numpy()[shown]
        error = observed.noise[row].numpy()[np.ix_(shown, shown)]
        best = -np.inf
        for weight, mean, basis, variance, noise in zip(*parts, strict=True):
            factors = np.vstack([config.scale_spread * mean, basis * np.sqrt(variance - noise)[:, None]])
            for turn in turns:
                shapes = np.vstack([mean[None], factors]).reshape(-1, 16, 3) @ turn.T
                images = shapes[:, free, :2].reshape(len(shapes), -1)[:, shown]
                spread = images[0].reshape(-1, 2)
                scale = 1 / np.sqrt(np.square(spread - spread.mean(0)).sum(1).mean())
                root = np.linalg.cholesky(error + scale**2 * noise * np.eye(len(y)))
                design = np.hstack([scale * images[1:].T, np.tile(np.eye(2), (len(y) // 2, 1))])
                prior_rows = np.eye(len(factors), design.shape[1])
                left = np.vstack([np.linalg.solve(root, design), prior_rows])
                right = np.concatenate([np.linalg.solve(root, y - scale * images[0]), np.zeros(len(factors))])
                solution, _, _, singular = np.linalg.lstsq(left, right, rcond=None)
                rest = right - left @ solution
                value = np.log(weight) - 0.5 * rest @ rest - np.log(singular).sum() - np.log(np.diag(root)).sum()
                if value > best:
                    best = value
                    pose = scale * (shapes[0] + np.tensordot(solution[:-2], shapes[1:], axes=1))
                    pull = np.zeros(26)
                    pull[shown] = scale**2 * noise * np.linalg.solve(root.T, rest[: len(y)])
                    pose[free, :2] += pull.reshape(13, 2)
                    poses[row, 1:] = pose
    torso = np.linalg.norm(poses[:, 7], axis=-1) + np.linalg.norm(poses[:, 8] - poses[:, 7], axis=-1)
    return np.asarray(poses / torso[:, None, None])


if __name__ == "__main__":
    main()
