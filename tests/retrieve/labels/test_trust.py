"""A body that is read mirrored is trusted by what was learned, every other reading by its evidence."""

import numpy as np
import pytest
from scipy.special import expit

from vipe.errors import ReadError, ShapeError
from vipe.retrieve.labels.labelling import MIRRORED, SIDES, STRETCHES
from vipe.retrieve.labels.trust import ReadingTrust

BODY, LEGS, _ = (side.name for side in SIDES)
GAIN = np.array([-3.0, 0.0, 2.0, 12.0])
UNSURE = np.zeros(4, dtype=np.float32)


@pytest.mark.parametrize("name", [LEGS, STRETCHES[0].name, "left leg unseen", "nose unseen"])
def test_evidence_alone_tells_of_limbs_and_of_the_width(name):
    np.testing.assert_array_equal(ReadingTrust.default().log_odds([name] * 4, GAIN, UNSURE), GAIN)


@pytest.mark.parametrize("name", [BODY, MIRRORED.name])
def test_the_evidence_of_a_mirrored_body_is_worth_less_than_it_says(name):
    odds = ReadingTrust.default().log_odds([name] * 4, GAIN, UNSURE)
    assert (np.diff(odds) > 0).all()
    assert (np.diff(odds)[1:] < np.diff(GAIN)[1:]).all()
    assert odds[1] < 1 and odds[-1] > 2


@pytest.mark.parametrize("name", [BODY, MIRRORED.name])
def test_evidence_for_the_labels_is_worth_what_it_says(name):
    odds = ReadingTrust.default().log_odds([name] * 4, np.array([0.0, -1.0, -5.0, -np.inf]), UNSURE)
    np.testing.assert_allclose(odds - odds[0], [0, -1, -5, -np.inf])


def test_each_person_is_told_by_their_own_reading():
    trust = ReadingTrust.default()
    mixed = trust.log_odds([LEGS, BODY, LEGS, MIRRORED.name], GAIN, UNSURE)
    np.testing.assert_array_equal(mixed[[0, 2]], GAIN[[0, 2]])
    np.testing.assert_array_equal(mixed[[1, 3]], trust.log_odds([BODY] * 4, GAIN, UNSURE)[[1, 3]])


def test_log_odds_that_the_examples_were_drawn_with_are_learned(rng, tmp_path):
    gain, given = rng.uniform(0, 8, 20_000), rng.normal(0, 1, 20_000).astype(np.float32)
    true = 0.5 * gain + 1.5 * given - 2
    right = rng.random(20_000) < expit(true)
    weight = np.where(right, 3.0, 1.0)  # three times as many wrong labels, log 3 more
    trust = ReadingTrust.learn(gain, given, right, weight, made="here")
    found = trust.log_odds([BODY] * 20_000, gain, given)
    np.testing.assert_allclose(found, true + np.log(3), atol=0.2)
    trust.save(tmp_path / "trust.json")
    assert ReadingTrust.load(tmp_path / "trust.json") == trust


def test_numbers_of_other_features_are_refused(tmp_path):
    own = (ReadingTrust.default().whole_body.features, "gain", "strangeness")
    ReadingTrust.default().save(tmp_path / "trust.json")
    text = (tmp_path / "trust.json").read_text()
    (tmp_path / "trust.json").write_text(text.replace(own[0][1], own[2]))
    with pytest.raises(ReadError, match="other features"):
        ReadingTrust.load(tmp_path / "trust.json")
    with pytest.raises(ShapeError, match="nothing to learn"):
        ReadingTrust.learn(GAIN, UNSURE, np.ones(4, dtype=bool), np.ones(4), made="here")
