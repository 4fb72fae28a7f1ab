from dataclasses import fields

import pytest

from vipe.errors import VipeError
from vipe.lift import Lifter
from vipe.lift.ppca.network import PPCAConfig
from vipe.lift.ppca.training import PPCATrainingConfig
from vipe.lift.presets import PRESETS, configurations, kinds, train
from vipe.lift.registry import NETWORKS


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", kinds())
def test_every_kind_has_every_preset(kind, preset):
    network, training = configurations(kind, preset)
    if kind == "ppca":
        assert (type(network), type(training)) == (PPCAConfig, PPCATrainingConfig)
        return
    assert type(network) is NETWORKS[kind].config_type
    assert training.steps >= 100


@pytest.mark.parametrize("kind", NETWORKS)
def test_tiny_networks_are_smaller_and_trained_for_less(kind):
    tiny, quick = configurations(kind, "tiny")
    base, thorough = configurations(kind, "base")
    assert quick.steps * quick.batch < thorough.steps * thorough.batch
    sizes = [name for name in ("width", "encoder_width") if name in {field.name for field in fields(tiny)}]
    assert all(getattr(tiny, name) <= getattr(base, name) for name in sizes)


def test_steps_replace_those_of_the_preset():
    for preset in PRESETS:
        assert configurations("regression", preset, steps=7)[1].steps == 7


def test_the_closed_form_is_tiny_and_whole_as_well():
    (tiny, quick), (base, thorough) = (configurations("ppca", preset) for preset in PRESETS)
    assert tiny.components < base.components and tiny.dimensions < base.dimensions
    assert quick.most_poses < thorough.most_poses
    assert quick.alignment.components < thorough.alignment.components


def test_all_kinds_can_be_trained(bent, tmp_path):
    assert set(kinds()) == {*NETWORKS, "ppca"}
    lifter = train("ppca", bent(60, seed=0), bent(8, seed=1), tmp_path / "m", data="bent people", seed=3)
    assert Lifter.from_pretrained(tmp_path / "m").kind == "ppca"
    assert lifter.origin["seed"] == 3
    assert "bent people" in lifter.card


def test_the_closed_form_takes_no_steps():
    with pytest.raises(VipeError, match="takes no steps, got 5"):
        configurations("ppca", "tiny", steps=5)


@pytest.mark.parametrize(("kind", "preset"), [("nothing", "tiny"), ("regression", "huge")])
def test_an_unknown_name_is_answered_with_those_that_there_are(kind, preset):
    with pytest.raises(VipeError, match=r"kinds are .*regression.*, presets tiny, base"):
        configurations(kind, preset)


def test_a_training_leaves_a_lifter(bent, tmp_path):
    lifter = train("regression", bent(40, seed=0), bent(8, seed=1), tmp_path / "m", steps=2, data="bent people")
    assert isinstance(lifter, Lifter)
    assert Lifter.from_pretrained(tmp_path / "m").kind == "regression"
    assert lifter.origin["training"]["steps"] == 2
    assert "bent people" in lifter.card


def test_no_steps_are_refused(bent, tmp_path):
    with pytest.raises(VipeError, match="steps must be at least 1"):
        train("regression", bent(9, seed=0), bent(9, seed=1), tmp_path / "m", steps=0)
