"""People as a file has them: numbers of joints in the file's own order, before anything is decided (numpy)."""

__all__ = ["Id", "NoPerson", "People", "Track", "positions", "tracks"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import msgspec
import numpy as np
from jaxtyping import Float, Float32, Int64

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.skeletons import Skeleton

Id = int | str  # of an image, as the file has it
Track = Annotated[int, msgspec.Meta(ge=-1, lt=2**53)]  # as in PoseTrack's files


@dataclass(frozen=True, kw_only=True)
class People:
    """N people with equally many joints, in the order of the file.

    `numbers` holds x, y and a third number: what `third` says. Whatever the file does not give is NaN. `image_id` is
    what the file calls the image; where it says nothing, `own_images` is False and the ids only tell images apart.
    """

    numbers: Float32[Array, "N joints 3"]
    third: Literal["score", "v", "nothing"]  # a detector's score; COCO's 0, 1, 2; nothing
    image_id: tuple[Id, ...]
    where: Callable[[int], str]  # the place of a row in the file, for errors
    called: Callable[[int], str]  # the same without the file's name, for notes
    own_images: bool = True
    skeleton: str | Skeleton | None = None  # None: told from the number of joints
    order: Int64[Array, " N"] | None = None  # the place of each row among the people of all parts of a file
    frame: Int64[Array, " N"] | None = None
    track: Int64[Array, " N"] | None = None
    video: Int64[Array, " N"] | None = None
    image_size: Float[Array, "N 2"] | None = None  # pixels; NaN where not known
    scores_beyond_1: bool = False  # whether the detector is one whose scores go beyond 1 (Detectron2)
    note: tuple[str, ...] = ()  # of each row; () if there is none
    empty: tuple[Id, ...] = ()  # images without people
    remarks: tuple[str, ...] = field(default=())  # what is to be said of the file

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def concat(cls, parts: Sequence["People"], *, numbers: Float32[Array, "N joints 3"] | None = None) -> "People":
        """Join people with equally many joints; an optional field stays only if a part has it.

        Args:
            parts: The people.
            numbers: Those of all parts, if they lie in one array already.
        """
        if len(parts) == 1:
            return parts[0]
        counts = [len(part) for part in parts]
        starts = np.concatenate([[0], np.cumsum(counts)])

        def of(row: int) -> tuple[People, int]:
            part = int(np.searchsorted(starts, row, side="right")) - 1
            return parts[part], row - int(starts[part])

        def where(row: int) -> str:
            part, at = of(row)
            return part.where(at)

        def called(row: int) -> str:
            part, at = of(row)
            return part.called(at)

        def joined(name: str, nothing: float) -> Array | None:
            arrays = [getattr(part, name) for part in parts]
            if all(array is None for array in arrays):
                return None
            width = next(array.shape[1:] for array in arrays if array is not None)
            return np.concatenate(
                [
                    np.full((count, *width), nothing) if array is None else array
                    for array, count in zip(arrays, counts, strict=True)
                ]
            )

        def whole(name: str) -> Int64[Array, " N"] | None:
            array = joined(name, -1.0)
            return None if array is None else array.astype(np.int64)

        return replace(
            parts[0],
            numbers=np.concatenate([part.numbers for part in parts]) if numbers is None else numbers,
            image_id=tuple(image for part in parts for image in part.image_id),
            where=where,
            called=called,
            order=whole("order"),
            frame=whole("frame") if all(part.frame is not None for part in parts) else None,
            track=whole("track"),
            video=whole("video"),
            image_size=joined("image_size", np.nan),
            scores_beyond_1=all(part.scores_beyond_1 for part in parts),
            note=()
            if not any(part.note for part in parts)
            else tuple(note for part in parts for note in part.note or ("",) * len(part)),
            empty=tuple(image for part in parts for image in part.empty),
            remarks=tuple(dict.fromkeys(line for part in parts for line in part.remarks)),
        )


class NoPerson(ReadError):
    """A file of a known format shows nobody; in a folder it is an empty frame."""


def tracks(numbers: Sequence[int | None]) -> Int64[Array, " N"] | None:
    """Track numbers as a file gives them, -1 where it does not; None if it gives none at all."""
    if all(number is None for number in numbers):
        return None
    return np.array([-1 if number is None else number for number in numbers], dtype=np.int64)


def positions(
    numbers: Float[Array, "N joints width"], score: Float[Array, "N joints"] | None = None
) -> Float32[Array, "N joints 3"]:
    """x, y and a score, NaN if there is none, from rows of two or three numbers."""
    if score is None and numbers.shape[2] == 3:
        return np.ascontiguousarray(numbers, dtype=np.float32)
    whole = np.full((*numbers.shape[:2], 3), np.nan, dtype=np.float32)
    whole[..., :2] = numbers[..., :2]
    if score is not None:
        whole[..., 2] = score
    return whole
