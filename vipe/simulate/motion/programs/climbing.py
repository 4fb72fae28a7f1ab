"""Programs that leave the ground on hands and feet: climb, hang, stairs, cartwheel (numpy)."""

__all__ = ["cartwheel", "climb", "hang", "stairs"]

import math

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import busy_arms
from vipe.simulate.motion.body import OTHER, SIDES, SIGNS
from vipe.simulate.motion.stance import back_to_stand, both_legs, land_feet, place_feet, stand_up


def climb(actor: Actor) -> None:
    """Climb up a wall, a ladder or a rope, hand over hand."""
    body = actor.body
    place_feet(actor, 0.12, 0.0)
    wall = actor.between(0.28, 0.55) * body.leg
    rung = actor.between(0.2, 0.42)
    pace = actor.between(0.45, 0.9)
    width = actor.between(0.1, 0.35)
    start = actor.time
    shoulder = body.standing + body.torso
    top = {side: shoulder + actor.between(0.0, 0.45) for side in SIDES}
    holds: dict[str, float] = {}
    for side, sign in SIGNS.items():
        place = actor.beside(wall, sign * (width + actor.between(0.0, 0.15)))
        at = {f"{side}_hold_x": place[0], f"{side}_hold_y": place[1], f"{side}_hold_z": top[side]}
        actor.key(start, **at)
        holds |= {f"{side}_hold": 1.0, **actor.arm_channels(side, actor.reaching(side, (0.6, 0.4, 0.3), 0.7))}
    actor.move(0.8, **holds, **actor.trunk(actor.between(-0.1, 0.25), pelvis=0.5))
    height = 0.0
    feet = dict.fromkeys(SIDES, 0.0)
    side = actor.pick(*SIDES)
    for _ in range(int(actor.generator.integers(5, 11))):
        sign = SIGNS[side]
        other = OTHER[side]
        feet[side] = max(feet[side], feet[other]) + rung
        height = 0.5 * (feet[side] + feet[other])
        place = actor.beside(wall * actor.between(0.5, 0.7), sign * width * actor.between(0.6, 1.1))
        actor.step(
            side, actor.time, pace * 0.8, place, actor.heading + sign * actor.between(0.0, 0.6), 0.08, z=feet[side]
        )
        top[other] += 2 * rung * actor.between(0.8, 1.0) if top[other] - height < shoulder + 0.35 else 0.0
        place = actor.beside(wall, -sign * (width + actor.between(0.0, 0.2)))
        hand = {f"{other}_hold_x": place[0], f"{other}_hold_y": place[1], f"{other}_hold_z": top[other]}
        way = actor.beside(actor.between(-0.08, 0.08), -sign * actor.between(0.0, 0.1))
        actor.keep(actor.time, (f"{other}_hold_x",))
        z = height + body.standing * actor.between(0.86, 0.98)
        turns = {"lumbar_twist": sign * actor.between(-0.1, 0.3), "lumbar_lean": sign * actor.between(-0.05, 0.25)}
        twist = {f"{side}_leg_twist": actor.between(0.0, 0.8)}
        actor.move(pace, x=way[0], y=way[1], z=z, head_bend=actor.between(-0.6, 0.3), **hand, **turns, **twist)
        side = other
    actor.finished = True


def hang(actor: Actor) -> None:
    """Jump to a bar, hang, swing, pull up, let go."""
    body = actor.body
    place_feet(actor, 0.12, 0.0)
    bar = body.standing + body.torso + body.arm * 0.97 + actor.between(0.05, 0.35)
    ahead = actor.between(0.0, 0.08)
    width = actor.between(0.16, 0.4)
    arms: dict[str, float] = {}
    for side, sign in SIGNS.items():
        arms |= actor.arm_channels(side, actor.reaching(side, (0.12, 0.35, 1.0), 1.3))
        place = actor.beside(ahead, sign * width)
        actor.key(actor.time, **{f"{side}_hold_x": place[0], f"{side}_hold_y": place[1], f"{side}_hold_z": bar})
    actor.move(0.6, z=0.75 * body.standing, **actor.trunk(0.4, pelvis=0.6), **arms)
    hanging = bar - body.arm * 0.97 - body.torso - 0.03
    free = {f"{side}_{name}": value for side in SIDES for name, value in (("free", 1.0), ("hold", 1.0), ("shrug", 0.5))}
    actor.move(0.45, z=hanging, **free, **actor.trunk(0.0), left_knee=0.3, right_knee=0.3)
    for _ in range(int(actor.generator.integers(2, 7))):
        swing = actor.between(-0.45, 0.6)
        pull = actor.between(0.2, 0.9) * body.arm if actor.chance(0.3) else 0.0
        tuck = actor.between(0.5, 1.6) if actor.chance(0.35) else 0.0
        legs: dict[str, float] = {}
        for side in SIDES:
            legs |= actor.leg(
                side,
                tuck - 0.6 * swing + actor.between(-0.2, 0.3),
                actor.between(-0.05, 0.3),
                0.1,
                actor.between(0.1, 0.6) + tuck,
            )
        radius = body.arm + body.torso - pull
        x, y = actor.beside(ahead - math.sin(swing) * radius, 0.0)
        z = bar - math.cos(swing) * radius * 0.97
        actor.move(actor.between(0.55, 0.9), x=x, y=y, z=z, pitch=0.9 * swing, roll=actor.between(-0.1, 0.1), **legs)
    actor.move(
        0.7,
        x=actor.x,
        y=actor.y,
        z=hanging,
        pitch=0.0,
        roll=0.0,
        left_leg_forward=0.1,
        right_leg_forward=0.1,
        left_knee=0.3,
        right_knee=0.3,
    )
    for side in SIDES:  # arms that let go are still up
        actor.keep_arm(side, actor.time + 0.5)
    drop = {f"{side}_{name}": 0.0 for side in SIDES for name in ("free", "hold", "shrug")}
    land_feet(actor, actor.time - 0.3, 0.2, 0.1)
    actor.move(0.45, z=0.78 * body.standing, **drop, **actor.trunk(0.5, pelvis=0.5))
    stand_up(actor)


def stairs(actor: Actor) -> None:
    """Walk up stairs, over boxes, or onto a bench."""
    body = actor.body
    rise = actor.between(0.12, 0.4)
    run = actor.between(0.15, 0.4) * (0.3 / rise) ** 0.3
    pace = actor.between(0.5, 0.9)
    start, side, ground = actor.time, actor.pick(*SIDES), 0.0
    lean = actor.between(0.0, 0.5)
    actor.keep(start, ("x", "y", "z"))
    for _ in range(int(actor.generator.integers(5, 10))):
        sign = SIGNS[side]
        ground += rise
        ahead = actor.beside(run * 1.3, sign * actor.between(0.06, 0.14))
        actor.step(side, actor.time + 0.05, 0.75 * pace, ahead, actor.heading, actor.between(0.06, 0.18), z=ground)
        actor.x, actor.y = actor.beside(run, 0.0)
        sway = actor.beside(0.05, sign * 0.03)
        trunk = actor.trunk(lean * actor.between(0.7, 1.3), 0.0, sign * actor.between(-0.1, 0.2))
        actor.keep(actor.time + 0.4 * pace, ("z",))
        actor.time += pace
        actor.key(actor.time, x=sway[0], y=sway[1], z=ground + body.standing * 0.97 - 0.3 * rise, **trunk)
        side = OTHER[side]
    busy_arms(actor, start, actor.time)
    actor.finished = True


def cartwheel(actor: Actor) -> None:
    """Turn over sideways on the hands."""
    body = actor.body
    way = actor.pick(1.0, -1.0)
    arms: dict[str, float] = {}
    for side in SIDES:
        arms |= actor.arm_channels(side, actor.reaching(side, (0.1, actor.between(0.5, 0.8), 0.95), 1.3))
    actor.move(actor.between(0.4, 0.8), **arms, **actor.trunk(0.0))
    seconds = actor.between(1.1, 1.7)
    spread, knee = actor.between(0.5, 0.95), actor.between(0.05, 0.5)
    start = actor.time
    legs = both_legs(actor, knee * 0.5, spread, 0.2, knee)
    actor.keep(start, ("roll", "x", "y", "z", *legs))
    actor.key(start + 0.3 * seconds, **legs)
    actor.key(start + 0.7 * seconds, **legs)
    over = body.torso + body.arm + 0.02
    end = actor.beside(0.0, -way * actor.between(1.3, 1.9))
    half = ((actor.x + end[0]) / 2, (actor.y + end[1]) / 2)
    actor.key(start + 0.25 * seconds, z=0.85 * body.standing)
    actor.key(start + 0.5 * seconds, x=half[0], y=half[1], z=over, roll=way * math.pi)
    actor.key(start + 0.75 * seconds, z=0.85 * body.standing)
    actor.x, actor.y = end
    actor.time = start + seconds
    actor.key(actor.time, x=end[0], y=end[1], z=0.97 * body.standing, roll=way * 2 * math.pi)
    for side, sign in SIGNS.items():
        actor.step(side, start + 0.35 * seconds, 0.3 * seconds, actor.beside(0.0, sign * 0.35), actor.heading, 0.0)
    actor.key(actor.time, left_free=0.0, right_free=0.0)
    actor.unwind("roll", way * 2 * math.pi)
    back_to_stand(actor)
