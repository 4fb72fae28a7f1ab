"""Marker files: TRC and C3D give the joints that their markers stand for; what is hidden stays hidden."""

import io
from pathlib import Path

import numpy as np
import pytest
from readers.bodies import H36M17, spread, walk
from scipy.spatial.transform import Rotation

import vipe
from vipe.errors import MissingExtra, ReadError
from vipe.readers.contract import NotMotion
from vipe.readers.markers import trc
from vipe.readers.markers.joint_centres import add_joint_centres, chord, hip_centres
from vipe.skeletons import load

REAL = Path(__file__).parents[3] / "shared" / "real-views" / "balance.trc"
POSES = walk(30)
AWAY = np.array([2.0, 0.0, 0.0])
SETS = ["opencap_markers", "plug_in_gait_model", "triangulated"]


def markers(table):
    """Names and positions of markers that a table turns into the walk, z up, metres."""
    skeleton = load(table)
    return list(skeleton.joints), spread(skeleton, POSES)


def joints(table, positions):
    """The joints of h36m17 that a table makes of markers."""
    return np.einsum("js,tsd->tjd", load(table).weights(H36M17)[0], positions)


def trc_file(names, positions, rate="60", unit="m", *, gap="", tail="\t", end="\n"):
    """As OpenSim and Pose2Sim write it."""
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tC:\\some where\\walk.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{len(positions)}\t{len(names)}\t{unit}\t{rate}\t1\t{len(positions)}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t" + tail,
        "\t\t" + "\t".join(f"{axis}{i + 1}" for i in range(len(names)) for axis in "XYZ") + tail,
    ]
    for t, row in enumerate(positions):
        cells = [gap if np.isnan(x) else repr(float(x)) for x in row.ravel()]
        lines.append("\t".join([str(t + 1), f"{t / 60:.4f}", *cells]) + tail)
    return (end.join(lines) + end).encode()


def read_trc(data, name="walk.trc", **more):
    return list(trc.read_all(io.BytesIO(data), name, **more))


def c3d_file(names, positions, *, rate=100, unit="mm", up="+Z", scale=-1.0, hidden=None):
    c3d = pytest.importorskip("c3d")
    writer = c3d.Writer(point_rate=rate, analog_rate=rate, point_scale=scale)
    frames = []
    for t, row in enumerate(positions):
        points = np.zeros((len(names), 5), dtype=np.float32)
        points[:, :3] = row
        if hidden is not None:
            points[hidden[t], 3:] = -1
            points[hidden[t], :3] = 0
        frames.append((points, np.empty((0, 1))))
    writer.add_frames(frames)
    writer.set_point_labels(names)
    writer.set_screen_axis("+X", up)
    group = writer.get("POINT")
    group.add_str("UNITS", "", unit, len(unit))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize("table", SETS)
@pytest.mark.parametrize("unit", ["m", "mm"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_a_trc_gives_the_joints_of_its_markers(table, unit, up):
    names, positions = markers(table)
    file = positions[..., [0, 2, 1]] * [1, 1, -1] if up == "y" else positions
    (clip,) = read_trc(trc_file(names, file * {"m": 1, "mm": 1000}[unit], unit=unit))
    assert (clip.name, clip.fps, clip.skeleton.name) == ("walk", 60.0, table)
    np.testing.assert_allclose(clip.to(H36M17).positions, joints(table, positions), atol=1e-5)
    assert np.linalg.norm(clip.to(H36M17).positions - POSES, axis=-1).max() < 0.05


def test_real_markers_give_the_joints_that_a_slow_reading_gives():
    if not REAL.is_file():
        pytest.skip("no ../shared/real-views beside the repository")
    (clip,) = vipe.read(REAL)
    lines = REAL.read_text().splitlines()
    names = lines[3].split("\t")[2::3]
    rows = [
        dict(zip(names, np.array([float(x) for x in line.split("\t")[2:] if x]).reshape(-1, 3), strict=False))
        for line in lines[5:]
        if line.strip()
    ]
    x, y, z = np.array([[row[name] for name in ("RHJC_study", "C7_study", "Nose")] for row in rows]).transpose(2, 0, 1)
    got = clip.to(H36M17)
    where = [H36M17.index(joint) for joint in ("right_hip", "thorax", "nose")]
    np.testing.assert_allclose(got.positions[:, where], np.stack([x, -z, y], axis=-1), atol=1e-6)
    assert (clip.fps, len(clip), clip.skeleton.name) == (60.0, 100, "opencap_markers")
    ankles = got.positions[:, [H36M17.index("left_ankle"), H36M17.index("right_ankle")], 2]
    assert (got.positions[:, H36M17.index("head"), 2] - ankles.min(axis=1)).min() > 1.2


@pytest.mark.parametrize(
    "change",
    [str.lower, str.upper, lambda name: f"Ann:{name}", lambda name: f" {name} "],
    ids=["lower", "upper", "prefix", "blanks"],
)
def test_names_match_without_case_and_without_the_subject(change):
    names, positions = markers("opencap_markers")
    (clip,) = read_trc(trc_file([change(name) for name in names], positions))
    np.testing.assert_allclose(clip.to(H36M17).positions, joints("opencap_markers", positions), atol=1e-5)


def test_two_people_are_two_clips():
    names, positions = markers("triangulated")
    both = [f"{person}:{name}" for person in ("ann", "bob") for name in names]
    clips = read_trc(trc_file(both, np.concatenate([positions, positions + AWAY], axis=1)))
    assert [(clip.name, clip.subject) for clip in clips] == [("walk ann", "ann"), ("walk bob", "bob")]
    np.testing.assert_allclose(clips[1].to(H36M17).positions, joints("triangulated", positions + AWAY), atol=1e-5)


@pytest.mark.parametrize("gap", ["", "NaN", " "])
def test_short_gaps_are_bridged_and_long_ones_divide(gap):
    names, positions = markers("triangulated")
    hole = positions.copy()
    hole[3:6, names.index("LKnee")] = np.nan
    hole[8:14, names.index("RElbow")] = np.nan  # six frames of 60 Hz: just short
    hole[15:24, names.index("RKnee")] = np.nan
    hole[:, names.index("LBigToe")] = np.nan  # not needed
    clips = read_trc(trc_file(names, hole, gap=gap))
    assert [(clip.name, len(clip)) for clip in clips] == [("walk", 15), ("walk@24", 6)]
    first, knee = clips[0].to(H36M17).positions, H36M17.index("left_knee")
    whole = joints("triangulated", positions)
    straight = whole[2, knee] + (whole[6, knee] - whole[2, knee]) * np.array([[0.25], [0.5], [0.75]])
    np.testing.assert_allclose(first[3:6, knee], straight, atol=1e-5)
    np.testing.assert_allclose(clips[1].to(H36M17).positions, whole[24:], atol=1e-5)


def test_all_pieces_of_a_recording_have_one_up_axis():
    names, positions = markers("triangulated")
    lying = positions.copy()
    lying[22:] = lying[22:][..., [1, 2, 0]]  # a fall, at the end of which the trunk follows another axis
    lying[17:20] = lying[17:18]
    lying[8:19, names.index("LKnee")] = np.nan
    first, second = read_trc(trc_file(names, lying))
    np.testing.assert_allclose(first.to(H36M17).positions, joints("triangulated", lying)[:8], atol=1e-5)
    np.testing.assert_allclose(second.to(H36M17).positions, joints("triangulated", lying)[19:], atol=1e-5)


def test_a_marker_that_is_never_in_sight_is_named():
    names, positions = markers("triangulated")
    positions[:, names.index("LKnee")] = np.nan
    with pytest.raises(ReadError, match="no frame has all markers; never in sight: LKnee"):
        read_trc(trc_file(names, positions))


def test_rows_without_the_last_tabs_are_rows():
    names, positions = markers("triangulated")
    for more in ({"tail": ""}, {"end": "\r\n"}):
        (clip,) = read_trc(trc_file(names, positions, **more))
        assert len(clip) == len(POSES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"PathFileType", b"Hello", "walk.trc:1: begins with 'Hello"),
        (b"60\t60", b"0\t60", "walk.trc:3: DataRate is '0'"),
        (b"\n1\t0.0000\t", b"\n1\t0.0000\tx\t", "walk.trc:6: 66 cells, expected 65 between tabs"),
        (b"\n2\t0.0167\t", b"\n2\tlate\t", "walk.trc:7: cell 2 is 'late', expected a number"),
        (b"Frame#\tTime\t", b"Frame#", "walk.trc:6: 65 cells, expected 62 between tabs"),
    ],
)
def test_a_broken_trc_is_one_line_that_names_the_place(old, new, message):
    names, positions = markers("triangulated")
    data = trc_file(names, positions)
    assert old in data
    with pytest.raises(ReadError, match=message) as caught:
        read_trc(data.replace(old, new, 1))
    assert str(caught.value).isprintable()


def test_unknown_markers_are_no_motion():
    with pytest.raises(NotMotion, match="unknown skeleton with joints A, B"):
        read_trc(trc_file(["A", "B"], np.zeros((3, 2, 3))))


def test_a_wrong_unit_is_told_apart_by_the_body():
    names, positions = markers("triangulated")
    (clip,) = read_trc(trc_file(names, positions * 1000, unit="furlongs"))  # not a unit: the body says millimetres
    np.testing.assert_allclose(clip.to(H36M17).positions, joints("triangulated", positions), atol=1e-5)
    with pytest.raises(ReadError, match=r"no usual unit makes that a person|has no size"):
        read_trc(trc_file(names, positions * 1e-7, unit="?"))


@pytest.mark.parametrize("up", ["+Z", "+Y"])
@pytest.mark.parametrize("scale", [-1.0, 0.1], ids=["floats", "whole numbers"])
def test_a_c3d_gives_the_joints_of_its_markers(up, scale, tmp_path):
    names, positions = markers("plug_in_gait_model")
    file = positions[..., [0, 2, 1]] * [1, 1, -1] if up == "+Y" else positions
    names = ["Sam:" + name for name in names]
    (tmp_path / "walk.c3d").write_bytes(c3d_file(names, file * 1000 + 1e-3, up=up, scale=scale))
    (clip,) = vipe.read(tmp_path / "walk.c3d")
    assert (clip.name, clip.fps, clip.skeleton.name) == ("walk", 100.0, "plug_in_gait_model")
    expected = joints("plug_in_gait_model", positions)
    np.testing.assert_allclose(clip.to(H36M17).positions, expected, atol=1e-5 if scale < 0 else 6e-4)


def test_a_hidden_point_of_a_c3d_is_hidden(tmp_path):
    names, positions = markers("triangulated")
    hidden = np.zeros((len(positions), len(names)), dtype=bool)
    hidden[2:14, names.index("RKnee")] = True
    (tmp_path / "walk.c3d").write_bytes(c3d_file(names, positions * 1000, hidden=hidden))
    assert [(clip.name, len(clip)) for clip in vipe.read(tmp_path)] == [("walk", 2), ("walk@14", 16)]


@pytest.mark.parametrize("cut", [0, 100, 600, 1024, 2000, -600])
def test_a_cut_c3d_is_one_line(cut, tmp_path):
    names, positions = markers("triangulated")
    (tmp_path / "walk.c3d").write_bytes(c3d_file(names, positions * 1000)[:cut])
    with pytest.raises(ReadError, match=r"^walk.c3d: ") as caught:
        list(vipe.read(tmp_path / "walk.c3d"))
    assert str(caught.value).isprintable()


def test_the_package_for_c3d_is_asked_for_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "c3d", None)
    (tmp_path / "walk.c3d").write_bytes(bytes(2000))
    with pytest.raises(MissingExtra, match=r'^walk.c3d: C3D needs the package c3d: pip install "vipe-pose\[formats\]"'):
        list(vipe.read(tmp_path / "walk.c3d"))


def test_hip_centres_are_those_of_harrington(rng):
    # Pelvis 240 mm wide, 150 mm deep, in its own axes: x forward, y to the left, z up.
    left, right, back = np.array([[0, 120.0, 0]]), np.array([[0, -120.0, 0]]), np.array([[-150.0, 0, 0]])
    expected = np.array([-0.24 * 150 - 9.9, 0.33 * 240 + 7.3, -0.30 * 240 - 10.9])
    turn, place = Rotation.random(rng=rng), rng.normal(size=3)
    moved = [turn.apply(points) + place for points in (left, right, back)]
    for scale, unit in ((1.0, 0.001), (0.001, 1.0)):
        got = hip_centres(*(points * scale for points in moved), unit)
        np.testing.assert_allclose(got[0] / scale, turn.apply(expected[None]) + place)
        np.testing.assert_allclose(got[1] / scale, turn.apply(expected[None] * [1, -1, 1]) + place)


def test_a_joint_centre_is_seen_at_a_right_angle_on_the_inner_side(rng):
    hip, knee, thigh = (rng.normal(size=(50, 3)) for _ in range(3))
    centre = chord(hip, knee, thigh, 0.14)
    np.testing.assert_allclose(((hip - centre) * (knee - centre)).sum(-1), 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(knee - centre, axis=-1), 0.14 * np.linalg.norm(knee - hip, axis=-1))
    normal = np.cross(knee - hip, thigh - hip)
    np.testing.assert_allclose((normal * (centre - hip)).sum(-1), 0, atol=1e-9)
    assert (np.sum(np.cross(knee - hip, centre - hip) * normal, axis=-1) < 0).all()


def plug_in_gait():
    """Surface markers around a walking body, as a laboratory puts them: metres, z up."""
    at = {joint: POSES[:, i] for i, joint in enumerate(H36M17.joints)}
    across = at["left_hip"] - at["right_hip"]
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    up = at["thorax"] - at["pelvis"]
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    ahead = np.cross(across, up)
    of = {"C7": at["thorax"] - 0.05 * ahead, "CLAV": at["thorax"] + 0.05 * ahead, "T10": at["spine"] - 0.08 * ahead}
    for side, s, sign in (("left", "L", 1), ("right", "R", -1)):
        of[s + "ASI"] = at["pelvis"] + sign * 0.12 * across + 0.05 * ahead + 0.08 * up
        of[s + "PSI"] = at["pelvis"] + sign * 0.05 * across - 0.10 * ahead + 0.08 * up
        of[s + "KNE"] = at[f"{side}_knee"] + sign * 0.06 * across
        of[s + "ANK"] = at[f"{side}_ankle"] + sign * 0.042 * across
        of[s + "THI"] = (at[f"{side}_hip"] + at[f"{side}_knee"]) / 2 + sign * 0.11 * across
        of[s + "TIB"] = (at[f"{side}_knee"] + at[f"{side}_ankle"]) / 2 + sign * 0.09 * across
        of[s + "SHO"], of[s + "ELB"] = at[f"{side}_shoulder"] + 0.04 * up, at[f"{side}_elbow"]
        of[s + "WRA"], of[s + "WRB"] = at[f"{side}_wrist"] + 0.02 * up, at[f"{side}_wrist"] - 0.02 * up
        of[s + "FHD"] = at["head"] - 0.09 * up + 0.09 * ahead + sign * 0.07 * across
        of[s + "BHD"] = at["head"] - 0.09 * up - 0.09 * ahead + sign * 0.07 * across
    return of


def test_plug_in_gait_from_bare_markers_is_near_the_joints():
    of = plug_in_gait()
    (clip,) = read_trc(trc_file(list(of), np.stack(list(of.values()), axis=1) * 1000, unit="mm"))
    assert clip.skeleton.name == "plug_in_gait"
    error = np.linalg.norm(clip.to(H36M17).positions - POSES, axis=-1).mean(axis=0)
    limits = {"nose": 0.09, "head": 0.05, "left_shoulder": 0.03, "right_shoulder": 0.03}
    for joint, far in zip(H36M17.joints, error, strict=True):
        assert far < limits.get(joint, 0.04), (joint, far)


def test_joint_centres_of_the_file_itself_win():
    of = plug_in_gait()
    of["LKJC"] = of["LKNE"] + 1.0
    of["RMKNE"] = of["RKNE"] - 0.1
    add_joint_centres(of, 1.0)
    np.testing.assert_array_equal(of["LKJC"], of["LKNE"] + 1.0)
    np.testing.assert_allclose(of["RKJC"], of["RKNE"] - 0.05)
