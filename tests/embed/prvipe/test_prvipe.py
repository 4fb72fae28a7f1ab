import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed.prvipe import training
from vipe.embed.prvipe.losses import Weights, match_probability, mine_negatives, prior, prvipe_losses, triplet_ratio
from vipe.embed.prvipe.network import PrVIPE, PrVIPEConfig, PrVIPENetwork, by_trunk
from vipe.embed.prvipe.training import PrVIPETraining, PrVIPETrainingConfig, train_prvipe
from vipe.errors import VipeError
from vipe.evaluate.baselines.matchers import ProbabilityMatcher, find_matcher
from vipe.geometry.canonical import canonicalize
from vipe.geometry.procrustes import procrustes_mpjpe
from vipe.skeletons import load
from vipe.training.people import People

NETWORK = PrVIPEConfig(width=32, dim=4, samples=6)
SHORT = PrVIPETrainingConfig(
    steps=24, batch=32, learning_rate=1e-2, record_every=4, validate_every=8, validation_rows=20
)


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
    few = PrVIPE(prvipe.model, candidates=10)
    scores = few.compare(described[:7], described)
    mean, scale = torch.tensor(described).unbind(1)
    distance = torch.cdist(mean[:7].double(), mean.double())
    own, theirs = few._draws
    for i in range(7):
        nearest = distance[i].argsort()
        for rank, k in enumerate(nearest.tolist()):
            if rank < 10:
                samples, others = mean[i] + scale[i] * own, mean[k] + scale[k] * theirs
                expected = 1 + match_probability(samples, others, prvipe.model.slope, prvipe.model.offset)
            else:
                expected = -(distance[i, k] ** 2)
            assert scores[i, k] == pytest.approx(float(expected), rel=1e-3, abs=1e-4)
    assert (np.sort(scores, axis=1)[:, -10:] > 1).all()
    assert (np.sort(scores, axis=1)[:, :-10] <= 0).all()


def test_an_embedding_is_the_mean_of_what_is_described_and_poses_have_none(prvipe, people, poses):
    described = prvipe.describe(people)
    assert described.shape == (60, 2, 4)
    assert (described[:, 1] > 0).all()
    np.testing.assert_array_equal(prvipe.encode_keypoints(people), described[:, 0])
    with pytest.raises(VipeError, match="Pr-VIPE embeds keypoints only, so 60 poses have no embedding"):
        prvipe.encode_poses(poses)


def test_people_are_compared_in_any_number_and_nobody_is_nobody(prvipe, people):
    described = prvipe.describe(people)
    together = prvipe.compare(described, described)
    np.testing.assert_allclose(prvipe.compare(described[3:4], described), together[3:4], atol=1e-5)
    assert prvipe.compare(described[:0], described).shape == (0, 60)
    assert prvipe.compare(described, described[:0]).shape == (60, 0)


def test_loaded_it_compares_as_before(prvipe, people, tmp_path):
    prvipe.save(tmp_path / "model")
    described = prvipe.describe(people)
    again = PrVIPE.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again.compare(described[:3], described), prvipe.compare(described[:3], described))
    matcher = find_matcher(tmp_path / "model", name="mine")
    assert isinstance(matcher, ProbabilityMatcher)
    assert matcher.name == "mine"
    np.testing.assert_array_equal(matcher.compare(described[:3], described), prvipe.compare(described[:3], described))


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


def test_the_losses_agree_with_a_loop_over_the_papers_equations(bent, generator):
    """Anchors that have a negative, their own positive, and the hinge of log probabilities, one after the other."""
    canonical = canonicalize(torch.from_numpy(bent(20, seed=1))).poses
    mean, scale = torch.randn(40, 3, generator=generator), 0.2 + torch.rand(40, 3, generator=generator)
    noise, weights = torch.randn(5, 40, 3, generator=generator), Weights(pairwise=0.3, prior=0.2, ratio=2.0, match=0.1)
    slope, offset = torch.tensor(0.7), torch.tensor(0.4)
    found = prvipe_losses(mean, scale, noise, canonical, slope, offset, weights)

    def log_probability(first, second):
        pairs = [
            1 / (1 + math.exp(0.7 * float(torch.dist(a, b)) - 0.4))
            for a in mean[first] + scale[first] * noise[:, first]
            for b in mean[second] + scale[second] * noise[:, second]
        ]
        return math.log(0.9 * sum(pairs) / len(pairs) + 0.05)

    negative, active = mine_negatives(mean[:20], mean[20:], canonical, 0.1)
    matching = [log_probability(i, 20 + i) for i in range(20)]
    hinges = [
        max(0.0, math.log(2) - matching[i] + log_probability(i, 20 + int(negative[i]))) for i in range(20) if active[i]
    ]
    normal = torch.distributions.Normal
    divergence = torch.distributions.kl_divergence(normal(mean, scale), normal(0.0, 1.0)).sum(1).mean()
    assert 0 < len(hinges) < 20
    assert float(found["active"]) == pytest.approx(len(hinges) / 20)
    assert float(found["ratio"]) == pytest.approx(np.mean(hinges), rel=1e-4)
    assert float(found["pairwise"]) == pytest.approx(-np.mean(matching), rel=1e-4)
    assert float(found["prior"]) == pytest.approx(float(divergence), rel=1e-4)
    total = np.mean(hinges) - 0.3 * np.mean(matching) + 0.2 * float(divergence)
    assert float(found["loss"]) == pytest.approx(total, rel=1e-4)


def test_the_ratio_loss_is_zero_where_a_match_is_so_many_times_as_probable_and_without_negatives():
    matching, mismatching = torch.tensor([0.9, 0.6, 0.1]).log(), torch.tensor([0.44, 0.4, 0.1]).log()
    every = torch.ones(3, dtype=torch.bool)
    one = [triplet_ratio(matching[i : i + 1], mismatching[i : i + 1], every[:1], 2.0).item() for i in range(3)]
    assert one == pytest.approx([0.0, math.log(2 * 0.4 / 0.6), math.log(2)])
    only_last = torch.tensor([False, False, True])
    assert triplet_ratio(matching, mismatching, only_last, 2.0).item() == pytest.approx(math.log(2))
    assert triplet_ratio(matching, mismatching, ~every, 2.0) == 0


def test_the_prior_is_the_divergence_of_a_gaussian_of_that_scale():
    assert prior(torch.zeros(2, 3), torch.ones(2, 3)) == 0
    assert float(prior(torch.zeros(1, 1), torch.tensor([[3.0]]))) == pytest.approx((9 - math.log(9) - 1) / 2)


def test_a_batch_is_two_views_of_each_pose_with_the_canonical_pose_of_its_row(bent, monkeypatch):
    """A view's positive is of its own pose, and mining compares the poses that the views are of."""
    poses, seen = torch.from_numpy(bent(50, seed=1)), {}

    def views(people, rig, config, generator):
        seen.setdefault("people", []).append(people)
        return by_cameras(people, rig, config, generator)

    def losses(mean, scale, noise, canonical, *others):
        seen["canonical"] = canonical
        return prvipe_losses(mean, scale, noise, canonical, *others)

    by_cameras = training.simulate_views
    monkeypatch.setattr(training, "simulate_views", views)
    monkeypatch.setattr(training, "prvipe_losses", losses)
    one = PrVIPETraining(NETWORK, SHORT, seed=0, data="", poses=poses, validation=poses[:3])
    one._batch(torch.Generator().manual_seed(3))
    first, second = seen["people"]
    assert torch.equal(first, second)
    torch.testing.assert_close(seen["canonical"], canonicalize(first).poses)


def begin(recorded, **changes):
    """A training before its first step."""
    return PrVIPETraining(NETWORK, replace(SHORT, **changes), seed=0, data="", poses=recorded, validation=recorded[:3])


def show_joints(people, rig, config, generator):
    """Instead of a view, where the people's own joints are."""
    return people[:, :13, :2], torch.ones(len(people), 13, dtype=torch.bool)


@pytest.mark.parametrize("mixed", [False, True])
def test_random_cameras_see_the_universal_skeleton_as_for_vvipe_and_the_rig_the_person(bent, monkeypatch, mixed):
    recorded, generator = torch.from_numpy(bent(50, seed=1)), torch.Generator().manual_seed(3)
    monkeypatch.setattr(training, "simulate_views", show_joints)
    one, rows = begin(recorded, universal=True, mixed=mixed), torch.randperm(50, generator=generator)[:32]
    own, universal = recorded[rows, :13, :2], People.of(recorded, 1.0).universal[rows, :13, :2]
    kinds = []
    for xy, _ in (one._view(rows, generator), one._second(rows, generator)):
        by_rig = (xy == own).all(-1).all(-1)
        assert torch.equal(xy, torch.where(by_rig[:, None, None], own, universal))  # each row shows its own pose
        assert by_rig.sum() == 16
        kinds.append(by_rig)
    first, second = kinds
    assert first[:16].all()
    if mixed:
        assert len(torch.stack(kinds).unique(dim=1).T) == 4  # both by the rig, one of them, the other, none
    else:
        assert torch.equal(first, second)
    alone = begin(recorded, mixed=mixed)
    assert all(torch.equal(view(rows, generator)[0], own) for view in (alone._view, alone._second))


def test_a_mixed_view_keeps_the_joints_that_are_seen_with_their_pose(bent, monkeypatch):
    recorded, generator = torch.from_numpy(bent(50, seed=1)), torch.Generator().manual_seed(3)
    right = recorded[:, 0, 0] > recorded[:, 0, 0].median()

    def views(people, rig, config, generator):
        return people[:, :13, :2], (people[:, :1, 0] > recorded[:, 0, 0].median()).expand(-1, 13)

    monkeypatch.setattr(training, "simulate_views", views)
    rows = torch.arange(32)
    _, seen = begin(recorded, mixed=True)._second(rows, generator)
    assert torch.equal(seen, right[rows, None].expand(-1, 13))
    assert 0 < right[rows].sum() < 32


def trunk_slowly(xy, seen):
    """One person, in words: the hips' middle, twice the greatest distance among shoulders and hips that are seen."""
    joints = load("coco13").joints
    hips = [i for i, joint in enumerate(joints) if "hip" in joint and seen[i]]
    trunk = [i for i, joint in enumerate(joints) if ("hip" in joint or "shoulder" in joint) and seen[i]]
    own = xy - xy[hips or np.flatnonzero(seen).tolist()].mean(0)
    apart = max((np.linalg.norm(xy[i] - xy[j]) for i in trunk for j in trunk), default=0.0)
    size = apart if apart > 0 else np.sqrt((own[seen] ** 2).sum() / seen.sum())
    return np.where(seen[:, None], own / (2 * size), 0.0)


def test_keypoints_are_centred_between_the_hips_and_scaled_by_the_trunk(rng):
    xy, seen = rng.normal(300, 80, size=(300, 13, 2)), rng.random((300, 13)) < 0.5
    seen[np.arange(300), rng.integers(13, size=300)] = True
    seen[seen.sum(1) < 2] = True
    seen[:20] = True
    joints = load("coco13").joints
    seen[20:24, [i for i, joint in enumerate(joints) if "hip" in joint or "shoulder" in joint]] = False
    seen[20:24, :1] = seen[20:24, -2:] = True
    masked = np.where(seen[..., None], xy, 0.0)
    found = by_trunk(torch.from_numpy(masked), torch.from_numpy(seen)).numpy()
    np.testing.assert_allclose(found, [trunk_slowly(*person) for person in zip(masked, seen, strict=True)], atol=1e-9)
    moved = by_trunk(torch.from_numpy(np.where(seen[..., None], 3 * xy - 50, 0.0)), torch.from_numpy(seen)).numpy()
    np.testing.assert_allclose(moved, found, atol=1e-9)


def test_a_trunk_without_extent_and_a_person_without_any_give_finite_numbers():
    xy, seen = torch.zeros(2, 13, 2), torch.ones(2, 13, dtype=torch.bool)
    xy[0, 7:] = 1.0
    xy[0, [1, 2, 7, 8]] = 0.0  # shoulders and hips at one place
    found = by_trunk(xy, seen)
    assert torch.isfinite(found).all()
    assert found[0].abs().max() > 0.1
    assert torch.equal(found[1], torch.zeros(13, 2))


def test_the_normalization_is_of_the_network_and_loaded_with_it(people, tmp_path):
    networks = {
        kind: PrVIPENetwork.untrained(replace(NETWORK, normalization=kind), seed=3) for kind in ("radius", "trunk")
    }
    xy, seen = torch.from_numpy(normalize_keypoints(people)[0]), torch.tensor(people.mask)
    radius, trunk = (networks[kind].eval() for kind in ("radius", "trunk"))
    torch.testing.assert_close(trunk(xy, seen), radius(by_trunk(xy, seen), seen))
    assert not torch.allclose(trunk(xy, seen)[0], radius(xy, seen)[0])
    made = PrVIPE(trunk, card="# A test")
    moved = Keypoints.of(people.xy * 0.37 + [[[220.0, -40.0]]])
    np.testing.assert_allclose(made.encode_keypoints(moved), made.encode_keypoints(people), atol=1e-4)
    made.save(tmp_path / "model")
    again = PrVIPE.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again.encode_keypoints(people), made.encode_keypoints(people))
    assert again.config.normalization == "trunk"


def test_the_card_says_what_of_the_papers_training_is_missing(bent, tmp_path):
    data = bent(40, seed=1), bent(20, seed=2)
    plain = train_prvipe(*data, tmp_path / "plain", network=NETWORK, config=replace(SHORT, steps=2))
    assert "averaged weights, another input normalization, more camera roll, detected keypoints" in " ".join(
        plain.card.split()
    )
    assert "normalization" not in plain.origin["network"]  # as in trainings from before it existed
    views = replace(SHORT.views, roll=0.6)
    config = replace(SHORT, steps=2, averaging=0.9, views=views)
    theirs = train_prvipe(*data, tmp_path / "paper", network=replace(NETWORK, normalization="trunk"), config=config)
    assert "more steps, detected keypoints" in " ".join(theirs.card.split())
    assert theirs.origin["network"]["normalization"] == "trunk"


def test_settings_that_came_later_leave_earlier_trainings_as_they_are():
    later = {"universal", "mixed", "averaging"}
    assert PrVIPETraining.settings(SHORT).keys() == vars(SHORT).keys() - later
    assert PrVIPETraining.settings(replace(SHORT, mixed=True))["mixed"] is True
    assert PrVIPETraining.settings(NETWORK).keys() == vars(NETWORK).keys() - {"normalization"}


def test_training_makes_views_of_a_pose_find_each_other(bent, tmp_path):
    config = replace(SHORT, steps=120, record_every=20, validate_every=60)
    few = np.tile(bent(12, seed=1), (5, 1, 1))
    train_prvipe(few, few, tmp_path / "model", network=replace(NETWORK, dropout=0.0), config=config)
    lines = [json.loads(line) for line in (tmp_path / "model" / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 40, 60, 80, 100, 120]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert {"ratio", "pairwise", "prior", "active"} <= lines[0].keys()
    assert lines[-1]["val_view_hit1"] > 0.3


@pytest.mark.parametrize("changes", [{"steps": 0}, {"batch": 2}, {"ratio": 1.0}], ids=str)
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(VipeError, match=f"training: {next(iter(changes))} must be"):
        replace(SHORT, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"dim": 0},
        {"width": 0},
        {"samples": 0},
        {"dropout": 1.0},
        pytest.param({"normalization": "hips"}, marks=pytest.mark.refusal),
    ],
    ids=str,
)
def test_sizes_out_of_range_are_refused(changes):
    with pytest.raises(VipeError, match=f"Pr-VIPE: {next(iter(changes))}"):
        replace(NETWORK, **changes)
