"""A motion as one HTML page in which it plays: orbit, scrub, no network, no other file (jinja2)."""

__all__ = ["save_motion_page"]

import base64
import json
import math
from importlib import resources
from pathlib import Path

import numpy as np

from vipe.atomic_write import atomic_write
from vipe.errors import MissingExtra, ShapeError, VipeError
from vipe.plots.figures import colours, figure_3d
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
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtra('pages need jinja2: pip install "vipe-pose[report]"') from error
    clip = moment.clip
    if clip.skeleton.joints != H36M17.joints:
        raise ShapeError(f"clip {clip.name}: a page needs h36m17, got {clip.skeleton.name}; convert the clip")
    folder = resources.files("vipe.plots")
    template = Environment(autoescape=True).from_string(folder.joinpath("motion.html.j2").read_text(encoding="utf-8"))
    html = template.render(
        title=clip.name,
        facts=_facts(moment),
        colours=colours(),
        motion=Markup(json.dumps(_motion(moment), separators=(",", ":"))),  # nothing but numbers and colours
        player=Markup(folder.joinpath("motion.js").read_text(encoding="utf-8")),
    )
    try:
        with atomic_write(page, replace=True) as file:
            file.write_text(html, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise VipeError(f"{page}: the page cannot be written: {error.strerror or error}") from error


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
    return [(name, value) for name, value in told if value]


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
