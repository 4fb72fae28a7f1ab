"""The lifting protocol, with lifters whose figures are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.clips import Clip
from vipe.errors import VipeError
from vipe.evaluate.protocols.lifting import (
    AMBIGUOUS,
    LIFT_CONDITIONS,
    LiftingProtocol,
    evaluate_lifting,
    simulate_lifting,
)
from vipe.geometry import REFERENCE_TORSO, bone_lengths, procrustes_mpjpe
from vipe.lift import Hypotheses, Lifter
from vipe.lift.condition import Condition as Conditioned
from vipe.skeletons import load
from vipe.store import PoseStore

BODY = load("h36m17")
NOISY = tuple(one for one in LIFT_CONDITIONS if one.name == "noise 0.03")
EXACT = tuple(one for one in LIFT_CONDITIONS if one.name == "ground truth")


@pytest.fixture(scope="module")
def store(tmp_path_factory, bent):
    clips = [
        Clip(name=f"clip {i}", skeleton=BODY, positions=bent(20, seed=i), fps=10.0, action="jump" if i else "walk")
        for i in range(4)
    ]
    return PoseStore.create(tmp_path_factory.mktemp("lifting") / "store", clips)


class Oracle(Lifter):
    """Knows the truth, and is off by normal errors of one spread, while it samples by another."""

    kind = "oracle"

    def __init__(self, truth, error=0.0, spread=0.01):
        noise = np.random.default_rng(0).normal(size=truth.shape) * error
        noise[:, 0] = 0
        self.center, self.deviation = truth + noise.astype(np.float32), spread

    def predict(self, keypoints):
        return self.center[: len(keypoints)]

    def sample(self, keypoints, n, generator):
        center = torch.from_numpy(self.center[: len(keypoints)])
        noise = torch.randn(len(center), n, 17, 3, generator=generator) * self.deviation
        noise[:, :, 0] = 0
        weight = np.full((len(center), n), -np.log(n), dtype=np.float32)
        return Hypotheses(poses=(center[:, None] + noise).numpy(), log_weight=weight)

    def save(self, path, *, files=None, replace=False):
        raise NotImplementedError


def views(store, condition, protocol):
    table = store.table(["clip", "action"])
    clip, action = (np.array(table[name].to_pylist()) for name in ("clip", "action"))
    return simulate_lifting(store.poses(), clip, action, condition, protocol)


def run(store, lifters, conditions=NOISY, **settings):
    protocol = LiftingProtocol(conditions=conditions, queries=80, draws=50, **settings)
    truth = views(store, conditions[0], protocol).truth
    return evaluate_lifting(store, {name: make(truth) for name, make in lifters.items()}, protocol=protocol)


def test_the_truth_is_the_pose_that_the_camera_sees(store):
    protocol = LiftingProtocol(conditions=EXACT, distance=300.0)
    seen = views(store, EXACT[0], protocol)
    assert not seen.truth[:, 0].any()
    lengths = bone_lengths(torch.from_numpy(seen.truth), BODY.parents).numpy()
    names = [BODY.joints[child] for _, child in BODY.bones]
    torso = lengths[:, names.index("spine")] + lengths[:, names.index("thorax")]
    np.testing.assert_allclose(torso, REFERENCE_TORSO, rtol=1e-5)
    poses = torch.from_numpy(store.poses())
    assert procrustes_mpjpe(torch.from_numpy(seen.truth), poses).max() < 1e-4
    # From far away an image is the pose's x and y.
    points = seen.truth[:, [BODY.index(joint) for joint in load("coco13").joints], :2]
    points = points - points.mean(axis=1, keepdims=True)
    xy = Conditioned.of(seen.people).xy.numpy()
    scale = (points * xy).sum(axis=(1, 2)) / (points**2).sum(axis=(1, 2))
    assert np.abs(scale[:, None, None] * points - xy).max() < 0.03


def test_an_oracle_makes_no_error_and_one_that_is_off_that_error(store):
    report = run(store, {"right": lambda truth: Oracle(truth, spread=0.001), "off": lambda t: Oracle(t, error=0.05)})
    right, off = (report.score(name, "noise 0.03") for name in ("right", "off"))
    assert right.single["predict"]["mean"] == pytest.approx(0, abs=1e-3)
    assert right.best[200]["mean"] < 1.6
    # The mean length of a normal vector in space is 1.596 of its spread; the pelvis, one joint of 17, is right.
    assert off.single["predict"]["mean"] == pytest.approx(50 * 1.596 * 16 / 17, rel=0.05)
    low, high = off.single["predict"]["low"], off.single["predict"]["high"]
    assert low < off.single["predict"]["mean"] < high
    assert off.best[200]["mean"] < off.best[5]["mean"] < off.best[1]["mean"] < off.worst


def test_calibration_tells_the_right_spread_from_a_wrong_one(store):
    report = run(
        store,
        {
            "right": lambda truth: Oracle(truth, error=0.05, spread=0.05),
            "narrow": lambda truth: Oracle(truth, error=0.05, spread=0.01),
            "wide": lambda truth: Oracle(truth, error=0.05, spread=0.2),
        },
    )
    right, narrow, wide = (report.score(name, "noise 0.03").calibration for name in ("right", "narrow", "wide"))
    assert right["ece"] < 0.05
    assert narrow["ece"] > 0.3
    assert narrow["area"] < -0.3
    assert wide["area"] > 0.3
    assert right["coverage"]["z"]["90%"] == pytest.approx(0.9, abs=0.05)
    assert narrow["coverage"]["z"]["90%"] < 0.4


def test_every_condition_has_the_same_cameras(store):
    protocol = LiftingProtocol()
    truths = [views(store, condition, protocol).truth for condition in protocol.conditions]
    for truth in truths[1:]:
        np.testing.assert_array_equal(truth, truths[0])


def test_ambiguous_people_have_one_or_two_doubtful_limb_joints_and_the_covariance_says_so(store):
    protocol = LiftingProtocol()
    usual, doubtful = (views(store, one, protocol).people for one in (NOISY[0], AMBIGUOUS))
    assert doubtful.mask.all()
    grown = doubtful.covariance[..., 0, 0] > 4 * usual.covariance[..., 0, 0]
    assert set(grown.sum(axis=1).tolist()) == {1, 2}
    assert not grown[:, [load("coco13").index(name) for name in ("nose", "left_hip", "right_shoulder")]].any()
    moved = np.linalg.norm(doubtful.xy - usual.xy, axis=-1)
    assert not moved[~grown].any()
    deviation = np.sqrt(doubtful.covariance[grown][:, 0, 0])
    assert np.mean(moved[grown] ** 2 / deviation**2) == pytest.approx(2, abs=0.7)


def test_what_a_detector_does_not_tell_the_lifter_does_not_get(store):
    told = views(store, NOISY[0], LiftingProtocol(observed="covariance")).people
    untold = views(store, NOISY[0], LiftingProtocol(observed="keypoints")).people
    assert told.covariance is not None
    assert untold.covariance is None
    np.testing.assert_array_equal(told.xy, untold.xy)


def test_a_rig_is_taken_by_its_name(store):
    random = views(store, EXACT[0], LiftingProtocol(conditions=EXACT)).truth
    rig = views(store, EXACT[0], LiftingProtocol(conditions=EXACT, rig="h36m")).truth
    assert np.abs(random - rig).max() > 0.1


def test_the_report_has_every_score_as_json_and_as_a_table(store):
    conditions = (NOISY[0], replace(NOISY[0], name="again"))
    report = run(store, {"one": Oracle, "two": lambda truth: Oracle(truth, error=0.02)}, conditions, samples=10)
    values = json.loads(json.dumps(report.to_json()))
    assert values["queries"] == 80
    assert values["clips"] == 4
    assert set(values["results"]) == {"one", "two"}
    score = values["results"]["two"]["again"]
    assert set(score["best"]) == {"1", "5", "10"}
    assert score["actions"]["walk"]["people"] == 20
    assert score["cost"]["parameters"] is None
    head, *rows = report.to_table()
    assert len(rows) == 4
    assert all(len(row) == len(head) for row in rows)
    assert head.index("ECE") > head.index("best 10")
    assert report.score("three", "again") is None


def test_settings_out_of_range_are_refused(store):
    for settings, message in (
        ({"queries": 0}, "queries must be at least 1"),
        ({"samples": 1}, "samples must be at least 2"),
        ({"conditions": ()}, "conditions must be at least one"),
        ({"observed": "all"}, "observed must be"),
    ):
        with pytest.raises(VipeError, match=message):
            LiftingProtocol(**settings)
    with pytest.raises(VipeError, match="no lifter to evaluate"):
        evaluate_lifting(store, {})
    with pytest.raises(VipeError, match="no frame is chosen"):
        evaluate_lifting(store, {"one": Oracle(np.zeros((1, 17, 3), np.float32))}, where={"clip": ["nowhere"]})
