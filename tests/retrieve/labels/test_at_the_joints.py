"""Whether keypoints lie at the archive's joints: one person by the odds of archives, many by what they say together."""

import numpy as np
import pytest

from vipe.retrieve.labels.at_the_joints import ALONE, shares_at_the_joints


def by_hand(gain, person):
    """Slow twin: the two kinds of archive, each with the product of what the others show, less 1.4 nats."""
    kinds = np.array([0.8, 0.2])
    for other, own in enumerate(gain):
        if other != person:
            own = own - 1.4
            kinds = kinds * [0.97 + 0.03 * np.exp(own), 0.03 + 0.97 * np.exp(own)]
    kinds = kinds / kinds.sum()
    return 0.03 * kinds[0] + 0.97 * kinds[1]


def test_one_person_has_the_odds_of_archives_whatever_they_show():
    assert pytest.approx(0.8 * 0.03 + 0.2 * 0.97) == ALONE
    for gain in (-900.0, 0.0, 900.0):
        np.testing.assert_allclose(shares_at_the_joints(np.array([gain])), [ALONE])


def test_it_is_what_the_others_show_under_both_kinds(rng):
    gain = rng.normal(0, 2, 7)
    np.testing.assert_allclose(shares_at_the_joints(gain), [by_hand(gain, person) for person in range(7)])


def test_many_who_agree_decide_for_one_who_does_not():
    for says, decided in ((-2.5, 0.03), (2.5, 0.97)):
        share = shares_at_the_joints(np.array([*[says] * 20, -3 * says]))
        assert share[-1] == pytest.approx(decided, abs=1e-4)
    # Whoever is far likelier the other way stays there: odds of 97 to 3 are 3.5 nats.
    assert -np.log(0.97 / 0.03) + 5 > 0


def test_nobody_has_no_share_and_great_gains_no_overflow():
    assert shares_at_the_joints(np.empty(0)).shape == (0,)
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(shares_at_the_joints(np.array([1e4, -1e4, 5e3]))).all()


def test_order_of_the_people_does_not_matter(rng):
    gain = rng.normal(0, 2, 9)
    order = rng.permutation(9)
    np.testing.assert_allclose(shares_at_the_joints(gain)[order], shares_at_the_joints(gain[order]))
