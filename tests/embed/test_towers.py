import numpy as np
import pytest
import torch

from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed import Embedder, Encoder, find_encoder
from vipe.embed.affine import COCO13_IN_H36M17, pose_signature, view_signature
from vipe.embed.mirror import MirrorMLP, ParityBasis, centred_parity, joint_parity, split_square
from vipe.embed.towers import Towers, TowersConfig
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.geometry import canonicalize_array
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons import load

BODY, COCO13 = load("h36m17"), load("coco13")
SMALL = TowersConfig(dim=8, width=32, blocks=1, decoder_width=16)


@pytest.fixture(scope="session")
def towers():
    return Embedder(Towers.untrained(TowersConfig(width=64), seed=3), card="# A test")


def seen(poses, rng, noise=0.0):
    return simulate_keypoints(poses, View(name="side", azimuth=0.7, elevation=0.2), noise=noise, generator=rng)


def mirrored(poses):
    """The other side's joints, in a world whose y points the other way."""
    return poses[:, list(BODY.mirrored)] * np.array([1.0, -1.0, 1.0], dtype=np.float32)


def mirrored_keypoints(keypoints):
    swap = list(COCO13.mirrored)
    return Keypoints.of(keypoints.xy[:, swap] * np.array([-1.0, 1.0]), keypoints.mask[:, swap])


def test_it_is_an_encoder(towers):
    assert isinstance(towers, Encoder)
    assert (towers.name, towers.dim, towers.metric) == ("towers", 32, "l2")


def test_a_pose_turned_moved_and_scaled_has_the_same_embedding(towers, poses, turned):
    first, second = towers.encode_poses(poses), towers.encode_poses(turned)
    assert first.std(axis=0).min() > 1e-3  # it does tell poses apart
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_keypoints_moved_and_scaled_in_the_image_have_the_same_embedding(towers, poses, rng):
    keypoints = seen(poses, rng)
    moved = Keypoints.of(keypoints.xy * 0.37 + [[[220.0, -40.0]]])
    np.testing.assert_allclose(towers.encode_keypoints(keypoints), towers.encode_keypoints(moved), atol=1e-4)


def test_a_row_alone_has_the_embedding_it_has_among_others(towers, poses, rng):
    keypoints = seen(poses, rng)
    together, together_2d = towers.encode_poses(poses), towers.encode_keypoints(keypoints)
    for row in (0, 17, 59):
        np.testing.assert_allclose(towers.encode_poses(poses[row : row + 1])[0], together[row], atol=1e-5)
        np.testing.assert_allclose(towers.encode_keypoints(keypoints[row])[0], together_2d[row], atol=1e-5)


def test_a_mirrored_person_has_an_embedding_with_the_second_half_negated(towers, poses, rng):
    sign = np.repeat([1.0, -1.0], 16)
    np.testing.assert_allclose(towers.encode_poses(mirrored(poses)), towers.encode_poses(poses) * sign, atol=1e-5)
    keypoints = seen(poses, rng)
    mask = rng.random(keypoints.mask.shape) < 0.8
    keypoints = Keypoints.of(keypoints.xy, mask)
    np.testing.assert_allclose(
        towers.encode_keypoints(mirrored_keypoints(keypoints)), towers.encode_keypoints(keypoints) * sign, atol=1e-5
    )


def test_a_mirrored_person_with_mirrored_keypoints_decodes_to_the_mirrored_pose(towers, poses, rng):
    keypoints = seen(poses, rng)
    lifted = towers.decode(towers.encode_keypoints(keypoints))
    other = towers.decode(towers.encode_keypoints(mirrored_keypoints(keypoints)))
    np.testing.assert_allclose(other, mirrored(lifted), atol=1e-5)
    np.testing.assert_array_equal(lifted[:, 0], 0)


def test_it_sees_nothing_of_where_a_missing_joint_was_written_down(towers, poses, rng):
    keypoints = seen(poses, rng)
    mask = np.ones((len(poses), 13), dtype=bool)
    mask[:, 3] = False
    elsewhere = keypoints.xy.copy()
    elsewhere[:, 3] += 500
    first, second = (towers.encode_keypoints(Keypoints.of(xy, mask)) for xy in (keypoints.xy, elsewhere))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - towers.encode_keypoints(keypoints)).max() > 1e-3


def test_a_saved_embedding_is_the_same_one(towers, poses, rng, tmp_path):
    towers.save(tmp_path / "model")
    for again in (Embedder.from_pretrained(tmp_path / "model"), find_encoder(tmp_path / "model")):
        assert (again.name, again.fingerprint, again.config) == ("towers", towers.fingerprint, towers.config)
        np.testing.assert_array_equal(again.encode_poses(poses), towers.encode_poses(poses))
        np.testing.assert_array_equal(
            again.encode_keypoints(seen(poses, rng)), towers.encode_keypoints(seen(poses, rng))
        )
        z = towers.encode_poses(poses)
        np.testing.assert_array_equal(again.decode(z), towers.decode(z))


def test_rounded_weights_take_half_the_space_and_are_saved_as_they_are(towers, poses, tmp_path):
    rounded = towers.rounded()
    towers.save(tmp_path / "whole")
    rounded.save(tmp_path / "rounded")
    whole, half = ((tmp_path / name / "weights.safetensors").stat().st_size for name in ("whole", "rounded"))
    assert half < 0.6 * whole
    again = Embedder.from_pretrained(tmp_path / "rounded")
    assert again.fingerprint == rounded.fingerprint != towers.fingerprint
    np.testing.assert_array_equal(again.encode_poses(poses), rounded.encode_poses(poses))
    np.testing.assert_allclose(again.encode_poses(poses), towers.encode_poses(poses), atol=1e-2)


def test_the_fingerprint_changes_with_a_single_weight():
    def fingerprint(change=None, **settings):
        model = Towers.untrained(TowersConfig(width=16, **settings), seed=0)
        if change:
            tensor = model.state_dict()[change]
            tensor.view(-1)[-1] += 1e-6 + tensor.view(-1)[-1].abs() * 1e-6
        return Embedder(model).fingerprint

    changes = ["pose_tower.output.even.weight", "keypoint_tower.input.odd.weight", "decoder.blocks.0.first.even.bias"]
    prints = [fingerprint(), fingerprint(blocks=3), *(fingerprint(change) for change in changes)]
    assert len(set(prints)) == len(prints)
    assert fingerprint() == prints[0]


def test_initial_weights_depend_on_the_seed_alone():
    before = torch.get_rng_state()
    first, second, other = (Towers.untrained(SMALL, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["decoder.input.even.weight"], other["decoder.input.even.weight"])
    assert torch.equal(torch.get_rng_state(), before)


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


def test_the_inner_product_of_the_inputs_is_that_of_affine_signatures(poses, rng):
    xy = torch.from_numpy(normalize_keypoints(seen(poses, rng))[0])
    points = torch.from_numpy(canonicalize_array(poses).poses)[:, COCO13_IN_H36M17]
    basis = torch.linalg.qr(points - points.mean(1, keepdim=True))[0]
    symmetric, antisymmetric = centred_parity(COCO13)
    sides = [
        torch.cat(split_square(columns.mT @ symmetric.T, columns.mT @ antisymmetric.T), dim=1)
        for columns in (xy / xy.norm(dim=(1, 2), keepdim=True), basis)
    ]
    expected = (view_signature(xy) * pose_signature(points)).sum(1)
    torch.testing.assert_close((sides[0] * sides[1]).sum(1), expected, atol=1e-5, rtol=0)


def test_a_network_of_parities_commutes_with_mirroring(generator):
    net = MirrorMLP((5, 3), (2, 4), width=16, blocks=2)
    even, odd = torch.randn(6, 5, generator=generator), torch.randn(6, 3, generator=generator)
    (e, o), (e_image, o_image) = net(even, odd), net(even, -odd)
    torch.testing.assert_close((e_image, o_image), (e, -o))


@pytest.mark.refusal
def test_what_cannot_be_embedded_is_refused_by_row(towers, poses):
    flat = poses.copy()
    flat[7] = 0
    with pytest.raises(ShapeError, match="pose 7 cannot be embedded"):
        towers.encode_poses(flat)
    with pytest.raises(ShapeError, match=r"latents must be \(N, 32\)"):
        towers.decode(np.zeros((2, 8)))


@pytest.mark.refusal
@pytest.mark.parametrize(("setting", "value"), [("dim", 7), ("width", 0), ("blocks", 0), ("decoder_width", 9)])
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(VipeError, match=f"towers: {setting} must be"):
        TowersConfig(**{setting: value})


@pytest.mark.refusal
def test_a_folder_of_other_sizes_is_refused(towers, tmp_path):
    towers.save(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace('"width": 64', '"width": 66'))
    with pytest.raises(ReadError, match="asks for"):
        Embedder.from_pretrained(tmp_path / "model")
