"""The way from numpy to torch and back, on whatever device; on a CPU nothing is copied."""

__all__ = ["full_precision", "to_array", "to_tensor"]

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Shaped
from torch import Tensor

from vipe.arrays import Array


def to_tensor(array: Shaped[Array, "*shape"], device: torch.device | str = "cpu") -> Shaped[Tensor, "*shape"]:
    """An array as a tensor of the same kind of numbers; on a CPU of the same memory.

    Args:
        array: Not read-only, if it stays on the CPU and somebody writes into the tensor.
        device: As torch names it.
    """
    return torch.from_numpy(array).to(device)


def to_array(tensor: Shaped[Tensor, "*shape"]) -> Shaped[Array, "*shape"]:
    """A tensor without gradients as an array; of one on a CPU of the same memory."""
    array: Shaped[Array, "*shape"] = tensor.cpu().numpy()
    return array


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products of matrices in whole single precision, whatever a program set: in TF32 a GPU keeps 10 bits of 23.

    Nothing is changed for a CPU.
    """
    before = "highest" if device.type == "cpu" else torch.get_float32_matmul_precision()
    if before == "highest":
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
