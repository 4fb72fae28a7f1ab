"""Synthetic mocap: clips of whole-body motion from programs, without anybody's recordings (numpy)."""

__all__ = ["synthesize"]

import math
from collections.abc import Iterator, Sequence

import numpy as np

from vipe.clips import Clip
from vipe.errors import VipeError
from vipe.simulate.motion.body import sample_body
from vipe.simulate.motion.performance import perform
from vipe.simulate.motion.programs import PROGRAMS, SHARES
from vipe.skeletons.working import H36M17

LICENCE = "CC0-1.0 (synthetic motion made by vipe, no recordings)"

SUBJECTS = 24
"""Number of people who perform, each with their own body."""


def synthesize(
    *,
    clips: int | None = None,
    minutes: float | None = None,
    fps: float = 30.0,
    programs: Sequence[str] | None = None,
    generator: np.random.Generator,
) -> Iterator[Clip]:
    """Make clips of synthetic whole-body motion on skeleton h36m17.

    In each clip one of two dozen bodies performs one to three programs in a row, for 3 to 12 seconds. No recording is
    used. Segment lengths and ranges of motion come from published anatomy. The spread of the programs was set by hand,
    in round numbers, by looking at the recorded poses they missed (`benchmarks/synthetic_vs_real.py`).

    A clip depends on the generator's seed and on its number alone, not on the number of clips.

    Args:
        clips: Number of clips; give this or `minutes`.
        minutes: Total length of motion; the clip that reaches it is the last, and is not cut.
        fps: Frames per second.
        programs: Names out of `PROGRAMS` to choose from; all by default.
        generator: Source of all randomness.

    Raises:
        VipeError: If not exactly one of `clips` and `minutes` is given, or a number or a name is invalid.

    Example:
        >>> (clip,) = synthesize(clips=1, fps=2.0, programs=["walk"], generator=np.random.default_rng(0))
        >>> clip.name, clip.skeleton.name, 3 <= clip.seconds <= 12
        ('walk_0000', 'h36m17', True)
    """
    if (clips is None) == (minutes is None):
        raise VipeError(f"synthesize: give either clips or minutes, got clips={clips} and minutes={minutes}")
    if clips is not None and clips < 1:
        raise VipeError(f"synthesize: clips must be at least 1, got {clips}")
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise VipeError(f"synthesize: minutes must be a positive number, got {minutes}")
    if not (math.isfinite(fps) and 1 <= fps <= 1000):
        raise VipeError(f"synthesize: fps must be from 1 to 1000, got {fps}")
    names = tuple(PROGRAMS) if programs is None else tuple(programs)
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown or not names:
        raise VipeError(
            f"synthesize: no program {', '.join(map(repr, unknown)) or 'given'}; known are {', '.join(PROGRAMS)}"
        )
    return _clips(clips, minutes, fps, names, generator)


def _clips(
    clips: int | None, minutes: float | None, fps: float, names: Sequence[str], generator: np.random.Generator
) -> Iterator[Clip]:
    (casting,) = generator.spawn(1)
    bodies = [sample_body(f"body-{number:02d}", casting) for number in range(SUBJECTS)]
    shares = np.array([SHARES.get(name, 1.0) for name in names])
    number, seconds = 0, 0.0
    while (clips is not None and number < clips) or (minutes is not None and seconds < 60 * minutes):
        (own,) = generator.spawn(1)
        chain = [str(own.choice(names, p=shares / shares.sum())) for _ in range(3)]
        body = bodies[int(own.integers(len(bodies)))]
        take, done = perform(chain, body, fps, own)
        clip = Clip(
            name=f"{done[0]}_{number:04d}",
            skeleton=H36M17,
            positions=take.positions,
            fps=fps,
            subject=body.name,
            action="+".join(done),
            source="vipe.simulate",
            licence=LICENCE,
        )
        number, seconds = number + 1, seconds + clip.seconds
        yield clip
