"""Lifters on real detections: four calibrated cameras see a person whose 3D pose is known.

python benchmarks/lifting_real.py MODEL [MODEL ...] [--data ../shared/real-views] [--every 3] [--samples 200] [--json]

A MODEL is the folder or name of a lifter. Detections are OpenPose's (BODY_25B) and BlazePose's. The truth is the
person's pose in each camera's space along the ray to the person, scaled to a torso of 490 mm, in two conventions:
`detector` joints are triangulated from such detections, `marker` joints are anatomical and estimated from them. Errors
are root-aligned, cameras apart. Whatever is chosen by these figures is chosen on cameras 1 and 2.
"""

import json
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from inputs import arguments

import vipe
from vipe.evaluate.distribution_metrics import energy_score
from vipe.evaluate.lifting_calibration import radial_calibration
from vipe.evaluate.lifting_metrics import best_of, mpjpe, p_mpjpe
from vipe.geometry import REFERENCE_TORSO
from vipe.lift import Lifter
from vipe.skeletons import load

SUBPIXELS = 64  # a pixel of the calibration file
TORSO = ("pelvis", "spine", "thorax")
LEAST = {"openpose": 0.2, "blazepose": 0.3}  # confidence of a seen joint
FEWEST = 8  # seen joints of the person: others in the image have fewer


@dataclass(frozen=True)
class Camera:
    """Camera space from the recording's: x right, y down, z forward."""

    rotation: np.ndarray
    place: np.ndarray  # metres


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/real-views"))
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"left out: no real views in {options.data}")
        return
    torch.set_num_threads(1)
    cameras = read_cameras(options.data / "calibration.qca.txt")
    rows = []
    for kind in LEAST:
        found = list(detections(options.data, kind, options.every))
        number = np.array([camera for camera, _, _ in found])
        frame = np.array([frame for _, frame, _ in found])
        keypoints = np.stack([points for _, _, points in found])
        seen = (keypoints[..., 2] >= LEAST[kind]) & (keypoints[..., :2] != 0).any(-1)
        score = np.clip(keypoints[..., 2], 0, 1)
        people = vipe.Keypoints.of(keypoints[..., :2], seen, confidence=score, skeleton="coco17")
        for convention in ("detector", "marker"):
            truth = in_cameras(read_poses(options.data / "balance.trc", convention), cameras, number, frame)
            for model in options.models:
                rows += figures(model, people, truth, number, options.samples, kind=kind, joints=convention)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(
        "| lifter | detections | joints | camera | people | single | P single | best | P best | ECE | area | energy |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        cells = [f"{row[name]:.1f}" for name in ("single", "aligned", "best", "best_aligned")]
        cells += [f"{row['ece']:.3f}", f"{row['area']:+.3f}", f"{row['energy']:.0f}"]
        names = [row["lifter"], row["kind"], row["joints"], str(row["camera"]), str(row["people"])]
        print(f"| {' | '.join(names + cells)} |")


def figures(
    model: str, people: vipe.Keypoints, truth: np.ndarray, camera: np.ndarray, samples: int, **names: str
) -> Iterator[dict[str, object]]:
    """Errors in mm and calibration, of each camera and of each pair that a choice may and may not look at."""
    lifter = Lifter.from_pretrained(model)
    single = lifter.predict(people)
    poses = lifter.sample(people, samples, torch.Generator().manual_seed(0)).poses
    error, aligned = mpjpe(poses, truth), p_mpjpe(poses, truth)
    for name, rows in [*((str(i), camera == i) for i in (1, 2, 3, 4)), ("1+2", camera <= 2), ("3+4", camera > 2)]:
        curve = radial_calibration(poses[rows], truth[rows])
        yield {
            "lifter": Path(model).name,
            **names,
            "camera": name,
            "people": int(rows.sum()),
            "single": 1000 * float(mpjpe(single[rows][:, None], truth[rows]).mean()),
            "aligned": 1000 * float(p_mpjpe(single[rows][:, None], truth[rows]).mean()),
            "best": 1000 * float(best_of(error[rows], (samples,))[samples].mean()),
            "best_aligned": 1000 * float(best_of(aligned[rows], (samples,))[samples].mean()),
            "ece": curve.ece,
            "area": curve.signed_area,
            "energy": 1000 * float(energy_score(poses[rows], truth[rows]).mean()),
        }


def read_cameras(path: Path) -> dict[int, Camera]:
    """The cameras of a Qualisys calibration, whose own space has y up and z backwards."""
    cameras = {}
    for camera in ElementTree.parse(path).getroot().iter("camera"):
        turn = camera.find("transform")
        assert turn is not None
        rotation = np.array([[float(turn.attrib[f"r{a}{b}"]) for b in (1, 2, 3)] for a in (1, 2, 3)])
        place = np.array([float(turn.attrib[axis]) for axis in "xyz"]) / 1000
        cameras[int(camera.attrib["serial"][-2:])] = Camera(np.diag([1.0, -1.0, -1.0]) @ rotation, place)
    return cameras


def read_poses(path: Path, convention: str) -> np.ndarray:
    """Joints of h36m17 in the space of the calibration (z up), metres, (frames, 17, 3)."""
    lines = path.read_text().splitlines()
    names = [name for name in lines[3].split("\t")[2:] if name]
    numbers = [[float(x) if x else np.nan for x in line.split("\t")] for line in lines[5:] if line.strip()]
    markers = np.array([row[2 : 2 + 3 * len(names)] for row in numbers]).reshape(len(numbers), len(names), 3)

    def mean(*wanted: str) -> np.ndarray:
        return np.mean([markers[:, names.index(name)] for name in wanted], axis=0)

    joints: dict[str, np.ndarray] = {"nose": mean("Nose"), "head": mean("Head")}
    for side, capital, small in (("right", "R", "r"), ("left", "L", "L")):
        if convention == "detector":
            for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
                joints[f"{side}_{joint}"] = mean(f"{capital}{joint.title()}")
            continue
        joints[f"{side}_hip"] = mean(f"{capital}HJC_study")
        joints[f"{side}_shoulder"] = mean(f"{small}_shoulder_study")
        for joint, inner, outer in (
            ("knee", "knee", "mknee"),
            ("ankle", "ankle", "mankle"),
            ("elbow", "lelbow", "melbow"),
            ("wrist", "lwrist", "mwrist"),
        ):
            joints[f"{side}_{joint}"] = mean(f"{small}_{inner}_study", f"{small}_{outer}_study")
    joints["pelvis"] = (joints["right_hip"] + joints["left_hip"]) / 2
    shoulders = (joints["right_shoulder"] + joints["left_shoulder"]) / 2
    joints["thorax"] = shoulders if convention == "detector" else mean("C7_study")
    joints["spine"] = (joints["pelvis"] + joints["thorax"]) / 2
    poses = np.stack([joints[joint] for joint in load("h36m17").joints], axis=1)
    return poses[..., [2, 0, 1]]  # the file is y up


def in_cameras(poses: np.ndarray, cameras: dict[int, Camera], number: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Each pose in the space of a camera turned straight at the person, pelvis at 0, with a torso of 490 mm."""
    body = load("h36m17")
    rows = []
    for camera, one in zip(number, frame, strict=True):
        points = (poses[one] - cameras[camera].place) @ cameras[camera].rotation.T
        forward = points.mean(axis=0) / np.linalg.norm(points.mean(axis=0))
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        turned = (points - points[0]) @ np.stack([right, np.cross(forward, right), forward]).T
        pelvis, spine, thorax = (turned[body.index(joint)] for joint in TORSO)
        rows.append(turned * REFERENCE_TORSO / (np.linalg.norm(spine - pelvis) + np.linalg.norm(thorax - spine)))
    return np.stack(rows).astype(np.float32)


def detections(data: Path, kind: str, every: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Camera, frame and COCO's 17 joints (x, y, score) of the person with most of them."""
    if kind == "blazepose":
        for row in json.loads((data / "blazepose_coco17.json").read_text()):
            camera, frame = divmod(row["image_id"], 1000)
            if frame % every == 0:
                yield camera, frame, np.reshape(row["keypoints"], (17, 3))
        return
    with tarfile.open(data / "openpose_body25b.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            camera, frame = (member.name + "....").split(".")[:2]
            if file is None or int(frame) % every:
                continue
            people = [np.reshape(one["pose_keypoints_2d"], (25, 3))[:17] for one in json.load(file)["people"]]
            people = [one for one in people if (one[:, 2] >= LEAST[kind]).sum() >= FEWEST]
            if people:
                yield int(member.name[4]), int(frame), max(people, key=lambda one: one[:, 2].sum())


if __name__ == "__main__":
    main()
