"""Bytes that were cut or altered give keypoints that hold together, or a ReadError; nothing else."""

import json

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vipe.detections import Keypoints, read_keypoints
from vipe.errors import ReadError
from vipe.skeletons import load

_NUMBERS = [12.5, 30, 2] * 17
_CATEGORY = {"id": 1, "name": "person", "keypoints": list(load("coco17").joints)}
_ANNOTATION = {"id": 3, "image_id": 7, "category_id": 1, "iscrowd": 0, "keypoints": _NUMBERS}
GOOD = [
    json.dumps(content).encode()
    for content in (
        {"images": [{"id": 7, "width": 64, "height": 48}], "annotations": [_ANNOTATION] * 2, "categories": [_CATEGORY]},
        [{"image_id": 7, "category_id": 1, "keypoints": [12.5, 30, 0.9] * 17, "score": 0.9}] * 2,
        {"version": 1.2, "people": [{"pose_keypoints_2d": [12.5, 30, 0.9] * 25}] * 2},
    )
]
PIECES = [b"null", b"-1", b"1e308", b"1e400", b"-0", b'""', b"[]", b"{}", b"NaN", b"\xff", b"\x00", b"9" * 40, b"true"]


@st.composite
def mutated(draw):
    data = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data = data[:start] + draw(st.sampled_from(PIECES) | st.binary(max_size=8)) + data[end:]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def json_values():
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    keys = st.sampled_from(["annotations", "people", "images", "categories", "keypoints", "image_id", "id", "width"])
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


def check(path, data):
    path.write_bytes(data)
    try:
        keypoints = read_keypoints(path)
    except ReadError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return
    assert isinstance(keypoints, Keypoints)
    assert len(keypoints) > 0
    assert np.isfinite(keypoints.xy).all()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=mutated())
def test_altered_files(tmp_path, data):
    check(tmp_path / "x.json", data)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values())
def test_any_json(tmp_path, value):
    check(tmp_path / "x.json", json.dumps(value).encode())
