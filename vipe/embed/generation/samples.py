"""Samples: poses drawn from the prior of an embedding (numpy; torch inside)."""

__all__ = ["sample"]

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from vipe.arrays import Array
from vipe.embed.generation._bodies import (
    bone_directions,
    check_positive,
    decode_directions,
    decompose,
    on_body,
    on_reference_body,
)
from vipe.embed.generation.joint_limits import JointLimits, draw_within
from vipe.embed.generation.limbs import hold, moving_bones
from vipe.embed.generation.prior import Generative, Prior, prior_of
from vipe.errors import VipeError


def sample(
    embedder: Generative,
    count: int = 8,
    *,
    generator: np.random.Generator,
    prior: Prior | None = None,
    source: Float[Array, "17 3"] | None = None,
    limbs: Sequence[str] = (),
    limits: JointLimits | None = None,
) -> Float32[Array, "count 17 3"]:
    """Poses drawn from the prior.

    Args:
        embedder: A learned embedding.
        count: Poses.
        generator: For the draws.
        prior: As for `vary`.
        source: Gives body, place, and the limbs that do not move. If not given, the reference body with a torso of
            0.5 m, upright at the world's origin, its lowest joint on the floor, facing -x.
        limbs: As for `vary`; needs a source.
        limits: Draw until `count` poses have all joint angles within these.

    Raises:
        VipeError: If a limb is unknown or there is no source to hold the others, `count` is not positive, or the
            embedding has no prior and none is given, or the limits leave too few poses.
        ShapeError: If the source is not (17, 3) or has no canonical form.
    """
    moving = moving_bones(limbs)
    if source is None and not all(moving):
        raise VipeError(f"limbs {', '.join(limbs)}: the other limbs need a source pose, and none is given")
    prior = prior_of(embedder, prior)
    body = None if source is None else decompose(embedder, source, "source")[0]

    def draw(number: int) -> Float32[Array, "number 1 17 3"]:
        drawn = decode_directions(embedder, prior.mean + prior.directions(number, generator))[:, None]
        return on_reference_body(drawn) if body is None else on_body(hold(drawn, bone_directions(body), moving), body)

    return draw_within(draw, check_positive("count", count), limits, None if all(moving) else source)[:, 0]
