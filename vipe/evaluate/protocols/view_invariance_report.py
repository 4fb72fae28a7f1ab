"""What the retrieval protocol measured, as a table and as JSON (numpy)."""

__all__ = ["CHANCE", "EVERY_PAIR", "UNSEEN_PAIRS", "RetrievalReport", "RetrievalScore"]

from dataclasses import dataclass
from typing import Any

from vipe.evaluate.scoring import ANY, Score, score_head

EVERY_PAIR = "all"
UNSEEN_PAIRS = "unseen"
CHANCE = "chance"


@dataclass(frozen=True, kw_only=True)
class RetrievalScore(Score):
    """One matcher under one condition, over the camera pairs of one column: means over pairs and scored queries.

    `queries` are those of each camera pair.
    """

    matcher: str
    condition: str
    gallery: str  # what was left out of it
    cameras: str  # `EVERY_PAIR` or `UNSEEN_PAIRS`
    reciprocal_rank: dict[float, float]  # mean of 1 / rank of the first hit, by threshold
    over_first: tuple[float, tuple[float, float]] | None = None
    """The difference to the first matcher's Hit@k, at the first k and threshold, query by query, with its 95% interval
    over clips; None for the first matcher itself and for chance."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; thresholds and ks as strings."""
        means = {f"{threshold:g}": mean for threshold, mean in self.reciprocal_rank.items()}
        gain = None if self.over_first is None else {"value": self.over_first[0], "interval": list(self.over_first[1])}
        return super().to_json() | {"reciprocal_rank": means, "over_first": gain}


@dataclass(frozen=True, kw_only=True)
class RetrievalReport:
    """Every score of one run of the protocol, and what was compared."""

    protocol: dict[str, Any]
    scores: tuple[RetrievalScore, ...]
    poses: int
    left_out: int  # poses without a canonical form
    clips: int
    pairs: dict[str, int]  # ordered camera pairs, by column
    seconds: float

    def score(self, matcher: str, condition: str, gallery: str, cameras: str = EVERY_PAIR) -> RetrievalScore | None:
        """The score of these names, or None where it was not measured."""
        wanted = (matcher, condition, gallery, cameras)
        for score in self.scores:
            if (score.matcher, score.condition, score.gallery, score.cameras) == wanted:
                return score
        return None

    @property
    def primary(self) -> dict[str, Any] | None:
        """The one figure: the papers' Hit@k, of the first matcher under the first condition.

        At the first k and threshold, over all camera pairs; the same pose from the other camera is a hit.
        `share_of_five_clips` is how many of its queries come from the five clips with the most.
        """
        threshold, k = self.protocol["thresholds"][0], self.protocol["ks"][0]
        score = self.score(self.protocol["matchers"][0], self.protocol["conditions"][0], self.protocol["galleries"][0])
        if score is None or threshold not in score.hit:
            return None
        where = f"{score.condition}, {score.gallery}, {score.cameras} camera pairs"
        return {
            "name": f"Hit@{k} below {threshold:g} torso, {where}",
            "matcher": score.matcher,
            **score.figure(threshold, k),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values; `results` goes by matcher, condition, what was left out, and camera pairs."""
        results: dict[str, Any] = {}
        for score in self.scores:
            place = results.setdefault(score.matcher, {}).setdefault(score.condition, {})
            place.setdefault(score.gallery, {})[score.cameras] = score.to_json()
        return {
            "primary": self.primary,
            "protocol": self.protocol,
            "poses": self.poses,
            "left_out": self.left_out,
            "clips": self.clips,
            "pairs": self.pairs,
            "seconds": self.seconds,
            "results": results,
        }

    def to_table(self) -> list[list[str]]:
        """A matcher a row in percent, head first: Hit@k by threshold, 95% interval and mean reciprocal rank."""
        head = ["condition", "gallery", "cameras", "matcher"]
        head += score_head(self.protocol["thresholds"], self.protocol["ks"])
        gain = f"@{self.protocol['ks'][0]} over the first"
        return [[*head, "MRR", gain], *(self._row(score) for score in self.scores)]

    def _row(self, score: RetrievalScore) -> list[str]:
        first = self.protocol["thresholds"][0]
        return [
            "-" if score.condition == ANY else score.condition,
            score.gallery,
            score.cameras,
            score.matcher,
            *score.cells(self.protocol["thresholds"], self.protocol["ks"][0]),
            f"{score.reciprocal_rank[first]:.3f}" if first in score.reciprocal_rank else "-",
            _gain(score.over_first),
        ]


def _gain(over_first: tuple[float, tuple[float, float]] | None) -> str:
    if over_first is None:
        return "-"
    gain, (low, high) = over_first
    return f"{100 * gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
