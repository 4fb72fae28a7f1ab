"""How fast and how well Gaussians are fitted to heatmaps, beside scipy's curve_fit from the same start.

    python benchmarks/heatmaps.py [--heatmaps 16384] [--compared 1000] [--rounds 3] [--json]

A mixed set of 64 x 64 heatmaps, a fifth each: clean Gaussians of 1 to 8 pixels with axes at any angle; noisy ones; some
cut by the border; two peaks; weak ones. A residual is no worse if it is at most 1.001 times that of curve_fit plus 1e-9
of the heatmap's sum of squares. Times are CPU times: set OMP_NUM_THREADS=1.
"""

import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from inputs import arguments
from scipy.optimize import curve_fit

from vipe.detections import HeatmapGaussians, fit_gaussians

SIDE = 64
KINDS = ("clean", "noisy", "border", "two peaks", "weak")
PIXELS = np.stack(np.mgrid[:SIDE, :SIDE][::-1]).reshape(2, -1).astype(np.float64)  # x and y


def gaussian(
    pixels: np.ndarray, amplitude: float, x: float, y: float, log_xx: float, yx: float, log_yy: float
) -> np.ndarray:
    """The model on the Cholesky factor of the covariance, its diagonal as logarithms."""
    u = (pixels[0] - x) * np.exp(-log_xx)
    v = (pixels[1] - y - yx * u) * np.exp(-log_yy)
    return amplitude * np.exp(-(u * u + v * v) / 2)


def derivatives(
    pixels: np.ndarray, amplitude: float, x: float, y: float, log_xx: float, yx: float, log_yy: float
) -> np.ndarray:
    over_x, over_y = np.exp(-log_xx), np.exp(-log_yy)
    u = (pixels[0] - x) * over_x
    v = (pixels[1] - y - yx * u) * over_y
    shape = np.exp(-(u * u + v * v) / 2)
    along_v = amplitude * shape * v
    along_u = amplitude * shape * u - along_v * yx * over_y
    return np.stack([shape, along_u * over_x, along_v * over_y, along_u * u, along_v * u * over_y, along_v * v], axis=1)


def drawn(generator: np.random.Generator, amplitude: float, x: float, y: float) -> np.ndarray:
    axes, angle = generator.uniform(1, 8, 2), generator.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    (xx, _), (yx, yy) = np.linalg.cholesky(turn * axes**2 @ turn.T)
    return gaussian(PIXELS, amplitude, x, y, np.log(xx), yx, np.log(yy))


def mixed(count: int, generator: np.random.Generator) -> np.ndarray:
    """Heatmaps of all kinds in turn."""
    maps = np.empty((count, SIDE * SIDE), dtype=np.float32)
    for row in range(count):
        kind = KINDS[row % len(KINDS)]
        amplitude = generator.uniform(0.03, 0.1) if kind == "weak" else generator.uniform(0.3, 1)
        place = generator.uniform(0.2 * SIDE, 0.8 * SIDE, 2)
        if kind == "border":
            place = generator.uniform(0, SIDE - 1, 2)
            place[generator.integers(2)] = generator.choice([0, SIDE - 1]) + generator.uniform(-2, 2)
        heatmap = drawn(generator, amplitude, *place)
        if kind == "two peaks":
            apart, angle = generator.uniform(4, 30), generator.uniform(0, 2 * np.pi)
            other = place + apart * np.array([np.cos(angle), np.sin(angle)])
            heatmap = heatmap + drawn(generator, amplitude * generator.uniform(0.3, 1), *other)
        noise = {"clean": 0.0, "noisy": 0.03, "weak": 0.01}.get(kind, 0.005)
        maps[row] = heatmap + generator.normal(0, noise, heatmap.shape)
    return maps.reshape(count, SIDE, SIDE)


def by_scipy(maps: np.ndarray, jac: Callable[..., np.ndarray] | None) -> np.ndarray:
    """Parameters by curve_fit, one heatmap after the other; the start where it fails."""
    found = []
    for values in maps.reshape(len(maps), -1).astype(np.float64):
        y, x = divmod(int(values.argmax()), SIDE)
        start = [values.max(), x, y, np.log(2), 0, np.log(2)]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(curve_fit(gaussian, PIXELS, values, p0=start, jac=jac)[0])
        except RuntimeError:
            found.append(np.array(start))
    return np.stack(found)


def parameters(fitted: HeatmapGaussians) -> np.ndarray:
    factor = np.linalg.cholesky(fitted.covariance[:, 0].double().numpy())
    shape = (np.log(factor[:, 0, 0]), factor[:, 1, 0], np.log(factor[:, 1, 1]))
    return np.stack([fitted.amplitude[:, 0].double().numpy(), *fitted.mean[:, 0].double().numpy().T, *shape], axis=1)


def residuals(maps: np.ndarray, found: np.ndarray) -> np.ndarray:
    rows = zip(maps.reshape(len(maps), -1), found, strict=True)
    return np.array([((gaussian(PIXELS, *row) - values) ** 2).sum() for values, row in rows])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--heatmaps", type=int, default=16_384, help="fitted at once")
    parser.add_argument("--compared", type=int, default=1000, help="of them, also fitted by curve_fit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    torch.set_num_threads(1)
    maps = mixed(options.heatmaps, np.random.default_rng(0))
    compared = maps[: options.compared]
    batch = torch.from_numpy(maps)[:, None]
    few = max(1, len(compared) // options.rounds)  # curve_fit takes each heatmap once, a part of them each round
    best: dict[str, float] = {}

    def timed(name: str, count: int, run: Callable[[], Any]) -> Any:
        start = time.process_time()
        found = run()
        best[name] = min(best.get(name, np.inf), (time.process_time() - start) / count)
        return found

    sizes = [size for size in (16, 256, 1024, 4096) if size < len(maps)] + [len(maps)]
    reference, parts = [], [compared[start : start + few] for start in range(0, len(compared), few)]
    for part in parts:  # in turn, for other work on the machine slows all of them
        reference.append(timed("curve_fit", len(part), lambda part=part: by_scipy(part, None)))
        timed("curve_fit with derivatives", len(part), lambda part=part: by_scipy(part, derivatives))
        for size in sizes:
            timed(f"{size} at once", size, lambda size=size: fit_gaussians(batch[:size]))
    fitted = fit_gaussians(batch)
    ours = residuals(compared, parameters(fitted)[: len(compared)])
    theirs = residuals(compared, np.concatenate(reference))
    energy = (compared.astype(np.float64) ** 2).sum((1, 2))
    no_worse, better = ours <= 1.001 * theirs + 1e-9 * energy, ours < 0.999 * theirs - 1e-9 * energy
    last = f"{sizes[-1]} at once"
    result = {
        "heatmaps": len(maps),
        "compared": len(compared),
        "microseconds": {name: round(value * 1e6, 1) for name, value in best.items()},
        "times_curve_fit": {f"{size}": best["curve_fit"] / best[f"{size} at once"] for size in sizes},
        "times_curve_fit_with_derivatives": best["curve_fit with derivatives"] / best[last],
        "no_worse": float(no_worse.mean()),
        "better": float(better.mean()),
        "no_worse_by_kind": {kind: float(no_worse[i :: len(KINDS)].mean()) for i, kind in enumerate(KINDS)},
        "converged": float(fitted.converged.float().mean()),
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{len(maps):,} heatmaps of {SIDE} x {SIDE}, 1 thread, CPU time, best of {len(parts)} rounds")
    for name, value in best.items():
        print(f"  {name:<28} {value * 1e6:8.1f} us a heatmap {best['curve_fit'] / value:7.1f}x")
    print(f"  {last}, to curve_fit with derivatives: {best['curve_fit with derivatives'] / best[last]:.1f}x")
    print(f"no worse than curve_fit on {no_worse.mean():.2%} of {len(compared):,}, better on {better.mean():.2%}")
    for kind, share in result["no_worse_by_kind"].items():
        print(f"  {kind:<28} {share:.2%}")
    print(f"converged: {result['converged']:.2%}")


if __name__ == "__main__":
    main()
