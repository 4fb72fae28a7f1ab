"""What lets the GPU suite run from the source tree beside torch, safetensors, scikit-learn, pyarrow and rich alone.

Imported for its effect, before anything of `vipe`. The source tree goes on the path. Where jaxtyping or msgspec is not
installed, a module of that name takes its place: annotations of shapes say nothing then, and settings of a trained
model are taken without validation. Keypoint files, which msgspec decodes, cannot be read so; the suite reads none.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _Shaped:
    """`Float[Tensor, "batch 3"]` is `Tensor`."""

    def __class_getitem__(cls, item: Any) -> Any:
        return item[0] if isinstance(item, tuple) else item


class _Struct:
    def __init_subclass__(cls, **settings: Any) -> None:
        pass


class _Meta:
    def __init__(self, **limits: Any) -> None:
        pass


class _Decoder:
    def __init__(self, kind: Any = None, **settings: Any) -> None:
        pass

    def __class_getitem__(cls, kind: Any) -> Any:
        return cls

    def decode(self, _: bytes) -> Any:
        raise ModuleNotFoundError("keypoint files need msgspec, which is not installed")


class _ValidationError(ValueError):
    pass


def _convert(settings: dict[str, Any], kind: Any) -> Any:
    return kind(**settings)


def _field(default: Any = None, **settings: Any) -> Any:  # noqa: ARG001
    return default


def _jaxtyping() -> ModuleType:
    module = ModuleType("jaxtyping")
    for name in (
        "Bool",
        "Float",
        "Float32",
        "Float64",
        "Int",
        "Int32",
        "Int64",
        "Integer",
        "Shaped",
        "UInt8",
        "UInt32",
    ):
        setattr(module, name, _Shaped)
    return module


def _msgspec() -> ModuleType:
    module = ModuleType("msgspec")
    decoding = ModuleType("msgspec.json")
    decoding.Decoder, decoding.encode = _Decoder, lambda value: json.dumps(value).encode()
    module.json, module.convert = decoding, _convert
    module.Struct, module.Meta = _Struct, _Meta
    module.Raw, module.UnsetType, module.UNSET = bytes, type(None), None
    module.ValidationError, module.DecodeError, module.MsgspecError = _ValidationError, ValueError, ValueError
    module.field = _field
    return module


def _stand_in() -> None:
    tree = str(Path(__file__).resolve().parent.parent)
    if tree not in sys.path:
        sys.path.insert(0, tree)
    for name, make in (("jaxtyping", _jaxtyping), ("msgspec", _msgspec)):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            sys.modules[name] = make()


_stand_in()
