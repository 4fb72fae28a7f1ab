import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from lift.ppca.conftest import same_angle, turn

from vipe.errors import ShapeError, VipeError
from vipe.geometry import bone_lengths
from vipe.lift.ppca import AlignmentConfig, align_poses
from vipe.lift.ppca.prior.alignment import mirrored, normalized
from vipe.lift.ppca.prior.gaussian import dimensions_for
from vipe.skeletons.working import H36M17

PLAIN = AlignmentConfig(components=4, mirror=False)


@pytest.fixture(scope="module")
def alignment(planted):
    return align_poses(planted.recorded, PLAIN)


def test_a_normalized_pose_has_the_pelvis_at_the_origin_and_unit_squared_bones(planted):
    unit = normalized(planted.recorded)
    assert unit.dtype == np.float64
    assert not unit[:, H36M17.index("pelvis")].any()
    np.testing.assert_allclose(bone_lengths(torch.from_numpy(unit), H36M17.parents).square().sum(-1).numpy(), 1)


def test_mirroring_swaps_left_and_right(standing):
    wave = standing[None].copy()
    wave[0, H36M17.index("left_wrist")] = [0.1, 0.5, 1.9]
    image = mirrored(wave)
    np.testing.assert_array_equal(image[0, H36M17.index("right_wrist")], np.float32([0.1, -0.5, 1.9]))
    np.testing.assert_array_equal(mirrored(image), wave)


def test_planted_turns_come_back(planted, alignment):
    same_angle(alignment.angles[0], planted.angles, atol=0.15)
    assert np.abs(alignment.align(planted.recorded) - planted.aligned).mean() < 0.01


def test_the_model_is_that_of_the_aligned_poses(planted, alignment):
    rows = turn(normalized(planted.recorded), -alignment.angles[0]).reshape(-1, 51)
    np.testing.assert_allclose(alignment.mean.reshape(-1), rows.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(alignment.covariance, np.cov(rows.T, bias=True), atol=1e-12)
    np.testing.assert_allclose(-alignment.model.log_prob(rows).mean(), alignment.objective[-1], rtol=1e-6)
    assert len(alignment) == len(rows)
    assert alignment.basis.shape == (4, 17, 3)


def test_the_objective_never_rises(alignment):
    assert (np.diff(alignment.objective) <= 1e-9).all()
    assert alignment.sizes.tolist() == sorted(alignment.sizes)
    assert set(alignment.sizes) == {1, 2, 3, 4}


def test_a_size_has_no_more_passes_than_it_needs(planted):
    once = align_poses(planted.recorded, replace(PLAIN, tolerance=1e9))
    assert once.sizes.tolist() == [1, 2, 3, 4]
    twice = align_poses(planted.recorded, replace(PLAIN, passes=2, tolerance=0.0))
    assert twice.sizes.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_each_angle_is_the_best_under_the_model(planted, alignment):
    """Turning one pose a little more, either way, makes it less likely."""
    aligned = alignment.align(planted.recorded)
    best = alignment.model.log_prob(aligned.reshape(-1, 51))
    for more in (-0.01, 0.01, np.pi):
        assert (alignment.model.log_prob(turn(aligned, np.full(600, more)).reshape(-1, 51)) < best).all()


def test_growing_the_basis_ends_lower_than_starting_with_all_of_it(planted):
    """From turns that say nothing: a large basis takes for movement what is a turn."""
    start = np.random.default_rng(0).uniform(-np.pi, np.pi, (1, 600))
    config = replace(PLAIN, passes=60, tolerance=1e-6)
    grown = align_poses(planted.recorded, config, start=start)
    at_once = align_poses(planted.recorded, replace(config, first=4), start=start)
    assert grown.objective[-1] < at_once.objective[-1] - 0.1


def test_aligned_poses_need_fewer_components(planted, alignment):
    rows = normalized(planted.recorded).reshape(-1, 51)
    unaligned = dimensions_for(np.cov(rows.T, bias=True))
    assert dimensions_for(alignment.covariance) < unaligned


def test_turning_moving_and_scaling_the_poses_changes_nothing(planted, alignment):
    draws = np.random.default_rng(3)
    more = draws.uniform(-np.pi, np.pi, 600)
    other = turn(planted.recorded, more) * draws.uniform(0.5, 2, (600, 1, 1)) + draws.normal(size=(600, 1, 3))
    np.testing.assert_allclose(alignment.align(other), alignment.align(planted.recorded), atol=1e-9)
    same_angle(alignment.headings(other), alignment.headings(planted.recorded) + more, atol=1e-9)


def test_mirror_images_make_a_symmetric_model_that_faces_forward(planted):
    both = align_poses(planted.recorded, replace(PLAIN, mirror=True))
    assert both.angles.shape == (2, 600)
    assert len(both) == 600
    np.testing.assert_allclose(mirrored(both.mean[None])[0], both.mean, atol=1e-3)
    left, right = (both.mean[H36M17.index(name)] for name in ("left_hip", "right_hip"))
    np.testing.assert_allclose((left - right)[0], 0, atol=1e-3)
    assert left[1] > 0 > right[1]
    assert both.mean[H36M17.index("nose"), 0] > 0
    same_angle(both.angles[1], -both.angles[0], atol=0.1)


def test_a_stream_gives_what_an_array_gives(planted, alignment):
    streamed = align_poses(lambda: iter(np.array_split(planted.recorded, 7)), PLAIN)
    np.testing.assert_allclose(streamed.objective, alignment.objective, rtol=1e-9)
    same_angle(streamed.angles, alignment.angles, atol=1e-6)


def test_a_stream_is_held_a_block_at_a_time(planted):
    def stream():
        for seed in range(100):
            yield planted.recorded[np.random.default_rng(seed).integers(600, size=100)]

    config = AlignmentConfig(components=1, passes=1)
    align_poses(lambda: [planted.recorded], config)  # what the first call loads is no growth
    tracemalloc.start()
    found = align_poses(stream, config)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.angles.shape == (2, 10000)
    assert peak < 3e6  # a block with its mirror images is 0.08 MB; all of them are 8 MB


def test_a_former_alignment_can_be_gone_on_with(planted, alignment):
    again = align_poses(planted.recorded, replace(PLAIN, first=4), start=alignment.angles)
    assert again.objective[0] <= alignment.objective[-1] + 1e-9


def test_progress_is_told_after_each_pass(planted):
    seen = []
    found = align_poses(planted.recorded[:50], PLAIN, progress=lambda size, objective: seen.append((size, objective)))
    assert seen == list(zip(found.sizes, found.objective, strict=True))


def test_poses_of_a_model_without_noise_are_fitted(standing):
    poses = turn(np.broadcast_to(standing, (20, 17, 3)), np.linspace(0, 3, 20))
    found = align_poses(poses, PLAIN)
    assert np.isfinite(found.objective).all()
    np.testing.assert_allclose(found.align(poses), np.broadcast_to(found.mean, (20, 17, 3)), atol=1e-6)


def test_settings_that_contradict_each_other_are_refused(planted):
    with pytest.raises(VipeError, match="first=5 and components=4"):
        align_poses(planted.recorded, replace(PLAIN, first=5))
    with pytest.raises(VipeError, match="passes and block"):
        align_poses(planted.recorded, replace(PLAIN, passes=0))


def test_a_pose_that_cannot_be_normalized_is_named(planted):
    for bad in (np.nan, 1.0):  # the second: all joints in one point
        poses = planted.recorded.copy()
        poses[3] = bad
        with pytest.raises(ShapeError, match="row 3"):
            align_poses(poses, PLAIN)


@pytest.mark.refusal
def test_other_shapes_are_refused(planted):
    with pytest.raises(ShapeError, match=r"\(N, 17, 3\), got shape \(600, 51\)"):
        align_poses(planted.recorded.reshape(600, 51), PLAIN)


def test_too_few_poses_are_refused(planted):
    for few in (0, 1):
        with pytest.raises(ShapeError, match=f"two poses .* got {few}"):
            align_poses(planted.recorded[:few], PLAIN)


@pytest.mark.refusal
def test_angles_of_other_poses_are_refused_as_a_start(planted):
    for shape in ((1, 599), (1, 601), (2, 600)):
        with pytest.raises(ShapeError, match=r"start must be angles \(1, 600\)"):
            align_poses(planted.recorded, PLAIN, start=np.zeros(shape))


def test_a_stream_that_does_not_repeat_itself_is_noticed(planted):
    shrinking = iter([600, 600, 600, 599])
    with pytest.raises(VipeError, match="gave 600 poses, and 599 when asked again"):
        align_poses(lambda: [planted.recorded[: next(shrinking)]], PLAIN)
