from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.clips import Clip
from vipe.detections import Keypoints
from vipe.embed import AffineSignature
from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.geometry import REFERENCE_TORSO, bone_lengths
from vipe.index import PoseIndex
from vipe.lift import Lifter
from vipe.lift.views import LiftViewConfig, simulate_lift_views
from vipe.retrieve.archive_lifter import ArchiveLifter, ArchiveLifterConfig
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.candidates.candidates import Candidates
from vipe.skeletons import load
from vipe.skeletons.working import BONES, H36M17
from vipe.store import PoseStore

USUAL_DISTANCE = REFERENCE_TORSO / CameraPrior().inverse_depth
MILLIMETRES = 1e-3
SMALL = ArchiveLifterConfig(candidates=8, tilts=(0.05, 0.1))


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def lifter(affine):
    return ArchiveLifter(affine, SMALL)


@pytest.fixture
def people(people):
    """Four of them, without 0, 2, 4 and 6 joints."""
    return people[np.array([0, 2, 4, 6])]


@pytest.fixture(scope="module")
def archive(bent, tmp_path_factory):
    """Two hundred different people, of whom only the poses are kept."""
    return index_of(bent(200, seed=5), tmp_path_factory.mktemp("archive"))


def index_of(poses, folder):
    clip = Clip(name="one", skeleton=H36M17, positions=np.asarray(poses, dtype=np.float32), fps=10.0)
    return PoseIndex.build(PoseStore.create(folder / "store", [clip]), AffineSignature(), folder / "index")


def keypoints_of(condition):
    people = Keypoints.of(condition.xy.numpy().astype(np.float64), condition.seen.numpy())
    return replace(people, covariance=condition.covariance.numpy())


def seen_by_cameras(poses, seed=3, **settings):
    config = LiftViewConfig(missing_share=0.0, usual_share=1.0, unknown_share=0.0, **settings)
    return simulate_lift_views(poses, config.rig_views(torch.device("cpu")), config, seeded(seed))


def distances(poses, others):
    return np.linalg.norm(poses - others, axis=-1).mean(axis=-1)


@pytest.mark.parametrize(("aim", "most"), [(0.0, 0.5 * MILLIMETRES), (0.3, 8 * MILLIMETRES)], ids=["pelvis", "past it"])
def test_a_pose_of_the_archive_comes_back_as_the_camera_sees_it(archive, aim, most):
    # A fit's camera looks at the pelvis from a usual distance: where the view's does not, that costs millimetres.
    body = torch.from_numpy(archive.poses(np.arange(8))) * REFERENCE_TORSO
    views = seen_by_cameras(body, noise=(0.0, 0.0), distance=(USUAL_DISTANCE, USUAL_DISTANCE), aim=aim)
    exact = ArchiveLifter(archive, ArchiveLifterConfig(tilts=(0.0,), flattened=1.0))
    found = exact.predict(keypoints_of(views.condition))
    assert distances(found, views.poses.numpy() * REFERENCE_TORSO).max() < most


def test_samples_lie_around_the_pose_that_is_seen(archive):
    body = torch.from_numpy(archive.poses(np.arange(6))) * REFERENCE_TORSO
    views = seen_by_cameras(body, noise=(0.01, 0.01))
    drawn = ArchiveLifter(archive).sample(keypoints_of(views.condition), 30, seeded()).poses
    assert np.median(distances(drawn, views.poses.numpy()[:, None] * REFERENCE_TORSO)) < 40 * MILLIMETRES
    assert np.median(distances(drawn[:, :1], drawn[:, 1:])) > 5 * MILLIMETRES


def test_mirrored_people_in_a_mirrored_archive_get_mirrored_poses(archive, tmp_path):
    body = torch.from_numpy(archive.canonical.copy()) * REFERENCE_TORSO
    views = seen_by_cameras(body[:6], noise=(0.03, 0.03))
    people, mirrored = keypoints_of(views.condition), keypoints_of(views.mirrored().condition)
    other = index_of(body[:, list(H36M17.mirrored)] * torch.tensor([1.0, -1.0, 1.0]), tmp_path)
    here, there = (ArchiveLifter(one).predict(seen) for one, seen in ((archive, people), (other, mirrored)))
    np.testing.assert_allclose(there, here[:, list(H36M17.mirrored)] * [-1, 1, 1], atol=2 * MILLIMETRES)


def test_a_pose_that_is_three_times_as_frequent_is_drawn_three_times_as_often(bent, tmp_path):
    # From afar a body and the same one turned inside out along the view have one image.
    near = torch.from_numpy(bent(1, seed=9))
    views = seen_by_cameras(near, noise=(0.0, 0.0), distance=(300.0, 300.0), aim=0.0)
    pose = views.poses[0]
    far = pose * torch.tensor([1.0, 1.0, -1.0])
    people = replace(keypoints_of(views.condition), covariance=np.tile(0.03**2 * np.eye(2), (1, 13, 1, 1)))
    from_afar = ArchiveLifterConfig(camera_prior=CameraPrior(inverse_depth=0.0, inverse_depth_spread=1e-3))
    for number, copies in enumerate((1, 3)):
        folder = tmp_path / str(number)
        folder.mkdir()
        lifter = ArchiveLifter(index_of(torch.stack([pose] * copies + [far]), folder), from_afar)
        drawn = lifter.sample(people, 400, seeded()).poses[0]
        first = distances(drawn, pose.numpy() * REFERENCE_TORSO) < distances(drawn, far.numpy() * REFERENCE_TORSO)
        assert first.mean() == pytest.approx(copies / (copies + 1), abs=0.1)


def test_hypotheses_are_bodies_of_reference_size_with_the_pelvis_at_the_origin(lifter, people):
    found = lifter.sample(people, 5, seeded())
    assert found.poses.shape == (4, 5, 17, 3)
    assert found.poses.dtype == np.float32
    np.testing.assert_allclose(found.weight, 1 / 5)
    single = lifter.predict(people)
    assert single.shape == (4, 17, 3)
    for poses in (found.poses, single):
        assert not poses[..., 0, :].any()
        lengths = bone_lengths(torch.from_numpy(poses), H36M17.parents)
        torso = lengths[..., BONES.index("spine")] + lengths[..., BONES.index("thorax")]
        np.testing.assert_allclose(torso, REFERENCE_TORSO, atol=1e-6)
        left, right = (lengths[..., BONES.index(f"{side}_knee")] for side in ("left", "right"))
        assert (left / right - 1).abs().max() < 1e-4  # one thigh is as long as the other
    assert found.canonical().poses.shape == (4, 5, 17, 3)


def test_the_generator_alone_decides(lifter, people):
    before = torch.get_rng_state()
    first, second = (lifter.sample(people, 6, seeded()).poses for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(lifter.predict(people), lifter.predict(people))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.abs(lifter.sample(people, 6, seeded(8)).poses - first).max() > 1e-3


def test_samples_are_no_few_discrete_poses(lifter, people):
    poses = lifter.sample(people[:2], 50, seeded()).poses
    assert len(np.unique(poses[0].reshape(50, -1).round(4), axis=0)) == 50
    assert len(np.unique(poses[1].reshape(50, -1).round(4), axis=0)) == 50


def test_a_person_alone_gets_the_pose_it_gets_among_others(lifter, people, monkeypatch):
    single = lifter.predict(people)
    for row in (0, 3):
        np.testing.assert_allclose(lifter.predict(people[row : row + 1])[0], single[row], atol=1e-4)
    drawn = lifter.sample(people, 4, seeded()).poses
    monkeypatch.setattr("vipe.retrieve.archive_lifter._AT_ONCE", 3)
    np.testing.assert_allclose(lifter.sample(people, 4, seeded()).poses, drawn, atol=1e-4)
    np.testing.assert_allclose(lifter.predict(people), single, atol=1e-4)


def test_place_and_size_in_the_image_change_nothing(archive):
    views = seen_by_cameras(torch.from_numpy(archive.poses(np.arange(4))) * REFERENCE_TORSO, noise=(0.03, 0.03))
    people = keypoints_of(views.condition)
    moved = replace(Keypoints.of(people.xy * 300 + 700, people.mask), covariance=people.covariance * 300**2)
    lifter = ArchiveLifter(archive)
    np.testing.assert_allclose(lifter.predict(moved), lifter.predict(people), atol=2 * MILLIMETRES)


def test_what_is_under_the_mask_changes_nothing_and_the_mask_does(lifter, people):
    covariance = np.tile(25.0 * np.eye(2), (4, 13, 1, 1))
    clean = replace(people, covariance=covariance)
    covariance = covariance.copy()
    covariance[~people.mask] = np.nan
    filled = replace(people, covariance=covariance)
    object.__setattr__(filled, "xy", np.where(people.mask[..., None], people.xy, 1e4).astype(np.float32))
    np.testing.assert_array_equal(lifter.predict(filled), lifter.predict(clean))
    np.testing.assert_array_equal(lifter.sample(filled, 3, seeded()).poses, lifter.sample(clean, 3, seeded()).poses)
    fewer = people.mask.copy()
    fewer[0, 3] = False
    assert np.abs(lifter.predict(replace(people, mask=fewer))[0] - lifter.predict(people)[0]).max() > MILLIMETRES


def test_samples_spread_more_where_keypoints_say_less(archive):
    views = seen_by_cameras(torch.from_numpy(archive.poses(np.arange(4))) * REFERENCE_TORSO, noise=(0.01, 0.01))
    people = keypoints_of(views.condition)
    vague = replace(people, covariance=people.covariance * 100)
    legs = np.ones((4, 13), dtype=bool)
    legs[:, [7, 8, 9, 10]] = False  # forearms and hands unseen
    hidden = replace(people, mask=legs)
    lifter = ArchiveLifter(archive)
    sure, unsure, unseen = (
        lifter.sample(one, 40, seeded()).poses.std(axis=1).mean() for one in (people, vague, hidden)
    )
    assert unsure > 1.2 * sure
    assert unseen > 1.2 * sure


def test_the_single_pose_is_near_the_mean_of_the_samples(archive):
    views = seen_by_cameras(torch.from_numpy(archive.poses(np.arange(4))) * REFERENCE_TORSO, noise=(0.03, 0.03))
    people, lifter = keypoints_of(views.condition), ArchiveLifter(archive)
    found, single = lifter.sample(people, 400, seeded()), lifter.predict(people)
    assert distances(found.mean(), single).max() < 10 * MILLIMETRES


def test_only_rows_that_match_are_lifted_with(affine, people):
    own, other = (ArchiveLifter(affine, SMALL, where={"clip": clip}).predict(people) for clip in ("first", "second"))
    np.testing.assert_array_equal(ArchiveLifter(affine, SMALL, where={"clip": "first"}).predict(people), own)
    assert np.abs(other - own).max() > 0.01
    with pytest.raises(VipeError, match="no row of the index matches `where`"):
        ArchiveLifter(affine, where={"clip": "third"})


def test_among_rows_it_is_the_lifter_of_these_and_of_no_others(affine, people):
    few = np.arange(3, 9)
    whole, part = ArchiveLifter(affine, SMALL), ArchiveLifter(affine, SMALL, where=np.arange(6))
    np.testing.assert_array_equal(whole.rows, np.arange(len(affine)))
    np.testing.assert_array_equal(whole.among(few).rows, few)
    np.testing.assert_array_equal(part.among(few).rows, np.arange(3, 6))
    expected = ArchiveLifter(affine, SMALL, where=few).predict(people)
    np.testing.assert_array_equal(whole.among(few).predict(people), expected)
    with pytest.raises(VipeError, match="needs one"):
        part.among(np.arange(6, 9))


def test_keypoints_of_a_skeleton_that_converts_are_lifted(lifter, people):
    coco17 = load("coco17")
    places = [coco17.index(joint) for joint in people.skeleton.joints]
    xy, mask = np.zeros((4, 17, 2)), np.zeros((4, 17), dtype=bool)
    xy[:, places], mask[:, places] = people.xy, people.mask
    wide = Keypoints(
        xy=xy.astype(np.float32),
        mask=mask,
        confidence=mask.astype(np.float32),
        image_id=people.image_id,
        person=people.person,
        skeleton=coco17,
    )
    np.testing.assert_array_equal(lifter.predict(wide), lifter.predict(people))


def test_nobody_gives_nothing(lifter, people):
    nobody = people[:0]
    assert lifter.sample(nobody, 4, seeded()).poses.shape == (0, 4, 17, 3)
    assert lifter.predict(nobody).shape == (0, 17, 3)


def test_an_archive_under_a_learned_embedding_adds_its_candidates(affine, learned, people):
    one, other = (ArchiveLifter(index, SMALL) for index in (affine, learned))
    assert np.isfinite(other.sample(people, 3, seeded()).poses).all()
    assert np.abs(other.predict(people) - one.predict(people)).max() > MILLIMETRES


def test_empty_places_among_candidates_have_no_weight(lifter, people, monkeypatch):
    poses = []
    for rows in ([0, 40], [0, 40, -1, -1, -1]):
        found = Candidates(np.tile(rows, (4, 1)), np.zeros((4, len(rows)), dtype=np.float32))
        monkeypatch.setattr("vipe.retrieve.archive_lifter.candidates_for", lambda *_, found=found: found)
        poses.append(lifter.predict(people))
    np.testing.assert_allclose(poses[1], poses[0], atol=1e-5)


def test_an_archive_smaller_than_its_candidates_lifts_too(people, bent, tmp_path):
    tiny = ArchiveLifter(index_of(bent(3, seed=2), tmp_path))
    assert np.isfinite(tiny.sample(people, 3, seeded()).poses).all()
    assert np.isfinite(tiny.predict(people)).all()


def test_what_cannot_be_lifted_is_refused_in_one_line(lifter, people):
    few = people.mask.copy()
    few[3] = np.arange(13) < 5
    with pytest.raises(
        ShapeError, match="person 3 cannot be lifted: 5 joints seen, at least 6 are needed; leave it out"
    ):
        lifter.sample(replace(people, mask=few), 4, seeded())
    with pytest.raises(ShapeError, match="person 3 cannot"):
        lifter.predict(replace(people, mask=few))
    xy = people.xy.copy()
    xy[2] = 5
    with pytest.raises(ShapeError, match="person 2 cannot be lifted: all seen joints are at one place"):
        lifter.predict(replace(people, xy=xy))
    with pytest.raises(VipeError, match="n must be at least 1, got 0"):
        lifter.sample(people, 0, seeded())


def test_what_it_has_not_is_refused_in_one_line(lifter, people, tmp_path):
    assert isinstance(lifter, Lifter)
    assert (lifter.kind, lifter.has_density) == ("archive", False)
    with pytest.raises(VipeError, match=r"lifter 'archive' cannot give the density of 4 poses .* no tractable density"):
        lifter.log_prob(people, np.zeros((4, 1, 17, 3), np.float32))
    with pytest.raises(VipeError, match=r"cannot be saved to .*: its weights are the index .*index; keep that folder"):
        lifter.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.refusal
def test_wrong_settings_are_refused(affine):
    for settings, message in (
        ({"candidates": 0}, "candidates must be at least 1, got 0"),
        ({"tilts": ()}, "tilts must be some of"),
        ({"tilts": (0.3,)}, r"got \(0.3,\)"),
        ({"flattened": 0.0}, "flattened must be above 0 and finite, got 0.0"),
    ):
        with pytest.raises(VipeError, match=message):
            ArchiveLifterConfig(**settings)
    with pytest.raises(ArgumentError, match=r"index must be a PoseIndex, got str; see PoseIndex.open"):
        ArchiveLifter("folder")
    with pytest.raises(ArgumentError, match="config must be an ArchiveLifterConfig, got dict"):
        ArchiveLifter(affine, {})
