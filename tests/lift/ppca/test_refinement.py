import pytest
import torch

from vipe.lift.condition import Condition
from vipe.lift.ppca.inference import log_evidence
from vipe.lift.ppca.refinement import refined


@pytest.fixture(scope="module")
def coarse(ppca):
    return ppca.adjusted(angles=20, refine=True).model


def best(model, condition):
    """The greatest evidence, prior included, that the network's own choice reaches."""
    observed, aspects = model.observe(condition), model.best(condition)
    return model.geometry.prior.log_weight[aspects.component] + log_evidence(aspects, observed)


def test_twenty_angles_and_a_search_find_what_a_fine_grid_finds(ppca, coarse, people):
    condition = Condition.of(people)
    fine = ppca.adjusted(angles=2000).model
    assert (best(coarse, condition) >= best(fine, condition) - 1e-6).all()
    torch.testing.assert_close(coarse.predict(condition), fine.predict(condition), atol=5e-3, rtol=0)


def test_the_search_never_ends_below_the_grid(ppca, coarse, people):
    condition = Condition.of(people)
    grid = ppca.adjusted(angles=20).model
    gain = best(coarse, condition) - best(grid, condition)
    assert (gain >= 0).all()
    assert gain.max() > 0.1


def test_where_no_heading_is_better_that_of_the_grid_stays(coarse, people):
    model, condition = coarse, Condition.of(people[:2])
    geometry = model.geometry
    flat = torch.full((2, len(geometry.aspects)), -torch.inf, dtype=torch.float64)
    flat[0, 31], flat[1, 65] = 0.0, 0.0
    found = refined(geometry.prior, geometry.views, flat, model.observe(condition))
    assert found.component.tolist() == [0, 1]
    turn = (found.rotation @ geometry.aspects.rotation[[31, 65]].mT).diagonal(dim1=1, dim2=2).sum(1)
    assert (turn > 1 + 2 * torch.cos(torch.tensor(2 * torch.pi / 20)) - 1e-9).all()  # no more than a step away
