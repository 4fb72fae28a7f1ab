import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.plots.pages.answers import Answer, RankedPose, save_answers


def test_answers_are_drawn_on_a_page_and_a_sheet(tmp_path, canonical, rng):
    def one(name, distance):
        return RankedPose(name=name, pose=canonical, camera=np.array([[1.0, 0, 0], [0, 0, -1]]), distance=distance)

    answer = Answer(
        title="walk at 1.0 s",
        xy=rng.normal(size=(13, 2)),
        mask=np.ones(13, dtype=bool),
        truth=canonical,
        truth_camera=np.array([[0.0, 1, 0], [0, 0, -1]]),
        found={"affine": [one("walk 1.1 s", 0.02), one("run 0.2 s", 0.3)], "raw 2D": []},
    )
    save_answers(tmp_path / "a.html", tmp_path / "a.png", "demo", [answer, answer])
    html = (tmp_path / "a.html").read_text()
    assert html.count("same pose") == html.count("another pose") == 2
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
