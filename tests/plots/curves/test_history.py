import pytest

pytest.importorskip("matplotlib")

from vipe.plots.curves.history import save_history


def test_a_history_shows_losses_above_and_validation_below_stage_by_stage(tmp_path, drawn):
    lines = [
        {"stage": "poses", "step": 1, "loss": 2.0, "kl": 0.5},
        {"stage": "poses", "step": 2, "loss": 1.0, "kl": 0.4, "val_mpjpe": 0.2},
        {"stage": "keypoints", "step": 1, "loss": 3.0, "val_hit1": 0.7},
    ]
    save_history(tmp_path / "history.png", lines)
    poses, keypoints, poses_checks, keypoints_checks = drawn[0].axes
    assert [line.get_label() for line in poses.lines] == ["loss", "kl"]
    assert poses.lines[0].get_xydata().tolist() == [[1, 2], [2, 1]]
    assert [line.get_label() for line in poses_checks.lines] == ["validation MPJPE (torso lengths)"]
    assert [line.get_label() for line in keypoints_checks.lines] == ["validation search Hit@1"]
    assert (poses.get_title(), keypoints.get_title()) == ("stage: poses", "stage: keypoints")
    assert (poses.get_yscale(), poses_checks.get_yscale()) == ("log", "linear")


def test_a_lifters_history_shows_all_its_losses_on_a_scale_that_fits_them(tmp_path, drawn):
    lines = [
        {"stage": "pose", "step": 1, "loss": 2.0, "bent": 0.5},
        {"stage": "pose", "step": 2, "loss": 1.0, "bent": 0.4, "val_mpjpe": 90.0, "val_energy": 300.0},
        {"stage": "flow", "step": 1, "loss": -3.0, "val_mpjpe": 80.0, "val_energy": 200.0},
    ]
    save_history(tmp_path / "history.png", lines)
    pose, flow, pose_checks, _ = drawn[0].axes
    assert [line.get_label() for line in pose.lines] == ["loss", "bent"]
    assert (pose.get_yscale(), flow.get_yscale()) == ("log", "linear")
    assert [line.get_label() for line in pose_checks.lines] == [
        *("validation MPJPE of the single pose (mm)", "validation energy score (mm)")
    ]
