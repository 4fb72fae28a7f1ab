"""Conditions of a search: names are unique, and the protocol's own draw what they always drew."""

from dataclasses import replace

import numpy as np
import pytest

from vipe.detections import normalize_keypoints
from vipe.errors import VipeError
from vipe.evaluate.conditions import ALL_CONDITIONS, CONDITIONS, HARD_CONDITIONS, Condition, simulate_condition
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.detector import GROUND_TRUTH
from vipe.simulate.mistakes import exchanged, squeezed
from vipe.simulate.people import drawn_builds, rebuilt
from vipe.skeletons import load

BODY = load("coco13")
NAMED = {condition.name: condition for condition in ALL_CONDITIONS}
TRUE = Condition(name="true", noise=GROUND_TRUTH)


@pytest.fixture(scope="module")
def rig():
    return CameraRig.load("mpi_inf_3dhp")


@pytest.fixture(scope="module")
def seen(bent, rig):
    """What is seen of some people under a condition, from one state of the generator."""
    poses = bent(40, 5)
    return lambda condition, distance=4.0: simulate_condition(
        poses, rig, condition, distance=distance, generator=np.random.default_rng(7)
    )


def assert_same(a, b):
    for name in ("xy", "mask", "confidence", "covariance"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_names_are_unique():
    assert (*CONDITIONS, *HARD_CONDITIONS) == ALL_CONDITIONS
    assert len(NAMED) == len(ALL_CONDITIONS)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_the_protocols_conditions_draw_a_camera_the_detectors_errors_and_a_set_of_hidden_joints(
    bent, rig, seen, condition
):
    generator = np.random.default_rng(7)
    expected = simulate_keypoints(bent(40, 5), rig, distance=4.0, noise=condition.noise, generator=generator)
    if condition.hidden:
        mask = expected.mask.copy()
        for row, number in enumerate(generator.integers(len(condition.hidden), size=40)):
            mask[row, [BODY.index(joint) for joint in condition.hidden[number]]] = False
        expected = replace(expected, mask=mask)
    found = seen(condition)
    assert_same(found, expected)
    assert found.convention == "archive"


@pytest.mark.parametrize("condition", HARD_CONDITIONS, ids=lambda condition: condition.name)
def test_every_hard_condition_differs_from_plain_noise_and_can_be_searched_under(seen, condition):
    people = seen(condition)
    assert len(people) == 40 and (people.mask.sum(axis=1) >= 6).all()
    assert np.isfinite(people.xy).all() and people.image_size is not None
    plain = seen(NAMED["noise 0.03"])
    assert (people.xy != plain.xy).any() or (people.mask != plain.mask).any()
    assert people.convention == (condition.told or condition.convention)
    assert_same(people, seen(condition))


def test_what_a_search_is_told_may_be_another_convention_than_the_marks(seen):
    told, untold = seen(NAMED["COCO marks"]), seen(NAMED["unknown marks"])
    assert (told.convention, untold.convention) == ("coco", "unknown")
    np.testing.assert_array_equal(told.xy, untold.xy)


def test_each_field_does_one_thing(bent, rig, seen):
    true = seen(TRUE)
    none = np.random.default_rng(0)
    assert_same(seen(replace(TRUE, mistake=squeezed(0.5))), squeezed(0.5)(true, none))
    assert_same(seen(replace(TRUE, mistake=exchanged("legs"))), exchanged("legs")(true, none))
    build = {"knee": 0.8, "wrist": 1.1}
    by_hand = simulate_keypoints(
        rebuilt(bent(40, 5), build), rig, distance=4.0, noise=GROUND_TRUTH, generator=np.random.default_rng(7)
    )
    assert_same(seen(replace(TRUE, build=build)), by_hand)
    generator = np.random.default_rng(7)
    people = drawn_builds(bent(40, 5), 0.1, generator)
    others = simulate_keypoints(people, rig, distance=4.0, noise=GROUND_TRUTH, generator=generator)
    assert_same(seen(replace(TRUE, build_spread=0.1)), others)
    near, far = (normalize_keypoints(seen(TRUE, distance))[2] for distance in (1.5, 8.0))
    generator = np.random.default_rng(7)
    drawn = generator.uniform(1.5, 8.0, 40)
    at_drawn = simulate_keypoints(bent(40, 5), rig, distance=drawn, noise=GROUND_TRUTH, generator=generator)
    anywhere = seen(replace(TRUE, distance=(1.5, 8.0)))
    assert_same(anywhere, at_drawn)
    assert far.max() < normalize_keypoints(anywhere)[2].mean() < near.min()


def test_hips_that_nobody_tells_of_are_farther_apart(seen):
    hips = [BODY.index(f"{side}_hip") for side in ("left", "right")]
    rest = [place for place in range(13) if place not in hips]
    condition = replace(NAMED["hips 6 cm off"], noise=GROUND_TRUTH)
    true, wide = seen(replace(TRUE, offset={"knee": (0.0, 0.0, 0.0)})), seen(condition)  # the same draws
    assert wide.convention == "unknown"
    apart = [np.linalg.norm(np.diff(people.xy[:, hips], axis=1), axis=2).mean() for people in (true, wide)]
    assert apart[1] > 1.2 * apart[0]
    moved = np.linalg.norm(true.xy - wide.xy, axis=2)
    assert moved[:, hips].mean() > 5 * moved[:, rest].mean()  # the camera looks at another centre


def test_a_hidden_joint_that_is_none_is_refused():
    with pytest.raises(VipeError, match="condition 'x': no joint left_hand; coco13 has nose, "):
        Condition(name="x", noise=GROUND_TRUTH, hidden=(("left_hand", "nose"),))
