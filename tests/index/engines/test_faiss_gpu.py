"""FAISS on a GPU: what is copied there, what stays on the CPU, and what is refused. GPUs stand in for themselves."""

from types import SimpleNamespace

import faiss
import msgspec
import numpy as np
import pytest
import torch

from vipe.errors import VipeError
from vipe.index.engines import ENGINES, FaissCagra, FaissCPU, FaissGPU, gpu_number
from vipe.index.engines.faiss_cpu import lists_searched
from vipe.index.recipe import Search, load_recipe
from vipe.pretrained import check_device

ON_GPU = ("flat", "fp16", "int8", "ivf", "ivf-pq", "cagra")


@pytest.fixture
def vectors(rng):
    return rng.normal(size=(3000, 12)).astype(np.float32)


@pytest.fixture
def gpu(monkeypatch):
    """A build of FAISS for GPUs with one of them, whose memory is the computer's; notes what it is asked to do.

    Names and arguments are those of faiss-gpu-cuvs 1.15.1.
    """
    asked = []

    class GpuIndexFlat(faiss.IndexFlat):
        def __init__(self, resources, dim, metric, config):
            super().__init__(dim, metric)
            asked.append((config.device, config.useFloat16))

        def search(self, queries, k, *, params=None):
            asked.append(k)
            assert params is None
            return super().search(queries, k)

    class GpuIndexIVFScalarQuantizer(faiss.IndexIVFScalarQuantizer):
        def __init__(self, resources, centres, dim, lists, code, metric, by_residual, config):
            super().__init__(centres, dim, lists, code, metric, by_residual)
            asked.append((config.device, "GpuIndexIVFScalarQuantizer", code, metric))

    class GpuIndexCagra:
        """The graph of a CPU, which walks it as well."""

        def __init__(self, resources, dim, metric, config):
            self.d, self.metric, self.config = dim, metric, config
            asked.append((config.device, "GpuIndexCagra", metric))

        def train(self, vectors):
            assert self.config.intermediate_graph_degree > self.config.graph_degree
            self.vectors = vectors

        def copyTo(self, index):
            assert index.base_level_only
            index.base_level_only = False  # as which it would take no vectors
            index.add(self.vectors)
            index.base_level_only = True

        def copyFrom(self, index):
            assert type(index) is faiss.IndexHNSWCagra
            self.graph = index

        def search(self, queries, k, *, params=None):
            assert k <= params.itopk_size <= 1024
            asked.append((k, params.itopk_size))
            return self.graph.search(queries, k, params=faiss.SearchParametersHNSW(efSearch=params.itopk_size))

    def index_cpu_to_gpu(resources, device, index, options):
        asked.append((device, type(index).__name__))
        return faiss.clone_index(index)

    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexFlatConfig", SimpleNamespace, raising=False)
    monkeypatch.setattr(faiss, "GpuClonerOptions", SimpleNamespace, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexFlat", GpuIndexFlat, raising=False)
    for name in ("GpuIndexCagraConfig", "SearchParametersCagra", "GpuIndexIVFScalarQuantizerConfig"):
        monkeypatch.setattr(faiss, name, SimpleNamespace, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexCagra", GpuIndexCagra, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexIVFScalarQuantizer", GpuIndexIVFScalarQuantizer, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", index_cpu_to_gpu, raising=False)
    monkeypatch.setattr("vipe.index.engines.faiss_gpu.check_device", lambda device: None)
    return asked


def built(name, vectors, metric):
    recipe = load_recipe(name)
    return ENGINES[recipe.engine].build(recipe, vectors, metric)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("name", ON_GPU)
def test_a_gpu_finds_what_the_cpu_finds(vectors, name, metric, gpu):
    engine = built(name, vectors, metric)
    if name == "cagra":
        assert gpu[0][2] == engine.index.metric_type
    gpu.clear()
    there = engine.on_gpu(0)
    assert isinstance(there, FaissGPU)
    z = vectors[:20] / 9
    for mine, its in zip(engine.search(z, 8), there.search(z, 8), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-5)
    kind = faiss.METRIC_INNER_PRODUCT if metric == "ip" else faiss.METRIC_L2
    copied = {
        "ivf": (0, "IndexIVFScalarQuantizer"),
        "ivf-pq": (0, "IndexFlat"),  # the centres of its lists
        "cagra": (0, "GpuIndexCagra", kind),
    }
    assert gpu[0] == copied.get(name, (0, name != "flat"))
    if name == "ivf-pq":
        assert gpu[1] == (0, "GpuIndexIVFScalarQuantizer", faiss.ScalarQuantizer.QT_fp16, kind)


def test_a_graph_is_walked_with_the_recipe_s_effort_and_as_deep_as_cuvs_goes(vectors, gpu):
    engine = built("cagra", vectors, "l2")
    there = engine.on_gpu(0)
    gpu.clear()
    there.search(vectors[:3], 5)
    there.search(vectors[:3], 500)
    assert gpu == [(21, 256), (516, 516)]
    there.search(vectors[:3], 1009)  # on the CPU
    assert len(gpu) == 2
    harder = there.searching(msgspec.structs.replace(engine.recipe, search=Search(effort=640)))
    harder.search(vectors[:3], 5)
    assert gpu[-1] == (21, 640)


def test_few_poses_have_no_graph_on_a_gpu_and_are_compared(vectors, gpu):
    few = vectors[:1023]
    engine = built("cagra", few, "l2")
    assert gpu == []
    there = engine.on_gpu(0)
    assert gpu == [(0, False)]
    np.testing.assert_array_equal(there.search(few[:9], 3).rows, engine.exactly(few[:9], 3).rows)


def test_a_graph_built_by_a_gpu_is_opened_and_searched_by_a_cpu(vectors, gpu, tmp_path, monkeypatch):
    engine = built("cagra", vectors, "ip")
    engine.save(tmp_path / "index.faiss")
    for name in ("GpuIndexCagra", "StandardGpuResources", "get_num_gpus"):
        monkeypatch.delattr(faiss, name)
    again = FaissCagra.open(tmp_path / "index.faiss", load_recipe("cagra"), vectors, "ip")
    np.testing.assert_array_equal(again.search(vectors[:9], 5).rows, engine.search(vectors[:9], 5).rows)
    assert (again.search(vectors[:9], 5).rows == engine.exactly(vectors[:9], 5).rows).mean() > 0.9
    some = np.arange(0, 3000, 5)
    np.testing.assert_array_equal(again.search(vectors[:9], 5, some).rows, engine.exactly(vectors[:9], 5, some).rows)


def test_more_lists_than_a_gpu_searches_are_not_asked_for(vectors, gpu, monkeypatch):
    there = FaissCPU.build(load_recipe("ivf"), vectors, "l2").on_gpu(0)
    monkeypatch.setattr("vipe.index.engines.faiss_gpu._MOST_LISTS", 3)
    there.search(vectors[:2], 3)
    assert there._on_gpu.nprobe == 3


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


def test_a_recipe_that_no_gpu_knows_is_refused(vectors, gpu):
    engine = FaissCPU.build(load_recipe("hnsw"), vectors, "l2")
    with pytest.raises(VipeError, match="recipe hnsw has no form on a GPU; use cagra, flat, fp16, int8, ivf or ivf-pq"):
        engine.on_gpu(0)


def test_a_graph_needs_cuvs_to_be_built_and_to_be_walked_on_a_gpu(vectors, gpu, monkeypatch):
    engine = built("cagra", vectors, "l2")
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    with pytest.raises(VipeError, match="recipe cagra: a GPU builds its graph, and FAISS finds none; take recipe hnsw"):
        FaissCagra.check(engine.recipe)
    monkeypatch.delattr(faiss, "GpuIndexCagra")
    with pytest.raises(
        VipeError, match=r"recipe cagra: .*without cuVS; .*pip uninstall faiss-cpu, .*vipe-pose\[cuda13\]"
    ):
        FaissCagra.build(engine.recipe, vectors[:500], "l2")
    with pytest.raises(VipeError, match=r"recipe cagra: .*without cuVS, which walks .*vipe-pose\[cuda13\]"):
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


def test_a_gpu_that_torch_cannot_use_is_refused(gpu, monkeypatch):
    monkeypatch.setattr("vipe.index.engines.faiss_gpu.check_device", check_device)
    if not torch.cuda.is_available():
        with pytest.raises(VipeError, match="device 'cuda' cannot be used: "):
            gpu_number("cuda")


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
    engine = built(name, vectors, metric)
    mine, its = engine.exactly(vectors[:100], 10), engine.on_gpu(0).search(vectors[:100], 10)
    on_cpu = np.mean(mine.rows == engine.search(vectors[:100], 10).rows)
    assert np.mean(mine.rows == its.rows) >= min(on_cpu, 0.99) - (0.05 if name == "cagra" else 0.01)
    np.testing.assert_allclose(mine.distance[:, 0], its.distance[:, 0], atol=1e-4)
