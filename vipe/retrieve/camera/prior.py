"""What the camera check believes before looking, and how far it goes."""

__all__ = ["CameraPrior"]

import math
from dataclasses import dataclass

from vipe.errors import VipeError


@dataclass(frozen=True, kw_only=True)
class CameraPrior:
    """What is believed before looking, and how far to go. Lengths in the image are in RMS radii of the keypoints.

    Raises:
        VipeError: If a spread is not above 0, or a count is below 1.
    """

    noise: float = 0.033  # standard deviation of a keypoint's coordinate where the keypoints bring no covariance
    misfit: float = 0.05  # the same of what the right pose leaves even of perfect keypoints: people are not models
    inverse_depth: float = 0.12  # one over the camera's distance in torso lengths: a torso of 0.49 m at 4 m
    inverse_depth_spread: float = 0.05
    bone_spread: float = 0.08  # of people's bone lengths about the canonical body's, as shares
    student: float | None = 4.0  # degrees of freedom of the noise of a joint; None is Gaussian, small is forgiving
    steps: int = 1  # for every candidate and start
    refine: int | None = 60  # candidates of each query, the best so far, that go on; None for all
    further_steps: int = 4  # one of them for all of these, the others for the best half

    def __post_init__(self) -> None:
        for name in ("noise", "misfit", "inverse_depth_spread", "bone_spread"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise VipeError(f"fit: {name} must be finite and above 0, got {value}")
        if self.student is not None and not self.student > 0:
            raise VipeError(f"fit: student must be above 0 or None, got {self.student}")
        for name in ("steps", "refine"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise VipeError(f"fit: {name} must be at least 1, got {value}")

    def rounds(self, candidates: int) -> tuple[tuple[int, int], ...]:
        """After the first steps: how many of a person's candidates go on, the best so far, and for how many steps.

        One step tells most of who is out; half of those that take it take the others.
        """
        if not self.further_steps or not candidates:
            return ()
        if self.refine is None or self.further_steps == 1:
            return ((min(self.refine or candidates, candidates), self.further_steps),)
        many, few = min(self.refine, candidates), min(-(-self.refine // 2), candidates)
        return ((many, 1), (few, self.further_steps - 1))
