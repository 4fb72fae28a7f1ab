"""Train regression and bone flow on recorded and synthetic motion together, half of each.

python benchmarks/mixed_lifters.py STORE --split ../shared/mocap/clips.csv --out out/lifters [--minutes 200]

Recorded: the `train` clips of the table, repeated until they are as many as the synthetic poses of
`vipe.simulate.motion.synthesize` (10 frames/s, the seed of default_lifter.py). Every second recorded `val` pose and
every sixth synthetic one of 10 other minutes validate. Builds are drawn more widely than usual (0.12). An interrupted
run goes on when it is called again. OMP_NUM_THREADS=1 is what the weights of the results were made with.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from default_lifter import SEED, synthetic
from inputs import arguments, splits

from vipe.lift.bone_flow import BoneFlowConfig
from vipe.lift.regression import RegressionConfig
from vipe.lift.training import LifterTrainingConfig, train_lifter
from vipe.store import PoseStore
from vipe.training.augment import AugmentConfig

NETWORKS = {
    "regression-mixed": (RegressionConfig(), 10_000),
    "bone-flow-mixed": (BoneFlowConfig(width=1024), 20_000),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True, help="table with columns clip and split")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=200.0, help="of synthetic motion")
    parser.add_argument("--only", choices=list(NETWORKS))
    parser.add_argument("--steps", type=int, help="train so many, to see that all of it works")
    options = parser.parse_args()
    store, split = PoseStore.open(options.store), splits(options.split)
    names = [clip["clip"] for clip in store.clips()]
    recorded, held_out = (
        store.poses({"clip": [name for name in names if split.get(name) == part]}) for part in ("train", "val")
    )
    made, made_val = synthetic(options.minutes, SEED), synthetic(10.0, SEED + 1)
    poses = np.concatenate([np.resize(recorded, made.shape), made])
    validation = np.concatenate([held_out[::2], made_val[::6]])
    for name, (network, steps) in NETWORKS.items():
        if options.only not in (None, name):
            continue
        config = LifterTrainingConfig(steps=options.steps or steps, augment=AugmentConfig(familiar=0.0, build=0.12))
        start = time.perf_counter()

        def tell(stage: str, step: int, steps: int, metrics: Mapping[str, float], since: float = start) -> None:
            shown = " ".join(f"{key} {value:.3f}" for key, value in metrics.items())
            print(f"{stage} {step}/{steps} {time.perf_counter() - since:.0f} s: {shown}", flush=True)

        data = f"{options.store} (train) and {options.minutes:g} minutes of synthetic motion"
        folder = options.out / name
        train_lifter(poses, validation, folder, network=network, config=config, progress=tell, data=data)


if __name__ == "__main__":
    main()
