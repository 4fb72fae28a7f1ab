"""A stretch of a clip as named arrays of numpy in one .npz file (numpy)."""

__all__ = ["encode"]

import io

import numpy as np

from vipe.store.moments import Moment


def encode(moment: Moment) -> bytes:
    """Arrays of a moment; nothing in them is pickled.

    `positions` (frames, joints, 3) metres, world space, z up; `joints`, their names, and `parents`, -1 for a root;
    `skeleton`, its name; `fps`; `frame` and `time` (seconds), counted in the source clip; `clip`, its name.
    """
    clip = moment.clip
    file = io.BytesIO()
    np.savez_compressed(
        file,
        positions=clip.positions,
        joints=np.array(clip.skeleton.joints),
        parents=np.array(clip.skeleton.parents),
        skeleton=np.array(clip.skeleton.name),
        fps=np.array(clip.fps),
        frame=moment.frame,
        time=moment.time,
        clip=np.array(clip.name, dtype=np.str_),
    )
    return file.getvalue()
