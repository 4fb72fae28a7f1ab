import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vipe.embed.presets import (
    ABLATIONS,
    BASE,
    FAITHFUL,
    PRESETS,
    TINY,
    Preset,
    ablate,
    configurations,
    exact,
    paper_triplet,
    prvipe_like,
    prvipe_paper,
)
from vipe.embed.vvipe import training
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.embed.vvipe.training import TrainingConfig, VVIPETraining, train_vvipe
from vipe.errors import VipeError
from vipe.geometry.canonical import REFERENCE_LENGTHS, canonicalize

NETWORK = VVIPEConfig(width=32, dim=8)
SHORT = TrainingConfig(
    pose_steps=24, keypoint_steps=24, batch=32, learning_rate=1e-2, record_every=4, validate_every=8, validation_rows=20
)


class Interrupt(Exception):
    pass


def run(arrays, folder, **changes):
    return train_vvipe(*arrays, folder, **{"network": NETWORK, "config": SHORT, "seed": 5, **changes})


def begin(poses, **changes):
    """A training before its first step."""
    return VVIPETraining(NETWORK, replace(SHORT, **changes), seed=0, data="", poses=poses, validation=poses)


@pytest.fixture(scope="module")
def whole(bent, tmp_path_factory):
    """The model of the whole method, and its folder."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    return run((bent(200, seed=1), bent(40, seed=2)), folder), folder


def weights(embedder):
    return embedder.model.state_dict()


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_losses_and_validation_errors_fall(bent, tmp_path):
    config = replace(SHORT, pose_steps=120, keypoint_steps=120, record_every=20, validate_every=60)
    few = np.tile(bent(8, seed=1), (10, 1, 1))
    run((few, few), tmp_path / "model", config=config)
    lines = history(tmp_path / "model")
    for stage in ("poses", "keypoints"):
        own = [line for line in lines if line["stage"] == stage]
        assert [line["step"] for line in own] == [20, 40, 60, 80, 100, 120]
        assert own[-1]["loss"] < 0.7 * own[0]["loss"]
        checked = [line for line in own if "val_mpjpe" in line]
        assert [line["step"] for line in checked] == [60, 120]
        assert checked[-1]["val_mpjpe"] < checked[0]["val_mpjpe"]
        assert "val_reconstruction" in checked[0]
    assert 0 < lines[-1]["val_hit1"] <= 1


def test_the_second_stage_leaves_the_vae_as_it_was(data, tmp_path):
    def interrupt(stage, step, steps, metrics):
        if (stage, step) == ("keypoints", 4):
            raise Interrupt

    with pytest.raises(Interrupt):
        run(data, tmp_path / "model", progress=interrupt)
    (checkpoint,) = (tmp_path / "model").glob("checkpoint-0-*.safetensors")
    before = load_file(checkpoint)
    after = weights(run(data, tmp_path / "model"))
    for name, tensor in after.items():  # weights and statistics of batch normalization
        if name.startswith(("pose_encoder", "pose_decoder")):
            assert torch.equal(before[f"model.{name}"], tensor), name
    assert not torch.equal(
        before["model.keypoint_encoder.net.output.weight"], after["keypoint_encoder.net.output.weight"]
    )


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_trains_says_so_and_is_another_model(whole, data, tmp_path, name):
    config = ablate(Preset(network=NETWORK, training=SHORT), name).training
    whole, folder = whole
    without = run(data, tmp_path / "without", config=config)
    assert without.fingerprint != whole.fingerprint
    assert " Without " in without.card
    assert " Without " not in whole.card
    assert np.isfinite(without.encode_poses(data[1])).all()
    with pytest.raises(VipeError, match=r"was trained with training\."):
        run(data, folder, config=config)


def test_without_pretraining_the_2d_encoder_makes_the_space_and_the_3d_encoder_follows(data, tmp_path):
    config = replace(SHORT, pretraining=False)

    def interrupt(stage, step, steps, metrics):
        if stage == "poses":
            raise Interrupt

    with pytest.raises(Interrupt):
        run(data, tmp_path / "model", config=config, progress=interrupt)
    (checkpoint,) = (tmp_path / "model").glob("checkpoint-0-*.safetensors")
    before = load_file(checkpoint)
    after = weights(run(data, tmp_path / "model", config=config))
    moved = {name.split(".")[0] for name in after if not torch.equal(before[f"model.{name}"], after[name])}
    assert moved == {"pose_encoder"}
    untrained = VVIPE.untrained(NETWORK, 5).state_dict()
    started = {name.split(".")[0] for name in after if not torch.equal(before[f"model.{name}"], untrained[name])}
    assert started == {"keypoint_encoder", "pose_decoder"}
    assert [line["stage"] for line in history(tmp_path / "model")][:: len(history(tmp_path / "model")) - 1] == [
        "keypoints",
        "poses",
    ]


def test_without_alignment_targets_stay_turned_as_recorded(bent, standing):
    recorded = torch.from_numpy(bent(20, seed=1))
    kept = begin(recorded, alignment=False)
    canonical = canonicalize(recorded)
    expected = (canonical.rotation.mT[:, None] @ canonical.poses[..., None])[..., 0]
    torch.testing.assert_close(kept.targets, expected, atol=1e-5, rtol=0)
    hips = (recorded[:, 4] - recorded[:, 1], expected[:, 4] - expected[:, 1])
    assert torch.nn.functional.cosine_similarity(*hips).min() > 0.9


def test_pairs_are_a_pose_by_the_rig_and_the_same_pose_from_anywhere(bent, monkeypatch):
    recorded = torch.from_numpy(bent(50, seed=1))
    people = shown(recorded, monkeypatch, universal=False)
    assert torch.equal(people[:16], people[16:])  # the rig sees the first half of 32
    assert len(people[:16].flatten(1).unique(dim=0)) > 10
    assert len(shown(recorded, monkeypatch, batch=33)) == 33
    alone = shown(recorded, monkeypatch, paired=False)
    assert not torch.equal(alone[:16], alone[16:])


def test_cameras_from_anywhere_see_the_universal_skeleton_and_the_rig_the_person(bent, monkeypatch):
    recorded = torch.from_numpy(bent(50, seed=1))
    people = shown(recorded, monkeypatch)
    torch.testing.assert_close(people[:16, 0], people[16:, 0])
    own, universal = canonicalize(people[:16]), canonicalize(people[16:])
    torch.testing.assert_close(universal.poses, own.poses, atol=1e-4, rtol=0)
    torch.testing.assert_close(universal.rotation, own.rotation, atol=1e-4, rtol=0)
    expected = universal.scale[:, None] * torch.tensor(REFERENCE_LENGTHS)
    torch.testing.assert_close(universal.lengths, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(universal.scale, own.scale, atol=1e-4, rtol=0)
    assert torch.isin(people[:16].flatten(), recorded.flatten()).all()
    nobody = shown(recorded, monkeypatch, views=replace(SHORT.views, random_share=0.0))
    assert torch.isin(nobody.flatten(), recorded.flatten()).all()


def test_each_part_of_the_camera_augmentation_is_removed_without_the_other(bent, monkeypatch):
    recorded = torch.from_numpy(bent(50, seed=1))
    whole, (cameras, skeleton) = (
        Preset(network=NETWORK, training=SHORT),
        (
            ablate(Preset(network=NETWORK, training=SHORT), name).training
            for name in ("no-augmentation", "no-universal")
        ),
    )
    assert cameras.views == replace(whole.training.views, random_share=0.0)
    assert skeleton.views == whole.training.views
    people = [shown(recorded, monkeypatch, **vars(config)) for config in (whole.training, cameras, skeleton)]
    assert torch.equal(people[0], people[1])  # the same halves on the same skeletons, whatever cameras see them
    assert torch.equal(people[0][:16], people[2][:16])
    assert torch.isin(people[2].flatten(), recorded.flatten()).all()
    less = replace(SHORT, universal_share=0.25)
    quarter = shown(
        recorded, monkeypatch, **vars(ablate(Preset(network=NETWORK, training=less), "no-augmentation").training)
    )
    assert torch.equal(quarter, torch.cat([people[2][:24], people[0][24:]]))


def test_an_ablation_of_what_a_preset_does_not_have_is_refused():
    with pytest.raises(VipeError, match="ablation no-universal removes a part that this preset does not have"):
        ablate(TINY, "no-universal")
    assert ablate(TINY, "no-augmentation").training.on_universal == 0


def shown(recorded, monkeypatch, **changes):
    """The people of one batch, as they stand before the cameras."""
    seen = []

    def simulate_views(people, rig, views, generator):
        seen.append(people)
        return by_cameras(people, rig, views, generator)

    by_cameras = training.simulate_views
    with monkeypatch.context() as patch:
        patch.setattr(training, "simulate_views", simulate_views)
        one = begin(recorded, **changes)
        losses = one._keypoint_batch(torch.Generator().manual_seed(3))
    assert torch.isfinite(losses["loss"])
    return seen[0]


def test_a_batch_of_the_vae_decodes_a_sample_of_the_posterior_and_of_an_autoencoder_the_mean(bent):
    poses = torch.from_numpy(bent(50, seed=1))
    for variational in (True, False):
        one = begin(poses, variational=variational)
        one.model.eval()
        losses = one._vae_batch(torch.Generator().manual_seed(3))
        generator = torch.Generator().manual_seed(3)
        target = canonicalize(poses).poses[torch.randint(50, (32,), generator=generator)]
        mean, log_variance = one.model.pose_encoder(target)
        deviation = log_variance.exp().sqrt() if variational else torch.zeros_like(mean)
        decoded = one.model.pose_decoder(mean + deviation * torch.randn(mean.shape, generator=generator))
        torch.testing.assert_close(losses["reconstruction"], (decoded - target).square().mean())
        assert ("kl" in losses) == variational


def test_an_autoencoder_has_no_divergence(data, tmp_path):
    run(data, tmp_path / "plain", config=replace(SHORT, variational=False))
    assert all("kl" not in line for line in history(tmp_path / "plain"))


def test_settings_that_came_later_leave_earlier_trainings_as_they_are():
    later = {"alignment", "pretraining", "paired", "universal", "variational", "precision"}
    later |= {"universal_share", "triplet_negative"}
    earlier = replace(SHORT, paired=False, universal=False)
    assert VVIPETraining.settings(earlier).keys() == vars(earlier).keys() - later
    assert VVIPETraining.settings(SHORT).keys() == VVIPETraining.settings(earlier).keys() | {"paired", "universal"}
    assert VVIPETraining.settings(replace(earlier, precision="bfloat16"))["precision"] == "bfloat16"
    assert VVIPETraining.settings(replace(SHORT, universal_share=0.5))["universal_share"] == 0.5
    assert VVIPETraining.settings(NETWORK) == vars(NETWORK)


@pytest.mark.parametrize(
    "changes",
    [
        {"pose_steps": 0},
        {"keypoint_steps": 0},
        {"batch": 2},
        {"universal_share": 1.5},
        pytest.param({"triplet_negative": "near"}, marks=pytest.mark.refusal),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(VipeError, match=f"training: {next(iter(changes))} must be"):
        replace(SHORT, **changes)


def test_presets_are_the_papers_size_and_a_small_one():
    assert set(PRESETS) == {"tiny", "faithful", "base"}
    assert FAITHFUL.network == BASE.network
    assert (FAITHFUL.training.pose_steps, FAITHFUL.training.keypoint_steps) == (6400, 7000)
    network, pairs = prvipe_like(FAITHFUL)
    assert (network.width, network.dim, pairs.steps, pairs.views) == (1024, 16, 7000, FAITHFUL.training.views)
    assert (pairs.universal, pairs.mixed, pairs.averaging, network.normalization) == (True, True, 0.0, "radius")
    views = exact(FAITHFUL).training.views
    assert (views.noise, views.missing_share, views.random_share) == ((0.0, 0.0), 0.0, 0.5)
    assert exact(FAITHFUL).network == FAITHFUL.network
    with pytest.raises(VipeError, match="no ablation 'no-data'; expected one of no-triplet"):
        ablate(TINY, "no-data")
    assert BASE.network == VVIPEConfig(dim=32, width=1024, blocks=2, dropout=0.1)
    assert BASE.training.batch == 256
    assert TINY.network.dim == 32
    assert sum(p.numel() for p in VVIPE.untrained(TINY.network, 0).parameters()) < 4e6


def test_the_papers_own_settings_change_nothing_else():
    assert paper_triplet(FAITHFUL).network == FAITHFUL.network
    training = paper_triplet(FAITHFUL).training
    assert training.triplet_negative == training.weights.negative == "apart"
    assert replace(training, triplet_negative="farther") == FAITHFUL.training
    (network, pairs), (fair, fair_pairs) = prvipe_paper(FAITHFUL), prvipe_like(FAITHFUL)
    assert (network.dropout, network.normalization, pairs.averaging) == (0.3, "trunk", 0.9999)
    assert np.rad2deg([*pairs.views.elevation, pairs.views.roll]).tolist() == pytest.approx([-30, 30, 30])
    assert pairs.views.random_distance == pytest.approx((0.98, 0.98))  # 2 torsos of 490 mm
    cameras = {name: getattr(fair_pairs.views, name) for name in ("elevation", "roll", "random_distance")}
    assert replace(pairs, averaging=0.0, views=replace(pairs.views, **cameras)) == fair_pairs
    assert replace(network, dropout=fair.dropout, normalization="radius") == fair


def test_a_variant_is_of_a_method_that_has_a_paper():
    assert configurations("v-vipe", "faithful", variant="paper") == (FAITHFUL.network, paper_triplet(FAITHFUL).training)
    assert configurations("pr-vipe", "faithful", variant="paper") == prvipe_paper(FAITHFUL)
    both = configurations("v-vipe", "faithful", "no-universal", variant="paper", keypoints="exact")[1]
    assert (both.universal, both.triplet_negative, both.views.noise) == (False, "apart", (0.0, 0.0))
    with pytest.raises(VipeError, match="variant paper is of v-vipe and pr-vipe"):
        configurations("towers", "tiny", variant="paper")
