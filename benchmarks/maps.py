"""Maps of an archive: how long they take, how large their pages are, how true they are; and ways to place new poses.

    python benchmarks/maps.py STORE [STORE ...] [--limit 100000] [--results benchmarks/results]

Every store is embedded and mapped by UMAP and by t-SNE. On the first one 2,000 poses are then left out of a UMAP and
placed on it: by `vipe.plots.embedding_map.layout.place` with several numbers of neighbours, and by umap-learn's own
`transform`. `--results` writes maps.json and map_placing.json there; without it they are printed.
"""

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from inputs import arguments

from vipe import Embedder, PoseIndex, PoseStore
from vipe.cores import usable_cores, use_cores
from vipe.plots.embedding_map.labels import label_map
from vipe.plots.embedding_map.layout import EmbeddingMap, lay_out, place
from vipe.plots.embedding_map.measures import knn_purity, trustworthiness
from vipe.plots.embedding_map.nearest import nearest_in
from vipe.plots.embedding_map.page import save_map_page

MACHINE = "2 cores (x86-64), no GPU"
HELD_OUT = 2000
NEIGHBOURS = 15


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("stores", type=Path, nargs="+")
    parser.add_argument("--embedder", default="default")
    parser.add_argument("--limit", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="", help="what the stores hold, for the results")
    parser.add_argument("--results", type=Path, help="folder for the JSON files")
    options = parser.parse_args()
    use_cores(usable_cores())
    about = {"command": f"python benchmarks/maps.py {' '.join(['STORE'] * len(options.stores))}", "data": options.data}
    about |= {"seed": options.seed, "machine": MACHINE}
    tables = {"maps": {**about, "columns": COLUMNS, "rows": []}, "map_placing": {**about, "columns": PLACING}}
    with TemporaryDirectory() as folder:
        for number, store in enumerate(options.stores):
            embedder = Embedder.from_pretrained(options.embedder)
            index = PoseIndex.build(PoseStore.open(store), embedder, Path(folder) / str(number), recipe="flat")
            for method in ("umap", "tsne"):
                tables["maps"]["rows"].append(measured(index, method, options.limit, options.seed, Path(folder)))
                print(json.dumps(tables["maps"]["rows"][-1]), flush=True)
            if number == 0:
                tables["map_placing"]["rows"] = placings(np.array(index.embeddings), options.seed)
    for name, table in tables.items():
        text = json.dumps(table, indent=1)
        if options.results is None:
            print(text)
        else:
            (options.results / f"{name}.json").write_text(text + "\n", encoding="utf-8")


COLUMNS = {
    "poses": 0, "of": 0, "layout": None, "seconds of a core": 0, "page MB": 1, "trustworthiness": 3,
    "action": 3, "subject": 3, "clip": 3, "action in 32 numbers": 3,
}  # fmt: skip
PLACING = {"placed by": None, "ms a pose": 2, "trustworthiness": 3, "neighbours kept": 3}


def measured(index: PoseIndex, method: str, limit: int, seed: int, folder: Path) -> list[object]:
    """A row of the table of maps."""
    generator = np.random.default_rng(seed)
    start = time.process_time()
    layout = lay_out(index, method, limit, generator=generator)
    labels = label_map(index, layout, generator=generator)
    page = folder / "map.html"
    save_map_page(page, "archive", layout, labels)
    seconds = time.process_time() - start
    settings = {"neighbours": NEIGHBOURS, "generator": np.random.default_rng(seed)}
    by = {"umap": "UMAP", "tsne": f"t-SNE, {layout.settings.get('by')}"}[method]
    return [
        len(layout),
        len(index),
        by,
        seconds,
        page.stat().st_size / 1e6,
        trustworthiness(layout.embeddings, layout.xy, **settings),
        knn_purity(layout.xy, labels.action, apart=labels.clip, **settings),
        knn_purity(layout.xy, labels.subject, apart=labels.clip, **settings),
        knn_purity(layout.xy, labels.clip, **settings),
        knn_purity(layout.embeddings, labels.action, apart=labels.clip, **settings),
    ]


def placings(vectors: np.ndarray, seed: int) -> list[list[object]]:
    """Poses left out of a map and placed on it in several ways."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap

    generator = np.random.default_rng(seed)
    new = np.sort(generator.choice(len(vectors), min(HELD_OUT, len(vectors) // 10), replace=False))
    old = np.setdiff1d(np.arange(len(vectors)), new)
    model = umap.UMAP(n_neighbors=NEIGHBOURS, init="pca", random_state=seed, n_jobs=1).fit(vectors[old])
    layout = EmbeddingMap(
        rows=old,
        xy=np.asarray(model.embedding_, dtype=np.float32),
        embeddings=vectors[old],
        reach=np.ones(len(old), dtype=np.float32),
        method="umap",
        encoder="",
    )
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        f"place, {k} {'neighbour' if k == 1 else 'neighbours'}": lambda some, k=k: place(layout, some, k)
        for k in (1, 3, 5, 10, 15)
    }
    ways["umap-learn's transform"] = model.transform
    truth = nearest_in(vectors[old], vectors[new], NEIGHBOURS).rows
    rows = []
    for name, way in ways.items():
        way(vectors[new][:50])  # compiles what is compiled
        start = time.process_time()
        xy = np.asarray(way(vectors[new]), dtype=np.float32)
        spent = time.process_time() - start
        near = nearest_in(layout.xy, xy, NEIGHBOURS).rows
        kept = float(np.mean([len(np.intersect1d(a, b)) / NEIGHBOURS for a, b in zip(near, truth, strict=True)]))
        rows.append([name, 1000 * spent / len(new), trust(vectors[old], vectors[new], near), kept])
    return rows


def trust(old: np.ndarray, new: np.ndarray, near: np.ndarray) -> float:
    """Trustworthiness of placed poses: the ranks that their neighbours on the map have in the embedding."""
    total, k = 0.0, near.shape[1]
    for vector, found in zip(new, near, strict=True):
        apart = np.square(old - vector).sum(axis=1)
        total += float(np.maximum((apart < apart[found][:, None]).sum(axis=1) + 1 - k, 0).sum())
    return 1 - 2 / (len(new) * k * (2 * len(old) - 3 * k + 1)) * total


if __name__ == "__main__":
    main()
