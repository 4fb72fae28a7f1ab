"""A quick look finds most of what comparing every pose finds, and is that comparison wherever it costs little."""

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.index import PoseIndex
from vipe.retrieve.candidates import affine as module
from vipe.retrieve.candidates import prepared
from vipe.retrieve.candidates.affine import by_affine_camera, quickly_by_affine_camera
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore

K = 12


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Clips in which poses change little from a frame to the next, and 20 views of them, each with joints missing."""
    folder = tmp_path_factory.mktemp("moving")
    store = PoseStore.create(folder / "store", synthesize(clips=12, fps=30.0, generator=np.random.default_rng(0)))
    index = PoseIndex.build(store, AffineSignature(), folder / "index")
    rng = np.random.default_rng(1)
    rows = rng.choice(len(index), 20, replace=False)
    seen = simulate_keypoints(store.poses()[rows], CameraRig.load("mpi_inf_3dhp"), noise=0.01, generator=rng)
    mask = np.ones(seen.mask.shape, dtype=bool)
    mask[np.arange(20), rng.integers(0, 3, 20)] = False
    return index, Keypoints.of(seen.xy, mask)


@pytest.fixture
def spread(monkeypatch, moving):
    """One pose in eight is looked at first."""
    most = len(moving[0]) // 8
    monkeypatch.setattr(module, "SPREAD", most)
    monkeypatch.setattr(prepared, "SPREAD", most)
    return PoseIndex.open(moving[0].path)


def test_the_nearest_rows_of_large_archives_are_among_those_found(moving, spread):
    people = moving[1]
    exact = by_affine_camera(moving[0], people, K).rows
    found = quickly_by_affine_camera(spread, people, K)
    assert found.shape == exact.shape
    assert all(len(set(row)) == K for row in found.tolist())
    assert np.mean(found[:, 0] == exact[:, 0]) >= 0.9
    shared = np.mean([np.isin(one, other).mean() for one, other in zip(found, exact, strict=True)])
    assert 0.7 < shared < 1  # a look at a part, not at all


def test_rows_found_quickly_come_in_the_order_of_their_residuals(moving, spread):
    people = moving[1]
    residual = module.affine_residuals(spread, people, quickly_by_affine_camera(spread, people, K))
    assert (np.diff(residual, axis=1) >= 0).all()


def test_all_of_a_small_archive_is_compared(moving):
    index, people = moving
    np.testing.assert_array_equal(quickly_by_affine_camera(index, people, K), by_affine_camera(index, people, K).rows)


def test_chosen_rows_are_all_compared(moving, spread):
    allowed, people = np.arange(5, len(spread), 7), moving[1]
    exact = by_affine_camera(moving[0], people, K, allowed).rows
    np.testing.assert_array_equal(quickly_by_affine_camera(spread, people, K, allowed), exact)


def test_where_all_joints_are_seen_the_index_answers(moving, spread):
    people = Keypoints.of(moving[1].xy + 1)
    exact = by_affine_camera(moving[0], people, K).rows
    np.testing.assert_array_equal(quickly_by_affine_camera(spread, people, K), exact)
