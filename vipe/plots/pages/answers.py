"""Queries and what came back: on a page and on a sheet (numpy)."""

__all__ = ["Answer", "RankedPose", "save_answers", "save_query_page"]

import io
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vipe.arrays import Array, take_rows
from vipe.geometry.procrustes import HIT_THRESHOLD
from vipe.plots.bodies.sheet import save_sheet
from vipe.plots.figures import Card, Figure, Photo, colours, figure_2d, figure_3d, figure_in_camera
from vipe.plots.pages.page import Section, save_page
from vipe.printable import in_percent
from vipe.retrieve.hits import told_list
from vipe.retrieve.labels.labelling import explained
from vipe.retrieve.mirrored import mirrored_poses
from vipe.skeletons import load

if TYPE_CHECKING:
    from vipe.detections import Keypoints
    from vipe.index import PoseIndex
    from vipe.retrieve.hits import Hits

_IMAGES = 4  # of a query, that are drawn side by side
_AROUND = 2.2  # sides of a person that a piece of a photo shows
_WIDEST = 720  # pixels of such a piece
_QUALITY = 80  # of its JPEG
_ROOM = 0.8  # of their size, at which figures over photos are drawn: what is around a person shows, too

Id = int | str
Pictures = Callable[[Collection[Id]], Iterable[tuple[Id, UInt8[Array, "height width 3"]]]]
"""Gives the RGB pixels of images by their ids, one after the other, in any order."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A simulated query whose truth is known, and the ranked poses of each search."""

    title: str
    xy: Float[Array, "13 2"]
    mask: Bool[Array, " 13"]
    truth: Float[Array, "17 3"]
    truth_camera: Float[Array, "2 3"]
    found: Mapping[str, Sequence["RankedPose"]]  # by search, best first


@dataclass(frozen=True, kw_only=True)
class RankedPose:
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
    threshold: float = HIT_THRESHOLD,
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


def save_query_page(
    page: Path,
    index: "PoseIndex",
    people: "Keypoints",
    hits: "Hits",
    most: int = 8,
    images: Sequence["Keypoints"] = (),
    pictures: Pictures | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Draw each person of a keypoint file, of photos or of a video with the first hits, or why there are none.

    A hit is drawn twice: over the query's keypoints, under the camera and with the body that it was ranked by, and
    beside them as a body that turns, from the camera's view on. Hits that no camera was fitted to (modes "affine" and
    "point") are drawn under their affine camera.

    Args:
        page: HTML file to write.
        index: What was searched.
        people: The queries; of tracks and of several views the person over whose image to draw, one a query.
        hits: What came back.
        most: Hits drawn for each person; more where it takes more for one to be right (`Hits.enough`).
        images: Of tracks and of several views all images of each query, in order; up to four are drawn, of more the
            one in `people`.
        pictures: The images themselves, if they are there: keypoints and hits are drawn over them.
        remarks: What a reader should know beside the answers, such as `doubts_of_size`; they come first.
    """
    sections = [Section(title="Remarks", points=remarks)] if remarks else []
    asked, people = people, people.as_given()
    images = [every.as_given() for every in images]
    queries = [(people[row : row + 1], images[row] if images else people[row : row + 1]) for row in range(len(people))]
    photos = {} if pictures is None else _photos([_shown(one, every) for one, every in queries], pictures)
    for row, (one, every) in enumerate(queries):
        cards = _asked(one, every, row, photos)
        under = photos.get((row, one.image_id[0]))
        every_hit = hits.of(row)
        shown = every_hit[: max(most, 0 if hits.enough is None else int(hits.enough[row]))]
        if shown:
            cards += [
                Card(
                    figure=_overlay(people.xy[row], people.mask[row], image, under),
                    beside=body,
                    title=f"{hit['rank']}. {hit['clip']} {hit['time']:.2f}\u00a0s",
                    note=f"distance {hit['distance']:.3f}"
                    + (f", {hit['action']}" if hit["action"] else "")
                    + ("; its mirror image" if hit.get("mirrored") else ""),
                    probability=hit.get("probability"),
                )
                for hit, (image, body) in zip(shown, _drawn(index, asked[row : row + 1], hits, row), strict=False)
            ]
        who = f"{_called(every)}, person {int(people.person[row])}"
        note = hits.skipped[row] or _presence(hits, row)
        if len(shown) < len(every_hit):
            note = f"{note + ' ' if note else ''}The first {len(shown)} of {len(every_hit)} hits are drawn."
        sections.append(Section(title=who, rows=[("", cards)], note=note))
    save_page(
        page,
        "Moments of the archive that show these poses",
        sections,
        intro=f"Each hit is drawn over the {'photo and the ' if photos else ''}query's keypoints (grey), "
        + (
            "under its best affine camera. "
            if hits.fits is None
            else "under the camera and with the body fitted to it. "
        )
        + "Beside it the same body turns, from that view on; drag to turn all. Blue is the person's left, orange the "
        "right. A bar, where there is one, is the probability that the hit shows the pose."
        + (
            " Where a hit shows the mirror image of a person, its own mirror image is drawn."
            if hits.mirrored is not None
            else ""
        )
        + (" Of images that were searched with as one, hits are drawn over the one that is marked." if images else ""),
    )


def _drawn(index: "PoseIndex", one: "Keypoints", hits: "Hits", row: int) -> list[tuple[Float[Array, "17 2"], Figure]]:
    """Each hit's image, pixels, and its body seen from the camera."""
    found = hits.found[row]
    if hits.fits is not None:
        fits = take_rows(hits.fits, (slice(row, row + 1), found))
        width = 1.0 if hits.stretch is None else float(hits.stretch[row])  # the photo is as it was given
        images = _in_photo(fits.project()[0] / np.array([width, 1], dtype=np.float32), one)
        return [(image, figure_in_camera(body)) for image, body in zip(images, fits.poses[0], strict=True)]
    from vipe.retrieve import affine_camera

    poses = index.poses(hits.rows[row : row + 1, found])
    if hits.mirrored is not None:
        flipped = hits.mirrored[row : row + 1, found]
        poses = np.where(flipped[..., None, None], mirrored_poses(poses), poses)
    cameras = affine_camera(poses, one)
    images, bodies = _in_photo(cameras.project(poses)[0], one), poses[0]
    return [(image, figure_3d(body, A)) for image, body, A in zip(images, bodies, cameras.A[0], strict=True)]


def _in_photo(images: Float[Array, "K 17 2"], one: "Keypoints") -> Float[Array, "K 17 2"]:
    """Where the images of hits lie in the photo itself, if its camera is known; off the lens as without it."""
    crop = one.crop[0]
    if crop is None:
        return images
    there = crop.to_image(images)
    return np.where(np.isfinite(there), there, images)


def _shown(one: "Keypoints", every: "Keypoints") -> "Keypoints":
    """The images of a query that are drawn: all if they are few, else the one that hits are drawn over."""
    drawn = _place(one, every)
    return every if len(every) <= _IMAGES else every[drawn : drawn + 1]


def _place(one: "Keypoints", every: "Keypoints") -> int:
    """Which of a query's images hits are drawn over."""
    return next(
        place
        for place in range(len(every))
        if every.image_id[place] == one.image_id[0] and np.array_equal(every.xy[place], one.xy[0])
    )


def _asked(one: "Keypoints", every: "Keypoints", row: int, photos: Mapping[tuple[int, Id], Photo]) -> list[Card]:
    """The images of a query, each with its place among them: all if they are few, else the one hits are drawn over."""
    drawn = _place(one, every)
    cards = []
    for place in range(len(every)) if len(every) <= _IMAGES else [drawn]:
        seen = f"{int(every.mask[place].sum())} of {every.mask.shape[1]} joints seen"
        title, note = "query", seen
        if len(every) > 1:
            title = f"image {place + 1} of {len(every)}"
            note = f"{every.image_id[place]}: {seen}" + ("; hits are drawn over it" if place == drawn else "")
        figure = figure_2d(every.xy[place], every.mask[place], every.skeleton)
        photo = photos.get((row, every.image_id[place]))
        if photo is not None:
            figure = _over(photo, figure, *_frame(every.xy[place][every.mask[place]]))
        cards.append(Card(figure=figure, title=title, note=note))
    return cards


def _photos(shown: Sequence["Keypoints"], pictures: Pictures) -> dict[tuple[int, Id], Photo]:
    """The piece of its photo about each person who is drawn, by query and image; each photo is read once."""
    wanted: dict[Id, list[tuple[int, Float[Array, "seen 2"]]]] = defaultdict(list)
    for row, people in enumerate(shown):
        for image, xy, mask in zip(people.image_id, people.xy, people.mask, strict=True):
            if mask.any():
                wanted[image].append((row, xy[mask]))
    return {
        (row, image): _piece(pixels, *_frame(xy))
        for image, pixels in (pictures(list(wanted)) if wanted else ())
        for row, xy in wanted[image]
    }


def _piece(pixels: UInt8[Array, "height width 3"], centre: Float[Array, "2"], size: float) -> Photo:
    """What a photo shows about a person, as a small JPEG."""
    from PIL import Image

    whole = np.array([pixels.shape[1], pixels.shape[0]])
    half = max(_AROUND / 2 * size, 8.0)
    low = np.clip(np.floor(centre - half), 0, whole - 1).astype(int)
    high = np.clip(np.ceil(centre + half), low + 1, whole).astype(int)
    piece = Image.fromarray(np.ascontiguousarray(pixels[low[1] : high[1], low[0] : high[0]]))
    piece.thumbnail((_WIDEST, _WIDEST))
    file = io.BytesIO()
    piece.save(file, "JPEG", quality=_QUALITY)
    return Photo(jpeg=file.getvalue(), box=np.concatenate([low, high]).astype(np.float64))


def _over(photo: Photo, figure: Figure, centre: Float[Array, "2"], size: float) -> Figure:
    """A figure whose pixels have this centre and size, over a piece of a photo."""
    corners = (photo.box.reshape(2, 2) - centre) / size * [1, -1]
    under = replace(photo, box=_ROOM * corners.reshape(4))
    return replace(figure, points=_ROOM * figure.points, photo=under)


def _frame(xy: Float[Array, "n 2"]) -> tuple[Float[Array, "2"], float]:
    """The middle of some points, and the longer side of the box around them."""
    low, high = xy.min(axis=0).astype(np.float64), xy.max(axis=0).astype(np.float64)
    return (low + high) / 2, max(float((high - low).max()), 1e-6)


def _called(people: "Keypoints") -> str:
    ids = people.image_id
    if len(ids) == 1:
        return f"image {ids[0]}"
    named = ", ".join(map(str, ids)) if len(ids) <= _IMAGES else f"{ids[0]} to {ids[-1]}"
    return f"{len(ids)} images ({named})"


def _presence(hits: "Hits", row: int) -> str:
    if hits.presence is None or not np.isfinite(hits.presence[row]):
        return ""
    there = f"The archive holds this pose with a probability of {_percent(float(hits.presence[row]))}."
    name = hits.relabelled[row] if hits.relabelled is not None else ""
    said = [there, explained(name) if name else ""]
    if hits.presence_mirrored is not None:
        said.insert(
            1, f"It holds its mirror image with a probability of {_percent(float(hits.presence_mirrored[row]))}."
        )
    if hits.enough is not None and hits.confidence is not None:
        told = told_list(int(hits.enough[row]), hits.confidence)
        said.append(f"{told[0].upper()}{told[1:]}.")
    return " ".join(filter(None, said))


def _percent(probability: float) -> str:
    return in_percent(probability).replace("<", "less than ")


def _overlay(
    xy: Float[Array, "13 2"], mask: Bool[Array, " 13"], images: Float[Array, "17 2"], photo: Photo | None = None
) -> Figure:
    """A pose's image, in colours, over the keypoints it was fitted to, and over their photo if there is one."""
    query, pose = load("coco13"), load("h36m17")
    seen = figure_2d(xy, mask, query).bones
    drawn = figure_2d(images, np.ones(len(images), dtype=bool), pose).bones
    both = np.concatenate([np.where(mask[:, None], xy, images.mean(axis=0)), images]).astype(np.float64)
    centre, size = _frame(both)
    points = np.zeros((len(both), 3))
    points[:, :2] = (both - centre) / size * [1, -1]
    points[len(xy) :, 2] = 1  # nearer to the viewer, so drawn last
    shifted = ((a + len(xy), b + len(xy), colour) for a, b, colour in drawn)
    figure = Figure(points=points, bones=(*((a, b, colours()["missing"]) for a, b, _ in seen), *shifted), turns=False)
    return figure if photo is None else _over(photo, figure, centre, size)
