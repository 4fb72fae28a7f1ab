"""Plausibility and smoothness of generated poses, compared with real poses of other clips.

python benchmarks/generation.py STORE --split ../shared/mocap/clips.csv --embedder default --embedder out/mine

Sources are poses of the table's `val` clips; joint limits, nearest poses and fitted priors are of its `train` clips.
Each source is varied along 8 directions by alpha 0.1 to 0.5. Prints Markdown.
"""

from pathlib import Path

import numpy as np
from inputs import arguments, poses_of

from vipe.embed import Embedder
from vipe.embed.generation.checks import decreasing_steps, nearest_poses, pose_difference
from vipe.embed.generation.interpolation import interpolate
from vipe.embed.generation.joint_limits import JointLimits
from vipe.embed.generation.prior import Prior
from vipe.embed.generation.samples import sample
from vipe.embed.generation.variations import vary

ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5)
WAYS = {
    "noise": {},
    "noise, as decoded": {"detail": False},
    "noise, arms alone": {"limbs": ("arms",)},
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", type=Path, required=True, help="table with columns clip and split")
    parser.add_argument("--embedder", action="append", required=True)
    parser.add_argument("--sources", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    learned, held = (poses_of(options.store, options.split, part) for part in ("train", "val"))
    limits, compared = JointLimits.learn(learned), learned[::2]
    rng = np.random.default_rng(options.seed)
    sources = held[rng.choice(len(held), size=options.sources, replace=False)]
    print(
        "| embedding | what | within limits | nearest 5 / 50 / 95% | from source | shrinks |\n|---|---|--:|--:|--:|--:|"
    )

    def row(name: str, what: str, poses: np.ndarray, away: float | None = None, back: np.ndarray | None = None) -> None:
        near = np.quantile(nearest_poses(poses[:: -(-len(poses) // 400)], compared)[0], [0.05, 0.5, 0.95])
        cells = [name, what, f"{100 * limits.within(poses).all(axis=1).mean():.1f}%"]
        cells += [" / ".join(f"{one:.3f}" for one in near), "" if away is None else f"{away:.3f}"]
        cells.append("" if back is None else f"{int(back.sum())} of {back.size}")
        print("| " + " | ".join(cells) + " |")

    row("-", "real, held out", held)
    for name in options.embedder:
        model = Embedder.from_pretrained(name)
        prior = None if model.name == "v-vipe" else Prior.fit(model.encode_poses(learned[::5]))
        for what, settings in WAYS.items():
            made = np.stack(
                [
                    vary(model, source, ALPHAS, 8, generator=np.random.default_rng(i), prior=prior, **settings)
                    for i, source in enumerate(sources)
                ]
            )
            away = np.stack([pose_difference(poses, source) for poses, source in zip(made, sources, strict=True)])
            back = decreasing_steps(away)
            for step in (1, 4):
                poses = made[:, :, step].reshape(-1, 17, 3)
                row(name, f"{what}, alpha {ALPHAS[step]}", poses, float(np.median(away[..., step])), back)
        ways = np.stack(
            [interpolate(model, *pair, 8) for pair in zip(sources, np.roll(sources, 1, axis=0), strict=True)]
        )
        away = np.stack([pose_difference(poses, source) for poses, source in zip(ways, sources, strict=True)])
        row(name, "between", ways[:, 1:-1].reshape(-1, 17, 3), float(np.median(away[:, -1])), decreasing_steps(away))
        row(name, "samples", sample(model, 400, generator=np.random.default_rng(options.seed), prior=prior))


if __name__ == "__main__":
    main()
