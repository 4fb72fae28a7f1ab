import pytest

from vipe.atomic_write import atomic_write, check_writable


def write(path, text="new"):
    path.write_text(text)


def folder(path, text="new"):
    path.mkdir()
    (path / "inside").write_text(text)


@pytest.mark.parametrize("make", [write, folder])
def test_it_is_there_at_the_end_and_not_before(tmp_path, make):
    with atomic_write(tmp_path / "a" / "b") as beside:
        make(beside)
        assert not (tmp_path / "a" / "b").exists()
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.parametrize("make", [write, folder])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_an_error_leaves_nothing_not_even_the_parents_it_made(tmp_path, make, error):
    with pytest.raises(error), atomic_write(tmp_path / "a" / "b") as beside:
        make(beside)
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_appears_meanwhile_is_not_harmed(tmp_path):
    with pytest.raises(FileExistsError, match="appeared while"), atomic_write(tmp_path / "a") as beside:
        write(beside)
        write(tmp_path / "a", "mine")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a", "mine")]


@pytest.mark.parametrize("make", [write, folder])
def test_what_was_there_is_replaced_if_told_so(tmp_path, make):
    make(tmp_path / "a", "old")
    with atomic_write(tmp_path / "a", replace=True) as beside:
        make(beside)
    file = tmp_path / "a" if make is write else tmp_path / "a" / "inside"
    assert file.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("make", [write, folder])
def test_what_was_there_stays_when_the_new_one_fails(tmp_path, make):
    make(tmp_path / "a", "old")
    with pytest.raises(OSError, match="full"), atomic_write(tmp_path / "a", replace=True) as beside:
        make(beside)
        raise OSError("disk full")
    file = tmp_path / "a" if make is write else tmp_path / "a" / "inside"
    assert file.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder(tmp_path / "a", "old")
    kind = type(tmp_path)
    rename = kind.replace

    def refuses(self, target):
        if self.name.endswith("-old") or target.name.endswith("-old"):
            return rename(self, target)
        raise OSError("no")

    monkeypatch.setattr(kind, "replace", refuses)
    with pytest.raises(OSError, match="no"), atomic_write(tmp_path / "a", replace=True) as beside:
        folder(beside)
    assert (tmp_path / "a" / "inside").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_checking_a_place_leaves_it_as_it_was(tmp_path, is_folder):
    folder(tmp_path / "a", "old")
    for place in (tmp_path / "new" / "deep", tmp_path / "a"):
        check_writable(place, folder=is_folder)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "inside").read_text() == "old"


def test_a_place_that_cannot_be_written_to_is_refused_beforehand(tmp_path):
    write(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        check_writable(tmp_path / "file" / "below")
