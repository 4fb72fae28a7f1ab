"""Hypotheses of one image by several lifters, as the camera sees them and from the side (matplotlib)."""

__all__ = ["compared_hypotheses"]

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.plots.bodies.flat import draw_bones
from vipe.plots.figures import figure_in_camera, repeated
from vipe.plots.writing import new_figure
from vipe.skeletons.working import H36M17

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VIEWS = {"from the camera": (0, 1), "from the side": (2, 1)}  # axes of camera space: across, down
_COLUMNS = 5
_KEPT = (0.01, 0.99)  # of the coordinates: a few joints far off do not make all others small
_ROOM = 0.6  # half the side of a place, in lengths of what is kept


def compared_hypotheses(
    hypotheses: Mapping[str, Float[Array, "M 17 3"]], *, truth: Float[Array, "17 3"] | None = None, most: int = 30
) -> "Figure":
    """A picture with a column for each lifter: its hypotheses over each other. `save_picture` writes it.

    The upper figure is what the camera sees, the lower one the same from the side: there the camera is at the left, far
    away. All columns have one scale.

    Args:
        hypotheses: By name, in camera space (x right, y down, z away), any unit, the pelvis at the origin.
        truth: The true pose in that space, drawn black over them.
        most: Hypotheses drawn of each name, evenly chosen.

    Raises:
        ShapeError: If there are no hypotheses, or poses are not (M, 17, 3).
        MissingExtra: If matplotlib is not installed.
    """
    if not hypotheses:
        raise ShapeError("hypotheses to draw must be of one name at least, got none")
    for name, poses in hypotheses.items():
        if poses.ndim != 3 or poses.shape[1:] != (17, 3) or not len(poses):
            raise ShapeError(f"hypotheses of {name} must be (M, 17, 3), M at least 1, got shape {poses.shape}")
    drawn = {name: poses[_evenly(len(poses), most)] for name, poses in hypotheses.items()}
    every = np.concatenate([*drawn.values(), *([] if truth is None else [truth[None]])]).reshape(-1, 3)
    low, high = np.quantile(every, _KEPT, axis=0)
    middle, half = (low + high) / 2, _ROOM * float((high - low).max())
    bands = -(-len(drawn) // _COLUMNS)
    columns = -(-len(drawn) // bands)
    page = new_figure(1.85 * columns + 0.2, 3.9 * bands)
    grid = page.subplots(2 * bands, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for number, (name, poses) in enumerate(drawn.items()):
        band, column = divmod(number, columns)
        for line, (view, (across, down)) in enumerate(_VIEWS.items(), start=2 * band):
            axes = grid[line, column]
            bones = figure_in_camera(poses[0], H36M17).bones
            flat = poses[..., [across, down]].reshape(-1, 2)
            draw_bones(axes, flat, repeated(bones, 17, len(poses)), width=1.0, alpha=max(0.15, 1 / len(poses)))
            if truth is not None:
                draw_bones(axes, truth[:, [across, down]], bones, width=1.4, colour="black")
            axes.set_xlim(middle[across] - half, middle[across] + half)
            axes.set_ylim(middle[down] + half, middle[down] - half)
            if column == 0:
                axes.set_ylabel(view, fontsize=8)
        grid[2 * band, column].set_title(name, fontsize=9)
    return page


def _evenly(count: int, most: int) -> list[int]:
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most)).tolist()})
