"""Hits bent to the keypoints: the archive's moment as the person in the image does it (numpy; torch inside)."""

__all__ = ["BentHits", "bend_hits"]

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from vipe.arrays import Array, take_rows
from vipe.clips import Clip
from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.geometry.bones import bone_vectors, from_bone_vectors
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.index import PoseIndex
from vipe.lift.aggregation.lifted import to_world
from vipe.lift.lifter import of_unit_torso
from vipe.retrieve.arguments import check_count
from vipe.retrieve.body import IN_GROUP
from vipe.retrieve.camera.images import flattened, seen_by
from vipe.retrieve.camera.known_focal import depth_priors
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.problem import MIN_DEPTH
from vipe.retrieve.hits import Hits
from vipe.retrieve.labels.labelling import as_read
from vipe.retrieve.mirrored import mirrored_poses
from vipe.retrieve.ranking.bending import BentCandidates
from vipe.retrieve.ranking.marginal_likelihood import TILTS, marginal_likelihood
from vipe.retrieve.ranking.model import RankingModel
from vipe.skeletons.joint_conventions import ARCHIVE, load_convention
from vipe.skeletons.working import COCO13_IN_H36M17, H36M17

_FLATTENED = 2.0  # weights are of the likelihood to the power of one over this, as in `ArchiveLifterConfig`
_STEPS = 2  # linearizations: the second halves what far bends leave, a third changes nothing
_SHOWN = 1.0  # frames a second of a clip whose frames are no motion
_SAME = 1e-3  # torso lengths: joints that differ less are the archive's own

_GROUP = torch.from_numpy(IN_GROUP)


@dataclass(frozen=True, kw_only=True)
class BentHits:
    """Poses of F hits of Q people, each bent to the keypoints in M ways: the likeliest first, then draws.

    All poses of a person have the same bones. Where there is no hit, numbers are NaN.
    """

    people: Keypoints  # on coco13, as they were read
    poses: Float32[Array, "Q F M 17 3"]  # camera's directions (x right, y down, z away), metres, pelvis at the origin
    scale: Float32[Array, "Q F M"]  # pixels a metre at the pelvis
    shift: Float32[Array, "Q F M 2"]  # pixels: where the pelvis lands
    inverse_depth: Float32[Array, "Q F M"]  # one over the distance of camera and pelvis, per metre
    residual: Float32[Array, "Q F M"]  # root mean square distance of seen keypoints and images, RMS radii
    tilt: Float32[Array, "Q F M"]  # radians by which limb bones were free to turn
    bones: Float32[Array, "Q 9"]  # share by which a person's bones are longer than the canonical, by `BONE_GROUPS`
    hits: Hits

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def found(self) -> Bool[Array, "Q F"]:
        """Which places hold a hit."""
        return np.asarray(self.hits.found[:, : self.poses.shape[1]])

    def project(self) -> Float32[Array, "Q F M 17 2"]:
        """Where all joints land, pixels of the keypoints as they were read."""
        depth = np.maximum(1 + self.inverse_depth[..., None] * self.poses[..., 2], MIN_DEPTH)
        near = (self.scale[..., None] / depth)[..., None]
        return np.asarray(near * self.poses[..., :2] + self.shift[..., None, :], dtype=np.float32)

    def clip(self, query: int, place: int, name: str = "bent") -> Clip:
        """One bent hit as a clip, for `vipe.writers.write`: the likeliest pose, then the draws, one frame a second.

        The world is that of `to_world`: x right, y away from the camera, z up, the camera level.

        Args:
            query: Which person, from 0.
            place: Which hit, from 0.
            name: Of the clip.

        Raises:
            VipeError: If there is no such hit.
        """
        if not (0 <= query < len(self) and 0 <= place < self.found.shape[1] and self.found[query, place]):
            raise VipeError(f"person {query} has no bent hit {place}; `BentHits.found` says where there is one")
        return Clip(
            name=name,
            skeleton=H36M17,
            positions=to_world(self.poses[query, place]),
            fps=_SHOWN,
            subject=str(self.hits.subject[query, place]),
            action=str(self.hits.action[query, place]),
            source=f"{self.hits.clip[query, place]} frame {self.hits.frame[query, place]}",
        )


def bend_hits(
    index: PoseIndex,
    keypoints: Keypoints,
    hits: Hits,
    n: int,
    generator: torch.Generator,
    *,
    first: int | None = None,
    camera_prior: CameraPrior | None = None,
) -> BentHits:
    """Bend the poses of hits to the keypoints they were found with: the archive's moment as the person does it.

    A hit is near the pose in the image, seldom that pose. Around it and its fitted camera, the poses that the keypoints
    allow are a Gaussian (`BentCandidates`): bones turn by a tilt, lengths differ, keypoints are as sure as they are.
    Seen limbs follow the keypoints; unseen ones point where the archive's do, with the spread of the tilt. The tilts
    compete by `marginal_likelihood`: where the archive holds the moment small ones win, elsewhere large ones.

    A person has one body: the bone lengths are the mean of those of all hits and tilts, by their likelihoods, and all
    poses are bent given these lengths. The distribution is linearized about the fit, then about its own mean.

    Keypoints that were read otherwise than labelled (`Hits.relabelled`) are bent to as they were read. Where their
    convention marks joints elsewhere than the archive has them, the poses are those of the archive's joints.

    Args:
        index: The archive that was searched.
        keypoints: The people that it was searched with.
        hits: What was found, in a mode that fits cameras.
        n: Draws of each hit, beside the likeliest pose.
        generator: For every draw.
        first: Only so many hits of each person; all by default.
        camera_prior: Beliefs about camera, body and noise, if not those of the ranking model.

    Raises:
        ShapeError: If there are not as many people as queries, or the keypoints are on another skeleton.
        VipeError: If the hits have no cameras, are of tracks or views, or of another index, or a number is out of its
            range; an `ArgumentError`, if it is no whole number or `index` is none.
    """
    every, count = _checked(index, keypoints, hits, n, first)
    people = keypoints if hits.relabelled is None else as_read(keypoints, hits.relabelled)
    prior = camera_prior or RankingModel.default().camera_prior
    bent = BentHits(
        people=people,
        poses=_nan(len(hits), count, 1 + n, 17, 3),
        scale=_nan(len(hits), count, 1 + n),
        shift=_nan(len(hits), count, 1 + n, 2),
        inverse_depth=_nan(len(hits), count, 1 + n),
        residual=_nan(len(hits), count, 1 + n),
        tilt=_nan(len(hits), count, 1 + n),
        bones=_nan(len(hits), 9),
        hits=hits,
    )
    for row, found in enumerate(bent.found):
        places = np.flatnonzero(found)
        if len(places):
            fits = take_rows(every, slice(row, row + 1)).take(places[None])
            poses = index.poses(hits.rows[row, places])
            if hits.mirrored is not None:
                poses[hits.mirrored[row, places]] = mirrored_poses(poses[hits.mirrored[row, places]])
            person = people[row : row + 1]
            ((_, own),) = depth_priors(prior, fits, person)
            body = _Body.of(fits, poses, person, own)
            bent.bones[row] = body.lengths.numpy() - 1
            for number, place in enumerate(places.tolist()):
                for name, values in body.bent(number, n, generator).items():
                    getattr(bent, name)[row, place] = values.numpy()
    return bent


def _checked(index: PoseIndex, keypoints: Keypoints, hits: Hits, n: int, first: int | None) -> tuple[Fits, int]:
    """The fits of all hits, and how many hits of each person are bent."""
    if not isinstance(index, PoseIndex):
        raise ArgumentError(f"index must be a PoseIndex, got {type(index).__name__}; see PoseIndex.open")
    for name, number, least in (("n", n, 0), ("first", first, 1)):
        if number is not None:
            check_count(name, number)
            if number < least:
                raise VipeError(f"{name} must be at least {least}, got {number}")
    if hits.image is not None:
        raise VipeError("hits of tracks and of several cameras are not bent: search with each image by itself")
    if hits.fits is None:
        raise VipeError("hits have no cameras to be bent under: search with mode 'full'")
    if keypoints.skeleton.name != "coco13":
        raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
    if len(keypoints) != len(hits):
        raise ShapeError(f"keypoints must be of the {len(hits)} people that were searched with, got {len(keypoints)}")
    if hits.rows.max(initial=-1) >= len(index) or (index.look_up("id", hits.rows, -1) != hits.ids).any():
        raise VipeError(f"hits are of another index than {index.path}: give the one that was searched")
    return hits.fits, hits.rows.shape[1] if first is None else min(first, hits.rows.shape[1])


def _nan(*shape: int) -> Float32[Array, "..."]:
    return np.full(shape, np.nan, dtype=np.float32)


@dataclass(frozen=True)
class _Body:
    """F hits of one person before they are bent, and the body that they get."""

    people: tuple[Keypoints, ...]  # of each hit: where the archive's joints would be marked
    kernels: tuple[BentCandidates, ...]  # of each hit: one a tilt
    weight: Float64[Tensor, "F tilts"]
    lengths: Float64[Tensor, " 9"]  # shares of the canonical bones, by `BONE_GROUPS`
    prior: CameraPrior

    @classmethod
    def of(cls, fits: Fits, canonical: Float32[Array, "F 17 3"], person: Keypoints, prior: CameraPrior) -> "_Body":
        """Of the fits (1, F) of canonical poses to a person."""
        poses = _archive_poses(fits, canonical)
        if load_convention(person.convention).mean.any() and np.abs(poses - fits.poses).max() < _SAME:
            person = replace(person, convention=ARCHIVE)  # so it was searched for
        cost = marginal_likelihood(fits, person, prior).cost[:, 0].astype(np.float64)
        weight = torch.from_numpy(-cost.T / (2 * _FLATTENED)).flatten().softmax(0).view(-1, len(TILTS))
        own = replace(fits, poses=poses)
        beyond = (fits.project() - own.project())[0][:, list(COCO13_IN_H36M17)]
        xy = np.where(person.mask[..., None], person.xy - beyond, 0)
        people = tuple(replace(person, xy=xy[hit : hit + 1]) for hit in range(len(xy)))
        same = np.zeros(len(TILTS), dtype=np.int64)
        kernels = tuple(
            BentCandidates.of(own.take(np.array([[hit]])), marks, np.array(TILTS), same, prior)
            for hit, marks in enumerate(people)
        )
        lengths = torch.einsum("ft,ftg->g", weight, torch.stack([one.mean_lengths() for one in kernels]))
        return cls(people, kernels, weight, lengths, prior)

    def bent(self, hit: int, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """What `BentHits` holds of one hit, by name."""
        marks, share = self.people[hit], self.weight[hit]
        kernel = self.kernels[hit].with_lengths(self.lengths)
        for _ in range(_STEPS - 1):
            kernel = kernel.again(marks, self.prior).with_lengths(self.lengths)
        likeliest, drawn = share.argmax()[None], share.new_zeros(0, dtype=torch.int64)
        if n:
            drawn = torch.multinomial(share, n, replacement=True, generator=generator)
        mean, draws = kernel.means(), kernel.draw(drawn, generator)
        poses, inverse_depth = (torch.cat([one[likeliest], other]) for one, other in zip(mean, draws, strict=True))
        scale, shift = seen_by(poses, inverse_depth, marks)
        of_size = REFERENCE_TORSO * of_unit_torso(poses)
        metres = of_size.flatten(1).norm(dim=1) / poses.flatten(1).norm(dim=1)  # a torso length
        return {
            "poses": of_size,
            "scale": scale / metres,
            "shift": shift,
            "inverse_depth": inverse_depth / metres,
            "residual": _residual(poses, inverse_depth, scale, shift, marks),
            "tilt": kernel.tilts[torch.cat([likeliest, drawn])],
        }


def _archive_poses(fits: Fits, canonical: Float32[Array, "F 17 3"]) -> Float32[Array, "1 F 17 3"]:
    """The archive's poses under fitted cameras, with the fitted bones, and without what a convention adds to joints."""
    stretch = 1 + torch.from_numpy(fits.bones[0].astype(np.float64)) @ _GROUP.T
    vectors = bone_vectors(torch.from_numpy(canonical.astype(np.float64)), H36M17.parents) * stretch[..., None]
    rotation = torch.from_numpy(fits.rotation[0].astype(np.float64))
    return from_bone_vectors(vectors @ rotation.mT, H36M17.parents).float().numpy()[None]


def _residual(
    poses: Float64[Tensor, "M 17 3"],
    inverse_depth: Float64[Tensor, " M"],
    scale: Float64[Tensor, " M"],
    shift: Float64[Tensor, "M 2"],
    person: Keypoints,
) -> Float64[Tensor, " M"]:
    seen = torch.tensor(person.mask[0])
    images = scale[:, None, None] * flattened(poses, inverse_depth) + shift[:, None]
    squares = (images - torch.from_numpy(person.xy[0].astype(np.float64))).square().sum(-1)[:, seen]
    return squares.mean(1).sqrt() / float(normalize_keypoints(person)[2][0])
