"""What labels may mean: each reading undoes its mistake, has a name, and is suspected where keypoints look like it."""

from dataclasses import replace

import numpy as np
import pytest

from vipe.detections import normalize_keypoints
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.labels.labelling import (
    MIRRORED,
    SIDES,
    STRETCHES,
    Labelling,
    as_read,
    as_relabelled,
    explained,
    suspected,
)
from vipe.retrieve.labels.reading import doubtful
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.mistakes import exchanged
from vipe.simulate.motion import synthesize
from vipe.skeletons.working import COCO13
from vipe.store import PoseStore

AS_GIVEN = Labelling(name="")
KNEE = COCO13.index("left_knee")
LEFT_LEG, RIGHT_LEG = (
    tuple(COCO13.index(f"{side}_{joint}") for joint in ("knee", "ankle")) for side in ("left", "right")
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Views of three poses of synthetic motion."""
    clips = synthesize(clips=2, fps=10.0, generator=np.random.default_rng(0))
    poses = PoseStore.create(tmp_path_factory.mktemp("labelling") / "store", clips).poses()
    rows = np.linspace(5, len(poses) - 5, 3).astype(int)
    rig, generator = CameraRig.load("mpi_inf_3dhp"), np.random.default_rng(1)
    return replace(simulate_keypoints(poses[rows], rig, noise=0.01, generator=generator), covariance=None)


@pytest.mark.parametrize("part", SIDES, ids=lambda labelling: labelling.name)
def test_sides_that_are_exchanged_are_exchanged_back(seen, part):
    covariance = np.random.default_rng(0).uniform(1, 9, (3, 13, 1, 1)) * np.eye(2)
    confidence = np.random.default_rng(1).uniform(0.3, 1, (3, 13)).astype(np.float32)
    mask = np.random.default_rng(2).random((3, 13)) < 0.8
    given = replace(seen, mask=mask, confidence=confidence, covariance=covariance)
    wrong = exchanged(part.name)(given, np.random.default_rng(0))
    assert (wrong.xy != given.xy).any()
    read = as_relabelled(wrong, part)
    for name in ("xy", "mask", "confidence", "covariance"):
        np.testing.assert_array_equal(getattr(read, name), getattr(given, name), err_msg=name)


def test_a_stretch_changes_x_and_what_is_known_of_it(seen):
    covariance = np.tile(np.array([[4.0, 1], [1, 9]]), (3, 13, 1, 1))
    read = as_relabelled(replace(seen, covariance=covariance), Labelling(name="", stretch=2.0))
    np.testing.assert_allclose(read.xy, seen.xy * [2, 1])
    np.testing.assert_allclose(read.covariance[2, 5], [[16, 2], [2, 9]])
    np.testing.assert_allclose(read.image_size, seen.image_size * [2, 1])
    names = {labelling.name: labelling.stretch for labelling in STRETCHES}
    assert names["image 0.56 as wide"] == 16 / 9 and names["image 0.75 as wide"] == 4 / 3


def fits_of(people, cost=0.0):
    fits = Fits.empty(len(people), 2)
    fits.cost[:] = cost, cost + 1
    fits.error[:] = 0
    return fits


def test_labels_are_doubted_by_the_least_cost_of_a_degree_of_freedom(seen):
    mask = np.ones((4, 13), dtype=bool)
    mask[2:, :5] = False
    people = replace(seen[np.array([0, 1, 2, 0])], mask=mask)
    freedom = np.array([20, 20, 10, 10])
    cost = freedom * [0.49, 0.51, 0.49, 0.51]
    fits = replace(fits_of(people), cost=np.stack([cost + 3, cost], axis=1).astype(np.float32))
    assert doubtful(fits, people).tolist() == [False, True, False, True]


def limbs_drawn_twice(people):
    return {labelling.name: rows.tolist() for labelling, rows in suspected(people, fits_of(people)) if labelling.unseen}


def test_a_limb_is_drawn_twice_where_both_of_its_joints_coincide(seen):
    radius = normalize_keypoints(seen)[2]
    left, right = ([COCO13.index(f"{side}_{joint}") for joint in ("knee", "ankle")] for side in ("left", "right"))
    xy, mask = seen.xy.copy(), seen.mask.copy()
    wide = [0.4, 0.1] * radius[:, None]
    xy[:, left] = xy[:, right] + wide[:, None]  # nobody's limbs coincide
    xy[0, left] = xy[0, right] + [0.08 * radius[0], 0]
    xy[1, left[0]] = xy[1, right[0]]  # one joint alone
    xy[2, left], mask[2, left[1]] = xy[2, right], False
    found = limbs_drawn_twice(replace(seen, xy=xy, mask=mask))
    assert found["left leg unseen"] == found["right leg unseen"] == [0]
    assert found["left arm unseen"] == found["right arm unseen"] == []
    assert all(not rows for name, rows in found.items() if "leg" not in name)  # no joint is off


def test_the_limb_that_is_left_out_is_drawn_on_the_other(seen):
    twice = {one.name: (one.unseen, one.drawn_on) for one, _ in suspected(seen, fits_of(seen))}
    assert twice["left leg unseen"] == (LEFT_LEG, RIGHT_LEG)
    assert twice["right leg unseen"] == (RIGHT_LEG, LEFT_LEG)


def test_the_joint_that_is_farthest_off_the_best_candidate_is_suspected(seen):
    radius = normalize_keypoints(seen)[2]
    fits = fits_of(seen)
    fits.error[:, 0, 3] = 0.1 * radius
    fits.error[1:3, 0, KNEE] = 0.3 * radius[1:3]
    fits.error[:, 1, 5] = radius  # of a candidate that is not the best
    found = {labelling.name: rows.tolist() for labelling, rows in suspected(seen, fits) if len(labelling.unseen) == 1}
    assert [name for name, rows in found.items() if rows] == ["left knee unseen"]
    assert found["left knee unseen"] == [1, 2]
    assert len(found) == 13


def test_every_reading_can_be_read_again_by_its_name(seen):
    people = seen[:1]
    known = [*SIDES, MIRRORED, *STRETCHES, Labelling(name="left leg unseen", unseen=LEFT_LEG), AS_GIVEN]
    for one in known:
        read, expected = as_read(people, [one.name]), as_relabelled(people, one)
        np.testing.assert_array_equal(read.xy, expected.xy)
        np.testing.assert_array_equal(read.mask, expected.mask)


def test_readings_of_some_images_are_told_with_their_number():
    told = explained("legs in 3 of 9 images, left arm unseen in 1 of 9 images")
    assert told == (
        "In 3 of 9 images left and right of the legs are taken as swapped: that fits far better. "
        "In 1 of 9 images the left arm is taken as unseen: that fits far better."
    )
