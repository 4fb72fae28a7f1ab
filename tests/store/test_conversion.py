"""What a store keeps of a clip: the frames nearest to the steps of the rate."""

import numpy as np
import pytest

from vipe.store.conversion import thin


@pytest.mark.parametrize(
    ("frames", "fps", "target", "kept"),
    [
        (10, 30.0, None, list(range(10))),
        (10, 30.0, 30.0, list(range(10))),
        (10, 30.0, 60.0, list(range(10))),
        (10, 30.0, 10.0, [0, 3, 6, 9]),
        (12, 30.0, 20.0, [0, 2, 3, 5, 6, 8, 9, 11]),
        (9, 120.0, 50.0, [0, 2, 5, 7]),
        (1, 30.0, 1.0, [0]),
        (100, 30.0, 0.1, [0]),
    ],
)
def test_keeps_the_frames_nearest_to_the_steps(frames, fps, target, kept):
    assert thin(frames, fps, target).tolist() == kept


@pytest.mark.parametrize("fps", [23.976, 29.97, 59.94, 119.88, 120.0, 1 / 0.0333667])
@pytest.mark.parametrize("target", [1.0, 10.0, 12.5, 24.0, 29.9])
def test_thinned_times_are_within_half_a_frame_of_the_steps(fps, target):
    kept = thin(1000, fps, target)
    if target < fps:
        np.testing.assert_allclose(kept / fps, np.arange(len(kept)) / target, atol=0.5001 / fps)
        assert abs(len(kept) - 1000 * target / fps) <= 1
    assert (np.diff(kept) > 0).all()
