"""Text from outside without what steers a terminal: names of clips, images and files may hold anything."""

__all__ = ["printable"]

import unicodedata

_STEERING = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # controls, directions, halves of characters, no characters


def printable(text: str) -> str:
    r"""Text without the characters that steer a terminal or turn its writing around; each as an escape sequence.

    Line ends and tabs stay.

    Example:
        >>> printable("walk" + chr(27) + "[2J")
        'walk\\x1b[2J'
    """
    return "".join(
        one if one in "\n\t" or unicodedata.category(one) not in _STEERING else ascii(one)[1:-1] for one in text
    )
