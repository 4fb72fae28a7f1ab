"""Array files with altered bytes: clips or one line that says why not, never anything else, quickly."""

import io
import resource
import time
import zipfile

import numpy as np
import pytest
from readers import test_gltf, test_h36m, test_markers, test_mpi_inf_3dhp, test_smpl, test_tables
from readers.bodies import H36M17, npy, npz, walk

from vipe.clips import Clip
from vipe.errors import VipeError
from vipe.readers import READERS
from vipe.readers.contract import Hints
from vipe.readers.datasets.body_model import BodyModel

POSES = walk(8)
COUNT = 250
WORDS = [
    b"",
    b"\0",
    b"\xff",
    b"\x80",
    b"\x7f",
    b"\xff\xff\xff\xff",
    b"\0\0\0\x80",
    b"\xff\xff\xff\x7f",
    b"(",
    b"}",
    b"9" * 20,
    b"nan",
    b"-",
    b"\n",
    b"\t",
]
HINTS = Hints(skeleton=H36M17, fps=25.0)


def edited(data, rng):
    """One to three edits, more of them near the beginning and the end, where files describe themselves; or a cut."""
    for _ in range(rng.integers(1, 4)):
        at = int(len(data) * rng.random())
        if rng.random() < 0.6:
            at = int(rng.integers(0, min(len(data), 1500) + 1)) * (1 if rng.random() < 0.6 else -1) % (len(data) + 1)
        new = WORDS[rng.integers(len(WORDS))] if rng.random() < 0.5 else rng.bytes(int(rng.integers(1, 9)))
        gone = len(new) if rng.random() < 0.8 else int(rng.integers(0, 30))
        data = data[:at] + new + data[at + gone :]
    return data[: int(len(data) * rng.random())] if rng.random() < 0.1 else data


def stored(array):
    """A .npz whose checksums are right, so that what is altered within an array gets as far as its reader."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in array.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def h36m_objects(rng):
    objects = {"S1": {"Walk 1": POSES.astype("f4"), "Sit": POSES[:3]}, "S9": {"Eat": np.asfortranarray(POSES)}}
    return stored({"positions_3d": edited(npy(np.array(objects, dtype=object)), rng)})


def smpl_arrays(rng):
    content = {
        "poses": np.zeros((4, 156)),
        "trans": np.zeros((4, 3)),
        "betas": np.zeros(16),
        "gender": np.array("male"),
    }
    which = list(content)[rng.integers(len(content))]
    return stored({key: edited(npy(array), rng) if key == which else npy(array) for key, array in content.items()})


def named_arrays(rng):
    content = {"poses": POSES, "names": np.array(H36M17.joints), "fps": np.array(25.0)}
    which = list(content)[rng.integers(len(content))]
    return stored({key: edited(npy(array), rng) if key == which else npy(array) for key, array in content.items()})


def plain(data):
    return lambda rng: edited(data, rng)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """For each kind of file, its suffix and a function that makes an altered one."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(5)
    names, markers = test_markers.markers("triangulated")
    gltf = test_gltf.Builder()
    gltf.json["nodes"] = [
        {
            "name": name,
            "children": [j for j, parent in enumerate(test_gltf.PARENTS) if parent == i],
            "translation": [0, 1, i],
        }
        for i, name in enumerate(test_gltf.NAMES)
    ]
    gltf.animate(test_gltf.moves(rng))
    long = test_h36m.published(POSES).reshape(len(POSES), 96)
    return {
        "npz": (".npz", plain(npz(positions=POSES, fps=25))),
        "videopose3d": (".npz", h36m_objects),
        "amass": (".npz", smpl_arrays),
        "named arrays": (".npz", named_arrays),
        "npy": (".npy", plain(npy(POSES))),
        "csv": (".csv", plain(test_tables.rows(POSES))),
        "parquet": (".parquet", plain(test_tables.parquet_file(test_tables.table(POSES)))),
        "parquet poses": (".parquet", plain(test_tables.GIVEN["pose.parquet"][0])),
        "trc": (".trc", plain(test_markers.trc_file(names, markers))),
        "c3d": (".c3d", plain(test_markers.c3d_file(names, markers * 1000))),
        "cdf": (".cdf", plain(test_h36m.cdf(folder / "a.cdf", long))),
        "packed cdf": (".cdf", plain(test_h36m.cdf(folder / "b.cdf", long, compress=6))),
        "mat": (".mat", plain(test_mpi_inf_3dhp.annot(POSES, compression=False, cameras=2))),
        "packed mat": (".mat", plain(test_mpi_inf_3dhp.annot(POSES, cameras=2))),
        "hdf5": (".mat", plain(test_mpi_inf_3dhp.data_of_the_test_set(POSES, np.ones(8)))),
        "glb": (".glb", plain(gltf.glb())),
        "gltf": (".gltf", plain(gltf.gltf())),
    }


KINDS = [
    "npz",
    "videopose3d",
    "amass",
    "named arrays",
    "npy",
    "csv",
    "parquet",
    "parquet poses",
    "trc",
    "c3d",
    "cdf",
    "packed cdf",
    "mat",
    "packed mat",
    "hdf5",
    "glb",
    "gltf",
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_altered_file_gives_clips_or_one_line(kind, files, monkeypatch):
    body = BodyModel(mean=np.random.default_rng(0).normal(size=(24, 3)), directions=np.zeros((24, 3, 16)))
    monkeypatch.setattr("vipe.readers.datasets.smpl.find_model", lambda *_: body)
    suffix, make = files[kind]
    rng = np.random.default_rng(KINDS.index(kind))
    read = refused = 0
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(COUNT):
        data = make(rng)
        start = time.process_time()
        try:
            for clip in READERS[suffix].read_all(
                io.BytesIO(data), f"a{suffix}", (test_gltf.BODY,) if "gl" in kind else (), HINTS
            ):
                assert isinstance(clip, Clip)
                assert np.isfinite(clip.positions).all()
            read += 1
        except VipeError as error:
            assert str(error).isprintable(), str(error)
            assert str(error).startswith(f"a{suffix}"), str(error)
            refused += 1
        assert time.process_time() - start < 1.0
    assert refused > COUNT // 20
    assert read > 0 or kind == "npz"  # whose checksums tell every change
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200 * 1024  # kilobytes


def test_every_reader_of_arrays_is_here(files):
    assert {suffix for suffix, _ in files.values()} == set(READERS) - {".bvh", ".amc"}


def test_an_altered_body_model_is_one_line(rng):
    data = {key: npy(array) for key, array in test_smpl.model(rng).items()}
    for _ in range(100):
        which = list(data)[rng.integers(4)]
        content = {key: edited(value, rng) if key == which else value for key, value in data.items()}
        try:
            assert np.isfinite(BodyModel.load(stored(content), "m.npz").mean).all()
        except VipeError as error:
            assert str(error).isprintable()
