from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from vipe.plots.embedding_map.picture import KEY_COLOURS, draw_map, save_map_picture
from vipe.plots.figures import figure_3d
from vipe.plots.writing import new_figure


@pytest.fixture
def axes(layout, labels):
    found = new_figure(6.0, 6.0).subplots()
    draw_map(found, layout, labels)
    return found


def test_every_pose_is_a_point_in_the_colour_of_its_key_pose(axes, layout, labels):
    from matplotlib.colors import to_hex

    points = axes.collections[0]
    assert len(points.get_offsets()) == len(layout)
    drawn = [to_hex(colour) for colour in points.get_facecolors()]
    counts = np.bincount(labels.keys.nearest)
    assert {colour: drawn.count(colour) for colour in set(drawn)} == dict(
        zip(KEY_COLOURS, counts.tolist(), strict=False)
    )


def test_each_key_pose_is_drawn_with_all_its_bones_and_a_line_to_its_point(axes, labels):
    bones = len(figure_3d(labels.poses[0]).bones)
    assert len(axes.lines) == len(labels.keys.points) * (bones + 1)


def test_key_poses_do_not_lie_on_each_other(axes, labels):
    bones = len(figure_3d(labels.poses[0]).bones)
    drawn = [line.get_xydata() for line in axes.lines]
    middles = [
        np.concatenate(drawn[start + 1 : start + 1 + bones]).mean(axis=0) for start in range(0, len(drawn), bones + 1)
    ]
    apart = np.linalg.norm(np.array(middles)[:, None] - middles, axis=-1) + 9 * np.eye(len(middles))
    assert apart.min() > 0.4


def test_one_far_point_does_not_make_the_map_small(layout, labels):
    from matplotlib.transforms import Bbox

    far = layout.xy.copy()
    far[0] = 1e4
    found = new_figure(6.0, 6.0).subplots()
    draw_map(found, replace(layout, xy=far), labels)
    places = np.asarray(found.collections[0].get_offsets())
    assert np.ptp(places, axis=0).max() > 1
    assert Bbox.from_extents(-1.5, -1.5, 1.5, 1.5).count_contains(places) == len(places)


def test_the_same_map_gives_the_same_picture(layout, labels, tmp_path):
    for name in ("a.png", "b.png"):
        save_map_picture(tmp_path / name, layout, labels, title="of $clips$")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
