"""The hypotheses protocol: lifters scored by what a search with their hypotheses finds (numpy)."""

__all__ = ["HYPOTHESES", "evaluate_hypotheses"]

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Int64

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import VipeError
from vipe.evaluate.protocols.search import SearchProtocol, evaluate_search
from vipe.evaluate.protocols.search_report import SearchReport
from vipe.evaluate.study import Progress
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.lift import Hypotheses, Lifter
from vipe.retrieve.archive_lifter import ArchiveLifter
from vipe.retrieve.candidates.hypotheses import EXACT, near_hypotheses
from vipe.retrieve.query import Mode, query
from vipe.store import PoseStore

HYPOTHESES = (1, 5, 10, 50, 200)
"""How many hypotheses of each person a lifter is scored with."""


def evaluate_hypotheses(
    store: PoseStore,
    index: PoseIndex,
    lifters: Mapping[str, Lifter],
    *,
    counts: Sequence[int] = HYPOTHESES,
    modes: Sequence[str] = ("affine", "full"),
    protocol: SearchProtocol | None = None,
    where: Where | None = None,
    progress: Progress | None = None,
) -> SearchReport:
    """Score lifters by Hit@k: the archive is ranked by their hypotheses alone (`near_hypotheses`).

    Queries, galleries and scores are those of `evaluate_search`. Each lifter draws once for each condition, and is
    scored with the first of its draws: one, five, and so on. Nobody is told the true pose, and no draw is chosen.

    An `ArchiveLifter` of the index that is searched lifts each query with the gallery that this query is searched in,
    and with no other row: what a gallery leaves out is unknown to the lifter too, near-duplicates included. It draws
    anew for each gallery and number of hypotheses.

    Args:
        store: Holds the recorded poses of the index.
        index: The archive; one of more than `EXACT` poses is searched again for every gallery, which takes longer.
        lifters: By the name that the report calls each.
        counts: How many hypotheses.
        modes: Of `vipe.query`, to stand beside them.
        protocol: Sizes and conditions.
        where: Rows of the index to take for the archive.
        progress: Told how far each step is.

    Returns:
        A score for each lifter and number of hypotheses ("default x 200"), mode, raw 2D and chance.

    Raises:
        VipeError: If there is no lifter, a count is below 1, an archive lifter has another index with frames of this
            one's archive in it, or as `evaluate_search`.
    """
    if not lifters:
        raise VipeError("evaluate hypotheses: no lifter; give at least one, such as 'default'")
    if not counts or min(counts) < 1:
        raise VipeError(f"evaluate hypotheses: counts must be at least 1, got {list(counts)}")
    gallery = {
        name: lifter
        for name, lifter in lifters.items()
        if isinstance(lifter, ArchiveLifter) and _is_of_gallery(name, lifter, index, where)
    }
    draws = {name: _Draws(lifter, max(counts)) for name, lifter in lifters.items()}
    searches = {f"{name} x {count}": (name, count) for name in lifters for count in sorted(set(counts))}

    def search(
        opened: PoseIndex, people: Keypoints, k: int, name: str, rows: Int64[Array, " M"]
    ) -> Int64[Array, "Q K"]:
        if name not in searches:
            return np.asarray(query(opened, people, k, mode=cast(Mode, name), where=rows).rows)
        lifter, count = searches[name]
        if lifter in gallery:
            hypotheses = gallery[lifter].among(rows).sample(people, count, _generator())
        else:
            hypotheses = draws[lifter].first(people, count)
        return near_hypotheses(opened, hypotheses, k, rows).rows

    return evaluate_search(
        store,
        index,
        modes=(*searches, *modes),
        protocol=protocol,
        where=where,
        progress=progress,
        search=search,
        scored_alone=frozenset(
            search for search, (lifter, _) in searches.items() if len(index) <= EXACT and lifter not in gallery
        ),
    )


def _is_of_gallery(name: str, lifter: ArchiveLifter, index: PoseIndex, where: Where | None) -> bool:
    """Whether an archive lifter draws from the gallery itself.

    Raises:
        VipeError: If it draws from another index that holds some of the gallery: nothing could be left out of that.
    """
    if lifter.index.path == index.path:
        return True
    searched = slice(None) if where is None else index.rows(where)
    shared = np.isin(lifter.index.frames()["id"][lifter.rows], index.frames()["id"][searched]).sum()
    if shared:
        raise VipeError(
            f"lifter {name!r}: its index {lifter.index.path} holds {shared:,} frames of the archive that is searched, "
            "so it would know what a gallery leaves out; give the archive lifter of the searched index, or other clips"
        )
    return False


class _Draws:
    """A lifter's hypotheses of the people it was asked for last."""

    def __init__(self, lifter: Lifter, count: int) -> None:
        self.lifter, self.count = lifter, count
        self.last: list[tuple[Keypoints, Hypotheses]] = []  # two: times are of other people, who are drawn anew

    def first(self, people: Keypoints, count: int) -> Hypotheses:
        """The first of a person's draws, as likely as each other, or as the lifter weighs them."""
        drawn = next((own for asked, own in self.last if asked is people), None)
        if drawn is None:
            drawn = self.lifter.sample(people, self.count, _generator())
            self.last = [*self.last[-1:], (people, drawn)]
        return Hypotheses(poses=drawn.poses[:, :count], log_weight=drawn.log_weight[:, :count])


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
