"""A simulation of photos and of a keypoint detector: poses projected by a pinhole camera, then a detector's errors."""

__all__ = [
    "EVEN_SPREAD",
    "GROUND_TRUTH",
    "MISSING_2",
    "MISSING_4",
    "NOISE_003",
    "NOISE_006",
    "NOISE_010",
    "OKS_SPREAD",
    "ONE_OFF",
    "DetectorNoise",
    "disturb",
    "project_keypoints",
    "simulate_keypoints",
]

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError, VipeError
from vipe.geometry.cameras import in_front, look_at, project
from vipe.simulate.rigs import CameraRig, View, Views
from vipe.skeletons import convert
from vipe.skeletons.joint_conventions import ARCHIVE
from vipe.skeletons.working import COCO13, COCO13_MIRRORED, H36M17, without_side

DISTANCE = 4.0  # metres, as in the trial that RESULTS.md compares with
FOCAL = 1.15  # times the image's longer side: Human3.6M's cameras, a field of view of 47 degrees
_SCORE_RANGE = 0.4  # RMS radii after which a score has fallen to 1/e: 0.9 at noise 0.03, 0.3 for a joint off by 0.5
_LEAST_SCORE = 0.01  # a joint with score 0 would count as not detected

_TABLE = tomllib.loads(resources.files("vipe.simulate").joinpath("detector.toml").read_text(encoding="utf-8"))
_LIMBS = np.array([COCO13.index(joint) for joint in _TABLE["missing"]["joints"]])

OKS_SPREAD: tuple[float, ...] = tuple(float(_TABLE["spread"][joint]) for joint in COCO13.joints)
EVEN_SPREAD = (1.0,) * len(COCO13)


@dataclass(frozen=True, kw_only=True)
class DetectorNoise:
    """The errors of a simulated detector; a value of 0 switches that kind of error off.

    Lengths are in units of the person's RMS radius, the root mean square distance of the true keypoints from their
    centroid (half a metre for a standing person).

    Raises:
        VipeError: If a probability is not from 0 to 1, a length is negative, or a count is given beside a probability.
    """

    scale: float = 0.03  # standard deviation of each coordinate, RMS over joints; about 1.5 cm for a standing person
    spread: tuple[float, ...] = OKS_SPREAD  # relative error of each joint; only the ratios count
    swap: float = 0.0  # probability that a person's left and right arms, legs, or all joints change places
    missing: float = 0.0  # probability, for each elbow, wrist, knee and ankle, of not being detected
    missing_count: int = 0  # or exactly this many of these eight, at random
    outlier: float = 0.0  # probability, for each seen joint, of lying `outlier_distance` away in a random direction
    outlier_count: int = 0  # or exactly this many of the seen joints, at random
    outlier_distance: float = 0.5
    score_jitter: float = 0.1  # standard deviation of the part of a score that does not depend on the error

    def __post_init__(self) -> None:
        for name in ("swap", "missing", "outlier"):
            if not 0 <= getattr(self, name) <= 1:
                raise VipeError(f"detector noise: {name} must be a probability, got {getattr(self, name)}")
        for name in ("scale", "outlier_distance", "score_jitter"):
            if not 0 <= getattr(self, name) < math.inf:
                raise VipeError(f"detector noise: {name} must be finite and not negative, got {getattr(self, name)}")
        for name, most in {"missing": len(_LIMBS), "outlier": len(COCO13)}.items():
            count = getattr(self, f"{name}_count")
            if not 0 <= count <= most:
                raise VipeError(f"detector noise: {name}_count must be from 0 to {most}, got {count}")
            if count and getattr(self, name):
                raise VipeError(f"detector noise: give {name} or {name}_count, not both")
        if len(self.spread) != len(COCO13) or not min(self.spread) >= 0 or not 0 < max(self.spread) < math.inf:
            raise VipeError(f"detector noise: spread must be {len(COCO13)} numbers, none negative, not all 0")

    @property
    def multipliers(self) -> Float64[Array, "13"]:
        """The spread with a root mean square of exactly one: a joint's own standard deviation is `scale` times this."""
        spread = np.array(self.spread, dtype=np.float64)
        multipliers: Float64[Array, "13"] = spread / np.sqrt(np.mean(spread**2))
        return multipliers


GROUND_TRUTH = DetectorNoise(scale=0.0, score_jitter=0.0)
NOISE_003 = DetectorNoise(scale=0.03)
NOISE_006 = DetectorNoise(scale=0.06)
NOISE_010 = DetectorNoise(scale=0.10)
MISSING_2 = DetectorNoise(scale=0.03, missing_count=2)
MISSING_4 = DetectorNoise(scale=0.03, missing_count=4)
ONE_OFF = DetectorNoise(scale=0.03, outlier_count=1)


def simulate_keypoints(
    poses: Float[Array, "N 17 3"],
    views: View | Sequence[View] | Views | CameraRig,
    *,
    distance: float | Float[Array, " N"] | None = None,
    focal: float | Float[Array, " N"] | None = None,
    image_size: tuple[int, int] = (1000, 1000),
    noise: DetectorNoise | float = NOISE_003,
    generator: np.random.Generator,
) -> Keypoints:
    """Simulate the keypoints that a detector finds in a photo of each pose: `project_keypoints`, then `disturb`.

    Args:
        poses: h36m17, metres, world space with z up, as recorded: own proportions, place and heading.
        views: One for all, one a pose, or a rig; from a rig one camera a pose is drawn at random.
        distance: From the camera to the person's centre, metres; by default that of `views`, else 4.
        focal: Focal length in pixels, by default 1.15 times the image's longer side. It only scales the image.
        image_size: Width and height in pixels.
        noise: The detector's errors, or a number for Gaussian noise of that scale alone; 0 is the ground truth.
        generator: Every draw uses it. The number of draws does not depend on `noise`, so two settings that start from
            the same state differ in nothing else.

    Returns:
        N people on coco13, one an image, images numbered from 0.

    Raises:
        ShapeError: If `poses` are not (N, 17, 3) and finite, or an argument has another length.
        VipeError: If a distance or focal length is not above 0.

    Example:
        >>> poses = np.random.default_rng(0).normal(size=(5, 17, 3))
        >>> people = simulate_keypoints(poses, CameraRig.load("h36m"), generator=np.random.default_rng(1))
        >>> people.xy.shape, people.image_size[0].tolist()
        ((5, 13, 2), [1000.0, 1000.0])
    """
    if isinstance(views, CameraRig):
        views = [views.cameras[i] for i in generator.integers(len(views), size=len(poses))]
    if not isinstance(noise, DetectorNoise):
        noise = replace(GROUND_TRUTH, scale=noise, score_jitter=NOISE_003.score_jitter if noise else 0.0)
    keypoints = project_keypoints(poses, views, distance=distance, focal=focal, image_size=image_size)
    return disturb(keypoints, noise, generator)


def project_keypoints(
    poses: Float[Array, "N 17 3"],
    views: View | Sequence[View] | Views,
    *,
    distance: float | Float[Array, " N"] | None = None,
    focal: float | Float[Array, " N"] | None = None,
    image_size: tuple[int, int] = (1000, 1000),
) -> Keypoints:
    """Project the joints of each pose with full perspective: the keypoints of a detector without errors.

    The camera looks at the centroid of the pose's coco13 joints, which falls on the middle of the image. Joints less
    than `NEAREST` metres in front of the camera are not seen. Joints outside the image are seen, as if it were larger.

    Args and Raises: those of `simulate_keypoints`.
    """
    _check_poses(poses)
    n = len(poses)
    if isinstance(views, View):
        views = [views] * n
    if not isinstance(views, Views):
        views = Views.of(views)
    if len(views) != n:
        raise ShapeError(f"views must be one for all or one for each of {n} poses, got {len(views)}")
    far = _each("distance", DISTANCE if views.distance is None else views.distance, distance, n)
    pixels = _each("focal", FOCAL * max(image_size), focal, n)
    size = np.tile(np.array(image_size, dtype=np.float64), (n, 1))
    _check_positive("image_size", size)
    # Relative to the pelvis: the place in the world does not matter, and would cost digits of float32.
    joints = convert(poses - poses[:, :1], H36M17, COCO13)[0].astype(np.float64)
    points = torch.from_numpy(joints - joints.mean(axis=1, keepdims=True))
    R_cam_world, t_cam = look_at(
        torch.from_numpy(views.azimuth),
        torch.from_numpy(views.elevation),
        torch.from_numpy(far),
        torch.from_numpy(views.roll),
        torch.zeros(n, 3, dtype=torch.float64),
    )
    xy = project(points, R_cam_world, t_cam, torch.from_numpy(pixels), torch.from_numpy(size / 2)).numpy()
    seen = in_front(points, R_cam_world, t_cam).numpy()
    people = Keypoints.of(np.where(seen[..., None], xy, 0), seen, convention=ARCHIVE)
    return replace(people, image_size=size.astype(np.float32))


def disturb(keypoints: Keypoints, noise: DetectorNoise, generator: np.random.Generator) -> Keypoints:
    """Add the errors of a simulated detector to true keypoints of coco13.

    The order is: Gaussian noise, swaps of left and right, missing joints, outliers among the remaining ones. The
    simulated score of a joint falls with its error, `exp(-error / 0.4)`, plus jitter. A swap does not lower it, since a
    detector that swaps is sure of both places. `covariance` is that of the Gaussian noise alone, None without noise.

    Raises:
        ShapeError: If the keypoints are of another skeleton.
    """
    if keypoints.skeleton.name != COCO13.name:
        raise ShapeError(
            f"keypoints to disturb must be {COCO13.name}, got {keypoints.skeleton.name}; convert with .to()"
        )
    n, joints = keypoints.mask.shape
    # Every draw is made, even for errors that are switched off: they must not change the other draws.
    gauss = generator.standard_normal((n, joints, 2))
    swapped, which = generator.random(n) < noise.swap, generator.integers(len(_SWAPS), size=n)
    lost = generator.random((n, joints))
    off, angle = generator.random((n, joints)), generator.uniform(-math.pi, math.pi, (n, joints))
    jitter = noise.score_jitter * generator.standard_normal((n, joints))

    radius = normalize_keypoints(keypoints)[2].astype(np.float64)[:, None]
    order = np.where(swapped[:, None], _SWAPS[which], np.arange(joints))  # whose place each joint takes
    sigma = np.take_along_axis(noise.scale * noise.multipliers * radius, order, axis=1)
    error = sigma[..., None] * np.take_along_axis(gauss, order[..., None], axis=1)
    xy = np.take_along_axis(keypoints.xy.astype(np.float64), order[..., None], axis=1) + error
    seen = np.take_along_axis(keypoints.mask, order, axis=1)

    limb = np.zeros(joints, dtype=bool)
    limb[_LIMBS] = True
    seen = seen & ~_chosen(lost, seen & limb, noise.missing, noise.missing_count)
    outlier = _chosen(off, seen, noise.outlier, noise.outlier_count)
    step = noise.outlier_distance * radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    step[~outlier] = 0
    distance = np.linalg.norm(error + step, axis=-1) / np.where(radius > 0, radius, np.inf)
    score = np.clip(np.exp(-distance / _SCORE_RANGE) + jitter, _LEAST_SCORE, 1)
    covariance = (sigma**2)[..., None, None] * np.eye(2) if noise.scale > 0 else None
    return replace(
        keypoints,
        xy=(xy + step).astype(np.float32),
        mask=seen,
        confidence=(score * np.take_along_axis(keypoints.confidence, order, axis=1)).astype(np.float32),
        covariance=None if covariance is None else covariance.astype(np.float32),
    )


def _swaps() -> Int[Array, "kinds 13"]:
    """For each kind of swap and each joint: the joint whose place it takes."""
    kinds = []
    for parts in _TABLE["swap"].values():
        chosen = [without_side(joint) in parts for joint in COCO13.joints]
        kinds.append(np.where(chosen, COCO13_MIRRORED, np.arange(len(COCO13))))
    return np.stack(kinds)


_SWAPS = _swaps()


def _chosen(
    draws: Float64[Array, "N joints"], allowed: Bool[Array, "N joints"], probability: float, count: int
) -> Bool[Array, "N joints"]:
    """Allowed joints with a draw below the probability, or exactly the `count` lowest draws among them."""
    if count == 0:
        return allowed & (draws < probability)
    rank = np.where(allowed, draws, np.inf).argsort(axis=1, kind="stable").argsort(axis=1)
    return allowed & (rank < count)


def _check_poses(poses: Float[Array, "N 17 3"]) -> None:
    if poses.ndim != 3 or poses.shape[1:] != (17, 3):
        raise ShapeError(f"poses must be (N, 17, 3), got shape {poses.shape}; were the joints flattened?")
    finite = np.isfinite(poses).all(axis=(1, 2))
    if not finite.all():
        raise ShapeError(f"pose {int(np.argmin(finite))} has a joint that is not finite")


def _each(
    name: str, default: float | Float[Array, " N"], value: float | Float[Array, " N"] | None, n: int
) -> Float64[Array, " N"]:
    numbers = np.asarray(default if value is None else value, dtype=np.float64)
    if numbers.shape not in ((), (n,)):
        raise ShapeError(f"{name} must be one number or one for each of {n} poses, got shape {numbers.shape}")
    _check_positive(name, numbers)
    return np.broadcast_to(numbers, (n,)).copy()


def _check_positive(name: str, numbers: Float64[Array, "*any"]) -> None:
    wrong = ~(np.isfinite(numbers) & (numbers > 0))
    if wrong.any():
        raise VipeError(f"{name} must be finite and above 0, got {numbers[wrong].flat[0]}")
