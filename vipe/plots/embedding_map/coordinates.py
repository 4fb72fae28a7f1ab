"""A map as a Parquet file: for other viewers, and to be read again (Arrow)."""

__all__ = ["check_coordinates", "read_coordinates", "save_coordinates"]

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vipe.errors import ReadError, VipeError
from vipe.files.output_file import check_output_file, output_file
from vipe.plots.embedding_map.labels import MapLabels
from vipe.plots.embedding_map.layout import EmbeddingMap

_KEY = b"vipe.map"  # of the schema's metadata: method, encoder and settings as JSON
_NEEDED = ("row", "x", "y", "reach", "embedding")


def check_coordinates(path: Path) -> None:
    """Refuse a path that `save_coordinates` could not write, without leaving a trace; its folder need not exist.

    Raises:
        VipeError: If the name ends otherwise than in .parquet, there is a folder at it, or it cannot be written.
    """
    if path.suffix.lower() != ".parquet":
        raise VipeError(f"{path}: ends in {path.suffix or 'nothing'}, expected a name that ends in .parquet")
    check_output_file(path, "coordinates")


def save_coordinates(path: Path, layout: EmbeddingMap, labels: MapLabels) -> None:
    """Write a row for each pose: place on the map, moment, words, groups, and the embedding.

    Columns are `id`, `row` (of the index), `clip`, `frame`, `time`, `subject`, `action`, `source`, `x`, `y`, `cluster`,
    `key_pose`, `density`, `reach` and `embedding`.

    Args:
        path: The file; it is replaced if it exists.
        layout: The map.
        labels: Its poses.

    Raises:
        VipeError: If it cannot be written; an existing file stays as it is.
    """
    dim = layout.embeddings.shape[1]
    columns = {
        "id": pa.array(labels.id, pa.int64()),
        "row": pa.array(layout.rows, pa.int64()),
        "clip": pa.array(labels.clip, pa.string()),
        "frame": pa.array(labels.frame, pa.int32()),
        "time": pa.array(labels.time, pa.float64()),
        "subject": pa.array(labels.subject, pa.string()),
        "action": pa.array(labels.action, pa.string()),
        "source": pa.array(labels.source, pa.string()),
        "x": pa.array(layout.xy[:, 0], pa.float32()),
        "y": pa.array(layout.xy[:, 1], pa.float32()),
        "cluster": pa.array([labels.cluster_names[one] for one in labels.cluster], pa.string()),
        "key_pose": pa.array(labels.keys.nearest + 1, pa.int32()),
        "density": pa.array(labels.density, pa.float32()),
        "reach": pa.array(layout.reach, pa.float32()),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(layout.embeddings.reshape(-1), pa.float32()), dim),
    }
    about = {"method": layout.method, "encoder": layout.encoder, "settings": layout.settings}
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(about)})
    with output_file(path, "coordinates") as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def read_coordinates(path: Path) -> EmbeddingMap:
    """The map that `save_coordinates` wrote.

    Raises:
        ReadError: If it is no such file.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            about = json.loads((file.schema_arrow.metadata or {})[_KEY])
            table = file.read(columns=list(_NEEDED))
        dim = table.schema.field("embedding").type.list_size
        column = {name: table[name].combine_chunks() for name in _NEEDED}
        vectors = column["embedding"].flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
        layout = EmbeddingMap(
            rows=np.asarray(column["row"], dtype=np.int64),
            xy=np.stack([np.asarray(column[name], dtype=np.float32) for name in "xy"], axis=1),
            embeddings=np.asarray(vectors, dtype=np.float32),
            reach=np.asarray(column["reach"], dtype=np.float32),
            method=about["method"],
            encoder=str(about["encoder"]),
            settings=dict(about["settings"]),
        )
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError, AttributeError) as error:
        what = str(error).strip().splitlines()[0] if isinstance(error, OSError) else "it has no map in it"
        raise ReadError(
            f"{path}: cannot be read as coordinates of a map ({what}); expected what --coordinates wrote"
        ) from error
    if not all(len(one) == len(layout.rows) and np.isfinite(one).all() for one in (layout.xy, layout.embeddings)):
        raise ReadError(f"{path}: has places or embeddings that are missing or not finite; lay the map out again")
    return layout
