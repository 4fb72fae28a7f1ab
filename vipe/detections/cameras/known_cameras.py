"""Keypoints of people whose cameras are known: matched with a calibration, and freed from the lens (numpy)."""

__all__ = ["in_perspective_crops", "lenses_of", "with_cameras"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.detections.cameras.calibration import CalibratedCamera, camera_named, read_calibrations
from vipe.detections.cameras.lens import Lens
from vipe.detections.cameras.perspective_crop import PerspectiveCrop
from vipe.detections.keypoints import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.skeletons.working import COCO13

_LEAST = 1e-12  # divisors
_SAME_SHAPE = 0.01
"""Share by which the shapes of images may differ: video coders round sides up to a multiple of 16."""

_HIPS = [COCO13.index(joint) for joint in ("left_hip", "right_hip")]


def with_cameras(
    people: Keypoints, path: str | Path | Sequence[str | Path], names: str | Mapping[int | str, str] | None = None
) -> Keypoints:
    """The people as their known cameras see them: `lenses_of`, then `in_perspective_crops`.

    Args:
        people: On coco13, pixels of the images as they are.
        path: Calibration file, see `read_calibration`; or several.
        names: The camera that took all images, or the one of each image (or video), by its id. Not given, it is the
            file's only one, or the one whose name is in the image's id.

    Raises:
        ReadError: If the file cannot be read.
        VipeError: If a camera has no such name, an image has no camera, or images are of another shape than the
            camera's; a `ShapeError`, if the keypoints are on another skeleton.

    Example:
        >>> import tempfile
        >>> people = Keypoints.of(np.random.default_rng(0).uniform(100, 400, (1, 13, 2)))
        >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        ...     print('{"fx": 800, "fy": 800, "cx": 320, "cy": 240, "k1": -0.3}', file=file, flush=True)
        ...     people = with_cameras(people, file.name)
        >>> people.crop[0].focal
        800.0
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    lenses, remarks = lenses_of(people, read_calibrations(paths), ", ".join(map(str, paths)), names)
    return in_perspective_crops(replace(people, remarks=(*people.remarks, *remarks)), lenses)


def lenses_of(
    people: Keypoints,
    cameras: Sequence[CalibratedCamera],
    path: str,
    names: str | Mapping[int | str, str] | None = None,
) -> tuple[tuple[Lens, ...], tuple[str, ...]]:
    """The lens that each person was seen through, for images of their size; and what was noticed.

    Args:
        people: The people.
        cameras: Of the calibration.
        path: What to call it in messages.
        names: As in `with_cameras`.

    Raises:
        VipeError: As `with_cameras`.
    """
    chosen = _cameras(people, cameras, path, names)
    sizes = people.image_size
    lenses, remarks = [], []
    for row, camera in enumerate(chosen):
        who = f"{path}: camera {camera.name}" if camera.name else path
        size = None if sizes is None or np.isnan(sizes[row]).any() else sizes[row]
        image = f"image {people.image_id[row]}"
        lens = camera.lens
        if size is not None and camera.size is not None:
            x, y = (float(own / its) for own, its in zip(size, camera.size, strict=True))
            if abs(x / y - 1) > _SAME_SHAPE:
                raise VipeError(
                    f"{who} was calibrated with images of {_by(camera.size)}, {image} has {_by(size)}: another "
                    "shape; give the calibration of these images, or the images whole and upright"
                )
            lens = lens if x == y == 1 else lens.scaled(x, y)
        elif size is None:
            seen = people.xy[row][people.mask[row]]
            if camera.size is None:
                remarks.append(f"{who}: neither it nor the keypoints say how large the images are; taken as the same")
            elif len(seen) and _outside(seen.mean(axis=0), camera.size):
                raise VipeError(
                    f"{who} was calibrated with images of {_by(camera.size)}, but {image} has a person at "
                    f"{_by(seen.mean(axis=0))}; give the size of the images, or the calibration of these images"
                )
        elif not (0 < lens.cx < size[0] and 0 < lens.cy < size[1]):
            raise VipeError(
                f"{who} does not say how large its images are, and its principal point {_by((lens.cx, lens.cy))} lies "
                f"outside {image} of {_by(size)}; give a calibration of this size"
            )
        lenses.append(lens)
    return tuple(lenses), tuple(dict.fromkeys(remarks))


def in_perspective_crops(people: Keypoints, lenses: Sequence[Lens]) -> Keypoints:
    """The people as cameras without distortion at the same places, that look straight at each of them, would see them.

    A camera looks at the middle of the hips, or at the middle of the seen joints if a hip is not seen. Joints where
    the lens has no inverse, beyond the radius at which its distortion turns back, count as not seen, and a remark
    tells how many.

    Args:
        people: On coco13, pixels of the images as they are.
        lenses: Of each person's camera, for images of that size.

    Returns:
        The people with `crop`; covariances are carried along.

    Raises:
        ShapeError: If the keypoints are on another skeleton, or there are not as many lenses as people.
        VipeError: If the people are in crops already.
    """
    if people.skeleton.name != COCO13.name:
        raise ShapeError(f"keypoints must be on skeleton coco13, got {people.skeleton.name}; convert with .to()")
    if len(lenses) != len(people):
        raise ShapeError(f"lenses must be of {len(people)} people, got {len(lenses)}")
    if any(people.crop):
        raise VipeError("keypoints: the cameras are given already")
    xy, mask = people.xy.astype(np.float64), people.mask.copy()
    covariance = None if people.covariance is None else people.covariance.astype(np.float64)
    confidence = people.confidence.astype(np.float64)
    crops: list[PerspectiveCrop | None] = []
    lost: dict[Lens, int] = {}
    for row, lens in enumerate(lenses):
        seen = mask[row]
        directions = lens.directions(people.xy[row])
        none = seen & ~np.isfinite(directions).all(axis=1)
        if none.any():
            lost[lens] = lost.get(lens, 0) + int(none.sum())
            mask[row] &= ~none
        if not mask[row].any():
            crops.append(None)
            continue
        crop = PerspectiveCrop.towards(lens, _middle(directions, mask[row]))
        turned = crop.from_image(people.xy[row])
        mask[row] &= np.isfinite(turned).all(axis=1)
        xy[row] = np.where(mask[row][:, None], turned, 0)
        moved = np.nan_to_num(crop.jacobian(people.xy[row]))
        if covariance is not None:
            covariance[row] = moved @ covariance[row] @ moved.swapaxes(-1, -2)
        grown = np.square(moved).sum(axis=(1, 2)) / 2
        usual = _size(xy[row], mask[row]) / max(_size(people.xy[row].astype(np.float64), mask[row]), _LEAST)
        confidence[row] *= np.minimum(usual / np.maximum(grown, _LEAST), 1)
        crops.append(crop)
    remarks = [_told(lens, count) for lens, count in lost.items()]
    return replace(
        people,
        xy=xy.astype(np.float32),
        mask=mask,
        confidence=confidence.astype(np.float32),
        covariance=None if covariance is None else covariance.astype(np.float32),
        crop=tuple(crops),
        remarks=tuple(dict.fromkeys((*people.remarks, *remarks))),
    )


def _middle(directions: Float64[Array, "13 3"], seen: Array) -> Float64[Array, "3"]:
    """The direction of the pelvis, or about so."""
    chosen = directions[_HIPS] if seen[_HIPS].all() else directions[seen]
    middle = chosen.sum(axis=0)
    return np.asarray(middle if np.linalg.norm(middle) > 1e-6 else chosen[0])


def _size(xy: Float64[Array, "13 2"], seen: Array) -> float:
    """The mean square distance of seen joints from their middle."""
    return float(np.square(xy[seen] - xy[seen].mean(axis=0)).sum(axis=1).mean()) if seen.any() else 0.0


def _cameras(
    people: Keypoints,
    cameras: Sequence[CalibratedCamera],
    path: str,
    names: str | Mapping[int | str, str] | None,
) -> list[CalibratedCamera]:
    """The camera of each person."""
    if isinstance(names, str):
        return [camera_named(cameras, names, path)] * len(people)
    wanted = {} if names is None else {str(image): camera_named(cameras, name, path) for image, name in names.items()}
    ids = [str(image) for image in people.image_id]
    parts = {image: {image, *image.split("/")[:-1]} for image in dict.fromkeys(ids)}
    unused = [image for image in wanted if not any(image in known for known in parts.values())]
    if unused:
        raise VipeError(f"no image {unused[0]!r} for camera {wanted[unused[0]].name!r}; there is {_some(list(parts))}")
    if not wanted and len(cameras) == 1:
        return [cameras[0]] * len(people)
    chosen = {}
    for image, known in parts.items():
        given = [wanted[one] for one in wanted if one in known]
        own = given or [camera for camera in cameras if camera.name and _is_named(camera.name, image)]
        longest = [camera for camera in own if len(camera.name) == max(len(one.name) for one in own)]
        if len(longest) != 1:
            called = ", ".join(camera.name for camera in cameras)
            raise VipeError(
                f"{path} has {len(cameras)} cameras ({called}), and image {image!r} does not name one of them; say "
                "which took it: --camera-name NAME for all, or --camera-name IMAGE=NAME for each"
            )
        chosen[image] = longest[0]
    return [chosen[image] for image in ids]


def _is_named(name: str, image: str) -> bool:
    """Whether an image's id has a camera's name as a word: "cam_1" is not in "cam_12/0001"."""
    name, image = name.casefold(), image.casefold()
    place = image.find(name)
    while place >= 0:
        before, after = image[place - 1 : place], image[place + len(name) : place + len(name) + 1]
        joined = (before.isdigit() and name[0].isdigit()) or (before.isalpha() and name[0].isalpha())
        if not joined and not ((after.isdigit() and name[-1].isdigit()) or (after.isalpha() and name[-1].isalpha())):
            return True
        place = image.find(name, place + 1)
    return False


def _outside(middle: Array, size: tuple[float | int, float | int]) -> bool:
    """Whether the middle of a person lies outside the image; single joints may, some detectors guess them."""
    return bool((middle < 0).any() or (middle > np.array(size)).any())


def _by(size: Sequence[float | int] | Array) -> str:
    return "x".join(f"{side:.0f}" for side in size)


def _some(images: list[str]) -> str:
    return ", ".join(images[:5]) + (" ..." if len(images) > 5 else "")


def _told(lens: Lens, count: int) -> str:
    radius = lens.limit
    joints, counts = ("1 joint lies", "counts") if count == 1 else (f"{count} joints lie", "count")
    return (
        f"{joints} where the lens with focal length {lens.focal:.0f} px shows nothing (its distortion turns back at "
        f"{radius:.2f} {'radians' if lens.model == 'fisheye' else 'of the focal length'}), and {counts} as not seen"
    )
