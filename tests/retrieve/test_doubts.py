"""People whose file has another convention than ours are doubted; others are not."""

from dataclasses import replace

import numpy as np
import pytest

from vipe.embed import AffineSignature
from vipe.index import PoseIndex
from vipe.retrieve.doubts import doubts, doubts_of_size
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.mistakes import exchanged
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An index of synthetic motion, and six of its poses as recorded."""
    folder = tmp_path_factory.mktemp("doubts")
    clips = synthesize(clips=20, fps=10.0, generator=np.random.default_rng(0))
    store = PoseStore.create(folder / "store", clips)
    index = PoseIndex.build(store, AffineSignature(), folder / "index")
    return index, store.poses()[np.linspace(40, len(index) - 40, 6).astype(int)]


def viewed(poses, seed, **settings):
    rig = CameraRig.load("mpi_inf_3dhp")
    return simulate_keypoints(poses, rig, noise=0.01, generator=np.random.default_rng(seed), **settings)


@pytest.fixture(scope="module")
def archive(world):
    """The index, and views of the poses."""
    return world[0], viewed(world[1], 1)


def said(index, people, mode="full"):
    return doubts(index, people, query(index, people, 3, mode=mode))


def test_people_that_fit_are_not_doubted(archive):
    assert said(*archive) == []


def test_swapped_sides_are_doubted(archive):
    index, seen = archive
    swap = list(seen.skeleton.mirrored)
    swapped = replace(seen, xy=seen.xy[:, swap], mask=seen.mask[:, swap], confidence=seen.confidence[:, swap])
    lines = said(index, swapped)
    assert len(lines) == 1
    assert "fit far better with left and right swapped" in lines[0]
    assert said(index, swapped[:2]) == []  # too few to tell
    assert said(index, swapped, mode="affine") == []  # no camera is fitted


def test_swapped_sides_are_doubted_where_mirror_images_are_searched_too(world):
    """Then nobody is read as swapped, and from nearby a mirror image does not explain a swap."""
    index, poses = world
    seen = viewed(poses, 3, distance=2.0)
    swapped = exchanged("body")(seen, np.random.default_rng(0))
    hits = query(index, swapped, 3, mirrored=True)
    assert set(hits.relabelled or ()) == {""}
    assert "these people fit far better with left and right swapped" in doubts(index, swapped, hits)[0]
    assert doubts(index, seen, query(index, seen, 3, mirrored=True)) == []


def test_what_cannot_fit_far_better_is_not_searched_again(archive, monkeypatch):
    """Six searches for nothing would take longer than the answer."""
    index, seen = archive
    upward = replace(seen, xy=(seen.xy * [1, -1]).astype(np.float32))
    hits, searched = query(index, upward, 3), []

    def counted(archive, people, k):
        searched.append(people)
        return query(archive, people, k)

    monkeypatch.setattr("vipe.retrieve.doubts.query", counted)
    told = doubts(index, upward, hits)
    assert len(searched) < 6
    monkeypatch.setattr("vipe.retrieve.doubts._WORTH", np.inf)
    searched.clear()
    assert (doubts(index, upward, hits), len(searched)) == (told, 6)


def test_squashed_images_are_doubted(archive):
    index, seen = archive
    squashed = replace(seen, xy=(seen.xy * [256 / 1920, 256 / 1080]).astype(np.float32))
    assert "fit far better with x multiplied by 1.78" in said(index, squashed)[0]


def test_bodies_that_the_archive_does_not_hold_are_not_doubted(archive, rng):
    index, seen = archive
    strange = replace(seen, xy=(seen.xy + rng.normal(0, 40, seen.xy.shape)).astype(np.float32))
    assert said(index, strange) == []


def test_mirrored_images_are_doubted(archive):
    index, seen = archive
    upward = replace(seen, xy=(seen.xy * [1, -1]).astype(np.float32))
    assert "fit far better with the image mirrored" in said(index, upward)[0]


def test_probabilities_of_a_small_archive_are_doubted(archive, monkeypatch):
    index, seen = archive
    hits = query(index, seen, 1)
    monkeypatch.setattr("vipe.retrieve.doubts.SMALL", len(index) + 1)
    (line,) = doubts_of_size(index, hits)
    assert f"the archive has {len(index):,} poses" in line
    assert doubts_of_size(index, query(index, seen, 1, mode="affine")) == []  # which tells no probabilities
    monkeypatch.setattr("vipe.retrieve.doubts.SMALL", len(index))
    assert doubts_of_size(index, hits) == []
