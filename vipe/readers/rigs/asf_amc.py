"""Acclaim ASF/AMC: the motion of a subject (AMC), whose bones are in another file (ASF, see asf.py)."""

__all__ = ["read", "read_all"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BufferedIOBase
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64
from pyarrow import csv

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import ReadError, VipeError
from vipe.readers.numbers import parse_float
from vipe.readers.rigs.asf import AXES, Bones
from vipe.readers.rigs.kinematics import Node, Plan, forward_kinematics, world_axes
from vipe.skeletons import Skeleton
from vipe.skeletons.matching import Match, match

# AMC does not state its rate. The CMU database, for which the format is used today, was recorded at 120 Hz.
_FPS = 120.0


def read(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    *,
    bones: Bones,
    fps: float | None = None,
) -> Clip:
    """Read the first piece of an AMC file; see `read_all`."""
    return read_all(stream, name, skeletons, bones=bones, fps=fps)[0]


def read_all(
    stream: BufferedIOBase,
    name: str,
    skeletons: Sequence[Skeleton] = (),
    *,
    bones: Bones,
    fps: float | None = None,
) -> list[Clip]:
    """Read an AMC file as joint positions in world space, one clip for each piece without gaps between its frames.

    A joint is the far end of the bone with its name; `root` is the position of the root. Bones that the AMC does not
    list stay at rest. A frame turns each bone about the axes of its dof, in the order listed; these axes are fixed in
    the bone's own axis space. The file does not state a rate, so it is the CMU database's 120 Hz.

    Args:
        stream: The file's bytes.
        name: What to call it in the clip and in errors; of several pieces, "#" and the number of the first frame is
            added.
        skeletons: A user's own, tried before those of the library.
        bones: The subject's bones, from `read_bones`.
        fps: Frames a second; CMU's 120 if not given, which the clip's notes tell.

    Raises:
        ReadError: If it is not AMC, ends within a frame, disagrees with the bones, or no skeleton matches. A file
            cut exactly between two frames cannot be told from a whole one, since AMC states no number of frames.
    """
    text = stream.read().removeprefix(b"\xef\xbb\xbf")
    layout, values, numbers, degrees = _read_motion(text, name, bones)
    rows: dict[str, tuple[int, ...]] = {}
    used = 0
    for bone, count in layout:
        rows[bone] = tuple(range(used, used + count))
        used += count
    for bone, indices in rows.items():
        for dof, row in zip(bones.bones[bone].dof, indices, strict=True):
            if dof[0] == "t":
                values[row] += bones.position[AXES[dof[1]]]
            elif not degrees:
                values[row] *= 180 / np.pi
    notes = [] if fps is not None else [f"AMC states no rate: {_FPS:g} frames/s, CMU's, were assumed (--source-fps)"]
    starts = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
    if len(starts) > 2:
        notes.append(f"gaps between its frames: one clip for each of {len(starts) - 1} pieces")
    try:
        found = match(tuple(bones.bones), skeletons, "far")
        skeleton = _named_as(found, tuple(bones.bones))
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, which Clip refuses
            plan = Plan.of(*_nodes(bones, rows, skeleton))
        positions = forward_kinematics(plan, values[plan.rows], world_axes(skeleton.up, bones.unit))
        positions.flags.writeable = False  # so that clips need not copy it
        return [
            Clip(
                name=f"{name}#{numbers[start]}" if len(starts) > 2 else name,
                skeleton=found.skeleton,
                positions=positions[start:end],
                fps=_FPS if fps is None else fps,
                notes=tuple(notes),
            )
            for start, end in pairwise(starts)
        ]
    except VipeError as error:
        raise ReadError(f"{name}: {error}") from error


def _named_as(found: Match, names: Sequence[str]) -> Skeleton:
    """The skeleton with the names that the file has for its joints."""
    own = {joint: names[i] for joint, i in found.where.items()}
    skeleton = found.skeleton
    return replace(
        skeleton,
        joints=tuple(own.get(joint, joint) for joint in skeleton.joints),
        sites=tuple(replace(site, joint=own.get(site.joint, site.joint)) for site in skeleton.sites),
        mirror=(),
        conversions={},
    )


def _nodes(bones: Bones, rows: Mapping[str, tuple[int, ...]], skeleton: Skeleton) -> tuple[list[Node], list[int]]:
    """Each bone as a node at its near end, whose space is the bone's axis space; its tip as another one."""
    nodes: list[Node] = []
    near: dict[str, int] = {}
    tips: dict[str, int] = {}
    for name, bone in bones.bones.items():
        channels = list(zip(bone.dof, rows.get(name, ()), strict=False))
        parent = bones.bones.get(bone.parent)
        outer, offset = (
            (np.eye(3), np.array(bones.position)) if parent is None else (parent.axis, parent.axis.T @ parent.tip)
        )
        near[name] = len(nodes)
        nodes.append(
            Node(
                name=name,
                parent=-1 if parent is None else near[bone.parent],
                offset=_vector(offset),
                shifts=tuple((AXES[dof[1]], row) for dof, row in channels if dof[0] == "t"),
                # About fixed axes, first to last, is about the axes as turned, last to first.
                turns=tuple((AXES[dof[1]], row) for dof, row in reversed(channels) if dof[0] == "r"),
                rest=outer.T @ bone.axis,
            )
        )
        tips[name] = len(nodes) if parent is not None else near[name]
        if parent is not None:
            nodes.append(Node(name=f"{name} tip", parent=near[name], offset=_vector(bone.axis.T @ bone.tip)))
    sites = {site.name: site for site in skeleton.sites}
    wanted = []
    for joint in skeleton.joints:
        if joint in sites:
            bone = bones.bones[sites[joint].joint]
            offset = bone.axis.T @ (bone.tip + np.array(sites[joint].offset) / bones.unit)
            wanted.append(len(nodes))
            nodes.append(Node(name=joint, parent=near[bone.name], offset=_vector(offset)))
        else:
            wanted.append(tips[joint])
    return nodes, wanted


def _vector(array: Float64[Array, " 3"]) -> tuple[float, float, float]:
    x, y, z = array.tolist()
    return x, y, z


_Layout = list[tuple[str, int]]  # bones of a frame and how many numbers each has


def _read_motion(
    text: bytes, name: str, bones: Bones
) -> tuple[_Layout, Float64[Array, "channels frames"], Int64[Array, " frames"], bool]:
    """Bones with their number of values, the values, the numbers of the frames, and whether angles are degrees."""
    degrees = bones.degrees
    start, number = 0, 1  # where the first frame is, and its line
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].strip()
        if line and not line.startswith((b"#", b":")):
            break
        degrees = {b":DEGREES": True, b":RADIANS": False}.get(line.upper(), degrees)
        start, number = end + 1, number + 1
    layout = _read_layout(text, start, number, name, bones)
    parsed = _parse_regular(text[start:], layout)
    if parsed is None:
        parsed = _parse_any(text[start:], layout, number, name)
    return layout, *parsed, degrees


def _read_layout(text: bytes, start: int, number: int, name: str, bones: Bones) -> _Layout:
    """What the first frame lists, which all others must list."""
    layout: dict[str, int] = {}
    begun = False
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        words = text[start:end].split()
        if not begun:
            if len(words) != 1 or not words[0].isdigit():
                _fail(name, number, f"found {_show(b' '.join(words))}, expected the number of the first frame")
            begun = True
        elif words:
            if words[0].isdigit():
                break
            bone, count = words[0].decode("utf-8", "backslashreplace"), len(words) - 1
            if bone not in bones.bones:
                known = ", ".join(list(bones.bones)[:6])
                _fail(name, number, f"bone {_show(words[0])} is not in {bones.name}, which has {known}, ...")
            if bone in layout:
                _fail(name, number, f"bone {bone!r} is listed twice in one frame")
            dof = bones.bones[bone].dof
            if count != len(dof):
                _fail(name, number, f"bone {bone!r} has {count} values, expected {len(dof)}: {' '.join(dof)}")
            layout[bone] = count
        start, number = end + 1, number + 1
    if not layout:
        raise ReadError(f"{name}: no frame, expected a frame number, then a line for each bone; was the file cut?")
    return list(layout.items())


_Parsed = tuple[Float64[Array, "channels frames"], Int64[Array, " frames"]]  # values, and the numbers of the frames


def _parse_regular(text: bytes, layout: _Layout) -> _Parsed | None:
    """The fast way, for frames that list the same bones in the same order with single blanks between."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    first = layout[0][0].encode()
    # One line a frame: its bones, then the number of the next frame.
    flat = text.rstrip().replace(b"\n", b" ").replace(b" " + first + b" ", b"\n" + first + b" ")
    head, _, rows = flat.partition(b"\n")
    rows += b" 0"
    columns: dict[str, Any] = {}
    for bone, count in layout:
        columns[bone] = pa.binary()
        columns.update((f"{bone} {i}", pa.float64()) for i in range(count))
    columns[" next"] = pa.int64()
    try:
        table = csv.read_csv(
            pa.py_buffer(rows),
            csv.ReadOptions(use_threads=False, column_names=list(columns), block_size=min(len(rows) + 1, 1 << 26)),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(column_types=columns, null_values=[]),
        )
        numbered = np.concatenate([[int(head)], table[" next"].to_numpy()[:-1]])
    except (pa.ArrowException, ValueError):
        return None
    if (np.diff(numbered) < 1).any():
        return None
    if any(pc.any(pc.not_equal(table[bone], bone.encode())).as_py() for bone, _ in layout):
        return None
    numbers = [i for i, kind in enumerate(columns.values()) if kind == pa.float64()]
    (batch,) = table.select(numbers).combine_chunks().to_batches()
    values: Array = batch.to_tensor(row_major=False).to_numpy().T
    return (values, numbered.astype(np.int64)) if np.isfinite(values).all() else None


def _parse_any(text: bytes, layout: _Layout, first_line: int, name: str) -> _Parsed:
    """The slow way, which takes any blanks and any order of bones, and knows what is wrong in which line."""
    counts = dict(layout)
    frames: list[Array] = []
    numbers: list[int] = []
    seen: dict[str, list[float]] = {}
    current: int | None = None

    def close(line: int) -> None:
        if len(seen) < len(counts):
            missing = next(bone for bone in counts if bone not in seen)
            _fail(
                name,
                line,
                f"frame {current} has {len(seen)} of {len(counts)} bones, {missing!r} is missing; was the file cut?",
            )
        frames.append(np.array([value for bone in counts for value in seen[bone]]))
        seen.clear()

    for number, line in enumerate(text.split(b"\n"), start=first_line):
        words = line.split()
        if not words:
            continue
        if len(words) == 1 and words[0].isdigit():
            if current is not None:
                close(number)
                if int(words[0][:18]) <= current:
                    _fail(name, number, f"frame {_show(words[0])} follows frame {current}, expected {current + 1}")
            current = int(words[0][:18])
            numbers.append(current)
            continue
        bone = words[0].decode("utf-8", "backslashreplace")
        if bone not in counts or bone in seen:
            _fail(name, number, f"frame {current} lists {_show(words[0])}, expected each bone of the first frame once")
        values = [parse_float(word.decode("utf-8", "backslashreplace")) for word in words[1:]]
        finite = [value for value in values if value is not None]
        if len(values) != counts[bone] or len(finite) != len(values):
            _fail(
                name, number, f"bone {bone!r} has {_show(b' '.join(words[1:]))}, expected {counts[bone]} finite numbers"
            )
        seen[bone] = finite
    close(number)
    return np.ascontiguousarray(np.array(frames).T), np.array(numbers, dtype=np.int64)


def _show(word: bytes) -> str:
    return repr(word[:40].decode("utf-8", "backslashreplace"))


def _fail(name: str, line: int, message: str) -> NoReturn:
    raise ReadError(f"{name}:{line}: {message}")
