"""How fast cameras are fitted to candidates, beside scipy.optimize.least_squares on the same problem.

    python benchmarks/fit.py [--people 200] [--candidates 200] [--rounds 5] [--scipy 40] [--json]

Random bodies seen by random cameras with noise 0.03; the candidates of a person are the right pose and the nearest of
the others by affine residual, as in a search. Two settings: as `vipe.query` uses it (only the best go on after one
step), and every candidate to the end. scipy solves a sample of the same problems in float64, from both of the starts
that the solver has, with its own defaults; the share of its minima that the second setting reaches (relative 1e-3) is
printed with the times. The best round of each counts.
"""

import json
import time

import numpy as np
import torch
from inputs import arguments
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from vipe.detections import Keypoints, normalize_keypoints
from vipe.geometry import canonicalize_array
from vipe.retrieve import BONE_GROUPS, CameraPrior, fit_cameras
from vipe.retrieve.camera.problem import JOINTS, Layout, Problem
from vipe.retrieve.camera.start import mirrored_starts
from vipe.retrieve.candidates.scan import scan
from vipe.simulate import random_views, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

BODY = load("h36m17")
SEEN = list(COCO13_IN_H36M17)
ORDER = [load("coco13").index(joint) for joint in JOINTS]
ALL = CameraPrior(student=None, steps=8, further_steps=0)


def residuals_of(pose: np.ndarray, unit: np.ndarray, config: CameraPrior):
    """The model of `fit_cameras`, Gaussian noise: of rotation vector, log scale, inverse_depth, shift and bones."""
    names = [BODY.joints[child].removeprefix("left_").removeprefix("right_") for _, child in BODY.bones]
    group = [BONE_GROUPS.index(name) if name in BONE_GROUPS else len(BONE_GROUPS) for name in names]
    carries = np.zeros((17, 16))  # which bones lead to each joint
    for bone, (parent, child) in enumerate(BODY.bones):
        carries[child] = carries[parent]
        carries[child, bone] = 1
    carries = carries[SEEN]
    vectors = np.array([pose[child] - pose[parent] for parent, child in BODY.bones], dtype=np.float64)

    def residuals(p: np.ndarray) -> np.ndarray:
        factor = np.append(p[7:], 0)[group]
        Y = carries @ (vectors * (1 + factor[:, None])) @ Rotation.from_rotvec(p[:3]).as_matrix().T
        image = np.exp(p[3]) * Y[:, :2] / (1 + p[4] * Y[:, 2:]) + p[5:7]
        prior = [(p[4] - config.inverse_depth) / config.inverse_depth_spread, *(p[7:] / config.bone_spread)]
        return np.concatenate([((image - unit) / np.hypot(config.noise, config.misfit)).ravel(), prior])

    return residuals


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scipy", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    generator = np.random.default_rng(0)
    clips = list(synthesize(minutes=10.0, fps=10.0, generator=generator))
    world = np.concatenate([clip.positions for clip in clips])
    gallery = canonicalize_array(world).poses
    chosen = generator.choice(len(world), size=options.people, replace=False)
    views = random_views(options.people, generator=generator)
    people = simulate_keypoints(world[chosen], views, generator=generator)
    people = Keypoints.of(people.xy)
    unit = normalize_keypoints(people)[0]
    rows, _ = scan(torch.from_numpy(gallery), torch.tensor(SEEN), torch.from_numpy(unit), options.candidates)
    poses = gallery[rows.numpy()]
    fits = poses.shape[0] * poses.shape[1]

    settings = {"as in a search": CameraPrior(), "every candidate, 8 steps": ALL}
    cores = torch.get_num_threads()
    rate: dict[str, float] = {}
    cpu: dict[str, float] = {}  # time on all cores together: says the same when other programs use the machine
    for _ in range(options.rounds):
        for name, config in settings.items():
            for threads in sorted({1, cores}):
                torch.set_num_threads(threads)
                start, used = time.perf_counter(), time.process_time()
                fit_cameras(poses, people, config)
                used = (time.process_time() - used) / fits
                key = f"{name}, {threads} core" + ("s" if threads > 1 else "")
                cpu[key] = min(cpu.get(key, np.inf), used)
                rate[key] = max(rate.get(key, 0.0), fits / (time.perf_counter() - start))
    torch.set_num_threads(cores)

    cost = fit_cameras(poses, people, ALL).cost
    sample = [
        (int(q), int(generator.integers(options.candidates)))
        for q in generator.integers(options.people, size=options.scipy)
    ]
    seconds, reached = 0.0, 0
    for q, k in sample:
        problem = Problem.of(
            torch.from_numpy(poses[q, k].reshape(1, 51)),
            torch.from_numpy(np.ascontiguousarray(unit[q, ORDER][..., None])),
            torch.full((13, 1), 1 / (ALL.noise**2 + ALL.misfit**2)),
            ALL,
        )
        residuals = residuals_of(poses[q, k], unit[q].astype(np.float64), ALL)
        starts = mirrored_starts(problem)[:2]
        start = time.perf_counter()
        best = np.inf
        for state in starts:
            turn = Rotation.from_matrix(state[Layout.ROTATION, 0].reshape(3, 3).numpy()).as_rotvec()
            first = [*turn, np.log(max(float(state[Layout.SCALE, 0]), 1e-3)), ALL.inverse_depth, 0, 0, *np.zeros(9)]
            best = min(best, 2 * least_squares(residuals, first).cost)
        seconds += time.perf_counter() - start
        reached += cost[q, k] <= best * 1.001 + 1e-3
    rate["scipy.optimize.least_squares"] = len(sample) / seconds
    result = {
        "cores": cores,
        "fits": fits,
        "fits_per_second": {name: round(value, 1) for name, value in rate.items()},
        "cpu_microseconds_per_fit": {name: round(value * 1e6, 2) for name, value in cpu.items()},
        "times_scipy": {name: round(value / rate["scipy.optimize.least_squares"], 1) for name, value in rate.items()},
        "share_of_scipy_minima_reached": reached / len(sample),
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{fits:,} fits, best of {options.rounds} rounds")
    for name, value in rate.items():
        used = f"{cpu[name] * 1e6:8.2f} us of CPU a fit" if name in cpu else ""
        print(f"  {name:<36} {value:12,.0f} fits/s {value / rate['scipy.optimize.least_squares']:8,.0f}x {used}")
    print(f"  minima of scipy reached (1e-3): {reached} of {len(sample)}")


if __name__ == "__main__":
    main()
