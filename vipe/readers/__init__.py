"""Motion files as clips. One file format a module; `archives` walks folders, zip and tar; `labels` names what moves."""

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
    """Read the clips of a file, a folder, or an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst).

    Archives are walked as streams and never unpacked to disk; a tar is walked twice, since labels and bones may
    come after the clips that need them. At most one clip is held. In a folder, the plain files come first, then the
    archives in it, each by name; archives within archives are refused. Files of other kinds are passed over.

    Args:
        path: What to read.
        skip_bad: Pass over a bad file instead of stopping at it; an archive that is broken anywhere counts as one.
        skeletons: A user's own, tried before those of the library.
        on_skip: Called with the error of each file that is passed over.
        limits: Against archives that unpack to more than anyone wants.

    Yields:
        Clips named for their files, with subject and action where labels say so, and `source` set to where
        they lie within `path`, such as "walks.tar.xz/01/01_01.amc".

    Raises:
        ReadError: At the first bad file, unless it is to be skipped; or if there is no motion file at all.
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
    """The small files of a collection that its clips need: labels and bones. Reading them walks it once."""

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
