"""Files, folders and archives as streams of members, with limits against archives that lie about their size."""

__all__ = ["Collection", "Limits", "Member", "collections", "is_archive", "reported"]

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from vipe.errors import ReadError
from vipe.files.regular_file import irregular

_PIECE = 1 << 20  # bytes unpacked at a time
_PAST_THE_END = 1000  # reads after the end of an archive; a whole one has two


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper limits of reading. Real archives of motion capture stay far below; archive bombs go far beyond."""

    member_bytes: int = 1 << 30  # one file; 45 minutes of a hundred joints at 120 Hz are 1 GB of BVH
    total_bytes: int = 1 << 36  # all that is unpacked of one archive, 64 GiB
    ratio: float = 200.0  # unpacked to packed; BVH in xz has about 5
    ratio_from: int = 1 << 26  # bytes unpacked before the ratio counts: a small file of zeros is no bomb
    members: int = 1_000_000  # in one archive
    beside_bytes: int = 1 << 26  # labels and bones, which stay in memory while the clips are read


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of a collection."""

    path: str  # within the collection, separated by "/"
    size: int
    read: Callable[[], bytes]
    problem: str = ""  # why it must not be read: a link, a device, a path that leaves the archive


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The plain files of a folder, or the members of one archive.

    Each call of `members` starts at the first member; it raises ReadError if an archive is broken. A tar is a stream:
    read a member before taking the next one.
    """

    prefix: str  # before the path of each member: "" or "walks.tar.xz/"
    members: Callable[[], Iterator[Member]]


def is_archive(path: str) -> bool:
    """Whether a file of this name is an archive that can be read."""
    return _opener(path) is not None


def collections(path: Path, limits: Limits) -> Iterator[Collection]:
    """The collections at a path: a folder's plain files, then each archive in it, sorted by name.

    Hidden files and folders are ignored. In a folder, links to files are followed, links to folders are not. The
    collection of a single file starts with its labels and bones, if they lie beside it.

    Raises:
        ReadError: If there is nothing at the path, or a folder cannot be listed.
    """
    if path.is_dir():
        with reported(str(path)):
            files = sorted(_files(path), key=lambda file: file.relative_to(path).parts)
            names = [(file, file.relative_to(path).as_posix()) for file in files]
            plain = [_member(file, name, limits) for file, name in names if not is_archive(name)]
        yield Collection(prefix="", members=partial(iter, plain))
        yield from (_archive(file, name, limits) for file, name in names if is_archive(name))
    elif not path.is_file():
        if kind := irregular(path):
            raise ReadError(f"{path}: is {kind}, expected a file or a folder; write what comes out of it to a file")
        raise ReadError(f"{path}: no such file or folder")
    elif is_archive(path.name):
        yield _archive(path, path.name, limits)
    else:
        # Bones lie beside the clip, labels too; an index often lies above the folders of its subjects.
        beside = sorted(path.parent.glob("*.[aA][sS][fF]")) if path.suffix.lower() == ".amc" else []
        above = sorted(path.absolute().parent.parent.glob("*.[aA][sS][fF]")) if path.suffix.lower() == ".amc" else []
        indices = [folder / "index.csv" for folder in path.absolute().parents[:2]]
        cameras = [path.parent / "camera.calibration"] if path.suffix.lower() == ".mat" else []
        for file in (path.with_suffix(".json"), *indices[: 1 + (not indices[0].is_file())], *cameras):
            if file.is_file() and file != path:
                beside.append(file)
        members = [_member(file, file.name, limits) for file in [*beside, path]]
        members = [_member(file, f"../{file.name}", limits) for file in above] + members
        yield Collection(prefix="", members=partial(iter, members))


def _files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        elif entry.is_file():
            yield entry


def _member(file: Path, path: str, limits: Limits) -> Member:
    def read() -> bytes:
        with reported(path):
            _check_size(file.stat().st_size, path, limits)
            return file.read_bytes()

    return Member(path=_printable(path), size=file.stat().st_size, read=read)


def _check_size(size: int, path: str, limits: Limits) -> None:
    if size > limits.member_bytes:
        raise ReadError(f"{path}: {size} bytes unpacked, expected at most {limits.member_bytes}")


def _archive(file: Path, name: str, limits: Limits) -> Collection:
    opener = _opener(name)
    assert opener is not None

    def members() -> Iterator[Member]:
        with reported(name), file.open("rb") as packed:
            for count, member in enumerate(opener(packed, name, limits)):
                if count == limits.members:
                    raise ReadError(f"{name}: more than {limits.members} members")
                if not re.search(r"(^|/)\.[^./]", member.path):
                    yield member

    return Collection(prefix=f"{_printable(name)}/", members=members)


_Opener = Callable[[IO[bytes], str, Limits], Iterator[Member]]


def _opener(path: str) -> _Opener | None:
    return next((opener for suffix, opener in _OPENERS.items() if path.lower().endswith(suffix)), None)


def _zip(packed: IO[bytes], name: str, limits: Limits) -> Iterator[Member]:
    with zipfile.ZipFile(packed) as archive:
        size = packed.seek(0, 2)
        meter = _Meter(name, limits, lambda: size)
        for info in archive.infolist():
            kind = info.external_attr >> 16
            problem = _unsafe(info.filename)
            if info.flag_bits & 0x1:
                problem = problem or "is encrypted"
            if stat.S_IFMT(kind) not in (0, stat.S_IFREG, stat.S_IFDIR):
                problem = problem or "is a link or device, expected a plain file"

            def read(info: zipfile.ZipInfo = info) -> bytes:
                with reported(f"{name}/{info.filename}"):
                    _check_size(info.file_size, f"{name}/{info.filename}", limits)
                    meter.claimed(info.file_size, info.compress_size)
                    with archive.open(info) as stream:
                        data = meter.metered(stream, info.file_size)
                        if len(data) != info.file_size or stream.read(1):
                            raise ReadError(f"{name}/{info.filename}: {len(data)} bytes, expected {info.file_size}")
                        return data

            if problem or not info.is_dir():
                yield Member(path=_printable(info.filename), size=info.file_size, read=read, problem=problem)


def _tar(packed: IO[bytes], name: str, limits: Limits, *, unpack: Callable[[IO[bytes]], Any]) -> Iterator[Member]:
    meter = _Meter(name, limits, packed.tell, unpack(packed))
    with tarfile.open(
        fileobj=cast(IO[bytes], meter), mode="r|", bufsize=1 << 20, tarinfo=_StrictTarInfo, errorlevel=2
    ) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep every header until the end
            problem = _unsafe(info.name)
            if not info.isreg() and not info.isdir():
                problem = problem or "is a link or device, expected a plain file"
            if info.sparse is not None:
                problem = problem or "is a sparse file, whose size costs nothing; expected a plain file"

            def read(info: tarfile.TarInfo = info) -> bytes:
                with reported(f"{name}/{info.name}"):
                    _check_size(info.size, f"{name}/{info.name}", limits)
                    stream = archive.extractfile(info)
                    assert stream is not None
                    return stream.read()

            if problem or info.isreg():
                yield Member(path=_printable(info.name), size=info.size, read=read, problem=problem)
    while meter.read(1 << 20):  # what compression adds at the end, such as checksums, is checked there
        pass


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a broken header after the first one for the end of the archive; this says so instead."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from error


class _Meter:
    """Counts what is unpacked, and stops when it is too much."""

    def __init__(self, name: str, limits: Limits, packed: Callable[[], int], stream: Any = None) -> None:
        self._name, self._limits, self._packed, self._stream = name, limits, packed, stream
        self._unpacked = 0
        self._past_the_end = 0

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self.add(len(data))
        if not data:  # tarfile goes on to ask for what a header claims
            self._past_the_end += 1
            if self._past_the_end > _PAST_THE_END:
                raise EOFError("it ends before what its headers claim")
        return data

    def claimed(self, unpacked: int, packed: int) -> None:
        """Refuse a member that says itself that it is a bomb, before any of it is unpacked."""
        if unpacked > max(self._limits.ratio_from, self._limits.ratio * packed):
            raise self._bomb()

    def metered(self, stream: Any, size: int) -> bytes:
        """Read a member in pieces, so that a bomb is noticed before it lies in memory."""
        parts = []
        while size > 0 and (part := stream.read(min(size, _PIECE))):
            self.add(len(part))
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def add(self, size: int) -> None:
        self._unpacked += size
        if self._unpacked > self._limits.total_bytes:
            raise ReadError(f"{self._name}: more than {self._limits.total_bytes} bytes unpacked")
        if self._unpacked > max(self._limits.ratio_from, self._limits.ratio * self._packed()):
            raise self._bomb()

    def _bomb(self) -> ReadError:
        return ReadError(
            f"{self._name}: unpacks to more than {self._limits.ratio:g} times its size; is it an archive bomb?"
        )


def _unsafe(path: str) -> str:
    parts = re.split(r"[/\\]", path)
    if not parts[0] or re.match(r"[A-Za-z]:", path) or ".." in parts:
        return "leaves the archive, expected a path within it"
    return ""


def _printable(path: str) -> str:
    return path if path.isprintable() else path.encode("unicode_escape", "surrogatepass").decode("ascii")


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Whatever the standard library raises on broken archives and unreadable files, as one line that names them."""
    try:
        yield
    except ReadError:
        raise
    except (*_BROKEN, OSError) as error:
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ReadError(
            f"{_printable(name)}: cannot be read, broken or cut: {message or type(error).__name__}"
        ) from error


# RuntimeError includes NotImplementedError (a compression that Python does not have); struct, Index and Key errors
# come from zip and pax headers that were altered.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    pa.ArrowException,
    EOFError,
    ValueError,
    RuntimeError,
    LookupError,
    OverflowError,
)

_OPENERS: dict[str, _Opener] = {
    ".zip": _zip,
    ".tar": partial(_tar, unpack=lambda packed: packed),
    ".tar.gz": partial(_tar, unpack=lambda packed: gzip.GzipFile(fileobj=packed)),
    ".tgz": partial(_tar, unpack=lambda packed: gzip.GzipFile(fileobj=packed)),
    ".tar.bz2": partial(_tar, unpack=bz2.BZ2File),
    ".tar.xz": partial(_tar, unpack=lzma.LZMAFile),
    ".txz": partial(_tar, unpack=lzma.LZMAFile),
    ".tar.zst": partial(_tar, unpack=lambda packed: pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd")),
}
