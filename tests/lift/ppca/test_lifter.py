from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.errors import ShapeError, VipeError
from vipe.geometry import REFERENCE_TORSO
from vipe.lift import Lifter
from vipe.lift.condition import Condition
from vipe.lift.lifter import of_unit_torso
from vipe.lift.ppca import MixtureOfPPCA
from vipe.lift.ppca.lifter import PPCAConfig, PPCALifter
from vipe.lift.ppca.projection import keypoint_image
from vipe.lift.views import LiftViewConfig, simulate_lift_views, without_covariance
from vipe.skeletons.working import H36M17
from vipe.training.views import normalize


def condition_of(poses):
    """Exact keypoints of weak perspective of poses in camera space, without the pelvis."""
    seen = torch.ones(len(poses), 13, dtype=torch.bool)
    xy = normalize(keypoint_image(poses).view(-1, 13, 2), seen).float()
    return Condition(xy, seen, torch.zeros(len(xy), 13, 2, 2), seen[:, 0])


def whole(poses):
    return of_unit_torso(torch.cat([torch.zeros_like(poses[:, :1]), poses], dim=1)).float()


@pytest.fixture(scope="module")
def exact(prior):
    """A lifter whose prior has hardly any noise: two Gaussians of six dimensions."""
    sharp = MixtureOfPPCA(2, 6, random_state=0)
    for name, value in vars(prior).items():
        setattr(sharp, name, value)
    sharp.noise_variance_ = np.full(2, 1e-8)
    return PPCALifter.fit(sharp, PPCAConfig(angles=24, tilt=(0.3,), roll=(0.0,), misfit=1e-3, scale_spread=0.05))


@pytest.fixture(scope="module")
def views(bent):
    config = LiftViewConfig(noise=(0.05, 0.05), missing_share=0.0, usual_share=1.0, roll=0.0, unknown_share=0.0)
    poses = torch.from_numpy(bent(80, seed=8))
    return simulate_lift_views(poses, config.rig_views(torch.device("cpu")), config, torch.Generator().manual_seed(2))


def test_a_person_of_the_model_comes_back_from_exact_keypoints_however_turned(exact):
    """From every side but those where one more pose of the model has nearly the same image."""
    geometry = exact.model.geometry
    poses = geometry.prior.draw(torch.arange(40) % 2, torch.Generator().manual_seed(4))
    for step in (0, 5):
        truth = poses @ geometry.views.rotations()[0, (torch.arange(40) * 7 + step) % 24].mT
        condition = condition_of(truth)
        error = (exact.model.predict(condition) - whole(truth)).norm(dim=-1).mean(-1)
        assert (error < 0.01).float().mean() > 0.8
        drawn = exact.model.sample(condition, 200, torch.Generator().manual_seed(0)).poses
        best = (drawn - whole(truth)[:, None]).norm(dim=-1).mean(-1).amin(1)
        assert (best < 0.02).float().mean() > 0.8


def test_keypoints_that_the_pose_implies_are_nearer_to_the_truth_than_those_given(ppca, views):
    condition = views.condition
    _, implied = ppca.layer()(condition.xy, condition.seen, condition.covariance)
    given = (condition.xy - views.exact).norm(dim=-1).mean()
    assert (implied - views.exact).norm(dim=-1).mean() < 0.97 * given


def test_the_true_pose_is_where_the_samples_are(ppca, views):
    """Of all coordinates, nine in ten lie between the quantiles that should hold nine in ten."""
    found = ppca.model.sample(views.condition, 100, torch.Generator().manual_seed(0)).poses[:, :, 1:]
    low, high = found.quantile(torch.tensor([0.05, 0.95]), dim=1)
    truth = views.poses[:, 1:]
    inside = ((truth > low) & (truth < high)).float().mean()
    assert 0.82 < inside < 0.96


def test_fewer_keypoints_tell_less(ppca, views):
    errors = []
    for hidden in ([], [3], [3, 4], [3, 4, 11, 12], [0, 3, 4, 5, 6, 10, 11, 12]):
        seen = torch.ones(13, dtype=torch.bool)
        seen[hidden] = False
        condition = replace(views.condition, seen=seen.expand(len(views.poses), 13))
        errors.append(float((ppca.model.predict(condition) - views.poses).norm(dim=-1).mean()))
    assert errors[0] < errors[2] < errors[3] < errors[4] < 2.5 * errors[0]


def test_a_keypoint_of_no_certainty_counts_as_one_not_seen(ppca, views):
    condition = views.condition[:20]
    seen, covariance = condition.seen.clone(), condition.covariance.clone()
    seen[:, 3] = False
    covariance[:, 3] = 1e6 * torch.eye(2)
    moved = condition.xy.clone()
    moved[:, 3] += 1
    unsure = ppca.model.predict(replace(condition, xy=moved, covariance=covariance))
    # The fitting scale of the mean still counts it, so the two agree but for the spread of sizes.
    assert (unsure - ppca.model.predict(replace(condition, seen=seen))).norm(dim=-1).mean() < 0.05


def test_eighty_angles_lift_as_ten_times_as_many_do(ppca, views):
    condition = without_covariance(views.condition)
    poses = [ppca.adjusted(angles=angles, tilt=(0.2,)).model.predict(condition) for angles in (80, 800)]
    errors = [float((found - views.poses).norm(dim=-1).mean()) for found in poses]
    np.testing.assert_allclose(errors[0], errors[1], rtol=0.02)


def test_a_known_tilt_helps(ppca, bent):
    config = LiftViewConfig(elevation=(0.5, 0.5), noise=(0.02, 0.02), missing_share=0.0, roll=0.0, aim=0.0)
    poses = torch.from_numpy(bent(80, seed=8))
    views = simulate_lift_views(poses, config.rig_views(torch.device("cpu")), config, torch.Generator().manual_seed(2))
    errors = [
        float((ppca.adjusted(tilt=tilt).model.predict(views.condition) - views.poses).norm(dim=-1).mean())
        for tilt in ((0.5,), (-0.3, 0.0, 0.3, 0.5))
    ]
    assert errors[0] < errors[1]


def test_it_is_loaded_by_its_folder_as_what_it_is(ppca, tmp_path):
    ppca.save(tmp_path / "model")
    again = Lifter.from_pretrained(tmp_path / "model")
    assert isinstance(again, PPCALifter)
    assert again.model.config == ppca.model.config
    assert again.model.mean.dtype == torch.float64
    for name, value in ppca.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value)


def test_place_size_and_heading_do_not_change_how_likely_a_pose_is(ppca, bent, rng):
    poses = bent(30, seed=4)
    found = ppca.pose_log_likelihood(poses, world=True)
    angle = 1.1
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    other = ppca.pose_log_likelihood(0.7 * poses @ turn.T + rng.normal(size=3), world=True)
    np.testing.assert_allclose(other, found, atol=1e-3)
    level = ppca.adjusted(tilt=(0.0,))
    camera = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    np.testing.assert_allclose(level.pose_log_likelihood(poses @ camera.T), found, atol=1e-3)


def test_the_likelihood_of_a_pose_is_that_of_the_aligned_pose(ppca, prior, bent):
    poses = bent(30, seed=4)
    found = ppca.pose_log_likelihood(poses[None], world=True)
    assert found.shape == (1, 30)
    unit = poses - poses[:, :1]
    bones = np.stack([unit[:, c] - unit[:, p] for p, c in H36M17.bones], axis=1)
    unit = unit / np.sqrt(np.square(bones).sum((1, 2)))[:, None, None]
    angles = np.linspace(0, 2 * np.pi, 3601)
    best = np.full((30, 2), -np.inf)
    for angle in angles:
        c, s = np.cos(angle), np.sin(angle)
        rows = (unit @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))[:, 1:].reshape(-1, 48)
        best = np.maximum(best, prior._log_joint(rows))
    np.testing.assert_allclose(found[0], np.logaddexp(*best.T), atol=0.01)


def test_broken_poses_are_less_likely_than_any_person(ppca, bent):
    poses = bent(30, seed=4)
    broken = poses.copy()
    broken[:, 13] += [0.8, 0.0, 0.8]  # the left wrist
    assert ppca.pose_log_likelihood(broken, world=True).max() < ppca.pose_log_likelihood(poses, world=True).min()
    assert ppca.pose_log_likelihood(poses[:0]).shape == (0,)


def test_settings_of_lifting_can_be_changed_and_those_of_the_prior_not(ppca):
    other = ppca.adjusted(tilt=(0.2,), angles=7)
    assert other.model.config == replace(ppca.model.config, tilt=(0.2,), angles=7)
    assert other.card == ppca.card
    for name in ("components", "speed"):
        with pytest.raises(VipeError, match=f"cannot adjust '{name}'; settings are angles, misfit"):
            ppca.adjusted(**{name: 1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"components": 0}, "components must be 1 or more"),
        ({"dimensions": 48}, "dimensions 0 to 47"),
        ({"angles": 2}, "angles 3 or more"),
        ({"tilt": ()}, "tilt must be one or more angles"),
        ({"roll": (2.0,)}, "roll must be one or more angles"),
        ({"misfit": 0.0}, "misfit must be at least 0.001"),
        ({"scale_spread": float("nan")}, "scale_spread must be at least"),
        ({"angles": 10_000}, "at most 65536, got 1750000; a tilt that is known needs one number"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(VipeError, match=message):
        PPCAConfig(**settings)


@pytest.mark.refusal
def test_other_priors_are_refused(ppca, rng):
    with pytest.raises(VipeError, match="not fitted"):
        PPCALifter.fit(MixtureOfPPCA())
    with pytest.raises(ShapeError, match="48 numbers a row, got a mixture of 6"):
        PPCALifter.fit(MixtureOfPPCA(1, 2).fit(rng.normal(size=(50, 6))))
    with pytest.raises(ShapeError, match=r"must end in \(17, 3\)"):
        ppca.pose_log_likelihood(np.zeros((4, 16, 3)))


def test_poses_are_of_the_reference_torso(ppca, people):
    for found in (ppca.predict(people), ppca.sample(people, 3, torch.Generator().manual_seed(0)).poses):
        torso = np.linalg.norm(found[..., 7, :], axis=-1) + np.linalg.norm(found[..., 8, :] - found[..., 7, :], axis=-1)
        np.testing.assert_allclose(torso, REFERENCE_TORSO, atol=1e-6)
