"""A search asked with the wrong kinds of things says so at once, and what to do."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vipe import AffineSignature, Keypoints, PoseIndex, PoseStore
from vipe.clips import Clip
from vipe.errors import ArgumentError, VipeError
from vipe.retrieve import CameraPrior, query_tracks, query_views
from vipe.retrieve.arguments import check_arguments
from vipe.retrieve.query import query
from vipe.skeletons import load


@pytest.fixture(scope="module")
def given(tmp_path_factory, standing):
    """A store of one pose, its index, and one person."""
    folder = tmp_path_factory.mktemp("asked")
    clip = Clip(name="stand", skeleton=load("h36m17"), positions=np.stack([standing] * 2), fps=30.0)
    store = PoseStore.create(folder / "store", [clip])
    index = PoseIndex.build(store, AffineSignature(), folder / "index")
    return SimpleNamespace(store=store, index=index, people=Keypoints.of(np.zeros((1, 13, 2))))


@pytest.mark.parametrize("number", [3, np.int64(3)], ids=["int", "numpy"])
def test_what_a_search_takes_passes(given, number):
    check_arguments(given.index, given.people, k=number, candidates=number)
    limits = {"max_per_clip": number, "min_gap_seconds": np.float32(0.5), "camera_prior": CameraPrior()}
    check_arguments(given.index, given.people, k=number, candidates=number, **limits)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("index", "out/ix", r"must be a PoseIndex, got str 'out/ix'; open it: vipe\.PoseIndex\.open\('out/ix'\)"),
        ("index", Path("ix"), r"got PosixPath 'ix'; open it: vipe\.PoseIndex\.open\('ix'\)"),
        ("index", None, "index must be a PoseIndex, got None$"),
        ("keypoints", "a.json", r"must be vipe\.Keypoints, got str 'a\.json'; read the file: .*\('a\.json'\)"),
        (
            "keypoints",
            [[1, 2]],
            r"got list; wrap an array of pixels: vipe\.Keypoints\.of\(array\), with skeleton=\"coco17\"",
        ),
        ("keypoints", np.zeros((1, 13, 2)), "got ndarray; wrap an array"),
        ("k", "3", "k must be a whole number, got str '3'"),
        ("k", 1.5, r"k must be a whole number, got float 1\.5"),
        ("k", True, "k must be a whole number, got bool True"),
        ("k", None, "k must be a whole number, got None"),
        ("candidates", 1e3, "candidates must be a whole number, got float"),
        ("max_per_clip", 1.5, "max_per_clip must be a whole number or None, got float"),
        ("min_gap_seconds", "1 s", "min_gap_seconds must be a number, got str '1 s'"),
        ("camera_prior", {"noise": 1}, "camera_prior must be a CameraPrior or None, got dict"),
    ],
)
def test_what_it_does_not_take_is_told(given, name, value, message):
    refuse(message, **({"index": given.index, "keypoints": given.people} | {name: value}))


def test_people_and_stores_are_no_index(given):
    refuse("got Keypoints; the index comes first, then the keypoints", index=given.people, keypoints=given.index)
    advice = r"got PoseStore; build an index of the store: vipe\.PoseIndex\.build\(store, "
    refuse(advice, index=given.store, keypoints=given.people)


def refuse(message, *, index, keypoints, **more):
    with pytest.raises(ArgumentError, match=message) as caught:
        check_arguments(index, keypoints, **({"k": 3, "candidates": 3} | more))
    assert isinstance(caught.value, VipeError)
    assert isinstance(caught.value, TypeError)


@pytest.mark.refusal  # of another kind than annotated
def test_lists_serve_as_tracks_and_times_and_wrong_kinds_are_named(affine, people):
    frames = people[:3]
    found = query_tracks(affine, frames, 2, track=[0, 0, 0], time=[0.0, 0.1, 0.2])
    np.testing.assert_array_equal(
        found.rows, query_tracks(affine, frames, 2, track=np.zeros(3, int), time=np.arange(3) / 10).rows
    )
    assert len(query_views(affine, people[:2], 2, moment=[0, 0])) == 1
    with pytest.raises(ArgumentError, match="index must be a PoseIndex, got str 'here'"):
        query_views("here", frames, moment=[0, 0, 0])
    with pytest.raises(ArgumentError, match=r"where must be values by column.*got str 'walk'"):
        query(affine, frames, where="walk")
