import numpy as np
import pytest
import torch

from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed.affine import pose_signature, view_signature
from vipe.embed.towers.network import Towers, TowersConfig
from vipe.errors import VipeError
from vipe.geometry import canonicalize_array, random_rotation
from vipe.networks.mirror import MirrorMLP, ParityBasis, centred_parity, joint_parity
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

BODY, COCO13 = load("h36m17"), load("coco13")
SMALL = TowersConfig(dim=8, width=32, blocks=1, decoder_width=16)


def test_a_mirrored_person_has_an_embedding_with_the_second_half_negated(
    towers, poses, people, rng, mirrored, mirrored_keypoints
):
    sign = np.repeat([1.0, -1.0], 16)
    np.testing.assert_allclose(towers.encode_poses(mirrored(poses)), towers.encode_poses(poses) * sign, atol=1e-5)
    some = Keypoints.of(people.xy, rng.random(people.mask.shape) < 0.8)
    expected = towers.encode_keypoints(some) * sign
    np.testing.assert_allclose(towers.encode_keypoints(mirrored_keypoints(some)), expected, atol=1e-5)


def test_a_mirrored_person_with_mirrored_keypoints_decodes_to_the_mirrored_pose(
    towers, people, mirrored, mirrored_keypoints
):
    lifted = towers.decode(towers.encode_keypoints(people))
    other = towers.decode(towers.encode_keypoints(mirrored_keypoints(people)))
    assert np.abs(lifted - mirrored(lifted)).max() > 1e-2  # it makes a difference
    np.testing.assert_allclose(other, mirrored(lifted), atol=1e-5)


def test_standardizing_keeps_what_is_decoded_and_the_order_of_distances(poses):
    model = Towers.untrained(SMALL, seed=5)
    canonical = torch.from_numpy(canonicalize_array(poses).poses)
    with torch.no_grad():
        before = model.encode_poses(canonical)
        decoded = model.decode(before)
        model.standardize(before)
        after = model.encode_poses(canonical)
        torch.testing.assert_close(model.decode(after), decoded, atol=1e-4, rtol=1e-4)
    assert after[:, :4].mean(0).abs().max() < 1e-4
    assert 0.3 < after.square().mean() < 3
    ratio = torch.pdist(after) / torch.pdist(before)
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=0)


def test_a_basis_splits_into_what_mirroring_keeps_and_what_it_negates(generator):
    for skeleton, flips in ((BODY, (False, True, False)), (COCO13, (True, False))):
        basis = ParityBasis(skeleton, flips)
        x = torch.randn(4, len(skeleton), len(flips), generator=generator)
        image = x[:, list(skeleton.mirrored)] * torch.tensor([-1.0 if flip else 1.0 for flip in flips])
        even, odd = basis.split(x)
        torch.testing.assert_close(basis.split(image), (even, -odd))
        torch.testing.assert_close(basis.join((even, odd)), x.flatten(1))


def test_centred_combinations_are_orthonormal_and_blind_to_a_shift():
    rows = torch.cat(centred_parity(COCO13))
    torch.testing.assert_close(rows @ rows.T, torch.eye(12), atol=1e-6, rtol=0)
    torch.testing.assert_close(rows.sum(1), torch.zeros(12), atol=1e-6, rtol=0)
    assert [len(part) for part in joint_parity(COCO13)] == [7, 6]


def test_the_inner_product_of_the_towers_inputs_is_that_of_affine_signatures(towers, poses, people):
    xy = torch.from_numpy(normalize_keypoints(people)[0])
    canonical = torch.from_numpy(canonicalize_array(poses).poses)
    sides = [
        torch.cat(parts, dim=1) for parts in (towers.model.view_signature(xy), towers.model.pose_signature(canonical))
    ]
    expected = (view_signature(xy) * pose_signature(canonical[:, COCO13_IN_H36M17])).sum(1)
    torch.testing.assert_close((sides[0] * sides[1]).sum(1), 10.0**2 * expected, atol=1e-3, rtol=0)


def test_a_pose_moved_rotated_or_scaled_has_the_same_signature_in_the_pose_tower(towers, poses, generator):
    canonical = torch.from_numpy(canonicalize_array(poses).poses)
    signature = torch.cat(towers.model.pose_signature(canonical), dim=1)
    rotation = random_rotation(len(poses), generator=generator, dtype=torch.float32)
    shift = torch.tensor([0.5, -1.0, 0.3])
    for changed in (canonical + shift, canonical @ rotation.mT, 1.7 * canonical):
        found = torch.cat(towers.model.pose_signature(changed), dim=1)
        torch.testing.assert_close(found, signature, atol=1e-3, rtol=0)  # of entries up to 10


def test_a_network_of_parities_commutes_with_mirroring(generator):
    net = MirrorMLP((5, 3), (2, 4), width=16, blocks=2)
    even, odd = torch.randn(6, 5, generator=generator), torch.randn(6, 3, generator=generator)
    (e, o), (e_image, o_image) = net(even, odd), net(even, -odd)
    torch.testing.assert_close((e_image, o_image), (e, -o))


@pytest.mark.refusal
@pytest.mark.parametrize(("setting", "value"), [("dim", 7), ("width", 0), ("blocks", 0), ("decoder_width", 9)])
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(VipeError, match=f"towers: {setting} must be"):
        TowersConfig(**{setting: value})
