"""What would make a broken pose plausible: limbs exchanged back, or one joint moved (numpy)."""

__all__ = ["EXCHANGES", "Moved", "best_exchange", "moved_joint"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from vipe.arrays import Array
from vipe.lift.ppca.lifter import PPCALifter
from vipe.lift.ppca.prior.alignment import normalized
from vipe.lift.ppca.prior.gaussian import PPCA
from vipe.lift.ppca.prior.heading import best_headings, turned
from vipe.skeletons.working import CHILDREN, H36M17, PARENTS

_SIDES = (("left", "right"), ("right", "left"))
_EXCHANGED = {
    "legs": ("hip", "knee", "ankle"),
    "arms": ("shoulder", "elbow", "wrist"),
    "knees and ankles": ("knee", "ankle"),
    "elbows and wrists": ("elbow", "wrist"),
    "ankles": ("ankle",),
    "wrists": ("wrist",),
    "all limbs": ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"),
}


def _order(joints: Sequence[str]) -> tuple[int, ...]:
    """The order of joints in which these are left for right."""
    swapped = {f"{side}_{joint}": f"{other}_{joint}" for joint in joints for side, other in _SIDES}
    return tuple(H36M17.index(swapped.get(joint, joint)) for joint in H36M17.joints)


EXCHANGES: dict[str, tuple[int, ...]] = {name: _order(joints) for name, joints in _EXCHANGED.items()}
"""Parts of the body whose left and right joints a tracker mistakes for each other, and the order that undoes it."""


def best_exchange(
    prior: PPCALifter, poses: Float[Array, "N 17 3"], log_likelihood: Float64[Array, " N"]
) -> tuple[Int64[Array, " N"], Float64[Array, " N"]]:
    """The exchange of left and right that makes each pose most likely, and how much it gains; negative if it harms.

    Args:
        prior: Of poses.
        poses: World space, z up, any unit.
        log_likelihood: Of the poses as they are.

    Returns:
        Which of `EXCHANGES`, by number; nats.
    """
    after = [prior.pose_log_likelihood(poses[:, order], world=True) for order in EXCHANGES.values()]
    gains = np.stack(after) - log_likelihood
    return gains.argmax(axis=0), gains.max(axis=0)


@dataclass(frozen=True)
class Moved:
    """For each pose the one joint that, moved to where the others say, makes it most likely."""

    joint: Int64[Array, " N"]  # of h36m17
    gain: Float64[Array, " N"]  # nats
    poses: Float64[Array, "N 17 3"]  # with this joint moved, in the space and unit of those given


def moved_joint(prior: PPCALifter, poses: Float[Array, "N 17 3"]) -> Moved:
    """Find the joint that explains best why a pose is unlikely, if only one is wrong.

    Under the likeliest component, with its best heading, the pose is a Gaussian x ~ N(m, C). Moved by D d, where D says
    which coordinates go with the joint, it is likeliest for d = -(D^T C^-1 D)^-1 D^T C^-1 (x - m). The pelvis is the
    origin of x: to move it moves all other joints the other way.

    Args:
        prior: Of poses.
        poses: World space, z up, any unit.

    Raises:
        ShapeError: As `normalized`.
    """
    if not len(poses):
        return Moved(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((0, 17, 3)))
    unit = normalized(poses)
    gaussians, weight = prior.gaussians(), prior.model.weight.tolist()
    headings = np.stack([best_headings(unit[:, 1:], gaussian) for gaussian in gaussians])
    rows = np.stack([turned(unit[:, 1:], -heading).reshape(-1, 48) for heading in headings])
    joint_log = [np.log(w) + gaussian.log_prob(row) for w, gaussian, row in zip(weight, gaussians, rows, strict=True)]
    component = np.argmax(joint_log, axis=0)
    found, gain = np.zeros(len(poses), dtype=np.int64), np.zeros(len(poses))
    fixed = np.zeros((len(poses), 17, 3))
    for k, gaussian in enumerate(gaussians):
        mine = np.flatnonzero(component == k)
        if len(mine):
            found[mine], gain[mine], better = _moved(rows[k, mine], gaussian)
            fixed[mine, 1:] = turned(better.reshape(-1, 16, 3), headings[k, mine])
    pelvis = poses[:, :1].astype(np.float64)
    # Only the joint that was found moves; the others stay as they were recorded, to the last bit.
    moved = fixed * _size(poses)[:, None, None] + pelvis
    kept = np.arange(17) != found[:, None]
    whole = found == 0
    moved[whole] += (poses[whole, 1] - moved[whole, 1])[:, None]
    return Moved(found, gain, np.where(kept[..., None], poses, moved))


def _moved(
    rows: Float64[Array, "n 48"], gaussian: PPCA
) -> tuple[Int64[Array, " n"], Float64[Array, " n"], Float64[Array, "n 48"]]:
    """Joint of h36m17, gain and moved rows."""
    precision = np.linalg.inv(gaussian.covariance)
    pull = (rows - gaussian.mean) @ precision
    design = np.stack([np.tile(np.eye(3), (16, 1)), *np.eye(48).reshape(16, 3, 48).swapaxes(1, 2)])
    inner = np.linalg.inv(design.swapaxes(1, 2) @ precision @ design)
    along = np.einsum("nd,jdc->njc", pull, design)
    move = np.einsum("njc,jcd->njd", along, inner)
    gains = 0.5 * np.einsum("njc,njc->nj", along, move)
    joint = gains.argmax(axis=1)
    each = np.arange(len(rows))
    return joint, gains[each, joint], rows - np.einsum("ndc,nc->nd", design[joint], move[each, joint])


def _size(poses: Float[Array, "N 17 3"]) -> Float64[Array, " N"]:
    """What `normalized` divides by."""
    bones = (poses[:, CHILDREN] - poses[:, PARENTS]).astype(np.float64)
    return np.asarray(np.sqrt(np.square(bones).sum(axis=(1, 2))))
