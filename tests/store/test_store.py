"""The store: what goes in comes out, in order; nothing is left of what fails; anybody's Arrow reads it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import vipe.store.parts as module
from vipe.clips import Clip
from vipe.errors import ArgumentError, ReadError, SkeletonError, StoreError
from vipe.skeletons import Skeleton, convert, load
from vipe.store import PoseStore

H36M17 = load("h36m17")


# What goes in comes out


def test_holds_every_frame_in_order(store, some_clips):
    poses = np.concatenate([clip.positions for clip in some_clips()])
    assert len(store) == 116
    assert store.poses().dtype == np.float32
    np.testing.assert_array_equal(store.poses(), poses)
    table = store.table()
    assert table.column_names == module.SCHEMA.names
    assert table["clip"].to_pylist() == ["walk"] * 30 + ["run"] * 61 + ["sit"] * 25
    assert table["frame"].to_pylist() == [*range(30), *range(61), *range(25)]
    np.testing.assert_allclose(table["time"].to_numpy()[30:91], np.arange(61) / 60)
    columns = (table[name].to_pylist() for name in ("clip", "subject", "action", "source", "fps"))
    assert set(zip(*columns, strict=True)) == {
        ("walk", "ann", "walk", "a/walk.bvh", 30.0),
        ("run", "bob", "run", "a/run.bvh", 60.0),
        ("sit", "ann", "sit", "b/sit.bvh", 120.0),
    }  # fmt: skip


def test_opens_as_it_was_made(store):
    np.testing.assert_array_equal(PoseStore.open(store.path).poses(), store.poses())
    assert PoseStore.open(str(store.path)).summary == store.summary


def test_sums_up(store, contents):
    summary = store.summary
    assert summary.pop("bytes") == sum(
        len(data) for path, data in contents(store.path).items() if path.suffix == ".parquet"
    )
    assert summary == {
        "clips": 3, "rows": 116, "frames": 116, "seconds": round(1 + 61 / 60 + 25 / 120, 3), "fps": None, "subjects": 2,
        "actions": 3, "skeleton": "h36m17", "licence": "CC0; CC BY 4.0", "parts": 1,
    }  # fmt: skip


def test_lists_its_clips(store):
    assert store.clips()[1] == {
        "clip": "run", "first_row": 30, "rows": 61, "fps": 60.0, "subject": "bob", "action": "run",
        "source": "a/run.bvh",
    }  # fmt: skip
    assert [clip["clip"] for clip in store.clips()] == ["walk", "run", "sit"]
    assert store.clip_table()["first_row"].to_pylist() == [0, 30, 91]


def test_converts_clips_of_other_skeletons(tmp_path):
    bandai = load("bandai")
    positions = 0.3 * np.random.default_rng(0).standard_normal((5, len(bandai), 3)).astype(np.float32)
    store = PoseStore.create(tmp_path / "s", [Clip(name="a", skeleton=bandai, positions=positions, fps=30.0)])
    np.testing.assert_array_equal(store.poses(), convert(positions, bandai, H36M17)[0])


def test_takes_generators_and_says_each_clip(tmp_path, some_clips):
    said = []
    PoseStore.create(
        tmp_path / "s", (clip for clip in some_clips()), fps=15.0, on_clip=lambda c, n: said.append((c.name, len(c), n))
    )
    assert said == [("walk", 30, 15), ("run", 61, 16), ("sit", 25, 4)]


def test_the_same_clips_give_the_same_bytes(tmp_path, some_clips, contents):
    one, two = (PoseStore.create(tmp_path / name, some_clips(), fps=20.0) for name in ("one", "two"))
    assert contents(one.path) == contents(two.path)


def test_any_arrow_reader_reads_it(store):
    table = pads.dataset(store.path, format="parquet").to_table()
    assert table.schema.field("pose").type == pa.list_(pa.float32(), 51)
    poses = np.array(table["pose"].to_pylist(), np.float32).reshape(-1, 17, 3)
    np.testing.assert_array_equal(poses, store.poses())
    metadata = pq.read_schema(store.path / "part-00000.parquet").metadata
    assert metadata == {
        b"vipe.format": b"1", b"vipe.skeleton": b"h36m17", b"vipe.fps": b"", b"vipe.licence": b"CC0",
    }  # fmt: skip


def test_a_licence_given_is_the_store_s(tmp_path, make_clip):
    store = PoseStore.create(tmp_path / "s", [make_clip("a")], licence="CC BY-NC 4.0", fps=10.0)
    assert store.summary["licence"] == "CC BY-NC 4.0"
    metadata = pq.read_schema(store.path / "part-00000.parquet").metadata
    assert (metadata[b"vipe.licence"], metadata[b"vipe.fps"]) == (b"CC BY-NC 4.0", b"10.0")


def test_the_licences_of_clips_stand_after_the_given_one_each_once(tmp_path, make_clip):
    clips = [make_clip("a", licence="CC0"), make_clip("b", licence="CC BY-NC 4.0"), make_clip("c", licence="CC0")]
    store = PoseStore.create(tmp_path / "s", clips, licence="CC BY-NC 4.0", fps=10.0)
    assert store.summary["licence"] == "CC BY-NC 4.0; CC0"


# Thinning


def test_frames_and_times_count_in_the_source_clip(tmp_path, some_clips):
    clips = some_clips()
    store = PoseStore.create(tmp_path / "s", clips, fps=20.0)
    table = store.table(where={"clip": "run"})
    assert table["frame"].to_pylist() == list(range(0, 61, 3))
    np.testing.assert_allclose(table["time"].to_numpy(), np.arange(21) / 20)
    np.testing.assert_array_equal(store.poses({"clip": "run"}), clips[1].positions[::3])
    assert store.fps == 20
    assert (store.summary["frames"], store.summary["rows"]) == (116, len(store))


# Rows by condition, in bounded memory


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        (None, 116),
        ({}, 116),
        ({"clip": "run"}, 61),
        ({"clip": ["run", "sit"]}, 86),
        ({"clip": np.array(["run", "sit"])}, 86),
        ({"clip": []}, 0),
        ({"clip": "jump"}, 0),
        ({"subject": "ann", "frame": range(20)}, 40),
        ({"fps": 120}, 25),
        (pc.field("time") >= 0.5, 15 + 31),
        ((pc.field("subject") == "ann") & (pc.field("frame") < 5), 10),
    ],
)
def test_gives_the_rows_that_are_asked_for(where, rows, store):
    assert len(store.table(where=where)) == len(store.poses(where)) == rows
    assert sum(len(batch) for batch in store.batches(7, where)) == rows
    frames = store.table(["frame"], where)
    assert frames.column_names == ["frame"]


@pytest.mark.parametrize("rows", [1, 7, 29, 116, 1000])
def test_batches_are_full_but_the_last(rows, store):
    batches = list(store.batches(rows))
    assert {len(batch) for batch in batches[:-1]} <= {rows}
    assert 0 < len(batches[-1]) <= rows
    assert pa.Table.from_batches(batches).equals(store.table())


def test_row_groups_are_cut_where_they_are_full(tmp_path, monkeypatch, some_clips):
    monkeypatch.setattr(module, "GROUP_ROWS", 16)
    store = PoseStore.create(tmp_path / "s", some_clips())
    file = pq.ParquetFile(store.path / "part-00000.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [16] * 7 + [4]
    np.testing.assert_array_equal(store.poses(), np.concatenate([clip.positions for clip in some_clips()]))
    assert [clip["rows"] for clip in store.clips()] == [30, 61, 25]
    assert [clip["first_row"] for clip in store.clips()] == [0, 30, 91]


def test_a_filter_reads_only_the_row_groups_that_may_match(tmp_path, monkeypatch, make_clip):
    monkeypatch.setattr(module, "GROUP_ROWS", 10)
    store = PoseStore.create(tmp_path / "s", [make_clip(name) for name in "abcdef"])
    part = store.path / "part-00000.parquet"
    data = bytearray(part.read_bytes())
    group = pq.ParquetFile(part).metadata.row_group(5)  # all of clip f
    start = min(group.column(i).data_page_offset for i in range(group.num_columns))
    data[start : start + group.column(7).total_compressed_size] = bytes(group.column(7).total_compressed_size)
    part.write_bytes(data)
    assert len(PoseStore.open(store.path).poses({"clip": "c"})) == 10
    with pytest.raises(StoreError, match=r"part-00000\.parquet"):
        PoseStore.open(store.path).poses()


# Appending


def test_appends_clips_as_a_new_part(store, make_clip):
    more = make_clip("jump", 12, subject="cy", licence="CC0")
    longer = store.append([more])
    np.testing.assert_array_equal(longer.poses()[116:], more.positions)
    assert [clip["clip"] for clip in PoseStore.open(store.path).clips()] == ["walk", "run", "sit", "jump"]
    assert [clip["first_row"] for clip in longer.clips()] == [0, 30, 91, 116]
    assert longer.summary["parts"] == 2
    assert (longer.summary["frames"], longer.summary["licence"]) == (128, "CC0; CC BY 4.0")
    assert len(store) == 116  # a store is a value: who holds it sees what was opened


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_in_place_of_a_part_is_refused_and_not_waited_for(store):
    os.mkfifo(store.path / "part-00009.parquet")
    with pytest.raises(StoreError, match=r"part-00009\.parquet: is a pipe, expected a Parquet file"):
        PoseStore.open(store.path)


def test_an_append_clears_what_killed_appends_left_of_any_part(store, make_clip):
    for number in (1, 2, 7):  # the first was killed after its part had appeared, so that the next is another
        (store.path / f".part-{number:05}.parquet-0123abcd").mkdir()
    (store.path / ".kept").mkdir()
    store.append([make_clip("more")])
    assert sorted(path.name for path in store.path.iterdir() if path.name.startswith(".")) == [".kept"]


def test_appends_at_the_store_s_own_rate(tmp_path, make_clip):
    store = PoseStore.create(tmp_path / "s", [make_clip("a", 30)], fps=10.0)
    assert len(store.append([make_clip("b", 30, seed=1)])) == 20
    assert len(store.append([make_clip("c", 30, seed=2)], fps=10.0)) == 30
    with pytest.raises(StoreError, match="holds 10 frames/s, cannot append 15 frames/s"):
        store.append([make_clip("d")], fps=15.0)


@pytest.mark.parametrize("bad", ["two names", "broken file", "nothing"])
def test_a_failed_append_leaves_the_store_as_it_was(bad, store, make_clip, contents):
    def clips():
        if bad != "nothing":
            yield make_clip("jump", source="c/jump.bvh")
        if bad == "two names":
            yield make_clip("jump", source="c/jump.bvh")
            yield make_clip("jump", source="c/jump.bvh")
        if bad == "broken file":
            raise ReadError("x.bvh:3: broken")

    before = contents(store.path)
    with pytest.raises((StoreError, ReadError)):
        store.append(clips())
    assert contents(store.path) == before


def test_a_part_that_appeared_meanwhile_is_not_overwritten(store, make_clip):
    theirs = store.path / "part-00001.parquet"  # of somebody who asks for no lock

    def clips():
        yield make_clip("jump")
        shutil.copy(store.path / "part-00000.parquet", theirs)

    with pytest.raises(StoreError, match="appeared while"):
        store.append(clips())
    assert theirs.read_bytes() == (store.path / "part-00000.parquet").read_bytes()


# Names


def test_clips_of_one_name_are_qualified_by_their_folders(tmp_path, make_clip):
    sources = ["x/a/walk.bvh", "x/b/walk.bvh", "y/b/walk.bvh"]
    clips = [make_clip("walk", source=source) for source in sources]
    store = PoseStore.create(tmp_path / "s", clips)
    assert [clip["clip"] for clip in store.clips()] == ["walk", "b/walk", "y/b/walk"]
    assert [clip["source"] for clip in store.clips()] == sources
    longer = store.append([make_clip("walk", seed=1, source="c/walk.bvh")])
    assert longer.clips()[-1]["clip"] == "c/walk"


@pytest.mark.parametrize("source", ["", "walk.bvh"])
def test_clips_that_nothing_tells_apart_are_refused(source, tmp_path, make_clip):
    with pytest.raises(StoreError, match="two clips are named 'walk'"):
        PoseStore.create(tmp_path / "s", [make_clip("walk", source=source)] * 2)
    assert not list(tmp_path.iterdir())


# Nothing is left of what fails


@pytest.mark.parametrize("error", [ReadError("x.bvh:3: broken"), KeyboardInterrupt(), RuntimeError("a bug")])
def test_an_error_on_the_way_leaves_nothing(error, tmp_path, make_clip):
    def clips():
        yield make_clip("walk")
        raise error

    with pytest.raises(type(error)):
        PoseStore.create(tmp_path / "deep" / "down" / "store", clips())
    assert not list(tmp_path.iterdir())


def test_an_existing_path_is_never_harmed(store, make_clip, contents):
    before = contents(store.path)
    with pytest.raises(StoreError, match="exists already; append to it \\(`vipe ingest --append`\\), delete it, or"):
        PoseStore.create(store.path, [make_clip("a")])
    assert contents(store.path) == before


def test_a_path_that_appears_meanwhile_is_not_harmed(tmp_path, make_clip):
    def clips():
        yield make_clip("a")
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "mine").write_text("mine")

    with pytest.raises(StoreError, match="appeared while"):
        PoseStore.create(tmp_path / "store", clips())
    assert [path.name for path in tmp_path.rglob("*")] == ["store", "mine"]


@pytest.mark.parametrize("when", ["write_table", "close", "add_key_value_metadata"])
def test_a_full_disk_is_one_line_and_leaves_nothing(when, tmp_path, monkeypatch, some_clips):
    def refuse(self, *args, **kwargs):
        self.is_open = False  # else Arrow's writer tries once more when it is collected, and prints
        raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device\nmore")

    monkeypatch.setattr(module.pq, "ParquetWriter", type("Full", (pq.ParquetWriter,), {when: refuse}))
    with pytest.raises(StoreError, match=r"store: cannot read or write it: No space left on device$"):
        PoseStore.create(tmp_path / "store", some_clips())
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path, some_clips):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="store: cannot read or write it"):
        PoseStore.create(tmp_path / "file" / "store", some_clips())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_clip_makes_no_store(tmp_path):
    with pytest.raises(StoreError, match="no clip"):
        PoseStore.create(tmp_path / "s", [])
    assert not list(tmp_path.iterdir())


def test_a_skeleton_without_conversion_makes_no_store(tmp_path):
    stick = Skeleton(name="stick", joints=("a", "b"), parents=(-1, 0))
    clip = Clip(name="c", skeleton=stick, positions=np.zeros((2, 2, 3), np.float32), fps=30.0)
    with pytest.raises(SkeletonError, match="stick has no conversion"):
        PoseStore.create(tmp_path / "s", [clip])
    assert not list(tmp_path.iterdir())


def test_clips_without_a_conversion_are_left_out_and_reported_when_asked(tmp_path, make_clip):
    stick = Skeleton(name="stick", joints=("a", "b"), parents=(-1, 0))
    other = Clip(name="c", skeleton=stick, positions=np.zeros((2, 2, 3), np.float32), fps=30.0, source="x/c.bvh")
    skipped = []
    store = PoseStore.create(tmp_path / "s", [other, make_clip("walk")], on_skip=skipped.append)
    assert [clip["clip"] for clip in store.clips()] == ["walk"]
    assert [str(error).split(":")[0] for error in skipped] == ["x/c.bvh"]
    assert len(store.append([other, make_clip("run", 12)], on_skip=skipped.append)) == 22
    assert len(skipped) == 2


@pytest.mark.parametrize("fps", [0.0, -10.0, 1e-300, 1e6, float("nan"), float("inf")])
def test_refuses_rates_that_are_none(fps, tmp_path, some_clips):
    with pytest.raises(StoreError, match=r"target rate must be 0\.0001 to 100000"):
        PoseStore.create(tmp_path / "s", some_clips(), fps=fps)


# What is not a store


def test_what_is_not_a_store_is_said_so(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for name, message in (("none", "not found"), ("file", "is not a folder"), ("folder", r"holds no part-\*.parquet")):
        with pytest.raises(StoreError, match=rf"{name}: {message}"):
            PoseStore.open(tmp_path / name)


@pytest.mark.parametrize("length", [0, 3, 100, -1, -2000])
def test_a_cut_part_is_named(length, store, make_clip):
    part = store.append([make_clip("jump")]).path / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:length])
    with pytest.raises(StoreError, match=r"part-00001\.parquet"):
        PoseStore.open(store.path)


def test_an_altered_page_is_noticed(store):
    part = store.path / "part-00000.parquet"
    data = bytearray(part.read_bytes())
    column = pq.ParquetFile(part).metadata.row_group(0).column(7)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    part.write_bytes(data)
    altered = PoseStore.open(store.path)
    assert len(altered) == 116
    for read in (altered.poses, altered.table, lambda: list(altered.batches(10))):
        with pytest.raises(StoreError, match=r"part-00000\.parquet"):
            read()


def rewritten(store, change):
    """Write the store's part again with another schema or metadata."""
    part = store.path / "part-00000.parquet"
    table = change(pq.read_table(part))
    pq.write_table(table, part)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace_schema_metadata(None), "states no format, expected format 1"),
        (lambda t: t.replace_schema_metadata({**t.schema.metadata, b"vipe.format": b"2"}), "states format 2"),
        (
            lambda t: t.replace_schema_metadata({**t.schema.metadata, b"vipe.skeleton": b"smpl"}),
            "smpl, expected h36m17",
        ),
        (lambda t: t.drop_columns(["time"]), "expected .*time double"),
        (
            lambda t: t.set_column(1, "frame", t["frame"].cast(pa.int64())),
            "has .*frame int64.*; expected .*frame int32",
        ),
        (lambda t: t, "footer has no valid 'vipe.licences'"),
    ],
)
def test_a_part_of_another_make_is_refused(change, message, store):
    rewritten(store, change)
    with pytest.raises(StoreError, match=rf"part-00000\.parquet: .*{message}"):
        PoseStore.open(store.path)


def test_parts_of_two_rates_do_not_go_together(tmp_path, make_clip):
    one, two = (PoseStore.create(tmp_path / str(fps), [make_clip("a", 30)], fps=fps) for fps in (10.0, 15.0))
    shutil.copy(two.path / "part-00000.parquet", one.path / "part-00001.parquet")
    with pytest.raises(StoreError, match=r"part-00001\.parquet: holds 15 frames/s"):
        PoseStore.open(one.path)


@pytest.mark.refusal
def test_unknown_columns_and_values_are_said_so(store):
    for ask in (
        lambda: store.table(["pose", "knee"]),
        lambda: store.poses({"knee": 1}),
        lambda: list(store.batches(5, {"knee": 1})),
        lambda: store.poses(pc.field("knee") == 1),
    ):
        with pytest.raises(StoreError, match="knee"):
            ask()
    with pytest.raises(StoreError, match="frame is int32, got 'first'"):
        store.poses({"frame": "first"})
    with pytest.raises(StoreError, match="at least 1 row"):
        next(store.batches(0))


def test_a_clip_longer_than_a_row_group(tmp_path, monkeypatch, make_clip):
    monkeypatch.setattr(module, "GROUP_ROWS", 7)
    clip = make_clip("long", 50)
    store = PoseStore.create(tmp_path / "s", [clip, replace(clip, name="again")])
    np.testing.assert_array_equal(store.poses({"clip": "long"}), clip.positions)
    assert [row["rows"] for row in store.clips()] == [50, 50]


def test_neither_writing_nor_reading_holds_more_than_some_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GROUP_ROWS", 1024)  # 0.2 MB of poses; the whole store has 16 MB
    positions = 0.3 * np.random.default_rng(0).standard_normal((200, 17, 3), dtype=np.float32)
    start, held = pa.total_allocated_bytes(), []

    def clips():
        for number in range(400):
            held.append(pa.total_allocated_bytes() - start)
            yield Clip(name=f"clip {number}", skeleton=H36M17, positions=positions, fps=30.0)

    store = PoseStore.create(tmp_path / "s", clips())
    rows = 0
    for batch in store.batches(300):
        held.append(pa.total_allocated_bytes() - start)
        rows += len(batch)
    assert rows == 80_000
    assert max(held) < 4e6


@pytest.mark.parametrize("factor", [100, 0.001])
def test_a_body_of_another_unit_is_refused_before_anything_is_written(tmp_path, factor, make_clip):
    clip = make_clip("walk", source="a/walk.bvh")
    giant = Clip(name="walk", skeleton=H36M17, positions=factor * clip.positions, fps=30.0, source="a/walk.bvh")
    with pytest.raises(StoreError, match=r"of a/walk\.bvh: a torso of .* m, expected 0\.05 to 5\.0; is `unit`"):
        PoseStore.create(tmp_path / "store", [clip, giant])
    assert list(tmp_path.iterdir()) == []


def three_parts(store, make_clip):
    """The parts of the store after two appends, in order."""
    for name, frames in (("b", 7), ("c", 8)):
        store.append([make_clip(name, frames=frames)])
    return sorted(store.path.glob("part-*.parquet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts, other: parts[0].unlink(), r"part-00001\.parquet: was written after another part, .* nothing;"),
        (lambda parts, other: parts[1].unlink(), r"part-00002\.parquet: was written after another part, .*part-00000"),
        (lambda parts, other: parts[1].rename(parts[1].with_name("kept.parquet")), r"part-00002\.parquet: was written"),
        (lambda parts, other: parts[0].rename(parts[0].with_name("part-00009.parquet")), r"part-00001\.parquet: was"),
        (lambda parts, other: shutil.copy(parts[0], parts[1]), r"part-00001\.parquet: was written after no part"),
        (lambda parts, other: shutil.copy(parts[2], parts[1]), r"part-00001\.parquet: was written after another part"),
        (lambda parts, other: shutil.copy(other, parts[0]), r"part-00001\.parquet: was written after another part"),
        (lambda parts, other: shutil.copy(other, parts[2]), r"part-00002\.parquet: was written after no part"),
        (
            lambda parts, other: shutil.copy(parts[2], parts[2].with_name("part-00003.parquet")),
            r"part-00003\.parquet: was written after another part, .*part-00002",
        ),
    ],
    ids=["first gone", "one gone", "renamed", "moved", "doubled", "exchanged", "other first", "other last", "again"],
)
def test_parts_that_do_not_follow_each_other_are_refused(change, message, store, make_clip, tmp_path):
    other = PoseStore.create(tmp_path / "other", [make_clip("d", frames=9)]).path / "part-00000.parquet"
    change(three_parts(store, make_clip), other)
    with pytest.raises(StoreError, match=message):
        PoseStore.open(store.path)


def test_without_its_last_part_a_store_is_refused_until_its_user_agrees(store, make_clip):
    parts = three_parts(store, make_clip)
    parts[-1].unlink()
    for use in (lambda: PoseStore.open(store.path), lambda: store.append([make_clip("c", frames=8)])):
        with pytest.raises(StoreError, match=r"store: has 2 of 3 parts; put back .* or remove _parts\.json to open it"):
            use()
    (store.path / "_parts.json").unlink()
    before = PoseStore.open(store.path)
    assert [clip["clip"] for clip in before.clips()] == ["walk", "run", "sit", "b"]
    assert [clip["clip"] for clip in before.append([make_clip("c", frames=8)]).clips()][-1] == "c"


def test_a_part_that_was_not_counted_any_more_is_there_and_is_counted_by_the_next_append(store, make_clip):
    parts = three_parts(store, make_clip)
    (store.path / "_parts.json").write_text('{"parts": 2}')  # as a kill leaves it
    assert [clip["clip"] for clip in PoseStore.open(store.path).clips()] == ["walk", "run", "sit", "b", "c"]
    PoseStore.open(store.path).append([make_clip("c", frames=8)], [make_clip("c", frames=8)])
    assert json.loads((store.path / "_parts.json").read_text()) == {"parts": len(list(store.path.glob("*.parquet")))}
    assert len(list(store.path.glob("*.parquet"))) >= len(parts)


def test_a_full_disk_after_a_part_appeared_costs_nothing(store, make_clip, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("vipe.store.store.write_count", full)
        store.append([make_clip("b", frames=7)])
    assert [clip["clip"] for clip in PoseStore.open(store.path).clips()] == ["walk", "run", "sit", "b"]
    assert not [path for path in store.path.iterdir() if path.name.startswith(".")]


def test_a_store_that_is_appended_to_while_it_is_opened_is_not_refused(store, make_clip, monkeypatch):
    listed = module.parts_of

    def late(folder):
        parts = listed(folder)
        monkeypatch.setattr("vipe.store.store.parts_of", listed)
        PoseStore.open(folder).append([make_clip("b", frames=7)])
        return parts

    monkeypatch.setattr("vipe.store.store.parts_of", late)
    assert len(PoseStore.open(store.path).clips()) == 3
    assert len(PoseStore.open(store.path).clips()) == 4


@pytest.mark.parametrize("text", ["", "[]", '{"parts": "3"}', '{"parts": 1e99}', "[" * 100_000, "\xff"])
def test_a_broken_count_of_parts_is_one_line(store, text):
    (store.path / "_parts.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"_parts\.json: .*; expected how many parts the store has; remove it"):
        PoseStore.open(store.path)


def test_parts_that_say_nothing_of_an_order_are_taken_as_they_are_and_appended_to(store, make_clip, monkeypatch):
    with monkeypatch.context() as older:  # as before parts said which one they follow
        add = pq.ParquetWriter.add_key_value_metadata
        older.setattr(
            pq.ParquetWriter,
            "add_key_value_metadata",
            lambda self, texts: add(self, {key: text for key, text in texts.items() if key != "vipe.follows"}),
        )
        parts = three_parts(store, make_clip)
    (store.path / "_parts.json").unlink()
    before = parts[2].read_bytes()
    parts[1].unlink()
    PoseStore.open(store.path).append([make_clip("d", frames=9)])
    assert [part.name for part in sorted(store.path.glob("part-*"))] == [
        "part-00000.parquet",
        "part-00002.parquet",
        "part-00003.parquet",  # numbered after the last one, though one before it is gone
    ]
    assert parts[2].read_bytes() == before
    parts[2].unlink()
    with pytest.raises(StoreError, match=r"part-00003\.parquet: was written after another part"):
        PoseStore.open(store.path)


@pytest.mark.refusal
def test_a_path_or_a_single_clip_is_no_source(tmp_path):
    clip = Clip(name="one", skeleton=load("h36m17"), positions=np.zeros((2, 17, 3), dtype=np.float32), fps=10.0)
    with pytest.raises(ArgumentError, match=r"got str 'mocap\.zip'; read it: vipe\.read\('mocap\.zip'\)"):
        PoseStore.create(tmp_path / "store", "mocap.zip")
    with pytest.raises(ArgumentError, match=r"got a single Clip; give a list: \[clip\]"):
        PoseStore.create(tmp_path / "store", clip)
    assert not (tmp_path / "store").exists()


# Several who write


APPEND = """
import sys
import numpy as np
from vipe.clips import Clip
from vipe.skeletons import load
from vipe.store import PoseStore
positions = 0.3 * np.random.default_rng(int(sys.argv[2])).standard_normal((12, 17, 3), dtype=np.float32)
clip = Clip(name=f"clip{sys.argv[2]}", skeleton=load("h36m17"), positions=positions, fps=30.0)
PoseStore.open(sys.argv[1]).append([clip])
"""


def test_what_several_append_at_once_is_all_there(store):
    several = [subprocess.Popen([sys.executable, "-c", APPEND, str(store.path), str(number)]) for number in range(3)]
    assert [one.wait() for one in several] == [0, 0, 0]
    assert {clip["clip"] for clip in PoseStore.open(store.path).clips()} >= {"clip0", "clip1", "clip2"}
    assert PoseStore.open(store.path).summary["parts"] == 4


def test_parts_past_the_hundred_thousandth_are_in_order_and_can_be_appended_to(store, make_clip):
    (store.path / "part-00000.parquet").rename(store.path / "part-99999.parquet")
    for name in ("hop", "jump"):
        PoseStore.open(store.path).append([make_clip(name, seed=len(name))])
    assert [clip["clip"] for clip in PoseStore.open(store.path).clips()] == ["walk", "run", "sit", "hop", "jump"]


def test_a_foreign_parquet_file_among_the_parts_is_named(store, make_clip):
    (store.path / "part-zz.parquet").write_bytes((store.path / "part-00000.parquet").read_bytes())
    for use in (lambda: PoseStore.open(store.path), lambda: store.append([make_clip("hop")])):
        with pytest.raises(StoreError, match=r"part-zz\.parquet: is no part of this store"):
            use()


FOOTER = {b"vipe.licences": b"[]", b"vipe.source_frames": b"116", b"vipe.source_seconds": b"3.0"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"vipe.fps", b"-1.0"),
        (b"vipe.fps", b"nan"),
        (b"vipe.source_frames", b"-5"),
        (b"vipe.source_seconds", b"inf"),
        (b"vipe.licences", b"[1]"),
        (b"vipe.licences", b"\xff"),
        (b"vipe.licences", b"[" * 10_000),
    ],
)
def test_a_footer_of_impossible_values_is_one_line(key, value, store):
    rewritten(store, lambda t: t.replace_schema_metadata({**t.schema.metadata, **FOOTER, key: value}))
    with pytest.raises(StoreError, match=r"part-00000\.parquet: its footer has no valid"):
        PoseStore.open(store.path)


def test_rows_without_a_value_are_refused_when_they_are_read(store):
    def with_column(name, values):
        return lambda t: t.set_column(
            t.schema.get_field_index(name), t.schema.field(name), values
        ).replace_schema_metadata({**t.schema.metadata, **FOOTER})

    whole = pq.read_table(store.path / "part-00000.parquet")
    for name, message in (("clip", "column clip has rows without"), ("pose", "column pose has rows without")):
        rewritten(store, lambda _, name=name: with_column(name, pa.nulls(116, whole.schema.field(name).type))(whole))
        with pytest.raises(StoreError, match=message):
            PoseStore.open(store.path).table([name])
    gaps = pa.FixedSizeListArray.from_arrays(pa.nulls(116 * 51, pa.float32()), 51)
    rewritten(store, lambda _: with_column("pose", gaps)(whole))
    with pytest.raises(StoreError, match="poses without all of their numbers"):
        PoseStore.open(store.path).poses()
