"""A strip of generated poses: from one pose along noise directions, farther with every column (matplotlib)."""

__all__ = ["generation_strip"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.geometry import canonicalize_array
from vipe.plots.bodies.flat import draw_figure
from vipe.plots.figures import figure_3d
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 1.5  # inches of each pose


def generation_strip(
    start: Float[Array, "17 3"],
    generated: Float[Array, "rows steps 17 3"],
    steps: Sequence[str],
    *,
    labels: Sequence[str] = (),
) -> "Figure":
    """A picture with a row for each direction: the pose itself at the left, then what is generated.

    All poses are turned as `start` is, so that it faces the viewer and limbs that do not move look still.
    `save_picture` writes it.

    Args:
        start: Where all rows begin; world space, z up, any unit.
        generated: Poses along each direction, nearest to `start` first, as `vipe.embed.generation.variations.vary`
            gives them.
        steps: Title of each column, such as the length of the noise.
        labels: Of the rows; none if not given.

    Raises:
        ShapeError: If the shapes do not fit.
        MissingExtra: If matplotlib is not installed.

    Reference:
        Levy & Shrivastava 2024, fig. 7.
    """
    rows, count = generated.shape[:2]
    if start.shape != (17, 3) or generated.shape != (rows, count, 17, 3) or len(steps) != count:
        raise ShapeError(
            f"a strip needs a pose (17, 3), poses (rows, steps, 17, 3) and a title for each step, got {start.shape}, "
            f"{generated.shape} and {len(steps)} titles"
        )
    turn = canonicalize_array(start[None]).rotation[0]
    drawn = new_figure(_SIDE * (count + 1) + (0.3 if labels else 0), _SIDE * rows + 0.3)
    grid = drawn.subplots(rows, count + 1, squeeze=False)
    for row, line in enumerate(grid):
        shown = [start, *generated[row]]
        for axes, pose, title in zip(line, shown, ["start", *steps], strict=True):
            draw_figure(axes, figure_3d((pose - pose[:1]) @ turn.T))
            if row == 0:
                axes.set_title(title, fontsize=8)
        if labels:
            line[0].text(-0.08, 0.5, labels[row], transform=line[0].transAxes, rotation=90, va="center", fontsize=8)
    return drawn
