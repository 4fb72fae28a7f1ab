"""Errors of pose hypotheses: MPJPE and its aligned kinds, PCK, AUC, CPS, and the best and the worst of M (numpy).

Every metric gives one number for each hypothesis, (N, M); `best_of` and `worst_of` make of them what the tables of
papers show. Poses are root-centered, in metres. A single pose is one hypothesis: `mpjpe(pose[:, None], truth)`.
"""

__all__ = [
    "AUC_THRESHOLDS",
    "CPS_JOINTS",
    "HYPOTHESIS_COUNTS",
    "PCK_JOINTS",
    "PCK_THRESHOLD",
    "auc",
    "best_of",
    "cps",
    "mpjpe",
    "n_mpjpe",
    "p_mpjpe",
    "pck",
    "worst_of",
]

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64

from vipe.arrays import Array, blocks
from vipe.errors import ShapeError
from vipe.geometry.procrustes import align, procrustes_mpjpe
from vipe.skeletons.working import H36M17

HYPOTHESIS_COUNTS = (1, 5, 10, 50, 200)
"""The M of best-of-M: 200 is that of Sharma et al. 2019 and Wehrbein et al. 2021, 5 that of Li & Lee 2019."""

PCK_THRESHOLD = 0.150
"""Metres: Mehta et al. 2017."""

AUC_THRESHOLDS = tuple(0.005 * i for i in range(31))
"""Metres: 0, 5, ..., 150 mm, 0 included."""

PCK_JOINTS = tuple(i for i, joint in enumerate(H36M17.joints) if joint not in ("pelvis", "spine", "nose"))
"""The 14 joints of MPI-INF-3DHP that count for PCK and AUC (Wehrbein et al. 2021 and others)."""

CPS_JOINTS = tuple(i for i, joint in enumerate(H36M17.joints) if joint != "spine")
"""The 16 joints that count for CPS (Wehrbein et al. 2021)."""

_CPS_FIRST, _CPS_LAST = 1, 300  # millimetres, in steps of 1

_NUMBERS = 1 << 20  # coordinates worked on at a time: 8 MB


def mpjpe(poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"]) -> Float64[Array, "N M"]:
    """Mean distance of the joints from the true ones, of each hypothesis (protocol 1 of Human3.6M).

    Every joint given counts, the root too: its error is 0 where both are root-centered.

    Args:
        poses: Hypotheses, root-centered.
        truth: In the unit of the poses, which is that of the result.

    Raises:
        ShapeError: If the shapes do not fit, or a number is not finite.

    Reference:
        Ionescu et al. 2014.

    >>> mpjpe(np.ones((1, 2, 17, 3)) * [[[[1.0]], [[2.0]]]], np.ones((1, 17, 3)))
    array([[0.        , 1.73205081]])
    """
    return _each(poses, truth, lambda moved, goal: np.linalg.norm(moved - goal, axis=-1).mean(axis=-1))


def n_mpjpe(poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"]) -> Float64[Array, "N M"]:
    """MPJPE after each hypothesis is scaled about the root so that its squared error is least (no rotation, no shift).

    The scale is sum(pose * truth) / sum(pose * pose). Where that is negative it is 0 here: a negative scale would turn
    the body into its point reflection. A hypothesis with all joints at the root keeps them there.

    Args:
        poses: Hypotheses, root-centered, in any unit.
        truth: Its unit is that of the result.

    Raises:
        ShapeError: If the shapes do not fit, or a number is not finite.

    Reference:
        Rhodin et al. 2018 (NMPJPE).
    """

    def scaled(moved: Array, goal: Array) -> Array:
        fit, size = (moved * goal).sum(axis=(-2, -1)), (moved * moved).sum(axis=(-2, -1))
        scale = np.maximum(fit, 0) / np.where(size > 0, size, 1)
        return np.asarray(np.linalg.norm(scale[..., None, None] * moved - goal, axis=-1).mean(axis=-1))

    return _each(poses, truth, scaled)


def p_mpjpe(poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"]) -> Float64[Array, "N M"]:
    """MPJPE after each hypothesis is aligned by rotation, scale and shift, without reflection (protocol 2).

    Args:
        poses: Hypotheses, in any unit.
        truth: Its unit is that of the result.

    Returns:
        As `vipe.geometry.procrustes_mpjpe`, which names the degenerate cases.

    Raises:
        ShapeError: If the shapes do not fit, or a number is not finite.
    """
    return _each(
        poses, truth, lambda moved, goal: procrustes_mpjpe(torch.from_numpy(moved), torch.from_numpy(goal)).numpy()
    )


def pck(
    poses: Float[Array, "N M J 3"],
    truth: Float[Array, "N J 3"],
    threshold: float = PCK_THRESHOLD,
    joints: Sequence[int] = PCK_JOINTS,
) -> Float64[Array, "N M"]:
    """Share of the joints closer to the true ones than the threshold, without alignment.

    The best hypothesis of Wehrbein et al. 2021 is the best by PCK itself: `best_of(pck(...), higher_is_better=True)`.

    Args:
        poses: Hypotheses, root-centered metres.
        truth: Root-centered metres.
        threshold: Metres; a distance of just the threshold is too far.
        joints: The joints that count. The default is for the working skeleton.

    Raises:
        ShapeError: If the shapes do not fit, a number is not finite, or the poses lack one of the joints.

    Reference:
        Mehta et al. 2017, sec. 5 (3DPCK).
    """
    chosen = _chosen(joints, poses)
    return _each(
        poses, truth, lambda moved, goal: (np.linalg.norm(moved - goal, axis=-1)[..., chosen] < threshold).mean(axis=-1)
    )


def auc(
    poses: Float[Array, "N M J 3"],
    truth: Float[Array, "N J 3"],
    thresholds: Sequence[float] = AUC_THRESHOLDS,
    joints: Sequence[int] = PCK_JOINTS,
) -> Float64[Array, "N M"]:
    """Mean of `pck` over the thresholds: the area under its curve.

    No distance lies below the threshold 0, which is one of the 31 of the papers: a perfect pose has 30/31. The best
    hypothesis is the best by AUC itself; the best at each threshold would give a little more.

    Args:
        poses: Hypotheses, root-centered metres.
        truth: Root-centered metres.
        thresholds: Metres.
        joints: The joints that count. The default is for the working skeleton.

    Raises:
        ShapeError: As in `pck`.

    Reference:
        Mehta et al. 2017, sec. 5.
    """
    chosen, steps = _chosen(joints, poses), np.sort(np.asarray(thresholds, dtype=np.float64))

    def area(moved: Array, goal: Array) -> Array:
        distance = np.linalg.norm(moved - goal, axis=-1)[..., chosen]
        return np.asarray((len(steps) - np.searchsorted(steps, distance, side="right")).mean(axis=-1) / len(steps))

    return _each(poses, truth, area)


def cps(
    poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"], joints: Sequence[int] = CPS_JOINTS
) -> Float64[Array, "N M"]:
    """Area under the curve of correct poses, in millimetres: of each hypothesis, after similarity alignment.

    A pose is correct at a threshold if each of its joints is closer than that; the area is that of the trapezoid rule
    over the thresholds 1, 2, ..., 300 mm. The score of N poses with M hypotheses counts a pose as soon as any
    hypothesis is correct, so it is the mean of `best_of(cps(...), higher_is_better=True)`. It is at most 299.

    With e the largest distance of a joint in millimetres, the area has the closed form 300 - floor(e) - [e < 1] / 2 -
    1 / 2 for e < 300, and 0 from there on.

    Args:
        poses: Hypotheses, metres. All joints take part in the alignment.
        truth: Metres.
        joints: The joints that must be close. The default is for the working skeleton.

    Raises:
        ShapeError: If the shapes do not fit, a number is not finite, or the poses lack one of the joints.

    Reference:
        Wandt et al. 2021 (CPS); over hypotheses Wehrbein et al. 2021, sec. 4.
    """
    chosen = _chosen(joints, poses)

    def area(moved: Array, goal: Array) -> Array:
        source, target = torch.from_numpy(moved), torch.from_numpy(goal)
        scale, rotation, shift = align(source, target)
        aligned = scale[..., None, None] * source @ rotation.mT + shift[..., None, :]
        distance = (aligned - target).norm(dim=-1)[..., chosen].amax(dim=-1).numpy() * 1000
        below = np.clip(_CPS_LAST - np.floor(distance), 0, None)  # thresholds at which the pose is correct
        return np.asarray(below - 0.5 * (distance < _CPS_FIRST) - 0.5 * (distance < _CPS_LAST))

    return _each(poses, truth, area)


def best_of(
    values: Float[Array, "N M"], counts: Sequence[int] = HYPOTHESIS_COUNTS, *, higher_is_better: bool = False
) -> dict[int, Float64[Array, " N"]]:
    """The best value among the first hypotheses of each pose, for several numbers of hypotheses.

    It says nothing about the spread: with many joints it rewards samples that spread too little. Give it beside a
    calibration error.

    Args:
        values: A metric of each hypothesis, in the order in which they were drawn.
        counts: How many of the first hypotheses to look at; each at most M.
        higher_is_better: False for errors, True for PCK, AUC and CPS.

    Returns:
        For each count the values of the N poses; means over them, or over actions first, are the caller's.

    Raises:
        ShapeError: If there are fewer hypotheses than one of the counts, or a count is below 1.

    >>> {count: best.tolist() for count, best in best_of(np.array([[3.0, 1.0, 2.0]]), counts=(1, 3)).items()}
    {1: [3.0], 3: [1.0]}
    """
    wrong = [count for count in counts if not 1 <= count <= values.shape[1]]
    if wrong:
        raise ShapeError(
            f"best of {wrong[0]} hypotheses was asked of values of shape {values.shape}, expected counts from 1 to "
            f"{values.shape[1]}; draw more hypotheses, or give counts="
        )
    choose = np.max if higher_is_better else np.min
    return {count: np.asarray(choose(values[:, :count], axis=1), dtype=np.float64) for count in counts}


def worst_of(
    values: Float[Array, "N M"], counts: Sequence[int] = HYPOTHESIS_COUNTS, *, higher_is_better: bool = False
) -> dict[int, Float64[Array, " N"]]:
    """The worst value among the first hypotheses: how implausible a hypothesis can be. Arguments as in `best_of`."""
    return best_of(values, counts, higher_is_better=not higher_is_better)


def check_hypotheses(
    poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"] | None = None, least: int = 1
) -> None:
    """Refuse hypotheses that no metric can use.

    Raises:
        ShapeError: If the poses are not (N, M, J, 3) with at least `least` hypotheses, the truth is not (N, J, 3), or
            a number is not finite.
    """
    if poses.ndim != 4 or poses.shape[3] != 3:
        raise ShapeError(
            f"hypotheses must be (N, M, J, 3), got shape {poses.shape}; is the axis of hypotheses missing?"
        )
    if poses.shape[1] < least:
        raise ShapeError(f"hypotheses must be at least {least} for each pose, got {poses.shape[1]}; draw more")
    if truth is not None and truth.shape != (len(poses), *poses.shape[2:]):
        raise ShapeError(f"truth must be {(len(poses), *poses.shape[2:])} like the hypotheses, got shape {truth.shape}")
    for name, array in (("hypotheses", poses), ("truth", truth)):
        if array is None:
            continue
        with np.errstate(invalid="ignore"):  # of infinity less infinity
            total = array.sum(dtype=np.float64)  # shows NaN and infinity without a second array of that size
        if not np.isfinite(total):
            raise ShapeError(f"{name} hold NaN or infinity, expected finite coordinates; leave such poses out")


def _each(
    poses: Float[Array, "N M J 3"], truth: Float[Array, "N J 3"], metric: Callable[[Array, Array], Array]
) -> Float64[Array, "N M"]:
    """The metric of blocks of hypotheses (n, M, J, 3) and their true poses (n, 1, J, 3), in double precision."""
    check_hypotheses(poses, truth)
    result = np.empty(poses.shape[:2])
    for rows in blocks(len(poses), max(1, _NUMBERS // max(1, poses[:1].size))):
        result[rows] = metric(poses[rows].astype(np.float64), truth[rows, None].astype(np.float64))
    return result


def _chosen(joints: Sequence[int], poses: Float[Array, "N M J 3"]) -> list[int]:
    lacking = [joint for joint in joints if not 0 <= joint < poses.shape[-2]]
    if lacking or not joints:
        found = f"{poses.shape[-2]} joints"
        raise ShapeError(
            f"joints must be at least one and lie within the poses' {found}, got {tuple(joints)}; give joints= of your "
            "skeleton"
        )
    return list(joints)
