"""What every lifter promises."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.detections import Keypoints
from vipe.errors import ReadError, ShapeError, SkeletonError, VipeError
from vipe.geometry import REFERENCE_TORSO
from vipe.lift import Lifter
from vipe.lift.condition import Condition
from vipe.lift.lifter import TrainedLifter
from vipe.lift.registry import NETWORKS
from vipe.skeletons import load


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


def torso(poses):
    body = load("h36m17")
    pelvis, spine, thorax = (poses[..., body.index(name), :] for name in ("pelvis", "spine", "thorax"))
    return np.linalg.norm(spine - pelvis, axis=-1) + np.linalg.norm(thorax - spine, axis=-1)


def test_it_gives_as_many_poses_as_asked_with_the_pelvis_at_the_origin(lifter, people):
    found = lifter.sample(people, 5, seeded())
    assert found.poses.shape == (12, 5, 17, 3)
    assert found.poses.dtype == np.float32
    assert np.isfinite(found.poses).all()
    assert not found.poses[:, :, 0].any()
    np.testing.assert_allclose(found.weight.sum(axis=1), 1, atol=1e-6)
    single = lifter.predict(people)
    assert single.shape == (12, 17, 3)
    assert not single[:, 0].any()


def test_the_generator_alone_decides(lifter, people):
    before = torch.get_rng_state()
    first, second = (lifter.sample(people, 6, seeded()).poses for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    if lifter.kind != "regression":
        assert np.abs(lifter.sample(people, 6, seeded(8)).poses - first).max() > 1e-3


def test_the_single_pose_takes_no_draw(lifter, people):
    before = torch.get_rng_state()
    np.testing.assert_array_equal(lifter.predict(people), lifter.predict(people))
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_of_one_person_differ(lifter, people):
    poses = lifter.sample(people, 50, seeded()).poses
    apart = np.ptp(poses, axis=1).max(axis=(1, 2))
    assert (apart == 0).all() if lifter.kind == "regression" else (apart > 1e-3).all()


def test_a_person_alone_gets_the_pose_it_gets_among_others(lifter, people):
    single = lifter.predict(people)
    for row in (0, 5):
        np.testing.assert_allclose(lifter.predict(people[row : row + 1])[0], single[row], atol=1e-5)
    drawn = lifter.sample(people[:1], 4, seeded()).poses
    again = lifter.sample(Keypoints.concat([people[:1]]), 4, seeded()).poses
    np.testing.assert_array_equal(drawn, again)


def test_values_of_missing_joints_change_nothing(lifter, people):
    clean = Condition.of(people)
    hidden = ~clean.seen
    xy, covariance = clean.xy.clone(), clean.covariance.clone()
    xy[hidden] = torch.randn(int(hidden.sum()), 2, generator=seeded())
    covariance[hidden] = torch.eye(2)
    filled = replace(clean, xy=xy, covariance=covariance)
    assert hidden.any()
    with torch.inference_mode():
        assert torch.equal(lifter.model.predict(filled), lifter.model.predict(clean))
        drawn = [lifter.model.sample(one, 3, seeded()).poses for one in (filled, clean)]
    assert torch.equal(*drawn)


def test_place_and_size_in_the_image_change_nothing(lifter, people):
    covariance = people.covariance * 9
    moved = replace(Keypoints.of(people.xy * 3 + 700, people.mask), covariance=covariance)
    np.testing.assert_allclose(lifter.predict(moved), lifter.predict(people), atol=2e-4)


def test_a_missing_joint_and_its_covariance_matter(lifter, people):
    single = lifter.predict(people)
    sure = lifter.predict(replace(people, covariance=people.covariance * 100))
    untold = lifter.predict(replace(people, covariance=None))
    assert np.abs(sure - single).max() > 1e-4
    assert np.abs(untold - single).max() > 1e-4
    seen = people.mask.copy()
    seen[:, 0] = False
    assert np.abs(lifter.predict(replace(people, mask=seen)) - single).max() > 1e-3


def test_saved_and_loaded_it_says_the_same(lifter, people, tmp_path):
    lifter.save(tmp_path / "model", files={"history.jsonl": "{}\n"})
    again = Lifter.from_pretrained(tmp_path / "model")
    assert again.kind == lifter.kind
    assert (tmp_path / "model" / "card.md").read_text() == "# A test\n"
    assert (tmp_path / "model" / "history.jsonl").read_text() == "{}\n"
    np.testing.assert_array_equal(again.predict(people), lifter.predict(people))
    np.testing.assert_array_equal(again.sample(people, 3, seeded()).poses, lifter.sample(people, 3, seeded()).poses)


def test_rounded_it_takes_half_the_space_and_says_almost_the_same(lifter, people, tmp_path):
    if lifter.kind == "ppca":
        return
    lifter.save(tmp_path / "whole")
    lifter.rounded().save(tmp_path / "half")
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    half = Lifter.from_pretrained(tmp_path / "half")
    np.testing.assert_allclose(half.predict(people), lifter.predict(people), atol=0.02)


def test_nobody_gives_nothing(lifter, people):
    nobody = people[:0]
    assert lifter.sample(nobody, 4, seeded()).poses.shape == (0, 4, 17, 3)
    assert lifter.predict(nobody).shape == (0, 17, 3)


def test_many_people_are_lifted_in_blocks(lifter, people, monkeypatch):
    monkeypatch.setattr("vipe.lift.lifter._MOST_POSES", 10)
    found = lifter.sample(people, 4, seeded())
    assert found.poses.shape == (12, 4, 17, 3)
    assert found.log_weight.shape == (12, 4)


def test_a_density_is_given_or_refused(lifter, people):
    poses = lifter.sample(people, 4, seeded()).poses
    if not lifter.has_density:
        with pytest.raises(VipeError, match="no tractable density"):
            lifter.log_prob(people, poses)
        return
    said = lifter.log_prob(people, poses)
    assert said.shape == (12, 4)
    assert np.isfinite(said).all()
    np.testing.assert_allclose(lifter.log_prob(people[2:3], poses[2:3])[0], said[2], atol=2e-3)
    np.testing.assert_allclose(lifter.log_prob(people, 3 * poses + 1), said, atol=2e-2)  # neither place nor size


def test_the_density_of_a_sample_comes_with_it(lifter, people):
    found = lifter.sample(people, 4, seeded())
    if lifter.has_density and lifter.kind != "mdn":
        np.testing.assert_allclose(lifter.log_prob(people, found.poses), found.log_density, atol=5e-2)


def test_bones_are_as_long_in_every_hypothesis_where_a_lifter_has_a_body(lifter, people):
    if lifter.kind != "bone-flow":
        return
    found = lifter.sample(people, 8, seeded()).poses
    body = load("h36m17")
    lengths = np.stack([np.linalg.norm(found[..., c, :] - found[..., p, :], axis=-1) for p, c in body.bones], axis=-1)
    assert (lengths > 0).all()
    assert np.ptp(lengths, axis=1).max() < 1e-6
    np.testing.assert_allclose(torso(found), REFERENCE_TORSO, atol=1e-5)
    np.testing.assert_allclose(torso(lifter.predict(people)), REFERENCE_TORSO, atol=1e-5)


def test_canonical_hypotheses_have_the_reference_bones(lifter, people):
    if lifter.kind == "regression":
        return
    canonical = lifter.sample(people, 3, seeded()).canonical()
    assert canonical.poses.shape == (12, 3, 17, 3)
    np.testing.assert_allclose(torso(canonical.poses), 1, atol=1e-4)


@pytest.mark.refusal
def test_what_cannot_be_lifted_is_refused_in_one_line(lifter, people):
    few = people.mask.copy()
    few[3, 3:] = False
    with pytest.raises(ShapeError, match=r"person 3 cannot be lifted: it has . seen keypoints, expected 4 or more"):
        lifter.sample(replace(people, mask=few), 4, seeded())
    with pytest.raises(ShapeError, match="person 3"):
        lifter.predict(replace(people, mask=few))
    with pytest.raises(VipeError, match="n must be at least 1, got 0"):
        lifter.sample(people, 0, seeded())
    with pytest.raises(VipeError, match=r"generator must be a torch\.Generator, got Generator"):
        lifter.sample(people, 4, np.random.default_rng(0))
    with pytest.raises((SkeletonError, ShapeError)):
        lifter.predict(replace(people, skeleton=load("h36m17")))
    if lifter.has_density:
        with pytest.raises(ShapeError, match=r"poses must be \(12, M, 17, 3\)"):
            lifter.log_prob(people, np.zeros((3, 2, 17, 3), np.float32))


@pytest.mark.refusal
def test_a_folder_of_something_else_is_refused(lifter, embedder, tmp_path):
    embedder.save(tmp_path / "embedder")
    with pytest.raises(ReadError, match="is a 'v-vipe'; lifters are"):
        Lifter.from_pretrained(tmp_path / "embedder")
    lifter.save(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    header = json.loads(config.read_text())
    del header["settings"]  # as of earlier versions, so that nothing tells that it was altered
    number = "width" if "width" in header["config"] else "angles"
    for changed, message in (
        ({"config": {**header["config"], "unheard": 1}}, "unknown setting 'unheard'"),
        ({"config": {**header["config"], number: "wide"}}, "config.json: config:"),
    ):
        config.write_text(json.dumps({**header, **changed}))
        with pytest.raises(ReadError, match=message):
            Lifter.from_pretrained(tmp_path / "model")


def test_every_kind_is_loaded_by_its_name(lifter, tmp_path):
    assert lifter.kind == "ppca" or NETWORKS[lifter.kind].kind == lifter.kind
    lifter.save(tmp_path / "model")
    assert isinstance(TrainedLifter.from_pretrained(tmp_path / "model"), TrainedLifter)
    with pytest.raises(ReadError, match="no trained model 'nowhere'"):
        Lifter.from_pretrained("nowhere")
