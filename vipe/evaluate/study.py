"""What every protocol studies: a gallery, the queries drawn from it, and which poses are hits of which (numpy)."""

__all__ = ["Archive", "Progress", "Relevance", "Study", "StudySettings", "quiet", "recorded_poses"]

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from vipe.arrays import Array
from vipe.errors import VipeError
from vipe.evaluate.conditions import CONDITIONS, Condition
from vipe.evaluate.leave_out import Gallery, LeaveOut
from vipe.evaluate.metrics import HIT_DEPTHS, HIT_THRESHOLDS, NEAR_DUPLICATE, pose_distance, without_near_duplicates
from vipe.evaluate.near_pairs import NearPairs, near_pairs
from vipe.index import PoseIndex
from vipe.index.folder.frames import frame_ids
from vipe.store import PoseStore

Progress = Callable[[str, int | float, int | float | None, str], None]
"""Called with (step, done, total, note)."""


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What the protocols have in common.

    Raises:
        VipeError: If a number is out of its range, or conditions share a name.
    """

    protocol: ClassVar[str] = "study"  # its name in errors

    rig: str = "mpi_inf_3dhp"
    conditions: tuple[Condition, ...] = CONDITIONS
    near_duplicate: float = NEAR_DUPLICATE  # torso lengths; 0 keeps every pose
    thresholds: tuple[float, ...] = HIT_THRESHOLDS  # torso lengths; the first is the one that counts
    ks: tuple[int, ...] = HIT_DEPTHS
    neighbourhood: float = 4.0  # seconds on either side of the query's frame
    seed: int = 0
    draws: int = 2000  # of the bootstrap

    def __post_init__(self) -> None:
        for name, (wrong, rule) in self.rules().items():
            if wrong:
                found = [one.name for one in self.conditions] if name == "conditions" else getattr(self, name)
                raise VipeError(f"{self.protocol} protocol: {name} must be {rule}, got {found}")

    def rules(self) -> dict[str, tuple[bool, str]]:
        """By setting: whether it is broken, and what it must be."""
        names = [condition.name for condition in self.conditions]
        return {
            "conditions": (not names or len(set(names)) < len(names), "at least one, each with a name of its own"),
            "near_duplicate": (not 0 <= self.near_duplicate < math.inf, "finite and not negative"),
            "thresholds": (not self.thresholds or min(self.thresholds) <= 0, "above 0"),
            "ks": (not self.ks or min(self.ks) < 1, "at least 1"),
            "neighbourhood": (not 0 <= self.neighbourhood < math.inf, "finite and not negative"),
            "seed": (self.seed < 0, "not negative"),
            "draws": (self.draws < 1, "at least 1"),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values; of each condition its name."""
        return asdict(self) | {"conditions": [condition.name for condition in self.conditions]}


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Poses from which galleries are chosen; a row is a place in these arrays."""

    poses: Float32[Array, "N 17 3"]  # canonical
    clip: Shaped[Array, " N"]
    time: Float64[Array, " N"]  # in its clip, seconds

    @classmethod
    def of_index(cls, index: PoseIndex) -> "Archive":
        """All rows of an index."""
        frames = index.frames()
        return cls(poses=index.canonical, clip=frames["clip"].astype(str), time=frames["time"])


@dataclass(frozen=True, kw_only=True)
class Study:
    """The gallery that is searched and the queries drawn from it, as rows of the archive, ascending."""

    archive: Archive
    gallery: Int64[Array, " G"]
    query: Int64[Array, " Q"]

    @classmethod
    def choose(
        cls,
        archive: Archive,
        rows: Int64[Array, " M"],
        *,
        near_duplicate: float = NEAR_DUPLICATE,
        poses: int | None = None,
        queries: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> "Study":
        """Choose gallery and queries.

        Args:
            archive: Where both come from.
            rows: Rows that may be chosen, ascending.
            near_duplicate: Poses within so many torso lengths of an earlier one leave the gallery; 0 keeps every pose.
            poses: Size of the gallery at most, drawn at random; None for all.
            queries: Number of queries at most, drawn at random from the gallery; None for all of it.
            seed: Of both draws.
            progress: Told how far the search for near-duplicates is.
        """
        tell = progress or quiet
        if near_duplicate:
            distinct = without_near_duplicates(
                archive.poses[rows], near_duplicate, lambda done, total: tell("near-duplicates", done, total, "")
            )
            tell("near-duplicates", len(rows), len(rows), f"{len(distinct):,} poses differ")
            rows = rows[distinct]
        gallery = _drawn(rows, poses, seed)
        return cls(archive=archive, gallery=gallery, query=_drawn(gallery, queries, seed))

    def of_gallery_alone(self) -> "Study":
        """The gallery as an archive of its own: row i is gallery pose i, and every pose is a query."""
        rows, one = self.gallery, self.archive
        everything = np.arange(len(rows))
        return Study(
            archive=Archive(poses=one.poses[rows], clip=one.clip[rows], time=one.time[rows]),
            gallery=everything,
            query=everything,
        )

    @property
    def clips(self) -> Shaped[Array, " Q"]:
        """Clip of each query."""
        return self.archive.clip[self.query]

    def distances(self, rows: Int64[Array, "Q K"]) -> Float32[Array, "Q K"]:
        """Distance of each result to its query's pose; infinite where no result came back (-1)."""
        poses = self.archive.poses
        distance = pose_distance(poses[rows], poses[self.query][:, None])
        distance[rows < 0] = np.inf
        return distance

    def judge(
        self, thresholds: tuple[float, ...], left_out: dict[str, float], progress: Progress | None = None
    ) -> "Relevance":
        """Find out which gallery poses are hits of which query, by all pairs.

        Args:
            thresholds: Torso lengths.
            left_out: A gallery each: its name, and the seconds of `LeaveOut`.
            progress: Told how far the comparison is.
        """
        tell = progress or quiet
        near = near_pairs(
            self.archive.poses,
            self.query,
            self.gallery,
            max(thresholds),
            lambda done, total: tell("3D distances", done, total, ""),
        )
        _, clip = np.unique(self.archive.clip, return_inverse=True)
        galleries = []
        for name, seconds in left_out.items():
            out = LeaveOut(clip, self.archive.time, seconds)
            galleries.append(
                Gallery(
                    name=name,
                    left_out=out,
                    remaining=len(self.gallery) - out.count(self.query, self.gallery),
                    matches={threshold: near.matches(self.query, out, threshold) for threshold in thresholds},
                )
            )
        return Relevance(near=near, galleries=tuple(galleries))


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """Which gallery poses are hits of which query, and the galleries in which they are searched."""

    near: NearPairs
    galleries: tuple[Gallery, ...]


def recorded_poses(store: PoseStore, index: PoseIndex, rows: Int64[Array, " M"]) -> Float32[Array, "M 17 3"]:
    """The poses of some rows of an index as they were recorded: metres, own proportions.

    Raises:
        VipeError: If the store lacks one of them.
    """
    frames = index.frames()
    wanted = frames["id"][rows]
    clips = sorted(set(frames["clip"][rows]))
    held = store.table(["clip", "frame"], {"clip": clips})
    ids = frame_ids(held["clip"].combine_chunks(), held["frame"].combine_chunks())
    lost = np.flatnonzero(~np.isin(wanted, ids))
    if len(lost):
        row = rows[lost[0]]
        raise VipeError(
            f"{store.path}: does not hold clip {frames['clip'][row]!r} frame {frames['frame'][row]}, which index "
            f"{index.path} does ({len(lost)} such rows); give the store it was built from"
        )
    order = np.argsort(ids)
    return store.poses({"clip": clips})[order[np.searchsorted(ids, wanted, sorter=order)]]


def quiet(*_: object) -> None:
    """Progress that nobody watches."""


def _drawn(rows: Int64[Array, " N"], count: int | None, seed: int) -> Int64[Array, " drawn"]:
    if count is None or count >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, size=count, replace=False))
