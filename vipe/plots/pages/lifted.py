"""Lifted people on a page: hypotheses over the keypoints and in space, spread of each joint, modes (numpy)."""

__all__ = ["save_people_page", "save_tracks_page"]

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64

from vipe.arrays import Array
from vipe.lift.aggregation.lifted import LiftedPeople, LiftedTrack
from vipe.plots.bodies.hypotheses import hypothesis_images, weighted_rows
from vipe.plots.figures import Card, Figure, figure_2d, figure_in_camera, repeated
from vipe.plots.pages.page import Section, save_page
from vipe.skeletons.working import COCO13, H36M17

_FRAMES = 12  # of a track
_INK = "currentColor"  # of the page's letters: light on a dark page
_TURNS = "drag to turn all. Blue is the person's left, orange the right."


def save_people_page(page: Path, lifted: LiftedPeople, left_out: Sequence[tuple[str, str]] = ()) -> None:
    """Draw what is lifted of each person: the keypoints with hypotheses over them, the hypotheses in space, the modes.

    Args:
        page: HTML file to write.
        lifted: The people.
        left_out: Who could not be lifted, and why.
    """
    spread = 1000 * lifted.spread()
    sections = []
    for row in range(len(lifted)):
        people, found = lifted.people, lifted.modes[row]
        seen = f"{int(people.mask[row].sum())} of {len(COCO13)} keypoints seen"
        mean, covariance = lifted.hypotheses[row : row + 1].mean()[0], lifted.hypotheses[row : row + 1].spread()[0]
        drawn = lifted.hypotheses.poses[row][weighted_rows(lifted.hypotheses.weight[row])]
        cloud = figure_in_camera(
            lifted.prediction[row], others=drawn, ellipsoids=np.concatenate([mean[..., None], covariance], axis=-1)
        )
        whole = Card(
            figure=_over_keypoints(lifted, row, drawn),
            beside=cloud,
            title="What the keypoints allow",
            note=f"{seen}; {len(drawn)} of {lifted.hypotheses.poses.shape[1]} hypotheses drawn; bars: spread, mm",
            bars=_bars(spread[row]),
        )
        parts = zip(found.poses, found.share, strict=True)
        cards = [
            Card(figure=figure_in_camera(pose), title=f"mode {number}", share=float(share))
            for number, (pose, share) in enumerate(parts, start=1)
        ]
        title = f"image {people.image_id[row]}, person {int(people.person[row])}"
        sections.append(Section(title=title, rows=[("", [whole]), ("modes", cards)]))
    save_page(
        page,
        "Lifted poses",
        [*sections, *_left_out(left_out)],
        intro="First: hypotheses (coloured) over the keypoints (in one colour), each at the place and size that fit "
        "best. Then: the same hypotheses in space, around the lifter's single pose, first as the camera sees them; "
        + _TURNS
        + " Ellipses are one standard deviation of a joint. A mode stands for the hypotheses that are nearest to it; "
        "its bar is their share.",
    )


def save_tracks_page(page: Path, tracks: Sequence[LiftedTrack], left_out: Sequence[tuple[str, str]] = ()) -> None:
    """Draw some frames of each track, evenly spaced, as bodies that turn.

    Args:
        page: HTML file to write.
        tracks: Of one video.
        left_out: Who could not be lifted, and why.
    """
    sections = []
    for track in tracks:
        shown = np.unique(np.linspace(0, len(track) - 1, _FRAMES).round().astype(np.int64))
        cards = [
            Card(
                figure=figure_in_camera(track.poses[place]),
                title=f"frame {track.frame[place]}",
                note="" if track.seen[place] else "not seen: between its neighbours",
            )
            for place in shown.tolist()
        ]
        free = 1000 * float(track.spread[1:].mean())
        note = (
            f"{len(track) / track.fps:.2f} s, seen in {int(track.seen.sum())} frames; joints spread by {free:.0f} mm."
        )
        sections.append(Section(title=f"track {track.number}", rows=[("", cards)], note=note))
    save_page(
        page,
        "Lifted tracks",
        [*sections, *_left_out(left_out)],
        intro="Frames of one smooth motion, first as the camera sees them; " + _TURNS,
    )


def _left_out(people: Sequence[tuple[str, str]]) -> list[Section]:
    return [Section(title=who, rows=[], note=f"Not lifted: {reason}.") for who, reason in people]


def _bars(spread: Float64[Array, " 17"]) -> tuple[tuple[str, float, str], ...]:
    """A bar for each joint but the pelvis, which is the origin."""
    free = [(joint, float(own)) for joint, own in zip(H36M17.joints, spread, strict=True) if joint != "pelvis"]
    widest = max(max(own for _, own in free), 1e-9)
    return tuple((joint.replace("_", " "), own / widest, f"{own:.0f}") for joint, own in free)


def _over_keypoints(lifted: LiftedPeople, row: int, drawn: Float[Array, "some 17 3"]) -> Figure:
    """The keypoints, and the images of hypotheses under the scale and shift that fit each to them best."""
    xy, mask = lifted.people.xy[row], lifted.people.mask[row]
    every = hypothesis_images(lifted.hypotheses.poses[row], xy, mask)
    weight = lifted.hypotheses.weight[row][:, None, None]
    mean = (weight * every).sum(axis=0)
    offset = every - mean
    covariance = np.einsum("m,mja,mjb->jab", lifted.hypotheses.weight[row], offset, offset)
    some = hypothesis_images(drawn, xy, mask)
    shown = np.concatenate([xy[mask], some.reshape(-1, 2)])
    low, high = shown.min(axis=0), shown.max(axis=0)
    centre, size = (low + high) / 2, max(float((high - low).max()), 1e-6)

    def flat(points: Float[Array, "*batch 2"], depth: float) -> Float64[Array, "*batch 3"]:
        image = (points - centre) / size * [1, -1]
        return np.concatenate([image, np.full((*image.shape[:-1], 1), depth)], axis=-1)

    ellipses = np.zeros((len(COCO13), 3, 4))
    ellipses[:, :, 0] = flat(mean, 0.0)
    ellipses[:, :2, 1:3] = covariance * np.outer([1, -1], [1, -1]) / size**2
    bones = figure_2d(xy, np.ones_like(mask), COCO13).bones
    found = figure_2d(xy, mask, COCO13).bones
    return Figure(
        points=flat(np.where(mask[:, None], xy, centre), 1.0),  # nearer to the viewer, so drawn last
        bones=tuple((a, b, _INK) for a, b, _ in found),
        turns=False,
        others=Figure(points=flat(some, 0.0).reshape(-1, 3), bones=repeated(bones, len(xy), len(some)), turns=False),
        ellipsoids=ellipses,
    )
