"""FAISS on a GPU: what is copied there, what stays on the CPU, and what is refused. GPUs stand in for themselves."""

from types import SimpleNamespace

import faiss
import numpy as np
import pytest

from vipe.errors import VipeError
from vipe.index.engines import FaissCPU, FaissGPU, gpu_number
from vipe.index.engines.faiss_cpu import lists_searched
from vipe.index.recipe import load_recipe

ON_GPU = ("flat", "fp16", "int8", "ivf")


@pytest.fixture
def vectors(rng):
    return rng.normal(size=(3000, 12)).astype(np.float32)


@pytest.fixture
def gpu(monkeypatch):
    """A build of FAISS for GPUs with one of them, whose memory is the computer's; notes what it is asked to do."""
    asked = []

    class GpuIndexFlat(faiss.IndexFlat):
        def __init__(self, resources, dim, metric, config):
            super().__init__(dim, metric)
            asked.append((config.device, config.useFloat16))

        def search(self, queries, k):
            asked.append(k)
            return super().search(queries, k)

    def index_cpu_to_gpu(resources, device, index, options):
        asked.append((device, type(index).__name__))
        return faiss.clone_index(index)

    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexFlatConfig", SimpleNamespace, raising=False)
    monkeypatch.setattr(faiss, "GpuClonerOptions", SimpleNamespace, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexFlat", GpuIndexFlat, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", index_cpu_to_gpu, raising=False)
    return asked


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("name", ON_GPU)
def test_a_gpu_finds_what_the_cpu_finds(vectors, name, metric, gpu):
    engine = FaissCPU.build(load_recipe(name), vectors, metric)
    there = engine.on_gpu(0)
    assert isinstance(there, FaissGPU)
    z = vectors[:20] / 9
    for mine, its in zip(engine.search(z, 8), there.search(z, 8), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-5)
    assert gpu[0] == ((0, "IndexIVFScalarQuantizer") if name == "ivf" else (0, name != "flat"))


def test_as_many_lists_are_searched_there_as_here(vectors, gpu):
    there = FaissCPU.build(load_recipe("ivf"), vectors, "l2").on_gpu(0)
    there.search(vectors[:2], 3)
    assert there._on_gpu.nprobe == lists_searched(load_recipe("ivf"), there.index.nlist) > 1


def test_filters_and_very_many_neighbours_stay_on_the_cpu(vectors, gpu):
    engine = FaissCPU.build(load_recipe("flat"), vectors, "l2")
    there, some = engine.on_gpu(0), np.arange(0, 3000, 7)
    gpu.clear()
    np.testing.assert_array_equal(there.search(vectors[:3], 5, some).rows, engine.search(vectors[:3], 5, some).rows)
    np.testing.assert_array_equal(there.search(vectors[:3], 2040).rows, engine.search(vectors[:3], 2040).rows)
    assert gpu == []
    there.search(vectors[:3], 2032)
    assert gpu == [2048]


@pytest.mark.parametrize("name", ["hnsw", "ivf-pq"])
def test_a_recipe_that_no_gpu_knows_is_refused(vectors, name, gpu):
    engine = FaissCPU.build(load_recipe(name), vectors, "l2")
    with pytest.raises(VipeError, match=f"recipe {name} has no form on a GPU; use flat, fp16, int8 or ivf"):
        engine.on_gpu(0)


def test_a_gpu_without_room_is_said_in_one_line(vectors, gpu, monkeypatch):
    def full(*_):
        raise RuntimeError("Error in allocMemory: out of memory\nat StandardGpuResources.cpp:1")

    monkeypatch.setattr(faiss, "index_cpu_to_gpu", full)
    with pytest.raises(VipeError, match=r"cuda:0: cannot hold the index: Error in allocMemory: out of memory$"):
        FaissCPU.build(load_recipe("ivf"), vectors, "l2").on_gpu(0)


def test_devices_by_name(gpu, monkeypatch):
    assert (gpu_number("cpu"), gpu_number("cuda"), gpu_number("cuda:0")) == (None, 0, 0)
    for wrong in ("gpu", "cuda:", "cuda:x", "CUDA", ""):
        with pytest.raises(VipeError, match='expected "cpu", "cuda" or "cuda:0"'):
            gpu_number(wrong)
    with pytest.raises(VipeError, match="device cuda:1: FAISS finds 1 GPUs"):
        gpu_number("cuda:1")


@pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this FAISS is built for GPUs")
def test_a_faiss_for_cpus_says_what_to_install():
    with pytest.raises(VipeError, match=r"built for CPUs; .*pip uninstall faiss-cpu, .*vipe-pose\[cuda12\]"):
        gpu_number("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("name", ON_GPU)
def test_a_real_gpu_finds_what_the_cpu_finds(rng, name, metric):
    vectors = rng.normal(size=(200_000, 78)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    engine = FaissCPU.build(load_recipe(name), vectors, metric)
    mine, its = engine.search(vectors[:100], 10), engine.on_gpu(0).search(vectors[:100], 10)
    assert np.mean(mine.rows == its.rows) > 0.99
    np.testing.assert_allclose(mine.distance, its.distance, atol=1e-4)
