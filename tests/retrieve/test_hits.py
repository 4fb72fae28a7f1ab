"""Hits: which moments rows of an index are, as records, a table and JSON."""

import json

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.errors import MissingExtra, ShapeError
from vipe.retrieve import hits as module
from vipe.retrieve.hits import Hits


@pytest.fixture
def hits(affine):
    rows = np.array([[45, 3, 7, -1], [-1, -1, -1, -1]])
    distance = np.array([[0.1, 0.2, 0.3, 9], [9, 9, 9, 9]], dtype=np.float32)
    return Hits.look_up(affine, rows, distance, (None, "no joints"))


def test_hits_say_which_moment(hits, affine):
    first = hits.of(0)[0]
    frames = affine.frames()
    for name in ("clip", "frame", "time", "subject", "action", "id"):
        assert first[name] == frames[name][45]
    assert (first["row"], first["rank"]) == (45, 1)
    assert json.loads(json.dumps(hits.of(0)))[2]["rank"] == 3


def test_table_has_one_row_a_hit(hits):
    table = hits.table()
    assert table.column_names == [
        *("query", "rank", "row", "id", "clip", "frame", "time", "subject", "action", "distance"),
    ]
    assert table["query"].to_pylist() == [0] * 3
    assert table["rank"].to_pylist() == [1, 2, 3]
    assert table["clip"].to_pylist() == hits.clip[0, :3].tolist()
    assert len(hits) == 2


def test_empty_places_are_not_hits(hits):
    assert [len(hits.of(0)), len(hits.of(1))] == [3, 0]
    assert hits.clip[0, 3] == "" and np.isnan(hits.time[0, 3]) and hits.ids[0, 3] == -1
    assert hits.distance[0, 3] == np.inf
    assert hits.skipped == (None, "no joints")


def test_hits_are_named_in_one_line(hits):
    assert repr(hits) == "Hits(2 queries, k=4, 3 hits, by distance)"


def test_a_table_and_json_say_what_each_query_is_called(hits):
    people = Keypoints.of(np.full((2, 13, 2), 5.0))
    table = hits.table(people)
    assert table.column_names[:4] == ["query", "image_id", "person", "rank"]
    assert table["image_id"].to_pylist() == ["0"] * 3 and table["person"].to_pylist() == [0] * 3
    moments = hits.table([("walk:1", 7), ("sit", 8)])
    assert moments.column_names[:4] == ["query", "query_clip", "query_frame", "rank"]
    assert moments["query_clip"].to_pylist() == ["walk:1"] * 3 and moments["query_frame"].to_pylist() == [7] * 3
    queries = hits.to_json([("walk:1", 7), ("sit", 8)])["queries"]
    assert [(one["clip"], one["frame"], len(one["hits"])) for one in queries] == [("walk:1", 7, 3), ("sit", 8, 0)]
    assert queries[1]["skipped"] == "no joints"
    for named in (people[:1], [("sit", 8)]):
        with pytest.raises(ShapeError, match="one for each of 2 queries, got 1"):
            hits.table(named)
        with pytest.raises(ShapeError, match="one for each of 2 queries, got 1"):
            hits.to_json(named)


def test_hits_become_a_data_frame_where_pandas_is(hits, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        hits.to_pandas()
    monkeypatch.undo()
    pytest.importorskip("pandas")
    frame = hits.to_pandas([("walk:1", 7), ("sit", 8)])
    assert frame["rank"].tolist() == [1, 2, 3] and frame["query_clip"].tolist() == ["walk:1"] * 3
