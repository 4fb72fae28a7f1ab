"""The programs by name: what `synthesize` can perform, and how often it is drawn."""

__all__ = ["PROGRAMS", "SHARES"]

from collections.abc import Callable

from vipe.simulate.motion.actor import Actor
from vipe.simulate.motion.programs import (
    climbing,
    dance,
    fighting,
    floor,
    gestures,
    improvise,
    locomotion,
    reaching,
    sports,
)

PROGRAMS: dict[str, Callable[[Actor], None]] = {
    "walk": locomotion.walk,
    "run": locomotion.run,
    "march": locomotion.march,
    "sneak": locomotion.sneak,
    "walk_backwards": locomotion.walk_backwards,
    "sidestep": locomotion.sidestep,
    "turn": locomotion.turn,
    "stairs": climbing.stairs,
    "sit": floor.sit,
    "sit_on_floor": floor.sit_on_floor,
    "kneel": floor.kneel,
    "crouch": floor.crouch,
    "lie_down": floor.lie_down,
    "crawl": floor.crawl,
    "climb": climbing.climb,
    "hang": climbing.hang,
    "cartwheel": climbing.cartwheel,
    "pick_up": reaching.pick_up,
    "reach": reaching.reach,
    "wave": gestures.wave,
    "raise_hands": gestures.raise_hands,
    "point": gestures.point,
    "telephone": gestures.telephone,
    "bow": reaching.bow,
    "stretch": reaching.stretch,
    "clap": gestures.clap,
    "talk": gestures.talk,
    "idle": gestures.idle,
    "jump": sports.jump,
    "punch": fighting.punch,
    "kick": fighting.kick,
    "throw": sports.throw,
    "swing": fighting.swing,
    "lunge": fighting.lunge,
    "ball": sports.ball,
    "dance": dance.dance,
    "balance": dance.balance,
    "pirouette": dance.pirouette,
    "leap": dance.leap,
    "improvise": improvise.improvise,
    "improvise_walking": improvise.improvise_walking,
    "limber": improvise.limber,
}
"""The programs of `synthesize` by name. Each continues from the present state of an actor."""

SHARES = {
    "walk": 6.0,
    "improvise": 3.0,
    "improvise_walking": 4.0,
    "run": 3.0,
    "sidestep": 2.0,
    "walk_backwards": 2.0,
    "kick": 1.5,
    "swing": 1.5,
    "punch": 1.5,
}
"""Relative frequency of a program, 1 for all others: people walk more than they kick."""
