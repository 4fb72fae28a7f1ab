"""Synthetic mocap: clips of whole-body motion from programs, without anybody's recordings (numpy)."""

__all__ = ["PROGRAMS", "Take", "perform", "synthesize"]

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from vipe.clips import Clip
from vipe.errors import VipeError
from vipe.simulate.motion import (
    climbing,
    dance,
    fighting,
    floor,
    gestures,
    improvise,
    locomotion,
    reaching,
    sports,
)
from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm
from vipe.simulate.motion.body import CHANNELS, SIDES, Body, limit, sample_body
from vipe.simulate.motion.figure import figure
from vipe.simulate.motion.timing import interpolate, wander
from vipe.skeletons import load

Array = np.ndarray[Any, np.dtype[Any]]

LICENCE = "CC0-1.0 (synthetic motion made by vipe, no recordings)"

PROGRAMS: dict[str, Callable[[Actor], None]] = {
    "walk": locomotion.walk,
    "run": locomotion.run,
    "march": locomotion.march,
    "sneak": locomotion.sneak,
    "walk_backwards": locomotion.walk_backwards,
    "sidestep": locomotion.sidestep,
    "turn": locomotion.turn,
    "stairs": climbing.stairs,
    "sit": floor.sit,
    "sit_on_floor": floor.sit_on_floor,
    "kneel": floor.kneel,
    "crouch": floor.crouch,
    "lie_down": floor.lie_down,
    "crawl": floor.crawl,
    "climb": climbing.climb,
    "hang": climbing.hang,
    "cartwheel": climbing.cartwheel,
    "pick_up": reaching.pick_up,
    "reach": reaching.reach,
    "wave": gestures.wave,
    "raise_hands": gestures.raise_hands,
    "point": gestures.point,
    "telephone": gestures.telephone,
    "bow": reaching.bow,
    "stretch": reaching.stretch,
    "clap": gestures.clap,
    "talk": gestures.talk,
    "idle": gestures.idle,
    "jump": sports.jump,
    "punch": fighting.punch,
    "kick": fighting.kick,
    "throw": sports.throw,
    "swing": fighting.swing,
    "lunge": fighting.lunge,
    "ball": sports.ball,
    "dance": dance.dance,
    "balance": dance.balance,
    "pirouette": dance.pirouette,
    "leap": dance.leap,
    "improvise": improvise.improvise,
    "improvise_walking": improvise.improvise_walking,
    "limber": improvise.limber,
}
"""What `synthesize` can perform: each tells an actor, from its present state on, what to do."""

_SHARES = {
    "walk": 6.0,
    "improvise": 3.0,
    "improvise_walking": 4.0,
    "run": 3.0,
    "sidestep": 2.0,
    "walk_backwards": 2.0,
    "kick": 1.5,
    "swing": 1.5,
    "punch": 1.5,
}
"""How often a program is drawn, beside 1 for the others: people mostly walk and stand about."""

SUBJECTS = 24
"""How many people perform, each with a body of their own."""

SHORTEST, LONGEST = 3.0, 12.0
"""Seconds a clip lasts."""

# Spread of habits (constant in a clip) and of drift (within it), radians or metres.
_HABITS = {
    "lumbar_bend": 0.039,
    "lumbar_lean": 0.025,
    "lumbar_twist": 0.020,
    "chest_bend": 0.059,
    "chest_lean": 0.020,
    "chest_twist": 0.029,
    "head_bend": 0.073,
    "head_lean": 0.034,
    "head_twist": 0.073,
    "pitch": 0.029,
    "roll": 0.020,
    "shrug": 0.039,
    "protract": 0.039,
    "arm_forward": 0.039,
    "arm_out": 0.039,
    "arm_twist": 0.073,
    "elbow": 0.059,
    "leg_twist": 0.049,
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
    names = (name.removeprefix("left_").removeprefix("right_") for name in CHANNELS)
    return np.array([table.get(name, 0.0) for name in names])


_FREE = [CHANNELS.index(f"{side}_free") for side in SIDES]
_TIPTOE = [CHANNELS.index(f"{side}_tiptoe") for side in SIDES]
_HABIT_SPREAD, _DRIFT_SPREAD = _spread(_HABITS), _spread(_DRIFT)


@dataclass(frozen=True)
class Take:
    """What one performance gave: positions, and when each foot (left, right) stands flat on its place."""

    positions: Float32[Array, "frames 17 3"]
    planted: Bool[Array, "frames 2"]


def synthesize(
    *,
    clips: int | None = None,
    minutes: float | None = None,
    fps: float = 30.0,
    programs: Sequence[str] | None = None,
    generator: np.random.Generator,
) -> Iterator[Clip]:
    """Make clips of synthetic whole-body motion on skeleton h36m17.

    Each clip is one of two dozen bodies doing one to three programs in a row, for 3 to 12 seconds. Nothing is
    recorded or fitted to recordings: segment lengths and ranges of motion come from published anatomy.

    A clip depends on the generator's seed and on its number alone, not on how many are made.

    Args:
        clips: How many clips; this or `minutes`.
        minutes: How much motion in all; the clip that reaches it is the last, and is kept whole.
        fps: Frames per second.
        programs: Names out of `PROGRAMS` to choose from; all by default.
        generator: Source of all randomness.

    Raises:
        VipeError: If the amount is not given one way, or a number or a name makes no sense.
    """
    if (clips is None) == (minutes is None):
        raise VipeError(f"synthesize: give either clips or minutes, got clips={clips} and minutes={minutes}")
    if clips is not None and clips < 1:
        raise VipeError(f"synthesize: clips must be at least 1, got {clips}")
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise VipeError(f"synthesize: minutes must be a positive number, got {minutes}")
    if not (math.isfinite(fps) and 1 <= fps <= 1000):
        raise VipeError(f"synthesize: fps must be from 1 to 1000, got {fps}")
    names = tuple(PROGRAMS) if programs is None else tuple(programs)
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown or not names:
        raise VipeError(
            f"synthesize: no program {', '.join(map(repr, unknown)) or 'given'}; known are {', '.join(PROGRAMS)}"
        )
    return _clips(clips, minutes, fps, names, generator)


def _clips(
    clips: int | None, minutes: float | None, fps: float, names: Sequence[str], generator: np.random.Generator
) -> Iterator[Clip]:
    (casting,) = generator.spawn(1)
    bodies = [sample_body(f"body-{number:02d}", casting) for number in range(SUBJECTS)]
    shares = np.array([_SHARES.get(name, 1.0) for name in names])
    skeleton, number, seconds = load("h36m17"), 0, 0.0
    while (clips is not None and number < clips) or (minutes is not None and seconds < 60 * minutes):
        (own,) = generator.spawn(1)
        chain = [str(own.choice(names, p=shares / shares.sum())) for _ in range(3)]
        body = bodies[int(own.integers(len(bodies)))]
        take, done = perform(chain, body, fps, own)
        clip = Clip(
            name=f"{done[0]}_{number:04d}",
            skeleton=skeleton,
            positions=take.positions,
            fps=fps,
            subject=body.name,
            action="+".join(done),
            source="vipe.simulate",
            licence=LICENCE,
        )
        number, seconds = number + 1, seconds + clip.seconds
        yield clip


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
    controls += _HABIT_SPREAD * generator.standard_normal(len(CHANNELS))
    _slump(controls, generator)
    controls += _DRIFT_SPREAD * wander(times, len(CHANNELS), 1.2, generator)
    controls += 0.35 * _DRIFT_SPREAD * wander(times, len(CHANNELS), 0.4, generator)
    feet = actor.footwork(times)
    positions = figure(body, limit(controls), feet, thin * fps)
    planted = (feet.bearing > 0.999) & (controls[:, _FREE] < 1e-6) & (controls[:, _TIPTOE] < 1e-6)
    if generator.random() < 0.5:
        positions = positions[:, load("h36m17").mirrored] * np.array([1.0, -1.0, 1.0])
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


def _slump(controls: Float[Array, "frames channels"], generator: np.random.Generator) -> None:
    """Let a third of the clips be done with a round back and a hanging head, and some with a proud chest."""
    amount = generator.choice([0.0, generator.random(), -0.4 * generator.random()], p=[0.5, 0.3, 0.2])
    for name, size in (("chest_bend", 0.4), ("lumbar_bend", 0.1), ("head_bend", 0.55)):
        controls[:, CHANNELS.index(name)] += size * amount * generator.uniform(0.5, 1.1)
    for side in SIDES:
        controls[:, CHANNELS.index(f"{side}_protract")] += 0.2 * amount
    controls[:, CHANNELS.index("gaze")] *= 1 - max(0.0, amount)
