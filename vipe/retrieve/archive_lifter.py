"""A lifter without a network: hypotheses are the poses of an archive that fit the keypoints (numpy; torch inside)."""

__all__ = ["ArchiveLifter", "ArchiveLifterConfig"]

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from vipe.arrays import Array, blocks, take_rows
from vipe.detections import Keypoints
from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.geometry.bones import bone_lengths, with_bone_lengths
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.geometry.rotations import axis_angle
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.lift import Hypotheses, Lifter
from vipe.lift.lifter import of_unit_torso
from vipe.retrieve.camera.known_focal import depth_priors
from vipe.retrieve.camera.perspective import Fits, fit_cameras
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.problem import MIN_DEPTH
from vipe.retrieve.candidates.affine import skip_reasons
from vipe.retrieve.candidates.candidates import candidates_for
from vipe.retrieve.ranking.bending import BentCandidates
from vipe.retrieve.ranking.marginal_likelihood import TILTS, marginal_likelihood
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17
from vipe.training.draws import Draws

_AT_ONCE = 256  # people whose candidates lie in memory together
_KERNELS = 100  # the likeliest of a person's, for the single pose: with more its error is the same within 0.1 mm


@dataclass(frozen=True, kw_only=True)
class ArchiveLifterConfig:
    """How the archive lifter searches, weighs and bends.

    Raises:
        VipeError: If a number is out of its range, or a tilt is none of `TILTS`.
    """

    candidates: int = 200  # poses of each source (affine camera, learned embedding) that cameras are fitted to
    tilts: tuple[float, ...] = TILTS  # radians by which bones of a candidate may point elsewhere; all equally likely
    flattened: float = 2.0  # weights are of the likelihood to the power of one over this; at 1 they are overconfident
    camera_prior: CameraPrior = field(default_factory=CameraPrior)

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise VipeError(f"archive lifter: candidates must be at least 1, got {self.candidates}")
        if not self.tilts or not set(self.tilts) <= set(TILTS):
            raise VipeError(f"archive lifter: tilts must be some of {TILTS}, got {self.tilts}")
        if not 0 < self.flattened < math.inf:
            raise VipeError(f"archive lifter: flattened must be above 0 and finite, got {self.flattened}")


class ArchiveLifter(Lifter):
    """The candidates of a search as a distribution of poses.

    The archive is the prior and nothing is trained: a pose is as likely before the image as poses like it are frequent
    there. For each person the candidates of a search get a camera and bone lengths (`fit_cameras`); a candidate whose
    bones may be turned by a tilt is a kernel, weighted by its likelihood with all of that integrated out
    (`marginal_likelihood`), and spread as the keypoints leave its bones, lengths and camera open (`BentCandidates`).
    The tilts of a kernel compete: where the archive holds the very moment the small ones win, elsewhere the large ones.

    A sample draws a kernel by its weight and bends it. The single pose is the mean of the likeliest kernels by their
    weights, with the mean of their bone lengths.

    Args:
        index: The archive.
        config: Settings.
        where: Only rows that match, as in `PoseIndex.rows`; such as to leave out clips that are measured.

    Raises:
        VipeError: If `where` is wrong or no row matches it; an `ArgumentError`, if an argument has the wrong type.
    """

    kind = "archive"

    def __init__(
        self, index: PoseIndex, config: ArchiveLifterConfig | None = None, *, where: Where | None = None
    ) -> None:
        if not isinstance(index, PoseIndex):
            raise ArgumentError(f"index must be a PoseIndex, got {type(index).__name__}; see PoseIndex.open")
        if config is not None and not isinstance(config, ArchiveLifterConfig):
            raise ArgumentError(f"config must be an ArchiveLifterConfig, got {type(config).__name__}")
        self.index, self.config = index, config or ArchiveLifterConfig()
        self._rows: Int64[Array, " M"] | None = None if where is None else index.rows(where)
        if self._rows is not None and not len(self._rows):
            raise VipeError("no row of the index matches `where`; an archive lifter needs one")

    @property
    def rows(self) -> Int64[Array, " M"]:
        """Rows of the index that it lifts with, ascending."""
        return np.arange(len(self.index)) if self._rows is None else self._rows

    def among(self, rows: Int64[Array, " M"]) -> "ArchiveLifter":
        """The same lifter with no other rows than these, such as all but the moment that is asked for.

        Raises:
            VipeError: If it lifts with none of them, or the index has no such row.
        """
        own = self.index.rows(rows)
        return ArchiveLifter(
            self.index, self.config, where=own if self._rows is None else np.intersect1d(own, self._rows)
        )

    def sample(self, keypoints: Keypoints, n: int, generator: torch.Generator) -> Hypotheses:
        """Draw `n` poses for each person, all of equal weight; see `Lifter.sample`.

        Raises:
            ShapeError: If a person has fewer than six seen keypoints, or all at one place; names the row.
            SkeletonError: If the skeleton does not convert to coco13.
            VipeError: If `n` is below 1.
        """
        if n < 1:
            raise VipeError(f"n must be at least 1, got {n}")
        poses = np.zeros((len(keypoints), n, 17, 3), dtype=np.float32)
        for row, kernels in enumerate(self._kernels(keypoints)):
            drawn = Draws(kernels.weight, generator).choices(kernels.weight, n)
            used, which = torch.unique(drawn, return_inverse=True)
            poses[row] = _lifted(*kernels.bent(used).draw(which, generator)).numpy()
        return Hypotheses(poses=poses, log_weight=np.full(poses.shape[:2], -math.log(n), dtype=np.float32))

    def predict(self, keypoints: Keypoints) -> Float32[Array, "N 17 3"]:
        """One pose for each person, without a draw; see `Lifter.predict`. Raises as `sample`."""
        poses = np.zeros((len(keypoints), 17, 3), dtype=np.float32)
        for row, kernels in enumerate(self._kernels(keypoints)):
            weight, likeliest = kernels.weight.topk(min(_KERNELS, len(kernels.weight)))
            several = _lifted(*kernels.bent(likeliest).means())
            share = weight / weight.sum()
            lengths = share @ bone_lengths(several, H36M17.parents)
            mean = torch.einsum("k,kjx->jx", share, several)
            poses[row] = _of_reference_size(with_bone_lengths(mean, lengths, H36M17.parents)).numpy()
        return poses

    def save(  # its other arguments are the contract's
        self,
        path: str | Path,
        *,
        files: Mapping[str, str] | None = None,  # noqa: ARG002
        replace: bool = False,  # noqa: ARG002
    ) -> None:
        """Refused: there are no weights but the index.

        Raises:
            VipeError: Always.
        """
        raise VipeError(
            f"lifter 'archive' cannot be saved to {path}: its weights are the index {self.index.path}; keep that "
            "folder, and make the lifter again with ArchiveLifter(PoseIndex.open(folder))"
        )

    def _kernels(self, keypoints: Keypoints) -> Iterator["_Kernels"]:
        """The kernels of each person, in order."""
        people = keypoints.to(COCO13)
        for row, reason in enumerate(skip_reasons(people)):
            if reason is not None:
                raise ShapeError(f"person {row} cannot be lifted: {reason}; leave it out")
        prior = replace(self.config.camera_prior, refine=None)
        total, device = len(self.rows), self.index.device
        tilts = np.array(self.config.tilts)
        places = [TILTS.index(tilt) for tilt in self.config.tilts]
        for block in blocks(len(people), _AT_ONCE):
            some = people[block]
            rows = candidates_for(self.index, some, min(self.config.candidates, total), self._rows).rows
            empty = rows < 0
            poses = self.index.poses(np.where(empty, rows[:, :1], rows))
            fits = fit_cameras(poses, some, prior, device=device)
            for alike, own in depth_priors(prior, fits, some):
                whole = marginal_likelihood(take_rows(fits, alike), some[alike], own, device=device)
                cost = whole.cost[places].astype(np.float64)
                cost[:, empty[alike]] = np.inf
                logs = torch.from_numpy(-cost / (2 * self.config.flattened)).permute(1, 2, 0).flatten(1)
                for person, weight in enumerate(logs.softmax(1), alike.start):
                    one = slice(person, person + 1)
                    yield _Kernels(take_rows(fits, one), some[one], weight, tilts, own)


@dataclass(frozen=True)
class _Kernels:
    """The kernels of one person: each of K candidates with each of T tilts, tilts last."""

    fits: Fits  # (1, K)
    person: Keypoints
    weight: Float64[Tensor, " kernels"]
    tilts: Float64[Array, " T"]
    prior: CameraPrior

    def bent(self, some: Int64[Tensor, " B"]) -> BentCandidates:
        """Some of them, ready to be bent."""
        candidate, tilt = np.divmod(some.numpy(), len(self.tilts))
        used, which = np.unique(candidate, return_inverse=True)
        return BentCandidates.of(self.fits.take(used[None]), self.person, self.tilts[tilt], which, self.prior)


def _lifted(poses: Float64[Tensor, "B 17 3"], inverse_depth: Float64[Tensor, " B"]) -> Float64[Tensor, "B 17 3"]:
    """Poses of `Fits` as hypotheses: from a camera that looks at the pelvis to one at the joints' centroid."""
    x, y, z = (inverse_depth[:, None] * poses[:, COCO13_IN_H36M17].mean(1)).unbind(1)
    angle = torch.atan2(torch.hypot(x, y), (1 + z).clamp_min(MIN_DEPTH))
    turn = axis_angle(torch.stack([y, -x, torch.zeros_like(x)], dim=1), angle)
    return _of_reference_size(poses @ turn.mT)


def _of_reference_size(poses: Float64[Tensor, "*batch 17 3"]) -> Float64[Tensor, "*batch 17 3"]:
    return of_unit_torso(poses) * REFERENCE_TORSO
