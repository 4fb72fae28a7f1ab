import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
from matplotlib.image import imread

from vipe.errors import ShapeError
from vipe.lift.stages.beliefs import gaussian_beliefs
from vipe.plots.bodies.beliefs import BeliefRow, save_beliefs


def row(at):
    maps = gaussian_beliefs(torch.tensor([at, [4.0, 4.0], [6.0, 6.0]]), (16, 16)).numpy()
    picture = np.full((32, 32, 3), 120, dtype=np.uint8)
    truth = np.array([9.0, 9.0])
    return BeliefRow(label="left wrist", picture=picture, network=maps[0], prior=maps[1], fused=maps[2], truth=truth)


def test_a_picture_has_a_row_for_each_joint(tmp_path):
    for count in (1, 2):
        save_beliefs(tmp_path / f"{count}.png", [row([2.0, 12.0])] * count)
    one, two = (imread(tmp_path / f"{count}.png") for count in (1, 2))
    assert one.shape[1] == two.shape[1]
    assert two.shape[0] > 1.7 * one.shape[0]


def test_the_maps_are_where_their_columns_are(tmp_path):
    save_beliefs(tmp_path / "a.png", [row([2.0, 12.0])])
    save_beliefs(tmp_path / "b.png", [row([12.0, 2.0])])
    a, b = imread(tmp_path / "a.png"), imread(tmp_path / "b.png")
    columns = np.flatnonzero((a != b).any(axis=(0, 2))) / a.shape[1]
    assert 0.25 < columns.min() < columns.max() < 0.52  # the network's maps stand in the second of four columns


def test_no_row_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="at least one row"):
        save_beliefs(tmp_path / "a.png", [])
