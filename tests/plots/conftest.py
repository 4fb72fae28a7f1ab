"""Fixtures of all tests of plots."""

import pytest


@pytest.fixture
def canonical(standing):
    """`standing` faces +x with the left at +y; canonical faces -x with the right at +y: turned by half a circle."""
    return (standing - standing[0]) * [-1, -1, 1]


@pytest.fixture
def drawn(monkeypatch):
    """The figures of matplotlib that are handed over to be written."""
    figures = []
    for module in ("bodies.sheet", "curves.history"):
        monkeypatch.setattr(f"vipe.plots.{module}.save_picture", lambda path, figure: figures.append(figure))
    return figures
