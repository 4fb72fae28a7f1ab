"""A process that was forked after a search searches too, in place of waiting for its parent's threads without end."""

import os
import subprocess
import sys

import pytest

CODE = """
import os, sys
import faiss, numpy as np, torch
import vipe
index = vipe.PoseIndex.open(sys.argv[1])
torch.set_num_threads(2)
faiss.omp_set_num_threads(2)
torch.rand(600, 600) @ torch.rand(600, 600)
torch.ones(1 << 22).exp()
xy = np.random.default_rng(0).uniform(0, 100, (40, 13, 2)).astype(np.float32)
people = vipe.Keypoints.of(xy, np.ones((40, 13), bool), skeleton="coco13")
def search():
    index.search(np.ones((40, index.manifest.encoder.dim), np.float32), 3)
    return vipe.query(index, people, 3).rows
before = search()
child = os.fork()
if child == 0:
    torch.ones(1 << 22).exp()
    os._exit(0 if (search() == before).all() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_that_was_forked_after_a_search_searches_too(affine):
    command = [sys.executable, "-c", CODE, str(affine.path)]
    process = subprocess.Popen(command, start_new_session=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    try:
        assert process.wait(timeout=120) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
