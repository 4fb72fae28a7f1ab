"""What a name that is not there may have been meant as: said in the one line of an error."""

__all__ = ["did_you_mean", "lacks_clip"]

import difflib
from collections.abc import Collection

_ALIKE = 0.5  # difflib's ratio from which a clip's name is shown before others; half of their letters in order
_MEANT = 0.7  # from which a name is asked after: "defalt" is "default", "mine" is nothing
_SHOWN = 3


def lacks_clip(where: object, clip: object, clips: Collection[str]) -> str:
    """A sentence on a clip that is not there, with the clips whose names are most like it.

    Args:
        where: Such as a store's folder.
        clip: The name.
        clips: The names that are there; the first ones are told where none is like it.

    >>> lacks_clip("store", "wolk", ["sit", "jump", "fall", "walk"])
    "store: has no clip 'wolk'; it has 4 clips, such as 'walk'"
    >>> lacks_clip("store", "x", [])
    "store: has no clip 'x'; it has 0 clips"
    """
    names = list(dict.fromkeys(clips))
    shown = _similar(str(clip), names, _SHOWN, _ALIKE) or names[:_SHOWN]
    count = f"{len(names):,} clip{'' if len(names) == 1 else 's'}"
    return (
        f"{where}: has no clip {clip!r}; it has {count}" + (", such as " if shown else "") + ", ".join(map(repr, shown))
    )


def did_you_mean(name: str, known: Collection[str]) -> str:
    """What follows the refusal of a name: the known one that is most like it, or nothing.

    >>> did_you_mean("defalt", ["default", "affine"])
    "; did you mean 'default'?"
    >>> did_you_mean("models/mine", ["default", "affine"])
    ''
    """
    meant = _similar(name, known, 1, _MEANT)
    return f"; did you mean {meant[0]!r}?" if meant else ""


def _similar(name: str, known: Collection[str], most: int, least: float) -> list[str]:
    """The most similar names, whatever the case of their letters."""
    folded: dict[str, list[str]] = {}
    for one in known:
        folded.setdefault(one.casefold(), []).append(one)
    found = difflib.get_close_matches(name.casefold(), folded, n=most, cutoff=least)
    return [one for key in found for one in folded[key]][:most]
