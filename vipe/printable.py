"""Text from outside as it is shown: names without what steers a terminal, errors of the system in short."""

__all__ = ["in_short", "printable"]

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
