"""A part of a store: the Parquet layout, and writing it whole or not at all (numpy and Arrow)."""

__all__ = [
    "FORMAT",
    "GROUP_ROWS",
    "SCHEMA",
    "SKELETON",
    "Footer",
    "describe",
    "distinct",
    "part_name",
    "rate",
    "telling",
    "thin",
    "write_part",
]

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from vipe.arrays import Array
from vipe.clips import Clip
from vipe.errors import StoreError
from vipe.skeletons import load
from vipe.store.identical import Known

FORMAT = "1"
"""Version of the layout; another one is refused."""

SKELETON = "h36m17"

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

_TORSO = (0.05, 5.0)  # metres, pelvis to thorax

GROUP_ROWS = 65_536
"""Rows a row group: 14 MB of poses, all that writing or filtering holds at a time."""


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What a part knows of itself beside its rows; frames and seconds are of the clips before thinning."""

    fps: float | None
    licences: tuple[str, ...]
    frames: int
    seconds: float


def thin(frames: int, fps: float, target: float | None) -> Int64[Array, " kept"]:
    """Indices of the frames nearest to 0, 1/target, 2/target ... seconds; all if the clip has no more than that."""
    if target is None or target >= fps:
        return np.arange(frames)
    steps = np.arange(math.ceil(frames * target / fps) + 1)
    nearest: Array = np.floor(steps * (fps / target) + 0.5).astype(np.int64)
    return nearest[nearest < frames]


def write_part(
    file: Path,
    clips: Iterable[Clip],
    fps: float | None,
    licence: str,
    names: set[str],
    on_clip: Callable[[Clip, int], None] | None,
    store: Path,
    known: Known | None = None,
) -> int:
    """Write one part, and say how many clips it holds; `names` are taken already and grow.

    Clips that are `known` are passed over. Nothing is written if that leaves none.
    """
    clips_written, passed_over = 0, 0
    frames, seconds, licences = 0, 0.0, [licence]
    skeleton = load(SKELETON)
    waiting: list[pa.RecordBatch] = []
    writer: pq.ParquetWriter | None = None
    try:
        for clip in clips:
            kept = thin(len(clip), clip.fps, fps)
            short = replace(clip, positions=clip.positions[kept]).to(skeleton)
            if known is not None and known.has(clip, short):
                passed_over += 1
                continue
            name = _unique(clip, names, store)
            names.add(name)
            short = replace(short, name=name)
            _check_size(short)
            if writer is None:
                metadata = {
                    "vipe.format": FORMAT,
                    "vipe.skeleton": SKELETON,
                    "vipe.fps": "" if fps is None else repr(float(fps)),
                    "vipe.licence": licence or clip.licence,
                }
                with telling(store):
                    writer = _open_writer(file, metadata)
            waiting.extend(_record_batches(short, kept))
            with telling(store):
                waiting = _flush(writer, waiting, GROUP_ROWS)
            frames, seconds = frames + len(clip), seconds + clip.seconds
            licences.append(clip.licence)
            clips_written += 1
            if on_clip is not None:
                on_clip(clip, len(kept))
        if writer is None and passed_over:
            return 0
        if writer is None:
            raise StoreError(f"{store}: no clip to store; the source is empty")
        with telling(store):
            _flush(writer, waiting, 1)
            # What is known only at the end goes to the file's footer beside the schema.
            writer.add_key_value_metadata(
                {
                    "vipe.licences": json.dumps(distinct(licences)),
                    "vipe.source_frames": str(frames),
                    "vipe.source_seconds": repr(seconds),
                }
            )
            writer.close()
            writer = None
        return clips_written
    finally:
        if writer is not None:
            _abandon(writer)


def describe(part: Path) -> Footer:
    """What a part's footer says, once it is known to be a part of a store."""
    with telling(part), pq.ParquetFile(part) as file:
        schema = file.schema_arrow
        texts = {**(schema.metadata or {}), **(file.metadata.metadata or {})}
    stated = {key.decode(): value.decode() for key, value in texts.items() if key.startswith(b"vipe.")}
    if (version := stated.get("vipe.format")) != FORMAT:
        found = "no format" if version is None else f"format {version}"
        raise StoreError(f"{part}: states {found}, expected format {FORMAT} of a pose store; ingest the source again")
    if (skeleton := stated.get("vipe.skeleton")) != SKELETON:
        raise StoreError(f"{part}: holds skeleton {skeleton}, expected {SKELETON}; ingest the source again")
    if not schema.equals(SCHEMA, check_metadata=False):
        has, expected = ([f"{field.name} {field.type}" for field in one] for one in (schema, SCHEMA))
        raise StoreError(f"{part}: has columns {', '.join(has)}; expected {', '.join(expected)}")
    try:
        return Footer(
            fps=float(stated["vipe.fps"]) if stated["vipe.fps"] else None,
            licences=tuple(json.loads(stated["vipe.licences"])),
            frames=int(stated["vipe.source_frames"]),
            seconds=float(stated["vipe.source_seconds"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{part}: its footer has no valid {error}; was it written by another program?") from error


def _check_size(clip: Clip) -> None:
    """A unit that is wrong by a hundred passes every other check and spoils every camera."""
    joints = clip.positions[0, [clip.skeleton.index(name) for name in ("pelvis", "spine", "thorax")]]
    torso = float(np.linalg.norm(np.diff(joints, axis=0), axis=1).sum())
    if not _TORSO[0] <= torso <= _TORSO[1]:
        raise StoreError(
            f"clip {clip.name} of {clip.source or 'no source'}: a torso of {torso:.3g} m, expected {_TORSO[0]} to "
            f"{_TORSO[1]}; is `unit` of its skeleton right?"
        )


def _unique(clip: Clip, names: set[str], store: Path) -> str:
    """The clip's name, with as many folders of its source before it as it takes to be new."""
    if clip.name not in names:
        return clip.name
    name = clip.name
    for folder in reversed(PurePosixPath(clip.source).parts[:-1]):
        name = f"{folder}/{name}"
        if name not in names:
            return name
    raise StoreError(
        f"{store}: two clips are named {clip.name!r} and their sources do not tell them apart "
        f"(the second is from {clip.source or 'nowhere'!r}); is one file given twice?"
    )


def _record_batches(clip: Clip, frames: Int64[Array, " kept"]) -> Iterator[pa.RecordBatch]:
    """A clip's rows, in pieces of a row group at most."""
    for start in range(0, len(clip), GROUP_ROWS):
        rows = slice(start, start + GROUP_ROWS)
        index, poses = frames[rows], clip.positions[rows]
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
    """Write full row groups, or all that is left if `least` is 1; returns what has to wait."""
    table = pa.Table.from_batches(waiting, SCHEMA)
    while len(table) >= least:
        writer.write_table(table.slice(0, GROUP_ROWS), row_group_size=GROUP_ROWS)
        table = table.slice(GROUP_ROWS)
    return list(table.to_batches())


def _abandon(writer: pq.ParquetWriter) -> None:
    """Close a writer whose file goes anyway; a full disk, say, refuses this too, and was told of already."""
    try:
        writer.close()
    except (OSError, pa.ArrowException):
        return


@contextmanager
def telling(where: Path) -> Iterator[None]:
    """Turn what the disk or Arrow reports into one line."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StoreError(f"{where}: cannot read or write it: {first}") from error


def part_name(number: int) -> str:
    """File name of the n-th part, from 0; parts sort by it."""
    return f"part-{number:05d}.parquet"


def rate(fps: float | None) -> str:
    """A target rate in words."""
    return "all frames" if fps is None else f"{fps:g} frames/s"


def distinct(texts: Iterable[str]) -> list[str]:
    """Texts that say something, each once, in order."""
    return list(dict.fromkeys(text for text in texts if text))
