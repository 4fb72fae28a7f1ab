from itertools import product

import numpy as np
import pytest
import torch

from vipe.errors import ShapeError, VipeError
from vipe.geometry import axis_angle, bone_lengths, bone_vectors, from_bone_vectors
from vipe.geometry.upright import upright_pose
from vipe.lift.aggregation.track import _likeliest_path, body_lengths, smooth_track
from vipe.lift.hypotheses import Hypotheses
from vipe.skeletons.working import BONES, H36M17

FPS = 30.0
SWINGS = {"right_knee": 0.5, "right_ankle": 0.3, "left_knee": -0.5, "left_ankle": -0.3}
SWINGS |= {"left_elbow": 0.4, "left_wrist": 0.6, "right_elbow": -0.4, "right_wrist": -0.6}
LEAN = 0.4  # radians forward


def walk(frames):
    """A person who walks on the spot towards the camera, camera space."""
    still = upright_pose()[:, [0, 2, 1]] * np.array([1, -1, 1], dtype=np.float32)
    vectors = bone_vectors(torch.from_numpy(still), H36M17.parents).expand(frames, 16, 3).clone()
    for side, x in (("left", 1), ("right", -1)):  # arms down
        for part in ("elbow", "wrist"):
            bone = BONES.index(f"{side}_{part}")
            vectors[:, bone] = vectors[:, bone].norm(dim=-1, keepdim=True) * torch.tensor([0.1 * x, 0.99, 0.0])
    phase = torch.arange(frames) / FPS * 2 * torch.pi
    for bone, most in SWINGS.items():
        angle = most * phase.sin() + 0.2 * (phase + most).cos()
        turn = axis_angle(torch.tensor([1.0, 0.0, 0.0]).expand(frames, 3), angle)
        vectors[:, BONES.index(bone)] = (turn @ vectors[:, BONES.index(bone), :, None])[..., 0]
    trunk = [BONES.index(bone) for bone in ("spine", "thorax", "nose", "head")]
    vectors[:, trunk] = vectors[:, trunk] @ axis_angle(torch.tensor([1.0, 0.0, 0.0]), torch.tensor(LEAN)).mT
    return from_bone_vectors(vectors, H36M17.parents).numpy()


def noisy(poses, count, rng, noise=0.25):
    """Hypotheses of each pose: bones of the same length in directions nearby."""
    vectors = bone_vectors(torch.from_numpy(poses), H36M17.parents).numpy()[:, None]
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    off = vectors + noise * length * rng.normal(size=(len(poses), count, 16, 3))
    off *= length / np.linalg.norm(off, axis=-1, keepdims=True)
    return from_bone_vectors(torch.from_numpy(off), H36M17.parents).numpy().astype(np.float32)


def hypotheses(poses, weight=None):
    weight = np.full(poses.shape[:2], 1 / poses.shape[1]) if weight is None else weight
    return Hypotheses(poses=poses.astype(np.float32), log_weight=np.log(weight).astype(np.float32))


def error(poses, truth):
    return np.linalg.norm(poses - truth, axis=-1).mean(axis=-1)


def jitter(poses):
    """Mean acceleration of the joints, metres a frame squared."""
    return np.linalg.norm(np.diff(poses, 2, axis=0), axis=-1).mean()


@pytest.fixture(scope="module")
def seen():
    """A walk, and 40 hypotheses of each frame."""
    truth = walk(40)
    return truth, noisy(truth, 40, np.random.default_rng(0))


def test_jitter_and_error_fall(seen):
    truth, drawn = seen
    found = smooth_track(hypotheses(drawn), FPS)
    assert jitter(found) < 0.1 * jitter(drawn[:, 0])
    assert jitter(found) < 3 * jitter(truth)
    assert error(found, truth).mean() < 0.35 * error(drawn[:, 0], truth).mean()


def test_the_body_keeps_its_bones_exactly(seen):
    _, drawn = seen
    scaled = drawn * np.random.default_rng(1).uniform(0.9, 1.1, size=(len(drawn), 1, 1, 1))
    found = smooth_track(hypotheses(scaled), FPS)
    lengths = bone_lengths(torch.from_numpy(found), H36M17.parents).numpy()
    np.testing.assert_allclose(lengths, np.broadcast_to(body_lengths(hypotheses(scaled)), lengths.shape), atol=1e-6)
    for side in ("hip", "knee", "elbow", "wrist"):
        assert lengths[0, BONES.index(f"left_{side}")] == pytest.approx(lengths[0, BONES.index(f"right_{side}")])
    assert (found[:, 0] == 0).all()


def test_readings_mirrored_in_depth_are_not_chosen_where_a_few_frames_prefer_them(seen):
    truth, drawn = seen
    wrong = drawn * np.array([1, 1, -1], dtype=np.float32)
    shares = np.full(len(truth), 0.35)
    shares[5::6] = 0.8  # of the wrong reading
    chosen = np.random.default_rng(2).uniform(size=drawn.shape[:2]) < shares[:, None]
    mixed = np.where(chosen[..., None, None], wrong, drawn)
    found = smooth_track(hypotheses(mixed), FPS)
    flipped = truth * [1, 1, -1]
    assert (error(found, truth) < error(found, flipped)).all()
    assert error(found, truth).mean() < 1.6 * error(smooth_track(hypotheses(drawn), FPS), truth).mean()


def test_weights_decide_between_readings():
    truth = walk(6)
    both = np.stack([truth, truth * [1, 1, -1]], axis=1)
    for first in (0.9, 0.1):
        weight = np.tile([first, 1 - first], (6, 1))
        found = smooth_track(hypotheses(both, weight), FPS, smoothing=0.0)
        np.testing.assert_allclose(found, both[:, 0 if first > 0.5 else 1], atol=0.01)


def test_the_path_is_the_best_of_all(rng):
    poses = upright_pose() + 0.3 * rng.normal(size=(4, 3, 17, 3))
    own = hypotheses(poses, rng.dirichlet(np.ones(3), size=4))
    seconds = np.array([0.1, 0.2, 0.1])
    parts = []

    def cost(path):
        """The sum that `smooth_track` states, from the hypotheses moved to the means around them."""
        total = -sum(score[at] for (_, score, _), at in zip(parts, path, strict=True))
        for i in range(1, 4):
            variance = parts[i][2] ** 2 + seconds[i - 1] ** 2
            change = ((parts[i][0][path[i]] - parts[i - 1][0][path[i - 1]]) ** 2).sum()
            total += change / (2 * variance)
        return total

    from vipe.lift.aggregation.track import _shifted

    parts += [_shifted(own.poses[i].astype(np.float64), own.weight[i]) for i in range(4)]
    best = min(product(range(3), repeat=4), key=cost)
    np.testing.assert_allclose(_likeliest_path(own, seconds), [parts[i][0][best[i]] for i in range(4)])


def test_frames_without_a_sighting_lie_between_their_neighbours(seen):
    truth, drawn = seen
    frame = np.array([3, 4, 5, 6, 9, 10, 11, 14])
    found = smooth_track(hypotheses(drawn[frame]), FPS, frame=frame)
    assert len(found) == 12
    assert error(found, truth[3:15]).max() < 0.1


def test_one_hypothesis_without_smoothing_stays_as_it_is():
    truth = walk(9)
    found = smooth_track(hypotheses(truth[:, None]), FPS, smoothing=0.0)
    np.testing.assert_allclose(found, truth, atol=1e-5)


def test_one_frame_is_a_track():
    truth = walk(1)
    np.testing.assert_allclose(smooth_track(hypotheses(truth[:, None]), FPS), truth, atol=1e-5)


def test_a_person_who_stands_still_stands_still(rng):
    still = np.repeat(walk(1), 10, axis=0)
    found = smooth_track(hypotheses(still[:, None].repeat(3, axis=1)), FPS)
    np.testing.assert_allclose(found, still, atol=1e-5)


def test_smoothing_is_in_seconds_whatever_the_rate():
    quick, slow = walk(61)[:, None], walk(61)[::2, None]
    found = smooth_track(hypotheses(quick), FPS, smoothing=0.1)[::2]
    np.testing.assert_allclose(found[5:-5], smooth_track(hypotheses(slow), FPS / 2, smoothing=0.1)[5:-5], atol=0.01)


def test_far_hypotheses_without_weight_change_nothing():
    truth = walk(3)
    both = np.stack([truth, truth + 0.001, truth + 50], axis=1)
    weight = np.tile([0.5, 0.5, 1e-30], (3, 1))
    found = smooth_track(hypotheses(both, weight), FPS, smoothing=0.0)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, truth, atol=1e-3)


def test_the_body_is_the_weighted_median_of_both_sides():
    poses = np.stack([walk(1) * size for size in (0.9, 1.0, 1.3)], axis=1)
    usual = bone_lengths(torch.from_numpy(walk(1)[0]), H36M17.parents).numpy()
    np.testing.assert_allclose(body_lengths(hypotheses(poses)), usual, rtol=1e-5)
    heavy = hypotheses(poses, np.array([[0.1, 0.2, 0.7]]))
    np.testing.assert_allclose(body_lengths(heavy), 1.3 * usual, rtol=1e-5)
    longer = walk(1)
    left = [H36M17.index(name) for name in ("left_knee", "left_ankle")]
    longer[:, left, 1] += np.float32(0.2)  # the left thigh alone: of two lengths the median is the smaller
    np.testing.assert_allclose(body_lengths(hypotheses(longer[:, None])), usual, rtol=1e-5)


@pytest.mark.parametrize("fps", [0.0, -1.0, np.inf, np.nan])
def test_a_rate_that_is_none_is_refused(fps):
    with pytest.raises(VipeError, match="fps above 0"):
        smooth_track(hypotheses(walk(2)[:, None]), fps)


def test_wrong_tracks_are_refused():
    two = hypotheses(walk(2)[:, None])
    with pytest.raises(VipeError, match="smoothing of 0 or more"):
        smooth_track(two, FPS, smoothing=-1.0)
    with pytest.raises(ShapeError, match="2 ascending numbers"):
        smooth_track(two, FPS, frame=np.array([4, 4]))
    with pytest.raises(ShapeError, match="at least one frame"):
        smooth_track(hypotheses(np.zeros((0, 3, 17, 3)), np.zeros((0, 3))), FPS)
    with pytest.raises(ShapeError, match="at least one hypothesis"):
        body_lengths(hypotheses(np.zeros((1, 0, 17, 3)), np.zeros((1, 0))))


@pytest.mark.refusal
def test_frame_numbers_that_are_too_few_are_refused():
    with pytest.raises(ShapeError, match="2 ascending numbers"):
        smooth_track(hypotheses(walk(2)[:, None]), FPS, frame=np.array([4]))
