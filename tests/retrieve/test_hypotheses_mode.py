"""Mode "hypotheses": an archive is searched with what a lifter proposes, also for people of whom little is seen."""

from dataclasses import replace

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.errors import ArgumentError, VipeError
from vipe.index import PoseIndex
from vipe.lift import Hypotheses, Lifter
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore


class Knowing(Lifter):
    """Proposes a given pose of each person, told by how far right the nose is, and noise about it."""

    kind = "knowing"

    def __init__(self, people, poses):
        self.known = dict(zip(people.xy[:, 0, 0].tolist(), poses, strict=True))
        self.asked = 0

    def sample(self, keypoints, n, generator):
        self.asked = n
        poses = np.stack([self.known[float(xy[0, 0])] for xy in keypoints.xy])[:, None]
        noise = np.random.default_rng(generator.initial_seed()).normal(0, 0.02, (len(poses), n, 17, 3))
        return Hypotheses(
            poses=(poses + noise).astype(np.float32), log_weight=np.full((len(poses), n), -np.log(n), "f4")
        )

    def predict(self, keypoints):
        raise NotImplementedError

    def save(self, path, *, files=None, replace=False):
        raise NotImplementedError


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mode")
    store = PoseStore.create(folder / "s", synthesize(clips=6, fps=5.0, generator=np.random.default_rng(0)))
    return PoseIndex.build(store, AffineSignature(), folder / "index"), store.poses()


@pytest.fixture(scope="module")
def seen(archive):
    rows = np.array([5, 30, 60, 90])
    rig = CameraRig.load("mpi_inf_3dhp")
    return rows, simulate_keypoints(archive[1][rows], rig, noise=0.01, generator=np.random.default_rng(1))


def test_what_a_lifter_proposes_is_found(archive, seen):
    index, poses = archive
    rows, people = seen
    lifter = Knowing(people, poses[rows] - poses[rows][:, :1])
    hits = query(index, people, 5, mode="hypotheses", lifter=lifter, samples=7)
    assert (abs(hits.rows[:, 0] - rows) <= 1).all()  # the next frame, 0.2 s later, may be as near
    assert lifter.asked == 7
    assert (hits.probability[:, 0] > 0.5).all() and (np.diff(hits.probability) <= 0).all()
    assert (hits.presence >= hits.probability[:, 0] - 1e-6).all()
    assert {"probability", "distance"} <= set(hits.table().column_names)
    assert hits.fits is None and hits.contributions is None
    assert "presence" in hits.to_json(people)["queries"][0]


def test_four_seen_joints_are_enough_and_other_modes_say_how_many_they_need(archive, seen):
    index, people = archive[0], seen[1]
    mask = np.zeros((4, 13), dtype=bool)
    mask[:, [0, 1, 2, 3]] = True
    mask[3, 3] = False
    few = replace(people, mask=mask)
    hits = query(index, few, 3, mode="hypotheses")
    assert hits.skipped[:3] == (None,) * 3 and hits.found[:3].all() and not hits.found[3].any()
    assert hits.skipped[3] == "3 joints seen, at least 4 are needed"
    assert (hits.probability[:3, 0] < 0.5).all()
    assert query(index, few, 3, mode="affine").skipped[0] == "4 joints seen, at least 6 are needed"
    assert query(index, few, 3).skipped == (None, None, None, "3 joints seen, at least 4 are needed")


def test_a_person_gets_the_same_answer_alone_and_among_others(archive, seen):
    index, people = archive[0], seen[1]
    together = query(index, people, 4, mode="hypotheses")
    alone = query(index, people[2:3], 4, mode="hypotheses")
    np.testing.assert_array_equal(alone.rows[0], together.rows[2])
    other = query(index, people[2:3], 4, mode="hypotheses", seed=1)
    assert (other.probability != alone.probability).any()


def test_hits_keep_to_the_filter_and_differ_as_asked(archive, seen):
    index, people = archive[0], seen[1]
    names = index.frames()["clip"]
    hits = query(index, people, 4, mode="hypotheses", where={"clip": sorted(set(names))[:3]}, max_per_clip=1)
    for clips in hits.clip:
        found = [name for name in clips if name]
        assert len(found) == len(set(found)) == 3
    assert (hits.rows[:, 3] == -1).all() and (hits.probability[:, 3] == 0).all()


def test_nobody_gets_nothing(archive):
    nobody = Keypoints.of(np.zeros((1, 13, 2), dtype=np.float32))
    hits = query(archive[0], nobody, 3, mode="hypotheses")
    assert hits.skipped[0] == "0 joints seen, at least 4 are needed" and not hits.found.any()


@pytest.mark.refusal
def test_refuses_what_is_no_lifter_and_no_count(archive, seen):
    with pytest.raises(ArgumentError, match=r"lifter must be a Lifter, got str; see Lifter\.from_pretrained"):
        query(archive[0], seen[1], mode="hypotheses", lifter="default")
    with pytest.raises(VipeError, match="samples must be at least 1, got 0"):
        query(archive[0], seen[1], mode="hypotheses", samples=0)
