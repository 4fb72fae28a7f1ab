"""What a lifter knows of a person: normalized keypoints, which of them are seen, and how sure each is (torch)."""

__all__ = ["FEATURES", "NOMINAL_NOISE", "Condition", "skip_reasons"]

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError
from vipe.skeletons.working import COCO13, COCO13_MIRRORED

NOMINAL_NOISE = 0.03
"""RMS radii: the standard deviation that a keypoint's is compared with, about 1.5 cm for a standing person."""

FEATURES = len(COCO13) * (2 + 1 + 3) + 1
"""Numbers in `Condition.features`."""

_LEAST_VARIANCE = 1e-6  # squared RMS radii: exact keypoints have a covariance of 0, which has no logarithm
_FEWEST = 4  # keypoints: three have an affine image of any three joints


@dataclass(frozen=True)
class Condition:
    """The keypoints of some people, centred and of unit RMS radius.

    `covariance` is that of each keypoint's error, in squared RMS radii. Where a detector gave none (`known` is False)
    it is 0, and a lifter assumes the errors that it was trained with.
    """

    xy: Float[Tensor, "batch 13 2"]  # RMS radii, x right, y down; 0 where not seen
    seen: Bool[Tensor, "batch 13"]
    covariance: Float[Tensor, "batch 13 2 2"]  # 0 where not seen
    known: Bool[Tensor, " batch"]  # whether the covariance is

    @classmethod
    def of(cls, keypoints: Keypoints, device: torch.device | str = "cpu") -> "Condition":
        """Normalize keypoints of any skeleton that converts to coco13: from numpy to torch.

        Raises:
            ShapeError: If a person has fewer than four seen keypoints, or all at one place; names the row.
            SkeletonError: If the skeleton does not convert to coco13.
        """
        keypoints = keypoints.to(COCO13)
        xy, _, radius = normalize_keypoints(keypoints)
        usable = (radius > 0) & (keypoints.mask.sum(axis=1) >= _FEWEST)
        if not usable.all():
            row = int(np.argmin(usable))
            raise ShapeError(
                f"person {row} cannot be lifted: it has {int(keypoints.mask[row].sum())} seen keypoints, expected "
                f"{_FEWEST} or more, not all at one place; leave it out"
            )
        covariance = np.zeros((*xy.shape, 2), dtype=np.float32)
        known = keypoints.covariance is not None
        if keypoints.covariance is not None:
            covariance = (keypoints.covariance / radius[:, None, None, None].astype(np.float64) ** 2).astype(np.float32)
            covariance[~keypoints.mask] = 0
        return cls(
            torch.tensor(xy, device=device),
            torch.tensor(keypoints.mask, device=device),
            torch.tensor(covariance, device=device),
            torch.full((len(xy),), known, device=device),
        )

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, rows: slice | Int[Tensor, " rows"] | Bool[Tensor, " batch"]) -> "Condition":
        return Condition(self.xy[rows], self.seen[rows], self.covariance[rows], self.known[rows])

    def mirrored(self) -> "Condition":
        """The mirror images of the people: x negated, left and right exchanged."""
        order = list(COCO13_MIRRORED)
        flip = self.xy.new_tensor([-1.0, 1.0])
        covariance = self.covariance[:, order] * torch.outer(flip, flip)
        return Condition(self.xy[:, order] * flip, self.seen[:, order], covariance, self.known)

    def features(self) -> Float[Tensor, "batch features"]:
        """The input of a network: `FEATURES` numbers a person, all 0 where a keypoint is not seen.

        For each keypoint x and y, whether it is seen, and three numbers of its covariance S: the logarithm of its
        standard deviation over `NOMINAL_NOISE`, (S_xx - S_yy) / tr S, and 2 S_xy / tr S. They are 0 where S is not
        known, and the last number says whether it is.
        """
        shown = self.seen.to(self.xy.dtype)
        xx, yy = self.covariance[..., 0, 0], self.covariance[..., 1, 1]
        trace = (xx + yy).clamp(min=2 * _LEAST_VARIANCE)
        size = 0.5 * (trace / 2).log() - float(np.log(NOMINAL_NOISE))
        known = self.known[:, None].to(self.xy.dtype)
        about = [part * shown * known for part in (size, (xx - yy) / trace, 2 * self.covariance[..., 0, 1] / trace)]
        return torch.cat([(self.xy * shown[..., None]).flatten(1), shown, *about, known], dim=1)


def skip_reasons(keypoints: Keypoints) -> tuple[str | None, ...]:
    """For each person, why `Condition.of` refuses them, or None.

    Raises:
        SkeletonError: If the skeleton does not convert to coco13.
    """
    keypoints = keypoints.to(COCO13)
    radius = normalize_keypoints(keypoints)[2]
    seen = keypoints.mask.sum(axis=1)
    return tuple(
        f"{count} {'joint' if count == 1 else 'joints'} seen, at least {_FEWEST} are needed"
        + (f": {note}" if note else "")
        if count < _FEWEST
        else ("all seen joints are at one place" if size == 0 else None)
        for count, size, note in zip(seen.tolist(), radius.tolist(), keypoints.note, strict=True)
    )
