"""One performance: a body does some programs in a row, in its own manner (numpy)."""

__all__ = ["LONGEST", "SHORTEST", "Take", "perform"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from vipe.arrays import Array
from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm
from vipe.simulate.motion.body import CHANNELS, SIDES, Body, limit
from vipe.simulate.motion.figure import figure
from vipe.simulate.motion.programs import PROGRAMS
from vipe.simulate.motion.timing import interpolate, wander
from vipe.skeletons.working import H36M17, without_side

SHORTEST, LONGEST = 3.0, 12.0
"""Seconds a clip lasts."""

# Spread of habits (constant in a clip) and of drift (within it), radians or metres.
_HABITS = {
    "lumbar_bend": 0.04,
    "lumbar_lean": 0.025,
    "lumbar_twist": 0.02,
    "chest_bend": 0.06,
    "chest_lean": 0.02,
    "chest_twist": 0.03,
    "head_bend": 0.07,
    "head_lean": 0.035,
    "head_twist": 0.07,
    "pitch": 0.03,
    "roll": 0.02,
    "shrug": 0.04,
    "protract": 0.04,
    "arm_forward": 0.04,
    "arm_out": 0.04,
    "arm_twist": 0.07,
    "elbow": 0.06,
    "leg_twist": 0.05,
}
_DRIFT = {name: 0.35 * spread for name, spread in _HABITS.items()} | {
    "x": 0.008,
    "y": 0.008,
    "yaw": 0.03,
    "leg_forward": 0.05,
    "leg_out": 0.04,
    "knee": 0.06,
    "elbow": 0.10,
}


def _spread(table: dict[str, float]) -> Float[Array, " channels"]:
    return np.array([table.get(without_side(name), 0.0) for name in CHANNELS])


_FREE = [CHANNELS.index(f"{side}_free") for side in SIDES]
_TIPTOE = [CHANNELS.index(f"{side}_tiptoe") for side in SIDES]
_HABIT_SPREAD, _DRIFT_SPREAD = _spread(_HABITS), _spread(_DRIFT)


@dataclass(frozen=True)
class Take:
    """What one performance gave: positions, and when each foot (left, right) stands flat on its place."""

    positions: Float32[Array, "frames 17 3"]
    planted: Bool[Array, "frames 2"]


def perform(
    programs: Sequence[str], body: Body, fps: float, generator: np.random.Generator
) -> tuple[Take, tuple[str, ...]]:
    """Let a body do programs one after another, until a clip's random length is full.

    Returns:
        The take, and the programs that were begun in it.
    """
    actor = Actor(body, generator)
    _begin(actor)
    wanted = actor.between(SHORTEST, LONGEST)
    skip = actor.between(0.0, 1.2)  # a clip may begin in the middle of a movement
    begun: list[tuple[float, str]] = []
    for name in programs:
        begun.append((actor.time, name))
        PROGRAMS[name](actor)
        if actor.finished or actor.time >= wanted + skip:
            break
    length = min(wanted, max(actor.time - skip, SHORTEST))
    # The pelvis foresees the next step, which takes a rate of 30 or more; lower rates are thinned from it.
    thin = math.ceil(30 / fps - 1e-9)
    times = skip + np.arange(thin * max(1, round(length * fps))) / (thin * fps)
    controls = interpolate([actor.knots[name] for name in CHANNELS], times)
    _personalize(controls, times, generator)
    feet = actor.footwork(times)
    positions = figure(body, limit(controls), feet, thin * fps)
    planted = (feet.bearing > 0.999) & (controls[:, _FREE] < 1e-6) & (controls[:, _TIPTOE] < 1e-6)
    if generator.random() < 0.5:
        positions = positions[:, H36M17.mirrored] * np.array([1.0, -1.0, 1.0])
        planted = planted[:, ::-1]
    angle = generator.uniform(-np.pi, np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    positions[..., :2] = positions[..., :2] @ np.array([[cos, sin], [-sin, cos]])
    done = tuple(dict.fromkeys(name for time, name in begun if time < times[-1]))
    return Take(positions[::thin].astype(np.float32), planted[::thin]), done


def _begin(actor: Actor) -> None:
    """Start somehow: upright or not, looking somewhere, arms in some posture as often as hanging."""
    for side in SIDES:
        if actor.chance(0.6):
            actor.arm(0.0, side, any_arm(actor, side))
    look = {"head_twist": actor.between(-0.5, 0.5), "head_bend": actor.between(-0.2, 0.3)}
    actor.key(0.0, **look, **actor.trunk(actor.between(-0.1, 0.3), actor.between(-0.1, 0.1), actor.between(-0.2, 0.2)))


def _personalize(
    controls: Float[Array, "frames channels"], times: Float[Array, " frames"], generator: np.random.Generator
) -> None:
    """Lay habits and drift over the channels (in place), so that no pose comes back exactly."""
    count = len(CHANNELS)
    controls += _HABIT_SPREAD * generator.standard_normal(count)
    controls += _DRIFT_SPREAD * (wander(times, count, 1.2, generator) + 0.35 * wander(times, count, 0.4, generator))
    # Three clips in ten are done with a round back and a hanging head, two with a proud chest.
    slump = generator.choice([0.0, generator.random(), -0.4 * generator.random()], p=[0.5, 0.3, 0.2])
    for name, size in (("chest_bend", 0.4), ("lumbar_bend", 0.1), ("head_bend", 0.55)):
        controls[:, CHANNELS.index(name)] += size * slump * generator.uniform(0.5, 1.1)
    for side in SIDES:
        controls[:, CHANNELS.index(f"{side}_protract")] += 0.2 * slump
    controls[:, CHANNELS.index("gaze")] *= 1 - max(0.0, slump)
