"""AMASS and other motion of SMPL bodies (.npz): poses as rotations, which a body model turns into joints (numpy)."""

__all__ = ["is_smpl", "read_smpl"]

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers.arrays.npy import Npz
from vipe.readers.contract import Hints, clip_of
from vipe.readers.datasets.body_model import PARENTS, find_model
from vipe.skeletons import load

_MODELS = {72: "smpl", 156: "smplh", 165: "smplx"}  # numbers of a pose: model
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps")
_GENDERS = ("female", "male", "neutral")


def is_smpl(arrays: Npz) -> bool:
    """Whether a file holds the motion of an SMPL body, by the names of its arrays."""
    return {"poses", "trans"} <= arrays.names


def read_smpl(arrays: Npz, name: str, hints: Hints) -> Iterator[Clip]:
    """The clip of a file of AMASS, or of any other with its arrays (Mahmood et al. 2019).

    It has `poses` (frames, 72, 156 or 165; rotation vectors), `trans` (frames, 3; metres), `betas`, `gender` and
    `mocap_framerate`. The number of columns tells SMPL, SMPL-H and SMPL-X apart. World space has z up, as in AMASS.
    Fingers and face play no part.

    Args:
        arrays: The arrays of the file.
        name: What to call it in errors.
        hints: Where the body models are, and the rate of a file that states none.

    Raises:
        ReadError: If an array is of another shape, a rate is missing, or the body model is.
    """
    poses = arrays.numbers("poses", None, None)
    if poses.shape[1] not in _MODELS:
        raise ReadError(f"{name}/poses.npy: {poses.shape[1]} columns, expected {', '.join(map(str, _MODELS))}")
    trans = arrays.numbers("trans", len(poses), 3)
    betas = _betas(arrays)
    rate = next((rate for rate in _RATES if rate in arrays), None)
    fps = hints.fps or (arrays.scalar(rate) if rate else None)
    if fps is None:
        raise ReadError(f"{name}: no {_RATES[0]}; give the rate with --source-fps")
    gender = arrays.text("gender").lower() if "gender" in arrays else "neutral"
    if gender not in _GENDERS:
        raise ReadError(f"{name}/gender.npy: {gender[:40]!r}, expected {', '.join(_GENDERS)}")
    model = find_model(hints.body_models, _MODELS[poses.shape[1]], gender, name)
    body = poses[:, : 3 * len(PARENTS)].reshape(len(poses), len(PARENTS), 3).astype(np.float64)
    positions = model.positions(body, trans.astype(np.float64), betas.astype(np.float64))
    yield clip_of("", load("smpl_body"), positions, fps, where=name)


def _betas(arrays: Npz) -> Float[Array, " shapes"]:
    """The shape of the body; some tools keep it as one row, or as the same row for each frame."""
    if "betas" not in arrays:
        return np.zeros(0)
    found = np.asarray(arrays["betas"])
    rows = arrays.numbers("betas", *[None] * found.ndim).reshape(
        -1, found.shape[-1] if found.ndim and found.size else 1
    )
    return np.zeros(0) if rows.size == 0 else rows[0]
