"""Keypoints: 2D joints of people in images, from any detector or annotator (numpy)."""

__all__ = ["MIN_CONFIDENCE", "Keypoints"]

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from numpy.typing import ArrayLike
from torch import Tensor

from vipe.arrays import Array, as_array
from vipe.detections.cameras.perspective_crop import PerspectiveCrop
from vipe.detections.people.not_found import not_found
from vipe.detections.people.shares import are_shares
from vipe.errors import ShapeError
from vipe.skeletons import Skeleton, convert, known, load
from vipe.skeletons.joint_conventions import ARCHIVE, UNKNOWN, convention_of, conventions
from vipe.skeletons.working import COCO13

MIN_CONFIDENCE = 0.2
"""Joints below this confidence are not seen. A joint off by half a body costs a query more than a missing joint (35
against 54 hits of 100 at first place); HRNet's rescoring has the same threshold."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Keypoints:
    """2D joints of N people: pixels, x right, y down, origin at the top left.

    A joint is seen where `mask` is True. Unseen joints hold zeros in `xy` and `confidence`, so that their use by
    mistake shows. A person without any seen joint stays a row, and `note` gives the reason.

    Raises:
        ShapeError: If an array does not have N rows of the skeleton's joints, the mask is not boolean, a seen joint is
            not finite or has a confidence outside 0 to 1, or there is no such convention.
    """

    xy: Float32[Array, "N joints 2"]
    mask: Bool[Array, "N joints"]
    confidence: Float32[Array, "N joints"]  # 0 to 1
    image_id: tuple[str | int, ...]  # as the file has them
    person: Int[Array, " N"]  # counts from 0 within its image
    frame: Int[Array, " N"] | None = None
    track: Int[Array, " N"] | None = None  # a tracker's number for one person over frames; -1 where it gave none
    covariance: Float[Array, "N joints 2 2"] | None = None  # squared pixels
    image_size: Float[Array, "N 2"] | None = None  # width, height in pixels
    video: Int[Array, " N"] | None = None  # which video (or camera) an image is a frame of, where there are several
    skeleton: Skeleton = COCO13
    convention: str = ARCHIVE  # where on the body joints are marked; see `vipe.skeletons.joint_conventions`
    crop: tuple[PerspectiveCrop | None, ...] = ()  # the known camera that `xy` is seen by, turned; () means unknown
    note: tuple[str, ...] = ()  # why a query cannot use this person, "" for the others; () means "" for all
    remarks: tuple[str, ...] = ()  # what was noticed when the file was read

    def __post_init__(self) -> None:
        n, joints = len(self.image_id), len(self.skeleton)
        expected = {
            "xy": (n, joints, 2),
            "mask": (n, joints),
            "confidence": (n, joints),
            "person": (n,),
            "frame": (n,),
            "track": (n,),
            "video": (n,),
            "covariance": (n, joints, 2, 2),
            "image_size": (n, 2),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                people = "1 person" if n == 1 else f"{n} people"
                raise ShapeError(
                    f"keypoints: {name} must be {shape} for {people} of {self.skeleton.name}, got {array.shape}"
                )
        if self.convention not in conventions():
            raise ShapeError(
                f"keypoints: convention must be one of {', '.join(conventions())}, got {self.convention!r}"
            )
        if self.mask.dtype != np.bool_:
            raise ShapeError(f"keypoints: mask must be boolean, got {self.mask.dtype}")
        if len(self.note or self.image_id) != n:
            raise ShapeError(f"keypoints: note must have {n} lines, got {len(self.note)}")
        if len(self.crop or self.image_id) != n:
            raise ShapeError(f"keypoints: crop must be of {n} people, got {len(self.crop)}")
        finite = np.isfinite(self.xy).all(axis=2) & np.isfinite(self.confidence)
        if not finite[self.mask].all():
            row = int(np.argmax((~finite & self.mask).any(axis=1)))
            raise ShapeError(f"keypoints: person {row} has a seen joint that is not finite")
        outside = self.mask & ~((self.confidence >= 0) & (self.confidence <= 1))
        if outside.any():
            row, joint = (int(index) for index in np.argwhere(outside)[0])
            raise ShapeError(
                f"keypoints: confidence of person {row}, {self.skeleton.joints[joint]}, is "
                f"{self.confidence[row, joint]:g}, expected 0 to 1; scale it, or give 1 for joints found"
            )
        self._set("mask", self.mask if _owned(self.mask) else self.mask.copy())
        self._set("xy", _zeroed(self.xy, ~self.mask))
        self._set("confidence", _zeroed(self.confidence, ~self.mask))
        object.__setattr__(self, "note", tuple(self.note) or ("",) * n)
        object.__setattr__(self, "crop", tuple(self.crop) or (None,) * n)

    @classmethod
    def of(
        cls,
        xy: ArrayLike | Tensor,
        mask: ArrayLike | Tensor | None = None,
        *,
        confidence: ArrayLike | Tensor | None = None,
        skeleton: Skeleton | str = COCO13,
        image_size: tuple[float | int, float | int] | None = None,
        convention: str | None = None,
    ) -> "Keypoints":
        """Wrap plain arrays as people on coco13, the skeleton of queries: one person an image, images numbered from 0.

        Arrays may also be lists, or tensors on any device. What was not found is not seen, whatever mask and confidence
        say: joints at exactly 0, 0, and at negative sentinels such as -1, -1.

        Args:
            xy: (N, joints, 2) pixels, x right, y down; or shares of the image's size, which are multiplied by it.
            mask: (N, joints), which joints are seen; all that are numbers by default.
            confidence: (N, joints), from 0 to 1; by default 1 for all seen joints.
            skeleton: The skeleton of `xy`, or its name, such as "coco17", "openpose25" or "mediapipe33"; or one of your
                own with a conversion to coco13.
            image_size: Width and height of the images in pixels.
            convention: Who marked the joints, such as "coco" or "blazepose", or "archive" for joints that lie where
                the archive's do; by default that of the skeleton, which is "archive" for coco13.

        Raises:
            ShapeError: If `xy` is not (N, joints of the skeleton, 2), a seen joint is not finite or has a confidence
                outside 0 to 1, all coordinates lie within 0 to 1 and the size of the images is not given, or there is
                no such convention.
            SkeletonError: If there is no such skeleton, or it has no conversion to coco13.

        Example:
            >>> array = np.full((1, 17, 3), (320, 240, 0.9))  # a detector's x, y and score of COCO's 17 joints
            >>> score = array[..., 2]
            >>> people = Keypoints.of(array[..., :2], score >= 0.2, confidence=score, skeleton="coco17")
            >>> people.skeleton.name, people.xy.shape
            ('coco13', (1, 13, 2))
        """
        body = load(skeleton) if isinstance(skeleton, str) else skeleton
        xy = _array(xy, "xy")
        if xy.ndim != 3 or xy.shape[2] != 2:
            raise ShapeError(f"keypoints must end in (J, 2), got shape {xy.shape}; {_advice(xy.shape)}")
        if xy.shape[1] != len(body):
            raise ShapeError(
                f"keypoints: xy has {xy.shape[1]} joints, {body.name} has {len(body)}; {_whose(xy.shape[1])}"
            )
        xy = xy.astype(np.float32)
        seen = np.isfinite(xy).all(axis=2) if mask is None else _array(mask, "mask")
        score = seen if confidence is None else _array(confidence, "confidence")
        if seen.shape == xy.shape[:2] and seen.dtype == np.bool_:
            missing = not_found(xy)
            found = seen & ~missing
            seen = np.where(missing & ~np.isnan(xy).any(axis=2), False, seen)
            if np.abs(xy[found]).max(initial=0) <= 1 and are_shares([xy * np.where(found[..., None], 1, np.nan)]):
                if image_size is None:
                    raise ShapeError(
                        "keypoints: all coordinates lie within 0 to 1: shares of the image's width and height? give "
                        "pixels, or image_size=(width, height)"
                    )
                xy = xy * np.array(image_size, dtype=np.float32)
        size = None if image_size is None else np.tile(np.array(image_size, dtype=np.float64), (len(xy), 1))
        return cls(
            xy=xy,
            mask=seen,
            confidence=score.astype(np.float32),
            image_id=tuple(range(len(xy))),
            person=np.zeros(len(xy), dtype=np.int64),
            image_size=size,
            skeleton=body,
            convention=convention_of(body.name) if convention is None else convention,
        ).to(COCO13)

    @classmethod
    def concat(cls, parts: Sequence["Keypoints"]) -> "Keypoints":
        """Join people of several sources; an optional field stays only if every part has it, a convention if all agree.

        Raises:
            ShapeError: If there is nothing to join, or the skeletons differ.
        """
        if len({part.skeleton.name for part in parts}) != 1:
            found = ", ".join(sorted({part.skeleton.name for part in parts})) or "none"
            raise ShapeError(f"keypoints: only people of one skeleton can be joined, got {found}; convert with .to()")
        merged: dict[str, Any] = {"skeleton": parts[0].skeleton}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            if field.name == "remarks":
                merged[field.name] = tuple(dict.fromkeys(line for lines in values for line in lines))
            elif field.name in ("image_id", "note", "crop"):
                merged[field.name] = tuple(one for each in values for one in each)
            elif field.name == "convention":
                merged[field.name] = values[0] if len(set(values)) == 1 else UNKNOWN
            elif field.name != "skeleton":
                merged[field.name] = None if any(value is None for value in values) else np.concatenate(values)
        return cls(**merged)

    def __repr__(self) -> str:
        people = "1 person" if len(self) == 1 else f"{len(self):,} people"
        return f"Keypoints({people} on {self.skeleton.name}, {int(self.mask.sum()):,} joints visible)"

    def __len__(self) -> int:
        return len(self.image_id)

    def __getitem__(self, rows: int | slice | Int[Array, " M"] | Bool[Array, " N"]) -> "Keypoints":
        """The people of the given rows, in that order."""
        chosen = np.atleast_1d(np.arange(len(self))[rows])
        places = chosen.tolist()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays: dict[str, Any] = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        return replace(
            self,
            **{name: array[chosen] for name, array in arrays.items()},
            image_id=tuple(self.image_id[i] for i in places),
            crop=tuple(self.crop[i] for i in places),
            note=tuple(self.note[i] for i in places),
        )

    def to(self, target: Skeleton) -> "Keypoints":
        """The same people on another skeleton.

        A joint derived from several is seen if all of them are seen, and gets the lowest of their confidences. Its
        covariance assumes that their errors are independent.

        Raises:
            SkeletonError: If the skeleton has no conversion to the target.
        """
        if target.name == self.skeleton.name:
            return self
        matrix, derivable = self.skeleton.weights(target)
        parts = matrix != 0
        confidence = np.where(parts[None], self.confidence[:, None, :], np.inf).min(axis=2, initial=np.inf)
        mask = derivable & (self.mask[:, None, :] | ~parts[None]).all(axis=2)
        return replace(
            self,
            xy=convert(self.xy, self.skeleton, target)[0],
            mask=mask,
            confidence=np.where(mask, confidence, 0).astype(np.float32),
            covariance=None if self.covariance is None else np.einsum("ts,nsij->ntij", matrix**2, self.covariance),
            skeleton=target,
        )

    def as_given(self) -> "Keypoints":
        """The people as the images show them: those of known cameras are taken out of their perspective crops."""
        if not any(self.crop):
            return self
        given = [
            one if crop is None else np.nan_to_num(crop.to_image(one))
            for one, crop in zip(self.xy, self.crop, strict=True)
        ]
        return replace(self, xy=np.stack(given).astype(np.float32), covariance=None, crop=())

    def _set(self, name: str, array: Array) -> None:
        array.flags.writeable = False
        object.__setattr__(self, name, array)


def _owned(array: Array) -> bool:
    """Whether nobody can change an array: it is another object's of this kind, and may be shared."""
    return bool(array.flags.owndata and not array.flags.writeable)


def _zeroed(array: Array, unseen: Bool[Array, "N joints"]) -> Array:
    """As float32, with zeros for joints that are not seen."""
    if array.dtype == np.float32 and _owned(array) and not array[unseen].any():
        return array
    copy = array.astype(np.float32)
    copy[unseen] = 0
    return copy


def _array(values: Any, what: str) -> Array:
    """An array of numbers, of what may be a list, or a tensor on any device."""
    try:
        array = as_array(values)
    except ValueError as error:
        raise ShapeError(f"keypoints: {what} is no array: its rows differ in length") from error
    if array.dtype.kind not in "biuf":
        raise ShapeError(f"keypoints: {what} must be numbers, got {array.dtype}")
    return array


def _advice(shape: tuple[int, ...]) -> str:
    """Advice for an array that does not end in (J, 2)."""
    if len(shape) == 2 and shape[1] in (2, 3):
        return "is it one person? give array[None]"
    if len(shape) == 3 and shape[2] == 3:
        named = _names(shape[1])
        skeleton = f", skeleton={named[0]!r}" if named else ""
        return f"x, y and score? give Keypoints.of(array[..., :2], array[..., 2] >= {MIN_CONFIDENCE:g}{skeleton})"
    return "were the joints flattened?"


def _whose(joints: int) -> str:
    """Advice for an array with this number of joints."""
    if not (named := _names(joints)):
        return "give the skeleton whose joints they are, with a conversion to coco13: Keypoints.of(xy, skeleton=...)"
    return f"if they are those of {' or '.join(named)}, give Keypoints.of(xy, skeleton={named[0]!r})"


def _names(joints: int) -> list[str]:
    skeletons = [load(name) for name in known()]
    return [one.name for one in skeletons if len(one) == joints and COCO13.name in one.conversions]
