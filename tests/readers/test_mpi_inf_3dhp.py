"""MPI-INF-3DHP: annot.mat of the training set, annot_data.mat of the test set, and MATLAB's files in general."""

import io
import tarfile

import numpy as np
import pytest
from readers.bodies import spread, walk
from scipy.io import savemat
from scipy.spatial.transform import Rotation

import vipe
from vipe.errors import MissingExtra, ReadError
from vipe.readers.datasets.matlab import read_hdf5, read_matrices
from vipe.skeletons import load

FIRST = Rotation.from_euler("xyz", [182.0, 5.0, 1.0], degrees=True).as_matrix()  # camera from a world with y up
PLACE = np.array([-562.8666, 1398.138, 3852.623])


def calibration():
    rows = " ".join(f"{x:.8g}" for x in np.vstack([np.column_stack([FIRST, PLACE]), [0, 0, 0, 1]]).ravel())
    return f"Skeletool Camera Calibration File V1.0\nname  0\n  size  2048 2048\n  extrinsic  {rows}\n  radial  0\n"


def seen(world):
    """The first camera's view of positions with z up, millimetres."""
    y_up = np.stack([world[..., 0], world[..., 2], -world[..., 1]], axis=-1) * 1000
    return y_up @ FIRST.T + PLACE


def cells(arrays):
    out = np.empty((len(arrays), 1), dtype=object)
    for i, array in enumerate(arrays):
        out[i, 0] = array
    return out


def annot(poses, *, compression=True, joints=28, cameras=14):
    """As the data set has it: a cell of a matrix for each camera, x, y, z of each joint in a row."""
    whole = seen(spread(load(f"mpi_inf_3dhp{joints}"), poses)).reshape(len(poses), -1)
    others = [np.zeros_like(whole)] * (cameras - 1)
    file = io.BytesIO()
    content = {
        "annot2": cells([np.zeros((len(poses), 56))] * cameras),
        "annot3": cells([whole, *others]),
        "univ_annot3": cells([whole * 0.9, *others]),
        "cameras": np.arange(cameras, dtype=np.uint8)[None],
        "frames": np.arange(len(poses))[:, None],
    }
    savemat(file, content, do_compression=compression)
    return file.getvalue()


def data_of_the_test_set(poses, valid):
    h5py = pytest.importorskip("h5py")
    world = spread(load("mpi_inf_3dhp17"), poses)
    x, y, z = np.moveaxis(world * 1000, -1, 0)
    camera = np.stack([x, -z, y], axis=-1)[:, None]
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as out:
        for name, array in {
            "annot2": camera[..., :2],
            "annot3": camera,
            "univ_annot3": camera,
            "valid_frame": valid[:, None],
        }.items():
            out.create_dataset(name, data=array.astype("f8"), compression="gzip")
    return b"MATLAB 7.3 MAT-file".ljust(512, b" ") + file.getvalue()[512:]


@pytest.mark.parametrize("compression", [True, False])
def test_a_sequence_of_the_training_set_in_the_studios_space(compression, tmp_path):
    poses = walk(12)
    folder = tmp_path / "S3" / "Seq2"
    folder.mkdir(parents=True)
    (folder / "annot.mat").write_bytes(annot(poses, compression=compression))
    (folder / "camera.calibration").write_text(calibration())
    for path in (tmp_path, folder / "annot.mat"):
        (clip,) = vipe.read(path)
        assert (clip.name, clip.subject, clip.action, clip.fps) == ("S3/Seq2", "S3", "Seq2", 25.0)
        np.testing.assert_allclose(clip.to(load("h36m17")).positions, poses, atol=2e-5)


def test_in_an_archive_the_calibration_may_come_later(tmp_path):
    poses = walk(4)
    with tarfile.open(tmp_path / "mpi.tar", "w") as archive:
        for name, data in {
            "S1/Seq1/annot.mat": annot(poses),
            "S1/Seq1/camera.calibration": calibration().encode(),
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (clip,) = vipe.read(tmp_path / "mpi.tar")
    assert clip.name == "S1/Seq1"
    np.testing.assert_allclose(clip.to(load("h36m17")).positions, poses, atol=2e-5)


def test_without_calibration_the_camera_is_taken_as_level(tmp_path):
    poses = walk(12)
    (tmp_path / "annot.mat").write_bytes(annot(poses))
    (clip,) = vipe.read(tmp_path / "annot.mat")
    got = clip.to(load("h36m17")).positions
    tilt = Rotation.align_vectors(np.diff(poses[0], axis=0), np.diff(got[0], axis=0))[0]
    axis = tilt.as_matrix()[2]
    assert np.degrees(np.arccos(axis[2])) < 6  # the camera's own 2 and 5 degrees
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(got, axis=1), axis=-1), np.linalg.norm(np.diff(poses, axis=1), axis=-1), atol=1e-5
    )


def test_long_sequences_have_50_frames_a_second(tmp_path):
    (tmp_path / "annot.mat").write_bytes(annot(np.repeat(walk(1), 10_001, axis=0), cameras=1, compression=False))
    assert next(iter(vipe.read(tmp_path / "annot.mat"))).fps == 50.0
    assert next(iter(vipe.read(tmp_path / "annot.mat", source_fps=30.0))).fps == 30.0


def test_the_test_set_is_divided_where_nobody_is_seen(tmp_path):
    poses = walk(10)
    valid = np.array([1, 1, 1, 0, 0, 1, 1, 1, 1, 1])
    (tmp_path / "TS4").mkdir()
    (tmp_path / "TS4" / "annot_data.mat").write_bytes(data_of_the_test_set(poses, valid))
    clips = list(vipe.read(tmp_path))
    assert [(clip.name, len(clip), clip.subject) for clip in clips] == [("TS4", 3, "TS4"), ("TS4@5", 5, "TS4")]
    np.testing.assert_allclose(clips[1].to(load("h36m17")).positions, poses[5:], atol=1e-5)


@pytest.mark.parametrize("joints", [17, 28])
def test_the_tables_take_the_joints_that_others_take(joints):
    matrix, mask = load(f"mpi_inf_3dhp{joints}").weights(load("h36m17"))
    others = {  # EvoSkeleton's order of the test set's 17; the training set's in MPII order, as far as they overlap
        17: [14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4],
        28: [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16],
    }
    assert mask.all()
    assert matrix.argmax(axis=1).tolist() == others[joints]


def test_another_mat_file_is_no_motion(tmp_path):
    savemat(tmp_path / "a.mat", {"x": np.eye(3)})
    with pytest.raises(ReadError, match=r"no annot3, expected annot\.mat or annot_data\.mat"):
        list(vipe.read(tmp_path / "a.mat"))


@pytest.mark.parametrize("shape", [(5, 50), (5, 17, 3)])
def test_another_number_of_joints_is_refused(shape, tmp_path):
    savemat(tmp_path / "a.mat", {"annot3": cells([np.zeros(shape)])})
    with pytest.raises(ReadError, match=r"expected 28 joints of x, y, z a frame"):
        list(vipe.read(tmp_path / "a.mat"))


def test_h5py_is_asked_for_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "a.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(MissingExtra, match=r'^a.mat: HDF5 needs h5py: pip install "vipe-pose\[formats\]"'):
        list(vipe.read(tmp_path / "a.mat"))
    errors = []
    assert list(vipe.read(tmp_path, skip_bad=True, on_skip=errors.append)) == []
    assert "pip install" in str(errors[0])


@pytest.mark.parametrize("compression", [True, False])
@pytest.mark.parametrize("kind", ["i1", "u2", "i4", "f4", "f8", "i8"])
def test_matrices_come_out_as_they_went_in(kind, compression):
    values = np.arange(24).reshape(2, 3, 4).astype(kind)
    file = io.BytesIO()
    savemat(
        file,
        {"x": values, "text": "no", "c": cells([values[0], values[1, :1]]), "z": np.array([1j])},
        do_compression=compression,
    )
    found = read_matrices(file.getvalue(), "a.mat", ("x", "c", "text", "z"))
    np.testing.assert_array_equal(found["x"], values)
    np.testing.assert_array_equal(found["c"][1], values[1, :1])
    assert set(found) == {"x", "c"}


def test_a_variable_that_unpacks_to_far_more_than_the_file_is_refused(monkeypatch):
    file = io.BytesIO()
    savemat(file, {"x": np.zeros((1 << 11, 512))}, do_compression=True)
    monkeypatch.setattr("vipe.readers.datasets.matlab._RATIO_FROM", 1 << 16)
    with pytest.raises(ReadError, match="is it an archive bomb"):
        read_matrices(file.getvalue(), "a.mat", ("x",))
    assert read_matrices(file.getvalue(), "a.mat", ("y",)) == {}


def test_hdf5_reads_nothing_outside_the_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "secret.h5", "w") as out:
        out["annot3"] = np.ones(3)
    file = io.BytesIO()
    with h5py.File(file, "w") as out:
        out["a"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/annot3")
        out["b"] = h5py.SoftLink("/c")
        out.create_dataset("d", (3,), "f8", external=[(str(tmp_path / "secret.h5"), 0, 24)])
        layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "annot3", shape=(3,))
        out.create_virtual_dataset("v", layout)
        out["t"] = np.array([b"text"])
    assert read_hdf5(file.getvalue(), "a.mat", ("a", "b", "d", "v", "t", "none")) == {}


def test_an_hdf5_array_far_larger_than_its_file_is_refused():
    h5py = pytest.importorskip("h5py")
    file = io.BytesIO()
    with h5py.File(file, "w") as out:
        out.create_dataset("annot3", (1 << 30, 17, 3), "f8", chunks=(1 << 10, 17, 3))
    with pytest.raises(ReadError, match="is it an archive bomb"):
        read_hdf5(file.getvalue(), "a.mat", ("annot3",))
