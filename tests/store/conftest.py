"""Clips on the working skeleton, a store of three of them, and what a folder holds."""

import numpy as np
import pytest

from vipe.clips import Clip
from vipe.skeletons import load
from vipe.store import PoseStore

H36M17 = load("h36m17")


@pytest.fixture
def make_clip():
    return _make_clip


@pytest.fixture
def some_clips():
    """Makes three clips of three rates."""
    return _some_clips


@pytest.fixture
def store(tmp_path):
    return PoseStore.create(tmp_path / "store", _some_clips())


@pytest.fixture
def contents():
    """Every file below a folder, with its bytes."""
    return lambda folder: {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _make_clip(name, frames=10, fps=30.0, seed=0, **fields):
    positions = 0.3 * np.random.default_rng(seed + frames).standard_normal((frames, 17, 3), dtype=np.float32)
    return Clip(name=name, skeleton=H36M17, positions=positions, fps=fps, **fields)


def _some_clips():
    return [
        _make_clip("walk", 30, 30.0, subject="ann", action="walk", source="a/walk.bvh", licence="CC0"),
        _make_clip("run", 61, 60.0, subject="bob", action="run", source="a/run.bvh", licence="CC0"),
        _make_clip("sit", 25, 120.0, subject="ann", action="sit", source="b/sit.bvh", licence="CC BY 4.0"),
    ]
