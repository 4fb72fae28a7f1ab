"""Bodies of many sizes, what their joints allow, and the channels that pose them (numpy)."""

__all__ = ["CHANNELS", "LIMITS", "OTHER", "SIDED", "SIDES", "SIGNS", "UNSIDED", "Body", "limit", "sample_body"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.skeletons.working import without_side

SIDES = ("left", "right")
SIGNS = {"left": 1, "right": -1}
"""Left is +y."""
OTHER = {"left": "right", "right": "left"}

UNSIDED = (
    *("x", "y", "z"),  # pelvis in the world, metres
    *("yaw", "pitch", "roll", "spin"),  # pelvis: turn left, lean forward, lean right, and about its own long axis
    *("lumbar_bend", "lumbar_lean", "lumbar_twist"),  # on the pelvis: forward, right, left
    *("chest_bend", "chest_lean", "chest_twist"),  # on the lumbar spine
    *("head_bend", "head_lean", "head_twist"),  # on the chest, shared by neck and head
    "rest",  # 1: the body lies on the ground by its lowest part, 0: it stands where z says
    "gaze",  # 1: the head makes up for the lean of the trunk, 0: it goes with it
)
SIDED = (
    *("shrug", "protract"),  # collar bone: up, forward
    *("arm_forward", "arm_out", "arm_twist", "elbow"),  # swing of the upper arm, inward turn, flexion
    *("leg_forward", "leg_out", "leg_twist", "knee"),  # swing of the line hip-ankle, knee outward, flexion
    "free",  # 1: the leg is posed by its angles, 0: the ankle is where the foothold is
    "tiptoe",  # metres by which the heel is raised
    "hold",  # 1: the wrist is at hold_x, hold_y, hold_z in the world, 0: the arm is posed by its angles
    *("hold_x", "hold_y", "hold_z"),
)
CHANNELS = (*UNSIDED, *(f"{side}_{name}" for side in SIDES for name in SIDED))

# Ranges of motion of healthy adults, degrees, rounded (American Academy of Orthopaedic Surgeons 1965; Kapandji,
# The Physiology of the Joints). `arm_*` and `leg_*` are components of one swing, so that they may be large together.
_LIMITS_DEG = {
    "lumbar_bend": (-30, 60),
    "lumbar_lean": (-30, 30),
    "lumbar_twist": (-25, 25),
    "chest_bend": (-25, 45),
    "chest_lean": (-25, 25),
    "chest_twist": (-40, 40),
    "head_bend": (-60, 55),
    "head_lean": (-40, 40),
    "head_twist": (-75, 75),
    "shrug": (-12, 40),
    "protract": (-25, 30),
    "arm_forward": (-65, 170),
    "arm_out": (-55, 170),
    "arm_twist": (-100, 110),
    "elbow": (2, 150),
    "leg_forward": (-60, 125),
    "leg_out": (-35, 90),
    "leg_twist": (-45, 60),
    "knee": (2, 150),
}
LIMITS = {name: (float(np.deg2rad(low)), float(np.deg2rad(high))) for name, (low, high) in _LIMITS_DEG.items()}


@dataclass(frozen=True, kw_only=True)
class Body:
    """Segment lengths of one person, metres; offsets point forward, left, up in the space of the part they hang on."""

    name: str
    height: float
    hip: float  # hip joint from the midline
    thigh: float
    shank: float
    sole: float  # ankle above the ground
    lumbar: tuple[float, float, float]  # pelvis to the middle of the spine
    chest: tuple[float, float, float]  # middle of the spine to the base of the neck
    collar: float  # base of the neck to the shoulder joint
    collar_slope: float  # of the collar bone at rest: up, radians
    collar_sweep: float  # forward, radians
    upper_arm: float
    forearm: float
    neck: tuple[float, float, float]  # base of the neck to the skull's joint
    nose: tuple[float, float, float]  # skull's joint to the tip of the nose
    crown: tuple[float, float, float]  # skull's joint to the top of the head

    @property
    def leg(self) -> float:
        """Hip to ankle, stretched."""
        return self.thigh + self.shank

    @property
    def arm(self) -> float:
        """Shoulder to wrist, stretched."""
        return self.upper_arm + self.forearm

    @property
    def torso(self) -> float:
        """Pelvis to the base of the neck along the spine."""
        return float(np.linalg.norm(self.lumbar) + np.linalg.norm(self.chest))

    @property
    def standing(self) -> float:
        """Height of the pelvis over the ground with straight legs."""
        return self.leg + self.sole


def sample_body(name: str, generator: np.random.Generator) -> Body:
    """Draw a person of 1.50 to 2.00 m.

    Segments are fractions of the height (Drillis & Contini 1966, as in Winter, Biomechanics and Motor Control of
    Human Movement, fig. 4.1), each varied by some percent; where one joint ends and the next begins differs among
    people as among the rigs of motion capture, so the spine's and the collar bones' resting lines vary as well.
    """
    height = float(np.clip(generator.normal(1.72, 0.10), 1.50, 2.00))

    def part(fraction: float, spread: float = 0.04) -> float:
        return height * fraction * float(np.clip(generator.normal(1.0, spread), 1 - 2.5 * spread, 1 + 2.5 * spread))

    def tilted(length: float, degrees: float, spread: float) -> tuple[float, float, float]:
        angle = np.deg2rad(generator.normal(degrees, spread))
        return (length * float(np.sin(angle)), 0.0, length * float(np.cos(angle)))

    return Body(
        name=name,
        height=height,
        hip=part(0.052, 0.08),
        thigh=part(0.245),
        shank=part(0.246),
        sole=part(0.045, 0.08),
        lumbar=tilted(part(0.145, 0.06), -4.0, 4.0),
        chest=tilted(part(0.155, 0.06), 3.0, 4.0),
        collar=part(0.105, 0.06),
        collar_slope=float(np.deg2rad(generator.normal(-18.0, 6.0))),
        collar_sweep=float(np.deg2rad(generator.normal(2.0, 6.0))),
        upper_arm=part(0.172),
        forearm=part(0.146),
        neck=tilted(part(0.06, 0.08), 15.0, 5.0),
        nose=(part(0.065, 0.1), 0.0, part(0.03, 0.15)),
        crown=(part(0.005, 0.1), 0.0, part(0.10, 0.05)),
    )


def limit(controls: Float[Array, "frames channels"]) -> Float[Array, "frames channels"]:
    """Press every joint angle into its range, smoothly: untouched in the inner nine tenths, never past the end."""
    limited = controls.copy()
    inner = 0.9
    unit = (controls[:, _LIMITED] - _CENTRE) / _HALF
    size = np.abs(unit)
    outer = size > inner
    if outer.any():
        pressed = inner + (1 - inner) * np.tanh((size[outer] - inner) / (1 - inner))
        unit[outer] = np.copysign(pressed, unit[outer])
        limited[:, _LIMITED] = _CENTRE + _HALF * unit
    return limited


_BOUNDS = [LIMITS.get(without_side(name)) for name in CHANNELS]
_LIMITED = np.array([i for i, bounds in enumerate(_BOUNDS) if bounds is not None])
_CENTRE = np.array([(bounds[0] + bounds[1]) / 2 for bounds in _BOUNDS if bounds is not None])
_HALF = np.array([(bounds[1] - bounds[0]) / 2 for bounds in _BOUNDS if bounds is not None])
