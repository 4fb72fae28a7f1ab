import numpy as np
import pytest

from vipe.errors import ShapeError, VipeError
from vipe.simulate import DrawConfig, View, project_keypoints
from vipe.simulate.drawn_group import draw_group

FRONT = np.zeros(3)  # `standing` faces +x, where azimuth 0 is
PLAIN = DrawConfig(noise=0.0)


@pytest.fixture
def group(standing):
    """Three people, of whom the third stands 10 m away from where the first does, and has turned round."""
    turned = standing * [-1, -1, 1] + [10, 0, 0]
    return np.stack([standing, standing, turned])


def photo(poses, azimuth, size=(180, 100), **more):
    return draw_group(poses, azimuth, size=size, generator=np.random.default_rng(0), **more)


def test_people_stand_in_the_photo_from_left_to_right_without_touching(group):
    picture, people = photo(group, FRONT)
    assert picture.shape == (100, 180, 3)
    assert picture.dtype == np.uint8
    assert (people.xy >= 0).all()
    assert (people.xy <= [180, 100]).all()
    first, last = people.xy[:, :, 0].min(axis=1), people.xy[:, :, 0].max(axis=1)
    assert (first[1:] > last[:-1]).all()
    assert people.image_id == (0, 0, 0)
    assert people.person.tolist() == [0, 1, 2]


def test_each_person_is_seen_from_the_side_that_was_asked_for(group):
    left, right = (photo(group, FRONT)[1].skeleton.index(f"{side}_shoulder") for side in ("left", "right"))
    _, front = photo(group, FRONT)
    _, back = photo(group, np.array([np.pi, 0, np.pi]))
    across = np.sign(front.xy[:, left, 0] - front.xy[:, right, 0])
    assert across.tolist() == [1, 1, -1]  # who faces the camera has the left at the image's right; the third looks away
    assert np.sign(back.xy[:, left, 0] - back.xy[:, right, 0]).tolist() == [-1, 1, 1]


def test_keypoints_are_those_of_a_single_photo_but_for_perspective(group):
    _, people = photo(group[:1], np.array([0.7]), elevation=0.1)
    alone = project_keypoints(group[:1], View(name="camera", azimuth=0.7, elevation=0.1))

    def shape(xy):
        centred = xy - xy.mean(axis=0)
        return centred / np.linalg.norm(centred)

    np.testing.assert_allclose(shape(people.xy[0]), shape(alone.xy[0]), atol=0.01)


def test_people_are_painted_where_their_keypoints_are(group):
    picture, people = photo(group, FRONT, config=PLAIN)
    hips = (
        people.xy[:, [people.skeleton.index("left_hip"), people.skeleton.index("right_hip")]].mean(axis=1).astype(int)
    )
    for x, y in hips:
        beside = picture[y, max(0, x - 15)].astype(int)  # background
        assert np.abs(picture[y, x].astype(int) - beside).max() > 20


def test_feet_of_all_stand_on_one_floor(group):
    _, people = photo(group, FRONT, elevation=0.0)
    ankles = [people.skeleton.index(f"{side}_ankle") for side in ("left", "right")]
    assert np.ptp(people.xy[:, ankles, 1]) < 2


def test_a_photo_depends_on_the_generator_alone(group):
    np.testing.assert_array_equal(photo(group, FRONT)[0], photo(group, FRONT)[0])
    other, _ = draw_group(group, FRONT, size=(180, 100), generator=np.random.default_rng(1))
    assert (other != photo(group, FRONT)[0]).any()


@pytest.mark.refusal
@pytest.mark.parametrize("shape", [(0, 17, 3), (2, 16, 3)])
def test_poses_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match="poses to draw must be"):
        photo(np.zeros(shape), np.zeros(shape[0]))


@pytest.mark.refusal
def test_another_number_of_sides_is_refused(group):
    with pytest.raises(ShapeError, match="azimuth must be one for each of 3 poses"):
        photo(group, np.zeros(2))


def test_a_size_or_gap_that_is_none_is_refused(group):
    with pytest.raises(VipeError, match="gap above 0"):
        photo(group, FRONT, gap=0.0)
    with pytest.raises(VipeError, match="at least 8 pixels"):
        photo(group, FRONT, size=(300, 7))
