from dataclasses import replace

import pytest
import torch

from vipe.errors import VipeError
from vipe.geometry import bone_lengths, canonicalize
from vipe.skeletons import load
from vipe.training.augment import AugmentConfig, PosePool, draw_poses

BODY = load("h36m17")
NOTHING = AugmentConfig(
    exchange=0.0, bend=0.0, lean=0.0, tilt=0.0, lying=0.0, build=0.0, own=1.0, familiar=0.0, apart=0.0
)


@pytest.fixture
def recorded(poses):
    return torch.from_numpy(poses)


@pytest.fixture
def pool(recorded):
    return PosePool.of(recorded)


def test_with_everything_off_the_recorded_poses_come_back(pool, recorded, generator):
    rows = torch.arange(len(pool))
    people, canonical = draw_poses(pool, rows, NOTHING, generator)
    torch.testing.assert_close(people, recorded - recorded[:, :1], atol=1e-5, rtol=0)
    torch.testing.assert_close(canonical, canonicalize(recorded).poses, atol=1e-5, rtol=0)
    torch.testing.assert_close(pool.canonical(rows), canonical, atol=1e-5, rtol=0)


def test_what_the_camera_sees_and_the_canonical_pose_are_one_pose(pool, generator):
    people, canonical = draw_poses(pool, torch.arange(60), AugmentConfig(), generator)
    torch.testing.assert_close(canonicalize(people).poses, canonical, atol=1e-4, rtol=0)


def test_bodies_are_of_all_builds_but_the_same_on_both_sides(pool, generator):
    people, _ = draw_poses(pool, torch.arange(60), replace(NOTHING, build=0.1, own=0.0), generator)
    lengths = bone_lengths(people, BODY.parents)
    assert (lengths.std(0) / lengths.mean(0)).min() > 0.05
    index = [child for _, child in BODY.bones]
    mirrored = [index.index(BODY.mirrored[child]) for child in index]
    torch.testing.assert_close(lengths, lengths[:, mirrored])


def test_a_body_that_starts_from_the_recorded_one_has_that_person_s_bones_and_another_a_torso_in_range(
    recorded, generator
):
    tall = recorded * torch.linspace(1.3, 2.0, len(recorded))[:, None, None]
    pool, rows = PosePool.of(tall), torch.arange(len(tall)).flip(0)
    theirs, _ = draw_poses(pool, rows, NOTHING, generator)
    torch.testing.assert_close(bone_lengths(theirs, BODY.parents), bone_lengths(tall[rows], BODY.parents))
    others, _ = draw_poses(pool, rows, replace(NOTHING, own=0.0), generator)
    torso = canonicalize(others).scale
    assert 0.42 <= torso.min() < 0.45 and 0.55 < torso.max() <= 0.58


def test_the_pelvis_stays_rigid_however_bones_bend(pool, generator):
    _, canonical = draw_poses(pool, torch.arange(60), AugmentConfig(), generator)
    plain = pool.canonical(torch.arange(60))
    width = [(poses[:, 1] - poses[:, 4]).norm(dim=-1) for poses in (canonical, plain)]
    torch.testing.assert_close(width[0], width[1][:1].expand(60), atol=1e-3, rtol=0.3)


def test_a_limb_that_is_exchanged_is_some_other_poses_or_its_mirror_image(pool, generator):
    config = replace(NOTHING, exchange=1.0, limb=1.0)
    _, canonical = draw_poses(pool, torch.arange(60), config, generator)
    shin = torch.nn.functional.normalize(canonical[:, 3] - canonical[:, 2], dim=-1)
    all_poses = pool.canonical(torch.arange(60))
    left, right = (all_poses[:, a] - all_poses[:, b] for a, b in ((6, 5), (3, 2)))
    known = torch.nn.functional.normalize(torch.cat([right, left * torch.tensor([1.0, -1.0, 1.0])]), dim=-1)
    likeness = shin @ known.T
    assert likeness.max(1).values.min() > 0.999
    assert (likeness.argmax(1) != torch.arange(60)).float().mean() > 0.5


def test_a_lean_moves_all_above_the_pelvis_and_leaves_the_legs(pool, recorded, generator):
    people, _ = draw_poses(pool, torch.arange(60), replace(NOTHING, lean=0.5), generator)
    placed = recorded - recorded[:, :1]
    torch.testing.assert_close(people[:, :7], placed[:, :7], atol=1e-5, rtol=0)
    assert (people[:, 7:] - placed[:, 7:]).norm(dim=-1).amax(1).median() > 0.1


def test_poses_of_a_family_lie_near_each_other(pool, generator):
    config = replace(AugmentConfig(), family=4, familiar=0.5)
    _, canonical = draw_poses(pool, torch.arange(48), config, generator)
    distance = torch.cdist(canonical.flatten(1), canonical.flatten(1)) / 17**0.5
    family = torch.cat([torch.arange(24), 24 + torch.arange(24) // 4])
    same = (family[:, None] == family) & ~torch.eye(48, dtype=torch.bool)
    assert same.sum() == 24 * 3
    assert 0.01 < distance[same].median() < 0.4 * distance[~same].median()


def test_every_draw_is_from_the_generator(pool):
    before = torch.get_rng_state()
    first, second = (
        draw_poses(pool, torch.arange(60), AugmentConfig(), torch.Generator().manual_seed(5)) for _ in range(2)
    )
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.refusal
@pytest.mark.parametrize(
    "setting", [{"exchange": 1.5}, {"bend": -0.1}, {"family": 0}, {"torso": (0.5, 0.4)}, {"lying": float("nan")}]
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(VipeError, match=f"augmentation: {next(iter(setting))}|family must"):
        AugmentConfig(**setting)
