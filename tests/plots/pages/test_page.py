import json
import re

import pytest

pytest.importorskip("jinja2")

from vipe.plots.figures import Card, figure_3d
from vipe.plots.pages.page import Section, save_page


def test_a_page_holds_every_figure_and_nothing_from_elsewhere(tmp_path, canonical):
    card = Card(figure=figure_3d(canonical), title="</script><b>walk", note="0.01", hit=True)
    save_page(
        tmp_path / "page.html", "A & B", [Section(title="q", rows=[("affine", [card, card])])], table=[["a"], ["1"]]
    )
    html = (tmp_path / "page.html").read_text()
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', html, re.S).group(1))
    assert len(figures) == html.count("<canvas data-figure") == 2
    assert "A &amp; B" in html
    assert "<b>walk" not in html  # a clip's name is text
    assert not re.search(r"https?://|src=|<link", html)


def test_a_hit_is_drawn_in_two_ways_with_its_probability(tmp_path, canonical):
    figure = figure_3d(canonical)
    cards = [
        Card(figure=figure, title="query"),
        Card(figure=figure, beside=figure, title="1.", probability=0.834),
        Card(figure=figure, beside=figure, title="2.", probability=0.001),
    ]
    save_page(tmp_path / "page.html", "t", [Section(title="q", rows=[("", cards)])])
    html = (tmp_path / "page.html").read_text()
    assert html.count("<canvas data-figure") == 5
    assert html.count('class="bar"') == 2
    assert "width: 83%" in html
    assert "&lt;1%" in html


def test_no_place_of_the_machine_is_on_a_page_wherever_it_was_written(tmp_path, canonical):
    place = "/home/ada/mocap/walk.bvh"
    card = Card(figure=figure_3d(canonical), title=place, note=place, bars=((place, 0.5, "1"),))
    section = Section(title=place, note=place, code=place, facts=[(place, place)], table=[[place], [place]])
    rows = Section(title="t", rows=[(place, [card])])
    save_page(tmp_path / "page.html", place, [section, rows], intro=place, table=[[place], [place]])
    html = (tmp_path / "page.html").read_text()
    assert "ada" not in html
    assert html.count("walk.bvh") >= 15
