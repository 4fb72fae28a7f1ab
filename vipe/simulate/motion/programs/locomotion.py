"""Programs that go somewhere on two feet: walk, run, march, sneak, sidestep, walk backwards, turn (numpy)."""

__all__ = ["Gait", "march", "run", "sidestep", "sneak", "travel", "turn", "walk", "walk_backwards"]

import math
from dataclasses import dataclass

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, carry_arms, gesture, posture, swing_arms
from vipe.simulate.motion.body import SIDES, SIGNS


@dataclass(frozen=True, kw_only=True)
class Gait:
    """How steps follow each other. Lengths in leg lengths, so that short people take short steps."""

    step: float  # seconds from one landing to the next
    length: float  # that the body goes in a step
    direction: float = 0.0  # of travel, seen from where the body faces: pi is backwards
    turn: float = 0.0  # radians per step, to the left
    width: float = 0.1  # of a foot from the midline
    lift: float = 0.16  # of the ankle
    swing: float = 1.1  # time a foot is off the ground (from its heel's rise), in steps; above 1.2 with flight
    ahead: float = 0.5  # of the body where the foot lands, in step lengths
    height: float = 1.0  # of the pelvis, in standing heights
    bounce: float = 0.02  # of the pelvis, up and down
    lowest: float = 0.0  # when the pelvis is lowest, in steps after the landing
    sway: float = 0.02  # of the pelvis over the standing foot
    lean: float = 0.05  # of the trunk, forward
    hip_turn: float = 0.1  # of the pelvis about the vertical
    hip_drop: float = 0.05  # of the pelvis to the side of the swinging leg
    toe_out: float = 0.12


def walk(actor: Actor) -> None:
    """Walk straight or in a curve, from a stroll to a stride."""
    speed = actor.between(0.0, 1.0)
    gait = Gait(
        step=actor.between(0.48, 0.62) + 0.25 * (1 - speed) * actor.generator.random(),
        length=0.25 + 0.75 * speed + actor.between(-0.05, 0.1),
        turn=actor.pick(0.0, 0.0, actor.between(-0.1, 0.1), actor.between(-0.5, 0.5)),
        width=actor.between(-0.04, 0.16) if actor.chance(0.85) else actor.between(-0.12, 0.0),
        lift=actor.between(0.08, 0.22),
        swing=actor.between(0.95, 1.25),
        height=actor.between(0.96, 1.05),
        bounce=actor.between(0.0, 0.04),
        sway=actor.between(0.0, 0.07),
        lean=actor.between(-0.1, 0.25) + (0.35 * actor.generator.random() if actor.chance(0.2) else 0.0),
        hip_turn=actor.between(0.0, 0.3),
        hip_drop=actor.between(-0.03, 0.2),
        toe_out=actor.between(-0.1, 0.4),
    )
    travel(actor, gait, actor.between(2.0, 5.0))


def run(actor: Actor) -> None:
    """Jog or sprint."""
    speed = actor.between(0.0, 1.0)
    gait = Gait(
        step=actor.between(0.30, 0.42),
        length=0.5 + 0.9 * speed + actor.between(-0.1, 0.1),
        turn=actor.pick(0.0, 0.0, actor.between(-0.3, 0.3)),
        width=actor.between(-0.04, 0.12) + (actor.between(0.0, 0.15) if actor.chance(0.2) else 0.0),
        lift=actor.between(0.2, 0.4) + 0.25 * speed * actor.generator.random(),
        swing=actor.between(1.25, 1.5),
        ahead=actor.between(0.2, 0.35),
        height=actor.between(0.9, 0.99),
        bounce=actor.between(0.02, 0.07),
        lowest=0.3,
        sway=actor.between(0.0, 0.02),
        lean=actor.between(0.0, 0.35) + (0.5 * actor.generator.random() if actor.chance(0.25) else 0.0),
        hip_turn=actor.between(0.05, 0.3),
        hip_drop=actor.between(-0.03, 0.15),
        toe_out=actor.between(-0.1, 0.25),
    )
    travel(actor, gait, actor.between(2.0, 4.0), running=True)


def march(actor: Actor) -> None:
    """High knees: march, stomp, or step over things."""
    gait = Gait(
        step=actor.between(0.45, 0.75),
        length=actor.between(0.0, 0.7),
        turn=actor.between(-0.2, 0.2),
        width=actor.between(0.06, 0.2),
        lift=actor.between(0.3, 0.6),
        swing=actor.between(0.9, 1.1),
        height=actor.between(0.98, 1.06),
        sway=actor.between(0.02, 0.08),
        lean=actor.between(-0.15, 0.2),
        hip_turn=actor.between(0.0, 0.2),
        hip_drop=actor.between(-0.1, 0.1),
    )
    travel(actor, gait, actor.between(2.0, 4.5))


def sneak(actor: Actor) -> None:
    """Walk with bent knees and bent back: sneak, trudge, or walk like an ape."""
    gait = Gait(
        step=actor.between(0.5, 0.9),
        length=actor.between(0.3, 0.9),
        turn=actor.between(-0.2, 0.2),
        width=actor.between(0.05, 0.3),
        lift=actor.between(0.1, 0.3),
        swing=actor.between(0.9, 1.1),
        height=actor.between(0.68, 0.93),
        sway=actor.between(0.02, 0.1),
        lean=actor.between(0.1, 1.0),
        hip_turn=actor.between(0.0, 0.3),
        hip_drop=actor.between(0.0, 0.15),
        toe_out=actor.between(-0.1, 0.6),
    )
    travel(actor, gait, actor.between(2.0, 4.5))


def walk_backwards(actor: Actor) -> None:
    """Walk backwards, straight or at a slant."""
    gait = Gait(
        step=actor.between(0.5, 0.8),
        length=actor.between(0.2, 0.65),
        direction=math.pi + actor.between(-0.5, 0.5),
        turn=actor.between(-0.1, 0.1),
        width=actor.between(0.04, 0.2),
        lift=actor.between(0.06, 0.18),
        swing=actor.between(0.9, 1.1),
        height=actor.between(0.94, 1.04),
        sway=actor.between(0.0, 0.05),
        lean=actor.between(-0.15, 0.35),
        hip_turn=actor.between(0.0, 0.15),
        toe_out=actor.between(-0.1, 0.35),
    )
    travel(actor, gait, actor.between(2.0, 4.5))


def sidestep(actor: Actor) -> None:
    """Go sideways: step and close, or cross one leg over the other."""
    way = actor.pick(1, -1)
    if actor.chance(0.5):
        gait = Gait(
            step=actor.between(0.45, 0.8),
            length=actor.between(0.1, 0.5),
            direction=way * (math.pi / 2 + actor.between(-0.6, 0.5)),
            turn=actor.between(-0.1, 0.1),
            width=actor.between(-0.1, 0.14),
            lift=actor.between(0.05, 0.2),
            swing=actor.between(0.85, 1.1),
            height=actor.between(0.9, 1.02),
            sway=actor.between(0.0, 0.05),
            lean=actor.between(-0.1, 0.3),
            hip_turn=actor.between(0.0, 0.4),
            hip_drop=actor.between(0.0, 0.1),
            toe_out=actor.between(-0.2, 0.4),
        )
        travel(actor, gait, actor.between(2.0, 4.5))
        return
    lead, follow = ("left", "right") if way > 0 else ("right", "left")
    seconds, start = actor.between(0.3, 0.7), actor.time
    height = actor.between(0.82, 1.0) * actor.body.standing
    close = 0.12 * actor.body.leg
    for _ in range(int(actor.generator.integers(2, 6))):
        length, lift = actor.between(0.2, 0.75) * actor.body.leg, actor.between(0.03, 0.15)
        for foot, away in ((lead, length + close), (follow, 0.5 * length - close)):
            actor.step(foot, actor.time, seconds, actor.beside(0.0, way * away), actor.heading, lift)
            actor.x, actor.y = actor.beside(0.0, way * 0.5 * length)
            actor.time += seconds
            low = height - actor.between(0.0, 0.06)
            actor.key(actor.time, x=actor.x, y=actor.y, z=low, roll=actor.between(-0.08, 0.08))
    _settle(actor)
    _dress(actor, start, actor.time)


def turn(actor: Actor) -> None:
    """Turn on the spot, looking ahead of the turn, in a few steps."""
    angle = actor.pick(1, -1) * actor.between(0.6, 3.2)
    count = int(actor.generator.integers(2, 6))
    gait = Gait(
        step=actor.between(0.4, 0.7),
        length=actor.between(0.0, 0.15),
        turn=angle / count,
        width=actor.between(0.08, 0.22),
        lift=actor.between(0.04, 0.15),
        swing=actor.between(0.8, 1.0),
        height=actor.between(0.95, 1.05),
        lean=actor.between(-0.05, 0.2),
        hip_turn=0.0,
        sway=actor.between(0.01, 0.05),
        toe_out=actor.between(0.0, 0.4),
    )
    look = math.copysign(actor.between(0.2, 1.0), angle)
    actor.key(actor.time + 0.6 * gait.step, head_twist=look)
    travel(actor, gait, (count + 0.5) * gait.step)
    actor.move(actor.between(0.3, 0.6), head_twist=actor.between(-0.1, 0.1))


def travel(actor: Actor, gait: Gait, seconds: float, *, running: bool = False) -> None:
    """Take steps for a while, starting from and ending in a stand."""
    body, start, high = actor.body, actor.time, actor.body.standing * gait.height
    count = max(2, round(seconds / gait.step))
    limp = actor.between(0.1, 0.25) if actor.chance(0.15) else 0.0
    foot = actor.pick(*SIDES)
    signs = [SIGNS[foot] * (-1) ** number for number in range(count + 1)]
    paces = [gait.step * (1 + limp * sign) for sign in signs]
    # The first and the last step are short, and one more closes the feet.
    strides = [gait.length * body.leg * actor.between(0.93, 1.07) for _ in range(count)] + [0.0]
    strides[0] *= 0.6
    strides[-2] *= 0.6
    trunk = actor.trunk(gait.lean, actor.between(-0.06, 0.06), actor.between(-0.1, 0.1))
    actor.key(start + 1.5 * gait.step, **{name: trunk[name] for name in ("lumbar_bend", "chest_bend", "lumbar_lean")})
    counter = actor.between(0.2, 1.6)
    actor.keep(start, ("x", "y", "z", "yaw", "pitch", "roll", "chest_twist"))
    landings: list[tuple[float, str]] = []
    time, cos, sin = start, math.cos(gait.direction), math.sin(gait.direction)
    for number in range(count):
        sign, pace, after = signs[number], paces[number], paces[number + 1]
        foot = "left" if sign > 0 else "right"
        time += pace
        actor.heading += gait.turn * actor.between(0.8, 1.2)
        actor.x, actor.y = actor.beside(cos * strides[number], sin * strides[number])
        reach = gait.ahead * strides[number + 1]
        width = sign * gait.width * body.leg * actor.between(0.8, 1.2)
        swing = min(gait.swing * pace, time - start - 0.02) if number else 0.8 * pace
        yaw = actor.heading + sign * gait.toe_out + gait.turn * 0.5
        # An ankle cannot pass the hip: the knee would have to fold further than it can.
        lift = min(gait.lift * actor.between(0.8, 1.2) * min(1.0, 0.5 + gait.length), high - body.sole - 0.4 * body.leg)
        actor.step(foot, time - swing, swing, actor.beside(cos * reach, sin * reach + width), yaw, lift)
        landings.append((time, foot))
        # At the landing the hips are turned after the leg ahead; half a step later they are over the standing foot.
        ahead_turn = -sign * gait.hip_turn * min(1.0, gait.length) * cos
        twist = -counter * ahead_turn + trunk["chest_twist"]
        pitch = trunk["pitch"] * actor.between(0.85, 1.15)
        actor.key(time, x=actor.x, y=actor.y, yaw=actor.heading + ahead_turn, chest_twist=twist, pitch=pitch)
        half, aside = 0.5 * strides[number + 1], sign * gait.sway * body.leg
        mid = actor.beside(half * cos, half * sin + aside)
        turned = actor.heading + gait.turn * 0.5 * (number < count - 1)
        bounce = gait.bounce * body.leg * actor.between(0.7, 1.3)
        actor.key(time + gait.lowest * after, z=high - bounce)
        actor.key(time + (gait.lowest + 0.5) * after, z=high + bounce)
        roll = -sign * gait.hip_drop + 0.2 * trunk["lumbar_lean"]
        actor.key(time + 0.5 * after, x=mid[0], y=mid[1], yaw=turned, chest_twist=trunk["chest_twist"], roll=roll)
    # The other foot comes beside, and the body to rest over both.
    sign = signs[count]
    place = actor.beside(0.0, sign * max(0.05, gait.width) * body.leg)
    actor.step(
        "left" if sign > 0 else "right", time, gait.step, place, actor.heading + sign * gait.toe_out, 0.5 * gait.lift
    )
    actor.time = time + max(gait.step, 0.4)
    still = {"yaw": actor.heading, "roll": 0.0, "chest_twist": trunk["chest_twist"]}
    actor.key(actor.time, x=actor.x, y=actor.y, z=high, **still)
    _travel_arms(actor, start, landings, running)


def _travel_arms(actor: Actor, start: float, landings: list[tuple[float, str]], running: bool) -> None:
    draw, end = actor.generator.random(), actor.time
    base = actor.between(0.9, 2.0) if running else actor.between(0.1, 0.7)
    if actor.chance(0.15):
        base = actor.between(0.2, 1.9)
    style = {
        "swing": actor.between(0.25, 0.95) if running or actor.chance(0.1) else actor.between(0.03, 0.65),
        "uneven": actor.between(-0.4, 0.4),
        "forward": actor.between(-0.25, 0.25),
        "elbow": base,
        "elbow_swing": actor.between(0.0, 0.7),
        "out": actor.between(0.0, 0.5) if actor.chance(0.7) else actor.between(0.3, 1.0),
        "twist": actor.between(-0.4, 0.7),
        "inward": actor.between(0.0, 1.0),
    }
    if draw < 0.55:
        swing_arms(actor, landings, style)
    elif draw < 0.7:
        carry_arms(actor, start, actor.between(0.4, 1.2))
    elif draw < 0.8:
        swing_arms(actor, landings, style)
        side = actor.pick(*SIDES)
        gesture(actor, start, end, (side,))
    elif draw < 0.9:
        # A posture of both arms that swings along.
        for side in SIDES:
            angles = posture(
                actor, side, actor.pick("guard", "low guard", "forearm forward", "sideways low", "hanging")
            )
            amount = actor.between(0.05, 0.4)
            for time, foot in landings:
                ahead = 1.0 if foot != side else -1.0
                swung = angles._replace(forward=angles.forward + amount * ahead)
                actor.arm(time, side, swung)
    else:
        _dress(actor, start, end)


def _dress(actor: Actor, start: float, end: float) -> None:
    """Something for the arms and the head to do while the legs go."""
    if actor.chance(0.4):
        carry_arms(actor, start, actor.between(0.4, 1.0))
    elif actor.chance(0.5):
        gesture(actor, start, end)
    else:
        for side in SIDES:
            actor.arm(start + actor.between(0.4, 1.0), side, any_arm(actor, side))
    if actor.chance(0.5):
        middle = start + (end - start) * actor.between(0.3, 0.7)
        actor.key(middle, head_twist=actor.between(-0.9, 0.9), head_bend=actor.between(-0.3, 0.5))


def _settle(actor: Actor) -> None:
    """Feet under the body again."""
    for side, sign in SIGNS.items():
        place = actor.beside(actor.between(-0.04, 0.04), sign * actor.between(0.08, 0.16))
        actor.step(side, actor.time, 0.35, place, actor.heading + sign * actor.between(0.0, 0.3), 0.06)
        actor.time += 0.35
    actor.key(actor.time, x=actor.x, y=actor.y, z=actor.body.standing * actor.between(0.98, 1.06), yaw=actor.heading)
