"""What every training promises, whatever it trains; and the folder it goes on in."""

import json
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import save

from vipe.embed import validation
from vipe.embed.prvipe import training as prvipe_training
from vipe.embed.prvipe.network import PrVIPEConfig
from vipe.embed.prvipe.training import PrVIPETrainingConfig, train_prvipe
from vipe.embed.towers import training as towers_training
from vipe.embed.towers.network import TowersConfig
from vipe.embed.towers.training import TowersTrainingConfig, train_towers
from vipe.embed.vvipe import training as vvipe_training
from vipe.embed.vvipe.network import VVIPEConfig
from vipe.embed.vvipe.training import TrainingConfig, train_vvipe
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.training import loop
from vipe.training.checkpoint import CheckpointFolder
from vipe.training.loop import Stage, run_stages

PACE = {"batch": 32, "learning_rate": 1e-2, "record_every": 2, "validate_every": 4, "validation_rows": 20}
TRAININGS = {
    "v-vipe": (train_vvipe, VVIPEConfig(width=32, dim=8), TrainingConfig(pose_steps=12, keypoint_steps=12, **PACE)),
    "towers": (
        train_towers,
        TowersConfig(dim=8, width=32, blocks=1, decoder_width=16),
        TowersTrainingConfig(steps=12, **PACE),
    ),
    "pr-vipe": (train_prvipe, PrVIPEConfig(width=32, dim=4, samples=6), PrVIPETrainingConfig(steps=12, **PACE)),
}
PLACES = [
    *(("v-vipe", place) for place in [("poses", 2), ("poses", 10), ("poses", 12), ("keypoints", 6), ("keypoints", 12)]),
    *((kind, (stage, step)) for kind, stage in (("towers", "towers"), ("pr-vipe", "pairs")) for step in (6, 12)),
]
DONE = ["card.md", "config.json", "history.jsonl", "weights.safetensors"]


class Interrupt(Exception):
    pass


def interrupt(*place):
    def progress(stage, step, steps, metrics):
        if (stage, step) == place:
            raise Interrupt

    return progress


@pytest.fixture(params=TRAININGS)
def kind(request):
    return request.param


def run(kind, arrays, folder, **changes):
    function, network, config = TRAININGS[kind]
    return function(*arrays, folder, **{"network": network, "config": config, "seed": 5, **changes})


@pytest.fixture(scope="session")
def finished(data, tmp_path_factory):
    """Model and folder of an uninterrupted training of each kind, trained once."""

    @cache
    def train_once(kind):
        folder = tmp_path_factory.mktemp("finished") / "model"
        return run(kind, data, folder), folder

    return train_once


def weights(encoder):
    return encoder.model.state_dict()


def same(one, other):
    return all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(other).items())


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(kind, data, finished, tmp_path):
    first, _ = finished(kind)
    torch.manual_seed(1)
    second, other = run(kind, data, tmp_path / "second"), run(kind, data, tmp_path / "other", seed=6)
    assert same(first, second)
    assert not same(first, other)
    assert first.fingerprint == second.fingerprint != other.fingerprint


def test_nobody_draws_from_the_global_generators(kind, data, tmp_path):
    before, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    run(kind, data, tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], before_numpy)  # noqa: NPY002


@pytest.mark.parametrize(("kind", "place"), PLACES, ids=str)
def test_interrupted_and_resumed_it_ends_with_the_weights_of_a_run_without_interrupt(
    kind, place, data, finished, tmp_path
):
    whole, folder = finished(kind)
    with pytest.raises(Interrupt):
        run(kind, data, tmp_path / "parts", progress=interrupt(*place))
    told = []
    resumed = run(kind, data, tmp_path / "parts", progress=lambda stage, step, *_: told.append((stage, step)))
    assert same(resumed, whole)
    history = [(where / "history.jsonl").read_text() for where in (folder, tmp_path / "parts")]
    assert history[0] == history[1]
    # A checkpoint is written every 4 steps, after they were told: none is told again before the last one.
    lines = [(line["stage"], line["step"]) for line in map(json.loads, history[0].splitlines())]
    checkpoints = [told for told in lines[: lines.index(place)] if told[1] % 4 == 0]
    assert told == lines[lines.index(checkpoints[-1]) + 1 if checkpoints else 0 :]


def test_validation_is_on_the_validation_poses_and_influences_no_weight(kind, data, bent, finished, tmp_path):
    """Validation figures change with the validation poses alone, all of them, and nothing else does."""
    others = bent(40, seed=3, most=0.02)  # nearly one pose, so Hit@1 differs too
    model, folder = finished(kind)
    assert same(model, run(kind, (data[0], others), tmp_path / "model"))
    first, second = (
        [json.loads(line) for line in (where / "history.jsonl").read_text().splitlines()]
        for where in (folder, tmp_path / "model")
    )
    figures = [name for name in first[-1] if name.startswith("val_")]
    assert figures
    for one, other in zip(first, second, strict=True):
        for name, value in one.items():
            assert (other[name] != value) == name.startswith("val_"), name


def test_what_is_projected_for_validation_is_the_validation_poses(kind, data, tmp_path, monkeypatch):
    """20 of the 40, evenly spaced, first and last among them; no pose that is trained on."""
    projected = []

    def views(poses, *others):
        projected.append(poses)
        return two_views(poses, *others)

    two_views = validation.two_views
    for training in (vvipe_training, towers_training, prvipe_training):
        monkeypatch.setattr(training, "two_views", views)
    run(kind, data, tmp_path / "model")
    rows = np.linspace(0, 39, 20).round().astype(int)
    assert projected
    for poses in projected:
        np.testing.assert_array_equal(poses.numpy(), data[1][rows])


def test_a_checkpoint_does_not_wait_long_for_a_validation(kind, data, finished, tmp_path, monkeypatch):
    whole, _ = finished(kind)
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 0.0)
    stage = {"v-vipe": "poses", "towers": "towers", "pr-vipe": "pairs"}[kind]
    with pytest.raises(Interrupt):
        run(kind, data, tmp_path / "parts", progress=interrupt(stage, 4))  # told before its checkpoint is written
    told = []
    assert same(run(kind, data, tmp_path / "parts", progress=lambda _, step, *__: told.append(step)), whole)
    assert told[0] == 4  # the steps up to 2 were kept


def test_what_is_left_is_a_model_with_its_history_and_card_that_is_not_trained_again(kind, data, people, tmp_path):
    made = run(kind, data, tmp_path / "model", data="bodies bent at random")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == DONE
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert "200 poses" in made.card
    assert "of bodies bent at random." in made.card
    assert "steps of 32" in made.card
    assert "seed 5" in made.card
    for again in (
        type(made).from_pretrained(tmp_path / "model"),
        run(kind, data, tmp_path / "model", progress=lambda *_: pytest.fail("it trained again")),
    ):
        assert again.fingerprint == made.fingerprint
        assert again.card.strip() == made.card.strip()
        assert same(again, made)
        np.testing.assert_array_equal(again.encode_keypoints(people), made.encode_keypoints(people))


@pytest.mark.parametrize("done", [False, True], ids=["under way", "done"])
def test_a_folder_of_another_training_is_refused_and_the_difference_named(kind, data, finished, tmp_path, done):
    folder, config = tmp_path / "model", TRAININGS[kind][2]
    stage = {"v-vipe": "poses", "towers": "towers", "pr-vipe": "pairs"}[kind]
    if done:
        shutil.copytree(finished(kind)[1], folder)
    else:
        with pytest.raises(Interrupt):
            run(kind, data, folder, progress=interrupt(stage, 6))
    with pytest.raises(VipeError, match=r"model: was trained with seed 5 \(now 6\); give another path"):
        run(kind, data, folder, seed=6)
    views = replace(config.views, noise=(0.0, 0.1))
    with pytest.raises(VipeError, match=r"training.views.noise \[0.0, 0.0[56]\] \(now \[0.0, 0.1\]\)"):
        run(kind, data, folder, config=replace(config, views=views))
    with pytest.raises(VipeError, match="was trained with poses '"):
        run(kind, (data[0] + 0.5, data[1]), folder)
    with pytest.raises(VipeError, match="was trained with validation '"):
        run(kind, (data[0], data[1] + 0.5), folder)


def test_bfloat16_products_train_as_well(kind, data, tmp_path):
    last = {}
    for precision in ("float32", "bfloat16"):
        run(kind, data, tmp_path / precision, config=replace(TRAININGS[kind][2], precision=precision))
        last[precision] = json.loads((tmp_path / precision / "history.jsonl").read_text().splitlines()[-1])
    assert last["bfloat16"]["loss"] == pytest.approx(last["float32"]["loss"], rel=0.1)
    assert last["bfloat16"]["loss"] != last["float32"]["loss"]


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 1},
        {"learning_rate": 0.0},
        {"warmup": 2.0},
        {"record_every": 0},
        {"validate_every": 0},
        {"validation_rows": 0},
        {"precision": "half"},
    ],
    ids=str,
)
@pytest.mark.refusal
def test_settings_out_of_range_are_refused(kind, changes):
    with pytest.raises(VipeError, match=f"training: .*{next(iter(changes))}"):
        replace(TRAININGS[kind][2], **changes)


def run_toy(folder, seed=0, steps=3, **changes):
    """Two stages of a model of one weight whose gradient is always 1; seeds of every step, and weights before them."""
    model, seen, config = torch.nn.Linear(1, 1, bias=False), [], replace(TRAININGS["v-vipe"][2], **changes)

    def losses(generator):
        seen.append((generator.initial_seed(), torch.initial_seed(), model.weight.item()))
        return {"loss": model.weight.sum()}

    stages = [Stage(name, steps, (model,), losses, dict) for name in ("one", "two")]
    run_stages(model, stages, config, seed=seed, folder=CheckpointFolder(folder, {}), progress=None)
    return seen


def test_every_step_has_its_own_seeds_of_draws_and_of_dropout(tmp_path):
    seeds = [seed for number in (0, 1) for step in run_toy(tmp_path / str(number), number) for seed in step[:2]]
    assert len(seeds) == len(set(seeds)) == 2 * 2 * 3 * 2


def test_the_rate_rises_on_a_line_and_falls_as_half_a_cosine(tmp_path):
    weight = np.array([step[2] for step in run_toy(tmp_path / "toy", steps=100, warmup=0.2, learning_rate=1e-2)])
    rate = -np.diff(weight[:100]) / 1e-2  # AdamW goes by the rate where the gradient does not change
    np.testing.assert_allclose(rate[:20], np.arange(1, 21) / 20, atol=1e-3)
    np.testing.assert_allclose(rate[20:], 0.5 + 0.5 * np.cos(np.pi * np.arange(79) / 80), atol=1e-3)


def test_weights_decay_by_the_settings(tmp_path):
    weight = [step[2] for step in run_toy(tmp_path / "toy", warmup=0.0, learning_rate=1e-2, weight_decay=0.5)]
    assert (weight[0] - weight[1]) / 1e-2 == pytest.approx(1 + 0.5 * weight[0], rel=1e-3)


def test_a_folder_that_holds_something_else_is_left_alone(data, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(VipeError, match=r"holds 'notes.txt', which is no part of a training"):
        run("v-vipe", data, tmp_path)
    with pytest.raises(VipeError, match="is a file; a training needs a folder"):
        run("v-vipe", data, tmp_path / "notes.txt")
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
        run("v-vipe", data, place, progress=lambda *step: told.append(step))
    assert not told
    assert sorted(path.name for path in tmp_path.rglob("*")) == (["file", "model"] if exists else ["file"])


def _read_only(self, *_, **__):
    raise OSError(30, "Read-only file system", str(self))


def test_looking_whether_a_folder_can_be_written_leaves_nothing(data, tmp_path):
    with pytest.raises(ShapeError):
        run("v-vipe", (data[0][:2], data[1]), tmp_path / "some" / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_second_training_of_one_folder_is_refused_and_harms_nothing(data, kind, finished, tmp_path):
    refused = []

    def second(*_):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(
            VipeError, match=r"model: another process trains there now; wait until it has ended"
        ) as said:
            run(kind, data, tmp_path / "model", seed=6)
        assert sorted(tmp_path.rglob("*")) == before
        refused.append(said)

    model = run(kind, data, tmp_path / "model", progress=second)
    assert refused
    assert model.fingerprint == finished(kind)[0].fingerprint
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == DONE


def test_a_training_that_another_process_ended_meanwhile_is_not_run_again(data, finished, tmp_path, monkeypatch):
    held = CheckpointFolder.held

    def late(self):
        shutil.copytree(finished("v-vipe")[1], self.path)
        return held(self)

    monkeypatch.setattr(CheckpointFolder, "held", late)
    told = []
    model = run("v-vipe", data, tmp_path / "model", progress=lambda *step: told.append(step))
    assert not told
    assert model.fingerprint == finished("v-vipe")[0].fingerprint


def test_a_training_that_ends_before_its_first_checkpoint_leaves_no_folder(data, tmp_path):
    with pytest.raises(Interrupt):
        run("v-vipe", data, tmp_path / "some" / "model", progress=interrupt("poses", 2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut state", "cut tensors", "no tensors", "other tensors"])
def test_a_broken_checkpoint_is_refused(data, tmp_path, damage):
    with pytest.raises(Interrupt):
        run("v-vipe", data, tmp_path / "model", progress=interrupt("poses", 6))
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
        run("v-vipe", data, tmp_path / "model")


def test_a_first_checkpoint_that_was_cut_off_does_not_stand_in_the_way(data, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / ".checkpoint-0-0000008.safetensors-0123abcd").write_bytes(b"half")
    run("v-vipe", data, tmp_path / "model")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == DONE


@pytest.mark.refusal
def test_what_cannot_be_trained_on_is_refused(data, tmp_path):
    poses, held_out = data
    with pytest.raises(ShapeError, match=r"poses must be \(N, 17, 3\) with N at least 3, got shape \(200, 51\)"):
        run("v-vipe", (poses.reshape(-1, 51), held_out), tmp_path / "model")
    with pytest.raises(ShapeError, match=r"validation poses must be .* got shape \(2, 17, 3\)"):
        run("v-vipe", (poses, held_out[:2]), tmp_path / "model")
    with pytest.raises(ShapeError, match=r"poses: row 0 has a torso of \d+ m; expected metres"):
        run("v-vipe", (poses * 100, held_out), tmp_path / "model")
    flat = poses.copy()
    flat[7, [1, 4]] = flat[7, 0]
    with pytest.raises(ShapeError, match="poses: row 7 has no canonical form"):
        run("v-vipe", (flat, held_out), tmp_path / "model")
    with pytest.raises(VipeError, match="seed must not be negative, got -1"):
        run("v-vipe", data, tmp_path / "model", seed=-1)
    with pytest.raises(VipeError, match="device 'abacus' cannot be used"):
        run("v-vipe", data, tmp_path / "model", device="abacus")
    assert not (tmp_path / "model").exists()


def test_a_loss_that_explodes_ends_the_training_with_words(data, tmp_path):
    config = replace(TRAININGS["v-vipe"][2], learning_rate=1e30)
    with pytest.raises(VipeError, match=r"training: loss \S+ at step \d+ of poses; lower learning_rate"):
        run("v-vipe", data, tmp_path / "model", config=config)
