import numpy as np
import pytest
import torch
from lift.ppca.dense import Dense

from vipe.lift.ppca import inference
from vipe.lift.ppca.inference import Observed, fit, log_evidence, log_evidence_of_all, posterior_draws, posterior_mean
from vipe.lift.ppca.projection import Aspects, Views

TILT, HEADING = 0.3, 5  # of 24


@pytest.fixture
def aspect(ppca):
    """The second component, from one side."""
    geometry = ppca.model.geometry
    views = Views.of((TILT,), (0.0,), 24, like=ppca.model.mean)
    return Aspects.of(geometry.prior, torch.tensor([1]), views.rotations()[0, HEADING][None])


@pytest.fixture
def person(rng):
    """Keypoints of unequal, elongated errors, two of them not seen: (xy, seen, noise) in float64."""
    seen = torch.ones(13, dtype=torch.bool)
    seen[[4, 9]] = False
    root = torch.from_numpy(rng.normal(size=(13, 2, 2))) * 0.05
    noise = root @ root.mT + 1e-4 * torch.eye(2)
    return torch.from_numpy(rng.normal(size=(13, 2))), seen, noise


@pytest.fixture
def dense(ppca, person):
    xy, seen, noise = (part.numpy() for part in person)
    return Dense.of(ppca, 1, TILT, HEADING * 2 * np.pi / 24, xy, seen, noise)


def observed(person):
    return Observed.of(*(part[None] for part in person))


def test_the_evidence_is_the_density_of_the_keypoints_around_their_centroid(aspect, person, dense):
    np.testing.assert_allclose(log_evidence(aspect, observed(person)).item(), dense.log_evidence(), rtol=1e-7)


def test_the_mean_is_that_of_the_conditional_gaussian(ppca, aspect, person, dense):
    found = posterior_mean(ppca.model.geometry.prior, aspect, fit(aspect, observed(person)))
    np.testing.assert_allclose(found[0].flatten().numpy(), dense.posterior()[0], atol=1e-7)


def test_draws_have_mean_and_covariance_of_the_conditional_gaussian(ppca, aspect, person, dense):
    count = 40_000
    many = torch.zeros(count, dtype=torch.long)
    seen = observed(person)
    drawn = posterior_draws(
        ppca.model.geometry.prior,
        aspect[many],
        fit(aspect, seen)[many],
        seen[many],
        torch.Generator().manual_seed(0),
    )
    rows = drawn.flatten(1).numpy()
    mean, covariance = dense.posterior()
    deviation = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((rows.mean(0) - mean) / deviation, 0, atol=5 / np.sqrt(count))
    correlation = np.cov(rows.T) / np.outer(deviation, deviation)
    np.testing.assert_allclose(correlation, covariance / np.outer(deviation, deviation), atol=5 / np.sqrt(count))


def test_values_and_errors_of_unseen_keypoints_change_nothing(ppca, aspect, person):
    xy, seen, noise = person
    other = observed((torch.where(seen[:, None], xy, 77.0), seen, torch.where(seen[:, None, None], noise, 5.0)))
    first, second = fit(aspect, observed(person)), fit(aspect, other)
    assert torch.equal(first.residual, second.residual)
    assert torch.equal(log_evidence(aspect, observed(person)), log_evidence(aspect, other))


def test_moving_all_keypoints_changes_nothing_but_the_place(aspect, person):
    xy, seen, noise = person
    step = torch.tensor([0.7, -0.2], dtype=torch.float64)
    here, there = observed(person), observed((xy + step, seen, noise))
    torch.testing.assert_close(log_evidence(aspect, there), log_evidence(aspect, here))
    one, two = fit(aspect, here), fit(aspect, there)
    torch.testing.assert_close(two.residual, one.residual, atol=1e-4, rtol=0)  # of unseen ones, in units of 10^5
    places = [found.locate(seen.xy - found.scale[:, None] * aspect.mean) for found, seen in ((one, here), (two, there))]
    torch.testing.assert_close(places[1] - places[0], step[None], atol=1e-7, rtol=0)


def test_all_pairs_in_blocks_are_each_pair_alone(ppca, person, rng, monkeypatch):
    aspects = ppca.model.geometry.aspects[torch.arange(0, 96, 5)]
    _, seen, noise = person
    some = Observed.of(torch.from_numpy(rng.normal(size=(5, 13, 2))), seen.expand(5, 13), noise.expand(5, 13, 2, 2))
    pairs = torch.stack([log_evidence(aspects, some[row, None]) for row in range(5)])
    for size in (3, 20, 45, 1000):  # less than the aspects, all of one person, of two, of all people
        monkeypatch.setattr(inference, "_PAIRS", size)
        torch.testing.assert_close(log_evidence_of_all(aspects, some), pairs, atol=1e-9, rtol=0)
    assert log_evidence_of_all(aspects, some[:0]).shape == (0, 20)
