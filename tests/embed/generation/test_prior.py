import numpy as np
import pytest

from vipe.embed.generation.prior import Prior
from vipe.embed.generation.variations import vary
from vipe.errors import VipeError
from vipe.skeletons import load

BODY = load("h36m17")


def draws(seed=0):
    return np.random.default_rng(seed)


def test_a_prior_has_the_mean_and_covariance_of_the_data():
    data = draws().normal(size=(4000, 3)) @ np.array([[1.0, 0.5, 0], [0, 2.0, 0], [0, 0, 0]]) + [1, 2, 3]
    fitted = Prior.fit(data.astype(np.float32))
    drawn = fitted.mean + fitted.directions(20000, draws(1))
    np.testing.assert_allclose(drawn.mean(axis=0), data.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(data.T), atol=0.1)


def test_an_embedding_without_a_prior_says_how_to_get_one(default, poses):
    with pytest.raises(VipeError, match=r"Prior\.fit"):
        vary(default, poses[0], generator=draws())
    with pytest.raises(VipeError, match="more than 32 embeddings, got 3"):
        Prior.fit(default.encode_poses(poses[:3]))
