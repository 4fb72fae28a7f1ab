"""Neighbours: what an engine answers, rows and distances (numpy)."""

__all__ = ["Neighbours"]

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

Array = np.ndarray[Any, np.dtype[Any]]


class Neighbours(NamedTuple):
    """The K nearest rows of an index for each of Q queries, nearest first."""

    rows: Int64[Array, "Q K"]
    distance: Float32[Array, "Q K"]
