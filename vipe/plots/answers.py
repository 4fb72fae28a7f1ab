"""Queries and what came back: on a page and on a sheet (numpy)."""

__all__ = ["Answer", "Found", "save_answers", "save_query_page"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from vipe.plots.figures import Card, figure_2d, figure_3d
from vipe.plots.report import Section, save_page
from vipe.plots.sheet import save_sheet
from vipe.skeletons import load

if TYPE_CHECKING:
    from vipe.detections import Keypoints
    from vipe.index import Hits, PoseIndex

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A simulated query whose truth is known, and the ranked poses of each search."""

    title: str
    xy: Float[Array, "13 2"]
    mask: Bool[Array, " 13"]
    truth: Float[Array, "17 3"]
    truth_camera: Float[Array, "2 3"]
    found: Mapping[str, Sequence["Found"]]  # by search, best first


@dataclass(frozen=True, kw_only=True)
class Found:
    """One ranked pose."""

    name: str
    pose: Float[Array, "17 3"]  # canonical
    camera: Float[Array, "2 3"]  # affine, fitted to the query
    distance: float  # to the truth, torso lengths


def save_answers(
    page: Path,
    picture: Path,
    title: str,
    answers: Sequence[Answer],
    *,
    intro: str = "",
    table: Sequence[Sequence[str]] = (),
    threshold: float = 0.1,
) -> None:
    """Draw simulated queries with the first poses of each search, hits and misses told apart.

    Args:
        page: HTML file to write.
        picture: PNG file to write: of each query the first search alone.
        title: Heading of both.
        answers: What to draw.
        intro: Sentences below the page's heading.
        table: Figures on the page, head first.
        threshold: Torso lengths below which a pose counts as the same.
    """
    sections, sheet = [], []
    for answer in answers:
        asked = Card(
            figure=figure_2d(answer.xy, answer.mask, load("coco13")), title="query", note="simulated keypoints"
        )
        true = Card(figure=figure_3d(answer.truth, answer.truth_camera), title="its pose", note=answer.title)
        found = {
            search: [
                Card(
                    figure=figure_3d(one.pose, one.camera),
                    title=one.name,
                    note=f"{one.distance:.3f} from the truth",
                    hit=one.distance < threshold,
                )
                for one in ranked
            ]
            for search, ranked in answer.found.items()
        }
        sections.append(Section(title=answer.title, rows=[("", [asked, true]), *found.items()]))
        sheet.append((answer.title, [asked, true, *next(iter(found.values()))]))
    save_page(page, title, sections, intro=intro, table=table)
    save_sheet(picture, title, sheet)


def save_query_page(page: Path, index: "PoseIndex", people: "Keypoints", hits: "Hits", most: int = 8) -> None:
    """Draw each person of a keypoint file with the first hits, or why there are none.

    Args:
        page: HTML file to write.
        index: What was searched.
        people: The queries.
        hits: What came back.
        most: Hits drawn for each person.
    """
    from vipe.retrieve import affine_camera

    sections = []
    for row in range(len(people)):
        asked = Card(
            figure=figure_2d(people.xy[row], people.mask[row], people.skeleton),
            title="query",
            note=f"{int(people.mask[row].sum())} of {people.mask.shape[1]} joints seen",
        )
        shown = hits.of(row)[:most]
        cards = [asked]
        if shown:
            poses = index.poses(np.array([hit["row"] for hit in shown]))
            cameras = affine_camera(poses[None], people[row : row + 1]).A[0]
            cards += [
                Card(
                    figure=figure_3d(pose, camera),
                    title=f"{hit['rank']}. {hit['clip']} {hit['time']:.2f} s",
                    note=f"distance {hit['distance']:.3f}" + (f", {hit['action']}" if hit["action"] else ""),
                )
                for hit, pose, camera in zip(shown, poses, cameras, strict=True)
            ]
        who = f"image {people.image_id[row]}, person {int(people.person[row])}"
        sections.append(Section(title=who, rows=[("", cards)], note=hits.skipped[row] or ""))
    save_page(
        page,
        "Moments of the archive that show these poses",
        sections,
        intro="Hits are drawn as the query's camera would see them, then swing to either side. Drag to turn them all.",
    )
