"""A motion as one HTML page in which it plays: orbit, scrub, no network, no other file (jinja2)."""

__all__ = ["save_motion_page"]

import base64
import math
from pathlib import Path

import numpy as np

from vipe.errors import ShapeError
from vipe.plots.figures import colours, figure_3d
from vipe.plots.pages.template import render
from vipe.plots.writing import save_html
from vipe.shareable import shareable
from vipe.skeletons.working import H36M17
from vipe.store.moments import Moment

_ANKLE = 0.07  # metres: ankle joint over the ground (Drillis & Contini 1966, 0.039 of the height)


def save_motion_page(page: Path, moment: Moment) -> None:
    """Write a page in which a moment plays.

    Frames are those of the moment; between them the page interpolates. It begins to play at once, but not for people
    who asked their system for less motion.

    Args:
        page: HTML file to write; it is replaced if it exists.
        moment: On h36m17.

    Raises:
        MissingExtra: If jinja2 is not installed.
        ShapeError: If the moment is not on h36m17.
        VipeError: If the page cannot be written; an existing file stays as it is.
    """
    clip = moment.clip
    if clip.skeleton.joints != H36M17.joints:
        raise ShapeError(f"clip {clip.name}: a page needs h36m17, got {clip.skeleton.name}; convert the clip")
    html = render("motion.html.j2", "motion.js", _motion(moment), title=shareable(clip.name), facts=_facts(moment))
    save_html(page, html)


def _facts(moment: Moment) -> list[tuple[str, str]]:
    clip = moment.clip
    told = [
        ("subject", clip.subject),
        ("action", clip.action),
        ("source", clip.source),
        ("licence", clip.licence),
        ("frames", f"{len(moment):,} at {clip.fps:g} a second"),
        ("seconds", f"{moment.time[0]:.2f} to {moment.time[-1]:.2f} of the source"),
    ]
    return [(name, shareable(value)) for name, value in told if value]


def _motion(moment: Moment) -> dict[str, object]:
    clip = moment.clip
    left = clip.positions[0, H36M17.index("left_hip")] - clip.positions[0, H36M17.index("right_hip")]
    head = [H36M17.index(joint) for joint in ("thorax", "nose", "head")]
    return {
        "positions": base64.b64encode(clip.positions.astype("<f4").tobytes()).decode("ascii"),
        "joints": len(H36M17),
        "bones": [bone for bone in figure_3d(clip.positions[0]).bones if bone[1] not in head[1:]],
        "head": head,
        "middle": colours()["middle"],
        "time": np.round(moment.time, 4).tolist(),
        "frame": moment.frame.tolist(),
        "front": math.atan2(-float(left[0]), float(left[1])),
        "ankle": _ANKLE,
    }
