"""Motion files as clips. One file format a module; `archives` walks folders, zip and tar; `labels` reads labels."""

__all__ = ["READERS", "Limits", "read"]

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import get_args

from vipe.clips import Clip
from vipe.errors import ArgumentError, MissingExtra, ReadError
from vipe.readers.archives import Collection, Limits, Member, collections, is_archive
from vipe.readers.arrays import csv_table, npz, parquet_table, positions
from vipe.readers.contract import Hints, NotMotion
from vipe.readers.datasets import h36m_cdf, mpi_inf_3dhp
from vipe.readers.labels import Labels, is_label
from vipe.readers.markers import c3d, trc
from vipe.readers.rigs import asf_amc, bvh, gltf
from vipe.readers.rigs.asf import Bones, read_bones
from vipe.readers.workers import in_order
from vipe.skeletons import Skeleton, load
from vipe.skeletons.skeleton import Up

READERS: dict[str, ModuleType] = {
    ".bvh": bvh,
    ".amc": asf_amc,
    ".trc": trc,
    ".c3d": c3d,
    ".glb": gltf,
    ".gltf": gltf,
    ".npz": npz,
    ".npy": positions,
    ".csv": csv_table,
    ".parquet": parquet_table,
    ".mat": mpi_inf_3dhp,
    ".cdf": h36m_cdf,
}
"""What reads the files of a suffix. Some suffixes are those of other data, too: see `NotMotion`."""

_CALIBRATION = "camera.calibration"  # of MPI-INF-3DHP, beside annot.mat


def read(
    path: str | PathLike[str],
    *,
    skip_bad: bool = False,
    skeletons: Sequence[Skeleton] = (),
    on_skip: Callable[[ReadError], None] | None = None,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    source_fps: float | None = None,
    unit: float | None = None,
    up: Up | None = None,
    guess: bool = False,
    array_skeleton: Skeleton | str | None = None,
    body_models: str | PathLike[str] | None = None,
    workers: int = 1,
) -> Iterator[Clip]:
    r"""Read the clips of a file, a folder, or an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst).

    Archives are read as streams and never unpacked to disk. A tar is read twice, since labels and bones may come
    after the clips that need them. Memory holds one file at a time, with several workers some. In a folder, plain
    files come first, then archives, both sorted by name. Archives within archives are refused; files of other kinds
    are ignored, and so are arrays and tables that hold something else than motion.

    Args:
        path: A file, a folder, or an archive.
        skip_bad: Skip a bad file instead of stopping at it; an archive that is broken anywhere counts as one file.
        skeletons: A user's own, tried before those of the library.
        on_skip: Called with the error of each skipped file.
        limits: Protect against archives that unpack to an unreasonable size.
        source_fps: Frames a second of the files, instead of what they state or, for AMC, instead of CMU's 120.
        unit: Metres per unit of BVH files, markers and arrays, instead of what they, their skeleton's table or their
            body tells.
        up: Up axis of BVH files, markers and arrays: "y", "z", or another axis; likewise.
        guess: Read BVH files whose joint names are unknown as what `vipe skeletons suggest` proposes.
        array_skeleton: The skeleton of arrays without names of joints (.npy, .npz, .parquet), or its name.
        body_models: Folder of SMPL body models, which AMASS needs.
        workers: Files that are read at the same time, by threads: parsing leaves Python's lock. The order of the clips
            stays. With one, nothing is read before it is asked for.

    Yields:
        Clips named after their files; a file of several people or pieces gives several, "walk#1", "walk#2". Subject and
        action come from labels, if there are any; `source` is the place within `path`, such as
        "walks.tar.xz/01/01_01.amc"; `notes` tell what was assumed or left out.

    Raises:
        ReadError: At the first bad file, unless bad files are skipped; or if there is no motion file at all.
        ArgumentError: If a rate or unit is not a positive number, the up axis is none, or there is no worker.

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
    if workers < 1:
        raise ArgumentError(f"workers must be at least 1, got {workers}")
    hints = _hints(source_fps, unit, up, guess)
    table = load(array_skeleton) if isinstance(array_skeleton, str) else array_skeleton
    hints = replace(hints, skeleton=table, body_models=None if body_models is None else Path(body_models))
    found = False

    def skip(error: ReadError) -> None:
        nonlocal found
        found = True
        if not skip_bad:
            raise error
        if on_skip is not None:
            on_skip(error)

    alone = Path(path).is_file() and not is_archive(str(path))
    other: NotMotion | None = None
    for collection in collections(Path(path), limits):
        try:
            beside = _Beside(collection, limits, skip)
        except ReadError as error:
            skip(error)
            continue
        jobs = (
            (member, partial(_read_member, prefix=collection.prefix, beside=beside, skeletons=skeletons, hints=where))
            for member, where in _motion(collection, Path(path), alone, hints)
        )
        for clips in in_order(jobs, workers):
            try:
                for clip in clips():
                    found = True
                    yield clip
            except NotMotion as error:
                if alone:
                    skip(error)
                other = other or error
            except ReadError as error:
                skip(error)
            except MissingExtra as error:
                if not skip_bad:
                    raise
                skip(ReadError(str(error)))
    if not found:
        if other is not None:
            raise ReadError(f"{path}: no motion in it; {other}")
        raise ReadError(
            f"{path}: no motion file, expected one that ends in {', '.join(READERS)}, or an archive of them"
        )


def _motion(collection: Collection, path: Path, alone: bool, hints: Hints) -> Iterator[tuple[Member, Hints]]:
    """The members that may hold motion, each with where it lies."""
    for member in collection.members():
        if member.problem or _suffix(member) not in READERS:
            continue
        if alone and member.path != path.name:
            continue  # labels beside it
        yield member, replace(hints, path=f"{path.absolute()}{'' if alone else f'/{member.path}'}")


def _suffix(member: Member) -> str:
    return PurePosixPath(member.path).suffix.lower()


def _read_member(
    member: Member, prefix: str, beside: "_Beside", skeletons: Sequence[Skeleton], hints: Hints
) -> Iterator[Clip]:
    name, suffix = prefix + member.path, _suffix(member)
    stream = io.BytesIO(member.read())
    clips: Iterable[Clip]
    if suffix == ".amc":
        clips = asf_amc.read_all(stream, name, skeletons, bones=beside.bones(member.path, name), fps=hints.fps)
    elif suffix == ".mat":
        clips = mpi_inf_3dhp.read_all(stream, name, skeletons, hints, calibration=beside.calibration(member.path))
    else:
        clips = READERS[suffix].read_all(stream, name, skeletons, hints)
    subject, action = beside.labels.of(member.path)
    stem = PurePosixPath(member.path).stem
    for clip in clips:
        # Readers of one clip a file call it by the file's name.
        title = stem + clip.name.removeprefix(name) if clip.name.startswith(name) else clip.name
        yield replace(clip, name=title, subject=subject or clip.subject, action=action or clip.action, source=name)


def _hints(source_fps: float | None, unit: float | None, up: Up | None, guess: bool) -> Hints:
    for what, number in (("source_fps", source_fps), ("unit", unit)):
        if number is not None and not (math.isfinite(number) and number > 0):
            raise ArgumentError(f"{what} must be a positive number, got {number}")
    if up is not None and up not in get_args(Up):
        raise ArgumentError(f"up must be one of {', '.join(get_args(Up))}, got {up!r}")
    return Hints(fps=source_fps, unit=unit, up=up, guess=guess)


class _Beside:
    """Labels and bones: the small files of a collection that its clips need. Loading them reads it once."""

    def __init__(self, collection: Collection, limits: Limits, skip: Callable[[ReadError], None]) -> None:
        self.labels = Labels()
        self._prefix = collection.prefix
        self._asf: dict[PurePosixPath, bytes | Bones] = {}
        self._calibrations: dict[PurePosixPath, bytes] = {}
        kept = 0
        for member in collection.members():
            name = collection.prefix + member.path
            label, bones = is_label(member.path, member.size), _suffix(member) == ".asf"
            calibration = PurePosixPath(member.path).name == _CALIBRATION
            try:
                if member.problem:
                    raise ReadError(f"{name}: {member.problem}")
                if is_archive(member.path):
                    raise ReadError(f"{name}: an archive within an archive, expected files; unpack the outer one first")
                if not label and not bones and not calibration:
                    continue
                kept += member.size
                if kept > limits.beside_bytes:
                    raise ReadError(f"{name}: labels and bones of more than {limits.beside_bytes} bytes in one archive")
                if label:
                    self.labels.add(member.path, member.read(), name)
                elif calibration:
                    self._calibrations[PurePosixPath(member.path).parent] = member.read()
                else:
                    self._asf[PurePosixPath(member.path)] = member.read()
            except ReadError as error:
                skip(error)

    def calibration(self, path: str) -> bytes | None:
        """The text of the camera.calibration beside a file, if there is one."""
        return self._calibrations.get(PurePosixPath(path).parent)

    def bones(self, path: str, name: str) -> Bones:
        """The bones of an AMC file, in its folder or the one above: those whose name the clip's begins with.

        NN.asf for NN_MM.amc (CMU), HDM_bd.asf for HDM_bd_01-01_01_120.amc (HDM05); else the only .asf there.
        """
        file = PurePosixPath(path)
        stem = file.stem.lower()
        above = [file.parent.parent] if file.parent.parts else [PurePosixPath("..")]
        for folder in (file.parent, *above):
            near = [asf for asf in self._asf if asf.parent == folder]
            named = [asf for asf in near if re.match(re.escape(asf.stem.lower()) + r"(?![a-z0-9])", stem)]
            if named or len(near) == 1:
                break
        else:
            subject = stem.partition("_")[0]
            count = sum(asf.parent in (file.parent, *above) for asf in self._asf)
            raise ReadError(
                f"{name}: {count or 'no'} .asf files beside it or one folder up, expected {subject}.asf, or "
                f"another whose name {file.name[:40]} begins with, or only one"
            )
        asf = max(named, key=lambda one: len(one.stem)) if named else near[0]
        bones = self._asf[asf]
        if isinstance(bones, bytes):
            bones = self._asf[asf] = read_bones(io.BytesIO(bones), f"{self._prefix}{asf}")
        return bones
