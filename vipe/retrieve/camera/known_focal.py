"""What a known focal length says of a person's distance (numpy; torch at the end)."""

__all__ = ["FOCAL_SPREAD", "depth_priors", "known_focal"]

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from vipe.arrays import Array
from vipe.crossing import to_tensor
from vipe.detections import Keypoints
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.problem import KnownFocal

if TYPE_CHECKING:
    from vipe.retrieve.camera.perspective import Fits

FOCAL_SPREAD = 0.02
"""Standard deviation of the inverse depth about scale over focal length, per torso length: keypoints tell where the
pelvis is, which the camera is turned at, to within a few hundredths."""

_LEAST_SHARE = 0.2  # of the inverse depth, that it may be off where it is one number for all candidates
_FLATTENED = 4.0  # costs over this vote for that number


def known_focal(
    keypoints: Keypoints, radius: Float32[Array, " Q"], prior: CameraPrior, device: str = "cpu"
) -> KnownFocal | None:
    """What is believed of each person's inverse depth in a fit; None if no camera is known.

    Args:
        keypoints: Q people.
        radius: RMS radii of their keypoints, pixels.
        prior: What is believed of the others.
        device: Where the fit computes.
    """
    if not any(keypoints.crop):
        return None
    focal = np.array([np.inf if crop is None else crop.focal for crop in keypoints.crop])
    told = np.isfinite(focal)
    columns = (
        np.where(told, 0, prior.inverse_depth),
        radius / focal,
        np.where(told, FOCAL_SPREAD, prior.inverse_depth_spread) ** -2,
    )
    return KnownFocal(*(to_tensor(column.astype(np.float32), device) for column in columns))


def depth_priors(prior: CameraPrior, fits: "Fits", keypoints: Keypoints) -> Iterator[tuple[slice, CameraPrior]]:
    """The prior under which each person's fits are judged: of a known camera, about the depth that was fitted.

    Args:
        prior: What is believed if nothing is known.
        fits: Cameras fitted to Q people's candidates.
        keypoints: The same people.

    Returns:
        Rows of people who share a prior, in order; all of them at once if no camera is known.
    """
    if not any(keypoints.crop):
        yield slice(0, len(keypoints)), prior
        return
    for row, crop in enumerate(keypoints.crop):
        own = prior
        if crop is not None:
            cost, depth = fits.cost[row].astype(np.float64), fits.inverse_depth[row].astype(np.float64)
            vote = np.exp(-(cost - cost.min()) / (2 * _FLATTENED))
            mean = float((vote * depth).sum() / vote.sum())
            apart = float((vote * np.square(depth - mean)).sum() / vote.sum())
            spread = float(np.sqrt(apart + (_LEAST_SHARE * mean) ** 2 + FOCAL_SPREAD**2))
            own = replace(prior, inverse_depth=mean, inverse_depth_spread=spread)
        yield slice(row, row + 1), own
