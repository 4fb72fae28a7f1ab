import json
import re

import numpy as np
import pytest

pytest.importorskip("jinja2")

from vipe.plots.pages.generated import Row, save_generated_page
from vipe.skeletons import load


def test_generated_poses_are_turned_so_that_the_given_one_faces_the_viewer(tmp_path, standing):
    h36m = load("h36m17")
    turned = standing @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], dtype=np.float32)  # a quarter turn about z
    poses = Row(label="", poses=turned[None], titles=["a"], notes=[""])
    save_generated_page(tmp_path / "page.html", "t", [poses], given=poses)
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', (tmp_path / "page.html").read_text(), re.S).group(1))
    for figure in figures:
        points = np.array(figure["points"])
        assert points[h36m.index("left_shoulder"), 0] > 0.05 > -0.05 > points[h36m.index("right_shoulder"), 0]
        assert points[h36m.index("nose"), 2] > points[h36m.index("head"), 2]  # towards the viewer
