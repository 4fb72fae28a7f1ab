"""Programs that go down: sit, kneel, crouch, lie, crawl; and up: climb, hang, stairs (numpy)."""

__all__ = ["cartwheel", "climb", "crawl", "crouch", "hang", "kneel", "lie_down", "sit", "sit_on_floor", "stairs"]

import math

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, carry_arms, gesture
from vipe.simulate.motion.body import SIDES

_BOTH = tuple(zip(SIDES, (1, -1), strict=True))


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
    up = SIDES[1 - SIDES.index(down)]
    knee = actor.between(1.5, 1.8)
    low = body.thigh + 0.08
    # The foot goes back, the knee comes down where it was.
    behind = actor.beside(-0.85 * body.shank, (1 if down == "left" else -1) * body.hip * 1.3)
    actor.step(down, actor.time, 0.6, behind, actor.heading, 0.06)
    ahead = actor.beside(actor.between(0.35, 0.6) * body.thigh, (1 if up == "left" else -1) * body.hip * 1.5)
    actor.step(up, actor.time, 0.5, ahead, actor.heading, 0.08)
    tilt = actor.between(-0.1, 0.4)
    actor.move(actor.between(0.8, 1.2), z=low + 0.05, **actor.trunk(tilt, pelvis=0.3))
    pitch = actor.value("pitch")
    actor.move(0.35, rest=1.0, **actor.leg(down, pitch, 0.05, 0.0, knee))
    if not one:
        actor.move(0.7, **actor.leg(up, pitch, 0.1, 0.0, knee))
        for _ in range(int(actor.generator.integers(1, 4))):
            heels = actor.between(0.0, 1.0)
            trunk = actor.trunk(actor.between(-0.2, 1.4 * heels + 0.3), actor.between(-0.2, 0.2), actor.between(-0.4, 0.4))
            bend = knee + heels * (2.5 - knee)
            legs = {}
            for side in SIDES:
                legs |= actor.leg(side, trunk["pitch"] + 1.25 * heels, actor.between(0.0, 0.3), 0.0, bend)
            actor.move(actor.between(0.6, 1.2), **legs, **trunk)
            actor.wait(0.1, 0.8)
        actor.move(0.7, **actor.leg("left", 0.1, 0.1, 0.0, knee), **actor.leg("right", 0.1, 0.1, 0.0, knee), pitch=0.1)
        actor.move(0.6, **{f"{up}_free": 0.0})
    else:
        for _ in range(int(actor.generator.integers(1, 4))):
            trunk = actor.trunk(actor.between(-0.2, 0.9), actor.between(-0.2, 0.2), actor.between(-0.6, 0.6), pelvis=0.3)
            thigh = actor.leg(down, trunk["pitch"] - actor.between(-0.2, 0.4), 0.05, 0.0, knee + actor.between(-0.2, 0.3))
            actor.move(actor.between(0.5, 1.0), **trunk, **thigh)
            actor.wait(0.1, 0.8)
    _busy_arms(actor, start, actor.time)
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
            actor.between(0.6, 1.2), x=way[0], y=way[1], z=depth * actor.body.standing, **legs, **trunk,
            yaw=actor.heading + actor.between(-0.3, 0.3), head_twist=actor.between(-0.7, 0.7),
        )
        actor.wait(0.1, 0.7)
    _busy_arms(actor, start, actor.time)
    legs = {f"{side}_{name}": 0.0 for side in SIDES for name in ("tiptoe", "leg_twist")}
    actor.move(actor.between(0.5, 1.0), **legs, **actor.stand_channels(actor.between(0.98, 1.06)))


def lie_down(actor: Actor) -> None:
    """Lie down, turn from back to side to front, perhaps get up again."""
    go_to_floor(actor)
    lying = -math.pi / 2
    actor.move(0.8, **_both_legs(actor, 1.2, 0.1, 0.2, 0.5), rest=1.0, pitch=-0.4)
    flat = dict.fromkeys(("lumbar_bend", "chest_bend", "lumbar_twist", "chest_twist", "roll", "gaze", "head_bend"), 0.0)
    actor.move(actor.between(0.9, 1.4), pitch=lying, **flat, **_lying_legs(actor))
    spin = 0.0
    for _ in range(int(actor.generator.integers(1, 5))):
        start = actor.time
        spin = actor.pick(0.0, spin, 1.2, -1.2, math.pi, -math.pi) if abs(spin) < 2 else actor.pick(spin, spin / 2)
        bend = actor.between(-0.2, 0.5) if abs(spin) < 2 else actor.between(-0.5, 0.1)
        trunk = {"lumbar_bend": 0.5 * bend, "chest_bend": 0.5 * bend, "lumbar_twist": actor.between(-0.2, 0.2)}
        sit_up = actor.between(0.0, 0.5) if spin == 0.0 and actor.chance(0.3) else 0.0
        legs = _lying_legs(actor) if abs(spin) < 2 else _both_legs(actor, actor.between(-0.1, 0.3), 0.15, 0.1, 0.2)
        actor.move(actor.between(0.9, 1.7), spin=spin, pitch=lying + sit_up, **trunk, **legs)
        for side in SIDES:
            if abs(spin) < 2:
                arm = actor.pick(any_arm(actor, side), actor.reaching(side, (0.15, actor.between(0.3, 1.1), actor.between(-1, 1)), 1.5))
            else:
                arm = actor.reaching(side, (0.25, actor.between(0.2, 0.9), actor.between(-0.3, 0.9)), 1.5)
            actor.keep(start, actor.arm_channels(side, arm))
            actor.arm(actor.time, side, arm)
        actor.wait(0.1, 0.8)
    if actor.chance(0.5) or abs(spin) > 2:
        actor.finished = True
        return
    actor.move(0.7, spin=0.0)
    actor.move(1.0, pitch=-0.3, **_both_legs(actor, 1.3, 0.1, 0.1, 1.2))
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
    lowest = {}
    for side, sign in _BOTH:
        place = actor.beside(reach, sign * actor.between(0.14, 0.22))
        lowest |= {f"{side}_hold": 1.0, f"{side}_hold_x": place[0], f"{side}_hold_y": place[1], f"{side}_hold_z": 0.05}
        lowest |= actor.arm_channels(side, actor.reaching(side, (0.9, 0.35, 0.1), 0.6))
        actor.key(actor.time, **{k: v for k, v in lowest.items() if k.startswith(f"{side}_hold_")})
    actor.move(0.9, rest=1.0, **trunk, **_both_legs(actor, pitch, 0.05, 0.0, 1.5), **lowest)
    width = {side: actor.between(0.14, 0.24) for side in SIDES}
    for number in range(int(actor.generator.integers(2, 8))):
        lead = SIDES[number % 2]
        sign = 1 if lead == "left" else -1
        actor.heading += actor.between(-0.15, 0.15)
        actor.x, actor.y = actor.beside(stride, 0.0)
        place = actor.beside(reach + 0.5 * stride, sign * width[lead])
        raised = {f"{lead}_hold_x": place[0], f"{lead}_hold_y": place[1]}
        other = SIDES[1 - SIDES.index(lead)]
        angle = 0.5 * stride / body.thigh
        legs = actor.leg(other, pitch + angle, 0.05, 0.0, 1.5 + angle) | actor.leg(lead, pitch - angle, 0.05, 0.0, 1.5 - angle)
        actor.keep(actor.time, [f"{lead}_hold_z"])
        actor.key(actor.time + 0.5 * cycle, **{f"{lead}_hold_z": 0.05 + actor.between(0.03, 0.12)})
        actor.move(cycle, x=actor.x, y=actor.y, yaw=actor.heading + sign * -0.05, **raised, **legs, **{f"{lead}_hold_z": 0.05})
        actor.key(actor.time, head_twist=actor.between(-0.5, 0.5), chest_twist=sign * -0.08)
    if actor.chance(0.4):
        actor.finished = True
        return
    free_hands = {f"{side}_hold": 0.0 for side in SIDES}
    actor.move(0.9, **free_hands, **_both_legs(actor, 0.2, 0.1, 0.0, 1.6), **actor.trunk(0.3, pelvis=0.5))
    rise_from_knees(actor)


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
    holds = {}
    for side, sign in _BOTH:
        place = actor.beside(wall, sign * (width + actor.between(0.0, 0.15)))
        at = {f"{side}_hold_x": place[0], f"{side}_hold_y": place[1], f"{side}_hold_z": top[side]}
        actor.key(start, **at)
        holds |= {f"{side}_hold": 1.0, **actor.arm_channels(side, actor.reaching(side, (0.6, 0.4, 0.3), 0.7))}
    actor.move(0.8, **holds, **actor.trunk(actor.between(-0.1, 0.25), pelvis=0.5))
    height = 0.0
    feet = dict.fromkeys(SIDES, 0.0)
    side = actor.pick(*SIDES)
    for _ in range(int(actor.generator.integers(3, 9))):
        sign = 1 if side == "left" else -1
        other = SIDES[1 - SIDES.index(side)]
        feet[side] = max(feet[side], feet[other]) + rung
        height = 0.5 * (feet[side] + feet[other])
        place = actor.beside(wall * actor.between(0.5, 0.7), sign * width * actor.between(0.6, 1.1))
        actor.step(side, actor.time, pace * 0.8, place, actor.heading + sign * actor.between(0.0, 0.6), 0.08, z=feet[side])
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
    arms = {}
    for side, sign in _BOTH:
        arms |= actor.arm_channels(side, actor.reaching(side, (0.12, 0.35, 1.0), 1.3))
        place = actor.beside(ahead, sign * width)
        actor.key(actor.time, **{f"{side}_hold_x": place[0], f"{side}_hold_y": place[1], f"{side}_hold_z": bar})
    actor.move(0.6, z=0.75 * body.standing, **actor.trunk(0.4, pelvis=0.6))
    hanging = bar - body.arm * 0.97 - body.torso - 0.03
    free = {f"{side}_{name}": value for side in SIDES for name, value in (("free", 1.0), ("hold", 1.0), ("shrug", 0.5))}
    actor.move(0.45, z=hanging, **free, **arms, **actor.trunk(0.0), left_knee=0.3, right_knee=0.3)
    for _ in range(int(actor.generator.integers(2, 7))):
        swing = actor.between(-0.45, 0.6)
        pull = actor.between(0.2, 0.9) * body.arm if actor.chance(0.3) else 0.0
        tuck = actor.between(0.5, 1.6) if actor.chance(0.35) else 0.0
        legs = {}
        for side in SIDES:
            legs |= actor.leg(side, tuck - 0.6 * swing + actor.between(-0.2, 0.3), actor.between(-0.05, 0.3), 0.1, actor.between(0.1, 0.6) + tuck)
        radius = body.arm + body.torso - pull
        x, y = actor.beside(ahead - math.sin(swing) * radius, 0.0)
        z = bar - math.cos(swing) * radius * 0.97
        actor.move(actor.between(0.55, 0.9), x=x, y=y, z=z, pitch=0.9 * swing, roll=actor.between(-0.1, 0.1), **legs)
    actor.move(0.7, x=actor.x, y=actor.y, z=hanging, pitch=0.0, roll=0.0, left_leg_forward=0.1, right_leg_forward=0.1, left_knee=0.3, right_knee=0.3)
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
    for _ in range(int(actor.generator.integers(3, 8))):
        sign = 1 if side == "left" else -1
        ground += rise
        ahead = actor.beside(run * 1.3, sign * actor.between(0.06, 0.14))
        actor.step(side, actor.time + 0.05, 0.75 * pace, ahead, actor.heading, actor.between(0.06, 0.18), z=ground)
        actor.x, actor.y = actor.beside(run, 0.0)
        sway = actor.beside(0.05, sign * 0.03)
        trunk = actor.trunk(lean * actor.between(0.7, 1.3), 0.0, sign * actor.between(-0.1, 0.2))
        actor.keep(actor.time + 0.4 * pace, ("z",))
        actor.time += pace
        actor.key(actor.time, x=sway[0], y=sway[1], z=ground + body.standing * 0.97 - 0.3 * rise, **trunk)
        side = SIDES[1 - SIDES.index(side)]
    _busy_arms(actor, start, actor.time)
    actor.finished = True


def cartwheel(actor: Actor) -> None:
    """Turn over sideways on the hands."""
    body = actor.body
    way = actor.pick(1.0, -1.0)
    arms = {}
    for side in SIDES:
        arms |= actor.arm_channels(side, actor.reaching(side, (0.1, actor.between(0.5, 0.8), 0.95), 1.3))
    actor.move(actor.between(0.4, 0.8), **arms, **actor.trunk(0.0))
    seconds = actor.between(1.1, 1.7)
    spread, knee = actor.between(0.5, 0.95), actor.between(0.05, 0.5)
    start = actor.time
    legs = _both_legs(actor, knee * 0.5, spread, 0.2, knee)
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
    for side, sign in _BOTH:
        actor.step(side, start + 0.35 * seconds, 0.3 * seconds, actor.beside(0.0, sign * 0.35), actor.heading, 0.0)
    actor.key(start + seconds, left_free=0.0, right_free=0.0)
    actor.finished = True


def place_feet(actor: Actor, width: float, split: float) -> None:
    """Step to a stand of a given half width and front-to-back split, in metres of an average person."""
    scale = actor.body.height / 1.72
    front = actor.pick(1, -1)
    for side, sign in _BOTH:
        place = actor.beside(front * sign * split * scale / 2, sign * width * scale)
        yaw = actor.heading + sign * actor.between(-0.05, 0.6)
        actor.step(side, actor.time, actor.between(0.3, 0.45), place, yaw, actor.between(0.04, 0.1))
        actor.time = actor.steps[side][-1].end
    actor.key(actor.time, x=actor.x, y=actor.y)


def land_feet(actor: Actor, start: float, seconds: float, forward: float) -> None:
    """Bring the footholds (not seen while the legs are free) under the body, or a little ahead of it."""
    for side, sign in _BOTH:
        place = actor.beside(forward, sign * actor.between(0.08, 0.2))
        actor.step(side, start, seconds, place, actor.heading + sign * actor.between(0.0, 0.4), 0.05)
        start += 0.15


def stand_up(actor: Actor) -> None:
    """Rise over the feet."""
    latest = max(actor.steps[side][-1].end for side in SIDES)
    actor.time = max(actor.time, latest - 0.3)
    actor.move(actor.between(0.7, 1.2), **actor.stand_channels(actor.between(0.98, 1.06)), gaze=actor.between(0, 0.8))
    for side in SIDES:
        if actor.chance(0.6):
            actor.arm(actor.time, side, actor.hanging(side))
    actor.time = max(actor.time, latest)


def go_to_floor(actor: Actor) -> None:
    """Sit down on the floor behind the feet."""
    body = actor.body
    start = actor.time
    place_feet(actor, actor.between(0.1, 0.25), actor.between(-0.1, 0.1))
    actor.move(actor.between(0.6, 1.0), z=0.5 * body.standing, **actor.trunk(actor.between(0.5, 1.0), pelvis=0.6))
    back = actor.beside(-actor.between(0.62, 0.78) * body.leg, 0.0)
    # The legs' own angles are made ready for when they let go of the ground.
    knees_up = _both_legs(actor, 1.9, 0.1, 0.1, 1.7) | {"left_free": 0.0, "right_free": 0.0}
    upright = actor.trunk(actor.between(0.0, 0.4), pelvis=0.0)
    actor.move(actor.between(0.5, 0.9), x=back[0], y=back[1], z=0.12, **upright, **knees_up)
    actor.x, actor.y = back
    actor.move(0.2, rest=1.0)
    for side in SIDES:
        point = (actor.between(-0.6, 0.5), actor.between(0.4, 0.8), actor.between(-1.0, -0.6))
        arm = actor.reaching(side, point, 0.8)
        actor.keep(start, actor.arm_channels(side, arm))
        actor.arm(actor.time - 0.3, side, arm)


def get_up(actor: Actor) -> None:
    """From sitting on the floor: feet to the body, trunk over them, up."""
    body = actor.body
    ahead = 0.65 * body.leg
    land_feet(actor, actor.time, 0.2, ahead)
    actor.move(0.7, **_both_legs(actor, 1.9, 0.1, 0.1, 1.7), **actor.trunk(actor.between(0.0, 0.3), pelvis=0.0))
    legs = {f"{side}_free": 0.0 for side in SIDES}
    actor.move(0.4, **legs, **actor.trunk(actor.between(0.2, 0.6), pelvis=0.0), gaze=actor.between(0.0, 0.8))
    actor.x, actor.y = actor.beside(ahead, 0.0)
    near = actor.beside(-0.4 * body.leg, 0.0)
    deep = actor.trunk(actor.between(0.8, 1.2), pelvis=0.2)
    actor.move(0.7, x=near[0], y=near[1], z=0.42 * body.standing, rest=0.0, **deep)
    stand_up(actor)


def go_to_knees(actor: Actor) -> None:
    """Down on both knees, upright."""
    body = actor.body
    for side, sign in _BOTH:
        behind = actor.beside(-0.8 * body.shank, sign * body.hip * 1.3)
        actor.step(side, actor.time + (0.4 if sign < 0 else 0.0), 0.5, behind, actor.heading, 0.05)
    actor.move(1.0, z=body.thigh + 0.1, **actor.trunk(actor.between(0.2, 0.6), pelvis=0.3))
    actor.move(0.4, rest=1.0, **_both_legs(actor, actor.value("pitch"), 0.05, 0.0, 1.6))


def rise_from_knees(actor: Actor) -> None:
    """From both knees: a foot forward, then up."""
    body = actor.body
    land_feet(actor, actor.time, 0.2, 0.1 * body.leg)
    up = actor.pick(*SIDES)
    down = SIDES[1 - SIDES.index(up)]
    actor.move(0.7, **{f"{up}_free": 0.0}, **actor.trunk(0.4, pelvis=0.4))
    actor.move(0.5, rest=0.0, z=body.thigh + 0.2, **{f"{down}_free": 0.0})
    stand_up(actor)


def hands_on_knees(actor: Actor, start: float, end: float) -> None:
    """Hands come to rest on or about the knees of someone who sits."""
    for side in SIDES:
        point = (actor.between(0.45, 0.95), actor.between(0.1, 0.45), actor.between(-1.0, -0.7))
        arm = actor.reaching(side, point, actor.between(0.3, 1.3))
        actor.keep(start, actor.arm_channels(side, arm))
        actor.arm(end, side, arm)


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
            legs = actor.leg(side, thigh, -0.15 if crossing else actor.between(0.0, 0.4), 0.1 if crossing else actor.between(0.0, 0.9), actor.between(0.2, 1.9))
            actor.keep(start, legs)
            actor.key(actor.time, **legs)
        elif actor.chance(0.3):
            sign = 1 if side == "left" else -1
            place = actor.beside(actor.between(-0.25, 0.45) * actor.body.leg * 0.7, sign * actor.between(0.05, 0.35))
            actor.key(actor.time, **{f"{side}_free": 0.0})
            actor.step(side, start, 0.5, place, actor.heading + sign * actor.between(0, 0.5), 0.05)
    if actor.chance(0.6):
        gesture(actor, start, actor.time + 0.5)
    elif actor.chance(0.5):
        hands_on_knees(actor, start, actor.time)
    actor.wait(0.1, 0.8)
    for side in SIDES:
        if actor.value(f"{side}_free") > 0:
            actor.keep(actor.time, (f"{side}_free",))
            actor.key(actor.time + 0.5, **{f"{side}_free": 0.0})


def _busy_arms(actor: Actor, start: float, end: float) -> None:
    if actor.chance(0.5):
        gesture(actor, start, end)
    else:
        carry_arms(actor, start, min(end - start, actor.between(0.5, 1.2)))


def _both_legs(actor: Actor, thigh: float, out: float, twist: float, knee: float) -> dict[str, float]:
    return actor.leg("left", thigh, out, twist, knee) | actor.leg("right", thigh, out, twist, knee)


def _floor_legs(actor: Actor) -> dict[str, float]:
    kind = actor.pick("crossed", "straight", "knees up", "one and one", "side")
    legs = {}
    way = actor.pick(1, -1)
    for side, sign in _BOTH:
        if kind == "crossed":
            pose = (actor.between(1.0, 1.4), actor.between(0.3, 0.6), actor.between(0.7, 1.0), actor.between(2.0, 2.4))
        elif kind == "straight":
            pose = (actor.between(1.3, 1.6), actor.between(-0.05, 0.5), actor.between(0.0, 0.3), actor.between(0.1, 0.4))
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
    legs = {}
    for side in SIDES:
        thigh, out, twist = first if alike else (actor.between(-0.05, 1.6), actor.between(0.0, 0.5), actor.between(-0.2, 0.6))
        legs |= actor.leg(side, thigh, out, twist, thigh * actor.between(0.9, 1.8) + 0.1)
    return legs
