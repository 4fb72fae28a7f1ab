"""Cores for blocks of rows: given apart from torch's threads, and never more than asked for."""

import threading

import pytest
import torch

from vipe import cores as module
from vipe.cores import cores, usable_cores, use_cores
from vipe.errors import VipeError
from vipe.geometry.planes import in_blocks
from vipe.retrieve.candidates.scan import scan


@pytest.fixture
def given(monkeypatch):
    monkeypatch.setattr(module, "_given", [])


@pytest.mark.usefixtures("given")
def test_by_default_blocks_take_as_many_cores_as_torch_has_threads():
    assert cores() == torch.get_num_threads()
    assert cores(7) == 7
    use_cores(3)
    assert cores() == cores(7) == 3
    assert torch.get_num_threads() != 3
    assert usable_cores() >= 1


@pytest.mark.refusal
@pytest.mark.usefixtures("given")
def test_no_core_at_all_is_refused():
    with pytest.raises(VipeError, match="expected at least 1, got 0"):
        use_cores(0)


def test_blocks_run_beside_each_other_while_torch_keeps_its_one_thread():
    before = torch.get_num_threads()
    meet = threading.Barrier(2, timeout=10)
    try:
        torch.set_num_threads(1)
        in_blocks(lambda rows: meet.wait() and None, 2, 1, workers=2)  # one after the other would never meet
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("given")
def test_a_scan_over_several_cores_finds_what_one_finds(generator):
    poses, xy = torch.randn(40_000, 13, 3, generator=generator), torch.randn(3, 13, 2, generator=generator)
    answers = []
    for count in (1, 3):
        use_cores(count)
        answers.append(scan(poses, torch.arange(9), xy[:, :9], 20))
    for one, several in zip(*answers, strict=True):
        assert torch.equal(one, several)
