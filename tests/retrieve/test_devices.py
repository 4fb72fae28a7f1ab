"""Every stage of a search on another device than the CPU, which stands in for a GPU, finds what it finds on the CPU."""

import numpy as np
import pytest
import torch
from standin_device import STANDIN, standin_device

from vipe.crossing import full_precision, to_tensor
from vipe.detections import Keypoints
from vipe.detections.cameras.known_cameras import in_perspective_crops
from vipe.detections.cameras.lens import Lens
from vipe.lift import Lifter
from vipe.retrieve import query
from vipe.retrieve.archive_lifter import ArchiveLifter
from vipe.retrieve.camera.body import BONE_GROUPS, BodyProportions
from vipe.retrieve.camera.perspective import fit_cameras
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.candidates import affine as affine_candidates
from vipe.retrieve.candidates import hypotheses as by_hypotheses
from vipe.retrieve.candidates.affine import by_affine_camera, quickly_by_affine_camera
from vipe.retrieve.candidates.completion import completed_candidates
from vipe.retrieve.candidates.hypotheses import near_hypotheses
from vipe.retrieve.candidates.pose_scan import pose_distances
from vipe.retrieve.candidates.scan import PreparedGallery, scan
from vipe.retrieve.ranking.features import compute_features
from vipe.retrieve.ranking.marginal_likelihood import marginal_likelihood
from vipe.retrieve.session import Search, SearchSettings


@pytest.fixture
def device():
    with standin_device():
        yield str(STANDIN)


@pytest.fixture
def ran():
    with standin_device() as functions:
        yield functions


def elsewhere(index):
    """The same index, opened for the device that stands in; FAISS stays on the CPU."""
    return type(index)(index.path, index.manifest, index._parts, None, str(STANDIN))


def same(here, there, atol=2e-4):
    """Arrays of two values of one kind agree, field by field."""
    for name in getattr(here, "_fields", None) or here.__dataclass_fields__:
        mine, its = getattr(here, name), getattr(there, name)
        if isinstance(mine, np.ndarray) and mine.dtype.kind == "f":
            np.testing.assert_allclose(its, mine, atol=atol, rtol=1e-3, err_msg=name)
        elif isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(its, mine, err_msg=name)


def test_the_stand_in_is_as_strict_as_a_gpu(device):
    there = torch.arange(12.0, device=device).view(3, 4)
    assert not there.is_cpu
    assert (there @ there.T).cpu().tolist() == (
        torch.arange(12.0).view(3, 4) @ torch.arange(12.0).view(3, 4).T
    ).tolist()
    for mixed in (
        lambda: there + torch.ones(4),
        lambda: there @ torch.ones(4, 2),
        lambda: torch.ones(4)[torch.arange(2, device=device)],
        lambda: torch.stack([there, torch.ones(3, 4)]),
        lambda: torch.randn(3, device=device, generator=torch.Generator()),
        lambda: there.numpy(),
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"one device|generator of|numpy"):
            mixed()


@pytest.mark.parametrize("many", [1, 12])
def test_a_scan(affine, people, many, device):
    joints = np.arange(2, 13)
    unit = people.xy[:many, joints].astype(np.float32)
    allowed = np.arange(0, 120, 3)

    def found(place, rows=None):
        gallery = PreparedGallery.prepare(torch.from_numpy(affine.canonical[:, :13].copy()), device=place)
        assert str(gallery.tiles.device) == place
        chosen = None if rows is None else to_tensor(rows, place)
        return [
            part.cpu().numpy() for part in scan(gallery, to_tensor(joints, place), to_tensor(unit, place), 9, chosen)
        ]

    for rows in (None, allowed):
        for here, there in zip(found("cpu", rows), found(device, rows), strict=True):
            np.testing.assert_allclose(there, here, atol=1e-6)


def test_a_scan_needs_whole_single_precision_whatever_a_program_set():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with full_precision(torch.device("cpu")):
            assert torch.get_float32_matmul_precision() == "medium"
        with pytest.raises(ZeroDivisionError), full_precision(STANDIN):
            assert torch.get_float32_matmul_precision() == "highest"
            _ = 1 / 0
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("find", [by_affine_camera, quickly_by_affine_camera])
def test_candidates_by_affine_camera(affine, people, find, ran, monkeypatch):
    monkeypatch.setattr(affine_candidates, "SPREAD", 50)
    some = people[np.arange(1, 6)]  # each misses a joint at least
    here, there = find(affine, some, 7), find(elsewhere(affine), some, 7)
    for mine, its in zip(*((pair if isinstance(pair, tuple) else (pair,)) for pair in (here, there)), strict=True):
        np.testing.assert_allclose(its, mine, atol=1e-6)
    assert "topk" in ran or "sort" in ran


def test_candidates_by_completions(affine, people, device):
    some = people[np.array([3])]
    same(completed_candidates(affine, some, 8), completed_candidates(elsewhere(affine), some, 8))


@pytest.mark.parametrize("exact", [True, False], ids=["every row", "lists"])
def test_candidates_by_hypotheses(affine, people, exact, ran, monkeypatch):
    if not exact:
        monkeypatch.setattr(by_hypotheses, "EXACT", 20)
        monkeypatch.setattr(by_hypotheses, "_COMPARED", 30)
    proposed = Lifter.from_pretrained("default").sample(people[:2], 12, torch.Generator().manual_seed(0))
    same(near_hypotheses(affine, proposed, 6), near_hypotheses(elsewhere(affine), proposed, 6))
    assert "_cdist_forward" in ran


@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, 17)], ids=["alike", "weighed"])
def test_distances_from_a_pose(affine, weight, ran):
    pose = affine.poses(np.array([5]))[0]
    here = pose_distances(affine, pose, None, weight)
    np.testing.assert_allclose(pose_distances(elsewhere(affine), pose, None, weight), here, atol=1e-5)
    assert ran


@pytest.mark.parametrize("known", ["nothing", "proportions", "focal length", "convention"])
def test_cameras_likelihoods_and_features(affine, people, known, ran):
    place, some, proportions = str(STANDIN), people[:3], None
    if known == "proportions":
        proportions = BodyProportions(mean=np.full((3, len(BONE_GROUPS)), 0.02), spread=np.full((3, 9), 0.05))
    if known == "focal length":
        some = in_perspective_crops(some, [Lens(900.0, 900.0, 600.0, 400.0)] * 3)
    if known == "convention":
        some = Keypoints.of(some.xy, some.mask, convention="coco")
    rows = np.tile(np.arange(40), (3, 1))
    poses, prior = affine.poses(rows), CameraPrior(further_steps=2)
    fits = [fit_cameras(poses, some, prior, proportions=proportions, device=device) for device in ("cpu", place)]
    same(*fits, atol=5e-3)
    same(*(marginal_likelihood(fits[0], some, prior, device=device) for device in ("cpu", place)), atol=1e-3)
    search, other = Search(affine), Search(elsewhere(affine))
    fitted = [one.gathered(rows, fits[0], some) for one in (search, other)]
    same(fitted[0].embedding, fitted[1].embedding)
    same(*(compute_features(fitted[0], some, prior, device=device) for device in ("cpu", place)), atol=1e-3)
    assert {"linalg_cholesky_ex", "addmm"} <= ran


@pytest.mark.parametrize("mode", ["full", "affine", "point", "hypotheses"])
def test_a_query(affine, learned, people, mode, ran):
    index = learned if mode == "point" else affine
    few = people[np.array([0, 2, 5])]
    settings = {"mode": mode, "samples": 8, "candidates": 30}
    here, there = query(index, few, 5, **settings), query(elsewhere(index), few, 5, **settings)
    np.testing.assert_array_equal(there.rows, here.rows)
    np.testing.assert_allclose(there.distance, here.distance, atol=1e-3)
    if here.probability is not None:
        np.testing.assert_allclose(there.probability, here.probability, atol=5e-3)
    assert ran


def test_a_query_of_people_of_whom_few_joints_are_seen(affine, people, ran):
    mask = np.zeros((1, 13), dtype=bool)
    mask[:, :5] = True
    few = Keypoints.of(people.xy[:1], mask)
    here, there = query(affine, few, 4), query(elsewhere(affine), few, 4)
    np.testing.assert_array_equal(there.rows, here.rows)
    assert ran


def test_the_lifter_of_an_archive(affine, people, ran):
    here, there = (
        ArchiveLifter(index).sample(people[:2], 6, torch.Generator().manual_seed(1))
        for index in (affine, elsewhere(affine))
    )
    np.testing.assert_allclose(there.poses, here.poses, atol=1e-3)
    assert ran


def test_a_search_takes_the_index_s_device_and_a_lifter_stays_where_it_is(affine, people, ran):
    lifter = Lifter.from_pretrained("default")
    search = Search(elsewhere(affine), SearchSettings(lifter=lifter, samples=4))
    ran.clear()
    assert search.device == search.as_labelled().device == str(STANDIN)
    search.hypotheses(people[:1])
    assert not ran
    Search(elsewhere(affine), SearchSettings(samples=4)).hypotheses(people[:1])
    assert ran
