"""Damped Gauss-Newton for a camera and nine bone lengths, many candidates at a time (torch planes).

Candidates lie on the last axis (see `vipe.geometry.planes`). A joint's image depends on the parameters only through
the joint's place Y in the camera's directions, and a bone moves all joints beyond it alike. With E_j (2 x 3) the
derivative of joint j's image and S_j = w_j E_j^T E_j, the entries of the normal equations that belong to bones are
therefore products of single bones with S_j summed over the joints beyond them: what the composite rigid body algorithm
does for the inertia of robots (Featherstone 2008, ch. 6).
"""

__all__ = ["Workspace", "solve"]


import torch
from jaxtyping import Float
from torch import Tensor

from vipe.geometry.planes import dot, rotate
from vipe.retrieve.body import BONE_GROUPS
from vipe.retrieve.camera.problem import MIN_DEPTH, TINY, Layout, Problem, cross, group_of_bone, joint_places
from vipe.retrieve.camera.start import mirrored_starts

_CAMERA = 5  # rotation 3, log scale, inverse_depth; the shift is eliminated
_SIZE = _CAMERA + len(BONE_GROUPS)
_DOUBT = 60.0  # of the cost: with a lead above it the mirrored start changes nothing for queries from `val`
_RIDGE = 1e-3  # on every diagonal entry: a body of no size, or nobody seen, leaves the rest zero


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
    both = problem[torch.cat([torch.arange(count, device=doubtful.device), doubtful])]
    start = torch.cat([likely, other[:, doubtful]], dim=1)
    ends = _descend(both, _Trial(both, start, both.weight), steps, space).state
    found, mirrored = ends[:, :count].clone(), ends[:, count:]
    before = found[:, doubtful]
    found[:, doubtful] = torch.where(mirrored[Layout.COST] < before[Layout.COST], mirrored, before)
    return found


class _Trial:
    """A state with everything that its cost and its derivatives are made of.

    Scale and shift are the best ones under the given weights of the joints, or the state's own if none are given.
    """

    def __init__(
        self, problem: Problem, state: Float[Tensor, "24 N"], weight: Float[Tensor, "13 N"] | None = None
    ) -> None:
        prior = problem.prior
        inverse_depth, factors = state[Layout.INVERSE_DEPTH], state[Layout.BONES]
        self.state = state
        self.vectors = rotate(state[Layout.ROTATION].view(3, 3, -1), problem.bones)
        self.places = joint_places(self.vectors * (1 + factors[group_of_bone(factors.device)])[:, None])
        self.near = (1 + inverse_depth * self.places[:, 2]).clamp_min(MIN_DEPTH).reciprocal()
        image = self.places[:, :2] * self.near[:, None]
        if weight is not None:
            share = (weight / weight.sum(0).clamp_min(TINY))[:, None]
            mean, middle = (share * image).sum(0), (share * problem.xy).sum(0)
            centred = image - mean
            weighted = centred * share
            above, below = (weighted * problem.xy).sum((0, 1)), (weighted * centred).sum((0, 1))
            if problem.known is not None:  # what the inverse depth says of the scale
                pull = problem.known.tight * problem.known.size / weight.sum(0).clamp_min(TINY)
                above = above + pull * (inverse_depth - problem.known.usual)
                below = below + pull * problem.known.size
            state[Layout.SCALE] = (above / below.clamp_min(TINY)).clamp_min(0)
            state[Layout.SHIFT] = problem.middle + middle - state[Layout.SCALE] * mean
        self.scale = state[Layout.SCALE]
        self.rest = problem.xy - self.scale * image + (problem.middle - state[Layout.SHIFT])
        squared = self.rest.square().sum(1) * problem.weight
        self.weight = problem.weight
        if prior.student is None:
            data = squared.sum(0)
        else:
            data = (prior.student + 2) * torch.log1p(squared / prior.student).sum(0)
            # A Gaussian of these weights touches the Student distribution here and lies above it elsewhere.
            self.weight = problem.weight * (prior.student + 2) / (prior.student + squared)
        if problem.known is None:
            camera = ((inverse_depth - prior.inverse_depth) / prior.inverse_depth_spread).square()
        else:
            usual, size, tight = problem.known.usual, problem.known.size, problem.known.tight
            camera = (inverse_depth - usual - size * self.scale).square() * tight
        body = (factors - problem.proportions).square_() * problem.precision
        state[Layout.COST] = data + camera + body.sum(0)


def _descend(problem: Problem, trial: _Trial, steps: int, space: "Workspace") -> _Trial:
    space = space.part(trial.scale.shape[-1])
    for _ in range(steps):
        step = _step(problem, trial, space)
        proposal = _Trial(problem, _moved(trial.state, step), trial.weight)
        worse = ~(proposal.state[Layout.COST] <= trial.state[Layout.COST])
        back = worse.nonzero()[:, 0]
        proposal.state[Layout.DAMPING] *= 0.1
        if len(back):
            for name in ("state", "vectors", "places", "near", "rest", "weight"):
                getattr(proposal, name)[..., back] = getattr(trial, name)[..., back]
            proposal.state[Layout.DAMPING, back] *= 30
            proposal.scale = proposal.state[Layout.SCALE]
        trial = proposal
    return trial


def _moved(state: Float[Tensor, "24 N"], step: Float[Tensor, "14 N"]) -> Float[Tensor, "24 N"]:
    moved = state.clone()
    half = step[:3] / 2
    # The rotation by the quaternion (1, half), normalized: defined for any step.
    factor = 2 / (1 + half.square().sum(0))
    columns = state[Layout.ROTATION].view(3, 3, -1)
    turned = cross(half, columns)
    moved[Layout.ROTATION] = (columns + factor * (turned + cross(half, turned))).flatten(0, 1)
    moved[Layout.INVERSE_DEPTH] += step[4]
    moved[Layout.BONES] += step[_CAMERA:]
    return moved


class Workspace:
    """Memory for the steps of one block at a time, both starts of all candidates at most.

    Asking the system for it at every step would take longer. It lies where the candidates do.
    """

    def __init__(self, candidates: int, device: torch.device | str = "cpu") -> None:
        def of(*shape: int) -> Tensor:
            return torch.zeros(*shape, 2 * candidates, device=device)

        self.columns = of(6, 13, 2)
        self.pulled = of(13, 6, 3)
        self.products = of(6, 13, 2)
        self.coupling = of(15, 6)
        self.matrix = of(_SIZE + 1, _SIZE + 1)
        self.first = of(_SIZE + 1, 2)

    def part(self, count: int) -> "Workspace":
        """The first `count` candidates of it."""
        if count == self.matrix.shape[-1]:
            return self
        part = object.__new__(Workspace)
        part.__dict__ = {name: memory[..., :count] for name, memory in self.__dict__.items()}
        return part


def _step(problem: Problem, trial: _Trial, space: Workspace) -> Float[Tensor, "14 N"]:
    prior = problem.prior
    x, y, z = trial.places.unbind(1)
    weight = trial.weight
    zoom = trial.scale * trial.near  # the derivative of an image by Y is zoom [1 0 -u; 0 1 -v]
    closer = trial.state[Layout.INVERSE_DEPTH] * trial.near
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
    torch.div(trial.rest, zoom.clamp_min(TINY)[:, None], out=columns[5])
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

    share = first / weight.sum(0).clamp_min(TINY)
    matrix.addcmul_(first[:, None, 0], share[None, :, 0], value=-1)
    matrix.addcmul_(first[:, None, 1], share[None, :, 1], value=-1)
    diagonal = matrix.diagonal().T
    diagonal[_CAMERA:_SIZE] += problem.precision
    if problem.known is None:
        tight = prior.inverse_depth_spread**-2
        diagonal[4] += tight
        matrix[_SIZE, 4] += tight * (prior.inverse_depth - trial.state[Layout.INVERSE_DEPTH])
    else:
        # Of kappa - usual - size * scale the derivatives are -size * scale by log scale, and 1 by kappa.
        known, of_scale = problem.known, problem.known.size * trial.scale
        off = known.tight * (known.usual + of_scale - trial.state[Layout.INVERSE_DEPTH])
        diagonal[3] += known.tight * of_scale.square()
        matrix[4, 3] -= known.tight * of_scale
        diagonal[4] += known.tight
        matrix[_SIZE, 3] -= of_scale * off
        matrix[_SIZE, 4] += off
    matrix[_SIZE, _CAMERA:_SIZE].addcmul_(problem.proportions - trial.state[Layout.BONES], problem.precision)
    diagonal[:_SIZE] *= 1 + trial.state[Layout.DAMPING]
    diagonal[:_SIZE] += _RIDGE
    return _solved(matrix)


def _limbs(bones: Float[Tensor, "15 3 N"]) -> Float[Tensor, "2 3 2 3 N"]:
    """Legs and arms, inner bones first, right and left."""
    return bones[:12].view(2, 3, 2, 3, -1)


def _carried(sums: Float[Tensor, "13 *any N"]) -> tuple[Float[Tensor, "13 *any N"], Float[Tensor, "*any N"]]:
    """Sums over the joints from each on outwards, in place, the way back of `joint_places`; and over the upper body."""
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
