"""People and their mirror images: searched for together, each hit told apart."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

import vipe
from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.detections.cameras.lens import Lens
from vipe.detections.cameras.perspective_crop import PerspectiveCrop
from vipe.embed import AffineSignature
from vipe.errors import VipeError
from vipe.evaluate.metrics import pose_distance
from vipe.index import PoseIndex
from vipe.retrieve import Search, SearchSettings
from vipe.retrieve.bent_hits import bend_hits
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.hits import Hits
from vipe.retrieve.mirrored import mirrored_people, mirrored_poses, with_mirrored
from vipe.retrieve.query import answer, query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17
from vipe.store import PoseStore


@pytest.fixture(scope="module")
def poses(bent):
    """Sixty different canonical poses."""
    return vipe.canonicalize(bent(60, 1, most=1.0)).poses


@pytest.fixture(scope="module")
def archive(poses, tmp_path_factory):
    """Of the first thirty poses it holds each, of the others the mirror images alone."""
    folder = tmp_path_factory.mktemp("mirrored")
    held = poses.copy()
    held[30:] = mirrored_poses(poses[30:])
    clips = [
        Clip(name=name, skeleton=load("h36m17"), positions=held[rows] * 0.49, fps=10.0)
        for name, rows in (("as", slice(0, 30)), ("mirrored", slice(30, 60)))
    ]
    return PoseIndex.build(PoseStore.create(folder / "store", clips), AffineSignature(), folder / "index")


@pytest.fixture
def seen(poses, rng):
    """Of every tenth pose what a camera sees, without noise."""
    return simulate_keypoints(poses[::10] * 0.49, CameraRig.load("mpi_inf_3dhp"), noise=0.0, generator=rng)


def test_mirrored_people_are_what_a_camera_sees_of_mirror_images(poses, rng):
    camera = rng.normal(size=(3, 2)) * 80
    mirror = np.array([1, -1, 1])
    people = Keypoints.of(poses[:4, COCO13_IN_H36M17] @ camera + 300)
    # The mirrored body under the mirrored camera, whose x is negated.
    expected = mirrored_poses(poses[:4])[:, COCO13_IN_H36M17] @ (mirror[:, None] * camera) + 300
    found = mirrored_people(people)
    np.testing.assert_allclose(found.xy[..., 0], -expected[..., 0], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.xy[..., 1], expected[..., 1], rtol=1e-4, atol=1e-3)


def test_mirroring_people_exchanges_all_that_is_known_of_their_joints(rng):
    mask = np.ones((1, 13), dtype=bool)
    left, right = COCO13.index("left_knee"), COCO13.index("right_knee")
    mask[0, left] = False
    covariance = np.tile(np.array([[2.0, 1.0], [1.0, 3.0]]), (1, 13, 1, 1))
    covariance[0, right] *= 4
    people = replace(
        Keypoints.of(rng.uniform(10, 90, (1, 13, 2)), mask, confidence=np.linspace(0.5, 0.9, 13)[None]),
        covariance=covariance,
    )
    found = mirrored_people(people)
    assert not found.mask[0, right] and found.mask[0, left]
    np.testing.assert_allclose(found.xy[0, left], people.xy[0, right] * [-1, 1])
    assert found.confidence[0, left] == people.confidence[0, right]
    np.testing.assert_allclose(found.covariance[0, left], [[8, -4], [-4, 12]])
    again = mirrored_people(found)
    for name in ("xy", "mask", "confidence", "covariance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(people, name))


def test_in_affine_mode_the_nearer_of_both_comes_first(archive, seen):
    hits, plain = query(archive, seen, 9, "affine", mirrored=True), query(archive, seen, 60, "affine")
    other = query(archive, mirrored_people(seen), 60, "affine")
    for person in range(6):
        there, mirrored = (
            dict(zip(one.rows[person].tolist(), one.distance[person].tolist(), strict=True)) for one in (plain, other)
        )
        best = {row: min(there[row], mirrored[row]) for row in there}
        rows = hits.rows[person].tolist()
        assert rows == sorted(best, key=best.get)[:9]
        np.testing.assert_allclose(hits.distance[person], [best[row] for row in rows])
        assert hits.mirrored[person].tolist() == [mirrored[row] < there[row] for row in rows]


def test_in_full_mode_each_pose_is_found_as_it_is_held(archive, seen):
    hits = query(archive, seen, 5, mirrored=True)
    assert hits.rows[:, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert hits.mirrored[:, 0].tolist() == [False] * 3 + [True] * 3
    assert (hits.presence[:3] > hits.presence_mirrored[:3]).all()
    assert (hits.presence[3:] < hits.presence_mirrored[3:]).all()
    assert all(len(set(rows.tolist())) == 5 for rows in hits.rows)  # no moment twice
    assert hits.relabelled == ("",) * 6  # a mirrored image is what was asked for, and no reading
    answer = hits.to_json(seen)["queries"][3]
    assert answer["hits"][0]["mirrored"] is True
    assert answer["presence_mirrored"] == pytest.approx(float(hits.presence_mirrored[3]), abs=1e-6)
    assert hits.table()["mirrored"].to_pylist() == hits.mirrored.ravel().tolist()


def test_fits_of_mirrored_hits_show_the_keypoints_as_they_were_given(archive, seen):
    hits = query(archive, seen, 5, mirrored=True)
    off = np.linalg.norm(hits.fits.project()[:, :, COCO13_IN_H36M17] - seen.xy[:, None], axis=-1)
    np.testing.assert_allclose(off, hits.fits.error, rtol=1e-3, atol=2e-3)
    size = np.linalg.norm(np.ptp(seen.xy, axis=1), axis=1)
    assert (off[:, 0].mean(axis=1) < 0.03 * size).all()
    np.testing.assert_allclose(np.linalg.det(hits.fits.rotation), 1, atol=1e-4)
    # The body is that of the mirror image, turned by that rotation: the same bone points the same way.
    held = archive.poses(hits.rows[:, 0])
    held = np.where(hits.mirrored[:, :1, None], mirrored_poses(held), held)
    turned = np.einsum("qij,qkj->qki", hits.fits.rotation[:, 0], held)
    body = hits.fits.poses[:, 0]
    cosine = (turned * body).sum(axis=-1) / np.maximum(
        np.linalg.norm(turned, axis=-1) * np.linalg.norm(body, axis=-1), 1e-9
    )
    assert cosine[:, 1:].min() > 0.97


def test_mirrored_hits_are_bent_as_the_mirror_images_that_they_show(archive, seen):
    hits = query(archive, seen, 3, mirrored=True)
    bent = bend_hits(archive, seen, hits, 0, torch.Generator().manual_seed(0), first=1)
    off = np.linalg.norm(bent.project()[:, 0, 0][:, COCO13_IN_H36M17] - seen.xy, axis=-1)
    assert (off.mean(axis=1) < 0.02 * np.linalg.norm(np.ptp(seen.xy, axis=1), axis=1)).all()
    found = vipe.canonicalize(bent.poses[:, 0, 0]).poses
    held = archive.poses(hits.rows[:, 0])
    held = np.where(hits.mirrored[:, :1, None], mirrored_poses(held), held)
    assert pose_distance(found, held).max() < 0.05


def test_people_whose_mirror_image_is_given_have_the_same_hits_the_other_way_round(archive, seen):
    hits, other = query(archive, seen, 5, mirrored=True), query(archive, mirrored_people(seen), 5, mirrored=True)
    np.testing.assert_array_equal(other.rows[:, 0], hits.rows[:, 0])
    np.testing.assert_array_equal(other.mirrored[:, 0], ~hits.mirrored[:, 0])
    np.testing.assert_allclose(other.presence_mirrored, hits.presence, rtol=1e-3)


def test_a_known_cameras_people_are_mirrored_about_where_it_looks(archive, seen):
    looks = PerspectiveCrop.towards(Lens(800.0, 800.0, 400.0, 300.0), np.array([0.0, 0.0, 1.0]))
    people = replace(seen, crop=(looks, *(None,) * 5))
    about = mirrored_people(people)
    np.testing.assert_allclose(
        about.xy[0], mirrored_people(seen).xy[0] + np.array([800, 0], dtype=np.float32), atol=1e-3
    )
    np.testing.assert_array_equal(about.xy[1:], mirrored_people(seen).xy[1:])
    search = Search(archive)
    empty = Hits.look_up(archive, np.full((6, 1), -1), np.full((6, 1), np.inf, dtype=np.float32), fits=Fits.empty(6, 1))
    fits = Fits(**{field.name: np.ones_like(getattr(empty.fits, field.name)) for field in fields(Fits)})
    there = Hits.look_up(archive, np.full((6, 1), 3), np.ones((6, 1), dtype=np.float32), fits=fits)
    shift = with_mirrored(search, people, empty, there, 1).fits.shift[:, 0]
    assert shift.tolist() == [[799, 1], *[[-1, 1]] * 5]
    hits = query(archive, people, 3, mirrored=True)
    off = np.linalg.norm(hits.fits.project()[:, :, COCO13_IN_H36M17] - seen.xy[:, None], axis=-1)
    np.testing.assert_allclose(off, hits.fits.error, rtol=1e-3, atol=5e-3)


def found(index, rows, probability):
    rows = np.array(rows)
    return Hits.look_up(
        index,
        rows,
        np.where(rows < 0, np.inf, 1).astype(np.float32),
        probability=np.array(probability, dtype=np.float32),
    )


def test_both_lists_keep_their_order_and_empty_places_come_last(archive, seen):
    """Probabilities need not fall down a list: a second reading stands before a likelier neighbour of the first."""
    one = found(archive, [[7, 1, 2, 3], [5, -1, -1, -1], [-1] * 4], [[0.9, 0.4, 0.8, 0.1], [0.5, 0, 0, 0], [0] * 4])
    other = found(archive, [[1, 9, 8, 7], [5, 6, -1, -1], [-1] * 4], [[0.85, 0.6, 0.5, 0.3], [0.6, 0.1, 0, 0], [0] * 4])
    both = with_mirrored(Search(archive), seen[:3], one, other, 6)
    assert both.rows.tolist() == [[7, 1, 9, 8, 2, 3], [5, 6, -1, -1, -1, -1], [-1] * 6]
    assert both.mirrored.tolist() == [[False, True, True, True, False, False], [True, True, *[False] * 4], [False] * 6]
    np.testing.assert_allclose(both.probability[0], [0.9, 0.85, 0.6, 0.5, 0.8, 0.1])
    assert both.probability[1].tolist()[2:] == [0] * 4 and both.distance[1, 2] == np.inf
    limited = with_mirrored(Search(archive, SearchSettings(max_per_clip=1)), seen[:3], one, other, 6)
    assert limited.rows[0].tolist() == [7, -1, -1, -1, -1, -1]  # all are of one clip


def test_people_who_cannot_be_searched_for_stay_without_hits(archive, seen):
    mask = seen.mask.copy()
    mask[0, 3:] = False
    people = replace(seen, mask=mask)
    hits = query(archive, people, 2, mirrored=True)
    assert hits.skipped[0].startswith("3 joints seen") and not hits.found[0].any() and not hits.mirrored[0].any()
    assert "presence_mirrored" not in hits.to_json(people)["queries"][0]
    nobody = query(archive, people[:0], 2, mirrored=True)
    assert nobody.rows.shape[0] == 0
    nowhere = query(archive, people, 2, mirrored=True, where=np.empty(0, dtype=np.int64))
    assert not nowhere.found.any()


@pytest.mark.parametrize("mode", ["point", "hypotheses", "full"])
def test_every_mode_searches_for_both(learned, people, mode):
    hits = query(learned, people[:3], 8, mode, mirrored=True)
    assert hits.found.all()
    assert hits.mirrored.any() and not hits.mirrored.all()
    assert (hits.presence_mirrored is None) == (mode == "point")


def test_a_list_with_a_confidence_is_not_of_both(archive, seen):
    with pytest.raises(VipeError, match="confidence is known of people as they are: leave out mirrored"):
        query(archive, seen, mirrored=True, confidence=0.9)


def test_labels_are_taken_as_they_are_if_the_settings_say_so(archive, seen):
    given = mirrored_people(seen[:3])
    names = answer(Search(archive), given, 3).relabelled
    assert set(names) <= {"image mirrored", "body"} and all(names)
    assert answer(Search(archive, SearchSettings(relabel=False)), given, 3).relabelled == ("", "", "")
    assert answer(Search(archive).as_labelled(), given, 3).relabelled == ("", "", "")


def test_whoever_is_a_mirror_image_alone_is_not_read_otherwise(archive, seen):
    """Where only the mirror image explains somebody, no wrong reading of their limbs takes its place."""
    where = {"clip": "mirrored"}
    hits = query(archive, seen[3:], 2, mirrored=True, where=where)
    assert hits.rows[:, 0].tolist() == [30, 40, 50] and hits.mirrored[:, 0].all()
    assert not any(hits.relabelled)
    plain = query(archive, seen[3:], 2, where=where)
    assert set(plain.relabelled) <= {"image mirrored", "body"}


def test_a_reading_of_limbs_holds_for_the_mirror_image_too(archive, seen):
    legs = list(range(13))
    for joint in ("hip", "knee", "ankle"):
        left, right = (COCO13.index(f"{side}_{joint}") for side in ("left", "right"))
        legs[left], legs[right] = right, left
    swapped = replace(seen, xy=seen.xy[:, legs])
    hits = query(archive, swapped, 2, mirrored=True)
    told = [row for row, name in enumerate(hits.relabelled) if name == "legs"]
    assert len(told) >= 3
    assert hits.rows[told, 0].tolist() == [10 * row for row in told]
    assert hits.mirrored[told, 0].tolist() == [row >= 3 for row in told]
