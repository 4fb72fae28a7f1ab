import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.embed.towers import training
from vipe.embed.towers.losses import contrast, likeness
from vipe.embed.towers.network import TowersConfig
from vipe.embed.towers.training import TowersTraining, TowersTrainingConfig, train_towers
from vipe.errors import VipeError

NETWORK = TowersConfig(dim=8, width=32, blocks=1, decoder_width=16)
SHORT = TowersTrainingConfig(
    steps=24, batch=32, learning_rate=1e-2, precision="float32", record_every=4, validate_every=8, validation_rows=20
)


def run(arrays, folder, **changes):
    return train_towers(*arrays, folder, **{"network": NETWORK, "config": SHORT, "seed": 5, **changes})


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


def test_embeddings_have_mean_0_and_unit_variance_on_average(data, tmp_path):
    z = run(data, tmp_path / "model").encode_poses(data[0])
    assert np.abs(z[:, :4].mean(axis=0)).max() < 1e-3
    assert z[:, :4].var(axis=0).sum() + np.square(z[:, 4:]).mean(axis=0).sum() == pytest.approx(8, rel=1e-3)


def test_where_not_all_cameras_are_random_those_of_the_rig_see_the_poses(data, tmp_path):
    made = [
        run(data, tmp_path / rig, config=replace(SHORT, views=replace(SHORT.views, random_share=0.0, rig=rig)))
        for rig in ("h36m", "mpi_inf_3dhp")
    ]
    assert made[0].fingerprint != made[1].fingerprint


def test_the_share_of_outliers_is_that_of_the_settings_and_each_is_one_joint(bent, monkeypatch):
    poses = torch.from_numpy(bent(40, seed=1))
    clean = (torch.zeros(4000, 13, 2), torch.ones(4000, 13, dtype=torch.bool))
    monkeypatch.setattr(training, "simulate_views", lambda *_: clean)
    monkeypatch.setattr(training, "normalize", lambda xy, seen: xy)
    one = TowersTraining(NETWORK, replace(SHORT, outlier=0.1), seed=0, data="", poses=poses, validation=poses)
    xy, _ = one._views(poses, torch.Generator().manual_seed(3))
    moved = (xy != clean[0]).any(-1).sum(1)
    assert set(moved.tolist()) == {0, 1}
    assert float(moved.float().mean()) == pytest.approx(0.1, abs=0.02)


def test_likeness_is_a_gaussian_of_the_rms_joint_distance(generator):
    poses = 0.05 * torch.randn(6, 17, 3, generator=generator)
    for i, one in enumerate(poses):
        for j, other in enumerate(poses):
            squared = (one - other).square().sum(-1).mean()
            assert float(likeness(poses, 0.04)[i, j]) == pytest.approx(
                float((-squared / (2 * 0.04**2)).exp()), rel=1e-3
            )


def test_the_contrast_is_the_cross_entropy_of_softmax_scores(generator):
    a, b = torch.randn(6, 4, generator=generator), torch.randn(5, 4, generator=generator)
    likeness = torch.rand(6, 5, generator=generator)
    scores = -torch.cdist(a, b).square()
    expected = [
        torch.nn.functional.cross_entropy(s, q / q.sum(1, keepdim=True))
        for s, q in ((scores, likeness), (scores.T, likeness.T))
    ]
    torch.testing.assert_close(contrast(a, b, likeness), tuple(expected))


@pytest.mark.parametrize("changes", [{"steps": 0}, {"near": 0.0}], ids=str)
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(VipeError, match=f"training: {next(iter(changes))} must be"):
        replace(SHORT, **changes)
