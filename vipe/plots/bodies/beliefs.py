"""Belief maps before and after they are fused with a prior of 3D poses, over the picture (numpy, matplotlib)."""

__all__ = ["BeliefRow", "save_beliefs"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure, save_picture

_COLUMNS = ("network", "prior of 3D poses", "fused")
_DIM = 0.35  # of the grey picture below a map
_SIDE = 1.8  # inches of each picture


@dataclass(frozen=True, kw_only=True)
class BeliefRow:
    """One joint of one person: the picture and three belief maps of it."""

    label: str
    picture: UInt8[Array, "height width 3"]
    network: Float[Array, "h w"]
    prior: Float[Array, "h w"]
    fused: Float[Array, "h w"]
    truth: Float[Array, " 2"]  # pixels of the picture


def save_beliefs(path: Path, rows: Sequence[BeliefRow]) -> None:
    """Draw each row: the picture with the true place, then each map over it with its most confident pixel.

    A circle is the true place, a cross the peak of a map. Maps share one scale of colour, the square root of a belief
    from 0 to 1, so that faint ones show.

    Args:
        path: The picture file; its ending names the format.
        rows: From top to bottom.

    Raises:
        ShapeError: If there is no row.
        MissingExtra: If matplotlib is not installed.
        VipeError: If the file cannot be written.
    """
    if not rows:
        raise ShapeError("a picture of belief maps needs at least one row, got none")
    figure = new_figure(_SIDE * (1 + len(_COLUMNS)), _SIDE * len(rows) + 0.3)
    grid = figure.subplots(len(rows), 1 + len(_COLUMNS), squeeze=False)
    for number, (row, axes) in enumerate(zip(rows, grid, strict=True)):
        height, width = row.picture.shape[:2]
        extent = (0, width, height, 0)
        grey = row.picture.mean(axis=2) / 255
        axes[0].imshow(row.picture, extent=extent, interpolation="nearest")
        axes[0].set_ylabel(row.label, fontsize=9)
        for name, axis, beliefs in zip(_COLUMNS, axes[1:], (row.network, row.prior, row.fused), strict=True):
            axis.imshow(_DIM * grey, extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            shown = np.sqrt(beliefs.clip(0, 1))
            axis.imshow(shown, extent=extent, cmap="inferno", vmin=0, vmax=1, alpha=shown, interpolation="nearest")
            y, x = np.unravel_index(int(beliefs.argmax()), beliefs.shape)
            scale = width / beliefs.shape[1], height / beliefs.shape[0]
            axis.plot((x + 0.5) * scale[0], (y + 0.5) * scale[1], "x", color="white", markersize=8)
            if number == 0:
                axis.set_title(name, fontsize=10)
        for axis in axes:
            axis.plot(*row.truth, "o", color=colours()["hit"], fillstyle="none", markersize=9, markeredgewidth=1.5)
            axis.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    save_picture(path, figure)
