import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from vipe.embed import Embedder, training
from vipe.embed.presets import ABLATIONS, BASE, FAITHFUL, PRESETS, TINY, Preset, ablate, exact, prvipe_like
from vipe.embed.training import TrainingConfig, train
from vipe.embed.vvipe import VVIPE, VVIPEConfig
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.geometry.canonical import REFERENCE_LENGTHS, canonicalize

NETWORK = VVIPEConfig(width=32, dim=8)
SHORT = TrainingConfig(
    pose_steps=24, keypoint_steps=24, batch=32, learning_rate=1e-2, record_every=4, validate_every=8, validation_rows=20
)


class Interrupt(Exception):
    pass


def run(arrays, folder, **changes):
    return train(*arrays, folder, **{"network": NETWORK, "config": SHORT, "seed": 5, **changes})


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


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(data, tmp_path):
    torch.manual_seed(1)
    first = run(data, tmp_path / "first")
    torch.rand(100)
    second, other = run(data, tmp_path / "second"), run(data, tmp_path / "other", seed=6)
    assert all(torch.equal(weights(first)[name], tensor) for name, tensor in weights(second).items())
    assert first.fingerprint == second.fingerprint != other.fingerprint


def test_nobody_draws_from_the_global_generators(data, tmp_path):
    before, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    run(data, tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], before_numpy)  # noqa: NPY002


@pytest.mark.parametrize(
    "at", [("poses", 4), ("poses", 20), ("poses", 24), ("keypoints", 12), ("keypoints", 24)], ids=str
)
def test_interrupted_and_resumed_it_ends_with_the_weights_of_a_run_without_interrupt(data, tmp_path, at):
    def interrupt(stage, step, steps, metrics):
        if (stage, step) == at:
            raise Interrupt

    whole = run(data, tmp_path / "whole")
    with pytest.raises(Interrupt):
        run(data, tmp_path / "parts", progress=interrupt)
    reported = []
    resumed = run(data, tmp_path / "parts", progress=lambda stage, step, steps, metrics: reported.append((stage, step)))
    assert all(torch.equal(weights(whole)[name], tensor) for name, tensor in weights(resumed).items())
    assert history(tmp_path / "parts") == history(tmp_path / "whole")
    if at[0] == "keypoints":
        assert not any(stage == "poses" for stage, _ in reported)  # the first stage was not run again


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


def test_what_is_left_is_a_model_with_its_history_and_card(data, tmp_path):
    embedder = run(data, tmp_path / "model", data="bodies bent at random")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "card.md",
        "config.json",
        "history.jsonl",
        "weights.safetensors",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    again = Embedder.from_pretrained(tmp_path / "model")
    assert again.fingerprint == embedder.fingerprint
    assert "200 poses (bodies bent at random): 24 and 24 steps of 32, seed 5" in again.card
    np.testing.assert_array_equal(again.encode_poses(data[1]), embedder.encode_poses(data[1]))


def test_what_is_done_is_loaded_and_not_trained_again(data, tmp_path):
    first = run(data, tmp_path / "model")
    again = run(data, tmp_path / "model", progress=lambda *args: pytest.fail("it trained again"))
    assert again.fingerprint == first.fingerprint


@pytest.mark.parametrize("done", [False, True], ids=["under way", "done"])
def test_a_folder_of_another_training_is_refused_and_the_difference_named(data, tmp_path, done):
    def interrupt(stage, step, steps, metrics):
        if not done and (stage, step) == ("poses", 12):
            raise Interrupt

    with contextlib.suppress(Interrupt):
        run(data, tmp_path / "model", progress=interrupt)
    with pytest.raises(VipeError, match=r"model: was trained with seed 5 \(now 6\); give another path"):
        run(data, tmp_path / "model", seed=6)
    with pytest.raises(VipeError, match=r"training.views.noise \[0.0, 0.05\] \(now \[0.0, 0.1\]\)"):
        run(data, tmp_path / "model", config=replace(SHORT, views=replace(SHORT.views, noise=(0.0, 0.1))))
    with pytest.raises(VipeError, match="was trained with poses '"):
        run((data[0] + 0.5, data[1]), tmp_path / "model")


def test_a_folder_that_holds_something_else_is_left_alone(data, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(VipeError, match=r"holds 'notes.txt', which is no part of a training"):
        run(data, tmp_path)
    with pytest.raises(VipeError, match="is a file; a training needs a folder"):
        run(data, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("exists", [False, True], ids=["no folder yet", "a folder"])
def test_a_folder_that_cannot_be_written_is_told_before_a_step_is_made(data, tmp_path, monkeypatch, exists):
    told = []
    if exists:
        (tmp_path / "model").mkdir()
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "model" if exists else tmp_path / "file" / "model"
    if exists:  # a test that runs as root may write anywhere
        monkeypatch.setattr("pathlib.Path.mkdir", _read_only)
    with pytest.raises(VipeError, match=r"model: cannot be written: .*; a training needs a folder, and room beside it"):
        run(data, place, progress=lambda *step: told.append(step))
    assert not told
    assert sorted(path.name for path in tmp_path.rglob("*")) == (["file", "model"] if exists else ["file"])


def _read_only(self, *_, **__):
    raise OSError(30, "Read-only file system", str(self))


def test_looking_whether_a_folder_can_be_written_leaves_nothing(data, tmp_path):
    with pytest.raises(ShapeError):
        run((data[0][:2], data[1]), tmp_path / "some" / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut state", "cut tensors", "no tensors", "other tensors"])
def test_a_broken_checkpoint_is_refused(data, tmp_path, damage):
    def interrupt(stage, step, steps, metrics):
        if step == 12:
            raise Interrupt

    with pytest.raises(Interrupt):
        run(data, tmp_path / "model", progress=interrupt)
    (tensors,) = (tmp_path / "model").glob("checkpoint-*")
    state = tmp_path / "model" / "state.json"
    if damage == "cut state":
        state.write_bytes(state.read_bytes()[:-20])
    elif damage == "cut tensors":
        tensors.write_bytes(tensors.read_bytes()[:-20])
    elif damage == "other tensors":
        tensors.write_bytes(save({"model.weight": torch.zeros(2)}))
    else:
        tensors.unlink()
    with pytest.raises(
        ReadError, match=r"model: its checkpoint (is broken .*|does not fit); remove the folder to start anew"
    ):
        run(data, tmp_path / "model")


def test_a_first_checkpoint_that_was_cut_off_does_not_stand_in_the_way(data, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / ".checkpoint-0-0000008.safetensors-0123abcd").write_bytes(b"half")
    run(data, tmp_path / "model")
    assert Embedder.from_pretrained(tmp_path / "model").dim == 8


@pytest.mark.refusal
def test_poses_that_cannot_be_trained_on_are_refused(data, tmp_path):
    poses, held_out = data
    with pytest.raises(ShapeError, match=r"poses must be \(N, 17, 3\) with N at least 3, got shape \(200, 51\)"):
        run((poses.reshape(-1, 51), held_out), tmp_path / "model")
    with pytest.raises(ShapeError, match=r"validation poses must be .* got shape \(2, 17, 3\)"):
        run((poses, held_out[:2]), tmp_path / "model")
    with pytest.raises(ShapeError, match=r"poses: row 0 has a torso of \d+ m; expected metres"):
        run((poses * 100, held_out), tmp_path / "model")
    flat = poses.copy()
    flat[7, [1, 4]] = flat[7, 0]
    with pytest.raises(ShapeError, match="poses: row 7 has no canonical form"):
        run((flat, held_out), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_loss_that_explodes_ends_the_training_with_words(data, tmp_path):
    with pytest.raises(VipeError, match=r"training: loss \S+ at step \d+ of poses; lower learning_rate"):
        run(data, tmp_path / "model", config=replace(SHORT, learning_rate=1e30))


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 2},
        {"pose_steps": 0},
        {"learning_rate": 0.0},
        {"warmup": 2.0},
        {"validate_every": 0},
        {"precision": "half"},
    ],
    ids=str,
)
@pytest.mark.refusal
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(VipeError, match=f"training: .*{next(iter(changes))}"):
        replace(SHORT, **changes)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_trains_says_so_and_is_another_model(data, tmp_path, name):
    config = ablate(Preset(network=NETWORK, training=SHORT), name).training
    whole, without = run(data, tmp_path / "whole"), run(data, tmp_path / "without", config=config)
    assert without.fingerprint != whole.fingerprint
    assert " Without " in without.card
    assert " Without " not in whole.card
    assert np.isfinite(without.encode_poses(data[1])).all()
    with pytest.raises(VipeError, match=r"was trained with training\."):
        run(data, tmp_path / "whole", config=config)


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
    model = VVIPE.untrained(NETWORK, 0)
    kept = training._Run(model=model, config=replace(SHORT, alignment=False), recorded=recorded, held_out=recorded)
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


def shown(recorded, monkeypatch, **changes):
    """The people of one batch, as they stand before the cameras."""
    seen = []

    def see(people, rig, views, generator):
        seen.append(people)
        return by_cameras(people, rig, views, generator)

    by_cameras = training.see
    with monkeypatch.context() as patch:
        patch.setattr(training, "see", see)
        model = VVIPE.untrained(NETWORK, 0)
        one = training._Run(model=model, config=replace(SHORT, **changes), recorded=recorded, held_out=recorded)
        losses = one._keypoint_losses(torch.Generator().manual_seed(3))
    assert torch.isfinite(losses["loss"])
    return seen[0]


def test_an_autoencoder_has_no_divergence_and_bfloat16_trains_as_well(data, tmp_path):
    run(data, tmp_path / "plain", config=replace(SHORT, variational=False))
    assert all("kl" not in line for line in history(tmp_path / "plain"))
    run(data, tmp_path / "float32")
    run(data, tmp_path / "bfloat16", config=replace(SHORT, precision="bfloat16"))
    one, other = history(tmp_path / "float32")[-1], history(tmp_path / "bfloat16")[-1]
    assert other["val_mpjpe"] == pytest.approx(one["val_mpjpe"], rel=0.05)
    assert other["loss"] != one["loss"]


def test_settings_that_came_later_leave_earlier_trainings_as_they_are(data, tmp_path):
    run(data, tmp_path / "model")
    origin = json.loads((tmp_path / "model" / "config.json").read_text())["origin"]
    assert not {"alignment", "pretraining", "variational", "precision"} & origin["training"].keys()


def test_presets_are_the_papers_size_and_a_small_one():
    assert set(PRESETS) == {"tiny", "faithful", "base"}
    assert FAITHFUL.network == BASE.network
    assert (FAITHFUL.training.pose_steps, FAITHFUL.training.keypoint_steps) == (6400, 7000)
    network, training = prvipe_like(FAITHFUL)
    assert (network.width, network.dim, training.steps, training.views) == (1024, 16, 7000, FAITHFUL.training.views)
    views = exact(FAITHFUL).training.views
    assert (views.noise, views.missing_share, views.random_share) == ((0.0, 0.0), 0.0, 0.5)
    assert exact(FAITHFUL).network == FAITHFUL.network
    with pytest.raises(VipeError, match="no ablation 'no-data'; expected one of no-triplet"):
        ablate(TINY, "no-data")
    assert BASE.network == VVIPEConfig(dim=32, width=1024, blocks=2, dropout=0.1)
    assert BASE.training.batch == 256
    assert TINY.network.dim == 32
    assert sum(p.numel() for p in VVIPE.untrained(TINY.network, 0).parameters()) < 4e6
