"""Recipe: how an index keeps its embeddings and how they are searched, read from a file of `recipes/`."""

__all__ = [
    "Recipe",
    "Search",
    "automatic",
    "is_shipped",
    "load_recipe",
    "name_of",
    "named",
    "of_earlier_format",
    "shipped_recipes",
]

import math
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from vipe.errors import VipeError
from vipe.files.regular_file import read_regular
from vipe.files.toml_table import parse_toml

_SHIPPED = Path(__file__).with_name("recipes")
_EXACT_UP_TO = 100_000  # poses: comparing them one by one takes 2 ms, so codes would gain nothing
_COMPARED_UP_TO = 300_000  # poses: comparing a code of each takes 3 ms, and lists would hardly gain
_LEAST_IN_LIST = 40  # poses a list: with fewer FAISS warns that its centres are badly placed
_LANES = 16  # numbers that FAISS decodes at a time; with another length it falls back to code that is 10 times slower

_CODES = r"Flat|SQ(?:fp16|bf16|8|6|4)|PQ(?:\{dim\}|[1-9][0-9]{0,2})(?:x4fsr?|x8|x4|)|RaBitQ[1-8]?"
_FACTORY = re.compile(
    rf"(?:IVF(?:\{{lists\}}|[1-9][0-9]{{0,6}}),)?(?:{_CODES})|HNSW(?:[2-9]|[1-9][0-9]{{1,2}})(?:,(?:{_CODES}))?"
    r"|CAGRA(?:16|24|32|48|64|96|128)"
)

_EXPECTED = {
    "engine": '"faiss_cpu" or "faiss_cagra"',
    "factory": 'what FAISS makes an index of, such as "SQfp16", "IVF{lists},SQfp16", "HNSW32,SQ8" or "CAGRA32"',
    "metric": '"any", "l2" or "ip"',
    "training": "a whole number from 1000 to 100000000",
    "deeper": "a number from 1 to 1000",
    "beyond": "a whole number from 0 to 1000000",
    "search": "a table with lists and effort",
    "expected": "tables such as [expected.affine] with bytes, recall_10 and recall_200",
    "lists": "a number above 0, up to 1",
    "effort": "a whole number from 1 to 1000000",
    "bytes": "a number above 0",
    "recall_10": "a number from 0 to 1",
    "recall_200": "a number from 0 to 1",
}
_REQUIRED = ("engine", "factory")

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of an index a query looks at; `vipe index tune` finds it for a wanted recall."""

    lists: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1 / 8
    """Share of the lists whose codes are compared; those with the nearest centres. FAISS: nprobe."""
    effort: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 64
    """Poses of a graph that are kept while it is walked. FAISS: efSearch, and itopk_size on a GPU."""


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `benchmarks/index.py` measured among 1,000,000 poses."""

    bytes: Annotated[float, msgspec.Meta(gt=0)]
    """Of a pose, beside its embedding."""
    recall_10: _Share
    """Share of the people found by comparing every pose who are found among 10."""
    recall_200: _Share


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an index keeps its embeddings, how they are searched, and how many are compared exactly.

    Codes of fewer bytes put poses in a slightly wrong order. So for k neighbours, the nearest `deeper` times k plus
    `beyond` by code are compared again by the embeddings themselves.

    >>> load_recipe("int8").depth(10)
    94
    """

    name: str
    engine: Literal["faiss_cpu", "faiss_cagra"]
    """What builds and searches it: `vipe.index.engines`."""
    factory: str
    """What FAISS's `index_factory` is told, with {dim} for the length of embeddings and {lists} for a number of lists:
    4 times the root of the number of poses, and 40 poses a list at least. Of engine "faiss_cagra", whose graphs that
    function does not make: "CAGRA" and the neighbours that each pose has in the graph."""
    metric: Literal["any", "l2", "ip"] = "any"
    """Of the embeddings that it is for: l2 of learned ones, ip of affine signatures."""
    training: Annotated[int, msgspec.Meta(ge=1_000, le=100_000_000)] = 100_000
    """Embeddings, evenly taken, that codes and centres are learned from."""
    deeper: Annotated[float, msgspec.Meta(ge=1, le=1_000)] = 1.0
    beyond: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    search: Search = Search()
    expected: dict[str, Expected] = {}
    """By encoder: `affine`, `default`."""

    def __post_init__(self) -> None:
        if not _FACTORY.fullmatch(self.factory):
            raise ValueError(f"factory is {self.factory!r}, expected {_EXPECTED['factory']}")
        if (self.engine == "faiss_cagra") != self.factory.startswith("CAGRA"):
            raise ValueError(f'engine is {self.engine!r}; "faiss_cagra" is for factory "CAGRA32" and the like alone')
        if self.exact and (self.deeper != 1 or self.beyond):
            raise ValueError('deeper and beyond are for codes; factory "Flat" is exact without them')

    @property
    def exact(self) -> bool:
        """Whether the engine's own order is the exact one."""
        return self.factory == "Flat"

    @property
    def has_lists(self) -> bool:
        """Whether codes lie in lists, of which some are searched."""
        return self.factory.startswith("IVF")

    @property
    def has_graph(self) -> bool:
        """Whether neighbours are found by walking a graph."""
        return self.factory.startswith(("HNSW", "CAGRA"))

    @property
    def degree(self) -> int:
        """Of a graph of engine "faiss_cagra": the neighbours of each pose."""
        return int(self.factory.removeprefix("CAGRA"))

    @property
    def compares_again(self) -> bool:
        """Whether more are found by code than are wanted, and compared again by the embeddings themselves."""
        return self.deeper != 1 or self.beyond > 0

    def refuse_other_metric(self, encoder: str, metric: str) -> None:
        """Check that the recipe is one for an encoder's embeddings.

        Args:
            encoder: Its name.
            metric: Its metric, "l2" or "ip".

        Raises:
            VipeError: If the recipe is for those of another metric; names both.
        """
        if self.metric not in ("any", metric):
            raise VipeError(
                f"recipe {self.name} is for embeddings of metric {self.metric}, encoder {encoder} has {metric}; take "
                f'another recipe, or write metric = "{metric}" or "any" in it'
            )

    def exactness(self, encoder: str, measured: str | None = None) -> str:
        """A line on how far answers are those of comparing every pose.

        Args:
            encoder: What `expected` calls it: "affine", "default".
            measured: What was measured on the index itself, in place of what the recipe states.

        >>> load_recipe("flat").exactness("affine")
        'answers are exact: every embedding is compared'
        >>> load_recipe("ivf").exactness("affine", "it finds all").partition("; ")[2]
        'it finds all'
        """
        if self.exact:
            return "answers are exact: every embedding is compared"
        ways = ["some of the lists are searched"] if self.has_lists and self.search.lists < 1 else []
        ways += ["a graph is walked"] if self.has_graph else []
        if not (self.factory.endswith("Flat") or (self.has_graph and "," not in self.factory)):
            again = "more than asked for are taken and compared again by the embeddings"
            none = "no more than asked for are taken (no `deeper` in the recipe)"
            ways += [f"codes are compared, of which {again if self.compares_again else none}"]
        if not ways:
            return "answers are exact: every embedding is compared"
        if measured is None and encoder in self.expected:
            known = self.expected[encoder]
            measured = (
                f"recipe {self.name} states that of the people whom comparing every pose finds, {known.recall_10:.1%} "
                f"are found among 10 and {known.recall_200:.1%} among 200"
            )
        unknown = f"recipe {self.name} does not state how much is lost with encoder {encoder}"
        return f"answers may be inexact: {', and '.join(ways)}; {measured or unknown}"

    def depth(self, k: int) -> int:
        """How many neighbours to find by code when k are wanted."""
        return int(self.deeper * k) + self.beyond

    def held_dim(self, dim: int) -> int:
        """Length of the vectors that FAISS holds: with zeros behind, where that suits its codes."""
        return -(-dim // _LANES) * _LANES if "SQ" in self.factory else dim

    def factory_for(self, dim: int, poses: int) -> str:
        """The factory with its numbers filled in.

        >>> load_recipe("ivf").factory_for(32, 1_000_000)
        'IVF4000,SQfp16'
        """
        lists = max(1, min(4 * math.isqrt(poses), poses // _LEAST_IN_LIST))
        return self.factory.format(dim=dim, lists=lists)


def shipped_recipes(engine: str | None = None) -> tuple[str, ...]:
    """Names of the recipes that come with the library; if an engine is named, of those that it builds.

    >>> shipped_recipes()
    ('cagra', 'flat', 'fp16', 'hnsw', 'int8', 'ivf', 'ivf-pq')
    """
    names = sorted(path.stem for path in _SHIPPED.glob("*.toml"))
    return tuple(name for name in names if engine is None or _read_shipped(name).engine == engine)


def automatic(poses: int, dim: int = 78, memory: int | None = None) -> Recipe:
    """The recipe that "auto" means.

    Args:
        poses: How many there are.
        dim: Length of their embeddings.
        memory: Bytes of this machine; asked of the system if not given.

    >>> [automatic(poses, memory=2**34).name for poses in (1_000, 200_000, 1_000_000, 100_000_000)]
    ['flat', 'fp16', 'ivf', 'ivf-pq']
    """
    if poses <= _EXACT_UP_TO:
        return load_recipe("flat")
    if poses <= _COMPARED_UP_TO:
        return load_recipe("fp16")
    ivf = load_recipe("ivf")
    codes = poses * (2 * ivf.held_dim(dim) + 8)
    return ivf if codes <= (_memory() if memory is None else memory) / 2 else load_recipe("ivf-pq")


def is_shipped(recipe: Recipe) -> bool:
    """Whether a recipe comes with the library, so that its name tells all of it."""
    return recipe.name in shipped_recipes() and recipe == load_recipe(recipe.name)


def named(recipe: Recipe) -> str | Recipe:
    """What a manifest notes of a recipe: its name if it comes with the library, else all of it."""
    return recipe.name if is_shipped(recipe) else recipe


def name_of(noted: str | Recipe) -> str:
    """The name of a recipe as a manifest notes it."""
    return noted.name if isinstance(noted, Recipe) else noted


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


def of_earlier_format(noted: Any) -> Any:
    """A recipe as manifests of formats 1 to 3 note it, as it is noted today; anything else as it is."""
    if not isinstance(noted, Mapping) or "code" not in noted:
        return noted
    old = dict(noted)
    code = {"float32": "Flat", "fp16": "SQfp16", "int8": "SQ8"}.get(str(old.pop("code")))
    lists = "IVF{lists}," if old.pop("lists", False) else ""
    return {**old, "factory": f"{lists}{code}"}


def _memory() -> float:
    """Bytes of memory that the machine has; without end where the system does not say."""
    if not hasattr(os, "sysconf") or not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys():
        return math.inf
    return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")


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
    known = [name for name in Recipe.__struct_fields__ if name != "name"]
    for key in found:
        if key not in known:
            raise VipeError(f"{path}: unknown key {key!r}; expected {', '.join(known)}")
    for key in _REQUIRED:
        if key not in found:
            raise VipeError(f"{path}: has no {key}, expected {key} = {_EXPECTED[key]}")
    try:
        return msgspec.convert({**found, "name": path.stem}, Recipe)
    except msgspec.ValidationError as error:
        raise VipeError(f"{path}: {_reason(error, found)}") from error


def _reason(error: msgspec.ValidationError, found: Any) -> str:
    """The key that msgspec refused, in our words; or what `Recipe` said itself."""
    message, _, place = str(error).partition(" - at `$")
    *_, key = re.split(r"[.\[\]]+", place.removesuffix("`").rstrip("]")) if place else [""]
    value = found
    for step in re.findall(r"\w+", place):
        value = value.get(step, value) if isinstance(value, Mapping) else value
    return f"{key} is {value!r}, expected {_EXPECTED[key]}" if key in _EXPECTED else message
