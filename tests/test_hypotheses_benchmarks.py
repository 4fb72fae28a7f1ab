"""The figures beside what hypotheses find: each lifter is held against its own, and the picture has them all."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import hypotheses_picture
    import hypothesis_correlation

    return hypotheses_picture, hypothesis_correlation


def found(rates):
    """What `vipe evaluate hypotheses` prints: Hit@1 by search, under two conditions."""
    conditions = ("noise 0.03", "legs out")
    results = {
        search: {
            "4 m": {
                name: {"4 s left out": {"hit": {"0.1": {"1": rate}}}}
                for name, rate in zip(conditions, own, strict=True)
            }
        }
        for search, own in rates.items()
    }
    return {"report": {"protocol": {"modes": list(rates), "conditions": conditions}, "results": results}}


def lifted(errors):
    """What `vipe evaluate lifting` prints: one error for all figures, by lifter."""

    def score(error):
        best = {count: {"mean": error} for count in ("1", "5", "200")}
        return {"calibration": {"ece": error}, "best": best, "single": {"predict": {"mean": error}}, "energy": error}

    results = {
        name: dict(zip(("noise 0.03", "legs out"), map(score, own), strict=True)) for name, own in errors.items()
    }
    return {"protocol": {"samples": 200}, "results": results}


def written(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return [folder / f"{name}.json" for name in files]


def test_a_lifter_is_held_against_its_own_figures_and_the_gallery_against_none(scripts, tmp_path, monkeypatch):
    _, correlation = scripts
    some = {"one x 200": (0.6, 0.3), "one x 5": (0.0, 0.0), "two x 200": (0.4, 0.2), "full": (0.9, 0.9)}
    files = written(
        tmp_path,
        some=found(some),
        more=found({"archive x 200": (1.0, 0.0), "archive of train x 200": (0.5, 0.25)}),
        errors=lifted({"models/one": (10, 30), "two": (35, 60), "archive": (20, 50)}),
    )
    monkeypatch.setattr(sys, "argv", ["script", *map(str, files), "--out", str(tmp_path)])
    correlation.main()
    made = json.loads((tmp_path / "hypothesis_correlation.json").read_text())
    assert made["command"].endswith("some.json more.json errors.json")
    assert {(row[1], row[3]) for row in made["rows"]} == {(6, 1.0)}  # a smaller error finds more, in each condition
    assert all(0.8 < row[2] < 1 for row in made["rows"])


def test_files_without_a_lifter_in_common_are_refused(scripts, tmp_path, monkeypatch, capsys):
    files = written(tmp_path, some=found({"one x 200": (0.6, 0.3)}), errors=lifted({"two": (30, 60)}))
    monkeypatch.setattr(sys, "argv", ["script", *map(str, files), "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        scripts[1].main()
    assert "no lifter with 200 hypotheses is in a file of either kind" in capsys.readouterr().err


def test_the_picture_has_every_search_and_the_best_first(scripts, tmp_path, monkeypatch):
    picture, _ = scripts
    real = {"columns": {"mode": None, "detections": None, "cameras": None, "Hit@1": 1}}
    written(
        tmp_path,
        hypotheses_cmu=found(
            {
                "one x 1": (0.1, 0.1),
                "one x 200": (0.6, 0.3),
                "ppca x 200": (0.2, 0.1),
                "affine": (0.7, 0.3),
                "full": (0.9, 0.9),
            }
        ),
        real_views_hypotheses=real
        | {"rows": [["full", "openpose", "1+2", 80.0], ["one x 200", "openpose", "1+2", 9.0]]},
    )
    drawn = []
    monkeypatch.setattr(picture.Figure, "savefig", lambda self, path, **_: drawn.append((self, path)))
    monkeypatch.setattr(sys, "argv", ["script", "--results", str(tmp_path)])
    picture.main()
    ((canvas, path),) = drawn
    assert path == tmp_path / "hypotheses.png"
    left, right = canvas.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["mode full", "mode affine", "one", "ppca"]
    assert [label.get_text() for label in left.get_xticklabels()] == ["noise 0.03", "legs out", "openpose, 1+2"]
    assert [text.get_text() for text in left.texts] == ["90", "90", "80", "70", "30", "60", "30", "9", "20", "10"]
    assert {"one", "mode full", "mode affine"} == {text.get_text() for text in right.texts}
