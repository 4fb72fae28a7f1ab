"""Skeletons: joints, their parents, and conversions between them. Tables are TOML files in this folder."""

from vipe.skeletons.skeleton import Site, Skeleton, convert, detect, known, load

__all__ = ["Site", "Skeleton", "convert", "detect", "known", "load"]
