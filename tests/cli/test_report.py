"""`--report`: one page of each command that measures, answers or reads; it works alone and tells no secrets."""

import html
import json
import re

import numpy as np
import pytest

import vipe.evaluate
from vipe.cli.app import main

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from plots.examples import calibration_report

FEW = ("--queries", 3, "--condition", "noise 0.03")


@pytest.fixture(scope="module")
def folder(once):
    """A store, an index of it, keypoints of its poses, and a small lifter; in the folder of somebody with a name."""
    from vipe import PoseStore
    from vipe.detections import write_coco_results
    from vipe.lift.presets import train
    from vipe.simulate import View, simulate_keypoints

    def build(folder):
        folder = folder / "ada lovelace"
        main(["synth", "--out", str(folder / "store"), "--minutes", "1", "--fps", "4", "--seed", "1"])
        main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
        poses = PoseStore.open(folder / "store").poses()
        train("regression", poses[::2], poses[1::8], folder / "lifter", steps=2)
        people = simulate_keypoints(
            poses[[5, 60]], View(name="v", azimuth=0.4, elevation=0.1), generator=np.random.default_rng(0)
        )
        write_coco_results(folder / "people.json", people)

    return once("reports", build) / "ada lovelace"


@pytest.fixture
def secret(monkeypatch):
    """The environment of somebody: none of its values may be on a page."""
    values = {"USER": "adalovelace", "LOGNAME": "adalovelace", "HOSTNAME": "ada-laptop", "SOME_TOKEN": "t0ps3cret"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return [*values.values(), "ada lovelace"]


def text_of(page, folder, secret):
    """The words of a page, after it is held against what no page may have."""
    content = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://|<link|<iframe|@import|\bfetch\(|XMLHttpRequest|WebSocket", content)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', content))
    for word in [*secret, str(folder), str(folder.parent), str(page.parent)]:
        assert word not in html.unescape(content), word
    return html.unescape(re.sub(r"<(script|style|svg).*?</\1>|<[^>]+>", " ", content, flags=re.DOTALL))


MEASURED = {
    "search": ((*FEW, "--mode", "affine"), 1, "Hit@1"),
    "calibration": (FEW, 2, "ECE"),
    "hypotheses": ((*FEW, "--mode", "affine", "--samples", 3, "--lifter", "{folder}/lifter"), 1, "Hit@1"),
    "lifting": ((*FEW, "--samples", 5, "--lifter", "{folder}/lifter"), 1, "ECE"),
    "retrieval": (("--poses", 12, "--rig", "h36m", "--condition", "noise 0.03"), 0, "Hit@1"),
}


@pytest.mark.parametrize("command", MEASURED)
def test_a_measurement_is_reported_with_table_pictures_protocol_and_command(
    command, folder, secret, run, tmp_path, monkeypatch
):
    options, pictures, column = MEASURED[command]
    options = [str(option).format(folder=folder) for option in options]
    if command == "calibration":  # slow, and tested beside its protocol
        monkeypatch.setattr(vipe.evaluate, "evaluate_calibration", lambda *_, **__: calibration_report())
    page = tmp_path / "report.html"
    code, out, _ = run("evaluate", command, folder / "store", *options, "--report", page, "--json")
    assert code == 0
    words = text_of(page, folder, secret)
    assert page.read_text().count('<svg viewBox="') == pictures
    assert column in words
    assert f"vipe evaluate {command} store" in words
    assert "seed" in words and "noise 0.03" in words
    assert set(json.loads(out)["protocol"]["conditions"]) == {"noise 0.03"}


def test_a_search_with_real_keypoints_is_reported(folder, secret, run, tmp_path, monkeypatch):
    """What is measured is tested beside the protocol; here its page."""
    from vipe.evaluate.protocols import real
    from vipe.evaluate.protocols.real import RealReport, RealScore

    score = RealScore(
        mode="full",
        camera="all",
        queries=9,
        hit={1: 0.5, 10: 0.8, 20: 0.9},
        interval=(0.4, 0.6),
        said=0.5,
        presence=0.7,
    )
    report = RealReport(clip="walk", rows=10, convention="coco", frames=9, left_out=1, scores=(score,))
    monkeypatch.setattr(real, "evaluate_real", lambda *_, **__: report)
    options = ("--clip", "walk", "--keypoints", folder / "people.json", "--index", folder / "index")
    code, _, _ = run("evaluate", "real", folder / "store", *options, "--report", tmp_path / "r.html")
    assert code == 0
    words = text_of(tmp_path / "r.html", folder, secret)
    assert "vipe evaluate real store --clip walk --keypoints people.json" in words
    assert re.search(r"convention\s+coco", words)


@pytest.mark.parametrize("option", ["--page", "--report"])
def test_answers_are_reported_under_either_name(option, folder, secret, run, tmp_path):
    commands = {
        "query": ("query", folder / "index", "--keypoints", folder / "people.json", "--k", 2, "--mode", "affine"),
        "lift": ("lift", folder / "people.json", "--lifter", folder / "lifter", "--samples", 4),
        "generate": (
            "generate",
            "--store",
            folder / "store",
            "--mode",
            "samples",
            "--count",
            2,
            "--out",
            tmp_path / option[2:],
        ),
    }
    for name, words in commands.items():
        code, _, err = run(*words, option, tmp_path / f"{name}.html")
        assert code == 0, err
        text_of(tmp_path / f"{name}.html", folder, secret)
        assert "<canvas data-figure" in (tmp_path / f"{name}.html").read_text()


def test_an_ingest_is_reported_with_what_was_skipped_how_fast_and_how_tall(folder, secret, run, tmp_path, standing):
    motion = tmp_path / "ada lovelace" / "walks"
    motion.mkdir(parents=True)
    code, _, _ = run("show", folder / "store", _first_clip(folder), "--export", motion / "walk.bvh")
    assert code == 0
    (motion / "broken.bvh").write_text("nothing")
    page = tmp_path / "ingest.html"
    code, out, _ = run("ingest", motion, "--out", tmp_path / "new", "--skip-bad", "--report", page, "--json")
    assert code == 0
    words = " ".join(text_of(page, folder, secret).split())
    assert len(json.loads(out)["skipped"]) == 1
    assert "Skipped: 1" in words and re.search(r"broken\.bvh:?1?: ", words)
    assert "vipe ingest walks --out new --skip-bad --report ingest.html" in words
    assert "fastest, m/s" in words and "None is faster than 15 m/s" in words
    assert "height, m" in words and "licence not told" in words
    assert page.read_text().count("<canvas data-figure") >= 5


def test_a_report_that_cannot_be_written_is_refused_before_any_work(folder, run, tmp_path):
    (tmp_path / "file").write_text("x")
    for words in (
        ("evaluate", "search", folder / "store"),
        ("evaluate", "lifting", folder / "store"),
        ("ingest", folder / "store", "--out", tmp_path / "new"),
    ):
        for name, reason in (("r.pdf", "ends in .html"), ("file/r.html", "file")):
            code, out, err = run(*words, "--report", tmp_path / name)
            assert (code, out) == (2, "")
            assert reason in err and err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def _first_clip(folder):
    from vipe import PoseStore

    return PoseStore.open(folder / "store").clips()[0]["clip"]
