"""The model card of a trained model: what it was trained on, how, how good it is, and what it is not for."""

__all__ = ["SECTIONS", "Told", "model_card"]

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

SECTIONS = ("Data", "Licence", "Protocol", "Figures", "Limits")
"""Of every card, in this order: a line begins with each, in bold."""

_WIDE = 118


@dataclass(frozen=True, kw_only=True)
class Told:
    """What only the caller of a training knows, as far as it was told."""

    data: str = ""  # a name
    licence: str = ""  # of the data
    command: str = ""  # that trains the same model

    @classmethod
    def of(cls, data: "str | Told") -> "Told":
        """Itself, or what a name alone tells."""
        return data if isinstance(data, Told) else cls(data=data)


def model_card(
    title: str,
    about: str,
    told: Told,
    *,
    data: str,
    protocol: str,
    figures: Mapping[str, str],
    measured: str,
    limits: str,
) -> str:
    """A card in Markdown.

    Args:
        title: Kind of the model.
        about: A sentence or two on what it does, with the paper.
        told: What the caller told.
        data: How many poses, of what; the name of the data follows.
        protocol: Steps, batch, seed.
        figures: On validation data, by what was measured.
        measured: On what, by what measure.
        limits: What it was not trained for.
    """
    values = "; ".join(f"{name} {value}" for name, value in figures.items()) or "not measured"
    parts = {
        "Data": f"{data} of {told.data or 'data without a name'}.",
        "Licence": f"of the data: {told.licence}. The licence of the weights follows from it."
        if told.licence
        else "of the data: not told. That of the weights follows from it: find it out before you pass them on.",
        "Protocol": f"{protocol}. Command: {f'`{told.command}`' if told.command else 'not told; trained from Python'}.",
        "Figures": f"{measured}: {values}.",
        "Limits": limits,
    }
    lines = [
        textwrap.fill(
            f"- **{name}**: {' '.join(parts[name].split())}",
            _WIDE,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name in SECTIONS
    ]
    head = textwrap.fill(" ".join(about.split()), _WIDE, break_on_hyphens=False)
    return "\n".join([f"# {title}", "", head, "", *lines, ""])
