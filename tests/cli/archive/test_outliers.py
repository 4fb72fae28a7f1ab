"""`vipe store outliers`: what it lists, draws and refuses."""

import json

import numpy as np
import pytest

from vipe.clips import Clip
from vipe.lift.ppca.prior.repairs import EXCHANGES
from vipe.simulate.motion import synthesize
from vipe.skeletons.working import H36M17
from vipe.store import PoseStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one frame whose legs are exchanged, and one whose head slipped."""
    clips = [one.to(H36M17) for one in synthesize(minutes=1.2, fps=20.0, generator=np.random.default_rng(2))]
    positions = [clip.positions.copy() for clip in clips]
    positions[0][5] = positions[0][5][list(EXCHANGES["legs"])]
    positions[0][12, H36M17.index("head")] += [0.5, 0.6, 0.2]
    made = (
        Clip(name=clip.name, skeleton=H36M17, positions=one, fps=20.0)
        for clip, one in zip(clips, positions, strict=True)
    )
    return PoseStore.create(tmp_path_factory.mktemp("cli") / "store", made)


def test_broken_frames_are_listed_and_drawn(store, run, tmp_path):
    picture = tmp_path / "worst.png"
    code, out, err = run("store", "outliers", store.path, "--picture", picture, "--json")
    said = json.loads(out)
    assert code == 0
    assert "alignment" in err and "rows" in err  # its progress
    name = store.clips()[0]["clip"]
    told = {(one["clip"], one["frame"]): one for one in said["frames"]}
    assert told[name, 5]["reason"] == "legs left for right"
    assert {"left_hip", "right_ankle"} < set(told[name, 5]["joints"])
    assert told[name, 12]["reason"] == "head slipped"
    assert told[name, 12]["joints"] == ["head"]
    assert said["rows"] == len(store)
    assert said["impossible"] == len(said["frames"]) < 10
    assert picture.is_file()


def test_people_read_a_table_and_a_prior_may_be_given(store, run, tmp_path, ppca_folder):
    code, out, _ = run("store", "outliers", store.path, "--prior", ppca_folder, "--most", 1)
    assert code == 0
    assert "cannot be" in out and "reason" in out


@pytest.fixture(scope="module")
def ppca_folder(store, tmp_path_factory):
    from vipe.lift.ppca.prior.outliers import prior_of_store

    folder = tmp_path_factory.mktemp("prior") / "model"
    prior_of_store(store).save(folder)
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prior", "nowhere"], "nowhere"),
        (["--prior", "default"], "is a lifter of kind"),
        (["--most", "0"], "--most"),
        (["--picture", "worst.txt"], "worst.txt"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(store, run, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("store", "outliers", store.path, *options)
    assert (code, out) == (2, "")
    assert message in err.strip().splitlines()[-1]
    assert not list(tmp_path.iterdir())
