"""Recipe: how an index keeps its embeddings and which engine searches them, read from a file of `recipes/`."""

__all__ = ["Recipe", "automatic", "is_shipped", "load_recipe", "shipped_recipes"]

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from vipe.errors import VipeError
from vipe.regular_file import read_regular
from vipe.toml_table import parse_toml

_SHIPPED = Path(__file__).with_name("recipes")
_EXACT_UP_TO = 100_000  # poses: comparing them one by one takes 2 ms, so codes would gain nothing

_EXPECTED = {
    "engine": '"faiss_cpu"',
    "code": '"float32", "fp16" or "int8"',
    "deeper": "a number from 1 to 1000",
    "beyond": "a whole number from 0 to 1000000",
    "lists": "true or false",
}


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an index keeps its embeddings, and how many it compares exactly.

    Codes of fewer bytes put poses in a slightly wrong order. So for k neighbours, the nearest `deeper` times k plus
    `beyond` by code are compared again by the embeddings themselves.

    >>> load_recipe("int8").depth(10)
    94
    """

    name: str
    engine: Literal["faiss_cpu"]
    code: Literal["float32", "fp16", "int8"]
    """Of each number that is searched; float32 is the embedding itself, and its order is exact."""
    deeper: Annotated[float, msgspec.Meta(ge=1, le=1_000)] = 1.0
    beyond: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    lists: bool = False
    """Whether codes are sorted into lists by nearness to centres, of which the nearest eighth is searched."""

    def __post_init__(self) -> None:
        if self.exact and (self.lists or self.deeper != 1 or self.beyond):
            raise ValueError('lists, deeper and beyond need code "fp16" or "int8"; "float32" is exact without them')

    @property
    def exact(self) -> bool:
        """Whether the engine's own order is the exact one."""
        return self.code == "float32"

    def depth(self, k: int) -> int:
        """How many neighbours to find by code when k are wanted."""
        return int(self.deeper * k) + self.beyond


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the library.

    >>> shipped_recipes()
    ('flat', 'fp16', 'int8', 'ivf')
    """
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))


def automatic(poses: int) -> Recipe:
    """The recipe that "auto" means for so many poses.

    >>> automatic(1_000).name, automatic(1_000_000).name
    ('flat', 'fp16')
    """
    return load_recipe("flat" if poses <= _EXACT_UP_TO else "fp16")


def is_shipped(recipe: Recipe) -> bool:
    """Whether a recipe comes with the library, so that its name tells all of it."""
    return recipe.name in shipped_recipes() and recipe == load_recipe(recipe.name)


def load_recipe(recipe: str | Path) -> Recipe:
    """Read a recipe.

    Args:
        recipe: The name of one that comes with the library, or the path of a .toml file of your own.

    Raises:
        VipeError: If there is none, or it is not a recipe; names the file, the key, what was found and expected.
    """
    if str(recipe).endswith(".toml"):
        return _read(Path(recipe))
    if str(recipe) not in shipped_recipes():
        raise VipeError(
            f"no recipe {str(recipe)!r}; known are auto, {', '.join(shipped_recipes())}, or the path of a .toml file"
        )
    return _read_shipped(str(recipe))


@cache
def _read_shipped(name: str) -> Recipe:
    return _read(_SHIPPED / f"{name}.toml")


def _read(path: Path) -> Recipe:
    try:
        found = parse_toml(read_regular(path))
    except OSError as error:
        raise VipeError(f"{path}: cannot read the recipe: {error.strerror or error}") from error
    except ValueError as error:  # of TOML as of UTF-8
        raise VipeError(f"{path}: not a recipe in TOML: {error}") from error
    for key in found:
        if key not in _EXPECTED:
            raise VipeError(f"{path}: unknown key {key!r}; expected {', '.join(_EXPECTED)}")
    for key in ("engine", "code"):
        if key not in found:
            raise VipeError(f"{path}: has no {key}, expected {key} = {_EXPECTED[key]}")
    try:
        return msgspec.convert({**found, "name": path.stem}, Recipe)
    except msgspec.ValidationError as error:
        raise VipeError(f"{path}: {_reason(error, found)}") from error


def _reason(error: msgspec.ValidationError, found: dict[str, Any]) -> str:
    """The key that msgspec refused, in our words; or what `Recipe` said itself."""
    message, _, key = str(error).partition(" - at `$.")
    key = key.removesuffix("`")
    return f"{key} is {found[key]!r}, expected {_EXPECTED[key]}" if key in found else message
