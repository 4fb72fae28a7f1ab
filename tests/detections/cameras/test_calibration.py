"""Calibration files: every form gives the same lens, and what is wrong is told in one line."""

import json
from pathlib import Path

import pytest

from vipe.detections.cameras.calibration import camera_named, read_calibration, read_calibrations
from vipe.detections.cameras.lens import Lens
from vipe.errors import ReadError, VipeError

MATRIX = [[801.5, 0.0, 319.5], [0.0, 799.5, 241.25], [0.0, 0.0, 1.0]]
DISTORTION = [-0.3, 0.1, 0.001, -0.002, 0.01]
LENS = Lens(801.5, 799.5, 319.5, 241.25, coefficients=tuple(DISTORTION))
FLAT = [number for row in MATRIX for number in row]
ROWS = ", ".join(map(str, FLAT))

POSE2SIM = f"""
[cam_01]
name = "cam_01"
size = [ 640.0, 480.0]
matrix = {MATRIX}
distortions = {DISTORTION}
rotation = [ 0.9, 1.8, 1.6]
translation = [ 0.1, 0.2, 3.0]
fisheye = false

[metadata]
adjusted = false
error = 0.0
"""
OPENCV_YAML = f"""%YAML:1.0
---
calibration_time: "Mon"
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ {ROWS} ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ {", ".join(map(str, DISTORTION))} ]
avg_reprojection_error: 2.5e-01
"""
ROS = f"""image_width: 640
image_height: 480
camera_name: cam_01
camera_matrix:
  rows: 3
  cols: 3
  data: [{ROWS}]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: {DISTORTION}
projection_matrix:
  rows: 3
  cols: 4
  data: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
"""
KALIBR = """cam_01:
  camera_model: pinhole
  intrinsics: [801.5, 799.5, 319.5, 241.25]
  distortion_model: radtan
  distortion_coeffs: [-0.3, 0.1, 0.001, -0.002]
  resolution: [640, 480]
"""
OPENCV_JSON = {
    "image_width": 640,
    "image_height": 480,
    "camera_matrix": {
        "type_id": "opencv-matrix",
        "rows": 3,
        "cols": 3,
        "dt": "d",
        "data": FLAT,
    },
    "distortion_coefficients": {"type_id": "opencv-matrix", "rows": 1, "cols": 5, "dt": "d", "data": DISTORTION},
}
PANOPTIC = {
    "calibDataSource": "x",
    "cameras": [
        {"name": "00_00", "type": "vga", "resolution": [640, 480], "panel": 0, "node": 0, "K": MATRIX,
         "distCoef": DISTORTION, "R": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "t": [[0], [0], [3]]},
        {"name": "00_01", "resolution": [640, 480], "K": MATRIX, "distCoef": [0, 0, 0, 0, 0]},
    ],
}  # fmt: skip
PLAIN = {"fx": 801.5, "fy": 799.5, "cx": 319.5, "cy": 241.25, "k1": -0.3, "k2": 0.1, "p1": 0.001, "p2": -0.002,
         "k3": 0.01, "width": 640, "height": 480}  # fmt: skip
LENGTHS = {key: value for key, value in PLAIN.items() if len(key) == 2}
PLAIN_TOML = "\n".join(f"{key} = {value}" for key, value in PLAIN.items())
QUALISYS = """<?xml version='1.0' encoding='ASCII'?>
<calibration><cameras><camera serial="cam_01">
<fov_video bottom="479" left="0" right="639" top="0"/>
<intrinsic focalLengthU="51296" focalLengthV="51168" centerPointU="20448" centerPointV="15440" radialDistortion1="-0.3"
 radialDistortion2="0.1" radialDistortion3="0.01" tangentalDistortion1="0.001" tangentalDistortion2="-0.002" skew="0"/>
</camera></cameras></calibration>
"""


def written(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("Calib.toml", POSE2SIM, "cam_01"),
        ("camera.json", OPENCV_JSON, ""),
        ("calibration.json", PANOPTIC, "00_00"),
        ("plain.json", PLAIN, ""),
        ("plain.toml", PLAIN_TOML, ""),
        ("sections.toml", "[left]\n" + PLAIN_TOML, "left"),
        ("inside.json", {"left": {"intrinsics": LENGTHS, "size": [640, 480]}}, "left"),
        ("calibration.qca.txt", QUALISYS, "cam_01"),
    ],
)  # fmt: skip
def test_every_form_gives_the_same_lens(tmp_path: Path, file: str, content: object, name: str) -> None:
    camera = read_calibration(written(tmp_path, file, content))[0]
    assert (camera.name, camera.lens, camera.size) == (name, LENS, (640.0, 480.0))


@pytest.mark.parametrize(("file", "content", "name"), [("c.yml", OPENCV_YAML, ""), ("c.yaml", ROS, "cam_01")])
def test_yaml_of_opencv_and_ros_gives_the_same_lens(tmp_path: Path, file: str, content: str, name: str) -> None:
    pytest.importorskip("yaml")
    camera = read_calibration(written(tmp_path, file, content))[0]
    assert (camera.name, camera.lens, camera.size) == (name, LENS, (640.0, 480.0))


def test_kalibr_gives_four_numbers_and_no_matrix(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    camera = read_calibration(written(tmp_path, "camchain.yaml", KALIBR))[0]
    assert camera.lens == Lens(801.5, 799.5, 319.5, 241.25, coefficients=(-0.3, 0.1, 0.001, -0.002))
    fisheye = KALIBR.replace("radtan", "equidistant")
    assert read_calibration(written(tmp_path, "f.yaml", fisheye))[0].lens.model == "fisheye"


def test_all_cameras_of_a_file_are_read_and_other_sections_are_not(tmp_path: Path) -> None:
    both = POSE2SIM + POSE2SIM.replace("cam_01", "cam_02").replace("[metadata]", "[other]").replace("false", "true", 1)
    cameras = read_calibration(written(tmp_path, "Calib.toml", both.replace(", 0.01]", "]")))
    assert [camera.name for camera in cameras] == ["cam_01", "cam_02"]
    assert [camera.lens.model for camera in cameras] == ["brown", "fisheye"]
    assert camera_named(cameras, "cam_02", "x") is cameras[1]
    with pytest.raises(VipeError, match=r"Calib\.toml: no camera 'cam_03'; there are cam_01, cam_02"):
        camera_named(cameras, "cam_03", "Calib.toml")


def test_one_file_a_camera_names_cameras_without_a_name_by_the_file(tmp_path: Path) -> None:
    paths = [written(tmp_path, "left.json", OPENCV_JSON), written(tmp_path, "right.toml", PLAIN_TOML)]
    assert [camera.name for camera in read_calibrations(paths)] == ["left", "right"]
    assert read_calibrations(paths[:1])[0].name == ""
    with pytest.raises(ReadError, match="two cameras are called 'left'"):
        read_calibrations([paths[0], paths[0]])


def test_zeros_at_the_end_of_the_distortion_are_no_other_lens(tmp_path: Path) -> None:
    lenses = []
    for number in (4, 5, 8, 12, 14):
        plain = {"K": MATRIX, "dist": [-0.3, 0.1, 0.001, -0.002, *[0.0] * (number - 4)]}
        lenses.append(read_calibration(written(tmp_path, "a.json", plain))[0].lens)
    assert len(set(lenses)) == 1
    rational = {"K": MATRIX, "dist": [[-0.3, 0.1, 0.001, -0.002, 0.01, 0.2, 0.3, 0.4]]}
    assert read_calibration(written(tmp_path, "a.json", rational))[0].lens.coefficients[-1] == 0.4


def broken(**change: object) -> dict:
    return {key: value for key, value in ({"K": MATRIX, "dist": DISTORTION} | change).items() if value is not None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty; expected a camera matrix"),
        ("[]", "no camera; expected a camera matrix"),
        ({"images": []}, "no camera; expected a camera matrix"),
        ('{"K": [[1, 0', "not JSON"),
        (broken(K=[[800, 0, 320], [0, 800, 240], [0, 0, 0]]), "K is singular: its last row is 0 0 0; expected 0 0 1"),
        (broken(K=[[0, 0, 320], [0, 800, 240], [0, 0, 1]]), "focal lengths must be above 0, got fx 0 and fy 800"),
        (broken(K=[[800, 3, 320], [0, 800, 240], [0, 0, 1]]), "has skew 3: sensors"),
        (broken(K=[[800, 0, 0], [0, 800, 0], [320, 240, 1]]), "is it transposed"),
        (broken(K=[[800, 0, 320], [0, 800], [0, 0, 1]]), "rows of different lengths"),
        (broken(K=[[800, 0], [0, 800]]), "K has 4 numbers; expected 3 rows of 3"),
        (broken(K=[[800, 0, 320], [0, 800, 240]]), "K has 6 numbers; expected 3 rows of 3"),
        ('{"K": [[NaN, 0, 320], [0, 800, 240], [0, 0, 1]]}', "K is nan; expected a finite number"),
        ('{"K": [[1e999, 0, 320], [0, 800, 240], [0, 0, 1]]}', "K is inf; expected a finite number"),
        (broken(K=[["800", 0, 320], [0, 800, 240], [0, 0, 1]]), "K is '800'; expected a number"),
        (broken(dist=[0.1, 0.2, 0.3]), "dist has 3 numbers; model brown takes 0, 4, 5 or 8"),
        (broken(dist=[0.1] * 12), "thin prisms"),
        (broken(dist=[0.1] * 5, fisheye=True), "dist has 5 numbers; model fisheye takes 0 or 4"),
        (broken(fisheye="perhaps"), "fisheye is 'perhaps'; expected true or false"),
        (broken(distortion_model="omni"), "distortion_model is 'omni', which is not known; expected plumb_bob"),
        (broken(size=[640]), "size has 1 numbers; expected width and height"),
        (broken(size=[640, 0]), "expected width and height in pixels, got 640 and 0"),
        ({"fx": 800, "fy": 800, "cx": 320}, "has no cy; expected fx, fy, cx, cy"),
        (
            {"fx": 800, "fy": 800, "cx": 320, "cy": 240, "p1": 0.1, "fisheye": True},
            "has p1; model fisheye takes k1, k2, k3, k4",
        ),
        (broken(K={"rows": 3, "cols": 3, "data": [1, 2]}), "K says 3 rows of 3, but has 2 numbers"),
        ({"a": broken(name="one"), "b": broken(name="one")}, "two cameras are called 'one'"),
        (
            broken(K=[[1e300, 0, 320], [0, 800, 240], [0, 0, 1]]),
            r"focal lengths must be 0.001 to 1e\+09 pixels, got 1e",
        ),
        (broken(K=[[800, 0, 1e300], [0, 800, 240], [0, 0, 1]]), "principal point must lie within"),
        (broken(dist=[1e300, 0, 0, 0]), "distortion coefficients must be within"),
        ("<calibration><camera serial='1'>", "broken XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "XML with a document type is not read"),
        (QUALISYS.replace('focalLengthV="51168"', ""), "camera cam_01: intrinsic needs focalLengthU"),
        (QUALISYS.replace('skew="0"', 'skew="abc"'), "camera cam_01: intrinsic needs skew"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, content: object, said: str) -> None:
    path = written(tmp_path, "a.json", content)
    with pytest.raises(ReadError, match=said) as caught:
        read_calibration(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_toml_and_yaml_are_told(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="not TOML"):
        read_calibration(written(tmp_path, "a.toml", "matrix = [[1,"))
    with pytest.raises(ReadError, match=r"camera cam_01: distortions has 3 numbers"):
        read_calibration(written(tmp_path, "a.toml", POSE2SIM.replace(str(DISTORTION), "[0.1, 0.2, 0.3]")))
    pytest.importorskip("yaml")
    with pytest.raises(ReadError, match="not YAML"):
        read_calibration(written(tmp_path, "a.yml", "K: [1, 2"))
    with pytest.raises(ReadError, match="aliases"):
        read_calibration(written(tmp_path, "a.yml", "a: &a [1, 1]\nK: [*a, *a]"))
    with pytest.raises(ReadError, match="not YAML"):  # no object is made
        read_calibration(written(tmp_path, "a.yml", "K: !!python/object/apply:os.system ['true']"))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"none\.toml: cannot be read"):
        read_calibration(tmp_path / "none.toml")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ReadError, match="not UTF-8 at byte 0"):
        read_calibration(tmp_path / "b.json")
    deep = written(tmp_path, "d.json", "[" * 100_000)
    with pytest.raises(ReadError, match=r"d\.json: (nested too deeply|not JSON)"):
        read_calibration(deep)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"a": {"fx": 1, "fy": 1, "cx": 0, "cy": 0}, "a": {"fx": 2, "fy": 2, "cx": 0, "cy": 0}}'),
        ("a.json", '{"fx": 1, "fx": 2, "fy": 1, "cx": 0, "cy": 0}'),
        ("a.yaml", "fx: 1\nfx: 2\nfy: 1\ncx: 0\ncy: 0\n"),
        ("a.yaml", "a: {fx: 1, fy: 1, cx: 0, cy: 0}\na: {fx: 2, fy: 2, cx: 0, cy: 0}\n"),
        ("a.toml", "fx = 1\nfx = 2\nfy = 1\ncx = 0\ncy = 0\n"),
    ],
)
def test_what_stands_in_a_file_twice_is_refused(tmp_path: Path, name: str, text: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    (tmp_path / name).write_text(text)
    with pytest.raises(ReadError, match=r"a\.\w+: not (JSON|YAML|TOML): "):
        read_calibration(tmp_path / name)


def test_an_integer_beyond_all_numbers_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f"fx = 0x{'9' * 5000}\nfy = 1\ncx = 0\ncy = 0\n")
    with pytest.raises(ReadError, match="fx is an integer beyond all numbers"):
        read_calibration(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("said", "is_meant"),
    [
        ("1.15e3", 1150.0),  # text in YAML 1.1, for want of a sign
        ("1150e0", 1150.0),
        ("1.15E+03", 1150.0),
        ("1150.", 1150.0),
        ("1150", 1150.0),
        ("01150", 1150.0),  # octal in YAML 1.1
        ("0x47E", 1150.0),
        ("!!float 1150", 1150.0),
    ],
)
def test_numbers_of_yaml_are_those_of_its_version_1_2(tmp_path: Path, said: str, is_meant: float) -> None:
    pytest.importorskip("yaml")
    text = f"fx: {said}\nfy: 800\ncx: .5e2\ncy: -1e1\nk1: -3e-1\n"
    lens = read_calibration(written(tmp_path, "a.yaml", text))[0].lens
    assert lens == Lens(is_meant, 800.0, 50.0, -10.0, coefficients=(-0.3, 0.0, 0.0, 0.0))


@pytest.mark.parametrize("said", [".inf", ".Nan", "1:30", "1_150", "e3", "'1150'", "!!float one", "9" * 5000])
def test_what_is_no_finite_number_of_yaml_is_refused(tmp_path: Path, said: str) -> None:
    pytest.importorskip("yaml")
    with pytest.raises(ReadError, match=r"expected a (finite )?number|not YAML") as caught:
        read_calibration(written(tmp_path, "a.yaml", f"fx: {said}\nfy: 800\ncx: 0\ncy: 0\n"))
    assert "\n" not in str(caught.value)


def test_a_file_far_larger_than_a_calibration_is_refused_before_it_is_read(tmp_path: Path) -> None:
    camera = "a{}: {{fx: 800, fy: 800, cx: 0, cy: 0}}\n"
    large = "".join(camera.format(number) for number in range(10_000))
    with pytest.raises(
        ReadError, match=r"characters, at most 262,144 are read of a calibration; keep the cameras alone"
    ):
        read_calibration(written(tmp_path, "a.yaml", large))
    with pytest.raises(ReadError, match="is longer than the 2,097,152 bytes"):
        read_calibration(written(tmp_path, "a.toml", large * 8))
    (tmp_path / "usual.json").write_text(json.dumps({f"a{i}": broken() for i in range(1000)}, indent=4))
    assert len(read_calibration(tmp_path / "usual.json")) == 1000
