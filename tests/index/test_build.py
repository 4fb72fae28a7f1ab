"""A build is whole or leaves nothing, streams, and refuses what it cannot index."""

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
from index.signing import PART

from vipe.clips import Clip
from vipe.embed import AffineSignature
from vipe.errors import ArgumentError, IndexFormatError, ShapeError, StoreError, VipeError
from vipe.index import PoseIndex
from vipe.index.build import _ROWS
from vipe.skeletons import load
from vipe.store import PoseStore


def test_what_is_there_already_is_refused_and_left_alone(store, learned, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(IndexFormatError, match=r"taken: is there already; give another path or remove it"):
        PoseIndex.build(store, learned, tmp_path / "taken")
    assert list(tmp_path.rglob("*")) == [tmp_path / "taken"]


def test_an_unknown_recipe_is_refused_before_any_work(store, learned, tmp_path):
    with pytest.raises(VipeError, match=r"no recipe 'zip'; known are auto, cagra, flat, fp16, hnsw, int8, ivf, ivf-pq"):
        PoseIndex.build(store, learned, tmp_path / "index", recipe="zip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_a_build_that_is_interrupted_leaves_nothing(store, learned, tmp_path, error):
    def interrupt(done, total):
        assert any(tmp_path.iterdir())  # it was under way
        raise error("stop")

    with pytest.raises((error, IndexFormatError), match="stop"):
        PoseIndex.build(store, learned, tmp_path / "index", progress=interrupt)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "full"), RuntimeError("No space left")], ids=["system", "FAISS"])
def test_a_write_that_fails_leaves_nothing(store, learned, tmp_path, monkeypatch, error):
    def full(*_):
        raise error

    monkeypatch.setattr(faiss, "write_index", full)
    with pytest.raises(IndexFormatError, match=r"b/index: .* No space left"):
        PoseIndex.build(store, learned, tmp_path / "a" / "b" / "index")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_so_and_leaves_nothing(store, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))  # which stands for it: errors come from the system
    try:
        with pytest.raises(IndexFormatError, match=r"index: cannot be written: File too large"):
            PoseIndex.build(store, AffineSignature(), tmp_path / "index")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_of_the_place_where_the_index_would_be(store, learned, tmp_path, monkeypatch):
    def save(self, path):
        raise VipeError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(type(learned), "save", save)
    with pytest.raises(IndexFormatError) as said:
        PoseIndex.build(store, learned, tmp_path / "index")
    assert str(said.value) == f"{tmp_path / 'index' / 'encoder'}: cannot be written: No space left on device"
    assert not list(tmp_path.iterdir())


class Watching(AffineSignature):
    """Notes how many poses it was handed at a time."""

    def __init__(self):
        self.sizes = []

    def encode_poses(self, poses):
        self.sizes.append(len(poses))
        return super().encode_poses(poses)


def test_a_build_streams_and_tells_how_far_it_is(standing, tmp_path, monkeypatch):
    monkeypatch.setattr("vipe.index.build._ROWS", 100)
    noise = np.random.default_rng(0).normal(0, 0.1, size=(330, 17, 3))
    clip = Clip(name="a", skeleton=load("h36m17"), positions=(standing + noise).astype(np.float32), fps=10.0)
    store = PoseStore.create(tmp_path / "store", [clip])
    encoder, told = Watching(), []
    index = PoseIndex.build(store, encoder, tmp_path / "index", progress=lambda *at: told.append(at))
    assert sum(encoder.sizes) == 330
    assert max(encoder.sizes) <= 100
    assert told[-1] == (330, 330)
    assert [done for done, _ in told] == np.cumsum(encoder.sizes).tolist()
    assert pq.ParquetFile(tmp_path / "index" / PART / "frames.parquet").metadata.num_row_groups == len(encoder.sizes)
    np.testing.assert_allclose(index.embeddings, AffineSignature().encode_poses(store.poses()), atol=1e-6)
    assert _ROWS < 100_000  # about 10 MB a block


def test_poses_without_a_canonical_pose_are_left_out_and_counted(standing, learned, tmp_path):
    positions = np.tile(standing, (5, 1, 1))
    positions[[1, 3]] = 0.5  # all joints at one point
    clip = Clip(name="a", skeleton=load("h36m17"), positions=positions, fps=10.0)
    store = PoseStore.create(tmp_path / "store", [clip])
    index = PoseIndex.build(store, learned, tmp_path / "index")
    assert (len(index), index.info()["left_out"]) == (3, 2)
    assert index.frames()["frame"].tolist() == [0, 2, 4]
    with pytest.raises(StoreError, match="nothing to index: 1 poses match, none has a canonical pose"):
        PoseIndex.build(store, learned, tmp_path / "none", where={"frame": 1})
    with pytest.raises(StoreError, match="nothing to index: 0 poses match"):
        PoseIndex.build(store, learned, tmp_path / "none", where={"clip": "b"})
    assert not (tmp_path / "none").exists()


def test_clips_whose_frames_would_share_an_id_are_refused(store, learned, tmp_path, monkeypatch):
    firsts = {"sit": 0, "übung": 30, "walk": 50}  # of 30, 20 and 40 frames: one after the other
    monkeypatch.setattr("vipe.index.folder.clip_table.first_id", firsts.__getitem__)
    PoseIndex.build(store, learned, tmp_path / "side by side")
    for first, other in ((49, "übung"), ((1 << 63) - 39, "sit")):  # ids go round
        firsts["walk"] = first
        with pytest.raises(StoreError, match="would have one id; is a clip twice in the store") as error:
            PoseIndex.build(store, learned, tmp_path / "index")
        assert f"{other!r}" in str(error.value)
        assert "'walk'" in str(error.value)
    firsts["walk"] = (1 << 63) - 40
    PoseIndex.build(store, learned, tmp_path / "index")


@pytest.mark.parametrize("wrong", [np.float32(np.nan), None], ids=["not finite", "wrong length"])
def test_an_encoder_that_gives_nonsense_is_refused(store, learned, tmp_path, monkeypatch, wrong):
    encode = AffineSignature.encode_poses
    monkeypatch.setattr(
        AffineSignature,
        "encode_poses",
        lambda self, poses: encode(self, poses)[:, :7] if wrong is None else encode(self, poses) * wrong,
    )
    with pytest.raises(ShapeError, match=r"encoder affine must give \(\d+, 78\) finite numbers"):
        PoseIndex.build(store, AffineSignature(), tmp_path / "index")
    assert not list(tmp_path.iterdir())


@pytest.mark.refusal
def test_what_is_no_store_or_no_encoder_is_refused_with_what_to_do(store, tmp_path):
    where = tmp_path / "never"
    for given, encoder, message in (
        ("stores/mocap", AffineSignature(), r"store must be a PoseStore, got str; open it: .*'stores/mocap'"),
        (store, "default", r"embedder must be an encoder, got str; load it: .*'default'"),
        (store, AffineSignature, "got the class AffineSignature; call it"),
        (AffineSignature(), store, "store must be a PoseStore, got AffineSignature"),
    ):
        with pytest.raises(ArgumentError, match=message):
            PoseIndex.build(given, encoder, where)
    assert not where.exists()
