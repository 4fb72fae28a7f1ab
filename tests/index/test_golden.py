"""Indexes that past versions wrote: they open for ever, and answer what they answered."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vipe.errors import IndexFormatError
from vipe.index import PoseIndex

GOLDEN = Path(__file__).parent / "golden"
INDEXES = sorted(str(path.parent.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*/manifest.json"))


def test_indexes_of_every_format_are_kept():
    assert [
        *(f"v1/{name}" for name in ("affine-flat", "affine-fp16", "affine-int8", "v-vipe-flat", "v-vipe-ivf")),
        "v2/affine-own",
        *(f"v3/{name}" for name in ("affine-int8", "v-vipe-flat")),
    ] == INDEXES


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_of_a_past_format_says_which(name):
    index = PoseIndex.open(GOLDEN / name)
    assert index.info()["format_version"] == int(name[1])
    index.verify()


def test_parts_and_removed_poses_of_format_3_are_as_they_were():
    info = PoseIndex.open(GOLDEN / "v3" / "v-vipe-flat").info()
    assert (info["poses"], info["parts"], info["removed"], info["clips"], info["fps"]) == (93, 2, 5, 3, 15.0)


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_of_a_past_format_answers_what_it_answered(name):
    index = PoseIndex.open(GOLDEN / name)
    answered = json.loads((GOLDEN / f"{name}.json").read_text())
    z = np.array(answered["z"], dtype=np.float32)
    for rows, distance, hits in (
        ("rows", "distance", index.search(z, 5)),
        ("sit_rows", "sit_distance", index.search(z, 3, where={"clip": "sit"})),
    ):
        np.testing.assert_array_equal(hits.rows, answered[rows])
        np.testing.assert_allclose(hits.distance, answered[distance], atol=1e-5)
    assert index.info()["recipe"] == name.split("-")[-1]
    assert index.encoder.fingerprint == index.info()["fingerprint"]


@pytest.mark.parametrize("name", INDEXES)
@pytest.mark.parametrize("file", ["index.faiss", "embeddings.npy", "frames.parquet", "manifest.json"])
def test_an_altered_byte_in_a_past_index_is_refused(name, file, tmp_path):
    folder = shutil.copytree(GOLDEN / name, tmp_path / "index")
    place = folder if name[1] < "3" or file == "manifest.json" else folder / "parts" / "00001"
    data = bytearray((place / file).read_bytes())
    at = data.index(b"fingerprint") + 16 if file == "manifest.json" else len(data) // 2
    data[at] ^= 1
    (place / file).write_bytes(data)
    with pytest.raises(IndexFormatError, match=file.replace(".", r"\.")):
        PoseIndex.open(folder)
