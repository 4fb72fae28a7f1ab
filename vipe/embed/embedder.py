"""Embedder: a trained embedding of poses and keypoints, V-VIPE or the towers (numpy; torch inside)."""

__all__ = ["Embedder"]

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32

from vipe.arrays import Array, blocks
from vipe.detections import Keypoints
from vipe.embed.encoder import check_rows
from vipe.embed.generation.variations import vary
from vipe.embed.learned import BLOCK, LearnedEncoder, refuse_rows
from vipe.embed.towers.network import Towers
from vipe.embed.vvipe.network import VVIPE
from vipe.errors import ShapeError
from vipe.geometry.canonical import REFERENCE_LENGTHS, canonicalize
from vipe.skeletons.working import COCO13

_MAP_VERSION = 1  # part of the fingerprint: raise it when the same weights start to mean another map
_DEGENERATE = "its hips and spine span no plane, a bone has no length, or a value is not finite"


class Embedder(LearnedEncoder[VVIPE | Towers]):
    """A learned embedding of 3D poses and 2D keypoints, with a decoder; a small distance means similar poses.

    An embedding does not depend on the batch: a row alone and among others has the same, up to float32 rounding.
    """

    networks = (VVIPE, Towers)
    constants = (_MAP_VERSION, COCO13.joints, [round(length, 6) for length in REFERENCE_LENGTHS])

    def rounded(self) -> "Embedder":
        """This embedding with weights rounded to float16, whose folder has half the size.

        Embeddings change in their fourth digit, so it is another encoder, with another fingerprint.
        """
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.half())
        return Embedder(model, card=self.card, origin=self.origin)

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N D"]:
        """Embed poses on the working skeleton, metres, any root, rotation and body size.

        Args:
            poses: Joint positions; canonicalized inside (levy2024, sec. 3.1), in blocks of bounded memory.

        Raises:
            ShapeError: If they are not (N, 17, 3), or one has no canonical form (hips and spine on one line, a bone
                of no length, a value that is not finite); names the row.
        """
        check_rows("poses", poses, (17, 3))
        embeddings = np.empty((len(poses), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for rows in blocks(len(poses), BLOCK):
                canonical = canonicalize(self._tensor(poses[rows]))
                bad = canonical.degenerate | ~torch.isfinite(canonical.poses).flatten(1).all(1)
                refuse_rows(bad.cpu().numpy(), rows.start, "pose", _DEGENERATE)
                embeddings[rows] = self.model.encode_poses(canonical.poses).cpu().numpy()
        return embeddings

    def encode_keypoints(self, keypoints: Keypoints) -> Float32[Array, "N D"]:
        """Embed 2D keypoints; position and size in the image do not matter.

        Args:
            keypoints: People on coco13, or on a skeleton that converts to it; pixels.

        Raises:
            ShapeError: If a person's seen joints are fewer than two or all at one place; names the row.
            SkeletonError: If the skeleton does not convert.
        """
        return self._of_people(keypoints, self.model.encode_keypoints, self.dim)

    def decode(self, z: Float[Array, "N D"]) -> Float32[Array, "N 17 3"]:
        """Canonical poses of latents: pelvis at the origin, torso about 1, bones about the reference skeleton's.

        Raises:
            ShapeError: If they are not (N, dim), or not finite; names the row.
        """
        check_rows("latents", z, (self.dim,))
        finite = np.isfinite(z).all(axis=1)
        if not finite.all():
            raise ShapeError(f"latents: row {int(finite.argmin())} is not finite; leave it out")
        poses = np.empty((len(z), 17, 3), dtype=np.float32)
        with torch.inference_mode():
            for rows in blocks(len(z), BLOCK):
                poses[rows] = self.model.decode(self._tensor(z[rows])).cpu().numpy()
        return poses

    def generate(
        self,
        source: Float[Array, "17 3"],
        alphas: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
        count: int = 8,
        *,
        generator: np.random.Generator,
        **options: Any,
    ) -> Float32[Array, "count alphas 17 3"]:
        """Variations of a pose along `count` directions, on its body and at its place, metres.

        Args and errors are those of `vipe.embed.generation.variations.vary`.
        """
        return vary(self, source, alphas, count, generator=generator, **options)
