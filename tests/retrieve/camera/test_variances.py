"""How sure keypoints are: closed forms of confidence, covariance, misfit and the convention's spread."""

from dataclasses import replace

import numpy as np
import pytest

from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve import BONE_GROUPS, CameraPrior
from vipe.retrieve.camera.variances import bone_spreads, candidate_sureness, inverse_variances
from vipe.skeletons.joint_conventions import load_convention

PRIOR = CameraPrior(noise=0.03, misfit=0.04)


@pytest.fixture
def people(rng):
    mask = np.ones((3, 13), dtype=bool)
    mask[1, [0, 7]] = False
    confidence = rng.uniform(0.2, 1, (3, 13))
    return Keypoints.of(rng.uniform(1, 500, (3, 13, 2)), mask, confidence=confidence)


def radius_of(people):
    return normalize_keypoints(people)[2]


def test_variances_of_confidence_misfit_and_spread_add_up(people):
    for name in ("archive", "coco", "unknown"):
        told = replace(people, convention=name)
        inverse = inverse_variances(told, radius_of(people), PRIOR)
        confidence = np.where(people.mask, people.confidence, 1)
        variance = 0.03**2 / confidence + 0.04**2 + load_convention(name).spread ** 2
        np.testing.assert_allclose(inverse, np.where(people.mask, 1 / variance, 0), rtol=1e-6)


def test_a_covariance_takes_the_place_of_the_confidence(people, rng):
    half = rng.normal(0, 8, (3, 13, 2, 2))
    covariance = half @ half.swapaxes(2, 3)
    told = replace(people, covariance=covariance)
    size = radius_of(people)
    in_radii = (covariance[..., 0, 0] + covariance[..., 1, 1]) / 2 / size[:, None] ** 2
    inverse = inverse_variances(told, size, PRIOR)
    np.testing.assert_allclose(inverse, np.where(people.mask, 1 / (in_radii + 0.04**2), 0), rtol=1e-5)


def test_candidates_are_chosen_without_misfit_and_with_three_times_the_spread(people):
    told = replace(people, convention="coco")
    variance = 0.03**2 / np.where(people.mask, people.confidence, 1) + 0.004**2
    variance = variance + (3 * load_convention("coco").spread) ** 2
    np.testing.assert_array_equal(
        candidate_sureness(told, PRIOR).bone_spread, bone_spreads(PRIOR, load_convention("coco"))
    )
    np.testing.assert_allclose(
        candidate_sureness(told, PRIOR).weight, np.where(people.mask, 1 / variance, 0), rtol=1e-6
    )


def test_no_confidence_and_covariance_is_too_small_or_too_large(people):
    size = radius_of(people)
    unsure = replace(people, confidence=np.zeros((3, 13), dtype=np.float32))
    np.testing.assert_allclose(
        inverse_variances(unsure, size, PRIOR)[people.mask], 1 / (0.03**2 / 0.05 + 0.04**2), rtol=1e-6
    )
    for number in (np.nan, np.inf, -1.0, 1e30):
        strange = replace(people, covariance=np.full((3, 13, 2, 2), number))
        inverse = inverse_variances(strange, size, PRIOR)
        assert np.isfinite(inverse).all() and (inverse[people.mask] > 0).all()
    assert np.isfinite(inverse_variances(replace(people, covariance=np.ones((3, 13, 2, 2))), 0 * size, PRIOR)).all()


def test_bones_differ_by_the_convention_where_it_says_so():
    prior = CameraPrior(bone_spread=0.07)
    np.testing.assert_array_equal(bone_spreads(prior, load_convention("archive")), np.full(9, 0.07))
    coco = load_convention("coco")
    for name in ("openpose", "blazepose", "unknown"):
        assert load_convention(name).bones == coco.bones
    told = {"hip": 0.25, "shoulder": 0.25, "nose": 0.07}  # and 0.16 for trunk and limbs
    expected = [told.get(group, 0.16) for group in BONE_GROUPS]
    np.testing.assert_array_equal(bone_spreads(prior, coco), expected)
