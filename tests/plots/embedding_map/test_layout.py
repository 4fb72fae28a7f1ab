import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from vipe.embed import AffineSignature
from vipe.errors import EncoderMismatch, MissingExtra, ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.plots.embedding_map import layout as module
from vipe.plots.embedding_map.layout import encoder_of, lay_onto, lay_out, place
from vipe.plots.embedding_map.measures import trustworthiness


@pytest.fixture
def flat(monkeypatch):
    """In place of UMAP: the start itself."""
    monkeypatch.setattr(module, "umap_layout", lambda vectors, graph, start, seed: start)


def draws():
    return np.random.default_rng(5)


@pytest.mark.parametrize("method", [pytest.param("umap", marks=pytest.mark.slow), "tsne"])  # UMAP compiles itself
def test_a_layout_keeps_neighbours_and_depends_on_the_seed_alone(index, method):
    pytest.importorskip("umap" if method == "umap" else "sklearn")
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (lay_out(index, method, 80, generator=draws()) for _ in range(2))
    assert trustworthiness(first.embeddings, first.xy, generator=draws()) > 0.85
    np.testing.assert_array_equal(first.xy, again.xy)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert first.method == method
    np.testing.assert_array_equal(first.embeddings, index.embeddings[first.rows])


def test_a_larger_index_is_covered_by_fewer_poses(index, flat):
    found = lay_out(index, limit=50, generator=draws())
    assert len(found) == 50
    assert (np.diff(found.rows) > 0).all()
    apart = np.linalg.norm(found.embeddings[:, None] - found.embeddings, axis=-1)
    np.testing.assert_allclose(found.reach, np.sort(apart, axis=1)[:, 15], rtol=1e-4)


def test_the_start_is_the_plane_of_the_widest_directions(index, flat):
    found = lay_out(index, generator=draws())
    vectors = index.embeddings - index.embeddings.mean(axis=0)
    widest = np.linalg.svd(vectors, full_matrices=False)[1][:2]
    np.testing.assert_allclose(np.linalg.norm(found.xy, axis=0), widest, rtol=1e-3)


def test_signatures_are_mapped_by_the_default_embedding(motion, tmp_path, flat):
    index = PoseIndex.build(motion, AffineSignature(), tmp_path / "affine")
    found = lay_out(index, limit=40, generator=draws())
    default = encoder_of(index)
    assert (default.name, found.encoder) == ("towers", default.fingerprint)
    np.testing.assert_allclose(found.embeddings, default.encode_poses(index.poses(found.rows)), atol=1e-4)
    with pytest.raises(VipeError, match="compares by inner product"):
        lay_out(index, encoder=AffineSignature(), generator=draws())


def test_a_mapped_pose_keeps_its_place(layout):
    np.testing.assert_array_equal(place(layout, layout.embeddings), layout.xy)


def test_a_new_pose_comes_between_its_neighbours(layout):
    between = (layout.embeddings[:-1] + layout.embeddings[1:]) / 2
    near = np.linalg.norm(layout.embeddings[:-1] - layout.embeddings[1:], axis=1) < 0.5 * layout.reach[:-1]
    placed = place(layout, between[near])
    true = (layout.xy[:-1] + layout.xy[1:])[near] / 2
    assert np.linalg.norm(placed - true, axis=1).mean() < 0.2 * layout.xy.std()


def test_nothing_is_placed_between_two_islands(layout):
    far = replace(
        layout,
        rows=np.arange(8),
        reach=np.ones(8, np.float32),
        embeddings=np.array([[0], [0.1], [0.2], [0.3], [1.0], [1.1], [1.2], [1.3]], np.float32),
        xy=np.array([[0, 0]] * 4 + [[9, 9]] * 4, np.float32),
    )
    np.testing.assert_array_equal(place(far, np.array([[0.6]], np.float32), 5), [[0, 0]])


def test_no_pose_has_no_place_and_another_embedding_is_refused(layout):
    assert place(layout, layout.embeddings[:0]).shape == (0, 2)
    with pytest.raises(ShapeError, match=r"\(Q, 8\) for this map, got shape \(2, 5\)"):
        place(layout, np.zeros((2, 5), np.float32))


def test_an_index_is_placed_on_an_earlier_map(index, layout):
    found = lay_onto(layout, index)
    assert len(found) == len(index)
    np.testing.assert_array_equal(found.xy[layout.rows], layout.xy)
    assert found.settings["placed_on"] == len(layout)
    with pytest.raises(EncoderMismatch, match="lay them out anew"):
        lay_onto(replace(layout, encoder="another"), index)


@pytest.mark.parametrize("wrong", [9, 0])
def test_too_few_poses_are_refused(index, wrong):
    with pytest.raises(VipeError, match=f"at least 10, got {wrong}"):
        lay_out(index, limit=wrong, generator=draws())


@pytest.mark.parametrize(("method", "package"), [("umap", "umap"), ("tsne", "sklearn.manifold")])
def test_a_missing_package_is_named_with_what_installs_it(index, method, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("vipe.plots.embedding_map.tsne_layout.has_opentsne", lambda: False)
    with pytest.raises(MissingExtra, match=r'pip install "vipe-pose\[maps\]"'):
        lay_out(index, method, generator=draws())


def test_the_modules_load_nothing_slow():
    code = (
        "import sys, vipe.plots.embedding_map.page, vipe.plots.embedding_map.picture, vipe.cli.map\n"
        "print(sorted({'umap', 'numba', 'sklearn', 'openTSNE', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
