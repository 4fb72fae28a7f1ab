import numpy as np
import pytest

from vipe.embed.vvipe.network import VVIPEConfig
from vipe.embed.vvipe.training import TrainingConfig, train_vvipe
from vipe.errors import VipeError
from vipe.simulate import View, simulate_keypoints


def test_a_mirrored_person_with_mirrored_keypoints_gives_the_mirrored_pose_as_far_as_it_has_learned(
    bent, rng, mirrored, mirrored_keypoints, tmp_path
):
    """Nothing of these networks is symmetric: what holds for the towers exactly is learned here."""
    poses = bent(10, seed=1, most=1.2)
    config = TrainingConfig(
        pose_steps=120, keypoint_steps=120, batch=64, learning_rate=1e-2, triplet_weight=5e-3, validate_every=120
    )
    network = VVIPEConfig(width=64, dropout=0.0)
    model = train_vvipe(
        np.concatenate([poses, mirrored(poses)]), poses, tmp_path / "model", network=network, config=config
    )
    people = simulate_keypoints(poses, View(name="side", azimuth=0.7, elevation=0.2), noise=0.0, generator=rng)
    for one, other in (
        (model.encode_keypoints(people), model.encode_keypoints(mirrored_keypoints(people))),
        (model.encode_poses(poses), model.encode_poses(mirrored(poses))),
    ):
        decoded, image = model.decode(one), model.decode(other)
        off, unlike = (np.linalg.norm(image - pose, axis=-1).mean() for pose in (mirrored(decoded), decoded))
        assert off < 0.5 * unlike


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
    with pytest.raises(VipeError, match=f"V-VIPE: {message}"):
        VVIPEConfig(**settings)
