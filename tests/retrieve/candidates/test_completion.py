import numpy as np
import pytest
import torch

from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.errors import ShapeError
from vipe.index import PoseIndex
from vipe.retrieve.candidates.completion import complete, completed_candidates
from vipe.retrieve.candidates.scan import PreparedGallery, affine_residual, scan
from vipe.simulate.motion import synthesize
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.store import PoseStore

WITHOUT_AN_ARM = torch.tensor([0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12])


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """An index of 2,000 poses of synthetic motion."""
    clips = synthesize(clips=20, fps=10.0, generator=np.random.default_rng(0))
    folder = tmp_path_factory.mktemp("moving")
    return PoseIndex.build(PoseStore.create(folder / "store", clips), AffineSignature(), folder / "index")


@pytest.fixture(scope="module")
def poses(moving):
    return torch.from_numpy(moving.canonical[:, COCO13_IN_H36M17])


def seen(poses, rng, noise=0.0):
    """Scaled-orthographic views, in pixels, of unit RMS radius times 100."""
    rotation = np.linalg.qr(rng.standard_normal((len(poses), 3, 3)))[0][:, :, :2].astype(np.float32)
    xy = poses @ torch.from_numpy(rotation)
    xy = 100 * xy / (xy - xy.mean(1, keepdim=True)).square().sum(2).mean(1)[:, None, None].sqrt() + 300
    return xy + 100 * noise * torch.from_numpy(rng.standard_normal(xy.shape, dtype=np.float32))


def normalized(xy, joints):
    """All joints in the units of a completion: centred at the seen ones and by their RMS radius."""
    centred = xy - xy[:, joints].mean(1, keepdim=True)
    return centred / centred[:, joints].square().sum((1, 2), keepdim=True).div(len(joints)).sqrt()


def test_one_completion_of_a_view_of_a_known_pose_is_what_was_hidden(poses, rng):
    xy = seen(poses[::50], rng)
    completed = complete(poses, PreparedGallery.prepare(poses), WITHOUT_AN_ARM, xy[:, WITHOUT_AN_ARM], 8)
    error = (completed - normalized(xy, WITHOUT_AN_ARM)[:, None]).norm(dim=-1).amax(2).amin(1)
    assert error.median() < 0.02
    assert (error < 0.15).float().mean() > 0.9


def test_seen_joints_stay_what_they_are_and_completions_differ(poses, rng):
    xy = seen(poses[:40:4], rng, noise=0.03)
    completed = complete(poses, PreparedGallery.prepare(poses), WITHOUT_AN_ARM, xy[:, WITHOUT_AN_ARM], 5)
    expected = normalized(xy, WITHOUT_AN_ARM)[:, None, WITHOUT_AN_ARM].expand(-1, 5, -1, -1)
    torch.testing.assert_close(completed[:, :, WITHOUT_AN_ARM], expected)
    flat = completed.flatten(2)
    apart = torch.cdist(flat, flat) + torch.eye(5)
    assert apart.min() > 1e-3


def test_size_and_place_in_the_image_do_not_matter(poses, rng):
    xy = seen(poses[:40:4], rng, noise=0.03)[:, WITHOUT_AN_ARM]
    ready = PreparedGallery.prepare(poses)
    here, there = (complete(poses, ready, WITHOUT_AN_ARM, view, 4) for view in (xy, 0.25 * xy - 70))
    torch.testing.assert_close(here, there, atol=1e-3, rtol=0)


def test_more_completions_than_poses_are_as_many_as_there_are(poses, rng):
    few = poses[:3]
    completed = complete(few, PreparedGallery.prepare(few), WITHOUT_AN_ARM, seen(few, rng)[:, WITHOUT_AN_ARM], 8)
    assert completed.shape == (3, 3, 13, 2)
    assert torch.isfinite(completed).all()


@pytest.mark.parametrize("hidden", [(), (6,), (4, 6), (9, 10, 11, 12)], ids=["none", "a wrist", "an arm", "the legs"])
def test_the_best_of_a_scan_are_found_and_judged_as_by_a_scan(moving, poses, rng, hidden):
    xy = seen(poses[::100], rng, noise=0.03)
    mask = np.ones(xy.shape[:2], dtype=bool)
    mask[:, list(hidden)] = False
    people = Keypoints.of(xy.numpy(), mask)
    joints = torch.from_numpy(np.flatnonzero(mask[0]))
    rows, residual = completed_candidates(moving, people, 50)
    exact, _ = scan(PreparedGallery.prepare(poses), joints, xy[:, joints], 10)
    assert np.mean([np.isin(*pair).mean() for pair in zip(exact.numpy(), rows, strict=True)]) > 0.9
    assert (np.diff(residual, axis=1) >= 0).all()
    for person, found in enumerate(rows):
        assert len(set(found)) == 50
        direct = affine_residual(poses[found][:, joints], xy[person : person + 1, joints])[0]
        np.testing.assert_allclose(residual[person], direct, atol=1e-5)


def test_only_allowed_rows_come_and_no_more_than_there_are(moving, poses, rng):
    xy = seen(poses[::400], rng)
    mask = np.ones(xy.shape[:2], dtype=bool)
    mask[:, 6] = False
    allowed = np.arange(100, 130)
    rows, _ = completed_candidates(moving, Keypoints.of(xy.numpy(), mask), 50, allowed)
    for found in rows:
        np.testing.assert_array_equal(np.sort(found), allowed)


def test_an_index_gives_the_same_answer_every_time(moving, poses, rng):
    people = Keypoints.of(seen(poses[::400], rng).numpy(), np.tile(np.arange(13) != 6, (len(poses[::400]), 1)))
    first, again = (completed_candidates(PoseIndex.open(moving.path), people, 20) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])


@pytest.mark.refusal
def test_refuses_people_who_show_different_joints(moving, poses, rng):
    mask = ~np.eye(13, dtype=bool)[:2]
    with pytest.raises(ShapeError, match="same joints"):
        completed_candidates(moving, Keypoints.of(seen(poses[:2], rng).numpy(), mask), 5)
