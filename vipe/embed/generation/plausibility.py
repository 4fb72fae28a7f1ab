"""Whether made-up poses are ones a body takes: joint limits learned from data, the nearest recorded pose (numpy)."""

__all__ = ["JOINT_ANGLES", "JointLimits", "joint_angles", "nearest_poses"]

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from vipe.arrays import Array
from vipe.embed.encoder import check_rows
from vipe.errors import VipeError
from vipe.geometry.bones import bone_vectors
from vipe.geometry.canonical import canonical_rotation, canonicalize_array
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.skeletons import load

_BODY = load("h36m17")
_BONES = [_BODY.joints[child] for _, child in _BODY.bones]
_FEWEST = 100  # poses; fewer say nothing of a joint's range
_PAIRS = 1 << 20  # compared at a time: bounds memory

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
"""Names of the angles that `joint_angles` gives, in order."""


def joint_angles(poses: Float[Array, "N 17 3"]) -> Float32[Array, "N angles"]:
    """Angles between neighbouring bones, radians, named by `JOINT_ANGLES`; the body's size and place do not matter.

    `bend` is the angle between two bones, 0 where they go straight on. The other words name the angle by which a bone
    rises out of a plane of the part of the body that it hangs on: forward, outward (away from the midline), right and
    up, each from -90 to 90 degrees. Legs hang on the pelvis (hips and spine), arms, neck and head on the chest (thorax
    and shoulders), the chest on the pelvis, a shank on its thigh. Such angles have no place where they jump, as
    flexion and abduction in turn have.

    Raises:
        ShapeError: If the poses are not (N, 17, 3).
    """
    check_rows("poses", poses, (17, 3))
    vectors = bone_vectors(torch.tensor(poses, dtype=torch.float32), _BODY.parents)
    bones = dict(zip(_BONES, torch.nn.functional.normalize(vectors, dim=-1).unbind(-2), strict=True))
    pelvis, _ = canonical_rotation(bones["right_hip"] - bones["left_hip"], bones["spine"])
    chest, _ = canonical_rotation(bones["right_shoulder"] - bones["left_shoulder"], bones["thorax"])
    found: dict[str, Tensor] = {}
    for side, out in (("left", -1.0), ("right", 1.0)):
        thigh, shank, arm = (bones[f"{side}_{joint}"] for joint in ("knee", "ankle", "elbow"))
        for name, part, bone in (("hip", pelvis, thigh), ("shoulder", chest, arm)):
            x, y, z = _into(part, bone).unbind(-1)
            rises = dict(zip(_BALL, (-x, out * y, z), strict=True))
            found.update({f"{side} {name} {way}": _rise(value) for way, value in rises.items()})
        # The knee's own axis is not among the joints; the pelvis' side, made square to the thigh, stands for it.
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
        """The ranges that poses and their mirror images keep to.

        Args:
            poses: Recorded ones, any size and place.
            quantile: Share of them that lies beyond each end: broken frames, not bodies.
            slack: Radians by which both ends are moved outward, as no archive holds the very last degree.

        Raises:
            VipeError: If there are fewer than 100 poses, or the quantile is not from 0 to below a half.
        """
        if len(poses) < _FEWEST:
            raise VipeError(f"joint limits are learned from at least {_FEWEST} poses, got {len(poses)}")
        if not 0 <= quantile < 0.5:
            raise VipeError(f"quantile must be at least 0 and below 0.5, got {quantile}")
        mirrored = poses[:, list(_BODY.mirrored)] * np.array([1.0, -1.0, 1.0], np.float32)
        angles = np.concatenate([joint_angles(poses), joint_angles(mirrored)])
        low, high = np.quantile(angles, [quantile, 1 - quantile], axis=0).astype(np.float32)
        return cls(low=low - np.float32(slack), high=high + np.float32(slack))

    def within(self, poses: Float[Array, "N 17 3"]) -> Bool[Array, "N angles"]:
        """Of each pose, which angles are in their range; a plausible pose has all."""
        angles = joint_angles(poses)
        return np.asarray((angles >= self.low) & (angles <= self.high))

    def broken(self, poses: Float[Array, "N 17 3"]) -> list[list[str]]:
        """Of each pose, the names of the angles out of their range."""
        return [[JOINT_ANGLES[angle] for angle in np.flatnonzero(~row)] for row in self.within(poses)]


def nearest_poses(
    poses: Float[Array, "N 17 3"], recorded: Float[Array, "M 17 3"], *, apart: Bool[Array, "N M"] | None = None
) -> tuple[Float32[Array, " N"], Int64[Array, " N"]]:
    """Distance to the nearest recorded pose, in torso lengths, and its row: small means that somebody did this.

    The distance is the mean over joints after similarity alignment of the canonical poses, as for hits.

    Args:
        poses: Any size and place.
        recorded: What to compare with, all of it; at least one.
        apart: Which pairs count; all if not given.

    Raises:
        VipeError: If a pose has nothing to be compared with.
    """
    if not len(recorded) or (apart is not None and not apart.any(axis=1).all()):
        raise VipeError("there is no recorded pose to compare with")
    one, other = (torch.from_numpy(canonicalize_array(side).poses) for side in (poses, recorded))
    distance, row = np.empty(len(one), np.float32), np.empty(len(one), np.int64)
    step = max(1, _PAIRS // len(other))
    for start in range(0, len(one), step):
        rows = slice(start, start + step)
        pairs = procrustes_mpjpe(other, one[rows, None]).numpy()
        if apart is not None:
            pairs = np.where(apart[rows], pairs, np.inf)
        row[rows] = pairs.argmin(axis=1)
        distance[rows] = pairs.min(axis=1)
    return distance, row


def _into(part: Float[Tensor, "N 3 3"], bone: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    return (part @ bone[..., None])[..., 0]


def _rise(sine: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    return sine.clamp(-1, 1).asin()


def _angle(a: Float[Tensor, "N 3"], b: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
    return torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1))
