from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.errors import ShapeError, VipeError
from vipe.simulate import DrawConfig, View, Views, draw_people, project_keypoints, random_views
from vipe.skeletons.working import COCO13

PLAIN = DrawConfig(clutter=0, obstacles=0, noise=0.0)
FRONT = View(name="front", azimuth=0.0, elevation=0.0)  # the standing person faces +x
BEHIND = View(name="behind", azimuth=np.pi, elevation=0.0)
LEFT = View(name="left", azimuth=np.pi / 2, elevation=0.0)


def drawn(poses, views, seed=0, **config):
    return draw_people(
        poses, views, config=DrawConfig(**config) if config else PLAIN, generator=np.random.default_rng(seed)
    )


def names(occluded):
    return {joint for joint, gone in zip(COCO13.joints, occluded, strict=True) if gone}


def test_pictures_depend_on_the_generator_alone(bent):
    before = torch.get_rng_state()
    first, again, other = (drawn(bent(3, seed=1), FRONT, seed, side=32) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.occluded, again.occluded)
    assert (first.images != other.images).mean() > 0.5
    assert torch.equal(torch.get_rng_state(), before)


def test_keypoints_are_those_of_the_camera_up_to_size_and_place(bent):
    views = random_views(6, generator=np.random.default_rng(2))
    people = drawn(bent(6, seed=1), views)
    for xy, true in zip(people.keypoints.xy, project_keypoints(bent(6, seed=1), views).xy, strict=True):
        one, two = xy - xy.mean(0), true - true.mean(0)
        scale = (one * two).sum() / (two * two).sum()
        assert scale > 0
        np.testing.assert_allclose(one, scale * two, atol=1e-3)


def test_the_person_fills_the_wanted_share_of_the_picture(bent):
    xy = drawn(bent(20, seed=1), FRONT, side=64, person=(0.5, 0.6), shift=0.1).keypoints.xy
    size = np.ptp(xy, axis=1).max(axis=1)
    assert size.max() <= 0.6 * 64 + 1e-3
    assert size.min() >= 0.4 * 64  # the head above the nose is no keypoint
    assert xy.min() >= 64 * (0.5 - 0.1 - 0.3)
    assert xy.max() <= 64 * (0.5 + 0.1 + 0.3)


def test_limbs_are_where_the_keypoints_are_and_the_background_is_elsewhere(standing, bent):
    people = [drawn(poses[None], FRONT) for poses in (standing, bent(1, seed=1)[0])]
    differs = (people[0].images != people[1].images).any(axis=-1)[0]
    ankle = people[0].keypoints.xy[0, COCO13.index("left_ankle")].astype(int)
    assert differs[ankle[1], ankle[0]]
    assert not differs[:, :4].any()
    assert not differs[:, -4:].any()
    assert 0.05 < differs.mean() < 0.6


def test_one_who_stands_in_the_open_hides_little_of_the_front_and_the_nose_from_behind(standing):
    assert names(drawn(standing[None], FRONT).occluded[0]) == set()
    assert names(drawn(standing[None], BEHIND).occluded[0]) == {"nose"}


def test_from_the_side_the_far_half_of_the_body_is_hidden(standing):
    near = standing - standing[0]
    gone = names(drawn(near[None], LEFT).occluded[0])
    assert {"right_shoulder", "right_elbow", "right_wrist", "right_hip", "right_knee", "right_ankle"} <= gone
    assert not {joint for joint in gone if joint.startswith("left")}


def test_a_hand_before_the_chest_is_seen_and_one_behind_the_back_is_not(standing):
    from vipe.skeletons.working import H36M17

    wrist = H36M17.index("left_wrist")
    for x, hidden in ((0.3, False), (-0.3, True)):
        pose = standing.copy()
        pose[wrist] = [x, 0.0, 1.2]
        assert ("left_wrist" in names(drawn(pose[None], FRONT).occluded[0])) == hidden


def test_an_obstacle_hides_what_it_covers(standing):
    poses = np.repeat(standing[None], 12, axis=0)
    people = drawn(poses, FRONT, obstacles=1, obstacle=(2.0, 2.0), clutter=0, noise=0.0)
    covered = people.occluded.all(axis=1)
    assert 0 < covered.sum() < 12  # none or one obstacle
    assert not people.occluded[~covered].any()
    assert drawn(poses, FRONT, obstacles=0, clutter=6).occluded.sum() == 0


def test_more_pictures_than_are_drawn_at_a_time_all_show_somebody(bent):
    people = drawn(bent(20, seed=1), FRONT, side=16)
    assert people.images.reshape(20, -1).std(axis=1).min() > 1
    assert len(people[3:5]) == 2
    np.testing.assert_array_equal(people[3:5].keypoints.xy, people.keypoints.xy[3:5])


def test_nobody_is_no_picture():
    people = draw_people(np.zeros((0, 17, 3)), Views.of([]), generator=np.random.default_rng(0))
    assert people.images.shape == (0, 64, 64, 3)
    assert people.occluded.shape == (0, 13)


@pytest.mark.refusal
def test_poses_and_views_of_another_shape_are_refused(standing):
    with pytest.raises(ShapeError, match=r"poses to draw must be \(N, 17, 3\)"):
        drawn(standing, FRONT)
    with pytest.raises(ShapeError, match="one for each of 1 poses, got 2"):
        drawn(standing[None], [FRONT, LEFT])
    with pytest.raises(ShapeError, match="finite"):
        drawn(np.full((1, 17, 3), np.nan), FRONT)


def test_a_camera_inside_the_person_is_refused(standing):
    close = replace(Views.of([FRONT]), distance=np.array([0.15]))
    with pytest.raises(VipeError, match=r"pose 0 cannot be drawn: the camera is 0.15 m away"):
        drawn(standing[None], close)
    far = np.full(18, 4.0)
    far[17] = 0.15
    with pytest.raises(VipeError, match="pose 17 cannot be drawn"):
        drawn(np.repeat(standing[None], 18, axis=0), replace(Views.of([FRONT] * 18), distance=far))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"side": 4}, "side must be at least 8"),
        ({"person": (0.9, 0.5)}, "person must be two numbers above 0 in order"),
        ({"noise": -0.1}, "noise must be at least 0"),
        ({"shift": 0.3}, "leaves the picture"),
    ],
)
def test_settings_out_of_their_range_are_refused(setting, message):
    with pytest.raises(VipeError, match=message):
        DrawConfig(**setting)


def test_coded_limbs_have_the_same_colours_on_everybody_and_others_on_the_other_side(standing):
    poses = np.repeat(standing[None], 3, axis=0)
    people = drawn(poses, FRONT, coded=1.0, contrast=0.0, clutter=0, obstacles=0, noise=0.0, side=96)
    hue = {}
    for joint in ("left_knee", "right_knee"):
        shin = (people.keypoints.xy[:, COCO13.index(joint)] + people.keypoints.xy[:, COCO13.index(joint) + 2]) / 2
        pixels = np.stack([image[int(y), int(x)] for image, (x, y) in zip(people.images, shin, strict=True)]) / 255
        hue[joint] = pixels / pixels.max(axis=1, keepdims=True)  # what the light leaves of it
        np.testing.assert_allclose(hue[joint], hue[joint][:1].repeat(3, axis=0), atol=0.03)
    assert np.abs(hue["left_knee"] - hue["right_knee"]).max() > 0.2
    with pytest.raises(VipeError, match="coded must be 0 to 1"):
        DrawConfig(coded=1.5)
