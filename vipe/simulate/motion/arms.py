"""What arms do by themselves: key poses, gestures, and swinging along with the legs (numpy)."""

__all__ = ["POSTURES", "any_arm", "busy_arms", "carry_arms", "gesture", "posture", "swing_arms"]

import math
from collections.abc import Sequence

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.body import SIDES, SIGNS
from vipe.simulate.motion.ik import ArmAngles

# Where the wrist is, from the base of the neck, in torso lengths: forward, outward, up; then how far out the elbow is
# held. Each is drawn anew around these.
POSTURES: dict[str, tuple[float, float, float, float]] = {
    "on the hip": (0.02, 0.42, -0.78, 1.5),
    "on the belly": (0.28, 0.02, -0.62, 0.6),
    "before the lap": (0.28, 0.08, -0.95, 0.4),
    "behind the back": (-0.22, 0.08, -0.85, 0.7),
    "in the pocket": (0.08, 0.36, -0.98, 0.8),
    "folded": (0.34, -0.12, -0.35, 0.5),
    "on the chest": (0.26, 0.05, -0.22, 0.7),
    "on the own shoulder": (0.12, 0.32, 0.02, 0.6),
    "on the other shoulder": (0.28, -0.25, -0.02, 0.7),
    "at the chin": (0.30, 0.06, 0.10, 0.4),
    "at the mouth": (0.34, 0.08, 0.20, 0.7),
    "at the ear": (0.12, 0.26, 0.30, 0.8),
    "at the brow": (0.26, 0.18, 0.42, 1.2),
    "on the head": (0.02, 0.12, 0.55, 1.6),
    "behind the head": (-0.12, 0.22, 0.36, 1.8),
    "guard": (0.42, 0.16, 0.00, 0.3),
    "low guard": (0.45, 0.22, -0.35, 0.4),
    "forearm forward": (0.50, 0.30, -0.50, 0.3),
    "palm up beside": (0.35, 0.60, -0.40, 0.3),
    "forward": (0.95, 0.28, -0.10, 0.7),
    "forward low": (0.75, 0.30, -0.65, 0.5),
    "forward high": (0.70, 0.30, 0.55, 0.7),
    "sideways": (0.10, 1.15, -0.10, 0.9),
    "sideways low": (0.12, 0.90, -0.65, 0.9),
    "sideways high": (0.10, 0.85, 0.65, 1.2),
    "overhead": (0.10, 0.30, 1.00, 1.4),
    "raised beside the head": (0.20, 0.50, 0.55, 0.9),
    "across low": (0.50, -0.25, -0.60, 0.6),
    "back": (-0.45, 0.42, -0.85, 0.9),
    "hanging": (0.06, 0.38, -1.15, 0.8),
}


def posture(actor: Actor, side: str, name: str, spread: float = 1.0) -> ArmAngles:
    """One arm in a named posture, a little different each time."""
    forward, out, up, elbow = POSTURES[name]
    jitter = actor.generator.standard_normal(4) * (0.07 * spread)
    point = (forward + float(jitter[0]), out + float(jitter[1]), up + float(jitter[2]))
    return actor.reaching(side, point, elbow + 4 * float(jitter[3]))


def any_arm(actor: Actor, side: str) -> ArmAngles:
    """One arm anywhere it can comfortably be: hanging, in a posture, or reaching some way."""
    draw = actor.generator.random()
    if draw < 0.35:
        return actor.hanging()
    if draw < 0.7:
        return posture(actor, side, actor.pick(*POSTURES), 1.6)
    # A direction from the shoulder: across the body to behind it, low more often than high.
    azimuth = actor.between(-0.7, 2.0)
    height = math.sin(math.radians(actor.between(-85.0, 80.0)))
    flat = math.sqrt(1 - height**2)
    reach = (actor.body.arm / actor.body.torso) * actor.between(0.4, 1.0)
    point = (reach * flat * math.cos(azimuth), 0.33 + reach * flat * math.sin(azimuth), -0.07 + reach * height)
    return actor.reaching(side, point, actor.between(-0.1, 1.7))


def carry_arms(actor: Actor, start: float, seconds: float, sides: Sequence[str] = SIDES) -> None:
    """Bring arms into a posture and leave them there: alike on both sides, or each for itself."""
    name = actor.pick(*POSTURES)
    alike = actor.chance(0.6)
    for side in sides:
        angles = posture(actor, side, name if alike else actor.pick(*POSTURES), 1.4)
        actor.bring(side, angles, start, start + seconds)
        actor.key(start + seconds, **{f"{side}_shrug": actor.between(-0.1, 0.25)})


def gesture(actor: Actor, start: float, end: float, sides: Sequence[str] = SIDES) -> None:
    """Arms that go from one place to another with pauses, as of someone who talks or handles something."""
    time = start
    for side in sides:
        actor.keep_arm(side, start)
    while time < end - 0.3:
        time = min(time + actor.between(0.35, 0.9), end)
        alike = actor.chance(0.35)
        name = actor.pick(*POSTURES)
        for side in sides:
            if alike:
                actor.arm(time, side, posture(actor, side, name))
            elif actor.chance(0.7):
                actor.arm(time, side, any_arm(actor, side))
        if actor.chance(0.4):
            time += actor.between(0.1, 0.8)
            for side in sides:
                actor.keep_arm(side, time)


def swing_arms(actor: Actor, landings: Sequence[tuple[float, str]], style: dict[str, float]) -> None:
    """Arms that swing against the legs: each goes forward as the other side's foot comes down."""
    for time, foot in landings:
        for side in SIDES:
            ahead = 1.0 if side != foot else -1.0
            amount = style["swing"] * (1 + style["uneven"] * SIGNS[side]) * actor.between(0.85, 1.15)
            forward = style["forward"] + amount * ahead
            elbow = style["elbow"] + style["elbow_swing"] * amount * ahead
            out = style["out"] - 0.25 * amount * max(ahead, 0.0) * style["inward"]
            twist = style["twist"] + 0.3 * amount * max(ahead, 0.0)
            actor.arm(time, side, ArmAngles(forward, out, twist, max(elbow, 0.08)))


def busy_arms(actor: Actor, start: float, end: float) -> None:
    """Something for both arms to do for a while: gestures, or a posture."""
    if actor.chance(0.5):
        gesture(actor, start, end)
    else:
        carry_arms(actor, start, min(end - start, actor.between(0.5, 1.2)))
