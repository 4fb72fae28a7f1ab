import numpy as np
import pytest
import torch

from vipe.errors import ShapeError
from vipe.retrieve.candidates import scan as module
from vipe.retrieve.candidates.scan import PreparedGallery, affine_residual, scan


def residual_by_least_squares(points, xy):
    """Slow twin: one camera and shift at a time."""
    design = np.concatenate([points, np.ones((len(points), 1))], axis=1).astype(np.float64)
    solution = np.linalg.lstsq(design, xy, rcond=None)[0]
    return np.linalg.norm(design @ solution - xy) / np.linalg.norm(xy - xy.mean(0))


@pytest.fixture
def gallery(standing, generator):
    return torch.from_numpy(standing) + 0.1 * torch.randn(70, 17, 3, generator=generator)


@pytest.mark.parametrize("seen", range(6, 14))
def test_residual_is_that_of_the_best_affine_camera_over_the_seen_joints(gallery, generator, seen):
    joints = torch.randperm(17, generator=generator)[:seen]
    xy = 100 * torch.randn(5, seen, 2, generator=generator) + 400
    residual = affine_residual(gallery[:, joints], xy)
    slow = [[residual_by_least_squares(p.numpy(), q.numpy()) for p in gallery[:, joints]] for q in xy]
    np.testing.assert_allclose(residual, slow, atol=1e-4)


def test_four_joints_fit_every_pose_and_five_do_not(gallery, generator):
    xy = torch.randn(3, 5, 2, generator=generator)
    assert affine_residual(gallery[:, 1:5], xy[:, 1:]).max() < 1e-4
    assert affine_residual(gallery[:, 1:6], xy).median() > 0.05


@pytest.mark.parametrize("people", [1, 6, 9, 140], ids="{} people".format)
@pytest.mark.parametrize("tile", [16, 8192], ids=["in tiles", "at once"])
@pytest.mark.parametrize("prepared", [False, True], ids=["tensor", "prepared"])
@pytest.mark.parametrize("some", [False, True], ids=["all rows", "some rows"])
def test_scan_is_the_direct_computation_sorted(gallery, generator, monkeypatch, people, tile, prepared, some):
    monkeypatch.setattr(module, "_TILE", tile)
    joints = torch.tensor([1, 4, 9, 11, 12, 13, 14, 16])
    xy = torch.randn(people, 8, 2, generator=generator)
    rows = torch.arange(69, 3, -2) if some else None
    found, residual = scan(PreparedGallery.prepare(gallery) if prepared else gallery, joints, xy, 10, rows)
    chosen = torch.arange(70) if rows is None else rows
    direct = affine_residual(gallery[chosen][:, joints], xy)
    expected, place = direct.sort(dim=1)
    torch.testing.assert_close(residual, expected[:, :10], atol=1e-6, rtol=0)
    # Two poses may differ by less than float32 rounding of what the gallery holds.
    assert (found == chosen[place[:, :10]]).float().mean() > 0.995


def test_equal_poses_come_in_the_order_of_their_rows(gallery, generator):
    twice = gallery[:5].repeat(4, 1, 1)
    found, _ = scan(twice, torch.arange(13), torch.randn(2, 13, 2, generator=generator), 20)
    for row in found.view(2, 5, 4):
        assert (row.diff(dim=1) > 0).all()


def test_of_more_equal_poses_than_asked_for_the_first_rows_come(gallery, generator):
    same = gallery[:1].repeat(500, 1, 1)
    found, _ = scan(same, torch.arange(13), torch.randn(9, 13, 2, generator=generator), 7)
    assert torch.equal(found, torch.arange(7).expand(9, 7))


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


def test_seen_joints_in_a_plane_of_a_body_that_is_not(gallery, generator):
    joints = torch.arange(8)
    body = gallery.clone()
    body[:, joints, 0] = 0
    xy = torch.randn(10, 8, 2, generator=generator)
    found, residual = scan(PreparedGallery.prepare(body), joints, xy, 12)
    slow, place = affine_residual(body[:, joints], xy).sort(dim=1)
    torch.testing.assert_close(residual, slow[:, :12], atol=1e-5, rtol=0)
    assert torch.equal(found, place[:, :12])


def test_a_noise_free_view_is_found_and_leaves_nothing(gallery, generator):
    joints = torch.tensor([0, 2, 3, 5, 8, 9, 12, 15])
    xy = gallery[:20, joints] @ (100 * torch.randn(20, 3, 2, generator=generator)) + 300
    found, residual = scan(PreparedGallery.prepare(gallery), joints, xy, 1)
    assert torch.equal(found[:, 0], torch.arange(20))
    assert residual.max() < 1e-4


@pytest.mark.parametrize("missing", [0, 3, 7])
def test_batches_give_what_single_queries_give(gallery, generator, missing):
    many = gallery.repeat(30, 1, 1)[:, :13] + 0.05 * torch.randn(2100, 13, 3, generator=generator)
    ready = PreparedGallery.prepare(many)
    joints = torch.randperm(13, generator=generator)[missing:]
    xy = many[:150, joints] @ torch.randn(150, 3, 2, generator=generator)
    xy += 0.05 * torch.randn(xy.shape, generator=generator)
    found, residual = scan(ready, joints, xy, 20)
    for person in range(0, 150, 10):
        alone, left = scan(ready, joints, xy[person : person + 1], 20)
        assert torch.equal(alone[0], found[person])
        torch.testing.assert_close(left[0], residual[person], atol=1e-6, rtol=0)


def test_either_matrix_product_gives_the_same_answer(gallery, generator, monkeypatch):
    joints = torch.tensor([12, 3, 4, 5, 8, 9, 1, 2])
    xy = torch.randn(20, 8, 2, generator=generator)
    fast = scan(gallery, joints, xy, 10)
    monkeypatch.setattr(module, "_ONEDNN", None)
    for here, there in zip(fast, scan(gallery, joints, xy, 10), strict=True):
        assert torch.equal(here, there)


@pytest.mark.parametrize("thin", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("people", [1, 30])
def test_single_precision_stays_within_a_quarter_of_its_margin(gallery, generator, thin, people):
    body = gallery.repeat(60, 1, 1)[:, :13] + 0.1 * torch.randn(4200, 13, 3, generator=generator)
    joints = torch.tensor([0, 1, 2, 5, 7, 8])
    body[:, joints, 0] *= thin
    xy = torch.randn(people, 6, 2, generator=generator, dtype=torch.float64)
    ready = PreparedGallery.prepare(body)
    unit = module._unit(xy)
    scanner = module._Scanner(ready, joints, unit.float())
    highest = torch.empty(people, ready.tiles.shape[-1])

    class Everything(module._BestSoFar):
        def offer(self, chunk, values, margin, start):
            highest[chunk] = values - margin

    scanner.look(ready.tiles[0], None, 0, Everything(1, torch.zeros(people)))
    exact = 1 - affine_residual(ready.at(torch.arange(4200))[:, joints], xy).square()
    error = (highest[:, :4200] - exact).abs().amax(0)
    margin = scanner.margin[:4200]
    assert (error <= margin).all()
    assert (error <= margin / 4)[margin < 0.05].all()


@pytest.mark.refusal
def test_refuses_poses_of_another_shape():
    with pytest.raises(ShapeError, match=r"poses must be \(N, J, 3\), got shape \(5, 39\)"):
        PreparedGallery.prepare(torch.zeros(5, 39))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_runs_where_the_gallery_lies(gallery, generator):
    xy, joints = torch.randn(2, 13, 2, generator=generator), torch.arange(13)
    found, residual = scan(gallery.cuda(), joints.cuda(), xy.cuda(), 5)
    expected, there = scan(gallery, joints, xy, 5)
    assert torch.equal(found.cpu(), expected)
    torch.testing.assert_close(residual.cpu(), there, atol=1e-4, rtol=0)


def test_chosen_joints_are_prepared_as_their_selection_is(generator):
    poses = torch.randn(40, 17, 3, generator=generator)
    chosen = PreparedGallery.prepare(poses, [3, 0, 16, 5])
    assert torch.equal(chosen.tiles, PreparedGallery.prepare(poses[:, [3, 0, 16, 5]]).tiles)
