"""Bodies that no person has, and what a store says of its rigs."""

import re

import numpy as np
import pytest

from vipe import PoseStore
from vipe.clips import Clip
from vipe.errors import StoreError
from vipe.skeletons import load
from vipe.store.bodies import body_of

H36M = load("h36m17")
INDEX = {joint: i for i, joint in enumerate(H36M.joints)}
# The 17 joints of MPI-INF-3DHP's test set: top of the head, neck, right arm, left arm, right leg, left leg, ...
OTHER_ORDER = [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]


def exchanged(pose, *joints):
    for joint in joints:
        left, right = INDEX[f"left_{joint}"], INDEX[f"right_{joint}"]
        pose[:, [left, right]] = pose[:, [right, left]]


def stretched(pose, joint, factor):
    above = H36M.parents[INDEX[joint]]
    shift = (factor - 1) * (pose[:, INDEX[joint]] - pose[:, above])
    below = {INDEX[joint]}
    for i, parent in enumerate(H36M.parents):
        if parent in below:
            below.add(i)
    pose[:, list(below)] += shift[:, None]


def lying_trunk(pose):
    trunk = [i for i, joint in enumerate(H36M.joints) if not joint.endswith(("hip", "knee", "ankle", "pelvis"))]
    x, y, z = np.moveaxis(pose[:, trunk] - pose[:, :1], -1, 0)
    pose[:, trunk] = pose[:, :1] + np.stack([z, y, -x], axis=-1)


def test_a_person_is_not_doubtful(standing, bent):
    assert body_of(standing[None]).doubts == ()
    for pose in bent(10, 3):
        assert body_of(pose[None]).doubts == ()
    lengths = body_of(standing[None]).lengths
    assert lengths["height"] == pytest.approx(1.72, abs=0.06)
    assert lengths["thigh"] == pytest.approx(0.43)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pose: stretched(pose, "head", 9.0), r"a head [3-9][.\d]* trunks long"),
        (lambda pose: (stretched(pose, "left_knee", 5.8), stretched(pose, "right_knee", 5.8)), "a thigh of 2.5 m"),
        (lambda pose: stretched(pose, "left_wrist", 1.5), "a left forearm of 0.38 m and a right one of 0.25 m"),
        (lying_trunk, "a trunk that lies while the legs stand"),
        (lambda pose: exchanged(pose, "hip", "knee", "ankle"), "hips the other way round"),
        (lambda pose: exchanged(pose, "hip", "knee", "ankle", "shoulder", "elbow", "wrist"), "at the back of the head"),
        (lambda pose: pose.__imul__(0.3), "a height of 0.5"),
        (lambda pose: pose.__imul__([1, -1, -1]), "a body upside down"),
        (lambda pose: pose.__setitem__(..., pose[..., [0, 2, 1]] * [1, -1, 1]), "a body that lies stretched out"),
    ],
    ids=["head", "thigh", "sides", "trunk", "hips", "mirrored", "small", "upside down", "y up"],
)
def test_what_no_person_has_is_said(standing, change, said):
    pose = np.repeat(standing[None].astype(np.float64), 5, axis=0)
    change(pose)
    assert any(re.search(said, doubt) for doubt in body_of(pose.astype(np.float32)).doubts)


def test_the_order_of_3dhp_is_named(standing, bent):
    for pose in (standing, *bent(5, 3)):
        doubts = body_of(pose[None][:, OTHER_ORDER]).doubts
        assert any("in the order of mpi_inf_3dhp17, not of h36m17: --array-skeleton" in doubt for doubt in doubts)


def test_another_order_of_joints_is_suspected(standing):
    assert any("is the order of its joints" in doubt for doubt in body_of(standing[None][:, ::-1]).doubts)


def test_bones_that_change_their_length_are_told(standing, rng):
    poses = standing + 0.15 * rng.normal(size=(50, 17, 3))
    assert any("change their length" in doubt for doubt in body_of(poses.astype(np.float32)).doubts)


def test_a_joint_that_is_off_in_few_frames_is_told(standing):
    motion = np.repeat(standing[None], 500, axis=0)
    motion[123, INDEX["left_wrist"], 0] += 10
    motion[124, INDEX["head"], 1] -= 4
    (said,) = body_of(motion).doubts
    assert re.fullmatch(r"a left wrist 1\d m from the pelvis; so far off are joints in 2 of 500 frames", said)


def clip(name, positions, **given):
    return Clip(name=name, skeleton=H36M, positions=np.array(positions, dtype=np.float32), fps=30.0, **given)


def test_a_store_states_its_rigs_and_what_is_doubtful_about_them(tmp_path, standing):
    pose = np.repeat(standing[None], 3, axis=0)
    wrong = pose.copy()
    exchanged(wrong, "hip", "knee", "ankle")
    store = PoseStore.create(
        tmp_path / "store",
        [clip("a", pose, notes=("as it came",)), clip("b", 1.1 * pose, notes=("as it came",)), clip("c", wrong)],
    )
    (rig,) = store.rigs
    assert (rig["rig"], rig["clips"]) == ("h36m17", 3)
    assert rig["tallest"] == pytest.approx(1.1 * rig["shortest"], abs=1e-3)
    assert rig["thigh"] == pytest.approx(0.43 * 3.1 / 3, abs=1e-3)
    assert tuple(store.notes[0]) == ("as it came", 2, "a")
    assert store.notes[1].text.startswith("a doubtful body: hips the other way round")
    longer = store.append([clip("d", 0.9 * pose, notes=("as it came",))])
    assert longer.rigs[0]["clips"] == 4
    assert (longer.notes[0].clips, longer.notes[0].first) == (3, "a")
    assert PoseStore.open(store.path).rigs == longer.rigs


def test_new_notes_are_of_the_clips_that_were_just_stored_whoever_else_appended(tmp_path, standing):
    pose = standing[None]
    store = PoseStore.create(tmp_path / "store", [clip("a", pose, notes=("first",))])
    assert [note.text for note in store.new_notes] == ["first"]
    PoseStore.open(store.path).append([clip("b", 1.1 * pose, notes=("another's",))])
    longer = store.append([clip("c", 1.2 * pose, notes=("mine", "first"))])  # opened before the other one appended
    assert [tuple(note) for note in longer.new_notes] == [("mine", 1, "c"), ("first", 1, "c")]
    assert PoseStore.open(store.path).new_notes == ()
    assert longer.append([clip("d", pose)]).new_notes == ()  # passed over


def test_notes_of_many_kinds_are_bounded(tmp_path, standing):
    clips = (clip(f"c{i}", standing[None], notes=(f"note {i}",)) for i in range(250))
    notes = PoseStore.create(tmp_path / "store", clips).notes
    assert len(notes) == 201
    assert notes[-1] == ("further notes of other kinds", 50, "")


def test_most_frames_must_have_a_body(tmp_path, standing):
    poses = np.repeat(standing[None], 4, axis=0)
    poses[2] = 0
    assert len(PoseStore.create(tmp_path / "one broken frame", [clip("a", poses)])) == 4
    poses[1:] = 0
    skipped = []
    with pytest.raises(StoreError, match="a torso of 0 m, expected"):
        PoseStore.create(tmp_path / "store", [clip("a", poses)])
    store = PoseStore.create(tmp_path / "store", [clip("a", poses), clip("b", standing[None])], on_skip=skipped.append)
    assert (len(store), len(skipped)) == (1, 1)
