"""`vipe map`: what it writes, says and refuses."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import vipe
from vipe import Keypoints, PoseStore
from vipe.cli.app import main
from vipe.detections import write_coco_results
from vipe.simulate import View, simulate_keypoints
from vipe.simulate.motion import synthesize

for needed in ("sklearn", "umap", "jinja2", "matplotlib"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A store, an index of each kind, and the keypoints of three people, one of them hardly seen."""
    folder = tmp_path_factory.mktemp("map")
    main(["synth", "--out", str(folder / "store"), "--minutes", "0.5", "--fps", "4", "--seed", "1"])
    for encoder in ("default", "affine"):
        main(["index", "build", str(folder / "store"), "--out", str(folder / encoder), "--encoder", encoder])
    poses = PoseStore.open(folder / "store").poses()[[5, 50, 80]]
    view = View(name="front", azimuth=0.5, elevation=0.2)
    people = simulate_keypoints(poses, view, generator=np.random.default_rng(0))
    mask = people.mask.copy()
    mask[2, 4:] = False
    people = Keypoints.of(np.where(mask[..., None], people.xy, 0), mask)
    write_coco_results(folder / "people.json", people)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """In place of UMAP: the start itself."""
    monkeypatch.setattr("vipe.plots.embedding_map.layout.umap_layout", lambda vectors, graph, start, seed: start)


def told(run, *arguments):
    code, out, err = run("map", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_one_command_writes_the_page_the_picture_and_the_table(archive, run, tmp_path):
    names = [tmp_path / name for name in ("map.html", "map.png", "map.parquet")]
    files = ["--out", names[0], "--picture", names[1], "--coordinates", names[2]]
    code, out, err = run("map", archive / "default", *files, "--limit", 60, "--seed", 3)
    assert code == 0, err
    assert [path.stat().st_size > 1000 for path in names] == [True] * 3
    assert re.search(r"^60 poses of \d+, by coverage, by UMAP in \d+\.\d s$", out, re.MULTILINE)
    assert re.search(r"^trustworthiness [01]\.\d{3}, purity of action [01]\.\d{3}", out, re.MULTILINE)
    assert len(pq.read_table(names[2])) == 60
    assert "60 of" in names[0].read_text()


def test_json_has_what_a_program_needs(archive, run, tmp_path):
    result = told(run, archive / "default", "--coordinates", tmp_path / "map.parquet", "--limit", 60)
    assert (result["poses"], result["method"], result["files"]) == (60, "umap", [str(tmp_path / "map.parquet")])
    assert result["settings"] == {"n_neighbors": 15, "min_dist": 0.1}
    assert result["of"] > 60
    assert 0.5 < result["trustworthiness"] <= 1
    assert result["remarks"] == []


def test_people_are_drawn_in_and_who_cannot_be_is_named(archive, run, tmp_path):
    out, keypoints = tmp_path / "map.html", archive / "people.json"
    result = told(run, archive / "default", "--out", out, "--keypoints", keypoints)
    assert [one["image_id"] for one in result["people"]] == [0, 1]
    assert all({"clip", "frame", "time"} == set(one["nearest"]) for one in result["people"])
    assert any("image 2" in remark and "4 joints seen" in remark for remark in result["remarks"])
    assert "People of the query" in out.read_text()


def test_signatures_are_mapped_by_the_default_embedding_and_that_is_said(archive, run, tmp_path):
    kinds = {
        kind: told(run, archive / kind, "--coordinates", tmp_path / f"{kind}.parquet") for kind in ("affine", "default")
    }
    assert kinds["affine"]["encoder"] == kinds["default"]["encoder"]
    assert "mapped by the embedding `default`" in kinds["affine"]["remarks"][0]
    tables = [pq.read_table(tmp_path / f"{kind}.parquet") for kind in kinds]
    assert tables[0]["id"].to_pylist() == tables[1]["id"].to_pylist()


def test_a_later_index_is_placed_on_an_earlier_map(archive, run, tmp_path):
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    told(run, archive / "default", "--coordinates", first, "--limit", 50)
    result = told(run, archive / "default", "--onto", first, "--coordinates", second)
    assert result["settings"]["placed_on"] == 50
    early, late = (pq.read_table(path).to_pydict() for path in (first, second))
    place = dict(zip(late["id"], zip(late["x"], late["y"], strict=True), strict=True))
    assert [place[one] for one in early["id"]] == list(zip(early["x"], early["y"], strict=True))


def test_the_same_seed_gives_the_same_files(archive, run, tmp_path):
    for name in ("a", "b"):
        told(run, archive / "default", "--out", tmp_path / f"{name}.html", "--limit", 40, "--seed", 7)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --out FILE.html, --picture FILE.png or --coordinates FILE.parquet"),
        (["--out", "map.png"], "ends in .png, expected the name of a page that ends in .html"),
        (["--picture", "map"], "ends in nothing, expected the name of a picture"),
        (["--coordinates", "map.csv"], "ends in .csv, expected a name that ends in .parquet"),
        (["--out", "map.html", "--limit", "5"], "--limit"),
        (["--out", "map.html", "--method", "pca"], "pca"),
        (["--out", "map.html", "--onto", "old.parquet", "--method", "umap"], "--onto keeps an earlier layout"),
        (["--out", "map.html", "--onto", "old.parquet"], "old.parquet: cannot be read"),
        (["--out", "map.html", "--keypoints", "nobody.json"], "nobody.json"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_writes_nothing(archive, run, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("map", archive / "default", *options)
    assert (code, out) == (2, "")
    assert err.startswith("vipe: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_is_not_there_is_told(run, tmp_path):
    code, out, err = run("map", tmp_path / "nowhere", "--out", tmp_path / "map.html")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "nowhere" in err


def test_a_missing_extra_is_told_before_anything_is_read(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    code, out, err = run("map", "nowhere", "--out", tmp_path / "map.html")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert 'maps need umap-learn: pip install "vipe-pose[maps]"' in err


def test_an_interrupt_leaves_the_earlier_page_and_nothing_else(archive, run, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    (tmp_path / "map.html").write_text("old")
    monkeypatch.setattr("vipe.plots.embedding_map.layout.umap_layout", interrupted)
    code, out, err = run(
        "map", archive / "default", "--out", tmp_path / "map.html", "--picture", tmp_path / "new" / "map.png"
    )
    assert (code, out) == (130, "")
    assert "interrupted; nothing is half-written" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.html"]
    assert (tmp_path / "map.html").read_text() == "old"


def test_points_are_coloured_by_action_or_by_clip_where_no_two_actions_are_known(archive, run, tmp_path):
    told(run, archive / "default", "--out", tmp_path / "actions.html", "--limit", 60)
    assert '<option value="action" selected>' in (tmp_path / "actions.html").read_text()
    store, index = tmp_path / "store", tmp_path / "index"
    clips = [replace(clip, action="") for clip in synthesize(clips=2, fps=4.0, generator=np.random.default_rng(0))]
    vipe.PoseIndex.build(PoseStore.create(store, clips), vipe.Embedder.from_pretrained("default"), index)
    told(run, index, "--out", tmp_path / "clips.html")
    assert '<option value="clip" selected>' in (tmp_path / "clips.html").read_text()
