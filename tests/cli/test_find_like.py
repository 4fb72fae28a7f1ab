"""`vipe find-like`, `cycles` and `duplicates` on a small archive."""

import json
from inspect import signature

import numpy as np
import pytest

import vipe
from vipe.skeletons.working import H36M17
from vipe.writers import write


@pytest.fixture(scope="module")
def walks(bent, tmp_path_factory):
    """Two clips that go through six poses and back at two speeds, one clip of other poses; and the first as a file."""
    folder = tmp_path_factory.mktemp("walks")
    keys, other = bent(6, seed=1), bent(6, seed=2)
    keys[:, :, :2] -= keys[:, :1, :2]

    def between(poses, each):
        steps = np.linspace(0, len(poses) - 1, each * (len(poses) - 1) + 1)
        low = np.minimum(steps.astype(int), len(poses) - 2)
        return (poses[low] + (steps - low)[:, None, None] * (poses[low + 1] - poses[low])).astype(np.float32)

    there = between(keys, 6)
    clips = [
        vipe.clips.Clip(name="one", skeleton=H36M17, positions=np.concatenate([there, there[::-1][1:]] * 2), fps=10.0),
        vipe.clips.Clip(name="two", skeleton=H36M17, positions=np.concatenate([between(other, 3), there]), fps=10.0),
        vipe.clips.Clip(name="three", skeleton=H36M17, positions=between(other[::-1], 8), fps=10.0),
    ]
    vipe.PoseIndex.build(vipe.PoseStore.create(folder / "store", clips), vipe.AffineSignature(), folder / "index")
    write(folder / "one.npz", clips[0])
    return folder


def test_a_stretch_of_a_clip_is_found_in_another(run, walks):
    code, out, err = run("find-like", walks / "index", "one", "--to", 3.0, "--clips", "two", "three", "--json")
    assert code == 0, err
    answer = json.loads(out)
    best = answer["segments"][0]
    assert best["clip"] == "two"
    assert (best["start"], best["end"]) == pytest.approx((1.6, 4.6), abs=0.11)
    assert (answer["from"], answer["to"], answer["poses"]) == (0.0, 3.0, 31)
    assert best["distance"] < 0.02


def test_the_own_stretch_is_left_out_and_the_rest_of_the_clip_is_not(run, walks):
    answer = json.loads(run("find-like", walks / "index", "one", "--to", 3.0, "--k", 9, "--json")[1])
    own = [one for one in answer["segments"] if one["clip"] == "one"]
    assert own
    assert all(one["start"] > 3.0 for one in own)


def test_a_motion_file_is_searched_at_the_rate_of_the_index(run, walks):
    code, out, err = run("find-like", walks / "index", walks / "one.npz", "--to", 3.0, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["poses"] == 31
    assert answer["segments"][0]["distance"] < 0.02


def test_parts_name_where_they_are_in_the_motion(run, walks):
    answer = json.loads(run("find-like", walks / "index", "two", "--parts", "--limit", 0.05, "--json")[1])
    best = answer["segments"][0]
    assert (best["clip"], best["motion_end"]) == ("one", pytest.approx(4.6, abs=0.11))
    assert best["motion_start"] == pytest.approx(1.6, abs=0.11)


def test_cycles_are_told_with_their_period(run, walks):
    code, out, err = run("cycles", walks / "index", "one", "--longest", 7, "--json")
    assert code == 0, err
    (cycle,) = json.loads(out)["cycles"]
    assert cycle["period"] == pytest.approx(6.1, abs=0.11)
    assert cycle["repeats"] == pytest.approx(2, abs=0.1)


def test_duplicates_are_told_with_both_places(run, walks):
    code, out, err = run("duplicates", walks / "index", "--json")
    assert code == 0, err
    pairs = json.loads(out)["pairs"]
    assert {(one["clip"], one["other_clip"]) for one in pairs} == {("one", "two")}


def test_text_has_a_line_for_each_stretch(run, walks):
    for words in (("find-like", walks / "index", "one", "--to", 3.0, "--k", 2), ("duplicates", walks / "index")):
        code, out, _ = run(*words)
        assert code == 0
        assert [line.split()[0] for line in out.splitlines() if line.startswith((" two", " one"))]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("find-like", "INDEX", "nowhere"), "such as 'three'; nor is there a file of that name"),
        (("find-like", "INDEX", "one", "--from", 90), "has no pose from 90 s to its end; its poses are at 0.00 to"),
        (
            ("find-like", "INDEX", "one", "--clips", "two", "unknown"),
            "has no clip 'unknown'; it has 3 clips, such as 'one'",
        ),
        (("find-like", "INDEX", "one", "--k", 0), "Must be >= 1"),
        (("cycles", "INDEX", "nowhere"), "has no clip 'nowhere'; it has 3 clips, such as "),
        (("cycles", "INDEX", "one", "--shortest", 5), "the shortest first"),
        (("duplicates", "NOWHERE"), "NOWHERE"),
    ],
)
def test_wrong_input_is_one_line(run, walks, words, told):
    code, out, err = run(*(walks / "index" if word == "INDEX" else word for word in words))
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1


def test_an_answer_that_is_empty_or_unlike_says_so(run, walks):
    for words, told in (
        (("find-like", "one", "--clips", "three", "--to", 3.0), ["0 of ", "are alike"]),
        (("find-like", "one", "--clips", "three"), ["no clip that was searched is half as long"]),
        (("find-like", "one", "--parts", "--limit", 0.05, "--shortest", 20), ["no stretch is alike for so long"]),
        (("find-like", "one", "--clips", "two", "--to", 3.0, "--k", 1), []),
    ):
        code, out, err = run(words[0], walks / "index", *words[1:], "--json")
        assert code == 0, err
        remarks = json.loads(out)["remarks"]
        assert len(remarks) == bool(told)
        assert all(part in remarks[0] for part in told)


def test_what_is_alike_is_the_same_in_python():
    """A command must start without the search, so it states the number again."""
    import vipe.cli.find_like as commands
    from vipe.retrieve.segments.cycles import find_cycles
    from vipe.retrieve.segments.find_like import ALIKE, find_parts

    for function in (commands.find_like, commands.cycles, find_cycles, find_parts):
        assert signature(function).parameters["limit"].default == ALIKE
