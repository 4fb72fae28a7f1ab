"""The simulated photo follows the pinhole's closed forms; the simulated detector errs as much as it says."""

import math
from dataclasses import replace

import numpy as np
import pytest

from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import ShapeError, VipeError
from vipe.simulate import (
    GROUND_TRUTH,
    CameraRig,
    DetectorNoise,
    View,
    Views,
    disturb,
    project_keypoints,
    random_views,
    simulate_keypoints,
)
from vipe.simulate.detector import EVEN_SPREAD, MISSING_2, NOISE_006, OKS_SPREAD, ONE_OFF
from vipe.skeletons import load

BODY = load("coco13")
FRONT = View(name="front", azimuth=0.0, elevation=0.0)  # the camera stands at +x, where the fixture's person looks
LIMBS = [i for i, joint in enumerate(BODY.joints) if joint.split("_")[-1] in ("elbow", "wrist", "knee", "ankle")]


def joint(name):
    return BODY.index(name)


def many(standing, n=4000):
    return project_keypoints(np.repeat(standing[None], n, axis=0), FRONT)


def test_the_centre_of_the_person_falls_on_the_middle_of_the_image(standing):
    point = np.broadcast_to(np.float32([3, -2, 1]), (1, 17, 3))  # all joints where the camera looks
    xy = project_keypoints(point, FRONT, image_size=(640, 480)).xy
    np.testing.assert_allclose(xy, np.broadcast_to([320, 240], xy.shape), atol=1e-4)
    keypoints = project_keypoints(standing[None], FRONT)
    np.testing.assert_allclose(keypoints.xy[0].mean(axis=0), [500, 500], atol=5)  # near it for a body with depth
    assert keypoints.image_size.tolist() == [[1000, 1000]]


def test_a_point_beside_the_axis_falls_where_the_formula_says():
    pose = np.zeros((1, 17, 3))
    wrists = [load("h36m17").index(f"{side}_wrist") for side in ("left", "right")]
    pose[0, wrists, 1] = [0.5, -0.5]
    pose[0, wrists, 2] = [0.25, -0.25]
    xy = project_keypoints(pose, FRONT, distance=2.0, focal=800.0, image_size=(1000, 600)).xy[0]
    np.testing.assert_allclose(xy[joint("left_wrist")], [500 + 800 * 0.5 / 2, 300 - 800 * 0.25 / 2], rtol=1e-5)
    np.testing.assert_allclose(xy[joint("right_wrist")], [500 - 800 * 0.5 / 2, 300 + 800 * 0.25 / 2], rtol=1e-5)


def test_who_faces_the_camera_has_their_left_at_the_right_of_the_image(standing):
    xy = project_keypoints(standing[None], FRONT).xy[0]
    assert xy[joint("left_wrist"), 0] > xy[joint("right_wrist"), 0]
    assert xy[joint("nose"), 1] < xy[joint("left_ankle"), 1]  # y points down
    behind = project_keypoints(standing[None], replace(FRONT, azimuth=math.pi)).xy[0]
    assert behind[joint("left_wrist"), 0] < behind[joint("right_wrist"), 0]


def test_from_the_persons_left_the_nose_points_left(standing):
    xy = project_keypoints(standing[None], replace(FRONT, azimuth=math.pi / 2)).xy[0]
    assert xy[joint("nose"), 0] < xy[joint("left_shoulder"), 0]


def test_a_high_camera_sees_far_joints_higher_in_the_image(standing):
    # From the left and above: the right ankle is farther away, so it stands higher in the image.
    xy = project_keypoints(standing[None], replace(FRONT, azimuth=math.pi / 2, elevation=0.6)).xy[0]
    assert xy[joint("right_ankle"), 1] < xy[joint("left_ankle"), 1]


def test_twice_the_distance_is_half_the_size_and_twice_the_focal_length_is_twice(standing):
    flat = standing.copy()
    flat[:, 0] = 0  # no depth, so that perspective is exact scaling
    radius = [normalize_keypoints(project_keypoints(flat[None], FRONT, distance=d))[2][0] for d in (3.0, 6.0)]
    np.testing.assert_allclose(radius[0] / radius[1], 2, rtol=1e-6)
    zoomed = normalize_keypoints(project_keypoints(standing[None], FRONT, focal=2300.0))
    plain = normalize_keypoints(project_keypoints(standing[None], FRONT, focal=1150.0))
    np.testing.assert_allclose(zoomed[0], plain[0], atol=1e-6)
    np.testing.assert_allclose(zoomed[2], 2 * plain[2], rtol=1e-6)


def test_perspective_is_full_near_limbs_look_larger(standing):
    pose = standing.copy()
    names = load("h36m17").joints
    pose[names.index("left_knee"), 0] += 0.6  # towards the camera
    near = project_keypoints(pose[None], FRONT, distance=1.5).xy[0]
    far = project_keypoints(pose[None], FRONT, distance=100.0).xy[0]

    def ratio(xy):
        return abs(xy[joint("left_knee"), 0] - 500) / abs(xy[joint("right_knee"), 0] - 500)

    assert ratio(near) > 1.4
    np.testing.assert_allclose(ratio(far), 1, atol=0.02)


def test_where_in_the_world_a_person_stands_is_of_no_account(standing, rng):
    views = random_views(3, generator=rng)
    here = project_keypoints(np.repeat(standing[None], 3, axis=0), views)
    there = project_keypoints(np.repeat(standing[None] + np.float32([512, -256, 1]), 3, axis=0), views)
    np.testing.assert_allclose(here.xy, there.xy, atol=0.1)


def test_turning_the_person_is_turning_the_camera(standing):
    turn = 0.7
    rotation = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    turned = project_keypoints((standing @ rotation.T)[None], replace(FRONT, azimuth=turn))
    np.testing.assert_allclose(turned.xy, project_keypoints(standing[None], FRONT).xy, atol=1e-2)


def test_a_joint_behind_the_camera_is_not_seen(standing):
    pose = standing.copy()
    pose[load("h36m17").index("right_wrist"), 0] += 3
    keypoints = project_keypoints(pose[None], FRONT, distance=2.0)
    assert [BODY.joints[i] for i in np.flatnonzero(~keypoints.mask[0])] == ["right_wrist"]
    noisy = disturb(keypoints, DetectorNoise(swap=1.0, outlier=1.0), np.random.default_rng(0))
    assert np.isfinite(noisy.xy).all()
    assert noisy.mask.sum() == 12


def test_each_pose_has_its_own_view_and_distance(standing, rng):
    poses = np.repeat(standing[None], 4, axis=0)
    views = random_views(4, generator=rng)
    together = project_keypoints(poses, views)
    for i in range(4):
        one = View(name="", azimuth=views.azimuth[i], elevation=views.elevation[i], roll=views.roll[i])
        alone = project_keypoints(poses[i : i + 1], one, distance=views.distance[i])
        np.testing.assert_allclose(together.xy[i], alone.xy[0], rtol=1e-5)
    chosen = project_keypoints(poses, views, distance=np.full(4, 3.0))  # said beside the views, it counts
    listed = project_keypoints(poses, [FRONT] * 4)
    assert not np.allclose(chosen.xy, together.xy)
    np.testing.assert_allclose(listed.xy, project_keypoints(poses, FRONT).xy)


def test_of_a_rig_every_camera_is_used(standing):
    rig = CameraRig.load("mpi_inf_3dhp")
    poses = np.repeat(standing[None], 300, axis=0)
    keypoints = simulate_keypoints(poses, rig, noise=GROUND_TRUTH, generator=np.random.default_rng(0))
    each = project_keypoints(np.repeat(standing[None], 11, axis=0), rig.cameras)
    difference = np.abs(keypoints.xy[:, None] - each.xy[None]).max(axis=(2, 3))
    assert difference.min(axis=1).max() < 1e-3
    assert set(difference.argmin(axis=1)) == set(range(11))


def test_ground_truth_is_the_projection_with_full_confidence(standing, rng):
    keypoints = simulate_keypoints(standing[None], FRONT, noise=0.0, generator=rng)
    np.testing.assert_array_equal(keypoints.xy, project_keypoints(standing[None], FRONT).xy)
    assert (keypoints.confidence == 1).all()
    assert keypoints.covariance is None
    assert (keypoints.image_id, keypoints.person.tolist()) == ((0,), [0])


@pytest.mark.parametrize("spread", [OKS_SPREAD, EVEN_SPREAD], ids=["oks", "even"])
def test_noise_has_the_stated_size_over_joints_and_the_stated_spread(standing, rng, spread):
    clean = many(standing)
    noise = DetectorNoise(scale=0.05, spread=spread)
    error = (disturb(clean, noise, rng).xy - clean.xy) / normalize_keypoints(clean)[2][:, None, None]
    np.testing.assert_allclose(np.sqrt((noise.multipliers**2).mean()), 1, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt((error**2).mean()), 0.05, rtol=0.02)
    np.testing.assert_allclose(np.sqrt((error**2).mean(axis=(0, 2))), 0.05 * noise.multipliers, rtol=0.06)
    np.testing.assert_allclose(error.mean(axis=0), 0, atol=0.005)


def test_noise_of_three_hundredths_is_about_a_centimetre_and_a_half(standing):
    clean = many(standing, 1)
    metres_per_pixel = 4.0 / 1150
    assert 1.2 < 100 * 0.03 * normalize_keypoints(clean)[2][0] * metres_per_pixel < 1.9


def test_the_covariance_is_that_of_the_noise(standing, rng):
    clean = many(standing)
    noisy = disturb(clean, DetectorNoise(scale=0.05), rng)
    error = (noisy.xy - clean.xy).astype(np.float64)
    measured = np.einsum("nji,njk->jik", error, error) / len(clean)
    np.testing.assert_allclose(noisy.covariance[0, :, 0, 0], measured[:, 0, 0], rtol=0.12)
    np.testing.assert_allclose(noisy.covariance[0, :, 0, 1], 0)


@pytest.mark.parametrize("count", [0, 1, 2, 4, 8])
def test_exactly_so_many_limb_joints_are_missing(standing, rng, count):
    keypoints = disturb(many(standing, 500), DetectorNoise(missing_count=count), rng)
    assert ((~keypoints.mask).sum(axis=1) == count).all()
    assert keypoints.mask[:, [i for i in range(13) if i not in LIMBS]].all()
    if 0 < count < 8:
        assert (~keypoints.mask[:, LIMBS]).any(axis=0).all()  # each of them at times


def test_limb_joints_are_missing_as_often_as_said(standing, rng):
    keypoints = disturb(many(standing), DetectorNoise(missing=0.3), rng)
    np.testing.assert_allclose((~keypoints.mask[:, LIMBS]).mean(axis=0), 0.3, atol=0.03)
    assert keypoints.mask[:, [i for i in range(13) if i not in LIMBS]].all()


def test_joints_that_were_not_seen_stay_so_and_count_for_nothing(standing, rng):
    clean = many(standing, 50)
    mask = np.ones((50, 13), dtype=bool)
    mask[:, LIMBS[:6]] = False
    keypoints = disturb(Keypoints.of(clean.xy, mask), DetectorNoise(missing_count=4), rng)
    assert (keypoints.mask.sum(axis=1) == 5).all()  # two limb joints were left to lose


def test_a_swap_exchanges_left_and_right_and_nothing_else(standing, rng):
    clean = many(standing, 900)
    swapped = disturb(clean, DetectorNoise(scale=0.0, swap=1.0, score_jitter=0.0), rng)
    same = (swapped.xy == clean.xy).all(axis=2)
    mirrored = clean.xy[:, list(BODY.mirrored)]
    assert (same | (swapped.xy == mirrored).all(axis=2)).all()
    arms = np.array([name.split("_")[-1] in ("elbow", "wrist") for name in BODY.joints])
    legs = np.array([name.split("_")[-1] in ("knee", "ankle") for name in BODY.joints])
    kinds, counts = np.unique(~same, axis=0, return_counts=True)
    everything = np.array(BODY.joints) != "nose"
    assert {tuple(kind) for kind in kinds} == {tuple(arms), tuple(legs), tuple(everything)}
    assert (counts > 200).all()
    assert (swapped.confidence == 1).all()  # a detector that swaps is sure of both places


def test_swaps_are_as_frequent_as_said(standing, rng):
    clean = many(standing)
    swapped = disturb(clean, DetectorNoise(scale=0.0, swap=0.1), rng)
    np.testing.assert_allclose((swapped.xy != clean.xy).any(axis=(1, 2)).mean(), 0.1, atol=0.02)


def test_an_outlier_is_exactly_as_far_off_as_said(standing, rng):
    clean = many(standing, 500)
    noisy = disturb(clean, DetectorNoise(scale=0.0, outlier_count=1, score_jitter=0.0), rng)
    off = np.linalg.norm(noisy.xy - clean.xy, axis=2) / normalize_keypoints(clean)[2][:, None]
    np.testing.assert_allclose(np.sort(off, axis=1)[:, -1], 0.5, rtol=1e-4)
    assert (np.sort(off, axis=1)[:, -2] < 1e-6).all()
    assert set(off.argmax(axis=1)) == set(range(13))
    often = disturb(clean, DetectorNoise(scale=0.0, outlier=0.2), rng)
    np.testing.assert_allclose((often.xy != clean.xy).any(axis=2).mean(), 0.2, atol=0.02)


def test_an_outlier_is_a_joint_that_is_seen(standing, rng):
    clean = many(standing, 300)
    noisy = disturb(clean, DetectorNoise(scale=0.0, missing_count=8, outlier_count=1), rng)
    off = (noisy.xy != clean.xy).any(axis=2) & noisy.mask
    assert (off.sum(axis=1) == 1).all()


def test_scores_fall_with_the_error_and_do_not_tell_all(standing, rng):
    clean = many(standing, 2000)
    noisy = disturb(clean, DetectorNoise(scale=0.06, outlier=0.05), rng)
    error = np.linalg.norm(noisy.xy - clean.xy, axis=2).ravel()
    score = noisy.confidence.ravel()
    ranks = [np.argsort(np.argsort(values)) for values in (error, score)]
    assert -0.9 < np.corrcoef(*ranks)[0, 1] < -0.3
    assert score.min() > 0
    assert score.max() <= 1


def test_the_same_generator_state_gives_the_same_keypoints(standing):
    noise = DetectorNoise(swap=0.3, missing=0.1, outlier=0.1)
    poses, rig = np.repeat(standing[None], 20, axis=0), CameraRig.load("h36m")
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state must not move
    first, second, other = (
        simulate_keypoints(poses, rig, noise=noise, generator=np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    for name in ("xy", "mask", "confidence", "covariance"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not (first.xy[first.mask & other.mask] == other.xy[first.mask & other.mask]).any()


def test_what_is_switched_on_does_not_change_the_rest(standing):
    clean = many(standing, 50)
    plain = disturb(clean, DetectorNoise(), np.random.default_rng(5))
    for noise in (MISSING_2, ONE_OFF):
        more = disturb(clean, noise, np.random.default_rng(5))
        same = (more.xy == plain.xy).all(axis=2)
        assert (same.sum(axis=1) == 13 - noise.missing_count - noise.outlier_count).all()


def test_a_person_without_size_gets_no_noise_and_no_nan(rng):
    noisy = simulate_keypoints(np.zeros((1, 17, 3)), FRONT, noise=DetectorNoise(outlier=1.0), generator=rng)
    np.testing.assert_allclose(noisy.xy, 500, atol=1e-3)
    assert np.isfinite(noisy.confidence).all()


def test_nobody_is_nobody(rng):
    assert len(simulate_keypoints(np.zeros((0, 17, 3)), CameraRig.load("h36m"), generator=rng)) == 0


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": -1}, "scale must be finite and not negative, got -1"),
        ({"scale": math.nan}, "scale must be finite"),
        ({"swap": 1.5}, "swap must be a probability, got 1.5"),
        ({"missing_count": 9}, "missing_count must be from 0 to 8, got 9"),
        ({"outlier": 0.1, "outlier_count": 1}, "give outlier or outlier_count, not both"),
        ({"spread": (1.0,) * 12}, "spread must be 13 numbers"),
        ({"spread": (0.0,) * 13}, "not all 0"),
    ],
)
def test_impossible_noise_is_refused(settings, message):
    with pytest.raises(VipeError, match=message):
        DetectorNoise(**settings)


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("error", "change", "message"),
    [
        (ShapeError, {"poses": np.zeros((2, 51))}, r"poses must be \(N, 17, 3\), got shape \(2, 51\); were the joints"),
        (ShapeError, {"poses": np.full((2, 17, 3), np.nan)}, "pose 0 has a joint that is not finite"),
        (ShapeError, {"views": [FRONT]}, "one for each of 2 poses, got 1"),
        (ShapeError, {"distance": np.ones(3)}, r"distance must be one number or one for each of 2 poses, got shape"),
        (VipeError, {"distance": 0.0}, "distance must be finite and above 0, got 0"),
        (VipeError, {"focal": -5.0}, "focal must be finite and above 0, got -5"),
        (VipeError, {"image_size": (0, 100)}, "image_size must be finite and above 0, got 0"),
    ],
)
def test_impossible_photos_are_refused(error, change, message, rng):
    settings = {"poses": np.zeros((2, 17, 3)), "views": FRONT, "generator": rng} | change
    with pytest.raises(error, match=message):
        simulate_keypoints(settings.pop("poses"), settings.pop("views"), **settings)


@pytest.mark.refusal
def test_keypoints_of_another_skeleton_are_refused(standing, rng):
    with pytest.raises(ShapeError, match=r"must be coco13, got h36m17; convert with \.to"):
        disturb(many(standing, 1).to(load("h36m17")), GROUND_TRUTH, rng)


def test_views_of_a_list_keep_its_order():
    views = Views.of(CameraRig.load("h36m").cameras)
    assert views.azimuth.tolist() == [camera.azimuth for camera in CameraRig.load("h36m").cameras]
    assert views.distance is None


def test_a_swapped_joint_has_the_error_of_the_place_it_takes(standing):
    left, right = joint("left_wrist"), joint("right_wrist")
    noise = DetectorNoise(scale=0.05, spread=tuple(float(i == left) for i in range(13)), swap=1.0)
    true = many(standing, 100)
    found = disturb(true, noise, np.random.default_rng(0))
    exact = (found.xy == true.xy[:, [right]]).all(axis=2)  # no error: such a joint lies where the right wrist is
    swapped = exact[:, left]
    assert 0.3 < swapped.mean() < 0.9  # arms, or all joints; not legs
    np.testing.assert_array_equal(exact[:, right], ~swapped)
    np.testing.assert_array_equal(found.covariance[:, left, 0, 0] > 0, ~swapped)
    np.testing.assert_array_equal(found.covariance[:, right, 0, 0] > 0, swapped)


def test_a_joint_is_seen_from_0_1_m_in_front_of_the_camera(standing):
    pose = standing.copy()
    wrist = load("h36m17").index("right_wrist")
    for ahead, seen in ((0.3, True), (0.02, False)):
        for _ in range(20):  # the camera looks at the centroid, which moves with the wrist
            middle = pose[[load("h36m17").index(name) for name in BODY.joints], 0].mean()
            pose[wrist, 0] = middle + 2.0 - ahead
        assert project_keypoints(pose[None], FRONT, distance=2.0).mask[0, joint("right_wrist")] == seen


def test_the_score_of_a_joint_off_by_0_4_radii_has_fallen_to_1_e(standing):
    noise = DetectorNoise(scale=0.0, score_jitter=0.0, outlier_count=1, outlier_distance=0.4)
    found = disturb(many(standing, 50), noise, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(found.confidence, axis=1)[:, :2], [[math.exp(-1), 1]] * 50, rtol=1e-4)


def test_a_number_is_gaussian_noise_of_that_scale_with_the_usual_scores(standing):
    found, expected = (
        simulate_keypoints(standing[None], FRONT, noise=noise, generator=np.random.default_rng(0))
        for noise in (0.06, NOISE_006)
    )
    np.testing.assert_array_equal(found.xy, expected.xy)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
