"""Programs of blows: punch, kick, swing a bat or a sword, lunge (numpy)."""

__all__ = ["kick", "lunge", "punch", "swing"]

import math

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, posture
from vipe.simulate.motion.body import OTHER, SIDES, SIGNS
from vipe.simulate.motion.stance import back_to_stand, fighting_stance


def punch(actor: Actor) -> None:
    """Box: guard, jabs, crosses, hooks, uppercuts, with a turn of the trunk and a step now and then."""
    fighting_stance(actor)
    for _ in range(int(actor.generator.integers(3, 7))):
        hand = actor.pick(*SIDES)
        sign = SIGNS[hand]
        kind = actor.pick("straight", "straight", "hook", "upper", "low")
        length = actor.body.arm / actor.body.torso
        points = {
            "straight": (length * actor.between(0.8, 1.05), actor.between(0.0, 0.35), actor.between(-0.15, 0.25)),
            "hook": (length * actor.between(0.5, 0.8), actor.between(-0.2, 0.3), actor.between(-0.1, 0.25)),
            "upper": (length * actor.between(0.5, 0.8), actor.between(0.0, 0.2), actor.between(0.0, 0.4)),
            "low": (length * actor.between(0.7, 1.0), actor.between(0.0, 0.35), actor.between(-0.8, -0.2)),
        }
        elbow = {"straight": 0.5, "hook": 1.5, "upper": 0.0, "low": 0.4}[kind] + actor.between(-0.2, 0.3)
        # Draw back, strike, come back: the trunk goes with the hand.
        start, twist = actor.time, actor.between(0.2, 0.9)
        back = actor.reaching(
            hand,
            (actor.between(-0.1, 0.3), actor.between(0.25, 0.6), actor.between(-0.5, 0.1)),
            actor.between(0.2, 1.0),
        )
        depth = actor.between(0.8, 0.98) * actor.body.standing
        draw, strike = actor.between(0.2, 0.5), actor.between(0.18, 0.35)
        actor.keep(start, actor.arm_channels(hand, back))
        actor.move(
            draw,
            z=depth,
            yaw=actor.heading + sign * twist * 0.4,
            **actor.trunk(actor.between(0.0, 0.35), 0.0, sign * twist * 0.6),
        )
        actor.arm(actor.time, hand, back)
        if actor.chance(0.4):
            ahead = actor.between(0.15, 0.45)
            lead = actor.pick(*SIDES)
            place = actor.beside(ahead, SIGNS[lead] * actor.between(0.1, 0.2))
            actor.step_within_reach(lead, actor.time - 0.1, strike + 0.1, place, actor.heading, 0.05)
            actor.go_over_feet(actor.between(0.35, 0.65))
        actor.move(
            strike,
            x=actor.x,
            y=actor.y,
            yaw=actor.heading - sign * twist * 0.5,
            **actor.trunk(actor.between(0.0, 0.6), 0.0, -sign * twist),
        )
        actor.arm(actor.time, hand, actor.reaching(hand, points[kind], elbow))
        actor.key(actor.time, **{f"{hand}_protract": 0.35})
        guard = actor.pick("guard", "guard", "low guard", "on the chest")
        actor.move(actor.between(0.25, 0.5), yaw=actor.heading, **actor.trunk(0.15), **{f"{hand}_protract": 0.0})
        for side in SIDES:
            actor.arm(actor.time, side, posture(actor, side, guard))
    back_to_stand(actor)


def kick(actor: Actor) -> None:
    """Kick to the front, round, to the side, back, or as at a ball; arms for balance or guard."""
    fighting_stance(actor)
    for _ in range(int(actor.generator.integers(1, 4))):
        leg = actor.pick(*SIDES)
        other = OTHER[leg]
        sign = SIGNS[leg]
        start = actor.time
        support = actor.foothold(other)
        toward = (0.75 * (support[0] - actor.x), 0.75 * (support[1] - actor.y))
        actor.x, actor.y = actor.x + toward[0], actor.y + toward[1]
        wind = actor.leg(leg, actor.between(-0.5, 0.1), 0.1, 0.0, actor.between(0.4, 1.3))
        balance = {"x": actor.x, "y": actor.y, "z": actor.body.standing * actor.between(0.93, 1.0)}
        actor.move(actor.between(0.3, 0.5), **wind, **balance)
        kind = actor.pick("front", "front", "ball", "round", "round", "side", "side", "back")
        high = actor.between(0.5, 2.0)
        thigh, out, turn = {
            "front": (high, 0.1, 0.0),
            "ball": (actor.between(0.3, 1.0), actor.between(-0.2, 0.2), 0.2),
            "round": (0.8 * high, 0.5 * high, -0.3),
            "side": (actor.between(0.1, 0.6), min(1.5, high), 0.0),
            "back": (-0.5, 0.3, 0.0),
        }[kind]
        if kind in ("front", "round", "side"):
            chamber = actor.leg(leg, min(2.0, max(0.9, thigh)), out * 0.6, 0.0, actor.between(1.4, 2.1))
            actor.move(actor.between(0.22, 0.35), **chamber)
        tilt = {"front": -0.35, "ball": 0.15, "round": -0.2, "side": 0.1, "back": 1.0}[kind] * actor.between(0.5, 1.3)
        lean = sign * {"side": 0.8, "round": 0.5}.get(kind, 0.0) * actor.between(0.4, 1.3)
        trunk = actor.trunk(tilt, lean, sign * actor.between(-0.4, 0.4), pelvis=0.5) | {"roll": lean * 0.6}
        yaw = actor.heading - sign * {"round": 0.9, "side": 0.6}.get(kind, 0.15)
        strike = actor.leg(leg, thigh, out, turn, actor.between(0.1, 0.5))
        actor.move(actor.between(0.2, 0.35), yaw=yaw, **strike, **trunk)
        for side in SIDES:
            arm = actor.pick(posture(actor, side, "guard"), posture(actor, side, "sideways low"), any_arm(actor, side))
            actor.bring(side, arm, start, actor.time)
        back = actor.leg(leg, 0.5, 0.1, 0.0, 1.0)
        actor.move(actor.between(0.25, 0.45), yaw=actor.heading, **back, **actor.trunk(0.05))
        ahead = actor.beside(actor.between(-0.3, 0.45), sign * actor.between(0.15, 0.3))
        actor.step(leg, actor.time - 0.25, 0.2, ahead, actor.heading, 0.0)
        actor.go_over_feet()
        actor.move(actor.between(0.3, 0.45), x=actor.x, y=actor.y, **{f"{leg}_free": 0.0})
    back_to_stand(actor)


def swing(actor: Actor) -> None:
    """Swing a bat, sword, axe or racket: with both hands or one, from any side to any other."""
    body = actor.body
    fighting_stance(actor)
    two = actor.chance(0.65)
    hand = actor.pick(*SIDES)
    other = OTHER[hand]
    grip, hips = actor.between(0.05, 0.2), actor.between(0.2, 0.9)
    for _ in range(int(actor.generator.integers(2, 6))):
        angle = actor.between(0.0, 2 * math.pi)  # where on a circle before the chest the blow begins
        big = actor.between(0.4, 0.8)
        begin = (actor.between(0.05, 0.4), big * math.cos(angle), big * math.sin(angle) * 1.2 + 0.05)
        through = (actor.between(0.7, 0.95), begin[1] * 0.2, begin[2] * 0.1 - 0.1)
        end = (actor.between(0.2, 0.6), -begin[1] * actor.between(0.6, 1.1), -begin[2] * actor.between(0.5, 1.1) - 0.2)
        twist = -begin[1] * actor.between(0.5, 1.6)  # trunk turns after the hands: left is positive
        start = actor.time
        if actor.chance(0.6):
            lead = actor.pick(*SIDES)
            ahead = actor.between(0.1, 0.95)
            place = actor.beside(ahead, SIGNS[lead] * actor.between(0.1, 0.22))
            actor.step_within_reach(lead, start + 0.3, 0.4, place, actor.heading, 0.1)
            actor.go_over_feet(actor.between(0.35, 0.65))
        for number, (point, duration) in enumerate(
            zip(
                (begin, through, end),
                (actor.between(0.35, 0.8), actor.between(0.15, 0.28), actor.between(0.2, 0.4)),
                strict=True,
            )
        ):
            way = (1.0, 0.0, -1.0)[number]
            # `point` has right positive, as a right-hander thinks; `reaching` wants outward.
            for side in SIDES if two else (hand,):
                outward = -point[1] if side == "left" else point[1]
                offset = grip * (1 if side == hand else -1)
                arm = actor.reaching(
                    side, (point[0] + 0.3 * offset, outward, point[2] + 0.5 * offset), actor.between(0.3, 1.1)
                )
                actor.bring(side, arm, actor.time, actor.time + duration)
                actor.key(actor.time + duration, **{f"{side}_protract": 0.25 if outward < 0 else 0.0})
            if not two and number != 1:
                arm = actor.pick(
                    any_arm(actor, other), posture(actor, other, "sideways low"), posture(actor, other, "on the hip")
                )
                actor.bring(other, arm, actor.time, actor.time + duration)
            bend = (-0.15, 0.1, 0.35)[number] + actor.between(-0.1, 0.4) * (number == 2)
            z = body.standing * (0.97, 0.92, 0.88)[number] * actor.between(0.84, 1.05)
            trunk = actor.trunk(bend, actor.between(-0.15, 0.15), twist * way, pelvis=0.35)
            actor.move(
                duration,
                x=actor.x,
                y=actor.y,
                z=z,
                yaw=actor.heading + hips * twist * way,
                head_twist=-twist * way * 0.8,
                **trunk,
            )
        actor.wait(0.0, 0.4)
    back_to_stand(actor)


def lunge(actor: Actor) -> None:
    """Lunges and wide stances: fence, warm up, push, pull, shield oneself."""
    body = actor.body
    for _ in range(int(actor.generator.integers(2, 5))):
        start = actor.time
        lead = actor.pick(*SIDES)
        sign = SIGNS[lead]
        way = actor.pick(0.0, 0.0, sign * actor.between(0.2, 1.6), math.pi)
        length = actor.between(0.4, 1.15) * body.leg
        ahead, aside = length * math.cos(way), length * math.sin(way) + sign * 0.12
        yaw = actor.heading + (0.0 if abs(way) < 0.1 else sign * actor.between(0.0, 0.7))
        seconds = actor.between(0.5, 0.9)
        home = actor.foothold(lead)
        actor.step_within_reach(lead, start, 0.7 * seconds, actor.beside(ahead, aside), yaw, 0.12)
        share = actor.between(0.3, 0.7)
        x, y = actor.beside(ahead * share, aside * share)
        depth = actor.between(0.55, 0.9) * body.standing
        trunk = actor.trunk(actor.between(-0.3, 0.9), actor.between(-0.3, 0.3), actor.between(-0.8, 0.8))
        # The more the legs are apart, the more the hips lean forward over the rear one.
        trunk["pitch"] = max(trunk["pitch"], 0.35 * length / body.leg)
        head = {"head_twist": actor.between(-0.8, 0.8), "head_bend": actor.between(-0.3, 0.3)}
        actor.move(seconds, x=x, y=y, z=depth, **trunk, **head, yaw=actor.heading + actor.between(-0.4, 0.4))
        for side in SIDES:
            arm = any_arm(actor, side)
            actor.bring(side, arm, start, actor.time - 0.1)
        actor.wait(0.1, 0.8)
        actor.step_within_reach(lead, actor.time, 0.5, (home[0], home[1]), actor.heading, 0.08)
        actor.move(actor.between(0.6, 0.9), **actor.stand_channels(actor.between(0.9, 1.0)))
