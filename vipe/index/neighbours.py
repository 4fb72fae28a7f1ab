"""Neighbours: the rows nearest to each query, and their distances (numpy)."""

__all__ = ["Neighbours"]

from typing import NamedTuple

from jaxtyping import Float32, Int64

from vipe.arrays import Array


class Neighbours(NamedTuple):
    """The K nearest rows of an index for each of Q queries, nearest first."""

    rows: Int64[Array, "Q K"]
    distance: Float32[Array, "Q K"]
