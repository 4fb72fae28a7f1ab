"""Every picture looks as it did when somebody looked at it last; `python tests/plots/examples.py` draws them again."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib import rc_context
from plots.examples import PICTURES, REFERENCES, differences, looks_like, pixels

from vipe.plots import figures
from vipe.plots.paint import repaint

BODIES = ("skeleton_2d", "skeleton_3d", "hypotheses", "generation_strip", "sheet")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_looks_like_its_reference(name):
    assert looks_like(PICTURES[name](), name)


@pytest.mark.parametrize("name", ["skeleton_2d", "sheet", "error_by_samples", "search"])
def test_letters_may_be_drawn_otherwise(name):
    with rc_context({"text.hinting": "none", "text.antialiased": False}):
        assert looks_like(PICTURES[name](), name)


def test_there_is_a_small_reference_of_every_picture_and_no_other():
    assert {file.stem for file in REFERENCES.iterdir()} == set(PICTURES)
    assert max(file.stat().st_size for file in REFERENCES.iterdir()) < 30_000


@pytest.fixture
def exchanged(monkeypatch):
    right = dict(figures.colours())
    wrong = right | {"left": right["right"], "right": right["left"]}
    monkeypatch.setattr(figures, "colours", lambda: wrong)


@pytest.mark.parametrize("name", BODIES)
def test_exchanged_sides_do_not_look_right(name, exchanged):
    assert not looks_like(PICTURES[name](), name)


@pytest.mark.parametrize("name", BODIES)
def test_a_stretched_body_does_not_look_right(name):
    drawn = PICTURES[name]()
    for axes in drawn.axes:
        if name == "skeleton_3d":
            axes.set_box_aspect((2, 1, 1))
        else:
            axes.set_aspect(1.6)
    assert not looks_like(drawn, name)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_upside_down_does_not_look_right(name):
    drawn = PICTURES[name]()
    for axes in drawn.axes:
        (axes.invert_zaxis if name == "skeleton_3d" else axes.invert_yaxis)()
    assert not looks_like(drawn, name)


def test_the_difference_of_pictures_is_that_of_what_is_drawn():
    white, line, moved = np.ones((40, 60, 3)), np.ones((40, 60, 3)), np.ones((40, 60, 3))
    line[:, 10:12], moved[:, 40:42] = 0, 0
    assert differences(line, line) == (0, 0)
    assert differences(line, moved) == differences(line, white) == (pytest.approx(1), 0)
    assert differences(line, line[:20]) == (1, 1)
    blue, orange = line + [0, 0, 0.5] * (line == 0), line + [0.5, 0, 0] * (line == 0)
    assert differences(blue, orange)[1] > 0.6


@pytest.mark.parametrize("name", ["skeleton_3d", "hypotheses", "error_by_samples", "search"])
def test_a_dark_picture_has_a_dark_ground_light_letters_and_the_same_colours(name):
    light, dark = pixels(PICTURES[name]()), PICTURES[name]()
    repaint(dark, "#e6e9ee", "#171b21")
    dark = pixels(dark)
    ground = np.array([0x17, 0x1B, 0x21]) / 255
    assert (np.abs(dark - ground).max(axis=-1) < 0.02).mean() > 0.5
    assert (dark.max(axis=-1) < 0.05).mean() < 0.001  # nothing black is left
    for colour in ("left", "right"):
        wanted = np.array([int(figures.colours()[colour][i : i + 2], 16) for i in (1, 3, 5)]) / 255
        counts = [(np.abs(picture - wanted).max(axis=-1) < 0.15).sum() for picture in (light, dark)]
        assert counts[0] == 0 or counts[1] > 0.3 * counts[0]
