"""`vipe evaluate`: the figures are tested beside the protocols, here what a command prints and refuses."""

import json
import re

import pytest

from vipe.cli.app import main

QUICK = ("--queries", "30", "--mode", "affine", "--condition", "noise 0.03", "--condition", "2 missing")


@pytest.fixture(scope="module")
def folder(once):
    """A store, an index of it, a table that puts its first clip in `val`, and untrained models of either kind."""
    from vipe import Embedder, PoseStore
    from vipe.embed.prvipe.network import PrVIPE, PrVIPEConfig, PrVIPENetwork
    from vipe.embed.vvipe.network import VVIPE, VVIPEConfig

    def build(folder):
        main(["synth", "--out", str(folder / "store"), "--minutes", "1", "--fps", "4", "--seed", "1"])
        main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
        names = [clip["clip"] for clip in PoseStore.open(folder / "store").clips()]
        rows = [f"{name},{'val' if i == 0 else 'train'}" for i, name in enumerate([*names, "clip of another store"])]
        (folder / "clips.csv").write_text("\n".join(["clip,split", *rows, "absent,test"]))
        Embedder(VVIPE.untrained(VVIPEConfig(width=16), seed=0)).save(folder / "v")
        PrVIPE(PrVIPENetwork.untrained(PrVIPEConfig(width=16), seed=0)).save(folder / "p")

    return once("evaluate", build)


def test_a_store_is_enough_and_an_index_changes_nothing(folder, run):
    reports = []
    for options in ((), ("--index", folder / "index")):
        code, out, _ = run("evaluate", "search", folder / "store", *QUICK, *options, "--json")
        assert code == 0
        reports.append(json.loads(out))
    for report in reports:
        del report["seconds"]
        for galleries in report["results"]["affine"]["4 m"].values():
            for score in galleries.values():
                del score["milliseconds"]
        del report["results"]["raw 2D"]
    assert reports[0] == reports[1]
    assert set(reports[0]["results"]["affine"]["4 m"]) == {"noise 0.03", "2 missing"}
    assert reports[0]["queries"] == 30


def test_people_get_a_table_and_the_primary_figure(folder, run, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "search.png"
    code, out, err = run("evaluate", "search", folder / "store", *QUICK, "--picture", picture)
    assert code == 0
    assert "Hit@1/10/20" in out
    assert re.search(r"primary figure: .* mode affine, .* queries; five clips give \d+% of the queries", out)
    assert "near-duplicates" in err
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_part_of_a_table_is_the_archive(folder, run):
    options = ("--split", folder / "clips.csv", "--part", "val", "--json")
    code, out, _ = run("evaluate", "search", folder / "store", *QUICK, *options)
    assert code == 0
    assert json.loads(out)["clips"] == 1


def protocol_of(run, command, folder, *options):
    code, out, _ = run("evaluate", command, folder / "store", *options, "--json")
    assert code == 0
    return json.loads(out)["protocol"]


def test_every_option_reaches_the_protocol(folder, run):
    shared = {"rig": "h36m", "seed": 3, "conditions": ["2 missing"]}
    options = ("--rig", "h36m", "--seed", 3, "--condition", "2 missing")
    few = ("--queries", 2, *options)
    more = ("--distance", 3, "--distance", 5, "--observed", "scores", "--mode", "affine")
    expected = shared | {"queries": 2, "distances": [3, 5], "observed": "scores", "modes": ["affine"]}
    assert protocol_of(run, "search", folder, *few, *more).items() >= expected.items()
    assert protocol_of(run, "calibration", folder, *few).items() >= (shared | {"queries": 2}).items()
    expected = shared | {"poses": 20, "distance": 3}
    assert protocol_of(run, "retrieval", folder, *options, "--poses", 20, "--distance", 3).items() >= expected.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--condition", "fog"], "no condition 'fog'; expected one of ground truth"),
        (["--split", "{folder}/clips.csv"], "go together"),
        (["--split", "{folder}/clips.csv", "--part", "cross"], "no clip is of split 'cross'; it has test, train, val"),
        (["--split", "{folder}/clips.csv", "--part", "test"], "split 'test' has 1 clip, none of which store"),
        (["--split", "{folder}/index/manifest.json", "--part", "val"], "has no column clip, split"),
        (["--split", "nowhere.csv", "--part", "val"], "nowhere.csv"),
        (["--mode", "nonsense", "--queries", "2"], "cannot answer mode 'nonsense'"),
        (["--mode", "point", "--queries", "2"], "cannot answer mode 'point'"),
        (["--queries", "0"], "queries must be at least 1"),
        (["--rig", "nowhere"], "no camera rig 'nowhere'"),
        (["--index", "{folder}/store"], "store"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(folder, run, options, message):
    options = [option.format(folder=folder) for option in options]
    code, out, err = run("evaluate", "search", folder / "store", *options)
    assert (code, out) == (2, "")
    assert message in err.strip().splitlines()[-1]


SIDES = ("--rig", "h36m", "--poses", "40")


def test_retrieval_measures_embedders_beside_raw_2d_and_chance(folder, run):
    models = str(folder / "v"), str(folder / "p")
    options = ("--embedder", models[0], "--embedder", models[1], "--lift", models[0], "--json")
    code, out, err = run("evaluate", "retrieval", folder / "store", *SIDES, *options)
    assert code == 0
    report = json.loads(out)
    assert set(report["results"]) == {*models, "lift, then Procrustes", "raw 2D", "chance"}
    assert set(report["results"]["raw 2D"]) == {"ground truth", "noise 0.03", "2 missing"}
    assert report["primary"]["matcher"] == models[0]
    assert report["poses"] == 40
    assert report["pairs"] == {"all": 12}
    assert "camera pairs" in err


def test_retrieval_shows_people_a_table(folder, run):
    options = ("--split", folder / "clips.csv", "--part", "val", "--condition", "noise 0.06")
    code, out, _ = run("evaluate", "retrieval", folder / "store", "--poses", "20", *options)
    assert code == 0
    assert "Hit@1/10/20 < 0.1" in out
    assert "60 of column 'unseen'" in out
    assert "primary figure" in out
    assert "noise 0.06" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--condition", "fog"], "no condition 'fog'; expected one of ground truth"),
        (["--part", "val"], "go together"),
        (["--embedder", "affine"], "compares keypoints with 3D poses only"),
        (["--embedder", "nowhere"], "no trained model 'nowhere'"),
        (["--lift", "{folder}/p"], "is a 'pr-vipe'"),
        (["--poses", "1"], "poses must be at least 2"),
        (["--rig", "nowhere"], "no camera rig 'nowhere'"),
        (["--embedder", "{folder}/v", "--embedder", "{folder}/v"], "a name of its own"),
    ],
)
def test_wrong_input_of_retrieval_is_one_line_and_exit_code_2(folder, run, options, message):
    options = [option.format(folder=folder) for option in options]
    code, out, err = run("evaluate", "retrieval", folder / "store", *options)
    assert (code, out) == (2, "")
    assert message in err.strip().splitlines()[-1]


CALIBRATED = ("--queries", 3, "--condition", "noise 0.03")


def test_calibration_is_printed_and_drawn(folder, run, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "reliability.png"
    options = ("--index", folder / "index", "--picture", picture)
    code, out, _ = run("evaluate", "calibration", folder / "store", *CALIBRATED, *options)
    assert code == 0
    assert "pose left out" in out
    assert "AUROC" in out
    assert "five clips give 100% of the queries" in out
    assert f"picture: {picture}" in out
    assert picture.stat().st_size > 10_000


def test_calibration_needs_no_index(folder, run):
    code, out, _ = run("evaluate", "calibration", folder / "store", *CALIBRATED, "--json")
    assert code == 0
    report = json.loads(out)
    assert [row["gallery"] for row in report["rows"]][-1] == "pose left out"
    assert set(report["pooled"]) == {"first", "all", "close", "presence"}


def test_calibration_refuses_what_it_does_not_know(folder, run):
    for options, reason in ((("--condition", "fog"), "no condition 'fog'"), (("--part", "val"), "go together")):
        code, _, err = run("evaluate", "calibration", folder / "store", *options)
        assert code == 2
        assert reason in err
        assert err.count("\n") == 1


FEW_PHOTOS = ("--queries", "4", "--condition", "noise 0.03", "--mode", "affine", "--samples", "2")


def test_the_archive_itself_and_another_index_lift(folder, run, tmp_path):
    part = ("--split", folder / "clips.csv", "--part")
    run("index", "build", folder / "store", "--out", tmp_path / "all")
    code, out, _ = run(
        "evaluate", "hypotheses", folder / "store", *FEW_PHOTOS, *part, "val", "--lifter", "archive", "--json"
    )
    assert code == 0
    assert json.loads(out)["protocol"]["modes"] == ["archive x 2", "affine"]
    code, _, err = run("evaluate", "hypotheses", folder / "store", *FEW_PHOTOS, "--lifter", tmp_path / "all")
    assert code == 2
    assert re.search(r"lifter 'archive of all': its index .* holds [\d,]+ frames of the archive", err)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lifter", "default", "--lifter", "default"), "--lifter default: another one is called 'default' already"),
        (("--lifter", "nobody"), "nobody"),
    ],
)
def test_wrong_lifters_are_one_line_and_exit_code_2(folder, run, options, message):
    code, _, err = run("evaluate", "hypotheses", folder / "store", *FEW_PHOTOS, *options)
    assert code == 2
    assert message in err
    assert "near-duplicates" not in err  # before any work
