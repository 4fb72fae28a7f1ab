"""Devices that are not the CPU, for tests: one that stands in for a GPU, and a GPU if there is one (marked `gpu`)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from standin_device import STANDIN, standin_device

DEVICES = (
    "stand-in",
    pytest.param(
        "cuda", marks=(pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"))
    ),
)


class OtherDevice:
    """A device by its name, and what ran there so far, as far as that is known."""

    def __init__(self, name: str, functions: set[str] | None) -> None:
        self.name, self._functions = name, functions

    def forget(self) -> None:
        """Ask from now on."""
        if self._functions is not None:
            self._functions.clear()
        else:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()

    def worked(self, function: str | None = None) -> bool:
        """Whether anything, or a function of torch, ran there since `forget`; of a GPU only its memory is known."""
        if self._functions is not None:
            return bool(self._functions) if function is None else function in self._functions
        return torch.cuda.max_memory_allocated() > getattr(self, "_before", 0)

    def check_rows(self, mine: np.ndarray, its: np.ndarray) -> None:
        """The stand-in computes as the CPU does; on a GPU ties may come in another order."""
        share = np.mean(mine == its)
        assert share == 1 if self._functions is not None else share > 0.9, share


def other_device(request: Any) -> Iterator[OtherDevice]:
    """The device of a fixture with `DEVICES` as its parameters."""
    if request.param == "cuda":
        yield OtherDevice("cuda", None)
        return
    with standin_device() as functions:
        yield OtherDevice(str(STANDIN), functions)
