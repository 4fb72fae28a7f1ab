"""Programs that go down: sit, kneel, crouch, lie, crawl (numpy)."""

__all__ = ["crawl", "crouch", "hands_on_knees", "kneel", "lie_down", "sit", "sit_on_floor"]

import math

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, busy_arms, gesture
from vipe.simulate.motion.body import OTHER, SIDES, SIGNS
from vipe.simulate.motion.stance import (
    both_legs,
    get_up,
    go_to_floor,
    go_to_knees,
    land_feet,
    place_feet,
    rise_from_knees,
    stand_up,
)


def sit(actor: Actor) -> None:
    """Sit down on something between a footstool and a bar stool, sit a while, stand up."""
    body = actor.body
    seat = actor.between(0.28, 0.62) * body.standing + 0.08
    place_feet(actor, actor.between(0.08, 0.22), actor.between(-0.05, 0.05))
    start = actor.time
    back = -actor.between(0.25, 0.5) * body.leg
    x, y = actor.beside(back, 0.0)
    deep = actor.between(0.4, 1.1)
    bent = actor.trunk(deep, 0.0, actor.between(-0.2, 0.2), pelvis=0.6)
    mid = actor.beside(0.7 * back, 0.0)
    actor.move(actor.between(0.5, 0.9), x=mid[0], y=mid[1], z=0.5 * (seat + body.standing), **bent)
    upright = actor.trunk(actor.between(-0.4, 0.5), actor.between(-0.15, 0.15), actor.between(-0.3, 0.3), pelvis=0.4)
    actor.move(actor.between(0.4, 0.8), x=x, y=y, z=seat, **upright)
    if actor.chance(0.7):
        hands_on_knees(actor, start, actor.time)
    else:
        gesture(actor, start, actor.time)
    for _ in range(int(actor.generator.integers(1, 4))):
        _seated(actor, seat)
    actor.move(actor.between(0.4, 0.8), **actor.trunk(actor.between(0.3, 1.0), pelvis=0.6))
    land_feet(actor, actor.time, 0.35, 0.0)
    stand_up(actor)


def sit_on_floor(actor: Actor) -> None:
    """Sit down on the floor: cross-legged, legs stretched, knees up, or to one side; get up again."""
    go_to_floor(actor)
    for _ in range(int(actor.generator.integers(1, 4))):
        start = actor.time
        legs = _floor_legs(actor)
        trunk = actor.trunk(actor.between(-0.5, 0.7), actor.between(-0.3, 0.3), actor.between(-0.5, 0.5))
        actor.move(actor.between(0.7, 1.3), rest=1.0, **legs, **trunk)
        if actor.chance(0.4):
            for side in SIDES:
                point = (actor.between(-0.7, -0.3), actor.between(0.4, 0.7), -1.1)  # leaning on the hands
                actor.arm(actor.time, side, actor.reaching(side, point, 0.8))
        else:
            gesture(actor, start, actor.time + 0.8)
        actor.wait(0.3, 1.2)
    get_up(actor)


def kneel(actor: Actor) -> None:
    """Kneel on one knee or both, upright or sitting on the heels, then stand up."""
    body, start = actor.body, actor.time
    one = actor.chance(0.5)
    down = actor.pick(*SIDES)
    up = OTHER[down]
    knee = actor.between(1.5, 1.8)
    low = body.thigh + 0.08
    # The foot goes back, the knee comes down where it was.
    behind = actor.beside(-0.85 * body.shank, SIGNS[down] * body.hip * 1.3)
    actor.step(down, actor.time, 0.6, behind, actor.heading, 0.06)
    ahead = actor.beside(actor.between(0.35, 0.6) * body.thigh, SIGNS[up] * body.hip * 1.5)
    actor.step(up, actor.time, 0.5, ahead, actor.heading, 0.08)
    tilt = actor.between(-0.1, 0.4)
    actor.move(actor.between(0.8, 1.2), z=low + 0.05, **actor.trunk(tilt, pelvis=0.3))
    pitch = actor.value("pitch")
    actor.move(0.35, rest=1.0, **actor.leg(down, pitch, 0.05, 0.0, knee))
    if not one:
        actor.move(0.7, **actor.leg(up, pitch, 0.1, 0.0, knee))
        for _ in range(int(actor.generator.integers(1, 4))):
            heels = actor.between(0.0, 1.0)
            trunk = actor.trunk(
                actor.between(-0.2, 1.4 * heels + 0.3), actor.between(-0.2, 0.2), actor.between(-0.4, 0.4)
            )
            bend = knee + heels * (2.5 - knee)
            legs: dict[str, float] = {}
            for side in SIDES:
                legs |= actor.leg(side, trunk["pitch"] + 1.25 * heels, actor.between(0.0, 0.3), 0.0, bend)
            actor.move(actor.between(0.6, 1.2), **legs, **trunk)
            actor.wait(0.1, 0.8)
        actor.move(0.7, **actor.leg("left", 0.1, 0.1, 0.0, knee), **actor.leg("right", 0.1, 0.1, 0.0, knee), pitch=0.1)
        actor.move(0.6, **{f"{up}_free": 0.0})
    else:
        for _ in range(int(actor.generator.integers(1, 4))):
            trunk = actor.trunk(
                actor.between(-0.2, 0.9), actor.between(-0.2, 0.2), actor.between(-0.6, 0.6), pelvis=0.3
            )
            thigh = actor.leg(
                down, trunk["pitch"] - actor.between(-0.2, 0.4), 0.05, 0.0, knee + actor.between(-0.2, 0.3)
            )
            actor.move(actor.between(0.5, 1.0), **trunk, **thigh)
            actor.wait(0.1, 0.8)
    busy_arms(actor, start, actor.time)
    actor.move(0.4, rest=0.0, z=low + 0.05, **{f"{down}_free": 0.0}, **actor.trunk(actor.between(0.2, 0.6), pelvis=0.4))
    land_feet(actor, actor.time + 0.2, 0.5, 0.0)
    stand_up(actor)


def crouch(actor: Actor) -> None:
    """Crouch, squat or lunge, deep or not, look about and come up again."""
    place_feet(actor, actor.between(0.08, 0.4), actor.between(-0.5, 0.5))
    start = actor.time
    for _ in range(int(actor.generator.integers(1, 4))):
        depth = actor.between(0.35, 0.85)
        bend = actor.between(-0.1, 1.5) * (1.3 - depth)
        heel = actor.between(0.0, 0.09) if depth < 0.6 else 0.0
        opened = actor.between(-0.1, 0.6)
        legs = {f"{side}_{name}": value for side in SIDES for name, value in (("tiptoe", heel), ("leg_twist", opened))}
        way = actor.beside(actor.between(-0.08, 0.08), actor.between(-0.08, 0.08))
        trunk = actor.trunk(bend, actor.between(-0.25, 0.25), actor.between(-0.6, 0.6))
        actor.move(
            actor.between(0.6, 1.2),
            x=way[0],
            y=way[1],
            z=depth * actor.body.standing,
            **legs,
            **trunk,
            yaw=actor.heading + actor.between(-0.3, 0.3),
            head_twist=actor.between(-0.7, 0.7),
        )
        actor.wait(0.1, 0.7)
    busy_arms(actor, start, actor.time)
    legs = {f"{side}_{name}": 0.0 for side in SIDES for name in ("tiptoe", "leg_twist")}
    actor.move(actor.between(0.5, 1.0), **legs, **actor.stand_channels(actor.between(0.98, 1.06)))


def lie_down(actor: Actor) -> None:
    """Lie down, turn from back to side to front, perhaps get up again."""
    go_to_floor(actor)
    lying = -math.pi / 2
    actor.move(0.8, **both_legs(actor, 1.2, 0.1, 0.2, 0.5), rest=1.0, pitch=-0.4)
    flat = dict.fromkeys(("lumbar_bend", "chest_bend", "lumbar_twist", "chest_twist", "roll", "gaze", "head_bend"), 0.0)
    actor.move(actor.between(0.9, 1.4), pitch=lying, **flat, **_lying_legs(actor))
    spin = 0.0
    for _ in range(int(actor.generator.integers(1, 5))):
        start = actor.time
        spin = actor.pick(0.0, spin, 1.2, -1.2, math.pi, -math.pi) if abs(spin) < 2 else actor.pick(spin, spin / 2)
        bend = actor.between(-0.2, 0.5) if abs(spin) < 2 else actor.between(-0.5, 0.1)
        trunk = {"lumbar_bend": 0.5 * bend, "chest_bend": 0.5 * bend, "lumbar_twist": actor.between(-0.2, 0.2)}
        sit_up = actor.between(0.0, 0.5) if spin == 0.0 and actor.chance(0.3) else 0.0
        legs = _lying_legs(actor) if abs(spin) < 2 else both_legs(actor, actor.between(-0.1, 0.3), 0.15, 0.1, 0.2)
        actor.move(actor.between(0.9, 1.7), spin=spin, pitch=lying + sit_up, **trunk, **legs)
        for side in SIDES:
            if abs(spin) < 2:
                arm = actor.pick(
                    any_arm(actor, side),
                    actor.reaching(side, (0.15, actor.between(0.3, 1.1), actor.between(-1.0, 1.0)), 1.5),
                )
            else:
                arm = actor.reaching(side, (0.25, actor.between(0.2, 0.9), actor.between(-0.3, 0.9)), 1.5)
            actor.bring(side, arm, start, actor.time)
        actor.wait(0.1, 0.8)
    if actor.chance(0.5) or abs(spin) > 2:
        actor.finished = True
        return
    actor.move(0.7, spin=0.0)
    actor.move(1.0, pitch=-0.3, **both_legs(actor, 1.3, 0.1, 0.1, 1.2))
    get_up(actor)


def crawl(actor: Actor) -> None:
    """Go on hands and knees."""
    body = actor.body
    go_to_knees(actor)
    pitch = actor.between(1.0, 1.35)
    stride = actor.between(0.1, 0.35) * body.leg
    cycle = actor.between(0.4, 0.8)
    trunk = {"pitch": pitch, "lumbar_bend": actor.between(-0.1, 0.3), "chest_bend": actor.between(-0.2, 0.3)}
    reach = body.torso * 0.98
    lowest: dict[str, float] = {}
    for side, sign in SIGNS.items():
        place = actor.beside(reach, sign * actor.between(0.14, 0.22))
        lowest |= {f"{side}_hold": 1.0, f"{side}_hold_x": place[0], f"{side}_hold_y": place[1], f"{side}_hold_z": 0.05}
        lowest |= actor.arm_channels(side, actor.reaching(side, (0.9, 0.35, 0.1), 0.6))
        actor.key(actor.time, **{k: v for k, v in lowest.items() if k.startswith(f"{side}_hold_")})
    actor.move(0.9, rest=1.0, **trunk, **both_legs(actor, pitch, 0.05, 0.0, 1.5), **lowest)
    width = {side: actor.between(0.14, 0.24) for side in SIDES}
    for number in range(int(actor.generator.integers(2, 8))):
        lead = SIDES[number % 2]
        sign = SIGNS[lead]
        actor.heading += actor.between(-0.15, 0.15)
        actor.x, actor.y = actor.beside(stride, 0.0)
        place = actor.beside(reach + 0.5 * stride, sign * width[lead])
        raised = {f"{lead}_hold_x": place[0], f"{lead}_hold_y": place[1]}
        other = OTHER[lead]
        angle = 0.5 * stride / body.thigh
        legs = actor.leg(other, pitch + angle, 0.05, 0.0, 1.5 + angle) | actor.leg(
            lead, pitch - angle, 0.05, 0.0, 1.5 - angle
        )
        actor.keep(actor.time, [f"{lead}_hold_z"])
        actor.key(actor.time + 0.5 * cycle, **{f"{lead}_hold_z": 0.05 + actor.between(0.03, 0.12)})
        actor.move(
            cycle, x=actor.x, y=actor.y, yaw=actor.heading + sign * -0.05, **raised, **legs, **{f"{lead}_hold_z": 0.05}
        )
        actor.key(actor.time, head_twist=actor.between(-0.5, 0.5), chest_twist=sign * -0.08)
    if actor.chance(0.4):
        actor.finished = True
        return
    free_hands = {f"{side}_hold": 0.0 for side in SIDES}
    actor.move(0.9, **free_hands, **both_legs(actor, 0.2, 0.1, 0.0, 1.6), **actor.trunk(0.3, pelvis=0.5))
    rise_from_knees(actor)


def hands_on_knees(actor: Actor, start: float, end: float) -> None:
    """Hands come to rest on or about the knees of someone who sits."""
    for side in SIDES:
        point = (actor.between(0.45, 0.95), actor.between(0.1, 0.45), actor.between(-1.0, -0.7))
        arm = actor.reaching(side, point, actor.between(0.3, 1.3))
        actor.bring(side, arm, start, end)


def _seated(actor: Actor, seat: float) -> None:
    """Something done while sitting: lean, turn, gesture, stretch or cross a leg."""
    start = actor.time
    trunk = actor.trunk(actor.between(-0.5, 0.9), actor.between(-0.25, 0.25), actor.between(-0.6, 0.6), pelvis=0.35)
    head = {"head_twist": actor.between(-0.8, 0.8), "head_bend": actor.between(-0.3, 0.4)}
    actor.move(actor.between(0.6, 1.2), z=seat, **trunk, **head)
    for side in SIDES:
        if actor.chance(0.25):
            thigh = actor.between(1.2, 1.7) - actor.between(0.0, 0.2)
            crossing = actor.chance(0.5)
            legs = actor.leg(
                side,
                thigh,
                -0.15 if crossing else actor.between(0.0, 0.4),
                0.1 if crossing else actor.between(0.0, 0.9),
                actor.between(0.2, 1.9),
            )
            actor.keep(start, legs)
            actor.key(actor.time, **legs)
        elif actor.chance(0.3):
            sign = SIGNS[side]
            place = actor.beside(actor.between(-0.25, 0.45) * actor.body.leg * 0.7, sign * actor.between(0.05, 0.35))
            actor.key(actor.time, **{f"{side}_free": 0.0})
            actor.step(side, start, 0.5, place, actor.heading + sign * actor.between(0.0, 0.5), 0.05)
    if actor.chance(0.6):
        gesture(actor, start, actor.time + 0.5)
    elif actor.chance(0.5):
        hands_on_knees(actor, start, actor.time)
    actor.wait(0.1, 0.8)
    for side in SIDES:
        if actor.value(f"{side}_free") > 0:
            actor.keep(actor.time, (f"{side}_free",))
            actor.key(actor.time + 0.5, **{f"{side}_free": 0.0})


def _floor_legs(actor: Actor) -> dict[str, float]:
    kind = actor.pick("crossed", "straight", "knees up", "one and one", "side")
    legs: dict[str, float] = {}
    way = actor.pick(1, -1)
    for side, sign in SIGNS.items():
        if kind == "crossed":
            pose = (actor.between(1.0, 1.4), actor.between(0.3, 0.6), actor.between(0.7, 1.0), actor.between(2.0, 2.4))
        elif kind == "straight":
            pose = (
                actor.between(1.3, 1.6),
                actor.between(-0.05, 0.5),
                actor.between(0.0, 0.3),
                actor.between(0.1, 0.4),
            )
        elif kind == "knees up":
            pose = (actor.between(1.8, 2.1), actor.between(0.0, 0.3), actor.between(-0.1, 0.3), actor.between(1.6, 2.3))
        elif kind == "side":
            pose = (actor.between(1.1, 1.5), sign * way * 0.5 + 0.1, sign * way * 0.7, actor.between(1.6, 2.2))
        elif sign == way:
            pose = (actor.between(1.3, 1.6), actor.between(0.0, 0.4), 0.2, actor.between(0.1, 0.5))
        else:
            pose = (actor.between(1.6, 2.1), actor.between(0.0, 0.4), actor.between(0.0, 0.8), actor.between(1.5, 2.3))
        legs |= actor.leg(side, *pose)
    return legs


def _lying_legs(actor: Actor) -> dict[str, float]:
    alike = actor.chance(0.5)
    first = (actor.between(-0.05, 1.4), actor.between(0.0, 0.4), actor.between(0.0, 0.4))
    legs: dict[str, float] = {}
    for side in SIDES:
        thigh, out, twist = (
            first if alike else (actor.between(-0.05, 1.6), actor.between(0.0, 0.5), actor.between(-0.2, 0.6))
        )
        legs |= actor.leg(side, thigh, out, twist, thigh * actor.between(0.9, 1.8) + 0.1)
    return legs
