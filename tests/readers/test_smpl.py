"""Motion of SMPL bodies: joints of a body model that its user brings, exactly where that model has them."""

import numpy as np
import pytest
from readers.bodies import npz
from scipy.spatial.transform import Rotation

import vipe
from vipe.errors import ReadError
from vipe.readers.datasets.body_model import PARENTS, BodyModel
from vipe.skeletons import load

BODY = load("smpl_body")
VERTICES = 300
COUNTS = {"smpl": (24, 72), "smplh": (52, 156), "smplx": (55, 165)}


def rest():
    """A body at rest as SMPL has it: y up, facing z, left at +x."""
    at = {
        "pelvis": (0, 0, 0),
        "left_hip": (0.07, -0.09, 0),
        "right_hip": (-0.07, -0.09, 0),
        "spine1": (0, 0.11, -0.02),
        "left_knee": (0.1, -0.47, 0),
        "right_knee": (-0.1, -0.47, 0),
        "spine2": (0, 0.24, 0),
        "left_ankle": (0.1, -0.88, -0.04),
        "right_ankle": (-0.1, -0.88, -0.04),
        "spine3": (0, 0.3, 0),
        "left_foot": (0.12, -0.94, 0.08),
        "right_foot": (-0.12, -0.94, 0.08),
        "neck": (0, 0.5, -0.03),
        "left_collar": (0.08, 0.42, -0.02),
        "right_collar": (-0.08, 0.42, -0.02),
        "head": (0, 0.57, 0.02),
        "left_shoulder": (0.18, 0.45, -0.02),
        "right_shoulder": (-0.18, 0.45, -0.02),
        "left_elbow": (0.44, 0.44, -0.04),
        "right_elbow": (-0.44, 0.44, -0.04),
        "left_wrist": (0.69, 0.45, -0.04),
        "right_wrist": (-0.69, 0.45, -0.04),
    }
    return np.array([at[joint] for joint in BODY.joints[:22]], dtype=float)


def model(rng, joints=52, shapes=16):
    """A body model of few vertices: one at each joint and strays, a nose, and a top of the head."""
    vertices = rng.uniform(-0.2, 0.2, size=(VERTICES, 3))
    vertices[:22] = rest()
    vertices[30], vertices[31] = (0, 0.62, 0.14), (0, 0.8, 0.0)
    regressor = np.zeros((joints, VERTICES))
    regressor[range(22), range(22)] = 0.75
    regressor[:22, 40:45] = 0.05
    return {
        "v_template": vertices,
        "shapedirs": rng.normal(scale=0.01, size=(VERTICES, 3, shapes)),
        "J_regressor": regressor,
        "f": np.zeros((10, 3), dtype=np.uint32),
        "kintree_table": np.zeros((2, joints), dtype=np.uint32),
        "part2num": np.array({"a": 1}, dtype=object),
    }


def slow(model, poses, trans, betas):
    """The body as its paper has it: shape the surface, regress the joints, turn them one after the other."""
    out = np.zeros((len(poses), 24, 3))
    surface = model["v_template"] + model["shapedirs"][:, :, : len(betas)] @ betas
    joints = (model["J_regressor"] @ surface)[:22]
    for t, pose in enumerate(poses):
        world = []
        for j, parent in enumerate(PARENTS):
            local = np.eye(4)
            local[:3, :3] = Rotation.from_rotvec(pose[3 * j : 3 * j + 3]).as_matrix()
            local[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0)
            world.append(world[parent] @ local if parent >= 0 else local)
            out[t, j] = world[j][:3, 3]
        head = world[15]
        for k, vertex in ((22, 30), (23, 31)):
            out[t, k] = head[:3, 3] + head[:3, :3] @ (surface[vertex] - joints[15])
    return out + trans[:, None]


@pytest.fixture
def motion(rng):
    def make(columns=156, frames=7, **changes):
        standing = Rotation.from_euler("x", 90, degrees=True).as_rotvec()  # AMASS has z up
        poses = rng.normal(scale=0.3, size=(frames, columns))
        poses[:, :3] = standing + rng.normal(scale=0.1, size=(frames, 3))
        content = {
            "poses": poses,
            "trans": rng.normal(size=(frames, 3)),
            "betas": rng.normal(size=16),
            "gender": np.array("female"),
            "mocap_framerate": np.array(120.0),
            "dmpls": np.zeros((frames, 8)),
        } | changes
        return {key: value for key, value in content.items() if value is not None}

    return make


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "CMU" / "01").mkdir(parents=True)
    return tmp_path


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(npz(**content))


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("smplh", "smplh/female/model.npz"),
        ("smplh", "female/model.npz"),
        ("smplh", "smplh/SMPLH_FEMALE.npz"),
        ("smplx", "smplx/SMPLX_FEMALE.npz"),
        ("smpl", "smpl/SMPL_FEMALE.npz"),
    ],
)
def test_joints_are_where_the_body_model_has_them(kind, place, folder, motion, rng):
    joints, columns = COUNTS[kind]
    body, moves = model(rng, joints, shapes=10 if kind == "smpl" else 16), motion(columns)
    put(folder / "models" / place, body)
    put(folder / "CMU" / "01" / "01_01_poses.npz", moves)
    put(folder / "CMU" / "01" / "shape.npz", {"betas": np.zeros(16), "gender": np.array("female")})
    (clip,) = vipe.read(folder / "CMU", body_models=folder / "models")
    assert (clip.name, clip.fps, clip.skeleton.name) == ("01_01_poses", 120.0, "smpl_body")
    betas = moves["betas"][: body["shapedirs"].shape[2]]
    expected = slow(body, moves["poses"], moves["trans"], betas)
    np.testing.assert_allclose(clip.positions, expected, atol=1e-6)


def test_a_body_at_rest_stands_with_its_nose_in_front(rng):
    positions = BodyModel.load(npz(**model(rng)), "m").positions(np.zeros((1, 22, 3)), np.zeros((1, 3)), np.zeros(0))
    matrix, mask = BODY.weights(load("h36m17"))
    assert mask.all()
    pose = dict(zip(load("h36m17").joints, matrix @ positions[0], strict=True))
    assert pose["head"][1] > pose["nose"][1] > pose["thorax"][1] > pose["spine"][1] > pose["pelvis"][1]
    assert pose["nose"][2] > pose["head"][2]
    assert pose["left_wrist"][0] > 0 > pose["right_wrist"][0]


def test_newer_files_spell_the_rate_otherwise(folder, motion, rng):
    put(folder / "female" / "model.npz", model(rng))
    changes = {"mocap_framerate": None, "mocap_frame_rate": np.array(60)}
    put(folder / "a.npz", motion(**changes))
    assert next(iter(vipe.read(folder / "a.npz", body_models=folder))).fps == 60.0
    put(folder / "a.npz", motion(mocap_framerate=None))
    with pytest.raises(ReadError, match="no mocap_framerate; give the rate with --source-fps"):
        list(vipe.read(folder / "a.npz", body_models=folder))
    assert next(iter(vipe.read(folder / "a.npz", body_models=folder, source_fps=30.0))).fps == 30.0


def test_without_the_body_model_the_error_says_which_file_goes_where(folder, motion):
    put(folder / "a.npz", motion())
    with pytest.raises(
        ReadError,
        match=r"^a.npz: needs the female SMPL-H model.* as FOLDER/smplh/female/model.npz and name .* --body-models",
    ):
        list(vipe.read(folder / "a.npz"))
    with pytest.raises(ReadError, match=r"no smplh/female/model.npz or smplh/SMPLH_FEMALE.npz in "):
        list(vipe.read(folder / "a.npz", body_models=folder))
    (folder / "SMPLH_female.pkl").write_bytes(b"")
    with pytest.raises(ReadError, match=r"SMPLH_female.pkl is a pickle, which could run anything: take the .npz"):
        list(vipe.read(folder / "a.npz", body_models=folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": np.zeros((7, 66))}, "poses.npy: 66 columns, expected 72, 156, 165"),
        ({"poses": np.zeros((7, 22, 3))}, r"an array \(7, 22, 3\), expected \(any, any\)"),
        ({"trans": np.zeros((6, 3))}, r"trans.npy: an array \(6, 3\), expected \(7, 3\)"),
        ({"poses": np.full((7, 156), np.inf)}, "not finite"),
        ({"gender": np.array("robot")}, "gender.npy: 'robot', expected female, male, neutral"),
        ({"mocap_framerate": np.zeros(2)}, "expected one number"),
        ({"trans": np.full((7, 3), 1e300)}, "positions of frame 0 are not finite"),
    ],
)
def test_another_layout_is_one_line(changes, message, folder, motion, rng):
    put(folder / "female" / "model.npz", model(rng))
    put(folder / "a.npz", motion(**changes))
    with pytest.raises(ReadError, match=message) as caught:
        list(vipe.read(folder / "a.npz", body_models=folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"J_regressor": None}, "no J_regressor; expected a body model"),
        ({"J_regressor": np.zeros((17, VERTICES))}, "17 joints, expected 24, 52, 55"),
        ({"J_regressor": np.array({"sparse": 1}, dtype=object)}, "not an array of numbers"),
        ({"shapedirs": np.zeros((VERTICES, 3))}, "shapedirs.npy: an array"),
        ({"v_template": np.zeros((4, 3))}, "4 vertices, expected 22 to"),
    ],
)
def test_another_body_model_is_one_line(changes, message, rng):
    content = {key: value for key, value in (model(rng) | changes).items() if value is not None}
    with pytest.raises(ReadError, match=message):
        BodyModel.load(npz(**content), "model.npz")


def test_shapes_in_rows_and_missing_ones(folder, motion, rng):
    body = model(rng)
    put(folder / "neutral" / "model.npz", body)
    moves = motion(betas=None, gender=None)
    put(folder / "a.npz", moves)
    (clip,) = vipe.read(folder / "a.npz", body_models=folder)
    np.testing.assert_allclose(clip.positions, slow(body, moves["poses"], moves["trans"], np.zeros(0)), atol=1e-6)
    betas = rng.normal(size=16)
    put(folder / "a.npz", moves | {"betas": np.repeat(betas[None], 7, axis=0)})
    (clip,) = vipe.read(folder / "a.npz", body_models=folder)
    np.testing.assert_allclose(clip.positions, slow(body, moves["poses"], moves["trans"], betas), atol=1e-6)
