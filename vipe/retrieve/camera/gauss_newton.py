"""Damped Gauss-Newton for a camera and nine bone lengths, many candidates at a time (torch planes).

Candidates lie on the last axis (see `vipe.geometry.planes`). A joint's image depends on the parameters only through
the joint's place Y in the camera's directions, and a bone moves all joints beyond it alike. With E_j (2 x 3) the
derivative of joint j's image and S_j = w_j E_j^T E_j, the entries of the normal equations that belong to bones are
therefore products of single bones with S_j summed over the joints beyond them: what the composite rigid body algorithm
does for the inertia of robots (Featherstone 2008, ch. 6).
"""

__all__ = ["JOINTS", "MIN_DEPTH", "Problem", "Solution", "Workspace", "mirrored_starts", "solve"]

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vipe.geometry.planes import dot, rotate
from vipe.retrieve.camera.body import BONE_GROUPS, PAIRED_GROUPS
from vipe.retrieve.camera.prior import CameraPrior
from vipe.skeletons.working import H36M17, without_side

JOINTS = (*(f"{side}_{name}" for name in PAIRED_GROUPS for side in ("right", "left")), "nose")
"""Order of joints here: a limb after the other, both sides of a joint together, so that slices walk along limbs."""

_ENDS = [H36M17.index(joint) for joint in (*JOINTS, "spine", "thorax")]
_PARENT = [H36M17.parents[end] for end in _ENDS]
_GROUP = torch.tensor([BONE_GROUPS.index(without_side(H36M17.joints[end])) for end in _ENDS])  # of each bone here

_CAMERA = 5  # rotation 3, log scale, inverse_depth; the shift is eliminated
_SIZE = _CAMERA + len(BONE_GROUPS)
MIN_DEPTH = 0.1  # of the pelvis's: nothing is drawn nearer to the camera
_DAMPING = 1e-3
_TINY = 1e-12
_DOUBT = 60.0  # of the cost: with a lead above it the mirrored start changes nothing for queries from `val`
_RIDGE = 1e-3  # on every diagonal entry: a body of no size, or nobody seen, leaves the rest zero


class Solution:
    """Which rows of a state hold what."""

    COST = 0
    DAMPING = 1
    SCALE = 2
    INVERSE_DEPTH = 3
    SHIFT = slice(4, 6)
    ROTATION = slice(6, 15)
    BONES = slice(15, 24)
    SIZE: ClassVar[int] = 24


@dataclass(frozen=True)
class Problem:
    """What does not change over the steps."""

    bones: Float[Tensor, "15 3 N"]  # canonical bone vectors that end in `JOINTS`, then spine and thorax
    xy: Float[Tensor, "13 2 N"]  # keypoints less their weighted mean, RMS radii
    middle: Float[Tensor, "2 N"]  # that mean
    weight: Float[Tensor, "13 N"]  # one over the variance
    share: Float[Tensor, "13 1 N"]  # of the weight
    build: Float[Tensor, "9 #N"]  # the bone factors believed before looking
    firmness: Float[Tensor, "9 #N"]  # one over their variance
    config: CameraPrior

    @classmethod
    def of(
        cls,
        points: Float[Tensor, "N 51"],
        xy: Float[Tensor, "13 2 N"],
        weight: Float[Tensor, "13 N"],
        config: CameraPrior,
        build: Float[Tensor, "9 #N"] | None = None,
        spread: Float[Tensor, "9 #N"] | None = None,
    ) -> "Problem":
        """Lay out flattened h36m17 poses, keypoints in RMS radii and weights, both in the order of `JOINTS`.

        Bone factors are believed to be near `build` by `spread`; not given, near 0 by `config.bone_spread`.
        """
        planes = points.T.contiguous().view(17, 3, -1)
        share = (weight / weight.sum(0).clamp_min(_TINY))[:, None]
        middle = (share * xy).sum(0)
        bones = planes[_ENDS] - planes[_PARENT]
        return cls(
            bones=bones,
            xy=xy - middle,
            middle=middle,
            weight=weight,
            share=share,
            build=bones.new_zeros(len(BONE_GROUPS), 1) if build is None else build,
            firmness=(bones.new_full((len(BONE_GROUPS), 1), config.bone_spread) if spread is None else spread).pow(-2),
            config=config,
        )

    def __getitem__(self, columns: Int64[Tensor, " M"]) -> "Problem":
        names = ("bones", "xy", "middle", "weight", "share", "build", "firmness")
        arrays = {name: getattr(self, name) for name in names}
        # What is the same for all candidates has one column.
        chosen = {name: array if array.shape[-1] == 1 else array[..., columns] for name, array in arrays.items()}
        return Problem(**chosen, config=self.config)


def solve(
    problem: Problem, steps: int, space: "Workspace", state: Float[Tensor, "24 N"] | None = None
) -> Float[Tensor, "24 N"]:
    """Take damped steps from a state, or from both starts; the cost of the result is never above the start's."""
    if state is not None:
        return _descend(problem, _Trial(problem, state.clone()), steps, space).state
    likely, other, lead = mirrored_starts(problem)
    doubtful = (lead < _DOUBT).nonzero()[:, 0]
    if not len(doubtful):
        return _descend(problem, _Trial(problem, likely, problem.weight), steps, space).state
    # Both starts in one go: for a few candidates a step costs its calls, however many there are.
    count = len(lead)
    both = problem[torch.cat([torch.arange(count), doubtful])]
    start = torch.cat([likely, other[:, doubtful]], dim=1)
    ends = _descend(both, _Trial(both, start, both.weight), steps, space).state
    found, mirrored = ends[:, :count].clone(), ends[:, count:]
    before = found[:, doubtful]
    found[:, doubtful] = torch.where(mirrored[Solution.COST] < before[Solution.COST], mirrored, before)
    return found


class _Trial:
    """A state with everything that its cost and its derivatives are made of.

    Scale and shift are the best ones under the given weights of the joints, or the state's own if none are given.
    """

    def __init__(
        self, problem: Problem, state: Float[Tensor, "24 N"], weight: Float[Tensor, "13 N"] | None = None
    ) -> None:
        config = problem.config
        inverse_depth, factors = state[Solution.INVERSE_DEPTH], state[Solution.BONES]
        self.state = state
        self.vectors = rotate(state[Solution.ROTATION].view(3, 3, -1), problem.bones)
        self.places = _joints(self.vectors * (1 + factors[_GROUP])[:, None])
        self.near = (1 + inverse_depth * self.places[:, 2]).clamp_min(MIN_DEPTH).reciprocal()
        image = self.places[:, :2] * self.near[:, None]
        if weight is not None:
            share = (weight / weight.sum(0).clamp_min(_TINY))[:, None]
            mean, middle = (share * image).sum(0), (share * problem.xy).sum(0)
            centred = image - mean
            weighted = centred * share
            scale = (weighted * problem.xy).sum((0, 1)) / (weighted * centred).sum((0, 1)).clamp_min(_TINY)
            state[Solution.SCALE] = scale.clamp_min(0)
            state[Solution.SHIFT] = problem.middle + middle - state[Solution.SCALE] * mean
        self.scale = state[Solution.SCALE]
        self.rest = problem.xy - self.scale * image + (problem.middle - state[Solution.SHIFT])
        squared = self.rest.square().sum(1) * problem.weight
        self.weight = problem.weight
        if config.student is None:
            data = squared.sum(0)
        else:
            data = (config.student + 2) * torch.log1p(squared / config.student).sum(0)
            # A Gaussian of these weights touches the Student distribution here and lies above it elsewhere.
            self.weight = problem.weight * (config.student + 2) / (config.student + squared)
        prior = ((inverse_depth - config.inverse_depth) / config.inverse_depth_spread).square()
        unlike = (factors - problem.build).square_() * problem.firmness
        state[Solution.COST] = data + prior + unlike.sum(0)


def _descend(problem: Problem, trial: _Trial, steps: int, space: "Workspace") -> _Trial:
    space = space.part(trial.scale.shape[-1])
    for _ in range(steps):
        step = _step(problem, trial, space)
        proposal = _Trial(problem, _moved(trial.state, step), trial.weight)
        worse = ~(proposal.state[Solution.COST] <= trial.state[Solution.COST])
        back = worse.nonzero()[:, 0]
        proposal.state[Solution.DAMPING] *= 0.1
        if len(back):
            for name in ("state", "vectors", "places", "near", "rest", "weight"):
                getattr(proposal, name)[..., back] = getattr(trial, name)[..., back]
            proposal.state[Solution.DAMPING, back] *= 30
            proposal.scale = proposal.state[Solution.SCALE]
        trial = proposal
    return trial


def _joints(vectors: Float[Tensor, "15 3 N"]) -> Float[Tensor, "13 3 N"]:
    places = vectors[:13].clone()
    top = vectors[13] + vectors[14]
    places[6:8] += top
    places[12] += top
    for limb in (0, 6):
        places[limb + 2 : limb + 4] += places[limb : limb + 2]
        places[limb + 4 : limb + 6] += places[limb + 2 : limb + 4]
    return places


def _moved(state: Float[Tensor, "24 N"], step: Float[Tensor, "14 N"]) -> Float[Tensor, "24 N"]:
    moved = state.clone()
    half = step[:3] / 2
    # The rotation by the quaternion (1, half), normalized: defined for any step.
    factor = 2 / (1 + half.square().sum(0))
    columns = state[Solution.ROTATION].view(3, 3, -1)
    turned = _cross(half, columns)
    moved[Solution.ROTATION] = (columns + factor * (turned + _cross(half, turned))).flatten(0, 1)
    moved[Solution.INVERSE_DEPTH] += step[4]
    moved[Solution.BONES] += step[_CAMERA:]
    return moved


def _cross(a: Float[Tensor, "3 N"], b: Float[Tensor, "3 *columns N"]) -> Float[Tensor, "3 *columns N"]:
    """Cross product with a vector, or with every column of a matrix."""
    x, y, z = b
    return torch.stack([a[1] * z - a[2] * y, a[2] * x - a[0] * z, a[0] * y - a[1] * x])


class Workspace:
    """Memory for the steps of one block at a time, both starts of all candidates at most.

    Asking the system for it at every step would take longer.
    """

    def __init__(self, candidates: int) -> None:
        count = 2 * candidates
        self.columns = torch.zeros(6, 13, 2, count)
        self.pulled = torch.zeros(13, 6, 3, count)
        self.products = torch.zeros(6, 13, 2, count)
        self.coupling = torch.zeros(15, 6, count)
        self.matrix = torch.zeros(_SIZE + 1, _SIZE + 1, count)
        self.first = torch.zeros(_SIZE + 1, 2, count)

    def part(self, count: int) -> "Workspace":
        """The first `count` candidates of it."""
        if count == self.matrix.shape[-1]:
            return self
        part = object.__new__(Workspace)
        part.__dict__ = {name: memory[..., :count] for name, memory in self.__dict__.items()}
        return part


def _step(problem: Problem, trial: _Trial, space: Workspace) -> Float[Tensor, "14 N"]:
    config = problem.config
    x, y, z = trial.places.unbind(1)
    weight = trial.weight
    zoom = trial.scale * trial.near  # the derivative of an image by Y is zoom [1 0 -u; 0 1 -v]
    closer = trial.state[Solution.INVERSE_DEPTH] * trial.near
    u, v = closer * x, closer * y
    weighted = weight * zoom
    a = weighted * zoom

    # Derivatives of the images by rotation, log scale and inverse_depth, and what is left to explain, over the zoom.
    columns = space.columns
    torch.mul(u, y, out=columns[0, :, 0]).neg_()
    torch.addcmul(z, v, y, out=columns[0, :, 1]).neg_()
    torch.addcmul(z, u, x, out=columns[1, :, 0])
    torch.mul(v, x, out=columns[1, :, 1])
    torch.neg(y, out=columns[2, :, 0])
    columns[2, :, 1] = x
    columns[3] = trial.places[:, :2]
    torch.mul(columns[3], (trial.near * z).neg_()[:, None], out=columns[4])
    torch.div(trial.rest, zoom.clamp_min(_TINY)[:, None], out=columns[5])
    # The same pulled back into space by w zoom E^T: what a joint's move would gain.
    pulled = space.pulled
    torch.mul(columns.transpose(0, 1), a[:, None, None], out=pulled[:, :, :2])
    torch.mul(pulled[:, :, 0], u[:, None], out=pulled[:, :, 2])
    pulled[:, :, 2].addcmul_(pulled[:, :, 1], v[:, None]).neg_()

    matrix, first = space.matrix, space.first  # of both the last row is the right-hand side
    for k in range(6):
        products = torch.mul(columns[k:], pulled[:, k, :2], out=space.products[k:]).flatten(1, 2).sum(1)
        matrix[k:_CAMERA, k] = products[: _CAMERA - k]
        matrix[_SIZE, k if k < _CAMERA else _SIZE] = products[-1]
    # What the shift will take away: sums of the weighted columns, whose own column over the zoom is 1 / zoom.
    sums = torch.mul(columns, weighted[:, None], out=space.products).sum(1)
    first[:_CAMERA] = sums[:_CAMERA]
    first[_SIZE] = sums[_CAMERA]

    bones = trial.vectors
    pulled, upper = _carried(pulled)
    mass = _of_bones(torch.stack([a, -a * u, -a * v, a * (u * u + v * v)], dim=1))
    along = _of_bones(torch.stack([weighted, -weighted * u, -weighted * v], dim=1))
    coupling = space.coupling
    torch.mul(pulled[:, :, 0], bones[:13, 0, None], out=coupling[:13])
    coupling[:13].addcmul_(pulled[:, :, 1], bones[:13, 1, None]).addcmul_(pulled[:, :, 2], bones[:13, 2, None])
    torch.mul(upper[:, 0], bones[13:, 0, None], out=coupling[13:])
    coupling[13:].addcmul_(upper[:, 1], bones[13:, 1, None]).addcmul_(upper[:, 2], bones[13:, 2, None])
    _by_group(coupling[:, :5], matrix[_CAMERA:_SIZE, :_CAMERA])
    _by_group(coupling[:, 5], matrix[_SIZE, _CAMERA:_SIZE])
    shifted = torch.addcmul(along[:, :1] * bones[:, :2], along[:, 1:], bones[:, 2:])
    _by_group(shifted, first[_CAMERA:_SIZE])
    force = torch.empty_like(bones)
    torch.mul(mass[:, :1], bones[:, :2], out=force[:, :2]).addcmul_(mass[:, 1:3], bones[:, 2:])
    torch.mul(mass[:, 3], bones[:, 2], out=force[:, 2])
    force[:, 2].addcmul_(mass[:, 1], bones[:, 0]).addcmul_(mass[:, 2], bones[:, 1])
    block = matrix[_CAMERA:_SIZE, _CAMERA:_SIZE]
    block[3:, :3] = 0  # no joint is beyond a leg's bone and an arm's
    for inner in range(3):  # legs and arms at once
        for outer in range(inner, 3):
            pair = dot(_limbs(force)[:, outer], _limbs(bones)[:, inner]).sum(1)
            block[outer, inner], block[3 + outer, 3 + inner] = pair[0], pair[1]
    above = dot(force[6:13, None], bones[None, 13:])  # spine and thorax carry all of the upper body
    torch.add(above[0:6:2], above[1:6:2], out=block[7:, 3:6].transpose(0, 1))
    block[7:, 6] = above[6]
    block[6, 6] = dot(force[12], bones[12])
    block[7, 7] = dot(force[13], bones[13])
    block[8, 7:] = dot(force[14], bones[13:])

    share = first / weight.sum(0).clamp_min(_TINY)
    matrix.addcmul_(first[:, None, 0], share[None, :, 0], value=-1)
    matrix.addcmul_(first[:, None, 1], share[None, :, 1], value=-1)
    diagonal = matrix.diagonal().T
    tight = config.inverse_depth_spread**-2
    diagonal[4] += tight
    diagonal[_CAMERA:_SIZE] += problem.firmness
    matrix[_SIZE, 4] += tight * (config.inverse_depth - trial.state[Solution.INVERSE_DEPTH])
    matrix[_SIZE, _CAMERA:_SIZE].addcmul_(problem.build - trial.state[Solution.BONES], problem.firmness)
    diagonal[:_SIZE] *= 1 + trial.state[Solution.DAMPING]
    diagonal[:_SIZE] += _RIDGE
    return _solved(matrix)


def _limbs(bones: Float[Tensor, "15 3 N"]) -> Float[Tensor, "2 3 2 3 N"]:
    """Legs and arms, inner bones first, right and left."""
    return bones[:12].view(2, 3, 2, 3, -1)


def _carried(sums: Float[Tensor, "13 *any N"]) -> tuple[Float[Tensor, "13 *any N"], Float[Tensor, "*any N"]]:
    """Sums over the joints from each on outwards, in place (the opposite way of `_joints`), and over the upper body."""
    for limb in (0, 6):
        sums[limb + 2 : limb + 4] += sums[limb + 4 : limb + 6]
        sums[limb : limb + 2] += sums[limb + 2 : limb + 4]
    return sums, sums[6] + sums[7] + sums[12]


def _of_bones(sums: Float[Tensor, "13 rows N"]) -> Float[Tensor, "15 rows N"]:
    """Sums over the joints that each bone carries."""
    limbs, upper = _carried(sums)
    return torch.cat([limbs, upper.expand(2, -1, -1)])


def _by_group(of_bones: Float[Tensor, "15 *any N"], of_groups: Float[Tensor, "9 *any N"]) -> None:
    torch.add(of_bones[0:12:2], of_bones[1:12:2], out=of_groups[:6])
    of_groups[6:] = of_bones[12:]


def _solved(matrix: Float[Tensor, "15 15 N"]) -> Float[Tensor, "14 N"]:
    """Solve by Cholesky (lower triangle, right-hand side in the last row); the matrix is used up."""
    inverse = []
    for k in range(_SIZE):
        inverse.append(matrix[k, k].clamp_min(1e-6).rsqrt())
        column = matrix[k + 1 :, k]
        column *= inverse[k]
        matrix[k + 1 :, k + 1 :].addcmul_(column[:, None], column[None, : _SIZE - k], value=-1)
    solution = matrix[_SIZE, :_SIZE].clone()
    for k in reversed(range(_SIZE)):
        solution[k] *= inverse[k]
        solution[:k].addcmul_(matrix[k, :k], solution[k], value=-1)
    return solution


def mirrored_starts(problem: Problem) -> tuple[Float[Tensor, "24 N"], Float[Tensor, "24 N"], Float[Tensor, " N"]]:
    """The two scaled-orthographic cameras that fit the flat of the body, each the depth reversal of the other.

    The likelier comes first; the third result says by how much of the cost it is ahead, as far as such cameras tell.

    Along the direction n in which the seen joints extend least, noise and build decide more than the camera does. So
    only the part A2 of the affine camera that is at right angles to n is fitted; what it does to n follows, up to
    its sign, from the two rows of a scaled-orthographic camera being orthogonal and of one length.
    """
    points = _joints(problem.bones * (1 + problem.build[_GROUP])[:, None])
    points = points - (problem.share * points).sum(0)
    weighted = problem.share * points
    spread = (weighted[:, :, None] * points[:, None]).sum(0)  # 3 3 N
    both = (problem.share[:, None] * problem.xy[:, :, None] * points[:, None]).sum(0)  # 2 3 N
    size = (spread[0, 0] + spread[1, 1] + spread[2, 2]).clamp_min(_TINY)
    spread = spread / size
    both = both / size
    eye = torch.eye(3)[..., None]
    normal = _thinnest(spread)
    # Any stiffness along n will do, since n is taken out again.
    camera = _product(both, _adjugate(spread + normal[:, None] * normal[None] + 1e-4 * eye, invert=True))
    camera = camera - (camera * normal).sum(1, keepdim=True) * normal
    p, q, r = (
        dot(camera[0], camera[0]),
        dot(camera[0], camera[1]),
        dot(camera[1], camera[1]),
    )
    middle, half = (p + r) / 2, (((p - r) / 2).square() + q.square()).sqrt()
    least = (half * 2).clamp_min(0).sqrt()  # root of the difference of the eigenvalues of A2 A2^T
    angle = torch.atan2(2 * q, p - r) / 2
    short = torch.stack([-angle.sin(), angle.cos()])  # the image direction in which the body looks foreshortened
    missing = (least * short)[:, None] * normal
    scale = (middle + half).sqrt()
    # By how much the sign that agrees with the keypoints leaves less of them, in units of the cost.
    lead = 4 * problem.weight.sum(0) * size * (missing * both).sum((0, 1))
    missing = torch.where(lead < 0, -missing, missing)
    states = []
    for sign in (1.0, -1.0):
        state = points.new_zeros(Solution.SIZE, points.shape[-1])
        state[Solution.DAMPING] = _DAMPING
        state[Solution.INVERSE_DEPTH] = problem.config.inverse_depth
        state[Solution.ROTATION] = _orthonormal(camera + sign * missing).flatten(0, 1)
        state[Solution.SCALE] = scale
        state[Solution.BONES] = problem.build
        states.append(state)
    return states[0], states[1], lead.abs()


def _thinnest(spread: Float[Tensor, "3 3 N"]) -> Float[Tensor, "3 N"]:
    """The direction of least spread: the largest eigenvector of the adjugate, by squaring it."""
    power = _adjugate(spread + 1e-6 * torch.eye(3)[..., None])
    for _ in range(6):
        power = power / (power[0, 0] + power[1, 1] + power[2, 2])
        power = _product(power, power)
    column = power.square().sum(0).argmax(0)
    vector = power.gather(1, column.expand(3, 1, -1))[:, 0]
    return vector / dot(vector, vector).sqrt().clamp_min(_TINY)


def _product(a: Float[Tensor, "i 3 N"], b: Float[Tensor, "3 3 N"]) -> Float[Tensor, "i 3 N"]:
    return (a[:, :, None] * b[None]).sum(1)


def _adjugate(m: Float[Tensor, "3 3 N"], *, invert: bool = False) -> Float[Tensor, "3 3 N"]:
    """Of a symmetric matrix; over the determinant it is the inverse."""
    a = torch.stack([_cross(m[i - 2], m[i - 1]) for i in range(3)])
    return a / (m[0] * a[0]).sum(0) if invert else a


def _orthonormal(rows: Float[Tensor, "2 3 N"]) -> Float[Tensor, "3 3 N"]:
    """A rotation from two rows, by Gram-Schmidt; where they have no direction some rotation is given."""
    first, second = rows
    norm = dot(first, first).sqrt()
    x, y = torch.tensor([[1.0], [0.0], [0.0]]), torch.tensor([[0.0], [1.0], [0.0]])
    first = torch.where(norm > 1e-6, first / norm.clamp_min(_TINY), x)
    rest = second - dot(first, second) * first
    other = torch.where(first[0].abs() < 0.6, x, y)
    other = other - dot(first, other.expand_as(first)) * first
    rest = torch.where(dot(rest, rest).sqrt() > 1e-6, rest, other)
    rest = rest / dot(rest, rest).sqrt().clamp_min(_TINY)
    return torch.stack([first, rest, _cross(first, rest)])
