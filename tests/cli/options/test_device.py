"""`--device`: which commands compute where they are told, and what they say where there is no such place."""

import faiss
import numpy as np
import pytest
import torch

import vipe
from vipe.detections import write_coco_results
from vipe.simulate.motion import synthesize
from vipe.skeletons.working import COCO13_IN_H36M17

NO_FAISS = pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this FAISS is built for GPUs")
NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store, an index, and a person."""
    folder = tmp_path_factory.mktemp("device")
    clip = next(iter(synthesize(minutes=0.1, fps=10.0, generator=np.random.default_rng(0))))
    store = vipe.PoseStore.create(folder / "store", [clip])
    vipe.PoseIndex.build(store, vipe.AffineSignature(), folder / "index")
    write_coco_results(folder / "people.json", vipe.Keypoints.of(100 * store.poses()[:1, list(COCO13_IN_H36M17), 1:]))
    return folder


@NO_FAISS
@pytest.mark.parametrize("asked", [("people.json",), ("--pose", "0:0")], ids=["people", "moments"])
def test_a_query_on_a_gpu_needs_faiss_for_gpus(run, folder, asked):
    words = [folder / asked[0]] if len(asked) == 1 else asked
    code, out, err = run("query", folder / "index", *words, "--device", "cuda:1")
    assert (code, out) == (2, "")
    assert err.startswith("vipe: VipeError: device cuda:1: this FAISS (")
    assert "vipe-pose[cuda12]" in err
    assert len(err.splitlines()) == 1


@NO_CUDA
@pytest.mark.parametrize(
    "command",
    [("lift", "people.json"), ("index", "build", "store", "--out", "new", "--encoder", "default")],
    ids=["lift", "index build"],
)
def test_a_network_on_a_gpu_needs_torch_for_gpus(run, folder, command):
    words = [folder / word if word in ("people.json", "store", "new") else word for word in command]
    code, out, err = run(*words, "--device", "cuda")
    assert (code, out) == (2, "")
    assert err.startswith("vipe: VipeError: device 'cuda' cannot be used: ")
    assert len(err.splitlines()) == 1
    assert not (folder / "new").exists()


def test_affine_signatures_have_no_other_device(run, folder):
    code, _, err = run("index", "build", folder / "store", "--out", folder / "new", "--device", "cuda")
    assert code == 2
    assert "--device cuda is for a learned encoder; affine signatures are made on the CPU: leave it out" in err


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (("query", "index", "people.json"), "PoseIndex.open"),
        (("query", "index", "--pose", "{clip}:0"), "PoseIndex.open"),
        (("lift", "people.json"), "Lifter.from_pretrained"),
        (("index", "build", "store", "--out", "new", "--encoder", "default"), "Embedder.from_pretrained"),
    ],
    ids=["query", "query --pose", "lift", "index build"],
)
def test_a_command_computes_where_it_is_told(run, folder, command, place, monkeypatch):
    kind, method = place.split(".")
    asked = []

    def loaded(*given, device="cpu", **named):
        asked.append(device)
        raise vipe.VipeError("seen")

    monkeypatch.setattr(getattr(vipe, kind), method, loaded)
    clip = str(vipe.PoseStore.open(folder / "store").table(["clip"])["clip"][0])
    words = [
        folder / word if (word != command[0] and (folder / word).exists()) or word == "new" else word.format(clip=clip)
        for word in command
    ]
    assert run(*words, "--device", "cuda:7")[0] == 2
    assert asked == ["cuda:7"]
