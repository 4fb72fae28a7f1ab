"""BlazePose as published, fetched by pip, on real photos and videos: it finds what MediaPipe finds."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipe.detections.detectors import detect_images, detect_video
from vipe.detections.detectors.blazepose import files
from vipe.detections.detectors.blazepose.detector import BlazePose
from vipe.detections.videos import Video
from vipe.errors import VipeError
from vipe.skeletons import load

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def real_views():
    """Folder of real views beside the project; the test skips where there is none."""
    folder = Path(__file__).resolve().parents[4] / "shared" / "real-views"
    if not folder.is_dir():
        pytest.skip("no real views beside the project (../shared/real-views)")
    return folder


@pytest.fixture(scope="module")
def blazepose(tmp_path_factory):
    pytest.importorskip("ai_edge_litert")
    folder = tmp_path_factory.mktemp("weights")
    try:
        files.fetch(folder)
    except VipeError as error:
        pytest.skip(str(error))
    return BlazePose.load(folder)


@pytest.fixture(scope="module")
def mediapipe(real_views):
    """What MediaPipe 0.10.21 found in every third frame of four cameras: keypoints by camera and frame."""
    rows = json.loads((real_views / "blazepose_coco17.json").read_text())
    return {divmod(row["image_id"], 1000): np.array(row["keypoints"]).reshape(17, 3) for row in rows}


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
def test_frames_of_a_video_are_marked_as_mediapipe_marks_them(blazepose, real_views, mediapipe, camera):
    found = detect_video(Video(real_views / "videos" / f"cam{camera:02}.mp4", fps=20), blazepose, min_confidence=0.0)
    people = found.people
    matrix, _ = load("coco17").weights(people.skeleton)
    place = matrix.argmax(axis=1)
    away, score = [], []
    for image, xy, confidence in zip(people.image_id, people.xy, people.confidence, strict=True):
        if (camera, image) in mediapipe:
            theirs = mediapipe[camera, image][place]
            height = np.ptp(theirs[:, 1])
            away.append(np.linalg.norm(xy - theirs[:, :2], axis=1) / height)
            score.append(np.abs(confidence - theirs[:, 2]))
    assert len(away) >= 33
    assert np.median(away) < 0.01  # of the height from nose to ankles
    assert np.mean(np.max(away, axis=1) < 0.05) > 0.75  # in a few frames of camera 2 left and right differ
    assert np.median(score) < 0.01


def test_people_in_photos_are_found_where_they_are(blazepose, tmp_path):
    data = pytest.importorskip("skimage.data")
    for name, pixels in (("astronaut", data.astronaut()), ("photographer", data.camera())):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    people = detect_images([tmp_path / "astronaut.png", tmp_path / "photographer.png"], blazepose)
    assert people.image_id == ("astronaut.png", "photographer.png")
    places = {  # as one sees them: middle, and pixels around it
        ("astronaut.png", "nose"): (222, 122, 20),
        ("astronaut.png", "left_shoulder"): (315, 255, 30),
        ("astronaut.png", "right_shoulder"): (105, 215, 30),
        ("photographer.png", "nose"): (245, 165, 20),
        ("photographer.png", "right_shoulder"): (100, 160, 40),
        ("photographer.png", "right_elbow"): (110, 300, 40),
        ("photographer.png", "right_wrist"): (240, 215, 35),
    }
    for (image, joint), (x, y, around) in places.items():
        row, column = people.image_id.index(image), people.skeleton.index(joint)
        assert people.mask[row, column], (image, joint)
        assert np.linalg.norm(people.xy[row, column] - [x, y]) < around, (image, joint, people.xy[row, column])
    # Her legs are below the edge of the photo: whatever the network guesses, they are not seen.
    legs = [people.skeleton.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
    assert not people.mask[0, legs].any()
