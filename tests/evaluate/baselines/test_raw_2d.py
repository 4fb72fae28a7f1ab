import math

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.evaluate.baselines.raw_2d import Raw2D


def test_the_same_keypoints_are_found_under_any_similarity_of_the_image(rng):
    views = rng.normal(size=(200, 13, 2)).astype(np.float32)
    c, s = math.cos(0.4), math.sin(0.4)
    asked = 7 * views[:100] @ np.array([[c, -s], [s, c]]).T + 100
    rows = Raw2D().rank(Keypoints.of(asked), Keypoints.of(views), k=3)  # more queries than are compared at a time
    assert rows.shape == (100, 3)
    np.testing.assert_array_equal(rows[:, 0], np.arange(100))
    # The mirror image is another view.
    assert Raw2D().rank(Keypoints.of(asked * [-1, 1]), Keypoints.of(views), k=1)[0, 0] != 0


def test_a_ranking_goes_from_the_most_alike_down_to_the_end_of_the_gallery(rng):
    raw = Raw2D()
    query, gallery = (Keypoints.of(rng.normal(size=(n, 13, 2))) for n in (4, 9))
    rows = raw.rank(query, gallery, k=50)
    likeness = np.take_along_axis(raw.compare(raw.describe(query), raw.describe(gallery)), rows, axis=1)
    assert [sorted(row) for row in rows.tolist()] == [list(range(9))] * 4
    assert (np.diff(likeness, axis=1) <= 0).all()


def test_people_are_compared_by_the_joints_visible_in_both(rng):
    """The slow twin: least squares for one pair at a time, over the joints visible in both."""
    xy = rng.normal(size=(12, 13, 2)).astype(np.float32) * 50 + 300
    mask = rng.random((12, 13)) < 0.8
    people = Keypoints.of(np.where(mask[..., None], xy, 0), mask)
    raw = Raw2D()
    for count in (5, 2):
        scores = raw.compare(raw.describe(people[:count]), raw.describe(people[5:]))
        for i in range(count):
            for k in range(7):
                both = mask[i] & mask[5 + k]
                p, q = (xy[row][both].astype(np.float64) @ [1, 1j] for row in (i, 5 + k))
                design = np.stack([q, np.ones_like(q)], axis=1)
                rest = p - design @ np.linalg.lstsq(design, p, rcond=None)[0]
                expected = 1 - (np.abs(rest) ** 2).sum() / (np.abs(p - p.mean()) ** 2).sum()
                assert scores[i, k] == pytest.approx(expected, abs=2e-4)
