import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vipe.errors import ReadError, VipeError
from vipe.plots.embedding_map.coordinates import check_coordinates, read_coordinates, save_coordinates


def test_a_map_that_is_written_is_read_again(layout, labels, tmp_path):
    save_coordinates(tmp_path / "map.parquet", layout, labels)
    again = read_coordinates(tmp_path / "map.parquet")
    for name in ("rows", "xy", "embeddings", "reach"):
        np.testing.assert_array_equal(getattr(again, name), getattr(layout, name))
    assert (again.method, again.encoder, again.settings) == (layout.method, layout.encoder, layout.settings)


def test_other_programs_find_plain_columns(index, layout, labels, tmp_path):
    save_coordinates(tmp_path / "map.parquet", layout, labels)
    table = pq.read_table(tmp_path / "map.parquet")
    frames = index.frames()
    for name in ("id", "clip", "frame", "time", "subject", "action", "source"):
        assert table[name].to_pylist() == frames[name][layout.rows].tolist()
    np.testing.assert_array_equal(np.stack([table["x"], table["y"]], axis=1), layout.xy)
    assert set(table["key_pose"].to_pylist()) <= set(range(1, 11))
    assert set(table["cluster"].to_pylist()) == set(labels.cluster_names)
    assert [field.name for field in table.schema if pa.types.is_nested(field.type)] == ["embedding"]


def test_what_is_no_map_is_refused_in_one_line(tmp_path, layout, labels):
    path = tmp_path / "map.parquet"
    with pytest.raises(ReadError, match=r"map\.parquet: cannot be read"):
        read_coordinates(path)
    for write in (
        lambda: path.write_bytes(b"not Parquet at all"),
        lambda: pq.write_table(pa.table({"x": [1.0]}), path),
        lambda: pq.write_table(pa.table({"x": [1.0]}).replace_schema_metadata({"vipe.map": "{}"}), path),
    ):
        write()
        with pytest.raises(ReadError, match=r"map\.parquet: cannot be read .*; expected what --coordinates wrote"):
            read_coordinates(path)


@pytest.mark.parametrize("column", ["x", "embedding"])
def test_places_and_embeddings_that_are_not_finite_are_refused(layout, labels, tmp_path, column):
    save_coordinates(tmp_path / "map.parquet", layout, labels)
    table = pq.read_table(tmp_path / "map.parquet")
    values = table[column].combine_chunks()
    flat = np.array(values.flatten() if column == "embedding" else values)
    flat[3] = np.nan
    broken = pa.array(flat)
    if column == "embedding":
        broken = pa.FixedSizeListArray.from_arrays(broken, layout.embeddings.shape[1])
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, table.schema.field(place), broken), tmp_path / "map.parquet")
    with pytest.raises(ReadError, match="not finite"):
        read_coordinates(tmp_path / "map.parquet")


def test_a_name_that_could_not_be_written_is_told_first(tmp_path):
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "file").write_text("mine")
    for name, message in (
        ("map.csv", "ends in .csv"),
        ("folder.parquet", "is a folder"),
        ("file/map.parquet", "cannot be written"),
    ):
        with pytest.raises(VipeError, match=message):
            check_coordinates(tmp_path / name)
    check_coordinates(tmp_path / "new" / "map.parquet")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.parquet"]
