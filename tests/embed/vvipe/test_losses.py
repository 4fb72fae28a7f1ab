import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vipe.embed.vvipe.losses import (
    Triplets,
    Weights,
    keypoint_losses,
    mine,
    pairwise_mpjpe,
    reconstruction,
    reparametrize,
    triplet,
    vae_losses,
)
from vipe.training.losses import kl_to_standard_normal

WEIGHTS = Weights(reconstruction=3.0, kl=0.2, triplet=0.05, gap=0.02, margin=0.7)


def mine_slowly(distance, gap, negative="farther"):
    """The paper's words, one row after the other."""
    rows = []
    for i in range(len(distance)):
        others = sorted((distance[i][j], j) for j in range(len(distance)) if j != i)
        nearest, positive = others[0] if others else (math.inf, None)
        if negative == "farther":
            far = [j for d, j in others[1:] if d >= nearest + gap]
        else:
            far = [j for _, j in others[1:] if distance[positive][j] >= gap]
        rows.append((positive, far[0]) if far else None)
    return rows


@pytest.mark.parametrize("negative", ["farther", "apart"])
@pytest.mark.parametrize("spread", [0.05, 0.3, 2.0], ids=["all alike", "mixed", "all apart"])
def test_mining_agrees_with_a_loop_over_the_papers_words(spread, negative, generator):
    poses = torch.randn(40, 17, 3, generator=generator) * 0.1
    poses += spread * torch.randn(40, 1, 1, generator=generator)
    distance = pairwise_mpjpe(poses)
    found = mine(distance, gap=0.1, negative=negative)
    for i, expected in enumerate(mine_slowly(distance.tolist(), 0.1, negative)):
        assert bool(found.valid[i]) == (expected is not None)
        if expected is not None:
            assert (int(found.positive[i]), int(found.negative[i])) == expected


def on_a_line(*places):
    place = torch.tensor(places)
    return (place[:, None] - place).abs()


def test_a_negative_is_farther_than_the_positive_or_apart_from_it_as_the_paper_words_it():
    """By hand, for the first row: its positive is at 0.2."""
    # -0.25 is 0.05 farther than the positive and 0.45 from it; 0.27 is 0.07 farther, and 0.07 from it.
    distance = on_a_line(0.0, 0.2, -0.25, 0.27, 0.5)
    farther, apart = (mine(distance, 0.1, rule) for rule in ("farther", "apart"))
    assert farther.positive[0] == apart.positive[0] == 1
    assert (int(farther.negative[0]), int(apart.negative[0])) == (4, 2)
    # At a distance of exactly the gap a row is apart.
    assert mine(on_a_line(0.0, 1.0, 1.5, 9.0), 0.5, "apart").negative[0] == 2
    assert mine(on_a_line(0.0, 1.0, 1.25, 9.0), 0.5, "apart").negative[0] == 3
    # Nobody is apart from the positive: the row is not valid.
    assert not mine(on_a_line(0.0, 0.2, 0.22, 0.25), 0.5, "apart").valid[0]


def test_between_two_views_of_a_pose_the_rules_for_negatives_agree(generator):
    poses = torch.randn(20, 17, 3, generator=generator).repeat(2, 1, 1) * 0.1
    farther, apart = (mine(pairwise_mpjpe(poses), 0.1, rule) for rule in ("farther", "apart"))
    assert torch.equal(farther.positive, apart.positive)
    assert torch.equal(farther.valid, apart.valid)
    assert farther.valid.any()
    assert torch.equal(farther.negative[farther.valid], apart.negative[apart.valid])


def test_the_same_frame_twice_is_its_own_best_positive(generator):
    poses = torch.randn(6, 17, 3, generator=generator)
    poses[4] = poses[1]
    found = mine(pairwise_mpjpe(poses))
    assert (int(found.positive[1]), int(found.positive[4])) == (4, 1)
    assert found.valid[[1, 4]].all()


@pytest.mark.parametrize("rows", [1, 2], ids=["one row", "two rows"])
def test_a_batch_too_small_for_a_triplet_has_no_loss_and_no_gradient(rows, generator):
    embedding = torch.randn(rows, 8, generator=generator, requires_grad=True)
    found = mine(pairwise_mpjpe(torch.randn(rows, 17, 3, generator=generator)))
    assert not found.valid.any()
    loss = triplet(embedding, found)
    loss.backward()
    assert loss == 0
    assert torch.equal(embedding.grad, torch.zeros_like(embedding))


def test_where_all_poses_are_alike_no_row_has_a_negative(generator):
    poses = torch.randn(1, 17, 3, generator=generator) + 0.001 * torch.randn(12, 17, 3, generator=generator)
    assert not mine(pairwise_mpjpe(poses)).valid.any()


def test_rows_without_a_negative_count_in_no_mean():
    # Rows 0 and 1 are near, 2 is far: its nearest is 1, and nothing is farther by 10.
    distance = torch.tensor([[0.0, 1.0, 12.0], [1.0, 0.0, 11.5], [12.0, 11.5, 0.0]])
    found = mine(distance, gap=10.0)
    assert found.valid.tolist() == [True, True, False]
    embedding = torch.tensor([[0.0], [3.0], [1.0]])
    # Row 0: 3 - 1 + 1; row 1: 3 - 2 + 1.
    assert triplet(embedding, found) == pytest.approx((3 + 2) / 2)


def test_the_triplet_loss_pulls_the_positive_and_pushes_the_negative():
    row, positive, negative = torch.tensor([0, 1, 2]), torch.tensor([1, 0, 0]), torch.tensor([2, 2, 1])
    embedding = torch.tensor([[0.0], [1.0], [-1.0]], requires_grad=True)
    triplet(embedding, Triplets(positive=positive, negative=negative, valid=row == 0)).backward()
    assert embedding.grad[1] > 0  # a step down the gradient moves it towards row 0
    assert embedding.grad[2] > 0  # and this one away


def test_the_triplet_loss_is_zero_beyond_the_margin():
    distance = torch.tensor([[0.0, 1.0, 5.0], [1.0, 0.0, 5.0], [5.0, 5.0, 0.0]])
    embedding = torch.tensor([[0.0], [0.5], [100.0]])
    assert triplet(embedding, mine(distance), margin=1.0) == 0


def test_gradients_are_finite_where_two_embeddings_coincide(generator):
    embedding = torch.zeros(5, 8, requires_grad=True)
    triplet(embedding, mine(pairwise_mpjpe(torch.randn(5, 17, 3, generator=generator)))).backward()
    assert torch.isfinite(embedding.grad).all()


def test_pairwise_mpjpe_is_the_mean_joint_distance(generator):
    poses = torch.randn(9, 17, 3, generator=generator)
    slow = np.linalg.norm(poses.numpy()[:, None] - poses.numpy()[None], axis=-1).mean(-1)
    np.testing.assert_allclose(pairwise_mpjpe(poses).numpy(), slow, rtol=1e-5, atol=1e-6)


def test_reconstruction_is_the_mean_of_squares(generator):
    a, b = torch.randn(2, 5, 17, 3, generator=generator)
    torch.testing.assert_close(reconstruction(a, b), torch.nn.functional.mse_loss(a, b))


def test_a_reparametrized_sample_has_the_mean_and_the_variance_of_the_posterior(generator):
    mean, log_variance = torch.tensor([0.5, -1.0]), torch.tensor([4.0, 0.04]).log()
    noise = torch.randn(200_000, 2, generator=generator)
    z = reparametrize(mean.expand(200_000, 2), log_variance.expand(200_000, 2), noise)
    torch.testing.assert_close(z.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(z.var(0), torch.tensor([4.0, 0.04]), atol=0, rtol=0.02)
    torch.testing.assert_close(reparametrize(mean[None], log_variance[None], noise[:1] * 0), mean[None])


def test_the_loss_of_the_vae_is_the_weighted_sum_of_its_three_losses(generator):
    decoded, target = torch.randn(2, 12, 17, 3, generator=generator)
    mean, log_variance = torch.randn(2, 12, 4, generator=generator)
    losses = vae_losses(decoded, target, mean, log_variance, WEIGHTS)
    assert list(losses) == ["loss", "reconstruction", "kl", "triplet"]
    expected = triplet(mean, mine(pairwise_mpjpe(target), 0.02), 0.7)
    torch.testing.assert_close(losses["triplet"], expected)
    torch.testing.assert_close(losses["kl"], kl_to_standard_normal(mean, log_variance))
    total = 3.0 * (decoded - target).square().mean() + 0.2 * losses["kl"] + 0.05 * expected
    torch.testing.assert_close(losses["loss"], total)
    plain = vae_losses(decoded, target, mean, None, WEIGHTS)
    torch.testing.assert_close(plain["loss"], total - 0.2 * losses["kl"])


@pytest.mark.parametrize("negative", ["farther", "apart"])
def test_the_rule_for_negatives_is_that_of_the_weights(negative, generator):
    target = torch.randn(12, 17, 3, generator=generator) * 0.1
    embedding = torch.randn(12, 4, generator=generator)
    expected = triplet(embedding, mine(pairwise_mpjpe(target), 0.13, negative), 0.7)
    weights = replace(WEIGHTS, gap=0.13, negative=negative)
    torch.testing.assert_close(keypoint_losses(target, target, embedding, weights)["triplet"], expected)
    torch.testing.assert_close(vae_losses(target, target, embedding, None, weights)["triplet"], expected)
    other = mine(pairwise_mpjpe(target), 0.13, "apart" if negative == "farther" else "farther")
    assert expected != triplet(embedding, other, 0.7)


def test_the_loss_of_the_2d_encoder_is_the_weighted_sum_of_reconstruction_and_triplet(generator):
    decoded, target = torch.randn(2, 12, 17, 3, generator=generator)
    embedding = torch.randn(12, 4, generator=generator)
    losses = keypoint_losses(decoded, target, embedding, WEIGHTS)
    expected = triplet(embedding, mine(pairwise_mpjpe(target), 0.02), 0.7)
    torch.testing.assert_close(losses["loss"], 3.0 * (decoded - target).square().mean() + 0.05 * expected)
