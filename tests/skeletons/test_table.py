"""Tables written and read back."""

import time
from dataclasses import replace

import pytest

from vipe.errors import SkeletonError
from vipe.skeletons import known, load
from vipe.skeletons.skeleton import parse
from vipe.skeletons.table import to_toml


@pytest.mark.parametrize("name", known())
def test_a_written_table_is_the_same_skeleton(name):
    skeleton = load(name)
    assert parse(to_toml(skeleton, ["one line"]).encode(), "x") == skeleton


def test_hostile_names_stay_names():
    names = ('a"]\n[x]', "b\\u0022", "c\x7f\x1b[31m", "d#='''")
    skeleton = replace(load("coco13"), joints=names, parents=(-1, 0, 1, 2), mirror=(), conversions={}, name='"\n')
    assert parse(to_toml(skeleton).encode(), "x") == skeleton


def test_a_table_of_too_many_joints_is_refused_before_they_are_looked_up():
    rows = "".join(f'[[joints]]\nname = "{n}"\n' + (f'parent = "{n - 1}"\n' if n else "") for n in range(20_000))
    start = time.process_time()
    with pytest.raises(SkeletonError, match="20000 joints, at most 2000 are read"):
        parse(f'name = "x"\n{rows}'.encode(), "x.toml")
    assert time.process_time() - start < 5
