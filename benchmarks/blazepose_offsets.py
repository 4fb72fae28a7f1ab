"""Where BlazePose marks joints: offsets learned from one real camera and tried on another.

    python benchmarks/blazepose_offsets.py ../shared/mocap [--data ../shared/real-views] [--out benchmarks/results]

Offsets are from the images of one person's anatomical joints (estimated markers) to BlazePose's detections, by least
squares in the body's directions, left and right as mirror images. Each is believed to be OpenPose's by a standard
deviation of 0.03 torso lengths before looking; frames are alike and count a tenth; shift and size of each image
are free; images whose sides are exchanged, and joints far off, are left out. Prints the table of cameras 1 and 2
together, which `vipe/skeletons/conventions/blazepose.toml` has. Tables of camera 1 are tried on camera 2, and the other
way round; nothing is learned from cameras 3 and 4. --out writes blazepose_offsets.json.
"""

import tempfile
from pathlib import Path

import numpy as np
import real_views
import results_tables
from inputs import arguments
from lifting_real import LEAST, detections, read_cameras, read_poses

from vipe.detections import read_calibration
from vipe.geometry import canonicalize_array
from vipe.skeletons import joint_conventions, load
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, COCO13_MIRRORED, without_side

GROUPS = ("nose", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
BELIEVED = 0.03  # torso lengths: standard deviation of an offset about OpenPose's before looking
NOISE = 0.06  # torso lengths: of a detection
FRAME = 0.1  # what a frame counts: the next one is nearly the same
FARTHEST = 0.3  # torso lengths, beyond which from the middle residual a joint is left out
READ = joint_conventions._table
NAMES = load("coco17").joints
ROWS = [NAMES.index(joint) for joint in COCO13.joints]
OF_GROUP = [GROUPS.index(without_side(joint)) for joint in COCO13.joints]
SIDE = [np.diag([1.0, -1.0 if joint.startswith("left_") else 1.0, 1.0]) for joint in COCO13.joints]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/real-views"))
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    views = list(images(options))
    both = offsets(views, (1, 2))
    for group, offset in zip(GROUPS[1:], both[1:], strict=True):
        print(f"{group} = {offset.round(3).tolist()}")
    rows = []
    for joints in ("marker", "detector"):
        with tempfile.TemporaryDirectory() as folder:
            index = real_views.archive(options, joints, Path(folder))
            for tried, learned in ((1, 2), (2, 1)):
                for name, table in (
                    ("OpenPose's", openpose()),
                    (f"learned from camera {learned}", offsets(views, (learned,))),
                ):
                    use(table)
                    people = real_views.people_of(options, "blazepose", "blazepose", (tried,), known=False)
                    queries, _, first, ends, ten, said, right, presence = real_views.figures(index, people)
                    rows.append([joints, str(tried), name, queries, first, ends, ten, said, right, presence])
                    print(rows[-1], flush=True)
    if options.out:
        names = ["archive", "tried on camera", "offsets", "queries", "full @1", "95%", "full @10", "said", "right"]
        results_tables.write(
            options.out / "blazepose_offsets.json",
            {
                "command": "python benchmarks/blazepose_offsets.py ../shared/mocap --out benchmarks/results",
                "data": "one person, 34 frames of each camera, among 29,700 poses; intervals over half seconds",
                "seed": 0,
                "machine": "2 cores (x86_64), no GPU",
                "columns": dict(zip([*names, "presence"], [None, None, None, 0, 1, 1, 1, 2, 2, 2], strict=True)),
                "rows": rows,
            },
        )


def openpose() -> np.ndarray:
    """OpenPose's offsets by `GROUPS`, of the right side."""
    mean = joint_conventions.load_convention("openpose").mean
    return np.stack([np.zeros(3), *(mean[COCO13.index(f"right_{group}")] for group in GROUPS[1:])])


def use(table: np.ndarray) -> None:
    """Have searches take these offsets for BlazePose's; the nose's are nobody's."""
    mean = {group: offset.tolist() for group, offset in zip(GROUPS[1:], table[1:], strict=True)}
    joint_conventions._table = lambda name: READ(name) | ({"mean": mean} if name == "blazepose" else {})
    joint_conventions.load_convention.cache_clear()


def images(options):
    """Of each image its camera, what BlazePose's joints are off the anatomical ones by, and how offsets move these."""
    path = options.data / "calibration.qca.txt"
    cameras, lenses = read_cameras(path), {int(one.name[-2:]): one.lens for one in read_calibration(path)}
    poses = read_poses(options.data / "balance.trc", "marker")
    body = canonicalize_array(poses.astype(np.float32))
    for number, frame, points in detections(options.data, "blazepose", options.every):
        keypoints = points[ROWS]
        seen = (keypoints[:, 2] >= LEAST["blazepose"]) & (keypoints[:, :2] != 0).any(axis=1)
        camera, lens = cameras[number], lenses[number]
        x, y, z = ((poses[frame][list(COCO13_IN_H36M17)] - camera.place) @ camera.rotation.T).T
        image = lens.project(np.stack([x, y, z], axis=1))
        moved = np.zeros((13, 2, 3))
        moved[:, 0, 0], moved[:, 1, 1] = lens.fx / z, lens.fy / z
        moved[:, 0, 2], moved[:, 1, 2] = -lens.fx * x / z**2, -lens.fy * y / z**2
        moved = moved @ camera.rotation @ body.rotation[frame].T.astype(np.float64) * float(body.scale[frame])
        off, exchanged = keypoints[:, :2] - image, keypoints[list(COCO13_MIRRORED), :2] - image
        if middle_distance(exchanged, seen) >= middle_distance(off, seen):
            yield number, image, off, seen, moved


def middle_distance(off: np.ndarray, seen: np.ndarray) -> float:
    return float(np.median(np.linalg.norm((off - np.median(off[seen], axis=0))[seen], axis=1)))


def offsets(views, numbers: tuple[int, ...]) -> np.ndarray:
    """The offsets by `GROUPS` that explain most of the images of some cameras, torso lengths."""
    matrix = np.eye(21) / BELIEVED**2
    right = openpose().ravel() / BELIEVED**2
    for number, image, off, seen, moved in views:
        if number not in numbers:
            continue
        torso = np.linalg.norm(moved, axis=(1, 2)).mean() / np.sqrt(2)  # pixels
        near = np.linalg.norm(off - np.median(off[seen], axis=0), axis=1) < FARTHEST * torso
        weight = np.repeat(seen & near, 2) / (NOISE * torso) ** 2
        columns = np.zeros((13, 2, 21))
        for joint in range(13):
            columns[joint, :, 3 * OF_GROUP[joint] :][:, :3] = moved[joint] @ SIDE[joint]
        free = np.zeros((26, 3))
        free[0::2, 0] = free[1::2, 1] = 1
        free[:, 2] = (image - image.mean(axis=0)).ravel()
        least = np.linalg.solve((free.T * weight) @ free, free.T * weight)
        columns, left = columns.reshape(26, 21), off.ravel()
        columns, left = columns - free @ (least @ columns), left - free @ (least @ left)
        matrix += FRAME * (columns.T * weight) @ columns
        right += FRAME * (columns.T * weight) @ left
    return np.linalg.solve(matrix, right).reshape(7, 3)


if __name__ == "__main__":
    main()
