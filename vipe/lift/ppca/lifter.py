"""The lifter of Tome et al. 2017: a mixture of probabilistic PCA of aligned poses, and lifting by it in closed form."""

__all__ = ["PPCAConfig", "PPCALifter"]

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.special import logsumexp

from vipe.arrays import Array
from vipe.errors import ShapeError, VipeError
from vipe.lift.lifter import TrainedLifter
from vipe.lift.ppca.layer import PPCALayer
from vipe.lift.ppca.network import PPCAConfig, PPCANetwork
from vipe.lift.ppca.prior.alignment import normalized
from vipe.lift.ppca.prior.gaussian import PPCA
from vipe.lift.ppca.prior.heading import best_headings, turned
from vipe.lift.ppca.prior.mixture import MixtureOfPPCA

_PRIOR = ("components", "dimensions")  # settings that the parameters of the prior depend on


class PPCALifter(TrainedLifter):
    """A prior of poses as a lifter, exhaustive over how the person is turned.

    `predict` gives the paper's answer: the mean of the pose for the component, tilt and heading of greatest evidence.
    `sample` draws those by their evidence, and a pose from the exact posterior of each. `log_prob` is exact. See
    `PPCAConfig` for the model.

    Reference:
        Tome et al. 2017, "Lifting from the Deep: Convolutional 3D Pose Estimation from a Single Image".
    """

    model: PPCANetwork

    @classmethod
    def fit(cls, mixture: MixtureOfPPCA, config: PPCAConfig | None = None, **saved: Any) -> "PPCALifter":
        """The lifter of a fitted prior.

        Args:
            mixture: Fitted to the 16 joints beside the pelvis of `Alignment.align`ed poses, 48 numbers each.
            config: How keypoints are compared with it. Its components and dimensions become those of the mixture.
            saved: `card` and `origin`, as of `TrainedLifter`.

        Raises:
            VipeError: If the mixture is not fitted.
            ShapeError: If it is of other rows than of 48 numbers.
        """
        if not mixture.gaussians or mixture.n_features_in_ != 48:
            raise ShapeError(f"a prior of poses has 48 numbers a row, got a mixture of {mixture.n_features_in_}")
        count, latent, _ = mixture.components_.shape
        model = PPCANetwork(replace(config or PPCAConfig(), components=count, dimensions=latent))
        parts = {
            "weight": mixture.weights_,
            "mean": mixture.means_,
            "basis": mixture.components_,
            "variance": mixture.explained_variance_,
            "noise": mixture.noise_variance_,
        }
        model.load_state_dict({name: torch.from_numpy(part) for name, part in parts.items()})
        return cls(model, **saved)

    def adjusted(self, **settings: Any) -> "PPCALifter":
        """The same prior with other settings of `PPCAConfig`, such as `tilt=(0.2,)` where the tilt is known.

        Raises:
            VipeError: If there is no such setting, it is a size of the prior, or it is out of its range.
        """
        known = {field.name for field in fields(PPCAConfig)} - set(_PRIOR)
        if unknown := sorted(settings.keys() - known):
            raise VipeError(f"ppca: cannot adjust {unknown[0]!r}; settings are {', '.join(sorted(known))}")
        model = PPCANetwork(replace(self.model.config, **settings))
        model.load_state_dict(self.model.state_dict())
        return type(self)(model.to(self._device), card=self.card, origin=self.origin)

    def rounded(self) -> "PPCALifter":
        """This lifter: its parameters are few, and a covariance is not rounded without harm."""
        return self

    def layer(self) -> PPCALayer:
        """Lifting with a gradient."""
        return PPCALayer(self.model)

    def pose_log_likelihood(
        self, poses: Float[Array, "*batch 17 3"], *, world: bool = False
    ) -> Float64[Array, "*batch"]:
        """How likely poses are as poses of a person, without keypoints: to rank hypotheses, or to find broken poses.

        The log density of the normalized pose (`normalized`) under the prior, in nats. Each component has the pose
        turned about the vertical as fits it best; components, and tilts of the camera, are summed over. So place, size
        and heading change nothing.

        Args:
            poses: Any unit: camera space, as hypotheses are, or world space with z up.
            world: Which of the two.

        Raises:
            ShapeError: If they do not end in (17, 3), or one is not finite or has bones of no length.
        """
        if poses.shape[-2:] != (17, 3):
            raise ShapeError(f"poses must end in (17, 3), got shape {poses.shape}")
        if not poses.size:
            return np.zeros(poses.shape[:-2])
        joints = normalized(poses.reshape(-1, 17, 3))[:, 1:]
        views = self.model.geometry.views
        cameras = np.eye(3)[None] if world else views.camera.cpu().numpy()
        weights = np.zeros(1) if world else views.log_weight.cpu().numpy()
        parts = [
            np.log(weight) + log_weight + _best_log_prob(joints @ camera, gaussian)
            for camera, log_weight in zip(cameras, weights, strict=True)
            for weight, gaussian in zip(self.model.weight.tolist(), self.gaussians(), strict=True)
        ]
        total: Float64[Array, "*batch"] = np.asarray(logsumexp(np.stack(parts), axis=0)).reshape(poses.shape[:-2])
        return total

    def gaussians(self) -> list[PPCA]:
        """The components of the prior, in the order of their weights in `model`."""
        parts = [getattr(self.model, name).cpu().numpy() for name in ("mean", "basis", "variance", "noise")]
        return [PPCA(mean, basis, variance, float(noise)) for mean, basis, variance, noise in zip(*parts, strict=True)]

    @property
    def _device(self) -> torch.device:
        return self.model.mean.device


def _best_log_prob(joints: Float64[Array, "N 16 3"], gaussian: PPCA) -> Float64[Array, " N"]:
    """The log density of poses, each turned about the vertical as is best."""
    aligned = turned(joints, -best_headings(joints, gaussian))
    return gaussian.log_prob(aligned.reshape(-1, 48))
