"""`vipe index build`: a recipe by name or as a file of one's own."""

import json

import numpy as np
import pytest

from vipe import PoseStore
from vipe.clips import Clip
from vipe.skeletons import load


@pytest.fixture
def store(standing, rng, tmp_path):
    positions = (standing + rng.normal(0, 0.1, size=(30, 17, 3))).astype(np.float32)
    clip = Clip(name="a", skeleton=load("h36m17"), positions=positions, fps=10.0)
    return PoseStore.create(tmp_path / "store", [clip]).path


def test_a_recipe_is_taken_by_name_or_from_a_file(run, store, tmp_path):
    (tmp_path / "mine.toml").write_text('engine = "faiss_cpu"\ncode = "fp16"\nbeyond = 4\n')
    for recipe, name in (("int8", "int8"), (tmp_path / "mine.toml", "mine"), ("auto", "flat")):
        code, out, err = run("index", "build", store, "--out", tmp_path / name, "--recipe", recipe, "--json")
        assert code == 0, err
        assert json.loads(out)["recipe"] == name
        assert run("index", "verify", tmp_path / name)[0] == 0


def test_a_recipe_that_is_wrong_is_one_line_and_builds_nothing(run, store, tmp_path):
    (tmp_path / "mine.toml").write_text('engine = "faiss_cpu"\ncode = "fp16"\nbeyound = 4\n')
    code, out, err = run("index", "build", store, "--out", tmp_path / "index", "--recipe", tmp_path / "mine.toml")
    assert (code, out) == (2, "")
    line = err.splitlines()[-1]
    assert line.endswith("mine.toml: unknown key 'beyound'; expected engine, code, deeper, beyond, lists")
    assert not (tmp_path / "index").exists()
