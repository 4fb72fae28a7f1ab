import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.plots.pages.contact_sheet import check_contact_sheet, save_contact_sheet
from vipe.store.most_different import DifferentPoses

ODD = "a $\\frac{1}$ <i>walk</i> & 歩く " + "x" * 90


@pytest.fixture
def found(bent):
    return DifferentPoses(
        poses=bent(7, seed=0),
        clip=("walk", ODD, "b", "c", "d", "e", "f"),
        frame=np.arange(7),
        time=np.arange(7, dtype=np.float32) / 10,
        distance=np.ones(7, dtype=np.float32),
    )


def test_a_page_shows_each_pose_with_its_place(found, tmp_path):
    save_contact_sheet(tmp_path / "s.html", "Poses of <b>", found, rows=5000)
    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert page.count("<canvas") == 7
    assert "7 poses of 5,000" in page
    assert "frame 3, 0.30 s" in page
    assert "<i>walk" not in page
    assert "&lt;i&gt;walk" in page


@pytest.mark.filterwarnings("error")
def test_a_picture_takes_any_name(found, tmp_path):
    save_contact_sheet(tmp_path / "s.png", "Poses of $a_", found, rows=5000)
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_a_place_that_is_neither_page_nor_picture_is_refused_before_any_work(tmp_path):
    for name, message in (("s.txt", r"ends in \.txt"), ("s", "ends in nothing")):
        with pytest.raises(VipeError, match=message):
            check_contact_sheet(tmp_path / name)
    (tmp_path / "s.html").mkdir()
    with pytest.raises(VipeError, match="is a folder"):
        check_contact_sheet(tmp_path / "s.html")
    check_contact_sheet(tmp_path / "s.png")
    assert [path.name for path in tmp_path.iterdir()] == ["s.html"]
