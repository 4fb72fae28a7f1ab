import itertools
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit

import vipe
from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.retrieve import CameraPrior, Search, SearchSettings, affine_camera, fit_cameras
from vipe.retrieve.candidates.scan import affine_residual
from vipe.retrieve.query import answer, query
from vipe.retrieve.ranking.evidence import embedding_distances
from vipe.retrieve.ranking.model import RankingModel
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.store import PoseStore


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


def test_full_mode_gives_the_likeliest_of_the_nearest_first(affine, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 8, size=people.xy.shape), people.mask)
    hits = query(affine, noisy, 60, mode="full", candidates=60)
    nearest = query(affine, noisy, 60, mode="affine")
    for found, rows in zip(hits.rows, nearest.rows, strict=True):
        assert len(set(found)) == 60
        assert set(rows[:30]) <= set(found)  # the others may have been looked for without a doubtful joint
    np.testing.assert_array_equal(hits.probability.argmax(axis=1), 0)
    fits = fit_cameras(affine.poses(hits.rows), noisy, CameraPrior(refine=None))
    assert (hits.fit_cost[:, 0] >= fits.cost[:, 0] - 0.1).all()
    np.testing.assert_allclose(
        hits.affine_residual[:, :5], affine_camera(fits_poses(affine, hits), noisy).residual, atol=1e-3
    )
    assert nearest.fit_cost is None
    assert nearest.probability is None


def fits_poses(index, hits):
    return index.poses(hits.rows[:, :5])


def test_contributions_to_a_hit_sum_to_the_log_odds_of_its_probability(index, people):
    hits = query(index, people, 5)
    total = np.sum(list(hits.contributions.values()), axis=0)
    np.testing.assert_allclose(expit(total), hits.probability, atol=1e-4)
    assert (hits.probability_close <= hits.probability).all()
    assert ((hits.presence > 0) & (hits.presence < 1)).all()
    assert hits.of(0)[0]["probability"] == pytest.approx(float(hits.probability[0, 0]))
    assert {"probability", "fit_cost", "affine_residual"} <= set(hits.table().column_names)


def test_a_pose_that_is_not_there_is_less_probable(affine, rng):
    # These poses' bones are noise: a person of reference build is seen, or no camera would fit.
    seen = simulate_keypoints(affine.canonical[:12] * 0.49, CameraRig.load("mpi_inf_3dhp"), noise=0.0, generator=rng)
    there = query(affine, seen, 1)
    np.testing.assert_array_equal(there.rows[:, 0], np.arange(12))
    for row in range(12):
        elsewhere = query(affine, seen[row : row + 1], 1, where=np.delete(np.arange(120), row))
        assert elsewhere.probability[0, 0] < there.probability[row, 0] / 2
        assert elsewhere.presence[0] < there.presence[row]


def test_learned_candidates_join_the_exact_ones_and_none_comes_twice(learned, people):
    hits = query(learned, people, 40, candidates=30)
    for row in range(12):
        assert len(set(hits.rows[row])) == 40
    few = query(learned, people, 8, candidates=8)
    as_given = [row for row, name in enumerate(few.relabelled) if not name]
    both = [
        set(a) | set(b)
        for a, b in zip(
            query(learned, people, 8, mode="affine").rows, query(learned, people, 8, mode="point").rows, strict=True
        )
    ]
    assert len(as_given) > 6  # others are read another way: toy bodies, which no camera sees so
    assert all(set(few.rows[row]) <= both[row] for row in as_given)
    assert any(len(allowed) > 8 for allowed in both)


def test_beyond_the_scanned_size_missing_joints_are_completed(affine, people, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("every pose was looked at")

    small = query(affine, people[:4], 5, mode="affine")
    monkeypatch.setattr("vipe.retrieve.candidates.affine.SCANNED", 50)
    monkeypatch.setattr("vipe.retrieve.candidates.affine.scan", refused)
    large = query(affine, people[:4], 5, mode="affine")
    np.testing.assert_array_equal(large.rows[:, 0], small.rows[:, 0])
    np.testing.assert_allclose(large.distance[:, 0], small.distance[:, 0], atol=2e-3)


def test_a_joint_that_is_off_does_not_hide_the_right_pose(affine, people):
    xy = np.broadcast_to(people.xy[0], (13, 13, 2)).copy()
    size = np.sqrt(np.square(xy[0] - xy[0].mean(0)).sum(1).mean())
    xy[np.arange(13), np.arange(13)] += 1.5 * size / 2**0.5
    off = Keypoints.of(xy)
    candidates = 4
    plain = query(affine, off, candidates, mode="affine").rows
    found = query(affine, off, candidates, candidates=candidates).rows
    assert (found == 0).any(axis=1).sum() > (plain == 0).any(axis=1).sum()
    assert (found == 0).any(axis=1).mean() > 0.8


def test_where_scanning_does_not_pay_the_learned_embedding_alone_brings_candidates(learned, people, monkeypatch):
    monkeypatch.setattr("vipe.retrieve.candidates.affine.SCANNED", 50)
    monkeypatch.setattr("vipe.retrieve.candidates.affine.scan", None)  # no pose is scanned
    hits = query(learned, people, 5, candidates=10)
    nearest = query(learned, people, 20, mode="point")
    as_given = [row for row, name in enumerate(hits.relabelled) if not name]
    assert len(as_given) > 6
    for row in as_given:
        assert set(hits.rows[row]) <= set(nearest.rows[row])
    cameras = affine_camera(learned.poses(hits.rows), people)
    np.testing.assert_allclose(hits.affine_residual[as_given], cameras.residual[as_given], atol=1e-3)


@pytest.mark.parametrize("mode", ["full", "affine"])
def test_hits_can_be_kept_apart(index, people, mode):
    clip, time = index.frames()["clip"], index.frames()["time"]
    hits = query(index, people, 6, mode=mode, max_per_clip=1)
    for rows in hits.rows:
        found = clip[rows[rows >= 0]]
        assert len(set(found)) == len(found) >= 1
    apart = query(index, people, 6, mode=mode, min_gap_seconds=0.5)
    for rows in apart.rows:
        rows = rows[rows >= 0]
        for first, second in itertools.combinations(rows, 2):
            assert clip[first] != clip[second] or abs(time[first] - time[second]) > 0.5 - 1e-5
    np.testing.assert_array_equal(hits.rows[:, 0], query(index, people, 6, mode=mode).rows[:, 0])


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
    mask[2] = np.arange(13) < 3
    xy = people.xy.copy()
    xy[4] = 77.7
    hits = query(index, Keypoints.of(xy, mask), 5)
    assert hits.skipped[1] == "0 joints seen, at least 4 are needed"
    assert hits.skipped[2].endswith("joints seen, at least 4 are needed")
    assert hits.skipped[4] == "all seen joints are at one place"
    assert [reason is None for reason in hits.skipped] == [row not in (1, 2, 4) for row in range(12)]
    assert [len(hits.of(row)) for row in range(12)] == [0 if row in (1, 2, 4) else 5 for row in range(12)]
    exact = query(index, Keypoints.of(xy, mask), 5, mode="affine")
    assert exact.skipped[2].endswith("joints seen, at least 6 are needed")
    np.testing.assert_array_equal(exact.rows[[0, 3, 5], 0], [0, 3, 5])
    assert [reason is None for reason in exact.skipped] == [reason is None for reason in hits.skipped]
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
    nowhere = query(learned, people, 5, mode=mode, where={"clip": "nobody"})
    assert nowhere.rows.shape == (12, 0)
    assert set(nowhere.skipped) == {"no row of the index matches `where`"}


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


def test_keypoints_of_another_skeleton_are_refused(affine, of_coco17):
    with pytest.raises(ShapeError, match="coco13, got coco17"):
        query(affine, of_coco17)


def test_an_index_of_signatures_with_other_constants_is_scanned(affine, people, monkeypatch):
    expected = query(affine, people[:1], 4)
    monkeypatch.setattr(AffineSignature, "fingerprint", "another")
    hits = query(affine, people[:1], 4)
    np.testing.assert_array_equal(hits.rows, expected.rows)
    np.testing.assert_allclose(hits.distance, expected.distance, atol=2e-3)


def test_it_is_the_public_name():
    assert vipe.query is query


def test_a_prior_that_the_ranking_was_not_learned_under_is_refused(affine, people):
    with pytest.raises(VipeError, match=r"camera_prior: noise is 0\.2, not 0\.033; the probabilities"):
        query(affine, people, camera_prior=CameraPrior(noise=0.2))
    wide = CameraPrior(noise=0.2)
    model = replace(RankingModel.default(), camera_prior=wide)
    hits = query(affine, people, camera_prior=wide, model=model)
    np.testing.assert_array_equal(hits.rows, query(affine, people, model=model).rows)  # it is the model's own
    assert (hits.probability != query(affine, people).probability).any()


def test_an_index_of_the_shipped_embedding_answers_without_embedding_candidates_again(
    store, people, tmp_path, monkeypatch
):
    shipped = Embedder.from_pretrained("default")
    index = PoseIndex.build(store, shipped, tmp_path / "index")
    expected = query(index, people, 5)

    def refused(*_):
        raise AssertionError("candidates were embedded again")

    monkeypatch.setattr(Embedder, "encode_poses", refused)
    hits = query(index, people, 5)
    np.testing.assert_array_equal(hits.rows, expected.rows)
    np.testing.assert_array_equal(hits.probability, expected.probability)
    rows = np.array([[7, 30]])
    held = embedding_distances(index, rows, index.poses(rows), people[:1])
    monkeypatch.undo()
    anew = embedding_distances(None, rows, index.poses(rows), people[:1])
    np.testing.assert_allclose(held.to_keypoints, anew.to_keypoints, rtol=1e-4)
    np.testing.assert_allclose(held.to_mean, anew.to_mean, rtol=1e-4)


def test_a_hit_carries_the_camera_and_body_it_was_ranked_by(index, people):
    hits = query(index, people[:3], 4)
    seen = people.mask[:3, None]
    image = hits.fits.project()[:, :, COCO13_IN_H36M17]
    off = np.linalg.norm(image - people.xy[:3, None], axis=-1) * seen
    np.testing.assert_allclose(off, hits.fits.error, atol=0.05)
    np.testing.assert_array_equal(hits.fits.cost, hits.fit_cost)
    np.testing.assert_array_equal(hits.fits.residual, hits.distance)
    nobody = Keypoints.of(people.xy[:1], np.zeros((1, 13), dtype=bool))
    assert np.isnan(query(index, nobody, 4).fits.scale).all()
    assert query(index, people[:1], 4, mode="affine").fits is None


def test_the_page_draws_the_fitted_cameras_and_fits_none_anew(affine, people, tmp_path, monkeypatch):
    pytest.importorskip("jinja2")
    from vipe.plots.pages.answers import save_query_page

    hits = query(affine, people[:1], 3)
    monkeypatch.setattr("vipe.retrieve.camera.perspective.fit_cameras", None)
    monkeypatch.setattr("vipe.retrieve.fit_cameras", None)
    pages = []
    for fits in (hits.fits, hits.fits, replace(hits.fits, shift=hits.fits.shift + 40)):
        save_query_page(tmp_path / "page.html", affine, people[:1], replace(hits, fits=fits))
        pages.append((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert pages[0] == pages[1] != pages[2]


def test_the_probability_of_a_hit_never_exceeds_presence_nor_falls_below_that_of_being_close(index, people, rng):
    noisy = Keypoints.of(people.xy + rng.normal(0, 25, size=people.xy.shape), people.mask)
    hits = query(index, noisy, 10)
    assert (hits.probability_close <= hits.probability).all()
    assert (hits.probability <= hits.presence[:, None]).all()


def test_json_is_what_the_command_line_prints(index, people):
    hits = query(index, people[:2], 2)
    plain, explained = hits.to_json(people[:2]), hits.to_json(people[:2], explain=True)
    first = plain["queries"][0]
    assert (first["image_id"], first["person"]) == (people.image_id[0], int(people.person[0]))
    assert first["presence"] == pytest.approx(float(hits.presence[0]), abs=1e-6)
    assert first["hits"] == hits.of(0)
    added = explained["queries"][1]["hits"][0]
    assert added["contributions"] == {name: float(part[1, 0]) for name, part in hits.contributions.items()}
    assert added["camera"]["scale"] == float(hits.fits.scale[1, 0])
    assert len(added["bones"]) == 9
    json.dumps(explained, allow_nan=False)


def test_hits_are_drawn_over_the_keypoints_and_as_turning_bodies(affine, people, tmp_path):
    pytest.importorskip("jinja2")
    from vipe.plots.pages.answers import save_query_page

    drawn = {}
    for mode in ("affine", "full"):
        file = tmp_path / f"{mode}.html"
        save_query_page(file, affine, people[:2], query(affine, people[:2], 3, mode=mode))
        drawn[mode] = file.read_text(encoding="utf-8").count("<canvas data-figure")
    assert drawn == {"affine": 2 * (1 + 2 * 3), "full": 2 * (1 + 2 * 3)}


def test_places_without_a_hit_have_no_camera_and_a_skipped_person_no_presence(affine, people):
    mask = people.mask[:3].copy()
    mask[1] = False
    hits = query(affine, Keypoints.of(people.xy[:3], mask), 10, candidates=10, max_per_clip=1)
    assert (hits.rows < 0).any() and (hits.rows[0] >= 0).any()
    assert (np.isnan(hits.fits.cost) == (hits.rows < 0)).all()
    assert np.isnan(hits.presence[1]) and np.isfinite(hits.presence[[0, 2]]).all()
    json.dumps(hits.to_json(people[:3], explain=True), allow_nan=False)


def test_people_of_several_blocks_keep_their_order(affine, people, monkeypatch):
    together = query(affine, people, 3)
    monkeypatch.setattr(sys.modules["vipe.retrieve.query"], "_AT_ONCE", 5)
    apart = query(affine, people, 3)
    np.testing.assert_array_equal(apart.rows, together.rows)
    # How many are summed at once decides how sums are rounded, which a fit to six joints magnifies.
    np.testing.assert_allclose(apart.fits.rotation, together.fits.rotation, atol=1e-3)
    np.testing.assert_allclose(apart.contributions["agreement"], together.contributions["agreement"], atol=1e-2)


def test_hits_that_have_to_differ_are_chosen_among_all_candidates_not_the_voters_alone(affine, people, monkeypatch):
    monkeypatch.setattr(sys.modules["vipe.retrieve.query"], "VOTERS", 4)
    hits = query(affine, people, 4, candidates=120, min_gap_seconds=0.5)
    assert hits.found.all()


def test_json_where_nothing_matches_is_json_and_people_are_one_a_query(affine, people):
    hits = query(affine, people[:2], 3, where={"clip": "nobody"})
    printed = json.dumps(hits.to_json(people[:2]), allow_nan=False)
    assert "no row of the index matches" in printed
    numbered = replace(people[:2], image_id=(np.int64(4), np.int64(7)))
    assert json.loads(json.dumps(hits.to_json(numbered)))["queries"][1]["image_id"] == 7
    with pytest.raises(ShapeError, match="people must be one for each of 2 queries, got 3"):
        hits.to_json(people[:3])


@pytest.mark.refusal
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"candidates": 1.5}, "candidates must be a whole number, got float"),
        ({"candidates": True}, "candidates must be a whole number, got bool"),
        ({"max_per_clip": float("nan")}, "max_per_clip must be a whole number or None, got float"),
        ({"min_gap_seconds": True}, "min_gap_seconds must be a number, got bool"),
        ({"camera_prior": 3}, "camera_prior must be a CameraPrior or None, got int 3"),
        ({"model": 3}, "model must be a RankingModel, got int"),
    ],
)
def test_settings_of_the_wrong_type_are_refused(affine, people, setting, message):
    with pytest.raises(ArgumentError, match=message):
        SearchSettings(**setting)
    with pytest.raises(ArgumentError, match="index must be a PoseIndex, got str"):
        Search("ix")
    with pytest.raises(ArgumentError, match="settings must be SearchSettings, got dict"):
        Search(affine, {})
    with pytest.raises(ArgumentError, match="k must be a whole number, got str"):
        answer(Search(affine), people, "3")


def test_a_page_says_how_many_of_the_hits_it_draws(affine, people, tmp_path):
    from vipe.plots.pages.answers import save_query_page

    for k, told in ((3, False), (5, True)):
        save_query_page(tmp_path / "page.html", affine, people[:1], query(affine, people[:1], k), most=3)
        assert (f"The first 3 of {k} hits are drawn." in (tmp_path / "page.html").read_text()) == told


@pytest.mark.parametrize("mode", ["full", "affine", "point", "hypotheses"])
def test_2048_hits_are_given_in_every_mode(bent, mode, tmp_path):
    clips = [Clip(name=f"c{n}", skeleton=load("h36m17"), positions=bent(700, n), fps=10.0) for n in range(3)]
    embedder = Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=0))
    index = PoseIndex.build(PoseStore.create(tmp_path / "store", clips), embedder, tmp_path / "index")
    seen = simulate_keypoints(
        bent(700, 0)[:1], CameraRig.load("mpi_inf_3dhp"), noise=0.0, generator=np.random.default_rng(0)
    )
    hits = query(index, seen, 2048, mode, samples=20)
    assert hits.rows.shape == (1, 2048) and hits.found.all()
    assert len(set(hits.rows[0].tolist())) == 2048
    assert hits.table().num_rows == 2048
    if mode in ("affine", "point"):
        assert hits.rows[0].tolist() == query(index, seen, 2100, mode).rows[0, :2048].tolist()


def test_people_with_many_hits_are_ranked_in_smaller_blocks(affine, people, monkeypatch):
    """Memory is bounded by people times candidates."""
    module = sys.modules["vipe.retrieve.query"]
    asked = []
    full = module._full
    monkeypatch.setattr(
        module, "_full", lambda search, some, k, mode: asked.append(len(some)) or full(search, some, k, mode)
    )
    query(affine, people[:5], 20, candidates=10)
    monkeypatch.setattr(module, "_AT_ONCE", 4)
    monkeypatch.setattr(module, "CANDIDATES", 10)
    query(affine, people[:5], 20, candidates=10)
    assert asked == [5, 2, 2, 1]


def test_named_joints_are_searched_with_as_if_no_other_was_seen(affine, people):
    mask = people.mask.copy()
    mask[:, 7:] = False  # hips, knees and ankles
    some, left = (
        query(affine, one, 5, "full", **more)
        for one, more in ((people, {"joints": ("upper",)}), (replace(people, mask=mask), {}))
    )
    np.testing.assert_array_equal(some.rows, left.rows)
    np.testing.assert_array_equal(some.probability, left.probability)
    assert some.skipped == left.skipped
    with pytest.raises(VipeError, match=r"4 keypoints are named .*, at least 6 are needed"):
        query(affine, people, joints=("torso",), mode="affine")
    assert query(affine, people, joints=("torso",)).found.any()  # four are enough for mode full
