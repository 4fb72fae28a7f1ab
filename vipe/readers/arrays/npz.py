""".npz files: which of the layouts that motion comes in, by the names of the arrays (numpy)."""

__all__ = ["read_all"]

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BufferedIOBase
from pathlib import PurePosixPath

from vipe.clips import Clip
from vipe.readers.archives import Limits
from vipe.readers.arrays.npy import Npz
from vipe.readers.arrays.positions import read_npz_arrays
from vipe.readers.contract import Hints, NotMotion
from vipe.readers.datasets.h36m import read_positions
from vipe.readers.datasets.smpl import is_smpl, read_smpl
from vipe.skeletons import Skeleton

_POSITIONS = "positions_3d"
_LIFTED = frozenset(("poses", "log_weight", "prediction"))  # what `vipe lift` writes of people in photos


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    hints: Hints = Hints(),  # noqa: B008  # frozen
    limits: Limits = Limits(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    """The clips of a .npz file: Human3.6M as VideoPose3D keeps it, AMASS and SMPL, or plain arrays.

    Args:
        stream: The file's bytes.
        name: Its path, for the clips and for errors.
        skeletons: A user's own, tried before those of the library.
        hints: What the file does not say.
        limits: Protect against files that unpack to an unreasonable size.

    Raises:
        ReadError: If the file is broken, or its arrays are not laid out as their names say.
        NotMotion: If it holds no motion.
    """
    arrays = Npz(stream.read(), name, limits)
    if arrays.names >= _LIFTED:
        raise NotMotion(f"{name}: people that `vipe lift` wrote, poses of photos; the .bvh files beside it can be read")
    if _POSITIONS in arrays:
        yield from read_positions(arrays[_POSITIONS], name, hints.fps)
    elif is_smpl(arrays):
        for clip in read_smpl(arrays, name, hints):
            yield replace(clip, name=PurePosixPath(name).stem)
    else:
        yield from read_npz_arrays(arrays, name, skeletons, hints)
