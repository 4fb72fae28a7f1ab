import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.simulate.motion import PROGRAMS, synthesize
from vipe.simulate.motion.body import sample_body
from vipe.simulate.motion.performance import LONGEST, SHORTEST, perform
from vipe.skeletons import load

SKELETON = load("h36m17")
JOINT = {name: i for i, name in enumerate(SKELETON.joints)}
FPS = 30.0


def take(program, seed):
    generator = np.random.default_rng([17, seed])
    return perform([program], sample_body("somebody", generator), FPS, generator)[0]


@pytest.fixture(scope="module")
def takes():
    """Four performances of every program."""
    return {program: [take(program, seed) for seed in range(4)] for program in PROGRAMS}


def bones(positions):
    return np.stack([positions[:, child] - positions[:, parent] for parent, child in SKELETON.bones], axis=1)


def flexion(positions, upper, middle, lower):
    """Degrees by which a limb is bent; 0 is straight."""
    a = positions[:, JOINT[middle]] - positions[:, JOINT[upper]]
    b = positions[:, JOINT[lower]] - positions[:, JOINT[middle]]
    cosine = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def seed_clips(seed, **amount):
    return list(synthesize(**(amount or {"clips": 3}), generator=np.random.default_rng(seed)))


def test_there_is_plenty_to_do():
    asked = "walk run turn sit kneel crouch pick_up reach wave punch kick jump dance lie_down climb"
    assert set(asked.split()) <= set(PROGRAMS)
    assert len(PROGRAMS) >= 25
    assert all(program.__doc__ for program in PROGRAMS.values())


def test_clips_say_what_they_are():
    for number, clip in enumerate(seed_clips(0, clips=12)):
        assert clip.skeleton is SKELETON
        assert clip.positions.dtype == np.float32
        assert clip.fps == 30.0
        first = clip.action.split("+")[0]
        assert first in PROGRAMS
        assert clip.name == f"{first}_{number:04d}"
        assert clip.subject.startswith("body-")
        assert clip.source == "vipe.simulate"
        assert "CC0" in clip.licence
        assert SHORTEST - 0.1 <= clip.seconds <= LONGEST + 0.1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_motion():
    first, again, other = seed_clips(3), seed_clips(3), seed_clips(4)
    assert [clip.positions.tobytes() for clip in first] == [clip.positions.tobytes() for clip in again]
    assert [clip.name for clip in first] == [clip.name for clip in again]
    assert first[0].positions.tobytes() != other[0].positions.tobytes()


def test_a_clip_does_not_depend_on_how_many_are_made_or_looked_at():
    many = seed_clips(5, clips=6)
    assert seed_clips(5, clips=2)[1].positions.tobytes() == many[1].positions.tobytes()
    timed = seed_clips(5, minutes=0.2)
    assert all(a.positions.tobytes() == b.positions.tobytes() for a, b in zip(timed, many, strict=False))


def test_nobody_draws_from_the_global_generator():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    seed_clips(6)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_minutes_are_reached_by_the_last_clip_and_not_before():
    clips = seed_clips(7, minutes=0.5)
    assert sum(clip.seconds for clip in clips) >= 30 > sum(clip.seconds for clip in clips[:-1])


def test_only_the_programs_asked_for_are_performed():
    clips = synthesize(clips=12, programs=["walk", "sit"], generator=np.random.default_rng(8))
    assert {name for clip in clips for name in clip.action.split("+")} == {"walk", "sit"}


def test_another_rate_samples_the_same_movement_at_other_times():
    slow, fast = (
        next(synthesize(clips=1, programs=["walk"], fps=fps, generator=np.random.default_rng(9)))
        for fps in (10.0, 30.0)
    )
    assert abs(slow.seconds - fast.seconds) < 0.2
    n = min(len(slow), len(fast) // 3)
    np.testing.assert_allclose(slow.positions[:n], fast.positions[::3][:n], atol=1e-5)


def test_several_bodies_of_human_size_perform():
    clips = seed_clips(10, clips=60)
    legs = {}
    for clip in clips:
        thigh = np.linalg.norm(clip.positions[:, JOINT["left_knee"]] - clip.positions[:, JOINT["left_hip"]], axis=-1)
        legs.setdefault(clip.subject, []).append(thigh.mean())
    assert len(legs) >= 12
    assert all(np.ptp(lengths) < 1e-4 for lengths in legs.values())  # a subject is one person
    means = [lengths[0] for lengths in legs.values()]
    assert 0.3 < min(means) < max(means) < 0.58
    assert max(means) - min(means) > 0.04


@pytest.mark.parametrize("program", PROGRAMS)
def test_bones_keep_their_length(takes, program):
    for one in takes[program]:
        lengths = np.linalg.norm(bones(one.positions.astype(np.float64)), axis=-1)
        assert np.ptp(lengths, axis=0).max() < 1e-4


@pytest.mark.parametrize("program", PROGRAMS)
def test_knees_and_elbows_stay_within_their_range(takes, program):
    for one in takes[program]:
        positions = one.positions.astype(np.float64)
        for side in ("left", "right"):
            for limb in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
                angle = flexion(positions, *(f"{side}_{joint}" for joint in limb))
                assert angle.min() > 0.5
                assert angle.max() < 153


@pytest.mark.parametrize("program", PROGRAMS)
def test_knees_bend_backwards_only(takes, program):
    """The shank folds behind the thigh: hips, knee and ankle seen in the thigh's plane of flexion."""
    for one in takes[program]:
        p = one.positions.astype(np.float64)
        across = p[:, JOINT["left_hip"]] - p[:, JOINT["right_hip"]]
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        for side in ("left", "right"):
            hip, knee, ankle = (p[:, JOINT[f"{side}_{name}"]] for name in ("hip", "knee", "ankle"))
            thigh, shank = knee - hip, ankle - knee
            axis = np.cross(thigh, shank)
            size = np.linalg.norm(axis, axis=-1) / (np.linalg.norm(thigh, axis=-1) * np.linalg.norm(shank, axis=-1))
            bent = size > 0.35  # less than 20 degrees tell no plane
            # The hinge turns about the axis to the left, or as far from it as a leg raised sideways is turned; a knee
            # that bent the wrong way would be 180 degrees off.
            cosine = (axis * across).sum(-1) / np.maximum(np.linalg.norm(axis, axis=-1), 1e-9)
            assert (cosine[bent] > np.cos(np.radians(105))).all()


@pytest.mark.parametrize("program", PROGRAMS)
def test_hips_stay_within_their_range(takes, program):
    for one in takes[program]:
        p = one.positions.astype(np.float64)
        left = p[:, JOINT["left_hip"]] - p[:, JOINT["right_hip"]]
        left /= np.linalg.norm(left, axis=-1, keepdims=True)
        up = p[:, JOINT["spine"]] - p[:, JOINT["pelvis"]]
        up -= (up * left).sum(-1, keepdims=True) * left
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        forward = np.cross(left, up)
        for side, sign in (("left", 1), ("right", -1)):
            thigh = p[:, JOINT[f"{side}_knee"]] - p[:, JOINT[f"{side}_hip"]]
            thigh /= np.linalg.norm(thigh, axis=-1, keepdims=True)
            out = sign * (thigh * left).sum(-1)
            assert np.degrees(np.arcsin(out.clip(-1, 1))).max() < 92
            assert np.degrees(np.arcsin(out.clip(-1, 1))).min() > -55
            # Behind the spine: hip extension plus what the lumbar spine arches or bends (up to 60 degrees).
            behind = np.degrees(np.arcsin((-(thigh * forward).sum(-1)).clip(-1, 1)))
            assert np.where((thigh * up).sum(-1) < 0, behind, 0).max() < 88


@pytest.mark.parametrize("program", PROGRAMS)
def test_shoulders_stay_within_their_range(takes, program):
    for one in takes[program]:
        p = one.positions.astype(np.float64)
        left = p[:, JOINT["left_shoulder"]] - p[:, JOINT["right_shoulder"]]
        left /= np.linalg.norm(left, axis=-1, keepdims=True)
        up = p[:, JOINT["thorax"]] - p[:, JOINT["spine"]]
        up -= (up * left).sum(-1, keepdims=True) * left
        forward = np.cross(left, up / np.linalg.norm(up, axis=-1, keepdims=True))
        for side, sign in (("left", 1), ("right", -1)):
            arm = p[:, JOINT[f"{side}_elbow"]] - p[:, JOINT[f"{side}_shoulder"]]
            arm /= np.linalg.norm(arm, axis=-1, keepdims=True)
            behind = np.degrees(np.arcsin((-(arm * forward).sum(-1)).clip(-1, 1)))
            across = np.degrees(np.arcsin((-sign * (arm * left).sum(-1)).clip(-1, 1)))
            # 60 degrees of extension at the shoulder, 20 more from the shoulder blade; about as far across the chest.
            assert behind.max() < 80
            assert across.max() < 65


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_planted_foot_stays_where_it_is(takes, program):
    stood = 0
    for one in takes[program]:
        for foot, joint in enumerate(("left_ankle", "right_ankle")):
            ankle = one.positions[:, JOINT[joint]].astype(np.float64)
            planted = one.planted[:, foot]
            starts = np.flatnonzero(planted & ~np.r_[False, planted[:-1]])
            ends = np.flatnonzero(planted & ~np.r_[planted[1:], False]) + 1
            for start, end in zip(starts, ends, strict=True):
                stood += end - start
                assert np.linalg.norm(ankle[start:end] - ankle[start], axis=-1).max() < 0.005
    assert stood > 30  # there is no program without a foot on the ground


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_goes_under_the_ground(takes, program):
    for one in takes[program]:
        assert one.positions[:, [JOINT["left_ankle"], JOINT["right_ankle"]], 2].min() > 0.05
        assert one.positions[..., 2].min() > 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_movement_is_smooth(takes, program):
    """Joints are thrown about no harder than in a punch or a fall: at most 400 m/s^2 and 18 m/s."""
    for one in takes[program]:
        acceleration = np.linalg.norm(np.diff(one.positions.astype(np.float64), 2, axis=0), axis=-1) * FPS**2
        assert acceleration.max() < 400
        speed = np.linalg.norm(np.diff(one.positions.astype(np.float64), axis=0), axis=-1) * FPS
        assert speed.max() < 18


def test_programs_follow_each_other_without_a_seam():
    clips = seed_clips(13, clips=60)
    assert sum("+" in clip.action for clip in clips) > 20
    for clip in clips:
        acceleration = np.linalg.norm(np.diff(clip.positions.astype(np.float64), 2, axis=0), axis=-1) * FPS**2
        assert acceleration.max() < 400
        assert clip.positions[..., 2].min() > 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_two_performances_are_alike(takes, program):
    first, second = (one.positions - one.positions[:, :1] for one in takes[program][:2])
    n = min(len(first), len(second))
    turned = [p[:n] for p in (first, second)]
    # Facing and height aside: distances of wrists, ankles and head from the pelvis.
    ends = [JOINT[name] for name in ("left_wrist", "right_wrist", "left_ankle", "right_ankle", "head")]
    a, b = (np.linalg.norm(p[:, ends], axis=-1) for p in turned)
    assert np.abs(a - b).mean() > 0.02


def test_people_move_through_the_world():
    clips = list(synthesize(clips=8, programs=["walk"], generator=np.random.default_rng(11)))
    ways = [np.linalg.norm(clip.positions[-1, 0, :2] - clip.positions[0, 0, :2]) for clip in clips]
    assert np.median(ways) > 0.8


def test_left_and_right_are_used_alike():
    clips = seed_clips(12, clips=150)
    poses = np.concatenate([clip.positions[::10] for clip in clips])
    higher = poses[:, JOINT["left_wrist"], 2] > poses[:, JOINT["right_wrist"], 2]
    assert 0.4 < higher.mean() < 0.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either clips or minutes"),
        ({"clips": 1, "minutes": 1.0}, "either clips or minutes"),
        ({"clips": 0}, "clips must be at least 1, got 0"),
        ({"minutes": -1.0}, "minutes must be a positive number"),
        ({"minutes": float("nan")}, "minutes must be a positive number"),
        ({"clips": 1, "fps": 0.0}, "fps must be from 1 to 1000"),
        ({"clips": 1, "programs": ["walk", "fly"]}, "no program 'fly'; known are walk"),
        ({"clips": 1, "programs": []}, "no program given; known are walk"),
    ],
)
def test_bad_arguments_are_refused_at_once_in_one_line(arguments, message):
    with pytest.raises(VipeError, match=message) as caught:
        synthesize(**arguments, generator=np.random.default_rng(0))
    assert "\n" not in str(caught.value)
