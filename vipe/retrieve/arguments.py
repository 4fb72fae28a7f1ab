"""The types of a search's arguments, checked before anything is computed."""

__all__ = ["check_arguments", "check_count", "check_index", "check_limits", "check_seconds", "check_settings"]

import math
from numbers import Integral, Real
from os import PathLike

from vipe.detections import Keypoints
from vipe.errors import ArgumentError, VipeError
from vipe.index import PoseIndex
from vipe.retrieve.camera.prior import CameraPrior
from vipe.store import PoseStore


def check_arguments(
    index: object,
    keypoints: object,
    *,
    k: object,
    candidates: object,
    max_per_clip: object = None,
    min_gap_seconds: object = 0.0,
    camera_prior: object = None,
    confidence: object = None,
) -> None:
    """Refuse arguments of the wrong type; their values are left to the search.

    Raises:
        ArgumentError: Names the argument, what came, what was expected and, where that is known, what to do.
    """
    check_index(index)
    if not isinstance(keypoints, Keypoints):
        raise ArgumentError(f"keypoints must be vipe.Keypoints, got {_kind(keypoints)}; {_wrap(keypoints)}")
    check_count("k", k)
    if confidence is not None and not _is(confidence, Real):
        raise ArgumentError(f"confidence must be a number such as 0.9, or None, got {_kind(confidence)}")
    check_settings(
        candidates=candidates, max_per_clip=max_per_clip, min_gap_seconds=min_gap_seconds, camera_prior=camera_prior
    )


def check_index(index: object) -> None:
    """Refuse what is no index.

    Raises:
        ArgumentError: As `check_arguments`.
    """
    if not isinstance(index, PoseIndex):
        raise ArgumentError(f"index must be a PoseIndex, got {_kind(index)}{_open(index)}")


def check_settings(*, candidates: object, max_per_clip: object, min_gap_seconds: object, camera_prior: object) -> None:
    """Refuse settings of the wrong type.

    Raises:
        ArgumentError: As `check_arguments`.
    """
    check_count("candidates", candidates)
    _check_kinds(max_per_clip, min_gap_seconds)
    if camera_prior is not None and not isinstance(camera_prior, CameraPrior):
        raise ArgumentError(f"camera_prior must be a CameraPrior or None, got {_kind(camera_prior)}")


def check_limits(max_per_clip: object, min_gap_seconds: object) -> None:
    """Refuse limits on hits that no hits can keep to.

    Raises:
        ArgumentError: As `check_arguments`.
        VipeError: If `max_per_clip` is below 1, or `min_gap_seconds` negative or not finite.
    """
    _check_kinds(max_per_clip, min_gap_seconds)
    if isinstance(max_per_clip, Integral) and max_per_clip < 1:
        raise VipeError(f"max_per_clip must be at least 1, got {max_per_clip}; leave it out for any number")
    if isinstance(min_gap_seconds, Real) and not 0 <= float(min_gap_seconds) < math.inf:
        raise VipeError(f"min_gap_seconds must be finite and not negative, got {min_gap_seconds}")


def check_seconds(name: str, seconds: object) -> None:
    """Refuse what is no span of time; it may be negative or infinite.

    Raises:
        ArgumentError: As `check_arguments`.
        VipeError: If it is NaN.
    """
    if not _is(seconds, Real):
        raise ArgumentError(f"{name} must be a number of seconds, got {_kind(seconds)}")
    if seconds != seconds:
        raise VipeError(f"{name} must be a number of seconds, got nan")


def check_count(name: str, count: object) -> None:
    """Refuse what is no whole number.

    Raises:
        ArgumentError: As `check_arguments`.
    """
    if not _is(count, Integral):
        raise ArgumentError(f"{name} must be a whole number, got {_kind(count)}")


def _check_kinds(max_per_clip: object, min_gap_seconds: object) -> None:
    if max_per_clip is not None and not _is(max_per_clip, Integral):
        raise ArgumentError(f"max_per_clip must be a whole number or None, got {_kind(max_per_clip)}")
    if not _is(min_gap_seconds, Real):
        raise ArgumentError(f"min_gap_seconds must be a number, got {_kind(min_gap_seconds)}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _kind(value: object) -> str:
    """What came: plain values as they are, others by their type."""
    if isinstance(value, str | PathLike):
        return f"{type(value).__name__} {str(value)!r}"
    if isinstance(value, int | float):
        return f"{type(value).__name__} {value}"
    return "None" if value is None else type(value).__name__


def _open(index: object) -> str:
    if isinstance(index, str | PathLike):
        return f"; open it: vipe.PoseIndex.open({str(index)!r})"
    if isinstance(index, PoseStore):
        return "; build an index of the store: vipe.PoseIndex.build(store, vipe.AffineSignature(), path)"
    return "; the index comes first, then the keypoints" if isinstance(index, Keypoints) else ""


def _wrap(keypoints: object) -> str:
    if isinstance(keypoints, str | PathLike):
        return f"read the file: vipe.read_keypoints({str(keypoints)!r})"
    return 'wrap an array of pixels: vipe.Keypoints.of(array), with skeleton="coco17" if it is (N, 17, 2)'
