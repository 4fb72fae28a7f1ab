import os
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from vipe.clips import Clip
from vipe.errors import SkeletonError, VipeError
from vipe.skeletons import Skeleton, load
from vipe.store import PoseStore
from vipe.store.moments import take_moment
from vipe.writers import FORMATS, check_place, write


def test_npz_holds_positions_with_names_and_rate(moving, tmp_path):
    clip = moving(name='a "walk"\n', fps=24.0)
    assert write(tmp_path / "a.npz", clip) == 0
    arrays = np.load(tmp_path / "a.npz", allow_pickle=False)
    np.testing.assert_array_equal(arrays["positions"], clip.positions)
    assert arrays["joints"].tolist() == list(clip.skeleton.joints)
    assert arrays["parents"].tolist() == list(clip.skeleton.parents)
    assert (float(arrays["fps"]), str(arrays["skeleton"]), str(arrays["clip"])) == (24.0, "h36m17", 'a "walk"\n')
    np.testing.assert_allclose(arrays["time"], np.arange(len(clip)) / 24)


def test_parquet_has_the_columns_of_a_store(moving, tmp_path):
    clip = moving(60, fps=30.0, subject="ann", action="dance", source="a/b.bvh", licence="CC0")
    store = PoseStore.create(tmp_path / "store", [clip], fps=10.0)
    write(tmp_path / "a.parquet", take_moment(store, "dance", 0.5, 1.5))
    table = pq.read_table(tmp_path / "a.parquet")
    expected = store.table(where={"frame": list(range(15, 46, 3))})
    assert table.cast(expected.schema).equals(expected)
    assert table.schema.metadata[b"vipe.joints"].decode().split(",") == list(clip.skeleton.joints)
    assert table.schema.metadata[b"vipe.licence"] == b"CC0"


def test_a_clip_that_can_be_converted_is_written_on_the_working_skeleton(tmp_path):
    sited = load("bandai")
    positions = np.random.default_rng(0).normal(size=(3, len(sited), 3))
    clip = Clip(name="a", skeleton=sited, positions=positions, fps=30.0)
    write(tmp_path / "a.npz", clip)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["positions"], clip.to(load("h36m17")).positions)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_whole_the_same_each_time_and_replaces_a_file(suffix, upright, tmp_path):
    file = tmp_path / f"a{suffix}"
    file.write_text("before")
    write(file, upright)
    first = file.read_bytes()
    write(tmp_path / "new" / f"a{suffix.upper()}", upright)
    assert (tmp_path / "new" / f"a{suffix.upper()}").read_bytes() == first != b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", "new"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_one_frame_is_a_motion_too(suffix, upright, tmp_path):
    write(tmp_path / f"a{suffix}", upright)
    assert (tmp_path / f"a{suffix}").stat().st_size > 100


def test_a_place_that_cannot_be_written_is_one_line(upright, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.bvh").mkdir()
    os.mkfifo(tmp_path / "pipe.glb")
    for name, message in {
        "a.fbx": r"ends in \.fbx, expected a file in \.bvh, \.glb, \.gltf, \.npz, \.parquet, \.json",
        "a": "ends in nothing",
        "file/a.bvh": "cannot be written",
        "folder.bvh": "is a folder, expected a file",
        "pipe.glb": "neither a file nor a folder",
    }.items():
        for call in (check_place, lambda path: write(path, upright)):
            with pytest.raises(VipeError, match=message) as caught:
                call(tmp_path / name)
            assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.bvh", "pipe.glb"]


def test_names_of_other_programs_need_the_working_skeleton(tmp_path):
    arm = Skeleton(name="arm", joints=("shoulder", "elbow"), parents=(-1, 0))
    clip = Clip(name="a", skeleton=arm, positions=np.zeros((1, 2, 3)), fps=1.0)
    with pytest.raises(SkeletonError, match="names of mixamo need h36m17, which arm cannot be converted to"):
        write(tmp_path / "a.bvh", clip, names="mixamo")
    with pytest.raises(SkeletonError, match="no rig 'biped'"):
        write(tmp_path / "a.bvh", clip, names="biped")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_thinned_gives_its_own_rate(moving, tmp_path):
    store = PoseStore.create(tmp_path / "store", [replace(moving(50), fps=25.0)], fps=10.0)
    moment = take_moment(store, "dance")
    assert moment.clip.fps == pytest.approx(10, abs=0.2)
    assert moment.source_fps == 25
