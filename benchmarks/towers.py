"""Train the two towers: the embedding that comes with the library, and one on real motion capture.

python benchmarks/towers.py default --out out/towers-default
python benchmarks/towers.py mocap --store STORE --split ../shared/mocap/clips.csv --out out/towers-mocap

`default` sees synthetic motion alone: `vipe.simulate.motion.synthesize`, 400 minutes at 10 frames/s, seed 20261121.
`mocap` sees the `train` clips of a store (10 frames/s), six times over, and half of that motion. An interrupted run
goes on when it is called again. OMP_NUM_THREADS=1 is what the weights in `vipe/models/default` were made with; products
are bfloat16, which is fast on CPUs that have it (AVX512-BF16, AMX) and slow elsewhere (--precision float32).

glibc gives large tensors back to the system after each step; on Linux a step is a tenth faster with
MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=268435456.
"""

import time
from pathlib import Path

import numpy as np
from inputs import arguments, poses_of

from vipe.embed.towers.training import TowersTrainingConfig, train_towers
from vipe.geometry import canonicalize_array
from vipe.simulate.motion import synthesize

SEED = 20261121
SETTINGS = TowersTrainingConfig()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("what", choices=["default", "mocap"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="poses at 10 frames/s, for mocap")
    parser.add_argument("--split", type=Path, help="table with columns clip and split, for mocap")
    parser.add_argument("--minutes", type=float, default=400.0, help="of synthetic motion")
    parser.add_argument("--steps", type=int, default=SETTINGS.steps)
    parser.add_argument("--batch", type=int, default=SETTINGS.batch)
    parser.add_argument("--views-weight", type=float, default=SETTINGS.views_weight)
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default=SETTINGS.precision)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    poses, validation = synthetic(options.minutes, SEED), synthetic(10.0, SEED + 1)
    data = f"synthetic motion alone: vipe.simulate.motion.synthesize, {options.minutes:g} minutes, seed {SEED}"
    if options.what == "mocap":
        if options.store is None or options.split is None:
            parser.error("mocap needs --store and --split")
        real = [whole(poses_of(options.store, options.split, part)) for part in ("train", "val")]
        poses, validation = np.concatenate([real[0]] * 6 + [poses[::2]]), real[1]
        data = f"{len(real[0])} poses of motion capture, six times, and synthetic motion"
    config = TowersTrainingConfig(
        steps=options.steps,
        batch=options.batch,
        views_weight=options.views_weight,
        precision=options.precision,
    )
    start = time.perf_counter()

    def tell(stage: str, step: int, steps: int, metrics: dict[str, float]) -> None:
        shown = " ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        print(f"{stage} {step}/{steps} {time.perf_counter() - start:.0f} s: {shown}", flush=True)

    embedder = train_towers(
        poses, validation, options.out / "whole", config=config, seed=options.seed, progress=tell, data=data
    )
    embedder.rounded().save(options.out / "rounded")
    size = (options.out / "rounded" / "weights.safetensors").stat().st_size
    print(f"{options.out / 'rounded'}: float16, {size / 1e6:.2f} MB, fingerprint {embedder.rounded().fingerprint}")


def synthetic(minutes: float, seed: int) -> np.ndarray:
    clips = synthesize(minutes=minutes, fps=10.0, generator=np.random.default_rng(seed))
    return whole(np.concatenate([clip.positions.astype(np.float32) for clip in clips]))


def whole(poses: np.ndarray) -> np.ndarray:
    """The poses that have a canonical pose."""
    return poses[~canonicalize_array(poses).degenerate]


if __name__ == "__main__":
    main()
