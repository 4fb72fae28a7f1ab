import numpy as np

from vipe.plots.figures import colours, figure_2d, figure_3d, figure_in_camera, seen_from
from vipe.skeletons import load

COCO = load("coco13")


def test_an_unseen_joint_takes_its_bones_away(rng):
    mask = np.ones(13, dtype=bool)
    mask[COCO.index("left_wrist")] = False
    drawn = {bone[:2] for bone in figure_2d(rng.normal(size=(13, 2)), mask, COCO).bones}
    everything = {bone[:2] for bone in figure_2d(rng.normal(size=(13, 2)), np.ones(13, dtype=bool), COCO).bones}
    assert everything - drawn == {(COCO.index("left_elbow"), COCO.index("left_wrist"))}


def test_pixels_are_drawn_upright():
    xy = np.zeros((13, 2))
    xy[COCO.index("nose")] = [0, -100]  # above the rest in an image
    assert figure_2d(xy, np.ones(13, dtype=bool), COCO).points[COCO.index("nose"), 1] > 0


def test_nobody_seen_draws_nothing():
    figure = figure_2d(np.zeros((13, 2)), np.zeros(13, dtype=bool), COCO)
    assert figure.bones == ()
    assert np.isfinite(figure.points).all()


def test_a_person_is_seen_from_the_front_with_their_left_at_the_viewers_right(canonical):
    h36m = load("h36m17")
    flat = seen_from(figure_3d(canonical).points, turn=0.0, lift=0.0)
    assert flat[h36m.index("left_shoulder"), 0] > 0 > flat[h36m.index("right_shoulder"), 0]
    assert flat[h36m.index("head"), 1] > flat[h36m.index("left_ankle"), 1]
    nose = figure_3d(canonical).points[h36m.index("nose")]
    assert nose[2] > figure_3d(canonical).points[h36m.index("head"), 2]  # towards the viewer


def test_a_pose_is_drawn_as_the_camera_sees_it(canonical, rng):
    # Any rotation as a camera, any scale: x right and y down in pixels is x right and y up in the figure.
    camera = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2]
    image = canonical @ camera.T * [1, -1]
    drawn = figure_3d(canonical, 170 * camera).points[:, :2]
    image, drawn = image - image.mean(axis=0), drawn - drawn.mean(axis=0)
    np.testing.assert_allclose(drawn / np.linalg.norm(drawn), image / np.linalg.norm(image), atol=1e-6)


def test_a_fitted_pose_is_first_drawn_as_its_camera_sees_it_and_turns(rng):
    pose = rng.normal(size=(17, 3))  # x right, y down, z away
    figure = figure_in_camera(pose)
    flat = seen_from(figure.points) * [1, -1]
    flat, image = flat - flat.mean(axis=0), pose[:, :2] - pose[:, :2].mean(axis=0)
    np.testing.assert_allclose(flat / np.linalg.norm(flat), image / np.linalg.norm(image), atol=1e-6)
    assert figure.turns
    nearest = pose[:, 2].argmin()
    assert figure.points[nearest, 2] == figure.points[:, 2].max()  # z is towards the viewer


def test_no_turn_takes_a_body_off_its_canvas(rng):
    for figure in (figure_in_camera(rng.normal(size=(17, 3)) * [0.1, 0.1, 3]), figure_3d(rng.normal(size=(17, 3)))):
        for turn in np.linspace(0, 2 * np.pi, 17):
            assert np.abs(seen_from(figure.points, turn)).max() < 0.5 / 0.84


def test_sides_have_their_colours(canonical):
    h36m = load("h36m17")
    side = {bone[:2]: bone[2] for bone in figure_3d(canonical).bones}
    assert side[h36m.index("left_hip"), h36m.index("left_knee")] == colours()["left"]
    assert side[h36m.index("thorax"), h36m.index("nose")] == colours()["middle"]


def test_who_looks_from_above_sees_what_is_near_lower():
    near, far = seen_from(np.array([[0, 0, 1.0], [0, 0, -1.0]]), lift=0.5)
    assert near[1] < 0 < far[1]
