"""Forward kinematics: joint positions from a rig and the values of its channels, for BVH and ASF/AMC (numpy)."""

__all__ = ["Node", "Plan", "forward_kinematics", "world_axes"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64

from vipe.arrays import Array
from vipe.skeletons.skeleton import Up

Axes = tuple[tuple[int, float], tuple[int, float], tuple[int, float]]  # for each axis: which of the file's, factor

_FRAMES_AT_ONCE = 1024  # bounds the memory: the rotations of a hundred joints then take about 3 MB
_ROTATIONS_AT_ONCE = 1 << 20  # of all joints together, for rigs of thousands of joints
# Degrees up to which a float32 angle is good to 1e-6 radians; counters that run on for minutes are first reduced.
_FEW_TURNS = 720.0


class Node(NamedTuple):
    """A point of the rig, and the space of its children.

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


@dataclass(frozen=True)
class Plan:
    """The order in which the nodes of a rig are computed; one plan serves any number of frames.

    Ancestors of wanted nodes come first, the ends of all chains last; other nodes are left out.
    """

    rows: list[int]  # the channels that move a wanted node
    groups: tuple["_Group", ...]
    ends: "_Group | None"
    places: list[int]  # where the wanted nodes are in the computed order

    @classmethod
    def of(cls, nodes: Sequence[Node], wanted: Sequence[int]) -> "Plan":
        """Plan for a rig: its one root first, parents before children; `wanted` are indices of nodes."""
        carriers = {0}  # ancestors of wanted nodes
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
        order = [i for group in [*members, ends] for i in group]
        place = {i: at for at, i in enumerate(order)}
        moves = [move for i in order for move in (*nodes[i].shifts, *(nodes[i].turns if i in carriers else ()))]
        rows = sorted({row for _, row in moves})
        where = {row: at for at, row in enumerate(rows)}
        return cls(
            rows=rows,
            groups=tuple(_group(nodes, group, place, where) for group in members),
            ends=_group(nodes, ends, place, where, turned=False) if ends else None,
            places=[place[i] for i in wanted],
        )


def forward_kinematics(
    plan: Plan, values: Float64[Array, "rows frames"], axes: Axes
) -> Float32[Array, "frames wanted 3"]:
    """Find the origins of a plan's wanted nodes, in the order of its `wanted`.

    Sines and products of rotations are float32, which stays within a few micrometres of float64 on a body.

    Args:
        plan: Which nodes, of which rig.
        values: A row for each of the plan's rows; angles in degrees, shifts in the file's unit.
        axes: What to return as x, y and z, from `world_axes`.
    """
    frames = values.shape[1]
    positions = _empty(frames, len(plan.places), 3)
    at_once = max(min(_FRAMES_AT_ONCE, _ROTATIONS_AT_ONCE // max(plan.groups[-1].span.stop, 1)), 1)
    blocks = -(-frames // at_once)
    # What is too large for float32 becomes infinite, which Clip refuses with the frame it is in.
    with np.errstate(over="ignore", invalid="ignore"):
        if values.size and max(values.max(), -values.min()) > _FEW_TURNS:
            values = values.copy()
            angles = sorted({row for group in plan.groups for row in group.angles})
            values[angles] -= 360 * np.rint(values[angles] / 360)
        for i in range(blocks):
            block = slice(i * frames // blocks, (i + 1) * frames // blocks)
            origins = _origins(plan, values[:, block])
            for to, (axis, factor) in enumerate(axes):
                np.multiply(origins[axis].take(plan.places, axis=0).T, np.float32(factor), out=positions[block, :, to])
    return positions


def world_axes(up: Up, unit: float) -> Axes:
    """Axes of a file as x, y and z in metres with z up; where another axis is up, the world is turned to make it z.

    >>> world_axes("y", 0.01)  # turned by 90 degrees about x
    ((0, 0.01), (2, -0.01), (1, 0.01))
    """
    return tuple((axis, sign * unit) for axis, sign in _TURNED[up])  # type: ignore[return-value]


# Which of the file's axes x, y and z are, with their signs: each one a rotation.
_TURNED: dict[Up, tuple[tuple[int, int], ...]] = {
    "z": ((0, 1), (1, 1), (2, 1)),
    "y": ((0, 1), (2, -1), (1, 1)),
    "x": ((1, 1), (2, 1), (0, 1)),
    "-z": ((0, 1), (1, -1), (2, -1)),
    "-y": ((0, 1), (2, 1), (1, -1)),
    "-x": ((1, 1), (2, -1), (0, -1)),
}


@dataclass(frozen=True)
class _Group:
    """Nodes computed in one go: all their parents are done, and they turn about the same axes in the same order."""

    span: slice  # their places in the computed order
    parents: list[int]  # places of their parents; none for the root
    offset: Float32[Array, "3 1 nodes 1"]
    shifts: tuple[tuple[int, list[int], list[int]], ...]  # axis, which of the nodes, their rows of the values
    rest: Float32[Array, "3 3 nodes 1"] | None  # column, row
    turns: tuple[int, ...]  # axes
    angles: list[int]  # rows of the values: of the first turn for each node, then of the second ...


def _group(
    nodes: Sequence[Node], members: Sequence[int], place: dict[int, int], where: dict[int, int], *, turned: bool = True
) -> _Group:
    first, n = place[members[0]], len(members)
    shifted: dict[int, tuple[list[int], list[int]]] = {}
    for which, i in enumerate(members):
        for axis, row in nodes[i].shifts:
            shifted.setdefault(axis, ([], []))[0].append(which)
            shifted[axis][1].append(where[row])
    turns = tuple(axis for axis, _ in nodes[members[0]].turns) if turned else ()
    rests = [rest for i in members if (rest := nodes[i].rest) is not None]
    with np.errstate(over="ignore"):
        offset = np.array([nodes[i].offset for i in members], dtype=np.float32).T[:, None, :, None]
    return _Group(
        span=slice(first, first + n),
        parents=[place[nodes[i].parent] for i in members if nodes[i].parent >= 0],
        offset=offset,
        shifts=tuple((axis, which, rows) for axis, (which, rows) in shifted.items()),
        rest=np.array(rests, dtype=np.float32).T[..., None] if turned and rests else None,
        turns=turns,
        angles=[where[nodes[i].turns[step][1]] for step in range(len(turns)) for i in members],
    )


def _origins(plan: Plan, values: Float64[Array, "rows frames"]) -> Float32[Array, "3 nodes frames"]:
    frames = values.shape[1]
    carriers = plan.groups[-1].span.stop
    origins = _empty(3, plan.ends.span.stop if plan.ends else carriers, frames)
    # Columns first: a turn about an axis mixes the other two columns, each one block of memory.
    spaces = _empty(3, 3, carriers, frames)
    for group in plan.groups:
        space, origin = spaces[:, :, group.span], origins[:, group.span]
        if group.parents:
            space[...] = spaces.take(group.parents, axis=2)
            np.add(origins.take(group.parents, axis=1), (space * _offset(group, values)).sum(axis=0), out=origin)
        else:
            space[...] = np.eye(3)[:, :, None, None]
            origin[...] = _offset(group, values)[:, 0]
        if group.rest is not None:
            space[...] = [sum(space[k] * group.rest[j, k] for k in range(3)) for j in range(3)]
        if group.turns:
            _turn(space, group, values)
    if plan.ends:
        origin = origins.take(plan.ends.parents, axis=1)
        for column, offset in zip(spaces, _offset(plan.ends, values), strict=True):
            part = column.take(plan.ends.parents, axis=1)
            part *= offset
            origin += part
        origins[:, plan.ends.span] = origin
    return origins


def _offset(group: _Group, values: Float64[Array, "rows frames"]) -> Float32[Array, "3 1 nodes #frames"]:
    if not group.shifts:
        return group.offset
    offset = np.repeat(group.offset, values.shape[1], axis=3)
    for axis, which, rows in group.shifts:
        offset[axis, 0, which] = values[rows]
    return offset


def _turn(space: Float32[Array, "3 3 nodes frames"], group: _Group, values: Float64[Array, "rows frames"]) -> None:
    """Turn the spaces of a group in place."""
    radians = np.multiply(values[group.angles], np.pi / 180, dtype=np.float32, casting="unsafe")
    shape = (len(group.turns), -1, values.shape[1])
    for axis, s, c in zip(group.turns, np.sin(radians).reshape(shape), np.cos(radians).reshape(shape), strict=True):
        a, b = space[axis - 2], space[axis - 1]  # the two axes that follow, in cyclic order
        turned = a * c
        turned += b * s
        a *= s
        b *= c
        b -= a
        a[...] = turned


def _empty(*shape: int) -> Float32[Array, "..."]:
    """Memory from Arrow's pool, which keeps what is freed for the next clip.

    The C library hands large blocks back to the system, and new ones cost as much, page by page as they are first
    touched, as all the mathematics here: a third of the time of reading a clip.
    """
    return np.frombuffer(pa.allocate_buffer(4 * math.prod(shape)), dtype=np.float32).reshape(shape)
