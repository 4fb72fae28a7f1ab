"""A picture of a rig as it is understood: the body from front and side, with the names of its joints (matplotlib)."""

__all__ = ["save_rig"]

from pathlib import Path

import numpy as np

from vipe.arrays import Array
from vipe.plots.figures import colours
from vipe.plots.writing import new_figure, save_picture
from vipe.readers.rigs.suggestion import Suggestion
from vipe.skeletons.body import body_axes
from vipe.skeletons.working import BONES, CHILDREN, H36M17, PARENTS

_NAME = 18  # letters of a name that are drawn


def save_rig(path: Path, suggestion: Suggestion) -> None:
    """Draw the frame in which the body is most upright, from the front and from its left, and write it.

    Args:
        path: The picture; it is replaced if it exists.
        suggestion: The rig.

    Raises:
        MissingExtra: If matplotlib is not installed.
        VipeError: If the picture cannot be written.
    """
    poses = suggestion.clip.to(H36M17).positions
    of = {joint: poses[:, i] for i, joint in enumerate(H36M17.joints)}
    frame = int(body_axes(of)[2][:, 2].argmax())
    pose = poses[frame] - poses[frame, 0]
    left, _, _ = (axis[frame] for axis in body_axes(of))
    turn = np.arctan2(left[1], left[0])
    across = pose[:, 0] * np.cos(turn) + pose[:, 1] * np.sin(turn)
    behind = -pose[:, 0] * np.sin(turn) + pose[:, 1] * np.cos(turn)
    page = new_figure(9.5, 6.2)
    page.suptitle(f"{suggestion.clip.name[:40]}: {suggestion.sure:.0%} sure; blue is the body's left", fontsize=10)
    front, side = page.subplots(1, 2)
    # Facing the reader, whose right is the body's left.
    for axis, flat, title in ((front, across, "front"), (side, behind, "from its left, facing left")):
        _draw(axis, flat, pose[:, 2])
        axis.set_title(title, fontsize=9)
    for role, name in suggestion.roles.items():
        if role not in H36M17.joints or role == "head":
            continue
        i = H36M17.index(role)
        shown = name if len(name) <= _NAME else f"{name[:_NAME]}..."
        at = (across[i] + (0.02 if role.startswith("left") else -0.02), pose[i, 2])
        # Names are a stranger's: nothing in them is mathematics.
        front.text(*at, shown, fontsize=6, ha="left" if role.startswith("left") else "right", parse_math=False)
    save_picture(path, page)


def _draw(axis: object, flat: Array, height: Array) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axis, Axes)
    for name, a, b in zip(BONES, PARENTS, CHILDREN, strict=True):
        side = next((side for side in ("left", "right") if name.startswith(side)), "middle")
        axis.plot(flat[[a, b]], height[[a, b]], color=colours()[side], linewidth=2, solid_capstyle="round")
    axis.plot(flat[H36M17.index("nose")], height[H36M17.index("nose")], "o", color=colours()["middle"], markersize=4)
    axis.set_aspect("equal")
    axis.set_xlim(-1.1, 1.1)
    axis.set_ylim(-1.15, 1.0)
    axis.set_axis_off()
