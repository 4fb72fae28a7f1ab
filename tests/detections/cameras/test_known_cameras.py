"""Known cameras: perspective crops by closed forms, and which camera took which image."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.detections.cameras.calibration import CalibratedCamera
from vipe.detections.cameras.known_cameras import in_perspective_crops, lenses_of, with_cameras
from vipe.detections.cameras.lens import Lens
from vipe.detections.cameras.perspective_crop import PerspectiveCrop
from vipe.errors import ShapeError, VipeError
from vipe.skeletons.working import COCO13

LENS = Lens(1000.0, 950.0, 640.0, 360.0, coefficients=(-0.3, 0.1, 0.001, -0.002))
HIPS = [COCO13.index(joint) for joint in ("left_hip", "right_hip")]


def people_at(points: np.ndarray, lens: Lens = LENS, **more: object) -> Keypoints:
    """Images of (N, 13, 3) points in camera space."""
    return replace(Keypoints.of(lens.project(points)), **more)


def somebody(seed: int = 0, place: tuple[float, float, float] = (1.0, -0.3, 3.0)) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (1, 13, 3)) + place


def test_a_crop_shows_what_a_camera_turned_to_the_person_sees() -> None:
    points = somebody()
    found = in_perspective_crops(people_at(points), [LENS])
    crop = found.crop[0]
    middle = LENS.directions(people_at(points).xy[0, HIPS]).sum(axis=0)
    np.testing.assert_allclose(crop.rotation @ middle / np.linalg.norm(middle), [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(crop.rotation @ crop.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(crop.rotation) == pytest.approx(1)
    turned = points[0] @ crop.rotation.T
    seen = crop.focal * turned[:, :2] / turned[:, 2:] + crop.centre
    np.testing.assert_allclose(found.xy[0], seen, atol=1e-3)
    assert crop.focal == pytest.approx(np.sqrt(1000 * 950))


def test_whoever_stands_beside_the_axis_has_the_keypoints_of_who_stands_on_it() -> None:
    on_axis = somebody(place=(0.0, 0.0, 3.0))
    on_axis[0, HIPS] -= on_axis[0, HIPS].mean(axis=0) - (0, 0, 3)
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    ideal = Lens(1000.0, 1000.0, 640.0, 360.0)
    straight = in_perspective_crops(people_at(on_axis, ideal), [ideal]).xy[0]
    beside = people_at(on_axis @ turn.T, ideal)
    cropped = in_perspective_crops(beside, [ideal]).xy[0]

    def unit(xy: np.ndarray) -> np.ndarray:
        return xy - xy[HIPS].mean(axis=0)

    # The middle of the hips is told from their images, which is not quite that of the points.
    assert np.abs(unit(cropped) - unit(straight)).max() < 3
    assert np.abs(unit(beside.xy[0]) - unit(straight)).max() > 50


def test_a_crop_and_back_are_the_same_pixels() -> None:
    people = people_at(np.concatenate([somebody(seed) for seed in range(5)]))
    found = in_perspective_crops(people, [LENS] * 5)
    np.testing.assert_allclose(found.as_given().xy, people.xy, atol=1e-3)
    assert found.as_given().crop == (None,) * 5
    xy = np.random.default_rng(0).uniform((100, 100), (1200, 600), (50, 2))
    np.testing.assert_allclose(found.crop[0].to_image(found.crop[0].from_image(xy)), xy, atol=1e-9)
    assert people.as_given() is people


def test_a_camera_on_whose_axis_a_person_stands_changes_nothing_without_distortion() -> None:
    ideal = Lens(1000.0, 1000.0, 640.0, 360.0)
    points = somebody(place=(0.0, 0.0, 3.0))
    points[0, HIPS] = [[0.2, 0, 3], [-0.2, 0, 3]]
    people = people_at(points, ideal)
    found = in_perspective_crops(people, [ideal])
    np.testing.assert_allclose(found.crop[0].rotation, np.eye(3), atol=1e-7)
    np.testing.assert_allclose(found.xy, people.xy, atol=1e-3)


def test_unequal_focal_lengths_are_made_square() -> None:
    wide = Lens(1200.0, 600.0, 0.0, 0.0)
    points = somebody(place=(0.0, 0.0, 3.0))
    points[0, HIPS] = [[0.2, 0, 3], [-0.2, 0, 3]]
    found = in_perspective_crops(people_at(points, wide), [wide]).xy[0].astype(np.float64)
    np.testing.assert_allclose(found, np.sqrt(1200 * 600) * points[0, :, :2] / points[0, :, 2:], atol=1e-3)


def test_the_middle_of_the_seen_joints_stands_for_hips_that_are_not_seen() -> None:
    people = people_at(somebody())
    mask = people.mask.copy()
    mask[0, HIPS[0]] = False
    found = in_perspective_crops(replace(people, mask=mask), [LENS])
    middle = LENS.directions(people.xy[0][mask[0]]).sum(axis=0)
    np.testing.assert_allclose(found.crop[0].rotation @ middle / np.linalg.norm(middle), [0, 0, 1], atol=1e-6)


def test_covariances_are_carried_along() -> None:
    points = somebody(place=(1.5, 0.4, 2.5))
    covariance = np.tile(np.array([[4.0, 1.0], [1.0, 2.0]]), (1, 13, 1, 1))
    people = people_at(points, covariance=covariance)
    found = in_perspective_crops(people, [LENS])
    draws = np.random.default_rng(0).multivariate_normal((0, 0), covariance[0, 0], (4000, 13))
    moved = found.crop[0].from_image(people.xy[0] + draws)
    for joint in range(13):
        np.testing.assert_allclose(found.covariance[0, joint], np.cov(moved[:, joint].T), rtol=0.12, atol=0.15)


def test_joints_count_as_less_sure_where_the_crop_enlarges_their_error() -> None:
    wide = Lens(500.0, 500.0, 0.0, 0.0, coefficients=(-0.3, 0.1, 0.0, 0.0))
    points = somebody(place=(0.0, 0.0, 1.2))
    points[0, HIPS] = [[0.1, 0, 1.2], [-0.1, 0, 1.2]]
    points[0, 0] = (0.0, -1.2, 1.2)  # 45 degrees off, where the lens squeezes
    people = people_at(points, wide)
    people = replace(people, confidence=np.full((1, 13), 0.8, dtype=np.float32))
    found = in_perspective_crops(people, [wide])

    def radius(xy: np.ndarray) -> float:
        return float(np.sqrt(np.square(xy - xy.mean(axis=0)).sum(axis=1).mean()))

    moved = found.crop[0].jacobian(people.xy[0])
    error = np.sqrt(np.square(moved).sum(axis=(1, 2)) / 2) * radius(people.xy[0]) / radius(found.xy[0])
    np.testing.assert_allclose(found.confidence[0], 0.8 * np.minimum(error**-2, 1), rtol=1e-4)
    assert found.confidence[0].argmin() == 0
    assert found.confidence[0, 0] < 0.5


def test_joints_that_the_lens_cannot_show_are_not_seen_and_that_is_told() -> None:
    narrow = Lens(1000.0, 1000.0, 640.0, 360.0, coefficients=(-0.3, 0.0, 0.0, 0.0))
    people = people_at(somebody())
    xy = people.xy.copy()
    xy[0, 0] = (640 + 710, 360)  # the distorted radius turns back at 703
    found = in_perspective_crops(replace(people, xy=xy), [narrow])
    assert not found.mask[0, 0]
    assert found.mask[0, 1:].all()
    assert (found.xy[0, 0] == 0).all()
    assert found.remarks == (
        "1 joint lies where the lens with focal length 1000 px shows nothing (its distortion turns back at 1.05 of the "
        "focal length), and counts as not seen",
    )


def test_a_person_whom_the_lens_does_not_show_at_all_stays_a_row() -> None:
    narrow = Lens(1000.0, 1000.0, 640.0, 360.0, coefficients=(-0.3, 0.0, 0.0, 0.0))
    people = Keypoints.of(np.full((1, 13, 2), 3000.0) + np.arange(26).reshape(13, 2))
    found = in_perspective_crops(people, [narrow])
    assert not found.mask.any()
    assert found.crop == (None,)


def test_crops_go_with_their_people() -> None:
    people = people_at(np.concatenate([somebody(seed) for seed in range(3)]))
    found = in_perspective_crops(people, [LENS] * 3)
    assert found[np.array([2, 0])].crop == (found.crop[2], found.crop[0])
    both = Keypoints.concat([found[:1], people[1:]])
    assert both.crop == (found.crop[0], None, None)
    with pytest.raises(ShapeError, match="crop must be of 3 people, got 1"):
        replace(people, crop=found.crop[:1])


def test_cameras_are_given_once() -> None:
    found = in_perspective_crops(people_at(somebody()), [LENS])
    with pytest.raises(VipeError, match="given already"):
        in_perspective_crops(found, [LENS])
    with pytest.raises(ShapeError, match="lenses must be of 1 people, got 2"):
        in_perspective_crops(people_at(somebody()), [LENS, LENS])


def test_straight_backwards_is_a_turn_too() -> None:
    lens = Lens(100.0, 100.0, 0.0, 0.0, model="fisheye")
    crop = PerspectiveCrop.towards(lens, np.array([0.0, 0.0, -1.0]))
    np.testing.assert_allclose(crop.rotation @ [0, 0, -1], [0, 0, 1])
    assert np.linalg.det(crop.rotation) == pytest.approx(1)


def named(*names: str, size: tuple[float, float] | None = None) -> list[CalibratedCamera]:
    return [
        CalibratedCamera(name=name, lens=Lens(100.0 + number, 100.0, 50.0, 50.0), size=size)
        for number, name in enumerate(names)
    ]


def images(*ids: str | int, size: tuple[float, float] | None = None) -> Keypoints:
    people = Keypoints.of(np.random.default_rng(0).uniform(10, 90, (len(ids), 13, 2)))
    return replace(
        people,
        image_id=ids,
        image_size=None if size is None else np.tile(np.array(size, dtype=np.float64), (len(ids), 1)),
    )


def numbers(lenses: tuple[Lens, ...]) -> list[int]:
    return [int(lens.fx - 100) for lens in lenses]


def test_the_only_camera_took_all_images() -> None:
    assert numbers(lenses_of(images(1, "b"), named("x"), "c")[0]) == [0, 0]


def test_a_camera_whose_name_is_in_the_images_took_them() -> None:
    people = images("cam_2/0001", "cam_12/0001", "CAM_1/0007", "cam_1.0009.jpg")
    assert numbers(lenses_of(people, named("cam_1", "cam_2", "cam_12"), "c")[0]) == [1, 2, 0, 0]
    assert numbers(lenses_of(images("00_01/a", 7), named("00_00", "00_01", "7"), "c")[0]) == [1, 2]


def test_the_user_says_which_camera_took_which_image() -> None:
    people = images(1, 2, "3")
    assert numbers(lenses_of(people, named("a", "b"), "c", "b")[0]) == [1, 1, 1]
    assert numbers(lenses_of(people, named("a", "b"), "c", {1: "b", "2": "a", 3: "b"})[0]) == [1, 0, 1]
    folders = images("left/0001", "right/0001")
    assert numbers(lenses_of(folders, named("a", "b"), "c", {"left": "b", "right": "a"})[0]) == [1, 0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (None, r"c has 2 cameras \(a, b\), and image '1' does not name one of them; say which took it: --camera-name"),
        ("x", "c: no camera 'x'; there are a, b"),
        ({1: "x"}, "c: no camera 'x'; there are a, b"),
        ({5: "a"}, "no image '5' for camera 'a'; there is 1, 2"),
        ({1: "a"}, "image '2' does not name one"),
    ],
)
def test_images_without_a_camera_are_refused(names: object, said: str) -> None:
    with pytest.raises(VipeError, match=said):
        lenses_of(images(1, 2), named("a", "b"), "c", names)


def test_resized_images_get_a_resized_lens() -> None:
    lens = lenses_of(images(1, size=(200, 100)), named("a", size=(100, 50)), "c")[0][0]
    assert (lens.fx, lens.fy, lens.cx) == (200, 200, 100.5)
    same = lenses_of(images(1, size=(100, 50)), named("a", size=(100, 50)), "c")[0][0]
    assert same == named("a")[0].lens


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(
        VipeError, match="c: camera a was calibrated with images of 100x50, image 1 has 50x100: another"
    ):
        lenses_of(images(1, size=(50, 100)), named("a", size=(100, 50)), "c")
    assert lenses_of(images(1, size=(1080, 1920)), named("a", size=(1088, 1920)), "c")  # rounded up by a video coder


def test_images_without_a_size_have_to_fit_the_calibration() -> None:
    assert lenses_of(images(1), named("a", size=(100, 100)), "c")[1] == ()
    with pytest.raises(VipeError, match="calibrated with images of 40x40, but image 1 has a person at"):
        lenses_of(images(1), named("a", size=(40, 40)), "c")
    assert "neither it nor the keypoints say how large" in lenses_of(images(1), named("a"), "c")[1][0]
    with pytest.raises(VipeError, match="principal point 50x50 lies outside image 1 of 40x40"):
        lenses_of(images(1, size=(40, 40)), named("a"), "c")
    mixed = replace(images(1, 2), image_size=np.array([[100.0, 100.0], [np.nan, np.nan]]))
    with pytest.raises(VipeError, match="image 2 has a person at"):
        lenses_of(replace(mixed, xy=mixed.xy * 3), named("a", size=(100, 100)), "c")


def test_a_file_and_people_become_crops(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"a": {"fx": 100, "fy": 100, "cx": 50, "cy": 50, "k1": -0.1, "size": [100, 100]}}))
    found = with_cameras(images(1, 2), path)
    assert found.crop[1].lens == Lens(100.0, 100.0, 50.0, 50.0, coefficients=(-0.1, 0.0, 0.0, 0.0))
    assert found.remarks == ()
