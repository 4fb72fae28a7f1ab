"""Labels of rows, and filters by them."""

import numpy as np
import pyarrow.compute as pc
import pytest

from vipe.errors import VipeError

BLANKS = {"id": -1, "clip": "", "frame": -1, "time": np.nan, "subject": "nobody", "action": "", "source": ""}


@pytest.mark.parametrize(("column", "blank"), BLANKS.items())
def test_a_look_up_gives_the_column_at_the_rows_and_a_blank_at_empty_places(index, column, blank):
    rows = np.array([[45, -1, 3], [-1, 89, 45]])
    found = index.look_up(column, rows, blank)
    np.testing.assert_array_equal(found[rows >= 0], index.frames()[column][[45, 3, 89, 45]])
    np.testing.assert_array_equal(found[rows < 0], [blank, blank])
    assert list(BLANKS) == list(index.frames())


def test_a_look_up_in_no_column_is_refused(index):
    with pytest.raises(VipeError, match="no column 'clib'; the columns of an index are id, clip, frame"):
        index.look_up("clib", np.array([0]), "")


def test_rows_of_one_clip_have_one_code_and_their_times_in_it(index):
    clips, codes = index.frames()["clip"], index.clip_codes
    np.testing.assert_array_equal(codes[:, None] == codes, clips[:, None] == clips)
    np.testing.assert_allclose(index.times, np.r_[0:40, 0:30, 0:20] / 10)


def test_a_filter_on_what_is_not_there_is_refused(index):
    z = np.asarray(index.embeddings[0])
    with pytest.raises(VipeError, match=r"no column 'clib'; the columns of an index are id, clip, frame"):
        index.search(z, 5, where={"clib": "sit"})
    with pytest.raises(VipeError, match=r"where: .*clib.*the columns of an index are id, clip, frame"):
        index.search(z, 5, where=pc.field("clib") == "sit")
    with pytest.raises(VipeError, match="the columns of an index are"):
        index.search(z, 5, where={"frame": "sit"})
    with pytest.raises(VipeError, match=r"rows must lie in 0 ... 89, got 0 ... 90"):
        index.search(z, 5, where=np.array([0, 90]))


@pytest.mark.refusal
def test_a_mask_is_not_taken_for_rows(index):
    with pytest.raises(VipeError, match="rows must be a list of integers, got bool"):
        index.rows(np.ones(90, dtype=bool))
