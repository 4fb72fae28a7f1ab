"""Lifters are scored by what their hypotheses find, with as many of their draws as asked and without the truth."""

import numpy as np
import pytest

from vipe.embed import AffineSignature
from vipe.errors import VipeError
from vipe.evaluate import CONDITIONS, SearchProtocol, evaluate_hypotheses, pose_distance
from vipe.evaluate.protocols.search import SearchStudy
from vipe.evaluate.study import quiet
from vipe.index import PoseIndex
from vipe.lift import Hypotheses, Lifter
from vipe.retrieve.candidates.hypotheses import near_hypotheses
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore


class Guess(Lifter):
    """Proposes one pose after another of a list, whoever is seen."""

    kind = "guess"

    def __init__(self, poses):
        self.poses, self.calls = poses, 0

    def sample(self, keypoints, n, generator):
        del generator
        self.calls += 1
        poses = np.broadcast_to(self.poses[:n], (len(keypoints), n, 17, 3)).astype(np.float32)
        return Hypotheses(poses=poses, log_weight=np.full((len(keypoints), n), -np.log(n), dtype=np.float32))

    def predict(self, keypoints):
        raise NotImplementedError

    def save(self, path, *, files=None, replace=False):
        raise NotImplementedError


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hypotheses")
    store = PoseStore.create(folder / "s", synthesize(clips=5, fps=5.0, generator=np.random.default_rng(0)))
    return store, PoseIndex.build(store, AffineSignature(), folder / "index")


@pytest.fixture
def measured(archive):
    store, index = archive
    poses = store.poses()[::9][:4]
    lifter = Guess(poses - poses[:, :1])
    protocol = SearchProtocol(queries=20, conditions=CONDITIONS[1:2])
    report = evaluate_hypotheses(store, index, {"guess": lifter}, counts=(1, 4), modes=("affine",), protocol=protocol)
    return report, lifter, protocol


def test_each_number_of_hypotheses_and_each_mode_has_a_row(measured):
    report, lifter, protocol = measured
    assert report.protocol["modes"] == ("guess x 1", "guess x 4", "affine")
    names = {score.search for score in report.scores}
    assert names == {"guess x 1", "guess x 4", "affine", "raw 2D", "chance"}
    assert lifter.calls <= 2 * len(protocol.conditions) * 2  # a draw for all people, and one for those that are timed


@pytest.mark.parametrize("count", [1, 4])
def test_scores_are_those_of_a_search_with_the_first_draws(archive, measured, count):
    report, lifter, protocol = measured
    index = archive[1]
    study = SearchStudy.prepare(*archive, protocol, None, quiet)
    first = near_hypotheses(index, lifter.sample(range(1), count, None), 20, study.gallery).rows  # whoever is seen
    near = pose_distance(index.canonical[first], index.canonical[study.query][:, None]) < 0.1
    score = report.score(f"guess x {count}", "noise 0.03", "whole gallery", 4.0)
    for k in (1, 10, 20):
        assert score.hit[0.1][k] == pytest.approx(near[:, :k].any(axis=1).mean())
    assert score.hit[0.1][20] > 0


def test_an_index_too_large_for_a_score_of_each_pose_is_scored_too(archive, measured, monkeypatch):
    report, lifter, protocol = measured
    monkeypatch.setattr("vipe.evaluate.protocols.hypotheses.EXACT", 10)
    again = evaluate_hypotheses(*archive, {"guess": lifter}, counts=(1,), modes=(), protocol=protocol)
    for gallery in ("whole gallery", "4 s left out"):
        one, other = (found.score("guess x 1", "noise 0.03", gallery, 4.0) for found in (report, again))
        assert one.hit == other.hit


def test_more_hypotheses_change_the_ranking(measured):
    report = measured[0]
    one, four = (report.score(f"guess x {n}", "noise 0.03", "whole gallery", 4.0) for n in (1, 4))
    assert one.error != four.error or one.hit != four.hit


@pytest.mark.refusal
def test_refuses_no_lifter_and_no_count(archive):
    with pytest.raises(VipeError, match="no lifter; give at least one, such as 'default'"):
        evaluate_hypotheses(*archive, {})
    with pytest.raises(VipeError, match=r"counts must be at least 1, got \[0\]"):
        evaluate_hypotheses(*archive, {"guess": Guess(np.zeros((1, 17, 3)))}, counts=(0,))
