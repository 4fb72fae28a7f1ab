"""One adult in the names, units, axes and habits of many programs: always the same body, the right way up."""

import io
import re
import time

import numpy as np
import pytest
from readers.rig_files import ENDS, FAMILIES, UNITS, Joint, Rotation, bvh, rig, without

from vipe.errors import ReadError
from vipe.readers.contract import Hints
from vipe.readers.rigs import bvh as reader
from vipe.skeletons import load

H36M = load("h36m17")
LIMBS = [f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "shoulder", "wrist")]
LYING = Rotation.from_rotvec([np.pi / 2, 0, 0])
FALLING = [LYING, LYING, LYING, Rotation.identity()]


def read(text, **hints):
    return reader.read(io.BytesIO(text.encode()), "walk.bvh", (), Hints(**hints))


def assert_is(joints, clip, size=1.0, frame=-1):
    """The clip's body in one frame is the standing one that the file was written from."""
    pose = clip.to(H36M).positions[frame] / size
    at = {joint.role: joint.at for joint in joints}
    pelvis = (at["left_hip"] + at["right_hip"]) / 2
    for role in LIMBS:
        if not role.endswith("wrist"):
            np.testing.assert_allclose(pose[H36M.index(role)] - pose[0], at[role] - pelvis, atol=2e-3, err_msg=role)
    nose, crown = (pose[H36M.index(joint)] - pose[0] for joint in ("nose", "head"))
    assert crown[2] == pytest.approx(1.77 - pelvis[2], abs=0.04)  # the top of the head
    assert 0.08 < crown[1] - nose[1] < 0.14  # the face looks to -y
    assert 0.08 < crown[2] - nose[2] < 0.16
    spine, thorax = (pose[H36M.index(joint)] - pose[0] for joint in ("spine", "thorax"))
    assert 0.2 < spine[2] < 0.3
    assert 0.45 < thorax[2] < 0.58


@pytest.mark.parametrize("naming", FAMILIES)
def test_a_body_is_known_whatever_program_named_its_joints(naming):
    for unit, up in (("cm", "y"), ("inch", "z")):
        joints = rig(naming)
        clip = read(bvh(joints, unit=unit, up=up, frames=2))
        assert (clip.skeleton.unit, clip.skeleton.up, clip.notes) == (UNITS[unit], up, ())
        assert_is(joints, clip)


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("unit", UNITS)
def test_unit_and_up_axis_come_from_the_body(unit, up):
    joints = rig()
    clip = read(bvh(joints, unit=unit, up=up, frames=2))
    assert clip.skeleton.up == up
    if unit in ("fair", "twice"):  # no unit that anyone uses: scaled to an adult, and told
        assert clip.skeleton.unit == pytest.approx(UNITS[unit], rel=0.05)
        assert "scaled to an adult" in clip.notes[0]
    else:
        assert (clip.skeleton.unit, clip.notes) == (UNITS[unit], ())
    assert_is(joints, clip, clip.skeleton.unit / UNITS[unit])


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize(
    ("built", "written"),
    [
        ({"a_pose": True}, {}),
        ({"fingers": True}, {}),
        ({"twists": True}, {}),
        ({"spines": 7}, {}),
        ({"hip_joints": True}, {}),
        ({"helper": True}, {}),
        ({}, {"ends": False}),
        ({}, {"aligned": True}),
        ({}, {"turned": FALLING}),
        ({}, {"turned": FALLING, "aligned": True}),
        ({}, {"moved": True}),
        ({}, {"moved": True, "aligned": True}),
        ({"fingers": True, "twists": True, "spines": 3, "hip_joints": True, "helper": True}, {"aligned": True}),
    ],
    ids=lambda made: " ".join(made),
)
def test_how_a_rig_is_built_and_where_it_lies_at_first_does_not_matter(built, written, up):
    stands = up
    if written.get("moved"):  # its OFFSETs say one axis, its motion another
        written = {**written, "moved": Rotation.from_rotvec([np.pi / 2 if up == "y" else -np.pi / 2, 0, 0])}
        stands = {"y": "z", "z": "y"}[up]
    joints = rig(**built)
    clip = read(bvh(joints, up=up, frames=4, **written))
    assert (clip.skeleton.unit, clip.skeleton.up) == (0.01, stands)
    assert_is(joints, clip)


@pytest.mark.parametrize("aligned", [False, True], ids=["with rest pose", "bone axes"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_who_lies_all_the_time_lies(up, aligned):
    clip = read(bvh(rig(), up=up, turned=[LYING] * 4, frames=4, aligned=aligned))
    pose = clip.to(H36M).positions[0]
    assert clip.skeleton.up == up
    assert np.ptp(pose[:, 2]) < 0.5


@pytest.mark.parametrize("size", [0.82, 1.2], ids=["small", "tall"])
def test_people_keep_their_size(size):
    joints = rig()
    clip = read(bvh(joints, size=size, frames=2))
    assert clip.skeleton.unit == 0.01
    assert_is(joints, clip, size)


def test_what_the_user_says_wins_and_a_contradiction_is_told():
    text = bvh(rig(), unit="cm", up="y", frames=2)
    clip = read(text, unit=0.0254, up="z")
    assert (clip.skeleton.unit, clip.skeleton.up) == (0.0254, "z")
    assert any("the body speaks for centimetres: --unit 0.01" in note for note in clip.notes)
    assert any("the body stands along y: --up y" in note for note in clip.notes)


def test_a_table_without_unit_and_axis_leaves_them_to_the_body(tmp_path):
    """And sites are metres on the body that comes out."""
    joints = rig("unity")
    table = load(str(_table(tmp_path, joints, "")))
    clip = reader.read(io.BytesIO(bvh(joints, unit="inch", up="z", frames=2).encode()), "walk.bvh", [table])
    assert (clip.skeleton.name, clip.skeleton.unit, clip.skeleton.up) == ("mine", 0.0254, "z")
    head, nose = (clip.positions[0, clip.skeleton.index(joint)] for joint in ("Head", "tip"))
    np.testing.assert_allclose(nose - head, [0, -0.1, 0.05], atol=1e-5)
    stated = load(str(_table(tmp_path, joints, 'unit = 0.01\nup = "y"\n')))
    clip = reader.read(io.BytesIO(bvh(joints, unit="inch", up="z", frames=2).encode()), "walk.bvh", [stated])
    assert (clip.skeleton.unit, clip.skeleton.up) == (0.01, "y")
    assert len(clip.notes) == 2


def _table(folder, joints, stated):
    names = {joint.role: joint.name for joint in joints}
    above = {joint.name: joints[joint.parent].name for joint in joints if joint.parent >= 0}
    rows = "".join(
        f'{{ name = "{joint.name}"' + (f', parent = "{above[joint.name]}"' if joint.name in above else "") + " },\n"
        for joint in joints
    )
    to = {joint: f'"{names[joint]}"' for joint in H36M.joints if joint in names}
    to |= {"pelvis": f'"{names["hips"]}"', "spine": f'"{names["spine1"]}"', "thorax": f'"{names["neck"]}"'}
    to |= {"nose": '"tip"', "head": f'"{names["head"]}"'}
    path = folder / f"{'stated' if stated else 'mine'}.toml"
    path.write_text(
        f'name = "mine"\n{stated}joints = [\n{rows}]\n[[sites]]\nname = "tip"\njoint = "{names["head"]}"\n'
        "offset = [0.0, -0.1, 0.05]\n[to.h36m17]\n" + "".join(f"{joint} = {value}\n" for joint, value in to.items())
    )
    return path


def test_exchanged_sides_are_told():
    joints = rig()
    for joint in joints:
        joint.name = joint.name.replace("Left", "Other").replace("Right", "Left").replace("Other", "Right")
    assert any("left and right exchanged" in note for note in read(bvh(joints, frames=2)).notes)


def test_an_unknown_rig_is_refused_and_can_be_guessed():
    joints = rig(fingers=True, twists=True)
    for number, joint in enumerate(joints):
        joint.name = f"Bone{number:03d}"
    text = bvh(joints, frames=2)
    with pytest.raises(ReadError, match=r"skeletons suggest FILE --out mine.toml` proposes, or use --guess"):
        read(text)
    clip = read(text, guess=True)
    assert clip.notes[0].startswith("a guess, ")
    assert_is(joints, clip)


def test_what_is_no_body_is_not_guessed():
    chain = [f"JOINT j{i}\n{{\nOFFSET 0 1 0\n" for i in range(30)]
    text = "HIERARCHY\nROOT r\n{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n" + "".join(chain) + "}\n" * 31
    with pytest.raises(ReadError, match="no body was found in its topology"):
        read(text + "MOTION\nFrames: 1\nFrame Time: 0.1\n0\n", guess=True)


@pytest.mark.parametrize("guess", [False, True])
@pytest.mark.parametrize("name", ["J{}", "J{}" + "x" * 1000, "l" * 300 + "{}", "ns{}:LeftUpLeg"], ids=len)
def test_thousands_of_joints_and_long_names_take_linear_time(name, guess):
    n = 800
    joints = "".join(f"JOINT {name.format(i)}\n{{\nOFFSET 0 1 0\nCHANNELS 0\n" for i in range(n))
    text = f"HIERARCHY\nROOT r\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n{joints}" + "}\n" * (n + 1)
    start = time.process_time()
    with pytest.raises(ReadError) as caught:
        read(text + "MOTION\nFrames: 1\nFrame Time: 0.1\n0\n", guess=guess)
    assert time.process_time() - start < 2
    assert len(str(caught.value)) < 2000


def test_a_body_below_thousands_of_helpers_is_found():
    text = bvh(rig(), frames=2).replace("ROOT", "JOINT", 1).removeprefix("HIERARCHY\n")
    n = 500
    above = "".join(f"{'JOINT' if i else 'ROOT'} c{i}\n{{\nOFFSET 0 0 0\nCHANNELS 0\n" for i in range(n))
    start = time.process_time()
    clip = read(f"HIERARCHY\n{above}{text.replace('MOTION', '}' * 0 + chr(10).join('}' * n) + chr(10) + 'MOTION')}")
    assert time.process_time() - start < 2
    assert clip.skeleton.name == "upleg"


@pytest.mark.parametrize("naming", ["upleg", "unreal", "hip_knee"])
@pytest.mark.parametrize("lacking", ["head", "wrist", "ankle"])
def test_the_end_of_a_bone_stands_for_a_joint_that_the_rig_lacks(naming, lacking):
    roles = {f"{side}_{part}" for side in ("left", "right") for part in (lacking, "toe" if lacking == "ankle" else "")}
    joints = without(rig(naming), roles | {lacking})
    clip = read(bvh(joints, frames=2))
    (note,) = clip.notes
    assert note.startswith(f"no joint for {'head' if lacking == 'head' else f'left {lacking}, right {lacking}'}: ")
    pose = clip.to(H36M).positions[0]
    at = {joint.role: joint.at for joint in rig(naming)}
    for role in ("left_wrist", "right_ankle"):
        offset = at[role] - (at["left_hip"] + at["right_hip"]) / 2
        np.testing.assert_allclose(pose[H36M.index(role)] - pose[0], offset, atol=2e-3)
    assert pose[H36M.index("head"), 2] - pose[0, 2] == pytest.approx(0.86, abs=0.04)


def test_the_end_of_a_neck_may_be_the_top_of_the_head(monkeypatch):
    monkeypatch.setitem(ENDS, "neck", ENDS["head"])
    pose = read(bvh(without(rig(), {"head"}), frames=2)).to(H36M).positions[0]
    assert pose[H36M.index("head"), 2] - pose[0, 2] == pytest.approx(0.86, abs=0.01)


@pytest.mark.parametrize("stub", [(0.45, 0.01, 1.40), (0.45, 0.01, 1.42), (1.2, 0.01, 1.42)])
def test_an_end_that_no_forearm_has_is_no_wrist(stub, monkeypatch):
    monkeypatch.setitem(ENDS, "elbow", stub)
    with pytest.raises(ReadError, match="without a joint for left wrist, right wrist"):
        read(bvh(without(rig(), {"left_wrist", "right_wrist"}), frames=2))


def test_an_end_at_the_neck_itself_is_no_head(monkeypatch):
    monkeypatch.setitem(ENDS, "neck", (0, 0.01, 1.48))
    with pytest.raises(ReadError, match="without a joint for head"):
        read(bvh(without(rig(), {"head"}), frames=2))


def test_helpers_that_are_called_alike_do_not_matter_wherever_they_stand():
    joints = rig("unreal")
    helpers = [("ik_foot_root", 0)] + [(f"ik_{part}_{side}", 1) for part in ("foot", "hand") for side in "lr"]
    first = [Joint(name, name, parent, np.array([0.3, 0.3, 0.1])) for name, parent in helpers]
    later = [
        Joint(joint.name, joint.role, joint.parent + len(first) if joint.parent > 0 else joint.parent, joint.at)
        for joint in joints[1:]
    ]
    assert_is(joints, read(bvh([joints[0], *first, *later], frames=2)))


def test_nothing_is_surer_than_sure():
    joints = without(rig(), {"head"})
    for joint in joints:
        joint.name = joint.name.replace("Neck", "Nek")
    clip = read(bvh(joints, frames=2), guess=True)
    assert re.match(r"a guess, (\d\d|100)% sure", clip.notes[0])
