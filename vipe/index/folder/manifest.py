"""The manifest of an index folder: encoder, recipe, the parts in their order, and the checksum of every file.

Parts are never changed once they are there. What changes is the manifest, which is replaced as a whole: it names the
parts that count, and of each part the rows that were removed from it. Whoever reads one manifest sees one version of
the index, whatever happens beside it.
"""

__all__ = [
    "FORMAT_VERSION",
    "EncoderNote",
    "FileNote",
    "Manifest",
    "PartNote",
    "RemovedNote",
    "read_manifest",
    "refuse_other_encoder",
    "write_manifest",
]

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import msgspec

from vipe.atomic_write import atomic_write
from vipe.embed.encoder import Encoder
from vipe.errors import EncoderMismatch, IndexFormatError
from vipe.files.regular_file import read_regular
from vipe.index.recipe import Recipe, of_earlier_format

FORMAT_VERSION = 4
"""Of what this version writes; earlier ones are read for ever. 1 and 2 had one part, whose files lay beside the
manifest; recipes of the user's own had no FAISS factory before 4."""

_FIRST_WITH_PARTS = 3

_NAME = "manifest.json"
_OF_A_PART = ("index.faiss", "embeddings.npy", "frames.parquet")
_OF_AN_INDEX = ("encoder/config.json",)
_FOLDER = re.compile(r"\.|parts/[0-9]{5,9}")
_REMOVED = re.compile(r"removed/[0-9]{5,9}-[0-9]+\.npy")
_ADVICE = "build the index again, or copy it anew"
_NAMED = 5  # indexes that an error lists at most
_Rows = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class EncoderNote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The encoder that made the embeddings."""

    name: str
    fingerprint: str
    dim: int
    metric: Literal["l2", "ip"]


class FileNote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size and checksum of a file of the folder."""

    bytes: int
    sha256: str


class RemovedNote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows of a part were removed: a file with a bit a row."""

    file: str
    rows: _Rows
    bytes: int
    sha256: str


class PartNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part: the rows of some clips, in files of its own."""

    folder: str
    """`parts/00001`, or `.` of the part that an index of format 1 or 2 has."""
    rows: _Rows
    """In its files, those included that were removed."""
    clips: int
    """Of which a row is left."""
    recipe: str | Recipe
    files: dict[str, FileNote]
    """By path in the part's folder, forward slashes."""
    removed: RemovedNote | None = None

    @property
    def left(self) -> int:
        """Rows that were not removed."""
        return self.rows - (0 if self.removed is None else self.removed.rows)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `manifest.json`. It holds no time and no path, so that equal indexes have equal manifests."""

    format: Literal["vipe-index"] = "vipe-index"
    format_version: int = FORMAT_VERSION
    library: str
    """Version of vipe that wrote it."""
    encoder: EncoderNote
    recipe: str | Recipe
    """Name of one that comes with the library, or one of the user's own."""
    automatic: bool = False
    """Whether the recipe was chosen by the number of poses, and may be chosen again."""
    fps: float | Literal["all", "unknown"] = "unknown"
    """Rate that the clips were thinned to."""
    left_out: int
    """Poses of the stores without a canonical pose."""
    files: dict[str, FileNote]
    """Of the encoder, by path in the folder."""
    parts: list[PartNote]
    checksum: str = ""
    """SHA-256 of the manifest with this field empty."""

    @property
    def poses(self) -> int:
        """Rows that are searched."""
        return sum(part.left for part in self.parts)

    @property
    def clips(self) -> int:
        """Clips of which a row is left."""
        return sum(part.clips for part in self.parts)

    def all_files(self) -> dict[str, FileNote]:
        """Every file but the manifest itself, by path in the folder."""
        files = dict(self.files)
        for part in self.parts:
            files |= {str(PurePosixPath(part.folder, name)): note for name, note in part.files.items()}
            if part.removed is not None:
                files[part.removed.file] = FileNote(part.removed.bytes, part.removed.sha256)
        return files


class _Earlier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manifest of format 1, or of 2, which had recipes of the user's own."""

    format: Literal["vipe-index"] = "vipe-index"
    format_version: int
    library: str
    encoder: EncoderNote
    recipe: str | Recipe
    poses: _Rows
    clips: int
    left_out: int
    files: dict[str, FileNote]
    checksum: str = ""

    def now(self) -> Manifest:
        """The same as a manifest of today: one part, in the folder itself."""
        encoder = {name: note for name, note in self.files.items() if name.startswith("encoder/")}
        part = PartNote(
            folder=".",
            rows=self.poses,
            clips=self.clips,
            recipe=self.recipe,
            files={name: note for name, note in self.files.items() if name not in encoder},
        )
        return Manifest(
            format_version=self.format_version,
            library=self.library,
            encoder=self.encoder,
            recipe=self.recipe,
            left_out=self.left_out,
            files=encoder,
            parts=[part],
            checksum=self.checksum,
        )


class _Version(msgspec.Struct):
    format: str
    format_version: int


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Replace a folder's manifest, or write its first; returns it as it was written.

    Raises:
        OSError: If the disk refuses; then the manifest that was there still is.
    """
    manifest = msgspec.structs.replace(manifest, format_version=FORMAT_VERSION)
    manifest = msgspec.structs.replace(manifest, checksum=_checksum(msgspec.to_builtins(manifest)))
    with atomic_write(folder / _NAME, replace=True) as file:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest itself; the files it lists are left to `vipe.index.folder.checks`.

    Raises:
        IndexFormatError: If it is missing, cut, altered, or of another format version.
    """
    path = folder / _NAME
    try:
        data = read_regular(path)
    except OSError as error:
        raise IndexFormatError(f"{folder}: no index: {_instead(folder, error)}") from error
    try:
        version = msgspec.json.decode(data, type=_Version)
        if version.format != "vipe-index":
            raise IndexFormatError(f"{path}: format is {version.format!r}, expected 'vipe-index'")
        if version.format_version not in range(1, FORMAT_VERSION + 1):
            advice = "update vipe" if version.format_version > FORMAT_VERSION else _ADVICE
            raise IndexFormatError(
                f"{path}: format version {version.format_version}, this version of vipe reads 1 to {FORMAT_VERSION}; "
                f"{advice}"
            )
        content = msgspec.json.decode(data, type=dict[str, Any])
        found = _converted(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IndexFormatError(f"{path}: not a manifest: {error}; {_ADVICE}") from error
    if (checksum := _checksum(content)) != found.checksum:
        raise IndexFormatError(
            f"{path}: altered: its SHA-256 is {checksum[:12]}, expected {found.checksum[:12]}; {_ADVICE}"
        )
    _check_content(path, found)
    return found


def refuse_other_encoder(path: Path, manifest: Manifest, encoder: Encoder | None) -> None:
    """Check that an encoder, if one is given, made the embeddings.

    Raises:
        EncoderMismatch: If it is another one; names both.
    """
    built = manifest.encoder
    if encoder is not None and encoder.fingerprint != built.fingerprint:
        raise EncoderMismatch(
            f"index {path} was built by encoder {built.name} {built.fingerprint} (D {built.dim}), this one is "
            f"{encoder.name} {encoder.fingerprint} (D {encoder.dim}); rebuild, or load {built.fingerprint}"
        )


def _check_content(path: Path, manifest: Manifest) -> None:
    """Whether a manifest whose checksum agrees is one that could have been written."""
    lists = [(manifest.files, _OF_AN_INDEX), *((part.files, _OF_A_PART) for part in manifest.parts)]
    for files, required in lists:
        for name in required:
            if name not in files:
                raise IndexFormatError(f"{path}: does not list {name}; {_ADVICE}")
        for name in files:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise IndexFormatError(f"{path}: lists {name!r}, which is outside the folder")
    known: set[str] = set()
    for part in manifest.parts:
        if not _FOLDER.fullmatch(part.folder) or part.folder in known:
            raise IndexFormatError(f"{path}: has a part in {part.folder!r}, expected parts/00001 and so on, each once")
        known.add(part.folder)
        if part.removed is not None and not _REMOVED.fullmatch(part.removed.file):
            raise IndexFormatError(f"{path}: lists {part.removed.file!r}, expected removed/00001-1.npy and so on")
        if part.left < 1:
            raise IndexFormatError(f"{path}: part {part.folder} has {part.left} poses, expected 1 or more; {_ADVICE}")
    if not manifest.parts:
        raise IndexFormatError(f"{path}: has no part, expected 1 or more; {_ADVICE}")


def _instead(folder: Path, error: OSError) -> str:
    """What a path without a manifest holds instead, and what to do."""
    if any(folder.glob("part-*.parquet")):
        return f"it is a store of poses; make an index of it (`vipe index build {folder} --out INDEX`) and give that"
    advice = "expected a folder that `vipe index build STORE --out INDEX` made"
    if folder.is_dir():
        return f"cannot read its {_NAME} ({error.strerror}); {advice}"
    if folder.exists():
        return f"it is a file; {advice}"
    beside = sorted(one.parent.name for one in folder.absolute().parent.glob(f"*/{_NAME}"))
    known = f" (beside it there are {', '.join(beside[:_NAMED])})" if beside else ""
    return f"nothing is there; {advice}{known}"


def _converted(content: Mapping[str, Any]) -> Manifest:
    """What a manifest of any format says."""
    content = {**content, "recipe": of_earlier_format(content.get("recipe"))}
    if content["format_version"] < _FIRST_WITH_PARTS:
        return msgspec.convert(content, _Earlier).now()
    parts = content.get("parts")
    if isinstance(parts, list):
        content["parts"] = [
            {**part, "recipe": of_earlier_format(part.get("recipe"))} if isinstance(part, Mapping) else part
            for part in parts
        ]
    return msgspec.convert(content, Manifest)


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode({**content, "checksum": ""}, order="sorted")).hexdigest()
