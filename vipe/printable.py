"""Values as they are shown: names without what steers a terminal, errors of the system in short, shares in percent."""

__all__ = ["in_percent", "in_short", "printable"]

import os
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


def in_short(error: Exception) -> str:
    """One line of an error of the system or of Arrow: the system's words where it gave a number for them.

    Example:
        >>> in_short(OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device"))
        'No space left on device'
    """
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    stated = error.strerror if isinstance(error, OSError) else None
    lines = (stated or str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def in_percent(share: float) -> str:
    """A share or a probability from 0 to 1 in whole percent, the same in tables, on pages and in pictures.

    Only four digits count: those that JSON keeps of a share, of which tables are made.

    Example:
        >>> in_percent(0.875), in_percent(0.1250004), in_percent(0.125), in_percent(0.003)
        ('88%', '12%', '12%', '<1%')
    """
    percent = round(100 * round(float(share), 4))
    return f"{percent}%" if percent else "<1%"
