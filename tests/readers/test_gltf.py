"""glTF animations: positions are those of the node hierarchy that the format describes, at every frame."""

import base64
import io
import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from vipe.errors import ReadError
from vipe.readers.contract import Hints, NotMotion
from vipe.readers.rigs import gltf
from vipe.readers.rigs.gltf_keyframes import Rotations, Translations
from vipe.skeletons import Skeleton

PARENTS = [-1, 0, 1, 2, 1, 4]
NAMES = ["Armature", "hips", "spine", "head", "leg", "foot"]
BODY = Skeleton(name="body", joints=tuple(NAMES[1:]), parents=(-1, 0, 1, 0, 3))
KINDS = {5120: "i1", 5121: "u1", 5122: "i2", 5123: "u2", 5126: "f4"}


class Builder:
    """A file with its accessors."""

    def __init__(self):
        self.binary = b""
        self.json = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": [], "nodes": [], "animations": []}

    def add(self, array, kind=5126, stride=0):
        array = np.asarray(array, dtype=float)
        width = 1 if array.ndim == 1 else array.shape[1]
        dtype = np.dtype(KINDS[kind])
        stored = array if dtype.kind == "f" else np.round(array * np.iinfo(dtype).max)
        rows = [row.tobytes().ljust(stride, b"\xff") for row in stored.reshape(len(array), -1).astype(dtype)]
        self.binary += bytes(-len(self.binary) % 4)
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": sum(map(len, rows))}
        self.json["bufferViews"].append(view | ({"byteStride": stride} if stride else {}))
        self.binary += b"".join(rows)
        names = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
        entry = {"componentType": kind, "count": len(array), "type": names[width], "normalized": kind != 5126}
        self.json["accessors"].append({"bufferView": len(self.json["bufferViews"]) - 1, **entry})
        return len(self.json["accessors"]) - 1

    def animate(self, channels, name="walk"):
        """Channels: (node, path, times, values, interpolation, kind)."""
        samplers = [
            {"input": self.add(times), "output": self.add(values, *kind), "interpolation": how}
            for _, _, times, values, how, *kind in channels
        ]
        targets = [{"sampler": i, "target": {"node": one[0], "path": one[1]}} for i, one in enumerate(channels)]
        self.json["animations"].append({"name": name, "samplers": samplers, "channels": targets})

    def glb(self):
        text = json.dumps(self.json | {"buffers": [{"byteLength": len(self.binary)}]}).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + bytes(-len(self.binary) % 4)
        parts = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
        return struct.pack("<4sII", b"glTF", 2, 12 + len(parts)) + parts

    def gltf(self):
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.binary).decode()
        return json.dumps(self.json | {"buffers": [{"byteLength": len(self.binary), "uri": uri}]}).encode()


@pytest.fixture
def rig(rng):
    """A little rig at rest, turned and scaled as exporters leave it."""
    nodes = []
    for i, name in enumerate(NAMES):
        nodes.append(
            {
                "name": name,
                "children": [j for j, parent in enumerate(PARENTS) if parent == i],
                "translation": (rng.normal(size=3) * (1 if i else 0)).tolist(),
                "rotation": Rotation.random(rng=rng).as_quat().tolist(),
                "scale": [0.5] * 3 if i in (0, 2) else [1.0] * 3,
            }
        )
    return nodes


TIMES = np.arange(10) / 20


def moves(rng):
    """Rotations of three nodes and the place of one, a key each frame."""
    turn = lambda: Rotation.random(len(TIMES), rng=rng).as_quat()  # noqa: E731
    return [
        (1, "translation", TIMES, rng.normal(size=(len(TIMES), 3)), "LINEAR"),
        (1, "rotation", TIMES, turn(), "LINEAR"),
        (2, "rotation", TIMES, turn(), "LINEAR"),
        (4, "rotation", TIMES, turn(), "LINEAR"),
    ]


def slow(nodes, channels, frames):
    """Positions by matrices, one frame and node at a time, y up."""
    out = np.zeros((frames, len(nodes), 3))
    for t in range(frames):
        world = []
        for i, node in enumerate(nodes):
            own = {"translation": node["translation"], "rotation": node["rotation"]}
            for which, path, _, values, *_ in channels:
                if which == i:
                    own[path] = values[t]
            matrix = np.eye(4)
            matrix[:3, :3] = Rotation.from_quat(own["rotation"]).as_matrix() @ np.diag(node["scale"])
            matrix[:3, 3] = own["translation"]
            world.append(matrix if PARENTS[i] < 0 else world[PARENTS[i]] @ matrix)
            out[t, i] = world[i][:3, 3]
    return out


def z_up(positions):
    return np.stack([positions[..., 0], -positions[..., 2], positions[..., 1]], axis=-1)


def read_all(data, name="walk.glb", skeletons=(BODY,), **hints):
    return list(gltf.read_all(io.BytesIO(data), name, skeletons, Hints(**hints)))


@pytest.mark.parametrize("form", ["glb", "gltf"])
def test_positions_are_those_of_the_hierarchy(form, rig, rng):
    file = Builder()
    file.json["nodes"] = rig
    channels = moves(rng)
    file.animate(channels)
    (clip,) = read_all(getattr(file, form)())
    assert (clip.name, clip.fps, len(clip)) == ("walk", 20.0, 10)
    np.testing.assert_allclose(clip.positions, z_up(slow(rig, channels, 10))[:, 1:], atol=2e-5)


def test_nodes_with_a_matrix_and_in_any_order(rig, rng):
    file = Builder()
    channels = moves(rng)
    order = [3, 5, 1, 0, 4, 2]  # new index of each node
    nodes = [None] * 6
    for i, node in enumerate(rig):
        new = {"name": node["name"], "children": [order[j] for j in node["children"]]}
        if i in (0, 5):
            matrix = np.eye(4)
            matrix[:3, :3] = Rotation.from_quat(node["rotation"]).as_matrix() @ np.diag(node["scale"])
            matrix[:3, 3] = node["translation"]
            new["matrix"] = matrix.T.ravel().tolist()
        else:
            new |= {key: node[key] for key in ("translation", "rotation", "scale")}
        nodes[order[i]] = new
    file.json["nodes"] = nodes
    file.animate([(order[i], *rest) for i, *rest in channels])
    (clip,) = read_all(file.glb())
    np.testing.assert_allclose(clip.positions, z_up(slow(rig, channels, 10))[:, 1:], atol=2e-5)


def test_whole_numbers_and_strides(rig, rng):
    file = Builder()
    file.json["nodes"] = rig
    channels = [(1, "rotation", TIMES, Rotation.random(10, rng=rng).as_quat(), "LINEAR", 5122, 12)]
    file.animate(channels)
    (clip,) = read_all(file.glb())
    np.testing.assert_allclose(clip.positions, z_up(slow(rig, channels, 10))[:, 1:], atol=5e-4)


def test_keys_far_apart_are_sampled_at_30_hertz_along_the_sphere(rig, rng):
    file = Builder()
    file.json["nodes"] = rig
    times, turns = np.array([0.5, 1.5, 4.5]), Rotation.random(3, rng=rng)
    file.animate([(2, "rotation", times, turns.as_quat(), "LINEAR")])
    (clip,) = read_all(file.glb())
    assert (clip.fps, len(clip)) == (30.0, 121)
    at = Slerp(times, turns)(0.5 + np.arange(121) / 30).as_quat()
    np.testing.assert_allclose(clip.positions, z_up(slow(rig, [(2, "rotation", None, at)], 121))[:, 1:], atol=2e-5)
    assert read_all(file.glb(), fps=10.0)[0].fps == 10.0


def test_steps_hold_and_splines_meet_their_tangents(rng):
    times, values = np.array([0.0, 1.0, 3.0]), rng.normal(size=(3, 3))
    held = Translations(times, values, step=True).at(np.array([-1.0, 0.0, 0.99, 1.0, 2.9, 3.0, 9.0]))
    np.testing.assert_array_equal(held, values[[0, 0, 0, 1, 1, 2, 2]])
    before, after = rng.normal(size=(2, 3, 3))
    spline = Translations(times, values, tangents=(before, after))
    np.testing.assert_allclose(spline.at(times), values)
    h = 1e-6
    np.testing.assert_allclose((spline.at(times[:2] + h) - values[:2]) / h, after[:2], atol=1e-4)
    np.testing.assert_allclose((values[1:] - spline.at(times[1:] - h)) / h, before[1:], atol=1e-4)
    quaternions = Rotation.random(3, rng=rng).as_quat()
    bent = Rotations(times, quaternions, tangents=(np.zeros((3, 4)), np.zeros((3, 4)))).at(np.array([0.5, 1.0, 2.2]))
    np.testing.assert_allclose(bent @ bent.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-9)
    np.testing.assert_allclose(bent[1], Rotation.from_quat(quaternions[1]).as_matrix(), atol=1e-9)


def test_the_shorter_arc_is_taken_whichever_sign_a_quaternion_has(rng):
    a, b = Rotation.random(2, rng=rng).as_quat()
    for sign in (1, -1):
        got = Rotations(np.array([0.0, 1.0]), np.stack([a, sign * b])).at(np.array([0.0, 0.3, 1.0]))
        np.testing.assert_allclose(got, Slerp([0, 1], Rotation.from_quat([a, b]))([0, 0.3, 1.0]).as_matrix(), atol=1e-9)
    np.testing.assert_allclose(
        Rotations(np.array([0.0, 1.0]), np.stack([a, a])).at(np.array([0.5]))[0], Rotation.from_quat(a).as_matrix()
    )


def test_each_animation_of_each_character_is_a_clip(rig, rng):
    file = Builder()
    twice = rig + [dict(node, children=[child + 6 for child in node["children"]]) for node in rig]
    file.json["nodes"] = twice
    file.json["skins"] = [{"joints": [1, 2, 3, 4, 5]}, {"joints": [7, 8, 9, 10, 11]}, {"joints": [2, 3]}]
    for name in ("walk", "run"):
        file.animate([(i, *rest) for base in (0, 6) for i, *rest in [(base + 1, *moves(rng)[0][1:])]], name)
    clips = read_all(file.glb(), "both.glb")
    assert [clip.name for clip in clips] == ["both/1 walk 1", "both/1 walk 2", "both/2 run 1", "both/2 run 2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda j: j["nodes"][0].update(children=[1, 1]), "expected each node below one other"),
        (lambda j: j["nodes"][5].update(children=[1]), "expected each node below one other"),
        (lambda j: (j["nodes"][0].update(children=[]), j["nodes"][5].update(children=[1])), "nodes hang in a circle"),
        (lambda j: j["nodes"][1].update(children=[99]), "node 1 has the child 99"),
        (lambda j: j["nodes"][1].update(scale=[1, 2, 1]), "a scale of 1, 2, 1, expected one positive number"),
        (lambda j: j["nodes"][1].update(scale=[-1, -1, -1]), "expected one positive number"),
        (lambda j: j["nodes"][1].update(rotation=[0, 0, 0, 0]), "a rotation of length 1"),
        (lambda j: j["nodes"][1].update(rotation=[0, 0, 0]), "not glTF 2.0: Expected `array` of length 4"),
        (lambda j: j["nodes"][1].update(matrix=[1.0] * 4), "a matrix of 4 numbers"),
        (lambda j: j["accessors"][0].update(count=99), "99 items reach beyond their part of the file"),
        (lambda j: j["accessors"][0].update(byteOffset=-4), "reach beyond"),
        (lambda j: j["accessors"][0].update(bufferView=7777), "no part of the file belongs to it"),
        (lambda j: j["accessors"][0].update(sparse={"count": 1}), "not sparse"),
        (lambda j: j["accessors"][1].update(type="VEC4"), "expected 3 numbers"),
        (lambda j: j["bufferViews"][0].update(byteOffset=-8), "reach beyond"),
        (lambda j: j["bufferViews"][0].update(byteLength=1 << 40), "reach beyond"),
        (lambda j: j["bufferViews"][0].update(byteStride=1), "reach beyond"),
        (lambda j: j["bufferViews"][0].update(buffer=3), "buffer 3, expected one of 1"),
        (lambda j: j["animations"][0]["channels"][0].update(sampler=99), "sampler 99"),
        (lambda j: j["animations"][0]["channels"][0]["target"].update(node=99), "node 99"),
        (lambda j: j["animations"][0]["samplers"][0].update(interpolation="MAGIC"), "interpolation 'MAGIC'"),
        (lambda j: j["animations"][0]["samplers"][0].update(interpolation="CUBICSPLINE"), "10 values at 10 times"),
        (lambda j: j["animations"][0].update(channels=[]), "moves no node"),
        (lambda j: j.update(skins=[{"joints": [99]}]), "a skin of nodes that are not there"),
        (lambda j: j["nodes"][1].update(name="other"), "unknown skeleton"),
        (lambda j: j.update(nodes=[]), "0 nodes"),
        (lambda j: j.update(animations=[]), "no animation in it"),
    ],
)
def test_a_broken_file_is_one_line(change, message, rig, rng):
    file = Builder()
    file.json["nodes"] = rig
    file.animate(moves(rng))
    change(file.json)
    with pytest.raises(ReadError, match=message) as caught:
        read_all(file.glb())
    assert str(caught.value).isprintable()


def test_numbers_in_other_files_are_asked_for_in_one(rig, rng):
    file = Builder()
    file.json["nodes"] = rig
    file.animate(moves(rng))
    text = json.dumps(file.json | {"buffers": [{"byteLength": 9, "uri": "../../etc/passwd"}]}).encode()
    with pytest.raises(ReadError, match=r"its numbers are in another file, '../../etc/passwd'; export it as one .glb"):
        read_all(text, "walk.gltf")


def test_an_animated_scale_is_refused_and_a_still_one_is_not(rig, rng):
    for values, fine in ((np.full((10, 3), 1.0), True), (np.linspace(1, 2, 30).reshape(10, 3), False)):
        file = Builder()
        file.json["nodes"] = rig
        file.animate([*moves(rng), (1, "scale", TIMES, values, "LINEAR")])
        if fine:
            assert len(read_all(file.glb())) == 1
        else:
            with pytest.raises(ReadError, match="'hips' is scaled by the animation"):
                read_all(file.glb())


def test_a_long_time_between_few_keys_is_unreasonable(rig):
    file = Builder()
    file.json["nodes"] = rig
    file.animate([(1, "translation", [0.0, 1e9], np.zeros((2, 3)), "LINEAR")])
    with pytest.raises(ReadError, match="frames from 2 keyframes at 30 Hz, which is unreasonable"):
        read_all(file.glb())


def test_numbers_used_again_and_again_are_refused(rig):
    file = Builder()
    file.json["nodes"] = rig
    file.animate([(1, "translation", np.arange(200_000) / 30, np.zeros((200_000, 3)), "LINEAR")])
    one = file.json["animations"][0]
    one["channels"] = [{"sampler": 0, "target": {"node": i % 6, "path": "translation"}} for i in range(1000)]
    with pytest.raises(ReadError, match="many times the file"):
        read_all(file.glb())


@pytest.mark.parametrize("cut", [0, 8, 16, 200, -4])
def test_a_cut_file_is_one_line(cut, rig, rng):
    file = Builder()
    file.json["nodes"] = rig
    file.animate(moves(rng))
    with pytest.raises(ReadError, match=r"^walk.glb: "):
        read_all(file.glb()[:cut])


def test_a_model_without_animation_is_no_motion(rig):
    file = Builder()
    file.json["nodes"] = rig
    with pytest.raises(NotMotion, match="no animation"):
        read_all(file.glb())
