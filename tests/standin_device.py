"""A device that stands in for a GPU: its tensors hold numbers in the computer's memory, and only the name differs.

Torch knows it as `meta`, which every machine has. Tensors that are made there or moved there are computed with, as on a
GPU, by functions whose tensors all lie there; one of the CPU among them is an error, as it is there; `.numpy()` is one,
too, before `.cpu()`. So code for a GPU runs on any machine, through the same lines, to numbers that can be compared.

What a GPU forgives is forgiven here: numbers without a shape from the CPU, and rows of the CPU that index.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

STANDIN = torch.device("meta")
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
_MOVING = {"_to_copy", "copy_", "copy"}


class _Held(torch.Tensor):
    """A tensor of the device: shape and kind for torch, the numbers beside it."""

    numbers: torch.Tensor

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> "_Held":
        held = torch.Tensor._make_wrapper_subclass(
            cls,
            numbers.size(),
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=STANDIN,
        )
        held.numbers = numbers
        return held

    def __repr__(self, **_: Any) -> str:
        return f"on the stand-in: {self.numbers!r}"

    def tolist(self) -> Any:
        return self.numbers.tolist()

    def new_tensor(self, data: Any, **kinds: Any) -> torch.Tensor:
        return torch.tensor(data, **{"dtype": self.dtype, "device": STANDIN, **kinds})

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(_with_tensors(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_with_tensors(key), value)

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _called(function, args, kwargs or {})


class _Standin(TorchDispatchMode):
    def __init__(self, functions: set[str]) -> None:
        super().__init__()
        self.functions = functions

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _called(function, args, kwargs or {}, self.functions)


@contextmanager
def standin_device() -> Iterator[set[str]]:
    """Give the device; in this thread alone, as code for a GPU needs no other.

    Returns:
        Names of the functions that ran there, filled as they do.
    """
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # a module's weights become other objects there
    try:
        with (
            patch.object(torch, "inference_mode", _without_gradients),
            patch.object(torch, "autocast", lambda *_, **__: nullcontext()),  # knows no such device
            patch.object(torch, "tensor", partial(_of_numbers, torch.tensor)),
            _Standin(set()) as mode,
        ):
            yield mode.functions
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)


def _without_gradients(mode: bool = True) -> AbstractContextManager[Any]:
    """What is left of inference mode: of a subclass torch cannot tell views made in it from others."""
    return torch.no_grad() if mode else nullcontext()


def _of_numbers(make: Any, data: Any, *, device: Any = None, **kinds: Any) -> torch.Tensor:
    """`torch.tensor`, which makes `meta` tensors of given numbers before it asks anybody: these are moved there."""
    made: torch.Tensor = make(data, **kinds)
    return made if device is None else made.to(device)


def _called(function: Any, args: Any, kwargs: dict[str, Any], functions: set[str] | None = None) -> Any:
    name = function.overloadpacket.__name__
    tensors = [one for one in _flat((*args, *kwargs.values())) if isinstance(one, torch.Tensor)]
    held = [tensor for tensor in tensors if isinstance(tensor, _Held)]
    if len(held) < sum(tensor.device == STANDIN for tensor in tensors):
        if not held:  # a module that waits for its weights, which the library builds on `meta`, too
            return function(*args, **kwargs)
        raise RuntimeError(f"{name}: a tensor of the stand-in was made where nobody could see it, and has no numbers")
    _check_devices(name, args, tensors, held)
    asked = kwargs.get("device")
    there = bool(held) if asked is None else torch.device(asked) == STANDIN
    if there and kwargs.get("generator") is not None:
        raise RuntimeError(f"{name}: expected a generator of the stand-in, found one of {kwargs['generator'].device}")
    if there and functions is not None:
        functions.add(name)
    if asked is not None and there:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if name == "copy_":  # to where the first one is
        there = isinstance(args[0], _Held)
    result = function(*map(_numbers, args), **{key: _numbers(value) for key, value in kwargs.items()})
    if not there:
        return result
    if name == "_to_copy" and not held and any(result is one for one in args):
        result = result.clone()
    before = {id(tensor.numbers): tensor for tensor in held}  # what was written into stays the object that it was
    return _wrapped(result, before)


def _check_devices(name: str, args: Any, tensors: list[torch.Tensor], held: list[_Held]) -> None:
    """Rows that index may be the CPU's; what they index, and what is put there, may not."""
    if not held or name in _MOVING:
        return
    indexing = name in _INDEXING
    checked = [args[0], *args[2:3]] if indexing else tensors
    strangers = [one for one in checked if not isinstance(one, _Held) and isinstance(one, torch.Tensor) and one.ndim]
    if strangers or (indexing and not isinstance(args[0], _Held)):
        raise RuntimeError(f"{name}: expected all tensors on one device, found the stand-in and the CPU")


def _flat(values: Any) -> Iterator[Any]:
    for one in values:
        if isinstance(one, list | tuple):
            yield from one
        else:
            yield one


def _wrapped(result: Any, before: dict[int, _Held]) -> Any:
    if isinstance(result, torch.Tensor):
        return before[id(result)] if id(result) in before else _Held(result)
    return type(result)(_wrapped(one, before) for one in result) if isinstance(result, list | tuple) else result


def _numbers(value: Any) -> Any:
    if isinstance(value, _Held):
        return value.numbers
    return type(value)(map(_numbers, value)) if isinstance(value, list | tuple) else value


def _with_tensors(key: Any) -> Any:
    """Lists that index as tensors; torch would make `meta` ones of them, which hold nothing."""
    if isinstance(key, list):
        return torch.tensor(key)
    if not isinstance(key, tuple):
        return key
    return tuple(torch.tensor(one) if isinstance(one, list | tuple) else one for one in key)
