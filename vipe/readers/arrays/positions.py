"""Plain arrays of joint positions (.npy, .npz): with names of joints, or of a skeleton that the user names (numpy).

Unit and up axis, which such files do not state, are told from the body.
"""

__all__ = ["ADVICE", "placed", "rate_of", "read_all", "read_npz_arrays", "skeleton_of"]

from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.clips import FASTEST, Clip
from vipe.errors import ReadError, SkeletonError
from vipe.readers.arrays.npy import Npz, read_npy
from vipe.readers.contract import Hints, NotMotion, as_float64, clip_of, whole_rate
from vipe.readers.placing import place, pose_joints
from vipe.skeletons import Skeleton
from vipe.skeletons.matching import match
from vipe.skeletons.working import H36M17

ADVICE = "name its skeleton with --array-skeleton, such as h36m17"
"""What to do about positions whose joints nobody names."""

_RATES = ("fps", "frame_rate", "framerate", "mocap_framerate", "mocap_frame_rate", "sampling_rate", "rate")
_NAMES = ("joints", "joint_names", "names", "keypoints", "markers")
_MOST_JOINTS = 1024
_FARTHEST = 1e9


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),  # noqa: ARG001  # every reader has it
    hints: Hints = Hints(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    """The clip of a .npy file: (frames, joints, 3), or (frames, 3 joints), of a skeleton that the user names.

    Raises:
        NotMotion: If the array has another shape, or nobody names its skeleton.
        ReadError: If the file is cut, the rate is not given, or the positions are those of no person.
    """
    array = read_npy(stream.read(), name)
    yield _array_clip(array, PurePosixPath(name).stem, name, hints, None, None)


def read_npz_arrays(arrays: Npz, name: str, skeletons: Sequence[Skeleton], hints: Hints) -> Iterator[Clip]:
    """The clips of a .npz file: each array (frames, joints, 3) is one.

    An array of texts named `joints` (or joint_names, names, keypoints, markers) names the joints, a number named `fps`
    (or frame_rate, mocap_framerate ...) the rate.

    Raises:
        NotMotion: If it holds no such array, or nobody names its skeleton.
        ReadError: If the file is cut, the rate is not given, or the positions are those of no person.
    """
    names = next((found for key in _NAMES if key in arrays and (found := _texts(arrays[key]))), None)
    motions = [key for key in sorted(arrays.names - {*_NAMES, *_RATES}) if _is_motion(arrays[key])]
    if not motions:
        raise NotMotion(
            f"{name}: arrays {', '.join(sorted(arrays.names)[:8]) or 'none'}; expected an array (frames, joints, 3), "
            f"positions_3d of Human3.6M, or poses and trans of AMASS"
        )
    named = (len(names), *skeleton_of(names, skeletons, name)) if names else None
    rate = next((arrays.scalar(key) for key in _RATES if key in arrays), None)
    stem = PurePosixPath(name).stem
    for key in motions:
        title = stem if len(motions) == 1 else f"{stem}/{key}"
        yield _array_clip(arrays[key], title, f"{name}/{key}", hints, rate, named)


def _is_motion(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in "iuf" and array.ndim == 3 and array.shape[2] == 3


def _array_clip(
    array: Any,
    title: str,
    where: str,
    hints: Hints,
    rate: float | None,
    named: tuple[int, Skeleton, list[int]] | None,
) -> Clip:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim not in (2, 3):
        raise NotMotion(f"{where}: not an array (frames, joints, 3) of numbers")
    if named is not None:
        count, skeleton, columns = named
    elif hints.skeleton is not None:
        skeleton = hints.skeleton
        count = len(skeleton)
        columns = list(range(count))
    else:
        raise NotMotion(f"{where}: an array {array.shape} without names of joints; {ADVICE}")
    if array.ndim == 2 and array.shape[1] == 3 * count:
        array = array.reshape(len(array), -1, 3)
    if array.ndim != 3 or array.shape[1:] != (count, 3) or len(array) == 0:
        raise ReadError(f"{where}: an array {array.shape}, expected (frames, {count}, 3) of {skeleton.name}")
    positions = as_float64(array[:, columns])
    if not np.isfinite(positions).all():
        raise ReadError(f"{where}: frame {int(np.argmin(np.isfinite(positions).all((1, 2))))} is not finite")
    fps = rate_of(hints.fps or rate, where)
    return clip_of(title, skeleton, placed(positions, skeleton, hints, where), fps, where=where)


def placed(positions: Float64[Array, "frames joints 3"], skeleton: Skeleton, hints: Hints, where: str) -> Array:
    """Positions in metres, z up: as the user says, else as a table of another unit or axis, else as the body tells.

    Raises:
        ReadError: If a position is absurdly far away, or no usual unit makes the body a person.
    """
    if not np.abs(positions).max(initial=0) < _FARTHEST:
        raise ReadError(f"{where}: a position beyond {_FARTHEST:g}, expected metres or millimetres")
    unit = hints.unit or (None if skeleton.unit == 1.0 else skeleton.unit)
    return place(positions, skeleton, where, unit=unit, up=hints.up or (None if skeleton.up == "z" else skeleton.up))


def rate_of(fps: float | None, where: str) -> float:
    """A rate that is given, in hertz.

    Raises:
        ReadError: If none is, or it is no rate.
    """
    if fps is None:
        raise ReadError(f"{where}: states no rate; give it with --source-fps")
    if not 0 < fps <= FASTEST:
        raise ReadError(f"{where}: a rate of {fps:g}, expected hertz above 0")
    return whole_rate(fps)


def _texts(array: Any) -> list[str] | None:
    """Names of joints, or None for anything else."""
    if isinstance(array, list) and all(isinstance(one, str) for one in array):
        return array
    if isinstance(array, np.ndarray) and array.dtype.kind in "US" and array.ndim == 1 and len(array) < _MOST_JOINTS:
        try:
            texts = [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in array.tolist()]
        except (UnicodeDecodeError, ValueError):  # not every four bytes are a character
            return None
        return texts
    return None


def skeleton_of(names: Sequence[str], skeletons: Sequence[Skeleton], where: str) -> tuple[Skeleton, list[int]]:
    """The skeleton that fits names, with the joints that its conversions need, and which of the names these are.

    Raises:
        NotMotion: If none fits.
        ReadError: If it takes a point from a joint's rotation, which positions do not have.
    """
    try:
        found = match([name if name.isprintable() else "" for name in names], skeletons)
    except SkeletonError as error:
        raise NotMotion(f"{where}: {error}") from error
    skeleton = found.skeleton
    if skeleton.sites:
        raise ReadError(
            f"{where}: {skeleton.name} takes {', '.join(site.name for site in skeleton.sites)} from rotations, which "
            f"positions do not have; give a table of your own with --skeleton"
        )
    lost = [joint for joint in H36M17.joints if skeleton.name == H36M17.name and joint not in skeleton.joints]
    if lost:
        raise ReadError(f"{where}: joints of {skeleton.name} without {', '.join(lost)}")
    needed = skeleton.restricted(pose_joints(skeleton))
    return needed, [found.where[joint] for joint in needed.joints]
