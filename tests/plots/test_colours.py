"""Colours are told apart by everybody, on white and on dark ground: as dichromats see them by Machado et al. 2009."""

import re
from itertools import combinations

import numpy as np
import pytest

from vipe.plots.curves.series import series
from vipe.plots.figures import colours
from vipe.plots.paint import DARK_GROUND, DARK_INK, repaint

SEEN_BY = {  # Machado et al. 2009, severity 1: linear RGB as it is to what is seen
    "everybody": np.eye(3),
    "protanopes": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
LEAST = 20  # CIELAB distance; about 2.3 is just noticed side by side, far more is needed for thin lines


def linear(colour):
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    part = XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(axis=1)
    f = np.where(part > (6 / 29) ** 3, np.cbrt(part), part / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(one, other, seen_by="everybody"):
    eye = np.array(SEEN_BY[seen_by])
    return float(np.linalg.norm(lab(eye @ linear(one)) - lab(eye @ linear(other))))


def contrast(one, other):
    dark, light = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize(
    "together",
    [("left", "right", "middle"), ("hit", "miss"), ("left", "right", "third", "fourth", "middle")],
    ids=["sides", "verdicts", "series"],
)
def test_colours_that_stand_together_are_told_apart(together, seen_by):
    for one, other in combinations(together, 2):
        assert apart(colours()[one], colours()[other], seen_by) > LEAST, (one, other)


@pytest.mark.parametrize("ground", ["#ffffff", DARK_GROUND])
@pytest.mark.parametrize("name", sorted(colours().keys() - {"missing"}))
def test_a_colour_stands_out_from_paper_and_from_a_dark_page(name, ground):
    assert contrast(colours()[name], ground) > 3  # WCAG 2.1, 1.4.11: graphical objects


def test_what_lies_behind_stands_back_but_is_seen():
    for ground in ("#ffffff", DARK_GROUND):
        assert contrast(colours()["missing"], ground) > 2
    assert contrast(colours()["missing"], "#ffffff") < contrast(colours()["middle"], "#ffffff")


def test_letters_are_read_on_a_dark_page():
    assert contrast(DARK_INK, DARK_GROUND) > 7  # WCAG 2.1, 1.4.6


def test_the_check_finds_a_bad_pair():
    """Matplotlib's green and red, which deuteranopes take for each other."""
    assert apart("#2ca02c", "#d62728") > 100
    assert apart("#7f7f00", "#c03a00", "deuteranopes") < LEAST
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    np.testing.assert_allclose(lab(linear("#ff0000")), [53.24, 80.09, 67.20], atol=0.02)


def test_lines_of_a_chart_differ_in_colour_or_marker():
    styles = [(style["color"], style["marker"]) for style in series(12)]
    assert len(set(styles)) == 12
    assert len({colour for colour, _ in styles[:5]}) == 5


def test_no_plot_has_colours_of_its_own():
    from importlib.resources import files

    allowed = {*colours().values(), DARK_GROUND, DARK_INK}
    for folder in ("bodies", "curves"):
        for file in files("vipe.plots").joinpath(folder).iterdir():
            if file.name.endswith(".py"):
                found = set(re.findall(r'"#[0-9a-f]{6}"', file.read_text(encoding="utf-8")))
                assert {colour.strip('"') for colour in found} <= allowed, file.name


def test_repainting_leaves_colours_alone():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.subplots()
    blue, black = axes.plot([0, 1], color="blue")[0], axes.plot([0, 1], color="black")[0]
    repaint(figure, DARK_INK, DARK_GROUND)
    assert (blue.get_color(), black.get_color()) == ("blue", DARK_INK)
