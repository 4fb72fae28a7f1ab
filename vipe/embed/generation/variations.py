"""Variations of a pose: steps from its embedding along random directions, decoded (numpy; torch inside)."""

__all__ = ["vary"]

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
    rotate,
    smallest_rotation,
)
from vipe.embed.generation.joint_limits import JointLimits, draw_within
from vipe.embed.generation.limbs import hold, moving_bones
from vipe.embed.generation.prior import Generative, Prior, prior_of
from vipe.errors import VipeError


def vary(
    embedder: Generative,
    source: Float[Array, "17 3"],
    alphas: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
    count: int = 8,
    *,
    generator: np.random.Generator,
    prior: Prior | None = None,
    limbs: Sequence[str] = (),
    limits: JointLimits | None = None,
    detail: bool = True,
) -> Float32[Array, "count alphas 17 3"]:
    """Variations of a pose: decode z + alpha * direction, along directions drawn once (levy2024, sec. 5).

    Args:
        embedder: A learned embedding.
        source: Metres, world space, joints of `h36m17`.
        alphas: Lengths of the step; 0 is the source. At 1 variations have as much spread as all the data.
        count: Directions.
        generator: For the directions.
        prior: Directions have its covariance; N(0, I) for V-VIPE. Other embeddings need one: `Prior.fit`.
        limbs: Parts of the body that may move, of `LIMBS`; all if empty. Other bones keep their directions.
        limits: Draw until `count` directions have all joint angles within these at every alpha. Angles that the source
            itself has out of range are not checked.
        detail: Add the source's decoding error back to each bone, so that alpha 0 is the source exactly. Without, it is
            the decoded source.

    Returns:
        Poses with the source's bone lengths, at its place, metres.

    Raises:
        VipeError: If a limb is unknown, an alpha is negative or not finite, `count` is not positive, or the embedding
            has no prior and none is given, or the limits leave too few directions.
        ShapeError: If the source is not (17, 3) or has no canonical form.
    """
    moving = moving_bones(limbs)
    steps = np.asarray(alphas, np.float32)
    if not steps.size or not np.isfinite(steps).all() or (steps < 0).any():
        raise VipeError(f"alphas must be at least one number, none negative, got {', '.join(map(str, alphas)) or '-'}")
    prior = prior_of(embedder, prior)
    body, z = decompose(embedder, source, "source")
    own = bone_directions(body)
    turn = smallest_rotation(decode_directions(embedder, z), own)

    def draw(number: int) -> Float32[Array, "number alphas 17 3"]:
        turned = decode_directions(embedder, z + steps[:, None] * prior.directions(number, generator)[:, None])
        return on_body(hold(rotate(turned, *turn) if detail else turned, own, moving), body)

    return draw_within(draw, check_positive("count", count), limits, source)
