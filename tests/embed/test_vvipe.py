from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.detections import Keypoints
from vipe.embed import Embedder, Encoder, find_encoder
from vipe.embed.vvipe import VVIPE, VVIPEConfig
from vipe.errors import ReadError, ShapeError, SkeletonError, VipeError
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons import Skeleton, load


def seen(poses, rng, noise=0.0):
    return simulate_keypoints(poses, View(name="side", azimuth=0.7, elevation=0.2), noise=noise, generator=rng)


def test_it_is_an_encoder(embedder):
    assert isinstance(embedder, Encoder)
    assert (embedder.name, embedder.dim, embedder.metric) == ("v-vipe", 32, "l2")


def test_a_pose_turned_moved_and_scaled_has_the_same_embedding(embedder, poses, turned):
    first, second = embedder.encode_poses(poses), embedder.encode_poses(turned)
    assert first.std(axis=0).min() > 1e-3  # it does tell poses apart
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_keypoints_moved_and_scaled_in_the_image_have_the_same_embedding(embedder, poses, rng):
    keypoints = seen(poses, rng)
    moved = Keypoints.of(keypoints.xy * 0.37 + [[[220.0, -40.0]]])
    np.testing.assert_allclose(embedder.encode_keypoints(keypoints), embedder.encode_keypoints(moved), atol=1e-4)


def test_a_row_alone_has_the_embedding_it_has_among_others(embedder, poses, rng):
    keypoints = seen(poses, rng)
    together, together_2d = embedder.encode_poses(poses), embedder.encode_keypoints(keypoints)
    for row in (0, 17, 59):
        np.testing.assert_allclose(embedder.encode_poses(poses[row : row + 1])[0], together[row], atol=1e-5)
        np.testing.assert_allclose(embedder.encode_keypoints(keypoints[row])[0], together_2d[row], atol=1e-5)


def test_rows_beyond_one_block_are_as_good_as_the_first(embedder, poses):
    many = np.tile(poses, (140, 1, 1))  # more than two blocks of 4,096
    np.testing.assert_allclose(embedder.encode_poses(many)[-60:], embedder.encode_poses(poses), atol=1e-5)


def test_results_are_float32_whatever_came_and_empty_for_nothing(embedder, poses):
    assert embedder.encode_poses(poses.astype(np.float64)).dtype == np.float32
    assert embedder.encode_poses(poses[:0]).shape == (0, 32)
    assert embedder.encode_keypoints(Keypoints.of(np.zeros((0, 13, 2)))).shape == (0, 32)
    assert embedder.decode(np.zeros((0, 32))).shape == (0, 17, 3)


def test_decoded_poses_have_the_pelvis_at_the_origin(embedder, rng):
    poses = embedder.decode(rng.normal(size=(5, 32)))
    assert poses.shape == (5, 17, 3)
    assert poses.dtype == np.float32
    np.testing.assert_array_equal(poses[:, 0], 0)


def test_a_missing_joint_is_not_one_at_the_centroid(embedder, poses, rng):
    keypoints = seen(poses, rng)
    mask = np.ones((len(poses), 13), dtype=bool)
    mask[:, 3] = False
    xy = keypoints.xy.copy()
    xy[:, 3] = xy[:, mask[0]].mean(axis=1)
    lacking = embedder.encode_keypoints(Keypoints.of(keypoints.xy, mask))
    assert np.abs(lacking - embedder.encode_keypoints(Keypoints.of(xy))).max() > 1e-3


def test_keypoints_of_a_skeleton_that_converts_are_taken(embedder, poses, rng):
    keypoints = seen(poses, rng)
    coco17, coco13 = load("coco17"), load("coco13")
    xy = np.zeros((len(poses), 17, 2), dtype=np.float32)
    mask = np.zeros((len(poses), 17), dtype=bool)
    for i, joint in enumerate(coco13.joints):
        xy[:, coco17.index(joint)] = keypoints.xy[:, i]
        mask[:, coco17.index(joint)] = True
    wide = Keypoints(
        xy=xy,
        mask=mask,
        confidence=mask.astype(np.float32),
        image_id=keypoints.image_id,
        person=keypoints.person,
        skeleton=coco17,
    )
    np.testing.assert_allclose(embedder.encode_keypoints(wide), embedder.encode_keypoints(keypoints), atol=1e-6)


def test_a_saved_embedding_is_the_same_one(embedder, poses, rng, tmp_path):
    embedder.save(tmp_path / "model")
    for again in (Embedder.from_pretrained(tmp_path / "model"), find_encoder(tmp_path / "model")):
        assert again.fingerprint == embedder.fingerprint
        assert again.card.strip() == "# A test"
        assert again.config == embedder.config
        np.testing.assert_array_equal(again.encode_poses(poses), embedder.encode_poses(poses))
        np.testing.assert_array_equal(
            again.encode_keypoints(seen(poses, rng)), embedder.encode_keypoints(seen(poses, rng))
        )


def test_the_fingerprint_changes_with_a_single_weight():
    def fingerprint(change=None, **settings):
        model = VVIPE.untrained(VVIPEConfig(width=16, **settings), seed=0)
        if change:
            tensor = model.state_dict()[change]
            tensor.view(-1)[-1] += 1e-6 + tensor.view(-1)[-1].abs() * 1e-6
        return Embedder(model).fingerprint

    changes = [
        "pose_encoder.net.output.weight",
        "keypoint_encoder.net.layers.0.bias",
        "pose_decoder.net.layers.1.running_mean",
    ]
    prints = [fingerprint(), fingerprint(dropout=0.2), *(fingerprint(change) for change in changes)]
    assert len(set(prints)) == len(prints)
    assert fingerprint() == prints[0]


def test_initial_weights_depend_on_the_seed_alone():
    before = torch.get_rng_state()
    first, second, other = (VVIPE.untrained(VVIPEConfig(width=16), seed=seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["pose_encoder.net.output.weight"], other["pose_encoder.net.output.weight"])
    assert torch.equal(torch.get_rng_state(), before)


def test_nobody_draws_from_the_global_generator(embedder, poses, rng, tmp_path):
    before = torch.get_rng_state()
    embedder.save(tmp_path / "model")
    again = Embedder.from_pretrained(tmp_path / "model")
    again.decode(again.encode_poses(poses) + again.encode_keypoints(seen(poses, rng)))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_body_without_a_canonical_form_is_named_by_its_row(embedder, poses):
    many = np.tile(poses, (80, 1, 1))
    many[4711, [1, 4]] = many[4711, 0]  # both hips in the pelvis
    with pytest.raises(ShapeError, match="pose 4711 cannot be embedded"):
        embedder.encode_poses(many)
    poses[3, 5, 2] = np.nan
    with pytest.raises(ShapeError, match=r"pose 3 cannot be embedded.*not finite"):
        embedder.encode_poses(poses)


@pytest.mark.parametrize("joints", [0, 1], ids=["no joint", "one joint"])
def test_a_person_with_too_few_joints_is_named_by_its_row(embedder, poses, rng, joints):
    keypoints = seen(poses, rng)
    mask = np.ones((len(poses), 13), dtype=bool)
    mask[5, joints:] = False
    with pytest.raises(ShapeError, match="person 5 cannot be embedded: seen joints are fewer than two"):
        embedder.encode_keypoints(Keypoints.of(keypoints.xy, mask))


@pytest.mark.refusal
@pytest.mark.parametrize("shape", [(17, 3), (4, 51), (4, 13, 3)], ids=str)
def test_poses_of_another_shape_are_refused(embedder, shape):
    with pytest.raises(ShapeError, match=r"poses must be \(N, 17, 3\), got shape"):
        embedder.encode_poses(np.zeros(shape, dtype=np.float32))


@pytest.mark.refusal
def test_latents_of_another_length_are_refused(embedder):
    with pytest.raises(ShapeError, match=r"latents must be \(N, 32\), got shape \(3, 16\)"):
        embedder.decode(np.zeros((3, 16), dtype=np.float32))


def test_keypoints_that_do_not_convert_are_refused(embedder, poses):
    skeleton = load("h36m17")
    mask = np.ones((1, 17), dtype=bool)
    keypoints = Keypoints(
        xy=poses[:1, :, :2],
        mask=mask,
        confidence=mask.astype(np.float32),
        image_id=("0",),
        person=np.zeros(1, dtype=np.int64),
        skeleton=skeleton,
    )
    assert embedder.encode_keypoints(keypoints).shape == (1, 32)  # this one does
    unknown = Skeleton(name="unknown", joints=skeleton.joints, parents=skeleton.parents)
    with pytest.raises(SkeletonError, match="no conversion to coco13"):
        embedder.encode_keypoints(replace(keypoints, skeleton=unknown))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dim must be 1 to"),
        ({"width": -3}, "width must be"),
        ({"blocks": 1000}, "blocks"),
        ({"dropout": 1.0}, "dropout"),
    ],
    ids=lambda value: str(value),
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(VipeError, match=message):
        VVIPEConfig(**settings)


def test_a_model_of_another_kind_is_refused(tmp_path):
    find_encoder("affine").save(tmp_path / "affine")
    with pytest.raises(ReadError, match=r"config.json: is a 'affine', expected a 'v-vipe'"):
        Embedder.from_pretrained(tmp_path / "affine")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"dim": 32', '"dim": 48', r"weights.safetensors: tensor '\S+' has shape"),
        ('"width": 48', '"width": 60000', r"weights.safetensors: tensor '\S+' has shape"),
        ('"blocks": 2', '"blocks": 3', "weights.safetensors: lacks tensor"),
        ('"blocks": 2', '"blocks": 1', "weights.safetensors: has tensor"),
        ('"dim": 32', '"dim": "wide"', "config.json: config: Expected `int`"),
        ('"dim": 32', '"dim": -1', "config.json: config: V-VIPE: dim must be"),
        ('"dim": 32', '"dims": 32', "config.json: unknown setting 'dims'"),
    ],
)
def test_a_configuration_that_does_not_fit_the_weights_is_refused(embedder, tmp_path, old, new, message):
    embedder.save(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ReadError, match=message) as refused:
        Embedder.from_pretrained(tmp_path / "model")
    assert "\n" not in str(refused.value)


def test_a_kind_that_is_no_encoder_is_refused(embedder, tmp_path):
    embedder.save(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    file.write_text(file.read_text().replace('"kind": "v-vipe"', '"kind": "lifter"'))
    with pytest.raises(ReadError, match="is a 'lifter'; encoders are affine, towers, v-vipe"):
        find_encoder(tmp_path / "model")
