"""Programs done mostly with arms and trunk: reach, wave, pick up, point, telephone, bow, stretch, talk (numpy)."""

__all__ = ["bow", "clap", "idle", "pick_up", "point", "raise_hands", "reach", "stretch", "talk", "telephone", "wave"]

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, carry_arms, gesture, posture
from vipe.simulate.motion.body import SIDES
from vipe.simulate.motion.floor import place_feet
from vipe.simulate.motion.ik import ArmAngles

_BOTH = tuple(zip(SIDES, (1, -1), strict=True))


def stance(actor: Actor) -> None:
    """Stand some way: feet together or apart, one before the other, weight on one leg, more or less upright."""
    if actor.chance(0.75):
        place_feet(actor, actor.between(0.04, 0.28), actor.pick(0.0, actor.between(0.0, 0.25), actor.between(0.2, 0.6)))
    shift = actor.beside(actor.between(-0.04, 0.06), actor.between(-0.09, 0.09))
    bend = actor.between(-0.15, 0.35) if actor.chance(0.75) else actor.between(0.2, 0.9)
    trunk = actor.trunk(bend, actor.between(-0.15, 0.15), actor.between(-0.25, 0.25))
    height = actor.between(0.97, 1.06) if actor.chance(0.8) else actor.between(0.8, 0.95)
    actor.move(
        actor.between(0.35, 0.7), x=shift[0], y=shift[1], z=height * actor.body.standing, **trunk,
        yaw=actor.heading + actor.between(-0.35, 0.35),
    )


def reach(actor: Actor) -> None:
    """Reach for things: high, low, far to a side; with one hand or both; on tiptoe or with a lunge."""
    stance(actor)
    for _ in range(int(actor.generator.integers(1, 4))):
        start, hand = actor.time, actor.pick(*SIDES)
        sign = 1 if hand == "left" else -1
        aside, high = actor.between(-0.5, 1.0), actor.between(-1.2, 0.9)
        bend = max(0.0, -high) * actor.between(0.0, 0.9) - max(0.0, high) * 0.2
        trunk = actor.trunk(bend, -sign * 0.3 * aside * actor.generator.random(), sign * actor.between(-0.6, 0.9) * aside)
        tip = {f"{side}_tiptoe": 0.08 * max(0.0, high) * actor.generator.random() for side in SIDES}
        seconds = actor.between(0.5, 1.1)
        out = actor.body.arm / actor.body.torso
        flat = max(0.15, 1 - 0.7 * abs(high))
        target = (out * flat * actor.between(0.3, 1.0), 0.3 + aside * out * 0.8, high * out)
        if actor.chance(0.3):
            lead = actor.beside(actor.between(0.3, 0.7) * actor.body.leg, sign * 0.12)
            actor.step(hand, actor.time, 0.7 * seconds, lead, actor.heading + sign * 0.2, 0.1)
            actor.x, actor.y = actor.beside(0.25 * actor.body.leg, 0.0)
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
                actor.keep(start, actor.arm_channels(side, ArmAngles(0, 0, 0, 0)))
                actor.arm(actor.time, side, any_arm(actor, side))
        actor.wait(0.05, 0.6)
    _back_to_stand(actor)


def wave(actor: Actor) -> None:
    """Wave with one hand or both, from the wrist, the elbow or the shoulder, low, high or overhead."""
    stance(actor)
    start = actor.time
    waving = actor.pick(("left",), ("right",), ("left",), ("right",), SIDES)
    end = start + actor.between(2.0, 4.5)
    beat = actor.between(0.22, 0.6)
    high, aside = actor.between(-0.2, 1.0), actor.between(0.25, 0.95)
    wide = actor.between(0.08, 0.45)
    together = actor.pick(1, -1)
    for number, side in enumerate(waving):
        way = together if number else 1
        time, swing = start + actor.between(0.5, 0.9), 1
        actor.keep(start, actor.arm_channels(side, ArmAngles(0, 0, 0, 0)))
        while time < end:
            middle = aside + wide * swing * way
            point_ = (actor.between(0.1, 0.45), middle, high - 0.5 * wide * abs(middle - aside) + actor.between(-0.04, 0.04))
            actor.arm(time, side, actor.reaching(side, point_, actor.between(0.3, 0.9)))
            time, swing = time + beat * actor.between(0.9, 1.1), -swing
        actor.key(start + 0.7, **{f"{side}_shrug": actor.between(0.0, 0.35) * max(0.0, high)})
    for side in SIDES:
        if side not in waving and actor.chance(0.7):
            actor.keep(start, actor.arm_channels(side, ArmAngles(0, 0, 0, 0)))
            actor.arm(start + actor.between(0.5, 1.0), side, any_arm(actor, side))
    _shift_weight(actor, start, end)
    actor.time = end
    _back_to_stand(actor)


def raise_hands(actor: Actor) -> None:
    """Raise one hand or both, to answer, to cheer, to stop somebody or to surrender; hold; lower."""
    stance(actor)
    for _ in range(int(actor.generator.integers(1, 3))):
        start = actor.time
        raised = actor.pick(("left",), ("right",), SIDES, SIDES)
        out, up, front = actor.between(0.15, 1.0), actor.between(0.1, 1.15), actor.between(-0.05, 0.6)
        seconds = actor.between(0.4, 1.1)
        for side in SIDES:
            arm = any_arm(actor, side) if actor.chance(0.4) else actor.hanging(side)
            if side in raised:
                place = (front + actor.between(-0.1, 0.1), out + actor.between(-0.1, 0.1), up + actor.between(-0.1, 0.1))
                arm = actor.reaching(side, place, actor.between(0.4, 1.5))
                actor.key(start, **{f"{side}_shrug": actor.value(f"{side}_shrug")})
                actor.key(start + seconds, **{f"{side}_shrug": actor.between(0.0, 0.4)})
            actor.keep(start, actor.arm_channels(side, arm))
            actor.arm(start + seconds, side, arm)
        head = {"head_bend": actor.between(-0.5, 0.2), "head_twist": actor.between(-0.4, 0.4)}
        trunk = actor.trunk(actor.between(-0.35, 0.15), actor.between(-0.15, 0.15), actor.between(-0.2, 0.2))
        actor.move(seconds, **head, **trunk)
        hold = actor.between(0.2, 1.2)
        _shift_weight(actor, actor.time, actor.time + hold)
        actor.time += hold
    _back_to_stand(actor)


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
            arm = actor.pick(posture(actor, side, "on the hip"), any_arm(actor, side), actor.hanging(side))
        actor.keep(start, actor.arm_channels(side, arm))
        actor.arm(actor.time, side, arm)
    actor.wait(0.05, 0.4)
    lifted = actor.time
    actor.move(actor.between(0.7, 1.2), **actor.stand_channels(), left_tiptoe=0.0, right_tiptoe=0.0)
    for name in (actor.pick("forearm forward", "on the belly", "hanging", "on the chest"), actor.pick("forward", "forward high", "overhead", "forearm forward", "forward low")):
        for side in hands:
            arm = posture(actor, side, name)
            actor.keep(lifted, actor.arm_channels(side, arm))
            actor.arm(actor.time, side, arm)
        trunk = actor.trunk(actor.between(-0.2, 0.5), 0.0, actor.between(-0.7, 0.7))
        actor.wait(0.1, 0.5)
        lifted = actor.time
        actor.move(actor.between(0.5, 1.0), **trunk)
    _back_to_stand(actor)


def point(actor: Actor) -> None:
    """Show the way or point at something, with the look after the hand or to the listener."""
    stance(actor)
    for _ in range(int(actor.generator.integers(1, 4))):
        start, hand = actor.time, actor.pick(*SIDES)
        sign = 1 if hand == "left" else -1
        aside, high = actor.between(-0.4, 1.1), actor.between(-0.6, 0.7)
        reach_ = actor.body.arm / actor.body.torso * actor.between(0.65, 1.0)
        flat = (1 - 0.6 * high * high) ** 0.5
        target = (reach_ * flat * (1 - 0.8 * abs(aside)), 0.3 + reach_ * flat * aside, reach_ * high)
        seconds = actor.between(0.4, 0.9)
        look = sign * aside * actor.between(-0.3, 1.1)
        trunk = actor.trunk(actor.between(-0.1, 0.5), actor.between(-0.15, 0.15), sign * aside * actor.between(0.0, 0.5))
        arm = actor.reaching(hand, target, actor.between(0.1, 0.9))
        actor.keep(start, actor.arm_channels(hand, arm))
        actor.arm(start + seconds, hand, arm)
        other = SIDES[1 - SIDES.index(hand)]
        if actor.chance(0.5):
            actor.keep(start, actor.arm_channels(other, arm))
            rest = any_arm(actor, other)
            actor.arm(start + seconds, other, rest)
        if actor.chance(0.3):
            place = actor.beside(actor.between(0.1, 0.4), sign * actor.between(0.1, 0.3))
            actor.step(hand, start, 0.5, place, actor.heading + sign * 0.5, 0.06)
        actor.move(seconds, head_twist=look, head_bend=actor.between(-0.2, 0.3), **trunk, yaw=actor.heading + sign * aside * 0.3)
        actor.wait(0.2, 0.9)
    _back_to_stand(actor)


def telephone(actor: Actor) -> None:
    """Hold a telephone at the ear or before the eyes, shift about, gesture with the other hand."""
    stance(actor)
    start, hand = actor.time, actor.pick(*SIDES)
    end = start + actor.between(2.5, 5.0)
    where = actor.pick("at the ear", "at the ear", "at the chin", "forearm forward", "at the mouth")
    time = start + actor.between(0.5, 1.0)
    actor.keep(start, actor.arm_channels(hand, ArmAngles(0, 0, 0, 0)))
    while time < end:
        actor.arm(time, hand, posture(actor, hand, where))
        time += actor.between(0.8, 2.0)
    other = (SIDES[1 - SIDES.index(hand)],)
    if actor.chance(0.5):
        gesture(actor, start, end, other)
    else:
        carry_arms(actor, start, 0.8, other)
    actor.key(start + 0.7, head_bend=actor.between(-0.2, 0.6), head_lean=actor.between(-0.3, 0.3))
    _shift_weight(actor, start, end)
    actor.time = end
    _back_to_stand(actor)


def bow(actor: Actor) -> None:
    """Bow, from a nod to a deep bow, hands at the sides, on the belly, behind the back, or one arm sweeping."""
    place_feet(actor, actor.between(0.02, 0.2), actor.pick(0.0, actor.between(0.1, 0.5)))
    for _ in range(int(actor.generator.integers(1, 3))):
        start = actor.time
        depth = actor.between(0.2, 1.7)
        seconds = actor.between(0.5, 1.2)
        head = {"head_bend": actor.between(-0.4, 0.5), "gaze": actor.between(0.0, 0.3)}
        height = actor.body.standing * (actor.between(0.9, 1.02) if actor.chance(0.8) else actor.between(0.75, 0.95))
        actor.move(seconds, **actor.trunk(depth, actor.between(-0.1, 0.1), actor.between(-0.25, 0.25)), **head, z=height)
        if actor.chance(0.5):
            carry_arms(actor, start, seconds)
        else:
            for side in SIDES:
                arm = actor.hanging(side)
                # Hanging from a bent trunk is forward of it; hands that stay at the thighs are not.
                arm = arm._replace(forward=arm.forward + depth * actor.between(0.0, 1.0))
                actor.keep(start, actor.arm_channels(side, arm))
                actor.arm(actor.time, side, arm)
        actor.wait(0.1, 1.0)
        actor.move(actor.between(0.5, 1.2), **actor.stand_channels(actor.between(0.99, 1.06)), gaze=actor.between(0.0, 0.8))
    _back_to_stand(actor)


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
            actor.keep(start, actor.arm_channels(side, arm))
            actor.arm(start + seconds, side, arm)
            actor.key(start + seconds, **{f"{side}_shrug": 0.3 * (name == "overhead")})
        trunk = actor.trunk(actor.pick(actor.between(-0.8, 0.0), 0.0, actor.between(0.0, 1.9)), actor.between(-0.7, 0.7), actor.between(-0.8, 0.8))
        tip = 0.08 * actor.chance(0.2)
        actor.move(seconds, **trunk, head_bend=actor.between(-0.5, 0.4), left_tiptoe=tip, right_tiptoe=tip)
        actor.wait(0.1, 0.6)
    actor.move(0.6, left_tiptoe=0.0, right_tiptoe=0.0)
    _back_to_stand(actor)


def clap(actor: Actor) -> None:
    """Clap, rub or clasp hands, before the chest or overhead."""
    stance(actor)
    start = actor.time
    end = start + actor.between(2.0, 4.0)
    beat, open_ = actor.between(0.15, 0.4), actor.between(0.08, 0.4)
    front, up = actor.between(0.3, 0.75), actor.between(-0.7, 0.9)
    for side in SIDES:
        actor.keep(start, actor.arm_channels(side, ArmAngles(0, 0, 0, 0)))
    time, apart = start + 0.6, 0.0
    while time < end:
        for side in SIDES:
            actor.arm(time, side, actor.reaching(side, (front, 0.05 + apart, up), 0.6))
        time, apart = time + beat, open_ - apart
    _shift_weight(actor, start, end)
    actor.time = end
    _back_to_stand(actor)


def talk(actor: Actor) -> None:
    """Stand and talk with the hands."""
    stance(actor)
    start, end = actor.time, actor.time + actor.between(2.5, 6.0)
    gesture(actor, start, end)
    _shift_weight(actor, start, end)
    actor.time = end
    _back_to_stand(actor)


def idle(actor: Actor) -> None:
    """Stand about: shift weight, look around, take a small step, arms at rest, folded, on the hips, in pockets."""
    stance(actor)
    start, end = actor.time, actor.time + actor.between(2.0, 5.0)
    if actor.chance(0.5):
        carry_arms(actor, start, actor.between(0.5, 1.1))
    else:
        for side in SIDES:
            actor.arm(start + actor.between(0.5, 1.5), side, any_arm(actor, side) if actor.chance(0.4) else actor.hanging(side))
    _shift_weight(actor, start, end)
    actor.time = end


def _shift_weight(actor: Actor, start: float, end: float) -> None:
    """Sway from foot to foot, turn and lean a little, look about."""
    time = start
    channels = ("x", "y", "z", "yaw", "roll", "lumbar_lean", "chest_twist", "head_twist", "head_bend")
    actor.keep(start, channels)
    while True:
        time += actor.between(0.5, 1.3)
        if time > end:
            return
        x, y = actor.beside(actor.between(-0.05, 0.05), actor.between(-0.1, 0.1))
        height = actor.between(0.95, 1.05) * actor.body.standing
        lean = actor.between(-0.3, 0.3) * actor.generator.random()
        look = {"head_twist": actor.between(-0.7, 0.7), "head_bend": actor.between(-0.3, 0.4)}
        yaw = actor.heading + actor.between(-0.25, 0.25)
        actor.key(time, x=x, y=y, z=height, yaw=yaw, roll=lean * 0.8, lumbar_lean=-lean, chest_twist=actor.between(-0.3, 0.3), **look)


def _back_to_stand(actor: Actor) -> None:
    start = actor.time
    actor.move(actor.between(0.4, 0.8), **actor.stand_channels(actor.between(0.99, 1.06)))
    for side in SIDES:
        if actor.chance(0.7):
            arm = actor.hanging(side)
            actor.keep(start, actor.arm_channels(side, arm))
            actor.arm(actor.time, side, arm)
