"""Lifted poses as files: .npz and .json of all people, .bvh of one (numpy)."""

__all__ = ["SUFFIXES", "check_place", "save_people", "save_tracks"]

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from vipe.arrays import Array
from vipe.atomic_write import atomic_write, check_writable
from vipe.clips import Clip
from vipe.errors import VipeError
from vipe.geometry.bones import with_bone_lengths
from vipe.lift.aggregation.lifted import LiftedPeople, LiftedTrack, to_world
from vipe.lift.aggregation.track import body_lengths
from vipe.skeletons.working import COCO13, H36M17
from vipe.writers import encode

SUFFIXES = (".bvh", ".npz", ".json")
"""Endings of the files; a path without an ending is a folder of all of them."""

_SHOWN = 1.0  # frames a second of a .bvh file whose frames are no motion


def check_place(path: Path) -> None:
    """Refuse a path that nothing could be written to, without leaving a trace.

    Raises:
        VipeError: If its ending is unknown, the folder is there already, or the disk refuses.
    """
    if path.suffix and path.suffix.lower() not in SUFFIXES:
        raise VipeError(f"{path}: ends in {path.suffix}, expected a folder, or a file in {', '.join(SUFFIXES)}")
    if not path.suffix and path.exists():
        raise VipeError(f"{path}: exists already; delete it, or choose another path")
    if path.suffix and path.is_dir():
        raise VipeError(f"{path}: is a folder, expected a file; give a name in it")
    try:
        check_writable(path, folder=not path.suffix)
    except OSError as error:
        raise VipeError(f"{path}: cannot be written: {error.strerror or error}") from error


def save_people(path: Path, lifted: LiftedPeople, report: Mapping[str, Any]) -> None:
    """Write hypotheses, single poses and modes of people.

    Poses are in world space, z up (`to_world`), in metres.

    - .json: the report, which the command line prints.
    - .npz: `poses` (N, M, 17, 3), `log_weight` (N, M), `prediction` (N, 17, 3), `image_id` (text), `person`, `xy`
      (N, 13, 2) pixels, `seen` (N, 13), `joints`, `keypoints` (names). Nothing in it is pickled.
    - .bvh: of one person: the single pose, then the modes, the largest first, one frame a second. A rig has one body:
      the bones of all frames have the lengths of `body_lengths`.
    - A folder: `lifted.json`, `lifted.npz` and `person_000.bvh`, ... in the order of the people.

    Args:
        path: Where to; a file is replaced, a folder must not exist.
        lifted: The people.
        report: JSON values.

    Raises:
        VipeError: If it is a .bvh file and there is not one person, or `path` cannot be written.
    """
    ids = [str(image) for image in lifted.people.image_id]
    arrays = {
        "poses": (to_world(lifted.hypotheses.poses)).astype(np.float32),
        "log_weight": lifted.hypotheses.log_weight,
        "prediction": (to_world(lifted.prediction)).astype(np.float32),
        "image_id": np.array(ids, dtype=np.str_),
        "person": lifted.people.person,
        "xy": lifted.people.xy,
        "seen": lifted.people.mask,
        "keypoints": np.array(COCO13.joints),
    }
    clips = {}
    for row, found in enumerate(lifted.modes):
        frames = np.concatenate([lifted.prediction[row : row + 1], found.poses]).astype(np.float64)
        lengths = torch.from_numpy(body_lengths(lifted.hypotheses[row : row + 1]))
        body = with_bone_lengths(torch.from_numpy(frames), lengths, H36M17.parents).numpy()
        clips[f"person_{row:03d}"] = _clip(f"{ids[row]} person {lifted.people.person[row]}", body, _SHOWN)
    _save(path, arrays, report, clips, "person", "people")


def save_tracks(path: Path, tracks: Sequence[LiftedTrack], report: Mapping[str, Any]) -> None:
    """Write the motions of tracked people, in world space, z up, metres.

    - .json: the report, which the command line prints.
    - .npz: `poses` (F, 17, 3) of all frames of all tracks, `track`, `frame` and `seen` (F), `fps`, `joints`.
    - .bvh: the motion of one track.
    - A folder: `lifted.json`, `lifted.npz` and `track_000.bvh`, ... by the numbers of the tracks.

    Args:
        path: Where to; a file is replaced, a folder must not exist.
        tracks: Of one video.
        report: JSON values.

    Raises:
        VipeError: If it is a .bvh file and there is not one track, or `path` cannot be written.
    """
    poses = [(to_world(track.poses)).astype(np.float32) for track in tracks]
    arrays = {
        "poses": np.concatenate([np.zeros((0, len(H36M17), 3), dtype=np.float32), *poses]),
        "track": np.repeat([track.number for track in tracks], [len(track) for track in tracks]).astype(np.int64),
        "frame": np.concatenate([np.zeros(0, dtype=np.int64), *[track.frame for track in tracks]]),
        "seen": np.concatenate([np.zeros(0, dtype=bool), *[track.seen for track in tracks]]),
        "fps": np.array(tracks[0].fps if tracks else 0.0),
    }
    clips = {f"track_{track.number:03d}": _clip(f"track {track.number}", track.poses, track.fps) for track in tracks}
    _save(path, arrays, report, clips, "track", "tracks")


def _clip(name: str, poses: Float[Array, "frames 17 3"], fps: float) -> Clip:
    return Clip(name=name, skeleton=H36M17, positions=to_world(poses).astype(np.float32), fps=fps)


def _save(
    path: Path, arrays: Mapping[str, Array], report: Mapping[str, Any], clips: Mapping[str, Clip], one: str, many: str
) -> None:
    kind = path.suffix.lower()
    if kind == ".bvh" and len(clips) != 1:
        found = f"{len(clips)} {many}" if clips else f"no {one}"
        raise VipeError(f"{path}: BVH holds one {one}, got {found}; give a folder, which holds a file for each")
    text = json.dumps(report, allow_nan=False) + "\n"
    try:
        with atomic_write(path, replace=bool(kind)) as place:
            if not kind:
                place.mkdir()
            if kind in ("", ".json"):
                (place if kind else place / "lifted.json").write_text(text, encoding="utf-8")
            if kind in ("", ".npz"):
                _write_npz(place if kind else place / "lifted.npz", {**arrays, "joints": np.array(H36M17.joints)})
            if kind in ("", ".bvh"):
                for name, clip in clips.items():
                    (place if kind else place / f"{name}.bvh").write_bytes(encode(".bvh", clip)[0])
    except OSError as error:
        raise VipeError(f"{path}: cannot be written: {error.strerror or error}") from error


def _write_npz(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:  # given a name, numpy would add its own ending
        np.savez_compressed(file, **arrays)
