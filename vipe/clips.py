"""Clip: one subject's joint positions at a fixed rate (numpy)."""

__all__ = ["Clip"]

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array, as_array
from vipe.errors import ShapeError, SkeletonError
from vipe.skeletons import Skeleton, convert

FASTEST = 1e5  # hertz; no camera is faster, so the file is broken


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One subject's poses at a fixed rate: positions in metres, world space, z up.

    A clip cannot be changed: it holds a read-only copy of an array that can be written to.

    >>> from vipe.skeletons import load
    >>> clip = Clip(name="walk", skeleton=load("h36m17"), positions=np.zeros((60, 17, 3)), fps=30.0)
    >>> len(clip), clip.seconds, clip.positions.dtype
    (60, 2.0, dtype('float32'))

    Raises:
        ShapeError: If positions are not (frames, joints of the skeleton, 3), hold no frame, are not finite,
            or the rate is not a positive number.
    """

    name: str
    skeleton: Skeleton
    positions: Float[Array, "frames joints 3"]  # stored as float32
    fps: float
    subject: str = ""
    action: str = ""
    source: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()  # what its reader assumed or left out

    def __post_init__(self) -> None:
        given: object = self.positions
        if not isinstance(given, np.ndarray):  # a list or a tensor
            object.__setattr__(self, "positions", _array(given, self.name))
        shape, joints = self.positions.shape, len(self.skeleton)
        if len(shape) != 3 or shape[1:] != (joints, 3) or shape[0] == 0:
            raise ShapeError(
                f"clip {self.name}: positions must be (frames, {joints}, 3), at least 1 frame, got {shape}"
            )
        if self.positions.dtype != np.float32:
            object.__setattr__(self, "positions", self.positions.astype(np.float32))
        elif self.positions.flags.writeable:
            object.__setattr__(self, "positions", self.positions.copy())
        if not 0 < self.fps <= FASTEST:
            raise ShapeError(
                f"clip {self.name}: rate must be a positive number of hertz up to {FASTEST:g}, got {self.fps}"
            )
        object.__setattr__(self, "fps", float(self.fps))  # a number of numpy's writes itself differently
        finite = np.isfinite(self.positions).all(axis=(1, 2))
        if not finite.all():
            raise ShapeError(f"clip {self.name}: positions of frame {int(np.argmin(finite))} are not finite")
        self.positions.flags.writeable = False

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def seconds(self) -> float:
        """Duration: every frame lasts 1 / fps, the last one too."""
        return len(self) / self.fps

    def to(self, target: Skeleton) -> "Clip":
        """The same motion on another skeleton.

        Raises:
            SkeletonError: If the skeleton has no conversion to the target, or one that lacks joints.
        """
        positions, mask = convert(self.positions, self.skeleton, target)
        if not mask.all():
            missing = [joint for joint, given in zip(target.joints, mask, strict=True) if not given]
            raise SkeletonError(
                f"clip {self.name}: {self.skeleton.name} cannot give {', '.join(missing)} of {target.name}; "
                f"complete its table [to.{target.name}]"
            )
        return replace(self, skeleton=target, positions=positions)


def _array(positions: object, name: str) -> Array:
    try:
        array = as_array(positions)
    except ValueError as error:
        raise ShapeError(f"clip {name}: positions are no array: rows differ in length") from error
    if array.dtype.kind not in "iuf":
        raise ShapeError(f"clip {name}: positions must be numbers, got {array.dtype}")
    return array
