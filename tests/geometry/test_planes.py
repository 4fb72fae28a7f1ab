"""Planes and blocks: the same numbers in another order, every row once."""

import pytest
import torch

from vipe.geometry.planes import dot, from_planes, in_blocks, rotate, to_planes


@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_there_and_back(batch, generator):
    points = torch.randn(*batch, 17, 3, generator=generator)
    planes = to_planes(points)
    assert planes.is_contiguous()
    assert torch.equal(from_planes(planes, torch.Size(batch)), points)


def test_dot_and_rotate_are_what_they_are_on_poses(generator):
    a, b = torch.randn(2, 5, 17, 3, generator=generator, dtype=torch.float64)
    matrix = torch.randn(5, 3, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(dot(to_planes(a), to_planes(b)), (a * b).sum(-1).T)
    torch.testing.assert_close(rotate(to_planes(matrix), to_planes(a)), to_planes(a @ matrix.mT))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 100])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_row_once_without_gradients_and_threads_as_before(count, threads):
    before = torch.get_num_threads()
    seen = torch.zeros(count)

    def work(rows):
        assert not torch.is_grad_enabled()
        seen[rows] += 1

    try:
        torch.set_num_threads(threads)
        in_blocks(work, count, 8)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert (seen == 1).all()


def test_an_error_in_a_block_comes_out():
    def work(rows):
        if rows.start == 16:
            raise ArithmeticError("block 2")

    with pytest.raises(ArithmeticError, match="block 2"):
        in_blocks(work, 100, 8)
