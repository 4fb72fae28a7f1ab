"""Joint positions from a rig and the values that move it: what BVH and ASF/AMC have in common (numpy)."""

__all__ = ["Node", "forward_kinematics", "world_axes"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

Array = np.ndarray[Any, np.dtype[Any]]
Axes = tuple[tuple[int, float], tuple[int, float], tuple[int, float]]  # for each axis: which of the file's, factor

_FRAMES_AT_ONCE = 320  # keeps the rotations of a hundred joints in a core's cache


class Node(NamedTuple):
    """A point of the rig and the space of what hangs on it.

    Its origin lies at `offset` in the parent's space; `shifts` replace components of the offset frame by frame.
    Its space is the parent's, turned by the constant `rest` if there is one, then by `turns` in the order listed,
    each about an axis of the space that the turn before it left (intrinsic).
    """

    name: str
    parent: int  # -1 for the root, otherwise a node before this one
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in the file's unit
    shifts: tuple[tuple[int, int], ...] = ()  # (axis 0..2, row of the values)
    turns: tuple[tuple[int, int], ...] = ()  # (axis 0..2, row of the values)
    rest: Float64[Array, "3 3"] | None = None


def forward_kinematics(
    nodes: Sequence[Node], values: Float64[Array, "channels frames"], wanted: Sequence[int], axes: Axes
) -> Float32[Array, "frames wanted 3"]:
    """Find the origins of the wanted nodes.

    Only what the wanted nodes hang on is computed. Sines and products of rotations are float32, which stays within a few micrometres of float64 on a body.

    Args:
        nodes: The rig, its one root first, parents before children.
        values: A row for each channel; angles in degrees, shifts in the file's unit.
        wanted: Indices of nodes, in the order in which their origins are returned.
        axes: What to return as x, y and z, from `world_axes`.
    """
    frames = values.shape[1]
    positions = np.empty((frames, len(wanted), 3), dtype=np.float32)
    # What is too large for float32 becomes infinite, which Clip refuses with the frame it is in.
    with np.errstate(over="ignore", invalid="ignore"):
        plan = _plan(nodes, wanted)
        blocks = -(-frames // _FRAMES_AT_ONCE)
        for i in range(blocks):
            block = slice(i * frames // blocks, (i + 1) * frames // blocks)
            origins = _origins(plan, values[:, block])
            for to, (axis, factor) in enumerate(axes):
                np.multiply(origins[axis].take(plan.places, axis=0).T, np.float32(factor), out=positions[block, :, to])
    return positions


def world_axes(up: Literal["y", "z"], unit: float) -> Axes:
    """Axes of a file as x, y and z in metres with z up; where y is up, the world is turned by 90 degrees about x."""
    return ((0, unit), (2, -unit), (1, unit)) if up == "y" else ((0, unit), (1, unit), (2, unit))


# Degrees up to which a float32 angle is good to 1e-6 radians; counters that run on for minutes are first reduced.
_FEW_TURNS = 720.0


@dataclass(frozen=True)
class _Group:
    """Nodes computed in one go: all their parents are done, and they turn about the same axes in the same order."""

    span: slice  # their places in the computed order
    parents: Array | None  # places of their parents; None for the root
    offset: Float32[Array, "3 nodes 1"]
    shifts: tuple[tuple[int, list[int], list[int]], ...]  # axis, which of the nodes, their rows of the values
    rest: Float32[Array, "3 3 nodes 1"] | None  # column, row
    turns: tuple[tuple[int, slice], ...]  # axis, rows of the plan's angles


@dataclass(frozen=True)
class _Plan:
    """The order in which nodes are computed. Those that others hang on come first, the ends of all chains last."""

    groups: tuple[_Group, ...]
    ends: _Group | None
    angles: list[int]  # rows of the values that turn something, as the groups take them
    places: list[int]  # where the wanted nodes are in the computed order


def _plan(nodes: Sequence[Node], wanted: Sequence[int]) -> _Plan:
    carriers = {0}  # what a wanted node hangs on
    for i in wanted:
        parent = nodes[i].parent
        while parent >= 0 and parent not in carriers:
            carriers.add(parent)
            parent = nodes[parent].parent
    depth: dict[int, int] = {}
    alike: dict[tuple[Any, ...], list[int]] = {}
    for i in sorted(carriers):
        node = nodes[i]
        depth[i] = depth[node.parent] + 1 if node.parent >= 0 else 0
        axes = tuple(axis for axis, _ in node.turns)
        alike.setdefault((depth[i], axes, node.rest is None), []).append(i)
    members = [alike[key] for key in sorted(alike, key=lambda key: key[0])]
    ends = [i for i in dict.fromkeys(wanted) if i not in carriers]
    place = {i: at for at, i in enumerate(i for group in [*members, ends] for i in group)}
    angles = [nodes[i].turns[step][1] for group in members for step in range(len(nodes[group[0]].turns)) for i in group]
    groups, used = [], 0
    for group in members:
        groups.append(_group(nodes, group, place, used))
        used += len(nodes[group[0]].turns) * len(group)
    return _Plan(
        groups=tuple(groups),
        ends=_group(nodes, ends, place, used) if ends else None,
        angles=angles,
        places=[place[i] for i in wanted],
    )


def _group(nodes: Sequence[Node], members: Sequence[int], place: dict[int, int], used: int) -> _Group:
    first, n = place[members[0]], len(members)
    shifted: dict[int, tuple[list[int], list[int]]] = {}
    for which, i in enumerate(members):
        for axis, row in nodes[i].shifts:
            shifted.setdefault(axis, ([], []))[0].append(which)
            shifted[axis][1].append(row)
    rests = [rest for i in members if (rest := nodes[i].rest) is not None]
    return _Group(
        span=slice(first, first + n),
        parents=np.array([place[nodes[i].parent] for i in members]) if nodes[members[0]].parent >= 0 else None,
        offset=np.array([nodes[i].offset for i in members], dtype=np.float32).T[:, :, None],
        shifts=tuple((axis, which, rows) for axis, (which, rows) in shifted.items()),
        rest=np.array(rests, dtype=np.float32).T[..., None] if len(rests) == n else None,
        turns=tuple(
            (axis, slice(used + step * n, used + (step + 1) * n))
            for step, (axis, _) in enumerate(nodes[members[0]].turns)
        ),
    )


def _origins(plan: _Plan, values: Float64[Array, "channels frames"]) -> Float32[Array, "3 nodes frames"]:
    frames = values.shape[1]
    angles = values[plan.angles]
    if angles.size and max(angles.max(), -angles.min()) > _FEW_TURNS:
        angles -= 360 * np.rint(angles / 360)
    radians = np.multiply(angles, np.pi / 180).astype(np.float32)
    sine, cosine = np.sin(radians), np.cos(radians)
    carriers = plan.groups[-1].span.stop
    origins = np.empty((3, plan.ends.span.stop if plan.ends else carriers, frames), dtype=np.float32)
    # Columns first: a turn about an axis mixes the other two columns, each one block of memory.
    spaces = np.empty((3, 3, carriers, frames), dtype=np.float32)
    for group in plan.groups:
        space = _place(group, values, origins, spaces)
        if group.rest is not None:
            space = np.stack([sum(space[k] * group.rest[j, k] for k in range(3)) for j in range(3)])
        for axis, rows in group.turns:
            i, j = (axis + 1) % 3, (axis + 2) % 3
            c, s = cosine[rows], sine[rows]
            turned = space[i] * c
            turned += space[j] * s
            space[j] *= c
            space[j] -= space[i] * s
            space[i] = turned
        spaces[:, :, group.span] = space
    if plan.ends:
        _place(plan.ends, values, origins, spaces)
    return origins


def _place(
    group: _Group,
    values: Float64[Array, "channels frames"],
    origins: Float32[Array, "3 nodes frames"],
    spaces: Float32[Array, "3 3 carriers frames"],
) -> Float32[Array, "3 3 members frames"]:
    """Write the origins of a group's nodes; return the spaces of their parents."""
    if group.parents is None:
        outer = np.zeros((3, 3, 1, values.shape[1]), dtype=np.float32)
        outer[[0, 1, 2], [0, 1, 2]] = 1
        origin = np.zeros((3, 1, values.shape[1]), dtype=np.float32)
    else:
        outer = spaces.take(group.parents, axis=2)
        origin = origins.take(group.parents, axis=1)
    shifts = {axis: (which, rows) for axis, which, rows in group.shifts}
    for axis in range(3):
        offset = group.offset[axis]
        if axis in shifts:
            which, rows = shifts[axis]
            offset = np.repeat(offset, values.shape[1], axis=1)
            offset[which] = values[rows]
        origin += outer[axis] * offset
    origins[:, group.span] = origin
    return outer
