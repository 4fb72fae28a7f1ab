import numpy as np
import pytest
import torch

from vipe.retrieve import scan as module
from vipe.retrieve.scan import affine_residual, scan


def residual_by_least_squares(points, xy):
    """Slow twin: one camera and shift at a time."""
    design = np.concatenate([points, np.ones((len(points), 1))], axis=1).astype(np.float64)
    solution = np.linalg.lstsq(design, xy, rcond=None)[0]
    return np.linalg.norm(design @ solution - xy) / np.linalg.norm(xy - xy.mean(0))


@pytest.fixture
def gallery(standing, generator):
    return torch.from_numpy(standing) + 0.1 * torch.randn(70, 17, 3, generator=generator)


@pytest.mark.parametrize("seen", [6, 9, 13])
def test_residual_is_that_of_the_best_affine_camera_over_the_seen_joints(gallery, generator, seen):
    joints = torch.randperm(17, generator=generator)[:seen]
    xy = 100 * torch.randn(5, seen, 2, generator=generator) + 400
    residual = affine_residual(gallery[:, joints], xy)
    slow = [[residual_by_least_squares(p.numpy(), q.numpy()) for p in gallery[:, joints]] for q in xy]
    np.testing.assert_allclose(residual, slow, atol=1e-4)


def test_four_joints_fit_every_pose_and_five_do_not(gallery, generator):
    xy = torch.randn(3, 5, 2, generator=generator)
    assert affine_residual(gallery[:, 1:5], xy[:, 1:]).max() < 2e-3
    assert affine_residual(gallery[:, 1:6], xy).median() > 0.05


@pytest.mark.parametrize("block", [16, 8192], ids=["in blocks", "at once"])
@pytest.mark.parametrize("some", [False, True], ids=["all rows", "some rows"])
def test_scan_is_the_direct_computation_sorted(gallery, generator, monkeypatch, block, some):
    monkeypatch.setattr(module, "_BLOCK", block)
    joints = torch.tensor([1, 4, 9, 11, 12, 13, 14, 16])
    xy = torch.randn(6, 8, 2, generator=generator)
    rows = torch.arange(3, 70, 2) if some else None
    found, residual = scan(gallery, joints, xy, 10, rows)
    chosen = torch.arange(70) if rows is None else rows
    direct = affine_residual(gallery[chosen][:, joints], xy)
    expected, place = direct.sort(dim=1)
    torch.testing.assert_close(residual, expected[:, :10], atol=1e-6, rtol=0)
    assert torch.equal(found, chosen[place[:, :10]])


def test_equal_poses_come_in_the_order_of_their_rows(gallery, generator):
    twice = gallery[:5].repeat(4, 1, 1)
    found, _ = scan(twice, torch.arange(13), torch.randn(2, 13, 2, generator=generator), 20)
    for row in found.view(2, 5, 4):
        assert (row.diff(dim=1) > 0).all()


def test_k_above_the_number_of_rows_gives_them_all(gallery, generator):
    xy = torch.randn(2, 13, 2, generator=generator)
    found, residual = scan(gallery, torch.arange(13), xy, 1000)
    assert found.shape == residual.shape == (2, 70)
    none, _ = scan(gallery, torch.arange(13), xy, 5, torch.empty(0, dtype=torch.int64))
    assert none.shape == (2, 0)


def test_flat_poses_do_no_harm(gallery, generator):
    flat = gallery.clone()
    flat[::2, :, 0] = 0
    flat[0] = 0
    xy = torch.randn(3, 13, 2, generator=generator)
    residual = affine_residual(flat[:, :13], xy)
    assert torch.isfinite(residual).all()
    torch.testing.assert_close(residual[:, 0], torch.ones(3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_runs_where_the_gallery_lies(gallery, generator):
    xy, joints = torch.randn(2, 13, 2, generator=generator), torch.arange(13)
    found, residual = scan(gallery.cuda(), joints.cuda(), xy.cuda(), 5)
    expected, there = scan(gallery, joints, xy, 5)
    assert torch.equal(found.cpu(), expected)
    torch.testing.assert_close(residual.cpu(), there, atol=1e-4, rtol=0)
