"""An index is a folder that is whole by itself, mapped and not read, and knows its encoder."""

import os
import shutil

import faiss
import numpy as np
import pytest
from index.signing import PART, edit_manifest

from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import EncoderMismatch, IndexFormatError
from vipe.index import PoseIndex, grow, verify
from vipe.index.folder.part import Part


def test_an_index_needs_nothing_but_its_folder(index, encoder, tmp_path):
    z = index.vectors(np.arange(7)) / 4
    expected = index.search(z, 5).rows
    opened = PoseIndex.open(shutil.move(tmp_path / "index", tmp_path / "elsewhere"))
    assert opened.encoder.fingerprint == encoder.fingerprint
    assert type(opened.encoder) is type(encoder)
    np.testing.assert_array_equal(opened.search(z, 5).rows, expected)
    assert len(opened) == 90


def test_embeddings_poses_and_codes_are_mapped_and_not_read(folder, monkeypatch):
    flags, read = [], faiss.read_index
    monkeypatch.setattr(faiss, "read_index", lambda name, flag: flags.append(flag) or read(name, flag))
    index = PoseIndex.open(folder)
    assert flags == [faiss.IO_FLAG_MMAP_IFC]
    assert isinstance(index.embeddings, np.memmap)
    assert isinstance(index.canonical, np.memmap)
    info = index.info()
    files = [folder / PART / name for name in ("embeddings.npy", "poses.npy", "index.faiss")]
    assert info["bytes_mapped"] == sum(file.stat().st_size for file in files)
    assert info["bytes_opened"] == 0


def test_nothing_that_is_written_into_what_is_mapped_reaches_the_files(folder):
    data = (folder / PART / "poses.npy").read_bytes()
    index = PoseIndex.open(folder)
    index.canonical[:] = 0
    assert (folder / PART / "poses.npy").read_bytes() == data


def test_ids_stay_when_other_clips_come_and_go(store, learned, tmp_path):
    whole = PoseIndex.build(store, learned, tmp_path / "whole")
    part = PoseIndex.build(store, AffineSignature(), tmp_path / "part", where={"clip": ["sit", "übung"]})
    np.testing.assert_array_equal(whole.frames()["id"][40:], part.frames()["id"])
    assert len(np.unique(whole.frames()["id"])) == 90
    assert (np.diff(part.frames()["id"][:30]) == 1).all()
    # Written down, because indexes on disk hold them.
    assert whole.frames()["id"][[0, 89]].tolist() == [3478317401376502826, 2226874578398858837]


def test_the_same_store_and_encoder_make_the_same_files(store, encoder, tmp_path):
    for name in ("a", "b"):
        PoseIndex.build(store, encoder, tmp_path / name)
    assert (tmp_path / "a" / "manifest.json").read_text() == (tmp_path / "b" / "manifest.json").read_text()
    assert verify(tmp_path / "a") == verify(tmp_path / "b")


def test_another_encoder_is_refused_and_both_are_named(index, encoder, tmp_path):
    other = Embedder(VVIPE.untrained(VVIPEConfig(dim=6, width=32, blocks=1), seed=1))
    message = rf"index .*index was built by encoder .*{encoder.fingerprint} \(D {encoder.dim}\), "
    with pytest.raises(EncoderMismatch, match=message + rf"this one is v-vipe {other.fingerprint} \(D 6\); rebuild"):
        PoseIndex.open(tmp_path / "index", other)
    assert PoseIndex.open(tmp_path / "index", encoder).encoder is encoder


def test_an_encoder_that_was_exchanged_in_the_folder_is_refused(folder, monkeypatch):
    index = PoseIndex.open(folder)
    AffineSignature().save(folder / "encoder")
    with pytest.raises(EncoderMismatch, match=r"was built by encoder v-vipe .* this one is affine"):
        _ = index.encoder


def test_what_is_no_index_is_told(tmp_path, folder, no_faiss):
    with pytest.raises(IndexFormatError, match=r"nowhere: no index: nothing is there; expected .* `vipe index build"):
        PoseIndex.open(tmp_path / "nowhere")
    with pytest.raises(IndexFormatError, match=r"index\.faiss: no index: it is a file; expected"):
        PoseIndex.open(folder / PART / "index.faiss")
    edit_manifest(folder, format="zip")
    with pytest.raises(IndexFormatError, match="format is 'zip', expected 'vipe-index'"):
        PoseIndex.open(folder)


def test_a_pipe_in_place_of_the_manifest_is_refused_without_waiting(folder):
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(IndexFormatError, match="is a pipe, a device or a socket"):
        PoseIndex.open(folder)


def test_every_part_goes_to_the_device_that_was_asked_for_and_to_none_otherwise(store, learned, tmp_path, monkeypatch):
    monkeypatch.setattr(grow, "_MERGED", 0)
    PoseIndex.build(store, learned, tmp_path / "index", where={"clip": ["walk", "sit"]}).add(store)
    monkeypatch.setattr("vipe.index.index.gpu_number", lambda device: {"cpu": None, "cuda:3": 3}[device])
    sent = []
    monkeypatch.setattr(Part, "on_gpu", lambda part, gpu: sent.append((part.note.rows, gpu)) or part)
    assert len(PoseIndex.open(tmp_path / "index")) == 90
    assert not sent
    index = PoseIndex.open(tmp_path / "index", learned, device="cuda:3")
    assert sent == [(70, 3), (20, 3)]
    assert index.device == index.remove({"clip": "sit"}).device == "cuda:3"
