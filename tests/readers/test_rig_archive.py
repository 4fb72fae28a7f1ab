"""Motion files as nine programs wrote them; skipped where there are none beside the project."""

from pathlib import Path

import numpy as np
import pytest

from vipe import PoseStore
from vipe.readers import read

pytestmark = pytest.mark.mocap

RIGS = Path(__file__).parents[3] / "shared" / "rigs"
UNITS = {  # metres a unit; the file of fair1 is of no unit that anyone uses
    "cgspeed_cmu_12_01": 0.0254 / 0.45,
    "fair1_dab": 0.039,
    "jumping_jacks": 0.0254 / 0.45,
    "pybvh_test2": 0.01,
    "pybvh_test3": 0.0254,
    "rokoko_jesse_dance": 0.01,
    "test_freebvh": 0.01,
    "test_mocapbank": 0.01,
    "walk01": 0.01,
}
# Metres of adults between joint centres, a tenth wider: the rigs of CMU's BVH files lack a part of trunk and forearm.
BONES = {"thigh": (0.34, 0.53), "shin": (0.32, 0.52), "upper arm": (0.21, 0.35), "forearm": (0.15, 0.32)}


@pytest.fixture(scope="module")
def rigs():
    if not RIGS.is_dir():
        pytest.skip("no ../shared/rigs beside the repository: they are not part of it")
    return RIGS


def test_all_rigs_go_into_one_store_upright_and_of_human_size(rigs, tmp_path):
    clips = list(read(rigs))
    assert {clip.name: clip.skeleton.unit for clip in clips} == pytest.approx(UNITS, rel=0.02)
    store = PoseStore.create(tmp_path / "store", clips, fps=10.0)
    for clip in store.clips():
        poses = store.poses({"clip": clip["clip"]})
        trunk = poses[:, 8] - poses[:, 0]
        assert np.median(trunk[:, 2] / np.linalg.norm(trunk, axis=1)) > 0.7, clip["clip"]
        lengths = {
            bone: np.median(np.linalg.norm(poses[:, a] - poses[:, b], axis=1))
            for bone, (a, b) in {"thigh": (1, 2), "shin": (5, 6), "upper arm": (14, 15), "forearm": (12, 13)}.items()
        }
        for bone, (least, most) in BONES.items():
            assert least < lengths[bone] < most, (clip["clip"], bone)
        nose = poses[:, 9] - poses[:, 10]
        forward = np.cross(poses[:, 4] - poses[:, 1], trunk)
        assert np.median((nose * forward).sum(axis=1)) > 0, clip["clip"]
    assert {rig["rig"] for rig in store.rigs} == {"upleg", "hip_knee"}
