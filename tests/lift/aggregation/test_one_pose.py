import numpy as np
import pytest
import torch

from vipe.errors import ArgumentError, ShapeError
from vipe.lift.aggregation.one_pose import densest_pose, jpma, mean_pose, rpea, weak_perspective, weighted_mean
from vipe.skeletons.working import COCO13, COCO13_IN_H36M17, H36M17

SEEN = torch.ones(13, dtype=torch.bool)


@pytest.fixture
def upright(standing):
    """The standing person in camera space, facing the camera: x right in the image, y down."""
    pose = torch.from_numpy(standing).double()
    return (pose - pose[0])[:, [1, 2, 0]] * torch.tensor([1.0, -1.0, -1.0])


@pytest.fixture
def wavering(upright, generator):
    """Four people of twelve hypotheses each, their keypoints, and which are seen (the nose of none)."""
    truth = upright + 0.1 * torch.randn(4, 17, 3, generator=generator).double()
    poses = truth[:, None] + 0.05 * torch.randn(4, 12, 17, 3, generator=generator).double()
    truth[:, 0] = poses[:, :, 0] = 0
    seen = torch.rand(4, 13, generator=generator) < 0.8
    seen[:, 0] = False
    return poses, image(truth), seen


def image(poses):
    return 250 * poses[..., COCO13_IN_H36M17, :2] + torch.tensor([400.0, 300.0])


def moved(pose, joint, *offset):
    other = pose.clone()
    other[..., H36M17.index(joint), :] += torch.tensor(offset, dtype=pose.dtype)
    return other


def test_weighted_mean_by_hand():
    poses = torch.tensor([1.0, 5.0])[:, None, None].expand(2, 17, 3)
    assert torch.equal(mean_pose(poses), torch.full((17, 3), 3.0))
    log_weight = torch.tensor([3.0, 1.0]).log() + 2
    torch.testing.assert_close(weighted_mean(poses, log_weight), torch.full((17, 3), 2.0))
    assert torch.equal(weighted_mean(poses, torch.tensor([-torch.inf, 0])), poses[1])


def test_equal_weights_give_the_mean(wavering):
    poses, _, _ = wavering
    torch.testing.assert_close(weighted_mean(poses, torch.full((4, 12), -7.0).double()), mean_pose(poses))


def test_the_densest_pose_is_one_of_the_hypotheses_and_the_first_of_equals(wavering):
    poses, _, _ = wavering
    density = torch.zeros(4, 12)
    density[0, 5] = density[1, 11] = density[3, 2] = density[3, 7] = 1
    best = densest_pose(poses, density)
    for person, row in enumerate((5, 11, 0, 2)):
        assert torch.equal(best[person], poses[person, row])


def test_weak_perspective_recovers_scale_and_shift(upright):
    fitted, scale = weak_perspective(upright, image(upright), SEEN)
    torch.testing.assert_close(fitted, image(upright))
    assert scale.item() == pytest.approx(250)


def test_weak_perspective_is_the_least_squares_solution(wavering):
    poses, xy, seen = wavering
    fitted, scale = weak_perspective(poses[:, 0], xy, seen)
    for person in range(4):
        flat = poses[person, 0, COCO13_IN_H36M17, :2].numpy()
        rows = np.concatenate(
            [np.c_[flat[:, 0], np.ones(13), np.zeros(13)], np.c_[flat[:, 1], np.zeros(13), np.ones(13)]]
        )
        kept = np.tile(seen[person].numpy(), 2)
        slow = np.linalg.lstsq(rows[kept], xy[person].T.reshape(-1).numpy()[kept])[0]
        assert scale[person].item() == pytest.approx(slow[0])
        np.testing.assert_allclose(fitted[person].T.reshape(-1), rows @ slow)


def test_weak_perspective_never_turns_a_pose_over(upright):
    fitted, scale = weak_perspective(upright, -image(upright), SEEN)
    assert scale.item() == 0
    torch.testing.assert_close(fitted, (-image(upright)).mean(0).expand(13, 2))


def test_one_keypoint_tells_no_scale_and_none_no_place(upright):
    seen = torch.zeros(2, 13, dtype=torch.bool)
    seen[0, 4] = True
    fitted, scale = weak_perspective(upright, image(upright), seen)
    assert scale.tolist() == [0, 0]
    torch.testing.assert_close(fitted[0], image(upright)[4].expand(13, 2))
    assert not fitted[1].any()


def test_jpma_puts_the_right_joints_of_wrong_poses_together(upright):
    poses = torch.stack([moved(upright, "left_wrist", 0.3, 0, 0), moved(upright, "right_ankle", 0, 0.3, 0)])
    torch.testing.assert_close(jpma(poses, image(upright), SEEN), upright)


def test_jpma_takes_joints_without_a_keypoint_from_the_best_pose_on_the_whole(upright):
    head = H36M17.index("head")
    poses = torch.stack([moved(upright, "left_wrist", 0.3, 0, 0), moved(upright, "left_wrist", 0.1, 0, 0)])
    poses[1, head] += 1
    joints = jpma(poses, image(upright), SEEN)
    assert torch.equal(joints[head], poses[1, head])
    seen = SEEN.clone()
    seen[COCO13.index("left_knee")] = False
    poses[0, H36M17.index("left_knee")] += 1  # not seen, so it does not count against the pose
    assert torch.equal(
        jpma(poses, image(upright), seen)[H36M17.index("left_knee")], poses[1, H36M17.index("left_knee")]
    )
    poses[1] = moved(upright, "right_wrist", 0.5, 0, 0)
    assert torch.equal(
        jpma(poses, image(upright), seen)[H36M17.index("left_knee")], poses[0, H36M17.index("left_knee")]
    )


def test_jpma_is_that_of_the_loop_that_defines_it(wavering):
    poses, xy, seen = wavering
    for person, joints in enumerate(jpma(poses, xy, seen)):
        off = torch.stack(
            [(weak_perspective(pose, xy[person], seen[person])[0] - xy[person]).norm(dim=-1) for pose in poses[person]]
        )
        whole = off[:, seen[person]].mean(1).argmin()
        for joint in range(17):
            row = whole
            if joint in COCO13_IN_H36M17 and seen[person, COCO13_IN_H36M17.index(joint)]:
                row = off[:, COCO13_IN_H36M17.index(joint)].argmin()
            assert torch.equal(joints[joint], poses[person, row, joint])


def test_rpea_of_two_hypotheses_by_hand():
    # Shoulders at -1 and 1 and a nose at 0 or 3 below: keypoints of the nose at 3 are met by the second alone. The
    # first fits with scale 1 and shift (0, 1): off by 2 at the nose and by 1 at the shoulders, 4 / 3 on average.
    poses, xy, seen = torch.zeros(2, 17, 3), torch.zeros(13, 2), torch.zeros(13, dtype=torch.bool)
    joints = [H36M17.index(joint) for joint in ("nose", "left_shoulder", "right_shoulder")]
    points = [COCO13_IN_H36M17.index(joint) for joint in joints]
    poses[:, joints[1], 0], poses[:, joints[2], 0], poses[1, joints[0], 1] = -1, 1, 3
    xy[points], seen[points] = 10 * poses[1, joints, :2], True
    poses[:, :, 2] = torch.tensor([[0.0], [1.0]])
    depth = rpea(poses, xy, seen, temperature=0.5)[:, 2]
    for joint in range(17):
        error = {joints[0]: 2, joints[1]: 1, joints[2]: 1}.get(joint, 4 / 3)
        assert depth[joint].item() == pytest.approx(1 / (1 + np.exp(-error / 0.5)))


def test_rpea_is_that_of_the_loop_that_defines_it(wavering):
    poses, xy, seen = wavering
    for person, joints in enumerate(rpea(poses, xy, seen, most=3, temperature=0.02)):
        fits = [weak_perspective(pose, xy[person], seen[person]) for pose in poses[person]]
        off = torch.stack([(fitted - xy[person]).norm(dim=-1) for fitted, _ in fits])
        off /= torch.stack([scale for _, scale in fits]).mean()
        for joint in range(17):
            error = off[:, seen[person]].mean(1)
            if joint in COCO13_IN_H36M17 and seen[person, COCO13_IN_H36M17.index(joint)]:
                error = off[:, COCO13_IN_H36M17.index(joint)]
            rows = error.argsort()[:3]
            weight = torch.exp(-error[rows] / 0.02)
            slow = (weight[:, None] * poses[person, rows, joint]).sum(0) / weight.sum()
            torch.testing.assert_close(joints[joint], slow)


def test_rpea_goes_from_jpma_to_the_mean(wavering):
    poses, xy, seen = wavering
    torch.testing.assert_close(rpea(poses, xy, seen, temperature=1e-9), jpma(poses, xy, seen))
    torch.testing.assert_close(rpea(poses, xy, seen, most=1), jpma(poses, xy, seen))
    torch.testing.assert_close(rpea(poses, xy, seen, most=100, temperature=1e9), mean_pose(poses))


@pytest.mark.parametrize("aggregate", [jpma, rpea], ids=["jpma", "rpea"])
def test_place_and_size_in_the_image_do_not_matter(aggregate, wavering):
    poses, xy, seen = wavering
    torch.testing.assert_close(aggregate(poses, 7 * xy - 1000, seen), aggregate(poses, xy, seen))


@pytest.mark.parametrize("aggregate", [jpma, rpea], ids=["jpma", "rpea"])
def test_values_of_unseen_keypoints_do_not_matter(aggregate, wavering):
    poses, xy, seen = wavering
    expected = aggregate(poses, xy, seen)
    assert torch.equal(aggregate(poses, torch.where(seen[..., None], xy, torch.nan), seen), expected)


@pytest.mark.parametrize("aggregate", [jpma, rpea], ids=["jpma", "rpea"])
def test_without_two_keypoints_the_mean_remains(aggregate, wavering):
    poses, xy, seen = wavering
    seen[1] = False
    seen[2] = torch.arange(13) == 3
    joints = aggregate(poses, xy, seen)
    torch.testing.assert_close(joints[1:3], mean_pose(poses)[1:3])
    assert not torch.allclose(joints[0], mean_pose(poses)[0])


@pytest.mark.parametrize("aggregate", [jpma, rpea], ids=["jpma", "rpea"])
def test_the_root_stays_and_any_batch_is_taken(aggregate, wavering):
    poses, xy, seen = wavering
    joints = aggregate(poses, xy, seen)
    assert not joints[:, 0].any()
    alone = aggregate(poses[0].float(), xy[0].float(), seen[0])
    assert alone.dtype == torch.float32
    torch.testing.assert_close(alone, joints[0].float(), atol=1e-4, rtol=0)
    torch.testing.assert_close(aggregate(poses[None], xy[None], seen[None])[0], joints)
    torch.testing.assert_close(aggregate(poses[:, :1], xy, seen), poses[:, 0])  # of one, that one


def test_reprojection_helps_where_the_image_decides(wavering):
    poses, xy, seen = wavering
    truth_xy = (xy - torch.tensor([400.0, 300.0])) / 250
    off = [
        (joints[:, COCO13_IN_H36M17, :2] - truth_xy).norm(dim=-1)[seen].mean()
        for joints in (jpma(poses, xy, seen), poses[:, 0])
    ]
    assert off[0] < off[1] / 2


def test_no_hypotheses_and_senseless_settings_are_refused(wavering):
    poses, xy, seen = wavering
    with pytest.raises(ShapeError, match=r"\(M, J, 3\) with M at least 1, got shape \(4, 0, 17, 3\)"):
        jpma(poses[:, :0], xy, seen)
    with pytest.raises(ShapeError, match=r"at least 1 hypothesis and a temperature above 0, got 0"):
        rpea(poses, xy, seen, most=0)
    with pytest.raises(ShapeError, match=r"temperature above 0, got 8 and 0"):
        rpea(poses, xy, seen, temperature=0.0)


@pytest.mark.refusal
def test_shapes_that_do_not_fit_are_refused(wavering):
    poses, xy, seen = wavering
    with pytest.raises(ShapeError, match=r"must have the batch \(4,\) of the hypotheses, got shapes \(3, 13, 2\)"):
        jpma(poses, xy[:3], seen)
    with pytest.raises(ShapeError, match=r"must end in \(17, 3\), \(13, 2\) and \(13,\), got shapes"):
        weak_perspective(poses[0], xy[0, :12], seen[0])
    with pytest.raises(ShapeError, match=r"values must be \(4, 12\) like the hypotheses, got \(4, 11\)"):
        weighted_mean(poses, torch.zeros(4, 11))


@pytest.mark.refusal
def test_numpy_arrays_are_refused_by_name(wavering):
    poses, xy, seen = wavering
    for call in (
        lambda: mean_pose(poses.numpy()),
        lambda: weighted_mean(poses, np.zeros((4, 12))),
        lambda: jpma(poses, xy.numpy(), seen),
        lambda: rpea(poses, xy, seen.numpy()),
        lambda: weak_perspective(poses, xy.numpy(), seen),
    ):
        with pytest.raises(ArgumentError, match="expected a torch tensor, got ndarray"):
            call()
