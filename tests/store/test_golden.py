"""Stores that past versions wrote: they open for ever, and hold what they held."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vipe.errors import StoreError
from vipe.store import PoseStore

GOLDEN = Path(__file__).parent / "golden"
FORMATS = ["v1"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_store_of_a_past_format_holds_what_it_held(name):
    store, held = PoseStore.open(GOLDEN / name), json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert store.summary == held["summary"]
    assert store.clips() == held["clips"]
    assert store.table(["frame"])["frame"].to_pylist() == held["frames"]
    assert hashlib.sha256(store.poses().tobytes()).hexdigest() == held["poses_sha256"]


@pytest.mark.parametrize("name", FORMATS)
def test_an_altered_byte_in_a_past_store_is_refused(name, tmp_path):
    folder = shutil.copytree(GOLDEN / name, tmp_path / name)
    part = folder / "part-00001.parquet"
    column = pq.ParquetFile(part).metadata.row_group(0).column(7)
    data = bytearray(part.read_bytes())
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(StoreError, match=r"part-00001\.parquet"):
        PoseStore.open(folder).poses()
