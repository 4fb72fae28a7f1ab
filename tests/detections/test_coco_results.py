"""Long lists of COCO results: read a block of people at a time, with the answers and refusals of one block."""

import json
import tracemalloc

import numpy as np
import pytest

from vipe.detections import read_keypoints
from vipe.detections.json_forms import coco_results, json_files, numbers
from vipe.detections.people import as_queries, shares
from vipe.errors import ReadError, VipeError


def people(count, joints=17, **more):
    values = np.random.default_rng(0).uniform(1, 90, (count, joints, 3)).round(1)
    values[..., 2] = 0.9
    return [
        {"image_id": n, "track_id": n % 3, "keypoints": row.ravel().tolist()} | more for n, row in enumerate(values)
    ]


@pytest.fixture
def read(tmp_path, monkeypatch):
    def read(rows, block):
        monkeypatch.setattr(coco_results, "_BLOCK", block)
        path = tmp_path / "people.json"
        path.write_text(json.dumps(rows))
        return read_keypoints(path)

    return read


@pytest.mark.parametrize("first", [[], [0] * 51, [0] * 39], ids=["no list", "17 zeros", "13 zeros"])
def test_people_who_are_found_nowhere_may_come_first(read, first):
    rows = people(9)
    rows[0] = rows[1] = rows[2] = {**rows[0], "keypoints": first}
    if len(first) == 39:
        with pytest.raises(ReadError, match=r"result 3 .*17 joints, expected 13"):
            read(rows, 3)
        return
    whole, parts = read(rows, 100), read(rows, 3)
    np.testing.assert_array_equal(parts.xy, whole.xy)
    assert parts.note == whole.note


@pytest.mark.parametrize("block", [1, 3, 10])
def test_blocks_of_people_are_read_as_all_at_once(read, block):
    rows = people(10)
    rows[4]["keypoints"] = [0] * 51  # nobody is found
    whole, parts = read(rows, 100), read(rows, block)
    assert parts.image_id == whole.image_id
    assert parts.note == whole.note
    for name in ("xy", "mask", "confidence", "track", "person"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_a_fault_far_down_a_list_is_told_with_its_number_in_the_whole_list(read):
    rows = people(10)
    rows[7]["keypoints"] = [1, 2, 300] * 17
    with pytest.raises(ReadError, match=r"result 7 \(image_id 7\): score of nose is 300"):
        read(rows, 4)


def test_people_of_later_blocks_must_have_as_many_joints_and_an_image_too(read):
    with pytest.raises(ReadError, match=r"result 4 .*14 joints, expected 17 as of the others"):
        read([*people(4), *people(4, joints=14)], 4)
    nameless = [{key: value for key, value in row.items() if key != "image_id"} for row in people(4)]
    with pytest.raises(ReadError, match="result 4 has no image_id, but others have"):
        read([*people(4), *nameless], 4)
    with pytest.raises(ReadError, match="result 0 has no image_id, but others have"):
        read([*nameless, *people(4)], 4)


def test_more_people_than_memory_is_meant_for_are_refused_before_they_are_decoded(read, monkeypatch):
    monkeypatch.setattr(coco_results, "_MOST", 5)
    assert len(read(people(5), 4)) == 5
    monkeypatch.setattr(coco_results, "_RESULTS", None)
    with pytest.raises(ReadError, match="6 people, expected at most 5; split the file by images or frames"):
        read(people(6), 4)


def test_beside_the_file_memory_holds_the_numbers_and_the_people_once(tmp_path, monkeypatch):
    for module in (coco_results, as_queries, numbers, shares):
        monkeypatch.setattr(module, "_BLOCK", 250)
    monkeypatch.setattr(json_files, "_PREFIX", 2**14)
    path = tmp_path / "people.json"
    path.write_text(json.dumps(people(6_000)))
    read_keypoints(path)
    tracemalloc.start()
    found = read_keypoints(path, skeleton="coco17")
    peak = tracemalloc.get_traced_memory()[1] - path.stat().st_size
    tracemalloc.stop()
    as_in_file = 17 * 3 * 4 * len(found)
    kept = found.xy.nbytes + found.confidence.nbytes + found.mask.nbytes
    assert peak < as_in_file + kept + 200 * len(found)  # ids and notes are Python objects


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "people.json"
    path.write_text(json.dumps(people(2)))
    found, before = read_keypoints(path), path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(VipeError, match=r"people.json: the keypoints cannot be written: No space left on device"):
        coco_results.write(path, found)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["people.json"]
