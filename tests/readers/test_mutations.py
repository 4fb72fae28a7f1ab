"""Files and archives with altered bytes: a clip or one line that says why not, never anything else, and quickly."""

import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers import Limits, read
from vipe.readers.rigs import asf_amc, bvh
from vipe.readers.rigs.asf import read_bones

WORDS = [
    b"nan",
    b"-inf",
    b"1e999",
    b"{",
    b"}",
    b"\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b"MOTION\n",
    b"ROOT x\n",
    b"9" * 30,
    b"-",
]
SETTINGS = settings(max_examples=100, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def mutations(draw):
    """Up to four edits: where (a share of the file), how many bytes go, what comes instead."""
    edit = st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.binary(max_size=6), st.sampled_from(WORDS)))
    return draw(st.lists(edit, min_size=1, max_size=4))


def mutate(data, edits):
    for share, gone, new in edits:
        at = int(share * len(data))
        data = data[:at] + new + data[at + gone :]
    return data


def clips_or_error(read_them):
    try:
        clips = list(read_them())
    except ReadError as error:
        assert str(error).isprintable(), str(error)
        return
    for clip in clips:
        assert isinstance(clip, Clip)
        assert np.isfinite(clip.positions).all()


@SETTINGS
@given(edits=mutations())
@example(edits=[(0.0, 0, b"\xef\xbb\xbf\xff")])
def test_bvh(arm_bvh, arm, edits):
    data = mutate(arm_bvh, edits)
    clips_or_error(lambda: [bvh.read(io.BytesIO(data), "walk.bvh", [arm])])


@SETTINGS
@given(edits=mutations())
def test_amc(leg_amc, leg_asf, leg, edits):
    bones = read_bones(io.BytesIO(leg_asf), "01.asf")
    data = mutate(leg_amc, edits)
    clips_or_error(lambda: [asf_amc.read(io.BytesIO(data), "01_01.amc", [leg], bones=bones)])


@SETTINGS
@given(edits=mutations())
def test_asf(leg_amc, leg_asf, leg, edits):
    data = mutate(leg_asf, edits)

    def read_both():
        bones = read_bones(io.BytesIO(data), "01.asf")
        return [asf_amc.read(io.BytesIO(leg_amc), "01_01.amc", [leg], bones=bones)]

    clips_or_error(read_both)


def packed(suffix, files):
    out = io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), {"comment": "x" * 40}
            archive.addfile(info, io.BytesIO(data))
    compress = {".tar": bytes, ".tar.gz": gzip.compress, ".tar.xz": lzma.compress}
    return compress.get(suffix, lambda data: pa.Codec("zstd").compress(data).to_pybytes())(out.getvalue())


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".zip"])
@settings(SETTINGS, max_examples=40)
@given(edits=mutations())
def test_archives(suffix, leg_amc, leg_asf, leg, arm_bvh, arm, edits):
    data = mutate(packed(suffix, {"a/01_01.amc": leg_amc, "a/01.asf": leg_asf, "b.bvh": arm_bvh}), edits)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"walks{suffix}"
        path.write_bytes(data)
        clips_or_error(lambda: read(path, skeletons=[arm, leg], limits=Limits(total_bytes=1 << 24)))
