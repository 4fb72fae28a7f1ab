"""People marked elsewhere: means and spreads are the table's; people built otherwise keep their pose."""

import numpy as np
import pytest
from scipy.stats import norm

from vipe.errors import SkeletonError
from vipe.geometry import canonicalize_array
from vipe.simulate.people import drawn_builds, mark_joints, rebuilt
from vipe.skeletons import load
from vipe.skeletons.joint_conventions import JointConvention, conventions, load_convention
from vipe.skeletons.working import BONES, COCO13, COCO13_IN_H36M17, H36M17, without_side

SEEN = list(COCO13_IN_H36M17)
DRAWS = 6_000


def mean_strength():
    """Of N(0.75, 0.5^2) kept within 0 and 1, by quadrature."""
    values = np.linspace(0, 1, 20_001)
    density = norm(JointConvention.STRENGTH, JointConvention.STRENGTH_SPREAD)
    return np.trapezoid(values * density.pdf(values), values) + density.sf(1)


def moved(pose, convention, n=DRAWS, **more):
    """How far each joint is marked off, torso lengths in the body's own directions: back, right, up."""
    poses = np.repeat(pose[None].astype(np.float64), n, axis=0)
    marked = mark_joints(poses, convention, np.random.default_rng(0), **more)
    unseen = [joint for joint in range(17) if joint not in SEEN]
    np.testing.assert_array_equal(marked[:, unseen], poses[:, unseen])
    body = canonicalize_array(pose[None])
    return ((marked - poses)[:, SEEN] @ body.rotation[0].T) / body.scale[0]


def test_the_archives_convention_changes_and_draws_nothing(bent):
    poses, generator = bent(5, 0), np.random.default_rng(0)
    assert mark_joints(poses, "archive", generator) is poses
    assert generator.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize("name", [name for name in conventions() if name != "archive"])
def test_offsets_and_spreads_are_those_of_the_table(bent, name):
    convention = load_convention(name)
    away = moved(bent(1, 3)[0], name)
    expected = mean_strength() * convention.mean
    deviation = np.sqrt(convention.spread[:, None] ** 2 + (0.36 * convention.mean) ** 2)
    assert (np.abs(away.mean(axis=0) - expected) < 5 * deviation / np.sqrt(DRAWS)).all()
    free = ~convention.mean.any(axis=1)  # of joints without an offset the spread is all there is
    np.testing.assert_allclose(away.std(axis=0)[free], np.repeat(convention.spread[free, None], 3, axis=1), rtol=0.03)
    # Along the offset the strength varies as well: it is one number a person.
    strength = np.random.default_rng(0).normal(0.75, 0.5, DRAWS).clip(0, 1)
    rest = away - strength[:, None, None] * convention.mean
    np.testing.assert_allclose(rest.std(axis=0), np.repeat(convention.spread[:, None], 3, axis=1), rtol=0.03)
    assert np.abs(np.corrcoef(rest.reshape(DRAWS, 39).T) - np.eye(39)).max() < 0.05


def test_further_offsets_go_back_outward_and_up(standing):
    away = moved(standing, "archive", 2, more={"hip": (0.03, 0.1, -0.05)})
    expected = np.zeros((13, 3))
    expected[COCO13.index("right_hip")] = 0.03, 0.1, -0.05
    expected[COCO13.index("left_hip")] = 0.03, -0.1, -0.05
    np.testing.assert_allclose(away, np.stack([expected] * 2), atol=1e-6)
    # In the world: who faces +x has the left at +y, and hips moved outward are farther apart.
    marked = mark_joints(standing[None], "archive", np.random.default_rng(0), more={"hip": (0.0, 0.1, 0.0)})[0]
    before, after = (
        pose[H36M17.index("left_hip"), 1] - pose[H36M17.index("right_hip"), 1] for pose in (standing, marked)
    )
    assert after - before == pytest.approx(2 * 0.1 * canonicalize_array(standing[None]).scale[0], rel=1e-4)
    assert marked.dtype == standing.dtype


def test_place_heading_and_size_of_the_person_do_not_matter(bent):
    pose = bent(1, 3)[0].astype(np.float64)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    here, there = (
        mark_joints(own[None], "coco", np.random.default_rng(0))[0] for own in (pose, 1.7 * pose @ turn.T + [3, 4, 0])
    )
    np.testing.assert_allclose(there, 1.7 * here @ turn.T + [3, 4, 0], atol=1e-5)


def test_a_convention_that_is_none_is_refused(standing):
    with pytest.raises(SkeletonError, match="no convention of joints 'cocoo'"):
        mark_joints(standing[None], "cocoo", np.random.default_rng(0))


def test_who_is_rebuilt_keeps_the_directions_of_all_bones(bent):
    poses, before = bent(20, 0), bent(20, 0)
    lengths = {"knee": 0.85, "nose": 1.2, "hip": 1.25, "thorax": 0.9}
    result = rebuilt(poses, lengths)
    np.testing.assert_array_equal(poses, before)
    np.testing.assert_array_equal(result[:, 0], poses[:, 0])
    for bone, (parent, end) in enumerate(load("h36m17").bones):
        old, new = poses[:, end] - poses[:, parent], result[:, end] - result[:, parent]
        np.testing.assert_allclose(new, lengths.get(without_side(BONES[bone]), 1.0) * old, atol=2e-6)
    np.testing.assert_allclose(canonicalize_array(result).poses, canonicalize_array(poses).poses, atol=1e-5)
    back = rebuilt(result, {joint: 1 / factor for joint, factor in lengths.items()})
    np.testing.assert_allclose(back, poses, atol=2e-6)
    np.testing.assert_allclose(rebuilt(poses, {}), poses, atol=1e-6)


def test_drawn_builds_differ_by_person_and_bone_and_keep_the_pose(standing):
    poses = np.repeat(standing[None].astype(np.float64), 4000, axis=0)
    drawn = drawn_builds(poses, 0.1, np.random.default_rng(0))
    logs = {}
    for parent, end in H36M17.bones:
        before, after = (of[:, end] - of[:, parent] for of in (poses, drawn))
        factor = np.linalg.norm(after, axis=1) / np.linalg.norm(before, axis=1)
        np.testing.assert_allclose(after, factor[:, None] * before, atol=1e-9)
        logs[H36M17.joints[end]] = np.log(factor)
    np.testing.assert_allclose(logs["left_knee"], logs["right_knee"], atol=1e-9)
    groups = {without_side(name): log for name, log in logs.items()}
    table = np.stack(list(groups.values()))
    np.testing.assert_allclose(table.std(axis=1), 0.1, rtol=0.05)
    assert np.abs(table.mean(axis=1)).max() < 0.01
    assert np.abs(np.corrcoef(table) - np.eye(len(table))).max() < 0.08
    np.testing.assert_array_equal(drawn[:, 0], poses[:, 0])


def test_no_spread_of_builds_draws_nothing(bent):
    poses, generator = bent(5, 0), np.random.default_rng(0)
    assert drawn_builds(poses, 0.0, generator) is poses
    assert generator.bit_generator.state == np.random.default_rng(0).bit_generator.state
