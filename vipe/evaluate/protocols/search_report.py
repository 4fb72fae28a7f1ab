"""What the search protocol measured: a score a search, condition and gallery, as a table and as JSON (numpy)."""

__all__ = ["SearchReport", "SearchScore"]

from dataclasses import dataclass
from typing import Any

from vipe.evaluate.scoring import Score, percents, score_head

_PRIMARY = "noise 0.03"


@dataclass(frozen=True, kw_only=True)
class SearchScore(Score):
    """One search under one condition: how often a hit is among its first k."""

    search: str  # mode of the search, or "raw 2D", or "chance"
    condition: str
    gallery: str  # what was left out of it
    distance: float  # of the camera, metres
    error: float | None  # mean distance of the first hit to the truth over the first threshold's queries, torso lengths
    recall: dict[int, float]  # of a hit by the first threshold among so many results; empty if not measured
    milliseconds: float | None  # a query, searched in one batch

    def to_json(self) -> dict[str, Any]:
        """Plain values; thresholds, ks and depths as strings."""
        return super().to_json() | {
            "error": self.error,
            "recall": {str(depth): rate for depth, rate in self.recall.items()},
            "milliseconds": self.milliseconds,
        }


@dataclass(frozen=True, kw_only=True)
class SearchReport:
    """Every score of one run of the protocol, and what was searched."""

    protocol: dict[str, Any]
    scores: tuple[SearchScore, ...]
    queries: int
    clips: int  # of the queries
    gallery: int
    seconds: float

    def score(self, search: str, condition: str, gallery: str, distance: float) -> SearchScore | None:
        """The score of these names, or None where it was not measured."""
        wanted = (search, condition, gallery, distance)
        for score in self.scores:
            if (score.search, score.condition, score.gallery, score.distance) == wanted:
                return score
        return None

    @property
    def primary(self) -> dict[str, Any] | None:
        """The one figure: Hit@k of the best mode under noise 0.03, with the neighbourhood left out of the gallery.

        At the first k, threshold and distance. `share_of_five_clips` is how many of its queries come from the five
        clips with the most. None where the run had no such part.
        """
        threshold, k = self.protocol["thresholds"][0], self.protocol["ks"][0]
        place = (_PRIMARY, f"{self.protocol['neighbourhood']:g} s left out", self.protocol["distances"][0])
        found = [
            score
            for mode in self.protocol["modes"]
            if (score := self.score(mode, *place)) is not None and threshold in score.hit
        ]
        if not found:
            return None
        best = max(found, key=lambda score: score.hit[threshold][k])
        return {
            "name": f"Hit@{k} below {threshold:g} torso, {best.condition}, {best.gallery}, {best.distance:g} m",
            "mode": best.search,
            **best.figure(threshold, k),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values; `results` goes by search, distance ("4 m"), condition and what was left out."""
        results: dict[str, Any] = {}
        for score in self.scores:
            place = results.setdefault(score.search, {}).setdefault(f"{score.distance:g} m", {})
            place.setdefault(score.condition, {})[score.gallery] = score.to_json()
        return {
            "primary": self.primary,
            "protocol": self.protocol,
            "queries": self.queries,
            "clips": self.clips,
            "gallery": self.gallery,
            "seconds": self.seconds,
            "results": results,
        }

    def to_table(self) -> list[list[str]]:
        """A search a row in percent, head first: Hit@k by threshold, interval of the first, error, recall, time."""
        depths = "/".join(map(str, self.protocol["recall_at"]))
        head = ["condition", "gallery", "m", "search", *score_head(self.protocol["thresholds"], self.protocol["ks"])]
        return [[*head, "error", f"recall@{depths}", "ms"], *(self._row(score) for score in self.scores)]

    def _row(self, score: SearchScore) -> list[str]:
        return [
            score.condition,
            score.gallery,
            f"{score.distance:g}",
            score.search,
            *score.cells(self.protocol["thresholds"], self.protocol["ks"][0]),
            "-" if score.error is None else f"{score.error:.3f}",
            percents(score.recall),
            "-" if score.milliseconds is None else f"{score.milliseconds:.2f}",
        ]
