"""Tracks: people who cross, vanish and come back keep their numbers."""

from dataclasses import replace
from time import process_time

import numpy as np
import pytest

from vipe.detections import Keypoints, follow, frame_numbers, normalize_keypoints, pieces, together
from vipe.errors import VipeError


@pytest.fixture
def video(rng):
    """Three people walking through 30 frames, in an order that changes; the third is not seen in frames 10 to 14."""
    shape = rng.normal(0, 50, size=(3, 13, 2))
    start, step = np.array([[0, 0], [600, 0], [300, 400]]), np.array([[8, 0], [-8, 0], [0, 2]])
    xy, frame, who = [], [], []
    for number in range(30):
        for one in rng.permutation(3):
            if not (one == 2 and 10 <= number < 15):
                off = [0, 150] if one == 1 else 0  # the first two pass each other
                xy.append(shape[one] + start[one] + step[one] * number + off + rng.normal(0, 2, size=(13, 2)))
                frame.append(number)
                who.append(one)
    people = Keypoints.of(np.array(xy))
    return replace(people, frame=np.array(frame)), np.array(who)


def test_people_keep_their_numbers(video):
    people, who = video
    track = follow(people)
    for one in range(3):
        assert len(set(track[who == one])) == 1
    assert sorted(set(track)) == [0, 1, 2]


def test_who_was_away_for_long_is_somebody_new(video):
    people, who = video
    frame = people.frame + 20 * ((who == 2) & (people.frame >= 15))
    track = follow(replace(people, frame=frame))
    assert len(set(track[who == 2])) == 2


def test_somebody_at_another_place_is_somebody_else(rng):
    xy = np.repeat(rng.normal(0, 50, size=(1, 13, 2)), 3, axis=0)
    xy[1:] += 1000
    assert follow(replace(Keypoints.of(xy), frame=np.arange(3))).tolist() == [0, 1, 1]


def test_a_tracker_is_believed_and_nobody_is_nobody(video):
    people, who = video
    np.testing.assert_array_equal(follow(replace(people, track=who)), who)
    unseen = replace(people, mask=np.zeros_like(people.mask))
    assert set(follow(unseen)) == {-1}
    assert follow(people[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ((7, 9, 9), [7, 9, 9]),
        (("0003", "0001", "2"), [3, 1, 2]),
        (("b", "a", "b"), [0, 1, 0]),
        ((5, "a", 5), [0, 1, 0]),
        (("10.jpg", "9.jpg", "14.jpg"), [10, 9, 14]),
        (("walk3.jp2", "walk1.jp2", "walk3.jp2"), [3, 1, 3]),
        (("cam01.0003", "cam01.0001", "cam01.0003"), [3, 1, 3]),
        (("left_7.png", "right_7.png", "left_8.png"), [0, 1, 2]),
    ],
)
def test_frames_are_numbers_of_images_or_their_order(rng, ids, expected):
    people = replace(Keypoints.of(rng.normal(size=(3, 13, 2))), image_id=ids)
    assert frame_numbers(people).tolist() == expected
    assert frame_numbers(replace(people, frame=np.array([4, 5, 6]))).tolist() == [4, 5, 6]


def test_long_tracks_are_cut_from_their_start_on():
    track = np.array([0, 0, 0, 0, 3, 3, -1])
    time = np.array([0.7, 0.2, 1.2, 2.3, 5.0, 5.9, 0.0])
    assert pieces(track, time, 1.0).tolist() == [0, 0, 1, 2, 3, 3, -1]
    assert pieces(track, time, 100.0).tolist() == [0, 0, 0, 0, 1, 1, -1]


def test_cameras_show_one_person_or_are_told_who_is_who(rng):
    people = Keypoints.of(rng.normal(size=(3, 13, 2)))
    assert together(people).tolist() == [0, 0, 0]
    assert together(replace(people, track=np.array([4, 5, 4]))).tolist() == [4, 5, 4]
    with pytest.raises(VipeError, match="image a shows 2 people; say by track_id who is who"):
        together(replace(people, image_id=("a", "b", "a")))


@pytest.mark.refusal
def test_pieces_have_a_length():
    with pytest.raises(VipeError, match="longer than 0 s, got 0"):
        pieces(np.zeros(1, dtype=int), np.zeros(1), 0.0)


def test_photos_are_no_video(rng):
    photos = replace(Keypoints.of(rng.normal(300, 50, size=(3, 13, 2))), image_id=(785, 40083, 40083))
    with pytest.raises(VipeError, match="none of 3 in 2 images is seen in another of them within 10 frames"):
        follow(photos)
    sizes = replace(photos, image_id=(1, 2, 3), image_size=np.array([[640, 480], [640, 480], [427, 640]], np.float32))
    with pytest.raises(VipeError, match="image 1 has 640 x 480 pixels and image 3 427 x 640, so they are no frames"):
        follow(sizes)
    told = replace(sizes, track=np.array([0, 0, 1]))
    assert follow(told).tolist() == [0, 0, 1]


def test_each_video_is_followed_apart(video):
    people, who = video
    both = Keypoints.concat([replace(people, video=np.full(len(people), number)) for number in (0, 1)])
    track = follow(both)
    assert sorted(set(track)) == [0, 1, 2, 3, 4, 5]
    for number in (0, 1):
        for one in range(3):
            assert len(set(track[(both.video == number) & (np.tile(who, 2) == one)])) == 1
    told = follow(replace(both, track=np.tile(who, 2)))
    assert len(set(told)) == 6


def test_following_takes_time_in_line_with_the_frames(rng):
    body = rng.normal(300, 50, size=(13, 2))
    seconds = []
    for count in (1000, 4000):
        people = replace(Keypoints.of(body + np.zeros((count, 1, 1))), frame=np.arange(count) * 20 // 15)
        start = process_time()
        assert set(follow(people)) == {0}
        assert pieces(follow(people), people.frame / 30, 1.0).max() > 0
        seconds.append(process_time() - start)
    assert seconds[1] < 10 * seconds[0] + 0.1


def test_one_frame_is_a_video_too(rng):
    crowd = replace(Keypoints.of(rng.normal(300, 50, size=(3, 13, 2))), image_id=("a", "a", "a"))
    assert follow(crowd).tolist() == [0, 1, 2]


def two_frames(rng, moved, apart=1, joints=13):
    """One person of radius 1 in two frames, moved by a distance; two frames `apart`; `joints` seen in both."""
    body = normalize_keypoints(Keypoints.of(rng.normal(size=(1, 13, 2))))[0]
    seen = Keypoints.of(
        np.concatenate([body, body + np.array([moved, 0])]) * 50 + 300, np.arange(13)[None] < [[13], [joints]]
    )
    return replace(seen, frame=np.array([0, apart]))


def test_a_person_is_followed_over_less_than_their_size_and_for_ten_frames(rng):
    assert follow(two_frames(rng, 0.8)).tolist() == [0, 0]
    assert follow(two_frames(rng, 0.1, apart=10)).tolist() == [0, 0]
    for lost in (two_frames(rng, 1.2), two_frames(rng, 0.1, apart=11)):
        with pytest.raises(VipeError, match="none of 2 in 2 images is seen in another"):
            follow(lost)


def test_a_person_with_two_joints_seen_is_followed_by_nobody(rng):
    assert follow(two_frames(rng, 0.0, joints=2)).tolist() == [0, -1]
