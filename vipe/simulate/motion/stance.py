"""How programs begin and end: ways to stand, and the ways down to the floor and up again (numpy)."""

__all__ = [
    "back_to_stand",
    "both_legs",
    "fighting_stance",
    "get_up",
    "go_to_floor",
    "go_to_knees",
    "land_feet",
    "place_feet",
    "rise_from_knees",
    "stance",
    "stand_up",
]

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import posture
from vipe.simulate.motion.body import OTHER, SIDES, SIGNS


def place_feet(actor: Actor, width: float, split: float) -> None:
    """Step to a stand of a given half width and front-to-back split, in metres of an average person."""
    scale = actor.body.height / 1.72
    front = actor.pick(1, -1)
    for side, sign in SIGNS.items():
        place = actor.beside(front * sign * split * scale / 2, sign * width * scale)
        yaw = actor.heading + sign * actor.between(-0.05, 0.6)
        actor.step(side, actor.time, actor.between(0.3, 0.45), place, yaw, actor.between(0.04, 0.1))
        actor.time = actor.steps[side][-1].end
    actor.key(actor.time, x=actor.x, y=actor.y)


def stance(actor: Actor) -> None:
    """Stand some way: feet together or apart, one before the other, weight on one leg, more or less upright."""
    if actor.chance(0.75):
        place_feet(actor, actor.between(0.04, 0.28), actor.pick(0.0, actor.between(0.0, 0.25), actor.between(0.2, 0.6)))
    shift = actor.beside(actor.between(-0.04, 0.06), actor.between(-0.09, 0.09))
    bend = actor.between(-0.15, 0.35) if actor.chance(0.75) else actor.between(0.2, 0.9)
    trunk = actor.trunk(bend, actor.between(-0.15, 0.15), actor.between(-0.25, 0.25))
    if actor.chance(0.3):  # the weight on one leg, the other hip dropped, the spine bent to make up for it
        drop = actor.between(-0.32, 0.32)
        trunk |= {"roll": drop, "lumbar_lean": trunk["lumbar_lean"] - drop * actor.between(0.4, 1.2)}
    height = actor.between(0.97, 1.06) if actor.chance(0.8) else actor.between(0.8, 0.95)
    actor.move(
        actor.between(0.35, 0.7),
        x=shift[0],
        y=shift[1],
        z=height * actor.body.standing,
        **trunk,
        yaw=actor.heading + actor.between(-0.35, 0.35),
    )


def fighting_stance(actor: Actor) -> None:
    """Feet apart, knees a little bent, hands up."""
    place_feet(actor, actor.between(0.1, 0.25), actor.between(-0.1, 0.6))
    start = actor.time
    name = actor.pick("guard", "guard", "low guard", "on the chest", "forearm forward", "hanging")
    for side in SIDES:
        arm = posture(actor, side, name)
        actor.bring(side, arm, start, start + 0.4)
    actor.move(0.4, z=actor.between(0.85, 0.99) * actor.body.standing, **actor.trunk(actor.between(-0.05, 0.4)))


def back_to_stand(actor: Actor) -> None:
    """Upright again over both feet, arms mostly down."""
    start = actor.time
    actor.move(actor.between(0.4, 0.8), **actor.stand_channels(actor.between(0.98, 1.06)))
    for side in SIDES:
        if actor.chance(0.8):
            actor.bring(side, actor.hanging(), start, actor.time)
        actor.key(actor.time, **{f"{side}_protract": 0.0})


def stand_up(actor: Actor) -> None:
    """Rise over the feet."""
    latest = max(actor.steps[side][-1].end for side in SIDES)
    actor.time = max(actor.time, latest - 0.3)
    actor.move(actor.between(0.7, 1.2), **actor.stand_channels(actor.between(0.98, 1.06)), gaze=actor.between(0.0, 0.8))
    for side in SIDES:
        if actor.chance(0.6):
            actor.arm(actor.time, side, actor.hanging())
    actor.time = max(actor.time, latest)


def land_feet(actor: Actor, start: float, seconds: float, forward: float) -> None:
    """Bring the footholds (not seen while the legs are free) under the body, or a little ahead of it."""
    for side, sign in SIGNS.items():
        place = actor.beside(forward, sign * actor.between(0.08, 0.2))
        actor.step(side, start, seconds, place, actor.heading + sign * actor.between(0.0, 0.4), 0.05)
        start += 0.15


def go_to_floor(actor: Actor) -> None:
    """Sit down on the floor behind the feet."""
    body = actor.body
    start = actor.time
    place_feet(actor, actor.between(0.1, 0.25), actor.between(-0.1, 0.1))
    actor.move(actor.between(0.6, 1.0), z=0.5 * body.standing, **actor.trunk(actor.between(0.5, 1.0), pelvis=0.6))
    back = actor.beside(-actor.between(0.62, 0.78) * body.leg, 0.0)
    # The legs' own angles are made ready for when they let go of the ground.
    knees_up = both_legs(actor, 1.9, 0.1, 0.1, 1.7) | {"left_free": 0.0, "right_free": 0.0}
    upright = actor.trunk(actor.between(0.0, 0.4), pelvis=0.0)
    actor.move(actor.between(0.5, 0.9), x=back[0], y=back[1], z=0.12, **upright, **knees_up)
    actor.x, actor.y = back
    actor.move(0.2, rest=1.0)
    for side in SIDES:
        point = (actor.between(-0.6, 0.5), actor.between(0.4, 0.8), actor.between(-1.0, -0.6))
        arm = actor.reaching(side, point, 0.8)
        actor.bring(side, arm, start, actor.time - 0.3)


def get_up(actor: Actor) -> None:
    """From sitting on the floor: feet to the body, trunk over them, up."""
    body = actor.body
    ahead = 0.65 * body.leg
    land_feet(actor, actor.time, 0.2, ahead)
    actor.move(0.7, **both_legs(actor, 1.9, 0.1, 0.1, 1.7), **actor.trunk(actor.between(0.0, 0.3), pelvis=0.0))
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
    for side, sign in SIGNS.items():
        behind = actor.beside(-0.8 * body.shank, sign * body.hip * 1.3)
        actor.step(side, actor.time + (0.4 if sign < 0 else 0.0), 0.5, behind, actor.heading, 0.05)
    actor.move(1.0, z=body.thigh + 0.1, **actor.trunk(actor.between(0.2, 0.6), pelvis=0.3))
    actor.move(0.4, rest=1.0, **both_legs(actor, actor.value("pitch"), 0.05, 0.0, 1.6))


def rise_from_knees(actor: Actor) -> None:
    """From both knees: a foot forward, then up."""
    body = actor.body
    land_feet(actor, actor.time, 0.2, 0.1 * body.leg)
    up = actor.pick(*SIDES)
    down = OTHER[up]
    actor.move(0.7, **{f"{up}_free": 0.0}, **actor.trunk(0.4, pelvis=0.4))
    actor.move(0.5, rest=0.0, z=body.thigh + 0.2, **{f"{down}_free": 0.0})
    stand_up(actor)


def both_legs(actor: Actor, thigh: float, out: float, twist: float, knee: float) -> dict[str, float]:
    """The same channels for both legs, free of the ground."""
    return actor.leg("left", thigh, out, twist, knee) | actor.leg("right", thigh, out, twist, knee)
