"""glTF 2.0 animations as clips: a hierarchy of nodes, sampled at a fixed rate (numpy)."""

__all__ = ["read_all"]

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BufferedIOBase
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.clips import FASTEST, Clip
from vipe.errors import ReadError, SkeletonError
from vipe.readers.contract import Hints, NotMotion, clip_of, whole_rate
from vipe.readers.rigs.gltf_file import Animation, Gltf, GltfNode, open_gltf
from vipe.readers.rigs.gltf_keyframes import Keyframes, keyframes
from vipe.readers.rigs.kinematics import Node
from vipe.readers.rigs.rig import read_rig
from vipe.skeletons import Skeleton

_USUAL_FPS, _RATES = 30.0, (10.0, 1000.0)  # where keyframes are no frames; where they are
_MOST_NODES, _MOST_FRAMES, _FRAMES_A_KEY = 20_000, 36_000, 10
_EVEN = 1e-2  # by which the scales of the three axes may differ


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    hints: Hints = Hints(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    """The clips of a .glb, or of a .gltf that has its numbers within it: one for each animation of each character.

    Names of nodes tell which rig a character is, as in BVH. y is up, as the format says; the unit is told by the body,
    since many files are in centimetres all the same. Rotations and translations are sampled at the rate of their
    keyframes, or 30 Hz if these are far apart, by the interpolation that the file states (LINEAR along the sphere,
    STEP, CUBICSPLINE). A scale must be one number, and still.

    Args:
        stream: The file's bytes.
        name: What to call it in the clips and in errors.
        skeletons: A user's own, tried before those of the library.
        hints: Rate, unit and up axis if the user knows better, and whether to guess an unknown body.

    Raises:
        ReadError: If it is not glTF 2.0, is cut, scales a body unevenly, or no skeleton matches.
        NotMotion: If it has no animation.
    """
    gltf, buffers = open_gltf(stream.read(), name)
    if not gltf.animations:
        raise NotMotion(f"{name}: no animation in it")
    tree = _Tree.of(gltf, name)
    characters = _characters(gltf, tree, name)
    problem: ReadError | None = None
    found = False
    stem = PurePosixPath(name).stem
    for number, animation in enumerate(gltf.animations):
        moves = keyframes(gltf, buffers, animation, name)
        title = _title(animation, number, len(gltf.animations), stem)
        for which, members in enumerate(characters):
            try:
                clip = _clip(tree, members, moves, name, skeletons, hints)
            except SkeletonError as error:
                problem = problem or ReadError(f"{name}: {error}")
                continue
            found = True
            yield replace(clip, name=f"{title} {which + 1}" if len(characters) > 1 else title)
    if not found:
        raise problem or NotMotion(f"{name}: no character in it")


def _title(animation: Animation, number: int, count: int, stem: str) -> str:
    if count == 1:
        return stem
    given = animation.name[:80] if animation.name.isprintable() else ""
    return f"{stem}/{number + 1} {given}".rstrip()


@dataclass(frozen=True)
class _Tree:
    """The hierarchy at rest: parents, places in their parents' spaces, turns, and the scale of each node's space."""

    names: list[str]
    parents: list[int]
    order: list[int]  # parents before children
    offsets: Float64[Array, "nodes 3"]
    turns: Float64[Array, "nodes 3 3"]  # of each node's space in its parent's
    scales: Float64[Array, " nodes"]  # of all nodes above it and its own
    own_scales: Float64[Array, " nodes"]

    @classmethod
    def of(cls, gltf: Gltf, name: str) -> "_Tree":
        count = len(gltf.nodes)
        if not 0 < count <= _MOST_NODES:
            raise ReadError(f"{name}: {count} nodes, expected up to {_MOST_NODES}")
        parents = [-1] * count
        for i, node in enumerate(gltf.nodes):
            for child in node.children:
                if not 0 <= child < count or parents[child] >= 0 or child == i:
                    raise ReadError(f"{name}: node {i} has the child {child}, expected each node below one other")
                parents[child] = i
        order = [i for i in range(count) if parents[i] < 0]
        for i in order:
            order.extend(gltf.nodes[i].children)
        if len(order) != count:
            raise ReadError(f"{name}: nodes hang in a circle")
        offsets, turns, scales = np.zeros((count, 3)), np.zeros((count, 3, 3)), np.ones(count)
        for i, node in enumerate(gltf.nodes):
            offsets[i], turns[i], scales[i] = _at_rest(node, f"{name}: node {i}")
        own = scales.copy()
        for i in order:
            if parents[i] >= 0:
                scales[i] *= scales[parents[i]]
        names = [node.name if node.name.isprintable() else "" for node in gltf.nodes]
        return cls(names, parents, order, offsets, turns, scales, own)


def _at_rest(node: GltfNode, where: str) -> tuple[Array, Array, float]:
    """Offset, turn and scale of a node."""
    from scipy.spatial.transform import Rotation  # slow to import, and most files need none

    if node.matrix is not None:
        if len(node.matrix) != 16 or not np.isfinite(node.matrix).all():
            raise ReadError(f"{where}: a matrix of {len(node.matrix)} numbers, expected 16 finite ones")
        columns = np.array(node.matrix).reshape(4, 4)
        sizes = np.linalg.norm(columns[:3, :3], axis=1)
        turn, offset = (columns[:3, :3] / np.maximum(sizes, 1e-30)[:, None]).T, columns[3, :3]
    else:
        numbers = np.array([*node.translation, *node.rotation, *node.scale])
        if not np.isfinite(numbers).all() or not 0.5 < np.linalg.norm(node.rotation) < 2:
            raise ReadError(f"{where}: expected finite numbers and a rotation of length 1")
        offset, sizes = numbers[:3], numbers[7:]
        turn = Rotation.from_quat(node.rotation).as_matrix()
    middle = float(sizes.mean())
    if not 1e-9 < middle < 1e9 or np.abs(sizes / middle - 1).max() > _EVEN or np.linalg.det(turn) < 0.5:
        shown = ", ".join(f"{size:.3g}" for size in sizes)
        raise ReadError(f"{where}: a scale of {shown}, expected one positive number; apply scales before export")
    return offset, turn, middle


def _characters(gltf: Gltf, tree: _Tree, name: str) -> list[list[int]]:
    """The nodes of each character with all above them, parents first: the bones of its skins, or all nodes."""
    groups: list[set[int]] = []
    for skin in gltf.skins:
        joints = set(skin.joints)
        if not joints or min(joints) < 0 or max(joints) >= len(tree.names):
            raise ReadError(f"{name}: a skin of nodes that are not there")
        # Body and clothes are skins of their own on the same bones.
        other = next((group for group in groups if group & joints), None)
        if other is None:
            groups.append(joints)
        else:
            other |= joints
    if not groups:
        return [tree.order]
    members = []
    for group in groups[:100]:
        whole = set(group)
        for i in group:
            while (i := tree.parents[i]) >= 0 and i not in whole:
                whole.add(i)
        members.append([i for i in tree.order if i in whole])
    return members


def _clip(
    tree: _Tree, members: list[int], moves: Keyframes, name: str, skeletons: Sequence[Skeleton], hints: Hints
) -> Clip:
    """One character in one animation, by the same way as a BVH file of it.

    The space of each node is turned so that all are parallel to the world at rest, which leaves places as they are and
    makes the rest pose that of the file: with G the turn of a node's space in the world at rest, its rotation R becomes
    G_parent R G^T, and its offset G_parent s offset, where s is the scale above it.
    """
    place = {node: at + 1 for at, node in enumerate(members)}  # below one root that stays
    world = np.empty((len(tree.names), 3, 3))
    nodes = [Node("", -1)]
    channels: list[tuple[int, str, int]] = []
    for i in members:
        parent = tree.parents[i]
        above = world[parent] if parent >= 0 else np.eye(3)
        scale = tree.scales[parent] if parent >= 0 else 1.0
        world[i] = above @ tree.turns[i]
        x, y, z = (scale * above @ tree.offsets[i]).tolist()
        shifts: tuple[tuple[int, int], ...] = ()
        turns: tuple[tuple[int, int], ...] = ()
        if i in moves.translations:
            shifts = tuple((axis, len(channels) + axis) for axis in range(3))
            channels += [(i, "translation", axis) for axis in range(3)]
        if i in moves.rotations:
            turns = tuple((axis, len(channels) + axis) for axis in range(3))
            channels += [(i, "rotation", axis) for axis in range(3)]
        if i in moves.scales and abs(moves.scales[i] / tree.own_scales[i] - 1) > _EVEN:
            raise ReadError(
                f"{name}: node {tree.names[i][:40]!r} is scaled by the animation, expected bones of one length"
            )
        nodes.append(Node(tree.names[i], place.get(parent, 0), (x, y, z), shifts, turns))
    rig = read_rig(nodes, 0, skeletons, hints.guess)
    fps, times = _times(moves, hints.fps, name)
    values = np.zeros((len(rig.rows), len(times)))
    rows = {row: at for at, row in enumerate(rig.rows)}
    sampled: dict[tuple[int, str], Array] = {}
    for row, at in rows.items():
        i, path, axis = channels[row]
        if (i, path) not in sampled:
            sampled.clear()
            parent = tree.parents[i]
            above = world[parent] if parent >= 0 else np.eye(3)
            if path == "translation":
                scale = tree.scales[parent] if parent >= 0 else 1.0
                sampled[i, path] = scale * moves.translations[i].at(times) @ above.T
            else:
                sampled[i, path] = _angles(above @ moves.rotations[i].at(times) @ world[i].T)
        values[at] = sampled[i, path][:, axis]
    skeleton, positions, notes = rig.placed(values, rows, replace(hints, up=hints.up or "y"))
    clip = clip_of("", skeleton, positions, fps, where=name)
    return replace(clip, notes=notes) if notes else clip


def _angles(matrices: Float64[Array, "frames 3 3"]) -> Float64[Array, "frames 3"]:
    """Degrees about x, y, z as each turn leaves them; where the middle one is a right angle, any of the solutions."""
    from scipy.spatial.transform import Rotation  # slow to import, and most files need none

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return np.asarray(Rotation.from_matrix(matrices).as_euler("XYZ", degrees=True))


def _times(moves: Keyframes, fps: float | None, name: str) -> tuple[float, Float64[Array, " frames"]]:
    """Rate and times of the frames."""
    if fps is None:
        fps = whole_rate(1 / moves.step) if moves.step > 0 and _RATES[0] <= 1 / moves.step <= _RATES[1] else _USUAL_FPS
    frames = int(min((moves.end - moves.start) * fps + 1e-3, 1e15)) + 1
    if not 0 < fps <= FASTEST or frames > _MOST_FRAMES + _FRAMES_A_KEY * moves.keys:
        raise ReadError(f"{name}: {frames} frames from {moves.keys} keyframes at {fps:g} Hz, which is unreasonable")
    return fps, moves.start + np.arange(frames) / fps
