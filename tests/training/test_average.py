"""Weights averaged over the steps of a training: the average itself, and a training that ends with it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from vipe.embed.prvipe.network import PrVIPEConfig
from vipe.embed.prvipe.training import PrVIPETrainingConfig, train_prvipe
from vipe.errors import ReadError, VipeError
from vipe.training.average import WeightAverage
from vipe.training.checkpoint import CheckpointFolder
from vipe.training.loop import Stage, run_stages

SHORT = PrVIPETrainingConfig(
    steps=12, batch=32, learning_rate=1e-2, record_every=2, validate_every=4, validation_rows=20, averaging=0.8
)
NETWORK = PrVIPEConfig(width=32, dim=4, samples=6)


def averaged(values, decay):
    """The slow twin: the average after each step."""
    found = [values[0]]
    for step, value in enumerate(values[1:], 2):
        share = max(1 - decay, 9 / (9 + step))
        found.append(found[-1] + share * (value - found[-1]))
    return found


@pytest.mark.parametrize("decay", [0.5, 0.99], ids=["mostly by the decay", "mostly by the number of steps"])
def test_the_average_is_that_of_a_loop_over_the_steps(decay, generator):
    model = nn.Linear(3, 2)
    average, values = WeightAverage(model, decay), torch.randn(40, 2, 3, generator=generator)
    for value, expected in zip(values, averaged(list(values), decay), strict=True):
        with torch.no_grad():
            model.weight.copy_(value)
        average.update()
        with average.applied():
            torch.testing.assert_close(model.weight.detach(), expected)
        assert torch.equal(model.weight, value)


def test_weights_from_before_the_first_step_have_no_part_and_the_last_tenth_of_the_steps_most():
    share = np.array([1.0] + [9 / (9 + step) for step in range(2, 2001)])
    weight = share * np.append(np.cumprod((1 - share)[::-1])[::-1][1:], 1.0)  # of each step in the average of all
    assert weight.sum() == pytest.approx(1)
    assert weight[1800:].sum() > 0.6
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 0.9999)
    with torch.no_grad():
        model.weight.fill_(7.0)
    average.update()
    average.apply()
    assert model.weight.item() == 7.0


def test_batch_statistics_are_averaged_with_the_weights_and_batches_counted(generator):
    model = nn.BatchNorm1d(3)
    average, means = WeightAverage(model, 0.9), []
    for _ in range(5):
        model(torch.randn(8, 3, generator=generator))
        means.append(model.running_mean.clone())
        average.update()
    average.apply()
    torch.testing.assert_close(model.running_mean, averaged(means, 0.9)[-1])
    assert model.num_batches_tracked == 5


def test_the_network_gets_its_own_weights_back_whatever_happens():
    model = nn.Linear(2, 2)
    average, weight, before = WeightAverage(model, 0.9), model.weight, model.weight.detach().clone()
    average.update()
    with torch.no_grad():
        model.weight.add_(1)
    with pytest.raises(KeyError), average.applied():
        assert torch.equal(model.weight, before)
        raise KeyError
    assert model.weight is weight
    assert torch.equal(model.weight, before + 1)


def test_restored_it_goes_on_as_it_would_have(generator):
    model = nn.Linear(2, 2)
    whole, parts = WeightAverage(model, 0.9), WeightAverage(model, 0.9)
    for step in range(6):
        with torch.no_grad():
            model.weight.copy_(torch.randn(2, 2, generator=generator))
        whole.update()
        parts.update()
        if step == 2:
            state, parts = parts.state(), WeightAverage(nn.Linear(2, 2), 0.9)
            parts.restore(state)
            parts.model = model
    assert all(torch.equal(tensor, parts.state()[name]) for name, tensor in whole.state().items())
    with pytest.raises(RuntimeError):
        parts.restore({})


def run_toy(folder, averaging, steps=9):
    """Two stages of a model of one weight that falls by a known rate: weights before each step, and when validated."""
    model, seen, validated = nn.Linear(1, 1, bias=False), [], []
    with torch.no_grad():
        model.weight.fill_(1.0)

    def losses(_):
        seen.append(model.weight.item())
        return {"loss": model.weight.sum()}

    def validate():
        validated.append(model.weight.item())
        return {}

    stages = [Stage(name, steps, (model,), losses, validate) for name in ("one", "two")]
    config = replace(SHORT, averaging=averaging, validate_every=3)
    run_stages(model, stages, config, seed=0, folder=CheckpointFolder(folder, {}), progress=None)
    return np.array(seen), validated, model.weight.item()


def test_a_stage_is_validated_and_ends_with_averaged_weights_and_steps_go_on_from_their_own(tmp_path):
    plain, _, _ = run_toy(tmp_path / "plain", 0.0)
    seen, validated, last = run_toy(tmp_path / "averaged", 0.8)
    np.testing.assert_array_equal(seen[:9], plain[:9])
    after = [*seen[1:9], seen[8] + plain[9] - plain[8]]  # the last step of a stage falls as without averaging
    one = averaged(after, 0.8)
    assert validated[:3] == pytest.approx([one[2], one[5], one[8]], abs=1e-6)
    assert seen[9] == pytest.approx(one[8], abs=1e-6)  # the second stage starts from the average of the first
    assert one[8] - after[8] > 1e-3
    assert validated[5] == last
    assert last > seen[17]  # it falls, so its average lies above


class Interrupt(Exception):
    pass


def train(data, folder, place=None, **changes):
    def progress(stage, step, steps, metrics):
        if step == place:
            raise Interrupt

    return train_prvipe(*data, folder, network=NETWORK, config=replace(SHORT, **changes), seed=5, progress=progress)


def lines(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "model"
    return train(data, folder).model.state_dict(), folder


@pytest.mark.parametrize("place", [6, 12])
def test_interrupted_and_resumed_it_ends_with_the_averaged_weights_of_a_run_without_interrupt(
    place, data, whole, tmp_path
):
    weights, folder = whole
    with pytest.raises(Interrupt):
        train(data, tmp_path / "parts", place)
    resumed = train(data, tmp_path / "parts").model.state_dict()
    assert all(torch.equal(resumed[name], tensor) for name, tensor in weights.items())
    assert lines(tmp_path / "parts") == lines(folder)


def test_a_training_learns_as_without_averaging_and_saves_other_weights(data, whole, tmp_path):
    weights, folder = whole
    plain = train(data, tmp_path / "plain", averaging=0.0).model.state_dict()
    for one, other in zip(lines(folder), lines(tmp_path / "plain"), strict=True):
        assert one["loss"] == other["loss"]
        assert ("val_view_hit1" in one) == ("val_view_hit1" in other)
    assert not torch.equal(weights["net.output.weight"], plain["net.output.weight"])
    with pytest.raises(VipeError, match=r"was trained with training\.averaging 0.8 \(now None\)"):
        train(data, folder, averaging=0.0)


def test_a_checkpoint_without_its_average_is_refused(data, tmp_path):
    from safetensors.torch import load_file, save_file

    with pytest.raises(Interrupt):
        train(data, tmp_path / "parts", 6)
    (file,) = (tmp_path / "parts").glob("checkpoint-*")
    tensors = {name: tensor for name, tensor in load_file(file).items() if not name.startswith("average.")}
    save_file(tensors, file)
    with pytest.raises(ReadError, match="its checkpoint does not fit"):
        train(data, tmp_path / "parts")


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(VipeError, match="training: averaging must be at least 0 and below 1"):
        replace(SHORT, averaging=decay)
