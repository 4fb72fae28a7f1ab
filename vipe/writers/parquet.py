"""A stretch of a clip as one Parquet file with the columns of a pose store (Arrow)."""

__all__ = ["encode"]

import pyarrow as pa
import pyarrow.parquet as pq

from vipe.errors import SkeletonError
from vipe.skeletons.working import H36M17
from vipe.store.moments import Moment
from vipe.store.parts import SCHEMA


def encode(moment: Moment) -> bytes:
    """One row a frame, with the columns of a pose store: clip, frame, time, subject, action, source, fps, pose.

    `fps` is that of the source clip, as in a store. The schema's metadata name skeleton, joints, rate and licence.

    Raises:
        SkeletonError: If the moment is not on h36m17.
    """
    clip, frames = moment.clip, len(moment)
    if clip.skeleton.joints != H36M17.joints:
        raise SkeletonError(
            f"clip {clip.name}: Parquet holds poses of h36m17, got {clip.skeleton.name}, which has no conversion to it"
        )
    poses = pa.array(clip.positions.reshape(-1), pa.float32())
    columns = {
        "clip": pa.repeat(pa.scalar(clip.name, pa.string()), frames),
        "frame": pa.array(moment.frame, pa.int32()),
        "time": pa.array(moment.time, pa.float64()),
        "subject": pa.repeat(pa.scalar(clip.subject, pa.string()), frames),
        "action": pa.repeat(pa.scalar(clip.action, pa.string()), frames),
        "source": pa.repeat(pa.scalar(clip.source, pa.string()), frames),
        "fps": pa.repeat(pa.scalar(moment.source_fps, pa.float32()), frames),
        "pose": pa.FixedSizeListArray.from_arrays(poses, 3 * len(H36M17)),
    }
    metadata = {
        "vipe.skeleton": H36M17.name,
        "vipe.joints": ",".join(H36M17.joints),
        "vipe.rate": repr(clip.fps),
        "vipe.licence": clip.licence,
    }
    table = pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA.with_metadata(metadata))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())
