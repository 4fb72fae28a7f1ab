import json
import runpy
import sys
from argparse import Namespace
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
import torch

from vipe.simulate.motion import synthesize
from vipe.skeletons import load
from vipe.store import PoseStore

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SWITCHES = {  # what each row of an ablation changes of its paper's full row, at the paper's sizes
    "mdn-1-kernel": {"components": 1},
    "mdn-3-kernels": {"components": 3},
    "mdn-8-kernels": {"components": 8},
    "mdn-no-prior": {"concentration": 1.0},
    "flow-no-condition": {"conditioned": False},
    "flow-no-hm": {"spread_weight": 0.0},
    "flow-no-gen": {"realism_weight": 0.0},
    "flow-no-mb": {"best_weight": 0.0},
    "flow-best-least": {"best": 1},
    "flow-best-more": {"best": 10},
    "flow-best-many": {"best": 50},
    "propose-no-pilgd": {"instance_level": False},
    "propose-no-pagd": {"pose_adaptive": False},
    "propose-end-to-end": {"alternate": False},
    "propose-no-m2m": {"mode_to_mode": False},
    "propose-no-bi": {"bidirectional": False},
    "propose-no-nll": {"alternate": False, "likelihood": False},
    "cvae-gsnn-only": {"recognized": 0.0},
    "cvae-only": {"recognized": 1.0},
}


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture(scope="module")
def clips():
    return [clip.to(load("h36m17")) for clip in synthesize(clips=4, fps=4.0, generator=np.random.default_rng(1))]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the script with two steps a training, on the data given."""

    def run(data, *arguments):
        given = [data, "--out", tmp_path / "out", "--tables", tmp_path / "tables.json", "--steps", 2, *arguments]
        monkeypatch.setattr(sys, "argv", ["lifting_papers.py", *map(str, given)])
        runpy.run_path(str(BENCHMARKS / "lifting_papers.py"), run_name="__main__")
        return capsys.readouterr()

    return run


def arrays(clips, **changed):
    names = ("train", "val", "test", "cross")
    named = {
        "poses": np.concatenate([clip.positions[:20] for clip in clips]),
        "split": np.repeat(names, [len(clip.positions[:20]) for clip in clips]),
    }
    return named | changed


def measured():
    """Figures of all rows, as if measured; none is that of another row."""
    import lifting_papers_measure
    from lifting_papers_rows import ROWS

    numbers = iter(range(10, 10_000))

    def scored():
        number = next(numbers)
        names = ("error", "aligned", "worst", "worst aligned", "pck", "auc", "cps")
        return dict.fromkeys(names, number) | {
            "interval": [number - 1, number + 1],
            "actions": {"walk": number, "run": number + 1},
            "people": {"walk": 20, "run": 10},
        }

    figures = ("single", "mean", "best 1", "best 5", "best 10", "best 200", "kernels", "weighted mean", "k-means 5")
    ranked = ("true relations", "predicted relations", "first by predicted")
    found = {}
    for row in ROWS:
        for part in ("test", "cross"):
            for condition in lifting_papers_measure.conditions(row):
                found[f"{row}, {part}, {condition}"] = {name: scored() for name in (*figures, *ranked)} | {
                    "ece": 0.1,
                    "energy": next(numbers),
                    "spread": [1, 2, 3],
                    "apart": [4, 5, 6],
                    "reprojection": 97.0,
                    "entropy": 1.0,
                    "doubt": {name: {"told": 9, "found": 8} for name in ("doubtful", "sure")},
                }
        names = ("val_mpjpe", "val_best", "val_energy")
        found[f"{row}, history"] = {"steps": 4} | {name: [next(numbers), next(numbers)] for name in names}
    inside = ("reconstruction", "lifting", "nll", "white")
    found["propose, inside"] = dict.fromkeys(inside, 1.0)
    curve = {"best": [50.0, 45.0, 40.0], "ece": 0.2}
    return found | {"curve": {"counts": [1, 100, 1000], "depth": 0.1} | dict.fromkeys(("flow", "cvae", "noise"), curve)}


def test_a_users_arrays_are_trained_on_and_measured_once(run, clips, tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays(clips))
    first = run(tmp_path / "mine.npz", "--only", "mdn-1-kernel", "--queries", 3)
    assert "[1/1] mdn-1-kernel mdn 2/2 val_mpjpe" in first.err
    found = json.loads((tmp_path / "out" / "measured.json").read_text())
    assert {"mdn-1-kernel, test, noise 0.03", "mdn-1-kernel, cross, noise 0.03", "mdn-1-kernel, history"} == set(found)
    of = found["mdn-1-kernel, test, noise 0.03"]
    assert of["kernels"]["error"] == pytest.approx(of["single"]["error"], rel=1e-5)  # one kernel is the single pose
    assert of["best 200"]["error"] <= of["best 10"]["error"] <= of["best 1"]["error"]
    tables = json.loads((tmp_path / "tables.json").read_text())
    shown = [row[:3] for row in tables["rows"] if row[2]]  # rows that are not measured name no data
    assert shown == [["li2019 5", "1 kernel", part] for part in ("test", "cross")]
    again = run(tmp_path / "mine.npz", "--only", "mdn-1-kernel", "--queries", 3)
    assert again.err == again.out == ""


def test_a_store_gives_the_poses_of_its_splits(clips, tmp_path):
    from lifting_papers_data import read_parts

    store = PoseStore.create(tmp_path / "store", clips)
    table = tmp_path / "clips.csv"
    names = ("test", "val", "train", "test")
    table.write_text("clip,split\n" + "".join(f"{clip.name},{name}\n" for clip, name in zip(clips, names, strict=True)))
    parts = read_parts(store.path, table)
    np.testing.assert_array_equal(parts["test"].poses, np.concatenate([clips[0].positions, clips[3].positions]))
    assert list(np.unique(parts["test"].clip)) == sorted([clips[0].name, clips[3].name])
    assert len(parts["train"].action) == len(clips[2].positions)


def test_data_that_cannot_be_used_are_refused_in_one_line(clips, tmp_path):
    from lifting_papers_data import read_parts

    for changed, message in (
        ({"split": np.full(3, "train")}, r"must be \(N, 17, 3\) and the others \(N,\)"),
        ({"split": np.full(sum(len(clip.positions[:20]) for clip in clips), "train")}, "no pose of split 'val'"),
    ):
        np.savez(tmp_path / "mine.npz", **arrays(clips, **changed))
        with pytest.raises(SystemExit, match=message):
            read_parts(tmp_path / "mine.npz", None)
    np.savez(tmp_path / "other.npz", poses=clips[0].positions)
    with pytest.raises(SystemExit, match="no array 'split'"):
        read_parts(tmp_path / "other.npz", None)
    with pytest.raises(SystemExit, match="needs --split"):
        read_parts(tmp_path / "store", None)


def test_a_row_of_an_ablation_changes_what_its_paper_says_and_nothing_else():
    from lifting_papers_rows import ROWS, configuration

    assert SWITCHES.keys() == {name for name, row in ROWS.items() if not row.main and not name.endswith("-full")}
    for name, changed in SWITCHES.items():
        full, row = (asdict(configuration(one, "paper")[0]) for one in (f"{ROWS[name].kind}-full", name))
        assert {key: value for key, value in row.items() if value != full[key]} == changed


@pytest.mark.parametrize("preset", ["cpu", "paper"])
def test_every_row_can_be_built_under_every_preset(preset):
    from lifting_papers_rows import ROWS, configuration

    for name, row in ROWS.items():
        network, training = configuration(name, preset)
        full, _ = configuration(row.kind if row.main else f"{row.kind}-full", preset)
        sizes = {field.name for field in fields(network)} - {"best"} - {key for one in SWITCHES.values() for key in one}
        assert {key: getattr(network, key) for key in sizes} == {key: getattr(full, key) for key in sizes}
        assert training.steps // training.validate_every >= 10


def test_every_table_has_all_its_rows_with_the_papers_figures_beside(tmp_path, monkeypatch):
    import lifting_papers_tables
    import results_tables
    from lifting_papers_data import Part

    (tmp_path / "seconds.json").write_text('{"mdn": 5}')
    part = Part(np.zeros((400, 17, 3)), np.zeros(400), np.zeros(400))
    options = Namespace(out=tmp_path, queries=300, seed=0, split=Path("clips.csv"), name="mocap", preset="cpu")
    found = measured()
    lifting_papers_tables.write_tables(
        tmp_path / "made.json", found, {"train": part, "test": part, "cross": part}, options
    )
    made = json.loads((tmp_path / "made.json").read_text())
    assert (made["data"], made["training"]) == (
        "300 photos of test, 300 photos of cross",
        "400 poses of mocap, preset cpu",
    )
    for table, (condition, lines) in lifting_papers_tables.TABLES.items():
        rows = [dict(zip(made["columns"], row, strict=True)) for row in made["rows"] if row[0] == table]
        assert [(row["data"], row["row"]) for row in rows] == [
            (part, one[0]) for part in ("test", "cross") for one in lines
        ]
        for row, (_, name, figure, paper) in zip(rows, lines, strict=False):
            assert row["MPJPE"] == found[f"{name}, test, {condition}"][figure]["error"]
            assert [row[key] for key in lifting_papers_tables.PAPER[: len(paper)]] == list(paper)
    monkeypatch.setattr(results_tables, "RESULTS", tmp_path)
    shown = results_tables.table("made; columns: row | cvae; rows: wehrbein2021 figure 5").splitlines()
    assert shown[2:4] == ["| best of 1 | 50.0 |", "| best of 100 | 45.0 |"]
    assert shown[5] == "| ECE of 1,000, percent | 20.0 |"
    assert "| walk | 20 |" in results_tables.table("made; columns: row | people; rows: li2019 1, by action")
    assert "| mdn | 5 |" in results_tables.table("made; columns: row | CPU s; rows: training")


def test_mixtures_are_judged_by_the_means_of_their_kernels_and_samples_by_their_number():
    from lifting_papers_tables import TABLES

    for table, (_, lines) in TABLES.items():
        for label, row, figure, _ in lines:
            if table.startswith("li2019") and row.startswith("mdn"):
                assert figure == "kernels"
            for words, expected in ((" 200 samples", "best 200"), (" 5 samples", "best 5"), (", mode", "single")):
                assert words not in label or figure == expected


def test_rows_that_are_not_measured_are_not_shown(tmp_path, monkeypatch):
    import lifting_papers_tables
    import results_tables
    from lifting_papers_data import Part

    (tmp_path / "seconds.json").write_text("{}")
    part = Part(np.zeros((400, 17, 3)), np.zeros(400), np.zeros(400))
    options = Namespace(out=tmp_path, queries=300, seed=0, split=None, name="", preset="cpu")
    found = {key: value for key, value in measured().items() if key.startswith(("mdn,", "flow-full,"))}
    lifting_papers_tables.write_tables(tmp_path / "made.json", found, {"train": part, "test": part}, options)
    monkeypatch.setattr(results_tables, "RESULTS", tmp_path)
    columns = "row | data | MPJPE | P-MPJPE | people | flow | NLL"
    shown = {}
    for table in (*lifting_papers_tables.TABLES, "li2019 6, by action", "wehrbein2021 figure 5", "inside propose"):
        lines = results_tables.table(f"made; columns: {columns}; rows: {table}").splitlines()[2:]
        shown[table] = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("|")]
    assert shown["wehrbein2021 4"] == ["full"]
    assert shown["li2019 1"] == ["mdn, means of 5 kernels"]
    assert shown["li2019 6, by action"] == shown["wehrbein2021 figure 5"] == shown["inside propose"] == []


def test_a_relation_holds_or_not_by_its_figures():
    import lifting_papers_relations as relations

    def scored(error):
        return {"error": error, "worst aligned": error}

    found = {
        "propose-full, test, noise 0.03": {"best 200": scored(60.0), "single": scored(90.0)},
        "propose-no-pagd, test, noise 0.03": {"best 200": scored(60.5), "single": scored(80.0)},
        "regression, test, noise 0.03": {"single": scored(70.0)},
        "regression, test, 1 missing": {"single": scored(80.0)},
        "regression, test, 2 missing": {"single": scored(90.0)},
        "mdn, test, noise 0.03": {"kernels": scored(60.0), "weighted mean": scored(72.0), "apart": [5, 6, 40]},
        "mdn, test, 1 missing": {"kernels": scored(71.0)},
        "mdn, test, 2 missing": {"kernels": scored(82.0)},
        "mdn, test, ambiguous": {"apart": [9, 9, 30]},
        "curve": {
            "counts": [100, 500, 1000],
            "noise": {"best": [90, 89, 88]},
            "flow": {"best": [80, 75, 72]},
        },
    }
    of = relations.Results(found)
    assert relations.missing(of) == ("gap 0, 1, 2 missing: 10.0, 9.0, 8.0", True)
    assert relations.weighted(of) == ("72.0, regression 70.0", True)
    assert relations.apart(of)[1] is False  # less apart where joints are doubtful
    assert relations.noise(of) == ("88.0, flow 72.0; from 100 on 2.0, 8.0", True)
    assert relations.falling(of) == ("75.0 of 500, 72.0 of 1,000", True)
    assert relations.pair("propose-no-pagd", "best 200")(of) == ("60.0, 60.5", None)
    assert relations.pair("propose-no-pagd", "single")(of) == ("90.0, 80.0", False)
    assert relations.rising([1.0, 3.0, 2.0]) == ("1.0 < 3.0 < 2.0", False)
    lines = {line["row"]: line.get("holds") for line in relations.relation_lines(found)}
    assert len(lines) == sum(len(one) for one in relations.RELATIONS.values())
    assert lines["missing joints: as far below regression as without"] == "yes"
    assert lines["PAGD helps the best of 200"] == "even"
    assert lines["the prior helps rare actions most"] is None  # not measured


def test_figures_of_hypotheses_are_those_worked_out_by_hand():
    from lifting_papers_measure import each, scored, summed_up

    from vipe.evaluate.protocols.lifting import LiftingViews

    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, 17, 3)).astype(np.float32)
    truth -= truth[:, :1]
    poses = np.stack([truth, truth], axis=1)
    poses[0, 0, 1:, 2] += 0.034  # all but the pelvis: a mean of 32 mm over 17 joints
    poses[1, :, 1:, 2] += 0.017
    views = LiftingViews(people=None, truth=truth, clip=np.array(["a", "b"]), action=np.array(["walk", "run"]))
    found = scored(poses, views)
    assert found["error"] == pytest.approx((0 + 16) / 2, abs=1e-3)
    assert found["worst"] == pytest.approx((32 + 16) / 2, abs=1e-3)
    assert found["actions"] == pytest.approx({"run": 16.0, "walk": 0.0}, abs=1e-3)
    assert found["people"] == {"run": 1, "walk": 1}
    assert found["pck"] == 100
    assert summed_up(each(poses, truth), 1, views)["error"] == pytest.approx((32 + 16) / 2, abs=1e-3)  # the first ones
    assert found["interval"][0] < found["error"] < found["interval"][1]


def test_ordinal_ranking_is_that_of_the_library(clips, tmp_path):
    from lifting_papers_data import read_parts
    from lifting_papers_measure import NOISY, SHARPNESS, by_rank, photographed

    from vipe.lift.cvae import CVAE, CVAEConfig
    from vipe.lift.lifter import TrainedLifter
    from vipe.lift.ordinal import oracle_relations, predict_relations, rank_by_ordinal

    np.savez(tmp_path / "mine.npz", **arrays(clips))
    views = photographed(read_parts(tmp_path / "mine.npz", None)["test"], NOISY, 3)
    lifter = TrainedLifter(CVAE.untrained(CVAEConfig(width=32, latent=8), 0))
    drawn = lifter.sample(views.people, 200, torch.Generator().manual_seed(0))
    given = {"predicted": predict_relations(lifter, views.people), "true": oracle_relations(views.truth)}
    for kind, relations in given.items():
        made = by_rank(lifter, views, kind)
        for sharpness in SHARPNESS:
            expected = rank_by_ordinal(drawn, relations, sharpness).mean()
            np.testing.assert_allclose(made[sharpness][:, 0], expected, atol=1e-5)
