"""Searches on a GPU beside the same on the CPU: are the answers the same, and how many queries a second?

    python benchmarks/gpu_index.py [--device cuda] [--poses 1000000 100000000] [--minutes 9] [--out out/gpu-index]

Nothing is read: the archive is synthetic motion, jittered and mirrored to size, and the queries are views of some of
its poses. At the first size everything runs: every recipe that the build of FAISS knows, the scan, the camera check,
the marginal likelihood, hypotheses of the shipped lifter, and whole queries of an index. At the others the scan and the
recipes that compare every pose run, for the CPU would build lists too slowly; what does not fit into memory or time is
left out, and said. `same, %` is the share of the CPU's first ten that the device gives, too; `found, %` that of the ten
nearest by the embeddings themselves; `off` the largest or median difference from the CPU. With --device cpu the same
lines run without a GPU: a check of the script, and no measurement.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch

from vipe import AffineSignature, Embedder, Keypoints, Lifter, PoseIndex, PoseStore, VipeError, query
from vipe.arrays import blocks
from vipe.clips import Clip
from vipe.crossing import to_array, to_tensor
from vipe.detections import normalize_keypoints
from vipe.geometry import canonicalize_array
from vipe.index.engines import ENGINES, gpu_number
from vipe.index.recipe import load_recipe, shipped_recipes
from vipe.retrieve.camera.perspective import Fits, fit_cameras
from vipe.retrieve.candidates.scan import PreparedGallery, scan
from vipe.retrieve.ranking.marginal_likelihood import marginal_likelihood
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.detector import NOISE_003
from vipe.simulate.motion import synthesize
from vipe.skeletons.working import COCO13_IN_H36M17, H36M17

JITTER = 0.02  # torso lengths: how far copies of a pose lie apart
K, BATCH, PEOPLE, CANDIDATES = 10, 1000, 64, 200
COMPARE_ALL = ("flat", "fp16")
SEED = 0
_BLOCK = 1 << 18
_LIMB = 9  # coco13: an elbow is missing where every pose is scanned


@dataclass(frozen=True)
class Run:
    """Where it runs, and until when."""

    device: str
    gpu: int | None
    people: int
    end: float
    least: float  # seconds that a figure is timed for

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.gpu is not None:
            torch.cuda.synchronize(self.device)

    def seconds(self, call: Callable[[], object]) -> float:
        """Of one call, after one that does not count; the best of several."""
        call()
        best, start = float("inf"), time.perf_counter()
        while True:
            self.synchronize()
            one = time.perf_counter()
            call()
            self.synchronize()
            best = min(best, time.perf_counter() - one)
            if time.perf_counter() - start > self.least:
                return best

    def free_bytes(self) -> tuple[float, float]:
        """Of the machine and of the device."""
        host = float(os.sysconf("SC_AVPHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
        return host, float(torch.cuda.mem_get_info(self.device)[0]) if self.gpu is not None else host


@dataclass(frozen=True)
class Archive:
    """Poses as they were recorded, canonical, and who is looked for."""

    recorded: np.ndarray  # metres
    poses: np.ndarray  # torso lengths, canonical
    views: Keypoints  # of `asked`
    asked: np.ndarray

    @classmethod
    def of(cls, minutes: float, people: int) -> "Archive":
        """Synthetic motion, and views of some of its poses from 3 to 5 m."""
        clips = synthesize(minutes=minutes, fps=10.0, generator=np.random.default_rng(SEED))
        recorded = np.concatenate([clip.positions for clip in clips]).astype(np.float32)
        canonical = canonicalize_array(recorded)
        recorded, poses = recorded[~canonical.degenerate], canonical.poses[~canonical.degenerate]
        asked = np.sort(np.random.default_rng(SEED).permutation(len(poses))[:people])
        generator = np.random.default_rng([SEED, 1])
        camera = CameraRig.load("h36m").cameras[0]
        seen = simulate_keypoints(recorded[asked], camera, noise=NOISE_003, generator=generator)
        return cls(recorded, poses, Keypoints.of(seen.xy, np.ones_like(seen.mask)), asked)

    def grown(self, count: int) -> np.ndarray:
        """So many canonical poses: these first, then jittered and mirrored copies."""
        grown = np.empty((count, 17, 3), dtype=np.float32)
        generator = np.random.default_rng([SEED, 2])
        for rows in blocks(count, _BLOCK):
            number = np.arange(rows.start, rows.stop)
            own = self.poses[number % len(self.poses)]
            odd = (number // len(self.poses)) % 2 == 1
            own[odd] = own[odd][:, list(H36M17.mirrored)] * np.array([1, -1, 1], dtype=np.float32)
            noise = generator.standard_normal(own.shape, dtype=np.float32) * np.float32(JITTER)
            noise[number < len(self.poses)] = 0
            noise[:, 0] = 0
            grown[rows] = own + noise
        return grown


def of_engines(run: Run, vectors: np.ndarray, z: np.ndarray, metric: str, names: tuple[str, ...]) -> Iterator[dict]:
    """Every recipe: built by the CPU, searched there and on the device."""
    exact: np.ndarray | None = None
    for name in names:
        recipe, need = load_recipe(name), _bytes(name, vectors)
        what = f"{name}, {metric}"
        if (lack := _lack(run, need)) is not None:
            yield {"what": what, "poses": len(vectors), "left out": lack}
            continue
        try:
            engine = ENGINES[recipe.engine].build(recipe, vectors, metric)  # type: ignore[arg-type]
            there = engine if run.gpu is None else engine.on_gpu(run.gpu)
        except VipeError as error:
            yield {"what": what, "poses": len(vectors), "left out": str(error)}
            continue
        if exact is None:
            exact = engine.exactly(z[:PEOPLE], K).rows
        batch: np.ndarray = np.resize(z, (BATCH, z.shape[1]))
        yield {
            "what": what,
            "poses": len(vectors),
            "found, %": _share(exact, there.search(z[:PEOPLE], K).rows),
            "found by CPU, %": _share(exact, engine.search(z[:PEOPLE], K).rows),
            "one/s": 1 / run.seconds(lambda there=there: there.search(z[:1], K)),
            "batch/s": BATCH / run.seconds(lambda there=there, batch=batch: there.search(batch, K)),
            "CPU one/s": 1 / run.seconds(lambda engine=engine: engine.search(z[:1], K)),
        }
        del there, engine


def of_scan(run: Run, poses: np.ndarray, views: Keypoints, *, compared: bool) -> Iterator[dict]:
    """Every pose by a dozen joints."""
    joints = np.array([joint for joint in range(13) if joint != _LIMB])
    unit = normalize_keypoints(views)[0][:, joints]
    if (lack := _lack(run, (0, 156.0 * len(poses) * 1.3))) is not None:
        yield {"what": "scan, 12 joints", "poses": len(poses), "left out": lack}
        return

    def asked(device: str) -> Callable[[int], tuple[torch.Tensor, torch.Tensor]]:
        gallery = PreparedGallery.prepare(to_tensor(poses), COCO13_IN_H36M17, device)
        seen, xy = to_tensor(joints, device), to_tensor(unit, device)
        return lambda count: scan(gallery, seen, xy[:count], K)

    there = asked(run.device)
    row: dict[str, Any] = {
        "what": "scan, 12 joints",
        "poses": len(poses),
        "one/s": 1 / run.seconds(lambda: there(1)),
        "batch/s": len(unit) / run.seconds(lambda: there(len(unit))),
    }
    if compared:
        here = asked("cpu")
        mine, its = here(len(unit)), there(len(unit))
        row |= {
            "same, %": _share(to_array(mine[0]), to_array(its[0])),
            "off": float((mine[1] - its[1].cpu()).abs().max()),
            "CPU one/s": 1 / run.seconds(lambda: here(1)),
        }
    yield row


def of_ranking(run: Run, archive: Archive) -> Iterator[dict]:
    """Camera check, marginal likelihood and hypotheses of people at once."""
    generator, people = np.random.default_rng([SEED, 3]), archive.views
    rows = generator.integers(len(archive.poses), size=(len(people), CANDIDATES))
    rows[:, 0] = archive.asked
    poses = archive.poses[rows]
    places = ("cpu", run.device)
    fits: list[Fits] = [fit_cameras(poses, people, device=place) for place in places]
    yield {
        "what": f"camera check, {CANDIDATES} candidates",
        "poses": len(people),
        "same, %": _share(*(fit.cost.argsort(axis=1, kind="stable")[:, :K] for fit in fits)),
        "off": float(np.median(np.abs(fits[0].cost - fits[1].cost))),
        "batch/s": len(people) / run.seconds(lambda: fit_cameras(poses, people, device=run.device)),
        "CPU batch/s": len(people) / run.seconds(lambda: fit_cameras(poses, people)),
    }
    likely = [marginal_likelihood(fits[0], people, device=place) for place in places]
    yield {
        "what": f"marginal likelihood, {CANDIDATES} candidates",
        "poses": len(people),
        "same, %": _share(*(one.cost[2].argsort(axis=1, kind="stable")[:, :K] for one in likely)),
        "off": float(np.median(np.abs(likely[0].cost - likely[1].cost))),
        "batch/s": len(people) / run.seconds(lambda: marginal_likelihood(fits[0], people, device=run.device)),
        "CPU batch/s": len(people) / run.seconds(lambda: marginal_likelihood(fits[0], people)),
    }
    lifters = [Lifter.from_pretrained("default", device=place) for place in places]

    def drawn(lifter: Lifter) -> np.ndarray:
        return lifter.sample(people, CANDIDATES, torch.Generator().manual_seed(SEED)).poses

    apart = [np.linalg.norm(drawn(lifters[0]) - drawn(lifters[1]), axis=-1).mean(axis=-1)]
    yield {
        "what": f"lifter, {CANDIDATES} hypotheses",
        "poses": len(people),
        "same, %": 100 * float(np.mean(apart[0] < 1e-3)),  # metres
        "off": float(np.median(apart[0])),
        "batch/s": len(people) / run.seconds(lambda: drawn(lifters[1])),
        "CPU batch/s": len(people) / run.seconds(lambda: drawn(lifters[0])),
    }


def of_queries(run: Run, archive: Archive, poses: int, work: Path) -> Iterator[dict]:
    """Whole queries of an index, by every mode."""
    copies = -(-poses // len(archive.recorded))
    generator = np.random.default_rng([SEED, 4])
    clips = (
        Clip(
            name=f"copy-{copy}",
            skeleton=H36M17,
            fps=10.0,
            positions=archive.recorded
            + (generator.normal(0, JITTER / 2, size=archive.recorded.shape).astype(np.float32) if copy else 0),
        )
        for copy in range(copies)
    )
    store = PoseStore.create(work / "store", clips)
    encoders = {"affine": AffineSignature(), "default": Embedder.from_pretrained("default", device=run.device)}
    for encoder, modes in (("affine", ("full", "affine", "hypotheses")), ("default", ("point",))):
        PoseIndex.build(store, encoders[encoder], work / encoder, recipe="fp16")
        here, there = (PoseIndex.open(work / encoder, device=place) for place in ("cpu", run.device))
        for mode in modes:
            if run.left() < 0:
                yield {"what": f"query, {mode}", "poses": len(here), "left out": "no time is left"}
                continue
            yield of_query(run, here, there, archive.views[: 8 if mode == "hypotheses" else 32], mode)


def of_query(run: Run, here: PoseIndex, there: PoseIndex, people: Keypoints, mode: Any) -> dict:
    """One mode."""
    mine, its = (query(index, people, K, mode=mode) for index in (here, there))
    return {
        "what": f"query, {mode}",
        "poses": len(here),
        "same, %": _share(mine.rows, its.rows),
        "first, %": 100 * float(np.mean(mine.rows[:, 0] == its.rows[:, 0])),
        "one/s": 1 / run.seconds(lambda: query(there, people[:1], K, mode=mode)),
        "batch/s": len(people) / run.seconds(lambda: query(there, people, K, mode=mode)),
        "CPU one/s": 1 / run.seconds(lambda: query(here, people[:1], K, mode=mode)),
    }


def _share(mine: np.ndarray, its: np.ndarray) -> float:
    return 100 * float(np.mean([np.isin(a, b).mean() for a, b in zip(mine, its, strict=True)]))


def _bytes(recipe: str, vectors: np.ndarray) -> tuple[float, float]:
    """What a recipe takes of the machine and of the device, roughly."""
    count, dim = vectors.shape
    each = {"flat": 4 * dim, "cagra": 4 * dim + 3 * 128}.get(recipe, 2 * dim + 16)
    return float(count * each), float(count * each * 1.2)


def _lack(run: Run, need: tuple[float, float]) -> str | None:
    if run.left() < 0:
        return "no time is left"
    for where, free, wanted in zip(("machine", run.device), run.free_bytes(), need, strict=True):
        if wanted > 0.9 * free:
            return f"takes {wanted / 1e9:.1f} GB, {free / 1e9:.1f} GB of {where} are free"
    return None


def measured(run: Run, sizes: list[int], minutes: float, query_poses: int, work: Path) -> Iterator[dict]:
    """All rows of the table."""
    archive, embedder = Archive.of(minutes, run.people), Embedder.from_pretrained("default", device=run.device)
    yield from of_ranking(run, archive)
    yield from of_queries(run, archive, query_poses, work)
    for number, size in enumerate(sizes):
        if (lack := _lack(run, (size * 350.0, 0))) is not None:
            yield {"what": "archive", "poses": size, "left out": lack}
            continue
        poses = archive.grown(size)
        yield from of_scan(run, poses, archive.views, compared=number == 0)
        vectors = np.concatenate([embedder.encode_poses(poses[rows]) for rows in blocks(size, _BLOCK)])
        names = ("flat", *(name for name in shipped_recipes() if name != "flat" and name != "hnsw"))
        yield from of_engines(
            run, vectors, embedder.encode_keypoints(archive.views), "l2", COMPARE_ALL if number else names
        )
        if not number:
            signature = AffineSignature()
            vectors = signature.encode_poses(poses)
            yield from of_engines(run, vectors, signature.encode_keypoints(archive.views), "ip", names)
        del poses, vectors


def table(rows: list[dict]) -> str:
    """As Markdown."""
    columns = (
        "one/s",
        "batch/s",
        "CPU one/s",
        "CPU batch/s",
        "same, %",
        "first, %",
        "found, %",
        "found by CPU, %",
        "off",
    )
    lines = ["| what | poses or people | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 2) + "|"]
    for row in rows:
        if "left out" in row:
            lines.append(f"| {row['what']} | {row['poses']:,} | left out: {row['left out']} " + "|" * len(columns))
            continue
        cells = [f"{row[name]:,.3g}" if name in row else "-" for name in columns]
        lines.append(f"| {row['what']} | {row['poses']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--poses", type=int, nargs="+", default=[1_000_000, 100_000_000], help="sizes of the archive")
    parser.add_argument("--query-poses", type=int, default=200_000, help="of the index that whole queries ask")
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--motion", type=float, default=30.0, help="minutes of synthetic motion that are jittered")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which nothing more is begun")
    parser.add_argument("--seconds", type=float, default=0.5, help="that each figure is timed for")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    try:
        gpu = gpu_number(options.device)
    except VipeError as error:
        raise SystemExit(str(error)) from error
    run = Run(options.device, gpu, options.people, time.monotonic() + 60 * options.minutes, options.seconds)
    work = Path(tempfile.mkdtemp(prefix="gpu-index-"))
    rows: list[dict] = []
    try:
        for row in measured(run, options.poses, options.motion, options.query_poses, work):
            rows.append(row)
            print(json.dumps(row), flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(table(rows))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        name = torch.cuda.get_device_name(options.device) if gpu is not None else "CPU"
        found = {"device": name, "torch": torch.__version__, "faiss": faiss.__version__, "rows": rows}
        (options.out / "gpu_index.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
