"""The manifest of an index folder: encoder, recipe, counts, and the checksum of every file."""

__all__ = [
    "FORMAT_VERSION",
    "OWN_RECIPE_VERSION",
    "EncoderNote",
    "FileNote",
    "Manifest",
    "read_manifest",
    "verify",
    "write_manifest",
]

import hashlib
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from vipe.errors import IndexFormatError
from vipe.index.recipe import Recipe
from vipe.regular_file import read_regular

FORMAT_VERSION = 1
"""Of an index whose recipe comes with the library; its manifest has the recipe's name."""

OWN_RECIPE_VERSION = 2
"""Of an index by a recipe of the user's own, which its manifest holds whole; versions of vipe that read format 1 only
refuse it by number."""

_NAME = "manifest.json"
_REQUIRED = ("index.faiss", "embeddings.npy", "frames.parquet", "encoder/config.json")
_ADVICE = "build the index again, or copy it anew"
_NAMED = 5  # indexes that an error lists at most


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


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `manifest.json`. It holds no time and no path, so that equal indexes have equal manifests."""

    format: Literal["vipe-index"] = "vipe-index"
    format_version: int = FORMAT_VERSION
    library: str  # version of vipe that wrote it
    encoder: EncoderNote
    recipe: str | Recipe  # name of one that comes with the library, or one of the user's own
    poses: int
    clips: int
    left_out: int  # poses of the store without a canonical pose
    files: dict[str, FileNote]  # by path in the folder, forward slashes
    checksum: str = ""  # SHA-256 of the manifest with this field empty


class _Version(msgspec.Struct):
    format: str
    format_version: int


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a folder's manifest, with the size and checksum of every file in it and the version of its format."""
    files = {
        path.relative_to(folder).as_posix(): FileNote(path.stat().st_size, _sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    version = FORMAT_VERSION if isinstance(manifest.recipe, str) else OWN_RECIPE_VERSION
    manifest = msgspec.structs.replace(manifest, files=files, format_version=version)
    manifest = msgspec.structs.replace(manifest, checksum=_checksum(manifest))
    (folder / _NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest itself; the files it lists are left to `verify`.

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
        if version.format_version not in (FORMAT_VERSION, OWN_RECIPE_VERSION):
            raise IndexFormatError(
                f"{path}: format version {version.format_version}, this version of vipe reads {FORMAT_VERSION} "
                f"and {OWN_RECIPE_VERSION}; build the index again"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IndexFormatError(f"{path}: not a manifest: {error}; {_ADVICE}") from error
    found = _checksum(manifest)
    if found != manifest.checksum:
        raise IndexFormatError(
            f"{path}: altered: its SHA-256 is {found[:12]}, expected {manifest.checksum[:12]}; {_ADVICE}"
        )
    for name in _REQUIRED:
        if name not in manifest.files:
            raise IndexFormatError(f"{path}: does not list {name}; {_ADVICE}")
    for name in manifest.files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise IndexFormatError(f"{path}: lists {name!r}, which is outside the folder")
    return manifest


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


def verify(path: str | Path) -> Manifest:
    """Compare the size, and then the checksum, of every file of an index folder with its manifest.

    Raises:
        IndexFormatError: If the manifest or a file is missing, cut or altered; names the file, what was found and
            what was expected.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    for name, note in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise IndexFormatError(f"{file}: missing, expected {note.bytes} bytes; {_ADVICE}")
        if (size := file.stat().st_size) != note.bytes:
            raise IndexFormatError(f"{file}: cut or altered: {size} bytes, expected {note.bytes}; {_ADVICE}")
    for name, note in manifest.files.items():
        if (found := _sha256(folder / name)) != note.sha256:
            raise IndexFormatError(
                f"{folder / name}: altered: its SHA-256 is {found[:12]}, expected {note.sha256[:12]}; {_ADVICE}"
            )
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(manifest: Manifest) -> str:
    blank = msgspec.structs.replace(manifest, checksum="")
    return hashlib.sha256(msgspec.json.encode(blank, order="sorted")).hexdigest()
