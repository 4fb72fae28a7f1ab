"""ASF/AMC: closed forms, a slow twin, and every way in which the two files can be broken or disagree."""

import io

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vipe.errors import ReadError
from vipe.readers import read as read_path
from vipe.readers.rigs import asf_amc
from vipe.readers.rigs.asf import read_bones
from vipe.skeletons import Site, Skeleton

INCH = 0.0254


def read(amc, asf, *skeletons):
    return asf_amc.read(io.BytesIO(amc), "01_01.amc", skeletons, bones=read_bones(io.BytesIO(asf), "01.asf"))


def test_a_joint_is_the_far_end_of_its_bone(leg_amc, leg_asf, leg):
    clip = read(leg_amc, leg_asf, leg)
    assert (clip.fps, len(clip), clip.skeleton.joints) == (120.0, 2, ("root", "femur", "tibia", "foot"))
    rest = np.array([[1, 2, 3], [1, -8, 3], [1, -28, 3], [1, -28, 8]])
    np.testing.assert_allclose(clip.positions[0], rest * INCH, atol=1e-6)
    # The hip's 90 degrees about x bring -y to -z; the knee bends about the x of its axis space, which is the bone's y.
    bent = np.array([[0, 0, 0], [0, 0, -10], [0, 0, -30], [5, 0, -30]])
    np.testing.assert_allclose(clip.positions[1], bent * INCH, atol=1e-6)


LEG = {  # name: parent, direction * length, axis, dof
    "femur": ("root", [0, -10, 0], [0, 0, 0], "xyz"),
    "tibia": ("femur", [0, -20, 0], [0, 0, 90], "x"),
    "foot": ("tibia", [0, 0, 5], [0, 0, 0], ""),
}


def slow_twin(bones, angles, root=(0, 0, 0, 0, 0, 0)):
    """Positions of root and bones for one frame: global = parent's global C M C^-1, about fixed axes."""
    space = {"root": Rotation.from_euler("xyz", root[3:], degrees=True)}
    end = {"root": np.array(root[:3], dtype=float)}
    for name, (parent, tip, axis, dof) in bones.items():
        c = Rotation.from_euler("xyz", axis, degrees=True)
        m = Rotation.from_euler(dof, angles[name], degrees=True) if angles.get(name) else Rotation.identity()
        space[name] = space[parent] * c * m * c.inv()
        end[name] = end[parent] + space[name].apply(tip)
    return np.array(list(end.values()))


def test_agrees_with_the_slow_twin_on_random_legs(leg_asf, leg, rng):
    bones, asf = {}, leg_asf
    for name, (parent, tip, _, dof) in LEG.items():
        bones[name] = (parent, tip, rng.uniform(-180, 180, 3).round(3).tolist(), dof)
    for name, old in (
        ("femur", b"axis 0 0 0 XYZ"),
        ("tibia", b"axis 0 0 90 XYZ"),
        ("foot", b"axis 0 0 0 XYZ\n  end\n:h"),
    ):
        new = b"axis " + " ".join(map(str, bones[name][2])).encode() + b" XYZ" + old.partition(b"XYZ")[2]
        asf = asf.replace(old, new, 1)
    frames, amc = [], b":FULLY-SPECIFIED\n:DEGREES\n"
    for frame in range(1, 8):
        root, femur, tibia = rng.normal(scale=90, size=6), rng.normal(scale=90, size=3), rng.normal(scale=90, size=1)
        lines = [("root", root), ("femur", femur), ("tibia", tibia)]
        amc += f"{frame}\n".encode()
        amc += b"".join(f"{bone} {' '.join(map(repr, values.tolist()))}\n".encode() for bone, values in lines)
        frames.append(slow_twin(bones, {"femur": femur.tolist(), "tibia": tibia.tolist()}, root.tolist()))
    np.testing.assert_allclose(read(amc, asf, leg).positions, np.array(frames) * INCH, atol=2e-5)


def test_a_bone_that_the_amc_leaves_out_stays_at_rest(leg_amc, leg_asf, leg):
    without = leg_amc.replace(b"tibia 0\n", b"").replace(b"tibia 90\n", b"")
    straight = leg_amc.replace(b"tibia 90", b"tibia 0")
    np.testing.assert_array_equal(read(without, leg_asf, leg).positions, read(straight, leg_asf, leg).positions)


def test_unit_and_angles_are_those_that_the_files_state(leg_amc, leg_asf, leg):
    there = read(leg_amc, leg_asf, leg).positions
    smaller = read(leg_amc, leg_asf.replace(b"length 1.0\n", b"length 0.45\n"), leg)
    np.testing.assert_allclose(smaller.positions, there / 0.45, rtol=1e-6)
    radians = leg_amc.replace(b":DEGREES", b":RADIANS").replace(b" 90", b" 1.5707963267948966")
    np.testing.assert_allclose(read(radians, leg_asf, leg).positions, there, atol=1e-6)
    asf = leg_asf.replace(b"angle deg", b"angle rad").replace(b"axis 0 0 90", b"axis 0 0 1.5707963267948966")
    np.testing.assert_allclose(read(radians.replace(b":RADIANS\n", b""), asf, leg).positions, there, atol=1e-6)


def test_the_up_axis_is_the_skeletons(leg_amc, leg_asf, leg):
    y_up = Skeleton(name="leg", joints=leg.joints, parents=leg.parents, up="y")
    x, y, z = read(leg_amc, leg_asf, leg).positions[1].T
    np.testing.assert_array_equal(read(leg_amc, leg_asf, y_up).positions[1].T, [x, -z, y])


def test_sites_move_with_their_bone(leg_amc, leg_asf):
    toe = Site(name="toe", joint="foot", offset=(0.0, -0.02, 0.01))
    leg = Skeleton(
        name="leg", joints=("root", "toe"), parents=(-1, 0), sites=(toe,), conversions={"x": {"y": {"toe": 1.0}}}
    )
    offset = np.diff(read(leg_amc, leg_asf, leg).positions[0], axis=0)
    np.testing.assert_allclose(offset, [[0, -30 * INCH - 0.02, 5 * INCH + 0.01]], atol=1e-6)


def test_the_roots_position_is_added(leg_amc, leg_asf, leg):
    moved = read(leg_amc, leg_asf.replace(b"position 0 0 0", b"position 100 0 -7"), leg)
    there = read(leg_amc, leg_asf, leg).positions + np.array([100, 0, -7]) * INCH
    np.testing.assert_allclose(moved.positions, there, atol=1e-5)


def test_channels_of_the_root_come_in_its_order(leg_amc, leg_asf, leg):
    turned = leg_asf.replace(b"order TX TY TZ RX RY RZ", b"order RZ TX RY TZ RX TY")
    amc = leg_amc.replace(b"root 1 2 3 0 0 0", b"root 0 1 0 3 0 2")
    np.testing.assert_allclose(read(amc, turned, leg).positions, read(leg_amc, leg_asf, leg).positions, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.replace(b"\n", b"\r\n"),
        lambda d: b"\xef\xbb\xbf" + d,
        lambda d: d.replace(b"\n", b" \n"),
        lambda d: d.replace(b" ", b"\t"),
        lambda d: d + b"\n\n",
        lambda d: d.rstrip(),
        lambda d: d.replace(
            b"2\nroot 0 0 0 0 0 0\nfemur 90 7.62852e-016 0\n", b"2\nfemur 90 7.62852e-016 0\nroot 0 0 0 0 0 0\n"
        ),
        lambda d: d.replace(b"1\nr", b"7\nr").replace(b"2\nr", b"8\nr"),
    ],
    ids=["crlf", "bom", "trailing", "tabs", "blank lines", "no newline", "other order", "starts at 7"],
)
def test_the_way_it_is_written_does_not_matter(leg_amc, leg_asf, leg, change):
    assert change(leg_amc) != leg_amc
    np.testing.assert_array_equal(read(change(leg_amc), leg_asf, leg).positions, read(leg_amc, leg_asf, leg).positions)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"femur 0 0 0", b"femur 0 0", r"^01_01.amc:6: bone 'femur' has 2 values, expected 3: rx ry rz"),
        (b"femur 0 0 0", b"fin 0 0 0", r"^01_01.amc:6: bone 'fin' is not in 01.asf, which has root, femur"),
        (b"femur 0 0 0", b"root 0 0 0 0 0 0", r"^01_01.amc:6: bone 'root' is listed twice"),
        (b"1\nroot", b"one\nroot", r"^01_01.amc:4: found 'one', expected the number of the first frame"),
        (b"1\nroot", b"root", r"^01_01.amc:4: found 'root 1 2 3 0 0 0', expected the number of the first frame"),
        (b"2\nroot", b"1\nroot", r"^01_01.amc:8: frame '1' follows frame 1, expected 2"),
        (b"tibia 90\n", b"", r"frame 2 has 2 of 3 bones, 'tibia' is missing; was the file cut\?"),
        (b"tibia 90\n", b"tibia\n", r"^01_01.amc:11: bone 'tibia' has '', expected 1 finite numbers"),
        (b"tibia 90", b"tibia nan", r"^01_01.amc:11: bone 'tibia' has 'nan', expected 1 finite"),
        (b"tibia 90", b"tibia -inf", r"^01_01.amc:11: bone 'tibia' has '-inf'"),
        (b"tibia 90", b"tibia 1e999", r"^01_01.amc:11: bone 'tibia' has '1e999'"),
        (b"tibia 90", b"tibia 9 0", r"^01_01.amc:11: bone 'tibia' has '9 0'"),
        (b"tibia 90", b"foot 90", r"^01_01.amc:11: frame 2 lists 'foot', expected each bone of the first frame once"),
        (b"tibia 90", b"tibia \xff", r"^01_01.amc:11: bone 'tibia' has '\\\\xff'"),
        (b"root 0 0 0", b"root 0 0 1e99", r"^01_01.amc: clip 01_01.amc: positions of frame 1 are not finite"),
    ],
)
def test_a_broken_amc_is_one_line_that_names_the_place(leg_amc, leg_asf, leg, old, new, message):
    broken = leg_amc.replace(old, new, 1)
    assert broken != leg_amc
    with pytest.raises(ReadError, match=message) as caught:
        read(broken, leg_asf, leg)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            b":version 1.10",
            b"version 1.10",
            r"^01.asf:2: found 'version', expected a section such as :units; is it ASF\?",
        ),
        (b"length 1.0", b"length 0", r"^01.asf:6: unit of length is 0.0, expected a number above 0"),
        (b"length 1.0", b"length", r"^01.asf:6: length is '', expected 1 finite numbers"),
        (b"angle deg", b"angle grad", r"^01.asf:7: unit of angle is 'grad', expected deg or rad"),
        (b"     name femur\n", b"", r"^01.asf:25: a bone without name"),
        (b"name tibia", b"name femur", r"^01.asf:29: bone 'femur' is listed twice"),
        (b"direction 0 -1 0", b"direction 0 -1", r"^01.asf:19: direction is '0 -1', expected 3 finite numbers"),
        (b"length 10\n", b"length nan\n", r"^01.asf:20: length is 'nan'"),
        (b"axis 0 0 90 XYZ", b"axis 0 0 90 XXZ", r"^01.asf:32: order of axes is 'XXZ', expected XYZ"),
        (b"axis 0 0 90 XYZ", b"axis 0 0 90", r"^01.asf:32: order of axes is ''"),
        (b"dof rx ry rz", b"dof tx ry rz", r"^01.asf:22: bone 'femur' has dof 'tx ry rz', expected some of rx, ry, rz"),
        (b"dof rx ry rz", b"dof rx rx", r"^01.asf:22: bone 'femur' has dof 'rx rx'"),
        (b" begin\n   id 2", b"   id 2", r"^01.asf:27: found 'id' in :bonedata, expected 'begin'"),
        (b"root femur", b"root fin", r"^01.asf:45: hierarchy names bone 'fin', which :bonedata does not have"),
        (b"femur tibia", b"foot tibia femur", r"^01.asf:46: bone 'femur' has a second parent 'foot'"),
        (b"femur tibia", b"foot root", r"^01.asf:46: root has a parent"),
        (b"    femur tibia\n", b"", r"^01.asf: bone 'foot' hangs on nothing"),
        (b"TX TY TZ RX RY RZ", b"TX TY TZ RX RY", r"^01.asf: order of the root is 'tx ty tz rx ry'"),
        (b"position 0 0 0", b"position 0 0", r"^01.asf: position of the root is '0 0'"),
        (b"name tibia", b"name \xff", r"^01.asf:29: byte 0xff is not UTF-8 text"),
        (b"name foot", b"name fo\0t", r"^01.asf:38: bone 'fo\\x00t' has control characters in its name"),
        (b"length 10\n", b"length 1e308\n", r"^01_01.amc: clip 01_01.amc: positions of frame 0 are not finite"),
        (b"name foot", b"name paw", r"^01.asf:47: hierarchy names bone 'foot'"),
    ],
)
def test_a_broken_asf_is_one_line_that_names_the_place(leg_amc, leg_asf, leg, old, new, message):
    broken = leg_asf.replace(old, new, 1)
    assert broken != leg_asf
    with pytest.raises(ReadError, match=message) as caught:
        read(leg_amc, broken, leg)
    assert "\n" not in str(caught.value)


def test_a_cut_within_a_later_frame_is_noticed(leg_amc, leg_asf, leg):
    for end in range(leg_amc.index(b"2\nroot") + 1, leg_amc.index(b"tibia 90") + len(b"tibia ")):
        with pytest.raises(ReadError, match=r"^01_01.amc"):
            read(leg_amc[:end], leg_asf, leg)


@pytest.mark.parametrize("amc", [b"", b":DEGREES\n", b"1\n", b"1\n2\nroot 0 0 0 0 0 0\n", b"\xff\xfe1\x00"])
def test_an_amc_without_a_frame_is_refused(leg_asf, amc):
    with pytest.raises(ReadError, match=r"^01_01.amc"):
        read(amc, leg_asf)


def test_every_cut_of_an_asf_is_noticed(leg_asf):
    for end in range(leg_asf.index(b"foot\n  end\n", leg_asf.index(b":hierarchy")) + 3):
        with pytest.raises(ReadError, match=r"^01.asf"):
            read_bones(io.BytesIO(leg_asf[:end]), "01.asf")


def test_an_unknown_skeleton_names_the_nearest(leg_amc, leg_asf):
    with pytest.raises(
        ReadError, match=r"^01_01.amc: unknown skeleton with joints root, femur, tibia, foot; the nearest"
    ):
        read(leg_amc, leg_asf)


def test_gaps_between_frames_make_pieces(leg_asf, leg_amc, leg):
    bones = read_bones(io.BytesIO(leg_asf), "01.asf")
    whole = asf_amc.read(io.BytesIO(leg_amc), "01_01.amc", [leg], bones=bones)
    gap = leg_amc.replace(b"\n2\nroot", b"\n7\nroot")
    first, second = asf_amc.read_all(io.BytesIO(gap), "01_01.amc", [leg], bones=bones)
    assert (first.name, second.name) == ("01_01.amc#1", "01_01.amc#7")
    np.testing.assert_array_equal(np.concatenate([first.positions, second.positions]), whole.positions)
    assert any("gaps between its frames: one clip for each of 2 pieces" in note for note in first.notes)


def test_the_rate_is_assumed_and_told_or_stated(leg_asf, leg_amc, leg):
    bones = read_bones(io.BytesIO(leg_asf), "01.asf")
    assumed = asf_amc.read(io.BytesIO(leg_amc), "01_01.amc", [leg], bones=bones)
    assert (assumed.fps, len(assumed.notes)) == (120, 1)
    stated = asf_amc.read(io.BytesIO(leg_amc), "01_01.amc", [leg], bones=bones, fps=60.0)
    assert (stated.fps, stated.notes) == (60, ())


@pytest.mark.parametrize(
    ("bones", "clip"),
    [
        ("HDM_bd.asf", "HDM_bd_01-01_01_120.amc"),
        ("01.asf", "trials/01_01.amc"),
        ("x/01.ASF", "x/01_01.amc"),
        ("01_01.asf", "01_01.amc"),
    ],
)
@pytest.mark.parametrize("alone", [False, True], ids=["folder", "file"])
def test_bones_are_named_for_the_beginning_of_the_clip_or_lie_above(
    tmp_path, leg_asf, leg_amc, leg, bones, clip, alone
):
    for name, data in ((bones, leg_asf), (clip, leg_amc), ("0.asf", b"broken"), ("HDM_b.asf", b"broken")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (found,) = read_path(tmp_path / clip if alone else tmp_path, skeletons=[leg])
    assert len(found) == 2
