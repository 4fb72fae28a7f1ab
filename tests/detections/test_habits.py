"""Habits of keypoint files: read as they are meant, told where they are doubtful, never mixed up in silence."""

import csv
import io

import numpy as np
import pytest
from detections.keypoint_files import NAMES, PEOPLE, SCORE, XY, as_json

from vipe.detections import read_keypoints
from vipe.errors import ReadError
from vipe.skeletons import load

COCO17, COCO13, MEDIAPIPE = load("coco17"), load("coco13"), load("mediapipe33")
TO_13 = [COCO17.index(joint) for joint in COCO13.joints]
SIZE = (640, 480)


@pytest.fixture
def read(tmp_path):
    def read(content, name="file.json", **more):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else as_json(content))
        return read_keypoints(path, **more)

    return read


def table(head, rows):
    text = io.StringIO()
    csv.writer(text).writerows([*head, *rows])
    return text.getvalue().encode()


def flat(person):
    return np.ravel(person).tolist()


def landmarks():
    """MediaPipe's 33, in pixels; z is no score."""
    numbers = np.random.default_rng(0).normal(0, 0.3, (3, 33, 3))
    numbers[..., :2] = 60
    for place, joint in enumerate(MEDIAPIPE.joints):
        if joint in NAMES:
            numbers[:, place, :2] = XY[:, NAMES.index(joint)]
    return numbers


def long_rows(who=lambda i: i, what=lambda j: NAMES[j]):
    return [[who(i), what(j), *PEOPLE[i, j]] for i in range(3) for j in range(17)]


WIDE = [f"{joint}_{axis}" for joint in NAMES for axis in ("x", "y", "score")]
PAIRS = [
    str((joint, axis)) for joint in NAMES for axis in ("x", "y", "score")
]  # as pandas writes two head lines in one
AXES = ["x", "y", "likelihood"] * 17
BODY_PARTS = [joint for joint in NAMES for _ in range(3)]
FORMS = {
    "person_id.csv": table([["frame", "person_id", "joint", "x", "y", "score"]], [[0, *row] for row in long_rows()]),
    "individual.csv": table(
        [["frame", "individual", "joint", "x", "y", "score"]], [[0, *row] for row in long_rows(lambda i: f"p{i}")]
    ),
    "joint_id.csv": table([["frame", "keypoint_id", "x", "y", "score"]], long_rows(what=lambda j: j)),
    "joint_from_1.csv": table([["frame", "joint", "x", "y", "score"]], long_rows(what=lambda j: j + 1)),
    "pairs.csv": table([["frame", *PAIRS]], [[i, *flat(one)] for i, one in enumerate(PEOPLE)]),
    "person_column.csv": table([["frame", "person", *WIDE]], [[0, i, *flat(one)] for i, one in enumerate(PEOPLE)]),
    "dlc_paths.csv": table(
        [["scorer", *["me"] * 51], ["bodyparts", *BODY_PARTS], ["coords", *AXES]],
        [[f"labeled-data/walk/img{i:03}.png", *flat(one)] for i, one in enumerate(PEOPLE)],
    ),
    "dlc_path_in_parts.csv": table(
        [["scorer", "", "", *["me"] * 51], ["bodyparts", "", "", *BODY_PARTS], ["coords", "", "", *AXES]],
        [["labeled-data", "walk", f"img{i:03}.png", *flat(one)] for i, one in enumerate(PEOPLE)],
    ),
    "dlc_individuals.csv": table(
        [
            ["scorer", *["me"] * 153],
            ["individuals", *(f"ind{k}" for k in range(3) for _ in range(51))],
            ["bodyparts", *BODY_PARTS * 3],
            ["coords", *AXES * 3],
        ],
        [["0", *flat(PEOPLE)]],
    ),
    "flat_51.npy": PEOPLE.reshape(3, 51),
    "flat_34.npy": XY.reshape(3, 34),
    "flat_xy.json": [{"image_id": i, "keypoints": flat(one)} for i, one in enumerate(XY)],
    "flat_xy_scores.json": [
        {"image_id": i, "keypoints": flat(XY[i]), "scores": SCORE[i].tolist()} for i in range(len(XY))
    ],
    "keypoints_2d.json": [{"image_id": i, "keypoints_2d": one.tolist()} for i, one in enumerate(PEOPLE)],
    "kpts.json": [{"image_id": i, "kpts": one.tolist()} for i, one in enumerate(PEOPLE)],
    "by_number.json": [
        {"image_id": i, "keypoints": {str(j): row for j, row in enumerate(one.tolist())}}
        for i, one in enumerate(PEOPLE)
    ],
    "instances.json": {"instances": {"scores": [0.9] * 3, "pred_keypoints": PEOPLE.tolist()}},
    "landmarks_132.json": [
        {"frame": i, "landmarks": flat(np.column_stack([one, np.full(33, 0.9)]))} for i, one in enumerate(landmarks())
    ],
}


@pytest.mark.parametrize("name", FORMS)
def test_each_habit_gives_the_same_three_people(read, name):
    content = FORMS[name]
    if isinstance(content, np.ndarray):
        file = io.BytesIO()
        np.save(file, content)
        content = file.getvalue()
    people = read(content, name)
    assert len(people) == 3
    assert people.mask.all()
    np.testing.assert_allclose(people.xy, XY[:, TO_13], atol=1e-3)
    assert people.remarks == ()


def test_scores_beside_flat_pairs_are_those_of_the_joints(read):
    people = read(FORMS["flat_xy_scores.json"])
    np.testing.assert_allclose(people.confidence, SCORE[:, TO_13], atol=1e-6)
    one_score = read([{"image_id": 0, "keypoints": flat(XY[0]), "scores": [0.3]}])
    assert (one_score.confidence == 1).all()


def test_individuals_of_one_frame_are_followed_by_name_and_may_be_absent(read):
    numbers = np.stack([PEOPLE[:2], PEOPLE[:2]])  # two frames
    numbers[1, 0] = np.nan
    rows = [[str(i), *("" if np.isnan(v) else v for v in flat(one))] for i, one in enumerate(numbers)]
    head = [
        ["scorer", *["me"] * 102],
        ["individuals", *["ann"] * 51, *["bob"] * 51],
        ["bodyparts", *BODY_PARTS * 2],
        ["coords", *AXES * 2],
    ]
    people = read(table(head, rows), "d.csv")
    assert (people.frame.tolist(), people.track.tolist()) == ([0, 0, 1], [0, 1, 1])
    np.testing.assert_allclose(people.xy, XY[[0, 1, 1]][:, TO_13], atol=1e-3)


def test_joints_of_one_image_need_no_frame(read):
    people = read(table([["joint", "x", "y"]], [[row[1], *row[2:4]] for row in long_rows()[:17]]), "photo.csv")
    assert (len(people), people.image_id) == (1, ("photo.csv",))


def test_people_of_a_frame_that_nothing_tells_apart_are_not_mixed(read):
    rows = [[0, *row[1:]] for row in long_rows()]
    with pytest.raises(ReadError, match=r"row 17 gives a joint that its person has already; a column track_id"):
        read(table([["frame", "joint", "x", "y", "score"]], rows), "d.csv")


def test_a_list_that_lacks_a_number_is_not_taken_for_pairs(read):
    with pytest.raises(ReadError, match=r"50 numbers, expected 51"):
        read([{"image_id": 0, "keypoints": flat(PEOPLE[0])[:50]}])


@pytest.mark.parametrize("form", ["rows", "flat"])
def test_the_z_of_mediapipe_is_no_score_and_that_is_said(read, form):
    frames = [
        {"frame": i, "landmarks": one.tolist() if form == "rows" else flat(one)} for i, one in enumerate(landmarks())
    ]
    people = read(frames)
    assert people.mask.all()
    assert (people.confidence == 1).all()
    assert "z, which is not used" in people.remarks[0]


def test_a_score_of_minus_1_is_a_joint_that_was_not_found(read):
    numbers = PEOPLE.copy()
    numbers[:, 9, 2] = -1
    people = read([{"image_id": i, "keypoints": flat(one)} for i, one in enumerate(numbers)])
    np.testing.assert_array_equal(people.mask.sum(axis=1), 12)
    assert not people.mask[:, COCO13.index("left_wrist")].any()
    numbers[:, 3, 2] = -0.5  # of another scale, in which -1 may be anything
    with pytest.raises(ReadError, match="score of left_wrist is -1"):
        read([{"image_id": i, "keypoints": flat(one)} for i, one in enumerate(numbers)])


def test_coordinates_from_minus_1_to_1_are_told(read):
    numbers = PEOPLE.copy()
    numbers[..., :2] = numbers[..., :2] / SIZE * 2 - 1
    assert "within -2 to 2" in read([{"image_id": 0, "keypoints": flat(numbers[0])}]).remarks[0]
    assert read([{"image_id": 0, "keypoints": flat(PEOPLE[0])}]).remarks == ()


def test_an_annotation_with_an_empty_list_is_a_person_without_joints(read):
    rows = [{"image_id": i, "id": i, "category_id": 1, "keypoints": flat(one)} for i, one in enumerate(PEOPLE)]
    rows.append({"image_id": 2, "id": 9, "category_id": 1, "keypoints": []})
    people = read({"annotations": [row | {"score": 0.9} for row in rows]})
    assert people.mask.sum(axis=1).tolist() == [13, 13, 13, 0]


def test_a_person_of_whom_nothing_is_said_stays_a_row(read):
    people = read([{"image_id": 0, "keypoints": {"a": 1}}])
    assert (people.mask.sum(), people.note) == (0, ("no body keypoint is found",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"frame": 0, "pose_world_landmarks": [{"x": 1, "y": 2, "z": 3}]}], "MediaPipe's world landmarks"),
        ([{"id": 1, "annotations": [{"result": []}]}], "Label Studio"),
        ([{"image_id": 0, "keypoints": [{"a": 1}] * 17}], "objects without x and y"),
        (b"scorer,me,me\n\nbodyparts,nose,nose\n0,1,2\n", "lacks the lines bodyparts and coords"),
        (b"scorer\nbodyparts\ncoords\n0\n", "lacks the lines bodyparts and coords"),
        ([{"image_id": 0, "keypoints": {"one": [1, 2, 3], "2": [1, 2, 3]}}], "not those of a body's joints"),
    ],
)
def test_what_is_not_read_is_one_line_that_says_what_it_seems_to_be(read, content, message):
    with pytest.raises(ReadError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)
