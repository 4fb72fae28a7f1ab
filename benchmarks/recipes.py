"""What the recipes of an index lose and gain on the affine signature: candidates kept, time of a query, bytes a pose.

    python benchmarks/recipes.py [--poses 1000000] [--queries 240] [--json]

The archive and the queries are those of gallery_size.py. Recall is the share of queries with a hit (0.1 torso) among
the 200 nearest; "same" is the share of the exact 200 that a recipe finds. One query at a time.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from gallery_size import asked_rows, grown_index, people_of

from vipe.embed import AffineSignature
from vipe.evaluate.metrics import hits_at, pose_distance
from vipe.index.recipe import shipped_recipes

DEPTH = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=Path("../shared/mocap"))
    parser.add_argument("--work", type=Path, default=Path("out/grown"), help="where the store and the index are kept")
    parser.add_argument("--poses", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=240)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.03, 0.06])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    store, index = grown_index(options.work, options.real, options.poses, "flat")
    asked = asked_rows(index, options.queries)
    truth = index.poses(asked)
    queries = {noise: AffineSignature().encode_keypoints(people_of(store, asked, noise)) for noise in options.noise}
    exact: dict[float, np.ndarray] = {}
    rows: list[dict[str, Any]] = []
    for name in shipped_recipes():
        coded = index.recoded(name)
        size = len(faiss.serialize_index(coded.engines[0].index)) / len(index)
        for noise, signatures in queries.items():
            coded.nearest(signatures[:1], DEPTH)
            start, used = time.perf_counter(), time.process_time()
            found = np.concatenate([coded.nearest(one, DEPTH)[0] for one in signatures])
            used, taken = time.process_time() - used, time.perf_counter() - start
            exact.setdefault(noise, found)
            hits = hits_at(pose_distance(index.poses(found), truth[:, None]), (1, DEPTH))
            row = {
                "recipe": name,
                "noise": noise,
                "recall": round(100 * float(hits[DEPTH].mean()), 1),
                "Hit@1": round(100 * float(hits[1].mean()), 1),
                "same": round(
                    100 * float(np.mean([np.isin(*pair).mean() for pair in zip(exact[noise], found, strict=True)])), 2
                ),
                "ms": round(1e3 * taken / len(asked), 2),
                "cpu ms": round(1e3 * used / len(asked), 2),
                "bytes a pose": round(size, 1),
            }
            rows.append(row)
            if not options.json:
                print(json.dumps(row), flush=True)
        del coded
    if options.json:
        print(json.dumps({"poses": len(index), "queries": len(asked), "rows": rows}))


if __name__ == "__main__":
    main()
