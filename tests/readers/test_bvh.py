"""BVH: closed forms, forms of writing, and every way in which a file can be broken."""

import io

import numpy as np
import pytest

from vipe.errors import ReadError
from vipe.readers.rigs import bvh
from vipe.skeletons import Site, Skeleton


def read(data, *skeletons):
    return bvh.read(io.BytesIO(data), "walk.bvh", skeletons)


def test_a_bent_elbow_is_where_geometry_puts_it(arm_bvh, arm):
    clip = read(arm_bvh, arm)
    np.testing.assert_allclose(clip.positions[0], [[0, 0, 0], [1, 0, 0], [2, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(clip.positions[1], [[5, 6, 7], [6, 6, 7], [6, 7, 7]], atol=1e-6)
    assert clip.positions.dtype == np.float32
    assert (clip.name, clip.fps, clip.skeleton.joints) == ("walk.bvh", 30.0, ("shoulder", "elbow", "wrist"))


@pytest.mark.parametrize(
    ("order", "forearm"),
    [("Zrotation Xrotation", [0, 1, 0]), ("Xrotation Zrotation", [0, 0, 1])],  # R_z R_x e_x = e_y, R_x R_z e_x = e_z
)
def test_rotations_apply_in_the_order_listed_about_turned_axes(arm_bvh, arm, order, forearm):
    data = arm_bvh.replace(
        b"CHANNELS 3 Zrotation Xrotation Yrotation\n    JOINT", b"CHANNELS 2 " + order.encode() + b"\n    JOINT"
    )
    head, _, _ = data.partition(b"0 0 0 0 0 0 0 0 0 0 0 0")
    positions = read(head.replace(b"Frames: 2", b"Frames: 1") + b"0 0 0 0 0 0 90 90 0 0 0\n", arm).positions[0]
    np.testing.assert_allclose(positions[2] - positions[1], forearm, atol=1e-6)


def test_position_channels_replace_the_offset_of_any_joint(arm_bvh, arm):
    data = arm_bvh.replace(
        b"OFFSET 1 0 0\n    CHANNELS 3 Zrotation Xrotation Yrotation\n    JOINT",
        b"OFFSET 1 8 0\n    CHANNELS 3 Zposition Xposition Zrotation\n    JOINT",
    )
    data = data.replace(b"5 6 7 0 0 0 90 0 0 0 0 0", b"0 0 0 90 0 0 4 3 0 0 0 0")
    # (3, 8, 4), of which 8 is the OFFSET's, turned by the shoulder's 90 degrees about z
    np.testing.assert_allclose(read(data, arm).positions[1, 1], [-8, 3, 4], atol=1e-5)


def test_unit_and_up_axis_come_from_the_skeleton(arm_bvh):
    arm = Skeleton(name="arm", joints=("shoulder", "elbow", "wrist"), parents=(-1, 0, 1), unit=0.01, up="y")
    np.testing.assert_allclose(read(arm_bvh, arm).positions[1, 0], [0.05, -0.07, 0.06], atol=1e-7)


def test_sites_move_with_their_joint(arm_bvh):
    hand = Site(name="fingertip", joint="wrist", offset=(0.1, 0.02, 0.0))
    arm = Skeleton(
        name="arm",
        joints=("shoulder", "elbow", "wrist", "fingertip"),
        parents=(-1, 0, 1, 2),
        sites=(hand,),
        unit=0.1,
        conversions={"x": {"y": {"fingertip": 1.0}}},
    )
    clip = read(arm_bvh, arm)
    np.testing.assert_allclose(clip.positions[0, 3], [0.3, 0.02, 0], atol=1e-7)
    np.testing.assert_allclose(clip.positions[1, 3], [0.58, 0.8, 0.7], atol=1e-6)


def test_only_joints_of_the_skeleton_are_in_the_clip_in_its_order(arm_bvh):
    wrist = Skeleton(name="w", joints=("wrist", "shoulder"), parents=(-1, -1))
    assert read(arm_bvh, wrist).skeleton.joints == ("wrist", "shoulder")
    np.testing.assert_allclose(read(arm_bvh, wrist).positions[0], [[2, 0, 0], [0, 0, 0]], atol=1e-6)


def test_a_known_skeleton_is_told_from_the_joint_names(walk_bvh):
    clip = read(walk_bvh)
    assert (clip.skeleton.name, len(clip)) == ("h36m17", 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.replace(b"\n", b"\r\n"),
        lambda d: b"\xef\xbb\xbf" + d,
        lambda d: b"\n".join(line.strip() for line in d.split(b"\n")),
        lambda d: d.replace(b"  ", b"\t").replace(b"CHANNELS 3 ", b"CHANNELS\t3   "),
        lambda d: d.replace(b" 0\n", b" 0 \n"),
        lambda d: d.replace(b" ", b"  "),
        lambda d: d.rstrip(),
        lambda d: d + b"\n \n\n",
        lambda d: d.replace(b"\n{", b" {"),
        lambda d: d.replace(b"Xrot", b"XROT").replace(b"MOTION", b"Motion").replace(b"End Site", b"End site"),
        lambda d: d.replace(b"Frames: ", b"Frames:\t").replace(b"Frame Time: ", b"Frame Time:\t"),
        lambda d: d.replace(b"MOTION\n", b"MOTION \n\n"),
    ],
    ids=["crlf", "bom", "flat", "tabs", "trailing", "wide", "no newline", "blank lines", "brace", "case", "tab", "gap"],
)
def test_the_way_it_is_written_does_not_matter(arm_bvh, arm, change):
    assert change(arm_bvh) != arm_bvh
    np.testing.assert_array_equal(read(change(arm_bvh), arm).positions, read(arm_bvh, arm).positions)


@pytest.mark.parametrize(
    ("written", "fps"),
    [
        ("0.0333333", 30),
        ("0.016667", 60),
        ("0.0083333", 120),
        ("0.00833", 120),
        ("0.0333667", 1 / 0.0333667),  # NTSC
        ("0.04", 25),
        ("1", 1),
        ("2.5", 0.4),
        ("1e-2", 100),
    ],
)
def test_a_rate_is_what_its_few_digits_mean(arm_bvh, arm, written, fps):
    assert read(arm_bvh.replace(b"0.0333333", written.encode()), arm).fps == pytest.approx(fps, rel=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"HIERARCHY", b"HIERARCHIE", r"^walk.bvh:1: found 'HIERARCHIE', expected HIERARCHY"),
        (b"Xposition", b"Xsize", r"^walk.bvh:5: joint 'shoulder' has channel 'Xsize'; expected 6 of Xposition"),
        (b"CHANNELS 3 Z", b"CHANNELS 2 Z", r"^walk.bvh:9: found 'Yrotation', expected OFFSET"),
        (b"CHANNELS 3 Z", b"CHANNELS 4 Z", r"^walk.bvh:10: joint 'elbow' has channel 'JOINT'; expected 4 of"),
        (b"CHANNELS 3 Z", b"CHANNELS 999999999999 Z", r"^walk.bvh:9: joint 'elbow' has '9+' channels, expected 0 to 6"),
        (b"CHANNELS 3 Z", b"CHANNELS many Z", r"^walk.bvh:9: joint 'elbow' has 'many' channels"),
        (b"CHANNELS 3 Z", b"CHANNELS -1 Z", r"^walk.bvh:9: joint 'elbow' has '-1' channels"),
        (b"3 Zrotation X", b"3 Xrotation X", r"^walk.bvh:9: joint 'elbow' has channel 'Xrotation' twice"),
        (b"OFFSET 1 0 0", b"OFFSET 1 0 zero", r"^walk.bvh:8: OFFSET is '1 0 zero', expected three finite numbers"),
        (b"OFFSET 1 0 0", b"OFFSET 1 0 inf", r"^walk.bvh:8: OFFSET is '1 0 inf'"),
        (b"OFFSET 1 0 0\n", b"OFFSET 1 0\n", r"^walk.bvh:8: OFFSET is '1 0 CHANNELS'"),
        (b"JOINT elbow", b"ROOT elbow", r"^walk.bvh:6: ROOT 'elbow' within a joint, expected JOINT"),
        (b"JOINT wrist", b"JOINT elbow", r"^walk.bvh:10: joint 'elbow' is listed twice"),
        (b"JOINT wrist", b"JOINT", r"^walk.bvh:10: a joint without a name"),
        (b"JOINT wrist", b"JOINT wr\x1b[2Jist", r"^walk.bvh:10: joint 'wr\\x1b\[2Jist' has control characters"),
        (b"End Site", b"Fin Site", r"^walk.bvh:14: found 'Fin', expected OFFSET"),
        (b"MOTION\n", b"", r"^walk.bvh:21: found 'Frames:', expected MOTION"),
        (b"}\nMOTION", b"}\n}\nMOTION", r"^walk.bvh:21: found '}', expected MOTION"),
        (b"  }\n}\nMOTION", b"  }\nMOTION", r"^walk.bvh: the file ends within the hierarchy"),
        (b"Frames: 2", b"Frame: 2", r"^walk.bvh:22: found 'Frame: 2' after MOTION, expected 'Frames: N'"),
        (b"Frames: 2", b"Frames: 0", r"^walk.bvh:22: '0' frames, expected a whole number above 0"),
        (b"Frames: 2", b"Frames: -2", r"^walk.bvh:22: '-2' frames"),
        (b"Frames: 2", b"Frames: 2.5", r"^walk.bvh:22: '2.5' frames"),
        (b"Frames: 2", b"Frames: " + b"9" * 400, r"^walk.bvh:22: '9+' frames"),
        (
            b"Frames: 2",
            b"Frames: 888888888888888",
            r"^walk.bvh: the file ends after 2 frames, expected 888888888888888",
        ),
        (b"90 0 0 0 0 0\n", b"90 0 0 0 0 0\n1 2\n", r"^walk.bvh:26: a line after the last of 2 frames"),
        (b"0.0333333", b"0", r"^walk.bvh:23: Frame Time is '0'"),
        (b"0.0333333", b"-1", r"^walk.bvh:23: Frame Time is '-1'"),
        (b"0.0333333", b"nan", r"^walk.bvh:23: Frame Time is 'nan'"),
        (b"0.0333333", b"1e-320", r"^walk.bvh:23: Frame Time is '1e-320'"),
        (b"5 6 7", b"5 6", r"^walk.bvh:25: frame 1 has 11 values, expected 12"),
        (b"5 6 7", b"5 6 nan", r"^walk.bvh:25: frame 1 has the value 'nan'"),
        (b"5 6 7", b"5 6 1e999", r"^walk.bvh:25: frame 1 has the value '1e999'"),
        (b"5 6 7", b"5 6 1e99", r"^walk.bvh: clip walk.bvh: positions of frame 1 are not finite"),
        (b"elbow", b"\xff\xfe", r"^walk.bvh: unknown skeleton with joints shoulder, \\xff\\xfe, wrist; the nearest"),
        (b"wrist", b"paw", r"^walk.bvh: unknown skeleton with joints shoulder, elbow, paw; the nearest known one is"),
    ],
)
def test_a_broken_file_is_one_line_that_names_the_place(arm_bvh, arm, old, new, message):
    broken = arm_bvh.replace(old, new, 1)
    assert broken != arm_bvh
    with pytest.raises(ReadError, match=message) as caught:
        read(broken, arm)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\x00" * 100, b"\xff\xfeH\x00I\x00", b"PK\x03\x04", b"HIERARCHY", b"ROOT a"]
)
def test_what_is_no_bvh_is_refused(data):
    with pytest.raises(ReadError, match=r"^walk.bvh"):
        read(data)


def test_every_cut_is_noticed(arm_bvh, arm):
    for end in range(len(arm_bvh) - 2):  # the last number's only digit and the newline may go
        with pytest.raises(ReadError, match=r"^walk.bvh"):
            read(arm_bvh[:end], arm)


def test_a_rig_without_channels_is_refused(arm):
    with pytest.raises(ReadError, match="no joint has a channel"):
        read(b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n}\nMOTION\nFrames: 1\nFrame Time: 1\n\n", arm)
