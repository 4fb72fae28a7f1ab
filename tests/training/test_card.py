"""Every trained model has a card that says on what, under which licence, how, how good, and what it is not for."""

import re
from pathlib import Path

import pytest
from training.test_resume import TRAININGS, run

from vipe import pretrained
from vipe.embed.presets import TRAIN
from vipe.lift.presets import kinds
from vipe.lift.presets import train as train_lifter
from vipe.training.card import SECTIONS, Told, model_card

TOLD = Told(data="an archive", licence="CC BY-NC 4.0", command="vipe train it archive --seed 5")
SHIPPED = [("", name) for name in pretrained.names()] + [("lifters", name) for name in pretrained.names("lifters")]


def sections(card):
    """What a card says under each of its names, in one line each."""
    parts = re.split(r"^- \*\*(\w+)\*\*", card, flags=re.MULTILINE)
    return {name: " ".join(text.lstrip(":,").split()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def check(card):
    """Its sections are there, in order, and filled."""
    found = sections(card)
    assert tuple(found) == SECTIONS
    assert card.startswith("# ")
    assert len(card.partition("\n- ")[0].split()) > 8  # what it is, in words
    for name, text in found.items():
        assert len(text.split()) >= 4, name
        assert "nan" not in text.lower().split(), name
    assert re.search(r"\d+ poses", found["Data"])
    assert "licence" in found["Licence"] or "Apache" in found["Licence"]
    assert re.search(r"seed \d", found["Protocol"])
    assert re.search(r"\d\.\d", found["Figures"])
    assert "keypoints" in found["Limits"]
    assert not re.search(r"(^|\s)/\w+/", card)  # no place of the machine it was trained on
    return found


@pytest.fixture(scope="module")
def lifters(bent, tmp_path_factory):
    """The card of a lifter of a kind, trained for two steps."""
    poses, validation, folder = bent(60, seed=0), bent(8, seed=1), tmp_path_factory.mktemp("lifters")

    def card(kind, data):
        steps = None if kind == "ppca" else 2
        train_lifter(kind, poses, validation, folder / kind, steps=steps, data=data, seed=5)
        return (folder / kind / "card.md").read_text(encoding="utf-8")

    return card


@pytest.mark.parametrize("kind", kinds())
def test_a_lifter_of_every_kind_has_a_whole_card(kind, lifters):
    found = check(lifters(kind, TOLD))
    assert "an archive" in found["Data"]
    assert "CC BY-NC 4.0" in found["Licence"]
    assert "`vipe train it archive --seed 5`" in found["Protocol"]
    assert "best of 20" in found["Figures"] and "energy score" in found["Figures"]


@pytest.mark.parametrize("kind", sorted(TRAININGS))
def test_an_embedding_of_every_method_has_a_whole_card(kind, data, tmp_path):
    run(kind, data, tmp_path / "model", data=TOLD)
    found = check((tmp_path / "model" / "card.md").read_text(encoding="utf-8"))
    assert "an archive" in found["Data"]
    assert "CC BY-NC 4.0" in found["Licence"]
    assert "seed 5" in found["Protocol"] and "`vipe train it archive --seed 5`" in found["Protocol"]
    assert "Hit@1" in found["Figures"]


def test_every_method_of_the_command_is_among_them():
    assert set(TRAININGS) == set(TRAIN)


@pytest.mark.parametrize(("shelf", "name"), SHIPPED, ids=str)
def test_a_model_that_comes_with_the_library_has_a_whole_card(shelf, name):
    found = check((Path(pretrained.load(name, shelf=shelf).where) / "card.md").read_text(encoding="utf-8"))
    assert "Apache-2.0" in found["Licence"]


def test_what_was_not_told_is_said_to_be_so():
    card = model_card(
        "M", "It does it.", Told.of(""), data="3 poses", protocol="seed 0", figures={}, measured="on it", limits="all"
    )
    found = sections(card)
    assert "not told" in found["Licence"] and "not told" in found["Protocol"]
    assert "without a name" in found["Data"]
    assert "not measured" in found["Figures"]


def test_a_name_alone_is_told_as_before():
    assert Told.of("walks") == Told(data="walks")
    assert Told.of(TOLD) is TOLD
