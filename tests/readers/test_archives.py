"""Folders and archives: one result whichever way clips travel, and nothing that an archive can do to its reader."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from vipe.errors import ArgumentError, ReadError
from vipe.readers import Limits, read

COMPRESS = {
    ".tar": lambda data: data,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".TXZ": lzma.compress,
    ".tar.zst": lambda data: pa.Codec("zstd").compress(data).to_pybytes(),
}


def tar(files, edit=lambda info: info):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(edit(info), io.BytesIO(data))
    return out.getvalue()


def pack(path, files):
    """Write an archive of the kind that the name says."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        path.write_bytes(COMPRESS[path.name.removeprefix("walks")](tar(files)))
    return path


@pytest.fixture
def files(walk_bvh):
    return {
        "walks/b.bvh": walk_bvh,
        "walks/readme.txt": b"hello",
        "walks/01/a.bvh": walk_bvh.replace(b"Frames: 3", b"Frames: 3"),
        "walks/picture.PNG": b"\xff" * 10,
    }


@pytest.mark.parametrize("suffix", [*COMPRESS, ".zip", ".ZIP"])
def test_an_archive_gives_its_clips_in_its_own_order(tmp_path, files, suffix):
    clips = list(read(pack(tmp_path / f"walks{suffix}", files)))
    assert [clip.source for clip in clips] == [f"walks{suffix}/walks/b.bvh", f"walks{suffix}/walks/01/a.bvh"]
    assert [clip.name for clip in clips] == ["b", "a"]
    np.testing.assert_array_equal(clips[0].positions, clips[1].positions)


def test_a_folder_gives_files_by_name_and_then_its_archives(tmp_path, files):
    folder = tmp_path / "mocap"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    pack(folder / "walks.tar.xz", files)
    pack(folder / "01.zip", files)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "c.bvh").write_bytes(b"not read")
    (folder / "walks" / "._b.bvh").write_bytes(b"not read")
    (folder / "loop").symlink_to(folder)
    (folder / "link.bvh").symlink_to(folder / "walks" / "b.bvh")
    assert [clip.source for clip in read(folder)] == [
        "link.bvh",
        "walks/01/a.bvh",
        "walks/b.bvh",
        "01.zip/walks/b.bvh",
        "01.zip/walks/01/a.bvh",
        "walks.tar.xz/walks/b.bvh",
        "walks.tar.xz/walks/01/a.bvh",
    ]


def test_a_single_file_is_its_clip(tmp_path, walk_bvh):
    (tmp_path / "walk.BVH").write_bytes(walk_bvh)
    (clip,) = read(str(tmp_path / "walk.BVH"))
    assert (clip.name, clip.source, clip.subject, clip.action, clip.licence) == ("walk", "walk.BVH", "", "", "")


def test_each_member_is_read_once_and_late(tmp_path, files, monkeypatch):
    opened = []
    extract = tarfile.TarFile.extractfile
    monkeypatch.setattr(
        tarfile.TarFile, "extractfile", lambda self, info: opened.append(info.name) or extract(self, info)
    )
    clips = read(pack(tmp_path / "walks.tar", files))
    assert opened == []
    next(clips)
    assert opened == ["walks/b.bvh"]
    assert len(list(clips)) == 1
    assert opened == ["walks/b.bvh", "walks/01/a.bvh"]


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
@pytest.mark.parametrize(
    "path", ["/etc/a.bvh", "../a.bvh", "walks/../../a.bvh", "..\\a.bvh", "C:\\a.bvh", "\\\\host\\a.bvh", "/etc/passwd"]
)
def test_a_path_that_leaves_the_archive_is_refused(tmp_path, walk_bvh, suffix, path):
    archive = pack(tmp_path / f"walks{suffix}", {"good.bvh": walk_bvh, path: walk_bvh})
    with pytest.raises(ReadError, match=r"leaves the archive, expected a path within it"):
        next(read(archive))
    skipped = []
    assert [clip.name for clip in read(archive, skip_bad=True, on_skip=skipped.append)] == ["good"]
    assert len(skipped) == 1


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE], ids=repr
)
@pytest.mark.parametrize("name", ["a.bvh", "notes"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, name):
    def edit(info):
        info.type, info.linkname = kind, "/etc/passwd"
        return info

    (tmp_path / "walks.tar").write_bytes(tar({name: b""}, edit))
    with pytest.raises(ReadError, match=rf"^walks.tar/{name}: is a link or device, expected a plain file"):
        list(read(tmp_path / "walks.tar"))


def test_links_in_a_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("a.bvh")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "walks.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ReadError, match=r"^walks.zip/a.bvh: is a link or device"):
        list(read(tmp_path / "walks.zip"))


def test_an_encrypted_zip_is_refused(tmp_path, walk_bvh):
    data = bytearray(pack(tmp_path / "walks.zip", {"a.bvh": walk_bvh}).read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    (tmp_path / "walks.zip").write_bytes(data)
    with pytest.raises(ReadError, match=r"^walks.zip/a.bvh: is encrypted"):
        list(read(tmp_path / "walks.zip"))


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".zip"])
def test_a_bomb_is_stopped_early(tmp_path, suffix):
    archive = pack(tmp_path / f"walks{suffix}", {"a.bvh": bytes(20_000_000)})
    with pytest.raises(ReadError, match=r"^walks.*a.bvh: 20000000 bytes unpacked, expected at most 1000000$"):
        list(read(archive, limits=Limits(member_bytes=1_000_000)))
    with pytest.raises(ReadError, match=r"more than 1000000 bytes unpacked$"):
        list(read(archive, limits=Limits(total_bytes=1_000_000)))
    if suffix != ".tar":
        with pytest.raises(ReadError, match=r"unpacks to more than 50 times its size; is it an archive bomb\?"):
            list(read(archive, limits=Limits(ratio=50.0, ratio_from=1_000_000)))


def test_a_bomb_in_what_is_passed_over_is_stopped_too(tmp_path, walk_bvh):
    archive = pack(tmp_path / "walks.tar.xz", {"zeros.bin": bytes(20_000_000), "a.bvh": walk_bvh})
    with pytest.raises(ReadError, match=r"archive bomb"):
        list(read(archive, limits=Limits(ratio_from=1_000_000)))


def test_too_many_members_or_labels_are_refused(tmp_path, walk_bvh):
    archive = pack(tmp_path / "walks.zip", {f"{i}.json": b"{}" for i in range(11)} | {"a.bvh": walk_bvh})
    with pytest.raises(ReadError, match=r"^walks.zip: more than 10 members"):
        list(read(archive, limits=Limits(members=10)))
    with pytest.raises(ReadError, match=r"labels and bones of more than 20 bytes"):
        list(read(archive, limits=Limits(beside_bytes=20)))
    assert len(list(read(archive))) == 1


def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "a.bvh").open("wb") as file:
        file.truncate(1 << 40)  # a hole: takes no space
    with pytest.raises(ReadError, match=r"^a.bvh: 1099511627776 bytes unpacked, expected at most 1073741824"):
        list(read(tmp_path / "a.bvh"))


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path, walk_bvh):
    path = pack(tmp_path / "walks.zip", {"a.bvh": walk_bvh})
    data = path.read_bytes()
    size = len(walk_bvh).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(ReadError, match=r"^walks.zip/a.bvh"):
        list(read(path))


def test_an_archive_within_an_archive_is_refused(tmp_path, walk_bvh):
    inner = pack(tmp_path / "walks.zip", {"a.bvh": walk_bvh}).read_bytes()
    with pytest.raises(ReadError, match=r"^walks.tar/inner.zip: an archive within an archive"):
        list(read(pack(tmp_path / "walks.tar", {"inner.zip": inner})))


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip"])
def test_a_cut_archive_is_noticed_before_its_first_clip(tmp_path, files, suffix):
    rng = np.random.default_rng(0)
    files["noise.bin"] = rng.bytes(5000)  # what does not compress, so that cuts fall everywhere
    archive = pack(tmp_path / f"walks{suffix}", files)
    whole = archive.read_bytes()
    end = (
        len(whole.rstrip(b"\0")) + 512 if suffix == ".tar" else len(whole)
    )  # a tar ends in zeros, many more than it needs
    for cut in sorted({*rng.integers(0, end, 40).tolist(), *range(end - 4, end)}):
        archive.write_bytes(whole[:cut])
        with pytest.raises(ReadError, match=r"^walks"):
            next(read(archive))


def test_an_altered_header_is_not_taken_for_the_end(tmp_path, files):
    archive = pack(tmp_path / "walks.tar", files)
    data = bytearray(archive.read_bytes())
    at = data.index(b"walks/01/a.bvh")
    data[at] ^= 1
    archive.write_bytes(data)
    with pytest.raises(ReadError, match=rf"^walks.tar: .*bad checksum at byte {at}"):
        list(read(archive))


def test_a_broken_archive_is_skipped_whole(tmp_path, files):
    pack(tmp_path / "walks.tar.xz", files)
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(tar(files))[:-100])
    skipped = []
    clips = list(read(tmp_path, skip_bad=True, on_skip=skipped.append))
    assert [clip.source for clip in clips] == ["walks.tar.xz/walks/b.bvh", "walks.tar.xz/walks/01/a.bvh"]
    assert [str(error).split(":")[0] for error in skipped] == ["cut.tar.gz"]


@pytest.mark.parametrize("name", ["a\nb.bvh", "caf\xe9.bvh", "a\x1b[2Jb.bvh"])
def test_an_odd_name_cannot_garble_the_report(tmp_path, name):
    archive = pack(tmp_path / "walks.tar", {name: b"broken"})
    with pytest.raises(ReadError, match=r"^walks.tar/") as caught:
        list(read(archive))
    assert str(caught.value).isprintable()


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(ReadError, match=r"none: no such file or folder"):
        list(read(tmp_path / "none"))
    with pytest.raises(ReadError, match=r"no motion file, expected one that ends in .bvh, .amc, .* or an archive"):
        list(read(tmp_path))
    (tmp_path / "a.txt").write_bytes(b"HIERARCHY")
    for path in (tmp_path, tmp_path / "a.txt", pack(tmp_path / "walks.zip", {"a.txt": b""})):
        with pytest.raises(ReadError, match="no motion file"):
            list(read(path, skip_bad=True))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_named(tmp_path, walk_bvh):
    (tmp_path / "a.bvh").write_bytes(walk_bvh)
    (tmp_path / "a.bvh").chmod(0)
    with pytest.raises(ReadError, match=r"^a.bvh: cannot be read"):
        list(read(tmp_path))


def test_a_bad_file_stops_the_run_or_is_reported_and_skipped(tmp_path, walk_bvh):
    for name, data in {"a": walk_bvh, "b": walk_bvh[:-200], "c": walk_bvh}.items():
        (tmp_path / f"{name}.bvh").write_bytes(data)
    clips = read(tmp_path)
    assert next(clips).name == "a"
    with pytest.raises(ReadError, match=r"^b.bvh"):
        next(clips)
    skipped = []
    assert [clip.name for clip in read(tmp_path, skip_bad=True, on_skip=skipped.append)] == ["a", "c"]
    assert len(skipped) == 1
    assert [clip.name for clip in read(tmp_path, skip_bad=True)] == ["a", "c"]


def test_a_tar_that_claims_more_than_there_is_ends_at_once(tmp_path):
    """tarfile would go on to skip 2^80 bytes, a block at a time."""
    info = tarfile.TarInfo("walk.bvh")
    info.size = 2**80
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ReadError, match="it ends before what its headers claim"):
        list(read(tmp_path / "a.tar"))
    assert list(read(tmp_path / "a.tar", skip_bad=True, on_skip=lambda _: None)) == []


@pytest.mark.parametrize("entries", [2, 10**9])
def test_a_sparse_file_in_a_tar_is_refused(tmp_path, entries):
    """Two kilobytes would become as many gigabytes as it likes; or a list of places without an end."""
    content = f"{entries}\n0\n0\n{1 << 40}\n0\n".encode().ljust(512, b"\0")
    info = tarfile.TarInfo("GNUSparseFile.0/walk.bvh")
    info.size = len(content)
    real = str(1 << 40)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": real}
    info.pax_headers["GNU.sparse.name"] = "walk.bvh"
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(content))
    with pytest.raises(ReadError, match="is a sparse file" if entries == 2 else "broken or cut"):
        list(read(tmp_path / "a.tar"))


def test_each_bomb_of_an_archive_is_met_by_one_budget(tmp_path):
    """Passed over, the next one must not be unpacked anew."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            archive.writestr(f"{name}.bvh", bytes(1 << 24))
    skipped = []
    limits = Limits(ratio_from=1 << 22)
    assert list(read(tmp_path / "a.zip", limits=limits, skip_bad=True, on_skip=skipped.append)) == []
    assert all("archive bomb" in str(error) for error in skipped)


def test_a_zip_that_says_itself_that_it_is_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """Unpacking up to the limit of the whole archive took 700 MB."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bvh", bytes(1 << 24))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(ReadError, match=r"^a.zip: unpacks to more than 200 times its size"):
        list(read(tmp_path / "a.zip", limits=Limits(ratio_from=1 << 22)))


@pytest.mark.parametrize("suffix", [None, ".zip", ".tar.xz"])
def test_several_workers_give_the_same_clips_in_the_same_order(tmp_path, walk_bvh, suffix):
    files = {f"walks/{number:02d}.bvh": walk_bvh.replace(b"0.1", b"0.%d" % (number + 1)) for number in range(20)}
    if suffix:
        pack(tmp_path / f"walks{suffix}", files)
    else:
        (tmp_path / "walks").mkdir()
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
    one, several = (list(read(tmp_path, workers=workers)) for workers in (1, 3))
    assert [clip.name for clip in several] == [clip.name for clip in one] == [f"{number:02d}" for number in range(20)]
    for a, b in zip(one, several, strict=True):
        assert a.fps == b.fps
        np.testing.assert_array_equal(a.positions, b.positions)


def test_with_several_workers_bad_files_are_met_in_their_place(tmp_path, walk_bvh):
    for name, data in (("a", walk_bvh), ("b", b"HIERARCHY nonsense"), ("c", walk_bvh), ("d", b"")):
        (tmp_path / f"{name}.bvh").write_bytes(data)
    skipped = []
    clips = read(tmp_path, workers=2, skip_bad=True, on_skip=skipped.append)
    assert [clip.name for clip in clips] == ["a", "c"]
    assert [str(error).partition(".bvh")[0] for error in skipped] == ["b", "d"]
    first = read(tmp_path, workers=2)
    assert next(first).name == "a"
    with pytest.raises(ReadError, match=r"b\.bvh"):
        next(first)


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="workers must be at least 1, got 0"):
        list(read(tmp_path, workers=0))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_in_place_of_a_file_is_said_to_be_one(tmp_path):
    os.mkfifo(tmp_path / "a.bvh")
    with pytest.raises(ReadError, match=r"a.bvh: is a pipe, expected a file or a folder"):
        list(read(tmp_path / "a.bvh"))
    with pytest.raises(ReadError, match=r"b.bvh: no such file or folder"):
        list(read(tmp_path / "b.bvh"))
