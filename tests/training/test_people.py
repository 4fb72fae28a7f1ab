import pytest
import torch

from vipe.geometry.canonical import REFERENCE_LENGTHS, canonicalize
from vipe.training.people import People


@pytest.fixture
def recorded(poses):
    return torch.from_numpy(poses)


def test_the_universal_skeleton_keeps_place_rotation_pose_and_torso(recorded):
    people = People.of(recorded, 0.5)
    own, universal = canonicalize(recorded), canonicalize(people.universal)
    torch.testing.assert_close(universal.poses, own.poses, atol=1e-4, rtol=0)
    torch.testing.assert_close(universal.rotation, own.rotation, atol=1e-4, rtol=0)
    torch.testing.assert_close(universal.root, own.root)
    torch.testing.assert_close(
        universal.lengths, own.scale[:, None] * torch.tensor(REFERENCE_LENGTHS), atol=1e-4, rtol=0
    )
    assert (people.universal - recorded).abs().max() > 1e-3


@pytest.mark.parametrize(("share", "own"), [(0.0, 9), (0.25, 7), (0.5, 4), (1.0, 0)])
def test_the_end_of_a_batch_is_on_the_universal_skeleton(recorded, share, own):
    people, rows = People.of(recorded, share), torch.tensor([5, 3, 3, 40, 12, 0, 7, 5, 59])
    batch = people.batch(rows)
    assert torch.equal(batch[:own], recorded[rows[:own]])
    assert torch.equal(batch[own:], People.of(recorded, 1.0).universal[rows[own:]])


def test_without_a_share_poses_need_no_canonical_form(recorded):
    recorded[3] = 0.0
    assert torch.equal(People.of(recorded, 0.0).batch(torch.arange(60)), recorded)
