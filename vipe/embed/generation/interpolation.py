"""Interpolation: from one pose to another on the line between their embeddings (numpy; torch inside)."""

__all__ = ["interpolate"]

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32

from vipe.arrays import Array
from vipe.embed.generation._bodies import (
    bone_directions,
    decode_directions,
    decompose,
    on_body,
    rotate,
    smallest_rotation,
)
from vipe.embed.generation.limbs import hold, moving_bones
from vipe.embed.generation.prior import Generative
from vipe.errors import VipeError


def interpolate(
    embedder: Generative,
    source: Float[Array, "17 3"],
    target: Float[Array, "17 3"],
    steps: int = 8,
    *,
    limbs: Sequence[str] = (),
    detail: bool = True,
) -> Float32[Array, "steps 17 3"]:
    """Poses from one to another: decode the line between their embeddings, ends included.

    Args:
        embedder: A learned embedding.
        source: Metres, world space, joints of `h36m17`; all results have its body, place and rotation.
        target: Likewise; only its pose counts.
        steps: Poses, at least 2.
        limbs: As for `vary`.
        detail: As for `vary`; then the ends are the two poses exactly.

    Raises:
        VipeError: If a limb is unknown or there are fewer than 2 steps.
        ShapeError: If a pose is not (17, 3) or has no canonical form.
    """
    moving = moving_bones(limbs)
    if steps < 2:
        raise VipeError(f"steps between two poses must be at least 2, got {steps}")
    (body, start), (goal, end) = (
        decompose(embedder, pose, name) for pose, name in ((source, "source"), (target, "target"))
    )
    share = np.linspace(0, 1, steps, dtype=np.float32)
    turned = decode_directions(embedder, start + share[:, None] * (end - start))
    if detail:
        weight = torch.from_numpy(share)[:, None]
        for z, pose, part in ((start, body, 1 - weight), (end, goal, weight)):
            axis, angle = smallest_rotation(decode_directions(embedder, z), bone_directions(pose))
            turned = rotate(turned, axis, part * angle)
    return on_body(hold(turned, bone_directions(body), moving), body)
