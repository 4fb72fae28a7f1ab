"""What each recipe of an index finds, how fast, and in how many bytes; other libraries beside it on the same vectors.

    python benchmarks/index.py [--poses 1000000] [--queries 500] [--encoders affine default] [--only ivf scann]
    python benchmarks/index.py --peers --results FOLDER  # writes recipes_affine.json, recipes_default.json and pictures
    python benchmarks/index.py --only ivf ivf-pq --recall 0.95 --among 10 --results FOLDER  # recipes_affine_fast.json

The archive and the queries are those of gallery_size.py, with noise 0.03. All run on two threads at most, in one
process, one after the other, so ratios hold even where the machine is busy; a rate is queries a CPU second, what one
core would do alone. One: a query at a time, on one thread. Batch: all at once. Neighbours@10 is
the share of the exact nearest ten that are found; hit@10 and hit@200 the share of queries with a pose within 0.1 torso
of the right one. `layer` is the time beyond that of the FAISS index inside, of which a batch has 1,000 queries.

`tuned` is what `vipe index tune` leaves; the one called `auto` is what a build takes by itself. Peers (`--peers`) are
measured where they are installed: hnswlib, usearch, scann; scikit-learn always is. Each has the
settings named in its row.
"""

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from gallery_size import asked_rows, grown_store, people_of
from index_peers import DEPTH, PEERS, Measured, cpu_seconds, timed
from inputs import archive_arguments

from vipe.embed import find_encoder
from vipe.evaluate.metrics import hits_at, pose_distance
from vipe.index import PoseIndex
from vipe.index.recipe import automatic, load_recipe, shipped_recipes
from vipe.index.tuning import AT, WANTED, simulated_people, tune
from vipe.plots.curves.recall_by_speed import SpeedRow, recall_by_speed
from vipe.plots.writing import save_picture

NOISE = 0.03
ONE = 200  # queries asked one at a time
BATCH = 1000


def main() -> None:
    parser = archive_arguments(__doc__)
    parser.add_argument("--poses", type=int, default=1_000_000)
    parser.add_argument("--encoders", nargs="+", default=["affine", "default"])
    parser.add_argument("--only", nargs="+", help="recipes and peers to measure")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--recall", type=float, default=WANTED, help="that lists are tuned for")
    parser.add_argument("--among", type=int, default=AT, help="answers, for --recall")
    parser.add_argument("--results", type=Path)
    parser.set_defaults(queries=500)
    options = parser.parse_args()
    faiss.omp_set_num_threads(min(2, os.cpu_count() or 1))
    for name in options.encoders:
        rows: list[dict[str, Any]] = []
        for row in measured_with(name, options):
            rows.append(row)
            print(json.dumps({"encoder": name, **row}), flush=True)
            if options.results is not None:
                write_results(options.results, name, rows, options)


def write_results(folder: Path, name: str, rows: list[dict[str, Any]], options: Any) -> None:
    """The table of an encoder and its picture, as far as they are measured."""
    fast = (options.recall, options.among) != (WANTED, AT)
    stem = f"recipes_{name}" + ("_fast" if fast else "")
    more = (
        ["--only", *options.only, "--recall", str(options.recall), "--among", str(options.among)]
        if fast
        else ["--peers"]
    )
    result = {
        "command": shlex.join(["python", "benchmarks/index.py", *more, "--results", "benchmarks/results"]),
        "data": f"{options.poses:,} poses by {name}, {options.queries} queries with noise {NOISE}; rates a CPU second, "
        "beside other work",
        "seed": 0,
        "machine": f"{os.cpu_count()} cores ({platform.machine()})",
        "columns": {
            "search": None,
            "hit@10": 1,
            "hit@200": 1,
            "neighbours@10": 1,
            "one, /s": 0,
            "of flat": 1,
            "batch, /s": 0,
            "build, s": 0,
            "bytes": 0,
            "layer one, ms": 2,
            "layer batch, %": 0,
        },
        "rows": [list(row.values()) for row in rows],
    }
    (folder / f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if fast:
        return
    page = recall_by_speed(
        [
            SpeedRow(
                name=short_name(row["search"]),
                recall=row["hit@10"] / 100,
                queries_per_second=row["one, /s"],
                bytes=int((row["bytes"] or 0) * options.poses),
            )
            for row in rows
        ],
        recall="hit@10",
    )
    save_picture(folder / f"{stem}.png", page)


def short_name(search: str) -> str:
    """As it stands in the picture."""
    return search.replace(", tuned to ", " ").replace(" of lists", "").split(",")[0]


def measured_with(name: str, options: Any) -> Iterator[dict[str, Any]]:
    """A row for every search of the vectors of one encoder."""
    store, encoder = grown_store(options.work, options.real, options.poses), find_encoder(name)
    path = (
        options.work / f"index-{options.poses}-flat" if name == "affine" else options.work / f"{name}-{options.poses}"
    )
    index = PoseIndex.open(path) if path.exists() else PoseIndex.build(store, encoder, path, recipe="flat")
    asked = asked_rows(index, options.queries)
    truth = index.poses(asked)
    queries = np.ascontiguousarray(encoder.encode_keypoints(people_of(store, asked, NOISE)), dtype=np.float32)
    many = np.resize(queries, (BATCH, queries.shape[1]))
    exact = np.empty((0, 0))
    flat_rate = 0.0
    for one in searches(index, options):
        found = one.search(queries, DEPTH)
        exact = found if one.name == "flat" else exact
        hits = hits_at(pose_distance(index.poses(found), truth[:, None]), (10, DEPTH))
        each = cpu_seconds(lambda one=one: [one.search(query[None], 10) for query in queries[:ONE]]) / ONE
        batch = cpu_seconds(lambda one=one: one.search(many, 10)) / BATCH
        flat_rate = flat_rate or 1 / each
        row = {
            "search": one.name,
            "hit@10": round(100 * float(hits[10].mean()), 1),
            "hit@200": round(100 * float(hits[DEPTH].mean()), 1),
            "neighbours@10": round(
                100 * float(np.mean([np.isin(*p).mean() for p in zip(exact[:, :10], found, strict=True)])), 1
            ),
            "one, /s": round(1 / each, 1),
            "of flat": round(1 / each / flat_rate, 1),
            "batch, /s": round(1 / batch, 1),
            "build, s": round(one.build, 1),
            "bytes": None if one.bytes is None else round(one.bytes, 1),
            **layer(one, queries, many, each, batch),
        }
        yield row


def layer(one: Measured, queries: np.ndarray, many: np.ndarray, each: float, batch: float) -> dict[str, Any]:
    """What our code costs beyond the FAISS index inside."""
    if one.plain is None:
        return {"layer one, ms": None, "layer batch, %": None}
    plain = one.plain
    alone = cpu_seconds(lambda: [plain(query[None], 10) for query in queries[:ONE]]) / ONE
    together = cpu_seconds(lambda: plain(many, 10)) / BATCH
    return {
        "layer one, ms": round(1e3 * (each - alone), 3),
        "layer batch, %": round(100 * (batch / together - 1), 1),
    }


def searches(index: PoseIndex, options: Any) -> Iterator[Measured]:
    """Every recipe, `auto`, and other libraries."""

    def wanted(name: str) -> bool:
        return not options.only or name in options.only

    for name in ("flat", *(other for other in shipped_recipes("faiss_cpu") if other != "flat")):
        if not wanted(name) and name != "flat":
            continue
        coded, seconds = timed(lambda name=name: index if name == "flat" else index.recoded(name))
        yield of_recipe(name, coded, seconds)
        if load_recipe(name).has_lists:
            yield tuned(coded, seconds, options)
        del coded
    if options.peers:
        vectors = np.ascontiguousarray(index.embeddings)
        for peer, make in PEERS.items():
            if wanted(peer):
                try:
                    yield make(vectors, index.manifest.encoder.metric)
                except ImportError as error:
                    print(f"{error.name} is not installed", file=sys.stderr)


def tuned(coded: PoseIndex, seconds: float, options: Any) -> Measured:
    """As `vipe index tune` leaves it, and a build with recipe "auto"."""
    people = simulated_people(coded.encoder, len(coded), coded.poses)
    how = {"recall": options.recall, "k": options.among}
    found, more = timed(lambda: tune(coded._recipe, coded._by(), coded._exactly, people, coded.poses, **how))
    searching, search = coded._by(), found.recipe.search
    auto = "auto: " if found.recipe.name == automatic(len(coded), coded.manifest.encoder.dim).name else ""
    one = of_recipe(f"{auto}{found.recipe.name}, tuned to {search.lists:.2%} of lists", coded, seconds + more)
    return one._replace(search=lambda z, k: searching(search, z, k).rows, plain=None)


def of_recipe(name: str, index: PoseIndex, seconds: float) -> Measured:
    """A recipe, and the FAISS index inside asked in the same way."""
    engine = index.engines[0]
    recipe, inner = engine.recipe, engine.index
    more = inner.d - index.embeddings.shape[1]
    if not recipe.exact:
        flat = faiss.IndexFlat(inner.d, inner.metric_type)
        flat.add(np.pad(index.embeddings, ((0, 0), (0, more))))
        refined = faiss.IndexRefine(inner, flat)

    def plain(z: np.ndarray, k: int) -> np.ndarray:
        faiss.omp_set_num_threads(1 if len(z) == 1 else min(2, os.cpu_count() or 1))
        if recipe.exact:
            return inner.search(z, k)[1]
        depth = recipe.depth(k)
        how = faiss.IndexRefineSearchParameters(k_factor=depth / k, base_index_params=engine._options(None, depth))
        return refined.search(np.pad(z, ((0, 0), (0, more))), k, params=how)[1]

    size = len(faiss.serialize_index(inner)) / len(index)
    return Measured(name, lambda z, k: index.nearest(z, k).rows, seconds, size, plain)


if __name__ == "__main__":
    main()
