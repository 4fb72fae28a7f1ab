"""What programs write into BVH files beside the letter of the format: read as it is meant, and told."""

import io
import re

import numpy as np
import pytest
from readers.rig_files import bvh, rig

from vipe.errors import ReadError
from vipe.readers.contract import Hints
from vipe.readers.rigs import bvh as reader


@pytest.fixture(scope="module")
def text():
    return bvh(rig(), frames=3)


def read(text, **hints):
    return read_all(text, **hints)[0]


def read_all(text, **hints):
    data = text if isinstance(text, bytes) else text.encode()
    return reader.read_all(io.BytesIO(data), "walk.bvh", (), Hints(**hints))


@pytest.mark.parametrize("coding", ["utf-16", "utf-8-sig"])
def test_the_byte_order_mark_says_how_the_text_is_coded(text, coding):
    np.testing.assert_array_equal(read(text.encode(coding)).positions, read(text).positions)


def test_utf_16_that_is_cut_is_told(text):
    with pytest.raises(ReadError, match=r"^walk\.bvh: not UTF-16 text"):
        read(text.encode("utf-16")[:1001])


def test_names_in_another_coding_do_not_matter_unless_they_are_needed(text):
    data = text.encode()
    np.testing.assert_array_equal(
        read(data.replace(b"LeftToeBase", b"\x82\xdc\x90\xe6")).positions[:, :5], read(text).positions[:, :5]
    )
    with pytest.raises(ReadError, match=r"family upleg, without a joint for left knee"):
        read(data.replace(b"LeftLeg", b"\x82\xdc\x90\xe6"))


def test_more_rows_than_stated_are_left_out_and_told(text):
    clip = read(text.replace("Frames: 3", "Frames: 2"))
    np.testing.assert_array_equal(clip.positions, read(text).positions[:2])
    assert clip.notes == ("1 more row was left out than the 2 frames stated",)


def two(text, second):
    """A file of two roots; the second person's joints as given."""
    head, _, tail = text.partition("MOTION")
    rows = tail.strip().splitlines()
    values = [row + " " + row for row in rows[2:]]
    return "\n".join([head.rstrip(), second, "MOTION", *rows[:2], *values])


@pytest.mark.parametrize("ending", ["_2", ":b"], ids=["suffix", "prefix"])
def test_two_roots_are_two_people(text, ending):
    body = text.partition("MOTION")[0].removeprefix("HIERARCHY\n").rstrip()
    other = "\n".join(
        (line + ending if ending == "_2" else line.replace(name, f"b:{name}"))
        if line.strip().startswith(("ROOT", "JOINT")) and (name := line.split()[1])
        else line
        for line in body.splitlines()
    )
    first, second = read_all(two(text, other))
    assert (first.name, second.name) == ("walk.bvh#1", "walk.bvh#2")
    np.testing.assert_array_equal(first.positions, read(text).positions)
    np.testing.assert_array_equal(second.positions, first.positions)


def test_a_root_that_is_no_body_is_left_out(text):
    prop = "ROOT Sword\n{\nOFFSET 0 0 0\nCHANNELS 0\nEnd Site\n{\nOFFSET 0 9 0\n}\n}"
    head, motion, tail = text.partition("MOTION")
    (clip,) = read_all(head.rstrip() + "\n" + prop + "\n" + motion + tail)
    assert clip.notes == ("1 of 2 roots are no body and were left out: 'Sword'",)
    np.testing.assert_array_equal(clip.positions, read(text).positions)


def with_channels(text, added, values):
    """The text with channels after the others of every joint, and their values in every row."""
    lines, counts = [], []
    for line in text.splitlines():
        word = line.split()
        if word[:1] == ["CHANNELS"]:
            counts.append(int(word[1]))
            line = f"CHANNELS {counts[-1] + len(added)} {' '.join(word[2:] + added)}"
        elif counts and len(word) == sum(counts):
            numbers, row = iter(word), []
            for joint, count in enumerate(counts):
                row += [next(numbers) for _ in range(count)] + values(joint)
            line = " ".join(row)
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("scale", "told"), [("1", 0), ("1.00001", 0), ("1.2", 1)])
def test_scale_channels_are_read_past_and_told_if_they_scale(text, scale, told):
    clip = read(with_channels(text, ["Xscale", "Yscale", "Zscale"], lambda _: [scale] * 3))
    np.testing.assert_array_equal(clip.positions, read(text).positions)
    assert len(clip.notes) == told
    assert all("were not applied" in note for note in clip.notes)


def six_channels(text, moved):
    """All joints with position channels, whose values are their OFFSETs or zero."""
    lines, counts, offsets = [], [], []
    for line in text.splitlines():
        word = line.split()
        if word[:1] == ["OFFSET"] and "End Site" not in "".join(lines[-2:]):
            offsets.append(word[1:])
        if word[:1] == ["CHANNELS"]:
            counts.append(int(word[1]))
            line = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
        elif counts and len(word) == sum(counts):
            numbers, row = iter(word), []
            for joint, count in enumerate(counts):
                own = [next(numbers) for _ in range(count)]
                row += own if count == 6 else [*(offsets[joint] if joint in moved else ["0"] * 3), *own]
            line = " ".join(row)
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_position_channels_that_are_all_zero_mean_the_offsets(text):
    clip = read(six_channels(text, moved=()))
    np.testing.assert_array_equal(clip.positions, read(text).positions)
    assert clip.notes == ("the position channels of all 21 joints below the root are zero: their OFFSETs were taken",)


def test_zero_position_channels_of_one_joint_mean_its_offset(text):
    clip = read(six_channels(text, moved=set(range(22)) - {2}))
    np.testing.assert_allclose(clip.positions, read(text).positions, atol=1e-6)
    (note,) = clip.notes
    assert re.fullmatch(r"the position channels of \w+ are zero: their OFFSETs were taken", note)


def test_zero_position_channels_of_one_frame_mean_the_offsets(text):
    lines = six_channels(text, moved=range(22)).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    lines[first] = " ".join(["0"] * len(lines[first].split()))
    clip = read("\n".join(lines))
    lengths = np.linalg.norm(clip.positions[:, 1:] - clip.positions[:, :1], axis=-1)
    assert lengths[0].min() > 0.05
    assert any("are zero in 1 of " in note for note in clip.notes)


@pytest.mark.parametrize("end", [b"\0" * 512, b"\x1a", b"\n\x1a\0\0"])
def test_padding_after_the_text_is_ignored(text, end):
    np.testing.assert_array_equal(read(text.encode() + end).positions, read(text).positions)


def test_lines_may_end_as_on_old_macs(text):
    np.testing.assert_array_equal(read(text.replace("\n", "\r")).positions, read(text).positions)


def test_names_may_be_quoted(text):
    quoted = re.sub(r"(JOINT|ROOT) (\S+)", r'\1 "\2"', text)
    np.testing.assert_array_equal(read(quoted).positions, read(text).positions)


@pytest.mark.parametrize("frames", [29, 30])
def test_angles_that_may_be_radians_are_told(frames):
    whole = bvh(rig(), frames=frames)
    assert read(whole).notes == ()
    lines = whole.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    for i in range(first, len(lines)):
        numbers = [float(word) for word in lines[i].split()]
        lines[i] = " ".join(str(v) for v in (*numbers[:3], *np.radians(numbers[3:])))
    assert [("are they radians" in note) for note in read("\n".join(lines)).notes] == [True] * (frames == 30)


@pytest.mark.parametrize("turns", [-4, 3, 1000])
def test_angles_may_run_on_over_many_turns(text, turns):
    def turned(by):
        lines = text.splitlines()
        for i in range(len(lines) - 3, len(lines)):
            numbers = lines[i].split()
            numbers[5] = str(120.0 + by)  # of the root, about y
            lines[i] = " ".join(numbers)
        return read("\n".join(lines)).positions

    np.testing.assert_allclose(turned(360.0 * turns), turned(0.0), atol=1e-4)


def test_position_channels_that_hold_the_offsets_are_read_as_they_are(text):
    clip = read(six_channels(text, moved=range(22)))
    np.testing.assert_allclose(clip.positions, read(text).positions, atol=1e-6)
    assert clip.notes == ()


@pytest.mark.parametrize("seconds", ["1.0", "0.5", "33.3333", "0.0001"])
def test_a_doubtful_rate_is_told_and_can_be_stated(text, seconds):
    wrong = text.replace("Frame Time: 0.0333333", f"Frame Time: {seconds}")
    assert any("is doubtful: --source-fps" in note for note in read(wrong).notes)
    clip = read(wrong, fps=29.97)
    assert (clip.fps, clip.notes) == (29.97, ())


def test_a_rate_that_is_none_can_be_stated(text):
    assert read(text.replace("0.0333333", "0"), fps=50.0).fps == 50


def test_ends_can_be_named(tmp_path):
    """A file's own name for an end counts, else that of its joint with `_End`."""
    nodes = reader.first_rig(bvh(rig(), frames=1).encode(), "x").nodes
    assert {"Head_End", "LeftHand_End"} <= {node.name for node in nodes}
    named = bvh(rig(), frames=1).replace("End Site", "End Site Tip", 1)
    assert "Tip" in {node.name for node in reader.first_rig(named.encode(), "x").nodes}
