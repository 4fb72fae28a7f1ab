from dataclasses import replace

import pytest
import torch

from vipe.embed.validation import hit_at_1, two_views, validation_generator
from vipe.geometry import canonicalize
from vipe.training.views import ViewConfig

CPU = torch.device("cpu")


def test_views_that_validate_are_from_anywhere_and_show_every_joint_to_every_training_alike(poses):
    recorded = torch.from_numpy(poses[:1]).expand(60, 17, 3)
    views = ViewConfig(missing_share=1.0, random_share=0.0, noise=(0.2, 0.3))
    (one, seen), (other, _) = two_views(recorded, views, 0.0, validation_generator(CPU))
    assert seen.all()
    assert torch.pdist(one.flatten(1)).min() > 1e-4  # no two of one camera, as there would be with four in the rig
    assert (one - other).abs().amax((1, 2)).min() > 1e-3
    ((again, _), _) = two_views(recorded, replace(views, rig="mpi_inf_3dhp"), 0.0, validation_generator(CPU))
    assert torch.equal(again, one)
    ((noisy, _), _) = two_views(recorded, views, 0.03, validation_generator(CPU))
    assert float((noisy - one).square().mean().sqrt()) == pytest.approx(0.03, rel=0.1)


def test_a_hit_is_a_pose_within_a_tenth_of_the_torso(poses):
    canonical = canonicalize(torch.from_numpy(poses[:4])).poses
    canonical[3] = canonical[2] + 0.01  # as good as the same pose
    gallery = torch.arange(4.0)[:, None]
    queries = torch.tensor([[0.1], [0.2], [2.9], [2.1]])  # nearest to 0, 0, 3 and 2
    assert hit_at_1(queries, gallery, canonical) == 3 / 4
