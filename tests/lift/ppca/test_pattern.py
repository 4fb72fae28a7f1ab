import pytest
import torch

from vipe.lift.condition import Condition
from vipe.lift.network import JOINTS
from vipe.lift.ppca import pattern
from vipe.lift.ppca.inference import fit, log_evidence_of_all, posterior_mean
from vipe.lift.ppca.pattern import PatternMaps
from vipe.lift.views import without_covariance

ALL, SOME = [True] * 13, [True] * 4 + [False] + [True] * 3 + [False] * 2 + [True] * 3


@pytest.fixture(params=[ALL, SOME], ids=["all seen", "three missing"])
def condition(request, people):
    """People of one pattern, errors unknown."""
    one = without_covariance(Condition.of(people))
    seen = torch.tensor(request.param).expand(len(one), 13)
    xy = torch.randn(len(one), 13, 2, generator=torch.Generator().manual_seed(3)) * seen[..., None]
    return Condition(xy, seen, one.covariance, one.known)


def maps_for(model, condition):
    geometry = model.geometry
    variance = model.config.nominal_noise**2 + model.config.misfit**2
    return PatternMaps.of(geometry.prior, geometry.aspects, condition.seen[0], variance)


def test_evidence_by_maps_is_that_of_each_person_alone(ppca, condition, monkeypatch):
    expected = log_evidence_of_all(ppca.model.geometry.aspects, ppca.model.observe(condition))
    found = maps_for(ppca.model, condition).log_evidence(condition.xy)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=1e-6)  # random keypoints: up to 10^4 nats
    monkeypatch.setattr(pattern, "_NUMBERS", 3000)
    monkeypatch.setattr(pattern, "_ASPECTS", 20)
    torch.testing.assert_close(maps_for(ppca.model, condition).log_evidence(condition.xy), found, atol=0.02, rtol=1e-6)


def test_poses_by_maps_are_those_of_each_person_alone(ppca, condition):
    model = ppca.model
    chosen = torch.arange(len(condition)) * 7
    aspects = model.geometry.aspects[chosen]
    expected = posterior_mean(model.geometry.prior, aspects, fit(aspects, model.observe(condition)))
    found = maps_for(model, condition).mean(condition.xy, chosen)
    assert found.shape == (len(condition), JOINTS - 1, 3)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_many_who_share_a_pattern_get_the_poses_that_each_gets_alone(ppca, people):
    fresh = ppca.adjusted()
    condition = without_covariance(Condition.of(people))
    seen = torch.ones_like(condition.seen)
    seen[:, 4] = False
    seen[:2, 7] = False  # two of another pattern: no maps are made for them
    condition = Condition(condition.xy, seen, condition.covariance, condition.known)
    together = fresh.model.predict(condition)
    assert len(fresh.model._maps) == 1
    alone = ppca.adjusted().model
    torch.testing.assert_close(
        together, torch.cat([alone.predict(condition[i : i + 1]) for i in range(12)]), atol=1e-5, rtol=0
    )
    assert not alone._maps


def test_only_the_last_few_patterns_are_kept(ppca, monkeypatch):
    monkeypatch.setattr("vipe.lift.ppca.network._KEPT", 2 * 2 * 2 * 3)  # aspects of two patterns
    model = ppca.adjusted(angles=3).model
    codes = [2**13 - 1 - 2**joint for joint in range(4)]
    first = model._maps_of(codes[0])
    for code in (codes[1], codes[0], codes[2]):
        model._maps_of(code)
    assert list(model._maps) == [codes[0], codes[2]]
    assert model._maps_of(codes[0]) is first
