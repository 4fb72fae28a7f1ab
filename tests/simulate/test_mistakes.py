"""Mistakes beyond noise are of the kind and the size that they say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import VipeError
from vipe.simulate import View, project_keypoints
from vipe.simulate.mistakes import copied_leg, exchanged, heavy_tails, limb_errors, mirrored, off_axis, squeezed
from vipe.skeletons.working import COCO13, without_side

MANY = 8_000
LIMBS = (("left", "knee", "ankle"), ("right", "knee", "ankle"), ("left", "elbow", "wrist"), ("right", "elbow", "wrist"))


def joint(name):
    return COCO13.index(name)


@pytest.fixture
def people(rng):
    mask = np.ones((6, 13), dtype=bool)
    mask[0, joint("left_knee")] = mask[1, joint("right_wrist")] = False
    seen = Keypoints.of(rng.uniform(1, 400, (6, 13, 2)), mask, confidence=rng.uniform(0.3, 1, (6, 13)))
    covariance = rng.uniform(1, 9, (6, 13, 1, 1)) * np.eye(2)
    return replace(seen, covariance=covariance, image_size=np.tile([640.0, 480.0], (6, 1)), convention="coco")


@pytest.fixture
def crowd(rng):
    """One person many times."""
    return Keypoints.of(np.repeat(rng.uniform(1, 400, (1, 13, 2)), MANY, axis=0))


@pytest.mark.parametrize(
    ("part", "joints"),
    [
        ("body", {"nose", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"}),
        ("legs", {"hip", "knee", "ankle"}),
        ("arms", {"shoulder", "elbow", "wrist"}),
    ],
)
def test_exchanged_sides_take_all_that_belongs_to_them_and_twice_is_never(people, rng, part, joints):
    wrong = exchanged(part)(people, rng)
    twice = exchanged(part)(wrong, rng)
    for name in ("xy", "mask", "confidence", "covariance"):
        given, after = getattr(people, name), getattr(wrong, name)
        for place, own in enumerate(COCO13.joints):
            other = COCO13.mirrored[place] if without_side(own) in joints else place
            np.testing.assert_array_equal(after[:, place], given[:, other], err_msg=f"{name} of {own}")
        np.testing.assert_array_equal(getattr(twice, name), given)
    assert (wrong.xy[2:] != people.xy[2:]).any(axis=(0, 2)).sum() == 2 * len(joints - {"nose"})
    assert wrong.convention == "coco"


def test_a_part_that_is_none_is_refused():
    with pytest.raises(VipeError, match="no part 'hands' of the body to exchange; there are body, legs, arms"):
        exchanged("hands")


def test_one_leg_is_drawn_on_the_other_each_as_often(crowd, rng):
    copied = copied_leg(crowd, rng)
    radius = normalize_keypoints(crowd)[2][0]
    legs = [[joint(f"{side}_{part}") for part in ("knee", "ankle")] for side in ("left", "right")]
    others = [place for place in range(13) if place not in legs[0] + legs[1]]
    np.testing.assert_array_equal(copied.xy[:, others], crowd.xy[:, others])
    stayed = [(copied.xy[:, leg] == crowd.xy[:, leg]).all(axis=(1, 2)) for leg in legs]
    np.testing.assert_array_equal(stayed[0], ~stayed[1])
    assert np.mean(stayed[0]) == pytest.approx(0.5, abs=0.02)
    apart = (copied.xy[:, legs[0]] - copied.xy[:, legs[1]]) / radius
    assert apart.std() == pytest.approx(0.02, rel=0.02)
    assert np.abs(apart.mean(axis=0)).max() < 1e-3


def test_a_leg_that_is_not_seen_is_not_seen_twice(people, rng):
    knees = [joint("left_knee"), joint("right_knee")]
    copied = copied_leg(people, rng)
    left_is_copy = (copied.xy[:, joint("left_ankle")] != people.xy[:, joint("left_ankle")]).all(axis=1)
    assert not copied.mask[0, knees[0]]
    assert copied.mask[0, knees[1]] == left_is_copy[0]
    assert copied.mask[2:].all()


def test_a_squeezed_image_is_stretched_by_the_inverse(people, rng):
    narrow = squeezed(0.5625)(people, rng)
    np.testing.assert_allclose(narrow.xy, people.xy * [0.5625, 1])
    np.testing.assert_allclose(narrow.image_size, people.image_size * [0.5625, 1])
    assert narrow.covariance is None
    wide = squeezed(1 / 0.5625)(narrow, rng)
    np.testing.assert_allclose(wide.xy, people.xy, rtol=1e-6)
    np.testing.assert_allclose(wide.image_size, people.image_size)
    assert squeezed(2.0)(replace(people, image_size=None), rng).image_size is None


def test_the_outer_joints_of_a_limb_are_off_together(crowd, rng):
    scale = 0.06
    off = (limb_errors(scale)(crowd, rng).xy - crowd.xy) / normalize_keypoints(crowd)[2][:, None, None] / scale
    spread = off.std(axis=0)
    outer = [joint(f"{side}_{part}") for side, *parts in LIMBS for part in parts]
    np.testing.assert_allclose(spread[outer], np.sqrt(1 + 1 / 9), rtol=0.03)
    np.testing.assert_allclose(spread[[place for place in range(13) if place not in outer]], 1 / 3, rtol=0.03)
    correlation = np.corrcoef(off.reshape(MANY, 26).T)
    expected = np.eye(26)
    for side, first, second in LIMBS:
        a, b = joint(f"{side}_{first}"), joint(f"{side}_{second}")
        for axis in (0, 1):
            expected[2 * a + axis, 2 * b + axis] = expected[2 * b + axis, 2 * a + axis] = 1 / (1 + 1 / 9)
    np.testing.assert_allclose(correlation, expected, atol=0.04)


def test_heavy_tails_are_students_of_two_degrees_of_freedom(crowd, rng):
    scale = 0.02
    off = (heavy_tails(scale)(crowd, rng).xy - crowd.xy) / normalize_keypoints(crowd)[2][:, None, None] / scale
    shares = (0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
    np.testing.assert_allclose(np.quantile(off, shares), t(2).ppf(shares), rtol=0.06, atol=0.02)
    # One scale a joint, for both directions: where x is far off, y is more often than not.
    far = np.abs(off[..., 0]) > 5
    assert (np.abs(off[..., 1][far]) > 2).mean() > 2 * (np.abs(off[..., 1]) > 2).mean()


@pytest.mark.parametrize("mistake", [copied_leg, limb_errors(0.06), heavy_tails(0.02)])
def test_mistakes_grow_with_the_person_and_draw_from_the_generator_alone(people, mistake):
    small, again = (mistake(people, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(small.xy, again.xy)
    assert (small.mask <= people.mask).all() and small.xy.dtype == np.float32
    larger = replace(people, xy=3 * people.xy + np.float32([50, -20]))
    large = mistake(larger, np.random.default_rng(3))
    seen = small.mask
    np.testing.assert_allclose(large.xy[seen], (3 * small.xy + [50, -20])[seen], rtol=1e-4, atol=1e-2)
    assert (mistake(people, np.random.default_rng(4)).xy != small.xy).any()


def test_a_mirrored_photo_mirrored_again_is_the_photo(people, rng):
    twice = mirrored(mirrored(people, rng), rng)
    np.testing.assert_allclose(twice.xy, people.xy, atol=1e-3)
    np.testing.assert_array_equal(twice.mask, people.mask)
    once = mirrored(people, rng)
    left, right = joint("left_wrist"), joint("right_wrist")
    np.testing.assert_allclose(once.xy[2:, left], [640, 0] + people.xy[2:, right] * [-1, 1], rtol=1e-6)


@pytest.fixture
def standing_people(rng):
    poses = rng.normal(0, 0.3, (5, 17, 3)).astype(np.float32)
    return project_keypoints(poses, View(name="side", azimuth=0.3, elevation=0.1), distance=3.0, image_size=(1000, 800))


def test_a_camera_turned_away_sees_the_same_rays(standing_people, rng):
    """Angles between the rays of joints do not change; the person's middle lies as far off the axis as was asked."""
    turned = off_axis(30.0)(standing_people, rng)

    def rays(people):
        found = np.concatenate([(people.xy - [500, 400]) / 1150, np.ones((5, 13, 1))], axis=2)
        return found / np.linalg.norm(found, axis=2, keepdims=True)

    before, after = rays(standing_people), rays(turned)
    np.testing.assert_allclose(after @ after.swapaxes(1, 2), before @ before.swapaxes(1, 2), atol=1e-5)
    middle = after.mean(axis=1)
    angle = np.degrees(np.arccos(middle[:, 2] / np.linalg.norm(middle, axis=1)))
    np.testing.assert_allclose(angle, 30, atol=2)
    assert turned.mask.all()


def test_a_camera_that_is_not_turned_sees_the_same_and_joints_behind_it_are_lost(standing_people, rng):
    np.testing.assert_allclose(off_axis(0.0)(standing_people, rng).xy, standing_people.xy, atol=1e-2)
    assert not off_axis(180.0)(standing_people, rng).mask.any()
    with pytest.raises(VipeError, match="need their image sizes"):
        off_axis(10.0)(replace(standing_people, image_size=None), rng)
