"""The whole way at once: an archive, an embedder, an index, simulated photos as queries, and what came back (numpy)."""

__all__ = ["DemoConfig", "DemoResult", "Progress", "run"]

import csv
import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
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
from vipe.errors import ReadError, StoreError, VipeError
from vipe.evaluate import HIT_THRESHOLD, chance_at, pose_distance, without_near_duplicates
from vipe.evaluate.protocols.search import Progress, recorded_poses
from vipe.evaluate.ranking_score import RankingScore, rank_raw_2d, score_ranking
from vipe.index import PoseIndex
from vipe.plots.answers import Answer, Found, save_answers
from vipe.readers import read
from vipe.retrieve import Mode, affine_camera
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

_DEPTHS = (1, 10, 20)
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

    scores: tuple[RankingScore, ...]
    chance: dict[int, float]
    queries: int
    gallery: int
    seconds: dict[str, float]
    page: Path
    picture: Path

    def to_table(self) -> list[list[str]]:
        """Hit@k in percent with 95% intervals, a search a row, head first."""
        return [
            ["search", *(f"Hit@{k} %" for k in _DEPTHS)],
            *([score.name, *map(score.percent, _DEPTHS)] for score in self.scores),
            ["chance", *(f"{100 * self.chance[k]:.1f}" for k in _DEPTHS)],
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values: Hit@k of each ranking with its 95% interval."""
        return {
            "queries": self.queries,
            "gallery": self.gallery,
            "hit": {score.name: {str(k): value for k, value in score.hit.items()} for score in self.scores}
            | {"chance": {str(k): value for k, value in self.chance.items()}},
            "interval": {
                score.name: {str(k): list(ends) for k, ends in score.interval.items()} for score in self.scores
            },
            "seconds": self.seconds,
            "page": str(self.page),
            "picture": str(self.picture),
        }


def run(config: DemoConfig, out: Path, *, progress: Progress, shown: int = 6) -> DemoResult:
    """Run the demo, or what is left of it: every finished step in `out` is reused.

    Store, embedder and index stay in `out` for `vipe query`; `queries.json` holds the shown queries as a detector
    would write them.

    Args:
        config: What to do.
        out: Folder for everything; made if it is not there.
        progress: Told how far each step is.
        shown: How many queries to draw.

    Raises:
        StoreError: If `out` holds a demo of another configuration, or the archive is too small to search.
    """
    out.mkdir(parents=True, exist_ok=True)
    _claim(out / "demo.config.json", config)
    clock = _Clock()
    try:
        store = _store(config, out / "store", progress)
        clock.lap("archive")
        splits = _splits(store, config)
    except VipeError:
        # A setting that cannot work must not hold the folder against one that can.
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
        data=config.source or f"{config.minutes:g} minutes of synthetic motion, seed {config.seed}",
    )
    clock.lap("training")
    index = _index(store, embedder, splits["gallery"], out / "index", progress)
    clock.lap("index")
    progress("near-duplicates", 0, 1, "")
    poses = index.poses(np.arange(len(index)))
    kept = without_near_duplicates(poses)
    progress("near-duplicates", 1, 1, f"{len(kept):,} of {len(poses):,} poses differ")
    clock.lap("near-duplicates")
    generator = np.random.default_rng(config.seed)
    seen = _Seen.simulate(store, index, kept, config, generator)
    rankings = _rank(index, kept, seen, progress)
    frames = index.frames()
    scores = tuple(
        score_ranking(
            name, rows, poses[kept], poses, [frames["clip"][row] for row in kept], generator=generator, ks=_DEPTHS
        )
        for name, rows in rankings.items()
    )
    sample = generator.choice(len(kept), size=min(_CHANCE_QUERIES, len(kept)), replace=False)
    near = pose_distance(poses[kept][None], poses[kept[sample]][:, None]) < HIT_THRESHOLD
    chance = chance_at(near.sum(axis=1), len(kept), _DEPTHS)
    clock.lap("evaluation")
    chosen = np.sort(generator.choice(len(kept), size=min(shown, len(kept)), replace=False))
    page, picture = out / "demo.html", out / "demo.png"
    answers = [_answer(int(i), kept, seen, rankings, scores, index) for i in chosen]
    result = DemoResult(
        scores=scores,
        chance=chance,
        queries=len(kept),
        gallery=len(kept),
        seconds=clock.laps,
        page=page,
        picture=picture,
    )
    title = "Simulated photos against the archive"
    save_answers(page, picture, title, answers, intro=_intro(config, kept), table=result.to_table())
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
    """The kept gallery poses as simulated cameras see them."""

    query: Keypoints  # by a camera of the rig drawn for each, with detector noise
    view: Keypoints  # by the rig's first camera, exact: what raw 2D search has for a gallery

    @classmethod
    def simulate(
        cls,
        store: PoseStore,
        index: PoseIndex,
        kept: Int[Array, " kept"],
        config: DemoConfig,
        generator: np.random.Generator,
    ) -> "_Seen":
        people = recorded_poses(store, index, kept)  # the camera sees the person as recorded, never the canonical body
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
            found = json.loads(file.read_text(encoding="utf-8"))
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
    if config.source and table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if missing := {"clip", "split"} - set(rows.fieldnames or ()):
                raise ReadError(f"{table}: no column {', '.join(sorted(missing))}; expected clip and split")
            split = {row["clip"]: row["split"] for row in rows}
    else:
        tenths = {name: zlib.crc32(name.encode()) % 10 for name in names}
        split = {name: "val" if tenth == 0 else "test" if tenth <= 3 else "train" for name, tenth in tenths.items()}
    cross = "cross" if "cross" in split.values() else "test"
    parts = {
        part: [name for name in names if split.get(name) == wanted]
        for part, wanted in (("train", "train"), ("val", "val"), ("gallery", cross))
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
    index: PoseIndex, kept: Int[Array, " kept"], seen: _Seen, progress: Progress
) -> dict[str, Int[Array, "queries ranks"]]:
    depth = max(_DEPTHS)

    def searched(mode: Mode) -> Int[Array, "queries ranks"]:
        return query(index, seen.query, depth, mode=mode, where=kept).rows

    def shipped() -> Int[Array, "queries ranks"]:
        encoder = Embedder.from_pretrained("default")
        gallery, asked = encoder.encode_poses(index.poses(kept)), encoder.encode_keypoints(seen.query)
        return kept[faiss.knn(asked, gallery, min(depth, len(kept)))[1]]

    searches: dict[str, Callable[[], Int[Array, "queries ranks"]]] = {
        "vipe query": lambda: searched("full"),
        "affine signature alone": lambda: searched("affine"),
        "default embedding alone": shipped,
        "V-VIPE, trained here": lambda: searched("point"),
        "raw 2D": lambda: kept[rank_raw_2d(seen.query, seen.view, depth)],
    }
    rankings = {}
    for number, (name, search) in enumerate(searches.items(), start=1):
        rankings[name] = search()
        progress("queries", number, len(searches), f"{name}, {len(kept):,}")
    return rankings


def _answer(
    i: int,
    kept: Int[Array, " kept"],
    seen: _Seen,
    rankings: dict[str, Int[Array, "queries ranks"]],
    scores: tuple[RankingScore, ...],
    index: PoseIndex,
) -> Answer:
    frames = index.frames()
    truth = int(kept[i])
    asked = seen.query[i : i + 1]

    def cameras(rows: Int[Array, " rows"]) -> Float[Array, "rows 2 3"]:
        return np.asarray(affine_camera(index.poses(rows)[None], asked).A[0])

    found = {}
    for score in scores:
        rows = rankings[score.name][i, :_SHOWN_HITS]
        found[score.name] = [
            Found(
                name=f"{frames['clip'][row]} {frames['time'][row]:.2f} s",
                pose=index.poses(np.array([row]))[0],
                camera=camera,
                distance=float(far),
            )
            for row, camera, far in zip(rows, cameras(rows), score.distance[i], strict=False)
        ]
    return Answer(
        title=f"{frames['clip'][truth]} at {frames['time'][truth]:.2f} s",
        xy=asked.xy[0],
        mask=asked.mask[0],
        truth=index.poses(np.array([truth]))[0],
        truth_camera=cameras(np.array([truth]))[0],
        found=found,
    )


def _note(metrics: Any) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, float))[:60]


def _intro(config: DemoConfig, kept: Int[Array, " kept"]) -> str:
    return (
        f"{len(kept):,} poses that nobody trained on, each seen by a simulated camera of the {config.rig} rig "
        f"{config.distance:g} m away with detector noise of {config.noise:g} RMS radii, against all of them. "
        f"A hit lies within {HIT_THRESHOLD} torso lengths of the true pose. Drag a figure to turn them all."
    )
