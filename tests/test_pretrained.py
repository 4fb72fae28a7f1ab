import json

import pytest
import torch
from torch import nn

from vipe import pretrained
from vipe.embed import Embedder, find_encoder
from vipe.errors import ReadError, VipeError
from vipe.evaluate.baselines.matchers import find_matcher
from vipe.lift.registry import load_lifter


@pytest.fixture
def module(generator):
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return module


@pytest.fixture
def folder(module, tmp_path):
    pretrained.save(tmp_path / "model", "thing", {"width": 4}, module.state_dict(), "# Card", origin={"seed": 1})
    return tmp_path / "model"


def listing(folder):
    return sorted(entry.name for entry in folder.iterdir())


def empty():
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_what_was_saved_is_what_is_loaded(folder, module):
    trained = pretrained.load(folder)
    assert (trained.kind, trained.config, trained.origin, trained.card) == (
        "thing",
        {"width": 4},
        {"seed": 1},
        "# Card\n",
    )
    again = empty()
    trained.fill(again)
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in module.state_dict().items())


def test_the_folder_holds_three_files_and_nothing_is_left_beside_it(folder):
    assert listing(folder) == ["card.md", "config.json", "weights.safetensors"]
    assert listing(folder.parent) == ["model"]


def test_more_files_come_along(tmp_path):
    pretrained.save(tmp_path / "model", "thing", {}, {}, files={"history.jsonl": "{}\n"})
    assert (tmp_path / "model" / "history.jsonl").read_text() == "{}\n"
    assert pretrained.load(tmp_path / "model").tensors == {}


def test_half_precision_weights_become_float32(folder, module):
    half = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in module.state_dict().items()
    }
    pretrained.save(folder, "thing", {"width": 4}, half)
    again = empty()
    pretrained.load(folder).fill(again)
    assert again[0].weight.dtype == torch.float32
    assert again[1].num_batches_tracked.dtype == torch.int64
    assert torch.equal(again[0].weight, module[0].weight.half().float())


def test_an_earlier_model_is_replaced_whole(folder):
    pretrained.save(folder, "other", {"width": 9}, {}, files={})
    assert pretrained.load(folder).kind == "other"
    assert listing(folder.parent) == ["model"]


def test_a_folder_that_is_no_model_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(VipeError, match="thesis: is there and is no trained model"):
        pretrained.save(tmp_path / "thesis", "thing", {}, {})
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"


def test_when_writing_fails_the_earlier_model_stands(folder, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(VipeError, match="model: cannot be written: No space left"):
        pretrained.save(folder, "other", {}, {})
    assert pretrained.load(folder).kind == "thing"
    assert listing(folder.parent) == ["model"]


def test_when_the_last_rename_fails_the_earlier_model_stands(folder, monkeypatch):
    def failing(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("vipe.atomic_write._rename", failing)
    with pytest.raises(VipeError, match="cannot be written: Input/output error"):
        pretrained.save(folder, "other", {}, {})
    assert pretrained.load(folder).kind == "thing"


def test_an_unknown_name_lists_what_there_is(monkeypatch):
    with pytest.raises(ReadError, match="no trained model 'nonesuch': no such folder; by name there is"):
        pretrained.load("nonesuch")


@pytest.mark.parametrize(
    ("load", "name", "known", "meant"),
    [
        (find_encoder, "Affine", "default, affine", "affine"),
        (find_encoder, "defaults", "default, affine", "default"),
        (find_matcher, "afine", "default, affine", "affine"),
        (Embedder.from_pretrained, "defualt", "default", "default"),
        (load_lifter, "defalt", "default", "default"),
    ],
)
def test_a_name_that_was_mistyped_is_asked_after(load, name, known, meant):
    with pytest.raises(ReadError, match=f"by name there is {known}; did you mean '{meant}'\\?$"):
        load(name)
    with pytest.raises(ReadError, match=f"by name there is {known}$"):
        load("models/mine")


def test_models_that_come_with_the_library_are_found_by_name(folder, monkeypatch, tmp_path):
    (tmp_path / "package" / "models").mkdir(parents=True)
    folder.rename(tmp_path / "package" / "models" / "small")
    monkeypatch.setattr("vipe.pretrained.resources.files", lambda package: tmp_path / "package")
    assert pretrained.names() == ("small",)
    assert pretrained.load("small").kind == "thing"
    with pytest.raises(ReadError, match=r"by name there is small$"):
        pretrained.load("large")


def broken_cases():
    def flip(folder):
        file = folder / "weights.safetensors"
        data = bytearray(file.read_bytes())
        data[-3] ^= 1
        file.write_bytes(data)

    def cut(folder):
        file = folder / "weights.safetensors"
        file.write_bytes(file.read_bytes()[:-5])

    def header_cut(folder):
        (folder / "weights.safetensors").write_bytes(b"\x10\x00\x00")

    def huge_header(folder):
        (folder / "weights.safetensors").write_bytes(b"\xff" * 8 + b"{}")

    def edit(**changes):
        def change(folder):
            file = folder / "config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

        return change

    return {
        "no weights": (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors: missing"),
        "no config": (lambda folder: (folder / "config.json").unlink(), "config.json: missing.*here is card.md"),
        "a bit": (flip, "weights.safetensors: altered"),
        "weights cut": (cut, "weights.safetensors: cut, altered or not safetensors"),
        "header cut": (header_cut, "weights.safetensors: cut, altered"),
        "huge header": (huge_header, "weights.safetensors: cut, altered"),
        "not JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json: not JSON"),
        "not UTF-8": (lambda folder: (folder / "config.json").write_bytes(b"\xff{}"), "config.json: not JSON"),
        "a list": (lambda folder: (folder / "config.json").write_text("[]"), "config.json: expected an object"),
        "later format": (edit(format=2), "config.json: format 2; this version of vipe reads format 1"),
        "no kind": (edit(kind=None), "config.json: expected an object with format, kind"),
        "altered config": (edit(config={"width": 9}), "config.json: altered: kind and config are not as saved"),
        "altered kind": (edit(kind="other"), "config.json: altered: kind and config are not as saved"),
        "config a list": (edit(config=[]), "config.json: config and origin must be objects"),
    }


@pytest.mark.parametrize("case", broken_cases())
def test_a_broken_folder_is_refused_in_one_line_that_names_the_file(folder, case):
    damage, message = broken_cases()[case]
    damage(folder)
    with pytest.raises(ReadError, match=message) as refused:
        pretrained.load(folder)
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(ReadError, match=r"model.pt: is a file; a trained model is a folder"):
        pretrained.load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("0.bias"), "lacks tensor '0.bias'"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "has tensor 'extra'"),
        (lambda tensors: tensors.update({"0.bias": torch.zeros(5)}), r"'0.bias' has shape \(5,\).*asks for \(4,\)"),
        (lambda tensors: tensors.update({"0.bias": torch.zeros(4, dtype=torch.int64)}), "'0.bias' is torch.int64"),
        (lambda tensors: tensors["0.bias"].fill_(float("nan")), "'0.bias' has values that are not finite"),
        (
            lambda tensors: tensors.update({"0.bias": torch.full((4,), 1e300, dtype=torch.float64)}),
            "not finite, or not in float32",
        ),
        (
            lambda tensors: tensors.update({"0.bias": torch.zeros(4).to(torch.float8_e4m3fn)}),
            "'0.bias' is torch.float8_e4m3fn, expected torch.float32",
        ),
    ],
    ids=["lacking", "unknown", "another shape", "another type", "NaN", "too large", "eight bits"],
)
def test_tensors_that_do_not_fit_are_refused(module, tmp_path, change, message):
    tensors = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    change(tensors)
    pretrained.save(tmp_path / "model", "thing", {}, tensors)
    with pytest.raises(ReadError, match=f"weights.safetensors: .*{message}"):
        pretrained.load(tmp_path / "model").fill(empty())


def test_an_unfinished_training_is_called_one(tmp_path):
    (tmp_path / "checkpoint-0-0000200.safetensors").write_bytes(b"")
    with pytest.raises(ReadError, match=r"config\.json: missing: its training is not finished; run the same"):
        pretrained.load(tmp_path)
