"""Unit and up axis from a body."""

import numpy as np
import pytest

from vipe.skeletons.body import PERSON, UNITS, Measures, find_unit, find_up, unit_name


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("size", [0.8, 0.9, 1.0, 1.1, 1.2])
def test_a_person_of_any_usual_size_gives_the_unit(name, size):
    assert find_unit(size / UNITS[name]) == (UNITS[name], name)
    assert unit_name(UNITS[name]) == name


@pytest.mark.parametrize("size", [25.0, 200.0, 3.0e-4, 7.0])
def test_a_body_in_no_unit_is_scaled_to_an_adult(size):
    unit, name = find_unit(size)
    assert name == ""
    assert unit * size == pytest.approx(1, rel=5e-3)


@pytest.mark.parametrize("bone", PERSON)
def test_one_odd_bone_hardly_changes_the_size(bone):
    odd = dict(PERSON)
    odd[bone] *= 2.0
    assert 0.99 < Measures(odd).size < 1.25
    assert Measures({name: 3 * length for name, length in PERSON.items()}).size == pytest.approx(3)


def standing(axis, n=10, at=0.9):
    """Trunk direction, lowest and highest coordinates, and pelvis of one who stands along an axis of the file."""
    up, pelvis = np.zeros((n, 3)), np.full((n, 3), 3.0)
    up[:, axis] = 1
    pelvis[:, axis] = at
    low, high = pelvis - 0.2, pelvis + 0.2
    low[:, axis], high[:, axis] = at - 0.9, at + 0.8
    return up, low, high, pelvis


@pytest.mark.parametrize(("axis", "name"), [(0, "x"), (1, "y"), (2, "z")])
@pytest.mark.parametrize("at", [0.9, 0.0], ids=["on the floor", "around the origin"])
def test_most_frames_tell_the_up_axis_without_a_rest_pose(axis, name, at):
    found, sure = find_up(None, *standing(axis, at=at), 0.85)
    assert found == name
    assert sure > 0.5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_that_points_down_is_told_by_floor_and_trunk(axis):
    up, low, high, pelvis = standing(axis)
    found, sure = find_up(None, -up, -high, -low, -pelvis, 0.85)
    assert (found, sure > 0.5) == ("-" + "xyz"[axis], True)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_floor_tells_it_of_people_who_lie(axis, sign):
    up, low, high, pelvis = standing(axis)
    if sign:
        low, high, pelvis = -high, -low, -pelvis
    assert find_up(None, np.zeros_like(up), low, high, pelvis, 0.85)[0] == sign + "xyz"[axis]


def test_a_rest_pose_tells_it_where_no_frame_stands():
    up, low, high, pelvis = standing(0, at=5.0)
    assert find_up(np.array([0.0, 0, 1]), np.zeros_like(up), low, high, pelvis, 0.85)[0] == "z"


def test_a_rest_pose_that_lies_is_outvoted_by_people_who_stand_on_the_floor():
    assert find_up(np.array([0.0, 0, 1]), *standing(1), 0.85)[0] == "y"


@pytest.mark.parametrize(
    ("odd", "size"),
    [
        ({"upper arm": 0.5, "forearm": 0.5}, 1.0),
        ({"upper arm": 2.0, "forearm": 2.0}, 1.0),
        ({"trunk": 0.5}, 1.0),
        ({"trunk": 2.0}, 1.0),
        ({"thigh": 1.44, "shin": 1.44}, 1.2),  # between leg and the rest
        (dict.fromkeys(PERSON, 3.0), 3.0),
    ],
)
def test_one_odd_part_does_not_change_the_size_of_a_body(odd, size):
    bones = {bone: length * odd.get(bone, 1.0) for bone, length in PERSON.items()}
    assert Measures(bones).size == pytest.approx(size)
