import json

import numpy as np
import pytest

import vipe
from vipe.clips import Clip
from vipe.errors import SkeletonError
from vipe.skeletons import Skeleton, load
from vipe.skeletons.working import COCO13, H36M17
from vipe.store.moments import Moment
from vipe.writers import write


def test_keypoints_are_read_again_frame_by_frame(moving, tmp_path):
    clip = moving(12)
    write(tmp_path / "a.json", Moment.of(clip, 0.12))
    people = vipe.read_keypoints(tmp_path / "a.json")
    assert people.image_id == tuple(range(3, 12)) or list(people.image_id) == list(range(3, 12))
    assert people.mask.all()
    assert (people.xy > 0).all()
    assert (people.xy < 1000).all()


def test_they_are_what_the_camera_of_the_file_sees(moving, tmp_path):
    clip = moving(5)
    write(tmp_path / "a.json", clip, azimuth=0.7)
    file = json.loads((tmp_path / "a.json").read_text())
    camera, body = file["info"]["camera"], load("coco17")
    seen = clip.positions @ np.array(camera["R_cam_world"]).T + np.array(camera["t_cam"])
    xy = camera["focal"] * seen[..., :2] / seen[..., 2:] + np.array(camera["center"])
    marks = np.array([one["keypoints"] for one in file["annotations"]]).reshape(5, 17, 3)
    for joint in COCO13.joints:
        np.testing.assert_allclose(marks[:, body.index(joint), :2], xy[:, H36M17.index(joint)], atol=2e-3)
        assert (marks[:, body.index(joint), 2] == 2).all()
    assert (marks[:, 1:5] == 0).all()  # eyes and ears are not known
    assert file["categories"][0]["keypoints"] == list(body.joints)
    x, y, wide, high = file["annotations"][0]["bbox"]
    assert (marks[0, 5:, 0] >= x - 1e-2).all()
    assert (marks[0, 5:, 0] <= x + wide + 1e-2).all()
    assert (marks[0, 5:, 1] <= y + high + 1e-2).all()


def test_the_camera_stands_in_front_and_goes_to_the_left(standing, tmp_path):
    body, images = load("coco17"), {}
    clip = Clip(name="stand", skeleton=H36M17, positions=standing[None], fps=30.0)
    for degrees in (0, 90, 180):
        write(tmp_path / "a.json", clip, azimuth=np.deg2rad(degrees))
        marks = json.loads((tmp_path / "a.json").read_text())["annotations"][0]["keypoints"]
        images[degrees] = np.array(marks).reshape(17, 3)[:, 0]
    left, right, nose = (body.index(name) for name in ("left_shoulder", "right_shoulder", "nose"))
    assert images[0][left] > images[0][right] + 50  # the person faces us: their left is at the right of the image
    assert images[180][left] < images[180][right] - 50
    assert images[90][nose] < images[90][left]  # seen from their left, the nose points to the left of the image


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_other_skeletons_are_refused(suffix, tmp_path):
    arm = Skeleton(name="arm", joints=("shoulder", "elbow"), parents=(-1, 0))
    with pytest.raises(SkeletonError, match="h36m17, got arm, which has no conversion to it"):
        write(tmp_path / f"a{suffix}", Clip(name="a", skeleton=arm, positions=np.zeros((1, 2, 3)), fps=1.0))
