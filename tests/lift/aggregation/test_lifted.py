"""What is lifted of people and tracks, and the files it is written to."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import vipe
from vipe.errors import VipeError
from vipe.geometry import REFERENCE_TORSO, bone_lengths
from vipe.geometry.upright import stature
from vipe.lift import Hypotheses, Lifter
from vipe.lift.aggregation.files import check_place, save_people, save_tracks
from vipe.lift.aggregation.lifted import check_height, lift_people, lift_tracks, to_world
from vipe.lift.aggregation.one_pose import weak_perspective
from vipe.lift.aggregation.track import body_lengths
from vipe.lift.condition import Condition, skip_reasons
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17

FRONT = View(name="front", azimuth=0.0, elevation=0.0)
FPS = 25.0
SEEN = torch.ones(1, 13, dtype=torch.bool)


class Known(Lifter):
    """Knows two poses of everybody, the second with a third of the probability; draws each a share of `n` times."""

    kind = "known"

    def __init__(self, poses):
        self.poses = poses

    def sample(self, keypoints, n, generator):
        first = self.poses[keypoints.person]
        noise = 0.01 * torch.randn(len(first), n, 17, 3, generator=generator).numpy()
        noise[..., 0, :] = 0
        drawn = np.repeat(first[:, None], n, axis=1)
        drawn[:, 3 * n // 4 :, :, 2] *= -1
        weight = np.full((len(first), n), -np.log(n), dtype=np.float32)
        return Hypotheses(poses=(drawn + noise).astype(np.float32), log_weight=weight)

    def predict(self, keypoints):
        return self.poses[keypoints.person]

    def save(self, path, *, files=None, replace=False):
        raise NotImplementedError


@pytest.fixture
def standing_in_camera(standing):
    """Two people in camera space, with a torso of reference size: the second leans towards the camera."""
    pose = (standing - standing[0])[:, [1, 2, 0]] * np.array([1, -1, -1], dtype=np.float32)
    pose *= REFERENCE_TORSO / np.abs(pose[8, 1])
    turn = torch.tensor([[1, 0, 0], [0, np.cos(0.8), -np.sin(0.8)], [0, np.sin(0.8), np.cos(0.8)]]).float().numpy()
    return np.stack([pose, pose @ turn.T]).astype(np.float32)


@pytest.fixture
def two(standing):
    people = simulate_keypoints(np.stack([standing] * 2), FRONT, generator=np.random.default_rng(0))
    return replace(people, image_id=("a", 7), person=np.array([0, 1]))


@pytest.fixture
def lifted(standing_in_camera, two):
    return lift_people(Known(standing_in_camera), two, 20, torch.Generator().manual_seed(0))


@pytest.fixture
def video(standing):
    """Two people in four frames, the second not in the third."""
    people = simulate_keypoints(np.stack([standing] * 7), FRONT, generator=np.random.default_rng(0))
    person, frame = np.array([0, 1, 0, 1, 0, 0, 1]), np.array([2, 2, 3, 3, 4, 5, 5])
    return replace(people, image_id=tuple(map(str, frame)), person=person, frame=frame, track=person + 4)


@pytest.fixture
def tracks(standing_in_camera, video):
    return lift_tracks(Known(standing_in_camera), video, 20, torch.Generator().manual_seed(0), FPS)


def bones_of(poses):
    return bone_lengths(torch.tensor(np.asarray(poses)), H36M17.parents).numpy()


def test_people_have_hypotheses_modes_a_pose_and_a_spread(lifted, standing_in_camera):
    assert len(lifted) == len(lifted.modes) == 2
    assert lifted.hypotheses.poses.shape == (2, 20, 17, 3)
    np.testing.assert_array_equal(lifted.prediction, standing_in_camera)
    leaning = lifted.modes[1]
    np.testing.assert_allclose(leaning.share, [0.75, 0.25])
    np.testing.assert_allclose(leaning.poses[0], standing_in_camera[1], atol=0.05)
    head = H36M17.index("head")
    depth = standing_in_camera[1, head, 2]
    expected = np.sqrt(4 * 0.75 * 0.25 * depth**2 + 3 * 0.01**2)
    assert lifted.spread()[1, head] == pytest.approx(expected, rel=0.05)
    assert lifted.spread()[0, 0] == 0


def test_world_is_right_handed_with_z_up():
    axes = to_world(np.eye(3))
    np.testing.assert_array_equal(axes, [[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # right, down, away from the camera
    assert np.linalg.det(axes) == pytest.approx(1)


def test_json_is_plain_and_in_the_world(lifted, standing_in_camera):
    first, second = json.loads(json.dumps(lifted.to_json()))
    assert (first["image_id"], first["person"], second["image_id"], second["person"]) == ("a", 0, 7, 1)
    assert first["joints"] == list(H36M17.joints)
    pose = np.array(second["prediction"])
    np.testing.assert_allclose(pose, to_world(standing_in_camera[1]), atol=1e-4)
    assert pose[H36M17.index("head"), 2] > 0 > pose[H36M17.index("left_ankle"), 2]
    assert [mode["share"] for mode in second["modes"]] == [0.75, 0.25]
    assert np.array(second["modes"][0]["pose"]).shape == (17, 3)
    assert second["spread_mm"]["pelvis"] == 0
    assert second["spread_mm"]["head"] == pytest.approx(1000 * lifted.spread()[1, 10], abs=0.1)


def test_joints_that_were_not_seen_are_named(standing_in_camera, two):
    mask = two.mask.copy()
    mask[1, COCO13.index("left_wrist")] = False
    lifted = lift_people(Known(standing_in_camera), replace(two, mask=mask), 4, torch.Generator())
    assert [person["not_seen"] for person in lifted.to_json()] == [[], ["left_wrist"]]


def test_people_of_a_known_height_are_as_tall_by_their_own_bones(lifted):
    usual, tall = lifted.to_json()[1], lifted.of_height(1.925).to_json()[1]
    scale = np.linalg.norm(tall["prediction"][10]) / np.linalg.norm(usual["prediction"][10])
    np.testing.assert_allclose(tall["prediction"], scale * np.array(usual["prediction"]), atol=2e-4)
    np.testing.assert_allclose(tall["modes"][0]["pose"], scale * np.array(usual["modes"][0]["pose"]), atol=2e-4)
    assert tall["spread_mm"]["head"] == pytest.approx(scale * usual["spread_mm"]["head"], abs=0.2)
    assert stature(body_lengths(lifted.of_height(1.925).hypotheses[1:])) == pytest.approx(1.925, rel=1e-4)


def test_misfit_by_hand(standing_in_camera, two):
    """All hypotheses are one pose: its image, moved and scaled, fits exactly; with a joint astray it does not."""
    flat = standing_in_camera[:1, COCO13_IN_H36M17, :2]
    xy = np.concatenate([100 * flat + 7, 100 * flat + 7])
    xy[1, 0] += 50

    class One(Known):
        def sample(self, keypoints, n, generator):
            poses = np.repeat(standing_in_camera[:1], len(keypoints), axis=0)[:, None]
            return Hypotheses(poses=poses, log_weight=np.zeros((len(keypoints), 1), np.float32))

    people = vipe.Keypoints.of(xy, np.ones((2, 13), bool))
    lifted = lift_people(One(standing_in_camera), people, 1, torch.Generator())
    fitted, _ = weak_perspective(torch.from_numpy(standing_in_camera[:1]), torch.from_numpy(xy[1:]), SEEN)
    off = np.sqrt(np.square(fitted[0].numpy() - xy[1]).sum(-1).mean())
    own = np.sqrt(np.square(xy[1] - xy[1].mean(0)).sum(-1).mean())
    np.testing.assert_allclose(lifted.misfit(), [0, off / own], atol=1e-5)
    without = lift_people(One(standing_in_camera), replace(people, mask=people.mask & (np.arange(13) > 0)), 1, None)
    np.testing.assert_allclose(without.misfit(), 0, atol=1e-5)


def test_keypoints_of_no_person_are_doubted_and_those_of_people_are_not(standing_in_camera, two):
    assert lift_people(Known(standing_in_camera), two, 8, torch.Generator()).doubts() == ()
    cloud = replace(two, xy=two.xy[:, np.random.default_rng(0).permutation(13)])
    doubts = lift_people(Known(standing_in_camera), cloud, 8, torch.Generator()).doubts()
    assert [line.partition(":")[0] for line in doubts] == ["a person 0", "7 person 1"]


def test_nobody_has_a_height(standing_in_camera, two):
    assert len(lift_people(Known(standing_in_camera), two[:0], 4, torch.Generator()).of_height(1.8)) == 0


@pytest.mark.parametrize("height", [0.0, -1.7, 175.0, float("nan")])
def test_a_height_of_nobody_is_refused(height):
    with pytest.raises(VipeError, match=r"height must be 0\.3 to 3 metres"):
        check_height(height)


def test_a_person_who_cannot_be_lifted_has_a_reason(two):
    mask = two.mask.copy()
    mask[0, 3:] = False
    few = replace(two, mask=mask, note=("dark", ""))
    assert skip_reasons(few) == ("3 joints seen, at least 4 are needed: dark", None)
    same = replace(two, xy=np.full_like(two.xy, 5))
    assert skip_reasons(same) == ("all seen joints are at one place",) * 2
    for people, row in ((few, 0), (same, 1)):
        with pytest.raises(VipeError):
            Condition.of(people[row])
    Condition.of(few[1])


def test_tracks_are_followed_and_filled_in(tracks, standing_in_camera):
    assert [track.number for track in tracks] == [4, 5]
    assert [track.frame.tolist() for track in tracks] == [[2, 3, 4, 5]] * 2
    assert [track.seen.tolist() for track in tracks] == [[True] * 4, [True, True, False, True]]
    np.testing.assert_allclose(tracks[1].poses, np.repeat(standing_in_camera[1:], 4, axis=0), atol=0.08)
    lengths = bones_of(tracks[1].poses)
    np.testing.assert_allclose(lengths, lengths[:1].repeat(4, axis=0), atol=1e-6)


def test_a_person_without_a_track_is_a_track_alone(standing_in_camera, video):
    tracks = lift_tracks(
        Known(standing_in_camera), replace(video, track=np.where(video.person == 0, 0, -1)), 4, torch.Generator(), FPS
    )
    assert [(track.number, len(track)) for track in tracks] == [(0, 4), (1, 1), (2, 1), (3, 1)]


def test_nobody_has_no_tracks(standing_in_camera, video):
    assert lift_tracks(Known(standing_in_camera), video[:0], 4, torch.Generator(), FPS) == ()


def test_tracks_as_json_are_plain(tracks):
    (_, second) = json.loads(json.dumps([track.of_height(2.0).to_json() for track in tracks]))
    assert (second["track"], second["fps"], second["seen"]) == (5, FPS, [True, True, False, True])
    tall = tracks[1].of_height(2.0)
    np.testing.assert_allclose(second["poses"], to_world(tall.poses), atol=1e-4)
    assert second["spread_mm"]["head"] == pytest.approx(1000 * tall.spread[10], abs=0.1)
    assert stature(bones_of(tall.poses)[0]) == pytest.approx(2.0, rel=1e-4)
    assert tall.spread[10] / tracks[1].spread[10] == pytest.approx(tall.poses[0, 10, 1] / tracks[1].poses[0, 10, 1])


def test_a_folder_holds_everything(lifted, tmp_path):
    report = {"people": lifted.to_json()}
    save_people(tmp_path / "out", lifted, report)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("lifted.json", "lifted.npz", "person_000.bvh", "person_001.bvh")
    ]
    assert json.loads((tmp_path / "out" / "lifted.json").read_text()) == report
    arrays = np.load(tmp_path / "out" / "lifted.npz", allow_pickle=False)
    np.testing.assert_allclose(arrays["poses"], to_world(lifted.hypotheses.poses), atol=1e-6)
    np.testing.assert_allclose(arrays["prediction"], to_world(lifted.prediction), atol=1e-6)
    np.testing.assert_allclose(np.exp(arrays["log_weight"]).sum(axis=1), 1, rtol=1e-5)
    assert arrays["image_id"].tolist() == ["a", "7"]
    assert arrays["person"].tolist() == [0, 1]
    assert arrays["joints"].tolist() == list(H36M17.joints)
    assert arrays["keypoints"].tolist() == list(COCO13.joints)
    assert arrays["seen"].all()
    np.testing.assert_array_equal(arrays["xy"], lifted.people.xy)


def test_bvh_of_a_person_is_the_pose_and_then_the_modes_on_one_body(lifted, tmp_path):
    one = replace(lifted, people=lifted.people[1:], hypotheses=lifted.hypotheses[1:], prediction=lifted.prediction[1:])
    one = replace(one, modes=lifted.modes[1:])
    save_people(tmp_path / "one.bvh", one.of_height(1.9), {})
    (clip,) = vipe.read(tmp_path / "one.bvh")
    assert (len(clip), clip.fps) == (3, 1.0)
    tall = one.of_height(1.9)
    expected = to_world(np.concatenate([tall.prediction, tall.modes[0].poses]))
    np.testing.assert_allclose(clip.positions, expected, atol=0.08)
    lengths = bones_of(clip.positions)
    np.testing.assert_allclose(lengths, lengths[:1].repeat(3, axis=0), atol=1e-5)


def test_files_of_tracks_are_read_again(tracks, tmp_path):
    tall = [track.of_height(2.0) for track in tracks]
    save_tracks(tmp_path / "out", tall, {"tracks": []})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("lifted.json", "lifted.npz", "track_004.bvh", "track_005.bvh")
    ]
    (clip,) = vipe.read(tmp_path / "out" / "track_005.bvh")
    assert clip.fps == FPS
    np.testing.assert_allclose(clip.positions, to_world(tall[1].poses), atol=1e-5)
    arrays = np.load(tmp_path / "out" / "lifted.npz", allow_pickle=False)
    assert arrays["track"].tolist() == [4] * 4 + [5] * 4
    assert arrays["frame"].tolist() == [2, 3, 4, 5] * 2
    assert arrays["seen"].tolist() == [True] * 6 + [False, True]
    assert arrays["fps"] == FPS
    np.testing.assert_allclose(arrays["poses"][4:], to_world(tall[1].poses), atol=1e-6)


@pytest.mark.parametrize("name", ["a.json", "a.npz", "a.NPZ"])
def test_one_file_is_replaced(lifted, tmp_path, name):
    (tmp_path / name).write_text("old")
    save_people(tmp_path / name, lifted, {"people": 2})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name == "a.json":
        assert json.loads((tmp_path / name).read_text()) == {"people": 2}
    else:
        assert np.load(tmp_path / name)["poses"].shape == (2, 20, 17, 3)


def test_bvh_holds_one_person(lifted, tracks, tmp_path):
    with pytest.raises(VipeError, match="BVH holds one person, got 2 people; give a folder"):
        save_people(tmp_path / "a.bvh", lifted, {})
    with pytest.raises(VipeError, match="BVH holds one track, got no track"):
        save_tracks(tmp_path / "a.bvh", (), {})
    save_tracks(tmp_path / "a.bvh", tracks[:1], {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.bvh"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.csv", r"ends in \.csv, expected a folder, or a file in \.bvh, \.npz, \.json"),
        ("there", "exists already"),
        ("folder.npz", "is a folder, expected a file"),
        ("file/a.npz", "cannot be written"),
        ("file/a", "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before(tmp_path, name, message):
    (tmp_path / "there").mkdir()
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(VipeError, match=message):
        check_place(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.npz", "there"]


@pytest.mark.parametrize("name", ["new", "new/new", "new.bvh", "old.npz"])
def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path, name):
    (tmp_path / "old.npz").write_text("old")
    check_place(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.npz"]
    assert (tmp_path / "old.npz").read_text() == "old"


def test_a_rate_that_is_none_is_refused(standing_in_camera, video):
    with pytest.raises(VipeError, match="tracks need a finite fps above 0"):
        lift_tracks(Known(standing_in_camera), video, 4, torch.Generator(), 0.0)


def test_misfit_is_that_of_the_hypothesis_that_fits_best(standing_in_camera):
    class Two(Known):
        def sample(self, keypoints, n, generator):
            off = standing_in_camera[:1].copy()
            off[:, 4:] *= 1.5
            poses = np.stack([standing_in_camera[:1], off], axis=1)
            return Hypotheses(poses=poses, log_weight=np.full((1, 2), -np.log(2), np.float32))

    xy = 100 * standing_in_camera[:1, COCO13_IN_H36M17, :2]
    people = vipe.Keypoints.of(xy, np.ones((1, 13), bool))
    lifted = lift_people(Two(standing_in_camera), people, 2, torch.Generator())
    np.testing.assert_allclose(lifted.misfit(), 0, atol=1e-5)
