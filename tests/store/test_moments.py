import numpy as np
import pytest

from vipe.errors import StoreError
from vipe.store.moments import Moment, take_moment


def test_a_moment_is_the_rows_between_two_times(store):
    moment = take_moment(store, "run", 0.25, 0.5)
    np.testing.assert_array_equal(moment.frame, np.arange(15, 31))
    np.testing.assert_allclose(moment.time, moment.frame / 60)
    np.testing.assert_array_equal(moment.clip.positions, store.poses({"clip": "run", "frame": moment.frame.tolist()}))
    assert (moment.clip.name, moment.clip.subject, moment.clip.source) == ("run", "bob", "a/run.bvh")
    assert (moment.clip.fps, moment.source_fps, len(moment)) == (60.0, 60.0, 16)


def test_all_of_a_clip_by_default_and_one_frame_if_asked(store):
    assert len(take_moment(store, "walk")) == 30
    one = take_moment(store, "walk", 0.2, 0.2)
    assert one.frame.tolist() == [6]
    assert one.clip.fps == 30


def test_times_are_those_of_a_hit_as_it_prints_them(store):
    time = take_moment(store, "walk").time[7]
    assert take_moment(store, "walk", round(time, 6), round(time, 6)).frame.tolist() == [7]


def test_what_is_not_there_is_told_with_what_is(store):
    with pytest.raises(StoreError, match="has no clip 'wolk'; it has 3 clips, such as 'walk'"):
        take_moment(store, "wolk")
    with pytest.raises(StoreError, match=r"clip 'walk': has no frame from 4 to 5 s; it goes from 0\.00 to 0\.97 s"):
        take_moment(store, "walk", 4.0, 5.0)
    with pytest.raises(StoreError, match="has no frame to -1 s"):
        take_moment(store, "walk", end=-1.0)


def test_a_clip_is_a_moment_of_itself(make_clip):
    clip = make_clip("walk", 30, 30.0)
    moment = Moment.of(clip, 0.1, 0.3)
    assert moment.frame.tolist() == [3, 4, 5, 6, 7, 8, 9]
    np.testing.assert_array_equal(moment.clip.positions, clip.positions[3:10])
    with pytest.raises(StoreError, match="clip walk: has no frame from 9 s"):
        Moment.of(clip, 9.0)
