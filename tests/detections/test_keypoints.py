"""Keypoints keep their promises: unseen joints hold nothing, rows stay together, conversions follow the tables."""

import numpy as np
import pytest
from detections.keypoint_files import FILES

from vipe.detections import Keypoints, normalize_keypoints, read_keypoints
from vipe.errors import ShapeError, SkeletonError
from vipe.skeletons import load


def people(n=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 500, (n, 13, 2))


def test_unseen_joints_hold_zeros_and_may_be_nan_on_the_way_in():
    xy, mask = people(), np.ones((3, 13), dtype=bool)
    xy[1, 4], mask[1, 4] = np.nan, False
    keypoints = Keypoints.of(xy, mask)
    assert not keypoints.xy[1, 4].any()
    assert keypoints.confidence[1, 4] == 0
    assert keypoints.confidence.sum() == 3 * 13 - 1


def test_a_detectors_array_of_another_skeleton_is_brought_to_coco13():
    coco17, coco13 = load("coco17"), load("coco13")
    array = np.random.default_rng(0).uniform(0.3, 1, (4, 17, 3)) * [500, 500, 1]
    array[1, coco17.index("left_wrist"), 2] = 0.1
    brought = Keypoints.of(array[..., :2], array[..., 2] >= 0.2, confidence=array[..., 2], skeleton="coco17")
    place = [coco17.index(joint) for joint in coco13.joints]
    assert brought.skeleton.name == "coco13"
    assert np.argwhere(~brought.mask).tolist() == [[1, coco13.index("left_wrist")]]
    np.testing.assert_allclose(brought.xy[brought.mask], array[:, place, :2][brought.mask], rtol=1e-6)
    np.testing.assert_allclose(brought.confidence[brought.mask], array[:, place, 2][brought.mask], rtol=1e-6)
    by_table = Keypoints.of(array[..., :2], array[..., 2] >= 0.2, skeleton=coco17)
    np.testing.assert_array_equal(by_table.xy, brought.xy)
    assert by_table.confidence.max() == 1


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((8, 17, 2), r"xy has 17 joints, coco13 has 13; if they are those of coco17 or .* skeleton='coco17'\)"),
        ((8, 25, 2), r"if they are those of openpose25 or openpose25b, give Keypoints.of\(xy, skeleton='openpose25'\)"),
        ((8, 133, 2), r"if they are those of coco133, give"),
        ((8, 134, 2), r"give the skeleton whose joints they are, with a conversion to coco13"),
        ((8, 17, 3), r"got shape \(8, 17, 3\); x, y and score\? give .*array\[..., 2\] >= 0.2, skeleton='coco17'\)"),
        ((8, 13, 3), r"x, y and score\? give Keypoints.of\(array\[..., :2\], array\[..., 2\] >= 0.2\)$"),
        ((17, 2), r"is it one person\? give array\[None\]"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_with_what_to_do(shape, advice):
    with pytest.raises(ShapeError, match=advice):
        Keypoints.of(np.ones(shape))


def test_a_row_keeps_all_that_belongs_to_it():
    xy = people(4)
    keypoints = Keypoints(
        xy=xy.astype(np.float32),
        mask=np.ones((4, 13), dtype=bool),
        confidence=np.full((4, 13), 0.5, dtype=np.float32),
        image_id=("a", "a", "b", "c"),
        person=np.array([0, 1, 0, 0]),
        frame=np.arange(4),
        covariance=np.arange(1, 5)[:, None, None, None] * np.tile(np.eye(2), (4, 13, 1, 1)),
        image_size=np.arange(640.0, 648.0).reshape(4, 2),
        track=np.array([7, 8, 7, -1]),
        note=("", "x", "", "y"),
    )
    chosen = keypoints[np.array([3, 1])]
    assert (chosen.image_id, chosen.note, chosen.person.tolist()) == (("c", "a"), ("y", "x"), [0, 1])
    assert chosen.frame.tolist() == [3, 1]
    assert chosen.track.tolist() == [-1, 8]
    assert chosen.covariance[:, 0, 0, 0].tolist() == [4, 2]
    assert chosen.image_size.tolist() == [[646, 647], [642, 643]]
    np.testing.assert_array_equal(chosen.xy, keypoints.xy[[3, 1]])
    assert len(keypoints[2]) == 1
    joined = Keypoints.concat([keypoints[:2], keypoints[2:]])
    np.testing.assert_array_equal(joined.xy, keypoints.xy)
    assert joined.note == keypoints.note
    assert Keypoints.concat([keypoints, Keypoints.of(xy)]).frame is None  # not every part has frames


def test_arrays_cannot_be_written_to():
    keypoints = Keypoints.of(people())
    for array in (keypoints.xy, keypoints.mask, keypoints.confidence):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_joint_made_of_two_is_seen_if_both_are_and_as_sure_as_the_lesser():
    xy, mask = people(2), np.ones((2, 13), dtype=bool)
    body = load("coco13")
    mask[1, body.index("left_hip")] = False
    hips = [body.index("left_hip"), body.index("right_hip")]
    confidence = np.ones((2, 13))
    confidence[:, hips] = 0.4, 0.9
    keypoints = Keypoints.of(xy, mask, confidence=confidence).to(load("h36m17"))
    pelvis = keypoints.skeleton.index("pelvis")
    np.testing.assert_allclose(keypoints.confidence[:, pelvis], [0.4, 0])
    np.testing.assert_allclose(keypoints.xy[0, pelvis], xy[0, hips].mean(axis=0), rtol=1e-6)
    assert keypoints.mask[:, pelvis].tolist() == [True, False]
    assert not keypoints.mask[:, keypoints.skeleton.index("head")].any()  # nothing on coco13 gives it


def test_the_covariance_of_a_mean_of_two_is_half_of_theirs():
    keypoints = Keypoints.of(people(1))
    fields = {name: getattr(keypoints, name) for name in ("xy", "mask", "confidence", "image_id", "person")}
    converted = Keypoints(**fields, covariance=np.tile(4 * np.eye(2), (1, 13, 1, 1))).to(load("h36m17"))
    np.testing.assert_allclose(converted.covariance[0, converted.skeleton.index("pelvis")], 2 * np.eye(2))


def test_normalized_keypoints_have_their_centroid_at_zero_and_unit_radius():
    xy, mask = people(5), np.random.default_rng(1).random((5, 13)) < 0.7
    unit, center, radius = normalize_keypoints(Keypoints.of(xy, mask))
    assert unit.dtype == center.dtype == radius.dtype == np.float32
    for i in range(5):
        np.testing.assert_allclose(unit[i, mask[i]].mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose((unit[i, mask[i]] ** 2).sum(axis=1).mean(), 1, rtol=1e-5)
        np.testing.assert_allclose(unit[i, mask[i]] * radius[i] + center[i], xy[i, mask[i]], rtol=1e-4)
        assert not unit[i, ~mask[i]].any()


def test_normalized_keypoints_forget_place_and_size():
    xy = people(4)
    first = normalize_keypoints(Keypoints.of(xy))[0]
    second = normalize_keypoints(Keypoints.of(xy * 0.25 + [300, -20]))[0]
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("seen", [0, 1, 13], ids=["nothing seen", "one joint", "all in one place"])
def test_people_without_size_have_radius_zero_and_no_nan(seen):
    xy = np.full((1, 13, 2), 123.456)
    unit, center, radius = normalize_keypoints(Keypoints.of(xy, np.arange(13)[None] < seen))
    assert radius[0] == 0
    assert not unit.any()
    np.testing.assert_allclose(center[0], 123.456 if seen else 0, rtol=1e-6)


def test_nobody_is_nobody():
    unit, center, radius = normalize_keypoints(Keypoints.of(np.zeros((0, 13, 2))))
    assert unit.shape == (0, 13, 2)
    assert center.shape == (0, 2)
    assert radius.shape == (0,)


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xy": np.zeros((2, 12, 2), np.float32)}, r"xy must be \(2, 13, 2\) for 2 people of coco13"),
        ({"mask": np.ones((2, 13), np.int64)}, "mask must be boolean, got int64"),
        ({"mask": np.ones((13,), bool)}, "mask must be"),
        ({"image_id": ("a",)}, "for 1 person of coco13"),
        ({"note": ("a",)}, "note must have 2 lines, got 1"),
        ({"xy": np.full((2, 13, 2), np.inf, np.float32)}, "person 0 has a seen joint that is not finite"),
        (
            {"confidence": np.full((2, 13), 93, np.float32)},
            "confidence of person 0, nose, is 93, expected 0 to 1; scale",
        ),
        ({"confidence": np.full((2, 13), -0.5, np.float32)}, "confidence of person 0, nose, is -0.5, expected 0 to 1"),
        ({"confidence": np.full((2, 13), np.nan, np.float32)}, "person 0 has a seen joint that is not finite"),
    ],
)
def test_contradictions_are_refused(change, message):
    fields = {
        "xy": np.zeros((2, 13, 2), np.float32),
        "mask": np.ones((2, 13), bool),
        "confidence": np.ones((2, 13), np.float32),
        "image_id": ("a", "b"),
        "person": np.zeros(2, np.int64),
    }
    with pytest.raises(ShapeError, match=message):
        Keypoints(**(fields | change))


@pytest.mark.refusal
def test_flat_arrays_and_mixed_skeletons_are_refused():
    with pytest.raises(ShapeError, match=r"must end in \(J, 2\), got shape \(8, 26\); were the joints flattened"):
        Keypoints.of(np.zeros((8, 26)))
    keypoints = Keypoints.of(people())
    with pytest.raises(ShapeError, match="one skeleton can be joined, got coco13, h36m17"):
        Keypoints.concat([keypoints, keypoints.to(load("h36m17"))])
    with pytest.raises(ShapeError, match="got none"):
        Keypoints.concat([])
    with pytest.raises(SkeletonError, match="no conversion to openpose25"):
        keypoints.to(load("openpose25"))


@pytest.mark.refusal
def test_lists_serve_as_arrays_and_people_are_named_in_one_line():
    people = Keypoints.of([[[1.0, 2.0]] * 13], [[True] * 12 + [False]])
    assert repr(people) == "Keypoints(1 person on coco13, 12 joints visible)"
    np.testing.assert_array_equal(people.xy[0, 3], [1, 2])


def test_what_was_not_found_is_not_seen_in_arrays_either(rng):
    xy = rng.uniform(1, 400, (2, 13, 2))
    xy[0, 3] = 0
    xy[1, 5] = -1
    people = Keypoints.of(xy, np.ones((2, 13), dtype=bool), confidence=np.ones((2, 13)))
    assert np.argwhere(~people.mask).tolist() == [[0, 3], [1, 5]]
    xy[0, 7] = np.nan
    assert np.argwhere(~Keypoints.of(xy).mask).tolist() == [[0, 3], [0, 7], [1, 5]]


@pytest.mark.parametrize("kind", ["list", "tensor", "half", "graph"])
def test_lists_and_tensors_are_taken_where_arrays_are(rng, kind):
    import torch

    xy = np.round(rng.uniform(1, 400, (2, 17, 2)), 1)
    score = rng.uniform(0.3, 1, (2, 17))
    make = {
        "list": lambda array: array.tolist(),
        "tensor": torch.tensor,
        "half": lambda array: torch.tensor(array) if array.dtype == bool else torch.tensor(array).to(torch.bfloat16),
        "graph": lambda array: torch.tensor(array) if array.dtype == bool else torch.tensor(array, requires_grad=True),
    }[kind]
    people = Keypoints.of(make(xy), make(score >= 0.2), confidence=make(score), skeleton="coco17")
    expected = Keypoints.of(xy, score >= 0.2, confidence=score, skeleton="coco17")
    np.testing.assert_allclose(people.xy, expected.xy, rtol=1e-2 if kind == "half" else 1e-6)
    np.testing.assert_array_equal(people.mask, expected.mask)


def test_shares_of_an_image_need_its_size(rng):
    shares = rng.uniform(0.1, 0.9, (2, 13, 2))
    with pytest.raises(ShapeError, match=r"all coordinates lie within 0 to 1: .* image_size=\(width, height\)"):
        Keypoints.of(shares)
    people = Keypoints.of(shares, image_size=(640, 480))
    np.testing.assert_allclose(people.xy, shares * [640, 480], rtol=1e-5)
    assert people.image_size.tolist() == [[640, 480]] * 2


@pytest.mark.refusal
def test_lists_that_are_no_arrays_are_refused():
    with pytest.raises(ShapeError, match="xy is no array: its rows differ in length"):
        Keypoints.of([[[1, 2]], [[1, 2], [3, 4]]])
    with pytest.raises(ShapeError, match="xy must be numbers, got <U1"):
        Keypoints.of([[["a", "b"]]])


@pytest.mark.parametrize(
    ("skeleton", "convention"),
    [
        ("coco17", "coco"),
        ("openpose25", "openpose"),
        ("mediapipe33", "blazepose"),
        ("coco13", "archive"),
        ("lsp14", "unknown"),
    ],
)
def test_joints_are_believed_where_who_writes_the_skeleton_marks_them(skeleton, convention):
    xy = np.random.default_rng(0).uniform(1, 400, (2, len(load(skeleton)), 2))
    brought = Keypoints.of(xy, skeleton=skeleton)
    assert (brought.skeleton.name, brought.convention) == ("coco13", convention)
    assert brought[1].convention == convention
    assert brought.to(load("h36m17")).convention == convention
    assert Keypoints.of(xy, skeleton=skeleton, convention="h36m").convention == "h36m"


@pytest.mark.parametrize(
    ("file", "convention"),
    [
        ("results.json", "coco"),
        ("halpe136.json", "coco"),
        ("openpose18.json", "openpose"),
        ("openpose25.json", "openpose"),
        ("mediapipe.json", "blazepose"),
        ("openpose_mpi.json", "unknown"),
    ],
)
def test_a_file_tells_who_marked_its_joints(tmp_path, file, convention):
    path = tmp_path / file
    path.write_bytes(FILES[file])
    assert read_keypoints(path).convention == convention


def test_people_of_two_conventions_are_of_none_together():
    coco, openpose = (Keypoints.of(people(), convention=name) for name in ("coco", "openpose"))
    assert Keypoints.concat([coco, coco[:2]]).convention == "coco"
    assert Keypoints.concat([coco, openpose]).convention == "unknown"
    assert Keypoints.concat([coco, Keypoints.of(people())]).convention == "unknown"


def test_a_convention_that_is_none_is_refused():
    with pytest.raises(ShapeError, match=r"convention must be one of archive, .*unknown, got 'cocoo'"):
        Keypoints.of(people(), convention="cocoo")


def test_a_file_that_names_its_joints_does_not_say_who_marked_them(tmp_path):
    limbs = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names = ["nose", *(f"{side}_{joint}" for joint in limbs for side in ("left", "right"))]
    head = ",".join(["image", *(f"{name}_{axis}" for name in names for axis in "xy")])
    row = ",".join(["a.jpg", *(str(100 + 7 * n % 90) for n in range(2 * len(names)))])
    (tmp_path / "table.csv").write_text(f"{head}\n{row}\n", encoding="utf-8")
    assert read_keypoints(tmp_path / "table.csv").convention == "unknown"
