"""Skeletons: joints, their parents, and conversions between them. Tables are TOML files in this folder."""

from vipe.skeletons.matching import detect
from vipe.skeletons.skeleton import Site, Skeleton, convert, known, load

__all__ = ["Site", "Skeleton", "convert", "detect", "known", "load"]
