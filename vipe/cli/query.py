"""The command that answers: which moments of the archive show the pose in this image."""

__all__ = ["query"]

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vipe.cli.output import Json, emit, listed, table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from rich.table import Table

    from vipe import Keypoints, PoseIndex
    from vipe.index import Hits

    Array = np.ndarray[Any, np.dtype[Any]]


def query(
    index: Path,
    /,
    keypoints: Annotated[Path, Parameter(help="COCO annotations or results, or OpenPose, as JSON.")],
    *,
    k: Annotated[int, Parameter(help="How many moments a person.")] = 10,
    mode: Annotated[
        Literal["full", "affine", "point"] | None,
        Parameter(
            help="`full` (the default): a camera and the person's build are fitted to the nearest of `affine` (and "
            "`point`, if there is a learned embedding), ranked by how likely they are. "
            "`affine`: exact, any camera, any missing joints. `point`: the index's learned embedding."
        ),
    ] = None,
    max_per_clip: Annotated[int | None, Parameter(help="At most so many moments of one clip.")] = None,
    min_gap_seconds: Annotated[
        float, Parameter(help="Moments of one clip lie at least so far apart; 0 allows neighbouring frames.")
    ] = 0.0,
    explain: Annotated[
        bool, Parameter(negative="", help="Say what the log odds of each hit are made of (mode `full`).")
    ] = False,
    track: Annotated[
        bool,
        Parameter(
            negative="",
            help="The file is a video: follow people over its frames, and find moments that move as they do.",
        ),
    ] = False,
    fps: Annotated[float | None, Parameter(help="Frames a second of that video.")] = None,
    every: Annotated[float, Parameter(help="Seconds of a track that are searched with as one.")] = 1.0,
    views: Annotated[
        bool,
        Parameter(negative="", help="The images of the file show one moment from several cameras."),
    ] = False,
    page: Annotated[Path | None, Parameter(help="Also draw the answers as one HTML page.")] = None,
    as_json: Json = False,
) -> None:
    """Find the moments of an index that show the pose of each person in a keypoint file.

    Parameters
    ----------
    index
        Folder of the index.
    """
    from vipe import PoseIndex, read_keypoints
    from vipe import query as search
    from vipe.errors import VipeError

    empty: list[str | int] = []
    people = read_keypoints(keypoints, on_empty=empty.append)
    opened = PoseIndex.open(index)
    start = time.perf_counter()
    limits: dict[str, Any] = {"max_per_clip": max_per_clip, "min_gap_seconds": min_gap_seconds}
    if fps is not None and not track:
        raise VipeError("--fps is the rate of a video: it goes with --track")
    if track or views:
        if mode not in (None, "full"):
            raise VipeError(f"--track and --views fit cameras: they need mode full, got {mode}")
        if track and views:
            raise VipeError("--track and --views: give one of them")
        people, hits = (
            _of_tracks(opened, people, k, fps, every, limits) if track else _of_views(opened, people, k, limits)
        )
    else:
        hits = search(opened, people, k, mode=mode, **limits)
    if explain and hits.parts is None:
        raise VipeError(f"--explain needs mode full, got {mode}")
    seconds = time.perf_counter() - start
    answers: list[dict[str, Any]] = []
    for row in range(len(people)):
        answer: dict[str, Any] = {"image_id": people.image_id[row], "person": int(people.person[row])}
        if hits.skipped[row]:
            answer["skipped"] = hits.skipped[row]
        if hits.presence is not None and not hits.skipped[row]:
            answer["presence"] = round(float(hits.presence[row]), 6)
        answer["hits"] = hits.of(row)
        if explain and hits.parts is not None:
            for place, hit in enumerate(answer["hits"]):
                hit["parts"] = {name: float(part[row, place]) for name, part in hits.parts.items()}
        answers.append(answer)
    last = f"{len(answers)} people in {seconds:.2f} s" + (f"; page: {page}" if page else "")
    # The answers come first: a page that cannot be written must not take them away.
    result = {"queries": answers, "without_people": empty, "seconds": round(seconds, 6)}
    emit(result, _table(answers), *_nobody(empty), last, as_json=as_json)
    if page is not None:
        from vipe.plots.answers import save_query_page

        save_query_page(page, opened, people, hits)


def _of_tracks(
    index: "PoseIndex", people: "Keypoints", k: int, fps: float | None, every: float, limits: dict[str, Any]
) -> "tuple[Keypoints, Hits]":
    """One answer a piece of a track, and the person and frame that each is about."""
    from vipe.detections import follow, frame_numbers, pieces
    from vipe.errors import VipeError
    from vipe.retrieve import middle_rows, query_tracks

    if fps is None or not 0 < fps < math.inf:
        raise VipeError("--track needs a finite --fps above 0: the frames a second of the video")
    time = frame_numbers(people) / fps
    track = _apart(people, lambda answerable: pieces(follow(people), time, every)[answerable])
    return people[middle_rows(track, time)], query_tracks(index, people, k, track=track, time=time, **limits)


def _of_views(index: "PoseIndex", people: "Keypoints", k: int, limits: dict[str, Any]) -> "tuple[Keypoints, Hits]":
    """One answer a person, and the view that stands for it on a page."""
    import numpy as np

    from vipe.detections import together
    from vipe.retrieve import middle_rows, query_views

    moment = _apart(people, lambda answerable: together(people[answerable]))
    return people[middle_rows(moment, np.zeros(len(people)))], query_views(index, people, k, moment=moment, **limits)


def _apart(people: "Keypoints", groups: "Callable[[Array], Array]") -> "Array":
    """Number the groups of people who can be searched for together, from 0; everybody else is a group alone."""
    import numpy as np

    from vipe.retrieve.search import unanswerable

    answerable = np.array([reason is None for reason in unanswerable(people)], dtype=bool)
    group = np.full(len(people), -1)
    group[answerable] = groups(answerable)
    alone = group < 0  # those of whom a tracker did not say who they are, too
    group[alone] = group.max(initial=-1) + np.arange(1, alone.sum() + 1)
    return group


def _nobody(images: list[str | int]) -> list[str]:
    """A line on the images that show nobody, if there are any."""
    return [f"nobody in {len(images):,} images: {listed(images)}"] if images else []


def _table(answers: list[dict[str, Any]]) -> "Table":
    some: dict[str, Any] = next((hit for answer in answers for hit in answer["hits"]), {})
    likely, explained = "probability" in some, list(some.get("parts", {}))
    head = ["query", "there", "rank", "clip", "frame", "seconds", "distance", "probable", *explained]
    rows = []
    for answer in answers:
        who = f"{answer['image_id']} person {answer['person']}"
        if "skipped" in answer:
            rows.append([who, "", "-", answer["skipped"], *[""] * (len(head) - 4)])
        there = f"{100 * answer['presence']:.0f}%" if "presence" in answer else ""
        for hit in answer["hits"]:
            moment = [hit["clip"], str(hit["frame"]), f"{hit['time']:.2f}", f"{hit['distance']:.3f}"]
            first = [who, there] if hit["rank"] == 1 else ["", ""]
            probable = f"{100 * hit['probability']:.0f}%" if "probability" in hit else ""
            parts = [f"{value:+.1f}" for value in hit.get("parts", {}).values()]
            rows.append([*first, str(hit["rank"]), *moment, probable, *parts])
    if likely:
        return table(head, rows)
    plain = [place for place, name in enumerate(head) if name not in ("there", "probable")]
    return table([head[place] for place in plain], [[row[place] for place in plain] for row in rows])
