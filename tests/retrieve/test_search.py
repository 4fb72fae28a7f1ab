import numpy as np
import pytest
import torch

import vipe
from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.embed.affine import COCO13_IN_H36M17
from vipe.errors import ShapeError, VipeError
from vipe.retrieve import fit_cameras, query
from vipe.retrieve.scan import affine_residual
from vipe.skeletons import load


def direct(index, people, row):
    """Slow twin: the residual of every pose, by the joints that this one person shows."""
    seen = people.mask[row]
    points = torch.from_numpy(index.canonical[:, np.array(COCO13_IN_H36M17)[seen]])
    return affine_residual(points, torch.from_numpy(people.xy[row : row + 1, seen]))[0].numpy()


def test_the_pose_that_was_seen_comes_first_with_any_joints_missing(index, people):
    hits = query(index, people, 3, mode="affine")  # their cameras stretch and shear
    np.testing.assert_array_equal(hits.rows[:, 0], np.arange(12))
    assert hits.distance[:, 0].max() < 2e-3
    assert hits.skipped == (None,) * 12
    assert hits.probability is None


def test_full_mode_ranks_the_nearest_of_affine_mode_by_what_their_cameras_cost(index, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)
    hits = query(index, noisy, 7, mode="full", candidates=30)
    nearest = query(index, noisy, 30, mode="affine")
    fits = fit_cameras(index.poses(nearest.rows), noisy)
    order = np.argsort(fits.cost, axis=1, kind="stable")[:, :7]
    np.testing.assert_array_equal(hits.rows, np.take_along_axis(nearest.rows, order, axis=1))
    np.testing.assert_allclose(hits.fit_cost, np.take_along_axis(fits.cost, order, axis=1), rtol=1e-4)
    np.testing.assert_allclose(hits.distance, np.take_along_axis(fits.residual, order, axis=1), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(hits.affine_residual, np.take_along_axis(nearest.distance, order, axis=1))
    assert {"fit_cost", "affine_residual"} <= set(hits.table().column_names)
    assert hits.of(0)[0]["fit_cost"] == pytest.approx(float(hits.fit_cost[0, 0]))
    assert nearest.fit_cost is None


def test_full_mode_gives_as_many_hits_as_are_asked_for(index, people):
    assert query(index, people, 50, candidates=3).found.all()
    assert query(index, people, 500).rows.shape == (12, 120)
    np.testing.assert_array_equal(query(index, people, 5, where=np.arange(3)).rows.shape, (12, 3))


def test_it_ranks_by_the_residual_of_the_seen_joints(index, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)
    hits = query(index, noisy, 120, mode="affine")
    for row in range(len(noisy)):
        residual = direct(index, noisy, row)
        np.testing.assert_allclose(hits.distance[row], np.sort(residual), atol=2e-4)
        np.testing.assert_allclose(residual[hits.rows[row]], hits.distance[row], atol=2e-4)


def test_both_indexes_answer_alike(affine, learned, people):
    assert query(affine, people, 5).clip.tolist() == query(learned, people, 5).clip.tolist()


def test_point_mode_ranks_by_the_learned_embedding(learned, people):
    hits = query(learned, people, 4, mode="point")
    expected = learned.search(learned.encoder.encode_keypoints(people), 4)
    np.testing.assert_array_equal(hits.rows, expected.rows)
    np.testing.assert_array_equal(hits.distance, expected.distance)


def test_people_who_cannot_be_searched_for_are_told_why_and_the_others_answered(index, people):
    mask = people.mask.copy()
    mask[1] = False
    mask[2, 5:] = False
    xy = people.xy.copy()
    xy[4] = 77.7
    hits = query(index, Keypoints.of(xy, mask), 5)
    assert hits.skipped[1] == "0 joints seen, at least 6 are needed"
    assert hits.skipped[2].endswith("joints seen, at least 6 are needed")
    assert hits.skipped[4] == "all seen joints are at one place"
    assert [reason is None for reason in hits.skipped] == [row not in (1, 2, 4) for row in range(12)]
    assert [len(hits.of(row)) for row in range(12)] == [0 if row in (1, 2, 4) else 5 for row in range(12)]
    np.testing.assert_array_equal(hits.rows[[0, 3, 5], 0], [0, 3, 5])
    assert hits.table().num_rows == 9 * 5


def test_nobody_at_all_and_nobody_searchable(index, people):
    assert len(query(index, people[:0], 5)) == 0
    hits = query(index, Keypoints.of(people.xy[:2], np.zeros((2, 13), dtype=bool)), 5)
    assert not hits.found.any()
    assert None not in hits.skipped


@pytest.mark.parametrize("mode", ["full", "affine", "point"])
def test_a_filter_limits_the_search(learned, people, mode):
    hits = query(learned, people, 200, mode=mode, where={"clip": "second"})
    assert hits.rows.shape == (12, 60)
    assert set(hits.clip.reshape(-1)) == {"second"}
    rows = np.arange(5, 15)
    np.testing.assert_array_equal(
        np.sort(query(learned, people, 200, mode=mode, where=rows).rows), np.tile(rows, (12, 1))
    )
    assert query(learned, people, 5, mode=mode, where={"clip": "nobody"}).rows.shape == (12, 0)


def test_order_of_people_does_not_matter(index, people):
    order = np.random.default_rng(3).permutation(12)
    np.testing.assert_array_equal(query(index, people[order], 4).rows, query(index, people, 4).rows[order])


def test_point_mode_needs_a_learned_embedding(affine, people):
    with pytest.raises(VipeError, match=r"index .* holds affine signatures, no learned embedding; use mode 'affine'"):
        query(affine, people, mode="point")


@pytest.mark.refusal
def test_unknown_modes_and_counts_are_refused(affine, people):
    with pytest.raises(VipeError, match="no mode 'ful'; expected one of full, affine, point"):
        query(affine, people, mode="ful")
    with pytest.raises(VipeError, match="k must be at least 1, got 0"):
        query(affine, people, 0)
    with pytest.raises(VipeError, match="candidates must be at least 1, got 0"):
        query(affine, people, candidates=0)


def test_keypoints_of_another_skeleton_are_refused(affine):
    people = Keypoints(
        xy=np.zeros((1, 17, 2), dtype=np.float32),
        mask=np.ones((1, 17), dtype=bool),
        confidence=np.ones((1, 17), dtype=np.float32),
        image_id=("a",),
        person=np.zeros(1, dtype=np.int64),
        skeleton=load("coco17"),
    )
    with pytest.raises(ShapeError, match="coco13, got coco17"):
        query(affine, people)


def test_an_index_of_signatures_with_other_constants_is_scanned(affine, people, monkeypatch):
    expected = query(affine, people[:1], 4)
    monkeypatch.setattr(AffineSignature, "fingerprint", "another")
    hits = query(affine, people[:1], 4)
    np.testing.assert_array_equal(hits.rows, expected.rows)
    np.testing.assert_allclose(hits.distance, expected.distance, atol=2e-3)


def test_it_is_the_public_name():
    assert vipe.query is query


def test_hits_of_full_mode_are_drawn_over_the_keypoints_too(affine, people, tmp_path):
    pytest.importorskip("jinja2")
    from vipe.plots.answers import save_query_page

    drawn = {}
    for mode in ("affine", "full"):
        file = tmp_path / f"{mode}.html"
        save_query_page(file, affine, people[:2], query(affine, people[:2], 3, mode=mode))
        drawn[mode] = file.read_text(encoding="utf-8").count("<canvas data-figure")
    assert drawn == {"affine": 2 * (1 + 3), "full": 2 * (1 + 3 + 3)}
