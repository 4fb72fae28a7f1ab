"""The demo: an archive, an embedder, an index, and simulated photos as queries, scored and drawn (numpy)."""

__all__ = ["DemoConfig", "DemoResult", "Progress", "run"]

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Float, Int

from vipe.arrays import Array
from vipe.atomic_write import atomic_write
from vipe.clips import Clip
from vipe.detections import Keypoints, write_coco_results
from vipe.embed import Embedder
from vipe.embed.presets import PRESETS
from vipe.embed.vvipe.training import train_vvipe
from vipe.errors import StoreError, VipeError
from vipe.evaluate import HIT_DEPTHS, HIT_THRESHOLD
from vipe.evaluate.baselines.raw_2d import Raw2D
from vipe.evaluate.leave_out import NOTHING
from vipe.evaluate.scoring import Score, Scoring, chance_score
from vipe.evaluate.splits import hashed_splits, read_splits
from vipe.evaluate.study import Archive, Progress, Study, recorded_poses
from vipe.files.regular_file import read_regular
from vipe.index import PoseIndex
from vipe.plots.pages.answers import Answer, RankedPose, save_answers
from vipe.readers import read
from vipe.retrieve import Mode, affine_camera
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

_SHOWN_HITS = 5
_CHANCE_QUERIES = 200  # all pairs with the gallery: a sample is enough for a figure near zero


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What the demo does; changing any of it needs another folder."""

    source: str | None = None  # motion capture of one's own; synthetic motion if None
    minutes: float = 40.0  # of synthetic motion
    fps: float = 10.0
    preset: str = "tiny"
    rig: str = "mpi_inf_3dhp"
    distance: float = 4.0  # metres from camera to person
    noise: float = 0.03  # of the simulated detector, RMS radii
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """Figures of the demo and where it left things to look at."""

    scores: dict[str, Score]  # by search
    chance: dict[int, float]
    queries: int
    gallery: int
    seconds: dict[str, float]
    page: Path
    picture: Path

    def to_table(self) -> list[list[str]]:
        """Hit@k in percent with 95% intervals, a search a row, head first."""
        return [
            ["search", *(f"Hit@{k} %" for k in HIT_DEPTHS)],
            *([name, *(score.percent(HIT_THRESHOLD, k) for k in HIT_DEPTHS)] for name, score in self.scores.items()),
            ["chance", *(f"{100 * self.chance[k]:.1f}" for k in HIT_DEPTHS)],
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values: Hit@k of each search with its 95% interval."""
        hit = {name: score.hit[HIT_THRESHOLD] for name, score in self.scores.items()} | {"chance": self.chance}
        interval = {name: score.interval[HIT_THRESHOLD] for name, score in self.scores.items()}
        return {
            "queries": self.queries,
            "gallery": self.gallery,
            "hit": {name: {str(k): rate for k, rate in by_k.items()} for name, by_k in hit.items()},
            "interval": {name: {str(k): list(ends) for k, ends in by_k.items()} for name, by_k in interval.items()},
            "seconds": self.seconds,
            "page": str(self.page),
            "picture": str(self.picture),
        }


def run(config: DemoConfig, out: Path, *, progress: Progress, shown: int = 6) -> DemoResult:
    """Run the demo; steps that are finished in `out` are reused.

    Store, embedder and index stay in `out` for `vipe query`; `queries.json` holds the shown queries as a detector
    would write them.

    Args:
        config: What to do.
        out: Folder for everything; made if missing.
        progress: Told how far each step is.
        shown: How many queries to draw.

    Raises:
        StoreError: If `out` holds a demo of another configuration, or the archive is too small to search.
    """
    out.mkdir(parents=True, exist_ok=True)
    new = not (out / "demo.config.json").exists()
    _claim(out / "demo.config.json", config)
    clock = _Clock()
    try:
        store = _store(config, out / "store", progress)
        clock.lap("archive")
        splits = _splits(store, config)
    except VipeError:
        # A new folder is left empty, so that another setting may take it. What an earlier run made stays.
        if new:
            shutil.rmtree(out / "store", ignore_errors=True)
            (out / "demo.config.json").unlink()
        raise
    preset = PRESETS[config.preset]
    embedder = train_vvipe(
        store.poses({"clip": splits["train"]}),
        store.poses({"clip": splits["val"]}),
        out / "embedder",
        network=preset.network,
        config=preset.training,
        seed=config.seed,
        progress=lambda stage, step, steps, metrics: progress(f"training: {stage}", step, steps, _note(metrics)),
        data=Path(config.source).name
        if config.source
        else f"{config.minutes:g} minutes of synthetic motion, seed {config.seed}",
    )
    clock.lap("training")
    index = _index(store, embedder, splits["gallery"], out / "index", progress)
    clock.lap("index")
    study = Study.choose(Archive.of_index(index), np.arange(len(index)), progress=progress)
    clock.lap("near-duplicates")
    generator = np.random.default_rng(config.seed)
    seen = _Seen.simulate(store, index, study.gallery, config, generator)
    rankings = _rank(index, study.gallery, seen, progress)
    scoring = Scoring(clips=study.clips, generator=lambda: generator, thresholds=(HIT_THRESHOLD,))
    distances = {name: study.distances(rows) for name, rows in rankings.items()}
    scores = {name: scoring.of_distances(distance) for name, distance in distances.items()}
    chance = _chance(study, generator)
    clock.lap("evaluation")
    count = len(study.query)
    chosen = np.sort(generator.choice(count, size=min(shown, count), replace=False))
    page, picture = out / "demo.html", out / "demo.png"
    answers = [_answer(int(i), study, seen, rankings, distances) for i in chosen]
    result = DemoResult(
        scores=scores,
        chance=chance,
        queries=count,
        gallery=len(study.gallery),
        seconds=clock.laps,
        page=page,
        picture=picture,
    )
    title = "Simulated photos against the archive"
    save_answers(page, picture, title, answers, intro=_intro(config, count), table=result.to_table())
    write_coco_results(out / "queries.json", seen.query[chosen])
    clock.lap("page")
    with atomic_write(out / "demo.json", replace=True) as file:
        file.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    return result


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


@dataclass(frozen=True)
class _Seen:
    """The gallery's poses as simulated cameras see them."""

    query: Keypoints  # by a camera of the rig drawn for each, with detector noise
    view: Keypoints  # by the rig's first camera, exact: what raw 2D search has for a gallery

    @classmethod
    def simulate(
        cls,
        store: PoseStore,
        index: PoseIndex,
        gallery: Int[Array, " G"],
        config: DemoConfig,
        generator: np.random.Generator,
    ) -> "_Seen":
        # The camera sees the person as recorded, never the canonical body.
        people = recorded_poses(store, index, gallery)
        rig = CameraRig.load(config.rig)
        settings: dict[str, Any] = {"distance": config.distance, "generator": generator}
        return cls(
            query=simulate_keypoints(people, rig, noise=config.noise, **settings),
            view=simulate_keypoints(people, rig.cameras[0], noise=0.0, **settings),
        )


def _claim(file: Path, config: DemoConfig) -> None:
    wanted = asdict(config)
    if not file.exists() and any(file.parent.iterdir()):
        raise StoreError(f"{file.parent}: holds something that is no demo; choose another --out")
    if file.exists():
        try:
            found = json.loads(read_regular(file))
        except ValueError as error:
            raise StoreError(f"{file}: not JSON ({error}); delete the folder or choose another --out") from error
        if found != wanted:
            other = ", ".join(
                f"{name} {found.get(name)!r} not {value!r}"
                for name, value in wanted.items()
                if found.get(name) != value
            )
            raise StoreError(f"{file.parent}: holds a demo with {other}; choose another --out or delete it")
    with atomic_write(file, replace=True) as beside:
        beside.write_text(json.dumps(wanted), encoding="utf-8")


def _store(config: DemoConfig, path: Path, progress: Progress) -> PoseStore:
    if path.exists():
        store = PoseStore.open(path)
        progress("archive", 1, 1, f"{len(store):,} poses, reused")
        return store

    def watched() -> Iterator[Clip]:
        seconds = 0.0
        if config.source is None:
            generator = np.random.default_rng(config.seed)
            clips = synthesize(minutes=config.minutes, fps=config.fps, generator=generator)
        else:
            clips = read(config.source)
        for number, clip in enumerate(clips, start=1):
            yield clip
            seconds += clip.seconds
            total = config.minutes * 60 if config.source is None else None
            progress("archive", min(seconds, total) if total else seconds, total, f"{number} clips, {clip.name}")

    return PoseStore.create(path, watched(), fps=config.fps)


def _splits(store: PoseStore, config: DemoConfig) -> dict[str, list[str]]:
    """Clips to train on, to validate on and to search: by clips.csv beside the archive, else by a hash of the name."""
    names = [clip["clip"] for clip in store.clips()]
    source = Path(config.source or "")
    table = (source if source.is_dir() else source.parent) / "clips.csv"
    split = read_splits(table) if config.source and table.is_file() else hashed_splits(names)
    gallery = "cross" if "cross" in split.values() else "test"
    parts = {
        part: [name for name in names if split.get(name) == wanted]
        for part, wanted in (("train", "train"), ("val", "val"), ("gallery", gallery))
    }
    if empty := [part for part, clips in parts.items() if not clips]:
        raise StoreError(
            f"{config.source or 'synthetic motion'}: no clips for {', '.join(empty)}; a demo needs more clips"
        )
    return parts


def _index(store: PoseStore, embedder: Embedder, clips: list[str], path: Path, progress: Progress) -> PoseIndex:
    if not path.exists():
        PoseIndex.build(
            store,
            embedder,
            path,
            where={"clip": clips},
            progress=lambda done, total: progress("index", done, total, ""),
        )
    return PoseIndex.open(path, embedder)


def _rank(
    index: PoseIndex, gallery: Int[Array, " G"], seen: _Seen, progress: Progress
) -> dict[str, Int[Array, "queries ranks"]]:
    depth = max(HIT_DEPTHS)

    def searched(mode: Mode) -> Int[Array, "queries ranks"]:
        return query(index, seen.query, depth, mode=mode, where=gallery).rows

    def default() -> Int[Array, "queries ranks"]:
        encoder = Embedder.from_pretrained("default")
        poses, photos = encoder.encode_poses(index.poses(gallery)), encoder.encode_keypoints(seen.query)
        return gallery[faiss.knn(photos, poses, min(depth, len(gallery)))[1]]

    searches: dict[str, Callable[[], Int[Array, "queries ranks"]]] = {
        "vipe query": lambda: searched("full"),
        "affine signature alone": lambda: searched("affine"),
        "default embedding alone": default,
        "V-VIPE, trained here": lambda: searched("point"),
        Raw2D.name: lambda: gallery[Raw2D().rank(seen.query, seen.view, depth)],
    }
    rankings = {}
    for number, (name, search) in enumerate(searches.items(), start=1):
        rankings[name] = search()
        progress("queries", number, len(searches), f"{name}, {len(gallery):,}")
    return rankings


def _chance(study: Study, generator: np.random.Generator) -> dict[int, float]:
    """Hit@k of a random order, from a sample of the queries."""
    sample = generator.choice(study.query, size=min(_CHANCE_QUERIES, len(study.query)), replace=False)
    relevance = replace(study, query=sample).judge((HIT_THRESHOLD,), {"whole gallery": NOTHING})
    return chance_score(relevance.galleries[0], HIT_DEPTHS).hit[HIT_THRESHOLD]


def _answer(
    i: int,
    study: Study,
    seen: _Seen,
    rankings: dict[str, Int[Array, "queries ranks"]],
    distances: dict[str, Float[Array, "queries ranks"]],
) -> Answer:
    photo = seen.query[i : i + 1]
    poses, clip, seconds = study.archive.poses, study.archive.clip, study.archive.time

    def cameras(rows: Int[Array, " rows"]) -> Float[Array, "rows 2 3"]:
        return np.asarray(affine_camera(poses[rows][None], photo).A[0])

    def results(name: str) -> list[RankedPose]:
        rows = rankings[name][i, :_SHOWN_HITS]
        return [
            RankedPose(
                name=f"{clip[row]} {seconds[row]:.2f} s", pose=poses[row], camera=camera, distance=float(distance)
            )
            for row, camera, distance in zip(rows, cameras(rows), distances[name][i], strict=False)
        ]

    truth = int(study.query[i])
    return Answer(
        title=f"{clip[truth]} at {seconds[truth]:.2f} s",
        xy=photo.xy[0],
        mask=photo.mask[0],
        truth=poses[truth],
        truth_camera=cameras(np.array([truth]))[0],
        found={name: results(name) for name in rankings},
    )


def _note(metrics: Any) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, float))[:60]


def _intro(config: DemoConfig, poses: int) -> str:
    return (
        f"{poses:,} poses that nobody trained on, each seen by a simulated camera of the {config.rig} rig "
        f"{config.distance:g} m away with detector noise of {config.noise:g} RMS radii, against all of them. "
        f"A hit lies within {HIT_THRESHOLD} torso lengths of the true pose. Drag a figure to turn them all."
    )
