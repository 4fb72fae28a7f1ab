"""Tracks and views beside their mirror images: all images of a hit are mirrored, or none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.geometry.rotations import random_rotation
from vipe.index import PoseIndex
from vipe.retrieve import query_tracks, query_views
from vipe.retrieve.labelling import MIRRORED, SIDES, as_relabelled
from vipe.retrieve.mirrored import mirrored_people, mirrored_poses
from vipe.retrieve.query import query
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.store import PoseStore

NINE = np.arange(9)


@pytest.fixture(scope="module")
def moving(bent, tmp_path_factory):
    """Canonical poses of four movements of 40 frames; an archive that holds two as they are and two mirrored."""
    from vipe import canonicalize

    rng = np.random.default_rng(5)
    starts = canonicalize(bent(4, 1, most=1.0)).poses
    paths = [canonicalize((one + np.cumsum(rng.normal(0, 0.05, (40, 17, 3)), 0)).astype(np.float32)) for one in starts]
    poses = np.concatenate([path.poses for path in paths])
    held = poses.copy()
    held[80:] = mirrored_poses(poses[80:])
    clips = [
        Clip(name=name, skeleton=load("h36m17"), positions=held[40 * number : 40 * number + 40] * 0.49, fps=10.0)
        for number, name in enumerate(("a", "b", "mirrored c", "mirrored d"))
    ]
    folder = tmp_path_factory.mktemp("mirrored")
    index = PoseIndex.build(PoseStore.create(folder / "store", clips), AffineSignature(), folder / "index")
    return index, poses


def seen(poses, rows, noise=2.0, seed=0):
    """Poses as cameras far away see them, one camera a row; 100 pixels a torso."""
    turn = random_rotation(len(rows), generator=torch.Generator().manual_seed(seed)).numpy()[:, :2]
    xy = 100 * poses[rows][:, COCO13_IN_H36M17] @ turn.swapaxes(1, 2) + 300
    return Keypoints.of(xy + np.random.default_rng(seed).normal(0, noise, size=xy.shape))


def asked(index, people, k=5, **settings):
    """The same images as a track, and as views of one moment if they are of one row."""
    return query_tracks(index, people, k, track=np.zeros(len(people), int), time=NINE / 10, mirrored=True, **settings)


@pytest.mark.parametrize(("first", "is_mirrored"), [(10, False), (50, False), (90, True), (130, True)])
def test_a_track_is_found_as_the_archive_holds_it(moving, first, is_mirrored):
    index, poses = moving
    hits = asked(index, seen(poses, first + NINE))
    assert (hits.rows[0, 0], hits.mirrored[0, 0]) == (first + 4, is_mirrored)
    there, other = hits.presence[0], hits.presence_mirrored[0]
    assert (there < other) == is_mirrored
    assert hits.probability[0, 0] > 0.5
    assert len(set(hits.rows[0].tolist())) == 5  # no moment twice
    assert (np.diff(np.minimum.accumulate(hits.probability[0])) <= 0).all()
    assert hits.table()["mirrored"].to_pylist() == hits.mirrored[0].tolist()


@pytest.mark.parametrize(("row", "is_mirrored"), [(20, False), (100, True)])
def test_views_of_a_moment_are_found_as_the_archive_holds_it(moving, row, is_mirrored):
    index, poses = moving
    people = seen(poses, np.repeat([row, 60], 3), noise=4.0)
    hits = query_views(index, people, 5, moment=np.repeat([0, 1], 3), mirrored=True)
    assert hits.rows[:, 0].tolist() == [row, 60]
    assert hits.mirrored[:, 0].tolist() == [is_mirrored, False]


def test_the_two_answers_are_those_of_the_track_and_of_its_mirror_image(moving):
    index, poses = moving
    people = seen(poses, 10 + NINE)
    both = asked(index, people, 20)
    flipped = asked(index, mirrored_people(people), 20)
    np.testing.assert_array_equal(both.rows, flipped.rows)
    np.testing.assert_array_equal(both.mirrored, ~flipped.mirrored)
    np.testing.assert_allclose(both.probability, flipped.probability, atol=1e-3)
    np.testing.assert_allclose(both.presence, flipped.presence_mirrored, atol=1e-3)
    plain = query_tracks(index, people, 20, track=np.zeros(9, int), time=NINE / 10)
    at = {int(row): place for place, row in enumerate(plain.rows[0])}
    kept = [place for place in np.flatnonzero(~both.mirrored[0]) if int(both.rows[0, place]) in at]
    assert kept
    for place in kept:
        assert both.fit_cost[0, place] == pytest.approx(plain.fit_cost[0, at[int(both.rows[0, place])]], rel=1e-3)


@pytest.mark.parametrize("reading", [MIRRORED, SIDES[0]], ids=["images mirrored", "all sides exchanged"])
def test_no_reading_of_the_labels_takes_the_place_of_the_mirror_image(moving, reading):
    index, poses = moving
    people = as_relabelled(seen(poses, 10 + NINE), reading)  # which a search would read back
    hits = asked(index, people)
    assert (hits.rows[0, 0], hits.mirrored[0, 0]) == (14, True)
    assert hits.relabelled == ("",)


def test_fits_show_the_keypoints_as_they_were_given(moving):
    index, poses = moving
    people = seen(poses, 90 + NINE, noise=0.0)
    hits = asked(index, people, 3)
    shown = hits.fits.project()[0, :, COCO13_IN_H36M17].swapaxes(0, 1)
    off = np.linalg.norm(shown - people.xy[hits.image[0]], axis=-1)
    np.testing.assert_allclose(off, hits.fits.error[0], rtol=1e-2, atol=0.05)
    assert off[0].mean() < 10


def test_one_image_is_answered_as_a_person_is(moving):
    index, poses = moving
    people = seen(poses, np.array([31, 115]))
    expected = query(index, people, 6, mirrored=True)
    hits = query_views(index, people, 6, moment=np.arange(2), mirrored=True)
    for name in ("rows", "mirrored"):
        np.testing.assert_array_equal(getattr(hits, name), getattr(expected, name))
    for name in ("probability", "presence", "presence_mirrored"):
        np.testing.assert_allclose(getattr(hits, name), getattr(expected, name), atol=1e-4)


def test_whoever_cannot_be_searched_for_has_no_hit_and_limits_hold_for_both(moving):
    index, poses = moving
    people = seen(poses, np.concatenate([10 + NINE, 90 + NINE]))
    mask = people.mask.copy()
    mask[:9, 4:] = False
    people, track = replace(people, mask=mask, xy=people.xy * mask[..., None]), np.repeat([0, 1], 9)
    hits = query_tracks(index, people, 6, track=track, time=np.tile(NINE / 10, 2), mirrored=True, max_per_clip=1)
    assert not hits.found[0].any() and not hits.mirrored[0].any() and np.isnan(hits.presence_mirrored[0])
    clips = [clip for clip in hits.clip[1] if clip]
    assert len(clips) == len(set(clips)) > 1
    assert (hits.rows[1, 0], hits.mirrored[1, 0]) == (94, True)
