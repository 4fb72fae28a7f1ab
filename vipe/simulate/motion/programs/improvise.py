"""Programs without a purpose: wander between random poses that a body can take (numpy)."""

__all__ = ["improvise", "improvise_walking", "limber"]

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, gesture
from vipe.simulate.motion.body import OTHER, SIDES, SIGNS
from vipe.simulate.motion.programs.locomotion import Gait, travel


def improvise(actor: Actor) -> None:
    """Go from one random stand to another: feet, height, trunk, head and arms all drawn, feet planted in between."""
    body = actor.body
    boldness = actor.between(0.3, 1.0)
    for _ in range(int(actor.generator.integers(3, 9))):
        start, seconds = actor.time, actor.between(0.45, 1.1)
        if actor.chance(0.6):
            foot = actor.pick(*SIDES)
            sign = SIGNS[foot]
            drift = actor.beside(actor.between(-0.25, 0.25) * boldness, actor.between(-0.2, 0.2) * boldness)
            actor.x, actor.y = drift
            actor.heading += actor.between(-0.5, 0.5) * boldness
            place = actor.beside(
                actor.between(-0.4, 0.4) * boldness, sign * (0.1 + actor.between(-0.06, 0.3) * boldness)
            )
            actor.step_within_reach(
                foot,
                start,
                0.8 * seconds,
                place,
                actor.heading + sign * actor.between(-0.2, 0.7),
                actor.between(0.04, 0.3),
            )
        actor.go_over_feet(actor.between(0.25, 0.75))
        height = actor.between(0.98, 1.06) if actor.chance(0.5) else 1 - 0.45 * boldness * actor.generator.random()
        bend = actor.between(-0.3, 0.5) if actor.chance(0.6) else actor.between(-0.4, 1.6 * boldness)
        trunk = actor.trunk(bend, actor.between(-0.5, 0.5) * boldness, actor.between(-0.8, 0.8) * boldness)
        # A hip dropped or hitched, which the lumbar spine makes up for.
        drop = actor.between(-0.3, 0.3) * actor.generator.random()
        trunk |= {"roll": trunk["roll"] + drop, "lumbar_lean": trunk["lumbar_lean"] - drop * actor.between(0.3, 1.2)}
        head = {
            "head_twist": actor.between(-0.9, 0.9),
            "head_bend": actor.between(-0.4, 0.6),
            "head_lean": actor.between(-0.3, 0.3),
        }
        legs = {f"{side}_leg_twist": actor.between(-0.2, 0.5) for side in SIDES}
        actor.move(
            seconds,
            x=actor.x,
            y=actor.y,
            z=height * body.standing,
            yaw=actor.heading + actor.between(-0.4, 0.4),
            **trunk,
            **head,
            **legs,
        )
        for side in SIDES:
            if actor.chance(0.8):
                arm = any_arm(actor, side)
                actor.bring(side, arm, start, actor.time)
                actor.key(
                    actor.time,
                    **{f"{side}_shrug": actor.between(-0.1, 0.35), f"{side}_protract": actor.between(-0.3, 0.4)},
                )
        actor.wait(0.0, 0.5)
    actor.move(0.6, **actor.stand_channels(), left_leg_twist=0.0, right_leg_twist=0.0)


def improvise_walking(actor: Actor) -> None:
    """Walk any way at all while arms, trunk and head do something else."""
    start = actor.time
    gait = Gait(
        step=actor.between(0.35, 0.8),
        length=actor.between(0.1, 0.9),
        direction=actor.between(-3.1, 3.1) if actor.chance(0.4) else 0.0,
        turn=actor.between(-0.5, 0.5),
        width=actor.between(-0.12, 0.25),
        lift=actor.between(0.06, 0.5),
        swing=actor.between(0.9, 1.3),
        height=actor.between(0.8, 1.02),
        sway=actor.between(0.0, 0.08),
        lean=actor.between(-0.3, 0.8),
        hip_turn=actor.between(0.0, 0.35),
        hip_drop=actor.between(-0.1, 0.25),
        toe_out=actor.between(-0.3, 0.6),
    )
    travel(actor, gait, actor.between(2.0, 4.5))
    if actor.chance(0.6):
        gesture(actor, start, actor.time)
    time = start
    while time < actor.time - 0.5:
        time += actor.between(0.5, 1.2)
        actor.key(min(time, actor.time), head_twist=actor.between(-0.9, 0.9), head_bend=actor.between(-0.4, 0.6))
    actor.key(actor.time, **actor.trunk(0.0))


def limber(actor: Actor) -> None:
    """Stand on one leg and move the other anywhere its hip and knee allow, arms and trunk going along."""
    body = actor.body
    leg = actor.pick(*SIDES)
    other = OTHER[leg]
    support = actor.foothold(other)
    actor.move(0.5, x=support[0], y=support[1], z=0.98 * body.standing)
    for _ in range(int(actor.generator.integers(3, 7))):
        start = actor.time
        thigh = actor.between(-0.5, 1.8)
        legs = actor.leg(leg, thigh, actor.between(-0.2, 1.0), actor.between(-0.3, 0.8), actor.between(0.1, 2.0))
        trunk = actor.trunk(actor.between(-0.4, 0.9), actor.between(-0.4, 0.4), actor.between(-0.6, 0.6))
        yaw = actor.heading + actor.between(-0.5, 0.5)
        actor.move(actor.between(0.5, 0.9), z=body.standing * actor.between(0.85, 1.02), yaw=yaw, **legs, **trunk)
        for side in SIDES:
            arm = any_arm(actor, side)
            actor.bring(side, arm, start, actor.time)
    actor.x, actor.y = support[0], support[1]
    sign = SIGNS[leg]
    actor.step(leg, actor.time - 0.25, 0.2, actor.beside(0.0, sign * 0.18), actor.heading, 0.0)
    actor.move(0.5, **{f"{leg}_free": 0.0})
    actor.move(0.5, **actor.stand_channels())
