"""A skeleton table proposed for the rig of a BVH file."""

__all__ = ["Suggestion", "suggest"]

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers.archives import Limits
from vipe.readers.contract import Hints
from vipe.readers.rigs import bvh
from vipe.skeletons.skeleton import Skeleton, Up
from vipe.skeletons.table import to_toml
from vipe.skeletons.working import H36M17


@dataclass(frozen=True)
class Suggestion:
    """What a file's rig may be."""

    skeleton: Skeleton  # with the file's own names; `text` is its table
    sure: float  # 0 to 1; 1 where the names are known
    said: str  # how it was found
    roles: Mapping[str, str]  # joint of each part of a body; empty for a table that is known
    clip: Clip  # the file, read so

    @property
    def text(self) -> str:
        """The table, as TOML."""
        head = [f"{self.said[:120]}; {self.sure:.0%} sure. Check it, above all left and right."]
        return to_toml(self.skeleton, [line for line in head if line.isprintable()])


def suggest(path: str | PathLike[str], *, unit: float | None = None, up: Up | None = None) -> Suggestion:
    """Propose a skeleton table for a BVH file, whatever its joints are called.

    Joint names that a table or a family of the library knows are taken so. Otherwise topology, bone lengths, rest pose
    and names speak. Unit and up axis come from the body, nose and top of the head from rest pose or motion.

    Args:
        path: A .bvh file; its first root that is a body counts.
        unit: Metres per unit, if known.
        up: Up axis, if known.

    Raises:
        ReadError: If it is not BVH, or holds no body.
    """
    file = Path(path)
    if not file.is_file() or file.suffix.lower() != ".bvh":
        raise ReadError(f"{file}: no .bvh file; tables are suggested for the joints of BVH files")
    if file.stat().st_size > Limits().member_bytes:
        raise ReadError(f"{file}: {file.stat().st_size} bytes, expected at most {Limits().member_bytes}")
    data = file.read_bytes()
    clip = bvh.read(io.BytesIO(data), file.name, (), Hints(unit=unit, up=up, guess=True))
    rig = bvh.first_rig(data, file.name)
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in file.stem[:40])
    # What a table says of the working skeleton itself is that its joints are its own.
    itself = {H36M17.name: {joint: {joint: 1.0} for joint in H36M17.joints}}
    conversions = dict(clip.skeleton.conversions) | (itself if clip.skeleton.name == H36M17.name else {})
    skeleton = replace(clip.skeleton, name=name or "rig", conversions=conversions, unstated=frozenset())
    roles = {} if rig.roles is None else {role: rig.nodes[i].name for role, i in rig.roles.joints.items()}
    if rig.sure < 1:
        said = next(note for note in rig.notes if note.startswith("a guess"))
    else:
        said = f"its names fit {'the family' if rig.roles else 'the table'} {clip.skeleton.name}"
    return Suggestion(skeleton, rig.sure, said, roles, clip)
