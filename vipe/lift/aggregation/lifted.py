"""What is lifted of people: hypotheses, one pose and modes of each; and the motions of those tracked (numpy)."""

__all__ = ["LiftedPeople", "LiftedTrack", "check_height", "lift_people", "lift_tracks", "to_world"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from vipe.arrays import Array
from vipe.detections import Keypoints, follow, frame_numbers
from vipe.errors import VipeError
from vipe.geometry.bones import bone_lengths
from vipe.geometry.upright import stature
from vipe.lift.aggregation.few_poses import Modes, modes
from vipe.lift.aggregation.one_pose import weak_perspective
from vipe.lift.aggregation.track import body_lengths, smooth_track
from vipe.lift.hypotheses import Hypotheses
from vipe.lift.lifter import Lifter
from vipe.skeletons.working import COCO13, H36M17

_SHORTEST, _TALLEST = 0.3, 3.0  # metres; nobody is, so the unit is another one
_DIGITS = 4  # of metres, in JSON

_FAR = 0.36
"""`LiftedPeople.misfit` above which keypoints are doubted. Of 18,000 simulated people of `val` clips (noise up to 0.06,
up to four limb joints missing; 50 samples of `default`) none reached it; of 200 clouds of 13 random points more than
half did."""


@dataclass(frozen=True, kw_only=True)
class LiftedPeople:
    """The answer for N people, each in one image. Poses are in camera space, metres of a person of reference size.

    `of_height` gives metres of people of a known height.
    """

    people: Keypoints  # on coco13
    hypotheses: Hypotheses  # N, M each
    prediction: Float32[Array, "N 17 3"]  # the lifter's single pose
    modes: tuple[Modes, ...]

    def __len__(self) -> int:
        return len(self.people)

    def spread(self) -> Float64[Array, "N 17"]:
        """Standard deviation of each joint over the hypotheses, metres: the root of the trace of its covariance."""
        return np.asarray(np.sqrt(np.trace(self.hypotheses.spread().astype(np.float64), axis1=-2, axis2=-1)))

    def misfit(self) -> Float64[Array, " N"]:
        """How far the seen keypoints are from the hypothesis that fits them best, against their own extent.

        Root mean squares: of the distances after the best scale and shift (`weak_perspective`), and of the keypoints'
        distances from their mean.
        """
        seen = torch.tensor(self.people.mask)
        xy = torch.where(seen[..., None], torch.tensor(self.people.xy), 0.0)
        drawn, _ = weak_perspective(torch.tensor(self.hypotheses.poses), xy[:, None], seen[:, None])
        own = _mean_square(xy - _middle(xy, seen)[:, None], seen)
        off = _mean_square(drawn - xy[:, None], seen[:, None]).amin(1)
        misfit: Float64[Array, " N"] = (off / own).sqrt().numpy().astype(np.float64)
        return misfit

    def doubts(self) -> tuple[str, ...]:
        """A line for each person whose keypoints fit none of the hypotheses, as those of no person do."""
        return tuple(
            f"{plain(image)} person {person}: keypoints fit no lifted pose (off by {share:.0%} of their own extent): "
            "joints of two people, exchanged joints, or nobody"
            for image, person, share in zip(self.people.image_id, self.people.person, self.misfit(), strict=True)
            if share > _FAR
        )

    def of_height(self, height: float) -> "LiftedPeople":
        """The same people, each as tall as told: every person's lengths times one factor.

        The factor takes the stature of the person's own lifted bones (`stature`) to the height. So it is right for a
        person whose proportions were lifted rightly: one image does not tell them well.

        Args:
            height: From the ground to the crown, metres.

        Raises:
            VipeError: If the height is none of a person in metres.
        """
        check_height(height)
        lengths = [body_lengths(self.hypotheses[row : row + 1]) for row in range(len(self))]
        factor = (height / stature(np.array(lengths).reshape(len(self), len(H36M17.bones)))).astype(np.float32)
        return replace(
            self,
            hypotheses=replace(self.hypotheses, poses=factor[:, None, None, None] * self.hypotheses.poses),
            prediction=factor[:, None, None] * self.prediction,
            modes=tuple(replace(one, poses=own * one.poses) for one, own in zip(self.modes, factor, strict=True)),
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values of each person, poses in world space (`to_world`), metres."""
        spread, misfit = 1000 * self.spread(), self.misfit()
        return [
            {
                "image_id": plain(self.people.image_id[row]),
                "person": int(self.people.person[row]),
                "not_seen": [
                    joint for joint, seen in zip(COCO13.joints, self.people.mask[row], strict=True) if not seen
                ],
                "misfit": round(float(misfit[row]), _DIGITS),
                "joints": list(H36M17.joints),
                "prediction": _rounded(to_world(self.prediction[row])),
                "modes": [
                    {"share": round(float(share), 4), "pose": _rounded(to_world(pose))}
                    for pose, share in zip(found.poses, found.share, strict=True)
                ],
                "spread_mm": {
                    joint: round(float(own), 1) for joint, own in zip(H36M17.joints, spread[row], strict=True)
                },
            }
            for row, found in enumerate(self.modes)
        ]


@dataclass(frozen=True, kw_only=True)
class LiftedTrack:
    """The motion of one tracked person: every frame from the first sighting to the last, camera space."""

    number: int
    fps: float
    frame: Int64[Array, " frames"]  # of the video
    seen: Bool[Array, " frames"]  # whether the person was; poses between are interpolated
    poses: Float32[Array, "frames 17 3"]  # metres of a person of reference size, pelvis at the origin
    spread: Float64[Array, " 17"]  # of the joints over the hypotheses of a frame, metres; mean over the seen frames

    def __len__(self) -> int:
        return len(self.frame)

    def of_height(self, height: float) -> "LiftedTrack":
        """The same motion of a person as tall as told; see `LiftedPeople.of_height`.

        Raises:
            VipeError: If the height is none of a person in metres.
        """
        check_height(height)
        factor = float(height / stature(bone_lengths(torch.from_numpy(self.poses[0]), H36M17.parents).numpy()))
        return replace(self, poses=np.float32(factor) * self.poses, spread=factor * self.spread)

    def to_json(self) -> dict[str, Any]:
        """Plain values, poses in world space (`to_world`), metres."""
        spread = zip(H36M17.joints, 1000 * self.spread, strict=True)
        return {
            "track": self.number,
            "fps": self.fps,
            "frames": self.frame.tolist(),
            "seen": self.seen.tolist(),
            "joints": list(H36M17.joints),
            "poses": _rounded(to_world(self.poses)),
            "spread_mm": {joint: round(float(own), 1) for joint, own in spread},
        }


def lift_people(lifter: Lifter, people: Keypoints, n: int, generator: torch.Generator) -> LiftedPeople:
    """Sample hypotheses of each person, and find their modes and the lifter's single pose.

    Args:
        lifter: Any.
        people: On a skeleton that converts to coco13; leave out those for whom `skip_reasons` has one.
        n: Hypotheses a person.
        generator: For every draw.

    Raises:
        ShapeError: If a person cannot be lifted.
        VipeError: If `n` is below 1.
    """
    hypotheses = lifter.sample(people, n, generator)
    return LiftedPeople(
        people=people.to(COCO13),
        hypotheses=hypotheses,
        prediction=lifter.predict(people),
        modes=modes(hypotheses),
    )


def lift_tracks(
    lifter: Lifter, people: Keypoints, n: int, generator: torch.Generator, fps: float
) -> tuple[LiftedTrack, ...]:
    """Follow the people of a video (`follow`), and make one smooth motion of each (`smooth_track`).

    A person to whom a tracker gave no track has a track of one frame. Of several rows of a track in one frame the first
    counts.

    Args:
        lifter: Any.
        people: Of all frames; leave out those for whom `skip_reasons` has one.
        n: Hypotheses of each person in each frame; 200 of them take 40 kB.
        generator: For every draw.
        fps: Frames a second.

    Returns:
        The tracks, by first frame.

    Raises:
        ShapeError: If a person cannot be lifted.
        VipeError: If `n` is below 1, `fps` is not above 0, or these are photos, not the frames of a video.
    """
    if not 0 < fps < np.inf:
        raise VipeError(f"tracks need a finite fps above 0, the frames a second of the video, got {fps}")
    if not len(people):
        return ()
    number = frame_numbers(people)
    track = follow(people)
    alone = track < 0
    track[alone] = track.max() + 1 + np.arange(alone.sum())
    found = []
    for one in np.unique(track):
        rows = np.flatnonzero(track == one)
        frame, first = np.unique(number[rows], return_index=True)
        hypotheses = lifter.sample(people[rows[first]], n, generator)
        poses = smooth_track(hypotheses, fps, frame=frame)
        every = np.arange(frame[0], frame[-1] + 1)
        spread = np.sqrt(np.trace(hypotheses.spread().astype(np.float64), axis1=-2, axis2=-1)).mean(axis=0)
        seen = np.isin(every, frame)
        found.append(LiftedTrack(number=int(one), fps=fps, frame=every, seen=seen, poses=poses, spread=spread))
    return tuple(sorted(found, key=lambda track: (int(track.frame[0]), track.number)))


def to_world(poses: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    """Camera space (x right, y down, z forward) as a world with z up: x right, y away from the camera.

    The camera is taken as level. If it looks down on the person, or is rolled, the poses lean by that angle.

    >>> to_world(np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 3.0, -2.0]
    """
    return np.asarray(poses[..., [0, 2, 1]] * np.array([1, 1, -1], dtype=poses.dtype))


def check_height(height: float) -> None:
    """Refuse a height that is none of a person in metres.

    Raises:
        VipeError: If it is not.
    """
    if not _SHORTEST <= height <= _TALLEST:
        raise VipeError(f"height must be {_SHORTEST:g} to {_TALLEST:g} metres, got {height:g}; is it in another unit?")


def plain(image_id: Any) -> Any:
    """A numpy number as Python's own, which JSON knows."""
    return image_id.item() if isinstance(image_id, np.generic) else image_id


def _rounded(poses: Float[Array, "*batch 3"]) -> Sequence[Any]:
    values: Sequence[Any] = (poses.astype(np.float64).round(_DIGITS) + 0.0).tolist()  # 0.0 in place of -0.0
    return values


def _middle(xy: Float[Tensor, "N 13 2"], seen: Bool[Tensor, "N 13"]) -> Float[Tensor, "N 2"]:
    return torch.where(seen[..., None], xy, 0.0).sum(1) / seen.sum(1, keepdim=True)


def _mean_square(offset: Float[Tensor, "*batch 13 2"], seen: Bool[Tensor, "*#batch 13"]) -> Float[Tensor, "*batch"]:
    return torch.where(seen, offset.square().sum(-1), 0.0).sum(-1) / seen.sum(-1)
