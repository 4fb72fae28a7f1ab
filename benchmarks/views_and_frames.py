"""Hit@1 against the number of cameras (1 to 4) and of frames (1 to 30): what every further image adds.

    python benchmarks/views_and_frames.py STORE --split ../shared/mocap/clips.csv [--part val cross] \
        [--fusion FILE ...] [--out benchmarks/results]

Queries are frames of clips of a part with 15 more at 10 frames/s on either side. Cameras are those of the simulated
3DHP rig, 4 m away. Of a track's errors 0.8 is that of the frame before. The gallery is every pose of the part but those
of the query's clip within 4 s. For presence every third query is also asked of a gallery without its pose. Hits are
counted over queries that have one in what remains, probabilities over all. What the images say is worked out once and
joined by each --fusion, the library's own if none is given. Takes five minutes a part.
--out writes views_and_frames.json and .png there; --picture draws the picture anew from the .json. Real photos
(views_and_frames_real.py) are drawn beside them where their .json is in the folder, too.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import results_tables
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.special import expit
from tracks import LEFT_OUT, RATE, seen

from vipe import AffineSignature, Keypoints, PoseIndex, PoseStore
from vipe.evaluate.conditions import CONDITIONS, Condition
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.metrics import HIT_THRESHOLD, auroc, expected_calibration_error, pose_distance
from vipe.evaluate.study import recorded_poses
from vipe.retrieve import CANDIDATES, Search, TrackConfig, query
from vipe.retrieve.ranking.coverage import coverage_order
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.sequences.alignment import Sequence
from vipe.retrieve.sequences.fusion import Fusion, SequenceEvidence, fuse, gather_evidence
from vipe.retrieve.sequences.timeline import Timeline
from vipe.simulate import CameraRig

NAMES = ("noise 0.03", "4 missing")
VIEWS = (1, 2, 3, 4)
FRAMES = (1, 3, 5, 9, 15, 30)
AROUND = 30  # frames about each query that its clip has
CARRIED = 0.8
REAL = {"openpose": "OpenPose", "blazepose": "BlazePose"}
K = 10


@dataclass(frozen=True)
class Asked:
    """What the images of one query say, and what is true."""

    condition: str
    images: str  # such as "3 views"
    clip: int
    convention: str  # of the joints
    evidence: SequenceEvidence | None  # None where one image is asked for as such
    sure: float  # probability of how the labels are read
    distance: np.ndarray  # of each moment to the true pose, or of the ten hits of a single image
    said: np.ndarray | None  # probabilities of those
    presence: float
    present: bool
    absent: bool  # asked of a gallery without the pose

    def answered(self, fusion: Fusion) -> tuple[np.ndarray, np.ndarray, float]:
        """Which of the ten hits are right, their probabilities, and the presence, images joined in some way."""
        if self.evidence is None:
            return self.distance < HIT_THRESHOLD, self.said, self.presence
        fused = fuse(self.evidence, RankingModel.of(self.convention), fusion)  # as `query_views` does
        odds = fused.log_odds.if_true(np.array([self.sure], dtype=np.float32))
        order = coverage_order(fused.ranking[None], fused.features, K)[0]
        return self.distance[order] < HIT_THRESHOLD, expit(odds.near[0, order]), float(expit(odds.presence[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, nargs="?")
    parser.add_argument("--split", type=Path)
    parser.add_argument("--part", nargs="+", default=["val", "cross"])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--conditions", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--frames", nargs="*", type=int, default=list(FRAMES), help="numbers of frames, up to 30")
    parser.add_argument("--fusion", nargs="*", default=[], help="files of a fusion, to compare; the first is drawn")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path, help="folder of a views_and_frames.json to draw, and nothing else")
    options = parser.parse_args()
    if options.picture:
        draw(options.picture)
        return
    if options.store is None or options.split is None:
        parser.error("give a store and --split")
    fusions = {Path(file).stem: Fusion.load(file) for file in options.fusion} or {"library": Fusion.default()}
    rows = []
    for part in options.part:
        asked = list(questions(options, part))
        for name, fusion in fusions.items():
            rows += [[part, name, *row] for row in figures(asked, fusion, options.seed)]
    for row in rows:
        print(*row, flush=True)
    if options.out:
        names = (
            "part",
            "fusion",
            "keypoints",
            "images",
            "queries",
            "Hit@1",
            "95%",
            "Hit@10",
            "said",
            "right",
            "ECE first",
        )
        decimals = (None, None, None, None, 0, 1, 1, 1, 1, 1, 3, 3, 3)
        found = {
            "command": "python benchmarks/views_and_frames.py STORE --split ../shared/mocap/clips.csv "
            f"--part {' '.join(options.part)} --queries {options.queries} --conditions "
            + " ".join(f'"{name}"' for name in options.conditions)
            + f" --frames {' '.join(map(str, options.frames))}",
            "data": "Bandai Namco val, CMU cross; each among its own poses, 4 s left out",
            "seed": options.seed,
            "machine": "2 cores (x86_64), no GPU",
            "columns": dict(zip((*names, "ECE all", "presence AUROC"), decimals, strict=True)),
            "rows": rows,
        }
        results_tables.write(options.out / "views_and_frames.json", found)
        draw(options.out)


def questions(options: argparse.Namespace, part: str) -> Iterator[Asked]:
    """What the images of every query say."""
    store = PoseStore.open(options.store)
    with options.split.open(encoding="utf-8", newline="") as file:
        split = {row["clip"]: row["split"] for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as folder:
        index = PoseIndex.build(store, AffineSignature(), Path(folder) / "index")
        of_row = np.array([split.get(clip, "") for clip in index.frames()["clip"]])
        gallery = np.flatnonzero(of_row == part)
        asked = drawn(index, gallery, options.queries, options.seed)
        poses = recorded_poses(store, index, np.arange(len(index)))
        for condition in CONDITIONS:
            if condition.name in options.conditions:
                yield from under(condition, index, gallery, asked, poses, options)
                print(f"{part}, {condition.name}: {len(asked)} queries", file=sys.stderr, flush=True)


def drawn(index: PoseIndex, gallery: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows with enough of their clip on either side."""
    around = AROUND // 2
    clip, time = index.clip_codes, index.times
    fits = [
        row
        for row in gallery
        if around <= row < len(clip) - around
        and clip[row - around] == clip[row + around] == clip[row]
        and abs(time[row + around] - time[row - around] - 2 * around / RATE) < 1e-3
    ]
    if not fits:
        sys.exit(f"no frame to ask for has {around} more of its clip at {RATE} frames/s on either side")
    return np.sort(np.random.default_rng([seed, 0]).choice(fits, min(count, len(fits)), replace=False))


def under(condition: Condition, index, gallery, asked, poses, options) -> Iterator[Asked]:
    """Every query with every number of images."""
    rig, rng = CameraRig.load("mpi_inf_3dhp"), np.random.default_rng([options.seed, 1])
    around = np.arange(-(AROUND // 2), AROUND // 2 + 1)
    cameras = np.stack([rng.permutation(len(rig))[: max(VIEWS)] for _ in asked])
    of_track = np.repeat(cameras[:, :1], len(around), axis=1)
    tracks = seen(poses[asked[:, None] + around], rig, of_track, condition.noise, CARRIED, rng)
    views = seen(poses[np.repeat(asked[:, None], max(VIEWS), axis=1)], rig, cameras, condition.noise, 0.0, rng)
    clip, time = index.clip_codes, index.times
    for number, row in enumerate(asked):
        distance = pose_distance(index.canonical[gallery], index.canonical[row][None])
        near = (clip[gallery] == clip[row]) & (np.abs(time[gallery] - time[row]) <= LEFT_OUT + 1e-6)
        track = tracks[np.arange(len(around)) + number * len(around)]
        cameras_of = views[np.arange(max(VIEWS)) + number * max(VIEWS)]
        for absent in (False, True) if number % 3 == 0 else (False,):
            kept = distance >= HIT_THRESHOLD if absent else ~near
            rows, off = gallery[kept], distance[kept]

            def to(found: np.ndarray, rows: np.ndarray = rows, off: np.ndarray = off) -> np.ndarray:
                return np.where(found >= 0, off[np.searchsorted(rows, np.maximum(found, rows[0]))], np.inf)

            truth = {"clip": int(clip[row]), "present": bool((off < HIT_THRESHOLD).any()), "absent": absent}
            for name, people, seconds in images(track, cameras_of, options.frames):
                yield one_asked(index, rows, people, seconds, to, condition=condition.name, images=name, **truth)


def images(track: Keypoints, cameras: Keypoints, frames: list[int]) -> Iterator[tuple[str, Keypoints, np.ndarray]]:
    """By the number of images, what is asked with, and when it was seen."""
    middle = len(track) // 2
    for many in VIEWS:
        yield f"{many} view{'s' * (many > 1)}", cameras[np.arange(many)], np.zeros(many)
    for many in frames:
        around = np.arange(many) - (many - 1) // 2
        yield f"{many} frame{'s' * (many > 1)}", track[middle + around], around / RATE


def one_asked(index, rows, people: Keypoints, seconds: np.ndarray, to, **known) -> Asked:
    if len(people) == 1:
        hits = query(index, people, K, where=rows)
        alone = {"distance": to(hits.rows[0]), "said": hits.probability[0], "presence": float(hits.presence[0])}
        return Asked(convention=people.convention, evidence=None, sure=1.0, **alone, **known)
    config = TrackConfig()
    some = np.flatnonzero(np.abs(seconds) <= config.reach)  # as `query_tracks` chooses
    search = Search(index, where=rows)
    sequence = Sequence(search, Timeline(index, search.rows, 4 * config.reach), people[some], seconds[some], config)
    moments = sequence.align(CANDIDATES, VOTERS)
    return Asked(
        convention=people.convention,
        evidence=gather_evidence(sequence, moments),
        sure=float(moments.reading.probability[sequence.current].min()),
        distance=to(moments.rows),
        said=None,
        presence=np.nan,
        **known,
    )


def figures(asked: list[Asked], fusion: Fusion, seed: int) -> list[list]:
    """A row for each condition and number of images."""
    rows = []
    for condition, images in dict.fromkeys((one.condition, one.images) for one in asked):
        some = [one for one in asked if (one.condition, one.images) == (condition, images)]
        answers = [one.answered(fusion) for one in some]
        there = np.array([one.present and not one.absent for one in some])
        usual = np.array([not one.absent for one in some])
        right, said = (np.stack([answer[part] for answer in answers]) for part in (0, 1))
        clips = [one.clip for one, counts in zip(some, there, strict=True) if counts]
        low, high = bootstrap_interval(right[there, 0], clips, generator=np.random.default_rng([seed, 2]))
        rows.append(
            [
                condition,
                images,
                int(there.sum()),
                100 * float(right[there, 0].mean()),
                [round(100 * float(low), 2), round(100 * float(high), 2)],
                100 * float(right[there].any(axis=1).mean()),
                100 * float(said[usual, 0].mean()),
                100 * float(right[usual, 0].mean()),
                expected_calibration_error(said[usual, 0], right[usual, 0]),
                expected_calibration_error(said[usual].ravel(), right[usual].ravel()),
                auroc(np.array([answer[2] for answer in answers]), there),
            ]
        )
    return rows


def draw(folder: Path) -> None:
    """Hit@1 against cameras and against frames, a line for each part and condition, and for each real detector."""
    source = json.loads((folder / "views_and_frames.json").read_text(encoding="utf-8"))
    column = {name: place for place, name in enumerate(source["columns"])}
    canvas = Figure(figsize=(8, 3.4), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(1, 2, sharey=True)
    colours = {"val": "#2b6cb0", "cross": "#c05621"}
    told = {"val": "Bandai Namco val", "cross": "CMU"}
    drawn = {}
    photos = real_lines(folder / "views_and_frames_real.json")
    for axis, word in zip(axes, ("view", "frame"), strict=True):
        ticks = sorted({int(row[3].split()[0]) for row in source["rows"] if word in row[3]})
        for part in dict.fromkeys(row[0] for row in source["rows"]):
            for condition, style in zip(NAMES, ("-o", "--s"), strict=True):
                first = source["rows"][0][1]
                own = [row for row in source["rows"] if row[:3] == [part, first, condition] and word in row[3]]
                if not own:
                    continue
                at = [int(row[3].split()[0]) for row in own]
                low, high = np.array([row[column["95%"]] for row in own]).T
                line = [row[column["Hit@1"]] for row in own]
                label = f"{told[part]}, {condition}"
                (drawn[label],) = axis.plot(at, line, style, color=colours[part], ms=4)
                axis.fill_between(at, low, high, color=colours[part], alpha=0.08, lw=0)
        for label, style, at, line in (own[1:] for own in photos if own[0] == word):
            (drawn[label],) = axis.plot(at, line, style, color="#555555", ms=4)
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.set_xlabel({"view": "cameras of one moment", "frame": "frames of one camera, 10 a second"}[word])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("Hit@1, percent")
    axes[0].set_ylim(40, 102)
    canvas.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=min(len(drawn), 4), fontsize=8)
    canvas.savefig(folder / "views_and_frames.png", dpi=110)


def real_lines(path: Path) -> list[tuple[str, str, str, list[int], list[float]]]:
    """Views or frames, label, style, numbers of images, and Hit@1 of real photos; none without their file."""
    if not path.exists():
        return []
    source = json.loads(path.read_text(encoding="utf-8"))
    rows = [dict(zip(source["columns"], row, strict=True)) for row in source["rows"]]
    lines = []
    for word in ("view", "frame"):
        for (kind, name), style in zip(REAL.items(), ("-o", "--s"), strict=True):
            own = [row for row in rows if row["detections"] == kind and word in row["images"]]
            at = [int(row["images"].split()[0]) for row in own]
            lines.append((word, f"real photos, {name}", style, at, [row["Hit@1"] for row in own]))
    return lines


if __name__ == "__main__":
    main()
