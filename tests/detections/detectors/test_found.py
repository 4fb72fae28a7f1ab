"""Any detector's people in photos and videos: who, where, when, and whether they are seen at all."""

from pathlib import Path

import numpy as np
import pytest
from detections.detectors.videos import write_video
from PIL import Image

from vipe.detections import follow
from vipe.detections.detectors import Detector, detect_images, detect_video
from vipe.detections.videos import Video
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.skeletons import load

COCO17 = load("coco17")


class Scripted:
    """Finds what it is told, image after image."""

    def __init__(self, *found, skeleton=COCO17):
        self.skeleton = skeleton
        self.seen = []
        self._found = list(found)

    def __call__(self, image):
        self.seen.append(image.shape)
        return self._found[len(self.seen) - 1]


def person(x=20.0, score=0.9):
    """Seventeen joints in a column."""
    return np.stack([np.full(17, x), np.arange(17) * 2.0 + 3, np.full(17, score)], axis=1)


def people(*each):
    return np.array(each, dtype=np.float32).reshape(-1, 17, 3)


@pytest.fixture
def photos(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for width, path in zip((40, 50, 60), paths, strict=True):
        Image.new("RGB", (width, 48)).save(path)
    return paths


def test_a_detector_is_whatever_can_be_called_and_says_whose_joints_it_marks():
    assert isinstance(Scripted(), Detector)
    assert not isinstance(len, Detector)


def test_each_person_of_each_photo_is_a_row(photos):
    detector = Scripted(people(person(10), person(30)), people(), people(person(40)))
    empty, done = [], []
    found = detect_images(
        photos, detector, on_empty=empty.append, on_image=lambda at, of: done.append((at, of)), min_confidence=0.5
    )
    assert (found.image_id, found.person.tolist(), empty) == (("a.png", "a.png", "c.png"), [0, 1, 0], ["b.png"])
    assert found.xy[:, 0, 0].tolist() == [10, 30, 40]
    assert found.image_size.tolist() == [[40, 48], [40, 48], [60, 48]]
    assert found.mask.all()
    assert detector.seen == [(48, 40, 3), (48, 50, 3), (48, 60, 3)]
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_photos_of_one_name_are_called_by_their_paths(tmp_path, photos):
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "a.png"
    twin.write_bytes(photos[0].read_bytes())
    found = detect_images([photos[0], twin], Scripted(people(person()), people(person())))
    assert found.image_id == (str(photos[0]), str(twin))
    with pytest.raises(VipeError, match="the same photo is given twice"):
        detect_images([photos[0], photos[0]], Scripted())


def test_joints_of_a_low_score_without_numbers_or_outside_the_image_are_not_seen(photos):
    one = person()
    one[0, 2] = 0.1
    one[5, :2] = np.nan
    one[6, 0] = 41
    one[7, 1] = -1
    one[8, 1] = 48  # the very edge
    found = detect_images(photos[:1], Scripted(people(one)))
    joints = found.skeleton.joints
    unseen = {joint for joint, seen in zip(joints, found.mask[0], strict=True) if not seen}
    assert unseen == {"nose", "left_shoulder", "right_shoulder", "left_elbow"}


def test_the_same_person_twice_in_one_image_counts_once(photos):
    found = detect_images(photos[:1], Scripted(people(person(), person())))
    assert found.note == ("", "the same keypoints as person 0 of image a.png")


def test_photos_without_anybody_are_told_with_a_way_out(photos):
    with pytest.raises(ReadError, match=r"a\.png: the detector finds nobody; .*--keypoints FILE"):
        detect_images(photos[:1], Scripted(people()))


@pytest.mark.refusal
def test_a_detector_that_gives_other_numbers_is_told(photos):
    with pytest.raises(ShapeError, match=r"\(people, 17, 3\) numbers, got \(1, 13, 3\)"):
        detect_images(photos[:1], Scripted(np.zeros((1, 13, 3))))


def test_the_convention_is_that_of_the_detectors_skeleton(photos):
    body = load("mediapipe33")
    numbers = np.tile(np.array([20, 20, 1.0]), (1, 33, 1)) + np.arange(33)[None, :, None] * [0.1, 0.5, 0]
    found = detect_images(photos[:1], Scripted(numbers, skeleton=body))
    np.testing.assert_allclose(found.xy[0, 0], numbers[0, 0, :2], rtol=1e-6)
    np.testing.assert_allclose(found.xy[0, -1], numbers[0, 28, :2], rtol=1e-6)
    assert found.convention == "blazepose"


def test_the_people_of_a_video_have_frames_and_times_and_can_be_followed(tmp_path):
    video = Video(write_video(tmp_path / "a.mp4", [np.zeros((48, 64, 3), np.uint8)] * 12), fps=10)
    detector = Scripted(people(person(10), person(50)), people(), people(person(49), person(12)), people(person(13)))
    empty, done = [], []
    found = detect_video(video, detector, on_empty=empty.append, on_frame=lambda at, of: done.append((at, of)))
    assert (found.rate, found.looked_at, empty) == (10, 4, [3])
    assert found.people.image_id == (0, 0, 6, 6, 9)
    assert found.people.frame.tolist() == [0, 0, 2, 2, 3]
    np.testing.assert_allclose(found.time, [0, 0, 0.2, 0.2, 0.3], atol=1e-6)
    assert follow(found.people).tolist() == [0, 1, 1, 0, 0]
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_broken_frames_are_told(tmp_path, monkeypatch):
    video = Video(write_video(tmp_path / "a.mp4", [np.zeros((48, 64, 3), np.uint8)] * 2))
    monkeypatch.setattr(video, "broken", 0)
    frames = video.frames

    def one_is_broken():
        yield from frames()
        video.broken = 1

    monkeypatch.setattr(video, "frames", one_is_broken)
    found = detect_video(video, Scripted(people(person())))
    assert found.people.remarks[-1].endswith("1 broken frame passed over")


def test_a_path_need_not_be_absolute(photos, monkeypatch):
    monkeypatch.chdir(photos[0].parent)
    assert detect_images([Path("a.png")], Scripted(people(person()))).image_id == ("a.png",)
