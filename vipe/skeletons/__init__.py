"""What a body is: joints, their parents, and how one skeleton becomes another. Tables are TOML files in this folder."""

from vipe.skeletons.skeleton import Site, Skeleton, convert, detect, known, load

__all__ = ["Site", "Skeleton", "convert", "detect", "known", "load"]
