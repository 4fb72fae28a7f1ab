"""What lies beside clips: who moves, and how; before or after them in an archive."""

import io
import itertools
import tarfile

import numpy as np
import pytest

from vipe.errors import ReadError
from vipe.readers import read
from vipe.readers.labels import Labels


def tar(path, files):
    with tarfile.open(path, mode="w:gz") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_an_index_names_subject_and_action_wherever_it_lies_in_the_archive(tmp_path, walk_bvh):
    files = [
        ("cmu/05/05_02.bvh", walk_bvh),
        ("cmu/index.csv", b'clip,subject,description\r\n05_02,05,"dance - expressive arms, pirouette"\r\n'),
        ("cmu/05/05_03.bvh", walk_bvh),
        ("other/05_02.bvh", walk_bvh),
    ]
    for order in itertools.permutations(files):
        clips = {clip.source: clip for clip in read(tar(tmp_path / "x.tar.gz", order))}
        labels = {source[9:]: (clip.subject, clip.action) for source, clip in clips.items()}
        assert labels == {
            "cmu/05/05_02.bvh": ("05", "dance - expressive arms, pirouette"),
            "cmu/05/05_03.bvh": ("", ""),
            "other/05_02.bvh": ("", ""),
        }


def test_bandai_namcos_file_names_and_json_become_actions(tmp_path, walk_bvh):
    files = [
        ("d/dataset-1_bow_active_001.bvh", walk_bvh),
        ("d/dataset-1_bow_active_001.json", b'{"content": 6, "style": 11}'),
        ("d/dataset-2_raise-up-both-hands_not-confident_012.bvh", walk_bvh),
        ("d/walk.json", b'{"content": 3, "style": 1}'),
        ("d/walk.bvh", walk_bvh),
        ("d/other.bvh", walk_bvh),
        ("d/other.json", b'{"a": [1, 2'),
    ]
    clips = list(read(tar(tmp_path / "x.tar.gz", files)))
    assert [clip.action for clip in clips] == [
        "bow active",
        "raise up both hands not confident",
        "content 3 style 1",
        "",
    ]


def test_a_single_file_finds_the_index_above_it(tmp_path, walk_bvh):
    (tmp_path / "07").mkdir()
    (tmp_path / "07" / "07_01.bvh").write_bytes(walk_bvh)
    (tmp_path / "index.csv").write_bytes(b"\xef\xbb\xbfclip,subject,description\n07_01,07,walk\n")
    (clip,) = read(tmp_path / "07" / "07_01.bvh")
    assert (clip.subject, clip.action) == ("07", "walk")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"clip,subject,description\n01_01,01\n", r"^index.csv:2: 2 columns, expected 3"),
        (b"clip,subject,description\n01_01,01,\xff\n", r"^index.csv:2: byte 0xff is not UTF-8 text"),
        (b'clip,subject,description\n01_01,01,"a" b\n', r"^index.csv:2: not CSV"),
        (b'clip,subject,description\n01_01,01,"a\n', r"^index.csv:\d: not CSV"),
    ],
)
def test_a_broken_index_is_an_error(tmp_path, walk_bvh, index, message):
    (tmp_path / "01_01.bvh").write_bytes(walk_bvh)
    (tmp_path / "index.csv").write_bytes(index)
    with pytest.raises(ReadError, match=message):
        list(read(tmp_path))
    assert len(list(read(tmp_path, skip_bad=True))) == 1


@pytest.mark.parametrize("index", [b"", b"a,b\n1,2\n", b"\n\n", b"clip;subject;description\n"])
def test_another_table_of_that_name_is_passed_over(index):
    labels = Labels()
    labels.add("index.csv", index, "index.csv")
    assert labels.of("01_01.bvh") == ("", "")


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b'{"content": "x", "style": 1}', b"null", b'{"style":'])
def test_another_json_beside_a_clip_is_passed_over(data):
    labels = Labels()
    labels.add("walk.json", data, "walk.json")
    assert labels.of("walk.bvh") == ("", "")


@pytest.mark.parametrize("asf", ["01.asf", "01_01.ASF", "other.asf"])
def test_an_amc_finds_its_bones_before_or_after_it(tmp_path, leg_amc, leg_asf, leg, asf):
    files = [(f"s/{asf}", leg_asf), ("s/01_01.amc", leg_amc), ("t/01.asf", b"not looked at")]
    clips = []
    for order in itertools.permutations(files):
        clips.extend(read(tar(tmp_path / "x.tar.gz", order), skeletons=[leg]))
    assert len(clips) == 6
    for clip in clips:
        assert clip.source == "x.tar.gz/s/01_01.amc"
        np.testing.assert_array_equal(clip.positions, clips[0].positions)


def test_of_many_bones_those_of_the_subject_are_taken(tmp_path, leg_amc, leg_asf, leg):
    for name in ("01.asf", "02.asf"):
        (tmp_path / name).write_bytes(leg_asf.replace(b"length 20", b"length 20" if name == "01.asf" else b"length 40"))
    for name in ("01_05.amc", "02_05.amc"):
        (tmp_path / name).write_bytes(leg_amc)
    one, two = read(tmp_path, skeletons=[leg])
    assert two.positions[0, 2, 1] - one.positions[0, 2, 1] == pytest.approx(-20 * 0.0254)
    (alone,) = read(tmp_path / "02_05.amc", skeletons=[leg])
    np.testing.assert_array_equal(alone.positions, two.positions)


def test_an_amc_without_bones_says_what_it_looked_for(tmp_path, leg_amc, leg_asf, leg):
    (tmp_path / "03_01.amc").write_bytes(leg_amc)
    with pytest.raises(ReadError, match=r"^03_01.amc: no .asf files beside it or one folder up, expected 03.asf"):
        list(read(tmp_path))
    (tmp_path / "01.asf").write_bytes(leg_asf)
    (tmp_path / "02.asf").write_bytes(leg_asf)
    with pytest.raises(ReadError, match=r"^03_01.amc: 2 .asf files beside it or one folder up, expected 03.asf"):
        list(read(tmp_path))


def test_broken_bones_are_named_for_each_clip_that_needs_them(tmp_path, leg_amc, leg_asf, leg):
    (tmp_path / "01.asf").write_bytes(leg_asf[:300])
    (tmp_path / "01_01.amc").write_bytes(leg_amc)
    (tmp_path / "01_02.amc").write_bytes(leg_amc)
    skipped = []
    assert list(read(tmp_path, skip_bad=True, skeletons=[leg], on_skip=skipped.append)) == []
    assert [str(error).split(":")[0] for error in skipped] == ["01.asf", "01.asf"]
