"""A picture is there whole or not at all."""

import pytest

from vipe.errors import VipeError
from vipe.plots.writing import check_page, check_picture, save_picture


@pytest.fixture
def drawn():
    return pytest.importorskip("matplotlib.figure").Figure(figsize=(1, 1))


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("new/a.PNG", b"\x89PNG")])
def test_the_name_says_the_format_and_its_folder_is_made(tmp_path, drawn, name, start):
    check_picture(tmp_path / name)
    save_picture(tmp_path / name, drawn)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_what_cannot_be_drawn_leaves_the_picture_that_was_there(tmp_path, drawn, monkeypatch):
    (tmp_path / "a.png").write_text("old")

    def full(file, **_):
        file.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drawn, "savefig", full)
    with pytest.raises(VipeError, match=r"a.png: the picture cannot be written: No space left"):
        save_picture(tmp_path / "a.png", drawn)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a.png", "old")]


def test_looking_leaves_no_trace(tmp_path):
    check_page(tmp_path / "new" / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_dollar_signs_in_names_are_no_formulas(tmp_path, drawn):
    """Matplotlib would refuse this one as a formula when it draws, after all the work."""
    above, beside = drawn.subplots(1, 2)
    drawn.suptitle(r"$\frac$")
    above.set_title(r"$\frac$")
    above.set_xlabel(r"$\frac$")
    above.text(0, 0, r"$\frac$")
    above.plot([0, 1], [1, 2], label=r"$\frac$")
    above.legend()
    beside.set_yscale("log")
    save_picture(tmp_path / "a.svg", drawn)
    assert not above.title.get_parse_math()
    assert beside.yaxis.get_majorticklabels()[0].get_parse_math()


def test_a_page_is_no_other_kind_of_file(tmp_path):
    for name in ("page.pdf", "page.png", "page.json"):
        with pytest.raises(VipeError, match=r"expected the name of a page that ends in \.html"):
            check_page(tmp_path / name)
    for name in ("page", "page.htm", "page.HTML"):
        check_page(tmp_path / name)
