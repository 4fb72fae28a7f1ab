"""`vipe query` with moments of the index, mirror images, some joints, and a table of the hits."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import vipe
from vipe.cli.app import main
from vipe.cli.query.pose import PoseQuestion
from vipe.detections import write_coco_results
from vipe.retrieve import query_moments
from vipe.retrieve.pose_query import moment_rows
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons.working import COCO13


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A learned index, and two people."""
    folder = tmp_path_factory.mktemp("pose")
    main(["synth", "--out", str(folder / "store"), "--minutes", "0.3", "--fps", "10", "--seed", "1"])
    main(["index", "build", str(folder / "store"), "--out", str(folder / "index"), "--encoder", "default"])
    poses = vipe.PoseStore.open(folder / "store").poses()[[30, 60]]
    seen = simulate_keypoints(poses, CameraRig.load("mpi_inf_3dhp"), noise=0.0, generator=np.random.default_rng(0))
    write_coco_results(folder / "people.json", vipe.Keypoints.of(seen.xy))
    return folder


@pytest.fixture
def index(folder):
    return vipe.PoseIndex.open(folder / "index")


@pytest.fixture
def moment(index):
    frames = index.frames()
    return str(frames["clip"][30]), int(frames["frame"][30])


@pytest.fixture
def ask(run, folder):
    return lambda *options: run("query", folder / "index", *options)


def test_a_moment_is_answered_as_python_answers_it(ask, index, moment):
    code, out, err = ask("--pose", f"{moment[0]}:{moment[1]}", "--pose", f"{moment[0]}:0", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    hits = query_moments(index, [moment, (moment[0], 0)], 10)
    assert result["queries"] == json.loads(json.dumps(hits.to_json([moment, (moment[0], 0)])["queries"]))
    assert [(one["clip"], one["frame"]) for one in result["queries"]] == [moment, (moment[0], 0)]
    assert set(result) == {"queries", "remarks", "seconds"} and result["remarks"] == []


def test_options_reach_the_search(ask, index, moment):
    options = {
        ("--k", 3): {"k": 3},
        ("--within", 0.3): {"within": 0.3},
        ("--within", 0.3, "--k", 2): {"within": 0.3, "k": 2},
        ("--leave-out", 0): {"leave_out": 0.0},
        ("--leave-out", "inf"): {"leave_out": np.inf},
        ("--leave-out", "-1"): {"leave_out": -1.0},
        ("--mirrored",): {"mirrored": True},
        ("--joints", "upper"): {"joints": ("upper",)},
        ("--joints", "torso, left_arm=3"): {"joints": {"torso": 1, "left_arm": 3}},
        ("--max-per-clip", 1): {"max_per_clip": 1},
        ("--min-gap-seconds", 1): {"min_gap_seconds": 1.0},
        ("--exact",): {"exact": True},
    }
    answers = []
    for given, settings in options.items():
        code, out, _ = ask("--pose", f"{moment[0]}:{moment[1]}", *given, "--json")
        assert code == 0
        found = [hit["row"] for hit in json.loads(out)["queries"][0]["hits"]]
        hits = query_moments(index, [moment], **settings)
        assert found == hits.rows[0][hits.found[0]].tolist()
        answers.append(tuple(found))
    assert len(set(answers)) > len(answers) - 3  # they are different answers


def test_names_of_clips_may_have_colons():
    assert PoseQuestion(pose=("a:b:7", "c d:0")).moments() == [("a:b", 7), ("c d", 0)]


def test_people_read_a_table_that_says_what_is_left_out(ask, moment, index):
    code, out, _ = ask("--pose", f"{moment[0]}:{moment[1]}", "--within", 2, "--mirrored")
    assert code == 0
    every = len(index) - 21
    assert f"{every - 100:,} hits more: --json and --table have all" in out
    assert f"{every:,} moments for 1 pose in " in out and "torso lengths" in out
    assert f"{moment[0]}:{moment[1]}" in out and "mirrored" in out and " yes" in out
    assert out.count("\n") < 120
    code, out, _ = ask("--pose", f"{moment[0]}:{moment[1]}", "--within", 0)
    assert code == 0 and "no moment is so near: try a larger --within, or leave it out" in out


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_hits_go_to_a_table_with_what_was_asked(ask, moment, tmp_path, ending):
    file = tmp_path / "new" / f"hits.{ending}"
    code, out, _ = ask("--pose", f"{moment[0]}:{moment[1]}", "--within", 2, "--table", file, "--json")
    assert code == 0
    hits = json.loads(out)["queries"][0]["hits"]
    rows = list(csv.DictReader(file.open(encoding="utf-8"))) if ending == "csv" else pq.read_table(file).to_pylist()
    assert len(rows) == len(hits) > 100
    for row, hit in zip(rows, hits, strict=True):
        assert (row["query_clip"], int(row["query_frame"])) == moment
        assert (row["clip"], int(row["frame"]), int(row["rank"])) == (hit["clip"], hit["frame"], hit["rank"])
        assert float(row["distance"]) == pytest.approx(hit["distance"], rel=1e-5)
    assert ask("people.json", "--table", file.with_suffix(".txt"))[0] == 2  # refused before anything is read


def test_people_go_to_a_table_too(ask, folder, tmp_path):
    file = tmp_path / "hits.csv"
    file.write_text("what was there is replaced")
    code, out, _ = ask(folder / "people.json", "--k", 4, "--convention", "archive", "--table", file)
    assert code == 0 and f"table: {file}" in out
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [(row["image_id"], row["person"], row["rank"]) for row in rows] == [
        (str(image), "0", str(rank)) for image in (0, 1) for rank in (1, 2, 3, 4)
    ]
    assert {"probability", "affine_residual"} <= set(rows[0])


def test_a_table_never_replaces_the_keypoints_or_the_index(ask, folder, tmp_path):
    people = tmp_path / "people.csv"
    people.write_text("frame,nose_x,nose_y\n0,1,2\n")
    code, out, err = ask(people, "--table", people)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert people.read_text().startswith("frame,nose_x")
    files = sorted(path for path in (folder / "index").rglob("*") if path.is_file())
    code, out, err = ask(folder / "people.json", "--table", folder / "index" / "hits.csv")
    assert (code, out) == (2, "") and "lies in the index" in err
    assert sorted(path for path in (folder / "index").rglob("*") if path.is_file()) == files


def test_a_gap_of_next_to_nothing_rules_out_no_moment(ask, moment):
    pose = ("--pose", f"{moment[0]}:{moment[1]}", "--k", 5, "--json")
    code, out, _ = ask(*pose, "--min-gap-seconds", 1e-310)
    assert code == 0
    assert json.loads(out)["queries"] == json.loads(ask(*pose)[1])["queries"]


def test_the_page_draws_each_hit_of_each_moment(ask, moment, tmp_path):
    page = tmp_path / "poses.html"
    code, out, _ = ask(
        "--pose", f"{moment[0]}:{moment[1]}", "--within", 2, "--mirrored", "--joints", "upper", "--page", page
    )
    assert code == 0 and f"page: {page}" in out
    html = page.read_text()
    assert f"{moment[0]}, frame {moment[1]}" in html
    assert "The first 24 of" in html and "Grey joints did not count." in html


def test_mirror_images_of_people_are_told_in_table_json_and_page(ask, folder, tmp_path):
    options = (folder / "people.json", "--k", 20, "--convention", "archive", "--mirrored")
    code, out, _ = ask(*options, "--json", "--page", tmp_path / "page.html")
    assert code == 0
    queries = json.loads(out)["queries"]
    told = [hit["mirrored"] for one in queries for hit in one["hits"]]
    assert any(told) and not all(told)
    assert all(0 <= one["presence_mirrored"] <= 1 for one in queries)
    html = (tmp_path / "page.html").read_text()
    assert "its mirror image" in html and "It holds its mirror image with a probability of" in html
    code, out, _ = ask(*options)
    assert "there / mirrored" in out and " yes " in out and "% / " in out


def test_only_the_named_keypoints_are_searched_with(ask, folder, index):
    code, out, _ = ask(folder / "people.json", "--joints", "upper", "--convention", "archive", "--k", 5, "--json")
    assert code == 0
    people = vipe.read_keypoints(folder / "people.json")
    mask = people.mask.copy()
    mask[:, [place for place, joint in enumerate(COCO13.joints) if joint.endswith(("hip", "knee", "ankle"))]] = False
    hits = vipe.query(index, vipe.Keypoints.of(np.where(mask[..., None], people.xy, 0), mask), 5)
    assert [[hit["row"] for hit in one["hits"]] for one in json.loads(out)["queries"]] == hits.rows.tolist()


def test_moments_stay_the_rows_of_their_frames(index, moment):
    assert moment_rows(index, [moment]).tolist() == [30]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pose", "walk"), "--pose is CLIP:FRAME, the name of a clip and a frame's number, got 'walk'"),
        (("--pose", ":3"), "got ':3'"),
        (("--pose", "walk:-3"), "got 'walk:-3'"),
        (("--pose", "walk:1.5"), "got 'walk:1.5'"),
        (("--pose", f"CLIP:{'9' * 5000}"), "--pose is CLIP:FRAME, the name of a clip and a frame's number"),
        (("--pose", "CLIP:0", "--camera-name", "left"), "--camera-name goes with people in images"),
        (("--pose", "nothing:0"), "has no clip 'nothing'; it has "),
        (("--pose", "CLIP:99999"), "has no frame 99999 of clip"),
        (("people.json", "--pose", "CLIP:0"), "a keypoint file goes with people in images: leave it out"),
        (("--pose", "CLIP:0", "--mode", "full"), "--mode goes with people in images"),
        (("--pose", "CLIP:0", "--explain"), "--explain goes with people"),
        (("--pose", "CLIP:0", "--every", "2"), "--every goes with people"),
        (("--pose", "CLIP:0", "--min-confidence", "0.5"), "--min-confidence goes with people"),
        (("--pose", "CLIP:0", "--vary", "2"), "--vary goes with people"),
        (("--pose", "CLIP:0", "--seed", "2"), "--seed goes with --vary"),
        (("--pose", "CLIP:0", "--within", "-1"), "within must be finite and not negative, got -1"),
        (("--pose", "CLIP:0", "--joints", "left_arm"), "3 joints count, at least 4 are needed"),
        (("--pose", "CLIP:0", "--joints", "torso=x"), "--joints is names and weights such as torso,left_arm=3"),
        (("--pose", "CLIP:0", "--joints", "torso,,head"), "--joints is names and weights"),
        (
            ("--pose", "CLIP:0", "--table", "hits.xlsx"),
            "hits.xlsx: ends in .xlsx, expected a name that ends in .csv or",
        ),
        (("--pose", "CLIP:0", "--table", "."), "expected a name that ends in .csv or .parquet"),
        (("people.json", "--within", "1"), "--within goes with --pose CLIP:FRAME"),
        (("people.json", "--leave-out", "1"), "--leave-out goes with --pose"),
        (("people.json", "--exact"), "--exact goes with --pose"),
        (("people.json", "--every", "2"), "--every is how long the pieces of a track are: it goes with --track"),
        (("people.json", "--views", "--every", "2"), "--every is how long the pieces of a track are"),
        (("people.json", "--mirrored", "--confidence", "0.9"), "--confidence is known of people as they are"),
        (("PEOPLE", "--joints", "left_arm"), "3 keypoints are named"),
        (("PEOPLE", "--joints", "upper=1,lower=2"), "weights must be equal"),
        (("PEOPLE", "--mode", "affine", "--joints", "torso"), "4 keypoints are named"),
    ],
)
def test_what_does_not_go_together_is_one_line(ask, folder, moment, options, said):
    options = [one.replace("CLIP", moment[0]).replace("PEOPLE", str(folder / "people.json")) for one in options]
    code, out, err = ask(*options)
    assert (code, out) == (2, "")
    assert said in err and err.count("\n") == 1 and err.startswith("vipe: ")


def test_a_table_that_cannot_be_written_is_told_before_the_search(ask, moment, tmp_path):
    (tmp_path / "hits.csv").mkdir()
    code, _, err = ask("--pose", f"{moment[0]}:0", "--table", tmp_path / "hits.csv")
    assert code == 2 and "is a folder, expected a file for the hits" in err
    (tmp_path / "file").write_text("")
    code, _, err = ask("--pose", f"{moment[0]}:0", "--table", tmp_path / "file" / "hits.csv")
    assert code == 2 and "cannot be written" in err
