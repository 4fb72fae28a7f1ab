import re

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from plots.examples import PICTURES

from vipe.plots.figures import colours
from vipe.plots.pages.inline import inline_svg
from vipe.plots.writing import new_figure


def test_a_picture_in_a_page_has_no_address_no_ground_and_the_letters_of_the_page():
    text = str(inline_svg(PICTURES["search"](), "Hits & misses"))
    assert text.startswith('<svg viewBox="0 0 ')
    assert 'aria-label="Hits &amp; misses"' in text
    assert "http" not in text and "<style" not in text and "<metadata" not in text
    assert "currentColor" in text
    assert not re.search(r"#000000|#010203|(fill|stroke): #ffffff", text)
    assert colours()["left"] in text


def test_the_same_picture_gives_the_same_text():
    one, two = (str(inline_svg(PICTURES["recall_by_speed"](), "speed")) for _ in range(2))
    assert one == two


def test_names_in_a_picture_lose_their_places():
    figures = []
    for name in ("/home/ada/models/mine", "mine"):
        figure = new_figure(2.0, 1.0)
        figure.suptitle(name)
        figures.append(str(inline_svg(figure, "lifter")))
    assert figures[0] == figures[1]
