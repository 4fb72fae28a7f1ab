"""Poses that enter a training: checked, thinned for validation, identified by a digest (numpy in, torch out)."""

__all__ = ["checked_poses", "digest", "validation_poses"]

import hashlib

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.geometry.canonical import canonicalize

_TORSO = (0.05, 5.0)  # metres; outside, the poses are in another unit, and cameras at some metres make no sense


def checked_poses(what: str, poses: Float[Array, "N 17 3"], device: str) -> Float32[Tensor, "N 17 3"]:
    """Check poses and put them on a device, as float32.

    Args:
        what: What errors call them.
        poses: Metres, world space.
        device: As torch names it.

    Raises:
        ShapeError: If they are not (N, 17, 3) with N at least 3, in metres, each with a canonical form.
    """
    if poses.ndim != 3 or poses.shape[1:] != (17, 3) or len(poses) < 3:
        raise ShapeError(f"{what} must be (N, 17, 3) with N at least 3, got shape {poses.shape}")
    tensor = torch.tensor(poses, dtype=torch.float32, device=device)
    canonical = canonicalize(tensor)
    bad = canonical.degenerate | ~torch.isfinite(canonical.poses).flatten(1).all(1)
    if bad.any():
        row = int(bad.to(torch.uint8).argmax())
        raise ShapeError(
            f"{what}: row {row} has no canonical form (hips and spine on one line, or not finite); leave it out"
        )
    wrong = (canonical.scale < _TORSO[0]) | (canonical.scale > _TORSO[1])
    if wrong.any():
        row = int(wrong.to(torch.uint8).argmax())
        raise ShapeError(f"{what}: row {row} has a torso of {float(canonical.scale[row]):.3g} m; expected metres")
    return tensor


def validation_poses(poses: Float[Array, "M 17 3"], most: int, device: str) -> Float32[Tensor, "rows 17 3"]:
    """Check the poses to validate on, and take at most `most` of them, evenly spaced; raises as `checked_poses`."""
    checked = checked_poses("validation poses", poses, device)
    return checked[torch.linspace(0, len(checked) - 1, min(len(checked), most)).round().long()]


def digest(poses: Float[Array, "N 17 3"]) -> str:
    """First 16 hex digits of the SHA-256 of shape and float32 coordinates."""
    data = f"{poses.shape}".encode() + np.ascontiguousarray(poses, np.float32).tobytes()
    return hashlib.sha256(data).hexdigest()[:16]
