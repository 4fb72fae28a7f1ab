"""Trainings keep to the device of their poses.

The other device is torch's `meta`, which every machine has: it knows shapes and devices and holds no numbers. Not every
function of it refuses tensors of the CPU beside its own, as a GPU's do, so that is checked here.
"""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch._C import DisableTorchFunction
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from vipe.embed import prvipe_training, towers_training, training
from vipe.embed.augment import PosePool
from vipe.embed.presets import ABLATIONS, TINY, ablate, prvipe_like
from vipe.embed.prvipe import PrVIPENetwork
from vipe.embed.towers import Towers, TowersConfig
from vipe.embed.vvipe import VVIPE

META = torch.device("meta")
NO_NUMBERS = {torch.Tensor.__bool__: False, torch.Tensor.__float__: 0.0, torch.Tensor.item: 0.0}


class _Meta(TorchFunctionMode):
    """What `meta` lacks: one device for all arguments, reading a number, generators, and counting."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        devices = {x.device for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.ndim}
        if len(devices) > 1 and function is not torch.Tensor.__getitem__:  # rows of the CPU may index
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


def made(model, config):
    with DisableTorchFunction():
        return model(config).to(META)


def losses_and_figures(stages):
    for stage in stages:
        losses = stage.losses(torch.Generator())
        assert {loss.device for loss in losses.values()} == {META}
        losses["loss"].backward()
        assert all(isinstance(figure, float) for figure in stage.validate().values())


def test_meta_refuses_tensors_of_the_cpu(meta):
    with pytest.raises(RuntimeError, match="device"):
        poses(3) @ torch.ones(3, 3)


@pytest.mark.parametrize("ablation", [None, *ABLATIONS])
def test_vvipe_keeps_to_its_device(meta, ablation):
    preset = ablate(TINY, ablation) if ablation else TINY
    run = training._Run(
        model=made(VVIPE, preset.network),
        config=replace(preset.training, batch=16, paired=True, universal=True),
        recorded=poses(40),
        held_out=poses(20),
    )
    losses_and_figures(run.stages)


def test_towers_keep_to_their_device(meta):
    run = towers_training._Run(
        model=made(Towers, TowersConfig(width=32, decoder_width=16)),
        config=towers_training.TowersTrainingConfig(batch=16),
        pool=PosePool.of(poses(40)),
        held_out=poses(20),
    )
    losses_and_figures([run.stage])
    run.standardize()


def test_prvipe_keeps_to_its_device(meta):
    network, config = prvipe_like(TINY)
    run = prvipe_training._Run(
        model=made(PrVIPENetwork, network), config=replace(config, batch=16), recorded=poses(40), held_out=poses(20)
    )
    assert {loss.device for loss in run.losses(torch.Generator()).values()} == {META}
    assert run.validate().keys() == {"val_view_hit1"}
