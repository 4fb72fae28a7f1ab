"""How long the exact masked search takes, beside torch's matrix product of its size and the memory's own speed.

    python benchmarks/scan.py [--poses 1000000] [--queries 100] [--seen 13 11 9 6] [--rounds 7] [--json]

The poses are synthetic motion with every joint moved at random. Each round times all
rows in turn, and the best round of each row counts. The time of all cores together is printed in brackets: it changes
less when other programs use the machine.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from inputs import arguments

from vipe.geometry import canonicalize_array
from vipe.geometry.planes import in_blocks
from vipe.retrieve.candidates.scan import PreparedGallery, affine_residual, scan
from vipe.simulate.motion import synthesize
from vipe.skeletons.working import COCO13_IN_H36M17

LIMBS_FIRST = [3, 4, 5, 6, 11, 12, 9, 10]  # coco13: elbows, wrists, ankles, knees go missing in this order


def archive(count: int, generator: np.random.Generator) -> torch.Tensor:
    moments = np.concatenate([clip.positions for clip in synthesize(clips=60, fps=10.0, generator=generator)])
    canonical = canonicalize_array(moments.astype(np.float32))
    poses = canonical.poses[~canonical.degenerate][:, COCO13_IN_H36M17]
    poses = poses[generator.integers(0, len(poses), count)]
    poses += 0.05 * generator.standard_normal(poses.shape, dtype=np.float32)
    return torch.from_numpy(poses)


def views(poses: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    xy = poses @ torch.randn(len(poses), 3, 2, generator=generator)
    size = (xy - xy.mean(1, keepdim=True)).square().sum((1, 2), keepdim=True).div(xy.shape[1]).sqrt()
    return xy + 0.03 * size * torch.randn(xy.shape, generator=generator)


def measured(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Best milliseconds of each on the clock and of all cores' time."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    for _ in range(rounds):
        for name, run in runs.items():
            start, used = time.perf_counter(), time.process_time()
            run()
            taken = 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - used)
            best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
    return best


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--poses", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--seen", type=int, nargs="+", default=[13, 11, 9, 6])
    parser.add_argument("--k", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    generator = torch.Generator().manual_seed(0)
    poses = archive(options.poses, np.random.default_rng(0))
    start = time.perf_counter()
    gallery = PreparedGallery.prepare(poses)
    prepared = time.perf_counter() - start
    people = views(poses[torch.randint(len(poses), (options.queries,), generator=generator)], generator)
    rows, torch_threads = [], torch.get_num_threads()
    for seen in options.seen:
        joints = torch.tensor(sorted(set(range(13)) - set(LIMBS_FIRST[: 13 - seen])))
        xy = people[:, joints].contiguous()
        depth = seen * (seen - 1) // 2
        left, right = torch.randn(len(xy), depth), torch.randn(depth, 16384)
        product = torch.empty(len(xy), 16384)
        tiles = len(gallery.tiles)

        def alone(left: torch.Tensor, right: torch.Tensor, product: torch.Tensor, tiles: int = tiles) -> None:
            def work(share: slice) -> None:
                out = torch.empty_like(product)
                for _ in range(share.start, tiles, torch_threads):
                    torch.mm(left, right, out=out)

            in_blocks(work, torch_threads, block=1)

        runs: dict[str, Callable[[], object]] = {
            "one": lambda joints=joints, xy=xy: scan(gallery, joints, xy[:1], options.k),
            "batch": lambda joints=joints, xy=xy: scan(gallery, joints, xy, options.k),
            "product": lambda left=left, right=right, product=product: alone(left, right, product),
            "read": gallery.tiles.sum,
        }
        best = measured(runs, options.rounds)
        few = min(len(xy), 5)
        found, residual = scan(gallery, joints, xy[:few], options.k)
        direct = torch.stack([affine_residual(poses[found[i]][:, joints], xy[i : i + 1])[0] for i in range(few)])
        rows.append(
            {
                "seen": seen,
                "one_ms": best["one"][0],
                "one_cpu_ms": best["one"][1],
                "batch_ms_per_query": best["batch"][0] / len(xy),
                "batch_cpu_ms_per_query": best["batch"][1] / len(xy),
                "product_ms_per_query": best["product"][0] / len(xy),
                "product_cpu_ms_per_query": best["product"][1] / len(xy),
                "batch_times_one": best["one"][0] * len(xy) / best["batch"][0],
                "read_gb_per_s": gallery.tiles.nbytes / best["read"][0] / 1e6,
                "one_times_read": best["one"][0] / best["read"][0],
                "largest_difference_to_direct": float((residual - direct).abs().max()),
            }
        )
    result = {
        "poses": len(poses),
        "queries": options.queries,
        "k": options.k,
        "threads": torch.get_num_threads(),
        "prepare_s": prepared,
        "gallery_mb": gallery.tiles.nbytes / 1e6,
        "rows": rows,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"{len(poses):,} poses ({result['gallery_mb']:.0f} MB, prepared in {prepared:.1f} s), best {options.k}, "
        f"{result['threads']} threads, best of {options.rounds} rounds; in brackets the time of all cores together"
    )
    for row in rows:
        print(
            f"  {row['seen']:2d} seen: one query {row['one_ms']:6.1f} ms ({row['one_cpu_ms']:.1f}), "
            f"{row['one_times_read']:.1f}x reading the gallery at {row['read_gb_per_s']:.0f} GB/s; "
            f"in {options.queries}s {row['batch_ms_per_query']:.2f} ms a query ({row['batch_cpu_ms_per_query']:.2f}), "
            f"{row['batch_times_one']:.1f} times the throughput of one; "
            f"torch.mm of that size alone {row['product_ms_per_query']:.2f} ({row['product_cpu_ms_per_query']:.2f}); "
            f"off by at most {row['largest_difference_to_direct']:.0e}"
        )


if __name__ == "__main__":
    main()
