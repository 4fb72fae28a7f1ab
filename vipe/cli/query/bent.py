"""Options of `vipe query` that bend hits to the keypoints, and the files these go to."""

__all__ = ["Variations"]

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from vipe.cli.archive.show import Names
from vipe.cli.generated import check_export, export_clips, file_of
from vipe.cli.output import Seed, counted, listed

if TYPE_CHECKING:
    from vipe import Hits, Keypoints, PoseIndex
    from vipe.retrieve.bent_hits import BentHits


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Variations:
    """How hits are bent to the keypoints, and where they go."""

    vary: Annotated[
        int | None,
        Parameter(
            help="Bend the first moment of each person to the keypoints, and --export it: the likeliest pose and so "
            "many drawn ones (mode `full`).",
            validator=validators.Number(gte=0),
        ),
    ] = None
    vary_hits: Annotated[
        int | None,
        Parameter(help="How many moments of each person are bent; 1 by default.", validator=validators.Number(gte=1)),
    ] = None
    export: Annotated[
        Path | None,
        Parameter(
            help="Where bent moments go: .bvh, .glb, .gltf, .npz, .parquet, or COCO keypoints as .json. `{clip}` in "
            "the name stands for person and hit, where there are several."
        ),
    ] = None
    names: Names = "h36m17"
    replace: Annotated[bool, Parameter(negative="", help="Write over files of --export that are there already.")] = (
        False
    )
    seed: Seed = 0

    def check(self, mode: str | None, *, several_images: bool) -> None:
        """Refuse options that do not go together, before any work.

        Raises:
            VipeError: If they do not.
        """
        from vipe.errors import VipeError

        if self.vary is None:
            given: dict[str, object] = {
                "--vary-hits": self.vary_hits,
                "--export": self.export,
                "--replace": self.replace or None,
            }
            given |= {"--names": None if self.names == "h36m17" else self.names, "--seed": self.seed or None}
            if alone := [name for name, value in given.items() if value is not None]:
                raise VipeError(f"{alone[0]} goes with --vary: how many poses are drawn")
            return
        if several_images:
            raise VipeError("--vary bends to single images: leave out --track, --video and --views")
        if mode not in (None, "full"):
            raise VipeError(f"--vary bends moments under fitted cameras: it needs mode full, got {mode}")
        if self.export is None:
            raise VipeError('--vary needs --export, the files of the bent moments, such as "bent/{clip}.bvh"')
        check_export(self.export, self.names, several=False)

    def check_files(self, people: "Keypoints") -> None:
        """Refuse files that are there, or one file for several, before the search.

        Raises:
            VipeError: If one is there, or there are too few.
        """
        from vipe.errors import VipeError
        from vipe.retrieve.candidates.affine import FEWEST, skip_reasons

        if self.export is None:
            return
        answerable = [row for row, reason in enumerate(skip_reasons(people, FEWEST)) if reason is None]
        clips = [_name(row, place) for row in answerable for place in range(self._hits)]
        check_export(self.export, self.names, several=len(clips) > 1)
        there = [file for clip in clips if (file := file_of(self.export, clip)).exists()]
        if there and not self.replace:
            raise VipeError(f"{there[0]}: exists already; add --replace to write over it, or choose another path")

    def save(self, index: "PoseIndex", people: "Keypoints", hits: "Hits") -> tuple[list[dict[str, Any]], list[str]]:
        """Bend hits and write them; an entry for each, and lines about them."""
        import torch

        from vipe.lift.aggregation.lifted import plain
        from vipe.retrieve.bent_hits import bend_hits

        if self.export is None or self.vary is None:
            return [], []
        self.check_files(people)  # again: a search takes a while
        bent = bend_hits(index, people, hits, self.vary, torch.Generator().manual_seed(self.seed), first=self._hits)
        clips = [bent.clip(row, place, _name(row, place)) for row, place in _places(bent)]
        files = export_clips(self.export, clips, self.names)
        entries = [
            {
                "image_id": plain(people.image_id[row]),
                "person": int(people.person[row]),
                "rank": place + 1,
                "poses": len(clip),
                "distance": round(float(bent.residual[row, place, 0]), 6),
                "file": file,
            }
            for (row, place), clip, file in zip(_places(bent), clips, files, strict=True)
        ]
        return entries, [f"bent: {counted(len(files), 'file')}, {listed(files)}"] if files else []

    @property
    def _hits(self) -> int:
        return self.vary_hits or 1


def _name(row: int, place: int) -> str:
    return f"person_{row:03d}_hit_{place + 1}"


def _places(bent: "BentHits") -> Iterator[tuple[int, int]]:
    """Row and place of each bent hit, in order."""
    import numpy as np

    rows, places = np.nonzero(bent.found)
    yield from zip(rows.tolist(), places.tolist(), strict=True)
