"""Programs of strength and speed: jump, throw, play a ball (numpy)."""

__all__ = ["ball", "jump", "throw"]

import math

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, posture
from vipe.simulate.motion.body import OTHER, SIDES, SIGNS
from vipe.simulate.motion.ik import ArmAngles
from vipe.simulate.motion.stance import back_to_stand, fighting_stance, place_feet


def jump(actor: Actor) -> None:
    """Jump up, forward, to a side, or as a star; take off and land with bent knees."""
    body = actor.body
    place_feet(actor, actor.between(0.05, 0.2), actor.pick(0.0, actor.between(0.0, 0.3)))
    for _ in range(int(actor.generator.integers(1, 4))):
        start = actor.time
        depth = actor.between(0.6, 0.85) * body.standing
        crouch = actor.between(0.4, 0.8)
        bent = actor.trunk(actor.between(0.3, 1.1), pelvis=0.6)
        actor.move(crouch, z=depth, **bent)
        wind = actor.between(-0.9, 0.2)
        for side in SIDES:
            arm = ArmAngles(wind, 0.2, 0.0, actor.between(0.1, 0.8))
            actor.bring(side, arm, start, actor.time)
        rise = actor.between(0.08, 0.45)
        flight = 2 * math.sqrt(2 * rise / 9.81) + 0.1
        push = actor.between(0.2, 0.3)
        ahead, aside = actor.between(-0.2, 1.2) * actor.chance(0.6), actor.between(-0.5, 0.5) * actor.chance(0.4)
        turn = actor.between(-1.6, 1.6) * actor.chance(0.25)
        off, top, land = actor.time + push, actor.time + push + flight / 2, actor.time + push + flight
        x0, y0 = actor.x, actor.y
        actor.x, actor.y = actor.beside(ahead, aside)
        actor.heading += turn
        standing = body.standing
        actor.key(
            off,
            z=standing * 1.05,
            x=x0 + 0.15 * (actor.x - x0),
            y=y0 + 0.15 * (actor.y - y0),
            **actor.trunk(actor.between(-0.1, 0.2)),
        )
        actor.key(top, z=standing * 1.03 + rise)
        actor.key(
            land,
            z=standing * 0.95,
            x=actor.x - 0.1 * (actor.x - x0),
            y=actor.y - 0.1 * (actor.y - y0),
            yaw=actor.heading,
        )
        high, out = actor.between(0.1, 2.7), actor.between(0.0, 1.5)
        spread, tuck = actor.between(0.0, 0.7) * actor.chance(0.4), actor.between(0.0, 1.6)
        for side, sign in SIGNS.items():
            width = actor.between(0.08, 0.2)
            actor.step(
                side,
                off - 0.03,
                land - off + 0.06,
                actor.beside(actor.between(-0.1, 0.1), sign * width),
                actor.heading,
                rise,
            )
            split = actor.between(-0.5, 0.5)
            legs = actor.leg(side, tuck + split, spread, 0.1, max(0.15, 1.4 * tuck + actor.between(-0.2, 0.3)))
            if actor.chance(0.7):
                free = f"{side}_free"
                actor.keep(off, (free,))
                actor.key(top, **legs)
                actor.key(land - 0.04, **{free: 0.0})
            arm = (
                ArmAngles(high, out, actor.between(-0.3, 0.3), actor.between(0.1, 0.9))
                if actor.chance(0.7)
                else any_arm(actor, side)
            )
            actor.arm(top, side, arm)
            actor.arm(land + 0.3, side, actor.hanging())
        actor.time = land
        landing = actor.between(0.55, 0.9) * standing
        actor.move(0.35, x=actor.x, y=actor.y, z=landing, **actor.trunk(actor.between(0.2, 0.9), pelvis=0.6))
        actor.move(actor.between(0.4, 0.7), **actor.stand_channels(actor.between(0.98, 1.06)))


def throw(actor: Actor) -> None:
    """Throw overarm, underarm, sidearm or with both hands, stepping into it."""
    body = actor.body
    place_feet(actor, actor.between(0.1, 0.25), actor.between(0.0, 0.4))
    for _ in range(int(actor.generator.integers(1, 3))):
        hand = actor.pick(*SIDES)
        sign = SIGNS[hand]
        other = OTHER[hand]
        kind = actor.pick("over", "over", "under", "side", "both")
        paths = {
            "over": ((-0.15, 0.65, 0.35), (0.45, 0.35, 0.75), (0.75, -0.05, -0.45)),
            "under": ((-0.55, 0.4, -0.8), (0.5, 0.3, -0.85), (0.9, 0.15, 0.1)),
            "side": ((-0.3, 0.95, -0.1), (0.6, 0.75, -0.1), (0.6, -0.3, 0.0)),
            "both": ((0.0, 0.12, 0.6), (0.5, 0.1, 0.8), (0.9, 0.15, -0.1)),
        }[kind]
        hands = SIDES if kind == "both" else (hand,)
        twist = 0.0 if kind == "both" else actor.between(0.4, 1.0)
        start = actor.time
        if actor.chance(0.6):
            place = actor.beside(actor.between(0.3, 0.6), -sign * actor.between(0.08, 0.2))
            actor.step_within_reach(other, start + 0.35, 0.45, place, actor.heading, 0.15)
        seconds = (actor.between(0.5, 0.9), actor.between(0.18, 0.3), actor.between(0.25, 0.5))
        for number, (place3, duration) in enumerate(zip(paths, seconds, strict=True)):
            way = (1.0, -0.3, -1.0)[number]
            ahead = (-0.1, 0.1, 0.25)[number] * actor.between(0.5, 1.2)
            x, y = actor.beside(ahead, 0.0)
            bend = (-0.2, 0.1, 0.7)[number] * actor.between(0.3, 1.2)
            trunk = actor.trunk(bend, (0.2, 0.0, -0.1)[number] * sign, sign * twist * way * 0.8, pelvis=0.3)
            for side in hands:
                point = tuple(value + actor.between(-0.12, 0.12) for value in place3)
                arm = actor.reaching(side, (point[0], point[1], point[2]), actor.between(0.5, 1.3))
                actor.bring(side, arm, actor.time, actor.time + duration)
            if number != 1 and kind != "both":
                arm = actor.pick(
                    posture(actor, other, "forward"), posture(actor, other, "sideways"), any_arm(actor, other)
                )
                actor.bring(other, arm, actor.time, actor.time + duration)
            z = body.standing * (0.96, 0.93, 0.86)[number] * actor.between(0.95, 1.03)
            actor.move(
                duration,
                x=x,
                y=y,
                z=z,
                yaw=actor.heading + sign * twist * way * 0.5,
                head_twist=-sign * twist * way * 0.7,
                **trunk,
            )
        actor.wait(0.05, 0.4)
        actor.go_over_feet()
        back_to_stand(actor)


def ball(actor: Actor) -> None:
    """Bounce a ball, pass it, shoot it overhead, catch it, in a low or a high stance."""
    body = actor.body
    fighting_stance(actor)
    hand = actor.pick(*SIDES)
    for _ in range(int(actor.generator.integers(2, 5))):
        start = actor.time
        kind = actor.pick("bounce", "bounce", "pass", "shoot", "catch")
        low = actor.between(0.75, 0.97) * body.standing
        trunk = actor.trunk(actor.between(0.1, 0.8), actor.between(-0.2, 0.2), actor.between(-0.4, 0.4))
        actor.move(0.4, z=low, **trunk)
        if kind == "bounce":
            out, front = actor.between(0.2, 0.7), actor.between(0.1, 0.7)
            for _ in range(int(actor.generator.integers(2, 5))):
                for high in (actor.between(-0.75, -0.4), actor.between(-1.15, -0.85)):
                    actor.time += actor.between(0.2, 0.35)
                    actor.arm(actor.time, hand, actor.reaching(hand, (front, out, high), actor.between(0.6, 1.3)))
                actor.key(actor.time, z=low * actor.between(0.96, 1.03), head_twist=actor.between(-0.5, 0.5))
            other = OTHER[hand]
            actor.arm(start + 0.6, other, any_arm(actor, other))
            hand = actor.pick(hand, other)
        else:
            name, target = {
                "pass": ("on the chest", "forward"),
                "shoot": ("at the brow", "overhead"),
                "catch": ("forward", "on the belly"),
            }[kind]
            for number, place in enumerate((name, target)):
                seconds = actor.between(0.4, 0.6) if number == 0 else actor.between(0.25, 0.45)
                for side in SIDES:
                    arm = posture(actor, side, place)
                    actor.bring(side, arm, actor.time, actor.time + seconds)
                tip = 0.09 if kind == "shoot" and number else 0.0
                z = body.standing * (actor.between(0.8, 0.95) if number == 0 else 1.0 + tip)
                actor.move(seconds, z=z, left_tiptoe=tip, right_tiptoe=tip, **actor.trunk(actor.between(-0.15, 0.4)))
            actor.move(0.4, left_tiptoe=0.0, right_tiptoe=0.0, z=body.standing * 0.95)
        actor.wait(0.0, 0.3)
    back_to_stand(actor)
