"""What every encoder promises, whatever its kind; a new kind is added to `encoders` in conftest.py and to the lists."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed import Embedder, Encoder, find_encoder
from vipe.embed.prvipe.network import PrVIPE
from vipe.errors import ArgumentError, ReadError, ShapeError, SkeletonError, VipeError
from vipe.skeletons import Skeleton, load

KINDS = ["affine", "v-vipe", "towers", "pr-vipe"]
OF_POSES = ["affine", "v-vipe", "towers"]
LEARNED = ["v-vipe", "towers", "pr-vipe"]
DECODING = ["v-vipe", "towers"]


@pytest.fixture
def encoder(request, encoders):
    return encoders[request.param]


def every(kinds):
    return pytest.mark.parametrize("encoder", kinds, indirect=True)


@every(KINDS)
def test_it_is_an_encoder_of_float32_rows(encoder, encoders, poses, people):
    assert isinstance(encoder, Encoder)
    assert encoders[encoder.name] is encoder
    assert encoder.metric == ("ip" if encoder.name == "affine" else "l2")
    embeddings = [encoder.encode_keypoints(people)]
    if encoder.name in OF_POSES:
        embeddings += [encoder.encode_poses(poses), encoder.encode_poses(poses.astype(np.float64))]
    for embedding in embeddings:
        assert embedding.shape == (len(poses), encoder.dim)
        assert embedding.dtype == np.float32
        assert embedding.std(axis=0).min() > 1e-3  # it does tell poses apart


@every(KINDS)
@pytest.mark.refusal
def test_what_are_no_keypoints_or_no_array_is_told(encoder, people, poses):
    with pytest.raises(
        ArgumentError, match=r"must be vipe\.Keypoints, got ndarray; wrap an array with vipe\.Keypoints\.of"
    ):
        encoder.encode_keypoints(people.xy)
    if encoder.name in OF_POSES:
        with pytest.raises(ArgumentError, match="poses must be a numpy array, got list"):
            encoder.encode_poses(poses.tolist())


@every(DECODING)
def test_latents_that_are_not_finite_are_refused(encoder):
    z = np.zeros((3, encoder.dim), dtype=np.float32)
    z[1, 2] = np.nan
    with pytest.raises(ShapeError, match="latents: row 1 is not finite"):
        encoder.decode(z)


@every(OF_POSES)
def test_a_pose_turned_moved_and_scaled_has_the_same_embedding(encoder, poses, turned):
    np.testing.assert_allclose(encoder.encode_poses(turned), encoder.encode_poses(poses), atol=1e-4)


@every(KINDS)
def test_keypoints_moved_and_scaled_in_the_image_have_the_same_embedding(encoder, people):
    moved = Keypoints.of(people.xy * 0.37 + [[[220.0, -40.0]]])
    np.testing.assert_allclose(encoder.encode_keypoints(moved), encoder.encode_keypoints(people), atol=1e-4)


@every(KINDS)
def test_a_row_alone_has_the_embedding_it_has_among_others(encoder, poses, people):
    together = encoder.encode_keypoints(people)
    for row in (0, 17, 59):
        np.testing.assert_allclose(encoder.encode_keypoints(people[row])[0], together[row], atol=1e-5)
        if encoder.name in OF_POSES:
            alone = encoder.encode_poses(poses[row : row + 1])[0]
            np.testing.assert_allclose(alone, encoder.encode_poses(poses)[row], atol=1e-5)


@every(KINDS)
def test_rows_beyond_one_block_are_as_good_as_the_first(encoder, poses, people):
    many = Keypoints.of(np.tile(people.xy, (40, 1, 1)))  # more rows than any encoder's block
    expected = np.tile(encoder.encode_keypoints(people), (40, 1))
    np.testing.assert_allclose(encoder.encode_keypoints(many), expected, atol=1e-5)
    if encoder.name in OF_POSES:
        expected = np.tile(encoder.encode_poses(poses), (40, 1))
        np.testing.assert_allclose(encoder.encode_poses(np.tile(poses, (40, 1, 1))), expected, atol=1e-5)


@every(KINDS)
def test_empty_in_empty_out(encoder, poses):
    assert encoder.encode_keypoints(Keypoints.of(np.empty((0, 13, 2)))).shape == (0, encoder.dim)
    if encoder.name in OF_POSES:
        assert encoder.encode_poses(poses[:0]).shape == (0, encoder.dim)
    if encoder.name in DECODING:
        assert encoder.decode(np.empty((0, encoder.dim))).shape == (0, 17, 3)


@every(KINDS)
def test_what_was_saved_is_the_same_encoder(encoder, poses, people, tmp_path):
    encoder.save(tmp_path / "model")
    loaded = [type(encoder).from_pretrained(tmp_path / "model")]
    if encoder.name in OF_POSES:
        loaded.append(find_encoder(tmp_path / "model"))
    for again in loaded:
        assert (again.name, again.dim, again.fingerprint) == (encoder.name, encoder.dim, encoder.fingerprint)
        np.testing.assert_array_equal(again.encode_keypoints(people), encoder.encode_keypoints(people))
        if encoder.name in OF_POSES:
            np.testing.assert_array_equal(again.encode_poses(poses), encoder.encode_poses(poses))
        if encoder.name in DECODING:
            z = encoder.encode_poses(poses)
            np.testing.assert_array_equal(again.decode(z), encoder.decode(z))
        if encoder.name in LEARNED:
            assert (again.card.strip(), again.config) == ("# A test", encoder.config)


@every(KINDS)
def test_nobody_draws_from_the_global_generator(encoder, poses, people, tmp_path):
    before = torch.get_rng_state()
    encoder.save(tmp_path / "model")
    again = type(encoder).from_pretrained(tmp_path / "model")
    again.encode_keypoints(people)
    if encoder.name in OF_POSES:
        again.encode_poses(poses)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.refusal
@every(OF_POSES)
@pytest.mark.parametrize("shape", [(17, 3), (4, 51), (4, 13, 3)], ids=str)
def test_poses_of_another_shape_are_refused(encoder, shape):
    with pytest.raises(ShapeError, match=r"poses must be \(N, 17, 3\), got shape .*; one alone is \(1, 17, 3\)"):
        encoder.encode_poses(np.zeros(shape, dtype=np.float32))


@every(DECODING)
def test_a_body_without_a_canonical_form_is_named_by_its_row(encoder, poses):
    many = np.tile(poses, (20, 1, 1))
    many[1113, [1, 4]] = many[1113, 0]  # both hips in the pelvis
    with pytest.raises(ShapeError, match="pose 1113 cannot be embedded"):
        encoder.encode_poses(many)
    poses[3, 5, 2] = np.nan
    with pytest.raises(ShapeError, match=r"pose 3 cannot be embedded.*not finite"):
        encoder.encode_poses(poses)


@every(DECODING)
def test_decoded_poses_have_the_pelvis_at_the_origin(encoder, rng):
    poses = encoder.decode(rng.normal(size=(5, 32)))
    assert (poses.shape, poses.dtype) == ((5, 17, 3), np.float32)
    np.testing.assert_array_equal(poses[:, 0], 0)


@pytest.mark.refusal
@every(DECODING)
def test_latents_of_another_length_are_refused(encoder):
    with pytest.raises(ShapeError, match=r"latents must be \(N, 32\), got shape \(3, 16\)"):
        encoder.decode(np.zeros((3, 16), dtype=np.float32))


@every(DECODING)
def test_rounded_weights_take_half_the_space_and_are_saved_as_they_are(encoder, poses, tmp_path):
    rounded = encoder.rounded()
    encoder.save(tmp_path / "whole")
    rounded.save(tmp_path / "rounded")
    whole, half = ((tmp_path / name / "weights.safetensors").stat().st_size for name in ("whole", "rounded"))
    assert half < 0.6 * whole
    again = Embedder.from_pretrained(tmp_path / "rounded")
    assert again.fingerprint == rounded.fingerprint != encoder.fingerprint
    np.testing.assert_array_equal(again.encode_poses(poses), rounded.encode_poses(poses))
    np.testing.assert_allclose(again.encode_poses(poses), encoder.encode_poses(poses), atol=1e-2)


@every(LEARNED)
def test_where_a_missing_joint_was_written_down_changes_nothing(encoder, people):
    mask, elsewhere = np.ones(people.mask.shape, dtype=bool), people.xy.copy()
    mask[:, 3] = False
    elsewhere[:, 3] += 500
    first, second = (encoder.encode_keypoints(Keypoints.of(xy, mask)) for xy in (people.xy, elsewhere))
    np.testing.assert_array_equal(first, second)


@every(LEARNED)
def test_a_missing_joint_is_not_one_at_the_centroid(encoder, people):
    mask = np.ones(people.mask.shape, dtype=bool)
    mask[:, 3] = False
    xy = torch.from_numpy(normalize_keypoints(Keypoints.of(people.xy, mask))[0])  # zero, the centroid, where not seen
    embed = encoder.model if encoder.name == "pr-vipe" else encoder.model.encode_keypoints
    lacking, central = (np.stack(embed(xy, seen)) for seen in (torch.from_numpy(mask), torch.ones(mask.shape) > 0))
    assert np.abs(lacking - central).max() > 1e-3


@every(LEARNED)
@pytest.mark.parametrize("joints", [0, 1], ids=["no joint", "one joint"])
def test_a_person_with_too_few_joints_or_at_one_point_is_named_by_its_row(encoder, people, joints):
    many, mask = np.tile(people.xy, (20, 1, 1)), np.ones((1200, 13), dtype=bool)
    mask[1005, joints:] = False
    with pytest.raises(ShapeError, match="person 1005 cannot be embedded: seen joints are fewer than two"):
        encoder.encode_keypoints(Keypoints.of(many, mask))
    with pytest.raises(ShapeError, match="person 0 cannot be embedded"):
        encoder.encode_keypoints(Keypoints.of(np.full((1, 13, 2), 7.0)))


@every(LEARNED)
def test_keypoints_of_a_skeleton_that_converts_are_taken_and_others_refused(encoder, people):
    coco17 = load("coco17")
    where = [coco17.index(joint) for joint in load("coco13").joints]
    xy, mask = np.zeros((len(people), 17, 2), dtype=np.float32), np.zeros((len(people), 17), dtype=bool)
    xy[:, where], mask[:, where] = people.xy, True
    wide = Keypoints(
        xy=xy,
        mask=mask,
        confidence=mask.astype(np.float32),
        image_id=people.image_id,
        person=people.person,
        skeleton=coco17,
    )
    np.testing.assert_allclose(encoder.encode_keypoints(wide), encoder.encode_keypoints(people), atol=1e-6)
    unknown = Skeleton(name="unknown", joints=coco17.joints, parents=coco17.parents)
    with pytest.raises(SkeletonError, match="no conversion to coco13"):
        encoder.encode_keypoints(replace(wide, skeleton=unknown))


@every(LEARNED)
def test_the_fingerprint_changes_with_every_tensor_and_with_the_configuration(encoder):
    def fingerprint(config=encoder.config, change=None):
        network = type(encoder.model).untrained(config, seed=0)
        if change:
            tensor = network.state_dict()[change]
            tensor.view(-1)[-1] += 1 if not tensor.is_floating_point() else 1e-6 + tensor.view(-1)[-1].abs() * 1e-6
        return type(encoder)(network).fingerprint

    changed = [fingerprint(change=name) for name in encoder.model.state_dict()]
    settings = {"blocks": 1} if encoder.name == "towers" else {"dropout": 0.2}  # which no tensor tells
    changed.append(fingerprint(replace(encoder.config, **settings)))
    assert len({fingerprint(), *changed}) == 1 + len(changed)
    assert fingerprint() == fingerprint()


@every(LEARNED)
def test_initial_weights_depend_on_the_seed_alone(encoder):
    before = torch.get_rng_state()
    first, second, other = (type(encoder.model).untrained(encoder.config, seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())
    assert any(not torch.equal(first[name], tensor) for name, tensor in other.items())
    assert torch.equal(torch.get_rng_state(), before)


@every(LEARNED)
def test_a_configuration_that_does_not_fit_the_weights_is_refused(encoder, tmp_path):
    encoder.save(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    saved = file.read_text().replace(
        '"settings"', '"unread"'
    )  # of an earlier version: nothing tells that it was altered
    settings = asdict(encoder.config)
    for name, value, message in (
        ("dim", 48, r"weights.safetensors: tensor '\S+' has shape"),
        ("width", 60000, r"weights.safetensors: tensor '\S+' has shape"),
        ("blocks", 3, "weights.safetensors: lacks tensor"),
        ("blocks", 1, "weights.safetensors: has tensor"),
        ("dim", '"wide"', "config.json: config: Expected `int`"),
        ("width", -2, r"config.json: config: \S+: width must be 1 to 65536, got -2"),
    ):
        file.write_text(saved.replace(f'"{name}": {settings[name]}', f'"{name}": {value}', 1))
        with pytest.raises(ReadError, match=message) as refused:
            type(encoder).from_pretrained(tmp_path / "model")
        assert "\n" not in str(refused.value)
    file.write_text(saved.replace('"blocks"', '"depth"', 1))
    with pytest.raises(ReadError, match=r"config.json: unknown setting 'depth'; was it saved by a later version"):
        type(encoder).from_pretrained(tmp_path / "model")


@pytest.mark.parametrize(
    ("load_as", "kind", "message"),
    [
        (Embedder.from_pretrained, "affine", "is a 'affine', expected a 'v-vipe' or 'towers'"),
        (PrVIPE.from_pretrained, "towers", "is a 'towers', expected a 'pr-vipe'"),
        (find_encoder, "pr-vipe", "is a 'pr-vipe'; encoders are affine, towers, v-vipe"),
    ],
)
def test_a_model_of_another_kind_is_refused(encoders, tmp_path, load_as, kind, message):
    encoders[kind].save(tmp_path / "model")
    with pytest.raises(ReadError, match=f"config.json: {message}"):
        load_as(tmp_path / "model")


@pytest.mark.parametrize("load_as", [Embedder.from_pretrained, PrVIPE.from_pretrained], ids=["Embedder", "PrVIPE"])
def test_a_device_that_is_not_there_is_refused(tmp_path, load_as):
    with pytest.raises(VipeError, match="device 'abacus' cannot be used: ") as refused:
        load_as(tmp_path, device="abacus")
    assert "\n" not in str(refused.value)
