"""The promises of a scikit-learn estimator, by scikit-learn's own checks."""

import pytest

pytest.importorskip("sklearn", reason="scikit-learn, which the library does not need, is not installed")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from vipe.lift.ppca import MixtureOfPPCA

NOT_KEPT = {
    "check_estimators_unfitted": "it wants scikit-learn's own NotFittedError, which cannot be had without it; "
    "ours is a VipeError",
}


@pytest.mark.refusal  # one check hands settings of any kind to __init__
@pytest.mark.filterwarnings("ignore:Estimator MixtureOfPPCA does not inherit")
@parametrize_with_checks([MixtureOfPPCA(2, 1), MixtureOfPPCA(1, 0)], expected_failed_checks=lambda _: NOT_KEPT)
def test_keeps_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


def test_works_in_a_search_over_settings(rng):
    rows = rng.normal(size=(90, 4)) * [5, 4, 1, 1]
    search = GridSearchCV(MixtureOfPPCA(1), {"n_latent": [1, 2]}, cv=3).fit(rows)
    assert search.best_params_ == {"n_latent": 2}


def test_a_clone_has_the_settings_and_is_not_fitted(rng):
    copy = clone(MixtureOfPPCA(2, 1, tol=0.1).fit(rng.normal(size=(9, 3))))
    assert copy.get_params() == MixtureOfPPCA(2, 1, tol=0.1).get_params()
    assert not hasattr(copy, "weights_")
