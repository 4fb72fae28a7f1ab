from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError
from vipe.lift.condition import FEATURES, NOMINAL_NOISE, Condition
from vipe.skeletons import load

COCO13 = load("coco13")


def test_keypoints_are_normalized_and_their_covariance_with_them(people):
    found = Condition.of(people)
    xy, _, radius = normalize_keypoints(people)
    np.testing.assert_array_equal(found.xy, xy)
    np.testing.assert_array_equal(found.seen, people.mask)
    expected = people.covariance / radius[:, None, None, None] ** 2 * people.mask[..., None, None]
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-5)
    assert found.known.all()


def test_a_detector_without_covariance_is_known_to_be_one(people):
    found = Condition.of(replace(people, covariance=None))
    assert not found.known.any()
    assert not found.covariance.any()
    spread = found.features()[:, 39:]
    assert not spread.any()


def test_features_are_what_they_are_by_hand():
    xy = torch.zeros(1, 13, 2)
    seen = torch.zeros(1, 13, dtype=torch.bool)
    seen[0, :2] = True
    xy[0, 0], xy[0, 1] = torch.tensor([1.0, -2.0]), torch.tensor([-1.0, 2.0])
    covariance = torch.zeros(1, 13, 2, 2)
    s = NOMINAL_NOISE
    covariance[0, 0] = torch.tensor([[4.0, 1.0], [1.0, 4.0]]) * s**2
    covariance[0, 1] = torch.tensor([[1.5, 0.0], [0.0, 0.5]]) * s**2
    found = Condition(xy, seen, covariance, torch.tensor([True])).features()[0]
    assert len(found) == FEATURES
    assert found[:4].tolist() == [1, -2, -1, 2]
    assert found[26:39].tolist() == [1, 1, *[0] * 11]
    torch.testing.assert_close(found[39:41], torch.tensor([2.0, 1.0]).log())
    torch.testing.assert_close(found[52:54], torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(found[65:67], torch.tensor([0.25, 0.0]))
    assert found[-1] == 1
    assert not found[4:26].any()


def test_features_of_exact_keypoints_are_finite(people):
    exact = Condition.of(replace(people, covariance=np.zeros_like(people.covariance)))
    assert torch.isfinite(exact.features()).all()


def test_the_mirror_image_is_that_of_the_mirrored_photo(people):
    order = list(COCO13.mirrored)
    flip = np.diag([-1.0, 1.0])
    photo = replace(
        Keypoints.of((people.xy @ flip)[:, order] + [1000.0, 0.0], people.mask[:, order]),
        covariance=(flip @ people.covariance @ flip)[:, order],
    )
    expected, found = Condition.of(photo), Condition.of(people).mirrored()
    torch.testing.assert_close(found.xy, expected.xy, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.covariance, expected.covariance, atol=1e-6, rtol=1e-4)
    assert torch.equal(found.seen, expected.seen)
    twice = found.mirrored()
    assert torch.equal(twice.xy, Condition.of(people).xy)
    assert torch.equal(twice.covariance, Condition.of(people).covariance)


def test_rows_are_people(people):
    found = Condition.of(people)
    assert len(found) == 12
    assert torch.equal(found[3:5].xy, found.xy[3:5])
    assert torch.equal(found[torch.tensor([1, 0])].covariance[1], found.covariance[0])


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_too_few_keypoints_are_refused(people, seen):
    mask = people.mask.copy()
    mask[7] = np.arange(13) < seen
    message = f"person 7 cannot be lifted: it has {seen} seen keypoints, expected 4 or more"
    with pytest.raises(ShapeError, match=message):
        Condition.of(replace(people, mask=mask))


def test_keypoints_at_one_place_are_refused(people):
    xy = people.xy.copy()
    xy[2] = 5.0
    with pytest.raises(ShapeError, match="person 2"):
        Condition.of(replace(people, xy=xy))
