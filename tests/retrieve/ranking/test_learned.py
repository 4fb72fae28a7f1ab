"""The learned numbers that ship are those that were learned: whoever learns them anew writes these figures anew."""

import numpy as np
import pytest

from vipe.retrieve.ranking.few_joints import FewJoints
from vipe.retrieve.ranking.model import RankingModel

MARKS = RankingModel.of("coco")


def log_odds(model):
    """Of each regression, where its features are -1.5 to 1.5 with every other sign turned."""
    parts = (model.near.ranking, model.near.calibration, model.close.ranking, model.close.calibration, model.presence)
    ramps = [np.linspace(-1.5, 1.5, len(one.features)) * (-1.0) ** np.arange(len(one.features)) for one in parts]
    return [float(one(ramp[None].astype(np.float32))[0]) for one, ramp in zip(parts, ramps, strict=True)]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (MARKS, [2.403, -0.111, -0.56, -0.326, 0.036]),
        (FewJoints.of("coco").applied(MARKS), [2.403, -0.13, -0.56, 174.417, -2.559]),
    ],
    ids=["ranking_marks", "few_joints_marks"],
)
def test_models_of_marked_keypoints_say_what_was_learned(model, expected):
    np.testing.assert_allclose(log_odds(model), expected, atol=1e-3)
