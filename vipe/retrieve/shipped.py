"""Learned numbers that come with the library, as a JSON file beside the code that uses them."""

__all__ = ["ShippedNumbers"]

import json
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from vipe.atomic_write import atomic_write
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.files.regular_file import read_regular

_Own = TypeVar("_Own", bound="ShippedNumbers")


class ShippedNumbers:
    """A dataclass of learned numbers that is saved as JSON, and the file that holds the library's own."""

    shipped: ClassVar[str]  # path of the library's file, from the folder of `vipe.retrieve`
    broken: ClassVar[str]  # what an error calls a file that does not hold such numbers

    @classmethod
    @cache
    def default(cls: type[_Own]) -> _Own:
        """The numbers that come with the library.

        Raises:
            ReadError: If their file is damaged; install the library again.
        """
        own: _Own = cls.load_shipped(cls.shipped)
        return own

    @classmethod
    @cache
    def load_shipped(cls: type[_Own], path: str) -> _Own:
        """Numbers of a file of the library, by its path from the folder of `vipe.retrieve`."""
        with resources.as_file(resources.files("vipe.retrieve").joinpath(path)) as file:
            return cls.load(file)

    @classmethod
    def load(cls: type[_Own], path: str | Path) -> _Own:
        """Read numbers that `save` wrote.

        Raises:
            ReadError: If the file is missing, broken, or of another version.
        """
        try:
            return msgspec.json.decode(read_regular(Path(path)), type=cls)
        except (OSError, msgspec.MsgspecError, ShapeError, VipeError) as error:
            raise ReadError(f"{path}: {cls.broken}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the numbers; an earlier file is replaced whole or not at all."""
        numbers: Any = self
        with atomic_write(Path(path), replace=True) as file:
            file.write_text(json.dumps(asdict(numbers), indent=1) + "\n", encoding="utf-8")
