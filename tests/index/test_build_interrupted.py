"""A build that was interrupted goes on where it was, if it is the same build."""

import os
import signal

import numpy as np
import pytest

from vipe.atomic_write import locked
from vipe.clips import Clip
from vipe.embed import AffineSignature
from vipe.errors import IndexFormatError
from vipe.index import PoseIndex
from vipe.skeletons import load
from vipe.store import PoseStore


class Watching(AffineSignature):
    """Notes how many poses it was handed."""

    def __init__(self):
        self.poses = 0

    def encode_poses(self, poses):
        self.poses += len(poses)
        return super().encode_poses(poses)


def store_of(standing, folder, seed=0):
    """Clips of 35 to 80 frames, 575 in all."""
    rng = np.random.default_rng(seed)
    clips = [
        Clip(
            name=f"clip {number}",
            skeleton=load("h36m17"),
            positions=(standing + rng.normal(0, 0.1, size=(35 + 5 * number, 17, 3))).astype(np.float32),
            fps=10.0,
        )
        for number in range(10)
    ]
    return PoseStore.create(folder, clips)


@pytest.fixture
def store(standing, tmp_path):
    return store_of(standing, tmp_path / "store")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("vipe.index.build._ROWS", 50)
    monkeypatch.setattr("vipe.index.build._CHECKPOINT", 120)


def interrupted(store, path, at, encoder=None):
    def stop(done, _):
        if done >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PoseIndex.build(store, encoder or AffineSignature(), path, progress=stop)
    assert not path.exists()


def assert_built(index, store, tmp_path):
    whole = PoseIndex.build(store, AffineSignature(), tmp_path / "whole")
    assert index.manifest.parts[0].rows == 575
    for name, values in whole.frames().items():
        np.testing.assert_array_equal(index.frames()[name], values)
    np.testing.assert_allclose(index.embeddings, whole.embeddings, atol=1e-6)
    np.testing.assert_allclose(index.canonical, whole.canonical, atol=1e-6)
    assert index.add(store).change.poses == 0  # so the clips were noted as they are
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("times", [1, 3])
def test_a_build_goes_on_where_it_was_interrupted(store, tmp_path, times):
    for number in range(times):
        interrupted(store, tmp_path / "index", 300 + 70 * number)
    encoder, told = Watching(), []
    index = PoseIndex.build(store, encoder, tmp_path / "index", progress=lambda *at: told.append(at))
    assert 575 - (300 + 70 * (times - 1)) <= encoder.poses < 575 - 130 * times
    assert told[-1] == (575, 575)
    assert_built(index, store, tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_build_goes_on_where_it_was_killed(store, tmp_path):
    def kill(done, _):
        if done >= 400:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            PoseIndex.build(store, AffineSignature(), tmp_path / "index", progress=kill)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    encoder = Watching()
    index = PoseIndex.build(store, encoder, tmp_path / "index")
    assert 575 - 400 <= encoder.poses <= 350
    assert_built(index, store, tmp_path)


def test_another_build_at_the_same_place_begins_anew(store, standing, tmp_path):
    interrupted(store, tmp_path / "index", 500)
    other, encoder = store_of(standing, tmp_path / "other", seed=1), Watching()
    index = PoseIndex.build(other, encoder, tmp_path / "index")
    assert encoder.poses == 575
    assert_built(index, other, tmp_path)


def test_another_filter_or_encoder_begins_anew(store, learned, tmp_path):
    interrupted(store, tmp_path / "index", 500)
    some = PoseIndex.build(store, AffineSignature(), tmp_path / "index", where={"clip": ["clip 3", "clip 9"]})
    assert len(some) == 130
    interrupted(store, tmp_path / "learned", 500)
    assert len(PoseIndex.build(store, learned, tmp_path / "learned")) == 575


@pytest.mark.parametrize(
    "lost", ["state.json", "index/parts/00001/frames-00000.parquet", "index/parts/00001/poses.npy"]
)
def test_a_build_of_which_something_is_lost_begins_anew(store, tmp_path, lost):
    interrupted(store, tmp_path / "index", 500)
    (tmp_path / ".index.unfinished" / lost).unlink()
    encoder = Watching()
    index = PoseIndex.build(store, encoder, tmp_path / "index")
    assert encoder.poses == 575
    assert_built(index, store, tmp_path)


@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_an_error_keeps_nothing(store, tmp_path, error):
    interrupted(store, tmp_path / "a" / "index", 500)

    def fail(*_):
        raise error("stop")

    with pytest.raises((error, IndexFormatError), match="stop"):
        PoseIndex.build(store, AffineSignature(), tmp_path / "a" / "index", progress=fail)
    assert not list((tmp_path / "a").iterdir())


def test_two_builds_at_one_place_do_not_meet(store, tmp_path):
    interrupted(store, tmp_path / "index", 500)
    with (
        locked(tmp_path / ".index.unfinished"),
        pytest.raises(IndexFormatError, match="index: is being built by another process"),
    ):
        PoseIndex.build(store, AffineSignature(), tmp_path / "index")
    assert_built(PoseIndex.build(store, AffineSignature(), tmp_path / "index"), store, tmp_path)
