"""What the fusion learns: how far to trust further images, and how much surer they make."""

from dataclasses import replace

import numpy as np
import pytest

from vipe.retrieve.ranking.features import CandidateFeatures
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.sequences.fusion import SequenceEvidence
from vipe.retrieve.sequences.training import CAMERAS_POWERS, FRAMES_POWERS, FusionExample, fit_fusion

MODEL = RankingModel.default()
MOMENTS = 12


@pytest.fixture
def make(rng):
    """Three queries of one kind; other images prefer moment 1, and the true pose lies where `distance` says."""

    def examples(*, track, distance, absent=False, images=4.0):
        kind = []
        for _ in range(3):
            values = np.tile(np.array(MODEL.near.ranking.mean, dtype=np.float32), (1, MOMENTS, 1))
            other = np.where(np.arange(MOMENTS) == 1, 0.0, -40.0)
            silent = np.zeros(MOMENTS)
            evidence = SequenceEvidence(
                current=CandidateFeatures(
                    values=values + rng.normal(0, 1e-3, size=values.shape).astype(np.float32),
                    person=np.array([MODEL.presence.mean], dtype=np.float32),
                    share=np.full((1, MOMENTS), 1 / MOMENTS, dtype=np.float32),
                    distance=np.where(np.eye(MOMENTS, dtype=bool), 0, 0.5).astype(np.float32)[None],
                    evidence=np.zeros(1, np.float32),
                ),
                cameras=silent
                if track
                else other / 5,  # the lowest power does not outweigh the favourite, the next does
                frames=other if track else silent,
                images=images,
            )
            kind.append(
                FusionExample(
                    group=(track,),
                    track=track,
                    evidence=evidence,
                    distance=np.asarray(distance, dtype=float),
                    present=True,
                    absent=absent,
                    single=0.2,
                )
            )
        return kind

    return examples


def only(moment, distance):
    return np.where(np.arange(MOMENTS) == moment, distance, 0.4)


def test_misleading_images_get_little_power_and_right_ones_more(make):
    wrong = [with_favourite(one, 0) for track in (True, False) for one in make(track=track, distance=only(0, 0.02))]
    right = [with_favourite(one, 0) for track in (True, False) for one in make(track=track, distance=only(1, 0.02))]
    cautious, trusting = fit_fusion(wrong, MODEL, "for tests"), fit_fusion(right, MODEL, "for tests")
    assert (cautious.frames, cautious.cameras) == (FRAMES_POWERS[0], CAMERAS_POWERS[0])
    assert trusting.frames > cautious.frames and trusting.cameras > cautious.cameras
    assert trusting.made == "for tests"


def test_power_comes_from_queries_that_can_be_found(make):
    right = [with_favourite(one, 0) for track in (True, False) for one in make(track=track, distance=only(1, 0.02))]
    lost = [
        replace(with_favourite(one, 0), group=("lost", track))
        for track in (True, False)
        for one in make(track=track, distance=only(0, 0.02), absent=True)
    ]
    fusion, expected = fit_fusion(right + lost, MODEL, ""), fit_fusion(right, MODEL, "")
    assert (fusion.frames, fusion.cameras) == (expected.frames, expected.cameras)
    gone = [replace(one, absent=False, present=False) for one in lost]
    fusion = fit_fusion(right + gone, MODEL, "")
    assert (fusion.frames, fusion.cameras) == (expected.frames, expected.cameras)


def test_each_probability_learns_at_its_own_threshold(make):
    between = np.full(MOMENTS, 0.07)  # all within 0.1, none within 0.05
    fusion = fit_fusion([*make(track=True, distance=between), *make(track=False, distance=between)], MODEL, "")
    for changes in (fusion.of_tracks, fusion.of_views):
        assert at_zero(changes.near) > 0 > at_zero(changes.close)
        assert changes.presence(np.array(0.0), 4.0) > 0


def test_tracks_and_views_learn_apart_and_absent_poses_make_less_sure(make):
    here, gone = np.full(MOMENTS, 0.02), np.full(MOMENTS, 0.4)
    views = make(track=False, distance=here)
    found = make(track=True, distance=here)
    lost = make(track=True, distance=gone, absent=True)
    fusion = fit_fusion([*found, *lost, *lost, *lost, *views], MODEL, "")
    assert at_zero(fusion.of_tracks.presence) < at_zero(fusion.of_views.presence)
    assert at_zero(fusion.of_tracks.near) < at_zero(fusion.of_views.near)
    assert fusion.of_views.near.slope >= -0.5  # more images do not turn the log odds around


def at_zero(change):
    return float(change(np.array(0.0), 4.0))


def with_favourite(example, moment):
    """The image itself prefers this moment: its values are moved up the model's own gradient."""
    current = example.evidence.current
    values = current.values.copy()
    slope = np.array(MODEL.near.ranking.coefficient) / np.array(MODEL.near.ranking.scale)
    values[0, moment] += (3.0 * slope / (slope @ slope)).astype(np.float32)
    return replace(example, evidence=replace(example.evidence, current=replace(current, values=values)))
