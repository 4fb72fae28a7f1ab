"""Wrong labels in some images of a person are told by the images themselves and by each other; right ones stay."""

from dataclasses import replace

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.index import PoseIndex
from vipe.retrieve import query_tracks, query_views
from vipe.retrieve.labels.labelling import SIDES, as_relabelled
from vipe.retrieve.sequences import reading
from vipe.retrieve.sequences.reading import discontinuity, likeliest_readings
from vipe.simulate import CameraRig, project_keypoints
from vipe.simulate.mistakes import exchanged, squeezed
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

FRAMES, MIDDLE = 7, 60
TIME = np.arange(FRAMES) / 10
LEGS = SIDES[1]


class Moving:
    """An archive of synthetic motion, seven of its frames by one camera, and one of them by four."""

    def __init__(self, folder):
        clips = synthesize(clips=6, fps=10.0, generator=np.random.default_rng(0))
        store = PoseStore.create(folder / "store", clips)
        self.index = PoseIndex.build(store, AffineSignature(), folder / "index")
        self.rows = np.arange(MIDDLE - FRAMES // 2, MIDDLE + FRAMES // 2 + 1)
        assert len(set(self.index.frames()["clip"][self.rows])) == 1
        cameras, poses = CameraRig.load("mpi_inf_3dhp").cameras, store.poses()
        self.track = self.noisy(project_keypoints(poses[self.rows], [cameras[2]] * FRAMES, distance=3.0))
        self.views = self.noisy(project_keypoints(poses[[MIDDLE] * 4], list(cameras[:4]), distance=3.0))

    def noisy(self, people):
        noise = np.random.default_rng(1).normal(0, 1, people.xy.shape)
        size = np.ptp(people.xy, axis=(1, 2), keepdims=True)
        return Keypoints.of(people.xy + 0.003 * size * noise)

    def asked(self, people):
        return query_tracks(self.index, people, 3, track=np.zeros(FRAMES, dtype=int), time=TIME, candidates=30)

    def seen_at_once(self, people):
        return query_views(self.index, people, 3, moment=np.zeros(4, dtype=int), candidates=30)


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return Moving(tmp_path_factory.mktemp("reading"))


def some(people, rows, mistake):
    """The same people, some with a mistake."""
    wrong = mistake(people, np.random.default_rng(0))
    xy, mask = people.xy.copy(), people.mask.copy()
    xy[rows], mask[rows] = wrong.xy[rows], wrong.mask[rows]
    return replace(people, xy=xy, mask=mask)


def test_right_labels_are_left(moving):
    for hits in (moving.asked(moving.track), moving.seen_at_once(moving.views)):
        assert hits.relabelled == ("",)
        assert hits.stretch.tolist() == [1]
        assert hits.rows[0, 0] == MIDDLE


@pytest.mark.parametrize(("rows", "told"), [([1, 3], "legs in 2 of 7 images"), (list(range(7)), "legs")])
def test_frames_with_legs_exchanged_are_read_right(moving, rows, told):
    hits, clean = moving.asked(some(moving.track, rows, exchanged("legs"))), moving.asked(moving.track)
    assert hits.relabelled == (told,)
    np.testing.assert_array_equal(hits.rows, clean.rows)
    np.testing.assert_allclose(hits.fit_cost, clean.fit_cost, rtol=1e-3)
    np.testing.assert_allclose(hits.probability, clean.probability, atol=0.02)


def test_a_rival_that_is_not_likelier_changes_nothing(moving, monkeypatch):
    """Frames 1 and 3 are exchanged, and all others have a rival that the evidence refuses."""
    found = reading._rivals

    def more(search, plain, *rest):
        rivals, of_all = found(search, plain, *rest)
        return dict.fromkeys(range(FRAMES), LEGS) | rivals, of_all

    people = some(moving.track, [1, 3], exchanged("legs"))
    expected = moving.asked(people)
    monkeypatch.setattr(reading, "_rivals", more)
    hits = moving.asked(people)
    assert hits.relabelled == expected.relabelled
    np.testing.assert_allclose(hits.fit_cost, expected.fit_cost, rtol=1e-4)


def test_a_squeeze_is_one_of_all_frames(moving):
    hits = moving.asked(squeezed(9 / 16)(moving.track, np.random.default_rng(0)))
    assert hits.relabelled == ("image 0.56 as wide",)
    assert hits.stretch[0] == pytest.approx(16 / 9)
    assert hits.rows[0, 0] == MIDDLE


def test_each_camera_is_read_for_itself(moving):
    wrong = some(moving.views, [0], exchanged("body"))
    wrong = some(wrong, [2], squeezed(9 / 16))
    hits = moving.seen_at_once(wrong)
    assert hits.relabelled == ("body in 1 of 4 images, image 0.56 as wide in 1 of 4 images",)
    assert hits.rows[0, 0] == MIDDLE


def test_the_page_and_the_json_name_the_reading(moving):
    people = some(moving.track, [3], exchanged("legs"))
    hits = moving.asked(people)
    assert hits.to_json(hits.people(people))["queries"][0]["relabelled"] == "legs in 1 of 7 images"


def test_labels_that_jump_are_unlikely_and_those_that_stay_are_not(moving):
    other = as_relabelled(moving.track, LEGS)
    costs = discontinuity(moving.track, other, TIME)
    assert costs.shape == (FRAMES - 1, 2, 2)
    np.testing.assert_allclose(costs[:, 0, 0], costs[:, 1, 1])  # exchanged in both, they move as before
    np.testing.assert_allclose(costs[:, 0, 1], costs[:, 1, 0], rtol=1e-6)
    assert (costs[:, 0, 1] > costs[:, 0, 0]).all()


def test_place_and_size_in_the_image_do_not_matter_to_continuity(moving):
    given = moving.track
    steps = np.arange(FRAMES, dtype=np.float32)[:, None, None] * np.float32([300, -20])
    moved = replace(given, xy=5 * given.xy + steps)
    costs, expected = (discontinuity(one, as_relabelled(one, LEGS), TIME) for one in (moved, given))
    np.testing.assert_allclose(costs, expected, rtol=1e-3)


def test_frames_far_apart_and_cameras_say_nothing_of_each_other(moving):
    other = as_relabelled(moving.track, LEGS)
    time = np.array([0, 0, 0.1, 0.2, 0.6, 0.7, 0.8])
    silent = ~discontinuity(moving.track, other, time).any(axis=(1, 2))
    assert silent.tolist() == [True, False, False, True, False, False]


def test_the_likeliest_readings_are_those_of_the_least_total(rng):
    """Slow twin: all of them."""
    for _ in range(20):
        gain, jump = rng.normal(0, 3, 5), rng.exponential(2, (4, 2, 2))
        gain[rng.integers(5)] = -np.inf

        def total(path, gain=gain, jump=jump):
            own = sum(one for one, chosen in zip(gain, path, strict=True) if chosen)
            return own - sum(cost[a, b] for cost, a, b in zip(jump, path, path[1:], strict=False))

        paths = [[number >> bit & 1 for bit in range(5)] for number in range(32)]
        best = max(paths, key=total)
        chosen, margin = likeliest_readings(gain, jump)
        assert chosen.tolist() == [bool(one) for one in best]
        for image in range(5):
            as_given, otherwise = ([*best[:image], state, *best[image + 1 :]] for state in (0, 1))
            if np.isfinite(gain[image]):
                assert margin[image] == pytest.approx(total(otherwise) - total(as_given))
