"""Kabsch: recovers rotations, never reflects."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vipe.errors import ShapeError
from vipe.geometry import kabsch, random_rotation
from vipe.geometry.kabsch import nearest_rotation

BATCHES = pytest.mark.parametrize("batch", [(), (4,), (2, 3)], ids=["one pose", "a clip", "clips"])


@BATCHES
def test_recovers_the_rotation_that_was_applied(batch, generator):
    points = torch.randn(*batch, 17, 3, dtype=torch.float64, generator=generator)
    rotation = random_rotation(*batch, generator=generator)
    torch.testing.assert_close(kabsch(points, points @ rotation.mT), rotation)


def test_agrees_with_scipy_where_no_rotation_fits_exactly(generator):
    source, target = torch.randn(2, 50, 9, 3, dtype=torch.float64, generator=generator)
    expected = [
        Rotation.align_vectors(b, a)[0].as_matrix() for a, b in zip(source.numpy(), target.numpy(), strict=True)
    ]
    np.testing.assert_allclose(kabsch(source, target).numpy(), expected, atol=1e-9)


def test_never_reflects(generator):
    points = torch.randn(20, 17, 3, dtype=torch.float64, generator=generator)
    mirrored = points * torch.tensor([1.0, -1.0, 1.0])
    torch.testing.assert_close(torch.linalg.det(kabsch(points, mirrored)), torch.ones(20, dtype=torch.float64))


@pytest.mark.parametrize(
    "matrix", [torch.zeros(3, 3), torch.diag(torch.tensor([2.0, 0.0, 0.0])), -torch.eye(3)], ids=["zero", "line", "tie"]
)
def test_answers_with_a_rotation_where_none_is_best(matrix):
    rotation = nearest_rotation(matrix)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3))
    assert torch.linalg.det(rotation) > 0


def test_half_precision_is_computed_in_float32(generator):
    points = torch.randn(17, 3, generator=generator).half()
    rotation = random_rotation(generator=generator, dtype=torch.float32)
    found = kabsch(points, (points.float() @ rotation.mT).half())
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), rotation, atol=2e-3, rtol=0)


def test_no_pose_gives_no_rotation():
    assert kabsch(torch.zeros(0, 3, 3), torch.zeros(0, 3, 3)).shape == (0, 3, 3)


@pytest.mark.refusal
def test_refuses_sets_of_different_shape():
    with pytest.raises(ShapeError, match=r"one shape, got \(4, 3\) and \(5, 3\)"):
        kabsch(torch.zeros(4, 3), torch.zeros(5, 3))
