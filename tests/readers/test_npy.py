"""Arrays of numpy's files, with nothing run: what comes out is what went in, and nothing else goes in."""

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from readers.bodies import npy, npz

from vipe.errors import ReadError
from vipe.readers import Limits
from vipe.readers.arrays.npy import Npz, read_npy
from vipe.readers.arrays.pickles import read_pickle

VALUES = {
    "S1": {"Walk 1": np.arange(24.0, dtype="f4").reshape(2, 4, 3), "Sit": np.asfortranarray(np.eye(3)[:2])},
    "plain": [1, -2, 1 << 40, 2.5, None, True, False, "text", (1, 2, 3, 4, (5,)), b"bytes"],
    "scalar": np.float64(3.5),
    "types": [np.array([0, 1, 1]).astype(kind) for kind in ("i1", "u2", ">i4", "f8", "?")],
    "pair": (np.arange(2), "a"),
    "texts": np.array(["a", "bc"]),
}


class Evil:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Stateful:
    def __setstate__(self, state):
        raise AssertionError("run")


def pickled(value, protocol=4):
    return pickle.dumps(value, protocol=protocol)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_and_arrays_come_out_as_they_went_in(protocol):
    # In protocol 5 arrays go through another function of numpy, which np.save never writes.
    values = VALUES if protocol < 5 else {"plain": VALUES["plain"]}
    np.testing.assert_equal(read_pickle(pickled(values, protocol), "x"), values)


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_the_names_of_every_numpy_are_known(module):
    data = pickled(np.arange(3.0), 2).replace(b"numpy._core.multiarray", module)
    np.testing.assert_array_equal(read_pickle(data, "x"), np.arange(3.0))


def test_an_array_of_objects_is_what_it_holds(tmp_path):
    np.testing.assert_equal(read_npy(npy(np.array(VALUES, dtype=object)), "x.npy"), VALUES)
    assert read_npy(npy(np.array(["a", None, [1]], dtype=object)), "x.npy") == ["a", None, [1]]


@pytest.mark.parametrize(
    "value",
    [
        Evil(os.system, "echo run > /dev/null"),
        Evil(eval, "1 + 1"),
        Evil(getattr, "text", "upper"),
        Evil(np.load, "file.npy"),
        Evil(bytearray, 1 << 40),
        Stateful(),
        {1: "keys that are not text"},
        {("a", "b"): 1},
        {1, 2},
        complex(1, 2),
        np.dtype([("a", "f4")]),
        (np.dtype("f4"),),
        np.ndarray,
        np.datetime64("2020-01-01"),
        np.array([1 + 2j]),
        1 << 80,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_and_not_run(value, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("run"))
    for protocol in (2, 4):
        with pytest.raises(ReadError, match=r"^x: "):
            read_pickle(pickled([value], protocol), "x")


def test_the_name_of_what_a_file_wants_to_run_is_told():
    with pytest.raises(ReadError, match=r"objects with the name '\w+\.system', expected plain values"):
        read_pickle(pickled(Evil(os.system, "true")), "x")


@pytest.mark.parametrize(
    "opcode", [b"\x82\x01", b"\x83\x01\x00", b"P1\n", b"Q", b"ia\nb\n", b"o", b"\x81", b"\x92", b"\x97", b"\x98"]
)
def test_words_that_make_objects_are_unknown(opcode):
    with pytest.raises(ReadError, match="nothing in the file was run"):
        read_pickle(b"\x80\x04(" + opcode + b".", "x")


def test_a_repeated_text_does_not_fill_the_memory():
    text = "é" * 100_000
    call = b"c_codecs\nencode\n"
    data = b"\x80\x02" + b"X" + struct.pack("<I", len(text.encode())) + text.encode() + b"q\x00"
    data += b"(" + (call + b"h\x00X\x06\x00\x00\x00latin1\x86R") * 1000 + b"t."
    with pytest.raises(ReadError, match="more bytes than the file has"):
        read_pickle(data, "x")


def test_a_place_far_away_costs_nothing():
    assert read_pickle(b"\x80\x04N" + b"r" + struct.pack("<I", 0xFFFFFFFF) + b".", "x") is None


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.zeros((0, 3)), np.float32(2), np.array(["a", "é"])], ids=str
)
def test_numbers_and_text_come_out_as_they_went_in(array):
    np.testing.assert_array_equal(read_npy(npy(array), "x.npy"), array)
    np.testing.assert_array_equal(read_npy(npy(np.asfortranarray(array)), "x.npy"), array)


def test_arrays_lie_over_the_files_bytes():
    assert not read_npy(npy(np.arange(5.0)), "x.npy").flags.owndata


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"\x93NUMPY", b"\x93NUMPX", "is it .npy"),
        (b"(2, 3)", b"(9, 9)", "expected 648; was it cut?"),
        (b"(2, 3)", b"(-1, )", "the header is"),
        (b"'<f8'", b"'<c8'", "the header is"),
        (b"False", b"Fal()", "the header is"),
        (b"'<f8'", b"'<f7'", "numbers of the kind f7"),
    ],
)
def test_a_broken_array_is_one_line(old, new, message):
    with pytest.raises(ReadError, match=f"^x.npy: .*{message}") as caught:
        read_npy(npy(np.zeros((2, 3))).replace(old, new, 1), "x.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800])
def test_text_of_characters_that_do_not_exist_is_refused(code):
    data = npy(np.array(["ab", "cd"])).replace(struct.pack("<I", ord("c")), struct.pack("<I", code))
    with pytest.raises(ReadError, match="characters that do not exist"):
        read_npy(data, "x.npy")


def test_a_shape_beyond_the_file_allocates_nothing():
    data = npy(np.zeros((2, 3))).replace(b"(2, 3), }" + b" " * 8, b"(99999999, 9999),}")
    with pytest.raises(ReadError, match="was it cut"):
        read_npy(data, "x.npy")


def test_arrays_are_found_by_name_and_checked_by_shape():
    arrays = Npz(npz(poses=np.zeros((5, 72)), gender=np.array("male"), fps=np.array([30]), bad=np.array([np.nan])), "x")
    assert arrays.names == {"poses", "gender", "fps", "bad"}
    assert arrays.numbers("poses", None, 72).shape == (5, 72)
    assert (arrays.text("gender"), arrays.scalar("fps"), "trans" in arrays) == ("male", 30.0, False)
    for ask, message in (
        (lambda: arrays.numbers("poses", None, 3), r"x/poses.npy: an array \(5, 72\), expected \(any, 3\)"),
        (lambda: arrays.numbers("gender", None), "not an array of numbers"),
        (lambda: arrays.numbers("bad", None), "not finite"),
        (lambda: arrays.scalar("poses"), "expected one number"),
        (lambda: arrays["trans"], "no array 'trans', it has bad, fps, gender, poses"),
    ):
        with pytest.raises(ReadError, match=message):
            ask()


def test_gender_is_read_however_it_was_written():
    for written in (np.array("male"), np.array(b"male"), np.array(["male"]), np.array("male", dtype=object)):
        assert Npz(npz(gender=written), "x").text("gender") == "male"
    assert Npz(npz(gender=np.zeros(3)), "x").text("gender") == ""


def test_an_array_that_unpacks_to_far_more_than_its_file_is_refused():
    bomb = npz(poses=np.zeros((1 << 14, 156)))
    with pytest.raises(ReadError, match="is it an archive bomb"):
        Npz(bomb, "x", Limits(ratio_from=1 << 16, ratio=20.0))["poses"]


def test_a_size_that_the_zip_lies_about_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros(1000)))
    data = bytearray(file.getvalue())
    at = data.rfind(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 200)
    with pytest.raises(ReadError, match=r"a\.npy"):
        Npz(bytes(data), "x")["a"]


def test_readers_load_no_package_that_most_files_do_not_need():
    heavy = ("h5py", "c3d", "cdflib", "scipy", "torch", "matplotlib")
    code = f"import sys, vipe.readers; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
