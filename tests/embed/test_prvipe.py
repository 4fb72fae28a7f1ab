import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.detections import Keypoints
from vipe.embed import Encoder
from vipe.embed.prvipe import PrVIPE, PrVIPEConfig, PrVIPENetwork, match_probability
from vipe.embed.prvipe_training import PrVIPETrainingConfig, mine_negatives, train_prvipe
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.evaluate.matchers import ProbabilityMatcher, find_matcher
from vipe.geometry.canonical import canonicalize
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.simulate import CameraRig, simulate_keypoints

NETWORK = PrVIPEConfig(width=32, dim=4, samples=6)
SHORT = PrVIPETrainingConfig(
    steps=24, batch=32, learning_rate=1e-2, record_every=4, validate_every=8, validation_rows=20
)


class Interrupt(Exception):
    pass


@pytest.fixture(scope="module")
def prvipe():
    network = PrVIPENetwork.untrained(NETWORK, seed=3)
    with torch.no_grad():
        network.net.output.weight *= 30  # an untrained one puts everybody at one place
    return PrVIPE(network, card="# A test")


@pytest.fixture
def people(bent, rng):
    return simulate_keypoints(bent(40, seed=1), CameraRig.load("h36m"), noise=0.0, generator=rng)


def test_probability_of_a_match_is_the_mean_over_all_pairs_of_samples():
    a, b = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0]])
    slope, offset = torch.tensor(0.5), torch.tensor(-0.25)
    expected = (torch.sigmoid(offset) + torch.sigmoid(-0.5 * torch.tensor(5.0) + offset)) / 2
    torch.testing.assert_close(match_probability(a, b, slope, offset), expected, atol=1e-6, rtol=0)


def test_the_slope_is_above_zero_whatever_is_trained(prvipe):
    network = PrVIPENetwork.untrained(NETWORK, seed=0)
    assert float(network.slope.detach()) == pytest.approx(0.522, abs=1e-3)  # the start of the paper's code
    with torch.no_grad():
        network.raw_slope.fill_(-9.0)
    assert float(network.slope.detach()) > 0


def test_candidates_are_ordered_by_sampled_probability_and_the_rest_by_their_means(prvipe, people):
    described = prvipe.describe(people)
    few = PrVIPE(prvipe.network, candidates=10)
    scores = few.compare(described[:7], described)
    mean, scale = torch.tensor(described).unbind(1)
    distance = torch.cdist(mean[:7].double(), mean.double())
    own, theirs = few._draws
    for i in range(7):
        nearest = distance[i].argsort()
        for rank, k in enumerate(nearest.tolist()):
            if rank < 10:
                samples, others = mean[i] + scale[i] * own, mean[k] + scale[k] * theirs
                expected = 1 + match_probability(samples, others, prvipe.network.slope, prvipe.network.offset)
            else:
                expected = -(distance[i, k] ** 2)
            assert scores[i, k] == pytest.approx(float(expected), rel=1e-3, abs=1e-4)
    assert (np.sort(scores, axis=1)[:, -10:] > 1).all()
    assert (np.sort(scores, axis=1)[:, :-10] <= 0).all()


def test_it_is_an_encoder_of_keypoints_and_of_nothing_else(prvipe, people, bent):
    assert isinstance(prvipe, Encoder)
    embedding = prvipe.encode_keypoints(people)
    assert embedding.shape == (40, 4)
    moved = Keypoints.of(people.xy * 3 + 50)
    np.testing.assert_allclose(prvipe.encode_keypoints(moved), embedding, atol=1e-4)
    np.testing.assert_allclose(prvipe.encode_keypoints(people[3:4]), embedding[3:4], atol=1e-5)
    with pytest.raises(VipeError, match="Pr-VIPE embeds keypoints only, so 2 poses have no embedding"):
        prvipe.encode_poses(bent(2, seed=1))


def test_a_person_at_one_point_is_refused(prvipe):
    with pytest.raises(ShapeError, match="person 0 cannot be embedded"):
        prvipe.encode_keypoints(Keypoints.of(np.full((1, 13, 2), 7.0)))


def test_saved_and_loaded_it_is_the_same(prvipe, people, tmp_path):
    prvipe.save(tmp_path / "model")
    again = PrVIPE.from_pretrained(tmp_path / "model")
    assert again.fingerprint == prvipe.fingerprint
    assert again.config == NETWORK
    np.testing.assert_array_equal(again.describe(people), prvipe.describe(people))
    matcher = find_matcher(tmp_path / "model", name="mine")
    assert isinstance(matcher, ProbabilityMatcher)
    assert matcher.name == "mine"
    described = matcher.describe(people)
    np.testing.assert_array_equal(matcher.compare(described[:3], described), prvipe.compare(described[:3], described))


def test_what_is_no_prvipe_is_refused(prvipe, embedder, tmp_path):
    embedder.save(tmp_path / "other")
    with pytest.raises(ReadError, match="is a 'v-vipe', expected a 'pr-vipe'"):
        PrVIPE.from_pretrained(tmp_path / "other")
    prvipe.save(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    header = json.loads(file.read_text())
    for config, message in (
        ({**header["config"], "depth": 3}, "unknown setting 'depth'"),
        ({**header["config"], "width": 0}, "width must be 1 to"),
        ({**header["config"], "dim": "four"}, "config: "),
    ):
        file.write_text(json.dumps({**header, "config": config}))
        with pytest.raises(ReadError, match=message):
            PrVIPE.from_pretrained(tmp_path / "model")


def test_a_negative_is_the_nearest_farther_view_of_another_pose(bent, generator):
    """The slow twin, by loops."""
    canonical = canonicalize(torch.from_numpy(bent(30, seed=1))).poses
    canonical[7] = canonical[3] + 0.001  # as good as the same pose: no mismatch of each other
    anchor, positive = torch.randn(2, 30, 3, generator=generator)
    rows, active = mine_negatives(anchor, positive, canonical, 0.1)
    for i in range(30):
        distance = (positive - anchor[i]).norm(dim=-1)
        allowed = [
            k
            for k in range(30)
            if distance[k] > distance[i] and float(procrustes_mpjpe(canonical[k], canonical[i])) >= 0.1
        ]
        looked = [k for k in distance.argsort().tolist() if distance[k] > distance[i]][:16]
        expected = [k for k in looked if k in allowed]
        assert bool(active[i]) == bool(expected)
        if expected:
            assert int(rows[i]) == expected[0]
    assert active.any()


def test_training_makes_views_of_a_pose_find_each_other(bent, tmp_path):
    config = replace(SHORT, steps=120, record_every=20, validate_every=60)
    few = np.tile(bent(12, seed=1), (5, 1, 1))
    train_prvipe(few, few, tmp_path / "model", network=replace(NETWORK, dropout=0.0), config=config)
    lines = [json.loads(line) for line in (tmp_path / "model" / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 40, 60, 80, 100, 120]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert {"ratio", "pairwise", "prior", "active"} <= lines[0].keys()
    assert lines[-1]["val_view_hit1"] > 0.3


def test_interrupted_and_resumed_it_ends_with_the_weights_of_a_run_without_interrupt(bent, tmp_path):
    arrays = bent(200, seed=1), bent(40, seed=2)

    def interrupt(stage, step, steps, metrics):
        if step == 12:
            raise Interrupt

    whole = train_prvipe(*arrays, tmp_path / "whole", network=NETWORK, config=SHORT, seed=5)
    with pytest.raises(Interrupt):
        train_prvipe(*arrays, tmp_path / "parts", network=NETWORK, config=SHORT, seed=5, progress=interrupt)
    resumed = train_prvipe(*arrays, tmp_path / "parts", network=NETWORK, config=SHORT, seed=5, data="bent bodies")
    assert resumed.fingerprint == whole.fingerprint
    assert "200 poses (bent bodies): 24 steps of 32 pairs" in resumed.card
    loaded = train_prvipe(*arrays, tmp_path / "parts", network=NETWORK, config=SHORT, seed=5)
    assert loaded.fingerprint == whole.fingerprint
    with pytest.raises(VipeError, match=r"was trained with training.ratio 2.0 \(now 3.0\)"):
        train_prvipe(*arrays, tmp_path / "parts", network=NETWORK, config=replace(SHORT, ratio=3.0), seed=5)


@pytest.mark.parametrize(
    "changes",
    [{"batch": 2}, {"steps": 0}, {"learning_rate": 0.0}, {"warmup": 2.0}, {"precision": "half"}, {"ratio": 1.0}],
    ids=str,
)
@pytest.mark.refusal
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(VipeError, match=f"training: .*{next(iter(changes))}"):
        replace(SHORT, **changes)


@pytest.mark.parametrize("changes", [{"dim": 0}, {"width": 0}, {"samples": 0}, {"dropout": 1.0}], ids=str)
def test_sizes_out_of_range_are_refused(changes):
    with pytest.raises(VipeError, match=f"Pr-VIPE: {next(iter(changes))}"):
        replace(NETWORK, **changes)
