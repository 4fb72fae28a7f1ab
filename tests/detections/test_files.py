"""Every form of keypoint file: told from its content, the same people in each, or one line that says what it is."""

import json
import os
import tracemalloc
from time import process_time

import numpy as np
import pytest
from detections.keypoint_files import FILES, PEOPLE, XY, as_json

from vipe.detections import follow, frame_numbers, read_keypoints
from vipe.errors import ReadError, SkeletonError, VipeError
from vipe.skeletons import load

COCO17, COCO13 = load("coco17"), load("coco13")
TO_13 = [COCO17.index(joint) for joint in COCO13.joints]


@pytest.fixture
def write(tmp_path):
    def write(content, name="file.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content if isinstance(content, bytes) else as_json(content))
        return path

    return write


NAMED = [
    f"{side}_{joint}" for joint in ("SHOULDER", "ELBOW", "WRIST", "HIP", "KNEE", "ANKLE") for side in ("LEFT", "RIGHT")
]


def results(numbers, **more):
    return [{"image_id": i, "keypoints": np.ravel(one).tolist()} | more for i, one in enumerate(numbers)]


@pytest.mark.parametrize("name", FILES)
def test_each_form_gives_the_same_three_people(write, name):
    people = read_keypoints(write(FILES[name], name))
    assert len(people) == 3
    found = people.mask
    assert (found.sum(axis=1) >= 12).all()  # MPI has no nose
    np.testing.assert_allclose(people.xy[found], XY[:, TO_13][found], atol=1e-3)
    named = people.image_id[0] == name.rpartition(".")[0]
    assert len(set(people.image_id)) == (1 if named else 3)
    assert people.person.tolist() == ([0, 1, 2] if named else [0, 0, 0])


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("mmpose_video.json", [1, 2, 3]),
        ("openpifpaf.jsonl", [0, 1, 2]),
        ("table.csv", [0, 1, 2]),
        ("array.npy", [0, 1, 2]),
    ],
)
def test_frames_are_numbered_as_the_file_does(write, name, frames):
    assert frame_numbers(read_keypoints(write(FILES[name], name))).tolist() == frames


def test_body_25_and_body_25b_are_told_apart_and_the_rare_one_is_said(write):
    assert read_keypoints(write(FILES["openpose25.json"])).remarks == ()
    assert read_keypoints(write(FILES["openpose25b.json"])).remarks == (
        "25 joints a person, read as openpose25b: their bones are the shortest",
    )


def test_body_25_that_cannot_be_told_is_for_the_user_to_say(write, rng):
    few = np.column_stack([rng.uniform(0, 300, (25, 2)), np.ones(25)])  # no body at all
    path = write({"people": [{"pose_keypoints_2d": few.ravel().tolist()}]})
    with pytest.raises(ReadError, match=r"25 joints a person may be openpose25 or openpose25b, .*--skeleton"):
        read_keypoints(path)
    assert read_keypoints(path, skeleton="openpose25").mask.sum() == 13
    nobody = write({"people": [{"pose_keypoints_2d": [0.0] * 75}]})
    assert "too few are found to tell whose" in read_keypoints(nobody).remarks[0]


def test_a_skeleton_said_by_the_user_wins(write):
    path = write(FILES["openpose25b.json"])
    wrong = read_keypoints(path, skeleton="openpose25")
    assert np.abs(wrong.xy - read_keypoints(path, skeleton="openpose25b").xy).max() > 10
    with pytest.raises(ReadError, match=r"25 joints a person, but coco17 has 17"):
        read_keypoints(path, skeleton="coco17")
    with pytest.raises(SkeletonError, match="no skeleton 'body26'"):
        read_keypoints(path, skeleton="body26")


def test_joints_in_the_order_of_human36m_are_noticed(write):
    h36m = load("h36m17")
    matrix, known = COCO17.weights(h36m)
    people = np.einsum("ts,nsc->ntc", matrix, PEOPLE)
    people[:, ~known] = people[:, h36m.index("nose"), None]
    people[:, ~known, 1] -= 6
    read = read_keypoints(write(results(people)))
    assert "lie as those of h36m17" in read.remarks[0]
    np.testing.assert_allclose(read.xy[:, 1:], XY[:, TO_13][:, 1:], atol=1e-3)


@pytest.mark.parametrize("third", [0.3, 1.0, 0.0])
@pytest.mark.parametrize("place", [(0, 0), (-1, -1), (-100, -100), (-7.5, -4.25)])
def test_what_was_not_found_is_not_seen_whatever_its_score(write, place, third):
    people = PEOPLE.copy()
    people[:, [13, 9]] = (*place, third)  # left knee and left wrist
    read = read_keypoints(write(results(people)))
    gone = [COCO13.index("left_knee"), COCO13.index("left_wrist")]
    np.testing.assert_array_equal(read.mask, np.tile(~np.isin(np.arange(13), gone), (3, 1)))


def test_a_joint_outside_the_image_is_seen(write):
    people = PEOPLE.copy()
    people[:, 13, :2] = [[-3.25, 40], [12, -8.5], [-2.5, -6.75]]
    people = np.concatenate([people, people])  # the same frame again: the same place at the same joint
    assert read_keypoints(write(results(people))).mask.all()


def test_shares_of_the_image_are_multiplied_by_its_size_or_refused(write):
    people = PEOPLE / [640, 480, 1]
    path = write(results(people))
    with pytest.raises(ReadError, match=r"lie within 0 to 1: they are shares .* \(--image-size 1920x1080"):
        read_keypoints(path)
    read = read_keypoints(path, image_size=(640, 480))
    np.testing.assert_allclose(read.xy, XY[:, TO_13], atol=1e-3)
    assert read.image_size.tolist() == [[640, 480]] * 3
    labelled = [
        {"image_id": 1, "category_id": 1, "keypoints": np.ravel(np.column_stack([one[:, :2], np.full(17, 2)])).tolist()}
        for one in people
    ]
    own = write({"images": [{"id": 1, "width": 640, "height": 480}], "annotations": labelled})
    np.testing.assert_allclose(read_keypoints(own).xy, XY[:, TO_13], atol=1e-3)
    with pytest.raises(VipeError, match="image_size must be width and height"):
        read_keypoints(path, image_size=(640, -1))


@pytest.mark.parametrize("size", [(1e999, 1080), (1920, 1e38), (-1920, 1080), (0, 1080)])
def test_a_size_that_no_image_has_is_refused(write, size):
    names = [f"image/object/part/{joint}/center/{axis}" for joint in NAMED for axis in "xy"]
    row = [*map(str, size), *(f"{number:.3f}" for number in np.linspace(0.2, 0.8, len(names)))]
    table = "\n".join([",".join(["image/width", "image/height", *names]), ",".join(row)])
    with pytest.raises(ReadError, match=r": its image is \S+ x \S+, expected pixels above 0"):
        read_keypoints(write(table.encode(), "poses.csv"))


def test_bodies_upside_down_or_lying_all_alike_are_said(write):
    up = PEOPLE * [1, -1, 1] + [0, 400, 0]
    assert read_keypoints(write(results(up))).remarks[0].startswith("all 3 people are upside down: does y point up")
    swapped = PEOPLE[..., [1, 0, 2]]
    assert (
        "all 3 people are lying with the head to the left: is y written before x"
        in read_keypoints(write(results(swapped))).remarks[0]
    )
    assert read_keypoints(write(results([PEOPLE[0], up[1], PEOPLE[2]]))).remarks == ()


def test_null_v_is_an_unknown_visibility_and_null_x_is_not_seen(write):
    numbers = [[x, y, None] for x, y in XY[0]]
    numbers[0] = [None, None, None]
    path = write({"annotations": [{"image_id": 1, "keypoints": [part for joint in numbers for part in joint]}]})
    read = read_keypoints(path)
    assert read.mask[0].tolist() == [False] + [True] * 12
    assert np.unique(read.confidence[0, 1:]).tolist() == [0.5]


def test_predictions_in_the_form_of_annotations_have_scores(write):
    rows = [row | {"score": 0.9} for row in results(PEOPLE)]
    read = read_keypoints(write({"annotations": rows}))
    np.testing.assert_allclose(read.confidence, PEOPLE[:, TO_13, 2], rtol=1e-6)


@pytest.mark.parametrize(
    "spell",
    [
        str.upper,
        lambda n: n.replace("_", "-"),
        lambda n: n.replace("_", ".").title(),
        lambda n: "".join(word.title() for word in n.split("_")),
        lambda n: f"{n[0]}{n.split('_')[-1].title()}" if "_" in n else n,
        lambda n: "_".join(reversed(n.split("_"))),
    ],
    ids=["LEFT_HIP", "left-hip", "Left.Hip", "LeftHip", "lHip", "hip_left"],
)
def test_names_of_joints_in_any_spelling(write, spell):
    order = np.random.default_rng(0).permutation(17)
    names = [spell(COCO17.joints[i]) for i in order]
    rows = [
        {"image_id": 1, "category_id": 3, "keypoints": np.ravel(np.column_stack([one[order], np.full(17, 2)])).tolist()}
        for one in XY
    ]
    read = read_keypoints(write({"annotations": rows, "categories": [{"id": 3, "name": "p", "keypoints": names}]}))
    np.testing.assert_allclose(read.xy, XY[:, TO_13], atol=1e-3)


def test_trackers_are_believed(write):
    rows = [row | {"idx": [9 - i]} for i, row in enumerate(results(PEOPLE))]
    assert read_keypoints(write(rows)).track.tolist() == [9, 8, 7]
    visible = results(PEOPLE * [1, 1, 0] + [0, 0, 2])
    cvat = [row | {"attributes": {"occluded": False, "track_id": i, "keyframe": True}} for i, row in enumerate(visible)]
    assert read_keypoints(write({"annotations": cvat})).track.tolist() == [0, 1, 2]


def test_numbers_in_names_are_frames_and_gaps_stay_gaps(write):
    people = np.repeat(PEOPLE[:1], 3, axis=0) + np.arange(3)[:, None, None] * [2, 0, 0]
    rows = [row | {"image_id": f"{frame}.jpg"} for row, frame in zip(results(people), (9, 10, 14), strict=True)]
    read = read_keypoints(write(rows))
    assert frame_numbers(read).tolist() == [9, 10, 14]
    assert follow(read).tolist() == [0, 0, 0]


def openpose(numbers):
    return {"people": [{"pose_keypoints_2d": np.ravel(one).tolist()} for one in numbers]}


def test_a_frame_that_cannot_be_read_costs_that_frame_and_is_named(write, tmp_path):
    for frame in range(4):
        write(b"{" if frame == 2 else openpose(PEOPLE[:1]), f"video/cam.{frame:04}.json")
    read = read_keypoints(tmp_path / "video")
    assert read.frame.tolist() == [0, 1, 3]
    assert read.image_id == ("cam.0000", "cam.0001", "cam.0003")
    assert "1 of 4 files could not be read and are left out: cam.0002.json (broken JSON" in read.remarks[0]
    lines = [as_json(row) for row in results(PEOPLE)]
    lines[1] = lines[1][:40]
    short = read_keypoints(write(b"\n".join(lines), "x.jsonl"))
    assert short.image_id == (0, 2)
    assert "1 of 3 lines could not be read and are left out: 2" in short.remarks[0]


def test_what_is_no_file_or_has_no_end_is_refused_at_once(write, tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "device.json").symlink_to("/dev/zero")
    with (tmp_path / "sparse.json").open("wb") as file:
        file.truncate(2**32 + 1)
    for name in ("pipe", "device"):
        with pytest.raises(ReadError, match=rf"{name}.json: cannot be read: is a pipe, a device or a socket"):
            read_keypoints(tmp_path / f"{name}.json")
    with pytest.raises(ReadError, match=r"sparse.json: cannot be read: is longer than the 4,294,967,296 bytes"):
        read_keypoints(tmp_path / "sparse.json")
    frames = tmp_path / "frames"
    frames.mkdir()
    write(results(PEOPLE)[:1]).rename(frames / "f_1.json")
    (tmp_path / "sparse.json").rename(frames / "f_2.json")
    people = read_keypoints(frames)
    assert len(people) == 1
    assert "1 of 2 files could not be read and are left out: f_2.json" in people.remarks[-1]


def test_numbers_too_large_for_the_time_of_a_frame_are_none(write, tmp_path):
    person = {"keypoints": np.ravel(PEOPLE[0]).tolist()}
    for number in range(3):
        write([person]).rename(tmp_path / f"f_{10**17 + number}.json")
    assert read_keypoints(tmp_path).frame.tolist() == [0, 1, 2]


def test_a_folder_of_folders_has_a_video_in_each(write, tmp_path):
    for camera in (1, 2):
        for frame in (0, 1, 5):
            write(openpose(PEOPLE[:camera] + np.array([frame, 0, 0])), f"real/cam{camera}/cam{camera}.{frame:04}.json")
    read = read_keypoints(tmp_path / "real")
    assert len(read) == 9
    assert read.video.tolist() == [0] * 3 + [1] * 6
    assert frame_numbers(read).tolist() == [0, 1, 5, 0, 0, 1, 1, 5, 5]
    assert read.image_id[0] == "cam1/cam1.0000"
    assert follow(read).tolist() == [0, 0, 0, 1, 2, 1, 2, 1, 2]  # the other person is kept apart, and so are cameras


def test_a_folder_of_files_of_mmpose_or_of_results(write, tmp_path):
    for name in ("000000000785.json", "000000000786.json"):
        write(FILES["mmpose_image.json"], f"predictions/{name}")
    read = read_keypoints(tmp_path / "predictions")
    assert (len(read), sorted(set(read.frame.tolist())), read.image_id[0]) == (6, [785, 786], "000000000785")
    for name in ("1.json", "2.json"):
        write(results(PEOPLE), f"r/{name}")
    two = read_keypoints(tmp_path / "r")
    assert two.image_id == ("1/0", "1/1", "1/2", "2/0", "2/1", "2/2")
    assert two.video.tolist() == [0, 0, 0, 1, 1, 1]
    assert frame_numbers(two).tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x95\x00", r"is a Python pickle, which could run anything .*; write the keypoints as JSON"),
        (b"\x89HDF\r\n\x1a\n", r"is HDF5, as DeepLabCut and SLEAP write it; export it as CSV"),
        (b"<?xml version='1.0'?><annotations/>", r"is XML or HTML; CVAT exports 'COCO Keypoints 1\.0'"),
        (b"\x00\x00\x00 ftypisom", r"is a video; run a 2D pose detector on it"),
        (b"0 0.5 0.5 0.2 0.4 0.51 0.3 2 0.5 0.2 2\n", r"is lines of numbers without names, as YOLO's labels"),
        (b"1,2,3,4,5,6\n7,8,9,1,2,3\n", r"a table of numbers without names of columns; name them in the first line"),
        (
            b"time,speed,name\n1,2,a\n",
            r"a table, but its columns are not those of a body's joints \(time, speed, name\)",
        ),
        (b"nose_x,nose_y\n1,2\n", r"a table, but its columns are not"),
        (as_json({"shapes": [], "imagePath": "a.jpg"}), r"JSON that seems to be LabelMe's; convert it to COCO's"),
        (as_json({"a": 1, "b": 2}), r"JSON of another kind, with a, b: expected COCO annotations"),
        (as_json(results([np.ones((21, 3)) * 7])), r"21 joints a person, as one hand has; read are 13 \(coco13\), 14"),
        (
            as_json([{"keypoints": [[1, 2, 3]] * 17, "keypoint_scores": [0.5] * 17}]),
            r"result 0: .* 3D poses; give the 2D",
        ),
        (as_json([{"keypoints": [[1, 2]] * 17, "keypoint_scores": [0.5] * 16}]), r"result 0: 16 scores of 17 joints"),
        (as_json([{"keypoints": [[1, 2], [3]]}]), r"result 0: expected a list of numbers, or lists of equally many"),
        (as_json([[[[[1, 2]]]]]), r"lists within lists, 5 deep; expected \[people\]\[joints\]"),
        (as_json([results(PEOPLE)[0], {"keypoints": [1, 2, 0.5] * 17}]), r"result 1 has no image_id, but others have"),
        (as_json({"pose_world_landmarks": [[{"x": 1}]]}), r"MediaPipe's world landmarks, which are 3D"),
    ],
)
def test_anything_else_is_one_line_that_says_what_it_seems_to_be(write, content, message):
    with pytest.raises(ReadError, match=message) as caught:
        read_keypoints(write(content, "x.dat"))
    assert "\n" not in str(caught.value)


def test_arrays_of_objects_run_nothing(tmp_path):
    class Harm:
        def __reduce__(self):
            return (pytest.fail, ("run",))

    np.savez(tmp_path / "a.npz", positions_2d=np.array({"S1": Harm()}, dtype=object))
    with pytest.raises(ReadError, match="nothing in the file was run"):
        read_keypoints(tmp_path / "a.npz")
    import torch

    torch.save({"keypoints": Harm()}, tmp_path / "a.pt")
    with pytest.raises(ReadError, match="holds more than tensors"):
        read_keypoints(tmp_path / "a.pt")


def test_videopose3d_says_whose_joints_they_are(tmp_path):
    positions = {"S1": {"Walk": [XY.astype(np.float32), XY.astype(np.float32) + 5], "Sit": [XY[:2].astype(np.float32)]}}
    meta = {"keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}
    np.savez(tmp_path / "d.npz", positions_2d=np.array(positions, object), metadata=np.array(meta, object))
    people = read_keypoints(tmp_path / "d.npz")
    assert people.video.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert people.frame.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert people.image_id[-1] == "S1/Sit/0/1"
    left_hip = COCO13.index("left_hip")
    np.testing.assert_allclose(people.xy[0, left_hip], XY[0, load("h36m17").index("left_hip")], rtol=1e-6)


def test_reading_takes_time_and_memory_in_line_with_the_file(write):
    text = json.dumps(results(PEOPLE)[0])
    size = {}
    for count in (4_000, 16_000):
        path = write(
            ("[" + ",".join([text.replace('"image_id": 0', f'"image_id": {i}') for i in range(count)]) + "]").encode()
        )
        start = process_time()
        tracemalloc.start()
        assert len(read_keypoints(path)) == count
        size[count] = (process_time() - start, tracemalloc.get_traced_memory()[1] / path.stat().st_size)
        tracemalloc.stop()
    assert size[16_000][0] < 12 * size[4_000][0] + 0.1
    assert size[16_000][1] < 8  # bytes a byte of the file
