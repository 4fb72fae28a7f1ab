"""Encoding speed: poses/s and keypoints/s of an embedder, beside the matrix products in it timed alone.

python benchmarks/embed.py [MODEL ...] [--batch 1 4096] [--rounds 7] [--threads N]

A MODEL is a folder or a name; without one, untrained networks of each preset's size are timed. The matrix products are
those that a profile of the encoder lists, on arrays of the same shapes, one after another. The best round counts.
Rounds of encoder and products alternate, so that other work on the machine disturbs both.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from inputs import arguments
from products import products, times

from vipe.embed import Embedder
from vipe.embed.presets import PRESETS
from vipe.embed.vvipe.network import VVIPE
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.skeletons import load


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4096])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    embedders = {Path(model).name: Embedder.from_pretrained(model) for model in options.models}
    if not embedders:
        networks = {preset.network: name for name, preset in reversed(PRESETS.items())}
        embedders = {
            f"v-vipe {name}, untrained": Embedder(VVIPE.untrained(network, 0)) for network, name in networks.items()
        }
    poses = _poses(max(options.batch))
    seen = simulate_keypoints(poses, CameraRig.load("h36m"), noise=0.03, generator=np.random.default_rng(0))
    print(f"{options.threads} threads, torch {torch.__version__}, best of {options.rounds} rounds\n")
    print("| encoder | input | batch | rows/s | ms a batch | of which matrix products alone | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, embedder in embedders.items():
        for size in options.batch:
            calls: dict[str, Callable[[], object]] = {
                "poses": lambda embedder=embedder, size=size: embedder.encode_poses(poses[:size]),
                "keypoints": lambda embedder=embedder, size=size: embedder.encode_keypoints(seen[:size]),
            }
            for kind, call in calls.items():
                whole, alone = times(call, products(call), options.rounds, 30 if size < 100 else 1)
                print(
                    f"| {name} | {kind} | {size:,} | {size / whole:,.0f} | {1000 * whole:.2f} | {1000 * alone:.2f} "
                    f"| {whole / alone:.2f} |"
                )


def _poses(n: int) -> np.ndarray:
    clips = [clip.to(load("h36m17")) for clip in synthesize(minutes=n / 1800 + 1, generator=np.random.default_rng(0))]
    return np.concatenate([clip.positions for clip in clips])[:n]


if __name__ == "__main__":
    main()
