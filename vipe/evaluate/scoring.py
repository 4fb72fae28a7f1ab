"""The one scoring: how often a hit is among the first k, of how many queries, with an interval over clips (numpy)."""

__all__ = ["ANY", "Rates", "Score", "Scoring", "chance_score", "percents", "score_head"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from vipe.arrays import Array
from vipe.evaluate.intervals import bootstrap_interval, concentration
from vipe.evaluate.leave_out import Gallery
from vipe.evaluate.metrics import HIT_DEPTHS, HIT_THRESHOLDS, chance_at, hits_at

Rates = dict[float, dict[int, float]]
"""By threshold, then by k."""

Scored = Mapping[float, Bool[Array, " Q"]]
"""By threshold: which queries have a hit in what remains of the gallery, so that they can be scored."""

Values = Mapping[int, Float[Array, " scored"] | Bool[Array, " scored"]]
"""By k: a value in [0, 1] for each scored query."""

ANY = "any"
"""Condition of a score that all conditions share."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Hits as a share of the scored queries.

    Only queries that have a hit in what remains of the gallery are scored, by threshold; a threshold at which none
    has is not in `hit`.
    """

    queries: dict[float, int]  # scored, by threshold
    hit: Rates
    interval: dict[float, dict[int, tuple[float, float]]]  # 95%, over clips; empty for chance
    concentration: dict[float, float]  # share of the scored queries in the five clips with the most; empty for chance

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
        """One share with its interval, the queries behind it, and how many of them five clips give."""
        return {
            "value": self.hit[threshold][k],
            "interval": list(self.interval[threshold][k]),
            "queries": self.queries[threshold],
            "share_of_five_clips": self.concentration[threshold],
        }

    def percent(self, threshold: float, k: int) -> str:
        """One share with its interval in percent: "88.6 (86.8-90.3)"."""
        low, high = self.interval[threshold][k]
        return f"{100 * self.hit[threshold][k]:.1f} ({100 * low:.1f}-{100 * high:.1f})"

    def cells(self, thresholds: Sequence[float], k: int) -> list[str]:
        """A table's cells under `score_head`: queries, shares by threshold, interval of the first at `k`."""
        ends = self.interval.get(thresholds[0], {}).get(k)
        return [
            "/".join(str(count) for count in self.queries.values()),
            *(percents(self.hit.get(threshold, {})) for threshold in thresholds),
            "-" if ends is None else f"{100 * ends[0]:.1f}-{100 * ends[1]:.1f}",
        ]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How results are scored: hits by threshold among the first k, and 95% intervals over clips."""

    clips: Sequence[str] | Shaped[Array, " Q"]  # of each query
    generator: Callable[[], np.random.Generator]  # gives the one of each bootstrap
    thresholds: tuple[float, ...] = HIT_THRESHOLDS
    ks: tuple[int, ...] = HIT_DEPTHS
    draws: int = 2000  # of a bootstrap

    def of_distances(self, distance: Float[Array, "Q K"], scored: Scored | None = None) -> Score:
        """Score ranked results.

        Args:
            distance: Of each result to its query's true pose, best rank first; NaN or infinite where none came back.
            scored: Queries that count; all if not given.
        """
        scored = scored or {threshold: np.ones(len(distance), dtype=bool) for threshold in self.thresholds}
        return self.of_values(
            {threshold: hits_at(distance[which], self.ks, threshold) for threshold, which in scored.items()}, scored
        )

    def of_values(self, values: Mapping[float, Values], scored: Scored) -> Score:
        """Score what each query reached, by threshold and k: a hit or none, or a mean of such."""
        asked = {threshold: which for threshold, which in scored.items() if which.any()}
        return Score(
            queries={threshold: int(which.sum()) for threshold, which in scored.items()},
            hit={threshold: {k: float(hits.mean()) for k, hits in values[threshold].items()} for threshold in asked},
            interval={
                threshold: {k: self.interval(hits, which) for k, hits in values[threshold].items()}
                for threshold, which in asked.items()
            },
            concentration={
                threshold: concentration(np.asarray(self.clips)[which]) for threshold, which in asked.items()
            },
        )

    def interval(
        self,
        values: Float[Array, " scored"] | Bool[Array, " scored"],
        which: Bool[Array, " Q"],
        span: tuple[float, float] = (0.0, 1.0),
    ) -> tuple[float, float]:
        """95% interval over clips of the mean of some queries' values; `span` as in `bootstrap_interval`."""
        clips = np.asarray(self.clips)[which]
        return bootstrap_interval(values, clips, generator=self.generator(), draws=self.draws, span=span)


def chance_score(gallery: Gallery, ks: Sequence[int]) -> Score:
    """Hit@k of a random order, which neither condition nor cameras change."""
    scored = {threshold: matches > 0 for threshold, matches in gallery.matches.items()}
    return Score(
        queries={threshold: int(which.sum()) for threshold, which in scored.items()},
        hit={
            threshold: chance_at(gallery.matches[threshold][which], gallery.remaining[which], ks)
            for threshold, which in scored.items()
            if which.any()
        },
        interval={},
        concentration={},
    )


def score_head(thresholds: Sequence[float], ks: Sequence[int]) -> list[str]:
    """The head over `Score.cells`."""
    deep = "/".join(str(k) for k in ks)
    return ["queries", *(f"Hit@{deep} < {threshold:g}" for threshold in thresholds), f"95% of @{ks[0]}"]


def percents(rates: Mapping[int, float]) -> str:
    """Shares in percent, separated by strokes.

    >>> percents({1: 0.5, 10: 0.875})
    '50.0 / 87.5'
    """
    return " / ".join(f"{100 * rate:.1f}" for rate in rates.values()) or "-"
