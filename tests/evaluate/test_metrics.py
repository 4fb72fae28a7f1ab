import math

import numpy as np
import pytest

from vipe.evaluate import chance_at, hits_at, pose_distance, without_near_duplicates
from vipe.evaluate.ranking_score import bootstrap_interval, rank_raw_2d, score_ranking


def turned(poses, angle):
    c, s = math.cos(angle), math.sin(angle)
    return poses @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=np.float32).T


def test_distance_ignores_rotation_size_and_place_but_not_the_mirror(rng):
    poses = rng.normal(size=(6, 17, 3)).astype(np.float32)
    np.testing.assert_allclose(pose_distance(3 * turned(poses, 0.7) + 2, poses), 0, atol=1e-5)
    assert (pose_distance(poses * [1, 1, -1], poses) > 0.1).all()


def test_distance_of_one_moved_joint_is_about_its_share():
    # A joint of seventeen moved by 0.17: alignment can only lower the mean of 0.01.
    pose = np.random.default_rng(1).normal(size=(17, 3)).astype(np.float32)
    moved = pose.copy()
    moved[5, 0] += 0.17
    assert 0.008 < pose_distance(moved, pose) < 0.02


def test_distance_broadcasts(rng):
    poses = rng.normal(size=(3, 17, 3)).astype(np.float32)
    table = pose_distance(poses[:, None], poses[None])
    assert table.shape == (3, 3)
    np.testing.assert_allclose(table[1, 2], pose_distance(poses[1], poses[2]), rtol=1e-5)


def test_hit_at_k_looks_at_the_first_k_and_misses_where_nothing_came_back():
    distance = np.array([[0.05, 0.3], [0.3, 0.05], [np.nan, np.nan], [0.3, 0.1]])
    hits = hits_at(distance, ks=(1, 2, 20))
    assert hits[1].tolist() == [True, False, False, False]
    assert hits[2].tolist() == hits[20].tolist() == [True, True, False, False]  # 0.1 itself is no hit


def test_chance_is_the_hypergeometric_one():
    # 10 poses, 3 matches: P(miss) after two draws = 7/10 * 6/9.
    chance = chance_at(np.array([3]), 10, ks=(1, 2, 10))
    assert chance == pytest.approx({1: 0.3, 2: 1 - 42 / 90, 10: 1.0})
    assert chance_at(np.array([0, 10]), 10, ks=(1,))[1] == pytest.approx(0.5)


def test_near_duplicates_go_and_the_first_of_them_stays(rng):
    different = rng.normal(size=(150, 17, 3)).astype(np.float32)
    copies = turned(different, 0.3) + rng.normal(size=(150, 17, 3)).astype(np.float32) * 0.005
    poses = np.concatenate([different, copies])
    np.testing.assert_array_equal(without_near_duplicates(poses), np.arange(150))


def test_near_duplicates_agree_with_the_loop_that_defines_them(rng):
    centres = rng.normal(size=(12, 17, 3)).astype(np.float32)
    poses = centres[rng.integers(12, size=200)] + rng.normal(size=(200, 17, 3)).astype(np.float32) * 0.03
    kept: list[int] = []
    table = pose_distance(poses[:, None], poses[None])
    for i in range(200):
        if all(table[i, j] >= 0.05 for j in kept):
            kept.append(i)
    assert 12 < len(kept) < 200
    np.testing.assert_array_equal(without_near_duplicates(poses), kept)


def test_an_interval_holds_the_mean_and_widens_when_frames_of_a_clip_agree(rng):
    values = np.repeat(rng.random(40) < 0.5, 25).astype(float)
    clips = [str(i) for i in np.repeat(np.arange(40), 25)]
    low, high = bootstrap_interval(values, clips, generator=rng)
    frames = bootstrap_interval(values, [str(i) for i in range(1000)], generator=rng)
    assert low < values.mean() < high
    assert high - low > 3 * (frames[1] - frames[0])
    assert bootstrap_interval(values, ["one"] * 1000, generator=rng) == pytest.approx((values.mean(),) * 2)


def test_a_perfect_ranking_scores_one_and_an_empty_one_zero(rng):
    gallery = rng.normal(size=(30, 17, 3)).astype(np.float32)
    rows = np.stack([np.arange(30), np.roll(np.arange(30), 1)], axis=1)
    clips = [str(i % 5) for i in range(30)]
    perfect = score_ranking("x", rows, gallery, gallery, clips, generator=rng)
    second = score_ranking("x", rows[:, ::-1], gallery, gallery, clips, generator=rng)
    nothing = score_ranking("x", np.full_like(rows, -1), gallery, gallery, clips, generator=rng)
    assert perfect.hit == {1: 1.0, 10: 1.0, 20: 1.0}
    assert (second.hit[1], second.hit[10]) == (0.0, 1.0)
    assert nothing.hit == {1: 0.0, 10: 0.0, 20: 0.0}


def test_raw_2d_finds_the_same_keypoints_under_any_similarity_of_the_image(rng):
    from vipe import Keypoints

    views = rng.normal(size=(40, 13, 2)).astype(np.float32)
    c, s = math.cos(0.4), math.sin(0.4)
    asked = 7 * views[:5] @ np.array([[c, -s], [s, c]]).T + 100
    rows = rank_raw_2d(Keypoints.of(asked), Keypoints.of(views), k=3)
    assert rows.shape == (5, 3)
    np.testing.assert_array_equal(rows[:, 0], np.arange(5))
    # The mirror image is another view.
    assert rank_raw_2d(Keypoints.of(asked * [-1, 1]), Keypoints.of(views), k=1)[0, 0] != 0


@pytest.mark.refusal
def test_raw_2d_has_no_answer_for_missing_joints(rng):
    from vipe import Keypoints

    mask = np.ones((2, 13), dtype=bool)
    mask[1, 4] = False
    people = Keypoints.of(rng.normal(size=(2, 13, 2)), mask)
    with pytest.raises(ValueError, match="every joint of every person"):
        rank_raw_2d(people, people, k=1)
