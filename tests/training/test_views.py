import numpy as np
import pytest
import torch

from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import VipeError
from vipe.geometry.cameras import NEAREST, to_camera
from vipe.simulate import View, project_keypoints
from vipe.skeletons import load
from vipe.training.views import ViewConfig, draw_cameras, normalize, simulate_views

PLAIN = ViewConfig(random_share=0.0, distance=(4.0, 4.0), aim=0.0, noise=(0.0, 0.0), missing_share=0.0)


def settings(**changes):
    return ViewConfig(**{**vars(PLAIN), **changes})


def test_a_plain_view_is_what_the_simulator_sees(poses, generator):
    rig = torch.tensor([[0.7, 0.2, 0.1]])
    xy, seen = simulate_views(torch.from_numpy(poses), rig, PLAIN, generator)
    # The simulator aims at the person's centre, this at the pelvis: full perspective differs a little with it.
    view = View(name="side", azimuth=0.7, elevation=0.2, roll=0.1)
    expected = normalize_keypoints(project_keypoints(poses, view, distance=4.0))[0]
    assert seen.all()
    assert np.abs(xy.numpy() - expected).max() < 0.05
    far = simulate_views(torch.from_numpy(poses), rig, settings(distance=(400.0, 400.0)), generator)[0].numpy()
    expected = normalize_keypoints(project_keypoints(poses, view, distance=400.0))[0]
    np.testing.assert_allclose(far, expected, atol=1e-3)


def test_normalization_is_that_of_detections(poses, rng):
    xy = rng.normal(300, 80, size=(50, 13, 2)).astype(np.float32)
    mask = rng.random((50, 13)) < 0.7
    expected = normalize_keypoints(Keypoints.of(xy, mask))[0]
    found = normalize(torch.from_numpy(xy), torch.from_numpy(mask)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_joints_that_coincide_give_zeros_and_no_nan():
    assert torch.equal(
        normalize(torch.full((2, 13, 2), 7.0), torch.ones(2, 13, dtype=torch.bool)), torch.zeros(2, 13, 2)
    )


def test_the_first_share_of_a_batch_is_seen_by_the_rig(poses, generator):
    same = torch.from_numpy(np.tile(poses[:1], (40, 1, 1)))
    rig = torch.tensor([[0.3, 0.1, 0.0]])
    xy, _ = simulate_views(same, rig, settings(random_share=0.5), generator)
    assert (xy[:20] - xy[0]).abs().max() < 1e-5
    assert (xy[20:] - xy[0]).abs().amax((1, 2)).min() > 1e-3


def test_random_cameras_roll_within_the_range_which_rotates_the_image(poses):
    same, rig = torch.from_numpy(np.tile(poses[:1], (2000, 1, 1))), torch.zeros(1, 3)
    plain, rolled = (
        simulate_views(same, rig, settings(random_share=1.0, roll=roll), torch.Generator().manual_seed(3))[0]
        for roll in (0.0, 0.6)
    )
    a, b = (torch.view_as_complex(xy.contiguous()) for xy in (plain, rolled))
    turn = (a.conj() * b).sum(1) / a.abs().square().sum(1)
    torch.testing.assert_close(turn[:, None] * a, b, atol=1e-3, rtol=0)
    angle = turn.angle()
    assert angle.abs().max() < 0.601
    assert float(angle.std()) == pytest.approx(0.6 / 3**0.5, rel=0.05)


def test_cameras_stand_at_all_distances_of_the_range(poses, generator):
    same, rig = torch.from_numpy(np.tile(poses[:1], (500, 1, 1))), torch.tensor([[0.3, 0.1, 0.0]])
    xy, _ = simulate_views(same, rig, settings(distance=(2.0, 8.0)), generator)
    near, far = (simulate_views(same[:1], rig, settings(distance=(d, d)), generator)[0] for d in (2.0, 8.0))
    share = ((xy - near) * (far - near)).sum((1, 2)) / (far - near).square().sum()  # from near, 0, to far, 1
    assert share.min() < 0.1
    assert share.max() > 0.98


def test_random_cameras_at_a_distance_of_their_own_look_at_the_pelvis_and_the_rigs_stay(poses, generator):
    people, rig = torch.from_numpy(poses).repeat(8, 1, 1), torch.tensor([[0.3, 0.1, 0.0]])
    config = settings(random_share=0.5, distance=(4.0, 5.0), aim=0.3, random_distance=(1.5, 1.6))
    R_cam_world, t_cam = draw_cameras(people, rig, config, generator)
    pelvis = to_camera(people, R_cam_world, t_cam)[:, 0]
    own, random = pelvis.split(len(people) // 2)
    assert random[:, :2].abs().max() < 1e-5
    assert ((random[:, 2] > 1.4999) & (random[:, 2] < 1.6001)).all()
    assert float(random[:, 2].std()) > 0.02
    assert own[:, 2].min() > 3.4
    assert own[:, :2].abs().max() > 0.1


def test_a_camera_that_is_too_near_steps_back_until_it_sees_every_joint(poses, generator):
    people, rig = torch.from_numpy(poses).repeat(20, 1, 1), torch.tensor([[0.3, 0.1, 0.0]])
    config = settings(random_share=1.0, random_distance=(0.3, 0.3))
    depth = to_camera(people, *draw_cameras(people, rig, config, generator))[..., 2].amin(1)
    assert depth.min() == pytest.approx(NEAREST, abs=1e-5)
    xy, _ = simulate_views(people, rig, config, generator)
    assert torch.isfinite(xy).all()


def test_noise_is_in_rms_radii(poses, generator):
    same = torch.from_numpy(np.tile(poses[:1], (4000, 1, 1)))
    rig = torch.tensor([[0.3, 0.1, 0.0]])
    clean, _ = simulate_views(same, rig, PLAIN, generator)
    noisy, _ = simulate_views(same, rig, settings(noise=(0.04, 0.04)), generator)
    assert float((noisy - clean).square().mean().sqrt()) == pytest.approx(0.04, rel=0.1)


def test_only_nose_and_limbs_go_missing_and_no_more_than_asked(poses, generator):
    many = torch.from_numpy(np.tile(poses, (50, 1, 1)))
    xy, seen = simulate_views(
        many, torch.tensor([[0.3, 0.1, 0.0]]), settings(missing_share=0.5, missing_most=3), generator
    )
    lost = (~seen).sum(1)
    assert lost.max() == 3
    assert float((lost > 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    never = [i for i, joint in enumerate(load("coco13").joints) if "hip" in joint or "shoulder" in joint]
    assert seen[:, never].all()
    assert (xy[~seen] == 0).all()
    assert xy.square().sum((1, 2)).div(seen.sum(1)).sub(1).abs().max() < 1e-4


def test_views_depend_on_the_generator_alone(poses):
    before = torch.get_rng_state()
    first, second, other = (
        simulate_views(torch.from_numpy(poses), torch.zeros(1, 3), ViewConfig(), torch.Generator().manual_seed(seed))[0]
        for seed in (7, 7, 8)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "changes",
    [
        {"distance": (0.0, 4.0)},
        {"distance": (5.0, 4.0)},
        {"random_distance": (0.0, 4.0)},
        {"random_distance": (5.0, 4.0)},
        {"noise": (-0.1, 0.1)},
        {"random_share": 1.5},
        {"missing_share": -0.1},
        {"missing_most": 12},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(VipeError, match=f"views: .*{next(iter(changes))}"):
        settings(**changes)
