"""Acclaim Skeleton File (ASF): the bones of one subject, which many AMC files move."""

__all__ = ["AXES", "ROOT", "Bone", "Bones", "read_bones"]

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from typing import NoReturn

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.readers.numbers import parse_float

AXES = {"x": 0, "y": 1, "z": 2}
ROOT = "root"

_INCH = 0.0254  # metres


@dataclass(frozen=True, kw_only=True)
class Bone:
    """A bone as ASF describes it, in the file's unit and in global axes at rest."""

    name: str
    tip: Float64[Array, " 3"]  # direction * length
    axis: Float64[Array, "3 3"]  # the space in which its angles are measured
    dof: tuple[str, ...]  # rx, ry, rz (the root also tx, ty, tz), in the order of the AMC's numbers
    parent: str = ""


@dataclass(frozen=True, kw_only=True)
class Bones:
    """The content of an ASF file: bones from the root outward, the unit in metres, and whether angles are degrees."""

    name: str
    bones: Mapping[str, Bone]
    position: tuple[float, float, float]
    unit: float
    degrees: bool


def read_bones(stream: BufferedIOBase, name: str) -> Bones:
    """Read an ASF file: the bones of one subject.

    Lengths count in units of `length` inches, as CMU's files do (0.45: metres = value / 0.45 * 0.0254). Limits,
    masses and ids are passed over; indentation, commas and parentheses are blanks, as the format says.

    Raises:
        ReadError: With the line, what was found, and what was expected.
    """
    return _AsfParser(stream.read(), name).parse()


_Line = tuple[int, list[str]]  # its number and the words after the first


class _AsfParser:
    """Takes an ASF file line by line; knows the line it is at."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self.line = 0
        self.text = _decode(data, name)
        self.length, self.degrees = 1.0, True
        self.root: dict[str, list[str]] = {}
        self.bones: dict[str, Bone] = {}
        self.parents: dict[str, str] = {}

    def parse(self) -> Bones:
        section = ""
        block: dict[str, _Line] | None = None
        # Lines one at a time: as lists of words, a file of empty lines would take two hundred times its size.
        for line, content in enumerate(io.StringIO(self.text, newline=None), start=1):
            self.line = line
            words = re.sub(r"[,()]", " ", content.partition("#")[0]).split()
            if not words:
                continue
            key = words[0].lower()
            if key.startswith(":"):
                section = key
            elif section == ":units":
                self._unit(key, words[1:])
            elif section == ":root":
                self.root[key] = words[1:]
            elif section == ":bonedata":
                if key == "begin":
                    block = {}
                elif key == "end" and block is not None:
                    self._bone(block)
                    block = None
                elif block is None:
                    self.fail(f"found {words[0][:40]!r} in :bonedata, expected 'begin'")
                else:
                    block.setdefault(key, (line, words[1:]))
            elif section == ":hierarchy" and key not in ("begin", "end"):
                self._children(words)
            elif not section:
                self.fail(f"found {words[0][:40]!r}, expected a section such as :units; is it ASF?")
        if block is not None:
            raise ReadError(f"{self.name}: the file ends within a bone, expected 'end'; was it cut?")
        return self._bones()

    def _unit(self, key: str, words: list[str]) -> None:
        if key == "length":
            (self.length,) = self._numbers(words, 1, "length")
            if self.length <= 0:
                self.fail(f"unit of length is {self.length}, expected a number above 0")
        elif key == "angle":
            if not words or words[0].lower()[:3] not in ("deg", "rad"):
                self.fail(f"unit of angle is {' '.join(words)[:40]!r}, expected deg or rad")
            self.degrees = words[0].lower().startswith("deg")

    def _bone(self, block: Mapping[str, _Line]) -> None:
        for key in ("name", "direction", "length", "axis"):
            if key not in block:
                self.fail(f"a bone without {key}")
        self.line, words = block["name"]
        name = " ".join(words)
        if not name or name == ROOT or name in self.bones:
            self.fail(f"bone {name!r} is listed twice" if name else "a bone without a name")
        if not name.isprintable():
            self.fail(f"bone {name[:40]!r} has control characters in its name")
        self.line, words = block["direction"]
        direction = np.array(self._numbers(words, 3, "direction"))
        self.line, words = block["length"]
        (length,) = self._numbers(words, 1, "length")
        self.line, words = block["axis"]
        axis = self._rotation(self._numbers(words[:3], 3, "axis"), "".join(words[3:]))
        self.line, words = block.get("dof", (self.line, []))
        dof = tuple(word.lower() for word in words)
        if len(set(dof)) < len(dof) or not set(dof) <= {"rx", "ry", "rz"}:
            self.fail(f"bone {name!r} has dof {' '.join(dof)[:40]!r}, expected some of rx, ry, rz, each once")
        with np.errstate(over="ignore"):
            self.bones[name] = Bone(name=name, tip=direction * length, axis=axis, dof=dof)

    def _children(self, words: list[str]) -> None:
        parent = words[0]
        for bone in words:
            if bone not in self.bones and bone != ROOT:
                known = ", ".join([ROOT, *self.bones][:6])
                self.fail(f"hierarchy names bone {bone[:40]!r}, which :bonedata does not have; it has {known}, ...")
        for child in words[1:]:
            if child == ROOT or child in self.parents:
                self.fail(
                    f"bone {child!r} has a second parent {parent!r}, expected one"
                    if child != ROOT
                    else "root has a parent"
                )
            self.parents[child] = parent

    def _bones(self) -> Bones:
        """Bones from the root outward, so that parents come first."""
        if not self.root or not self.bones:
            raise ReadError(f"{self.name}: no :root and :bonedata, expected both; is it a whole ASF file?")
        self.line = 0
        order = [word.lower() for word in self.root.get("order", ["tx", "ty", "tz", "rx", "ry", "rz"])]
        if sorted(order) != ["rx", "ry", "rz", "tx", "ty", "tz"]:
            self.fail(f"order of the root is {' '.join(order)[:60]!r}, expected TX TY TZ RX RY RZ in some order")
        x, y, z = self._numbers(self.root.get("position", ["0"] * 3), 3, "position of the root")
        turned = self._numbers(self.root.get("orientation", ["0"] * 3), 3, "orientation of the root")
        axis = self._rotation(turned, "".join(self.root.get("axis", ["XYZ"])))
        bones = {ROOT: Bone(name=ROOT, tip=np.zeros(3), axis=axis, dof=tuple(order))}
        children: dict[str, list[str]] = {}
        for child, parent in self.parents.items():
            children.setdefault(parent, []).append(child)
        reached = [ROOT]
        for parent in reached:
            for child in children.get(parent, ()):
                bone = self.bones[child]
                bones[child] = Bone(name=child, tip=bone.tip, axis=bone.axis, dof=bone.dof, parent=parent)
                reached.append(child)
        if lost := sorted(self.bones.keys() - bones.keys()):
            raise ReadError(
                f"{self.name}: bone {lost[0]!r} hangs on nothing, expected it in :hierarchy; was the file cut?"
            )
        return Bones(name=self.name, bones=bones, position=(x, y, z), unit=_INCH / self.length, degrees=self.degrees)

    def _rotation(self, angles: Sequence[float], order: str) -> Float64[Array, "3 3"]:
        if sorted(order.lower()) != ["x", "y", "z"]:
            self.fail(f"order of axes is {order[:40]!r}, expected XYZ or another order of the three")
        matrix = np.eye(3)
        for letter, angle in zip(order.lower(), np.deg2rad(angles) if self.degrees else angles, strict=True):
            i, j = (AXES[letter] + 1) % 3, (AXES[letter] + 2) % 3
            turn = np.eye(3)
            turn[i, i] = turn[j, j] = np.cos(angle)
            turn[j, i] = np.sin(angle)
            turn[i, j] = -turn[j, i]
            matrix = turn @ matrix
        return matrix

    def _numbers(self, words: Sequence[str], count: int, what: str) -> list[float]:
        numbers = [number for number in map(parse_float, words) if number is not None]
        if len(numbers) != count or len(words) != count:
            self.fail(f"{what} is {' '.join(words)[:60]!r}, expected {count} finite numbers")
        return numbers

    def fail(self, message: str) -> NoReturn:
        raise ReadError(f"{self.name}:{self.line}: {message}" if self.line else f"{self.name}: {message}")


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ReadError(f"{name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8 text") from error
