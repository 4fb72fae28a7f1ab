import hashlib
import json
import os
import re
import shutil

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from vipe.clips import Clip
from vipe.embed import AffineSignature, Embedder
from vipe.embed.vvipe.network import VVIPE, VVIPEConfig
from vipe.errors import ArgumentError, EncoderMismatch, IndexFormatError, ShapeError, StoreError, VipeError
from vipe.geometry import canonicalize_array
from vipe.index import PoseIndex, verify
from vipe.index.build import _ROWS
from vipe.skeletons import load
from vipe.store import PoseStore


def brute_force(index, z, k, rows=None):
    """Slow twin of a search: every distance, sorted."""
    rows = np.arange(len(index)) if rows is None else rows
    vectors = np.asarray(index.embeddings, dtype=np.float64)[rows]
    if index.manifest.encoder.metric == "ip":
        distance = np.sqrt(np.maximum(1 - z @ vectors.T, 0))
    else:
        distance = np.linalg.norm(z[:, None] - vectors, axis=-1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return rows[order], np.take_along_axis(distance, order, axis=1)


def queries(index, rng, n=7):
    """Something near the first rows; inner products stay below 1, where distances end."""
    noise = rng.normal(0, 0.02, size=(n, index.manifest.encoder.dim)).astype(np.float32)
    return (np.asarray(index.embeddings[:n]) + noise) / 4


@pytest.mark.parametrize("n", [1, 7])
def test_search_equals_brute_force(index, rng, n):
    z = queries(index, rng, n)
    hits = index.search(z, 12)
    rows, distance = brute_force(index, z, 12)
    np.testing.assert_array_equal(hits.rows, rows)
    np.testing.assert_allclose(hits.distance, distance, atol=1e-5)
    assert (np.diff(hits.distance, axis=1) >= 0).all()


def test_the_nearest_to_a_learned_embedding_is_itself_at_distance_zero(store, learned, tmp_path):
    index = PoseIndex.build(store, learned, tmp_path / "index")
    hits = index.search(np.asarray(index.embeddings), 1)
    np.testing.assert_array_equal(hits.rows[:, 0], np.arange(len(index)))
    assert (hits.distance == 0).all()  # exact: BLAS would be off by 1e-5 in the square


def test_one_query_and_many_give_the_same(index, rng):
    z = queries(index, rng)
    together = index.search(z, 5)
    alone = [index.search(row, 5) for row in z]
    np.testing.assert_array_equal(together.rows, np.concatenate([hits.rows for hits in alone]))
    np.testing.assert_allclose(together.distance, np.concatenate([hits.distance for hits in alone]), atol=1e-6)


def test_faiss_is_left_with_the_settings_it_had(index):
    before = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    index.search(np.asarray(index.embeddings[0]), 5)
    assert (faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold) == before


BLANKS = {"id": -1, "clip": "", "frame": -1, "time": np.nan, "subject": "nobody", "action": "", "source": ""}


@pytest.mark.parametrize(("column", "blank"), BLANKS.items())
def test_a_look_up_gives_the_column_at_the_rows_and_a_blank_at_empty_places(index, column, blank):
    rows = np.array([[45, -1, 3], [-1, 89, 45]])
    found = index.look_up(column, rows, blank)
    np.testing.assert_array_equal(found[rows >= 0], index.frames()[column][[45, 3, 89, 45]])
    np.testing.assert_array_equal(found[rows < 0], [blank, blank])
    assert list(BLANKS) == list(index.frames())


def test_a_look_up_in_no_column_is_refused(index):
    with pytest.raises(VipeError, match="no column 'clib'; the columns of an index are id, clip, frame"):
        index.look_up("clib", np.array([0]), "")


def test_rows_of_one_clip_have_one_code_and_their_times_in_it(index):
    clips, codes = index.frames()["clip"], index.clip_codes
    np.testing.assert_array_equal(codes[:, None] == codes, clips[:, None] == clips)
    np.testing.assert_allclose(index.times, np.r_[0:40, 0:30, 0:20] / 10)


def test_an_index_knows_whose_embeddings_it_holds(index, encoder):
    same_kind = Embedder(VVIPE.untrained(VVIPEConfig(dim=8, width=32, blocks=1), seed=5))
    assert index.holds(encoder)
    assert not index.holds(same_kind)
    assert index.is_learned == (encoder.name == "v-vipe")


def test_empty_places_have_no_pose(index):
    with pytest.raises(ShapeError, match=r"rows must lie in 0 ... 89, got -1 ... 3"):
        index.poses(np.array([[3, -1]]))


def test_k_above_the_number_of_poses_gives_them_all(index):
    hits = index.search(np.asarray(index.embeddings[:2]), 1000)
    assert hits.rows.shape == (2, 90)
    np.testing.assert_array_equal(np.sort(hits.rows, axis=1), np.tile(np.arange(90), (2, 1)))


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"clip": "sit"}, np.arange(40, 70)),
        ({"action": ["walking"]}, np.r_[0:40, 70:90]),
        ({"action": "walking", "subject": ["s3", "s9"]}, np.arange(70, 90)),
        ({"clip": ("walk", "sit"), "frame": 7}, np.array([7, 47])),
        ((pc.field("clip") == "übung") & (pc.field("time") < 0.35), np.arange(70, 74)),
        (np.array([80, 3, 3]), np.array([3, 80])),
        ({}, np.arange(90)),
        ({"clip": "nobody"}, np.array([], dtype=np.int64)),
    ],
    ids=["value", "list", "two columns", "number", "expression", "rows", "nothing asked", "nothing left"],
)
def test_a_filtered_search_is_a_search_among_what_is_kept(index, rng, where, kept):
    z = queries(index, rng)
    np.testing.assert_array_equal(index.rows(where), kept)
    hits = index.search(z, 25, where=where)
    rows, distance = brute_force(index, z, 25, kept)
    np.testing.assert_array_equal(hits.rows, rows)
    np.testing.assert_allclose(hits.distance, distance, atol=1e-5)


def test_a_filter_on_what_is_not_there_is_refused(index):
    z = np.asarray(index.embeddings[0])
    with pytest.raises(VipeError, match=r"no column 'clib'; the columns of an index are id, clip, frame"):
        index.search(z, 5, where={"clib": "sit"})
    with pytest.raises(VipeError, match=r"where: .*clib.*the columns of an index are id, clip, frame"):
        index.search(z, 5, where=pc.field("clib") == "sit")
    with pytest.raises(VipeError, match="the columns of an index are"):
        index.search(z, 5, where={"frame": "sit"})
    with pytest.raises(VipeError, match=r"rows must lie in 0 ... 89, got 0 ... 90"):
        index.search(z, 5, where=np.array([0, 90]))


@pytest.mark.refusal
def test_a_mask_is_not_taken_for_rows(index):
    with pytest.raises(VipeError, match="rows must be a list of integers, got bool"):
        index.rows(np.ones(90, dtype=bool))


@pytest.mark.refusal
def test_embeddings_of_another_length_or_not_finite_are_refused(index):
    dim = index.manifest.encoder.dim
    with pytest.raises(ShapeError, match=rf"z must be \(Q, {dim}\) for index .*, got shape \(2, 5\)"):
        index.search(np.zeros((2, 5), dtype=np.float32), 3)
    z = np.zeros((3, dim), dtype=np.float32)
    z[1, 2] = np.nan
    with pytest.raises(ShapeError, match="query 1 is not"):
        index.search(z, 3)
    with pytest.raises(VipeError, match="k must be at least 1, got 0"):
        index.search(np.zeros(dim, dtype=np.float32), 0)


def test_no_queries_give_no_hits(index):
    hits = index.search(np.empty((0, index.manifest.encoder.dim), dtype=np.float32), 3)
    assert len(hits.rows) == 0


def test_poses_are_the_canonical_ones_in_the_order_of_the_store(index, store):
    canonical = canonicalize_array(store.poses()).poses
    np.testing.assert_array_equal(index.canonical, canonical)
    rows = np.array([[3, 88], [0, 3]])
    np.testing.assert_array_equal(index.poses(rows), canonical[rows])
    frames = index.frames()
    assert frames["clip"][[0, 40, 70]].tolist() == ["walk", "sit", "übung"]
    assert frames["frame"][[39, 40, 89]].tolist() == [39, 0, 19]


def test_embeddings_are_the_encoder_s(index, store, encoder):
    np.testing.assert_allclose(index.embeddings, encoder.encode_poses(store.poses()), atol=1e-6)


def test_an_index_needs_nothing_but_its_folder(index, encoder, tmp_path, rng):
    z = queries(index, rng)
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


def test_info_says_what_is_in_it(index, encoder):
    info = index.info()
    assert (info["poses"], info["clips"], info["left_out"], info["recipe"]) == (90, 3, 0, "flat")
    assert (info["encoder"], info["fingerprint"]) == (encoder.name, encoder.fingerprint)
    assert json.dumps(info)
    assert "90 poses" in repr(index)


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


PART = "parts/00001"
OF_A_PART = [
    f"{PART}/{name}" for name in ("index.faiss", "embeddings.npy", "poses.npy", "frames.parquet", "clips.parquet")
]
FILES = ["manifest.json", *OF_A_PART, "encoder/config.json"]


@pytest.fixture
def folder(store, learned, tmp_path):
    PoseIndex.build(store, learned, tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def no_faiss(monkeypatch):
    """FAISS must not see a byte of a file that is not as it was written."""

    def read_index(*_):
        raise AssertionError("FAISS was asked to read")

    monkeypatch.setattr(faiss, "read_index", read_index)


@pytest.mark.parametrize("name", [*FILES, "encoder/weights.safetensors"])
def test_a_missing_file_is_named(folder, name, no_faiss):
    (folder / name).unlink()
    with pytest.raises(IndexFormatError, match=name.replace(".", r"\.")):
        PoseIndex.open(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 0.5, -1], ids=["empty", "half", "one byte short"])
def test_a_cut_file_is_named_with_both_sizes(folder, name, left, no_faiss):
    data = (folder / name).read_bytes()
    cut = data[:-2] if left == -1 else data[: int(len(data) * left)]
    (folder / name).write_bytes(cut)
    expected = (
        r"manifest\.json"
        if name == "manifest.json"
        else rf"{name}: cut or altered: {len(cut)} bytes, expected {len(data)}"
    )
    with pytest.raises(IndexFormatError, match=expected):
        PoseIndex.open(folder)


@pytest.mark.parametrize("name", FILES)
def test_an_altered_byte_is_found_wherever_it_is(folder, name, no_faiss, rng):
    data = bytearray((folder / name).read_bytes())
    for place in rng.integers(len(data), size=8):
        altered = bytearray(data)
        altered[place] ^= 1
        if bytes(altered).split() == bytes(data).split():
            continue  # white space between the manifest's values
        (folder / name).write_bytes(altered)
        with pytest.raises(IndexFormatError, match=name.replace(".", r"\.")):
            PoseIndex.open(folder)


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_another_format_version_is_refused_by_number(folder, no_faiss):
    edit_manifest(folder, format_version=7, a_field_of_the_future=[])
    message = r"manifest\.json: format version 7, this version of vipe reads 1 to 4; update vipe"
    with pytest.raises(IndexFormatError, match=message):
        PoseIndex.open(folder)
    edit_manifest(folder, format_version=0)
    with pytest.raises(IndexFormatError, match="format version 0, this version of vipe reads 1 to 4; build"):
        PoseIndex.open(folder)


def test_what_is_no_index_is_told(tmp_path, folder, no_faiss):
    with pytest.raises(IndexFormatError, match=r"nowhere: no index: nothing is there; expected .* `vipe index build"):
        PoseIndex.open(tmp_path / "nowhere")
    with pytest.raises(IndexFormatError, match=r"index\.faiss: no index: it is a file; expected"):
        PoseIndex.open(folder / PART / "index.faiss")
    edit_manifest(folder, format="zip")
    with pytest.raises(IndexFormatError, match="format is 'zip', expected 'vipe-index'"):
        PoseIndex.open(folder)


def rechecksum(folder, **changes):
    """A manifest that someone wrote on purpose: its own checksum agrees."""
    from vipe.index import manifest as module

    edit_manifest(folder, **changes)
    edit_manifest(folder, checksum=module._checksum(json.loads((folder / "manifest.json").read_text())))


def note_of(folder):
    """What the manifest says of the one part."""
    return json.loads((folder / "manifest.json").read_text())["parts"][0]


def edit_part(folder, /, **changes):
    rechecksum(folder, parts=[{**note_of(folder), **changes}])


def sign(folder, name):
    """Give a file of the part that was altered its new size and checksum, as somebody who means harm would."""
    data = (folder / PART / name).read_bytes()
    note = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_part(folder, files={**note_of(folder)["files"], name: note})


def test_a_manifest_that_leads_out_of_the_folder_is_refused(folder, no_faiss):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rechecksum(folder, files={**files, "../secret": {"bytes": 1, "sha256": "0"}})
    with pytest.raises(IndexFormatError, match=r"lists '\.\./secret', which is outside the folder"):
        PoseIndex.open(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": {"/etc/passwd": {"bytes": 1, "sha256": "0"}}}, "lists '/etc/passwd', which is outside the folder"),
        ({"folder": "../other"}, r"has a part in '\.\./other', expected parts/00001 and so on"),
        ({"folder": "parts/00001/.."}, r"has a part in 'parts/00001/\.\.'"),
        (
            {"removed": {"file": "../x.npy", "rows": 1, "bytes": 1, "sha256": "0"}},
            r"lists '\.\./x\.npy', expected removed",
        ),
        (
            {"removed": {"file": "removed/00001-90.npy", "rows": 90, "bytes": 1, "sha256": "0"}},
            "has 0 poses, expected 1",
        ),
    ],
    ids=["file", "folder", "folder in a folder", "removed", "nothing left"],
)
def test_a_manifest_whose_part_cannot_be_one_is_refused(folder, no_faiss, changes, message):
    if "files" in changes:
        changes = {"files": {**note_of(folder)["files"], **changes["files"]}}
    edit_part(folder, **changes)
    with pytest.raises(IndexFormatError, match=message):
        PoseIndex.open(folder)


def test_a_manifest_with_no_part_or_one_twice_is_refused(folder, no_faiss):
    part = note_of(folder)
    for parts, message in (([], "has no part"), ([part, part], "has a part in 'parts/00001', expected .* each once")):
        rechecksum(folder, parts=parts)
        with pytest.raises(IndexFormatError, match=message):
            PoseIndex.open(folder)


@pytest.mark.parametrize("name", ["index.faiss", "embeddings.npy", "frames.parquet"])
def test_a_manifest_without_a_file_that_every_part_has_is_refused(folder, no_faiss, name):
    files = note_of(folder)["files"]
    del files[name]
    edit_part(folder, files=files)
    with pytest.raises(IndexFormatError, match=f"does not list {re.escape(name)}"):
        PoseIndex.open(folder)


def test_a_manifest_without_an_encoder_is_refused(folder, no_faiss):
    rechecksum(folder, files={})
    with pytest.raises(IndexFormatError, match=r"does not list encoder/config\.json"):
        PoseIndex.open(folder)


def test_a_part_that_is_not_what_the_manifest_says_is_refused(folder):
    edit_part(folder, rows=89)
    with pytest.raises(IndexFormatError, match=r"frames\.parquet: has 90 rows, its manifest has 89 poses"):
        PoseIndex.open(folder)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (faiss.IndexFlatL2(9), r"holds \(poses, dim, metric\) \(90, 9, 'l2'\), expected \(90, 8, 'l2'\)"),
        (faiss.IndexFlatIP(8), r"holds \(poses, dim, metric\) \(90, 8, 'ip'\), expected \(90, 8, 'l2'\)"),
        (faiss.IndexScalarQuantizer(8, faiss.ScalarQuantizer.QT_fp16), "is a IndexScalarQuantizer, recipe flat makes"),
    ],
    ids=["dim", "metric", "kind"],
)
def test_a_faiss_file_that_is_not_of_the_embeddings_is_refused(folder, other, message):
    other.train(np.ones((1, other.d), dtype=np.float32))
    other.add(np.zeros((90, other.d), dtype=np.float32))
    faiss.write_index(other, str(folder / PART / "index.faiss"))
    sign(folder, "index.faiss")
    with pytest.raises(IndexFormatError, match=rf"index\.faiss: {message}"):
        PoseIndex.open(folder)


def test_a_faiss_file_of_another_kind_is_refused(folder):
    (folder / PART / "index.faiss").write_bytes(b"not an index at all")
    sign(folder, "index.faiss")
    with pytest.raises(IndexFormatError, match=r"index\.faiss: this FAISS \(.*\) cannot read it"):
        PoseIndex.open(folder)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda vectors: vectors.astype(np.float64), "holds float64, expected float32"),
        (lambda vectors: np.asfortranarray(vectors), "holds float32, expected float32 by rows"),
        (lambda vectors: vectors[:-1], r"holds \(poses, dim\) \(89, 8\), its manifest has \(90, 8\)"),
        (lambda vectors: np.where(np.arange(90)[:, None] == 7, np.nan, vectors).astype(np.float32), "not finite"),
        (lambda vectors: vectors[::-1].copy(), "holds other embeddings than embeddings.npy"),
        (lambda vectors: np.array([{}]), "is no array of numbers"),
    ],
    ids=["dtype", "order", "rows", "nan", "values", "objects"],
)
def test_embeddings_that_were_altered_and_signed_anew_are_refused(folder, alter, message):
    vectors = np.load(folder / PART / "embeddings.npy")
    np.save(folder / PART / "embeddings.npy", alter(vectors))
    sign(folder, "embeddings.npy")
    with pytest.raises(IndexFormatError, match=message):
        PoseIndex.open(folder)


def _with(table, name, values):
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), values)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda table: table.slice(1), "has 89 rows, its manifest has 90 poses"),
        (lambda table: table.drop_columns(["time"]), "has columns id int64, .*; expected id int64"),
        (lambda table: _with(table, "clip", pa.nulls(90, pa.string())), "column clip has rows without a value"),
        (lambda table: _with(table, "time", pa.array([np.inf] * 90)), "times that are not finite"),
    ],
    ids=["rows", "columns", "no clip", "endless time"],
)
def test_a_frame_table_that_was_altered_and_signed_anew_is_refused(folder, alter, message):
    file = folder / PART / "frames.parquet"
    pq.write_table(alter(pq.read_table(file, partitioning=None)), file)
    sign(folder, "frames.parquet")
    with pytest.raises(IndexFormatError, match=rf"frames\.parquet: .*{message}"):
        use_all(PoseIndex.open(folder))


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda poses: poses[1:], r"holds \(89, 17, 3\), its manifest has \(90, 17, 3\)"),
        (lambda poses: poses.astype(np.float64), "holds float64, expected float32"),
        (lambda poses: poses * np.float32(np.nan), "has poses that are not finite"),
        (lambda poses: np.array([{}]), "is no array of numbers"),
    ],
    ids=["rows", "dtype", "nan", "objects"],
)
def test_poses_that_were_altered_and_signed_anew_are_refused(folder, alter, message):
    file = folder / PART / "poses.npy"
    np.save(file, alter(np.load(file)))
    sign(folder, "poses.npy")
    with pytest.raises(IndexFormatError, match=rf"poses\.npy: {message}"):
        PoseIndex.open(folder)


def use_all(index):
    return index.labels, index.canonical


@pytest.mark.parametrize("name", ["clip", "time"])
def test_a_byte_of_a_frame_table_that_was_altered_and_signed_anew_is_found(folder, name):
    file = folder / PART / "frames.parquet"
    column = pq.ParquetFile(file).metadata.row_group(0).column(PLACE[name])
    data = bytearray(file.read_bytes())
    data[column.data_page_offset + column.total_compressed_size * 3 // 4] ^= 1
    file.write_bytes(data)
    sign(folder, "frames.parquet")
    with pytest.raises(IndexFormatError, match=r"frames\.parquet: cannot be read"):
        use_all(PoseIndex.open(folder))


PLACE = {"clip": 1, "time": 3}


def test_a_pipe_in_place_of_the_manifest_is_refused_without_waiting(folder):
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(IndexFormatError, match="is a pipe, a device or a socket"):
        PoseIndex.open(folder)


def test_an_encoder_that_was_exchanged_in_the_folder_is_refused(folder, monkeypatch):
    index = PoseIndex.open(folder)
    AffineSignature().save(folder / "encoder")
    with pytest.raises(EncoderMismatch, match=r"was built by encoder v-vipe .* this one is affine"):
        _ = index.encoder


def test_what_is_there_already_is_refused_and_left_alone(store, learned, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(IndexFormatError, match=r"taken: is there already; give another path or remove it"):
        PoseIndex.build(store, learned, tmp_path / "taken")
    assert list(tmp_path.rglob("*")) == [tmp_path / "taken"]


def test_an_unknown_recipe_is_refused_before_any_work(store, learned, tmp_path):
    with pytest.raises(VipeError, match=r"no recipe 'zip'; known are auto, flat, fp16, hnsw, int8, ivf, ivf-pq"):
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
    monkeypatch.setattr("vipe.index.clip_table.first_id", firsts.__getitem__)
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
