"""How values move in time: through knots, from rest to rest, and wandering at random (numpy)."""

__all__ = ["interpolate", "minimum_jerk", "swing_height", "wander"]

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array


def minimum_jerk(phase: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Share of a movement done at a share of its time, for phase in [0, 1] (Flash & Hogan 1985, eq. 3)."""
    done: Array = phase**3 * (10 - 15 * phase + 6 * phase**2)
    return done


def swing_height(phase: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Height of a swinging foot, 0 to 1, over its phase in [0, 1]: up early, down late, no speed at either end."""
    height: Array = phase**2 * (1 - phase) ** 3 / (0.4**2 * 0.6**3)  # phase^2 (1 - phase)^3 is highest at 0.4
    return height


def interpolate(
    knots: Sequence[Sequence[tuple[float, float]]], times: Float[Array, " frames"]
) -> Float[Array, "frames channels"]:
    """Monotone cubic through each channel's (time, value) knots (Fritsch & Carlson 1980), at rest at both ends.

    Continuous in speed; never leaves the range of the two knots around it, so equal knots are a hold. Constant before
    the first knot and after the last. All channels in one pass: channel i is moved i spans along one time axis.
    """
    counts = np.array([len(channel) for channel in knots])
    flat = np.array([knot for channel in knots for knot in channel])
    channel = np.repeat(np.arange(len(knots)), counts)
    span = float(max(flat[:, 0].max(), times[-1]) - min(flat[:, 0].min(), times[0])) + 1.0
    place, value = flat[:, 0] + span * channel, flat[:, 1]
    width = np.maximum(np.diff(place), 1e-9)
    slope = np.diff(value) / width
    before, after = slope[:-1], slope[1:]
    # Weighted harmonic mean where the value keeps its direction, else a turning point: slope 0.
    product = before * after
    inner = (channel[:-2] == channel[1:-1]) & (channel[1:-1] == channel[2:]) & (product > 0)
    tangent = np.zeros_like(value)
    first, second = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    mean = np.divide(
        (first + second) * product, first * after + second * before, out=np.zeros_like(product), where=inner
    )
    tangent[1:-1] = mean

    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    ends = starts + counts - 1
    low, high = place[starts], place[ends]
    query = np.clip(times[:, None] + span * np.arange(len(knots)), low, high)
    left = np.clip(
        np.searchsorted(place, query.ravel(), side="right").reshape(query.shape) - 1,
        starts,
        np.maximum(ends - 1, starts),
    )
    right = np.minimum(left + 1, ends)
    step = np.maximum(place[right] - place[left], 1e-9)
    s = np.clip((query - place[left]) / step, 0.0, 1.0)
    rise = value[right] - value[left]
    a, b = tangent[left] * step, tangent[right] * step
    curve: Array = value[left] + s * (a + s * (3 * rise - 2 * a - b + s * (a + b - 2 * rise)))
    return curve


def wander(
    times: Float[Array, " frames"], channels: int, spacing: float, generator: np.random.Generator
) -> Float[Array, "frames channels"]:
    """Smooth random functions, mean 0 and spread about 1: cubic B-splines, a random knot each `spacing` seconds."""
    place = (times - times[0]) / spacing + generator.random()
    index = place.astype(int)
    s = (place - index)[:, None]
    values = (
        generator.standard_normal((index[-1] + 4, channels)) * 1.5
    )  # the spline averages: spread 0.67 of its knots'
    weights = ((1 - s) ** 3, 3 * s**3 - 6 * s**2 + 4, 3 * (s - s**2) * s + 3 * s + 1, s**3)
    total: Float[Array, "frames channels"] = sum(
        (weight / 6 * values[index + i] for i, weight in enumerate(weights)), start=np.zeros((len(times), channels))
    )
    return total
