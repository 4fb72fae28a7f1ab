"""Relations that the papers' tables show, checked on the measurements of lifting_papers.py: what holds here, too?

A relation is between rows, so it may hold where millimetres differ. All are of the split `test` unless they say so.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lifting_papers_measure import AMBIGUOUS_NAME, NOISY, Figures

_ABOUT = 0.05  # relative difference of figures that are about equal
_APART = 0.1  # of figures that clearly differ
_EVEN = 0.01  # of figures that one seed cannot tell apart


class NotMeasured(Exception):
    """A row that a relation needs has no figures yet."""


@dataclass(frozen=True)
class Results:
    """The measurements, by row and photos."""

    found: Figures

    def named(self, key: str) -> Mapping[str, Any]:
        """Figures by their key in measured.json."""
        if key not in self.found:
            raise NotMeasured(key)
        figures: Mapping[str, Any] = self.found[key]
        return figures

    def of(self, row: str, condition: str = NOISY, part: str = "test") -> Mapping[str, Any]:
        """All figures of a row."""
        return self.named(f"{row}, {part}, {condition}")

    def error(self, row: str, figure: str, condition: str = NOISY, part: str = "test") -> float:
        """MPJPE, mm."""
        return float(self.of(row, condition, part)[figure]["error"])


Answer = tuple[str, bool | None]  # None: too near to tell
Relation = tuple[str, Callable[[Results], Answer]]


def rising(values: list[float], digits: int = 1) -> Answer:
    """Are the values in rising order?"""
    return " < ".join(f"{value:.{digits}f}" for value in values), all(a < b for a, b in pairwise(values))


# li2019


def kernels(of: Results) -> Answer:
    one, three, five, eight = (
        of.error(row, "kernels") for row in ("mdn-1-kernel", "mdn-3-kernels", "mdn-full", "mdn-8-kernels")
    )
    told = f"1, 3, 5, 8: {one:.1f}, {three:.1f}, {five:.1f}, {eight:.1f}"
    return told, five < (1 - _APART) * one and eight > (1 - _ABOUT) * five


def entropy(of: Results) -> Answer:
    with_prior, without = (of.of(row)["entropy"] for row in ("mdn-full", "mdn-no-prior"))
    return f"{with_prior:.2f} with, {without:.2f} nats without", with_prior > without


def rare_actions(of: Results) -> Answer:
    one, other = (of.of(row)["kernels"] for row in ("mdn-full", "mdn-no-prior"))
    people = one["people"]
    order = sorted(people, key=lambda name: -people[name])
    gains = []
    for names in (order[: len(order) // 2], order[len(order) // 2 :]):
        count = sum(people[name] for name in names)
        gains.append(sum(people[name] * (other["actions"][name] - one["actions"][name]) for name in names) / count)
    return f"gain {gains[1]:.1f} mm rare half, {gains[0]:.1f} frequent half", gains[1] > max(0.0, gains[0])


def apart(of: Results) -> Answer:
    sure, doubtful = of.of("mdn")["apart"], of.of("mdn", AMBIGUOUS_NAME)["apart"]
    told = f"x {sure[0]:.0f}, y {sure[1]:.0f}, depth {sure[2]:.0f}; ambiguous {doubtful[2]:.0f}"
    return told, sure[2] > 2 * max(sure[:2]) and doubtful[2] > sure[2]


def missing(of: Results) -> Answer:
    photos = (NOISY, "1 missing", "2 missing")
    gaps = [of.error("regression", "single", one) - of.error("mdn", "kernels", one) for one in photos]
    return f"gap 0, 1, 2 missing: {gaps[0]:.1f}, {gaps[1]:.1f}, {gaps[2]:.1f}", min(gaps) > 0.7 * max(gaps) > 0


def weighted(of: Results) -> Answer:
    mean, single = of.error("mdn", "weighted mean"), of.error("regression", "single")
    return f"{mean:.1f}, regression {single:.1f}", abs(mean - single) < _ABOUT * single


# sharma2019


def ranking(of: Results) -> Answer:
    names = ("best 200", "true relations", "predicted relations", "mean", "best 1")
    return rising([of.error("cvae", name) for name in names])


def diversity(of: Results) -> Answer:
    one, other = (of.of(row)["spread"][2] for row in ("cvae-gsnn-only", "cvae-full"))
    return f"depth {one:.0f} mm, hybrid {other:.0f}", one < other


def prior_samples(of: Results) -> Answer:
    one, other = (of.error(row, "best 1") for row in ("cvae-only", "cvae-full"))
    return f"one sample {one:.1f}, hybrid {other:.1f}", one > other


# wehrbein2021


def samples(of: Results) -> Answer:
    return rising([of.error("flow", name) for name in ("best 200", "best 10", "best 5", "single")])


def falling(of: Results) -> Answer:
    curve = of.named("curve")
    half, full = curve["flow"]["best"][-2:]
    return f"{half:.1f} of {curve['counts'][-2]:,}, {full:.1f} of {curve['counts'][-1]:,}", full < half


def zero(of: Results) -> Answer:
    one, other = of.error("flow", "single"), of.error("regression", "single")
    return f"{one:.1f}, regression {other:.1f}", one <= other


def depth(of: Results) -> Answer:
    x, y, z = of.of("flow")["spread"]
    return f"x {x:.0f}, y {y:.0f}, depth {z:.0f} mm", z > 2 * max(x, y)


def condition(of: Results) -> Answer:
    with_it, without = (of.of(row, AMBIGUOUS_NAME)["best 200"] for row in ("flow-full", "flow-no-condition"))
    cps, error = with_it["cps"] / without["cps"] - 1, 1 - with_it["error"] / without["error"]
    return f"CPS {100 * cps:+.0f}%, MPJPE {-100 * error:+.0f}%", cps > max(0.0, error)


def doubt(of: Results) -> Answer:
    spread = of.of("flow", AMBIGUOUS_NAME)["doubt"]
    wide, sure = spread["doubtful"], spread["sure"]
    told = f"doubtful {wide['found']:.0f} of {wide['told']:.0f} mm, sure {sure['found']:.0f} of {sure['told']:.0f}"
    return told, wide["found"] > (1 - _APART) * wide["told"] and sure["found"] < wide["found"] / 2


def critic(of: Results) -> Answer:
    rows = ("flow-no-gen", "flow-no-condition", "flow-no-hm", "flow-no-mb")
    worst = [of.of(row, AMBIGUOUS_NAME)["best 200"]["worst aligned"] for row in ("flow-full", *rows)]
    return f"P worst {worst[0]:.0f} full, {worst[1]:.0f} without", worst[1] > worst[0] and worst[1] == max(worst)


def best_mean(of: Results) -> Answer:
    rows = ("flow-no-mb", "flow-best-least", "flow-full", "flow-best-more", "flow-best-many")
    without, least, *more = (of.error(row, "best 200", AMBIGUOUS_NAME) for row in rows)
    told = f"no {without:.1f}, k = 1 {least:.1f}, more {', '.join(f'{one:.1f}' for one in more)}"
    return told, min(without, least) > max(more) and max(more) < (1 + _ABOUT) * min(more)


def noise(of: Results) -> Answer:
    curve = of.named("curve")
    hundred = curve["counts"].index(100)
    one, other = (curve[name]["best"] for name in ("noise", "flow"))
    gains = [best[hundred] - best[-1] for best in (one, other)]
    return f"{one[-1]:.1f}, flow {other[-1]:.1f}; from 100 on {gains[0]:.1f}, {gains[1]:.1f}", (
        one[-1] > other[-1] and gains[0] < gains[1]
    )


# han2025


def pair(row: str, figure: str, part: str = "test") -> Callable[[Results], Answer]:
    """Is the full model better than this one?"""

    def compared(of: Results) -> Answer:
        one, other = of.error("propose-full", figure, part=part), of.error(row, figure, part=part)
        return f"{one:.1f}, {other:.1f}", None if abs(one - other) < _EVEN * one else one < other

    return compared


def neutral(of: Results) -> Answer:
    one, other = (of.error(row, "single") for row in ("propose-full", "propose-no-pagd"))
    return f"{one:.1f}, {other:.1f}", abs(one - other) < _ABOUT * one


def mode(of: Results) -> Answer:
    return rising([of.error("propose", "single"), of.error("propose", "best 1")])


def reconstruction(of: Results) -> Answer:
    inside = of.named("propose, inside")
    return f"{inside['reconstruction']:.1f}, {inside['lifting']:.1f}", inside["reconstruction"] < inside["lifting"] / 2


def white(of: Results) -> Answer:
    square = of.named("propose, inside")["white"]
    return f"mean square {square:.2f}", 0.8 < square < 1.25


RELATIONS: dict[str, tuple[Relation, ...]] = {
    "li2019": (
        ("1 to 5 kernels gain much, 5 to 8 nothing", kernels),
        ("the prior raises the entropy of the coefficients", entropy),
        ("the prior helps rare actions most", rare_actions),
        ("means are apart in depth, more on ambiguous photos", apart),
        ("missing joints: as far below regression as without", missing),
        ("the weighted mean is about the regression", weighted),
    ),
    "sharma2019": (
        ("best < true relations < predicted < mean < sample", ranking),
        ("GSNN alone is less diverse", diversity),
        ("CVAE alone is worse when sampling", prior_samples),
    ),
    "wehrbein2021": (
        ("best of 200 < of 10 < of 5 < z = 0", samples),
        ("still falling at 1,000 samples, ambiguous", falling),
        ("z = 0 is no worse than regression", zero),
        ("depth spreads more than twice as far as x and y", depth),
        ("the condition moves CPS more than MPJPE", condition),
        ("doubtful joints spread as told, sure ones little", doubt),
        ("no critic: the worst hypothesis suffers most", critic),
        ("L_MB: flat for k above 1; k = 1 and none worse", best_mean),
        ("z0 + noise saturates earlier and higher", noise),
    ),
    "han2025": (
        ("alternate better than end-to-end, best of 200", pair("propose-end-to-end", "best 200")),
        ("alternate better than end-to-end, mode", pair("propose-end-to-end", "single")),
        ("PAGD helps the best of 200", pair("propose-no-pagd", "best 200")),
        ("PAGD: no difference of modes on the same data", neutral),
        ("PAGD helps the mode across data", pair("propose-no-pagd", "single", "cross")),
        ("PILGD better than N(0, I), best of 200", pair("propose-no-pilgd", "best 200")),
        ("PILGD better than N(0, I), mode", pair("propose-no-pilgd", "single")),
        ("the mode is better than a sample", mode),
        ("reconstruction far better than lifting", reconstruction),
        ("latents are white in the base distribution", white),
    ),
}


_WORDS = {True: "yes", False: "no", None: "even"}


def relation_lines(found: Figures) -> Iterator[Figures]:
    """A line for each relation: what it says, figures, and whether they agree; not shown if a row is not measured."""
    results = Results(found)
    for paper, relations in RELATIONS.items():
        for told, check in relations:
            line: Figures = {"table": f"relations of {paper}", "row": told}
            try:
                figures, holds = check(results)
            except NotMeasured:
                yield line
            else:
                yield line | {"figures": figures, "holds": _WORDS[holds]}
