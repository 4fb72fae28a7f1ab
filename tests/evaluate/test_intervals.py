import numpy as np
import pytest

from vipe.evaluate.intervals import bootstrap_interval, bootstrap_statistic, concentration


def names(sizes):
    """Clips of these sizes, by name, a query each."""
    return [f"clip {number}" for number, size in enumerate(sizes) for _ in range(size)]


def test_an_interval_holds_the_mean_and_widens_when_frames_of_a_clip_agree(rng):
    values = np.repeat(rng.random(40) < 0.5, 25).astype(float)
    low, high = bootstrap_interval(values, names([25] * 40), generator=rng)
    frames = bootstrap_interval(values, names([1] * 1000), generator=rng)
    assert low < values.mean() < high
    assert high - low > 3 * (frames[1] - frames[0])


@pytest.mark.parametrize(
    ("sizes", "lower"),
    [
        ([1] * 10, 0.692),  # Clopper & Pearson 1934 for 10 of 10: 0.025^(1/10)
        ([7] * 10, 0.692),  # frames of one clip are one witness
        ([1] * 100, 0.964),  # 0.025^(1/100); about 1 - 3.7 / 100
        ([3, 1], 0.100),  # effective number of clips 4^2 / (3^2 + 1^2) = 1.6: 0.025^(1/1.6)
        ([500], 0.025),  # one clip
    ],
    ids=["ten", "ten of seven frames", "hundred", "one three times the other", "one"],
)
def test_where_every_clip_succeeds_the_lower_end_is_that_of_the_exact_interval(sizes, lower, rng):
    clips = names(sizes)
    assert bootstrap_interval(np.ones(len(clips)), clips, generator=rng) == pytest.approx((lower, 1), abs=5e-4)
    low, high = bootstrap_interval(np.zeros(len(clips)), clips, generator=rng)
    assert (low, high) == pytest.approx((0, 1 - lower), abs=5e-4)


def test_clips_that_agree_between_the_ends_are_open_to_both_sides(rng):
    values = np.tile([0.0, 1.0], 10)  # one half in each of ten clips
    others = 1 - 0.025 ** (1 / 10)  # a share of clips that none of ten shows
    expected = (0.5 - 0.5 * others, 0.5 + 0.5 * others)
    assert bootstrap_interval(values, names([2] * 10), generator=rng) == pytest.approx(expected)
    thirds = np.tile([1 / 3, 1 / 3, 1 / 3], 10)  # equal up to rounding
    low, high = bootstrap_interval(thirds, names([3] * 10), generator=rng)
    assert low < 0.3 < 0.4 < high


def test_a_difference_may_turn_either_way(rng):
    others = 1 - 0.025 ** (1 / 10)
    found = bootstrap_interval(np.zeros(10), names([1] * 10), generator=rng, span=(-1.0, 1.0))
    assert found == pytest.approx((-others, others))


def test_clips_that_disagree_are_resampled(rng):
    # Two clips, one of which succeeds: 0, 1/2 and 1 come up in a quarter, a half and a quarter of the draws.
    assert bootstrap_interval(np.array([0.0, 1.0]), names([1, 1]), generator=rng) == (0, 1)


def test_concentration_is_the_share_of_the_largest_clips():
    assert concentration(names([6, 1, 1, 2]), most=2) == pytest.approx(0.8)
    assert concentration(names([1] * 20)) == pytest.approx(0.25)
    assert concentration(names([4, 4])) == 1


def test_the_interval_of_a_statistic_is_the_basic_bootstraps(rng):
    """Of a mean it mirrors the drawn means about the mean; drawn clip by clip."""
    values = np.repeat([0.0, 0.0, 0.0, 1.0], 5)
    clips = names([5] * 4)
    low, high = bootstrap_statistic(lambda some: values[some].mean(), clips, generator=rng, draws=4000)
    assert (low, high) == (0.0, 0.5)  # 1/4 mirrors 3/4 (in 1 of 20 draws or more) to -1/4, which is 0, and 0 to 1/2
    alone = bootstrap_statistic(lambda some: values[some].mean(), names([1] * 20), generator=rng, draws=4000)
    assert alone[1] - alone[0] < 0.45


def test_every_query_of_a_drawn_clip_takes_part(rng):
    seen = []
    bootstrap_statistic(lambda some: seen.append(sorted(some)) or 0.0, ["b", "a", "b"], generator=rng, draws=50)
    assert {tuple(one) for one in seen} == {(0, 1, 2), (1, 1), (0, 0, 2, 2)}
