import numpy as np
import pytest

from vipe.errors import ReadError
from vipe.evaluate import pose_distance
from vipe.evaluate.leave_out import CLIP, NOTHING
from vipe.evaluate.splits import hashed_splits, read_splits
from vipe.evaluate.study import Archive, Study


@pytest.fixture(scope="module")
def archive(index):
    return Archive.of_index(index)


def test_a_gallery_has_no_near_duplicates_and_queries_are_of_it(archive):
    rows = np.arange(100, 300)
    study = Study.choose(archive, rows, near_duplicate=0.06, queries=20, seed=1)
    assert set(study.query) < set(study.gallery) < set(rows)
    assert len(study.query) == 20
    assert (np.diff(study.query) > 0).all()
    assert (np.diff(study.gallery) > 0).all()
    poses = archive.poses[study.gallery]
    distance = pose_distance(poses[:, None], poses[None])
    assert distance[np.tril_indices(len(poses), -1)].min() >= 0.06
    np.testing.assert_array_equal(study.clips, archive.clip[study.query])


def test_a_seed_draws_the_same_and_another_does_not(archive):
    rows = np.arange(300)

    def drawn(seed):
        return Study.choose(archive, rows, near_duplicate=0.0, poses=50, queries=10, seed=seed)

    np.testing.assert_array_equal(drawn(0).gallery, drawn(0).gallery)
    assert set(drawn(0).gallery) != set(drawn(1).gallery)
    assert set(drawn(0).query) != set(drawn(1).query)


def test_more_than_there_are_is_all_of_them(archive):
    study = Study.choose(archive, np.arange(30), near_duplicate=0.0, poses=99, queries=99)
    np.testing.assert_array_equal(study.gallery, np.arange(30))
    np.testing.assert_array_equal(study.query, np.arange(30))


def test_what_is_left_out_is_neither_searched_nor_a_match(archive):
    study = Study(archive=archive, gallery=np.arange(0, 300, 2), query=np.array([20, 240]))
    relevance = study.judge((0.1, 0.05), {"all": NOTHING, "near": 4.0, "clip": CLIP})
    distance = pose_distance(archive.poses[study.gallery][None], archive.poses[study.query][:, None])
    same = archive.clip[study.gallery][None] == archive.clip[study.query][:, None]
    close = np.abs(archive.time[study.gallery][None] - archive.time[study.query][:, None]) <= 4 + 1e-6
    for gallery, out in zip(relevance.galleries, (same & False, same & close, same), strict=True):
        np.testing.assert_array_equal(gallery.remaining, (~out).sum(axis=1))
        for threshold in (0.1, 0.05):
            np.testing.assert_array_equal(gallery.matches[threshold], ((distance < threshold) & ~out).sum(axis=1))


def test_a_gallery_alone_is_an_archive_of_the_same_poses(archive):
    study = Study(archive=archive, gallery=np.array([5, 120, 250]), query=np.array([120]))
    alone = study.of_gallery_alone()
    np.testing.assert_array_equal(alone.archive.poses, archive.poses[[5, 120, 250]])
    assert alone.clips.tolist() == archive.clip[[5, 120, 250]].tolist()
    np.testing.assert_array_equal(alone.archive.time, archive.time[[5, 120, 250]])
    np.testing.assert_array_equal(alone.query, np.arange(3))


def test_distances_are_of_each_result_to_its_query(archive):
    study = Study(archive=archive, gallery=np.arange(300), query=np.array([7, 150]))
    found = study.distances(np.array([[7, 8], [150, -1]]))
    assert found[:, 0] == pytest.approx(0, abs=1e-5)
    assert found[0, 1] == pytest.approx(pose_distance(archive.poses[8], archive.poses[7]))
    assert found[1, 1] == np.inf


def test_a_table_names_the_split_of_each_clip(tmp_path):
    (tmp_path / "clips.csv").write_text("dataset,clip,split\nx,walk,train\nx,run,val\n")
    assert read_splits(tmp_path / "clips.csv") == {"walk": "train", "run": "val"}


def test_a_table_from_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "clips.csv").write_bytes(b'\xef\xbb\xbfclip,split\r\n"a, b",train\r\n')
    assert read_splits(tmp_path / "clips.csv") == {"a, b": "train"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"clip;split\nwalk;train\n", "has no column clip, split"),
        (b"", "has no column clip, split"),
        ("clip,split\nwalk,train\n".encode("utf-16"), r"is not UTF-8 \(byte 0\); save it as CSV in UTF-8"),
        (b"clip,split\nw\xe4lk,train\n", r"is not UTF-8 \(byte 12\)"),
        (b"clip,split\nwalk\n", "clips.csv:2: has no clip or no split"),
        (b"clip,split\nwalk,train\nwalk,test\n", "clips.csv:3: clip 'walk' is in 'train' and in 'test'"),
        (b"clip,split\n" + b"x" * 200_000 + b",train\n", "is no CSV table: field larger"),
    ],
    ids=["semicolons", "empty", "utf-16", "latin-1", "short row", "twice", "long field"],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "clips.csv").write_bytes(content)
    with pytest.raises(ReadError, match=message):
        read_splits(tmp_path / "clips.csv")


def test_without_a_table_most_clips_train_and_some_measure():
    splits = list(hashed_splits(f"clip {number}" for number in range(1000)).values())
    assert [round(splits.count(name) / 1000, 1) for name in ("train", "test", "val")] == [0.6, 0.3, 0.1]
