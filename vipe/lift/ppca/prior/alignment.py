"""Poses turned about the vertical until a Gaussian of few dimensions fits them best (numpy, float64)."""

__all__ = ["Alignment", "AlignmentConfig", "Blocks", "align_poses", "mirrored", "normalized"]

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64, Int64

from vipe.arrays import Array, blocks
from vipe.errors import ShapeError, VipeError
from vipe.lift.ppca.prior.gaussian import PPCA
from vipe.lift.ppca.prior.heading import HeadingStart, best_headings, turned
from vipe.skeletons.working import CHILDREN, H36M17, PARENTS

Blocks = Callable[[], Iterable[Float[Array, "n 17 3"]]]
"""Poses too many for memory: each call yields the same ones again, in blocks of any size."""

NOISE_FLOOR = 1e-9
"""Least noise, in squared units of normalized poses: about 0.04 mm on a person. Poses of a model have none."""

_SIZE = 3 * len(H36M17)
_PELVIS = H36M17.index("pelvis")
_MIRRORED = list(H36M17.mirrored)
_LEFT = [H36M17.index(left) for left, _ in H36M17.mirror]
_RIGHT = [H36M17.index(right) for _, right in H36M17.mirror]
_LEAST = 1e-12  # metres, root of the sum of squared bones: a pose of this size is a point


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig:
    """How poses are aligned."""

    components: int = 10  # J, which the paper does not state; so many hold nine tenths of the variance of mocap
    first: int = 1  # size of the basis to start with; grown by one, so that it does not absorb what a turn explains
    mirror: bool = True  # add each pose's mirror image, as the paper does
    passes: int = 10  # over the poses at most, for each size
    tolerance: float = 1e-3  # nats a pose: a pass that gains less is the last for its size
    block: int = 4096  # poses at a time, where one array is given


@dataclass(frozen=True)
class Alignment:
    """Aligned poses in moments: a Gaussian of poses that all face the same way, and by how much each pose is turned.

    Aligned poses have the pelvis at the origin, squared bone lengths that sum to one, z up. The mean pose faces +x with
    its left toward +y.
    """

    model: PPCA  # of 51 numbers a pose: 17 joints, x y z each
    covariance: Float64[Array, "51 51"]  # of all aligned poses, whatever the size of the basis
    angles: Float64[Array, "copies N"]  # radians; the second row, if any, is of the mirror images
    sizes: Int64[Array, " passes"]  # of the basis, after each pass
    objective: Float64[Array, " passes"]  # mean negative log density of the poses then, nats a pose; never rises

    def __len__(self) -> int:
        """Poses, without their mirror images."""
        return int(self.angles.shape[1])

    @property
    def mean(self) -> Float64[Array, "17 3"]:
        """The mean aligned pose."""
        return self.model.mean.reshape(-1, 3)

    @property
    def basis(self) -> Float64[Array, "J 17 3"]:
        """Orthonormal directions in which poses vary, the largest first."""
        return self.model.basis.reshape(-1, len(H36M17), 3)

    def headings(self, poses: Float[Array, "N 17 3"]) -> Float64[Array, " N"]:
        """The best angle of each of these poses, seen before or not; raises as `normalized`."""
        return best_headings(normalized(poses), self.model)

    def align(self, poses: Float[Array, "N 17 3"]) -> Float64[Array, "N 17 3"]:
        """Normalize poses, seen before or not, and turn each by its best angle to the model's heading.

        Turning a pose about the vertical, moving it or making it larger changes nothing.

        Raises:
            ShapeError: As `normalized`.
        """
        unit = normalized(poses)
        return turned(unit, -best_headings(unit, self.model))


def normalized(poses: Float[Array, "N 17 3"]) -> Float64[Array, "N 17 3"]:
    """Poses with the pelvis at the origin and squared bone lengths that sum to one.

    Args:
        poses: Any unit and place.

    Raises:
        ShapeError: If they are not (N, 17, 3), or one is not finite or has bones of no length; gives the row.

    Reference:
        Tome et al. 2017, sec. 4.
    """
    if poses.ndim != 3 or poses.shape[1:] != (len(H36M17), 3):
        raise ShapeError(f"poses must be (N, {len(H36M17)}, 3), got shape {poses.shape}")
    centred = poses.astype(np.float64)
    centred -= centred[:, _PELVIS, None]
    bones = centred[:, CHILDREN] - centred[:, PARENTS]
    size = np.sqrt(np.einsum("nbc,nbc->n", bones, bones))
    usable = np.isfinite(size) & (size > _LEAST)
    if not usable.all():
        row = int(np.argmin(usable))
        raise ShapeError(f"poses: row {row} is not finite, or its bones have no length; leave it out")
    centred /= size[:, None, None]
    return centred


def mirrored(poses: Float[Array, "N 17 3"]) -> Float[Array, "N 17 3"]:
    """The mirror image of each pose: y -> -y, and left named right."""
    return np.asarray(poses[:, _MIRRORED] * np.array([1, -1, 1], poses.dtype))


def align_poses(
    poses: Float[Array, "N 17 3"] | Blocks,
    config: AlignmentConfig | None = None,
    *,
    start: Float[Array, "copies N"] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Alignment:
    """Turn each pose about the vertical so that probabilistic PCA fits all of them best.

    Two steps take turns, each the exact maximum of the likelihood while the other's result is held: the model in closed
    form from the mean and covariance of the poses as they are turned (Tipping & Bishop), and the angle of each pose
    under that model (`best_headings`). The basis grows from `config.first` to `config.components`. The angles start
    from a factorization of rank 2 (`HeadingStart`). One pass over the poses does both steps. Only a block of poses, the
    sums of 51 x 51 and the angles are held.

    The paper minimizes squared error plus (a_j sigma_j)^2 plus a term in ln sigma_j, whose minimum is not that of
    probabilistic PCA. Here the objective is the negative log density with the coefficients integrated out: its squared
    terms are the paper's for sigma_j^2 = noise / latent variance, and both steps lower it.

    Args:
        poses: World space, z up, any unit; or a function that yields them in blocks, the same ones at every call.
        config: Sizes and when to stop.
        start: Angles to start from instead, such as those of an `Alignment`.
        progress: Called after each pass with the size of the basis and the objective.

    Raises:
        VipeError: If the settings contradict each other, or the stream does not give the same poses again.
        ShapeError: If there are fewer than two poses, `start` is not (copies, N), or as `normalized`.

    Reference:
        Tome et al. 2017, "Lifting from the Deep", sec. 4.1 (there y is up).
    """
    config = config or AlignmentConfig()
    _check(config)
    source = _Source(poses, config)
    angles, moments = source.turn(HeadingStart(source.blocks).angles if start is None else _handed_out(start))
    if start is not None and start.shape != angles.shape:
        raise ShapeError(f"start must be angles {angles.shape}, (copies, N), got shape {start.shape}")
    if angles.shape[1] < 2:
        raise ShapeError(f"at least two poses are needed to align them, got {angles.shape[1]}")
    sizes: list[int] = []
    objective: list[float] = []
    for size in range(config.first, config.components + 1):
        model = PPCA.of_moments(*moments, size, NOISE_FLOOR)
        before = -model.mean_log_prob(*moments)
        for _ in range(config.passes):
            angles, moments = source.turn(_headings_under(model), expected=angles.shape[1])
            model = PPCA.of_moments(*moments, size, NOISE_FLOOR)
            now = -model.mean_log_prob(*moments)
            sizes.append(size)
            objective.append(now)
            if progress is not None:
                progress(size, now)
            if before - now < config.tolerance:
                break
            before = now
    mean, covariance = moments
    facing = _facing(mean.reshape(-1, 3))
    return Alignment(
        model=replace(model, mean=_turned_rows(mean, -facing), basis=_turned_rows(model.basis, -facing)),
        covariance=_turned_rows(_turned_rows(covariance, -facing).T, -facing),
        angles=np.asarray(np.pi - (np.pi - angles - facing) % (2 * np.pi), dtype=np.float64),
        sizes=np.array(sizes, dtype=np.int64),
        objective=np.array(objective),
    )


_Moments = tuple[Float64[Array, " 51"], Float64[Array, "51 51"]]
"""Mean and covariance."""


class _Source:
    """Passes over normalized poses, each followed by its mirror image if they are wanted."""

    def __init__(self, poses: Float[Array, "N 17 3"] | Blocks, config: AlignmentConfig) -> None:
        self._poses = poses
        self._config = config

    def blocks(self) -> Iterator[Float64[Array, "n 17 3"]]:
        """Blocks of poses; the second half of each are the mirror images of the first."""
        for block in self._recorded():
            unit = normalized(block)
            yield np.concatenate([unit, mirrored(unit)]) if self._config.mirror else unit

    def turn(
        self, headings: Callable[[Float64[Array, "n 17 3"]], Float64[Array, " n"]], expected: int | None = None
    ) -> tuple[Float64[Array, "copies N"], _Moments]:
        """One pass: the angle of each pose, and the moments of the poses turned back by it."""
        copies = 2 if self._config.mirror else 1
        angles: list[Float64[Array, "copies n"]] = []
        total, products = np.zeros(_SIZE), np.zeros((_SIZE, _SIZE))
        for block in self.blocks():
            found = headings(block)
            rows = turned(block, -found).reshape(-1, _SIZE)
            total += rows.sum(axis=0)
            products += rows.T @ rows
            angles.append(found.reshape(copies, -1))
        joined = np.concatenate([np.zeros((copies, 0)), *angles], axis=1)
        if expected is not None and joined.shape[1] != expected:
            raise VipeError(
                f"the stream gave {expected} poses, and {joined.shape[1]} when asked again; it must repeat itself"
            )
        count = max(joined.size, 1)
        mean = total / count
        return joined, (mean, products / count - np.outer(mean, mean))

    def _recorded(self) -> Iterable[Float[Array, "n 17 3"]]:
        poses = self._poses
        if callable(poses):
            return poses()
        return (poses[rows] for rows in blocks(len(poses), self._config.block))


def _handed_out(angles: Float[Array, "copies N"]) -> Callable[[Float64[Array, "n 17 3"]], Float64[Array, " n"]]:
    """Gives each block of poses and mirror images its own of these angles, in order."""
    given = 0

    def headings(poses: Float64[Array, "n 17 3"]) -> Float64[Array, " n"]:
        nonlocal given
        count = len(poses) // len(angles)
        some = angles[:, given : given + count].astype(np.float64).reshape(-1)
        given += count
        return np.pad(some, (0, len(poses) - len(some)))  # too few are told apart by their shape afterwards

    return headings


def _headings_under(model: PPCA) -> Callable[[Float64[Array, "n 17 3"]], Float64[Array, " n"]]:
    return lambda poses: best_headings(poses, model)


def _facing(mean: Float64[Array, "17 3"]) -> float:
    """The angle by which the mean pose is turned from facing +x: its left is then not +y. 0 if it has no sides."""
    x, y, _ = (mean[_LEFT] - mean[_RIGHT]).sum(axis=0)
    return float(np.arctan2(-x, y))


def _turned_rows(rows: Float64[Array, "*batch 51"], angle: float) -> Float64[Array, "*batch 51"]:
    """Turn each row of coordinates."""
    points = rows.reshape(-1, len(H36M17), 3)
    return turned(points, np.full(len(points), angle)).reshape(rows.shape)


def _check(config: AlignmentConfig) -> None:
    if not 1 <= config.first <= config.components < _SIZE:
        raise VipeError(
            f"the basis grows from first to components, 1 <= first <= components < {_SIZE}; got first="
            f"{config.first} and components={config.components}"
        )
    if config.passes < 1 or config.block < 1:
        raise VipeError(f"passes and block must be at least 1, got {config.passes} and {config.block}")
