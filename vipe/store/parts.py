"""A part of a store: the layout of its Parquet file, how it is written, and its footer (Arrow)."""

__all__ = [
    "FORMAT",
    "GROUP_ROWS",
    "SCHEMA",
    "SKELETON",
    "COUNT",
    "Footer",
    "as_store_error",
    "check_count",
    "check_order",
    "distinct",
    "part_name",
    "parts_of",
    "rate",
    "read_count",
    "read_footer",
    "write_count",
    "write_part",
]

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from vipe.arrays import blocks
from vipe.clips import Clip
from vipe.errors import StoreError
from vipe.files.regular_file import irregular, read_regular
from vipe.printable import in_short
from vipe.skeletons.working import H36M17
from vipe.store.bodies import BONES, Bodies
from vipe.store.conversion import Stored

FORMAT = "1"
"""Version of the layout; another one is refused."""

SKELETON = H36M17.name
"""The working skeleton, which all poses are stored on."""

SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("frame", pa.int32()),  # in the source clip
        ("time", pa.float64()),  # seconds in the source clip
        ("subject", pa.string()),
        ("action", pa.string()),
        ("source", pa.string()),
        ("fps", pa.float32()),  # of the source clip
        ("pose", pa.list_(pa.float32(), 51)),  # metres, world space, joints of the skeleton by coordinates
    ]
)

COUNT = "_parts.json"
"""Name of the file that says how many parts there are; a name that Arrow's readers of folders pass over."""

GROUP_ROWS = 65_536
"""Rows of a row group: 14 MB of poses. Writing and filtering hold no more than this at a time."""


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What a part states beside its rows; frames and seconds count the clips before thinning."""

    fps: float | None
    licences: tuple[str, ...]
    frames: int
    seconds: float
    bodies: Mapping[str, Any] | None  # as `Bodies.stated` gives them; None of a part written before they were stated
    digest: str  # SHA-256 of the footer itself
    follows: str | None  # digest of the part before it, "" of the first; None of a part written before it was stated


def write_part(
    file: Path,
    clips: Iterable[Stored],
    *,
    fps: float | None,
    licence: str,
    on_clip: Callable[[Clip, int], None] | None,
    store: Path,
    follows: str = "",
) -> int:
    """Write clips to a new file, in bounded memory.

    Args:
        file: The part; not written if there is no clip.
        clips: What to write, under names that are unique in the store.
        fps: Rate that they are thinned to.
        licence: Of the motion; by default that of the first clip.
        on_clip: Called after each clip with the original and the number of rows kept of it.
        store: Folder of the store, for errors.
        follows: Digest of the footer of the part before it; "" for the first.

    Returns:
        How many clips it holds.
    """
    count = 0
    frames, seconds, licences = 0, 0.0, [licence]
    bodies = Bodies()
    waiting: list[pa.RecordBatch] = []
    writer: pq.ParquetWriter | None = None
    try:
        for stored in clips:
            original = stored.original
            if writer is None:
                metadata = {
                    "vipe.format": FORMAT,
                    "vipe.skeleton": SKELETON,
                    "vipe.fps": "" if fps is None else repr(float(fps)),
                    "vipe.licence": licence or original.licence,
                }
                with as_store_error(store):
                    writer = _open_writer(file, metadata)
            waiting.extend(_record_batches(stored))
            with as_store_error(store):
                waiting = _flush(writer, waiting, GROUP_ROWS)
            frames, seconds = frames + len(original), seconds + original.seconds
            licences.append(original.licence)
            bodies.add(original, stored.body)
            count += 1
            if on_clip is not None:
                on_clip(original, len(stored.frames))
        if writer is None:
            return 0
        with as_store_error(store):
            _flush(writer, waiting, 1)
            # Known only at the end; so it goes to the file's footer, beside the schema.
            writer.add_key_value_metadata(
                {
                    "vipe.licences": json.dumps(distinct(licences)),
                    "vipe.source_frames": str(frames),
                    "vipe.source_seconds": repr(float(seconds)),
                    "vipe.bodies": json.dumps(bodies.stated()),
                    "vipe.follows": follows,
                }
            )
            writer.close()
            writer = None
        return count
    finally:
        if writer is not None:
            _abandon(writer)


def read_footer(part: Path) -> Footer:
    """Read a part's footer.

    Raises:
        StoreError: If the file is cut, or is not a part of a store of this format.
    """
    with as_store_error(part), pq.ParquetFile(part) as file:
        schema = file.schema_arrow
        texts = {**(schema.metadata or {}), **(file.metadata.metadata or {})}
        digest = _digest(part)
    stated = {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in texts.items()
        if key.startswith(b"vipe.")
    }
    if (version := stated.get("vipe.format")) != FORMAT:
        found = "no format" if version is None else f"format {version}"
        raise StoreError(f"{part}: states {found}, expected format {FORMAT} of a pose store; ingest the source again")
    if (skeleton := stated.get("vipe.skeleton")) != SKELETON:
        raise StoreError(f"{part}: holds skeleton {skeleton}, expected {SKELETON}; ingest the source again")
    if not schema.equals(SCHEMA, check_metadata=False):
        has, expected = ([f"{field.name} {field.type}" for field in one] for one in (schema, SCHEMA))
        raise StoreError(f"{part}: has columns {', '.join(has)}; expected {', '.join(expected)}")
    try:
        fps = float(stated["vipe.fps"]) if stated["vipe.fps"] else None
        licences = json.loads(stated["vipe.licences"])
        frames, seconds = int(stated["vipe.source_frames"]), float(stated["vipe.source_seconds"])
        if not isinstance(licences, list) or not all(isinstance(licence, str) for licence in licences):
            raise ValueError("vipe.licences")
        for name, number in (("vipe.fps", fps), ("vipe.source_frames", frames), ("vipe.source_seconds", seconds)):
            if number is not None and not 0 <= number < math.inf:
                raise ValueError(name)
        bodies = _bodies(stated["vipe.bodies"]) if "vipe.bodies" in stated else None
        return Footer(
            fps=fps,
            licences=tuple(licences),
            frames=frames,
            seconds=seconds,
            bodies=bodies,
            digest=digest,
            follows=stated.get("vipe.follows"),
        )
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{part}: its footer has no valid {error}; was it written by another program?") from error


def check_order(parts: Sequence[Path], footers: Sequence[Footer]) -> None:
    """Check that each part follows the one that was there when it was written; parts of older versions do not say.

    So a part that is gone, was exchanged, or came from another store is noticed, unless it is the last one, of which
    `check_count` tells.

    Raises:
        StoreError: If one does not; names it.
    """
    before, last = "nothing", ""
    for part, footer in zip(parts, footers, strict=True):
        if footer.follows not in (None, last):
            wanted = "another part" if footer.follows else "no part"
            raise StoreError(
                f"{part}: was written after {wanted}, before it there is {before}; a part is missing, altered, or of "
                "another store: put it back, or ingest the sources again"
            )
        before, last = part.name, footer.digest


def write_count(file: Path, parts: int) -> None:
    """Write how many parts a store has.

    Raises:
        OSError: If the disk refuses.
    """
    file.write_text(json.dumps({"parts": parts}) + "\n", encoding="utf-8")


def read_count(store: Path) -> int:
    """How many parts a store was left with; 0 if it does not say, as of older versions.

    It may have more: an append that was killed after its part appeared did not come to count it. So whoever compares
    reads this before looking at the parts.

    Raises:
        StoreError: If it cannot be read.
    """
    file = store / COUNT
    try:
        return msgspec.json.decode(read_regular(file), type=_Count).parts
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = in_short(error)
        raise StoreError(
            f"{file}: {said}; expected how many parts the store has; remove it to open those there are"
        ) from error


def check_count(store: Path, parts: int, counted: int) -> None:
    """Check that a store has all parts that it was left with.

    Raises:
        StoreError: If parts are missing.
    """
    if counted > parts:
        raise StoreError(
            f"{store}: has {parts} of {counted} parts; put back those that are missing, or remove {COUNT} to open it "
            "without them"
        )


class _Count(msgspec.Struct):
    parts: int


def _digest(part: Path) -> str:
    """SHA-256 of a Parquet file's footer, which tells length and range of every column of every row group."""
    with part.open("rb") as file:
        file.seek(-8, os.SEEK_END)  # the footer's length, and the file type
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        return hashlib.sha256(file.read(length)).hexdigest()


class _Bodies(msgspec.Struct):
    """As `Bodies.stated` gives them."""

    rigs: list[dict[str, str | float]]
    notes: list[tuple[str, int, str]]


def _bodies(text: str) -> Mapping[str, Any]:
    try:
        stated = msgspec.json.decode(text, type=_Bodies)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError("vipe.bodies") from error
    numbers = {"clips", "shortest", "tallest", *BONES}
    for rig in stated.rigs:
        if not isinstance(rig.get("rig"), str) or not all(isinstance(rig.get(key), float | int) for key in numbers):
            raise ValueError("vipe.bodies")
        rig["clips"] = int(rig["clips"])
    return {"rigs": stated.rigs, "notes": stated.notes}


def _record_batches(stored: Stored) -> Iterator[pa.RecordBatch]:
    """A clip's rows, in pieces of a row group at most."""
    clip = stored.clip
    for rows in blocks(len(clip), GROUP_ROWS):
        index, poses = stored.frames[rows], clip.positions[rows]
        texts = (clip.name, clip.subject, clip.action, clip.source)
        name, subject, action, source = (pa.repeat(pa.scalar(text, pa.string()), len(index)) for text in texts)
        yield pa.record_batch(
            [
                name,
                pa.array(index, pa.int32()),
                pa.array(index / clip.fps, pa.float64()),
                subject,
                action,
                source,
                pa.repeat(pa.scalar(clip.fps, pa.float32()), len(index)),
                pa.FixedSizeListArray.from_arrays(pa.array(poses.reshape(-1), pa.float32()), 51),
            ],
            schema=SCHEMA,
        )


def _open_writer(file: Path, metadata: Mapping[str, str]) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        str(file),
        SCHEMA.with_metadata(dict(metadata)),
        compression="zstd",
        compression_level=1,
        use_dictionary=["clip", "subject", "action", "source"],
        # The bytes of floats by significance: a quarter smaller, and read no slower.
        column_encoding={"pose.list.element": "BYTE_STREAM_SPLIT", "time": "BYTE_STREAM_SPLIT"},
        write_page_checksum=True,
    )


def _flush(writer: pq.ParquetWriter, waiting: list[pa.RecordBatch], least: int) -> list[pa.RecordBatch]:
    """Write full row groups, or all rows if `least` is 1; returns the rows that are not written yet."""
    table = pa.Table.from_batches(waiting, SCHEMA)
    while len(table) >= least:
        writer.write_table(table.slice(0, GROUP_ROWS), row_group_size=GROUP_ROWS)
        table = table.slice(GROUP_ROWS)
    return list(table.to_batches())


def _abandon(writer: pq.ParquetWriter) -> None:
    """Close a writer whose file will be removed; the error that led here is raised already, so another one is not."""
    try:
        writer.close()
    except (OSError, pa.ArrowException):
        return


@contextmanager
def as_store_error(where: Path) -> Iterator[None]:
    """Raise errors of the disk and of Arrow as a StoreError of one line."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{where}: cannot read or write it: {in_short(error)}") from error


def part_name(number: int) -> str:
    """File name of the n-th part, from 0."""
    return f"part-{number:05d}.parquet"


def parts_of(folder: Path) -> list[Path]:
    """The parts in a folder, in the order in which they were written.

    Raises:
        StoreError: If another Parquet file is among them, whose place nobody can tell, or a part is no file.
    """
    numbers: dict[Path, int] = {}
    for file in folder.glob("part-*.parquet"):
        if (name := re.fullmatch(r"part-([0-9]{5,})\.parquet", file.name)) is None:
            raise StoreError(f"{file}: is no part of this store; its parts are {part_name(0)}, ...; move it elsewhere")
        if what := irregular(file):
            raise StoreError(f"{file}: is {what}, expected a Parquet file")  # a pipe would be waited for without end
        numbers[file] = int(name[1])
    return sorted(numbers, key=numbers.__getitem__)


def rate(fps: float | None) -> str:
    """A target rate in words."""
    return "all frames" if fps is None else f"{fps:g} frames/s"


def distinct(texts: Iterable[str]) -> list[str]:
    """Texts that are not empty, each once, in order."""
    return list(dict.fromkeys(text for text in texts if text))
