"""One person in several images: the body proportions that their fits agree on (numpy)."""

__all__ = ["shared_proportions"]


import numpy as np
from jaxtyping import Int

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.retrieve.body import BodyProportions
from vipe.retrieve.camera.perspective import Fits

_LEAST_SPREAD = 0.03  # archive poses are not quite the person's, and bones take up some of that in every image alike
_LEAST_OFF = 0.03  # of one image's estimate, however well its candidates agree


def shared_proportions(fits: Fits, group: Int[Array, " Q"]) -> BodyProportions:
    """Estimate the proportions of each group of images that show one person: a track, or cameras of one moment.

    In each image the candidates vote with their posterior weights exp(-cost / 2), which gives the image's mean and
    variance of each bone factor, to which 0.03^2 is added. A group's mean weighs its images by one over the variance;
    its own variance is the weighted mean of what its images are off it, squared, and of their variances, over the
    number of images, plus another 0.03^2. Fits without known proportions pull every bone towards the canonical one,
    so the mean is drawn there too. One image is a group as well: all its candidates then share one body.

    Args:
        fits: Of Q images, K candidates each.
        group: Which of them show one person: any numbers, equal for equal people.

    Returns:
        Proportions for each of the Q images, equal within a group: hand them to `fit_cameras` with the same images.

    Raises:
        ShapeError: If `group` is not (Q,), or there are no candidates.
    """
    people, count = fits.cost.shape
    if group.shape != (people,):
        raise ShapeError(f"group must be ({people},), a number for each person, got shape {group.shape}")
    if not count:
        raise ShapeError("fits must have candidates to estimate proportions from, got none")
    vote = np.exp(-(fits.cost - fits.cost.min(axis=1, keepdims=True)).astype(np.float64) / 2)
    vote = (vote / vote.sum(axis=1, keepdims=True))[..., None]
    own = (vote * fits.bones).sum(axis=1)
    variance = (vote * np.square(fits.bones - own[:, None])).sum(axis=1)
    weight = 1 / (variance + _LEAST_OFF**2)
    _, number = np.unique(group, return_inverse=True)
    number = number.reshape(-1)
    images = np.bincount(number)

    def mean_of(values: Array) -> Array:
        total = np.zeros((2, len(images), values.shape[1]))
        np.add.at(total[0], number, weight * values)
        np.add.at(total[1], number, weight)
        return np.asarray(total[0] / total[1])

    mean = mean_of(own)
    off = mean_of(1 / weight + np.square(own - mean[number])) / images[:, None]
    return BodyProportions(mean=mean[number], spread=np.sqrt(off + _LEAST_SPREAD**2)[number])
