"""An embedding of 32 numbers alone: search without a camera check, lift, rank correlation with 3D distances.

    python benchmarks/point_search.py STORE --split ../shared/mocap/clips.csv --part test --part cross default out/mine
    python benchmarks/point_search.py STORE --split ../shared/mocap/clips.csv --part cross --grown 1000000 default

Near-duplicates within 0.05 torso are dropped from every part. The other poses are the gallery. Each is also a query,
seen by a camera of the simulated 3DHP rig drawn at random, 4 m away. With `--grown` the gallery is the archive of
gallery_size.py and the queries are its poses of CMU; recall among the nearest 200 and 1,000 is printed too. Prints
Markdown; brackets are 95% intervals from drawing clips again. `benchmarks/retrieval_table.py` measures the other
question, one view against another.

The lift is the mean joint distance of the decoded view to the canonical pose, in torso lengths, as it stands and after
similarity alignment. The rank correlation is Spearman's, of the distance of two poses' embeddings with their 3D
distance after alignment, over 40,000 pairs.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import torch
from gallery_size import asked_rows, grown_index, people_of
from inputs import MOCAP, arguments
from scipy.stats import spearmanr

from vipe.embed import Embedder
from vipe.evaluate import CONDITIONS
from vipe.evaluate.conditions import simulate_condition
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.metrics import hits_at, pose_distance, without_near_duplicates
from vipe.geometry import canonicalize_array
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.simulate import CameraRig
from vipe.store import PoseStore

KS, DEPTHS, PAIRS = (1, 10, 20), (50, 200), 40_000


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("embedder", nargs="+", help="folders, or names of what comes with the library")
    parser.add_argument("--split", type=Path, required=True, help="table with columns clip, dataset and split")
    parser.add_argument("--part", action="append", required=True)
    parser.add_argument("--condition", action="append", default=[], help="all of the search protocol if not given")
    parser.add_argument("--grown", type=int, help="poses of the large archive")
    parser.add_argument("--real", type=Path, default=MOCAP)
    parser.add_argument("--work", type=Path, default=Path("out/grown"), help="where the large archive is kept")
    options = parser.parse_args()
    embedders = {name: Embedder.from_pretrained(name) for name in options.embedder}
    if options.grown:
        grown(options, embedders)
        return
    print(
        "| embedding | poses | keypoints | search Hit@1/10/20 | within 0.05 | recall@50/200 | lift; aligned | ranks |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for title, poses, clips in parts(options):
        canonical = canonicalize_array(poses).poses
        for name, embedder in embedders.items():
            gallery = embedder.encode_poses(poses)
            ranks = f"{rank_correlation(gallery, canonical):.3f}"
            for condition in CONDITIONS:
                if options.condition and condition.name not in options.condition:
                    continue
                generator = np.random.default_rng([0, 1])
                rig = CameraRig.load("mpi_inf_3dhp")
                people = simulate_condition(poses, rig, condition, distance=4.0, generator=generator)
                asked = embedder.encode_keypoints(people)
                distance = pose_distance(canonical[nearest(gallery, asked, max(DEPTHS))], canonical[:, None])
                cells = [name, f"{title}, {len(poses):,}", condition.name, rates(distance, 0.1, KS, clips)]
                cells += [rates(distance, 0.05, KS), rates(distance, 0.1, DEPTHS), lift(embedder, asked, canonical)]
                print("| " + " | ".join([*cells, ranks]) + " |", flush=True)
                ranks = ""


def parts(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Title, poses and clips of each data set within each part."""
    store = PoseStore.open(options.store)
    with options.split.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    for part in options.part:
        for dataset in sorted({row["dataset"] for row in table if row["split"] == part}):
            names = sorted(row["clip"] for row in table if (row["split"], row["dataset"]) == (part, dataset))
            poses = store.poses({"clip": names})
            kept = without_near_duplicates(canonicalize_array(poses).poses)
            clips = store.table(["clip"], {"clip": names})["clip"].to_numpy(zero_copy_only=False)
            yield f"{dataset} `{part}`", poses[kept], clips[kept]


def grown(options: argparse.Namespace, embedders: dict[str, Embedder]) -> None:
    store, index = grown_index(options.work, options.real, options.grown)
    asked = asked_rows(index, len(index))
    truth = index.poses(asked)
    print("| embedding | poses | keypoints | Hit@1/10/20 | recall@200/1,000 |\n| --- | --- | --- | --- | --- |")
    for name, embedder in embedders.items():
        blocks = [slice(start, start + 50_000) for start in range(0, len(index), 50_000)]
        gallery = np.concatenate([embedder.encode_poses(index.canonical[block]) for block in blocks])
        for noise, scale in {"ground truth": 0.0, "noise 0.03": 0.03}.items():
            rows = nearest(gallery, embedder.encode_keypoints(people_of(store, asked, scale)), 1000)
            distance = pose_distance(index.poses(rows), truth[:, None])
            cells = [name, f"{len(index):,}", noise, rates(distance, 0.1, KS), rates(distance, 0.1, (200, 1000))]
            print("| " + " | ".join(cells) + " |", flush=True)


def nearest(gallery: np.ndarray, asked: np.ndarray, k: int) -> np.ndarray:
    return faiss.knn(np.ascontiguousarray(asked), np.ascontiguousarray(gallery), k)[1]


def rates(distance: np.ndarray, threshold: float, ks: tuple[int, ...], clips: np.ndarray | None = None) -> str:
    hits = hits_at(distance, ks, threshold)
    shown = [f"{100 * found.mean():.1f}" for found in hits.values()]
    if clips is not None:
        low, high = bootstrap_interval(hits[ks[0]].astype(float), clips.tolist(), generator=np.random.default_rng(3))
        shown[0] += f" ({100 * low:.1f}-{100 * high:.1f})"
    return " / ".join(shown)


def lift(embedder: Embedder, asked: np.ndarray, canonical: np.ndarray) -> str:
    decoded = embedder.decode(asked)
    straight = np.linalg.norm(decoded - canonical, axis=-1).mean()
    aligned = procrustes_mpjpe(torch.from_numpy(decoded), torch.from_numpy(canonical)).mean()
    return f"{straight:.3f}; {float(aligned):.3f}"


def rank_correlation(embedded: np.ndarray, canonical: np.ndarray) -> float:
    a, b = np.random.default_rng(3).integers(len(embedded), size=(2, PAIRS))
    a, b = a[a != b], b[a != b]
    distance = np.linalg.norm(embedded[a] - embedded[b], axis=1)
    return float(spearmanr(distance, pose_distance(canonical[a], canonical[b])).statistic)


if __name__ == "__main__":
    main()
