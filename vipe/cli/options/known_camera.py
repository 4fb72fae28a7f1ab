"""Options of commands that take people: the calibration of the cameras that saw them."""

__all__ = ["CameraOptions"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from vipe import Keypoints


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CameraOptions:
    """Which camera took the images, if that is known."""

    camera: Annotated[
        tuple[Path, ...],
        Parameter(
            help="Calibration of the camera, or cameras: Pose2Sim's Calib.toml, OpenCV's or ROS' YAML, CMU Panoptic's "
            "JSON, Qualisys' .qca.txt, or fx, fy, cx, cy, k1 ... as TOML or JSON. Given again for several files.",
        ),
    ] = ()
    camera_name: Annotated[
        tuple[str, ...],
        Parameter(
            help="Which camera of the calibration took the images: NAME for all; or IMAGE=NAME, given again, for each "
            "image or folder. Not needed for one camera, or where the ids of images have the cameras' names."
        ),
    ] = ()

    def check(self) -> None:
        """Refuse options that do not go together, before any work.

        Raises:
            VipeError: If they do not.
        """
        from vipe.errors import VipeError

        if self.camera_name and not self.camera:
            raise VipeError("--camera-name goes with --camera, the calibration file")
        if len(self.camera_name) > 1 and not all("=" in name for name in self.camera_name):
            raise VipeError("--camera-name is given once as NAME, or for each image as IMAGE=NAME")
        images = [name.partition("=")[0] for name in self.camera_name if "=" in name]
        if twice := next((image for image in images if images.count(image) > 1), None):
            raise VipeError(f"--camera-name names two cameras of image {twice!r}; give one")

    def of(self, people: "Keypoints") -> "Keypoints":
        """The people as their cameras see them without lens and turned to them; as they are if no camera is given.

        Raises:
            VipeError: As `with_cameras`.
        """
        if not self.camera:
            return people
        from vipe.detections.cameras.known_cameras import with_cameras

        names: str | dict[int | str, str] | None = None
        if self.camera_name:
            pairs = [name.partition("=") for name in self.camera_name]
            names = {image: name for image, _, name in pairs} if pairs[0][1] else pairs[0][0]
        return with_cameras(people, self.camera, names)
