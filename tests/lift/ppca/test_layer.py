import pytest
import torch

from vipe.lift.condition import Condition
from vipe.lift.views import without_covariance


@pytest.fixture(scope="module")
def layer(ppca):
    return ppca.layer()


@pytest.fixture
def xy(people):
    return Condition.of(people).xy.double()


def jacobian(function, x):
    """By differences to either side; (outputs, inputs)."""
    step = 1e-5
    columns = []
    for place in range(x.numel()):
        move = torch.zeros(x.numel(), dtype=x.dtype)
        move[place] = step
        up, down = function(x + move.view(x.shape)), function(x - move.view(x.shape))
        columns.append((up - down).flatten() / (2 * step))
    return torch.stack(columns, 1)


def test_it_gives_the_pose_that_the_lifter_gives(layer, ppca, people):
    condition = without_covariance(Condition.of(people))
    pose, implied = layer(condition.xy, condition.seen)
    torch.testing.assert_close(pose, ppca.model.predict(condition), atol=1e-5, rtol=0)
    assert implied.shape == (12, 13, 2)
    known = Condition.of(people)
    pose, _ = layer(known.xy, known.seen, known.covariance)
    torch.testing.assert_close(pose, ppca.model.predict(known), atol=1e-5, rtol=0)


@pytest.mark.parametrize("output", [0, 1], ids=["pose", "implied keypoints"])
def test_its_gradient_is_that_of_differences(layer, xy, output):
    one = xy[:1]
    exact = torch.autograd.functional.jacobian(lambda x: layer(x)[output], one).flatten(2).flatten(0, -2).view(-1, 26)
    torch.testing.assert_close(exact, jacobian(lambda x: layer(x)[output], one), atol=1e-6, rtol=1e-5)


def test_implied_keypoints_change_by_a_symmetric_matrix_that_only_shrinks(layer, xy):
    for one in xy[:3]:
        matrix = torch.autograd.functional.jacobian(lambda x: layer(x[None])[1][0], one).view(26, 26)
        torch.testing.assert_close(matrix, matrix.mT, atol=1e-9, rtol=0)
        values = torch.linalg.eigvalsh(matrix)
        assert values.min() > -1e-9
        torch.testing.assert_close(values[-2:], torch.ones(2, dtype=torch.float64))
        assert values[-3] < 1 - 1e-4


def test_moving_all_keypoints_moves_what_is_implied(layer, xy):
    step = torch.tensor([0.3, -0.1], dtype=torch.float64)
    here, there = layer(xy), layer(xy + step)
    torch.testing.assert_close(there[0], here[0])
    torch.testing.assert_close(there[1], here[1] + step)


def test_an_unseen_keypoint_has_no_gradient_and_is_implied_by_the_rest(layer, xy):
    seen = torch.ones(len(xy), 13, dtype=torch.bool)
    seen[:, 5] = False
    given = xy.clone().requires_grad_()
    pose, implied = layer(given, seen)
    (pose.square().sum() + implied.square().sum()).backward()
    assert not given.grad[:, 5].any()
    assert given.grad[:, :5].abs().sum() > 1
    assert (implied[:, 5] != 0).all()
