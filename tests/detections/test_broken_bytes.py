"""Bytes that were cut or altered give keypoints that hold together, or a ReadError; nothing else."""

import json
from time import process_time

import numpy as np
from detections.keypoint_files import FILES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vipe.detections import Keypoints, read_keypoints
from vipe.errors import ReadError

PIECES = [
    b"[[[",
    b"]",
    b"}",
    b",",
    b"\n",
    b'"nose"',
    b"\xff\xff\xff\x7f",
    b"null",
    b"-1",
    b"1e308",
    b"1e400",
    b"-0",
    b'""',
    b"[]",
    b"{}",
    b"NaN",
    b"\xff",
    b"\x00",
    b"9" * 40,
    b"true",
]


KEYS = [
    "annotations", "people", "images", "categories", "keypoints", "image_id", "id", "width", "instance_info", "x", "y",
    "instances", "predictions", "landmarks", "keypoint_scores", "nose", "frame", "image", "track_id", "idx",
]  # fmt: skip
SLOWEST = 1.0  # seconds


@st.composite
def mutated(draw):
    name = draw(st.sampled_from(sorted(FILES)))
    data = FILES[name]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data = data[:start] + draw(st.sampled_from(PIECES) | st.binary(max_size=8)) + data[end:]
    return name, data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def json_values():
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    keys = st.sampled_from(KEYS)
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


def check(path, data):
    path.write_bytes(data)
    start = process_time()
    try:
        keypoints = read_keypoints(path)
    except ReadError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return
    finally:
        assert process_time() - start < SLOWEST
    assert isinstance(keypoints, Keypoints)
    assert len(keypoints) > 0
    assert np.isfinite(keypoints.xy).all()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=mutated())
def test_altered_files(tmp_path, file):
    check(tmp_path / file[0], file[1])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values())
def test_any_json(tmp_path, value):
    check(tmp_path / "x.json", json.dumps(value).encode())
