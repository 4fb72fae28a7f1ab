"""Folders of keypoint files: the frames of one video, a file each; or several videos (numpy)."""

__all__ = ["read_file", "read_folder"]

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vipe.detections.people.as_found import Id, NoPerson, People
from vipe.detections.people.image_numbers import image_numbers
from vipe.errors import ReadError
from vipe.files.regular_file import read_regular

_SUFFIXES = (".json", ".jsonl", ".csv", ".npy", ".npz", ".pt")  # the first kind that a folder has is read
_DEEPEST, _MOST_FOLDERS = 4, 1000
_NAMED = 5  # frames that are named
_LARGEST = 2**32  # bytes of a file
_ENDS = (".json", ".predictions", "_keypoints")

Read = Callable[[bytes, str], list[People]]


def read_folder(folder: Path, read: Read) -> list[People]:
    """Read a folder of files.

    Files without names of images are the frames of one video, in the order of the numbers in their names
    (`walk_000000000012_keypoints.json`, `cam01.0012.json`); names without numbers are numbered in their order. Frames
    without a person give no row, but are numbered too, and gaps stay gaps. Files that name images themselves are
    results of several videos. A folder without files but with folders has a video in each of them.

    A file that cannot be read costs that file, not the video: `remarks` names it.

    Args:
        folder: The video, or videos.
        read: Reads one file.

    Returns:
        The people, by number of joints.

    Raises:
        ReadError: If there is no such file, none can be read, nobody is in any, or two files have one number.
    """
    files = _files(folder)
    if files:
        return _of_files(files, folder, read)
    videos = [(sub, found) for sub in _folders(folder) if (found := _files(sub))]
    if not videos:
        raise ReadError(
            f"{folder}: no .json file in this folder; expected OpenPose's or MMPose's, one a frame, or folders of them"
        )
    parts: list[People] = []
    problems: list[str] = []
    for number, (sub, found) in enumerate(videos):
        try:
            several = _of_files(found, sub, read)
        except ReadError as error:
            problems.append(str(error))
            continue
        for part in several:
            place = sub.relative_to(folder).as_posix()
            video = np.full(len(part), number, dtype=np.int64)
            named = tuple(f"{place}/{image}" for image in part.image_id)
            empty = tuple(f"{place}/{image}" for image in part.empty)
            parts.append(replace(part, image_id=named, video=video, empty=empty))
    if not parts:
        raise ReadError(problems[0])
    parts = _apart(parts)
    said = (*parts[0].remarks, *problems[:_NAMED])
    return [replace(parts[0], remarks=said), *parts[1:]]


def read_file(path: Path) -> bytes:
    """The bytes of a keypoint file; pipes and devices are refused at once.

    Raises:
        OSError: If it cannot be read, is no regular file, or is longer than 4 GiB.
    """
    return read_regular(path, _LARGEST)


def _files(folder: Path) -> list[Path]:
    """The files of the first kind that a folder has, by name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.casefold() in _SUFFIXES and path.is_file():
            found.setdefault(path.suffix.casefold(), []).append(path)
    return next((found[suffix] for suffix in _SUFFIXES if suffix in found), [])


def _folders(folder: Path, depth: int = 1) -> Iterator[Path]:
    for path in sorted(folder.iterdir())[:_MOST_FOLDERS]:
        if path.is_dir() and not path.is_symlink():
            yield path
            if depth < _DEEPEST:
                yield from _folders(path, depth + 1)


def _of_files(paths: Sequence[Path], folder: Path, read: Read) -> list[People]:
    parts: list[tuple[Path, People]] = []
    empty: list[Path] = []
    broken: list[tuple[Path, ReadError]] = []
    for path in paths:
        try:
            found = read(read_file(path), str(path))
        except NoPerson:
            empty.append(path)
        except OSError as error:
            broken.append((path, ReadError(f"{path}: cannot be read: {error.strerror}")))
        except ReadError as error:
            broken.append((path, error))
        else:
            parts += [(path, part) for part in found]
    if not parts:
        if broken:
            raise broken[0][1]
        raise NoPerson(
            f"{folder}: no person in any of its {len(paths)} {paths[0].suffix} files; nothing to search with"
        )
    one_video = not any(part.own_images for _, part in parts)
    joined = _frames(parts, empty, paths, folder) if one_video else _results(parts)
    lines = []
    if broken:
        named = ", ".join(path.name for path, _ in broken[:_NAMED]) + (" ..." if len(broken) > _NAMED else "")
        why = str(broken[0][1]).removeprefix(f"{broken[0][0]}: ")
        lines.append(f"{len(broken)} of {len(paths)} files could not be read and are left out: {named} ({why[:200]})")
    return [replace(joined[0], remarks=(*joined[0].remarks, *lines)), *joined[1:]]


def _frames(
    parts: Sequence[tuple[Path, People]], empty: Sequence[Path], paths: Sequence[Path], folder: Path
) -> list[People]:
    """One video: a frame a file."""
    names = [_name(path) for path in paths]
    numbers = image_numbers(names)
    if numbers is None:
        twice = _twice(names)
        if twice is not None:
            raise ReadError(f"{folder}: frame {twice} is there twice; expected one video a folder; move the others out")
        numbers = np.arange(len(paths))
    number = dict(zip(paths, numbers.tolist(), strict=True))
    frames = [
        replace(
            part,
            image_id=(_name(path),) * len(part),
            frame=np.full(len(part), number[path], dtype=np.int64),
            track=None,
        )
        for path, part in sorted(parts, key=lambda pair: number[pair[0]])
    ]
    joined = _apart(frames)
    nobody: tuple[Id, ...] = tuple(_name(path) for path in sorted(empty, key=lambda path: number[path]))
    return [replace(joined[0], empty=nobody), *joined[1:]]


def _name(path: Path) -> str:
    name = path.name
    for end in (path.suffix, *_ENDS):
        name = name.removesuffix(end)
    return name


def _twice(names: Sequence[str]) -> int | None:
    """A number that two names have, if all names have one."""
    each = [image_numbers([name]) for name in names]
    if any(number is None for number in each):
        return None
    counts = Counter(int(number[0]) for number in each if number is not None)
    return next((number for number, count in counts.items() if count > 1), None)


def _results(parts: Sequence[tuple[Path, People]]) -> list[People]:
    """Results of several videos: an image that two files name is one of each."""
    paths = list(dict.fromkeys(path for path, _ in parts))
    if len(paths) == 1:
        return [part for _, part in parts]
    owners = Counter(image for path, image in {(path, image) for path, part in parts for image in part.image_id})
    same = any(count > 1 for count in owners.values())
    place = {path: number for number, path in enumerate(paths)}
    told = []
    for path, part in parts:
        if same:
            part = replace(
                part,
                image_id=tuple(f"{_name(path)}/{image}" for image in part.image_id),
                empty=tuple(f"{_name(path)}/{image}" for image in part.empty),
                frame=image_numbers(part.image_id) if part.frame is None else part.frame,
                video=np.full(len(part), place[path], dtype=np.int64),
            )
        told.append(replace(part, order=None))
    return _apart(told)


def _apart(parts: Sequence[People]) -> list[People]:
    """Join what has equally many joints, of one skeleton and kind, in the order of the parts."""
    start = 0
    groups: dict[tuple[object, ...], list[People]] = {}
    for part in parts:
        body = part.skeleton if isinstance(part.skeleton, str) or part.skeleton is None else part.skeleton.name
        own = part.order if part.order is not None else np.arange(len(part))
        key = (part.numbers.shape[1], body, part.third)
        groups.setdefault(key, []).append(replace(part, order=start + own))
        start += len(part)
    return [People.concat(several) for several in groups.values()]
