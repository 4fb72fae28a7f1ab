"""Periods of motions that are known."""

import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.retrieve.segments.cycles import find_cycles


def waves(period, frames, fps):
    return 1 + np.sin(2 * np.pi * np.arange(frames) / fps / period)


@pytest.mark.parametrize(("period", "fps"), [(1.2, 10.0), (0.8, 25.0), (2.0, 10.0)])
def test_the_period_of_a_wave(swing, period, fps):
    (cycle,) = find_cycles(swing(waves(period, round(8 * fps), fps)), fps)
    assert cycle.period == pytest.approx(period, abs=1 / fps)
    assert (cycle.start, cycle.end) == pytest.approx((0.0, 8.0), abs=2 / fps)
    assert cycle.repeats == pytest.approx(8 / period, rel=0.1)
    assert cycle.distance < 0.05


def test_standing_still_and_a_single_movement_are_no_cycles(swing):
    assert find_cycles(swing(np.zeros(80)), 10.0) == ()
    assert find_cycles(swing(np.linspace(0, 2.5, 80)), 10.0) == ()


def test_a_change_of_pace_makes_two_cycles(swing):
    angles = np.concatenate([waves(1.0, 60, 10.0), waves(2.0, 80, 10.0)])
    first, second = find_cycles(swing(angles), 10.0)
    assert (first.period, second.period) == pytest.approx((1.0, 2.0), abs=0.11)
    assert first.end == pytest.approx(6.0, abs=1.1)
    assert second.end == pytest.approx(14.0, abs=0.25)


def test_waves_between_rests_are_found_where_they_are(swing):
    rest = np.full(40, -0.6)
    (cycle,) = find_cycles(swing(np.concatenate([rest, waves(1.2, 60, 10.0), rest])), 10.0, limit=0.03)
    assert (cycle.start, cycle.end) == pytest.approx((4.0, 10.0), abs=0.5)


def test_too_short_a_motion_has_none(swing):
    assert find_cycles(swing(waves(1.0, 7, 10.0)), 10.0) == ()
    assert find_cycles(swing(waves(1.0, 7, 10.0))[:0], 10.0) == ()


@pytest.mark.parametrize("wrong", [{"fps": 0.0}, {"limit": 0.0}, {"shortest": 2.0, "longest": 1.0}, {"fps": np.nan}])
def test_numbers_out_of_range_are_refused(swing, wrong):
    with pytest.raises(VipeError, match="must be above 0"):
        find_cycles(swing(np.zeros(30)), **{"fps": 10.0, **wrong})
