"""The camera prior: what is believed of camera, body and noise before the fit, and how many steps it takes."""

__all__ = ["CameraPrior"]

import math
from dataclasses import dataclass

from vipe.errors import VipeError

_BELIEFS = ("noise", "misfit", "inverse_depth", "inverse_depth_spread", "bone_spread", "student")


@dataclass(frozen=True, kw_only=True)
class CameraPrior:
    """Beliefs about noise, camera and body, and the effort of the fit. Image lengths are in RMS radii of the keypoints.

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
                raise VipeError(f"camera prior: {name} must be finite and above 0, got {value}")
        if not math.isfinite(self.inverse_depth):
            raise VipeError(f"camera prior: inverse_depth must be finite, got {self.inverse_depth}")
        if self.student is not None and not 0 < self.student < math.inf:
            raise VipeError(f"camera prior: student must be above 0 or None, got {self.student}")
        if self.further_steps < 0:
            raise VipeError(f"camera prior: further_steps must not be negative, got {self.further_steps}")
        for name in ("steps", "refine"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise VipeError(f"camera prior: {name} must be at least 1, got {value}")

    def differences(self, other: "CameraPrior") -> str:
        """The beliefs in which another prior differs, "" if in none; effort (`steps` and so on) is no belief.

        >>> CameraPrior().differences(CameraPrior(noise=0.2, steps=9))
        'noise is 0.2, not 0.033'
        """
        return ", ".join(
            f"{name} is {getattr(other, name)}, not {getattr(self, name)}"
            for name in _BELIEFS
            if getattr(other, name) != getattr(self, name)
        )

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
