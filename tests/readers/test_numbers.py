"""Rows of numbers: the fast way, the slow way, and what both refuse."""

import numpy as np
import pytest

from vipe.errors import ReadError
from vipe.readers.numbers import parse_float, parse_rows


@pytest.mark.parametrize(
    "text",
    [
        b"1 2 3\n4 5 6\n",
        b"1 2 3\n4 5 6",
        b"1 2 3 \n4 5 6 \n",
        b" 1 2 3\n 4 5 6\n",
        b"1\t2\t3\r\n4\t5\t6\r\n",
        b"1\t2\t3\t\r\n4\t5\t6\t\r\n",
        b"1  2\t 3\n\n\r\n 4 5   6  \n\n",
        b"1 2 3 \n4 5 6\n",
        b"+1 2. 3.0e0\n4 .5e1 600E-2\n",
    ],
    ids=["plain", "no last newline", "trailing", "leading", "tabs", "trailing tabs", "mixed", "uneven", "forms"],
)
def test_any_blanks_part_numbers(text):
    values = parse_rows(b"head\n" + text, 5, rows=2, columns=3, wanted=range(3), name="x")
    np.testing.assert_array_equal(values, [[1, 4], [2, 5], [3, 6]])
    assert values.flags.c_contiguous


def test_numbers_are_those_that_python_reads(rng):
    words = [repr(x) for x in (rng.normal(size=300) * 10.0 ** rng.integers(-20, 20, 300)).tolist()]
    words[:6] = ["7.62852e-016", "-0", "1E5", "0.1", "179.999999", "-1e-300"]
    text = "\n".join(" ".join(words[i : i + 3]) for i in range(0, 300, 3)).encode()
    values = parse_rows(text, 0, rows=100, columns=3, wanted=range(3), name="x")
    np.testing.assert_array_equal(values.T.ravel(), [float(word) for word in words])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 2 3\n4 5\n", r"x:8: frame 1 has 2 values, expected 3"),
        (b"1 2 3 4\n4 5 6 7\n", r"x:7: frame 0 has 4 values, expected 3"),
        (b"1 2 3 \n4 5 6 7\n", r"x:8: frame 1 has 4 values, expected 3"),
        (b" 1 2 3\n0 4 5 6\n", r"x:8: frame 1 has 4 values, expected 3"),
        (b"1 2 3\n", r"x: the file ends after 1 frames, expected 2"),
        (b"", r"x: the file ends after 0 frames, expected 2"),
        (b"1 2 3\n4 5 6\n\n7 8\n", r"x:10: a line after the last of 2 frames"),
        (b"1 2 3\n4 nan 6\n", r"x:8: frame 1 has the value 'nan', expected a finite number"),
        (b"1 2 3\n4 5 -inf\n", r"x:8: .* '-inf'"),
        (b"1 2 3\n4 5 1e999\n", r"x:8: .* '1e999'"),
        (b"1 2 1_0\n4 5 6\n", r"x:7: .* '1_0'"),
        (b"1 2 0x10\n4 5 6\n", r"x:7: .* '0x10'"),
        (b"1 2 \xff\n4 5 6\n", r"x:7: .*'\\\\xff'"),
        (b'1 2 "3"\n4 5 6\n', r"x:7"),
        (b"1 2 \n4 5 6\n", r"x:7: frame 0 has 2 values"),
        (b"1,2,3\n4,5,6\n", r"x:7: frame 0 has 1 values"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, message):
    with pytest.raises(ReadError, match=message):
        parse_rows(b"\n" * 6 + text, 6, rows=2, columns=3, wanted=range(3), name="x")


def test_columns_that_are_not_wanted_are_counted_and_looked_over():
    def parse(text):
        return parse_rows(text, 0, rows=2, columns=3, wanted=[0, 2], name="x")

    for text in (b"1 2 3\n4 5 6\n", b"1 2e0 3\n4 5 6\n", b"1 2 3 \n4 5 6 \n", b"1  2 3\n4 5 6\n"):
        np.testing.assert_array_equal(parse(text), [[1, 4], [3, 6]])
    for text in (b"1 nan 3\n4 5 6\n", b"1 inf 3\n4 5 6\n", b"1 1e999 3\n4 5 6\n", b"1 3\n4 6\n", b"1 2 x\n4 5 6\n"):
        with pytest.raises(ReadError, match=r"^x:1: frame 0 has"):
            parse(text)


def test_a_huge_claim_takes_no_memory():
    with pytest.raises(ReadError, match="ends after 1 frames, expected 10000000000000"):
        parse_rows(b"1 2 3\n", 0, rows=10**13, columns=3, wanted=range(3), name="x")


@pytest.mark.parametrize("word", ["nan", "inf", "1_0", "", "1e", "--1", "٣", "1e400", "0x1"])
def test_only_finite_decimal_numbers_are_numbers(word):
    assert parse_float(word) is None
