"""The text of an answer: a table of hits, and lines about it."""

__all__ = ["answer_table", "called", "files_told", "lists", "nobody", "order", "read_otherwise"]

import textwrap
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipe.cli.output import counted, listed, table
from vipe.printable import in_percent

if TYPE_CHECKING:
    from rich.table import Table


def called(answer: dict[str, Any]) -> str:
    """What a query is called: a person of an image, or a moment."""
    if "image_id" in answer:
        return f"{answer['image_id']} person {answer['person']}"
    return f"{answer['clip']}:{answer['frame']}"


def nobody(images: list[str | int]) -> list[str]:
    """A line on the images that show nobody, if there are any."""
    return [f"nobody in {counted(len(images), 'image')}: {listed(images)}"] if images else []


def read_otherwise(answers: list[dict[str, Any]]) -> list[str]:
    """A line on people whose keypoints were read otherwise than they are labelled."""
    read = [f"{called(one)}: {one['relabelled']}" for one in answers if "relabelled" in one]
    read += [f"{called(one)} mirrored: {one['relabelled_mirrored']}" for one in answers if "relabelled_mirrored" in one]
    return [f"read otherwise than labelled: {listed(read)}"] if read else []


def lists(answers: list[dict[str, Any]]) -> list[str]:
    """A line a person on how many of the hits it takes, if that was asked for."""
    from vipe.retrieve.hits import told_list

    asked = [one for one in answers if "enough" in one]
    return [f"{called(one)}: {told_list(one['enough'], one['confidence'])}" for one in asked]


def order(answers: list[dict[str, Any]]) -> list[str]:
    """A line on the order of hits, if a hit stands well below a less probable one."""
    for answer in answers:
        probability = [hit.get("probability", 0.0) for hit in answer["hits"]]
        if any(later > earlier + _RISE for earlier, later in pairwise(probability)):
            return ["probabilities need not fall: after the first hit come other readings of the keypoints"]
    return []


def files_told(page: Path | None, hits_file: Path | None) -> str:
    """What the last line of an answer ends with, if files were asked for."""
    return "".join(f"; {name}: {path}" for name, path in (("table", hits_file), ("page", page)) if path)


def answer_table(answers: list[dict[str, Any]]) -> "Table":
    """The hits of all queries, a line each."""
    some: dict[str, Any] = next((hit for answer in answers for hit in answer["hits"]), {})
    known = some.get("contributions", {})
    added = {name: [part for part in parts if part in known] for name, parts in _ADDED.items()}
    added = {name: parts for name, parts in added.items() if parts}
    moment = ["clip", "frame"] if added else ["clip", "frame", "seconds", "distance"]
    likely = ["probable"] if "probability" in some else []
    flipped = ["mirrored"] if "mirrored" in some else []
    there = ["there / mirrored" if flipped else "there"] if likely else []
    several = ["images"] if any("images" in answer for answer in answers) else []
    head = ["query", *several, *there, "rank", *moment, *flipped, *likely, *added]
    # A reason is longer than any clip's name: it goes over several lines, so that the table stays within 120 columns.
    names = [len(hit["clip"]) for answer in answers for hit in answer["hits"]]
    wide = max([(23 if several else 27) if added else 40, *names])
    rows = []
    for answer in answers:
        who, count = called(answer), {name: str(answer[name]) for name in several}
        present = " / ".join(in_percent(answer[name]) for name in ("presence", "presence_mirrored") if name in answer)
        if "skipped" in answer:
            cells = {"query": who, **count, "rank": "-", "clip": textwrap.fill(answer["skipped"], wide)}
            rows.append([cells.get(name, "") for name in head])
        for hit in answer["hits"]:
            first = hit["rank"] == 1
            cells = {
                "query": who if first else "",
                **(count if first else dict.fromkeys(several, "")),
                **dict.fromkeys(there, present if first else ""),
                "rank": str(hit["rank"]),
                "clip": hit["clip"],
                "frame": str(hit["frame"]),
                "seconds": f"{hit['time']:.2f}",
                "distance": f"{hit['distance']:.3f}",
                "mirrored": "yes" if hit.get("mirrored") else "",
                "probable": in_percent(hit["probability"]) if likely else "",
            }
            for name, parts in added.items():
                adds = sum(hit["contributions"][part] for part in parts)
                cells[name] = f"{adds:+.1f}" if abs(adds) >= 0.05 else "0"
            rows.append([cells[name] for name in head])
    return table(head, rows, narrow=bool(added))


_RISE = 0.05  # of a probability, that makes a reader ask why

_ADDED = {  # what adds to the log odds, in the words and the order of the table
    "image": ("likelihood", "residual"),
    "usual": ("camera", "body", "pose prior"),
    "agree": ("agreement",),
    "embed": ("embedding",),
    "calib": ("person", "calibration"),
    "others": ("other images",),
}
