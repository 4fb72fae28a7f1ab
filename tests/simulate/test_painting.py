from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.simulate.painting import Shapes, hidden, paint

FRONT = torch.tensor([[0.0, 0.0, 1.0]])
SIDE = 32


def shape(start, end, radius, *, depth=(5.0, 5.0), bulge=0.0, colour=(0.2, 0.4, 0.6), square=False):
    """One shape in one picture."""
    return Shapes(
        start=torch.tensor([[start]], dtype=torch.float32),
        end=torch.tensor([[end]], dtype=torch.float32),
        radius=torch.tensor([[radius]], dtype=torch.float32),
        depth=torch.tensor([[depth]], dtype=torch.float32),
        bulge=torch.full((1, 1, 2), float(bulge)),
        colour=torch.tensor([[colour]], dtype=torch.float32),
        wave=torch.zeros(1, 1, 2),
        contrast=torch.zeros(1, 1),
        square=torch.tensor([[square]]),
    )


def painted(shapes, light=FRONT):
    return paint(torch.zeros(1, 3, SIDE, SIDE), shapes, light)[0]


def pixels():
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    return x, y


def test_a_disc_has_its_colour_inside_and_nothing_outside():
    image = painted(shape((10, 12), (10, 12), (5, 5)))
    x, y = pixels()
    away = torch.from_numpy(np.hypot(x - 10, y - 12))
    torch.testing.assert_close(image[:, away < 4.5], torch.tensor([[0.2], [0.4], [0.6]]).expand(3, (away < 4.5).sum()))
    assert not image[:, away > 5.5].any()
    assert image[0].sum() == pytest.approx(0.2 * np.pi * 25, rel=0.01)  # outlines are smooth: the area is right


def test_a_limb_is_all_discs_along_it():
    image = painted(shape((8, 8), (24, 18), (3, 3)))
    x, y = pixels()
    share = np.linspace(0, 1, 200)[:, None, None]
    nearest = np.hypot(x - (8 + 16 * share), y - (8 + 10 * share)).min(axis=0)
    np.testing.assert_allclose(image[0].numpy(), 0.2 * (3 - nearest + 0.5).clip(0, 1), atol=1e-3)


def test_a_limb_grows_from_one_end_to_the_other():
    image = painted(shape((4, 16), (28, 16), (1, 6)))
    widths = (image[0] > 0.1).sum(dim=0)
    assert (widths[5], widths[16], widths[27]) == (2, 8, 12)


def test_a_box_has_straight_ends():
    image = painted(shape((10, 16), (20, 16), (4, 4), square=True))
    assert (image[0] > 0.1).sum() == 18 * 8
    assert image[0, 12:20, 6:24].min() == pytest.approx(0.2)
    assert (painted(shape((16, 16), (16, 16), (4, 4), square=True))[0] > 0.1).sum() == 8 * 8


@pytest.mark.parametrize("order", [1, -1], ids=["near first", "far first"])
def test_the_nearer_of_two_shapes_is_seen_whatever_their_order(order):
    near = shape((16, 16), (16, 16), (6, 6), depth=(2, 2), colour=(1, 0, 0))
    far = shape((18, 16), (18, 16), (6, 6), depth=(3, 3), colour=(0, 1, 0))
    image = painted((near if order > 0 else far).joined(far if order > 0 else near))
    assert image[:, 16, 17].tolist() == [1, 0, 0]
    assert image[:, 16, 22].tolist() == [0, 1, 0]
    assert 0 < image[1, 16, 23] < 1


def test_of_two_crossing_limbs_each_is_in_front_at_its_near_end():
    one = shape((8, 16), (24, 16), (4, 4), depth=(1, 3), colour=(1, 0, 0))
    other = shape((8, 16), (24, 16), (4, 4), depth=(3, 1), colour=(0, 1, 0))
    image = painted(one.joined(other))
    assert image[:, 16, 9].tolist() == [1, 0, 0]
    assert image[:, 16, 22].tolist() == [0, 1, 0]


def test_a_round_limb_is_light_on_the_side_of_the_light_and_a_flat_one_even():
    light = torch.tensor([[1.0, 0.0, 0.0]])
    limb = shape((16, 4), (16, 28), (8, 8), bulge=0.1)
    row = painted(limb, light)[0, 16, 9:23]
    assert (row.diff()[7:] > 0).all()
    assert row[0] == pytest.approx(0.35 * 0.2)
    flat = painted(replace(limb, bulge=torch.zeros(1, 1, 2)), light)[0, 16, 9:23]
    torch.testing.assert_close(flat, torch.full((14,), 0.35 * 0.2))


def test_stripes_change_the_brightness_along_their_wave():
    limb = shape((16, 4), (16, 28), (8, 8))
    striped = replace(limb, wave=torch.tensor([[[0.0, np.pi / 4]]]), contrast=torch.tensor([[0.5]]))
    column = painted(striped)[0, 6:22, 16]
    expected = 0.2 * (1 + 0.5 * np.sin(np.pi / 4 * (np.arange(6, 22) + 0.5)))
    np.testing.assert_allclose(column.numpy(), expected, rtol=1e-5)


def test_a_point_is_hidden_by_what_lies_in_front_of_it_by_more_than_a_margin():
    ball = shape((16, 16), (16, 16), (6, 6), depth=(3, 3), bulge=0.2)
    at = torch.tensor([[[16.0, 16.0], [16.0, 16.0], [16.0, 16.0], [30.0, 16.0]]])
    depth = torch.tensor([[2.5, 2.85, 3.3, 3.3]])  # the surface is at 2.8
    margin = torch.full_like(depth, 0.1)
    assert hidden(ball, at, depth, margin).tolist() == [[False, False, True, False]]
    assert hidden(ball, at, depth, 0 * margin).tolist() == [[False, True, True, False]]
