"""What every measured score says: how often a hit is among the first k, of how many queries, and how sure that is."""

__all__ = ["ANY", "Rates", "Score", "percents", "score_head"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rates = dict[float, dict[int, float]]
"""By threshold, then by k."""

ANY = "any"
"""Condition of a score that all conditions share."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Hits under one condition in one gallery, as a share of the scored queries.

    Only queries that have a hit in what remains of the gallery are scored, by threshold; a threshold at which none
    has is not in `hit`.
    """

    condition: str
    gallery: str  # what was left out of it
    queries: dict[float, int]  # scored, by threshold
    hit: Rates
    interval: dict[float, dict[int, tuple[float, float]]]  # 95%, over clips; empty for chance

    def to_json(self) -> dict[str, Any]:
        """Plain values; thresholds and ks as strings."""
        return {
            "queries": {f"{threshold:g}": count for threshold, count in self.queries.items()},
            "hit": {
                f"{threshold:g}": {str(k): rate for k, rate in by_k.items()} for threshold, by_k in self.hit.items()
            },
            "interval": {
                f"{threshold:g}": {str(k): list(ends) for k, ends in by_k.items()}
                for threshold, by_k in self.interval.items()
            },
        }

    def figure(self, threshold: float, k: int) -> dict[str, Any]:
        """One share with its interval, and the queries behind it."""
        return {
            "value": self.hit[threshold][k],
            "interval": list(self.interval[threshold][k]),
            "queries": self.queries[threshold],
        }

    def cells(self, thresholds: Sequence[float], k: int) -> list[str]:
        """A table's cells under `score_head`: queries, shares by threshold, interval of the first at `k`."""
        ends = self.interval.get(thresholds[0], {}).get(k)
        return [
            "/".join(str(count) for count in self.queries.values()),
            *(percents(self.hit.get(threshold, {})) for threshold in thresholds),
            "-" if ends is None else f"{100 * ends[0]:.1f}-{100 * ends[1]:.1f}",
        ]


def score_head(thresholds: Sequence[float], ks: Sequence[int]) -> list[str]:
    """The head over `Score.cells`."""
    deep = "/".join(str(k) for k in ks)
    return ["queries", *(f"Hit@{deep} < {threshold:g}" for threshold in thresholds), f"95% of @{ks[0]}"]


def percents(rates: Mapping[int, float]) -> str:
    """Shares in percent, one after the other."""
    return " / ".join(f"{100 * rate:.1f}" for rate in rates.values()) or "-"
