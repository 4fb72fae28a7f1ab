import numpy as np
import pytest

from vipe.clips import Clip
from vipe.errors import ShapeError, SkeletonError
from vipe.skeletons import Skeleton, load
from vipe.writers.animation import animate
from vipe.writers.rig import Rig, known_rigs, load_rig

BODY = load("h36m17")
ARM = Skeleton(name="arm", joints=("shoulder", "elbow", "wrist"), parents=(-1, 0, 1))
EVERY = pytest.mark.parametrize("names", known_rigs())


def chained(found):
    """World positions of a rig's joints, the slow way."""
    placed, turned = np.zeros((len(found), len(found.names), 3)), np.zeros((len(found), len(found.names), 3, 3))
    for t in range(len(found)):
        for joint, parent in enumerate(found.parents):
            if parent < 0:
                placed[t, joint], turned[t, joint] = found.way[t], found.turn[t, joint]
            else:
                placed[t, joint] = placed[t, parent] + turned[t, parent] @ found.offset[joint]
                turned[t, joint] = turned[t, parent] @ found.turn[t, joint]
    return placed


def of_joints(found, rig):
    """Places of a rig's joints that are joints of h36m17, by their names there; the last one that sits at each."""
    at = {joint.name: joint.at for joint in rig.joints}
    return {at[name]: number for number, name in enumerate(found.names) if at[name] in BODY.joints}


@EVERY
@pytest.mark.parametrize("kind", ["moving", "recorded"])
def test_joints_are_where_the_clip_has_them(kind, names, request):
    clip = request.getfixturevalue(kind)()
    rig = load_rig(names)
    found = animate(clip, rig)
    placed, places = chained(found), of_joints(found, rig)
    assert set(BODY.joints) - set(places) <= {"nose", "head"}
    for joint, number in places.items():
        np.testing.assert_allclose(placed[:, number], clip.positions[:, BODY.index(joint)], atol=1e-4)
    assert found.error < 1e-4


@EVERY
@pytest.mark.parametrize("kind", ["moving", "recorded"])
def test_the_rest_pose_is_a_t(kind, names, request):
    rig = load_rig(names)
    found = animate(request.getfixturevalue(kind)(), rig)
    rest, places = found.rest, of_joints(found, rig)

    def bone(start, end):
        away = rest[places[end]] - rest[places[start]]
        return away / np.linalg.norm(away)

    for side, out in (("left", 1.0), ("right", -1.0)):
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist")):
            np.testing.assert_allclose(bone(f"{side}_{start}", f"{side}_{end}"), [out, 0, 0], atol=1e-5)
        for start, end in (("hip", "knee"), ("knee", "ankle")):
            np.testing.assert_allclose(bone(f"{side}_{start}", f"{side}_{end}"), [0, 0, -1], atol=1e-5)
        np.testing.assert_allclose(bone("thorax", f"{side}_shoulder"), [out, 0, 0], atol=1e-5)
        np.testing.assert_allclose(bone("pelvis", f"{side}_hip"), [out, 0, 0], atol=1e-5)
    np.testing.assert_allclose(bone("pelvis", "thorax"), [0, 0, 1], atol=1e-5)
    for joint in rig.joints:  # bends are straight in it
        if joint.at.endswith("_blade") and joint.name in found.names:
            np.testing.assert_allclose(rest[found.names.index(joint.name)][1:], rest[places["thorax"]][1:], atol=1e-5)
        if joint.at in ("lumbar", "chest") and joint.name in found.names:
            np.testing.assert_allclose(rest[found.names.index(joint.name)][:2], 0, atol=1e-5)
    ankles = [rest[places[f"{side}_ankle"]] for side in ("left", "right")]
    assert all(0.03 < ankle[2] < 0.1 for ankle in ankles)  # it stands on the ground
    np.testing.assert_allclose(rest[places["pelvis"]][:2], 0, atol=1e-9)


@EVERY
def test_at_rest_nothing_is_turned(upright, names):
    found = animate(upright, load_rig(names))
    np.testing.assert_allclose(found.turn, np.broadcast_to(np.eye(3), found.turn.shape), atol=1e-6)


@EVERY
def test_quaternions_turn_as_the_matrices_and_never_flip(moving, names):
    found = animate(moving(80), load_rig(names))
    x, y, z, w = np.moveaxis(found.quaternions(), -1, 0)
    np.testing.assert_allclose(found.turn[..., 0, 0], 1 - 2 * (y * y + z * z), atol=1e-6)
    np.testing.assert_allclose(found.turn[..., 1, 0], 2 * (x * y + w * z), atol=1e-6)
    np.testing.assert_allclose(found.turn[..., 2, 1], 2 * (y * z + w * x), atol=1e-6)
    steps = (found.quaternions()[1:] * found.quaternions()[:-1]).sum(axis=-1)
    assert steps.min() > 0.9


def test_a_rig_has_no_more_joints_than_a_motion_needs(moving, recorded, upright):
    rig = load_rig("mixamo")
    standing = {name.removeprefix("mixamorig:") for name in animate(upright, rig).names}
    assert not standing & {"LHipJoint", "RHipJoint", "SpineBend", "LeftShoulderBlade", "RightShoulderBlade"}
    assert {"Hips", "Spine", "Spine1", "Spine2", "Neck", "Head", "LeftUpLeg", "LeftForeArm", "RightHand"} <= standing
    stretched = {name.removeprefix("mixamorig:") for name in animate(recorded(), rig).names}
    assert {"SpineBend", "LeftShoulderBlade", "RightShoulderBlade", "LHipJoint"} <= stretched
    held = {name.removeprefix("mixamorig:") for name in animate(moving(), rig).names}
    assert "LHipJoint" in held  # its hips turn against the pelvis
    assert "LeftShoulderBlade" not in held


def test_the_root_of_unreal_stays_level_below_the_pelvis(moving):
    clip = moving()
    found = animate(clip, load_rig("unreal"))
    assert found.names[:2] == ("root", "pelvis")
    np.testing.assert_allclose(found.turn[:, 0], np.broadcast_to(np.eye(3), (len(clip), 3, 3)))
    np.testing.assert_allclose(found.way[:, :2], clip.positions[:, 0, :2], atol=1e-6)
    np.testing.assert_allclose(found.way[:, 2] + found.offset[1, 2], clip.positions[:, 0, 2], atol=1e-6)
    assert found.rest[0].tolist() == [0, 0, 0]


def test_what_a_stiff_shin_changes_is_told(upright):
    longer = upright.positions.repeat(2, axis=0).copy()
    longer[1, BODY.index("right_ankle"), 2] -= 0.04
    clip = Clip(name="stretch", skeleton=BODY, positions=longer, fps=30.0)
    found = animate(clip, load_rig("h36m17"))
    assert found.error == pytest.approx(0.02, abs=1e-6)


def test_a_bone_that_points_back_is_turned_by_half():
    straight = np.array([[0, 0, 0], [0.3, 0, 0], [0.5, 0, 0]])
    folded = np.array([[0, 0, 0], [-0.3, 0, 0], [-0.1, 0, 0]])
    clip = Clip(name="arm", skeleton=ARM, positions=np.stack([straight, folded]), fps=1.0)
    found = animate(clip, Rig.of(ARM, straight))
    np.testing.assert_allclose(chained(found), clip.positions, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(found.turn), 1, atol=1e-9)


def test_a_bone_without_length_does_no_harm():
    flat = np.array([[[0, 0, 0], [0, 0, 0], [0.2, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0.2, 0]]])
    clip = Clip(name="arm", skeleton=ARM, positions=flat, fps=1.0)
    np.testing.assert_allclose(chained(animate(clip, Rig.of(ARM, flat[0]))), flat, atol=1e-6)


def test_a_skeleton_of_your_own_becomes_a_rig(moving):
    clip = moving()
    rig = Rig.of(BODY, clip.positions[0])
    found = animate(clip, rig)
    placed = chained(found)
    assert set(found.names) - set(BODY.joints) == {
        *("pelvis_left_hip", "pelvis_spine", "thorax_left_shoulder", "thorax_right_shoulder")
    }
    np.testing.assert_allclose(
        placed[:, [found.names.index(joint) for joint in BODY.joints]], clip.positions, atol=1e-4
    )


def test_what_no_rig_can_be_made_of_is_refused(moving):
    sited = load("bandai")
    with pytest.raises(SkeletonError, match="convert the clip to h36m17"):
        Rig.of(sited, np.zeros((len(sited), 3)))
    with pytest.raises(SkeletonError, match="several roots"):
        Rig.of(Skeleton(name="pair", joints=("a", "b"), parents=(-1, -1)), np.zeros((2, 3)))
    with pytest.raises(SkeletonError, match="no rig 'biped': known are h36m17, mixamo, unreal"):
        load_rig("biped")
    with pytest.raises(ShapeError, match="is on h36m17, the rig is of arm"):
        animate(moving(), Rig.of(ARM, np.eye(3)))


@EVERY
def test_every_joint_of_a_rig_sits_at_a_place_and_hangs_on_one_before_it(upright, names):
    rig = load_rig(names)
    assert [joint.parent < 0 for joint in rig.joints] == [True] + [False] * (len(rig.joints) - 1)
    assert all(joint.parent < number for number, joint in enumerate(rig.joints))
    assert len({joint.name for joint in rig.joints}) == len(rig.joints)
    found = animate(upright, rig)
    assert set(found.tips) == set(range(len(found.names))) - set(found.parents)
