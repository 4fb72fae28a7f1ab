"""The affine signature: 78 numbers of a pose or a view, whose inner product is an affine fit (torch; numpy outside)."""

__all__ = ["AffineSignature", "column_basis", "pose_signature", "view_signature"]

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from vipe import pretrained
from vipe.arrays import Array
from vipe.cores import cores
from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed.encoder import Metric, check_people, check_rows
from vipe.errors import ReadError, ShapeError
from vipe.geometry.canonical import REFERENCE_LENGTHS, canonicalize
from vipe.geometry.planes import in_blocks
from vipe.geometry.symmetric import upper_triangle
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17

# Least extent of a body in a direction, relative to its size. Below, float32 rounding would enter the basis: its error
# is about 6e-8 / extent.
_FLAT = 1e-4
_MAP_VERSION = 1  # part of the fingerprint: raise it when the signature changes with the same constants
_BLOCK = 2048  # poses at a time: they and their 12 x 12 matrices stay in the cache


def column_basis(points: Float[Tensor, "*batch points 3"]) -> Float[Tensor, "*batch 3 points"]:
    """Find an orthonormal basis of the space that the three coordinates of a set of points span.

    Gram-Schmidt, with each projection done twice for orthonormality to rounding. Points are taken from the origin. If
    they are centred, all their affine images lie in this space.

    Args:
        points: Points in any unit.

    Returns:
        One basis vector a row. Points in a plane or on a line span less than three dimensions: the missing
        vectors are zero, so that projections are right and nothing is NaN. A direction with less than 1e-4 of the
        points' Frobenius norm counts as missing.

    >>> column_basis(torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))  # in a plane
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 0.]])
    """
    least = _FLAT * points.square().sum((-2, -1)).sqrt()[..., None]
    basis: list[Tensor] = []
    for column in points.unbind(-1):
        rest = column
        for _ in range(2):
            for vector in basis:
                rest = torch.addcmul(rest, vector, (rest * vector).sum(-1, keepdim=True), value=-1)
        norm = rest.norm(dim=-1, keepdim=True)
        basis.append(rest * torch.where(norm > least, 1 / norm, 0))
    return torch.stack(basis, dim=-2)


def pose_signature(points: Float[Tensor, "*batch J 3"]) -> Float[Tensor, "*batch D"]:
    """Describe a 3D pose by the projector B Bᵀ onto the space of its affine images.

    Returns:
        Its `upper_triangle`, D = (J - 1) J / 2 numbers: centring leaves J - 1 dimensions. Norm sqrt(3); sqrt(2) for a
        flat body, and 0 for one whose joints coincide.
    """
    basis = column_basis(_centred(points))
    return upper_triangle(basis.mT @ basis)


def view_signature(xy: Float[Tensor, "*batch J 2"]) -> Float[Tensor, "*batch D"]:
    """Describe 2D keypoints by p pᵀ, where p is centred and of unit Frobenius norm.

    Returns:
        As `pose_signature`. Zero where all keypoints coincide.
    """
    centred = _centred(xy)
    norm = centred.square().sum((-2, -1), keepdim=True).sqrt()
    unit = centred * torch.where(norm > 0, 1 / norm, 0)
    return upper_triangle(unit @ unit.mT)


class AffineSignature:
    """The encoder without training: the nearest pose is the one whose best affine camera leaves the least residual.

    Let X (13 x 3) be a pose and p (13 x 2) the keypoints, both centred. An affine camera makes p = X Aᵀ, so the two
    columns of p lie in the column space of X whatever the camera. With B an orthonormal basis of that space, the
    least-squares residual over all affine cameras is |p|² - |Bᵀp|², and

        |Bᵀp|² = tr(pᵀ B Bᵀ p) = <p pᵀ, B Bᵀ>

    is an inner product of a matrix made from the keypoints alone and one made from the pose alone. Centring leaves 12
    dimensions (a Helmert basis) and symmetry 78 numbers. With p of unit norm the product lies in [0, 1], and
    sqrt(1 - product) is the residual as a share of the keypoints' size.

    The product is invariant to moving, rotating and scaling the image, and to moving the 3D points or mapping them by
    any linear map of full rank. A perfect fit stays perfect when the image is stretched or sheared. Poses are made
    canonical first, so bone lengths have no effect either. For the same reasons the product is equal for a pose and its
    depth reversal, which negates one coordinate, and for a sheared or stretched body; and it has no perspective. A body
    in one plane spans two dimensions, and these are compared (`column_basis`).

    >>> poses = np.random.default_rng(0).normal(size=(3, 17, 3))  # arbitrary joints
    >>> points = canonicalize(torch.from_numpy(poses)).poses[:, COCO13_IN_H36M17].numpy()
    >>> image = Keypoints.of(points[1:2] @ np.array([[90.0, 10.0], [-30.0, 80.0], [20.0, 5.0]]) + 300)  # affine
    >>> encoder = AffineSignature()
    >>> product = encoder.encode_keypoints(image) @ encoder.encode_poses(poses).T
    >>> int(product.argmax()), round(float(product.max()), 4)
    (1, 1.0)

    Reference:
        The rank theorem of Tomasi & Kanade 1992 (orthography), which holds for affine cameras as it stands: all
        images of a rigid body lie in the column space of its shape.
    """

    name = "affine"
    dim = 78
    metric: Metric = "ip"

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "AffineSignature":
        """Check a folder written by `save` and return the encoder; there is only one.

        Raises:
            ReadError: If the folder does not exist, or holds a model of another kind or other constants.
        """
        trained = pretrained.load(source)
        file = trained.where / "config.json"
        if trained.kind != cls.name:
            raise ReadError(f"{file}: is a {trained.kind!r}, expected {cls.name!r}")
        if trained.config != _constants():
            raise ReadError(f"{file}: made with other constants than this version of vipe has; build the index again")
        return cls()

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of the constants: joints, reference body, rank tolerance."""
        return hashlib.sha256(json.dumps(_constants(), sort_keys=True).encode()).hexdigest()[:16]

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N 78"]:
        """Embed poses on the working skeleton, metres, any root, rotation and body size.

        A pose without a canonical form has a signature too, since rotation has no effect on it.

        Raises:
            ShapeError: If `poses` is not (N, 17, 3), or holds a value that is not finite.
        """
        check_rows("poses", poses, (17, 3))
        finite = np.isfinite(poses).all(axis=(1, 2))
        if not finite.all():
            raise ShapeError(f"pose {int(np.argmin(finite))} is not finite")
        signatures = np.empty((len(poses), self.dim), dtype=np.float32)

        def encode(rows: slice) -> None:
            points = canonicalize(torch.from_numpy(poses[rows].astype(np.float32))).poses
            signatures[rows] = pose_signature(points[:, COCO13_IN_H36M17]).numpy()

        in_blocks(encode, len(poses), _BLOCK, workers=cores())
        return signatures

    def encode_keypoints(self, keypoints: Keypoints) -> Float32[Array, "N 78"]:
        """Embed 2D keypoints; all 13 joints of every person must be seen.

        Raises:
            ShapeError: If the keypoints are not on coco13, a person lacks a joint, or all joints of one coincide.
        """
        check_people(keypoints)
        if keypoints.skeleton.name != "coco13":
            raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
        if not keypoints.mask.all():
            row = int(np.argmin(keypoints.mask.all(axis=1)))
            seen = int(keypoints.mask[row].sum())
            raise ShapeError(
                f"person {row} has {seen} of 13 joints seen and the affine signature needs all; "
                "vipe.query searches with the joints that are there"
            )
        unit, _, radius = normalize_keypoints(keypoints)
        if (radius == 0).any():
            raise ShapeError(f"person {int(np.argmin(radius))} has all joints at one point; they must be apart")
        return view_signature(torch.from_numpy(unit)).numpy()

    def save(self, path: Path) -> None:
        """Write a folder for `from_pretrained`, with the constants and no weights.

        Raises:
            VipeError: If something else is there, or the folder cannot be written.
        """
        pretrained.save(path, self.name, _constants(), {}, _CARD)


def _constants() -> dict[str, Any]:
    return {
        "version": _MAP_VERSION,
        "joints": list(COCO13.joints),
        "flat": _FLAT,
        "reference_lengths": [round(length, 6) for length in REFERENCE_LENGTHS],
    }


def _centred(points: Float[Tensor, "*batch J dim"]) -> Float[Tensor, "*batch J-1 dim"]:
    # The mean goes first: pixels far from the origin would lose digits in the Helmert sums.
    helmert = torch.from_numpy(_helmert(points.shape[-2])).to(points)
    return helmert @ (points - points.mean(-2, keepdim=True))


@cache
def _helmert(joints: int) -> Float64[Array, "rows joints"]:
    """Orthonormal rows, each orthogonal to ones: row i compares joint i + 1 with the mean of those before."""
    count = np.arange(1, joints)
    rows = np.tril(np.ones((joints - 1, joints)))
    rows[count - 1, count] = -count
    helmert: Float64[Array, "rows joints"] = rows / np.sqrt(count * (count + 1))[:, None]
    return helmert


_CARD = """# Affine signature

No training and no weights: 78 numbers a pose and a query, whose inner product is one minus the squared relative
residual of the best affine camera. Written from constants; any copy is the same encoder.
"""
