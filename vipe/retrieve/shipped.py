"""Learned numbers that come with the library as a JSON file that can be read and compared."""

__all__ = ["ShippedNumbers"]

import json
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from vipe.atomic_write import atomic_write
from vipe.errors import ReadError, ShapeError

_Own = TypeVar("_Own", bound="ShippedNumbers")


class ShippedNumbers:
    """A dataclass of numbers, and the file of the package that holds those in use."""

    shipped: ClassVar[str]  # name of the file
    broken: ClassVar[str]  # what is wrong with a file that does not hold such numbers

    @classmethod
    @cache
    def default(cls: type[_Own]) -> _Own:
        """The numbers that come with the library.

        Raises:
            ReadError: If their file is damaged; install the library again.
        """
        with resources.as_file(resources.files("vipe.retrieve").joinpath(cls.shipped)) as file:
            return cls.load(file)

    @classmethod
    def load(cls: type[_Own], path: str | Path) -> _Own:
        """Read numbers that `save` wrote.

        Raises:
            ReadError: If there are none, they are broken, or of another version.
        """
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError, ShapeError) as error:
            raise ReadError(f"{path}: {cls.broken}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write them; a file that is there is replaced whole or not at all."""
        numbers: Any = self
        with atomic_write(Path(path), replace=True) as file:
            file.write_text(json.dumps(asdict(numbers), indent=1) + "\n", encoding="utf-8")
