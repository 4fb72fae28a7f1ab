"""Every lifter on another device than the CPU, which stands in for a GPU, proposes what it proposes on the CPU."""

import numpy as np
import pytest
import torch
from other_device import DEVICES, other_device

from vipe.errors import VipeError
from vipe.lift import Lifter
from vipe.training.draws import Draws


@pytest.fixture(params=DEVICES)
def place(request):
    yield from other_device(request)


@pytest.fixture
def there(lifter, tmp_path, place):
    """The same lifter, loaded on the device."""
    lifter.save(tmp_path / "model")
    loaded = Lifter.from_pretrained(tmp_path / "model", device=place.name)
    assert {tensor.device.type for tensor in loaded.model.state_dict().values()} == {place.name}
    place.forget()
    return loaded


def close(mine, its):
    np.testing.assert_allclose(its, mine, atol=2e-5, rtol=2e-4)


def test_a_generator_of_the_cpu_draws_the_same_hypotheses_wherever_a_lifter_runs(lifter, there, people, place):
    mine, its = (one.sample(people, 7, torch.Generator().manual_seed(5)) for one in (lifter, there))
    close(mine.poses, its.poses)
    close(mine.log_weight, its.log_weight)
    if mine.log_density is not None:
        np.testing.assert_allclose(its.log_density, mine.log_density, atol=2e-2)
    assert place.worked()


def test_single_poses(lifter, there, people, place):
    close(lifter.predict(people), there.predict(people))
    assert place.worked()


def test_densities(lifter, there, people, place):
    poses = lifter.sample(people, 3, torch.Generator().manual_seed(5)).poses
    if not lifter.has_density:
        pytest.skip("has no density")
    np.testing.assert_allclose(there.log_prob(people, poses), lifter.log_prob(people, poses), atol=2e-2)
    assert place.worked()


def test_kernels(lifter, there, people):
    try:
        mine = lifter.kernels(people)
    except VipeError:
        pytest.skip("is no mixture of a few kernels")
    close(mine.poses, there.kernels(people).poses)


def test_draws_are_made_where_the_generator_is_and_moved(place):
    like, seed = torch.zeros(2, device=place.name), lambda: torch.Generator().manual_seed(3)
    here, far = Draws(torch.zeros(2), seed()), Draws(like, seed())
    weight = torch.tensor([[0.2, 0.8], [1.0, 0.0]])
    for mine, its in (
        (here.normal(4, 3), far.normal(4, 3)),
        (here.uniform(5, low=2, high=3), far.uniform(5, low=2, high=3)),
        (here.integers(9, 6), far.integers(9, 6)),
        (here.choices(weight, 5), far.choices(weight.to(place.name), 5)),
        (here.turns(0.3, 4), far.turns(0.3, 4)),
    ):
        assert (mine.device.type, its.device.type) == ("cpu", place.name)
        torch.testing.assert_close(its.cpu(), mine)
