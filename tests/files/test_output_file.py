"""A file for a result is refused before any work where it cannot be written, and errors of the disk are one line."""

import pytest

from vipe.errors import VipeError
from vipe.files.output_file import check_output_file, output_file, refuse_inputs


@pytest.fixture
def places(tmp_path):
    """Where no file can be: a folder, and a path below a file."""
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_bytes(b"")
    return tmp_path


def test_a_path_that_can_be_written_passes_and_nothing_is_left(tmp_path):
    (tmp_path / "there.csv").write_text("before")
    for name in ("new.csv", "a/b/new.csv", "there.csv"):
        check_output_file(tmp_path / name, "hits")
    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]
    assert (tmp_path / "there.csv").read_text() == "before"


def test_a_folder_and_a_path_that_cannot_be_are_refused_by_what_the_file_is_for(places):
    with pytest.raises(VipeError, match=r"folder\.csv: is a folder, expected a file for the hits; give a name in it$"):
        check_output_file(places / "folder.csv", "hits")
    with pytest.raises(VipeError, match=r"file/a\.csv: the hits cannot be written: File exists$"):
        check_output_file(places / "file" / "a.csv", "hits")


def test_a_file_takes_the_place_of_the_one_that_is_there(tmp_path):
    for text in ("before", "after"):
        with output_file(tmp_path / "a" / "hits.csv", "hits") as beside:
            beside.write_text(text)
        assert (tmp_path / "a" / "hits.csv").read_text() == text
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["hits.csv"]


def test_a_disk_that_refuses_is_told_in_one_line_and_the_file_stays(tmp_path):
    (tmp_path / "hits.csv").write_text("before")
    with (
        pytest.raises(VipeError, match=r"hits\.csv: the hits cannot be written: No space left on device$"),
        output_file(tmp_path / "hits.csv", "hits") as beside,
    ):
        beside.write_text("half")
        raise OSError(28, "No space left on device")
    assert (tmp_path / "hits.csv").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["hits.csv"]


def test_an_error_of_the_writer_itself_is_left_as_it_is(tmp_path):
    with pytest.raises(KeyError), output_file(tmp_path / "hits.csv", "hits"):
        raise KeyError("a mistake")
    assert not list(tmp_path.iterdir())


def test_files_of_an_index_and_of_a_store_are_never_replaced(tmp_path):
    index, store = tmp_path / "index", tmp_path / "store"
    for folder in (index / "encoder", index / "parts" / "00001", store):
        folder.mkdir(parents=True)
    (index / "manifest.json").write_text("{}")
    (store / "part-00000.parquet").write_bytes(b"")
    for path in (index / "parts" / "00001" / "frames.parquet", index / "new.csv", index / "encoder" / "a.csv"):
        with pytest.raises(VipeError, match=r"lies in the index .*index; write the hits elsewhere$"):
            check_output_file(path, "hits")
    with pytest.raises(VipeError, match=r"lies in the store .*store; write the hits elsewhere$"):
        check_output_file(store / "part-00000.parquet", "hits")
    check_output_file(tmp_path / "hits.csv", "hits")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "store"]


def test_a_result_never_replaces_what_it_is_made_from(tmp_path):
    people, link, other = tmp_path / "people.csv", tmp_path / "link.csv", tmp_path / "other.csv"
    people.write_text("x")
    link.symlink_to(people)
    refuse_inputs((other, None), (people, None))
    refuse_inputs((other,), (tmp_path / "none.csv",))
    with pytest.raises(VipeError, match=r"people\.csv: is the file that is read; give the result another name$"):
        refuse_inputs((other, people), (None, people))
    with pytest.raises(VipeError, match=r"link\.csv: is the file that is read as .*people\.csv; give the result"):
        refuse_inputs((link,), (people,))
