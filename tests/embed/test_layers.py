"""The layers of embed in pyproject.toml name every module of it."""

import pkgutil
import tomllib
from pathlib import Path

import vipe.embed

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def layers(title):
    contracts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (contract,) = (contract for contract in contracts if contract["name"].startswith(title))
    return {name for layer in contract["layers"] for name in layer.replace("|", ":").replace(" ", "").split(":")}


def test_every_module_of_embed_is_in_a_layer():
    modules = {
        module.name.removeprefix("vipe.embed.")
        for module in pkgutil.walk_packages(vipe.embed.__path__, "vipe.embed.")
        if not module.ispkg
    }
    expected = {"generation" if name.startswith("generation.") else name for name in modules}
    assert layers("Inside embed") == expected
