"""Moments that show the pose of a moment, on a page (numpy; torch for the alignment)."""

__all__ = ["save_pose_page"]

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32

from vipe.arrays import Array
from vipe.geometry.procrustes import align
from vipe.plots.figures import Card, Figure, colours, figure_3d
from vipe.plots.pages.page import Section, save_page
from vipe.retrieve.candidates.body_parts import Joints, joint_weights
from vipe.retrieve.mirrored import mirrored_poses
from vipe.retrieve.pose_query import moment_rows
from vipe.skeletons.working import H36M17

if TYPE_CHECKING:
    from vipe.index import PoseIndex
    from vipe.retrieve.hits import Hits


def save_pose_page(
    page: Path,
    index: "PoseIndex",
    moments: Sequence[tuple[str, int]],
    hits: "Hits",
    *,
    joints: Joints | None = None,
    most: int = 24,
) -> None:
    """Draw each moment that was asked with, and the first hits, each turned as it is nearest to the query.

    Hits that show the mirror image are drawn as their own mirror image, so that they compare, and say so. Joints that
    did not count are grey.

    Args:
        page: HTML file to write.
        index: What was searched.
        moments: The queries of `query_moments`.
        hits: Of them.
        joints: What counted, as it was given to the search.
        most: Hits drawn of each query.

    Raises:
        MissingExtra: If jinja2 is not installed.
        VipeError: If the page cannot be written.
    """
    counts = np.ones(17, dtype=bool) if joints is None else joint_weights(joints) > 0
    asked = index.poses(moment_rows(index, moments))
    sections = []
    for number, ((clip, frame), pose) in enumerate(zip(moments, asked, strict=True)):
        cards = [Card(figure=_drawn(pose, counts), title="query", note=f"{clip}, frame {frame}")]
        every = hits.of(number)
        for hit in every[:most]:
            own = index.poses(np.array([hit["row"]]))[0]
            flipped = bool(hit.get("mirrored"))
            note = f"distance {hit['distance']:.3f}" + (f", {hit['action']}" if hit["action"] else "")
            cards.append(
                Card(
                    figure=_drawn(_turned(mirrored_poses(own) if flipped else own, pose, counts), counts),
                    title=f"{hit['rank']}. {hit['clip']} {hit['time']:.2f}\u00a0s",
                    note=f"{note}; its mirror image" if flipped else note,
                )
            )
        told = f"The first {most} of {len(every):,} hits are drawn." if len(every) > most else ""
        sections.append(Section(title=f"{clip}, frame {frame}", rows=[("", cards)], note=told or _none(every)))
    save_page(
        page,
        "Moments of the archive that show these poses",
        sections,
        intro="The first figure is the pose that was asked for; the others are what the archive has nearest to it, "
        "turned as they are nearest. Drag to turn all. Blue is the person's left, orange the right. Distances are mean "
        "distances of joints after the alignment, in torso lengths: one is about half a metre."
        + (" Grey joints did not count." if not counts.all() else ""),
    )


def _none(every: Sequence[object]) -> str:
    return "" if every else "No moment is near enough."


def _turned(
    pose: Float32[Array, "17 3"], query: Float32[Array, "17 3"], counts: Bool[Array, " 17"]
) -> Float[Array, "17 3"]:
    """A pose rotated to where the joints that count are nearest to the query's."""
    _, rotation, _ = align(torch.from_numpy(pose[counts]), torch.from_numpy(query[counts]))
    return np.asarray(pose @ rotation.numpy().T)


def _drawn(pose: Float[Array, "17 3"], counts: Bool[Array, " 17"]) -> Figure:
    """A pose from the front; bones that lead to a joint that does not count are grey."""
    figure = figure_3d(pose, skeleton=H36M17)
    bones = ((a, b, colour if counts[a] and counts[b] else colours()["missing"]) for a, b, colour in figure.bones)
    return replace(figure, bones=tuple(bones))
