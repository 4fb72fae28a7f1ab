"""Trainings keep to the device of their poses.

The other device is torch's `meta`, which every machine has: it knows shapes and devices and holds no numbers. Not every
function of it refuses tensors of the CPU beside its own, as a GPU's do, so that is checked here.
"""

from collections import defaultdict
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from vipe.embed.presets import ABLATIONS, TINY, Preset, ablate, prvipe_like, prvipe_paper
from vipe.embed.prvipe.training import PrVIPETraining
from vipe.embed.towers.network import TowersConfig
from vipe.embed.towers.training import TowersTraining, TowersTrainingConfig
from vipe.embed.vvipe.training import VVIPETraining

META = torch.device("meta")
# Rows of the CPU may index, and a module's weights may move.
MIXED = {torch.Tensor.__getitem__, torch._has_compatible_shallow_copy_type}
NO_NUMBERS = {torch.Tensor.__bool__: False, torch.Tensor.__float__: 0.0, torch.Tensor.item: 0.0}


class _Meta(TorchFunctionMode):
    """What `meta` lacks: one device for all arguments, reading a number, generators, and counting."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        devices = {x.device for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.ndim}
        if len(devices) > 1 and function not in MIXED:
            raise RuntimeError(f"{function.__name__}: tensors of devices {sorted(map(str, devices))}")
        if function in NO_NUMBERS:
            return NO_NUMBERS[function]
        if function in (torch.rand, torch.randn) and {"generator", "device"} <= kwargs.keys():
            kwargs = {**kwargs, "device": META}  # of the generator's device, which should have been this one
        if function is torch.bincount:
            return torch.empty(kwargs["minlength"], dtype=torch.long, device=args[0].device)
        return function(*args, **kwargs)


class _Generator(torch.Generator):
    def __new__(cls, *_):
        return super().__new__(cls)


@pytest.fixture
def meta(monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # has no such device
    monkeypatch.setattr(torch, "Generator", _Generator)
    with _Meta():
        yield


def poses(n):
    return torch.rand(n, 17, 3, device=META)


def data():
    return {"seed": 0, "data": "", "poses": poses(40), "validation": poses(20)}


def losses_and_figures(run):
    for stage in run.stages:
        losses = stage.losses(torch.Generator())
        assert {loss.device for loss in losses.values()} == {META}
        losses["loss"].backward()
        assert all(isinstance(figure, float) for figure in stage.validate().values())


def test_meta_refuses_tensors_of_the_cpu(meta):
    with pytest.raises(RuntimeError, match="device"):
        poses(3) @ torch.ones(3, 3)


@pytest.mark.parametrize("ablation", [None, *ABLATIONS])
def test_vvipe_keeps_to_its_device(meta, ablation):
    preset = Preset(network=TINY.network, training=replace(TINY.training, batch=16, paired=True, universal=True))
    preset = ablate(preset, ablation) if ablation else preset
    losses_and_figures(VVIPETraining(preset.network, preset.training, **data()))


def test_towers_keep_to_their_device(meta):
    network = TowersConfig(width=32, decoder_width=16)
    run = TowersTraining(network, TowersTrainingConfig(batch=16), **data())
    losses_and_figures(run)
    run.finalize()
    run.card([defaultdict(float)])


@pytest.mark.parametrize("settings", [prvipe_like, prvipe_paper])
def test_prvipe_keeps_to_its_device(meta, settings):
    network, config = settings(TINY)
    losses_and_figures(PrVIPETraining(network, replace(config, batch=16, universal=True, mixed=True), **data()))
