import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.embed import Embedder
from vipe.embed.towers import TowersConfig
from vipe.embed.towers_training import TowersTrainingConfig, train_towers
from vipe.embed.towers_training import _contrast as contrast
from vipe.errors import ShapeError, VipeError

NETWORK = TowersConfig(dim=8, width=32, blocks=1, decoder_width=16)
SHORT = TowersTrainingConfig(
    steps=24, batch=32, learning_rate=1e-2, precision="float32", record_every=4, validate_every=8, validation_rows=20
)


class Interrupt(Exception):
    pass


def run(arrays, folder, **changes):
    return train_towers(*arrays, folder, **{"network": NETWORK, "config": SHORT, "seed": 5, **changes})


def weights(embedder):
    return embedder.model.state_dict()


def test_losses_fall_and_a_view_finds_its_pose(data, tmp_path):
    config = replace(SHORT, steps=150, record_every=25, validate_every=75)
    run(data, tmp_path / "model", config=config)
    lines = [json.loads(line) for line in (tmp_path / "model" / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [25, 50, 75, 100, 125, 150]
    for name in ("loss", "search", "answer", "views", "decoded"):
        assert lines[-1][name] < 0.9 * lines[0][name]
    checked = [line for line in lines if "val_search_clean" in line]
    assert [line["step"] for line in checked] == [75, 150]
    assert checked[-1]["val_search_clean"] > 0.15  # chance is 0.05
    assert checked[-1]["val_views_clean"] > 0.1


def test_what_comes_back_is_what_the_folder_holds(data, tmp_path):
    embedder = run(data, tmp_path / "model", data="bent bodies")
    again = Embedder.from_pretrained(tmp_path / "model")
    assert again.fingerprint == embedder.fingerprint
    assert "bent bodies" in again.card
    np.testing.assert_array_equal(again.encode_poses(data[1]), embedder.encode_poses(data[1]))


def test_embeddings_have_mean_0_and_unit_variance_on_average(data, tmp_path):
    z = run(data, tmp_path / "model").encode_poses(data[0])
    assert np.abs(z[:, :4].mean(axis=0)).max() < 1e-3
    assert z[:, :4].var(axis=0).sum() + np.square(z[:, 4:]).mean(axis=0).sum() == pytest.approx(8, rel=1e-3)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(data, tmp_path):
    torch.manual_seed(1)
    first = run(data, tmp_path / "a")
    torch.manual_seed(2)
    second, other = run(data, tmp_path / "b"), run(data, tmp_path / "c", seed=6)
    assert all(torch.equal(weights(first)[name], tensor) for name, tensor in weights(second).items())
    assert any(not torch.equal(weights(first)[name], tensor) for name, tensor in weights(other).items())


def test_an_interrupted_training_goes_on_to_the_same_weights(data, tmp_path):
    def stop(stage, step, steps, metrics):
        if step >= 12:
            raise Interrupt

    whole = run(data, tmp_path / "whole")
    with pytest.raises(Interrupt):
        run(data, tmp_path / "cut", progress=stop)
    told = []
    resumed = run(data, tmp_path / "cut", progress=lambda stage, step, steps, metrics: told.append(step))
    assert told[0] == 12  # from the checkpoint of step 8
    assert all(torch.equal(weights(resumed)[name], tensor) for name, tensor in weights(whole).items())


def test_bfloat16_products_train_as_well(data, tmp_path):
    embedder = run(data, tmp_path / "model", config=replace(SHORT, precision="bfloat16"))
    assert all(tensor.dtype == torch.float32 for tensor in weights(embedder).values())


def test_the_contrast_is_the_cross_entropy_of_softmax_scores(generator):
    a, b = torch.randn(6, 4, generator=generator), torch.randn(5, 4, generator=generator)
    likeness = torch.rand(6, 5, generator=generator)
    scores = -torch.cdist(a, b).square()
    expected = [
        torch.nn.functional.cross_entropy(s, q / q.sum(1, keepdim=True))
        for s, q in ((scores, likeness), (scores.T, likeness.T))
    ]
    torch.testing.assert_close(contrast(a, b, likeness), tuple(expected))


@pytest.mark.refusal
def test_poses_and_settings_that_cannot_be_trained_on_are_refused(data, tmp_path):
    with pytest.raises(ShapeError, match="poses must be"):
        run((data[0][:2], data[1]), tmp_path / "model")
    with pytest.raises(VipeError, match="seed must not be negative"):
        run(data, tmp_path / "model", seed=-1)
    run(data, tmp_path / "model")
    with pytest.raises(VipeError, match="was trained with seed 5"):
        run(data, tmp_path / "model", seed=6)
    for wrong in ({"steps": 0}, {"batch": 1}, {"near": 0.0}):
        with pytest.raises(VipeError, match="training:"):
            replace(SHORT, **wrong)
