"""Search with real photos: four calibrated cameras see a person whose motion is among an archive's.

    python benchmarks/real_views.py ../shared/mocap [--data ../shared/real-views] [--every 3] [--out benchmarks/results]
    python benchmarks/real_views.py ../shared/mocap --camera known [--out benchmarks/results]
    python benchmarks/real_views.py ../shared/mocap --lifter default archive [--out benchmarks/results]

Queries are OpenPose's (BODY_25B) and BlazePose's detections of one frame of one camera. The archive is the motion
capture at 10 frames/s with the person's poses among it: as anatomical joints, which is what archives hold, or as joints
triangulated from such detections. Each is asked with the file's convention of joints, and as if joints were marked
where the archive has them. Cameras 1 and 2 were used to choose settings, 3 and 4 for nothing. One person, 1.7 seconds:
intervals are wide. --out writes real_views.json. With --camera known each is asked with the recording's calibration
and without, with the file's convention alone; --out then writes real_views_camera.json. With --lifter the archive of
anatomical joints is also ranked by the hypotheses of lifters alone (`archive`: of the archive itself); --out then
writes real_views_hypotheses.json.
"""

import os
import platform
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import results_tables
from inputs import arguments
from lifting_real import LEAST, detections, read_poses

import vipe
from vipe.cli.evaluate.measuring import lifters_of
from vipe.clips import Clip
from vipe.detections import in_perspective_crops, read_calibration
from vipe.evaluate.protocols.real import evaluate_real
from vipe.skeletons import load

CAMERAS = {"1+2": (1, 2), "3+4": (3, 4)}
CONVENTION = {"openpose": "openpose", "blazepose": "blazepose"}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/real-views"))
    parser.add_argument("--every", type=int, default=3, help="frames of a camera")
    parser.add_argument("--camera", choices=["unknown", "known"], default="unknown")
    parser.add_argument("--lifter", nargs="+", default=[], help="as of `vipe evaluate real`")
    parser.add_argument("--samples", type=int, default=200, help="hypotheses of each person, with --lifter")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.lifter:
        hypotheses(options)
        return
    compared = ("unknown", "known") if options.camera == "known" else ("unknown",)
    rows = []
    for joints in ("marker", "detector"):
        with tempfile.TemporaryDirectory() as folder:
            index = archive(options, joints, Path(folder))
            for kind in ("openpose", "blazepose"):
                for told in (CONVENTION[kind], *(["archive"] if len(compared) == 1 else [])):
                    for cameras, numbers in CAMERAS.items():
                        for camera in compared:
                            people = people_of(options, kind, told, numbers, known=camera == "known")
                            way = told if len(compared) == 1 else camera
                            rows.append([kind, joints, way, cameras, *figures(index, people)])
                            print(rows[-1], flush=True)
    columns = {"detections": None, "archive": None, "told" if len(compared) == 1 else "camera": None, "cameras": None}
    columns |= {
        "queries": 0,
        "affine @1": 1,
        "full @1": 1,
        "95%": 1,
        "full @10": 1,
        "said": 2,
        "right": 2,
        "presence": 2,
    }
    if options.out:
        name = "real_views.json" if len(compared) == 1 else "real_views_camera.json"
        results_tables.write(options.out / name, found(columns, rows))


def hypotheses(options) -> None:
    """Modes and lifters, each with a row for the detections of each pair of cameras."""
    lifters = lifters_of(options.lifter)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        index = archive(options, "marker", Path(folder))
        for kind in CONVENTION:
            for cameras, numbers in CAMERAS.items():
                people = people_of(options, kind, CONVENTION[kind], numbers, known=False)
                report = evaluate_real(index, "balance", people, lifters=lifters(index), samples=options.samples)
                for score in report.scores:
                    if score.camera == "all":
                        ends = [100 * end for end in score.interval]
                        shares = [100 * score.hit[1], ends, 100 * score.hit[10], 100 * score.hit[20]]
                        rows.append([score.mode, kind, cameras, score.queries, *shares, score.said, score.hit[1]])
                        print(rows[-1], flush=True)
    columns = {"mode": None, "detections": None, "cameras": None, "queries": 0, "Hit@1": 1, "95%": 1, "Hit@10": 1}
    columns |= {"Hit@20": 1, "said": 2, "right": 2}
    rows.sort(key=lambda row: [row[1], row[2]])  # stable: searches stay in their order
    if options.out:
        results_tables.write(options.out / "real_views_hypotheses.json", found(columns, rows))


def found(columns: dict, rows: list[list]) -> dict:
    """The content of a results file."""
    return {
        "command": shlex.join(["python", "benchmarks/real_views.py", *sys.argv[1:]]),
        "data": "one person, 34 frames of four cameras, among 29,700 poses at 10 frames/s; intervals over half seconds",
        "seed": 0,
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), no GPU",
        "columns": columns,
        "rows": rows,
    }


def archive(options, joints: str, folder: Path) -> vipe.PoseIndex:
    poses = read_poses(options.data / "balance.trc", joints)[:: options.every].astype(np.float32)
    clip = Clip(name="balance", skeleton=load("h36m17"), positions=poses, fps=10.0)
    store = vipe.PoseStore.create(folder / "store", [clip], fps=10)
    store.append(vipe.read(options.mocap), fps=10)
    return vipe.PoseIndex.build(vipe.PoseStore.open(folder / "store"), vipe.AffineSignature(), folder / "index")


def people_of(options, kind: str, told: str, numbers: tuple[int, ...], *, known: bool) -> vipe.Keypoints:
    found = [one for one in detections(options.data, kind, options.every) if one[0] in numbers]
    keypoints = np.stack([one for _, _, one in found])
    seen = (keypoints[..., 2] >= LEAST[kind]) & (keypoints[..., :2] != 0).any(axis=-1)
    people = vipe.Keypoints.of(
        keypoints[..., :2], seen, confidence=keypoints[..., 2].clip(0, 1), skeleton="coco17", convention=told
    )
    frame = np.array([frame // options.every for _, frame, _ in found])
    people = replace(people, frame=frame, video=np.array([camera for camera, _, _ in found]))
    if not known:
        return people
    lenses = {int(one.name[-2:]): one.lens for one in read_calibration(options.data / "calibration.qca.txt")}
    return in_perspective_crops(people, [lenses[camera] for camera, _, _ in found])


def figures(index, people: vipe.Keypoints) -> list:
    affine, full = (score for score in evaluate_real(index, "balance", people).scores if score.camera == "all")
    shares = [100 * affine.hit[1], 100 * full.hit[1], [100 * end for end in full.interval], 100 * full.hit[10]]
    return [full.queries, *shares, full.said, full.hit[1], full.presence]


if __name__ == "__main__":
    main()
