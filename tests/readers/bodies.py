"""A person who moves, on any skeleton, and the files of other programs that tests write of one."""

import io

import numpy as np

from vipe.simulate.motion import synthesize
from vipe.skeletons import load

H36M17 = load("h36m17")


def walk(frames=40):
    """A walking person on h36m17: (frames, 17, 3) metres, z up."""
    clip = next(iter(synthesize(minutes=0.05, fps=30.0, programs=("walk",), generator=np.random.default_rng(3))))
    return clip.to(H36M17).positions[:frames].astype(np.float64)


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def spread(skeleton, poses):
    """Positions of a skeleton's joints that convert to given poses as nearly as can be, least squares."""
    matrix, _ = skeleton.weights(H36M17)
    return np.einsum("sj,tjd->tsd", np.linalg.pinv(matrix), poses)
