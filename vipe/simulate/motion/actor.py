"""Actor: a body that is told, knot by knot, what to do when (numpy)."""

__all__ = ["Actor", "Step"]

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.simulate.motion.body import CHANNELS, OTHER, SIDES, SIGNS, Body
from vipe.simulate.motion.figure import Feet
from vipe.simulate.motion.ik import ArmAngles, elbow_angles
from vipe.simulate.motion.timing import minimum_jerk, swing_height

# How hard channels can be accelerated: radians or metres per s^2; weights (free, hold, rest, gaze) take 0.25 s or so.
_STRENGTH = dict.fromkeys(CHANNELS, 150.0) | {"x": math.inf, "y": math.inf, "z": 40.0}
_STRENGTH |= dict.fromkeys(("yaw", "pitch", "roll", "spin", "lumbar_bend", "lumbar_lean", "lumbar_twist"), 60.0)
_STRENGTH |= {
    f"{side}_{name}": 180.0 for side in SIDES for name in ("arm_forward", "arm_out", "arm_twist", "elbow", "knee")
}
_LOADING = 0.15  # seconds to take the load off a foot, and to put it on again


class Step(NamedTuple):
    """A foot leaves the ground at `start` and is down at `end`; the place is the ankle's."""

    start: float
    end: float
    place: tuple[float, float, float]
    yaw: float
    lift: float  # metres above the line between the two places


class Actor:
    """Collects the knots of every channel and the steps of both feet while programs run one after another.

    `time` is where the next program begins. Programs write at or after it, on any channels; a knot replaces what was
    written for that channel at the same time or later. So programs chain without seams: each starts from where the
    last one left the body.
    """

    def __init__(self, body: Body, generator: np.random.Generator) -> None:
        self.body = body
        self.generator = generator
        self.time = 0.0
        self.finished = False  # a program may end where no other can begin: on a wall, on the back
        self.heading = 0.0
        self.x, self.y = 0.0, 0.0
        width = self.between(0.9, 1.6) * body.hip
        self.knots: dict[str, list[tuple[float, float]]] = {name: [(0.0, 0.0)] for name in CHANNELS}
        self.steps: dict[str, list[Step]] = {
            side: [Step(-1.0, 0.0, (0.0, sign * width, body.sole), sign * self.between(0.0, 0.35), 0.0)]
            for side, sign in SIGNS.items()
        }
        self.key(0.0, z=body.standing * self.between(0.99, 1.06), gaze=self.between(0.0, 0.8))
        for side in SIDES:
            self.arm(0.0, side, self.hanging())

    def between(self, low: float, high: float) -> float:
        """Draw uniformly from low to high."""
        return float(low + (high - low) * self.generator.random())

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self.generator.random() < probability)

    def pick(self, *options: Any) -> Any:
        """Draw one of the options, each as likely."""
        return options[int(self.generator.integers(len(options)))]

    def value(self, channel: str) -> float:
        """The last value set for a channel."""
        return self.knots[channel][-1][1]

    def key(self, time: float, **values: float) -> None:
        """Set the values of channels at a time, as far as the limits of acceleration allow."""
        for channel, value in values.items():
            knots = self.knots[channel]
            while len(knots) > 1 and knots[-1][0] > time - 1e-3:
                knots.pop()
            before, last = knots[-1]
            if time <= before:
                knots[-1] = (before, value)
                continue
            strength = _STRENGTH[channel]
            # From rest to rest along a cubic, the acceleration is at most 6 / time^2 times the way.
            far = strength * (time - before) ** 2 / 6
            knots.append((time, min(max(value, last - far), last + far)))

    def keep(self, time: float, channels: Iterable[str]) -> None:
        """Hold the last values of channels until a time."""
        for channel in channels:
            last, value = self.knots[channel][-1]
            if last < time - 1e-3:
                self.knots[channel].append((time, value))

    def unwind(self, channel: str, angle: float) -> None:
        """Subtract an angle (whole turns) from all values of a channel, so that it counts from 0 again."""
        self.knots[channel] = [(time, value - angle) for time, value in self.knots[channel]]

    def move(self, seconds: float, **values: float) -> None:
        """Move channels to values, from rest to rest, and advance the time."""
        self.keep(self.time, values)
        self.time += seconds
        self.key(self.time, **values)

    def wait(self, low: float, high: float) -> None:
        """Advance the time by a random number of seconds."""
        self.time += self.between(low, high)

    def trunk(
        self, bend: float, lean: float = 0.0, twist: float = 0.0, *, pelvis: float | None = None
    ) -> dict[str, float]:
        """Channels of a trunk bent forward, leaned right and turned left by these totals, spread over the spine.

        `pelvis` is the share of the bend that the hips take; how much of the rest is lumbar varies.
        """
        share = self.between(0.2, 0.7) if pelvis is None else pelvis
        lumbar = self.between(0.35, 0.75)
        # Hips that lean back are soon at the end of what thighs allow; the spine does the rest.
        pitch = max(bend * share, -0.15)
        spine = bend - pitch
        return {
            "pitch": pitch,
            "lumbar_bend": spine * lumbar,
            "chest_bend": spine * (1 - lumbar),
            "roll": lean * 0.2,
            "lumbar_lean": lean * 0.4,
            "chest_lean": lean * 0.4,
            "lumbar_twist": twist * 0.35,
            "chest_twist": twist * 0.65,
        }

    def arm(self, time: float, side: str, angles: ArmAngles) -> None:
        """Set the angles of an arm at a time."""
        self.key(time, **self.arm_channels(side, angles))

    def bring(self, side: str, angles: ArmAngles, start: float, end: float) -> None:
        """Hold an arm until `start`, then move it to these angles by `end`."""
        self.keep_arm(side, start)
        self.arm(end, side, angles)

    def keep_arm(self, side: str, time: float) -> None:
        """Hold the angles of an arm until a time."""
        self.keep(time, (f"{side}_{name}" for name in ("arm_forward", "arm_out", "arm_twist", "elbow")))

    def arm_channels(self, side: str, angles: ArmAngles) -> dict[str, float]:
        """Channels of one arm."""
        forward, out, twist, elbow = angles
        channels = {"arm_forward": forward, "arm_out": out, "arm_twist": twist, "elbow": elbow}
        return {f"{side}_{name}": value for name, value in channels.items()}

    def hanging(self) -> ArmAngles:
        """An arm at rest beside the body."""
        return ArmAngles(
            self.between(-0.25, 0.3), self.between(0.0, 0.4), self.between(-0.3, 0.6), self.between(0.1, 0.7)
        )

    def reaching(self, side: str, point: tuple[float, float, float], elbow_out: float = 0.5) -> ArmAngles:
        """The arm whose wrist is at a point of the chest's space, outward positive, in torso lengths from the neck."""
        body, sign = self.body, SIGNS[side]
        torso = body.torso
        up, front = body.collar_slope, body.collar_sweep
        shoulder = (
            body.collar * math.cos(up) * math.sin(front),
            body.collar * math.cos(up) * math.cos(front),
            body.collar * math.sin(up),
        )
        target = tuple(torso * value - own for value, own in zip(point, shoulder, strict=True))
        return elbow_angles((target[0], sign * target[1], target[2]), elbow_out, body.upper_arm, body.forearm, sign)

    def leg(self, side: str, thigh: float, out: float, twist: float, knee: float) -> dict[str, float]:
        """Channels of a free leg, by the angle of its thigh (forward of the pelvis's down) and its knee."""
        body, thigh = self.body, min(max(thigh, -0.6), 2.2)
        behind = math.atan2(body.shank * math.sin(knee), body.thigh + body.shank * math.cos(knee))
        channels = {"leg_forward": thigh - behind, "leg_out": out, "leg_twist": twist, "knee": knee, "free": 1.0}
        return {f"{side}_{name}": value for name, value in channels.items()}

    def stand_channels(self, height: float = 1.04) -> dict[str, float]:
        """Channels of the pelvis for an upright stand where the body is now."""
        z = self.body.standing * height
        level = dict.fromkeys(("pitch", "roll", "lumbar_bend", "lumbar_lean", "lumbar_twist"), 0.0)
        level |= dict.fromkeys(("chest_bend", "chest_lean", "chest_twist", "head_bend", "head_lean", "head_twist"), 0.0)
        return {"x": self.x, "y": self.y, "z": z, "yaw": self.heading, **level}

    def step(
        self,
        side: str,
        start: float,
        seconds: float,
        place: tuple[float, float],
        yaw: float,
        lift: float,
        z: float = 0.0,
    ) -> None:
        """Step to a place: the foot leaves the ground at `start`. `z` is the height of the ground at the place."""
        steps = self.steps[side]
        start = max(start, steps[-1].end + 1e-3)
        end = start + max(seconds, 0.12)
        steps.append(Step(start, end, (place[0], place[1], self.body.sole + z), yaw, lift))

    def step_within_reach(
        self, side: str, start: float, seconds: float, place: tuple[float, float], yaw: float, lift: float
    ) -> None:
        """Step towards a place, no further from the other foot than the legs can straddle."""
        other, most = self.foothold(OTHER[side]), 1.1 * self.body.leg
        away = math.dist(place, other[:2])
        share = min(1.0, most / max(away, 1e-6))
        x, y = (there + share * (here - there) for here, there in zip(place, other, strict=False))
        self.step(side, start, seconds, (x, y), yaw, lift)

    def foothold(self, side: str) -> tuple[float, float, float]:
        """Where the foot is, or will be after its last step."""
        return self.steps[side][-1].place

    def go_over_feet(self, left: float = 0.5) -> None:
        """Put the target of the next movement between the footholds; `left` is the left foot's share of the weight."""
        a, b = self.foothold("left"), self.foothold("right")
        self.x, self.y = left * a[0] + (1 - left) * b[0], left * a[1] + (1 - left) * b[1]

    def beside(self, forward: float, left: float) -> tuple[float, float]:
        """The point on the ground at these distances ahead of the body and to its left."""
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        return self.x + forward * cos - left * sin, self.y + forward * sin + left * cos

    def footwork(self, times: Float[Array, " frames"]) -> Feet:
        """Evaluate the steps of both feet."""
        ankles, yaws, bearings = [], [], []
        for side in SIDES:
            steps = self.steps[side]
            table = np.array([(step.start, step.end, *step.place, step.yaw, step.lift) for step in steps])
            now = np.maximum(np.searchsorted(table[:, 0], times, side="right") - 1, 0)
            before = np.maximum(now - 1, 0)
            start, end = table[now, 0], table[now, 1]
            phase = np.clip((times - start) / (end - start), 0.0, 1.0)
            share = minimum_jerk(phase)[:, None]
            pose = (1 - share) * table[before, 2:6] + share * table[now, 2:6]
            pose[:, 2] += table[now, 6] * swing_height(phase)
            ankles.append(pose[:, :3])
            yaws.append(pose[:, 3])
            air = np.clip(np.minimum(times - start, end - times) / _LOADING, 0.0, 1.0)
            bearings.append(1 - air**2 * (3 - 2 * air))
        return Feet(np.stack(ankles, axis=1), np.stack(yaws, axis=1), np.stack(bearings, axis=1))
