"""Motion out again: clips as BVH, glTF, .npz, Parquet and COCO keypoints. One file format a module."""

__all__ = ["FORMATS", "RIG_FORMATS", "check_place", "encode", "write"]

from pathlib import Path

from vipe.clips import Clip
from vipe.errors import SkeletonError, VipeError
from vipe.files.output_file import check_output_file, output_file
from vipe.skeletons.working import H36M17
from vipe.store.moments import Moment
from vipe.writers import bvh, coco, gltf, npz, parquet
from vipe.writers.animation import animate
from vipe.writers.rig import Rig, load_rig

RIG_FORMATS = (".bvh", ".glb", ".gltf")
"""Endings of files that hold a rig and its motion, so the names of its joints can be chosen."""

FORMATS = (*RIG_FORMATS, ".npz", ".parquet", ".json")
"""Endings of all files that can be written; .json is COCO keypoints."""


def write(path: str | Path, motion: Clip | Moment, *, names: str = "h36m17", azimuth: float = 0.0) -> float:
    """Write a motion as one file; its ending decides the format.

    - .bvh: a rig whose rest pose is a T, and its motion. Only the root has position channels. Names of h36m17: metres,
      z up, as `vipe.read` reads them. Other names: centimetres, y up, as most programs expect.
    - .glb, .gltf: the same as glTF 2.0, metres, y up, with a body of simple bones.
    - .npz: named arrays; .parquet: the columns of a pose store.
    - .json: COCO keypoints as a simulated camera sees them.

    Clips that can be converted to h36m17 are. Where the bones of a motion change their lengths by millimetres, as they
    do in recordings, a rig gets a few more joints and is exact all the same; only arms and legs are held to their mean
    lengths.

    Args:
        path: The file; it appears whole or not at all, and replaces a file of that name.
        motion: A clip, or a stretch of one.
        names: Of the rig's joints: `h36m17`, `mixamo` or `unreal`.
        azimuth: Of the camera of COCO keypoints, radians: from the front of the person in the first frame to their
            left.

    Returns:
        How far a joint of the file is at most from where the motion has it, metres; 0 for files without a rig.

    Raises:
        VipeError: If the ending is unknown, or the file cannot be written.
        SkeletonError: If there are no such names, or the skeleton cannot be written in this format.

    Example:
        >>> import tempfile, numpy as np, vipe
        >>> from vipe.geometry.upright import upright_pose
        >>> standing = vipe.Clip(name="stand", skeleton=H36M17, positions=upright_pose()[None], fps=30.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     error = write(f"{folder}/stand.bvh", standing)
        ...     (again,) = vipe.read(f"{folder}/stand.bvh")
        >>> error < 1e-5, bool(np.allclose(again.positions, standing.positions, atol=1e-5))
        (True, True)
    """
    path = Path(path)
    check_place(path)
    data, error = encode(path.suffix, motion, names=names, azimuth=azimuth)
    with output_file(path, "motion") as file:
        file.write_bytes(data)
    return error


def check_place(path: Path) -> None:
    """Refuse a path that `write` could not write, before long work and without leaving a trace.

    Raises:
        VipeError: If the ending is unknown, something is there that is no file, or the disk refuses.
    """
    if path.suffix.lower() not in FORMATS:
        raise VipeError(f"{path}: ends in {path.suffix or 'nothing'}, expected a file in {', '.join(FORMATS)}")
    check_output_file(path, "motion")


def encode(suffix: str, motion: Clip | Moment, *, names: str = "h36m17", azimuth: float = 0.0) -> tuple[bytes, float]:
    """The bytes of a file that ends in `suffix`, one of `FORMATS`, and what `write` returns; arguments as there.

    Raises:
        SkeletonError: As in `write`.
    """
    moment = _on_working_skeleton(motion if isinstance(motion, Moment) else Moment.of(motion))
    suffix = suffix.lower()
    if suffix in RIG_FORMATS:
        return _encode_rig(suffix, moment.clip, names)
    if suffix == ".npz":
        return npz.encode(moment), 0.0
    return (parquet.encode(moment) if suffix == ".parquet" else coco.encode(moment, azimuth)), 0.0


def _on_working_skeleton(moment: Moment) -> Moment:
    if H36M17.name not in moment.clip.skeleton.conversions:
        return moment
    clip = moment.clip.to(H36M17)
    return Moment(clip=clip, frame=moment.frame, time=moment.time, source_fps=moment.source_fps)


def _encode_rig(suffix: str, clip: Clip, names: str) -> tuple[bytes, float]:
    rig = load_rig(names)
    if clip.skeleton.joints != rig.skeleton.joints:
        if names != H36M17.name:
            raise SkeletonError(
                f"clip {clip.name}: names of {names} need h36m17, which {clip.skeleton.name} cannot be converted to"
            )
        rig = Rig.of(clip.skeleton, clip.positions[0])
    found = animate(clip, rig)
    if suffix == ".bvh":
        return bvh.encode(found, clip.fps, unit=rig.unit, up=rig.up), found.error
    told = {key: getattr(clip, key) for key in ("subject", "action", "source", "licence") if getattr(clip, key)}
    return gltf.encode(found, clip.fps, name=clip.name, binary=suffix == ".glb", extras=told), found.error
