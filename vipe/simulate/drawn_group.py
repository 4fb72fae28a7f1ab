"""One photo of several drawn people beside each other, with true keypoints (numpy; torch inside)."""

__all__ = ["draw_group"]

from dataclasses import fields, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.geometry.cameras import look_at, project, to_camera
from vipe.geometry.rotations import axis_angle
from vipe.simulate.drawn_people import DrawConfig
from vipe.simulate.limbs import limbs
from vipe.simulate.painting import Shapes, paint
from vipe.simulate.scenery import backgrounds, directions
from vipe.skeletons.working import COCO13_IN_H36M17

_FOCAL = 1.15  # times the longer side, as of simulated photos
_PALE = 0.6  # share of white in the background, before which people of any colour show
_ROOM = 1.0  # metres beside the outer people, and above and below all


def draw_group(
    poses: Float[Array, "N 17 3"],
    azimuth: Float[Array, " N"],
    *,
    size: tuple[int, int] = (720, 400),
    gap: float = 0.4,
    elevation: float = 0.1,
    config: DrawConfig | None = None,
    generator: np.random.Generator,
) -> tuple[UInt8[Array, "height width 3"], Keypoints]:
    """Draw people who stand in a row as one camera sees them, from left to right in their order.

    They look as `draw_people` draws them. The camera is level with the middle of the group, and so far away that all
    are in the photo.

    Args:
        poses: h36m17, metres, world space with z up, as recorded. Heights above the floor stay; each person is put
            into the row and turned.
        azimuth: From which side the camera sees each person, radians from the world's x towards y, as in `View`.
        size: Width and height of the photo in pixels.
        gap: Metres between the outermost joints of neighbours.
        elevation: From which the camera looks down, radians.
        config: What people look like; sizes within the picture, clutter and obstacles are not used.
        generator: Every draw uses it.

    Returns:
        The photo, and the exact keypoints of all people, also of joints that are hidden.

    Raises:
        ShapeError: If `poses` are not (N, 17, 3) and finite with N at least 1, or there is not one azimuth for each.
        VipeError: If a size or the gap is not above 0.
    """
    config = config or DrawConfig()
    if poses.ndim != 3 or poses.shape[1:] != (17, 3) or not len(poses) or not np.isfinite(poses).all():
        raise ShapeError(f"poses to draw must be (N, 17, 3) and finite, N at least 1, got shape {poses.shape}")
    if np.shape(azimuth) != (len(poses),):
        raise ShapeError(f"azimuth must be one for each of {len(poses)} poses, got shape {np.shape(azimuth)}")
    if min(size) < 8 or gap <= 0:
        raise VipeError(f"size must be at least 8 pixels, gap above 0, got {size} and {gap}")
    width, height = size
    points = _in_a_row(poses.astype(np.float64), np.asarray(azimuth, dtype=np.float64), gap)
    low, high = points.reshape(-1, 3).min(axis=0), points.reshape(-1, 3).max(axis=0)
    focal = _FOCAL * max(size)
    far = max(focal / width * (high[1] - low[1] + _ROOM), focal / height * (high[2] - low[2] + _ROOM))
    ahead, above, distance, roll = torch.tensor([0.0, elevation, far, 0.0], dtype=torch.float64).unbind()
    R_cam_world, t_cam = look_at(ahead, above, distance, roll, torch.from_numpy((low + high) / 2))
    joints = torch.from_numpy(points)
    middle = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    xy = project(joints, R_cam_world, t_cam, torch.tensor(focal, dtype=torch.float64), middle).float()
    depth = to_camera(joints, R_cam_world, t_cam)[..., 2].float()
    look = (config.width, config.uneven, config.contrast, config.coded)
    people, _ = limbs(xy, depth, focal / depth, *look, generator)
    scene = backgrounds(1, max(size), generator)[:, :, :height, :width].lerp(torch.ones(()), _PALE)
    painted = paint(scene, _together(people), directions(1, generator))[0].numpy()
    error = generator.uniform(0, config.noise) * generator.standard_normal(painted.shape)
    pixels = ((painted + error).clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    found = Keypoints.of(xy[:, list(COCO13_IN_H36M17)].numpy())
    return np.ascontiguousarray(pixels), replace(
        found,
        image_id=(0,) * len(poses),
        person=np.arange(len(poses)),
        image_size=np.tile(np.array(size, dtype=np.float64), (len(poses), 1)),
    )


def _in_a_row(poses: Float[Array, "N 17 3"], azimuth: Float[Array, " N"], gap: float) -> Float[Array, "N 17 3"]:
    """Each person turned so that the side to be seen looks along x, and put along y, which is right in the image."""
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(len(poses), 3)
    turn = axis_angle(up, torch.from_numpy(-azimuth)).numpy()
    floor = poses[:, :1] * np.array([1, 1, 0])
    row = (poses - floor) @ turn.swapaxes(1, 2)
    across = 0.0
    for person in row:
        person[:, 1] += across - person[:, 1].min()
        across = float(person[:, 1].max()) + gap
    return np.asarray(row)


def _together(people: Shapes) -> Shapes:
    """The shapes of all people as those of one picture."""
    return Shapes(*(getattr(people, field.name).flatten(0, 1)[None] for field in fields(Shapes)))
