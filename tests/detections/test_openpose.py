"""OpenPose files: 25 or 18 joints a person, a file a frame, a folder a video."""

import json

import numpy as np
import pytest

from vipe.detections import read_keypoints
from vipe.errors import ReadError
from vipe.skeletons import detect, known, load

COCO13 = load("coco13")


STANDING = {"nose": (150, 30), "eye": (8, 24), "ear": (16, 28), "neck": (150, 60), "head_top": (150, 8),
            "shoulder": (35, 62), "elbow": (45, 110), "wrist": (40, 150), "hip": (20, 160), "mid_hip": (150, 160),
            "knee": (22, 220), "ankle": (20, 280), "big_toe": (22, 292), "small_toe": (28, 290), "heel": (18, 286),
            "chest": (150, 100)}  # fmt: skip


def person(rng, skeleton="openpose25", score=0.8):
    """Somebody who stands: x, y and a score of each joint."""
    rows = []
    for joint in load(skeleton).joints:
        side, _, part = joint.partition("_")
        off, y = STANDING.get(part if side in ("left", "right") else joint, (20, 30))
        x = 150 + off * {"left": 1, "right": -1}[side] if side in ("left", "right") and off < 100 else off
        rows.append((x, y, score))
    numbers = np.array(rows, dtype=np.float64)
    numbers[:, :2] += rng.normal(0, 2, (len(rows), 2))
    return numbers


def write(path, *people, key="pose_keypoints_2d"):
    rows = [{key: np.ravel(numbers).tolist(), "face_keypoints_2d": []} for numbers in people]
    path.write_text(json.dumps({"version": 1.2, "people": rows}))
    return path


@pytest.mark.parametrize(
    ("skeleton", "key"),
    [
        ("openpose25", "pose_keypoints_2d"),
        ("openpose25b", "pose_keypoints_2d"),
        ("openpose18", "pose_keypoints_2d"),
        ("openpose18", "pose_keypoints"),
        ("halpe26", "pose_keypoints_2d"),
        ("coco17", "pose_keypoints_2d"),
        ("coco133", "pose_keypoints_2d"),
    ],
)
def test_people_come_back_as_they_were_written(tmp_path, rng, skeleton, key):
    people = [person(rng, skeleton) for _ in range(2)]
    source = load(skeleton)
    people[1][source.index("right_wrist")] = 0  # not found
    keypoints = read_keypoints(write(tmp_path / "walk_keypoints.json", *people, key=key))
    assert keypoints.image_id == ("walk", "walk")
    assert keypoints.person.tolist() == [0, 1]
    assert keypoints.frame is None
    order = [source.index(joint) for joint in COCO13.joints]
    np.testing.assert_allclose(keypoints.xy, np.array(people)[:, order, :2], rtol=1e-6)
    assert [COCO13.joints[i] for i in np.flatnonzero(~keypoints.mask[1])] == ["right_wrist"]


def test_a_person_of_whom_nothing_is_found_stays_a_row(tmp_path, rng):
    keypoints = read_keypoints(write(tmp_path / "a.json", np.zeros(75), person(rng), person(rng, score=0.1)))
    assert keypoints.mask.any(axis=1).tolist() == [False, True, False]
    assert keypoints.note == ("no body keypoint scores at least 0.2", "", "no body keypoint scores at least 0.2")


def test_a_folder_is_a_video_in_the_order_of_its_frame_numbers(tmp_path, rng):
    for frame, people in ((10, 1), (9, 2), (11, 0)):  # 10 comes before 9 in the order of names
        write(tmp_path / f"walk_{frame}_keypoints.json", *(person(rng) for _ in range(people)))
    (tmp_path / "notes.txt").write_text("not a frame")
    keypoints = read_keypoints(tmp_path)
    assert keypoints.frame.tolist() == [9, 9, 10]
    assert keypoints.person.tolist() == [0, 1, 0]
    assert keypoints.image_id == ("walk_9", "walk_9", "walk_10")


def test_frames_without_numbers_count_in_the_order_of_names(tmp_path, rng):
    for name in ("b.json", "a.json", "c_000_keypoints.json"):
        write(tmp_path / name, person(rng))
    keypoints = read_keypoints(tmp_path)
    assert keypoints.image_id == ("a", "b", "c_000")
    assert keypoints.frame.tolist() == [0, 1, 2]


def test_a_frame_with_nobody_counts_and_is_told(tmp_path, rng):
    write(tmp_path / "a.json", person(rng))
    write(tmp_path / "b.json")
    write(tmp_path / "c.json", person(rng))
    told = []
    assert read_keypoints(tmp_path, on_empty=told.append).frame.tolist() == [0, 2]
    assert told == ["b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"people": []}, r"f\.json: no person in it: its list of people is empty"),
        ({"people": [{}]}, r"f\.json: person 0 has no pose_keypoints_2d"),
        (
            {"people": [{"pose_keypoints_2d": [0.0] * 44}]},
            r"person 0: 44 numbers, expected 75 = 25 x \(x, y, score\) or 54 =",
        ),
        (
            {"people": [{"pose_keypoints_2d": [0.0] * 75}, {"pose_keypoints_2d": [0.0] * 54}]},
            r"person 1: 54 numbers, expected 75 = 25 x \(x, y, score\) as before it$",
        ),
        ({"people": {}}, r"Expected `array`, got `object` - at `\$\.people`"),
        ({"people": [{"pose_keypoints_2d": [1e9] * 54}]}, r"person 0: x of keypoint 0 \(nose\) is 1e\+09"),
        (
            {"people": [{"pose_keypoints_2d": [9, 9, 0.5] * 17 + [9, 9, 80]}]},
            r"person 0: score of left_ear is 80, expected a confidence from 0 to 1; divide percents by 100",
        ),
    ],
)
def test_a_broken_file_is_one_line_that_says_where(tmp_path, content, message):
    path = tmp_path / "f.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ReadError, match=message):
        read_keypoints(path)


def test_a_folder_without_people_or_with_two_videos_is_refused(tmp_path, rng):
    with pytest.raises(ReadError, match=r"no \.json file in this folder"):
        read_keypoints(tmp_path)
    write(tmp_path / "a_1_keypoints.json")
    with pytest.raises(ReadError, match=r"no person in any of its 1 \.json files"):
        read_keypoints(tmp_path)
    write(tmp_path / "b_1_keypoints.json", person(rng))
    with pytest.raises(ReadError, match="frame 1 is there twice; expected one video a folder"):
        read_keypoints(tmp_path)
    (tmp_path / "a_1_keypoints.json").unlink()
    (tmp_path / "b_1_keypoints.json").write_text("{}")
    with pytest.raises(ReadError, match=r"b_1_keypoints\.json: JSON of another kind, with nothing"):
        read_keypoints(tmp_path)
    (tmp_path / "b_1_keypoints.json").write_text("{")
    with pytest.raises(ReadError, match=r"b_1_keypoints\.json: broken JSON"):
        read_keypoints(tmp_path)


@pytest.mark.parametrize("name", known())
def test_the_tables_of_detectors_do_not_confuse_those_of_mocap(name):
    found = detect(load(name).joints)
    assert set(found.joints) == set(load(name).joints)  # CrowdPose, LSP and AI Challenger have the same joints
    assert found.conversions.keys() >= load(name).conversions.keys()


@pytest.mark.mocap
def test_a_real_runner(real_keypoints):
    keypoints = read_keypoints(real_keypoints / "im1010_openpose_keypoints.json")
    assert len(keypoints) == 1
    assert {COCO13.joints[i] for i in np.flatnonzero(~keypoints.mask[0])} == {"right_elbow", "right_wrist"}
    np.testing.assert_allclose(keypoints.xy[0, 0], [66.4171, 47.0342], rtol=1e-6)
