"""A perspective camera and body proportions, fitted to every candidate of every person (numpy; torch planes inside)."""

__all__ = ["Fits", "fit_cameras"]

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped

from vipe.arrays import Array, take_columns, take_rows
from vipe.crossing import to_array, to_tensor
from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError
from vipe.geometry.planes import in_blocks, rotate
from vipe.retrieve.body import BONE_GROUPS, GROUP_OF_BONE, BodyProportions
from vipe.retrieve.camera.gauss_newton import Workspace, solve
from vipe.retrieve.camera.known_focal import known_focal
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.problem import JOINTS, MIN_DEPTH, Layout, Problem
from vipe.retrieve.camera.variances import bone_spreads, inverse_variances
from vipe.skeletons.joint_conventions import ARCHIVE, load_convention
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, PARENTS

_SEEN = list(COCO13_IN_H36M17)
_NO_GROUP = len(BONE_GROUPS)
_FACTOR = [_NO_GROUP if group is None else group for group in GROUP_OF_BONE]
_ORDER = [COCO13.index(joint) for joint in JOINTS]
_BLOCK = 4096  # candidates: fewer, and calls cost more than sums
_BLOCK_GPU = 65_536  # there every call costs as much as thousands of candidates; memory 0.5 GB


@dataclass(frozen=True, kw_only=True)
class Fits:
    """K fitted cameras and bodies for each of Q people.

    A joint at Y, torso lengths in the camera's directions from the pelvis (x right, y down, z away), has its image at
    `scale * (Y_x, Y_y) / (1 + inverse_depth * Y_z) + shift`.
    """

    cost: Float32[Array, "Q K"]  # twice the negative log posterior up to a constant: least is best
    residual: Float32[Array, "Q K"]  # root mean square distance of seen keypoints and reprojections, RMS radii
    rotation: Float32[Array, "Q K 3 3"]  # R_cam_canonical
    scale: Float32[Array, "Q K"]  # pixels a torso length at the pelvis
    shift: Float32[Array, "Q K 2"]  # pixels: where the pelvis lands
    inverse_depth: Float32[Array, "Q K"]  # one over the distance of camera and pelvis, per torso length
    bones: Float32[Array, "Q K 9"]  # share by which a bone is longer than the canonical body's, by `BONE_GROUPS`
    poses: Float32[Array, "Q K 17 3"]  # in the camera's directions, torso lengths from the pelvis, with these bones
    error: Float32[Array, "Q K 13"]  # pixels from each keypoint to its reprojection, 0 where unseen

    @classmethod
    def empty(cls, people: int, count: int) -> "Fits":
        """Fits of NaN, for places without a hit."""
        shapes: dict[str, tuple[int, ...]] = {"rotation": (3, 3), "shift": (2,), "bones": (len(BONE_GROUPS),)}
        shapes |= {"poses": (17, 3), "error": (13,)}
        return cls(
            **{
                field.name: np.full((people, count, *shapes.get(field.name, ())), np.nan, dtype=np.float32)
                for field in fields(cls)
            }
        )

    def take(self, columns: Int64[Array, "Q M"]) -> "Fits":
        """Some of each person's fits, in another order."""
        return take_rows(self, columns, take=take_columns)

    def project(self) -> Float32[Array, "Q K 17 2"]:
        """Where all 17 joints land, pixels."""
        depth = np.maximum(1 + self.inverse_depth[..., None] * self.poses[..., 2], MIN_DEPTH)
        near = (self.scale[..., None] / depth)[..., None]
        return np.asarray(near * self.poses[..., :2] + self.shift[..., None, :], dtype=np.float32)


def fit_cameras(
    poses: Float[Array, "Q K 17 3"],
    keypoints: Keypoints,
    prior: CameraPrior | None = None,
    *,
    proportions: BodyProportions | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
    empty: Bool[Array, "Q K"] | None = None,
    device: str = "cpu",
) -> Fits:
    """Fit a perspective camera and nine bone lengths of the person to each of K poses for each of Q people.

    The camera has a rotation, a scale, a shift in the image and an inverse distance kappa; bone g of both sides is
    (1 + l_g) times the canonical one:

        p_j = s Y_xy / (1 + kappa Y_z) + t,   Y = R (X_j + sum_g l_g B_gj)

    Minimizes sum_j rho(|r_j|^2 / sigma_j^2) + (kappa - 0.12)^2 / 0.05^2 + sum_g l_g^2 / 0.08^2 by damped Gauss-Newton
    steps, of which none may raise the cost, from the two scaled-orthographic cameras, each the other's depth reversal,
    that fit the flat of the body. sigma_j^2 is the keypoint's own variance, half the trace of its covariance or else
    `prior.noise` squared over the confidence, plus `prior.misfit` squared. rho(q) is
    (nu + 2) log(1 + q / nu), a Student distribution of nu = `prior.student` degrees of freedom, so that a joint far
    off does not decide, or q itself where that is None. Unseen joints take no part.

    Where the camera is known (`Keypoints.crop`), its focal length f ties size and distance: the second term is
    (kappa - s / f)^2 / 0.02^2 in place of (kappa - 0.12)^2 / 0.05^2.

    The second start is left out where the first is so far ahead under scaled orthography that it cannot lose.

    The convention of the keypoints (`Keypoints.convention`) says how they differ from the archive's joints: its offsets
    are added to the poses first, its spread to sigma_j (a torso length counts as an RMS radius), and its spread of bone
    lengths takes the place of 0.08.

    Only the best `prior.refine` of a person's candidates get more than `prior.steps` steps, and only the best half of
    those more than one more: the others' costs are upper bounds.

    Args:
        poses: Canonical poses, such as `index.poses(hits.rows)`, torso lengths, pelvis at 0.
        keypoints: Q people on coco13, pixels.
        prior: What is believed before looking, and how many steps.
        proportions: What is known of each person's bones, such as from other frames of a track; it replaces the
            prior's 0 and `prior.bone_spread`.
        joint_offsets: From each joint of coco13 to what the keypoints mark, such as an annotator's hips, torso lengths
            in the directions of the canonical body. They are added to the poses first, so `Fits.poses` has them too,
            and take the place of the keypoints' convention.
        empty: Places whose poses nobody asks about, where people have different numbers of candidates: they are never
            among the best, and their cost is infinite.
        device: Where to compute, as torch names it. A GPU rounds sums in another order, so that costs differ by 1e-5
            or so, and of two starts that end alike it may take the other one.

    Returns:
        The size of the person and the distance of the camera trade off exactly (all bones longer, scale and
        inverse depth less, in one proportion): what is given there is what the priors say.

        Finite numbers always. Where all seen joints coincide the camera has scale 0 and shows all joints there; a
        flat pose has two cameras that fit equally well, and one of them is given.

    Raises:
        ShapeError: If the shapes do not fit each other, a pose or offset is not finite, or the skeleton is another.

    Reference:
        Depth reversal: Huang & Lee 1989 (motion and structure from orthographic projections).
    """
    prior = prior or CameraPrior()
    if poses.ndim != 4 or poses.shape[0] != len(keypoints) or poses.shape[2:] != (17, 3):
        raise ShapeError(f"poses must be ({len(keypoints)} people, K, 17, 3), got shape {poses.shape}")
    if keypoints.skeleton.name != "coco13":
        raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
    if not np.isfinite(poses).all():
        raise ShapeError("poses must be finite; drop those that are not")
    if proportions is not None and len(proportions) != len(keypoints):
        raise ShapeError(f"proportions must be of {len(keypoints)} people, got {len(proportions)}")
    if joint_offsets is not None:
        if joint_offsets.shape != (len(JOINTS), 3) or not np.isfinite(joint_offsets).all():
            raise ShapeError(f"joint_offsets must be (13, 3) finite numbers, got shape {joint_offsets.shape}")
        keypoints = replace(keypoints, convention=ARCHIVE)
    convention = load_convention(keypoints.convention)
    offsets = convention.offsets if joint_offsets is None else joint_offsets
    if offsets.any():
        poses = poses.astype(np.float32)  # a copy
        poses[:, :, COCO13_IN_H36M17] += offsets.astype(np.float32)
    people, count = poses.shape[:2]
    unit, center, radius = normalize_keypoints(keypoints)
    weight = inverse_variances(keypoints, radius, prior)
    points = to_tensor(np.ascontiguousarray(poses, dtype=np.float32).reshape(people * count, 51), device)
    xy = to_tensor(np.ascontiguousarray(unit[:, _ORDER].transpose(1, 2, 0)), device)
    weights = _planes(weight[:, _ORDER], device)
    everyone = torch.arange(people, device=device)
    person = everyone.repeat_interleave(count)
    state = torch.empty(Layout.SIZE, people * count, device=device)
    known = None
    if proportions is not None:
        known = tuple(_planes(part, device) for part in (proportions.mean, proportions.spread))
    usual = to_tensor(bone_spreads(prior, convention).astype(np.float32), device)[:, None]
    block = _BLOCK if state.is_cpu else _BLOCK_GPU

    focal = known_focal(keypoints, radius, prior, device)

    def problem_of(rows: slice | Int64[torch.Tensor, " M"]) -> Problem:
        chosen = person[rows]
        mean, spread = (None, usual) if known is None else (known[0][:, chosen], known[1][:, chosen])
        depth = None if focal is None else focal[chosen]
        return Problem.of(points[rows], xy[..., chosen], weights[:, chosen], prior, mean, spread, depth)

    unasked = None if empty is None else to_tensor(np.ascontiguousarray(empty), device).flatten()

    spaces: list[Workspace] = []  # taken and given back by the threads

    def advance(rows: slice | Int64[torch.Tensor, " M"], steps: int, *, start: bool) -> None:
        space = spaces.pop() if spaces else Workspace(min(block, people * count), state.device)
        state[:, rows] = solve(problem_of(rows), steps, space, state[:, rows] if start else None)
        spaces.append(space)

    if state.is_cpu:
        _keep_freed_memory()

    def leave_out_unasked() -> None:
        if unasked is not None:
            state[Layout.COST, unasked] = torch.inf

    _in_blocks(lambda rows: advance(rows, prior.steps, start=False), people * count, block)
    leave_out_unasked()
    for rivals, steps in prior.rounds(count) if people else ():
        best = state[Layout.COST].view(people, count).topk(rivals, largest=False).indices
        left = (best + everyone[:, None] * count).flatten().sort().values

        def further(rows: slice, left: Int64[torch.Tensor, " M"] = left, steps: int = steps) -> None:
            advance(left[rows], steps, start=True)

        _in_blocks(further, len(left), block)
        leave_out_unasked()
    return _fits(state, points, person, count, keypoints, center, radius)


def _in_blocks(work: Callable[[slice], None], count: int, block: int) -> None:
    """In blocks, from one core: between steps threads wait for the interpreter, and two of them are slower than one.

    Torch would divide every single step over the cores, which costs more than the step.
    """
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        in_blocks(work, count, block)
    finally:
        torch.set_num_threads(threads)


def _planes(rows: Shaped[Array, "Q numbers"], device: torch.device | str) -> Float32[torch.Tensor, "numbers Q"]:
    return to_tensor(np.ascontiguousarray(rows.T, dtype=np.float32), device)


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed, where it is glibc: giving pages back at every step costs more than the step.

    It raises its thresholds for that to the size of the largest block below 32 MB that it saw freed; this one is never
    written to, so it costs nothing.
    """
    torch.empty(30 << 20, dtype=torch.uint8)


def _fits(
    state: Float32[torch.Tensor, "24 N"],
    points: Float32[torch.Tensor, "N 51"],
    person: Int64[torch.Tensor, " N"],
    count: int,
    keypoints: Keypoints,
    center: Float32[Array, "Q 2"],
    radius: Float32[Array, " Q"],
) -> Fits:
    people, total, device = len(keypoints), len(points), points.device
    unit = (keypoints.xy - center[:, None]) / np.where(radius > 0, radius, np.inf)[:, None, None]
    xy = to_tensor(np.ascontiguousarray(unit.transpose(1, 2, 0), dtype=np.float32), device)
    mask = _planes(keypoints.mask, device)
    bodies, off = torch.empty(total, 51, device=device), torch.empty(total, 13, device=device)
    residual = torch.empty(total, device=device)

    def lay_out(rows: slice) -> None:
        some, chosen = state[:, rows], person[rows]
        planes = points[rows].T.contiguous().view(17, 3, -1)
        stretch = torch.cat([some[Layout.BONES], torch.zeros_like(some[:1])])[_FACTOR] + 1
        vectors = (planes[1:] - planes[list(PARENTS)]) * stretch[:, None]
        vectors = rotate(some[Layout.ROTATION].view(3, 3, -1), vectors)
        body = torch.zeros_like(planes)
        for bone, parent in enumerate(PARENTS):
            torch.add(body[parent], vectors[bone], out=body[bone + 1])
        seen = body[_SEEN]
        near = some[Layout.SCALE] / (1 + some[Layout.INVERSE_DEPTH] * seen[:, 2]).clamp_min(MIN_DEPTH)
        rest = seen[:, :2] * near[:, None] + some[Layout.SHIFT] - xy[..., chosen]
        squares = rest.square().sum(1) * mask[:, chosen]
        bodies[rows] = body.flatten(0, 1).T
        off[rows] = squares.sqrt().T
        residual[rows] = (squares.sum(0) / mask[:, chosen].sum(0).clamp_min(1)).sqrt()

    _in_blocks(lay_out, total, _BLOCK if points.is_cpu else _BLOCK_GPU)
    numbers = to_array(state)

    def of(where: int | slice) -> Float32[Array, "Q K *numbers"]:
        own = numbers[where]
        part = np.ascontiguousarray(np.moveaxis(own, 0, -1) if isinstance(where, slice) else own)
        return part.reshape(people, count, *part.shape[1:])

    size = radius[:, None]
    return Fits(
        cost=of(Layout.COST),
        residual=to_array(residual).reshape(people, count),
        rotation=of(Layout.ROTATION).reshape(people, count, 3, 3),
        scale=of(Layout.SCALE) * size,
        shift=of(Layout.SHIFT) * size[..., None] + center[:, None],
        inverse_depth=of(Layout.INVERSE_DEPTH),
        bones=of(Layout.BONES),
        poses=to_array(bodies).reshape(people, count, 17, 3),
        error=to_array(off).reshape(people, count, 13) * size[..., None],
    )
