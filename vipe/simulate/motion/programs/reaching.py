"""Programs in which trunk and arms go far: reach, pick up, bow, stretch (numpy)."""

__all__ = ["bow", "pick_up", "reach", "stretch"]

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, carry_arms, posture
from vipe.simulate.motion.body import SIDES, SIGNS
from vipe.simulate.motion.stance import back_to_stand, place_feet, stance


def reach(actor: Actor) -> None:
    """Reach for things: high, low, far to a side; with one hand or both; on tiptoe or with a lunge."""
    stance(actor)
    for _ in range(int(actor.generator.integers(1, 4))):
        start, hand = actor.time, actor.pick(*SIDES)
        sign = SIGNS[hand]
        aside, high = actor.between(-0.5, 1.0), actor.between(-1.2, 0.9)
        bend = max(0.0, -high) * actor.between(0.0, 0.9) - max(0.0, high) * 0.2
        trunk = actor.trunk(
            bend, -sign * 0.3 * aside * actor.generator.random(), sign * actor.between(-0.6, 0.9) * aside
        )
        tip = {f"{side}_tiptoe": 0.08 * max(0.0, high) * actor.generator.random() for side in SIDES}
        seconds = actor.between(0.5, 1.1)
        out = actor.body.arm / actor.body.torso
        flat = max(0.15, 1 - 0.7 * abs(high))
        target = (out * flat * actor.between(0.3, 1.0), 0.3 + aside * out * 0.8, high * out)
        if actor.chance(0.3):
            lead = actor.beside(actor.between(0.3, 0.7) * actor.body.leg, sign * 0.12)
            actor.step_within_reach(hand, actor.time, 0.7 * seconds, lead, actor.heading + sign * 0.2, 0.1)
            actor.go_over_feet()
        low = actor.between(0.75, 1.0) if high < -0.3 else 1.02
        head = {"head_twist": sign * aside * actor.between(0.0, 0.8), "head_bend": -high * actor.between(0.0, 0.5)}
        actor.move(
            seconds, **trunk, **tip, **head, x=actor.x, y=actor.y, z=actor.body.standing * (low + max(tip.values()))
        )
        for side in SIDES:
            if side == hand or actor.chance(0.35):
                arm = actor.reaching(side, target, actor.between(0.0, 1.3))
                shrug = {f"{side}_shrug": 0.35 * max(0.0, high), f"{side}_protract": actor.between(0.0, 0.3)}
                actor.keep(start, [*actor.arm_channels(side, arm), *shrug])
                actor.arm(actor.time, side, arm)
                actor.key(actor.time, **shrug)
            elif actor.chance(0.5):
                actor.keep_arm(side, start)
                actor.arm(actor.time, side, any_arm(actor, side))
        actor.wait(0.05, 0.6)
    back_to_stand(actor)


def pick_up(actor: Actor) -> None:
    """Pick something up from the floor or a low place, carry it a little, put it somewhere."""
    body = actor.body
    place_feet(actor, actor.between(0.08, 0.3), actor.pick(0.0, actor.between(0.0, 0.5)))
    start = actor.time
    squat = actor.between(0.45, 0.98)  # from a squat to bending with straight legs
    hands = actor.pick(("left",), ("right",), SIDES, SIDES)
    bend = actor.between(0.7, 1.1) + 0.8 * squat
    side_turn = actor.between(-0.4, 0.4)
    heel = 0.07 * actor.generator.random() if squat < 0.6 else 0.0
    tip = {f"{side}_tiptoe": heel for side in SIDES}
    bent = actor.trunk(bend, actor.between(-0.15, 0.15), side_turn, pelvis=actor.between(0.3, 0.6))
    seconds = actor.between(0.7, 1.3)
    actor.move(seconds, z=squat * body.standing, head_bend=actor.between(-0.2, 0.3), **bent, **tip)
    pitch = bent["pitch"] + bent["lumbar_bend"] + bent["chest_bend"]
    for side in SIDES:
        if side in hands:
            # Straight down from the shoulders of someone who bends is forward of the chest.
            depth = (body.arm / body.torso) * actor.between(0.7, 1.0)
            ahead, down = depth * min(1.0, pitch / 1.4), depth * max(0.0, 1 - pitch / 1.6)
            arm = actor.reaching(side, (ahead, actor.between(0.05, 0.4), -down), actor.between(0.2, 0.9))
        else:
            arm = actor.pick(posture(actor, side, "on the hip"), any_arm(actor, side), actor.hanging())
        actor.bring(side, arm, start, actor.time)
    actor.wait(0.05, 0.4)
    lifted = actor.time
    actor.move(actor.between(0.7, 1.2), **actor.stand_channels(), left_tiptoe=0.0, right_tiptoe=0.0)
    for name in (
        actor.pick("forearm forward", "on the belly", "hanging", "on the chest"),
        actor.pick("forward", "forward high", "overhead", "forearm forward", "forward low"),
    ):
        for side in hands:
            arm = posture(actor, side, name)
            actor.bring(side, arm, lifted, actor.time)
        trunk = actor.trunk(actor.between(-0.2, 0.5), 0.0, actor.between(-0.7, 0.7))
        actor.wait(0.1, 0.5)
        lifted = actor.time
        actor.move(actor.between(0.5, 1.0), **trunk)
    back_to_stand(actor)


def bow(actor: Actor) -> None:
    """Bow, from a nod to a deep bow, hands at the sides, on the belly, behind the back, or one arm sweeping."""
    place_feet(actor, actor.between(0.02, 0.2), actor.pick(0.0, actor.between(0.1, 0.5)))
    for _ in range(int(actor.generator.integers(1, 3))):
        start = actor.time
        depth = actor.between(0.2, 1.7)
        seconds = actor.between(0.5, 1.2)
        head = {
            "head_bend": actor.between(-0.4, 0.5),
            "gaze": actor.pick(actor.between(0.0, 0.3), actor.between(0.0, 1.0)),
        }
        height = actor.body.standing * (actor.between(0.9, 1.02) if actor.chance(0.8) else actor.between(0.75, 0.95))
        actor.move(
            seconds, **actor.trunk(depth, actor.between(-0.1, 0.1), actor.between(-0.25, 0.25)), **head, z=height
        )
        if actor.chance(0.5):
            carry_arms(actor, start, seconds)
        else:
            for side in SIDES:
                arm = actor.hanging()
                # Hanging from a bent trunk is forward of it; hands that stay at the thighs are not.
                arm = arm._replace(forward=arm.forward + depth * actor.between(0.0, 1.0))
                actor.bring(side, arm, start, actor.time)
        actor.wait(0.1, 1.0)
        actor.move(
            actor.between(0.5, 1.2), **actor.stand_channels(actor.between(0.99, 1.06)), gaze=actor.between(0.0, 0.8)
        )
    back_to_stand(actor)


def stretch(actor: Actor) -> None:
    """Stretch: arms overhead, bends to the sides, back and front, turns of the trunk, arm circles."""
    stance(actor)
    for _ in range(int(actor.generator.integers(2, 5))):
        start = actor.time
        name = actor.pick("overhead", "overhead", "sideways", "behind the head", "on the hip", "back", "forward high")
        seconds = actor.between(0.7, 1.4)
        alike = actor.chance(0.7)
        for side in SIDES:
            arm = posture(actor, side, name) if alike else any_arm(actor, side)
            actor.bring(side, arm, start, start + seconds)
            actor.key(start + seconds, **{f"{side}_shrug": 0.3 * (name == "overhead")})
        trunk = actor.trunk(
            actor.pick(actor.between(-0.8, 0.0), 0.0, actor.between(0.0, 1.9)),
            actor.between(-0.7, 0.7),
            actor.between(-0.8, 0.8),
        )
        tip = 0.08 * actor.chance(0.2)
        actor.move(seconds, **trunk, head_bend=actor.between(-0.5, 0.4), left_tiptoe=tip, right_tiptoe=tip)
        actor.wait(0.1, 0.6)
    actor.move(0.6, left_tiptoe=0.0, right_tiptoe=0.0)
    back_to_stand(actor)
