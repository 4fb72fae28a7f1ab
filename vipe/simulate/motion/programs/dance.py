"""Programs in rhythm and balance: dance, pirouette, balance on one leg, leap (numpy)."""

__all__ = ["balance", "dance", "leap", "pirouette"]

import math

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, posture
from vipe.simulate.motion.body import OTHER, SIDES, SIGNS
from vipe.simulate.motion.stance import place_feet


def dance(actor: Actor) -> None:
    """Dance to a beat: hips, knees and trunk on each beat, steps on some, arms alike, mirrored or free."""
    body = actor.body
    place_feet(actor, actor.between(0.08, 0.2), actor.between(-0.1, 0.2))
    beat = actor.between(0.38, 0.65)
    wild, low = actor.between(0.3, 1.0), actor.between(0.86, 1.0)
    start = actor.time
    for number in range(int(actor.generator.integers(6, 14))):
        sign = 1 if number % 2 == 0 else -1
        if actor.chance(0.5):
            foot = SIDES[number % 2]
            out = sign * (body.hip + actor.between(-0.05, 0.35) * wild)
            place = actor.beside(actor.between(-0.25, 0.25) * wild, out)
            lift = actor.between(0.03, 0.25) * wild
            actor.step_within_reach(
                foot, actor.time, 0.8 * beat, place, actor.heading + sign * actor.between(0.0, 0.6), lift
            )
        turned = actor.between(-0.5, 0.5) * wild
        hips = actor.beside(actor.between(-0.06, 0.06), -sign * actor.between(0.0, 0.12) * wild)
        trunk = actor.trunk(
            actor.between(-0.3, 0.5) * wild, actor.between(-0.5, 0.5) * wild, actor.between(-0.7, 0.7) * wild
        )
        bounce = actor.between(0.0, 0.12) * wild
        actor.key(actor.time + 0.5 * beat, z=body.standing * (low - bounce))
        actor.move(
            beat,
            x=hips[0],
            y=hips[1],
            z=body.standing * low,
            yaw=actor.heading + turned,
            **trunk,
            head_twist=actor.between(-0.6, 0.6),
            head_bend=actor.between(-0.3, 0.3),
        )
        if actor.chance(0.7):
            alike, one = actor.chance(0.4), any_arm(actor, "left")
            for side in SIDES:
                actor.arm(actor.time, side, one if alike else any_arm(actor, side))
                actor.key(actor.time, **{f"{side}_shrug": actor.between(-0.1, 0.3) * wild})
    actor.keep(start, ())
    actor.move(0.6, **actor.stand_channels())


def balance(actor: Actor) -> None:
    """Balance on one leg: the other behind (arabesque, scale), to the side, in front, at the knee, held by a hand."""
    body = actor.body
    place_feet(actor, 0.06, 0.0)
    for _ in range(int(actor.generator.integers(1, 4))):
        start = actor.time
        leg = actor.pick(*SIDES)
        sign = SIGNS[leg]
        support = actor.foothold(OTHER[leg])
        over = {"x": support[0], "y": support[1]}
        tip = actor.between(0.0, 0.1) * actor.chance(0.4)
        other = OTHER[leg]
        actor.move(0.5, **over, z=body.standing * actor.between(0.98, 1.06))
        kind = actor.pick("behind", "behind", "side", "front", "passe", "knee", "heel")
        opened = actor.between(0.0, 0.8)
        knee = actor.pick(0.1, 0.1, actor.between(0.1, 1.5))
        thigh, out, bend = {
            "behind": (-actor.between(0.2, 0.55), actor.between(0.0, 0.4), knee),
            "side": (actor.between(-0.1, 0.4), actor.between(0.4, 1.4), knee),
            "front": (actor.between(0.4, 1.7), actor.between(-0.1, 0.4), knee),
            "passe": (actor.between(0.8, 1.2), actor.between(0.4, 0.9), actor.between(1.9, 2.3)),
            "knee": (actor.between(0.8, 2.0), 0.0, actor.between(1.2, 2.3)),
            "heel": (-actor.between(0.0, 0.4), 0.1, actor.between(1.2, 2.3)),
        }[kind]
        tilt = actor.between(-0.1, 1.3) if kind == "behind" else actor.between(-0.35, 0.2)
        trunk = actor.trunk(0.0, 0.0, actor.between(-0.4, 0.4))
        # The pelvis goes with the leg: forward for a leg behind, to the other side for one beside.
        trunk |= {
            "pitch": tilt,
            "chest_bend": -actor.between(0.0, 0.5) * tilt,
            "lumbar_bend": -actor.between(0.0, 0.4) * tilt,
        }
        trunk |= {"roll": sign * actor.between(0.1, 0.5) * (kind == "side"), "lumbar_lean": actor.between(-0.3, 0.3)}
        legs = actor.leg(leg, thigh, out, opened, bend)
        standing = body.standing * actor.between(0.9, 1.02) + tip
        seconds = actor.between(0.6, 1.2)
        actor.move(
            seconds,
            **legs,
            **trunk,
            z=standing,
            **{f"{other}_tiptoe": tip, f"{other}_leg_twist": opened * 0.6},
            yaw=actor.heading + actor.between(-0.6, 0.6),
        )
        for side in SIDES:
            name = actor.pick(
                "sideways",
                "sideways high",
                "overhead",
                "forward high",
                "sideways low",
                "on the hip",
                "forward",
                "on the belly",
                "before the lap",
            )
            arm = posture(actor, side, name) if actor.chance(0.8) else any_arm(actor, side)
            actor.bring(side, arm, start + 0.3, actor.time)
        actor.wait(0.2, 1.0)
        actor.move(
            actor.between(0.6, 0.9),
            **{f"{leg}_free": 0.0, f"{other}_tiptoe": 0.0, f"{other}_leg_twist": 0.0},
            **actor.stand_channels(),
        )
        if actor.chance(0.5):
            actor.x, actor.y = actor.beside(0.25, 0.0)
            place_feet(actor, 0.06, 0.0)


def pirouette(actor: Actor) -> None:
    """Spin on one foot, the other leg drawn up, held behind or low; arms rounded, high or open."""
    body = actor.body
    place_feet(actor, 0.08, actor.between(0.1, 0.4))
    for _ in range(int(actor.generator.integers(1, 3))):
        leg = actor.pick(*SIDES)
        other = OTHER[leg]
        sign = SIGNS[leg]
        support = actor.foothold(other)
        actor.move(actor.between(0.4, 0.6), z=0.85 * body.standing, chest_twist=sign * 0.4, x=support[0], y=support[1])
        for side in SIDES:
            actor.arm(actor.time, side, posture(actor, side, actor.pick("sideways", "forward", "sideways low")))
        turns = -sign * actor.between(0.5, 2.2) * 2 * math.pi
        seconds = abs(turns) / actor.between(5.0, 8.5) + 0.3
        start = actor.time
        legs = actor.pick(
            actor.leg(leg, actor.between(0.7, 1.3), actor.between(0.3, 0.8), 0.9, actor.between(1.6, 2.3)),
            actor.leg(leg, -actor.between(0.1, 0.5), 0.1, 0.4, actor.between(0.1, 1.4)),
            actor.leg(leg, actor.between(0.1, 0.6), 0.2, 0.3, actor.between(0.2, 1.0)),
        )
        actor.heading += turns
        tip = actor.between(0.03, 0.1)
        names = actor.pick(
            ("on the belly",) * 2,
            ("on the chest",) * 2,
            ("overhead",) * 2,
            ("forearm forward",) * 2,
            ("overhead", "sideways"),
        )
        for side, name in zip(SIDES, names, strict=True):
            actor.keep(start, actor.arm_channels(side, actor.hanging()))
            arm = posture(actor, side, name)
            actor.arm(start + 0.4, side, arm)
            actor.arm(start + seconds - 0.2, side, arm)
        # The foot turns under the body; its ankle stays.
        actor.step(other, start, seconds, (support[0], support[1]), actor.heading, 0.0)
        actor.keep(start, legs)
        actor.key(start + 0.35, **legs)
        actor.keep(start + seconds - 0.3, legs)
        actor.key(start + 0.3, **{f"{other}_tiptoe": tip}, z=body.standing + tip)
        actor.keep(start, ("yaw",))
        actor.time = start + seconds
        actor.key(actor.time - 0.2, **{f"{other}_tiptoe": tip}, z=body.standing + tip)
        actor.key(actor.time, yaw=actor.heading, chest_twist=0.0)
        actor.x, actor.y = support[0], support[1]
        actor.step(leg, actor.time - 0.3, 0.25, actor.beside(actor.between(-0.3, 0.1), sign * 0.14), actor.heading, 0.0)
        actor.move(0.45, z=0.92 * body.standing, **{f"{leg}_free": 0.0, f"{other}_tiptoe": 0.0})
    actor.move(0.5, **actor.stand_channels())


def leap(actor: Actor) -> None:
    """Run up and leap with legs apart, or skip from foot to foot."""
    body = actor.body
    start, time = actor.time, actor.time
    foot = actor.pick(*SIDES)
    big = actor.chance(0.6)
    actor.keep(time, ("x", "y", "z"))
    for number in range(int(actor.generator.integers(4, 8))):
        sign = SIGNS[foot]
        other = OTHER[foot]
        flying = (big and number >= 2 and actor.chance(0.5)) or (not big and actor.chance(0.6))
        length = (actor.between(1.0, 1.6) if big and flying else actor.between(0.3, 0.7)) * body.leg
        seconds = actor.between(0.5, 0.7) if flying else actor.between(0.35, 0.5)
        actor.x, actor.y = actor.beside(length, 0.0)
        landing = actor.beside(0.1, sign * 0.06)
        actor.step(foot, time, seconds, landing, actor.heading, actor.between(0.1, 0.4))
        if flying:
            rise = actor.between(0.08, 0.3)
            middle = time + 0.5 * seconds
            front = actor.leg(foot, actor.between(0.5, 1.5), actor.between(0.0, 0.4), 0.2, actor.between(0.1, 1.6))
            back = actor.leg(other, -actor.between(0.1, 0.55), actor.between(0.0, 0.3), 0.2, actor.between(0.1, 1.5))
            for legs, name in ((front, foot), (back, other)):
                actor.keep(time, (f"{name}_free",))
                actor.key(middle, **legs)
            actor.key(time + seconds - 0.03, **{f"{foot}_free": 0.0})
            actor.step(other, time + 0.03, seconds + 0.25, actor.beside(0.3, -sign * 0.08), actor.heading, 0.15)
            actor.key(time + seconds + 0.1, **{f"{other}_free": 0.0})
            actor.key(
                middle,
                z=body.standing * 1.0 + rise,
                **actor.trunk(actor.between(-0.3, 0.4), 0.0, actor.between(-0.3, 0.3)),
            )
            for side in SIDES:
                name = actor.pick("sideways", "forward", "sideways high", "overhead", "forward high", "sideways low")
                actor.arm(middle, side, posture(actor, side, name))
            seconds += 0.1
        time += seconds
        actor.key(
            time,
            x=actor.x,
            y=actor.y,
            z=body.standing * actor.between(0.86, 0.95),
            **actor.trunk(actor.between(0.0, 0.3)),
        )
        foot = other
    actor.time = time
    for side, sign in SIGNS.items():
        actor.step(side, actor.time, 0.35, actor.beside(0.1, sign * 0.1), actor.heading, 0.05)
    del start
    actor.move(0.6, **actor.stand_channels(), left_free=0.0, right_free=0.0)
