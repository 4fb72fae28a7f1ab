"""Keypoints: 2D joints of people in images, as any detector or annotator gives them (numpy)."""

__all__ = ["Keypoints"]

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from vipe.errors import ShapeError
from vipe.skeletons import Skeleton, load

Array = np.ndarray[Any, np.dtype[Any]]
_COCO13 = load("coco13")


@dataclass(frozen=True, kw_only=True)
class Keypoints:
    """2D joints of N people: pixels, x right, y down, origin at the top left.

    A joint is seen where `mask` is True. Unseen joints hold zeros in `xy` and `confidence`, so that nothing
    computed from them can pass unnoticed.

    Raises:
        ShapeError: If an array does not have N rows of the skeleton's joints, or a seen joint is not finite.
    """

    xy: Float32[Array, "N joints 2"]
    mask: Bool[Array, "N joints"]
    confidence: Float32[Array, "N joints"]
    image_id: tuple[str, ...]
    person: Int[Array, " N"]  # counts from 0 within its image
    frame: Int[Array, " N"] | None = None
    covariance: Float[Array, "N joints 2 2"] | None = None  # squared pixels
    image_size: Float[Array, "N 2"] | None = None  # width, height in pixels
    skeleton: Skeleton = _COCO13

    def __post_init__(self) -> None:
        n, joints = len(self.xy), len(self.skeleton)
        expected = {
            "xy": (n, joints, 2),
            "mask": (n, joints),
            "confidence": (n, joints),
            "person": (n,),
            "frame": (n,),
            "covariance": (n, joints, 2, 2),
            "image_size": (n, 2),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ShapeError(f"keypoints: {name} must be {shape} for {self.skeleton.name}, got {array.shape}")
        if len(self.image_id) != n:
            raise ShapeError(f"keypoints: image_id must name {n} people, got {len(self.image_id)}")
        if not np.isfinite(self.xy[self.mask]).all():
            row = int(np.argmax((~np.isfinite(self.xy).all(axis=2) & self.mask).any(axis=1)))
            raise ShapeError(f"keypoints: person {row} has a seen joint that is not finite")
        object.__setattr__(self, "xy", np.where(self.mask[..., None], self.xy, 0).astype(np.float32, copy=False))
        object.__setattr__(self, "confidence", np.where(self.mask, self.confidence, 0).astype(np.float32, copy=False))

    @classmethod
    def of(cls, xy: Float[Array, "N joints 2"], mask: Bool[Array, "N joints"] | None = None) -> "Keypoints":
        """Wrap plain arrays: full confidence, one person an image, images numbered from 0; all joints seen unless told."""
        seen = np.ones(xy.shape[:2], dtype=bool) if mask is None else mask
        return cls(
            xy=xy.astype(np.float32),
            mask=seen,
            confidence=seen.astype(np.float32),
            image_id=tuple(str(i) for i in range(len(xy))),
            person=np.zeros(len(xy), dtype=np.int64),
        )

    @classmethod
    def concat(cls, parts: Sequence["Keypoints"]) -> "Keypoints":
        """Join people of several sources; an optional field stays only if every part has it."""
        merged: dict[str, Any] = {"skeleton": parts[0].skeleton}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            if field.name == "image_id":
                merged[field.name] = tuple(name for names in values for name in names)
            elif field.name != "skeleton":
                merged[field.name] = None if any(value is None for value in values) else np.concatenate(values)
        return cls(**merged)

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, rows: slice | Int[Array, " M"] | Bool[Array, " N"]) -> "Keypoints":
        """The people of the given rows, in that order."""
        chosen = np.arange(len(self))[rows]
        return Keypoints(
            xy=self.xy[chosen],
            mask=self.mask[chosen],
            confidence=self.confidence[chosen],
            image_id=tuple(self.image_id[i] for i in chosen),
            person=self.person[chosen],
            frame=None if self.frame is None else self.frame[chosen],
            covariance=None if self.covariance is None else self.covariance[chosen],
            image_size=None if self.image_size is None else self.image_size[chosen],
            skeleton=self.skeleton,
        )
