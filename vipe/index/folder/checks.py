"""Whether the files of an index are those that its manifest lists: sizes always, checksums of what may have changed.

Nothing reads a file before it was compared. SHA-256 takes two seconds a gigabyte, so an index of 50 GB would take
minutes to open. Therefore a file whose checksum once agreed is not read again as long as the system says that nobody
wrote to it: size, inode, time of change and time of the inode's change are the same. `checked.json` beside the manifest
remembers them, once reading them takes a moment. No program sets the last of these times, so a file that was written,
copied or exchanged is read again. A file is remembered only if it had not been touched for two seconds when it was
read, because clocks of file systems are coarse. What this does not see is a disk that loses bits without a write:
`verify` reads every byte.

The memory holds no secret: whoever may write into the folder may as well write another manifest. Checksums find
accidents, not enemies.
"""

__all__ = ["Comparison", "compared", "faults", "note_of", "verify"]

import hashlib
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from vipe.atomic_write import atomic_write
from vipe.errors import IndexFormatError
from vipe.files.regular_file import irregular, read_regular
from vipe.index.folder.manifest import FileNote, Manifest, read_manifest

_MEMORY = "checked.json"
_SETTLED = 2_000_000_000  # nanoseconds: longer than the tick of any file system's clock
_WORTH = 32 << 20  # bytes that it takes to be remembered: 0.06 s of reading
_ADVICE = "build the index again, or copy it anew"

_Stamp = tuple[int, int, int, int, int]  # device, inode, bytes, time of change, time of the inode's change


class _Seen(msgspec.Struct, frozen=True):
    """A file as it was when its checksum agreed."""

    sha256: str
    stamp: _Stamp


class Comparison:
    """Files that agree with a manifest."""

    def __init__(self, folder: Path, known: dict[str, _Seen], fresh: frozenset[str], settled: dict[str, _Seen]) -> None:
        self._folder, self._known, self._fresh, self._settled = folder, known, fresh, settled

    def is_fresh(self, file: Path) -> bool:
        """Whether a file was read now, so that its content has to be looked at, too."""
        return file.relative_to(self._folder).as_posix() in self._fresh

    def remember(self) -> None:
        """Keep that they are in order, where the folder can be written; call it when their content was looked at."""
        if not self._settled or sum(seen.stamp[2] for seen in self._settled.values()) < _WORTH:
            return
        with suppress(OSError), atomic_write(self._folder / _MEMORY, replace=True) as file:
            file.write_bytes(msgspec.json.encode({**self._known, **self._settled}))


def compared(folder: Path, manifest: Manifest, some: Collection[str] | None = None) -> Comparison:
    """Compare the files of an index with its manifest, and read those that were not read since they were written.

    Args:
        folder: Of the index.
        manifest: Its manifest.
        some: Names of the files that will be used, of others only the size is compared; all by default.

    Raises:
        IndexFormatError: If a file is missing, cut or altered; names it, what was found and what was expected.
    """
    files, remembered = manifest.all_files(), _remembered(folder)
    stamps = {name: _stamp(folder / name, note) for name, note in files.items()}  # all of them, before any is read
    known: dict[str, _Seen] = {}
    settled: dict[str, _Seen] = {}
    fresh = set()
    for name, note in files.items():
        seen = _Seen(note.sha256, stamps[name])
        if remembered.get(name) == seen:
            known[name] = seen
            continue
        if some is not None and name not in some:
            continue
        begun = time.time_ns()
        _compare(folder / name, note)
        fresh.add(name)
        if begun - seen.stamp[4] >= _SETTLED:
            settled[name] = seen
    return Comparison(folder, known, frozenset(fresh), settled)


def verify(path: str | Path) -> Manifest:
    """Compare the size and the checksum of every file of an index folder with its manifest, reading every byte.

    Raises:
        IndexFormatError: If the manifest or a file is missing, cut or altered; names the first such file, what was
            found and what was expected, and says how many more there are.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if found := list(faults(folder, manifest)):
        more = f" ({len(found) - 1} more files are not as they were)" if len(found) > 1 else ""
        raise IndexFormatError(found[0] + more)
    return manifest


def faults(folder: Path, manifest: Manifest) -> Iterator[str]:
    """A line for each file that is missing, cut or altered."""
    for name, note in manifest.all_files().items():
        try:
            _stamp(folder / name, note)
            _compare(folder / name, note)
        except IndexFormatError as error:
            yield str(error)


def note_of(file: Path) -> FileNote:
    """Size and checksum of a file."""
    return FileNote(file.stat().st_size, _sha256(file))


def _stamp(file: Path, note: FileNote) -> _Stamp:
    """What the system says of a file; compares its size."""
    if not file.is_file():
        instead = irregular(file)
        raise IndexFormatError(f"{file}: {instead or 'missing'}, expected {note.bytes} bytes; {_ADVICE}")
    found = file.stat()
    if found.st_size != note.bytes:
        raise IndexFormatError(f"{file}: cut or altered: {found.st_size} bytes, expected {note.bytes}; {_ADVICE}")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _compare(file: Path, note: FileNote) -> None:
    try:
        found = _sha256(file)
    except OSError as error:
        raise IndexFormatError(f"{file}: cannot be read: {error.strerror or error}") from error
    if found != note.sha256:
        raise IndexFormatError(f"{file}: altered: its SHA-256 is {found[:12]}, expected {note.sha256[:12]}; {_ADVICE}")


def _remembered(folder: Path) -> dict[str, _Seen]:
    try:
        return msgspec.json.decode(read_regular(folder / _MEMORY), type=dict[str, _Seen])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}  # then everything is read


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
