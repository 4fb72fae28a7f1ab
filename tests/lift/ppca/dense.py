"""Slow twins of the lifter's inference, with the 48 x 48 covariances written out."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space
from scipy.stats import multivariate_normal

from vipe.skeletons.working import COCO13_IN_H36M17

PLACE = np.tile(np.eye(2), (13, 1))


@dataclass
class Dense:
    """One aspect and one person: the Gaussian of the pose, what of it is seen, and of which errors."""

    mean: np.ndarray  # (48,), camera space, RMS radii
    covariance: np.ndarray
    image: np.ndarray  # (2 n, 48): the seen keypoints of a pose
    y: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, lifter, component, tilt, heading, xy, seen, noise):
        """`noise` is (13, 2, 2)."""
        model, config = lifter.model, lifter.model.config
        mean, basis, variance, sigma2 = (
            getattr(model, name)[component].numpy() for name in ("mean", "basis", "variance", "noise")
        )
        c, s, ct, st = np.cos(heading), np.sin(heading), np.cos(tilt), np.sin(tilt)
        around = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        camera = np.array([[0, 1, 0], [st, 0, -ct], [-ct, 0, -st]])  # of a camera on +x at this elevation
        turn = np.kron(np.eye(16), camera @ around)
        rows = [
            3 * (joint - 1) + axis
            for joint, known in zip(COCO13_IN_H36M17, seen, strict=True)
            if known
            for axis in (0, 1)
        ]
        image = np.eye(48)[rows]
        seen_mean = (image @ turn @ mean).reshape(-1, 2)
        scale = 1 / np.sqrt(np.square(seen_mean - seen_mean.mean(0)).sum(1).mean())
        covariance = basis.T @ np.diag(variance - sigma2) @ basis + sigma2 * np.eye(48)
        covariance = covariance + config.scale_spread**2 * np.outer(mean, mean)
        blocks = np.zeros((26, 26))
        for joint in range(13):
            blocks[2 * joint : 2 * joint + 2, 2 * joint : 2 * joint + 2] = noise[joint]
        kept = np.repeat(seen, 2)
        return cls(
            scale * turn @ mean,
            scale**2 * turn @ covariance @ turn.T,
            image,
            np.asarray(xy).reshape(26)[kept],
            blocks[np.ix_(kept, kept)],
        )

    @property
    def around(self):
        """Rows that take keypoints to coordinates in which their place does not count."""
        return null_space(PLACE[: len(self.y)].T).T

    def log_evidence(self):
        gain = self.around @ self.image
        covariance = gain @ self.covariance @ gain.T + self.around @ self.noise @ self.around.T
        return multivariate_normal(gain @ self.mean, covariance).logpdf(self.around @ self.y)

    def posterior(self):
        """Mean and covariance of the pose given the keypoints."""
        gain = self.around @ self.image
        inner = gain @ self.covariance @ gain.T + self.around @ self.noise @ self.around.T
        pull = self.covariance @ gain.T @ np.linalg.inv(inner)
        mean = self.mean + pull @ (self.around @ self.y - gain @ self.mean)
        return mean, self.covariance - pull @ gain @ self.covariance
