"""Networks equivariant to mirroring a person, by construction (torch).

Mirroring is a linear map of the input that is its own inverse. So an input splits into an even part, which mirroring
keeps, and an odd part, which it negates. Layers here map even to even and odd to odd. They take half the products of a
plain layer of the same width, and what is learned from a pose holds for its mirror image.
"""

__all__ = ["MirrorMLP", "Parts", "ParityBasis", "centred_parity", "joint_parity", "split_square"]

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vipe.geometry.symmetric import upper_triangle
from vipe.skeletons import Skeleton

Parts = tuple[Float[Tensor, "batch _"], Float[Tensor, "batch _"]]
"""The even part, which mirroring keeps, and the odd part, which it negates."""

_EPS = 1e-6


class ParityBasis(nn.Module):
    """Orthonormal coordinates of joints in which mirroring keeps the even ones and negates the odd ones.

    Args:
        skeleton: Whose joints have mirror images.
        flips: For each coordinate, whether mirroring negates it.

    >>> from vipe.skeletons.working import COCO13
    >>> basis = ParityBasis(COCO13, (True, False))
    >>> even, odd = basis.split(torch.ones(1, 13, 2))
    >>> even.shape, odd.shape, bool(basis.join((even, odd)).allclose(torch.ones(1, 26)))
    (torch.Size([1, 13]), torch.Size([1, 13]), True)
    """

    even: Float[Tensor, "even inputs"]
    odd: Float[Tensor, "odd inputs"]

    def __init__(self, skeleton: Skeleton, flips: tuple[bool, ...]) -> None:
        super().__init__()
        symmetric, antisymmetric = joint_parity(skeleton)
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        for rows, odd in ((symmetric, False), (antisymmetric, True)):
            for row in rows:
                for coordinate, flip in enumerate(flips):
                    vector = row.new_zeros(len(skeleton), len(flips))
                    vector[:, coordinate] = row
                    parts[odd != flip].append(vector.flatten())
        # Not saved, since the skeleton determines them.
        self.register_buffer("even", torch.stack(parts[False]), persistent=False)
        self.register_buffer("odd", torch.stack(parts[True]), persistent=False)

    def split(self, x: Float[Tensor, "batch joints coordinates"]) -> Parts:
        """The two parts of each row."""
        flat = x.flatten(1)
        return flat @ self.even.mT, flat @ self.odd.mT

    def join(self, parts: Parts) -> Float[Tensor, "batch inputs"]:
        """The inverse of `split`, coordinates flattened."""
        return parts[0] @ self.even + parts[1] @ self.odd


def joint_parity(skeleton: Skeleton) -> tuple[Float[Tensor, "symmetric joints"], Float[Tensor, "antisymmetric joints"]]:
    """Orthonormal combinations of joints: symmetric ones, which mirroring keeps, and antisymmetric ones."""
    eye = torch.eye(len(skeleton), device="cpu")  # a constant, also while a module is built on the meta device
    symmetric, antisymmetric = [], []
    for joint, other in enumerate(skeleton.mirrored):
        if other == joint:
            symmetric.append(eye[joint])
        elif joint < other:
            symmetric.append((eye[joint] + eye[other]) * 0.5**0.5)
            antisymmetric.append((eye[joint] - eye[other]) * 0.5**0.5)
    return torch.stack(symmetric), torch.stack(antisymmetric)


def centred_parity(
    skeleton: Skeleton,
) -> tuple[Float[Tensor, "symmetric joints"], Float[Tensor, "antisymmetric joints"]]:
    """As `joint_parity`, orthogonal to the joints' mean: one symmetric combination less."""
    symmetric, antisymmetric = joint_parity(skeleton)
    mean = torch.full((len(skeleton), 1), len(skeleton) ** -0.5, device="cpu")
    # A Householder reflection takes the mean to the first axis of the symmetric space; the other axes are the rest.
    axis = (symmetric @ mean)[:, 0]
    normal = axis.clone()
    normal[0] += 1.0
    reflection = torch.eye(len(axis), device="cpu") - 2 * torch.outer(normal, normal) / normal.dot(normal)
    return (reflection @ symmetric)[1:], antisymmetric


def split_square(symmetric: Float[Tensor, "batch dim s"], antisymmetric: Float[Tensor, "batch dim a"]) -> Parts:
    """The entries of qᵀ q, split by parity; q has a column for each combination of joints.

    Entries of two combinations of one parity are even, others odd. They are weighted as in `upper_triangle`, so an
    inner product of two such vectors is that of the matrices.
    """
    even = [upper_triangle(part.mT @ part) for part in (symmetric, antisymmetric)]
    return torch.cat(even, dim=-1), 2**0.5 * (symmetric.mT @ antisymmetric).flatten(1)


class MirrorMLP(nn.Module):
    """A residual network of even and odd features; mirroring the input mirrors the output.

    The nonlinearity acts on the sum and the difference of both parts, which mirroring exchanges: relu(e + o) and
    relu(e - o). Each row is scaled to unit RMS over both parts before each block; there are no batch statistics.
    """

    def __init__(self, inputs: tuple[int, int], outputs: tuple[int, int], *, width: int, blocks: int) -> None:
        super().__init__()
        half = width // 2
        self.precision = torch.float32  # of matrix products in blocks during training; float32 otherwise
        self.input = _Layer(inputs, (half, half))
        self.blocks = nn.ModuleList(_Block(half) for _ in range(blocks))
        self.output = _Layer((half, half), outputs)

    def forward(self, even: Float[Tensor, "batch e"], odd: Float[Tensor, "batch o"]) -> Parts:
        """Map each row by itself."""
        x = _rectify(*self.input(even, odd))
        # Not the first and last layer, where small differences between poses need all digits.
        reduced = self.training and self.precision != torch.float32
        with torch.autocast(even.device.type, self.precision, enabled=reduced):
            for block in self.blocks:
                x = block(*x)
        parts: Parts = self.output(*_unit(*x))
        return parts


class _Layer(nn.Module):
    """Even to even and odd to odd. A constant is even, so only the even part has a bias."""

    def __init__(self, inputs: tuple[int, int], outputs: tuple[int, int]) -> None:
        super().__init__()
        self.even = nn.Linear(inputs[0], outputs[0])
        self.odd = nn.Linear(inputs[1], outputs[1], bias=False)

    def forward(self, even: Float[Tensor, "batch e"], odd: Float[Tensor, "batch o"]) -> Parts:
        return self.even(even), self.odd(odd)


class _Block(nn.Module):
    """x + f(x), f being (unit RMS, layer, rectifier, layer)."""

    def __init__(self, half: int) -> None:
        super().__init__()
        self.first = _Layer((half, half), (half, half))
        self.second = _Layer((half, half), (half, half))

    def forward(self, even: Float[Tensor, "batch half"], odd: Float[Tensor, "batch half"]) -> Parts:
        e, o = self.second(*_rectify(*self.first(*_unit(even, odd))))
        return even + e, odd + o


def _rectify(even: Float[Tensor, "batch half"], odd: Float[Tensor, "batch half"]) -> Parts:
    one, other = (even + odd).relu_(), (even - odd).relu_()  # in place: the sums are temporary
    return one + other, one - other


def _unit(even: Float[Tensor, "batch half"], odd: Float[Tensor, "batch half"]) -> Parts:
    size = torch.linalg.vector_norm(even, dim=-1, keepdim=True), torch.linalg.vector_norm(odd, dim=-1, keepdim=True)
    scale = ((size[0].square() + size[1].square()) / (2 * even.shape[-1]) + _EPS).rsqrt()
    return even * scale, odd * scale
