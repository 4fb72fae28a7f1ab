"""COCO files: every person of a file becomes a row, and what is wrong with a file is said with its place."""

import json

import numpy as np
import pytest

from vipe.detections import read_keypoints
from vipe.detections.people.as_queries import OCCLUDED_CONFIDENCE
from vipe.errors import ReadError, VipeError
from vipe.skeletons import load

COCO17, COCO13 = load("coco17"), load("coco13")
TO_13 = [COCO17.index(joint) for joint in COCO13.joints]


def body(rng, third=2.0):
    """Keypoints of one person: 17 x (x, y, third)."""
    xy = np.round(rng.uniform(0, 400, (17, 2)), 2)
    return np.column_stack([xy, np.broadcast_to(third, 17)])


def annotation(numbers, **more):
    return {"image_id": 7, "category_id": 1, "iscrowd": 0, "keypoints": np.ravel(numbers).tolist()} | more


def annotation_file(*annotations, **more):
    annotations = [{"id": number} | one for number, one in enumerate(annotations, 1)]
    person = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    images = [{"id": 7, "width": 640, "height": 480}, {"id": 9, "width": 320, "height": 200}]
    return {"images": images, "annotations": annotations, "categories": [person]} | more


@pytest.fixture
def write(tmp_path):
    def write(content, name="file.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def test_annotations_come_back_as_they_were_written(write, rng):
    bodies = [body(rng, rng.integers(0, 3, 17)) for _ in range(3)]
    images = [9, 7, 9]
    path = write(
        annotation_file(*(annotation(b, image_id=i, id=k) for k, (b, i) in enumerate(zip(bodies, images, strict=True))))
    )
    keypoints = read_keypoints(path)
    assert keypoints.skeleton.name == "coco13"
    assert keypoints.image_id == (9, 7, 9)  # as the file has them
    assert keypoints.person.tolist() == [0, 0, 1]
    assert keypoints.image_size.tolist() == [[320, 200], [640, 480], [320, 200]]
    assert keypoints.frame is None
    for row, table in enumerate(np.array(bodies)[:, TO_13]):
        seen = table[:, 2] > 0
        np.testing.assert_array_equal(keypoints.mask[row], seen)
        np.testing.assert_allclose(keypoints.xy[row, seen], table[seen, :2], rtol=1e-6)


def test_an_occluded_joint_is_seen_with_less_confidence(write, rng):
    path = write(annotation_file(annotation(body(rng, 1)), annotation(body(rng, 2))))
    assert np.unique(read_keypoints(path).confidence[0]) == [OCCLUDED_CONFIDENCE]
    assert np.unique(read_keypoints(path).confidence[1]) == [1]
    visible_only = read_keypoints(path, min_confidence=0.6)
    assert visible_only.mask.sum(axis=1).tolist() == [0, 13]
    assert visible_only.note == ("no body keypoint is labelled visible", "")


def test_people_without_keypoints_and_crowds_stay_rows_and_say_why(write, rng):
    ears = body(rng, 0)
    ears[COCO17.index("left_ear"), 2] = 2  # labelled, but coco13 has no ears
    path = write(
        annotation_file(
            annotation(np.zeros(51)),
            annotation(body(rng)),
            annotation(body(rng), iscrowd=1),
            annotation(ears),
            annotation([], keypoints=None),
        )
    )
    keypoints = read_keypoints(path)
    assert keypoints.mask.any(axis=1).tolist() == [False, True, False, False, False]
    assert keypoints.person.tolist() == [0, 1, 2, 3, 4]
    unlabelled = "no body keypoint is labelled"
    assert keypoints.note == (unlabelled, "", "a crowd region, not one person", unlabelled, unlabelled)


def test_results_come_back_as_they_were_written(write, rng):
    scores = rng.uniform(0.3, 1, (2, 17))
    bodies = [body(rng, score) for score in scores]
    rows = [
        {"image_id": f"{i}.jpg", "category_id": 1, "keypoints": b.ravel().tolist(), "score": 2.9}
        for i, b in enumerate(bodies)
    ]
    keypoints = read_keypoints(write(rows))
    assert keypoints.image_id == ("0.jpg", "1.jpg")
    assert keypoints.image_size is None
    assert keypoints.mask.all()
    np.testing.assert_allclose(keypoints.xy, np.array(bodies)[:, TO_13, :2], rtol=1e-6)
    np.testing.assert_allclose(keypoints.confidence, scores[:, TO_13], rtol=1e-6)


def test_joints_of_low_score_are_not_seen(write, rng):
    score = np.linspace(0, 1.2, 17)
    rows = [{"image_id": 1, "keypoints": body(rng, score).ravel().tolist()}]
    for threshold in (0.0, 0.2, 0.5, 1.0):
        keypoints = read_keypoints(write(rows), min_confidence=threshold)
        np.testing.assert_array_equal(keypoints.mask[0], ((score >= threshold) & (score > 0))[TO_13])
        assert keypoints.confidence.max() == 1  # a score above 1 counts as 1
    rows[0]["keypoints"] = body(rng, 0.1).ravel().tolist()
    assert read_keypoints(write(rows)).note == ("no body keypoint scores at least 0.2",)


def test_a_file_without_images_or_categories_is_taken_as_coco(write, rng):
    numbers = body(rng)
    keypoints = read_keypoints(write({"annotations": [{"image_id": "a", "keypoints": numbers.ravel().tolist()}]}))
    assert keypoints.image_size is None
    np.testing.assert_allclose(keypoints.xy[0], numbers[TO_13, :2], rtol=1e-6)
    sizeless = annotation_file(annotation(numbers), images=[{"id": 7, "file_name": "a.jpg"}])
    assert read_keypoints(write(sizeless)).image_size is None


def test_a_category_with_other_keypoints_is_honoured_by_their_names(write, rng):
    names = ["Head Top", "neck", *(joint.replace("_", "-") for joint in reversed(COCO13.joints[1:]))]  # no nose
    numbers = np.column_stack([rng.uniform(0, 99, (14, 2)), np.full(14, 2)])
    dog = {"id": "dog", "name": "dog"}  # has no keypoints, so its annotations are no people
    categories = [dog, {"id": 1, "keypoints": list(COCO17.joints)}, {"id": 5, "keypoints": names}]
    coco = body(rng)
    rows = [annotation([], category_id="dog"), annotation(numbers, category_id=5), annotation(coco)]
    again = annotation(numbers + np.array([100, 0, 0]), category_id=5)
    keypoints = read_keypoints(write(annotation_file(*rows, again, categories=categories)))
    assert keypoints.mask.sum(axis=1).tolist() == [12, 13, 12]
    assert not keypoints.mask[0, COCO13.index("nose")]
    for row, shift in ((0, 0), (2, [100, 0])):
        np.testing.assert_allclose(keypoints.xy[row, 1:], numbers[:1:-1, :2] + shift, rtol=1e-6)
    np.testing.assert_allclose(keypoints.xy[1], coco[TO_13, :2], rtol=1e-6)
    assert keypoints.person.tolist() == [0, 1, 2]


def test_a_byte_order_mark_is_passed_over(write, rng):
    row = json.dumps([{"image_id": 1, "keypoints": body(rng, 0.9).ravel().tolist()}]).encode()
    assert len(read_keypoints(write(b"\xef\xbb\xbf" + row))) == 1


NUMBERS = [1.0, 2.0, 2.0] * 17
GOOD = annotation(NUMBERS)
ANIMAL = {"id": 1, "name": "dog", "keypoints": ["nose", "tail", "left_shoulder"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"file\.json: the file is empty"),
        (b"  \n", r"file\.json: the file is empty"),
        (b'{"annotations": [', r"file\.json: broken JSON: Input data was truncated"),
        (b'{"annotations": [}', r"file\.json: broken JSON: .*byte 17"),
        (b'[{"image_id": 1, "keypoints": [NaN]}]', r"file\.json: NaN in line 1, byte 31, which is no number; write 0"),
        (
            b'{"annotations": [\n{"image_id": 1, "keypoints": [0, -Infinity]}]}',
            r"file\.json: -Infinity in line 2, byte",
        ),
        (b'[{"image_id": "NaN", "keypoints": [}]', r"file\.json: broken JSON"),
        (b'[{"image_id": NaN, "keypoints": [', r"file\.json: broken JSON"),
        (b"[" * 100_000, r"file\.json: broken JSON: nested too deeply"),
        (b'{"info": ' + b"[" * 100_000, r"file\.json: broken JSON"),
        (b'{"info": "\xff", "annotations": []}', r"file\.json: not UTF-8 at byte 10"),
        (b"\xff\xfe\x00\xd8", r"file\.json: begins as UTF-16, but is not"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"file\.json: is a picture; run a 2D pose detector on it"),
        (b"3", r"file\.json: Expected `object`, got `int`"),
        ({"points": 3}, r"file\.json: JSON of another kind, with points: expected COCO annotations"),
        ([], r"file\.json: no person in it: the list of results is empty"),
        ([1, 2], r"file\.json: person 0: 2 numbers, expected 51 = 17 x \(x, y, score\)"),
        ([{"image_id": 1, "keypoints": NUMBERS}, 2], r"file\.json: Expected `object`, got `int` - at `\$\[1\]`"),
        ([{"image_id": 1}], r"file\.json: result 0 \(image_id 1\) has no keypoints; expected \(x, y, score\)"),
        (
            [{"image_id": 1, "keypoints": NUMBERS[:50]}],
            r"result 0 \(image_id 1\): 50 numbers, expected 51 = 17 x \(x, y, score",
        ),
        (
            [{"image_id": 1, "keypoints": [1e30, *NUMBERS[1:]]}],
            r"result 0 .*: x of keypoint 0 \(nose\) is 1e\+30, expected .* 1e\+06",
        ),
        (b'[{"image_id": 1, "keypoints": [1e999]}]', r"file\.json: "),
        (
            [{"image_id": 1, "keypoints": ["1"] * 51}],
            r"result 0 .*: expected a list of numbers, .*, got \[\"1\", \"1\"",
        ),
        (annotation_file(), r"no person in it: none of its 0 annotations has keypoints"),
        ({"annotations": [{"image_id": 1}]}, r"no person in it: none of its 1 annotations has keypoints"),
        ({"annotations": 3}, r"Expected `array`, got `int` - at `\$\.annotations`"),
        (
            annotation_file(GOOD, GOOD, GOOD, annotation(NUMBERS[:50], id=442619)),
            r"file\.json: annotation 3 \(id 442619\): 50 numbers, expected 51 = 17 x \(x, y, v\)",
        ),
        (
            annotation_file(annotation([1.0, 2.0, 3.0] * 17)),
            r"annotation 0 \(id 1\): v of nose is 3, expected 0 \(not lab",
        ),
        (annotation_file(annotation([1.0, 2.0, 0.5] * 17)), r"annotation 0 \(id 1\): v of nose is 0\.5"),
        (
            annotation_file(annotation([1.0, -1e7, 2] * 17)),
            r"annotation 0 \(id 1\): y of keypoint 0 \(nose\) is -1e\+07",
        ),
        (
            annotation_file(GOOD, annotation(NUMBERS, image_id=8)),
            r"of image 8, which is not among its 2 images; list the image",
        ),
        (
            annotation_file(GOOD, images=[{"id": 7, "width": 0, "height": 3}]),
            r"image 7 is 0\.0 x 3\.0, expected pixels",
        ),
        (
            annotation_file(annotation(NUMBERS, category_id=4)),
            r"annotation 0 \(id 1\): category_id 4 is not among .*: 1$",
        ),
        (
            annotation_file(GOOD, categories=[ANIMAL]),
            r"category 1 \('dog'\): no conversion to coco13: its keypoints lack right",
        ),
        (
            annotation_file(GOOD, categories=[{"id": 1, "keypoints": ["nose", "Nose"]}]),
            r"category 1 \(''\): keypoints named twice: nose",
        ),
    ],
)
def test_a_broken_file_is_one_line_that_says_where(write, content, message):
    with pytest.raises(ReadError, match=message) as caught:
        read_keypoints(write(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (
            [0.9] * 16 + [93],
            r"result 0 \(image_id 1\): score of right_ankle is 93, expected .* 0 to 1; divide percents",
        ),
        (
            [0, 1, 2] * 5 + [0, 0],
            r"score of right_eye is 2, .*; 0, 1 and 2 look like visibility flags: give the file as",
        ),
        ([-3.5] * 17, r"score of nose is -3\.5, .*turn logits into probabilities, or write 1 for joints found"),
    ],
)
def test_scores_of_another_scale_are_refused(write, rng, scores, message):
    with pytest.raises(ReadError, match=message):
        read_keypoints(write([{"image_id": 1, "keypoints": body(rng, scores).ravel().tolist()}]))


def test_scores_of_heatmaps_that_peak_above_1_count_as_1(write, rng):
    scores = np.linspace(-0.1, 1.45, 17)
    keypoints = read_keypoints(write([{"image_id": 1, "keypoints": body(rng, scores).ravel().tolist()}]))
    np.testing.assert_allclose(keypoints.confidence[0], np.where(scores < 0.2, 0, np.minimum(scores, 1))[TO_13])


def test_who_is_there_twice_counts_once(write, rng):
    one, other = body(rng), body(rng)
    same = "the same keypoints as annotation 0 (id 1)"
    path = write(annotation_file(annotation(one), annotation(other), annotation(one), annotation(one, image_id=9)))
    keypoints = read_keypoints(path)
    assert keypoints.mask.any(axis=1).tolist() == [True, True, False, True]  # another image is another person
    assert keypoints.note == ("", "", same, "")
    assert keypoints.person.tolist() == [0, 1, 2, 0]
    same_id = read_keypoints(write(annotation_file(annotation(one, id=1), annotation(one, id=1))))
    assert same_id.note == ("", same)
    rows = [{"image_id": "a", "keypoints": numbers.ravel().tolist()} for numbers in (body(rng, 0.9), body(rng, 0.8))]
    assert read_keypoints(write(rows + rows[1:])).note == ("", "", "the same keypoints as result 1")


def test_an_id_given_to_two_people_of_an_image_is_refused(write, rng):
    pair = [annotation(body(rng), id=5) for _ in range(2)]
    with pytest.raises(
        ReadError, match=r"annotation 1 \(id 5\): image 7 has annotation 0 of this id already, with other"
    ):
        read_keypoints(write(annotation_file(*pair)))
    pair[1]["image_id"] = 9
    assert len(read_keypoints(write(annotation_file(*pair)))) == 2


def test_images_that_show_nobody_are_told(write, rng):
    told = []
    read_keypoints(write(annotation_file(annotation(body(rng)))), on_empty=told.append)
    assert told == [9]


def test_a_missing_file_and_a_wrong_threshold_are_refused(tmp_path, write):
    with pytest.raises(ReadError, match=r"none\.json: cannot be read: No such file"):
        read_keypoints(tmp_path / "none.json")
    for content in (annotation_file(GOOD), [{"image_id": 1, "keypoints": NUMBERS}]):
        with pytest.raises(VipeError, match="min_confidence must be from 0 to 1, got 20"):
            read_keypoints(write(content), min_confidence=20.0)


@pytest.mark.mocap
def test_real_photos(real_keypoints):
    keypoints = read_keypoints(real_keypoints / "coco_val2017_4_images.json")
    assert len(keypoints) == 14
    assert len(set(keypoints.image_id)) == 4
    assert keypoints.person.tolist() == [0, 0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert keypoints.mask.sum(axis=1).tolist() == [13, 11, 11, 0, 13, 13, 0, 11, 13, 13, 13, 12, 13, 10]
    assert [bool(note) for note in keypoints.note] == [not seen for seen in keypoints.mask.any(axis=1)]
    np.testing.assert_array_equal(keypoints.xy[0, 0], [367, 81])  # the nose of the first skier
    assert (keypoints.xy <= keypoints.image_size[:, None]).all()


def test_track_numbers_are_read_where_a_tracker_wrote_them(write, rng):
    bodies = [body(rng, 0.9).ravel().tolist() for _ in range(3)]
    rows = [{"image_id": i, "keypoints": bodies[i], "track_id": track} for i, track in enumerate((4, 4, None))]
    assert read_keypoints(write(rows)).track.tolist() == [4, 4, -1]
    assert read_keypoints(write([{"image_id": 1, "keypoints": bodies[0]}])).track is None
    assert read_keypoints(write(annotation_file(annotation(NUMBERS, track_id=2)))).track.tolist() == [2]
    with pytest.raises(
        ReadError, match=r"result 0 .*: track 1152921504606846976, expected -1 \(none\) to 9007199254740991"
    ):
        read_keypoints(write([{"image_id": 1, "keypoints": bodies[0], "track_id": 2**60}]))


def test_written_results_read_back_as_they_were(tmp_path, rng):
    from vipe import Keypoints, read_keypoints
    from vipe.detections import write_coco_results

    mask = rng.random((5, 13)) < 0.8
    people = Keypoints.of(rng.uniform(1, 500, size=(5, 13, 2)), mask)
    write_coco_results(tmp_path / "people.json", people)
    back = read_keypoints(tmp_path / "people.json")
    np.testing.assert_array_equal(back.mask, people.mask)
    np.testing.assert_allclose(back.xy, people.xy, rtol=1e-6)
    assert back.image_id == people.image_id
    assert [file.name for file in tmp_path.iterdir()] == ["people.json"]
