"""Motion files as clips. One file format a module; `archives` walks folders, zip and tar; `labels` reads labels."""

__all__ = ["READERS", "Limits", "read"]

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path, PurePosixPath
from types import ModuleType

from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers import asf_amc, bvh
from vipe.readers.archives import Collection, Limits, Member, collections, is_archive
from vipe.readers.asf import Bones, read_bones
from vipe.readers.labels import Labels, is_label
from vipe.skeletons import Skeleton

READERS: dict[str, ModuleType] = {".bvh": bvh, ".amc": asf_amc}


def read(
    path: str | PathLike[str],
    *,
    skip_bad: bool = False,
    skeletons: Sequence[Skeleton] = (),
    on_skip: Callable[[ReadError], None] | None = None,
    limits: Limits = Limits(),  # noqa: B008  # frozen
) -> Iterator[Clip]:
    r"""Read the clips of a file, a folder, or an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst).

    Archives are read as streams and never unpacked to disk. A tar is read twice, since labels and bones may come after
    the clips that need them. Memory holds one clip at a time. In a folder, plain files come first, then archives, both
    sorted by name. Archives within archives are refused; files of other kinds are ignored.

    Args:
        path: A file, a folder, or an archive.
        skip_bad: Skip a bad file instead of stopping at it; an archive that is broken anywhere counts as one file.
        skeletons: A user's own, tried before those of the library.
        on_skip: Called with the error of each skipped file.
        limits: Protect against archives that unpack to an unreasonable size.

    Yields:
        Clips named after their files. Subject and action come from labels, if there are any; `source` is the place
        within `path`, such as "walks.tar.xz/01/01_01.amc".

    Raises:
        ReadError: At the first bad file, unless bad files are skipped; or if there is no motion file at all.

    Example:
        >>> import tempfile
        >>> stick = Skeleton(name="stick", joints=("root", "tip"), parents=(-1, 0))
        >>> root = "ROOT root { OFFSET 0 0 0 CHANNELS 3 Xposition Yposition Zposition"
        >>> tip = "JOINT tip { OFFSET 0 0 1 CHANNELS 1 Xrotation End Site { OFFSET 0 0 1 } } }"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "rise.bvh")
        ...     lines = [f"HIERARCHY {root} {tip}", "MOTION", "Frames: 2", "Frame Time: 0.1", "0 0 0 0", "0 0 5 0"]
        ...     _ = file.write_text("\n".join(lines))
        ...     clip = next(read(file, skeletons=[stick]))
        >>> clip.name, clip.fps, clip.positions[:, 1, 2].tolist()
        ('rise', 10.0, [1.0, 6.0])
    """
    found = False

    def skip(error: ReadError) -> None:
        nonlocal found
        found = True
        if not skip_bad:
            raise error
        if on_skip is not None:
            on_skip(error)

    for collection in collections(Path(path), limits):
        try:
            beside = _Beside(collection, limits, skip)
        except ReadError as error:
            skip(error)
            continue
        for member in collection.members():
            if member.problem or _suffix(member) not in READERS:
                continue
            found = True
            try:
                clip = _read_member(member, collection.prefix, beside, skeletons)
            except ReadError as error:
                skip(error)
                continue
            yield clip
    if not found:
        raise ReadError(
            f"{path}: no motion file, expected one that ends in {' or '.join(READERS)}, or an archive of them"
        )


def _suffix(member: Member) -> str:
    return PurePosixPath(member.path).suffix.lower()


def _read_member(member: Member, prefix: str, beside: "_Beside", skeletons: Sequence[Skeleton]) -> Clip:
    name = prefix + member.path
    stream = io.BytesIO(member.read())
    if _suffix(member) == ".amc":
        clip = asf_amc.read(stream, name, skeletons, bones=beside.bones(member.path, name))
    else:
        clip = READERS[_suffix(member)].read(stream, name, skeletons)
    subject, action = beside.labels.of(member.path)
    return replace(clip, name=PurePosixPath(member.path).stem, subject=subject, action=action, source=name)


class _Beside:
    """Labels and bones: the small files of a collection that its clips need. Loading them reads it once."""

    def __init__(self, collection: Collection, limits: Limits, skip: Callable[[ReadError], None]) -> None:
        self.labels = Labels()
        self._prefix = collection.prefix
        self._asf: dict[PurePosixPath, bytes | Bones] = {}
        kept = 0
        for member in collection.members():
            name = collection.prefix + member.path
            label, bones = is_label(member.path, member.size), _suffix(member) == ".asf"
            try:
                if member.problem:
                    raise ReadError(f"{name}: {member.problem}")
                if is_archive(member.path):
                    raise ReadError(f"{name}: an archive within an archive, expected files; unpack the outer one first")
                if not label and not bones:
                    continue
                kept += member.size
                if kept > limits.beside_bytes:
                    raise ReadError(f"{name}: labels and bones of more than {limits.beside_bytes} bytes in one archive")
                if label:
                    self.labels.add(member.path, member.read(), name)
                else:
                    self._asf[PurePosixPath(member.path)] = member.read()
            except ReadError as error:
                skip(error)

    def bones(self, path: str, name: str) -> Bones:
        """The bones of an AMC file: NN.asf for NN_MM.amc in the same folder, or the only .asf there."""
        file = PurePosixPath(path)
        near = [asf for asf in self._asf if asf.parent == file.parent]
        subject = file.stem.partition("_")[0].lower()
        named = [asf for asf in near if asf.stem.lower() in (subject, file.stem.lower())]
        if not named and len(near) != 1:
            raise ReadError(f"{name}: {len(near) or 'no'} .asf files beside it, expected {subject}.asf or only one")
        asf = (named or near)[0]
        bones = self._asf[asf]
        if isinstance(bones, bytes):
            bones = self._asf[asf] = read_bones(io.BytesIO(bones), f"{self._prefix}{asf}")
        return bones
