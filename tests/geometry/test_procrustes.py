"""Similarity alignment: closed form against SVD, and what the distance does not see."""

import pytest
import torch

from vipe.errors import ShapeError
from vipe.geometry import align, kabsch, procrustes_mpjpe, random_rotation
from vipe.geometry import procrustes as module


def by_svd(source, target):
    """The textbook form (Umeyama 1991)."""
    center, goal = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    a, b = source - center, target - goal
    rotation = kabsch(a, b)
    scale = (rotation * (b.mT @ a)).sum((-2, -1)) / a.square().sum((-2, -1))
    shift = goal[..., 0, :] - scale[..., None] * (center @ rotation.mT)[..., 0, :]
    moved = scale[..., None, None] * (source @ rotation.mT) + shift[..., None, :]
    return scale, rotation, shift, (moved - target).norm(dim=-1).mean(-1)


def pairs(generator, dtype):
    """Alike, unlike, mirrored, flat."""
    a, b = torch.randn(2, 1000, 17, 3, generator=generator, dtype=torch.float64)
    near = 3 * (a @ random_rotation(1000, generator=generator).mT) + 0.1 * b + 5
    mirrored = b * torch.tensor([-1.0, 1.0, 1.0]) + 0.2 * a
    flat = a * torch.tensor([1.0, 1.0, 0.0])
    return torch.cat([a, a, b, flat]).to(dtype), torch.cat([near, b, mirrored, b]).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 2e-4)])
def test_agrees_with_the_svd(dtype, tolerance, generator):
    source, target = pairs(generator, dtype)
    *expected, distance = by_svd(source, target)
    for found, wanted in zip(align(source, target), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(procrustes_mpjpe(source, target), distance, atol=tolerance, rtol=tolerance)


def test_float32_distances_agree_with_float64_to_1e_5(generator, people):
    source, target = people(500), people(500)
    found = procrustes_mpjpe(source.float(), target.float())
    torch.testing.assert_close(found.double(), procrustes_mpjpe(source, target), atol=1e-5, rtol=0)


def test_agrees_with_roma(generator):
    roma = pytest.importorskip("roma")
    source, target = torch.randn(2, 100, 17, 3, generator=generator, dtype=torch.float64)
    rotation, shift, scale = roma.rigid_points_registration(source, target, compute_scaling=True)
    for found, wanted in zip(align(source, target), (scale, rotation, shift), strict=True):
        torch.testing.assert_close(found, wanted)


def test_recovers_what_was_applied(generator, people):
    source = people(2, 3)
    rotation = random_rotation(2, 3, generator=generator)
    scale = torch.rand(2, 3, generator=generator, dtype=torch.float64) + 0.5
    shift = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    target = scale[..., None, None] * (source @ rotation.mT) + shift[..., None, :]
    for found, wanted in zip(align(source, target), (scale, rotation, shift), strict=True):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(
        procrustes_mpjpe(source, target), torch.zeros(2, 3, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_the_distance_sees_neither_place_nor_turn_nor_size_of_the_source(generator, people):
    source, target = people(50), people(50)
    moved = 3 * (source @ random_rotation(50, generator=generator).mT) - 2
    torch.testing.assert_close(procrustes_mpjpe(moved, target), procrustes_mpjpe(source, target))


def test_the_distance_is_in_the_unit_of_the_target(people):
    source, target = people(50), people(50)
    torch.testing.assert_close(procrustes_mpjpe(source, 1000 * target), 1000 * procrustes_mpjpe(source, target))


def test_a_mirrored_pose_is_not_the_pose(people):
    poses = people(50)
    mirrored = poses * torch.tensor([-1.0, 1.0, 1.0])
    assert (procrustes_mpjpe(mirrored, poses) > 0.01).all()
    assert (torch.linalg.det(align(mirrored, poses)[1]) > 0.999).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_pairs_have_a_finite_answer(dtype, generator):
    pose = torch.randn(17, 3, generator=generator, dtype=dtype)
    point, line = torch.ones(17, 3, dtype=dtype), pose[:, :1] * torch.ones(3, dtype=dtype)
    rows = [pose, point, line, torch.zeros_like(pose), pose * 1e-30]
    source = torch.stack([a for a in rows for _ in rows]).requires_grad_()
    target = torch.stack([b for _ in rows for b in rows])
    scale, rotation, shift = align(source, target)
    distance = procrustes_mpjpe(source, target)
    for value in (scale, rotation, shift, distance):
        assert value.isfinite().all()
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=dtype).expand(25, 3, 3), atol=1e-5, rtol=0)
    (scale.sum() + rotation.sum() + distance.sum()).backward()
    assert source.grad.isfinite().all()


def test_what_a_point_is_aligned_to(generator):
    pose, point = torch.randn(17, 3, generator=generator, dtype=torch.float64), torch.ones(17, 3, dtype=torch.float64)
    scale, rotation, _ = align(point, pose)
    assert scale == 1
    torch.testing.assert_close(rotation, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(procrustes_mpjpe(point, pose), (pose - pose.mean(0)).norm(dim=-1).mean())
    assert align(pose, point)[0] == 0
    assert procrustes_mpjpe(pose, point) == 0


def test_gradients_are_right(generator):
    source, target = torch.randn(2, 3, 6, 3, generator=generator, dtype=torch.float64)
    target[2] = source[2] * torch.tensor([-1.0, 1.0, 1.0])
    inputs = source.requires_grad_(), target.requires_grad_()
    assert torch.autograd.gradcheck(align, inputs, atol=1e-5)
    assert torch.autograd.gradcheck(procrustes_mpjpe, inputs, atol=1e-5)


@pytest.mark.parametrize(
    "shapes", [((7, 1), (1, 40)), ((7, 1), (40,)), ((), (100,)), ((3, 4, 1), (5,)), ((30,), (30,)), ((1, 2), (9, 1))]
)
def test_blocks_broadcast_as_one_call_does(shapes, generator, monkeypatch):
    source, target = (torch.randn(*shape, 17, 3, generator=generator) for shape in shapes)
    whole = procrustes_mpjpe(source, target)
    monkeypatch.setattr(module, "BLOCK", 16)
    parts = procrustes_mpjpe(source, target)
    assert parts.shape == torch.broadcast_shapes(*shapes)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)


def test_a_weight_counts_a_joint_so_many_times(generator, people):
    source, target = people(20), people(20)
    weight = torch.tensor([1.0, 2.0, 0.0, 3.0] + [1.0] * 13, dtype=torch.float64)
    repeated = torch.repeat_interleave(torch.arange(17), weight.long())
    torch.testing.assert_close(
        procrustes_mpjpe(source, target, weight), procrustes_mpjpe(source[:, repeated], target[:, repeated])
    )
    torch.testing.assert_close(procrustes_mpjpe(source, target, 7 * weight), procrustes_mpjpe(source, target, weight))
    torch.testing.assert_close(procrustes_mpjpe(source, target, torch.ones(17)), procrustes_mpjpe(source, target))


def test_weights_hold_in_every_block(people, monkeypatch):
    source, target = people(5, 1), people(1, 7)
    weight = torch.rand(17, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    whole = procrustes_mpjpe(source, target, weight)
    monkeypatch.setattr(module, "BLOCK", 3)
    torch.testing.assert_close(procrustes_mpjpe(source, target, weight), whole)


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(16), r"17 finite numbers.*\(16,\)"),
        (torch.full((17,), torch.nan), "finite"),
        (-torch.ones(17), "at least 0"),
        (torch.zeros(17), "0 for every joint"),
    ],
)
def test_refuses_what_are_no_weights(weight, message):
    with pytest.raises(ShapeError, match=message):
        procrustes_mpjpe(torch.ones(1, 17, 3), torch.ones(1, 17, 3), weight)


def test_no_pair_has_no_distance():
    assert procrustes_mpjpe(torch.zeros(0, 17, 3), torch.zeros(17, 3)).shape == (0,)
    assert [part.shape for part in align(torch.zeros(0, 17, 3), torch.zeros(17, 3))] == [(0,), (0, 3, 3), (0, 3)]


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [((17, 3), (16, 3), "one"), ((17, 2), (17, 2), "one"), ((3,), (3,), "one"), ((2, 17, 3), (3, 17, 3), "broadcast")],
)
def test_refuses_shapes_that_do_not_fit(source, target, message):
    with pytest.raises(ShapeError, match=message):
        procrustes_mpjpe(torch.zeros(source), torch.zeros(target))
    with pytest.raises(ShapeError, match=message):
        align(torch.zeros(source), torch.zeros(target))


def test_a_body_that_is_almost_a_line_still_has_a_gradient_and_only_a_line_has_none(generator):
    along, across = torch.randn(2, 17, 3, generator=generator, dtype=torch.float64)
    line = along[:, :1] * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    for width, turns in ((0.03, True), (1e-5, False)):  # the gap between two rotations that fit is its square
        source = (line + width * across).requires_grad_()
        align(source, line + width * across)[1][1, 2].backward()
        assert bool(source.grad.abs().max() > 0) == turns
