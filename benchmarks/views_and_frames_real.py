"""Hit@1 against the number of real cameras (1 to 4) and of real frames: what every further image of a recording adds.

    python benchmarks/views_and_frames_real.py ../shared/mocap [--data ../shared/real-views] [--out benchmarks/results]

Detections of one person by four calibrated cameras, as in real_views.py: each file's convention of joints, anatomical
joints in the archive. All of it is at 10 frames/s, the recording too: 17 frames, one after the other. A query is one
frame, seen by every set of cameras; or one camera's frames around it, as many as the recording has there. What the
images say is joined as `query_views` and `query_tracks` do. For presence every third query is also asked of a gallery
without its pose. Intervals are over half seconds, of which there are four. --out writes views_and_frames_real.json.
"""

import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import results_tables
from inputs import arguments
from real_views import CAMERAS, CONVENTION, archive, people_of
from views_and_frames import FRAMES, VIEWS, Asked, figures, one_asked

from vipe import Keypoints, PoseIndex
from vipe.evaluate.metrics import HIT_THRESHOLD, pose_distance
from vipe.retrieve.sequences.fusion import Fusion

EVERY = 6  # frames of 60 a second
RATE = 10.0
BLOCK_SECONDS = 0.5


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/real-views"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.every = EVERY
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        index = archive(options, "marker", Path(folder))
        for kind in CONVENTION:
            everybody = tuple(number for numbers in CAMERAS.values() for number in numbers)
            people = people_of(options, kind, CONVENTION[kind], everybody, known=False)
            asked = list(questions(index, people, kind))
            rows += figures(asked, Fusion.default(), 0)
    for row in rows:
        print(*row, flush=True)
    if options.out:
        columns = {"detections": None, "images": None, "queries": 0, "Hit@1": 1, "95%": 1, "Hit@10": 1, "said": 1}
        found = {
            "command": shlex.join(["python", "benchmarks/views_and_frames_real.py", *sys.argv[1:]]),
            "data": "one person, 17 frames of four cameras, among 29,700 poses, 10 frames/s; four half seconds",
            "seed": 0,
            "machine": f"{os.cpu_count()} cores ({platform.machine()}), no GPU",
            "columns": columns | {"right": 1, "ECE first": 3, "ECE all": 3, "presence AUROC": 3},
            "rows": rows,
        }
        results_tables.write(options.out / "views_and_frames_real.json", found)


def questions(index: PoseIndex, people: Keypoints, kind: str) -> Iterator[Asked]:
    """What the images of every query say."""
    frames = index.frames()
    own = np.flatnonzero(frames["clip"].astype(str) == "balance")
    place = {
        (camera, frame): number
        for number, (camera, frame) in enumerate(zip(people.video.tolist(), people.frame.tolist(), strict=True))
    }
    everything = np.arange(len(index))
    for frame, row in enumerate(own.tolist()):
        distance = pose_distance(index.canonical, index.canonical[row][None])
        for absent in (False, True) if frame % 3 == 0 else (False,):
            rows = everything[distance >= HIT_THRESHOLD] if absent else everything
            off = distance[rows]

            def to(found: np.ndarray, rows: np.ndarray = rows, off: np.ndarray = off) -> np.ndarray:
                return np.where(found >= 0, off[np.searchsorted(rows, np.maximum(found, rows[0]))], np.inf)

            truth = {"clip": int(frame / RATE // BLOCK_SECONDS), "present": not absent, "absent": absent}
            for name, some, seconds in images(place, frame):
                yield one_asked(index, rows, people[some], seconds, to, condition=kind, images=name, **truth)


def images(place: dict[tuple[int, int], int], frame: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """By the number of images, the detections that are asked with, and when they were seen."""
    cameras = sorted(camera for camera, number in place if number == frame)
    for many in VIEWS:
        for several in combinations(cameras, many):
            rows = np.array([place[camera, frame] for camera in several])
            yield f"{many} view{'s' * (many > 1)}", rows, np.zeros(many)
    last = max(number for _, number in place)
    for many in FRAMES:
        if many > last + 1:
            continue
        around = frame + np.arange(many) - (many - 1) // 2
        for camera in cameras:
            there = np.array([number for number in around.tolist() if (camera, number) in place])
            rows = np.array([place[camera, number] for number in there.tolist()])
            yield f"{many} frame{'s' * (many > 1)}", rows, (there - frame) / RATE


if __name__ == "__main__":
    main()
