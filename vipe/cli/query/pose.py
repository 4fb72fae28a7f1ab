"""`vipe query --pose`: what to ask an index with one of its own moments, and the answer."""

__all__ = ["JointsOption", "PoseQuestion", "parse_joints"]

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from vipe.cli.output import counted, emit
from vipe.cli.query.answer_text import answer_table, files_told
from vipe.cli.query.hits_file import write_hits

JointsOption = Annotated[
    str | None,
    Parameter(
        help="Search with these joints alone: parts of the body (`head`, `torso`, `left_arm`, `right_arm`, `arms`, "
        "`left_leg`, `right_leg`, `legs`, `upper`, `lower`) and joints, such as upper,left_knee; with --pose also how "
        "much each counts, such as torso,left_arm=3."
    ),
]

_SHOWN = 100  # hits of a query that are printed, where nobody said how many; more are in --json and --table
_DIGITS = 15  # of a frame's number
_DRAWN = 24  # of a query, on a page


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PoseQuestion:
    """Moments of the index that are asked with, and how far from them hits may be."""

    pose: Annotated[
        tuple[str, ...],
        Parameter(
            help="CLIP:FRAME, in place of keypoints: find the moments that show the 3D pose of this one, by the name "
            "of its clip and the number of its frame, as hits print them; may be repeated."
        ),
    ] = ()
    within: Annotated[
        float | None,
        Parameter(help="With --pose: only moments within this distance, torso lengths; all of them without --k."),
    ] = None
    leave_out: Annotated[
        float | None,
        Parameter(
            help="With --pose: seconds about that moment, in its clip, that are no answer; 1 if not given. 0 leaves "
            "out the frame alone, inf the whole clip, -1 nothing."
        ),
    ] = None
    exact: Annotated[
        bool,
        Parameter(
            negative="",
            help="With --pose: compare every pose of a large learned index, not those alone that its embedding brings.",
        ),
    ] = False

    def check(self, others: Mapping[str, object]) -> None:
        """Refuse options that do not go together.

        Args:
            others: Options of people in images by name; None where they were not given.

        Raises:
            VipeError: If they do not.
        """
        from vipe.errors import VipeError

        if self.pose:
            if given := [name for name, value in others.items() if value is not None]:
                raise VipeError(f"{given[0]} goes with people in images: leave it out, or leave out --pose")
            return
        own = {"--within": self.within, "--leave-out": self.leave_out, "--exact": self.exact or None}
        if alone := [name for name, value in own.items() if value is not None]:
            raise VipeError(f"{alone[0]} goes with --pose CLIP:FRAME, a moment of the index")

    def moments(self) -> list[tuple[str, int]]:
        """Clips and frames; names of clips may have colons.

        Raises:
            VipeError: If one is not CLIP:FRAME.
        """
        from vipe.errors import VipeError

        found = []
        for text in self.pose:
            clip, colon, frame = text.rpartition(":")
            if not (colon and clip and frame.isascii() and frame.isdigit() and len(frame) <= _DIGITS):
                raise VipeError(f"--pose is CLIP:FRAME, the name of a clip and a frame's number, got {text!r}")
            found.append((clip, int(frame)))
        return found

    def answer(
        self,
        index: Path,
        k: int | None,
        *,
        mirrored: bool,
        joints: str | None,
        max_per_clip: int | None,
        min_gap_seconds: float,
        page: Path | None,
        table: Path | None,
        device: str,
        as_json: bool,
    ) -> None:
        """Search, print, and write what was asked for."""
        from vipe import PoseIndex
        from vipe.retrieve.pose_query import LEAVE_OUT, query_moments

        opened = PoseIndex.open(index, device=device)
        moments, named = self.moments(), None if joints is None else parse_joints(joints)
        start = time.perf_counter()
        hits = query_moments(
            opened,
            moments,
            k,
            leave_out=LEAVE_OUT if self.leave_out is None else self.leave_out,
            within=self.within,
            mirrored=mirrored,
            joints=named,
            max_per_clip=max_per_clip,
            min_gap_seconds=min_gap_seconds,
            exact=True if self.exact and opened.is_learned else None,
        )
        seconds = time.perf_counter() - start
        answers: list[dict[str, Any]] = hits.to_json(moments)["queries"]
        remarks = [] if hits.found.any() else [_NOTHING if self.within is None else _NOTHING_WITHIN]
        shown = [one | {"hits": one["hits"][: None if k else _SHOWN]} for one in answers]
        left = sum(len(one["hits"]) for one in answers) - sum(len(one["hits"]) for one in shown)
        lines = [f"{left:,} hits more: --json and --table have all"] if left else []
        found = counted(int(hits.found.sum()), "moment")
        asked = counted(len(answers), "pose")
        last = f"{found} for {asked} in {seconds:.2f} s; distances in torso lengths{files_told(page, table)}"
        result = {"queries": answers, "remarks": remarks, "seconds": round(seconds, 6)}
        emit(result, answer_table(shown), *lines, *remarks, last, as_json=as_json)
        if table is not None:
            write_hits(table, hits.table(moments))
        if page is not None:
            from vipe.plots.pages.pose_answers import save_pose_page

            save_pose_page(page, opened, moments, hits, joints=named, most=_DRAWN)


def parse_joints(text: str) -> dict[str, float]:
    """Names and weights, as a user writes them.

    >>> parse_joints("torso, left_arm=3")
    {'torso': 1.0, 'left_arm': 3.0}

    Raises:
        VipeError: If a name is missing, or a weight is no number.
    """
    from vipe.errors import VipeError

    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (one.strip() for one in part.partition("="))
        try:
            weight = float(value) if equals else 1.0
        except ValueError:
            weight = -1.0
        if not name or weight < 0:
            raise VipeError(f"--joints is names and weights such as torso,left_arm=3, got {text!r}")
        found[name] = weight
    return found


_NOTHING = "no moment is left to search: try a smaller --leave-out"
_NOTHING_WITHIN = "no moment is so near: try a larger --within, or leave it out"
