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
from vipe.retrieve.archive_lifter import ArchiveLifter
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


@pytest.fixture
def asked_of_archives(monkeypatch):
    """Every call of an archive lifter: rows that it knew, and whom it lifted. It answers with the first it knows."""
    calls = []

    def sample(self, keypoints, n, generator):
        calls.append((self.rows, keypoints))
        first = self.index.poses(self.rows[:1]).astype(np.float32)
        return Guess(np.repeat(first, n, axis=0)).sample(keypoints, n, generator)

    monkeypatch.setattr(ArchiveLifter, "sample", sample)
    return calls


def test_an_archive_lifter_knows_nothing_of_what_a_gallery_leaves_out(archive, asked_of_archives):
    store, index = archive
    protocol = SearchProtocol(queries=6, conditions=CONDITIONS[1:2])
    report = evaluate_hypotheses(
        store, index, {"archive": ArchiveLifter(index)}, counts=(2,), modes=(), protocol=protocol
    )
    assert report.score("archive x 2", "noise 0.03", "4 s left out", 4.0) is not None
    study = SearchStudy.prepare(*archive, protocol, None, quiet)
    photos = study.photos(protocol.conditions[0], 4.0)
    wanted = {
        (row, gallery.rows_of(int(row), study.gallery).tobytes())
        for row in study.query
        for gallery in study.relevance.galleries
    }
    known = set()
    for rows, people in asked_of_archives:
        for xy in people.xy:
            (number,) = np.flatnonzero((photos.xy == xy).all(axis=(1, 2)))
            known.add((study.query[number], rows.tobytes()))
    assert known == wanted
    assert len({rows for _, rows in wanted}) > 3  # each gallery leaves out something else


def test_an_archive_of_other_clips_is_a_lifter_like_any_other(archive, asked_of_archives, tmp_path):
    store, _ = archive
    clips = [clip["clip"] for clip in store.clips()]
    other = PoseIndex.build(store, AffineSignature(), tmp_path / "other", where={"clip": clips[:1]})
    protocol = SearchProtocol(queries=6, conditions=CONDITIONS[1:2])
    evaluate_hypotheses(
        *archive,
        {"other": ArchiveLifter(other)},
        counts=(1, 2),
        modes=(),
        protocol=protocol,
        where={"clip": clips[1:]},
    )
    assert len(asked_of_archives) == 3  # all people once, and those that are timed at each number
    assert {len(rows) for rows, _ in asked_of_archives} == {len(other)}


@pytest.mark.refusal
def test_refuses_an_archive_lifter_that_holds_the_gallery_under_another_name(archive, tmp_path):
    store, index = archive
    copy = PoseIndex.build(store, AffineSignature(), tmp_path / "copy")
    with pytest.raises(VipeError, match=rf"lifter 'copy': its index .* holds {len(index):,} frames of the archive"):
        evaluate_hypotheses(*archive, {"copy": ArchiveLifter(copy)})


@pytest.mark.refusal
def test_refuses_no_lifter_and_no_count(archive):
    with pytest.raises(VipeError, match="no lifter; give at least one, such as 'default'"):
        evaluate_hypotheses(*archive, {})
    with pytest.raises(VipeError, match=r"counts must be at least 1, got \[0\]"):
        evaluate_hypotheses(*archive, {"guess": Guess(np.zeros((1, 17, 3)))}, counts=(0,))
