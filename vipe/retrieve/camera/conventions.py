"""Where an annotator's joints lie on the body: offsets between keypoints and an archive's joints (numpy)."""

__all__ = ["OFFSET_SPREAD", "fit_offsets"]


import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.retrieve.body import BONE_GROUPS, GROUP_OF_BONE
from vipe.retrieve.camera.perspective import Fits, fit_cameras
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.problem import MIN_DEPTH
from vipe.retrieve.camera.variances import inverse_variances
from vipe.retrieve.candidates.affine import by_affine_camera, skip_reasons
from vipe.skeletons.working import CHILDREN, COCO13, COCO13_IN_H36M17, COCO13_MIRRORED, PARENTS

OFFSET_SPREAD = 0.05
"""Standard deviation of an offset before looking, torso lengths: about 2.5 cm. Few people say little, so it decides
how much of what they say is believed."""

_ROUNDS = 3
_LEAST_WEIGHT = 1e-12
_SHARPENED = 10  # candidates of each person that say where their joints are

_KEYPOINTS = list(COCO13_IN_H36M17)


def fit_offsets(
    index: PoseIndex,
    keypoints: Keypoints,
    *,
    where: Where | None = None,
    candidates: int = 200,
    spread: float = OFFSET_SPREAD,
    camera_prior: CameraPrior | None = None,
) -> Float64[Array, "13 3"]:
    """Estimate how far keypoints lie from an archive's joints, from keypoints alone.

    An annotator's hip is not the joint centre of motion capture. The mean offset of all people's keypoints from their
    best candidates, in the directions of the body, is the convention; the rest is noise and poses that differ.

    Cameras are fitted to the nearest candidates of everybody. Least squares then finds the offsets that explain most,
    linearly about the fits, with cameras and bodies eliminated. Cameras are fitted again with these offsets, three
    times in all. Offsets of left and right are mirror images. Each has the prior N(0, `spread`^2), so what body
    proportions explain as well (the width of the hips) stays with them. Keypoints are weighted as in `fit_cameras`.

    Args:
        index: The archive; the people should do what it holds.
        keypoints: Many people of one convention, on coco13. Those with too few joints are passed over.
        where: Search only rows that match, as in `PoseIndex.rows`.
        candidates: Of each person.
        spread: Torso lengths.
        camera_prior: As `fit_cameras` takes it.

    Returns:
        Offsets in canonical directions (x backwards, y to the right, z up), torso lengths: the `joint_offsets` of
        `fit_cameras`. Zero for joints that nobody shows. The directions are those of hips and spine, so the offsets of
        elbows, wrists, knees and ankles are averages over the usual ways to hold them.

    Raises:
        VipeError: If nobody can be searched for, or `spread` is not above 0.
        ShapeError: If the keypoints are on another skeleton.
    """
    if not spread > 0:
        raise VipeError(f"offsets: spread must be above 0, got {spread}")
    if keypoints.skeleton.name != "coco13":
        raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
    usable = [row for row, reason in enumerate(skip_reasons(keypoints)) if reason is None]
    if not usable:
        raise VipeError("offsets: nobody can be searched for; give people of whom at least 6 joints are seen")
    people = keypoints[np.array(usable)]
    allowed = None if where is None else index.rows(where)
    available = len(index) if allowed is None else len(allowed)
    poses = index.poses(by_affine_camera(index, people, min(candidates, available), allowed).rows)
    prior = camera_prior or CameraPrior()
    offsets = np.zeros((len(COCO13), 3))
    basis = _symmetric()
    for _ in range(_ROUNDS):
        fits = fit_cameras(poses, people, prior, joint_offsets=offsets)
        offsets = offsets + (basis @ _step(fits, people, prior, basis, offsets, spread)).reshape(-1, 3)
    return offsets


def _symmetric() -> Float64[Array, "39 free"]:
    """Offsets that are their own mirror image, as an orthonormal basis."""
    mirror = np.zeros((13, 3, 13, 3))
    for joint, other in enumerate(COCO13_MIRRORED):
        mirror[joint, range(3), other, range(3)] = [1, -1, 1]
    values, vectors = np.linalg.eigh((np.eye(39) + mirror.reshape(39, 39)) / 2)
    return np.asarray(vectors[:, values > 0.5])


def _step(
    fits: Fits,
    people: Keypoints,
    prior: CameraPrior,
    basis: Float64[Array, "39 free"],
    offsets: Float64[Array, "13 3"],
    spread: float,
) -> Float64[Array, " free"]:
    """The change of the offsets that explains most of what is left."""
    best = np.argsort(fits.cost, axis=1)[:, :_SHARPENED]
    radius = normalize_keypoints(people)[2]
    # Those of the camera fit; a joint that is not visible takes no part, so its variance may be anything.
    variances = 1 / np.maximum(inverse_variances(people, radius, prior), _LEAST_WEIGHT)
    matrix = np.eye(basis.shape[1]) / spread**2
    right = -basis.T @ offsets.ravel() / spread**2
    for person, rows in enumerate(best):
        cost = fits.cost[person, rows].astype(np.float64)
        share = np.exp(-(cost - cost[0]) / 2)
        seen = np.repeat(people.mask[person], 2)
        variance = variances[person]
        for row, part in zip(rows, share / share.sum(), strict=True):
            left, by_offset, by_camera, by_bone = _derivatives(fits, people, person, int(row))
            unit = float(radius[person] / fits.scale[person, row])  # RMS radii in torso lengths
            squares = np.square(left.reshape(13, 2)).sum(1) / (variance * unit**2)
            doubt = 1.0 if prior.student is None else (prior.student + squares) / (prior.student + 2)
            noise = np.repeat(variance * unit**2 * doubt, 2)
            wide = np.diag(noise) + prior.bone_spread**2 * by_bone @ by_bone.T + 100 * by_camera @ by_camera.T
            some = np.ix_(seen, seen)
            weighted = np.linalg.solve(wide[some], np.column_stack([by_offset @ basis, left])[seen])
            columns = (by_offset @ basis)[seen]
            matrix += part * columns.T @ weighted[:, :-1]
            right += part * columns.T @ weighted[:, -1]
    return np.asarray(np.linalg.solve(matrix, right))


def _derivatives(
    fits: Fits, people: Keypoints, person: int, row: int
) -> tuple[Float64[Array, "26"], Float64[Array, "26 39"], Float64[Array, "26 6"], Float64[Array, "26 9"]]:
    """What is left of the keypoints, and how images move with offsets, camera and bones; in torso lengths."""
    pose = fits.poses[person, row].astype(np.float64)
    joints = pose[_KEYPOINTS]
    near = 1 / np.maximum(1 + fits.inverse_depth[person, row] * joints[:, 2], MIN_DEPTH)
    image = near[:, None] * joints[:, :2]
    shown = (people.xy[person] - fits.shift[person, row]) / max(float(fits.scale[person, row]), 1e-9)
    left = np.where(people.mask[person][:, None], shown - image, 0)
    # The image of a small move of a joint: near (dx - u dz, dy - v dz) with (u, v) = inverse_depth times the image.
    moved = np.zeros((13, 2, 3))
    moved[:, 0, 0] = moved[:, 1, 1] = near
    moved[:, :, 2] = -(near * fits.inverse_depth[person, row])[:, None] * image
    rotation = fits.rotation[person, row].astype(np.float64)
    by_offset = np.zeros((13, 2, 13, 3))
    by_offset[range(13), :, range(13)] = moved @ rotation
    turns = np.stack([np.cross(axis, joints) for axis in np.eye(3)], axis=-1)  # 13 3 3
    by_camera = np.concatenate([moved @ turns, image[..., None], np.broadcast_to(np.eye(2), (13, 2, 2))], axis=-1)
    by_bone = moved @ _bone_moves(pose)[_KEYPOINTS]
    return left.ravel(), by_offset.reshape(26, 39), by_camera.reshape(26, 6), by_bone.reshape(26, 9)


def _bone_moves(pose: Float64[Array, "17 3"]) -> Float64[Array, "17 3 9"]:
    """How joints move when all bones of a group grow."""
    moves = np.zeros((17, 3, len(BONE_GROUPS)))
    for parent, end, group, vector in zip(
        PARENTS, CHILDREN, GROUP_OF_BONE, pose[1:] - pose[list(PARENTS)], strict=True
    ):
        moves[end] = moves[parent]
        if group is not None:
            moves[end, :, group] += vector
    return moves
