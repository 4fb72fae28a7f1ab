"""Bones: vectors and back, lengths, other lengths."""

import pytest
import torch

from vipe.errors import ShapeError
from vipe.geometry import bone_lengths, bone_vectors, from_bone_vectors, with_bone_lengths
from vipe.skeletons import load

PARENTS = load("h36m17").parents


@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_vectors_lead_back_to_the_joints(batch, people):
    poses = people(*batch)
    vectors = bone_vectors(poses, PARENTS)
    assert vectors.shape == (*batch, 16, 3)
    torch.testing.assert_close(from_bone_vectors(vectors, PARENTS, poses[..., 0, :]), poses)


def test_new_lengths_are_taken_and_directions_kept(people, generator):
    poses = people(20)
    lengths = torch.rand(16, generator=generator, dtype=torch.float64) + 0.1
    changed = with_bone_lengths(poses, lengths, PARENTS)
    torch.testing.assert_close(bone_lengths(changed, PARENTS), lengths.expand(20, 16))
    torch.testing.assert_close(changed[:, 0], poses[:, 0])
    torch.testing.assert_close(with_bone_lengths(changed, bone_lengths(poses, PARENTS), PARENTS), poses)


def test_a_chain_in_closed_form():
    pose = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 3.0], [4.0, 0.0, 3.0]])
    assert bone_lengths(pose, (-1, 0, 1)).tolist() == [2, 4]
    found = with_bone_lengths(pose, torch.tensor([1.0, 1.0]), (-1, 0, 1))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0], [1.0, 0.0, 2.0]]))


def test_a_bone_without_direction_gets_no_length_and_a_finite_gradient():
    pose = torch.zeros(3, 3).requires_grad_()
    found = with_bone_lengths(pose, torch.tensor([1.0, 1.0]), (-1, 0, 1))
    assert not found.any()
    (found.sum() + bone_lengths(pose, (-1, 0, 1)).sum()).backward()
    assert pose.grad.isfinite().all()


@pytest.mark.refusal
def test_refuses_what_does_not_fit_the_parents():
    with pytest.raises(ShapeError, match=r"end in \(17, 3\), got shape \(16, 3\)"):
        bone_vectors(torch.zeros(16, 3), PARENTS)
    with pytest.raises(ShapeError, match=r"end in \(16, 3\), got shape \(17, 3\)"):
        from_bone_vectors(torch.zeros(17, 3), PARENTS)
    with pytest.raises(ShapeError, match=r"lengths must end in \(16,\)"):
        with_bone_lengths(torch.zeros(17, 3), torch.zeros(17), PARENTS)
