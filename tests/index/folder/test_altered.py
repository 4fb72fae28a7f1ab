"""A file that is not as it was written is named before FAISS reads a byte, even if it was signed anew."""

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from index.signing import PART, edit_part, sign

from vipe.errors import IndexFormatError
from vipe.index import PoseIndex

FILES = [
    "manifest.json",
    *(f"{PART}/{name}" for name in ("index.faiss", "embeddings.npy", "poses.npy", "frames.parquet", "clips.parquet")),
    "encoder/config.json",
]
PLACE = {"clip": 1, "time": 3}  # of columns in a frame table


@pytest.mark.parametrize("name", [*FILES, "encoder/weights.safetensors"])
def test_a_missing_file_is_named(folder, name, no_faiss):
    (folder / name).unlink()
    with pytest.raises(IndexFormatError, match=name.replace(".", r"\.")):
        PoseIndex.open(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 0.5, -1], ids=["empty", "half", "one byte short"])
def test_a_cut_file_is_named_with_both_sizes(folder, name, left, no_faiss):
    data = (folder / name).read_bytes()
    cut = data[:-2] if left == -1 else data[: int(len(data) * left)]
    (folder / name).write_bytes(cut)
    expected = (
        r"manifest\.json"
        if name == "manifest.json"
        else rf"{name}: cut or altered: {len(cut)} bytes, expected {len(data)}"
    )
    with pytest.raises(IndexFormatError, match=expected):
        PoseIndex.open(folder)


@pytest.mark.parametrize("name", FILES)
def test_an_altered_byte_is_found_wherever_it_is(folder, name, no_faiss, rng):
    data = bytearray((folder / name).read_bytes())
    for place in rng.integers(len(data), size=8):
        altered = bytearray(data)
        altered[place] ^= 1
        if bytes(altered).split() == bytes(data).split():
            continue  # white space between the manifest's values
        (folder / name).write_bytes(altered)
        with pytest.raises(IndexFormatError, match=name.replace(".", r"\.")):
            PoseIndex.open(folder)


def test_a_part_that_is_not_what_the_manifest_says_is_refused(folder):
    edit_part(folder, rows=89)
    with pytest.raises(IndexFormatError, match=r"frames\.parquet: has 90 rows, its manifest has 89 poses"):
        PoseIndex.open(folder)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (faiss.IndexFlatL2(9), r"holds \(poses, dim, metric\) \(90, 9, 'l2'\), expected \(90, 8, 'l2'\)"),
        (faiss.IndexFlatIP(8), r"holds \(poses, dim, metric\) \(90, 8, 'ip'\), expected \(90, 8, 'l2'\)"),
        (faiss.IndexScalarQuantizer(8, faiss.ScalarQuantizer.QT_fp16), "is a IndexScalarQuantizer, recipe flat makes"),
    ],
    ids=["dim", "metric", "kind"],
)
def test_a_faiss_file_that_is_not_of_the_embeddings_is_refused(folder, other, message):
    other.train(np.ones((1, other.d), dtype=np.float32))
    other.add(np.zeros((90, other.d), dtype=np.float32))
    faiss.write_index(other, str(folder / PART / "index.faiss"))
    sign(folder, "index.faiss")
    with pytest.raises(IndexFormatError, match=rf"index\.faiss: {message}"):
        PoseIndex.open(folder)


def test_a_faiss_file_of_another_kind_is_refused(folder):
    (folder / PART / "index.faiss").write_bytes(b"not an index at all")
    sign(folder, "index.faiss")
    with pytest.raises(IndexFormatError, match=r"index\.faiss: this FAISS \(.*\) cannot read it"):
        PoseIndex.open(folder)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda vectors: vectors.astype(np.float64), "holds float64, expected float32"),
        (lambda vectors: np.asfortranarray(vectors), "holds float32, expected float32 by rows"),
        (lambda vectors: vectors[:-1], r"holds \(poses, dim\) \(89, 8\), its manifest has \(90, 8\)"),
        (lambda vectors: np.where(np.arange(90)[:, None] == 7, np.nan, vectors).astype(np.float32), "not finite"),
        (lambda vectors: vectors[::-1].copy(), "holds other embeddings than embeddings.npy"),
        (lambda vectors: np.array([{}]), "is no array of numbers"),
    ],
    ids=["dtype", "order", "rows", "nan", "values", "objects"],
)
def test_embeddings_that_were_altered_and_signed_anew_are_refused(folder, alter, message):
    vectors = np.load(folder / PART / "embeddings.npy")
    np.save(folder / PART / "embeddings.npy", alter(vectors))
    sign(folder, "embeddings.npy")
    with pytest.raises(IndexFormatError, match=message):
        PoseIndex.open(folder)


def _with(table, name, values):
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), values)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda table: table.slice(1), "has 89 rows, its manifest has 90 poses"),
        (lambda table: table.drop_columns(["time"]), "has columns id int64, .*; expected id int64"),
        (lambda table: _with(table, "clip", pa.nulls(90, pa.string())), "column clip has rows without a value"),
        (lambda table: _with(table, "time", pa.array([np.inf] * 90)), "times that are not finite"),
    ],
    ids=["rows", "columns", "no clip", "endless time"],
)
def test_a_frame_table_that_was_altered_and_signed_anew_is_refused(folder, alter, message):
    file = folder / PART / "frames.parquet"
    pq.write_table(alter(pq.read_table(file, partitioning=None)), file)
    sign(folder, "frames.parquet")
    with pytest.raises(IndexFormatError, match=rf"frames\.parquet: .*{message}"):
        use_all(PoseIndex.open(folder))


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda poses: poses[1:], r"holds \(89, 17, 3\), its manifest has \(90, 17, 3\)"),
        (lambda poses: poses.astype(np.float64), "holds float64, expected float32"),
        (lambda poses: poses * np.float32(np.nan), "has poses that are not finite"),
        (lambda poses: np.array([{}]), "is no array of numbers"),
    ],
    ids=["rows", "dtype", "nan", "objects"],
)
def test_poses_that_were_altered_and_signed_anew_are_refused(folder, alter, message):
    file = folder / PART / "poses.npy"
    np.save(file, alter(np.load(file)))
    sign(folder, "poses.npy")
    with pytest.raises(IndexFormatError, match=rf"poses\.npy: {message}"):
        PoseIndex.open(folder)


def use_all(index):
    return index.labels, index.canonical


@pytest.mark.parametrize("name", ["clip", "time"])
def test_a_byte_of_a_frame_table_that_was_altered_and_signed_anew_is_found(folder, name):
    file = folder / PART / "frames.parquet"
    column = pq.ParquetFile(file).metadata.row_group(0).column(PLACE[name])
    data = bytearray(file.read_bytes())
    data[column.data_page_offset + column.total_compressed_size * 3 // 4] ^= 1
    file.write_bytes(data)
    sign(folder, "frames.parquet")
    with pytest.raises(IndexFormatError, match=r"frames\.parquet: cannot be read"):
        use_all(PoseIndex.open(folder))
