"""Programs done mostly with the arms: wave, raise, point, telephone, clap, talk, idle (numpy)."""

__all__ = ["clap", "idle", "point", "raise_hands", "talk", "telephone", "wave"]

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.arms import any_arm, carry_arms, gesture, posture
from vipe.simulate.motion.body import OTHER, SIDES, SIGNS
from vipe.simulate.motion.stance import back_to_stand, stance


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
        actor.keep_arm(side, start)
        while time < end:
            middle = aside + wide * swing * way
            point_ = (
                actor.between(0.1, 0.45),
                middle,
                high - 0.5 * wide * abs(middle - aside) + actor.between(-0.04, 0.04),
            )
            actor.arm(time, side, actor.reaching(side, point_, actor.between(0.3, 0.9)))
            time, swing = time + beat * actor.between(0.9, 1.1), -swing
        actor.key(start + 0.7, **{f"{side}_shrug": actor.between(0.0, 0.35) * max(0.0, high)})
    for side in SIDES:
        if side not in waving and actor.chance(0.7):
            actor.keep_arm(side, start)
            actor.arm(start + actor.between(0.5, 1.0), side, any_arm(actor, side))
    _shift_weight(actor, start, end)
    actor.time = end
    back_to_stand(actor)


def raise_hands(actor: Actor) -> None:
    """Raise one hand or both, to answer, to cheer, to stop somebody or to surrender; hold; lower."""
    stance(actor)
    for _ in range(int(actor.generator.integers(1, 3))):
        start = actor.time
        raised = actor.pick(("left",), ("right",), SIDES, SIDES)
        out, up, front = actor.between(0.15, 1.0), actor.between(0.1, 1.15), actor.between(-0.05, 0.6)
        seconds = actor.between(0.4, 1.1)
        for side in SIDES:
            arm = any_arm(actor, side) if actor.chance(0.4) else actor.hanging()
            if side in raised:
                place = (
                    front + actor.between(-0.1, 0.1),
                    out + actor.between(-0.1, 0.1),
                    up + actor.between(-0.1, 0.1),
                )
                arm = actor.reaching(side, place, actor.between(0.4, 1.5))
                actor.key(start, **{f"{side}_shrug": actor.value(f"{side}_shrug")})
                actor.key(start + seconds, **{f"{side}_shrug": actor.between(0.0, 0.4)})
            actor.bring(side, arm, start, start + seconds)
        head = {"head_bend": actor.between(-0.5, 0.2), "head_twist": actor.between(-0.4, 0.4)}
        trunk = actor.trunk(actor.between(-0.35, 0.15), actor.between(-0.15, 0.15), actor.between(-0.2, 0.2))
        actor.move(seconds, **head, **trunk)
        hold = actor.between(0.2, 1.2)
        _shift_weight(actor, actor.time, actor.time + hold)
        actor.time += hold
    back_to_stand(actor)


def point(actor: Actor) -> None:
    """Show the way or point at something, with the look after the hand or to the listener."""
    stance(actor)
    for _ in range(int(actor.generator.integers(1, 4))):
        start, hand = actor.time, actor.pick(*SIDES)
        sign = SIGNS[hand]
        aside, high = actor.between(-0.4, 1.1), actor.between(-0.6, 0.7)
        reach_ = actor.body.arm / actor.body.torso * actor.between(0.65, 1.0)
        flat = (1 - 0.6 * high * high) ** 0.5
        target = (reach_ * flat * (1 - 0.8 * abs(aside)), 0.3 + reach_ * flat * aside, reach_ * high)
        seconds = actor.between(0.4, 0.9)
        look = sign * aside * actor.between(-0.3, 1.1)
        trunk = actor.trunk(
            actor.between(-0.1, 0.5), actor.between(-0.15, 0.15), sign * aside * actor.between(0.0, 0.5)
        )
        arm = actor.reaching(hand, target, actor.between(0.1, 0.9))
        actor.bring(hand, arm, start, start + seconds)
        other = OTHER[hand]
        if actor.chance(0.5):
            actor.keep(start, actor.arm_channels(other, arm))
            rest = any_arm(actor, other)
            actor.arm(start + seconds, other, rest)
        if actor.chance(0.3):
            place = actor.beside(actor.between(0.1, 0.4), sign * actor.between(0.1, 0.3))
            actor.step_within_reach(hand, start, 0.5, place, actor.heading + sign * 0.5, 0.06)
        actor.move(
            seconds,
            head_twist=look,
            head_bend=actor.between(-0.2, 0.3),
            **trunk,
            yaw=actor.heading + sign * aside * 0.3,
        )
        actor.wait(0.2, 0.9)
    back_to_stand(actor)


def telephone(actor: Actor) -> None:
    """Hold a telephone at the ear or before the eyes, shift about, gesture with the other hand."""
    stance(actor)
    start, hand = actor.time, actor.pick(*SIDES)
    end = start + actor.between(2.5, 5.0)
    where = actor.pick("at the ear", "at the ear", "at the chin", "forearm forward", "at the mouth")
    time = start + actor.between(0.5, 1.0)
    actor.keep_arm(hand, start)
    while time < end:
        actor.arm(time, hand, posture(actor, hand, where))
        time += actor.between(0.8, 2.0)
    other = (OTHER[hand],)
    if actor.chance(0.5):
        gesture(actor, start, end, other)
    else:
        carry_arms(actor, start, 0.8, other)
    actor.key(start + 0.7, head_bend=actor.between(-0.2, 0.6), head_lean=actor.between(-0.3, 0.3))
    _shift_weight(actor, start, end)
    actor.time = end
    back_to_stand(actor)


def clap(actor: Actor) -> None:
    """Clap, rub or clasp hands, before the chest or overhead."""
    stance(actor)
    start = actor.time
    end = start + actor.between(2.0, 4.0)
    beat, open_ = actor.between(0.15, 0.4), actor.between(0.08, 0.4)
    front, up = actor.between(0.3, 0.75), actor.between(-0.7, 0.9)
    for side in SIDES:
        actor.keep_arm(side, start)
    time, apart = start + 0.6, 0.0
    while time < end:
        for side in SIDES:
            actor.arm(time, side, actor.reaching(side, (front, 0.05 + apart, up), 0.6))
        time, apart = time + beat, open_ - apart
    _shift_weight(actor, start, end)
    actor.time = end
    back_to_stand(actor)


def talk(actor: Actor) -> None:
    """Stand and talk with the hands."""
    stance(actor)
    start, end = actor.time, actor.time + actor.between(2.5, 6.0)
    gesture(actor, start, end)
    _shift_weight(actor, start, end)
    actor.time = end
    back_to_stand(actor)


def idle(actor: Actor) -> None:
    """Stand about: shift weight, look around, take a small step, arms at rest, folded, on the hips, in pockets."""
    stance(actor)
    start, end = actor.time, actor.time + actor.between(2.0, 5.0)
    if actor.chance(0.5):
        carry_arms(actor, start, actor.between(0.5, 1.1))
    else:
        for side in SIDES:
            actor.arm(
                start + actor.between(0.5, 1.5), side, any_arm(actor, side) if actor.chance(0.4) else actor.hanging()
            )
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
        actor.key(
            time,
            x=x,
            y=y,
            z=height,
            yaw=yaw,
            roll=lean * 0.8,
            lumbar_lean=-lean,
            chest_twist=actor.between(-0.3, 0.3),
            **look,
        )
