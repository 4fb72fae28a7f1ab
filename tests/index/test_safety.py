"""Whatever happens while an index is changed, it is as it was or as it should be, for those who write and who read."""

import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from vipe.atomic_write import locked
from vipe.clips import Clip
from vipe.embed import AffineSignature
from vipe.errors import IndexFormatError
from vipe.index import PoseIndex, grow, verify
from vipe.index import index as index_module
from vipe.index.folder.manifest import read_manifest
from vipe.skeletons import load
from vipe.store import PoseStore

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(scope="module")
def made(standing, tmp_path_factory):
    """A store of four clips, and an index of two of them, the first frames of one removed."""
    folder = tmp_path_factory.mktemp("safety")
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            name=name,
            skeleton=load("h36m17"),
            positions=(standing + rng.normal(0, 0.1, size=(30, 17, 3))).astype(np.float32),
            fps=10.0,
        )
        for name in "abcd"
    ]
    store = PoseStore.create(folder / "store", clips)
    index = PoseIndex.build(store, AffineSignature(), folder / "index", where={"clip": ["a", "b"]})
    index.remove({"clip": "a", "frame": list(range(5))})
    return store, folder / "index"


@pytest.fixture
def store(made):
    return made[0]


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the index."""
    return shutil.copytree(made[1], tmp_path / "index")


def _add(path, store):
    grow.add(path, store, AffineSignature())


def _remove(path, store):
    grow.remove(path, {"clip": "b"})


def _compact(path, store):
    grow.compact(path)


CHANGES = {"add": _add, "remove": _remove, "compact": _compact}
CHANGE = pytest.mark.parametrize("change", CHANGES)
LEFT = {"add": 115, "remove": 25, "compact": 55}  # poses after it; 55 before


def killed_before_step(step, change, path, store):
    """Run a change in a process that ends at once before its n-th step of the file system; whether it came so far."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = step

    def count(event, arguments):
        nonlocal left
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.truncate"):
            left -= 1
            if left == 0:
                os._exit(9)

    code = 1
    try:
        sys.addaudithook(count)
        CHANGES[change](path, store)
        code = 0
    finally:
        os._exit(code)


def assert_whole_and_usable(path, change, store):
    """All of the change or nothing of it; then the change is made, and nothing else is there."""
    index = PoseIndex.open(path)
    index.verify()
    assert len(index) in (55, LEFT[change])
    assert index.search(index.embeddings[3], 1).rows[0, 0] == 3
    unchanged = len(index) == 55
    del index  # which reads the parts of before
    if change != "compact" and unchanged:
        CHANGES[change](path, store)
    else:
        grow.compact(path)
    after = PoseIndex.open(path)
    assert len(after) == LEFT[change]
    assert sorted(path.glob("parts/*")) == sorted(path / part.folder for part in after.manifest.parts)
    masks = [path / part.removed.file for part in after.manifest.parts if part.removed]
    assert sorted(path.glob("removed/*")) == sorted(masks)
    assert {one.name for one in path.iterdir()} <= {"manifest.json", "checked.json", "encoder", "parts", "removed"}


def kill_at(steps, change, made, tmp_path):
    store, index = made
    for step in steps:
        path = shutil.copytree(index, tmp_path / str(step))
        if not killed_before_step(step, change, path, store):
            return step
        assert_whole_and_usable(path, change, store)
        shutil.rmtree(path)
    return None


@fork
@CHANGE
def test_a_kill_at_some_steps_of_a_change_loses_nothing(change, made, tmp_path):
    assert kill_at(range(1, 200, 7), change, made, tmp_path) is not None  # it came to its end


@fork
@pytest.mark.slow
@CHANGE
def test_a_kill_at_any_step_of_a_change_loses_nothing(change, made, tmp_path):
    steps = kill_at(range(1, 300), change, made, tmp_path)
    assert steps is not None
    assert steps > 17


@CHANGE
def test_a_disk_that_is_full_leaves_the_index_as_it_was(change, folder, store):
    resource = pytest.importorskip("resource")
    before, manifest = resource.getrlimit(resource.RLIMIT_FSIZE), read_manifest(folder)
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # which stands for it: errors come from the system
    try:
        with pytest.raises(IndexFormatError, match=r"index: cannot be written: File too large"):
            CHANGES[change](folder, store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_manifest(folder) == manifest
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_an_add_that_is_interrupted_leaves_the_index_as_it_was(error, folder, store):
    def interrupt(*_):
        raise error("stop")

    files = {path for path in folder.rglob("*") if path.is_file()}
    with pytest.raises((error, IndexFormatError), match="stop"):
        grow.add(folder, store, AffineSignature(), progress=interrupt)
    assert len(PoseIndex.open(folder)) == 55
    assert {path for path in folder.rglob("*") if path.is_file()} == files


def test_a_second_writer_waits_for_the_first_and_says_so(folder, store):
    waiting, ended = threading.Event(), threading.Event()

    def second():
        PoseIndex.open(folder).add(store, on_wait=waiting.set)
        ended.set()

    thread = threading.Thread(target=second)
    with locked(folder):
        thread.start()
        assert waiting.wait(20)
        assert not ended.wait(0.2)
    thread.join(20)
    assert ended.is_set()
    assert len(PoseIndex.open(folder)) == 115


HOLDS = """
import sys, time
from pathlib import Path
from vipe.atomic_write import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_dies_with_its_process(folder):
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        process.kill()
    grow.remove(folder, {"clip": "a"})
    assert len(PoseIndex.open(folder)) == 30


READS = """
import sys
import numpy as np
import vipe
index = vipe.PoseIndex.open(sys.argv[1])
print("open", flush=True)
for line in sys.stdin:
    z = np.asarray(index.vectors(np.array([3, 40])))
    near = index.search(z, 2)
    names = "".join(index.look_up("clip", near.rows[:, 0], ""))
    poses = index.poses(near.rows[:, 0])
    print(len(index), near.rows[:, 0].tolist(), names, poses.shape, len(index.labels), flush=True)
"""


def test_a_reader_in_another_process_goes_on_with_the_version_it_opened(folder, store):
    parts = folder / "parts"
    with subprocess.Popen(
        [sys.executable, "-c", READS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout.readline() == "open\n"
        grow.add(folder, store, AffineSignature())
        grow.remove(folder, {"clip": "a"})
        grow.compact(folder)
        assert (parts / "00001").is_dir()  # it is read still
        for _ in range(2):
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == "55 [3, 40] ab (2, 17, 3) 55\n"
        reader.stdin.close()
    new = PoseIndex.open(folder)
    assert len(new) == 90
    grow.remove(folder, {"clip": "b"})
    assert not (parts / "00001").exists()


def test_what_a_writer_takes_away_while_it_is_being_opened_is_opened_anew(folder, store, monkeypatch):
    old = read_manifest(folder)
    grow.add(folder, store, AffineSignature())
    grow.compact(folder)
    read, answers = index_module.read_manifest, [old]
    monkeypatch.setattr(index_module, "read_manifest", lambda path: answers.pop() if answers else read(path))
    assert len(PoseIndex.open(folder)) == 115
    assert not answers


def test_a_part_that_a_writer_removed_just_before_it_was_locked_is_not_read(folder, monkeypatch):
    file = folder / "parts" / "00001" / "frames.parquet"
    monkeypatch.setattr("vipe.index.folder.part._flock", lambda *_: file.unlink(missing_ok=True))
    with pytest.raises(
        IndexFormatError, match=r"frames\.parquet: was removed while it was being opened; open the index"
    ):
        PoseIndex.open(folder)


# Parts that are not what they were


@pytest.fixture
def grown(folder, store, monkeypatch):
    """Two parts, and a file of removed rows."""
    monkeypatch.setattr(grow, "_MERGED", 0)
    grow.add(folder, store, AffineSignature())
    return folder


FILES = [
    f"parts/00002/{name}" for name in ("index.faiss", "embeddings.npy", "poses.npy", "frames.parquet", "clips.parquet")
]


@pytest.mark.parametrize("name", [*FILES, "removed/00001-5.npy"])
@pytest.mark.parametrize("how", ["gone", "cut", "altered", "another's", "a folder", "a pipe"])
def test_a_file_that_is_not_what_it_was_is_named_before_faiss_reads(name, how, grown, no_faiss):
    file = grown / name
    data = file.read_bytes()
    other = (grown / "parts" / "00001" / file.name).read_bytes() if "parts" in name else b""
    if how in ("gone", "a folder", "a pipe"):
        file.unlink()
        _ = {"a folder": file.mkdir, "a pipe": lambda: os.mkfifo(file), "gone": lambda: None}[how]()
    else:
        changed = {"cut": data[:-1], "altered": data[:-1] + bytes([data[-1] ^ 1]), "another's": other}
        file.write_bytes(changed[how])
    with pytest.raises(IndexFormatError, match=name.replace(".", r"\.")) as error:
        PoseIndex.open(grown)
    assert "\n" not in str(error.value)
    with pytest.raises(IndexFormatError, match=name.replace(".", r"\.")):
        verify(grown)


def test_verify_names_the_first_file_and_counts_the_others(grown):
    for name in FILES[1:4]:
        (grown / name).write_bytes(b"")
    with pytest.raises(
        IndexFormatError, match=r"embeddings\.npy: cut or altered: 0 bytes, .* \(2 more files are not as"
    ):
        verify(grown)


@CHANGE
def test_a_damaged_index_is_not_changed(change, grown, store):
    manifest = (grown / "manifest.json").read_bytes()
    name = "frames.parquet" if change == "remove" else "clips.parquet"
    (grown / "parts" / "00001" / name).write_bytes(b"no")
    with pytest.raises(IndexFormatError, match=name.replace(".", r"\.")):
        CHANGES[change](grown, store)
    assert (grown / "manifest.json").read_bytes() == manifest


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        (np.zeros(8, dtype=np.uint8), "says that 60 rows are left, the manifest 55"),
        (np.zeros(7, dtype=np.uint8), "does not hold a bit for each of 60 rows"),
        (np.zeros(8, dtype=np.int8), "does not hold a bit for each of 60 rows"),
        (np.array([{}]), "is no array of numbers"),
    ],
    ids=["none", "too few", "dtype", "objects"],
)
def test_removed_rows_that_were_altered_and_signed_anew_are_refused(bits, message, folder):
    from msgspec.structs import replace

    from vipe.index.folder.checks import note_of
    from vipe.index.folder.manifest import write_manifest

    file = folder / "removed" / "00001-5.npy"
    np.save(file, bits)
    manifest, found = read_manifest(folder), note_of(file)
    part = manifest.parts[0]
    removed = replace(part.removed, bytes=found.bytes, sha256=found.sha256)
    write_manifest(folder, replace(manifest, parts=[replace(part, removed=removed)]))
    with pytest.raises(IndexFormatError, match=message):
        PoseIndex.open(folder)
