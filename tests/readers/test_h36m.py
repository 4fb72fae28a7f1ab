"""Human3.6M in VideoPose3D's arrays and as its publishers give it; the cameras that it was filmed with."""

import io
import itertools
import zipfile

import numpy as np
import pytest
from readers.bodies import npz, walk

import vipe
from vipe.errors import ArgumentError, ReadError
from vipe.readers.contract import Hints, NotMotion
from vipe.readers.datasets import h36m_cdf
from vipe.readers.datasets.cdf import read_variable
from vipe.readers.datasets.h36m_cameras import load_cameras
from vipe.skeletons import load

# Which of the 32 joints the 17 are (3d-pose-baseline, VideoPose3D).
KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
cdfwrite = pytest.importorskip("cdflib.cdfwrite")


def published(poses):
    """The 32 joints, of which 17 are given and the others lie at the pelvis."""
    joints = np.repeat(poses[:, :1], 32, axis=1)
    joints[:, KEPT] = poses
    return joints


def cdf(path, poses, major="Row_major", compress=0, whole=0, variable="Pose"):
    file = cdfwrite.CDF(path, cdf_spec={"Majority": major, "Compressed": whole})
    values = poses[None].astype("f4")
    spec = {"Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": list(values.shape[1:])}
    file.write_var({"Variable": "Other", **spec, "Compress": compress}, var_data=values)
    file.write_var({"Variable": variable, **spec, "Compress": compress}, var_data=values)
    file.close()
    return path.read_bytes()


def test_subjects_actions_and_the_rate_of_videopose3d(tmp_path):
    poses = walk(6)
    data = {
        "S1": {"Walking 1": published(poses).astype("f4"), "Photo": poses.astype("f4")},
        "S9": {"Eating": published(poses)},
    }
    (tmp_path / "data_3d_h36m.npz").write_bytes(npz(positions_3d=data))
    clips = list(vipe.read(tmp_path / "data_3d_h36m.npz"))
    assert [(clip.name, clip.subject, clip.action, clip.fps) for clip in clips] == [
        ("S1/Walking 1", "S1", "Walking", 50.0),
        ("S1/Photo", "S1", "Photo", 50.0),
        ("S9/Eating", "S9", "Eating", 50.0),
    ]
    for clip in clips:
        np.testing.assert_allclose(clip.to(load("h36m17")).positions, poses, atol=1e-6)


def test_the_17_of_the_32_joints_are_those_that_others_take():
    table, target = load("h36m32"), load("h36m17")
    matrix, _ = table.weights(target)
    assert matrix.argmax(axis=1).tolist() == KEPT
    assert (matrix.sum(axis=1) == 1).all() and set(matrix.ravel()) == {0, 1}


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"S1": np.zeros((3, 17, 3))}, "not subject -> action -> array"),
        ({"S1": {"Walk": np.zeros((3, 15, 3))}}, "S1/Walk: 15 joints, expected Human3.6M's 32 or 17"),
        ({"S1": {"Walk": "no"}}, r"S1/Walk: not an array \(frames, 32 or 17, 3\)"),
        ({"S1": {"Walk": np.zeros((3, 17, 2))}}, r"not an array \(frames, 32 or 17, 3\)"),
        ({"S1": {"Walk": np.full((3, 17, 3), np.nan)}}, "positions of frame 0 are not finite"),
        ({"S1": {"Walk": np.zeros((0, 17, 3))}}, "at least 1 frame"),
    ],
)
def test_another_layout_is_one_line(objects, message, tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(positions_3d=objects))
    with pytest.raises(ReadError, match=message):
        list(vipe.read(tmp_path / "a.npz"))


def test_one_array_under_many_names_is_refused(tmp_path):
    array = np.zeros((10, 17, 3))
    (tmp_path / "a.npz").write_bytes(npz(positions_3d={"S1": {str(i): array for i in range(5)}}))
    with pytest.raises(ReadError, match="S1/1: the same array as an action before it"):
        list(vipe.read(tmp_path / "a.npz"))


@pytest.mark.parametrize("compress", [0, 6])
def test_a_file_of_the_publishers(compress, tmp_path):
    poses = walk(20)
    folder = tmp_path / "S5" / "MyPoseFeatures" / "D3_Positions"
    folder.mkdir(parents=True)
    cdf(folder / "WalkingDog 1.cdf", published(poses).reshape(len(poses), 96) * 1000, compress=compress)
    for path in (tmp_path, folder / "WalkingDog 1.cdf", folder.parent):
        (clip,) = vipe.read(path)
        assert (clip.name, clip.subject, clip.action, clip.fps) == ("S5/WalkDog 1", "S5", "WalkDog", 50.0)
        np.testing.assert_allclose(clip.to(load("h36m17")).positions, poses, atol=1e-6)


def test_files_in_an_archive_are_told_apart_by_their_paths(tmp_path):
    poses = walk(5)
    data = cdf(tmp_path / "a.cdf", published(poses).reshape(len(poses), 96) * 1000)
    with zipfile.ZipFile(tmp_path / "h36m.zip", "w") as archive:
        for subject in ("S1", "S11"):
            archive.writestr(f"h36m/{subject}/MyPoseFeatures/D3_Positions/TakingPhoto.cdf", data)
            archive.writestr(f"h36m/{subject}/MyPoseFeatures/D3_Positions_mono/TakingPhoto.54138969.cdf", data)
    clips = list(vipe.read(tmp_path / "h36m.zip"))
    assert [(clip.name, clip.subject, clip.action) for clip in clips] == [
        ("S1/Photo", "S1", "Photo"),
        ("S11/Photo", "S11", "Photo"),
    ]


@pytest.mark.parametrize(
    ("major", "compress", "whole", "shape"),
    list(
        itertools.product(["Row_major", "Column_major"], [0, 6], [0, 6], [(5,), (4, 6), (2, 3, 4)]),
    ),
)
def test_cdf_is_read_as_cdflib_reads_it(major, compress, whole, shape, tmp_path):
    cdflib = pytest.importorskip("cdflib")
    values = np.random.default_rng(0).normal(size=shape)
    data = cdf(tmp_path / "a.cdf", values, major, compress, whole)
    np.testing.assert_array_equal(read_variable(data, "a.cdf", "Pose"), cdflib.CDF(tmp_path / "a.cdf")["Pose"])


def test_the_blocks_of_a_long_packed_variable_come_in_their_order(tmp_path):
    values = np.random.default_rng(0).normal(size=(700, 96)).astype("f4")
    file = cdfwrite.CDF(tmp_path / "a.cdf")
    spec = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": [96], "Compress": 1}
    file.write_var(spec, var_data=values)
    file.close()
    data = (tmp_path / "a.cdf").read_bytes()
    assert data.count(b"\x00\x00\x00\x0d\x00\x00\x00\x00\x00") > 2  # packed blocks
    np.testing.assert_array_equal(read_variable(data, "a.cdf", "Pose"), values)


def test_other_files_of_the_data_set_are_no_motion_of_its_world(tmp_path):
    data = cdf(tmp_path / "a.cdf", np.zeros((4, 64)))
    with pytest.raises(NotMotion, match=r"expected \(1, frames, 96\)"):
        list(h36m_cdf.read_all(io.BytesIO(data), "a.cdf"))
    with pytest.raises(NotMotion, match="expected those of the folder D3_Positions"):
        list(h36m_cdf.read_all(io.BytesIO(data), "a", hints=Hints(path="S1/D3_Positions_mono/Walking.54138969.cdf")))
    other = cdf(tmp_path / "b.cdf", np.zeros((4, 96)), variable="Angles")
    with pytest.raises(NotMotion, match="no variable 'Pose', it has Other, Angles"):
        list(h36m_cdf.read_all(io.BytesIO(other), "b.cdf"))


@pytest.mark.parametrize("cut", [0, 4, 100, 1000, 2000, -1])
def test_a_cut_cdf_is_one_line(cut, tmp_path):
    data = cdf(tmp_path / "a.cdf", np.random.default_rng(0).normal(size=(4, 96)), compress=6)
    with pytest.raises(ReadError, match=r"^a.cdf: "):
        read_variable(data[:cut], "a.cdf", "Pose")


def test_an_index_that_leads_to_itself_ends(tmp_path):
    data = bytearray(cdf(tmp_path / "a.cdf", np.zeros((4, 96))))
    name = data.index(b"Pose")  # in the variable's record, which says before it where the index is
    at = int.from_bytes(data[name - 56 : name - 48], "big")
    data[at + 12 : at + 20] = at.to_bytes(8, "big")  # the index that follows
    data[at + 24 : at + 28] = bytes(4)  # entries used
    with pytest.raises(ReadError, match="an index that leads to itself"):
        read_variable(bytes(data), "a.cdf", "Pose")


def test_cameras_look_at_the_middle_of_the_room_with_the_floor_below():
    for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11"):
        for camera in load_cameras(subject):
            np.testing.assert_allclose(camera.R_cam_world @ camera.R_cam_world.T, np.eye(3), atol=1e-6)
            assert np.linalg.det(camera.R_cam_world) > 0
            low, high = camera.project(np.array([[0.0, 0, 0], [0, 0, 1.7]]))
            assert low[1] > high[1] and high[1] > 0 and low[1] < camera.height
            assert 3 < camera.to_camera(np.zeros(3))[2] < 7
            np.testing.assert_allclose(camera.to_camera(camera.place), 0, atol=1e-12)


def test_an_image_is_that_of_a_pinhole_where_the_lens_does_not_bend():
    camera = load_cameras("S9")[1]
    ahead = camera.place + camera.R_cam_world[2] * 3.0
    np.testing.assert_allclose(camera.project(ahead), camera.center, atol=1e-9)
    aside = ahead + camera.R_cam_world[0] * 0.3
    u = 0.1
    r2 = u * u
    k, t = camera.radial, camera.tangential
    bent = u * (1 + k @ [r2, r2**2, r2**3] + t[0] * u) + r2 * t[0]
    np.testing.assert_allclose(camera.project(aside)[0], camera.center[0] + camera.focal[0] * bent)
    assert np.isnan(camera.project(camera.place - camera.R_cam_world[2])).all()


@pytest.mark.refusal
def test_a_subject_without_cameras_is_refused():
    with pytest.raises(ArgumentError, match="no cameras of 'S2', expected one of S1, S5"):
        load_cameras("S2")
