"""An archive of swinging arms, in which it is known what is like what."""

import numpy as np
import pytest
import torch

import vipe
from vipe.geometry.rotations import axis_angle
from vipe.skeletons.working import H36M17

FPS = 10.0
ARM = [H36M17.index(f"left_{joint}") for joint in ("elbow", "wrist")]
SHOULDER = H36M17.index("left_shoulder")


@pytest.fixture(scope="session")
def swing(standing):
    """Poses of a left arm raised sideways by some angles, radians."""

    def poses(angles):
        angle = torch.from_numpy(np.asarray(angles, dtype=np.float32))
        turn = axis_angle(torch.tensor([1.0, 0.0, 0.0]).expand(len(angle), 3), angle)
        moved = np.repeat(standing[None], len(angles), axis=0).astype(np.float32)
        arm = standing[ARM] - standing[SHOULDER]
        moved[:, ARM] = standing[SHOULDER] + np.einsum("tij,aj->tai", turn.numpy(), arm)
        return moved

    return poses


@pytest.fixture(scope="session")
def archive(swing, tmp_path_factory):
    """`usual` raises the arm from 0 to 2 radians, `slow` and `fast` at about half and double the speed."""
    clips = {
        "usual": np.linspace(0, 2, 21),
        "slow": np.concatenate([np.full(15, -0.5), np.linspace(0, 2, 38)]),
        "fast": np.concatenate([np.linspace(0, 2, 12), np.full(15, -0.5)]),
        "still": np.full(30, -0.5),
        "waves": 1 + np.sin(2 * np.pi * np.arange(60) / 12),
        "copy": np.concatenate([np.full(5, 2.5), np.linspace(0, 2, 21), np.full(5, 2.5)]),
    }
    folder = tmp_path_factory.mktemp("swings")
    made = [
        vipe.clips.Clip(name=name, skeleton=H36M17, positions=swing(angles), fps=FPS) for name, angles in clips.items()
    ]
    store = vipe.PoseStore.create(folder / "store", made)
    return vipe.PoseIndex.build(store, vipe.AffineSignature(), folder / "index")
