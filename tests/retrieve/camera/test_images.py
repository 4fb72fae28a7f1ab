from dataclasses import replace

import numpy as np
import torch

from vipe.detections import Keypoints
from vipe.retrieve.camera.images import flattened, seen_by
from vipe.skeletons.working import COCO13_IN_H36M17

KEYPOINTS = list(COCO13_IN_H36M17)


def test_the_camera_that_took_a_noise_free_view_comes_back(rng):
    poses, inverse_depth = rng.normal(size=(1, 17, 3)), np.array([0.1])
    flat = poses[:, KEYPOINTS, :2] / (1 + 0.1 * poses[:, KEYPOINTS, 2:])
    np.testing.assert_allclose(flattened(torch.from_numpy(poses), torch.from_numpy(inverse_depth)), flat)
    person = Keypoints.of(150 * flat + [640, 360])
    scale, shift = seen_by(torch.from_numpy(poses), torch.from_numpy(inverse_depth), person)
    np.testing.assert_allclose(scale, 150, rtol=1e-5)
    np.testing.assert_allclose(shift, [[640, 360]], rtol=1e-5)


def test_scale_and_shift_are_those_of_least_squares_over_seen_keypoints(rng):
    poses, inverse_depth = torch.from_numpy(rng.normal(size=(3, 17, 3))), torch.tensor([0.0, 0.1, 0.2]).double()
    mask = rng.random((1, 13)) < 0.7
    person = Keypoints.of(rng.normal(500, 100, (1, 13, 2)), mask)
    scale, shift = seen_by(poses, inverse_depth, person)
    for flat, own, aside in zip(flattened(poses, inverse_depth).numpy(), scale, shift, strict=True):
        seen = flat[mask[0]]
        design = np.c_[seen.ravel(), np.tile([1, 0], len(seen)), np.tile([0, 1], len(seen))]
        expected = np.linalg.lstsq(design, person.xy[0, mask[0]].astype(float).ravel(), rcond=None)[0]
        np.testing.assert_allclose([own, *aside], expected)
    moved = replace(person, xy=person.xy * np.float32(2))
    np.testing.assert_allclose(seen_by(poses, inverse_depth, moved)[0], 2 * scale, rtol=1e-5)


def test_joints_at_one_place_have_no_scale_but_a_place():
    person = Keypoints.of(np.full((1, 13, 2), 7.0))
    scale, shift = seen_by(torch.zeros(1, 17, 3).double(), torch.zeros(1).double(), person)
    assert (scale.tolist(), shift.tolist()) == ([0.0], [[7.0, 7.0]])
