import json
import pickle
import re
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import vipe
from vipe import demo
from vipe.demo import DemoConfig
from vipe.embed.presets import PRESETS, Preset
from vipe.embed.vvipe.network import VVIPEConfig
from vipe.embed.vvipe.training import TrainingConfig
from vipe.errors import ReadError, StoreError
from vipe.simulate.motion import synthesize

MICRO = Preset(
    network=VVIPEConfig(width=32),
    training=TrainingConfig(pose_steps=5, keypoint_steps=5, batch=32, record_every=5, validate_every=5),
)
# Two frames a second: as many kinds of motion as in the demo, and few frames of each.
CONFIG = DemoConfig(minutes=2.5, fps=2.0, preset="micro")


def quiet(*_):
    pass


@pytest.fixture(scope="module")
def micro():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "micro", MICRO)
        yield


@pytest.fixture(scope="module")
def done(micro, once):
    """Folder and result of a demo."""

    def build(folder):
        result = demo.run(CONFIG, folder / "out", progress=quiet, shown=2)
        (folder / "result").write_bytes(pickle.dumps(result))

    folder = once("demo", build)
    return folder / "out", pickle.loads((folder / "result").read_bytes())


@pytest.fixture
def own(done, tmp_path):
    """A copy of that folder, for a test that writes into it."""
    return shutil.copytree(done[0], tmp_path / "out")


def test_everything_to_look_at_is_there(done):
    out, result = done
    assert result.page.read_text().count("<canvas") > 20
    assert result.picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "demo.json").read_text()) == json.loads(json.dumps(result.to_json()))


def test_the_untrained_signature_finds_what_chance_does_not(done):
    _, result = done
    hit = {name: score.hit[0.1] for name, score in result.scores.items()}
    assert list(hit) == [
        "vipe query",
        "affine signature alone",
        "default embedding alone",
        "V-VIPE, trained here",
        "raw 2D",
    ]
    assert hit["affine signature alone"][1] > 0.4 > 3 * result.chance[1]
    assert hit["vipe query"][1] > 0.9
    assert hit["default embedding alone"][1] > 0.4
    assert all(by_k[1] <= by_k[10] <= by_k[20] for by_k in hit.values())


def test_the_table_brings_every_figure_with_an_interval_that_is_one(done):
    _, result = done
    head, *rows, chance = result.to_table()
    assert head == ["search", "Hit@1 %", "Hit@10 %", "Hit@20 %"]
    assert [row[0] for row in rows] == list(result.scores)
    assert chance[0] == "chance"
    for _, *cells in rows:
        for cell in cells:
            rate, low, high = map(float, re.fullmatch(r"(.*) \((.*)-(.*)\)", cell).groups())
            assert low <= rate <= high
            assert low < high


def test_a_second_run_makes_nothing_again_and_says_the_same(done, own, monkeypatch):
    _, result = done

    def never(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(demo, "synthesize", never)
    monkeypatch.setattr(vipe.PoseStore, "create", never)
    monkeypatch.setattr(vipe.PoseIndex, "build", never)
    again = demo.run(CONFIG, own, progress=quiet, shown=2)
    assert again.to_json()["hit"] == result.to_json()["hit"]


def test_another_configuration_does_not_mix_with_what_is_there(done):
    out, _ = done
    with pytest.raises(StoreError, match="seed 0 not 1; choose another --out"):
        demo.run(replace(CONFIG, seed=1), out, progress=quiet)


def test_the_queries_left_behind_are_a_detectors_file(done):
    out, _ = done
    people = vipe.read_keypoints(out / "queries.json")
    hits = vipe.query(vipe.PoseIndex.open(out / "index"), people, k=5)
    assert len(people) == 2
    assert people.mask.all()
    assert (hits.distance[:, 0] < 0.3).all()


def test_nothing_is_trained_on_what_is_searched(done):
    out, _ = done
    store = vipe.PoseStore.open(out / "store")
    parts = demo._splits(store, CONFIG)
    names = [name for part in parts.values() for name in part]
    assert len(names) == len(set(names)) == len(store.clips())
    assert set(vipe.PoseIndex.open(out / "index").frames()["clip"]) == set(parts["gallery"])


def test_a_table_beside_the_archive_decides_the_splits(micro, tmp_path, monkeypatch):
    clips = list(synthesize(clips=6, fps=10.0, generator=np.random.default_rng(3)))
    monkeypatch.setattr(demo, "read", lambda source: iter(clips))
    source = tmp_path / "archive"
    source.mkdir()
    splits = ["train", "train", "train", "val", "cross", "test"]
    rows = [f"mine,{clip.name},{split}" for clip, split in zip(clips, splits, strict=True)]
    (source / "clips.csv").write_text("\n".join(["dataset,clip,split", *rows]))
    out = tmp_path / "out"
    demo.run(DemoConfig(source=str(source), preset="micro"), out, progress=quiet, shown=1)
    assert set(vipe.PoseIndex.open(out / "index").frames()["clip"]) == {clips[4].name}


def test_an_archive_too_small_to_split_is_refused(micro, tmp_path, monkeypatch):
    clips = list(synthesize(clips=1, fps=10.0, generator=np.random.default_rng(3)))
    monkeypatch.setattr(demo, "read", lambda source: iter(clips))
    with pytest.raises(StoreError, match="a demo needs more clips"):
        demo.run(DemoConfig(source="x", preset="micro"), tmp_path / "out", progress=quiet)
    assert list((tmp_path / "out").iterdir()) == []  # so that another setting may try


def test_a_table_that_is_wrong_later_costs_nothing_of_an_earlier_demo(own, monkeypatch, tmp_path):
    before = {file: file.read_bytes() for file in own.rglob("*") if file.is_file()}
    source = tmp_path / "archive"
    source.mkdir()
    (source / "clips.csv").write_text("dataset,clip,split\nmine,none,train\n")
    config = replace(CONFIG, source=str(source))
    (own / "demo.config.json").write_text(json.dumps(asdict(config)))
    with pytest.raises(StoreError, match="no clips for train, val, gallery"):
        demo.run(config, own, progress=quiet)
    (own / "demo.config.json").write_bytes(before[own / "demo.config.json"])
    assert {file: file.read_bytes() for file in own.rglob("*") if file.is_file()} == before


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(StoreError, match="holds something that is no demo"):
        demo.run(CONFIG, tmp_path, progress=quiet)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_a_configuration_that_was_cut_is_told(tmp_path):
    (tmp_path / "demo.config.json").write_text("{")
    with pytest.raises(StoreError, match=r"demo\.config\.json: not JSON"):
        demo.run(CONFIG, tmp_path, progress=quiet)


def test_a_table_of_splits_without_its_columns_is_told(tmp_path, monkeypatch):
    clips = list(synthesize(clips=1, fps=10.0, generator=np.random.default_rng(3)))
    monkeypatch.setattr(demo, "read", lambda source: iter(clips))
    (tmp_path / "a.zip").write_text("")
    (tmp_path / "clips.csv").write_text("name,part\n")
    with pytest.raises(ReadError, match=r"clips\.csv: has no column clip, split"):
        demo.run(DemoConfig(source=str(tmp_path / "a.zip")), tmp_path / "out", progress=quiet)
