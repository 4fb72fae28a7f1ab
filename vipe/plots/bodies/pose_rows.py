"""Rows of poses beside each other, such as moments of a clip or steps of a generation (matplotlib)."""

__all__ = ["pose_rows"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.geometry import canonicalize_array
from vipe.plots.bodies.flat import draw_figure
from vipe.plots.figures import figure_3d
from vipe.plots.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 1.25  # inches of each pose


def pose_rows(
    rows: Mapping[str, Float[Array, "N 17 3"]],
    *,
    titles: Mapping[str, Sequence[str]] | Sequence[str] = (),
    turned: Literal["each", "first", "no"] = "each",
) -> "Figure":
    """A picture with a row of poses for each label. `save_picture` writes it.

    Args:
        rows: By label; world space, z up, any unit. Rows may differ in length.
        titles: Above the poses: of each row by label, or once above the first row.
        turned: "each" turns every pose so that it faces the viewer; "first" turns all alike, so that the first pose of
            the first row does; "no" leaves them as they stand, seen from the world's -x.

    Raises:
        ShapeError: If there is no pose, or a row is not (N, 17, 3).
        MissingExtra: If matplotlib is not installed.
    """
    wrong = next((label for label, poses in rows.items() if poses.ndim != 3 or poses.shape[1:] != (17, 3)), None)
    columns = max((len(poses) for poses in rows.values()), default=0)
    if wrong is not None or not columns:
        told = f"{rows[wrong].shape} of {wrong!r}" if wrong is not None else "no pose"
        raise ShapeError(f"rows of poses must be (N, 17, 3), at least one pose in all, got {told}")
    above = titles if isinstance(titles, Mapping) else {next(iter(rows)): titles}
    first = next(poses[0] for poses in rows.values() if len(poses))
    page = new_figure(_SIDE * columns + 0.3, (_SIDE + 0.2) * len(rows))
    grid = page.subplots(len(rows), columns, squeeze=False)
    for line, (label, poses) in zip(grid, rows.items(), strict=True):
        for axes in line:
            axes.set_axis_off()
        for number, (axes, pose) in enumerate(zip(line, poses, strict=False)):
            draw_figure(axes, figure_3d(_turned(pose, first if turned == "first" else pose, turned)))
            own = above.get(label, ())
            axes.set_title(own[number] if number < len(own) else "", fontsize=7)
        line[0].text(-0.08, 0.5, label, transform=line[0].transAxes, rotation=90, va="center", ha="center", fontsize=8)
    return page


def _turned(pose: Float[Array, "17 3"], facing: Float[Array, "17 3"], how: str) -> Float[Array, "17 3"]:
    turn = np.eye(3) if how == "no" else canonicalize_array(facing[None]).rotation[0]
    return np.asarray((pose - pose[:1]) @ turn.T)
