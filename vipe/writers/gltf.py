"""A moving rig as a glTF 2.0 file: a skeleton with an animation, and a body of simple bones to look at (numpy)."""

__all__ = ["encode"]

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from vipe.arrays import Array
from vipe.writers.animation import Animation

_TO_GLTF = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z up to y up; who looks along -y then looks along +z
_FLOAT, _BYTE, _SHORT = 5126, 5121, 5123  # component types of the specification, 3.6.2.2
_ARRAY, _ELEMENTS = 34962, 34963  # what a buffer view is for, 3.6.2.1
_WIDE = 0.12  # of a bone's length: half the width of what is drawn of it
_THICKEST = 0.04  # metres
_SHORTEST = 0.01  # metres; bones below are not drawn
_COLOURS = {"left": (0.024, 0.194, 0.491), "right": (0.694, 0.166, 0.012), "middle": (0.105, 0.13, 0.171)}  # linear RGB


def encode(found: Animation, fps: float, *, name: str, binary: bool, extras: Mapping[str, Any]) -> bytes:
    """A moving rig as glTF: metres, y up, the person at rest looks along +z, as the format wants it (3.4).

    Each joint is a node; at rest none is turned. The animation has the way of the root and the rotations of all
    joints, linear between frames; quaternions of neighbouring frames have the sign that makes them neighbours. The
    body is one octahedron a bone, each skinned to the joint in which the bone begins.

    Args:
        found: A moving rig, as `animate` finds it.
        fps: Frames a second.
        name: Of the animation.
        binary: Whether to make a .glb of two chunks, or a .gltf of one JSON text with the data inside.
        extras: JSON values that readers may ignore.

    Reference:
        Khronos Group, glTF 2.0 specification; sections as cited.
    """
    data = _Data()
    joints = len(found.names)
    offset, rest = found.offset @ _TO_GLTF.T, found.rest @ _TO_GLTF.T
    nodes: list[dict[str, Any]] = [
        {"name": joint, "translation": place.tolist()} for joint, place in zip(found.names, offset, strict=True)
    ]
    for joint, parent in enumerate(found.parents):
        if parent >= 0:
            nodes[parent].setdefault("children", []).append(joint)
    nodes.append({"name": f"{name} body", "mesh": 0, "skin": 0})
    inverse = np.tile(np.eye(4, dtype=np.float32), (joints, 1, 1))
    inverse[:, 3, :3] = -rest  # matrices are stored by columns
    skin = {"joints": list(range(joints)), "skeleton": 0, "inverseBindMatrices": data.add(inverse, "MAT4")}
    asset = {"version": "2.0", "generator": "vipe"}
    document = {
        "asset": asset | ({"extras": dict(extras)} if extras else {}),
        "scene": 0,
        "scenes": [{"nodes": [0, joints]}],
        "nodes": nodes,
        "meshes": [{"name": "bones", "primitives": _bones(found, rest, data)}],
        "materials": [
            {
                "name": side,
                "pbrMetallicRoughness": {"baseColorFactor": [*rgb, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8},
            }
            for side, rgb in _COLOURS.items()
        ],
        "skins": [skin],
        "animations": [_animation(found, fps, name, data)],
        **data.tables(),
    }
    if binary:
        return _glb(document, data.bytes)
    text = "data:application/octet-stream;base64," + base64.b64encode(data.bytes).decode("ascii")
    document["buffers"][0]["uri"] = text
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8")


class _Data:
    """The numbers of a file: one buffer, with a view and an accessor for each array."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def add(self, values: Array, kind: str, *, target: int | None = None, limits: bool = False) -> int:
        """Append an array; the number of its accessor."""
        component = {np.dtype(np.float32): _FLOAT, np.dtype(np.uint8): _BYTE, np.dtype(np.uint16): _SHORT}[values.dtype]
        view = {"buffer": 0, "byteOffset": len(self.bytes), "byteLength": values.nbytes}
        self._views.append(view | ({} if target is None else {"target": target}))
        accessor: dict[str, Any] = {
            "bufferView": len(self._views) - 1,
            "componentType": component,
            "count": len(values),
            "type": kind,
        }
        if limits:
            flat = values.reshape(len(values), -1)
            accessor |= {"min": flat.min(axis=0).tolist(), "max": flat.max(axis=0).tolist()}
        self._accessors.append(accessor)
        self.bytes += values.tobytes()  # a multiple of four, as accessors must begin at one: no array here is odd
        return len(self._accessors) - 1

    def tables(self) -> dict[str, Any]:
        return {
            "buffers": [{"byteLength": len(self.bytes)}],
            "bufferViews": self._views,
            "accessors": self._accessors,
        }


def _animation(found: Animation, fps: float, name: str, data: _Data) -> dict[str, Any]:
    time = data.add((np.arange(len(found)) / fps).astype(np.float32), "SCALAR", limits=True)
    # R' = T R T^-1 for a rotation T of the axes: the same turn, about the axis that T carries it to.
    quaternions = found.quaternions()
    quaternions[..., :3] = quaternions[..., :3] @ _TO_GLTF.T
    way = (found.way @ _TO_GLTF.T).astype(np.float32)
    samplers = [{"input": time, "output": data.add(way, "VEC3")}]
    channels: list[dict[str, Any]] = [{"sampler": 0, "target": {"node": 0, "path": "translation"}}]
    for joint in range(len(found.names)):
        samplers.append({"input": time, "output": data.add(quaternions[:, joint].astype(np.float32), "VEC4")})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": joint, "path": "rotation"}})
    return {"name": name, "samplers": samplers, "channels": channels}


def _bones(found: Animation, rest: Float64[Array, "joints 3"], data: _Data) -> list[dict[str, Any]]:
    """A primitive for each side of the body: octahedra at rest, each moved by the joint in which its bone begins."""
    bones: dict[str, list[tuple[int, Float64[Array, "3"], Float64[Array, "3"]]]] = {}
    lines = [(parent, rest[parent], rest[joint]) for joint, parent in enumerate(found.parents) if parent >= 0]
    lines += [(joint, rest[joint], rest[joint] + _TO_GLTF @ tip) for joint, tip in found.tips.items()]
    for joint, start, end in lines:
        if np.linalg.norm(end - start) >= _SHORTEST and rest[joint, 1] > _SHORTEST:  # no bone from the ground
            side = "middle" if abs(start[0] + end[0]) < _SHORTEST else "left" if start[0] + end[0] > 0 else "right"
            bones.setdefault(side, []).append((joint, start, end))
    primitives = []
    for number, side in enumerate(_COLOURS):
        if side not in bones:
            continue
        shapes = [_octahedron(start, end) for _, start, end in bones[side]]
        corners = np.concatenate([corner for corner, _ in shapes])
        normals = np.concatenate([normal for _, normal in shapes])
        moved = np.zeros((len(corners), 4), dtype=np.uint8)
        moved[:, 0] = np.repeat([joint for joint, _, _ in bones[side]], 24)
        weight = np.tile(np.array([1, 0, 0, 0], dtype=np.float32), (len(corners), 1))
        attributes = {
            "POSITION": data.add(corners, "VEC3", target=_ARRAY, limits=True),
            "NORMAL": data.add(normals, "VEC3", target=_ARRAY),
            "JOINTS_0": data.add(moved, "VEC4", target=_ARRAY),
            "WEIGHTS_0": data.add(weight, "VEC4", target=_ARRAY),
        }
        order = data.add(np.arange(len(corners), dtype=np.uint16), "SCALAR", target=_ELEMENTS)
        primitives.append({"attributes": attributes, "indices": order, "material": number})
    return primitives


def _octahedron(
    start: Float64[Array, "3"], end: Float64[Array, "3"]
) -> tuple[Float32[Array, "24 3"], Float32[Array, "24 3"]]:
    """Corners of eight triangles, counterclockwise seen from outside, and the normal at each corner."""
    along = end - start
    length = float(np.linalg.norm(along))
    across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    across /= np.linalg.norm(across)
    other = np.cross(along / length, across)
    wide = min(_WIDE * length, _THICKEST)
    ring = [start + 0.15 * along + wide * direction for direction in (across, other, -across, -other)]
    order: Int64[Array, "4 2"] = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
    faces = [face for a, b in order for face in ((ring[a], ring[b], end), (ring[b], ring[a], start))]
    normals = [np.cross(b - a, c - a) for a, b, c in faces]
    normals = [normal / np.linalg.norm(normal) for normal in normals]
    return (
        np.array(faces, dtype=np.float32).reshape(24, 3),
        np.repeat(np.array(normals, dtype=np.float32), 3, axis=0),
    )


def _glb(document: dict[str, Any], buffer: bytearray) -> bytes:
    """Header, JSON chunk and binary chunk (4.4)."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(buffer), b"BIN\0") + buffer
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
