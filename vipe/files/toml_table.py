"""Tables in TOML that a user gives: parsed after a look at their keys, whose depth costs the square of it."""

__all__ = ["parse_toml"]

import re
import tomllib
from typing import Any

_DEEPEST = 32  # parts of a dotted key; the tables of the library have three


def parse_toml(data: bytes) -> dict[str, Any]:
    """Parse TOML, with one kind of error for all that can be wrong.

    A key of n parts makes n tables, and tomllib compares each with all before it: 50,000 parts took a minute and ten
    gigabytes.

    Raises:
        ValueError: If it is not UTF-8 or not TOML, is nested too deeply, or has a key of more than 32 parts.

    >>> parse_toml(b'a.b = 1')
    {'a': {'b': 1}}
    """
    text = data.decode()
    for number, line in enumerate(text.split("\n"), start=1):
        *keys, last = line.split("=")
        keys = [re.split("[,{]", key)[-1] for key in keys]
        if last.lstrip().startswith("[") and "," not in last and not keys:
            keys.append(last)  # a header of a table
        if any(key.count(".") >= _DEEPEST for key in keys):
            raise ValueError(f"line {number}: a key of more than {_DEEPEST} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
