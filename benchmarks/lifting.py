"""Lifting speed: hypotheses/s of each lifter, beside the matrix products in it timed alone.

python benchmarks/lifting.py [MODEL ...] [--samples 200] [--people 64] [--rounds 5] [--threads 1]

A MODEL is a folder or a name; without one, an untrained network of each kind is timed, with its default sizes. Three
calls: one sample of one person, all samples of one person, all samples of all people. The matrix products are those
that a profile of the call lists, on arrays of the same shapes, one after another. Rounds of both alternate.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from inputs import arguments
from products import products, times

from vipe.lift import Lifter
from vipe.lift.lifter import TrainedLifter
from vipe.lift.registry import NETWORKS
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.skeletons import load


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lifters = {Path(model).name: Lifter.from_pretrained(model) for model in options.models}
    if not lifters:
        lifters = {
            f"{kind}, untrained": TrainedLifter(network.untrained(network.config_type(), 0))
            for kind, network in NETWORKS.items()
        }
    clip = next(iter(synthesize(clips=1, generator=np.random.default_rng(0)))).to(load("h36m17"))
    rows = np.linspace(0, len(clip.positions) - 1, options.people).astype(int)
    people = simulate_keypoints(clip.positions[rows], CameraRig.load("h36m"), generator=np.random.default_rng(0))
    print(f"{options.threads} threads, torch {torch.__version__}, best of {options.rounds} rounds\n")
    print("| lifter | people | samples | ms | samples/s | of which matrix products alone, ms | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, lifter in lifters.items():
        for count, samples in ((1, 1), (1, options.samples), (options.people, options.samples)):
            call = _sampling(lifter, people[:count], samples)
            whole, alone = times(call, products(call), options.rounds, 1 if count > 1 else 5)
            print(
                f"| {name} | {count} | {samples} | {1000 * whole:.1f} | {count * samples / whole:,.0f} "
                f"| {1000 * alone:.1f} | {whole / alone:.2f} |"
            )


def _sampling(lifter: Lifter, people: object, samples: int) -> Callable[[], object]:
    return lambda: lifter.sample(people, samples, torch.Generator().manual_seed(0))


if __name__ == "__main__":
    main()
