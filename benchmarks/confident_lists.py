"""How often the list that `vipe query --confidence` gives holds a right hit: simulated photos and real ones.

    python benchmarks/confident_lists.py ../shared/mocap --split ../shared/mocap/clips.csv [--out benchmarks/results]

Simulated: the protocol of `vipe evaluate calibration` on clips that nothing was learned from, Bandai Namco `test` and
CMU, all conditions together; lengths were learned on `val`. Real: OpenPose's and BlazePose's detections of one person,
whose motion (as anatomical joints) is among the archive, as in real_views.py. Intervals are over clips, of real photos
over half seconds of a camera. --out writes confident_lists.json.
"""

import csv
import os
import platform
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
import results_tables
from inputs import arguments
from lifting_real import LEAST, detections
from real_views import archive

import vipe
from vipe.evaluate import CONDITIONS, SearchProtocol, evaluate_calibration
from vipe.evaluate.intervals import bootstrap_interval
from vipe.evaluate.metrics import HIT_THRESHOLD, pose_distance
from vipe.evaluate.protocols.calibration_report import CONFIDENCES
from vipe.retrieve.ranking.evidence import VOTERS
from vipe.retrieve.ranking.model import RankingModel

PARTS = ("test", "cross")
COLUMNS = {"queries of": None, "gallery": None, "confidence": 2, "queries": 0, "holds a right hit": 3, "95%": 3}
COLUMNS |= {"hits (median)": 0, "hits (mean)": 1, "no list": 2}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/real-views"))
    parser.add_argument("--queries", type=int, default=60, help="of each condition")
    parser.add_argument("--every", type=int, default=3, help="frames of a camera")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        index = archive(options, "marker", Path(folder))
        for kind in LEAST:
            rows += real(index, options, kind)
        for part in PARTS:
            rows += simulated(vipe.PoseStore.open(Path(folder) / "store"), index, options, part)
    found = {
        "command": shlex.join(["python", "benchmarks/confident_lists.py", *sys.argv[1:]]),
        "data": "nine conditions together; real: one person, four cameras, among 29,700 poses; learned on val",
        "seed": 0,
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), no GPU",
        "columns": COLUMNS,
        "rows": rows,
    }
    if options.out:
        results_tables.write(options.out / "confident_lists.json", found)


def simulated(store: vipe.PoseStore, index: vipe.PoseIndex, options, part: str) -> list[list]:
    with options.split.open() as file:
        clips = [row["clip"] for row in csv.DictReader(file) if row["split"] == part]
    protocol = SearchProtocol(queries=options.queries, conditions=CONDITIONS)
    report = evaluate_calibration(store, index, protocol=protocol, where={"clip": clips})
    rows = [
        [
            part,
            one.gallery,
            one.confidence,
            one.queries,
            one.holds,
            list(one.interval),
            one.median,
            one.length,
            one.none,
        ]
        for one in report.lists
    ]
    print(*rows, sep="\n", flush=True)
    return rows


def real(index: vipe.PoseIndex, options, kind: str) -> list[list]:
    """Each confidence, over all four cameras."""
    found = list(detections(options.data, kind, options.every))
    keypoints = np.stack([one for _, _, one in found])
    seen = (keypoints[..., 2] >= LEAST[kind]) & (keypoints[..., :2] != 0).any(axis=-1)
    people = vipe.Keypoints.of(
        keypoints[..., :2], seen, confidence=keypoints[..., 2].clip(0, 1), skeleton="coco17", convention=kind
    )
    frame = np.array([frame // options.every for _, frame, _ in found])
    frames = index.frames()
    own = np.flatnonzero(frames["clip"].astype(str) == "balance")
    held = dict(zip(frames["frame"][own].tolist(), own.tolist(), strict=True))
    truth = index.poses(np.array([held[one] for one in frame.tolist()]))
    blocks = np.array([f"{camera} {number // 5}" for (camera, _, _), number in zip(found, frame, strict=True)])
    hits, lists = vipe.query(index, people, VOTERS), RankingModel.of(kind).lists
    right = pose_distance(index.poses(hits.rows), truth[:, None]) < HIT_THRESHOLD
    rows = []
    for level in CONFIDENCES:
        enough = lists.of(hits.probability[:, 0], level)  # what `confidence=level` would give
        holds = (right & (np.arange(VOTERS) < enough[:, None])).any(axis=1)
        given = enough > 0
        interval = bootstrap_interval(holds[given], blocks[given], generator=np.random.default_rng(0))
        lengths = enough[given]
        figures = [float(holds[given].mean()), list(interval), float(np.median(lengths)), float(lengths.mean())]
        rows.append([f"{kind} (real)", "whole gallery", level, len(people), *figures, float(1 - given.mean())])
        print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
