"""Small keypoint files in every form that is read: one person of three who stand, or walk over frames."""

__all__ = ["FILES", "PEOPLE", "XY", "as_json"]

import io
import json
from typing import Any

import numpy as np

from vipe.skeletons import load

COCO17 = load("coco17")
_BODY = [(50, 20), (53, 17), (47, 17), (56, 19), (44, 19), (65, 40), (35, 40), (70, 62), (30, 62), (72, 82), (28, 82),
         (60, 90), (40, 90), (61, 122), (39, 122), (62, 150), (38, 150)]  # fmt: skip
XY = np.array([np.array(_BODY) * scale + shift for scale, shift in ((1, 0), (1.5, 90), (0.8, 40))], dtype=float)
SCORE = np.round(np.linspace(0.5, 0.95, 3 * 17).reshape(3, 17), 3)
PEOPLE = np.concatenate([XY, SCORE[..., None]], axis=-1)
NAMES = list(COCO17.joints)
_SIZE = np.array([640.0, 480.0])


def as_json(value: Any) -> bytes:
    """JSON text."""
    return json.dumps(value).encode()


def _flat(person: np.ndarray) -> list[float]:
    return np.asarray(person).ravel().tolist()


def _on(skeleton: str) -> np.ndarray:
    """The three people on another skeleton: joints that COCO has where COCO has them, others near."""
    body = load(skeleton)
    near = {
        "neck": (5, 6),
        "chest": (5, 6),
        "thorax": (5, 6),
        "mid_hip": (11, 12),
        "pelvis": (11, 12),
        "head_top": (0, 0),
    }
    rows = np.zeros((3, len(body), 3))
    for place, joint in enumerate(body.joints):
        if joint in NAMES:
            rows[:, place] = PEOPLE[:, NAMES.index(joint)]
        elif joint in near:
            rows[:, place] = PEOPLE[:, near[joint]].mean(axis=1)
        else:
            side, _, part = joint.partition("_")
            of = "ankle" if "toe" in part or "heel" in part or "foot" in part else "wrist"
            anchor = 0 if part.startswith(("eye", "mouth")) or side == "face" else NAMES.index(f"{side}_{of}")
            rows[:, place] = PEOPLE[:, anchor] + [1, 2, 0]
    return rows


def _openpose(skeleton: str, key: str = "pose_keypoints_2d") -> bytes:
    people = [{"person_id": [-1], key: _flat(one), "face_keypoints_2d": []} for one in _on(skeleton)]
    return as_json({"version": 1.3, "people": people})


def _annotations(**more: Any) -> dict[str, Any]:
    rows = [
        {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
         "keypoints": _flat(np.column_stack([XY[i], np.full(17, 2)]))}
        for i in range(3)
    ]  # fmt: skip
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(3)]
    return {
        "images": images,
        "annotations": rows,
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES}],
    } | more


def _results(**more: Any) -> list[dict[str, Any]]:
    return [
        {"image_id": i, "category_id": 1, "keypoints": _flat(one), "score": 0.9} | more for i, one in enumerate(PEOPLE)
    ]


def _instances() -> list[dict[str, Any]]:
    return [
        {"keypoints": XY[i].tolist(), "keypoint_scores": SCORE[i].tolist(), "bbox": [[1, 2, 3, 4]], "bbox_score": 0.9}
        for i in range(3)
    ]


def _landmarks() -> list[list[dict[str, float]]]:
    people = _on("mediapipe33")
    return [[{"x": x / 640, "y": y / 480, "z": 0.1, "visibility": v} for x, y, v in one.tolist()] for one in people]


def _csv(separator: str = ",") -> bytes:
    head = ["frame", *(f"{joint}_{axis}" for joint in NAMES for axis in ("x", "y", "score"))]
    rows = [[str(i), *map(str, _flat(one))] for i, one in enumerate(PEOPLE)]
    return "\n".join(separator.join(row) for row in [head, *rows]).encode()


def _saved(save: Any, *arrays: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def _tensors() -> bytes:
    import torch

    file = io.BytesIO()
    torch.save(torch.tensor(PEOPLE), file)
    return file.getvalue()


def _videopose() -> bytes:
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [[1, 3], [2, 4]], "video_metadata": {}}
    positions = {"S1": {"Walking": [XY.astype(np.float32)]}}
    return _saved(np.savez_compressed, positions_2d=np.array(positions, object), metadata=np.array(metadata, object))


def _long() -> bytes:
    rows = [
        f"{i},{joint},{x},{y},{s}" for i, one in enumerate(PEOPLE) for joint, (x, y, s) in zip(NAMES, one, strict=True)
    ]
    return "\n".join(["frame,joint,x,y,confidence", *rows]).encode()


def _deeplabcut() -> bytes:
    head = [
        ["scorer", *["me"] * 51],
        ["bodyparts", *(joint for joint in NAMES for _ in range(3))],
        ["coords", *["x", "y", "likelihood"] * 17],
    ]
    rows = [[str(i), *map(str, _flat(one))] for i, one in enumerate(PEOPLE)]
    return "\n".join(",".join(row) for row in head + rows).encode()


_TOJSON = [
    {"name": "person", "class": 0, "confidence": 0.8, "box": {"x1": 1, "y1": 2, "x2": 3, "y2": 4},
     "keypoints": {"x": XY[i, :, 0].tolist(), "y": XY[i, :, 1].tolist(), "visible": SCORE[i].tolist()}}
    for i in range(3)
]  # fmt: skip
_NAMED = [
    {
        "score": 0.9,
        "keypoints": [{"name": n, "x": x, "y": y, "score": s} for n, (x, y, s) in zip(NAMES, one, strict=True)],
    }
    for one in PEOPLE.tolist()
]
_CAMEL = [name.partition("_")[0] + name.partition("_")[2].title() for name in NAMES]  # leftShoulder
_POSENET = [
    {"score": 0.9, "keypoints": [
        {"part": n, "position": {"x": x, "y": y}, "score": s} for n, (x, y, s) in zip(_CAMEL, one, strict=True)]}
    for one in PEOPLE.tolist()
]  # fmt: skip
_META = {
    "dataset_name": "coco",
    "num_keypoints": 17,
    "keypoint_id2name": {str(i): name for i, name in enumerate(NAMES)},
}
_HALPE = [
    {"image_id": f"{i}.jpg", "category_id": 1, "keypoints": _flat(one), "score": 2.9, "idx": i, "box": [1, 2, 3, 4]}
    for i, one in enumerate(_on("halpe26"))
]
_RENAMED = [{"id": 1, "name": "person", "keypoints": [f"{n.replace('_', ' ').title()}" for n in NAMES]}]

FILES: dict[str, bytes] = {
    "annotations.json": as_json(_annotations()),
    "annotations_named.json": as_json(_annotations(categories=_RENAMED)),
    "annotations_numbers.json": as_json(
        _annotations(categories=[{"id": 1, "name": "p", "keypoints": [str(i) for i in range(1, 18)]}])
    ),
    "annotations_nameless.json": as_json(_annotations(categories=[{"id": 1, "name": "person"}])),
    "results.json": as_json(_results()),
    "results_twice.json": as_json(json.dumps(_results())),
    "results_shares.json": as_json(
        [
            row | {"keypoints": _flat(PEOPLE[i] / [640, 480, 1]), "image_width": 640, "image_height": 480}
            for i, row in enumerate(_results())
        ]
    ),
    "canvas.json": as_json(
        [
            {"people": [{"pose_keypoints_2d": _flat(one / [640, 480, 1])}], "canvas_width": 640, "canvas_height": 480}
            for one in _on("openpose18")
        ]
    ),
    "rtmlib.json": as_json({"keypoints": XY.tolist(), "scores": SCORE.tolist()}),
    "rtmlib_frames.jsonl": b"\n".join(
        as_json({"frame": i, "keypoints": [XY[i].tolist()], "scores": [SCORE[i].tolist()]}) for i in range(3)
    ),
    "roboflow.json": as_json(
        {
            "predictions": [
                {
                    "x": 1,
                    "y": 2,
                    "width": 3,
                    "height": 4,
                    "class": "person",
                    "confidence": 0.9,
                    "keypoints": [
                        {"x": x, "y": y, "confidence": s, "class": n, "class_id": 0}
                        for n, (x, y, s) in zip(NAMES, one, strict=True)
                    ],
                }
                for one in PEOPLE.tolist()
            ],
            "image": {"width": 640, "height": 480},
        }
    ),
    "sapiens.json": as_json({"meta_info": {}, "instance_info": _instances()}),
    "by_frame_landmarks.json": as_json(
        {
            f"{i}": [{"x": x, "y": y, "z": 0, "visibility": v} for x, y, v in one]
            for i, one in enumerate(_on("mediapipe33").tolist())
        }
    ),
    "by_joint.json": as_json(
        [{"frame": i} | dict(zip(NAMES, one.tolist(), strict=True)) for i, one in enumerate(PEOPLE)]
    ),
    "results_text_ids.json": as_json([row | {"image_id": f"{i}.jpg"} for i, row in enumerate(_results())]),
    "results_float_ids.json": as_json([row | {"image_id": float(row["image_id"])} for row in _results()]),
    "results_nested.json": as_json([row | {"keypoints": PEOPLE[i].tolist()} for i, row in enumerate(_results())]),
    "results_wrapped.json": as_json({"info": {}, "predictions": _results()}),
    "results_utf16.json": json.dumps(_results()).encode("utf-16"),
    "wholebody.json": as_json([row | {"keypoints": _flat(_on("coco133")[i])} for i, row in enumerate(_results())]),
    "detectron2.json": as_json(
        [row | {"bbox": [1, 2, 3, 4], "keypoints": _flat(PEOPLE[i] * [1, 1, 4])} for i, row in enumerate(_results())]
    ),
    "alphapose_halpe.json": as_json(_HALPE),
    "alphapose_cmu.json": as_json(
        {
            f"{i}.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": _flat(one)}]}
            for i, one in enumerate(_on("openpose18"))
        }
    ),
    "halpe136.json": as_json([row | {"keypoints": _flat(_on("halpe136")[i])} for i, row in enumerate(_results())]),
    "lines.jsonl": b"\n".join(as_json(row) for row in _results()),
    "by_image.json": as_json({f"{i}.jpg": {"keypoints": _flat(one)} for i, one in enumerate(PEOPLE)}),
    "by_image_lists.json": as_json({f"{i}.jpg": [{"keypoints": one.tolist()}] for i, one in enumerate(PEOPLE)}),
    "openpose25.json": _openpose("openpose25"),
    "openpose25b.json": _openpose("openpose25b"),
    "openpose18.json": _openpose("openpose18", "pose_keypoints"),
    "openpose_mpi.json": _openpose("mpi15"),
    "openpose_halpe26.json": _openpose("halpe26"),
    "openpose_wholebody.json": _openpose("coco133"),
    "mmpose_image.json": as_json(_instances()),
    "mmpose_video.json": as_json(
        {
            "meta_info": _META,
            "instance_info": [{"frame_id": i + 1, "instances": [one]} for i, one in enumerate(_instances())],
        }
    ),
    "ultralytics.json": as_json(_TOJSON),
    "movenet.json": as_json(_NAMED),
    "posenet.json": as_json(_POSENET),
    "openpifpaf.jsonl": b"\n".join(
        as_json(
            {
                "frame": i,
                "predictions": [{"keypoints": _flat(one), "bbox": [1, 2, 3, 4], "score": 0.9, "category_id": 1}],
            }
        )
        for i, one in enumerate(PEOPLE)
    ),
    "mediapipe.json": as_json({"image_width": 640, "image_height": 480, "pose_landmarks": _landmarks()}),
    "mediapipe_frames.json": as_json(
        [{"frame": i, "width": 640, "height": 480, "landmarks": one} for i, one in enumerate(_landmarks())]
    ),
    "nested.json": as_json(PEOPLE.tolist()),
    "nested_frames.json": as_json([[one.tolist()] for one in PEOPLE]),
    "table.csv": _csv(),
    "table_semicolons.csv": _csv(";").replace(b".", b","),
    "table_tabs.tsv": _csv("\t"),
    "long.csv": _long(),
    "deeplabcut.csv": _deeplabcut(),
    "columns.jsonl": b"\n".join(
        as_json(
            {"frame": i}
            | {
                f"{n}_{axis}": v
                for n, row in zip(NAMES, one.tolist(), strict=True)
                for axis, v in zip("xyc", row, strict=True)
            }
        )
        for i, one in enumerate(PEOPLE)
    ),
    "array.npy": _saved(np.save, PEOPLE),
    "arrays.npz": _saved(np.savez, keypoints=XY, scores=SCORE),
    "tensors.pt": _tensors(),
    "data_2d_custom_x.npz": _videopose(),
}
"""Files of the same three people, by name."""
