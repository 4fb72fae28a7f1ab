from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe import PoseIndex, PoseStore, query
from vipe.clips import Clip
from vipe.embed.affine import AffineSignature
from vipe.errors import ShapeError, VipeError
from vipe.plots.bodies.hits import hits_over_keypoints
from vipe.plots.figures import colours
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons.working import BONES, H36M17


@pytest.fixture(scope="module")
def searched(tmp_path_factory, bent):
    """Two people, the second with three joints, searched for among 40 poses."""
    folder = tmp_path_factory.mktemp("hits")
    poses = bent(40, seed=0)
    clip = Clip(name="moves", skeleton=H36M17, positions=poses, fps=10.0)
    index = PoseIndex.build(PoseStore.create(folder / "store", [clip]), AffineSignature(), folder / "index")
    view = View(name="front", azimuth=0.4, elevation=0.1)
    people = simulate_keypoints(poses[[3, 9]], view, noise=0.01, generator=np.random.default_rng(0))
    mask = people.mask.copy()
    mask[1, 3:] = False
    people = replace(people, mask=mask)
    return index, people, query(index, people, k=2)


def bars(axes):
    """Colour and length of the bar of a hit, whose ground is as long as a certain one."""
    ground, bar = axes.lines
    return bar.get_color(), np.ptp(bar.get_xdata()) / np.ptp(ground.get_xdata())


def test_a_row_has_the_person_and_their_hits_with_probabilities(searched):
    _, people, hits = searched
    grid = np.array(hits_over_keypoints(people, hits).axes).reshape(2, 3)
    assert grid[0, 0].texts[0].get_text() == f"presence {hits.presence[0]:.0%}"
    for place, axes in enumerate(grid[0, 1:]):
        assert axes.get_title() == f"moves {hits.time[0, place]:.1f} s"
        assert axes.texts[0].get_text() == f"{hits.probability[0, place]:.0%}"
        assert bars(axes)[1] == pytest.approx(hits.probability[0, place], abs=1e-6)


def test_a_person_who_was_not_searched_for_has_no_hits(searched):
    _, people, hits = searched
    grid = np.array(hits_over_keypoints(people, hits).axes).reshape(2, 3)
    assert grid[1, 0].texts[0].get_text() == "not searched for"
    assert not any(axes.collections or axes.lines for axes in grid[1, 1:])


def test_a_right_hit_covers_the_keypoints_in_its_picture(searched):
    _, people, hits = searched
    axes = hits_over_keypoints(people, hits).axes[1]
    grey, body = axes.collections
    keypoints, image = (np.concatenate(drawn.get_segments()) for drawn in (grey, body))
    nearest = np.linalg.norm(keypoints[:, None] - image[None], axis=-1).min(axis=1)
    assert np.median(nearest) < 0.03  # of the person's height
    head, ankle = (body.get_segments()[BONES.index(joint)][1] for joint in ("head", "left_ankle"))
    assert head[1] > ankle[1]  # up, not down as in pixels
    assert np.abs(image).max() <= 0.5 + 1e-6


def test_right_and_wrong_hits_have_their_colours(searched):
    _, people, hits = searched
    figure = hits_over_keypoints(people, hits, right=np.array([[True, False], [False, False]]))
    assert [bars(axes)[0] for axes in figure.axes[1:3]] == [colours()["hit"], colours()["miss"]]
    assert bars(hits_over_keypoints(people, hits).axes[1])[0] == colours()["left"]


def test_labels_stand_above_the_people_and_fewer_hits_can_be_drawn(searched):
    _, people, hits = searched
    figure = hits_over_keypoints(people, hits, most=1, labels=["A", "B"])
    assert [axes.get_title() for axes in figure.axes[::2]] == ["A", "B"]
    assert len(figure.axes) == 4


def test_keypoints_that_were_read_otherwise_are_drawn_as_they_were_read(searched):
    _, people, hits = searched
    read = replace(hits, relabelled=("body", ""))
    plain, turned = (hits_over_keypoints(people, one).axes[0] for one in (hits, read))
    assert turned.texts[0].get_text().endswith("\nread: body")
    first, second = (axes.collections[0] for axes in (plain, turned))
    places = [{tuple(point.round(6)) for line in one.get_segments() for point in line} for one in (first, second)]
    assert places[0] == places[1]  # the same joints, with other names
    assert not np.array_equal(np.array(first.get_segments()), np.array(second.get_segments()))


def test_of_a_long_name_the_end_is_written(searched):
    _, people, hits = searched
    named = replace(hits, clip=np.full(hits.clip.shape, "dataset-1_walk-back_tired_001", dtype=object))
    assert hits_over_keypoints(people, named).axes[1].get_title().startswith("…lk-back_tired_001 ")


def test_hits_without_cameras_are_refused(searched):
    index, people, _ = searched
    with pytest.raises(VipeError, match='search in mode "full"'):
        hits_over_keypoints(people[:1], query(index, people[:1], k=2, mode="affine"))


@pytest.mark.refusal
def test_another_number_of_people_or_labels_is_refused(searched):
    _, people, hits = searched
    with pytest.raises(ShapeError, match="people must be one for each of 2 queries"):
        hits_over_keypoints(people[:1], hits)
    with pytest.raises(ShapeError, match="labels must be one for each of 2 queries"):
        hits_over_keypoints(people, hits, labels=["A"])
