import numpy as np
import pytest

from vipe import Clip, PoseStore
from vipe.skeletons.working import H36M17
from vipe.store import speeds as module
from vipe.store.speeds import clip_speeds

WRIST = H36M17.index("left_wrist")


def walking(standing, metres_a_second, frames=11, fps=10.0):
    """Everything moves as fast, forward."""
    way = np.arange(frames) / fps * metres_a_second
    return standing + np.stack([way, 0 * way, 0 * way], axis=1)[:, None].astype(np.float32)


@pytest.fixture
def store(standing, tmp_path):
    slipped = walking(standing, 1.0)
    slipped[6:, WRIST, 2] += 2.5  # between two frames of a tenth of a second
    clips = [
        Clip(name="walk", skeleton=H36M17, positions=walking(standing, 1.5), fps=10.0),
        Clip(name="still", skeleton=H36M17, positions=standing[None], fps=10.0),
        Clip(name="slips", skeleton=H36M17, positions=slipped, fps=10.0),
    ]
    return PoseStore.create(tmp_path / "store", clips)


def test_a_speed_is_the_way_over_the_time_and_names_its_joint(store):
    walk, slips = clip_speeds(store)
    assert (walk.clip, slips.clip, slips.joint) == ("walk", "slips", "left_wrist")
    assert walk.speed == pytest.approx(1.5, abs=1e-4)
    assert slips.speed == pytest.approx(np.hypot(25.0, 1.0), abs=1e-3)
    assert slips.time == pytest.approx(0.6)
    assert (walk.usual, slips.usual) == (pytest.approx(1.5, abs=1e-4), pytest.approx(1.0, abs=1e-4))


def test_clips_do_not_run_into_each_other_and_blocks_change_nothing(store, monkeypatch):
    whole = clip_speeds(store)
    for rows in (1, 2, 5):
        monkeypatch.setattr(module, "GROUP_ROWS", rows)
        assert clip_speeds(store) == whole
