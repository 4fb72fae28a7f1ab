import base64
import json
import struct

import numpy as np
import pytest

from vipe.skeletons import load
from vipe.writers import write
from vipe.writers.rig import known_rigs, load_rig

BODY = load("h36m17")
EVERY = pytest.mark.parametrize("names", known_rigs())
SIZES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
TYPES = {5121: np.dtype("<u1"), 5123: np.dtype("<u2"), 5126: np.dtype("<f4")}


def opened(path):
    """JSON and buffer of a .glb, read as the specification says (4.4)."""
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    at, chunks = 12, []
    while at < len(data):
        size, kind = struct.unpack_from("<I4s", data, at)
        assert size % 4 == 0
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    assert [kind for kind, _ in chunks] == [b"JSON", b"BIN\0"]
    return json.loads(chunks[0][1]), chunks[1][1]


def values(file, buffer, number):
    accessor = file["accessors"][number]
    view = file["bufferViews"][accessor["bufferView"]]
    kind, size = TYPES[accessor["componentType"]], SIZES[accessor["type"]]
    assert view["byteOffset"] % 4 == 0
    assert view["byteLength"] == accessor["count"] * size * kind.itemsize
    assert view["byteOffset"] + view["byteLength"] <= len(buffer)
    found = np.frombuffer(buffer, kind, accessor["count"] * size, view["byteOffset"]).reshape(-1, size)
    if "min" in accessor:
        assert accessor["min"] == found.min(axis=0).tolist()
        assert accessor["max"] == found.max(axis=0).tolist()
    return found


def matrices(quaternions):
    x, y, z, w = np.moveaxis(quaternions.astype(np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def played(file, buffer):
    """Positions of each node in each frame, and the times."""
    (animation,) = file["animations"]
    tracks, time = {}, None
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        time = values(file, buffer, sampler["input"])[:, 0]
        target = channel["target"]
        tracks[target["node"], target["path"]] = values(file, buffer, sampler["output"])
    placed, turned = {}, {}

    def walk(node, above, turn):
        own = file["nodes"][node]
        shift = tracks.get((node, "translation"), np.tile(own["translation"], (len(time), 1)))
        placed[own["name"]] = above + np.einsum("tij,tj->ti", turn, shift)
        turned[node] = turn @ matrices(tracks[node, "rotation"])
        for child in own.get("children", ()):
            walk(child, placed[own["name"]], turned[node])

    walk(0, np.zeros((len(time), 3)), np.tile(np.eye(3), (len(time), 1, 1)))
    return placed, time, tracks


@EVERY
@pytest.mark.parametrize("kind", ["moving", "recorded"])
def test_played_back_the_joints_are_where_they_were(kind, names, request, tmp_path):
    clip = request.getfixturevalue(kind)(fps=24.0)
    write(tmp_path / "a.glb", clip, names=names)
    placed, time, tracks = played(*opened(tmp_path / "a.glb"))
    np.testing.assert_allclose(time, np.arange(len(clip)) / 24, rtol=1e-6)
    for joint in load_rig(names).joints:
        if joint.at in BODY.joints:
            x, y, z = np.moveaxis(placed[joint.name], -1, 0)
            expected = clip.positions[:, BODY.index(joint.at)]
            np.testing.assert_allclose(np.stack([x, -z, y], axis=-1), expected, atol=1e-4)
    assert [path for _, path in tracks].count("translation") == 1  # bones keep their lengths
    for (_, path), track in tracks.items():
        if path == "rotation":
            np.testing.assert_allclose(np.linalg.norm(track, axis=-1), 1, atol=1e-6)
            assert (track[1:] * track[:-1]).sum(axis=-1).min() > 0.9


@EVERY
def test_the_skeleton_at_rest_is_a_t_that_looks_along_z(moving, names, tmp_path):
    write(tmp_path / "a.glb", moving(), names=names)
    file, buffer = opened(tmp_path / "a.glb")
    (skin,) = file["skins"]
    rest = {}
    for number, node in enumerate(file["nodes"][:-1]):
        above = next((i for i, other in enumerate(file["nodes"]) if number in other.get("children", ())), None)
        rest[number] = np.array(node["translation"]) + (0 if above is None else rest[above])
        assert "rotation" not in node
    inverse = values(file, buffer, skin["inverseBindMatrices"]).reshape(-1, 4, 4)
    np.testing.assert_allclose(inverse[:, 3, :3], [-rest[number] for number in skin["joints"]], atol=1e-6)
    by_place = {joint.at: joint.name for joint in load_rig(names).joints}
    named = {node["name"]: rest[number] for number, node in enumerate(file["nodes"][:-1])}

    def at(place):
        return named[by_place[place]]

    arm, leg = at("left_wrist") - at("left_shoulder"), at("left_ankle") - at("left_hip")
    assert arm[0] == pytest.approx(np.linalg.norm(arm), abs=1e-5)
    assert leg[1] == pytest.approx(-np.linalg.norm(leg), abs=1e-5)
    if names == "h36m17":
        assert at("nose")[2] > at("thorax")[2] + 0.05


@EVERY
def test_every_index_leads_somewhere_and_every_corner_is_skinned(moving, names, tmp_path):
    write(tmp_path / "a.glb", moving(), names=names)
    file, buffer = opened(tmp_path / "a.glb")
    assert file["asset"]["version"] == "2.0"
    joints = len(file["skins"][0]["joints"])
    assert file["scenes"][0]["nodes"] == [0, joints]
    for primitive in file["meshes"][0]["primitives"]:
        parts = {name: values(file, buffer, number) for name, number in primitive["attributes"].items()}
        order = values(file, buffer, primitive["indices"])
        assert len(order) % 3 == 0
        assert order.max() < len(parts["POSITION"])
        assert parts["JOINTS_0"].max() < joints
        np.testing.assert_allclose(parts["WEIGHTS_0"].sum(axis=1), 1)
        corners = parts["POSITION"][order[:, 0]].reshape(-1, 3, 3)
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert ((normal * parts["NORMAL"][order[:, 0]].reshape(-1, 3, 3)[:, 0]).sum(axis=1) > 0).all()
        colour = file["materials"][primitive["material"]]["name"]
        x = parts["POSITION"][:, 0].mean()
        assert (colour == "middle" and abs(x) < 0.02) or (x > 0) == (colour == "left")


def test_bones_are_drawn_with_their_faces_outside(moving, tmp_path):
    write(tmp_path / "a.glb", moving())
    file, buffer = opened(tmp_path / "a.glb")
    for primitive in file["meshes"][0]["primitives"]:
        bones = values(file, buffer, primitive["attributes"]["POSITION"]).reshape(-1, 8, 3, 3)
        normals = values(file, buffer, primitive["attributes"]["NORMAL"]).reshape(-1, 8, 3, 3)[:, :, 0]
        middle = bones.reshape(-1, 24, 3).mean(axis=1)[:, None]
        assert (((bones.mean(axis=2) - middle) * normals).sum(axis=-1) > 0).all()


def test_gltf_is_one_text_with_the_same_content(moving, tmp_path):
    clip = moving(3, name='w"a<lk', licence="CC0", source="a/b.bvh")
    write(tmp_path / "a.glb", clip)
    write(tmp_path / "a.gltf", clip)
    file, buffer = opened(tmp_path / "a.glb")
    text = json.loads((tmp_path / "a.gltf").read_text(encoding="utf-8"))
    head, _, data = text["buffers"][0].pop("uri").partition(",")
    assert head == "data:application/octet-stream;base64"
    assert base64.b64decode(data) == buffer
    assert text == file
    assert file["animations"][0]["name"] == 'w"a<lk'
    assert file["asset"]["extras"] == {"source": "a/b.bvh", "licence": "CC0"}
