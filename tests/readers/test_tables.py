"""Plain arrays and tables of joint positions, with names of joints or a skeleton that the user names."""

import io

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from readers.bodies import H36M17, npy, npz, walk

import vipe
from vipe.errors import ReadError
from vipe.skeletons import Skeleton
from vipe.store import PoseStore

POSES = walk(20)
NAMES = H36M17.joints
COLUMNS = [f"{joint}_{axis}" for joint in NAMES for axis in "xyz"]


def rows(poses, columns=COLUMNS, separator=",", **more):
    out = [separator.join([*more, *columns])]
    for t, row in enumerate(poses):
        numbers = ["" if np.isnan(x) else repr(float(x)) for x in row.ravel()]
        out.append(separator.join([*(str(values[t]) for values in more.values()), *numbers]))
    return ("\n".join(out) + "\n").encode()


def table(poses, **more):
    flat = poses.reshape(len(poses), -1)
    return pa.table({**more, **{column: flat[:, i] for i, column in enumerate(COLUMNS)}})


def parquet_file(content, **options):
    out = io.BytesIO()
    parquet.write_table(content, out, **options)
    return out.getvalue()


def read_one(tmp_path, name, data, **hints):
    (tmp_path / name).write_bytes(data)
    return list(vipe.read(tmp_path / name, **hints))


TIMES = [f"{t / 25:.3f}" for t in range(len(POSES))]
ORDER = {"array_skeleton": "h36m17", "source_fps": 25.0}
GIVEN = {
    "walk.npy": (npy(POSES.astype("f4")), {"array_skeleton": "h36m17", "source_fps": 25.0}),
    "flat.npy": (npy(POSES.reshape(len(POSES), -1)), {"array_skeleton": H36M17, "source_fps": 25.0}),
    "walk.npz": (npz(anything=POSES, fps=np.array(25)), {"array_skeleton": "h36m17"}),
    "named.npz": (npz(positions=POSES, joint_names=np.array(NAMES), frame_rate=np.array([25.0])), {}),
    "bytes.npz": (npz(p=POSES, names=np.array(NAMES, dtype="S"), fps=25), {}),
    "objects.npz": (npz(p=POSES, names=np.array(NAMES, dtype=object), fps=25), {}),
    "walk.csv": (rows(POSES, time=TIMES), {}),
    "semicolons.csv": (rows(POSES, separator=";", time=TIMES), {}),
    "commas.csv": (rows(POSES, separator=";", time=TIMES).replace(b".", b","), {}),
    "capitals.csv": (rows(POSES, Time=TIMES), {}),
    "excel.csv": (rows(POSES, separator="\t", time=TIMES).decode().encode("utf-16"), {}),
    "tabs.csv": (rows(POSES, separator="\t"), {"source_fps": 25.0}),
    "dots.csv": (rows(POSES, [c[:-2] + "." + c[-1].upper() for c in COLUMNS]), {"source_fps": 25.0}),
    "mark.csv": (b"\xef\xbb\xbf" + rows(POSES, time=TIMES), {}),
    "walk.parquet": (parquet_file(table(POSES, time=np.array(TIMES, dtype=float))), {}),
    "pose.parquet": (
        parquet_file(pa.table({"pose": pa.array(list(POSES.reshape(len(POSES), -1)), pa.list_(pa.float32(), 51))})),
        {"array_skeleton": "h36m17", "source_fps": 25.0},
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_positions_come_out_as_they_went_in(name, tmp_path):
    data, hints = GIVEN[name]
    (clip,) = read_one(tmp_path, name, data, **hints)
    assert (clip.name, clip.fps, clip.source) == (name.split(".")[0], 25.0, name)
    np.testing.assert_allclose(clip.to(H36M17).positions, POSES, atol=1e-6)


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1], [2, 0, 1]], ids=["z up", "y up", "y up, turned"])
@pytest.mark.parametrize("factor", [1, 100, 1000, 1 / 0.0254], ids=["metres", "centimetres", "millimetres", "inches"])
def test_unit_and_up_axis_come_from_the_body(factor, order, tmp_path):
    turned = POSES[..., order] * ([1, 1, -1] if order == [0, 2, 1] else 1)
    if order == [2, 0, 1]:
        turned = POSES[..., [1, 2, 0]]
    (clip,) = read_one(tmp_path, "a.npy", npy(turned * factor), array_skeleton="h36m17", source_fps=25.0)
    got, up = clip.positions, POSES[..., 2]
    np.testing.assert_allclose(got[..., 2], up, atol=1e-4)
    lengths = [np.linalg.norm(np.diff(poses, axis=1), axis=-1) for poses in (got, POSES)]
    np.testing.assert_allclose(*lengths, atol=1e-4)
    left = got[:, 4] - got[:, 1]
    ahead = np.cross(left, [0, 0, 1])
    face = got[:, 9] - got[:, 8]
    assert ((ahead * face).sum(-1) > 0).all()  # not a mirror image


def test_several_arrays_are_several_clips(tmp_path):
    data = npz(a=POSES, b=POSES[:5], fps=np.array(30), labels=np.zeros(3))
    clips = read_one(tmp_path, "both.npz", data, array_skeleton="h36m17")
    assert [(clip.name, len(clip)) for clip in clips] == [("both/a", 20), ("both/b", 5)]


def test_rows_of_a_clip_belong_together(tmp_path):
    clips = ["a"] * 8 + ["b"] * 12
    data = parquet_file(table(POSES, clip=clips, fps=[25.0] * 8 + [50.0] * 12, subject=["x"] * 20, action=["y"] * 20))
    found = read_one(tmp_path, "t.parquet", data)
    assert [(c.name, len(c), c.fps, c.subject, c.action) for c in found] == [
        ("a", 8, 25.0, "x", "y"),
        ("b", 12, 50.0, "x", "y"),
    ]
    with pytest.raises(ReadError, match="rows of clip 'a' do not lie together"):
        read_one(tmp_path, "t.csv", rows(POSES, clip=["a", "b"] * 10, fps=[25] * 20))


def test_missing_cells_divide_a_clip(tmp_path):
    hole = POSES.copy()
    hole[7, 3] = np.nan
    found = read_one(tmp_path, "t.csv", rows(hole), source_fps=25.0)
    assert [(clip.name, len(clip)) for clip in found] == [("t", 7), ("t@8", 12)]


def test_a_part_of_a_store_can_be_read_again(tmp_path):
    (clip,) = read_one(tmp_path, "walk.csv", rows(POSES), source_fps=25.0)
    store = PoseStore.create(tmp_path / "store", [clip])
    part = next((tmp_path / "store").rglob("*.parquet"))
    (again,) = vipe.read(part)
    assert (again.name, again.fps) == ("walk", 25.0)
    np.testing.assert_allclose(again.positions, store.poses(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "data", "hints", "message"),
    [
        ("a.npy", npy(POSES), {"source_fps": 25.0}, "without names of joints; name its skeleton with --array-skeleton"),
        ("a.npy", npy(POSES), {"array_skeleton": "h36m17"}, "states no rate; give it with --source-fps"),
        ("a.npy", npy(POSES[:, :16]), ORDER, r"expected \(frames, 17, 3\) of h36m17"),
        ("a.npy", npy(np.zeros((4, 17, 3))), ORDER, "the body has no size"),
        ("a.npy", npy(POSES * 1e-6), ORDER, "no usual unit makes that a person"),
        ("a.npy", npy(np.where(POSES > 1.5, np.nan, POSES)), ORDER, "frame 0 is not finite"),
        ("a.npy", npy(POSES * 1e300), ORDER, r"beyond 1e\+09"),
        ("a.npz", npz(x=np.zeros(3)), {}, r"arrays x; expected an array \(frames, joints, 3\), positions_3d"),
        ("a.npz", npz(x=POSES, names=np.array(["a"] * 17), fps=25), {}, "unknown skeleton"),
        ("a.csv", b"clip,split\na,train\n", {}, "no columns such as left_hip_x"),
        ("a.csv", rows(POSES, [c.replace("hip", "hop") for c in COLUMNS]), {}, "unknown skeleton"),
        ("a.csv", rows(POSES).replace(b"0.", b"x.", 1), {"source_fps": 25.0}, "is not of numbers"),
        ("a.csv", rows(POSES) + b"1,2\n", {"source_fps": 25.0}, "not a table of rows as long as its first"),
        ("a.csv", rows(POSES), {}, "states no rate"),
        ("a.parquet", parquet_file(pa.table({"x": [1]})), {}, "columns x; expected such as left_hip_x, or pose"),
        ("a.parquet", parquet_file(pa.table({"pose": [[1.0, 2.0]]})), ORDER, "2 numbers in 1 poses, expected 51 each"),
        ("a.parquet", parquet_file(pa.table({"pose": ["a"]})), ORDER, "expected lists of numbers"),
        ("a.parquet", b"PAR1" + bytes(40) + b"PAR1", {}, "cannot be read as Parquet, broken or cut"),
    ],
)
def test_what_is_missing_or_broken_is_one_line(name, data, hints, message, tmp_path):
    with pytest.raises(ReadError, match=message) as caught:
        read_one(tmp_path, name, data, **hints)
    assert str(caught.value).isprintable()


def test_a_skeleton_without_a_conversion_is_taken_in_metres_with_z_up(tmp_path):
    stick = Skeleton(name="stick", joints=("a", "b"), parents=(-1, 0))
    (clip,) = read_one(tmp_path, "a.npy", npy(np.arange(12.0).reshape(2, 2, 3)), array_skeleton=stick, source_fps=25.0)
    np.testing.assert_array_equal(clip.positions, np.arange(12.0).reshape(2, 2, 3))


def test_joints_of_the_working_skeleton_must_all_be_there(tmp_path):
    columns = [column for column in COLUMNS if not column.startswith("spine")]
    data = rows(np.delete(POSES, NAMES.index("spine"), axis=1), columns)
    with pytest.raises(ReadError, match="joints of h36m17 without spine"):
        read_one(tmp_path, "a.csv", data, source_fps=25.0)


def test_other_data_in_a_folder_is_passed_over(tmp_path):
    for name, data in {
        "clips.csv": b"clip,split\na,train\n",
        "weights.npz": npz(w=np.zeros((3, 4))),
        "vectors.npy": npy(np.zeros((5, 32))),
        "index.parquet": parquet_file(pa.table({"id": [1, 2]})),
    }.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ReadError, match=r"no motion in it; clips.csv:1: no columns such as left_hip_x"):
        list(vipe.read(tmp_path))
    (tmp_path / "walk.csv").write_bytes(rows(POSES, time=TIMES))
    assert [clip.name for clip in vipe.read(tmp_path)] == ["walk"]


def test_a_parquet_file_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vipe.readers.arrays.parquet_table._RATIO_FROM", 1 << 16)
    data = parquet_file(table(np.zeros((20_000, 17, 3)), time=np.zeros(20_000)))
    with pytest.raises(ReadError, match="is it an archive bomb"):
        read_one(tmp_path, "a.parquet", data)
