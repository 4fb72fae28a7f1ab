import numpy as np
import pytest
import torch
from lift import worlds

from vipe.errors import VipeError
from vipe.lift.cvae import CVAE, CVAEConfig
from vipe.lift.network import from_free_joints, to_free_joints
from vipe.lift.ordinal import predict_relations
from vipe.lift.training import LifterTrainingConfig, train_lifter
from vipe.skeletons.working import H36M17
from vipe.training.losses import kl_to_standard_normal

SMALL = {"width": 32, "blocks": 1, "latent": 8, "samples": 5}
LIMBS = [3, 6, 13, 16]  # that the two poses of the bimodal world differ in


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


def trained(world, steps=250, batch=64, **settings):
    config = CVAEConfig(relation_share=0.0, **SMALL, **settings)
    return worlds.fit(CVAE.untrained(config, seed=0), world, steps, batch=batch, rate=1e-2)


@pytest.fixture(scope="module")
def plain():
    """Trained on a linear world with a known posterior, by the defaults."""
    return trained(worlds.linear_gaussian)


@pytest.fixture(scope="module")
def views():
    return worlds.linear_gaussian(300, seeded())


def spread(network, views):
    """Standard deviation of coordinates over the samples of a view."""
    poses = network.sample(views.condition, 100, seeded()).poses
    return float(to_free_joints(poses).var(1).mean().sqrt())


def test_samples_and_single_pose_have_the_known_mean(plain, views):
    mean, _ = worlds.posterior(views.condition)
    samples = to_free_joints(plain.sample(views.condition, 200, seeded()).poses)
    assert (samples.mean(1) - mean).square().mean().sqrt() < 0.04  # the poses' own spread is 0.22
    assert (to_free_joints(plain.predict(views.condition)) - mean).square().mean().sqrt() < 0.08


def test_samples_spread_where_the_keypoints_do_not_tell_and_less_than_they_should(plain, views):
    """Overconfident, as published: the second term of the loss has no use for a spread."""
    _, covariance = worlds.posterior(views.condition)
    samples = plain.sample(views.condition, 100, seeded()).poses[:, :, 1:]
    depth, image = samples[..., 2].var(1).mean().sqrt(), samples[..., :2].var(1).mean().sqrt()
    assert depth > 2 * image
    assert 0.4 < spread(plain, views) / covariance.diagonal().mean().sqrt() < 0.8


def test_the_error_of_the_mean_keeps_samples_apart_and_so_does_recognition(plain, views):
    each = trained(worlds.linear_gaussian, error_of="each")
    gsnn = trained(worlds.linear_gaussian, recognized=0.0)
    assert spread(each, views) < 0.7 * spread(plain, views)
    assert spread(gsnn, views) < 0.6 * spread(plain, views)


def test_two_possible_poses_come_equally_often():
    network = trained(worlds.bimodal, steps=300, batch=128, recognized=1.0)
    condition = worlds.bimodal(50, seeded()).condition
    samples = network.sample(condition, 100, seeded()).poses
    depth = samples[:, :, LIMBS, 2].mean(-1)
    assert (depth > 0).float().mean() == pytest.approx(0.5, abs=0.12)
    off = (samples[:, :, None] - worlds.modes()).norm(dim=-1).mean(-1).amin(-1)
    assert off.median() < 0.18  # the modes are 0.5 apart: the mean of both is 0.24 away
    assert depth.abs().median() > 0.5


def test_the_loss_is_the_hybrid_of_its_three_parts(generator):
    config = CVAEConfig(**SMALL, error_weight=70.0, kl_weight=3.0, recognized=0.25)
    network = CVAE.untrained(config, seed=1).eval()
    views = worlds.linear_gaussian(6, generator)
    losses = network.losses(views, seeded())

    features, truth = views.condition.features(), to_free_joints(views.poses)
    mean, log_variance = network.recognition(torch.cat([features, truth], 1)).chunk(2, 1)
    z = torch.randn(6, 10, 8, generator=seeded())
    z[:, :5] = mean[:, None] + (log_variance / 2).exp()[:, None] * z[:, :5]
    slow = []
    for rows in (range(5), range(5, 10)):
        decoded = [network.output(network.decoder(torch.cat([z[:, s], network.encoder(features)], 1))) for s in rows]
        slow.append((sum(decoded) / 5 - truth).square().mean())
    torch.testing.assert_close(losses["recognized"], slow[0])
    torch.testing.assert_close(losses["prior"], slow[1])
    torch.testing.assert_close(losses["kl"], kl_to_standard_normal(mean, log_variance) / 8)
    torch.testing.assert_close(losses["loss"], 70 * (0.25 * slow[0] + 0.75 * slow[1]) + 3 * losses["kl"])


def test_the_error_of_the_mean_holds_a_share_of_the_spread(generator):
    """Mean over samples of |y - x|^2 = |y - mean|^2 + the samples' variance."""
    one, other = (CVAE(CVAEConfig(error_of=how, **SMALL)) for how in ("mean", "each"))
    decoded, truth = torch.randn(4, 5, 48, generator=generator), torch.randn(4, 48, generator=generator)
    spread = decoded.var(1, unbiased=False).mean()
    torch.testing.assert_close(other._error(decoded, truth), one._error(decoded, truth) + spread)


def test_the_single_pose_is_decoded_from_the_mean_of_the_latents(plain, views, monkeypatch):
    condition = views.condition[:3]
    monkeypatch.setattr(torch, "randn", lambda *shape, **_: torch.zeros(shape))
    torch.testing.assert_close(plain.sample(condition, 2, seeded()).poses[:, 1], plain.predict(condition))


def test_a_sample_depends_on_its_row_and_its_latent_alone(plain, views):
    encoded = plain.encoder(views.condition.features())
    z = torch.randn(300, 4, 8, generator=seeded())
    together = plain._decode(encoded, z)
    torch.testing.assert_close(plain._decode(encoded[5:6], z[5:6, 2:3])[0, 0], together[5, 2], rtol=1e-4, atol=1e-5)


def test_generator_and_relations_are_trained_one_after_the_other_and_saved_together(bent, people, tmp_path):
    poses = bent(20, seed=1)
    config = LifterTrainingConfig(steps=10, batch=8, validation_rows=4, record_every=1, validate_every=10)
    lifter = train_lifter(poses, poses, tmp_path / "model", network=CVAEConfig(**SMALL), config=config)
    history = (tmp_path / "model" / "history.jsonl").read_text().splitlines()
    assert [line.count('"generator"') for line in history] == [1] * 8 + [0] * 2
    assert [line.count('"relations"') for line in history] == [0] * 8 + [1] * 2
    again = type(lifter).from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(predict_relations(again, people), predict_relations(lifter, people))


def test_the_stages_share_no_weights_and_leave_none_out():
    network = CVAE(CVAEConfig(**SMALL))
    first, second = ({id(p) for part in stage.trained for p in part.parameters()} for stage in network.stages())
    assert not first & second
    assert first | second == {id(parameter) for parameter in network.parameters()}
    assert [stage.share for stage in network.stages()] == pytest.approx([0.8, 0.2])
    (only,) = CVAE(CVAEConfig(relation_share=0.0, **SMALL)).stages()
    assert only.share == 1


def test_a_batch_of_latents_is_drawn_from_the_generator_alone(generator):
    network = CVAE.untrained(CVAEConfig(**SMALL), seed=1).eval()
    views = worlds.linear_gaussian(4, generator)
    before = torch.get_rng_state()
    losses = [network.losses(views, seeded(seed))["loss"] for seed in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    assert losses[0] == losses[1] != losses[2]


def test_nothing_stands_at_the_pelvis_but_the_origin(plain, views):
    poses = plain.sample(views.condition, 3, seeded()).poses
    assert not poses[:, :, H36M17.index("pelvis")].any()
    assert torch.equal(from_free_joints(to_free_joints(poses)), poses)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 0}, "latent must be 1 to width - 1"),
        ({"latent": 1024}, "latent must be 1 to width - 1 = 1023, got 1024"),
        ({"samples": 0}, "samples must be 1 to"),
        ({"error_of": "all"}, "error_of must be mean or each, got 'all'"),
        ({"kl_weight": -1.0}, "kl_weight must be at least 0, got -1.0"),
        ({"recognized": 1.5}, "recognized must be 0 to 1"),
        ({"relation_share": 1.0}, "relation_share 0 to below 1"),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.refusal
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(VipeError, match=f"CVAE: .*{message}"):
        CVAEConfig(**settings)
