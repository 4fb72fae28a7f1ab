"""`vipe index`: recipes by name or as files of one's own; indexes that are changed and say what they are."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

from vipe import PoseStore
from vipe.clips import Clip
from vipe.skeletons import load
from vipe.writers import write


@pytest.fixture
def store(standing, rng, tmp_path):
    positions = (standing + rng.normal(0, 0.1, size=(30, 17, 3))).astype(np.float32)
    clip = Clip(name="a", skeleton=load("h36m17"), positions=positions, fps=10.0)
    return PoseStore.create(tmp_path / "store", [clip]).path


def test_a_recipe_is_taken_by_name_or_from_a_file(run, store, tmp_path):
    (tmp_path / "mine.toml").write_text('engine = "faiss_cpu"\nfactory = "SQfp16"\nbeyond = 4\n')
    for recipe, name in (("int8", "int8"), (tmp_path / "mine.toml", "mine"), ("auto", "flat")):
        code, out, err = run("index", "build", store, "--out", tmp_path / name, "--recipe", recipe, "--json")
        assert code == 0, err
        assert json.loads(out)["recipe"] == name
        assert run("index", "verify", tmp_path / name)[0] == 0


def test_a_recipe_that_is_wrong_is_one_line_and_builds_nothing(run, store, tmp_path):
    (tmp_path / "mine.toml").write_text('engine = "faiss_cpu"\nfactory = "SQfp16"\nbeyound = 4\n')
    code, out, err = run("index", "build", store, "--out", tmp_path / "index", "--recipe", tmp_path / "mine.toml")
    assert (code, out) == (2, "")
    line = err.splitlines()[-1]
    assert line.endswith(
        "mine.toml: unknown key 'beyound'; expected engine, factory, metric, training, deeper, beyond, search, expected"
    )
    assert not (tmp_path / "index").exists()


# Indexes that are changed


@pytest.fixture
def index(run, store, tmp_path):
    """Of clip a, with 30 poses."""
    assert run("index", "build", store, "--out", tmp_path / "index")[0] == 0
    return tmp_path / "index"


@pytest.fixture
def more(standing, rng, tmp_path):
    """A store of clip a again and of clips b and c, two subjects."""
    clips = [PoseStore.open(tmp_path / "store").poses()]
    clips += [(standing + rng.normal(0, 0.1, size=(20, 17, 3))).astype(np.float32) for _ in "bc"]
    made = [
        Clip(name=name, skeleton=load("h36m17"), positions=positions, fps=10.0, subject=f"of {name}")
        for name, positions in zip("abc", clips, strict=True)
    ]
    return PoseStore.create(tmp_path / "more", made).path


def told(run, *words):
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_clips_are_added_and_what_is_there_is_passed_over(run, index, more):
    result = told(run, "index", "add", index, more)
    assert (result["poses"], result["clips"], result["parts"]) == (70, 3, 1)
    assert result["changed"] == {"poses": 40, "clips": 2}
    assert [clip["clip"] for clip in result["passed_over"]] == ["a"]
    code, out, _ = run("index", "add", index, more)
    assert code == 0
    assert "3 clips already there: a, b, c" in out
    assert "0 clips, 0 poses added" in out


def test_motion_files_are_added_without_a_store(run, index, standing, rng, tmp_path):
    positions = (standing + rng.normal(0, 0.02, size=(12, 17, 3))).astype(np.float32)
    write(tmp_path / "jump.bvh", Clip(name="jump", skeleton=load("h36m17"), positions=positions, fps=10.0))
    result = told(run, "index", "add", index, tmp_path / "jump.bvh")
    assert result["changed"] == {"poses": 12, "clips": 1}


def test_some_rows_of_a_store_are_added(run, index, more):
    assert told(run, "index", "add", index, more, "--where", "subject=of c")["changed"] == {"poses": 20, "clips": 1}
    chosen = ("--where", "clip=b", "--where", "frame=3", "--where", "frame=5")
    assert told(run, "index", "add", index, more, *chosen)["changed"] == {"poses": 2, "clips": 1}


def test_clips_and_rows_are_removed_and_their_bytes_given_back(run, index, more):
    told(run, "index", "add", index, more)
    result = told(run, "index", "remove", index, "--clip", "a", "--clip", "c")
    assert (result["poses"], result["removed"], result["changed"]) == (20, 50, {"poses": 50, "clips": 2})
    assert told(run, "index", "remove", index, "--where", "subject=of b", "--where", "frame=0")["poses"] == 19
    assert "now 18 poses in 1 part, 52 removed poses on disk" in run("index", "remove", index, "--where", "frame=1")[1]
    result = told(run, "index", "compact", index, "--recipe", "int8")
    assert (result["poses"], result["removed"], result["parts"], result["recipe"]) == (18, 0, 1, "int8")
    assert len(list((index / "parts").iterdir())) == 1
    assert told(run, "index", "verify", index)["ok"] is True


def test_an_index_says_what_it_takes_on_disk_and_in_memory(run, index, more):
    told(run, "index", "add", index, more)
    told(run, "index", "remove", index, "--clip", "a")
    info = told(run, "index", "info", index)
    assert info["bytes_opened"] == 40 * 8
    assert info["bytes_labels"] > 0
    assert info["bytes"] > info["bytes_mapped"] > 70 * (78 * 4 + 204)
    assert "bytes_mapped" in run("index", "info", index)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("remove",), "give --clip or --where"),
        (("remove", "--clip", "a", "--where", "frame=1"), "give --clip or --where"),
        (("remove", "--clip", "z"), "has no clip 'z'; it has 1 clip, such as 'a'; nothing was removed"),
        (("remove", "--clip", "a"), "would remove every pose"),
        (("remove", "--where", "clib=a"), "--where 'clib=a': expected COLUMN=VALUE, with a column of id, clip, frame"),
        (("remove", "--where", "clip"), "--where 'clip': expected COLUMN=VALUE"),
        (("remove", "--where", "frame=x"), "--where 'frame=x': frame is a number, got 'x'"),
        (("add", "STORE", "--fps", "5"), "--fps is for motion files"),
        (("add", "STORE", "--where", "clip=aa"), "has no clip 'aa'; it has 1 clip, such as 'a'; nothing was added"),
        (("add", "nothing"), "nothing: no such file or folder"),
        (("add", "nothing", "--where", "clip=a"), "--where chooses rows of a store; nothing is none"),
        (("compact", "--recipe", "zip"), "no recipe 'zip'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_change_that_cannot_be_made_is_one_line_and_changes_nothing(run, index, store, words, message):
    manifest = (index / "manifest.json").read_bytes()
    code, out, err = run("index", words[0], index, *(store if word == "STORE" else word for word in words[1:]))
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert (index / "manifest.json").read_bytes() == manifest


def test_verify_says_what_is_wrong(run, index):
    (index / "parts" / "00001" / "poses.npy").write_bytes(b"")
    code, out, err = run("index", "verify", index)
    assert (code, out) == (2, "")
    assert "poses.npy: cut or altered: 0 bytes" in err.splitlines()[-1]


def test_the_help_reads_like_a_manual(run):
    code, out, _ = run("index", "--help")
    assert code == 0
    for command in ("build", "add", "remove", "compact", "info", "verify"):
        assert f"vipe index {command} " in out


def test_an_index_is_tuned_and_says_what_was_tried(run, store, tmp_path):
    path = tmp_path / "ivf"
    told(run, "index", "build", store, "--out", path, "--recipe", "hnsw")
    result = told(run, "index", "tune", path, "--recall", "0.5", "--k", "3")
    assert (result["recipe"], result["reached"], result["k"]) == ("hnsw", True, 3)
    assert result["trials"][-1]["recall"] == result["recall"] >= 0.5
    assert told(run, "index", "info", path)["effort"] == result["effort"]
    code, out, err = run("index", "tune", path, "--recall", "0.5", "--k", "3")
    assert code == 0, err
    assert "recall@3" in out.splitlines()[0]
    assert "people that comparing every pose finds: from now on" in out
    # Found is not exact: another line says what is compared, and how many of the nearest that gives.
    share = result["trials"][-1]["nearest"]
    assert out.splitlines()[-1] == result["exactness"]
    assert "answers may be inexact: a graph is walked, and codes are compared, of which more than asked" in out
    assert f"{share:.1%} of the 3 nearest by comparing every pose were found, of {result['people']} people" in out


def test_a_build_says_whether_its_answers_are_exact(run, store, tmp_path):
    (tmp_path / "mine.toml").write_text('engine = "faiss_cpu"\nfactory = "SQ8"\n')
    for recipe, said in (
        ("flat", "answers are exact: every embedding is compared"),
        ("hnsw", "recipe hnsw states that of the people whom comparing every pose finds, 94.1% are found among 10"),
        (tmp_path / "mine.toml", "(no `deeper` in the recipe); recipe mine does not state how much is lost"),
    ):
        code, out, err = run(
            "index", "build", store, "--out", tmp_path / f"of {recipe}".replace("/", "-"), "--recipe", recipe
        )
        assert code == 0, err
        assert said in out.splitlines()[-1]


def test_an_index_is_tuned_on_keypoints_of_one_s_own(run, store, tmp_path):
    told(run, "index", "build", store, "--out", tmp_path / "hnsw", "--recipe", "hnsw")
    points = np.concatenate([np.random.default_rng(0).uniform(1, 300, (17, 2)), np.ones((17, 1))], axis=1)
    people = [{"image_id": 1, "category_id": 1, "score": 1, "keypoints": points.ravel().tolist()}]
    (tmp_path / "people.json").write_text(json.dumps(people))
    result = told(run, "index", "tune", tmp_path / "hnsw", "--people", tmp_path / "people.json", "--k", "2")
    assert (result["people"], result["recall"]) == (1, 1.0)


def test_a_recall_that_no_build_would_heed_is_refused(run, store, tmp_path):
    code, out, err = run("index", "build", store, "--out", tmp_path / "flat", "--recipe", "flat", "--recall", "0.5")
    assert (code, out) == (2, "") and "--recall is what recipe auto is tuned for, got recipe flat" in err
    assert not (tmp_path / "flat").exists()
    told(run, "index", "build", store, "--out", tmp_path / "hnsw", "--recipe", "hnsw")
    tuned = told(run, "index", "tune", tmp_path / "hnsw", "--recall", "0.1", "--k", "99999999")
    assert tuned["k"] == told(run, "index", "info", tmp_path / "hnsw")["poses"]


def test_what_cannot_be_tuned_is_said_in_one_line(run, store, tmp_path):
    told(run, "index", "build", store, "--out", tmp_path / "flat")
    code, out, err = run("index", "tune", tmp_path / "flat")
    assert (code, out) == (2, "")
    assert "recipe flat compares every pose: there is nothing to tune; use ivf or hnsw" in err
    code, _, err = run("index", "tune", tmp_path / "flat", "--recall", "2")
    assert code == 2


def test_a_change_shows_how_far_it_is_and_that_it_waits_for_another(run, index, more, monkeypatch):
    told = []

    @contextmanager
    def shown():
        yield lambda task, done, total=None, note="": told.append((task, done, total))

    @contextmanager
    def taken(folder, on_wait):
        on_wait()
        yield

    monkeypatch.setattr("vipe.cli.index.progress", shown)
    monkeypatch.setattr("vipe.index.folder.writing.locked", taken)
    waits = (f"waits for another process that changes {index}", 0, None)
    for command, steps in (
        (("add", index, more), [("poses", 40, 40)]),  # clips b and c
        (("remove", index, "--clip", "b"), []),
        (("compact", index, "--recipe", "fp16"), [("poses", 50, 50)]),
    ):
        told.clear()
        code, _, err = run("index", *command)
        assert code == 0, err
        assert told == [waits, *steps]
