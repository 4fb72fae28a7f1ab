import numpy as np
import pytest
import torch

from vipe.geometry import REFERENCE_LENGTHS, REFERENCE_TORSO, bone_lengths, canonicalize_array
from vipe.geometry.upright import REFERENCE_HEIGHT, stature, upright_pose
from vipe.skeletons.working import H36M17


def test_it_has_the_bones_of_the_reference_body():
    lengths = bone_lengths(torch.from_numpy(upright_pose()), H36M17.parents).numpy()
    np.testing.assert_allclose(lengths, np.array(REFERENCE_LENGTHS) * REFERENCE_TORSO, rtol=1e-6)


def test_it_stands_upright_and_looks_along_minus_y_with_the_left_at_plus_x():
    pose = {joint: upright_pose()[i] for i, joint in enumerate(H36M17.joints)}
    assert pose["head"][2] > pose["thorax"][2] > 0 > pose["left_knee"][2] > pose["left_ankle"][2]
    assert pose["left_wrist"][0] > 0 > pose["right_wrist"][0]
    assert pose["nose"][1] < pose["head"][1] < 0
    canonical = canonicalize_array(upright_pose())
    np.testing.assert_allclose(canonical.rotation, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-6)  # it looks along -x


def test_both_sides_are_mirror_images():
    np.testing.assert_allclose(upright_pose()[list(H36M17.mirrored)], upright_pose() * [-1, 1, 1], atol=1e-7)


def test_its_height_is_that_of_the_table_of_millimetres():
    crown_to_ankle = (454 + 443 + 233 + 257 + 160 + 135) / 1000  # the head's bones by their heights
    assert pytest.approx(crown_to_ankle / (1 - 0.039), rel=1e-4) == REFERENCE_HEIGHT


def test_a_stature_is_that_of_the_upright_body_and_grows_with_its_bones():
    lengths = REFERENCE_TORSO * np.array(REFERENCE_LENGTHS)
    upright = upright_pose()[:, 2]
    assert stature(lengths) == pytest.approx((upright.max() - upright.min()) / (1 - 0.039), rel=1e-6)
    assert stature(np.stack([lengths, 2 * lengths])) == pytest.approx([REFERENCE_HEIGHT, 2 * REFERENCE_HEIGHT])
    one_leg = lengths.copy()
    one_leg[H36M17.joints.index("left_knee") - 1] += 0.1
    assert stature(one_leg) == pytest.approx(REFERENCE_HEIGHT + 0.05 / (1 - 0.039))
