"""What is shared names files, and does not tell where they lie or whose they are."""

from pathlib import Path

import pytest

from vipe.shareable import as_typed, command_line, shareable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ada/mocap/walk.bvh:41: joint 'Hips'", "walk.bvh:41: joint 'Hips'"),
        ("read (/srv/data/clips.csv), then stop", "read (clips.csv), then stop"),
        (r"C:\Users\ada\walk.bvh: found", "walk.bvh: found"),
        ("9.3 m/s; Hit@1/10/20 90.7 / 99.2 / 99.7; and/or", "9.3 m/s; Hit@1/10/20 90.7 / 99.2 / 99.7; and/or"),
        ("CC0 (https://creativecommons.org/publicdomain)", "CC0 (https://creativecommons.org/publicdomain)"),
        ("archive/walks/walk.bvh", "archive/walks/walk.bvh"),  # in an archive: no place of this machine
    ],
)
def test_of_an_absolute_path_the_name_is_left_and_nothing_else_changes(text, shown):
    assert shareable(text) == shown


def test_the_folders_of_user_and_work_are_left_out(monkeypatch, tmp_path):
    home = tmp_path / "ada lovelace"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    assert shareable(f"{home}/my walks/a.bvh, {tmp_path}/b.bvh") == "my walks/a.bvh, b.bvh"
    assert str(Path.home()) == str(home)


def test_paths_of_the_command_are_known_with_their_blanks():
    with as_typed(["ingest", "/data/ada lovelace/walks", "--out=/data/ada lovelace/store"]):
        assert shareable("/data/ada lovelace/walks/a.bvh: no") == "walks/a.bvh: no"
        assert command_line() == "vipe ingest walks --out=store"
    assert command_line() == ""


def test_a_command_keeps_its_words_and_loses_its_places():
    with as_typed(["evaluate", "search", "../ada/store", "--condition", "noise 0.03", "--rig", "h36m", "--seed", "3"]):
        assert command_line() == "vipe evaluate search store --condition 'noise 0.03' --rig h36m --seed 3"
