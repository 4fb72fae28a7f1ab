"""How near synthetic mocap comes to real mocap: spectrum, joint angles, nearest neighbours, share of poses covered.

    python benchmarks/synthetic_vs_real.py --real ../shared/mocap --minutes 60 300 1000 --out out

Distance is Procrustes-aligned MPJPE (rotation, scale, shift) between canonical poses, in torso lengths; candidates are
the nearest by plain L2. Poses at 10 per second. Each real set also stands as a library for the others, so that the
shares have something to be measured by: what an archive of other people doing other things covers. Writes
`synthetic_vs_real.png` and prints tables in Markdown (or `--json`).
"""

import json
import time
from pathlib import Path
from typing import Any

import faiss
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from inputs import FPS, MOCAP, arguments

from vipe.geometry import canonicalize_array, procrustes_mpjpe
from vipe.readers import read
from vipe.simulate.motion import synthesize
from vipe.skeletons import load

SETS = ("bandai-namco-1", "bandai-namco-2", "cmu")
NEAR = 0.15  # torso lengths
J = {name: i for i, name in enumerate(load("h36m17").joints)}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--real", type=Path, default=MOCAP, help="folder with the real sets' archives")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--minutes", nargs="+", type=float, default=[60.0, 300.0, 1000.0], help="sizes of the library")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--queries", type=int, default=4000, help="poses of each real set, drawn at random; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", action="store_true", help="also print the share by clip, worst first")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    archives = {name: args.real / f"{name}.tar.xz" for name in args.sets}
    archives = {name: path for name, path in archives.items() if path.exists()}
    if not archives:
        print(f"{args.real}: none of {', '.join(args.sets)} here, so everything is left out; give --real")
        return

    generator = np.random.default_rng(args.seed)
    started = time.perf_counter()
    synthetic = np.concatenate(
        [clip.positions for clip in synthesize(minutes=max(args.minutes), fps=FPS, generator=generator)]
    )
    seconds = time.perf_counter() - started
    report: dict[str, Any] = {"synthetic poses": len(synthetic), "poses per second": round(len(synthetic) / seconds)}
    started = time.perf_counter()
    frames = sum(len(clip) for clip in synthesize(minutes=20, fps=30.0, generator=generator))
    report["frames per second at 30 fps"] = round(frames / (time.perf_counter() - started))

    real = {name: thinned(path) for name, path in archives.items()}
    groups = {"synthetic": synthetic} | {name: poses for name, (poses, _) in real.items()}
    report["angles"] = {name: angle_ranges(poses) for name, poses in groups.items()}
    canonical = {name: canonicalize_array(poses).poses for name, poses in groups.items()}
    report["spectrum"] = {name: spectrum(poses) for name, poses in canonical.items()}

    distances: dict[str, dict[str, np.ndarray]] = {}
    for name, (_, clips) in real.items():
        rows = np.arange(len(clips))
        if 0 < args.queries < len(rows):
            rows = np.sort(generator.choice(len(rows), args.queries, replace=False))
        queries, distances[name] = canonical[name][rows], {}
        for minutes in args.minutes:
            part = canonical["synthetic"][: round(minutes * 60 * FPS)]
            distances[name][f"synthetic, {minutes:g} min"] = nearest(queries, part, args.candidates)
        for other in real:
            if other != name:
                distances[name][other] = nearest(queries, canonical[other], args.candidates)
        if args.labels:
            print_labels(name, clips[rows], distances[name][f"synthetic, {max(args.minutes):g} min"])
    few = np.sort(generator.choice(len(synthetic), min(2000, len(synthetic)), replace=False))
    everything = np.concatenate([canonical[name] for name in real])
    distances["synthetic"] = {"all real sets": nearest(canonical["synthetic"][few], everything, args.candidates)}
    report["neighbours"] = {
        name: {library: summary(d) for library, d in table.items()} for name, table in distances.items()
    }
    draw(report, distances, args.out)
    print(json.dumps(report, indent=1) if args.json else markdown(report, args.out))


def thinned(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A real set at 10 poses a second."""
    poses, names, target = [], [], load("h36m17")
    for clip in read(path):
        positions = clip.to(target).positions
        rows = np.unique(np.floor(np.arange(0, len(clip), clip.fps / FPS)).astype(int))
        poses.append(positions[rows])
        names += [clip.name] * len(rows)
    return np.concatenate(poses), np.array(names)


def nearest(queries: np.ndarray, library: np.ndarray, candidates: int) -> np.ndarray:
    """Distance of each query to the nearest pose of a library."""
    index = faiss.IndexFlatL2(51)
    index.add(np.ascontiguousarray(library.reshape(-1, 51)))
    _, found = index.search(np.ascontiguousarray(queries.reshape(-1, 51)), min(candidates, len(library)))
    best = []
    for start in range(0, len(queries), 500):
        rows = slice(start, start + 500)
        some = torch.from_numpy(library[found[rows]])
        best.append(procrustes_mpjpe(some, torch.from_numpy(queries[rows])[:, None]).amin(-1).numpy())
    return np.concatenate(best)


def summary(distance: np.ndarray) -> dict[str, float]:
    quantiles = np.percentile(distance, [50, 90, 99])
    return {
        "share": float((distance < NEAR).mean()),
        "share_0.1": float((distance < 0.1).mean()),
        **{f"p{p}": float(q) for p, q in zip((50, 90, 99), quantiles, strict=True)},
    }


def spectrum(canonical: np.ndarray) -> list[float]:
    """Cumulative share of variance over principal components."""
    flat = canonical.reshape(len(canonical), 51).astype(np.float64)
    values = np.linalg.eigvalsh(np.cov(flat.T))[::-1]
    return [float(v) for v in np.cumsum(values) / values.sum()]


def angle_ranges(poses: np.ndarray) -> dict[str, list[float]]:
    """Percentiles (1, 25, 50, 75, 99) of angles in degrees."""

    def bone(a: str, b: str) -> np.ndarray:
        line = (poses[:, J[b]] - poses[:, J[a]]).astype(np.float64)
        return line / np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), 1e-9)

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))

    trunk = bone("pelvis", "thorax")
    angles = {
        "trunk lean": between(trunk, np.array([0.0, 0.0, 1.0])),
        "spine bend": between(bone("pelvis", "spine"), bone("spine", "thorax")),
        "trunk twist": between(bone("right_hip", "left_hip"), bone("right_shoulder", "left_shoulder")),
        "neck to trunk": between(trunk, bone("thorax", "head")),
    }
    for name, upper, lower in (("elbow", "shoulder", "wrist"), ("knee", "hip", "ankle")):
        sides = [
            between(bone(f"{s}_{upper}", f"{s}_{name}"), bone(f"{s}_{name}", f"{s}_{lower}")) for s in ("left", "right")
        ]
        angles[f"{name} flexion"] = np.concatenate(sides)
    for name, a, b in (("arm elevation", "shoulder", "elbow"), ("hip flexion", "hip", "knee")):
        angles[name] = np.concatenate([between(bone(f"{s}_{a}", f"{s}_{b}"), -trunk) for s in ("left", "right")])
    return {name: [float(q) for q in np.percentile(value, [1, 25, 50, 75, 99])] for name, value in angles.items()}


def print_labels(name: str, clips: np.ndarray, distance: np.ndarray) -> None:
    shares = {str(clip): float((distance[clips == clip] < NEAR).mean()) for clip in np.unique(clips)}
    worst = sorted(shares.items(), key=lambda row: row[1])[:25]
    print(f"{name}, least covered: " + ", ".join(f"{clip} {100 * share:.0f}%" for clip, share in worst))


def draw(report: dict[str, Any], distances: dict[str, dict[str, np.ndarray]], out: Path) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    colour = {name: f"C{i}" for i, name in enumerate(report["spectrum"])}
    for name, cumulative in report["spectrum"].items():
        axes[0, 0].plot(range(1, 31), cumulative[:30], label=name, color=colour[name])
    axes[0, 0].set(title="PCA of canonical poses", xlabel="components", ylabel="share of variance")
    axes[0, 0].legend()
    for i, (name, table) in enumerate(report["angles"].items()):
        for k, (low, q1, middle, q3, high) in enumerate(table.values()):
            y = k + 0.18 * (i - 1.5)
            axes[0, 1].plot([low, high], [y, y], color=colour[name], lw=1)
            axes[0, 1].plot([q1, q3], [y, y], color=colour[name], lw=4)
            axes[0, 1].plot(middle, y, "|", color="k", ms=8)
    axes[0, 1].set_yticks(range(len(table)), list(table))
    axes[0, 1].set(title="Joint angles: percentiles 1-99, 25-75, 50", xlabel="degrees")
    for name in report["neighbours"]:
        sizes = [library for library in distances[name] if library.startswith("synthetic")]
        for library in sizes:
            x = np.sort(distances[name][library])
            line = "-" if library == sizes[-1] else ":"
            y = np.arange(1, len(x) + 1) / len(x)
            axes[1, 0].plot(x, y, line, color=colour[name], label=f"{name}: {library}")
    axes[1, 0].axvline(NEAR, color="grey", lw=0.8)
    axes[1, 0].set(
        title="Real pose to its nearest synthetic pose", xlabel="torso lengths", ylabel="share", xlim=(0, 0.3)
    )
    axes[1, 0].legend(fontsize=8)
    for name, table in report["neighbours"].items():
        sizes = [library for library in table if library.startswith("synthetic")]
        x = [float(library.split()[1]) for library in sizes]
        if sizes:
            axes[1, 1].plot(x, [table[size]["share"] for size in sizes], "o-", color=colour[name], label=name)
    axes[1, 1].set(title=f"Share of real poses within {NEAR} torso", xlabel="minutes of synthetic motion", xscale="log")
    axes[1, 1].legend()
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "synthetic_vs_real.png", dpi=110)


def markdown(report: dict[str, Any], out: Path) -> str:
    lines = [f"{key}: {report[key]}" for key in ("synthetic poses", "poses per second", "frames per second at 30 fps")]
    lines += [
        "",
        "| poses of | nearest in | within 0.15 | within 0.1 | median | 90% | 99% |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, table in report["neighbours"].items():
        for library, row in table.items():
            shares = f"{100 * row['share']:.1f}% | {100 * row['share_0.1']:.1f}%"
            lines.append(f"| {name} | {library} | {shares} | {row['p50']:.3f} | {row['p90']:.3f} | {row['p99']:.3f} |")
    lines += [
        "",
        "| PCA: share of variance in | " + " | ".join(report["spectrum"]) + " |",
        "| --- " * (len(report["spectrum"]) + 1) + "|",
    ]
    for count in (1, 2, 5, 10, 15, 20):
        shares = " | ".join(f"{100 * cumulative[count - 1]:.1f}%" for cumulative in report["spectrum"].values())
        lines.append(f"| {count} components | {shares} |")
    lines += [
        "",
        "| degrees (1, 50, 99 percent) | " + " | ".join(report["angles"]) + " |",
        "| --- " * (len(report["angles"]) + 1) + "|",
    ]
    for angle in next(iter(report["angles"].values())):
        ranges = (f"{t[angle][0]:.0f}, {t[angle][2]:.0f}, {t[angle][4]:.0f}" for t in report["angles"].values())
        lines.append(f"| {angle} | " + " | ".join(ranges) + " |")
    return "\n".join([*lines, "", f"picture: {out / 'synthetic_vs_real.png'}"])


if __name__ == "__main__":
    main()
