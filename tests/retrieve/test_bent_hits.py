from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import vipe
from vipe.clips import Clip
from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed import AffineSignature
from vipe.errors import ArgumentError, ShapeError, VipeError
from vipe.geometry import REFERENCE_TORSO, bone_lengths, bone_vectors
from vipe.index import PoseIndex
from vipe.lift.aggregation.lifted import to_world
from vipe.retrieve import CameraPrior, query, query_views
from vipe.retrieve.bent_hits import bend_hits
from vipe.retrieve.labels.labelling import SIDES, STRETCHES, as_relabelled
from vipe.skeletons.joint_conventions import load_convention
from vipe.skeletons.working import BONES, COCO13, COCO13_IN_H36M17, H36M17
from vipe.store import PoseStore

KEYPOINTS = list(COCO13_IN_H36M17)
SCALE, INVERSE_DEPTH = 200.0, CameraPrior().inverse_depth
MILLIMETRES = 1e-3
NOISE = CameraPrior().noise
LEGS = [BONES.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def archive(bent, tmp_path_factory):
    """Sixty different people, of whom only the poses are kept."""
    folder = tmp_path_factory.mktemp("archive")
    clip = Clip(name="one", skeleton=H36M17, positions=bent(60, seed=5), fps=10.0, subject="Ann", action="dance")
    return PoseIndex.build(PoseStore.create(folder / "store", [clip]), AffineSignature(), folder / "index")


@pytest.fixture(scope="module")
def turns():
    return Rotation.random(4, random_state=2).as_matrix()


@pytest.fixture(scope="module")
def seen(archive, turns):
    """The archive's first four poses, torso lengths, in the directions of a camera each."""
    return archive.canonical[:4].astype(float) @ turns.swapaxes(1, 2)


def images(poses):
    return SCALE * poses[..., :2] / (1 + INVERSE_DEPTH * poses[..., 2:]) + np.array([640, 360])


@pytest.fixture(scope="module")
def people(seen):
    """Views of them, free of noise."""
    return Keypoints.of(images(seen[:, KEYPOINTS]))


@pytest.fixture(scope="module")
def near(seen):
    """Views of people who do nearly that: every bone turned by some degrees; with some noise."""
    rng = np.random.default_rng(1)
    vectors = bone_vectors(torch.from_numpy(seen), H36M17.parents).numpy()
    turned = Rotation.from_rotvec(rng.normal(0, 0.12, size=(64, 3))).apply(vectors.reshape(64, 3)).reshape(4, 16, 3)
    poses = np.zeros_like(seen)
    for bone, (parent, end) in enumerate(H36M17.bones):
        poses[:, end] = poses[:, parent] + turned[:, bone]
    xy = images(poses[:, KEYPOINTS])
    return Keypoints.of(xy + rng.normal(0, 0.02 * SCALE, size=xy.shape))


@pytest.fixture(scope="module")
def hits(archive, near):
    """Three hits of each."""
    return query(archive, near, 3)


def without(people, *joints):
    mask = people.mask.copy()
    mask[:, [COCO13.index(joint) for joint in joints]] = False
    return replace(people, mask=mask)


def directions(poses):
    vectors = bone_vectors(torch.as_tensor(np.asarray(poses), dtype=torch.float64), H36M17.parents)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def test_a_pose_of_the_archive_seen_without_noise_is_bent_to_itself(archive, people, seen):
    hits = query(archive, people, 3)
    assert hits.rows[:, 0].tolist() == [0, 1, 2, 3]
    bent = bend_hits(archive, people, hits, 0, seeded())
    assert bent.poses.shape == (4, 3, 1, 17, 3)
    assert np.linalg.norm(bent.poses[:, 0, 0] - REFERENCE_TORSO * seen, axis=-1).max() < 4 * MILLIMETRES
    assert np.abs(bent.bones).max() < 5e-3
    np.testing.assert_allclose(bent.scale[:, 0, 0], SCALE / REFERENCE_TORSO, rtol=5e-3)
    np.testing.assert_allclose(bent.inverse_depth[:, 0, 0], INVERSE_DEPTH / REFERENCE_TORSO, rtol=0.02)
    np.testing.assert_allclose(bent.shift[:, 0, 0], [[640, 360]] * 4, atol=1)
    np.testing.assert_allclose(bent.project()[:, 0, 0], images(seen), atol=1)
    assert bent.residual[:, 0].max() < 2e-3


def test_seen_limbs_land_on_the_keypoints_within_their_noise(archive, near, hits):
    assert hits.rows[:, 0].tolist() == [0, 1, 2, 3]
    assert np.median(hits.distance[:, 0]) > 2 * NOISE
    bent = bend_hits(archive, near, hits, 6, seeded(), first=1)
    mean, draws = bent.residual[:, 0, 0], bent.residual[:, 0, 1:]
    assert mean.max() < np.sqrt(2) * NOISE  # of two coordinates
    assert (mean < hits.distance[:, 0]).all() and np.median(mean / hits.distance[:, 0]) < 0.6
    assert np.median(draws) < 1.5 * np.sqrt(2) * NOISE
    off = np.linalg.norm(bent.project()[..., KEYPOINTS, :] - near.xy[:, None, None], axis=-1)
    off = np.sqrt(np.square(off).mean(axis=-1)) / normalize_keypoints(near)[2][:, None, None]
    np.testing.assert_allclose(bent.residual, off, rtol=1e-3)


def test_unseen_limbs_are_those_of_the_archive_and_spread_more(archive, near):
    people = without(near, "left_knee", "left_ankle", "right_knee", "right_ankle")
    hits = query(archive, people, 1)
    bent = bend_hits(archive, people, hits, 30, seeded())
    found = directions(bent.poses[:, 0])
    own = directions(archive.poses(hits.rows[:, 0]))[:, LEGS]
    legs = found[:, 0][:, LEGS]
    np.testing.assert_allclose(legs @ legs.swapaxes(1, 2), own @ own.swapaxes(1, 2), atol=1e-5)
    arms = [BONES.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("elbow", "wrist")]
    spread = found[:, 1:].std(axis=1).mean(axis=(0, 2))
    assert spread[LEGS].mean() > 1.1 * spread[arms].mean()
    # As far as the tilts say: each of the two angles of a direction has that standard deviation.
    angle = np.arccos(np.clip((found[:, 1:][:, :, LEGS] * legs[:, None]).sum(-1), -1, 1))
    assert np.sqrt(np.square(angle).mean() / 2) == pytest.approx(
        np.sqrt(np.square(bent.tilt[:, :, 1:]).mean()), rel=0.5
    )


def test_a_person_has_one_body_of_reference_size_in_every_pose(archive, near, hits):
    bent = bend_hits(archive, near, hits, 3, seeded())
    lengths = bone_lengths(torch.from_numpy(bent.poses), H36M17.parents).numpy()
    assert np.ptp(lengths, axis=(1, 2)).max() < 1e-6
    assert np.ptp(lengths, axis=0).max() > 1e-3
    torso = lengths[..., BONES.index("spine")] + lengths[..., BONES.index("thorax")]
    np.testing.assert_allclose(torso, REFERENCE_TORSO, atol=1e-6)
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
        left, right = (lengths[..., BONES.index(f"{side}_{joint}")] for side in ("left", "right"))
        np.testing.assert_allclose(left / right, 1, atol=1e-4)
    thigh, shin = (lengths[:, 0, 0, BONES.index(f"left_{joint}")] for joint in ("knee", "ankle"))
    own = bone_lengths(torch.from_numpy(archive.canonical[0]), H36M17.parents).numpy()
    ratio = own[BONES.index("left_knee")] / own[BONES.index("left_ankle")] * (1 + bent.bones[:, 1])
    np.testing.assert_allclose(thigh / shin, ratio / (1 + bent.bones[:, 2]), rtol=1e-5)
    assert not bent.poses[..., 0, :].any()


def test_the_generator_alone_decides(archive, near, hits):
    before = torch.get_rng_state()
    first, second, other = (bend_hits(archive, near, hits, 3, seeded(seed), first=1) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.poses, second.poses)
    np.testing.assert_array_equal(first.poses[:, :, 0], other.poses[:, :, 0])
    assert np.abs(first.poses - other.poses)[:, :, 1:].max() > 10 * MILLIMETRES
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(bend_hits(archive, near, hits, 0, seeded(), first=1).poses, first.poses[:, :, :1])


def test_only_the_first_hits_are_bent(archive, near, hits):
    assert bend_hits(archive, near, hits, 1, seeded(), first=2).poses.shape == (4, 2, 2, 17, 3)
    assert bend_hits(archive, near, hits, 0, seeded(), first=9).poses.shape == (4, 3, 1, 17, 3)


@pytest.mark.parametrize("labelling", [SIDES[0], STRETCHES[2]], ids=lambda one: one.name)
def test_keypoints_that_were_read_otherwise_are_bent_to_as_they_were_read(archive, near, hits, labelling):
    undone = replace(labelling, stretch=1 / labelling.stretch)  # an exchange undoes itself
    given = as_relabelled(near, undone)
    read = replace(hits, relabelled=("", *[labelling.name] * 3))
    given = Keypoints.concat([near[:1], given[1:]])
    bent, expected = (bend_hits(archive, *one, 2, seeded(), first=1) for one in ((given, read), (near, hits)))
    np.testing.assert_allclose(bent.poses, expected.poses, atol=2e-4)
    np.testing.assert_allclose(bent.people.xy, near.xy, rtol=1e-5)


@pytest.mark.parametrize("marked", [True, False], ids=["as the convention says", "at the joints"])
def test_marks_of_a_convention_are_bent_to_with_the_joints_of_the_archive(archive, seen, turns, marked):
    offsets = load_convention("coco").offsets @ turns.swapaxes(1, 2) if marked else 0
    people = Keypoints.of(images(seen[:, KEYPOINTS] + offsets), convention="coco")
    hits = query(archive, people, 1)
    assert hits.rows[:, 0].tolist() == [0, 1, 2, 3]
    bent = bend_hits(archive, people, hits, 0, seeded())
    off = np.linalg.norm(bent.poses[:, 0, 0] - REFERENCE_TORSO * seen, axis=-1)
    assert off.mean() < (8 if marked else 4) * MILLIMETRES
    assert (bent.residual < 1e-3).sum() >= 3  # of one of them the marks fit as well as joints of another body
    assert bent.residual.max() < NOISE


def test_other_beliefs_bend_otherwise(archive, near, hits):
    vague, sure = (
        bend_hits(archive, near, hits, 0, seeded(), first=1, camera_prior=CameraPrior(noise=noise))
        for noise in (0.2, 0.01)
    )
    assert (sure.residual < vague.residual).all()


def test_people_without_hits_have_no_poses(archive, near):
    mask = near.mask.copy()
    mask[1, 3:] = False
    some = replace(near, mask=mask)
    bent = bend_hits(archive, some, query(archive, some, 2), 1, seeded())
    assert bent.found.tolist() == [[True] * 2, [False] * 2, [True] * 2, [True] * 2]
    assert np.isnan(bent.poses[1]).all() and np.isnan(bent.bones[1]).all()
    assert np.isfinite(bent.poses[[0, 2, 3]]).all()
    with pytest.raises(VipeError, match="person 1 has no bent hit 0"):
        bent.clip(1, 0)
    nobody = near[:0]
    assert bend_hits(archive, nobody, query(archive, nobody, 2), 1, seeded()).poses.shape[0] == 0


def test_a_bent_hit_is_a_clip_that_says_where_it_is_from(archive, near, hits):
    bent = bend_hits(archive, near, hits, 2, seeded(), first=1)
    clip = bent.clip(2, 0, "mine")
    assert (clip.name, clip.subject, clip.action, clip.source) == ("mine", "Ann", "dance", "one frame 2")
    np.testing.assert_array_equal(clip.positions, to_world(bent.poses[2, 0]))
    assert len(clip) == 3


def test_what_has_no_cameras_is_refused_in_one_line(archive, near):
    with pytest.raises(VipeError, match="hits have no cameras to be bent under: search with mode 'full'"):
        bend_hits(archive, near, query(archive, near, 1, mode="affine"), 1, seeded())
    views = query_views(archive, near, 1, moment=np.zeros(4, dtype=np.int64))
    with pytest.raises(VipeError, match="tracks and of several cameras are not bent"):
        bend_hits(archive, near[:1], views, 1, seeded())


def test_what_does_not_belong_together_is_refused_in_one_line(archive, near, hits):
    with pytest.raises(ShapeError, match="of the 4 people that were searched with, got 3"):
        bend_hits(archive, near[:3], hits, 1, seeded())
    with pytest.raises(VipeError, match=r"hits are of another index than .*: give the one that was searched"):
        bend_hits(archive, near, replace(hits, rows=hits.rows + 100), 1, seeded())
    with pytest.raises(VipeError, match="hits are of another index"):
        bend_hits(archive, near, replace(hits, rows=hits.rows + 1), 1, seeded())
    for settings, message in (({"n": -1}, "n must be at least 0, got -1"), ({"first": 0}, "first must be at least 1")):
        with pytest.raises(VipeError, match=message):
            bend_hits(archive, near, hits, **{"n": 1, "generator": seeded(), **settings})
    with pytest.raises(ShapeError, match="must be on skeleton coco13, got h36m17"):
        bend_hits(archive, replace_skeleton(near), hits, 1, seeded())


def replace_skeleton(people):
    shape = (len(people), 17)
    return Keypoints(
        xy=np.zeros((*shape, 2), np.float32),
        mask=np.ones(shape, bool),
        confidence=np.ones(shape, np.float32),
        image_id=people.image_id,
        person=people.person,
        skeleton=vipe.skeletons.load("h36m17"),
    )


@pytest.mark.refusal
def test_arguments_of_another_kind_are_refused(archive, near, hits):
    with pytest.raises(ArgumentError, match=r"index must be a PoseIndex, got str; see PoseIndex.open"):
        bend_hits("folder", near, hits, 1, seeded())
    with pytest.raises(ArgumentError, match=r"n must be a whole number, got float 1.5"):
        bend_hits(archive, near, hits, 1.5, seeded())
