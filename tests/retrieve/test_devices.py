"""Every stage of a search on another device than the CPU, which stands in for a GPU, finds what it finds on the CPU."""

import inspect

import numpy as np
import pytest
import torch
from other_device import DEVICES, other_device
from standin_device import STANDIN, standin_device

from vipe.crossing import full_precision, to_tensor
from vipe.detections import Keypoints
from vipe.detections.cameras.known_cameras import in_perspective_crops
from vipe.detections.cameras.lens import Lens
from vipe.lift import Lifter
from vipe.retrieve import archive_lifter, query, session
from vipe.retrieve.archive_lifter import ArchiveLifter
from vipe.retrieve.body import BONE_GROUPS, BodyProportions
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


@pytest.fixture(params=DEVICES)
def place(request):
    for device in other_device(request):
        device.forget()
        yield device


def elsewhere(index, place):
    """The same index, opened for the other device; FAISS stays on the CPU."""
    return type(index)(index.path, index.manifest, index._parts, None, place.name)


def same(here, there, atol=2e-4):
    """Arrays of two values of one kind agree, field by field."""
    for name in getattr(here, "_fields", None) or here.__dataclass_fields__:
        mine, its = getattr(here, name), getattr(there, name)
        if isinstance(mine, np.ndarray) and mine.dtype.kind == "f":
            np.testing.assert_allclose(its, mine, atol=atol, rtol=1e-3, err_msg=name)
        elif isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(its, mine, err_msg=name)


def test_the_stand_in_is_as_strict_as_a_gpu():
    with standin_device():
        refuses_to_mix()


def refuses_to_mix():
    there = torch.arange(12.0, device=STANDIN).view(3, 4)
    assert not there.is_cpu
    assert (there @ there.T).cpu().tolist() == (
        torch.arange(12.0).view(3, 4) @ torch.arange(12.0).view(3, 4).T
    ).tolist()
    for mixed in (
        lambda: there + torch.ones(4),
        lambda: there @ torch.ones(4, 2),
        lambda: torch.ones(4)[torch.arange(2, device=STANDIN)],
        lambda: torch.stack([there, torch.ones(3, 4)]),
        lambda: torch.randn(3, device=STANDIN, generator=torch.Generator()),
        lambda: there.numpy(),
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"one device|generator of|numpy"):
            mixed()


@pytest.mark.parametrize("many", [1, 12])
def test_a_scan(affine, people, many, place):
    joints = np.arange(2, 13)
    unit = people.xy[:many, joints].astype(np.float32)
    allowed = np.arange(0, 120, 3)

    def found(device, rows=None):
        gallery = PreparedGallery.prepare(torch.from_numpy(affine.canonical[:, :13].copy()), device=device)
        assert gallery.tiles.device.type == device
        chosen = None if rows is None else to_tensor(rows, device)
        return [
            part.cpu().numpy() for part in scan(gallery, to_tensor(joints, device), to_tensor(unit, device), 9, chosen)
        ]

    for rows in (None, allowed):
        for here, there in zip(found("cpu", rows), found(place.name, rows), strict=True):
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
def test_candidates_by_affine_camera(affine, people, find, place, monkeypatch):
    monkeypatch.setattr(affine_candidates, "SPREAD", 50)
    some = people[np.arange(1, 6)]  # each misses a joint at least
    here, there = find(affine, some, 7), find(elsewhere(affine, place), some, 7)
    for mine, its in zip(*((pair if isinstance(pair, tuple) else (pair,)) for pair in (here, there)), strict=True):
        np.testing.assert_allclose(its, mine, atol=1e-6)
    assert place.worked()


def test_candidates_by_completions(affine, people, place):
    some = people[np.array([3])]
    same(completed_candidates(affine, some, 8), completed_candidates(elsewhere(affine, place), some, 8))


@pytest.mark.parametrize("exact", [True, False], ids=["every row", "lists"])
def test_candidates_by_hypotheses(affine, people, exact, place, monkeypatch):
    if not exact:
        monkeypatch.setattr(by_hypotheses, "EXACT", 20)
        monkeypatch.setattr(by_hypotheses, "_COMPARED", 30)
    proposed = Lifter.from_pretrained("default").sample(people[:2], 12, torch.Generator().manual_seed(0))
    same(near_hypotheses(affine, proposed, 6), near_hypotheses(elsewhere(affine, place), proposed, 6))
    assert place.worked()


@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, 17)], ids=["alike", "weighed"])
def test_distances_from_a_pose(affine, weight, place):
    pose = affine.poses(np.array([5]))[0]
    here = pose_distances(affine, pose, None, weight)
    np.testing.assert_allclose(pose_distances(elsewhere(affine, place), pose, None, weight), here, atol=1e-5)
    assert place.worked()


@pytest.mark.parametrize("known", ["nothing", "proportions", "focal length", "convention"])
def test_cameras_likelihoods_and_features(affine, people, known, place):
    some, proportions = people[:3], None
    if known == "proportions":
        proportions = BodyProportions(mean=np.full((3, len(BONE_GROUPS)), 0.02), spread=np.full((3, 9), 0.05))
    if known == "focal length":
        some = in_perspective_crops(some, [Lens(900.0, 900.0, 600.0, 400.0)] * 3)
    if known == "convention":
        some = Keypoints.of(some.xy, some.mask, convention="coco")
    rows = np.tile(np.arange(40), (3, 1))
    poses, prior = affine.poses(rows), CameraPrior(further_steps=2)
    fits = [fit_cameras(poses, some, prior, proportions=proportions, device=device) for device in ("cpu", place.name)]
    same(*fits, atol=5e-3)
    same(*(marginal_likelihood(fits[0], some, prior, device=device) for device in ("cpu", place.name)), atol=1e-3)
    search, other = Search(affine), Search(elsewhere(affine, place))
    fitted = [one.gathered(rows, fits[0], some) for one in (search, other)]
    same(fitted[0].embedding, fitted[1].embedding)
    same(*(compute_features(fitted[0], some, prior, device=device) for device in ("cpu", place.name)), atol=1e-3)
    assert place.worked()


@pytest.mark.parametrize("mode", ["full", "affine", "point", "hypotheses"])
def test_a_query(affine, learned, people, mode, place):
    index = learned if mode == "point" else affine
    few = people[np.array([0, 2, 5])]
    settings = {"mode": mode, "samples": 8, "candidates": 30}
    here, there = query(index, few, 5, **settings), query(elsewhere(index, place), few, 5, **settings)
    place.check_rows(here.rows, there.rows)
    np.testing.assert_allclose(there.distance, here.distance, atol=1e-3)
    if here.probability is not None:
        np.testing.assert_allclose(there.probability, here.probability, atol=5e-3)
    assert place.worked()


STAGES = {
    session: ("fit_cameras", "compute_features", "marginal_likelihood", "embedding_distances", "_shipped_lifter"),
    archive_lifter: ("fit_cameras", "marginal_likelihood"),
}


@pytest.fixture
def given(monkeypatch):
    """The devices that each stage is given, by its name."""
    devices = {}

    def spied(stage, function):
        where = inspect.signature(function)

        def spy(*arguments, **named):
            bound = where.bind(*arguments, **named)
            bound.apply_defaults()
            devices.setdefault(stage, set()).add(bound.arguments["device"])
            return function(*arguments, **named)

        return spy

    for module, names in STAGES.items():
        for name in names:
            stage = f"{module.__name__.rpartition('.')[2]}.{name}"
            monkeypatch.setattr(module, name, spied(stage, getattr(module, name)))
    return devices


def test_every_stage_is_given_the_index_s_device(affine, learned, people, given, place):
    index, some = elsewhere(affine, place), people[np.array([0, 3])]
    query(index, some, 3, candidates=20)
    query(index, some, 3, mode="hypotheses", samples=4)
    ArchiveLifter(index).predict(some)
    search = Search(index)
    search.likelihood(search.refined(np.arange(6).reshape(2, 3), some), some)
    assert given == {f"session.{name}": {place.name} for name in STAGES[session]} | {
        f"archive_lifter.{name}": {place.name} for name in STAGES[archive_lifter]
    }
    weights = elsewhere(learned, place).encoder.model.state_dict().values()
    assert {tensor.device.type for tensor in weights} == {place.name}


def test_a_query_of_people_of_whom_few_joints_are_seen(affine, people, place):
    mask = np.zeros((1, 13), dtype=bool)
    mask[:, :5] = True
    few = Keypoints.of(people.xy[:1], mask)
    here, there = query(affine, few, 4), query(elsewhere(affine, place), few, 4)
    place.check_rows(here.rows, there.rows)
    assert place.worked()


def test_the_lifter_of_an_archive(affine, people, place):
    here, there = (
        ArchiveLifter(index).sample(people[:2], 6, torch.Generator().manual_seed(1))
        for index in (affine, elsewhere(affine, place))
    )
    np.testing.assert_allclose(there.poses, here.poses, atol=1e-3)
    assert place.worked()


def test_a_search_takes_the_index_s_device_and_a_lifter_stays_where_it_is(affine, people, place):
    lifter = Lifter.from_pretrained("default")
    search = Search(elsewhere(affine, place), SearchSettings(lifter=lifter, samples=4))
    place.forget()
    assert search.device == search.as_labelled().device == place.name
    search.hypotheses(people[:1])
    assert not place.worked("addmm")
    Search(elsewhere(affine, place), SearchSettings(samples=4)).hypotheses(people[:1])
    assert place.worked("addmm")
