"""Joint angles, their limits learned from poses, and draws that keep within them (numpy; torch inside)."""

__all__ = ["JOINT_ANGLES", "JointLimits", "draw_within", "joint_angles"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from vipe.arrays import Array
from vipe.embed.encoder import check_rows
from vipe.errors import VipeError
from vipe.geometry.bones import bone_vectors
from vipe.geometry.canonical import canonical_rotation
from vipe.skeletons.working import BONES, H36M17

_FEWEST = 100  # poses: with fewer, a 0.001 quantile is the extreme of a handful
_DRAWS = 32  # draws of `count`, before limits are reported to leave too few

_BALL = ("forward", "outward", "up")
JOINT_ANGLES: tuple[str, ...] = (
    *(f"{side} hip {way}" for side in ("left", "right") for way in _BALL),
    *(f"{side} knee {way}" for side in ("left", "right") for way in ("bend", "forward", "outward")),
    *(f"{side} shoulder {way}" for side in ("left", "right") for way in _BALL),
    *(f"{side} elbow bend" for side in ("left", "right")),
    *(f"{side} collarbone {way}" for side in ("left", "right") for way in ("forward", "up")),
    *(f"trunk {way}" for way in ("forward", "right", "twist")),
    *(f"neck {way}" for way in ("forward", "right")),
    *(f"head {way}" for way in ("forward", "right")),
    "head bend",
)
"""Names of the angles of `joint_angles`, in order."""


def joint_angles(poses: Float[Array, "N 17 3"]) -> Float32[Array, "N angles"]:
    """Angles between neighbouring bones, radians, named by `JOINT_ANGLES`; independent of the body's size and place.

    `bend` is the angle between two bones, 0 where they are straight. The other names are elevation angles: of a bone
    out of a plane of its parent part, forward, outward (away from the midline), right or up, from -90 to 90 degrees.
    The parent part of legs and chest is the pelvis (hips and spine), that of arms, neck and head the chest (thorax and
    shoulders), that of a shank its thigh. Elevation angles are continuous; flexion and abduction in sequence are not.

    Raises:
        ShapeError: If the poses are not (N, 17, 3).
    """
    check_rows("poses", poses, (17, 3))
    vectors = bone_vectors(torch.tensor(poses, dtype=torch.float32), H36M17.parents)
    bones = dict(zip(BONES, torch.nn.functional.normalize(vectors, dim=-1).unbind(-2), strict=True))
    pelvis, _ = canonical_rotation(bones["right_hip"] - bones["left_hip"], bones["spine"])
    chest, _ = canonical_rotation(bones["right_shoulder"] - bones["left_shoulder"], bones["thorax"])
    found: dict[str, Tensor] = {}
    for side, out in (("left", -1.0), ("right", 1.0)):
        thigh, shank, arm = (bones[f"{side}_{joint}"] for joint in ("knee", "ankle", "elbow"))
        for name, part, bone in (("hip", pelvis, thigh), ("shoulder", chest, arm)):
            x, y, z = _into(part, bone).unbind(-1)
            rises = dict(zip(_BALL, (-x, out * y, z), strict=True))
            found.update({f"{side} {name} {way}": _rise(value) for way, value in rises.items()})
        # No joint gives the knee's axis: take the pelvis' sideways axis, made orthogonal to the thigh.
        across = out * pelvis[..., 1, :]
        across = torch.nn.functional.normalize(across - (across * thigh).sum(-1, keepdim=True) * thigh, dim=-1)
        ahead = out * torch.linalg.cross(across, thigh)
        found[f"{side} knee bend"] = _angle(thigh, shank)
        found[f"{side} knee forward"] = _rise((shank * ahead).sum(-1))
        found[f"{side} knee outward"] = _rise((shank * across).sum(-1))
        found[f"{side} elbow bend"] = _angle(arm, bones[f"{side}_wrist"])
        x, _, z = _into(chest, bones[f"{side}_shoulder"]).unbind(-1)
        found[f"{side} collarbone forward"], found[f"{side} collarbone up"] = _rise(-x), _rise(z)
    for name, part, joint in (("trunk", pelvis, "thorax"), ("neck", chest, "nose"), ("head", chest, "head")):
        x, y, _ = _into(part, bones[joint]).unbind(-1)
        found[f"{name} forward"], found[f"{name} right"] = _rise(-x), _rise(y)
    found["trunk twist"] = _rise(-_into(pelvis, chest[..., 1, :])[..., 0])
    found["head bend"] = _angle(bones["nose"], bones["head"])
    return np.asarray(torch.stack([found[name] for name in JOINT_ANGLES], dim=-1).numpy())


@dataclass(frozen=True, kw_only=True)
class JointLimits:
    """The range of each joint angle, the same for left and right."""

    low: Float32[Array, " angles"]  # radians
    high: Float32[Array, " angles"]

    @classmethod
    def learn(
        cls, poses: Float[Array, "N 17 3"], *, quantile: float = 0.001, slack: float = math.radians(3)
    ) -> "JointLimits":
        """Learn the ranges from poses and their mirror images.

        Args:
            poses: Recorded poses, any size and place.
            quantile: Share of poses beyond each end, which are taken for errors of capture.
            slack: Radians added at both ends, since no archive holds the extremes of all bodies.

        Raises:
            VipeError: If there are fewer than 100 poses, or the quantile is not from 0 to below a half.
        """
        if len(poses) < _FEWEST:
            raise VipeError(f"joint limits are learned from at least {_FEWEST} poses, got {len(poses)}")
        if not 0 <= quantile < 0.5:
            raise VipeError(f"quantile must be at least 0 and below 0.5, got {quantile}")
        mirrored = poses[:, list(H36M17.mirrored)] * np.array([1.0, -1.0, 1.0], np.float32)
        angles = np.concatenate([joint_angles(poses), joint_angles(mirrored)])
        low, high = np.quantile(angles, [quantile, 1 - quantile], axis=0).astype(np.float32)
        return cls(low=low - np.float32(slack), high=high + np.float32(slack))

    def within(self, poses: Float[Array, "N 17 3"]) -> Bool[Array, "N angles"]:
        """For each pose and angle, whether the angle is in its range."""
        angles = joint_angles(poses)
        return np.asarray((angles >= self.low) & (angles <= self.high))

    def broken(self, poses: Float[Array, "N 17 3"]) -> list[list[str]]:
        """For each pose, the names of the angles out of their range."""
        return [[JOINT_ANGLES[angle] for angle in np.flatnonzero(~row)] for row in self.within(poses)]


def draw_within(
    draw: Callable[[int], Float32[Array, "number steps 17 3"]],
    count: int,
    limits: JointLimits | None,
    source: Float[Array, "17 3"] | None,
) -> Float32[Array, "count steps 17 3"]:
    """Draw sequences of poses until `count` of them are within the limits at all steps.

    Args:
        draw: Draws a number of sequences.
        count: Sequences to return.
        limits: None draws once.
        source: Angles that this pose has out of range are not checked.

    Raises:
        VipeError: If 32 draws do not give enough.
    """
    if limits is None:
        return draw(count)
    ignored = np.zeros(1, bool) if source is None else ~limits.within(source[None])
    kept: list[Array] = []
    for _ in range(_DRAWS):
        drawn = draw(count)
        within = (limits.within(drawn.reshape(-1, 17, 3)) | ignored).all(axis=1)
        kept += list(drawn[within.reshape(drawn.shape[:2]).all(axis=1)])
        if len(kept) >= count:
            return np.stack(kept[:count])
    raise VipeError(
        f"joint limits: {len(kept)} of {_DRAWS * count} drawn are within them, {count} are needed; "
        "use a smaller count or alpha, or no limits"
    )


def _into(part: Float[Tensor, "N 3 3"], bone: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    return (part @ bone[..., None])[..., 0]


def _rise(sine: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    return sine.clamp(-1, 1).asin()


def _angle(a: Float[Tensor, "N 3"], b: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
    return torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1))
