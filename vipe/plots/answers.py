"""Queries and what came back: on a page and on a sheet (numpy)."""

__all__ = ["Answer", "Found", "save_answers", "save_query_page"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from vipe.plots.figures import Card, Figure, figure_2d, figure_3d
from vipe.plots.report import Section, save_page
from vipe.plots.sheet import save_sheet
from vipe.skeletons import load

if TYPE_CHECKING:
    from vipe.detections import Keypoints
    from vipe.index import Hits, PoseIndex

Array = np.ndarray[Any, np.dtype[Any]]
_GREY = "#b9c0ca"


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
    from vipe.retrieve import affine_camera, fit_cameras

    sections = []
    for row in range(len(people)):
        asked = Card(
            figure=figure_2d(people.xy[row], people.mask[row], people.skeleton),
            title="query",
            note=f"{int(people.mask[row].sum())} of {people.mask.shape[1]} joints seen",
        )
        shown = hits.of(row)[:most]
        cards, rows = [asked], []
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
            if hits.fit_cost is not None:
                fits = fit_cameras(poses[None], people[row : row + 1])
                laid = [
                    Card(
                        figure=_overlay(people.xy[row], people.mask[row], images),
                        title=f"{hit['rank']}. over the keypoints",
                        note=f"cost {hit['fit_cost']:.1f}",
                    )
                    for hit, images in zip(shown, fits.project()[0], strict=True)
                ]
                rows = [("under their fitted cameras, with the person's build, over the keypoints (grey)", laid)]
        who = f"image {people.image_id[row]}, person {int(people.person[row])}"
        sections.append(Section(title=who, rows=[("", cards), *rows], note=hits.skipped[row] or ""))
    save_page(
        page,
        "Moments of the archive that show these poses",
        sections,
        intro="Hits are drawn as the query's camera would see them, then swing to either side. Drag to turn them all.",
    )


def _overlay(xy: Float[Array, "13 2"], mask: Bool[Array, " 13"], images: Float[Array, "17 2"]) -> Figure:
    """A pose's image, in colours, over the keypoints it was fitted to."""
    query, pose = load("coco13"), load("h36m17")
    seen = figure_2d(xy, mask, query).bones
    drawn = figure_2d(images, np.ones(len(images), dtype=bool), pose).bones
    both = np.concatenate([np.where(mask[:, None], xy, images.mean(axis=0)), images]).astype(np.float64)
    low, high = both.min(axis=0), both.max(axis=0)
    points = np.zeros((len(both), 3))
    points[:, :2] = (both - (low + high) / 2) / max(float((high - low).max()), 1e-6) * [1, -1]
    points[len(xy) :, 2] = 1  # nearer to the viewer, so drawn last
    shifted = ((a + len(xy), b + len(xy), colour) for a, b, colour in drawn)
    return Figure(points=points, bones=(*((a, b, _GREY) for a, b, _ in seen), *shifted), turns=False)
