from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.detections import Keypoints
from vipe.errors import ShapeError
from vipe.plots.bodies.photo import people_in_photo


@pytest.fixture
def people(rng):
    found = Keypoints.of(rng.uniform(20, 80, (2, 13, 2)))
    mask = found.mask.copy()
    mask[1] = False
    return replace(found, mask=mask)


def test_keypoints_lie_over_the_photo_in_its_pixels(people):
    axes = people_in_photo(np.zeros((100, 160, 3), np.uint8), people, ["A", "B"]).axes[0]
    assert axes.images[0].get_extent() == [0, 160, 100, 0]
    drawn = np.concatenate(axes.collections[1].get_segments())
    assert {tuple(point) for point in drawn} == {tuple(point) for point in people.xy[0].astype(float)}
    assert axes.get_ylim() == (100, 0)


def test_who_is_not_seen_has_no_label(people):
    axes = people_in_photo(np.zeros((100, 160, 3), np.uint8), people, ["A", "B"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["A"]
    assert axes.texts[0].get_position()[1] < people.xy[0, :, 1].min()


@pytest.mark.refusal
def test_another_shape_or_number_of_labels_is_refused(people):
    with pytest.raises(ShapeError, match=r"a photo must be \(height, width, 3\)"):
        people_in_photo(np.zeros((100, 160), np.uint8), people)
    with pytest.raises(ShapeError, match="labels must be one for each of 2 people"):
        people_in_photo(np.zeros((100, 160, 3), np.uint8), people, ["A"])
