"""The command that answers: which moments of the archive show the pose in this image."""

__all__ = ["query"]

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vipe.cli.output import Json, emit, table

if TYPE_CHECKING:
    from rich.table import Table


def query(
    index: Path,
    /,
    *,
    keypoints: Annotated[Path, Parameter(help="COCO annotations or results, or OpenPose, as JSON.")],
    k: Annotated[int, Parameter(help="How many moments a person.")] = 10,
    mode: Annotated[
        Literal["full", "affine", "point"] | None,
        Parameter(
            help="`full` (the default): a camera and the person's build are fitted to the nearest of `affine`. "
            "`affine`: exact, any camera, any missing joints. `point`: the index's learned embedding."
        ),
    ] = None,
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

    people = read_keypoints(keypoints)
    opened = PoseIndex.open(index)
    start = time.perf_counter()
    hits = search(opened, people, k, mode=mode)
    seconds = time.perf_counter() - start
    answers: list[dict[str, Any]] = []
    for row in range(len(people)):
        answer: dict[str, Any] = {"image_id": people.image_id[row], "person": int(people.person[row])}
        if hits.skipped[row]:
            answer["skipped"] = hits.skipped[row]
        answer["hits"] = hits.of(row)
        answers.append(answer)
    last = f"{len(answers)} people in {seconds:.2f} s" + (f"; page: {page}" if page else "")
    # The answers come first: a page that cannot be written must not take them away.
    emit({"queries": answers, "seconds": round(seconds, 6)}, _table(answers), last, as_json=as_json)
    if page is not None:
        from vipe.plots.answers import save_query_page

        save_query_page(page, opened, people, hits)


def _table(answers: list[dict[str, Any]]) -> "Table":
    rows = []
    for answer in answers:
        who = f"{answer['image_id']} person {answer['person']}"
        if "skipped" in answer:
            rows.append([who, "-", answer["skipped"], "", "", ""])
        for hit in answer["hits"]:
            moment = [hit["clip"], str(hit["frame"]), f"{hit['time']:.2f}", f"{hit['distance']:.3f}"]
            rows.append([who if hit["rank"] == 1 else "", str(hit["rank"]), *moment])
    return table(["query", "rank", "clip", "frame", "seconds", "distance"], rows)
