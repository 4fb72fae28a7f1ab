"""Train the lifter that comes with the library, on synthetic motion alone.

python benchmarks/default_lifter.py --out out/lifter-default [--steps 10000] [--minutes 200]

The motion is `vipe.simulate.motion.synthesize` at 10 frames/s, seed 20261121; 10 minutes of seed 20261122 validate. An
interrupted run goes on when it is called again. The finished lifter is rounded to float16 in OUT/rounded, without a
card: that of `vipe/models/lifters/default` was written by hand. OMP_NUM_THREADS=1 is what its weights were made with.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from inputs import arguments

from vipe.lift.bone_flow import BoneFlowConfig
from vipe.lift.training import LifterTrainingConfig, train_lifter
from vipe.simulate.motion import synthesize
from vipe.skeletons import load

SEED = 20261121
NETWORK = BoneFlowConfig(width=448, couplings=7)  # below 8 MB as float16


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=200.0)
    options = parser.parse_args()
    poses, validation = synthetic(options.minutes, SEED), synthetic(10.0, SEED + 1)
    start = time.perf_counter()

    def tell(stage: str, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        shown = " ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        print(f"{stage} {step}/{steps} {time.perf_counter() - start:.0f} s: {shown}", flush=True)

    folder = options.out / "whole"
    config = LifterTrainingConfig(steps=options.steps)
    data = f"synthetic motion alone: vipe.simulate.motion.synthesize, {options.minutes:g} minutes, seed {SEED}"
    lifter = train_lifter(poses, validation, folder, network=NETWORK, config=config, progress=tell, data=data)
    lifter.rounded().save(options.out / "rounded")


def synthetic(minutes: float, seed: int) -> np.ndarray:
    """Poses of synthetic motion: h36m17, metres, z up."""
    clips = synthesize(minutes=minutes, fps=10.0, generator=np.random.default_rng(seed))
    return np.concatenate([clip.to(load("h36m17")).positions for clip in clips])


if __name__ == "__main__":
    main()
