"""BVH files of one adult in the names, units, axes and habits of many programs."""

import warnings
from dataclasses import dataclass
from itertools import count

import numpy as np
from scipy.spatial.transform import Rotation

# Metres, T-pose, facing -y, their left +x, z up: (joint, parent, position); sides are written for the left.
MIDDLE = {
    "hips": (None, (0, 0, 0.95)),
    "spine": ("hips", (0, 0.01, 1.07)),
    "spine1": ("spine", (0, 0.01, 1.20)),
    "spine2": ("spine1", (0, 0.01, 1.32)),
    "neck": ("spine2", (0, 0.01, 1.47)),
    "head": ("neck", (0, -0.01, 1.57)),
}
SIDE = {
    "hip": ("hips", (0.09, 0, 0.91)),
    "knee": ("hip", (0.09, 0, 0.48)),
    "ankle": ("knee", (0.09, 0.01, 0.075)),
    "toe": ("ankle", (0.09, -0.13, 0.02)),
    "collar": ("spine2", (0.03, 0, 1.42)),
    "shoulder": ("collar", (0.17, 0.01, 1.42)),
    "elbow": ("shoulder", (0.45, 0.01, 1.42)),
    "wrist": ("elbow", (0.70, 0.01, 1.42)),
}
ENDS = {"head": (0, -0.01, 1.77), "toe": (0.09, -0.2, 0.02), "wrist": (0.88, 0.01, 1.42)}
# Where bones end whose next joint is left out.
ENDS |= {"neck": (0, -0.01, 1.57), "knee": (0.09, 0.01, 0.075), "elbow": (0.70, 0.01, 1.42)}
UNITS = {
    "m": 1.0,
    "cm": 0.01,
    "mm": 0.001,
    "inch": 0.0254,
    "cmu": 0.0254 / 0.45,
    "dm": 0.1,
    "foot": 0.3048,
    "fair": 0.04,
    "twice": 0.005,
}

_LEFT = {"left": "Left", "right": "Right"}
_L = {"left": "L", "right": "R"}
_SMALL = {"left": "l", "right": "r"}


def _names(middle, side):
    middle = dict(zip(MIDDLE, middle.split(), strict=True))
    return middle, dict(zip(SIDE, side.split(), strict=True))


_UPLEG = _names("Hips Spine Spine1 Spine2 Neck Head", "UpLeg Leg Foot ToeBase Shoulder Arm ForeArm Hand")
_HIP_KNEE = _names("Hips Chest Chest2 Chest3 Neck Head", "Hip Knee Ankle Toe Collar Shoulder Elbow Wrist")
_MVN = _names("Pelvis L5 L3 T8 Neck Head", "UpperLeg LowerLeg Foot Toe Shoulder UpperArm ForeArm Hand")
_BIPED = _names("Pelvis Spine Spine1 Spine2 Neck Head", "Thigh Calf Foot Toe0 Clavicle UpperArm Forearm Hand")
_UNREAL = _names(
    "pelvis spine_01 spine_02 spine_03 neck_01 head", "thigh calf foot ball clavicle upperarm lowerarm hand"
)
_DAZ = _names("hip abdomen chest chestUpper neck head", "Thigh Shin Foot Toe Collar Shldr ForeArm Hand")
_GENESIS = _names(
    "hip abdomenLower abdomenUpper chestLower neckLower head",
    "ThighBend Shin Foot Toe Collar ShldrBend ForearmBend Hand",
)
_UNITY = _names("Hips Spine Chest UpperChest Neck Head", "UpperLeg LowerLeg Foot Toes Shoulder UpperArm LowerArm Hand")
_ROKOKO = _names("Hips Spine1 Spine2 Spine4 Neck Head", "Thigh Shin Foot Toe Shoulder Arm ForeArm Hand")
_SMPL = _names("Pelvis Spine1 Spine2 Spine3 Neck Head", "Hip Knee Ankle Foot Collar Shoulder Elbow Wrist")
_RIGIFY = _names(
    "spine spine.001 spine.002 spine.003 spine.004 spine.006", "thigh shin foot toe shoulder upper_arm forearm hand"
)
_MAYA = _names("Root_M Spine1_M Spine2_M Chest_M Neck_M Head_M", "Hip Knee Ankle Toes Scapula Shoulder Elbow Wrist")
_MOTIVE = _names("Hip Ab Chest Chest2 Neck Head", "Thigh Shin Foot Toe Shoulder UArm FArm Hand")
_IPI = _names("Hip LowerSpine MiddleSpine Chest Neck Head", "Thigh Shin Foot Toe Clavicle Shoulder Forearm Hand")
_MAKEHUMAN = _names(
    "root spine05 spine03 spine01 neck01 head", "upperleg01 lowerleg01 foot toe1-1 clavicle upperarm01 lowerarm01 wrist"
)
_AUTORIG = _names(
    "root.x spine_01.x spine_02.x spine_03.x neck.x head.x",
    "thigh_stretch leg_stretch foot toes_01 shoulder arm_stretch forearm_stretch hand",
)
_SECOND_LIFE = _names(
    "mPelvis mTorso mChest mSpine4 mNeck mHead", "mHip mKnee mAnkle mFoot mCollar mShoulder mElbow mWrist"
)
_FORTRESS = _names(
    "bip_pelvis bip_spine_0 bip_spine_1 bip_spine_2 bip_neck bip_head",
    "bip_hip bip_knee bip_foot bip_toe bip_collar bip_upperArm bip_lowerArm bip_hand",
)
_DOTA = _names(
    "pelvis spine_0 spine_1 spine_2 neck_0 head_0", "leg_upper leg_lower ankle ball clavicle arm_upper arm_lower hand"
)
_CAT = _names("Pelvis Spine1 Spine2 Ribcage Neck Head", "Thigh Calf Foot Toe Collarbone Upperarm Forearm Palm")
_DANCE = _names("センター 上半身 上半身1 上半身2 首 頭", "足 ひざ 足首 つま先 肩 腕 ひじ 手首")
_AZURE = _names("PELVIS SPINE_NAVEL SPINE_A SPINE_CHEST NECK HEAD", "HIP KNEE ANKLE FOOT CLAVICLE SHOULDER ELBOW WRIST")
_counted = count(1)

FAMILIES = {
    "upleg": (_UPLEG, lambda s, n: _LEFT.get(s, "") + n),
    "mixamo": (_UPLEG, lambda s, n: f"mixamorig:{_LEFT.get(s, '')}{n}"),
    "mixamo7": (_UPLEG, lambda s, n: f"mixamorig7:{_LEFT.get(s, '')}{n}"),
    "mixamo glued": (_UPLEG, lambda s, n: f"mixamorig{_LEFT.get(s, '')}{n}"),
    "armature": (_UPLEG, lambda s, n: f"Armature|{_LEFT.get(s, '')}{n}"),
    "character": (_UPLEG, lambda s, n: f"Character1_{_LEFT.get(s, '')}{n}"),
    "nested": (_UPLEG, lambda s, n: f"Scene:Jesse:{_LEFT.get(s, '')}{n}"),
    "lower case": (_UPLEG, lambda s, n: f"{_LEFT.get(s, '')}{n}".lower()),
    "hip_knee": (_HIP_KNEE, lambda s, n: _LEFT.get(s, "") + n),
    "jnt": (_HIP_KNEE, lambda s, n: "_".join(filter(None, (_L.get(s), n, "JNT")))),
    "mvn": (_MVN, lambda s, n: _LEFT.get(s, "") + n),
    "rokoko": (_ROKOKO, lambda s, n: _LEFT.get(s, "") + n),
    "biped": (_BIPED, lambda s, n: " ".join(filter(None, ("Bip01", _L.get(s), n)))),
    "biped underscored": (_BIPED, lambda s, n: "_".join(filter(None, ("Bip001", _L.get(s), n)))),
    "valve": (_BIPED, lambda s, n: "_".join(filter(None, ("ValveBiped.Bip01", _L.get(s), n)))),
    "unreal": (_UNREAL, lambda s, n: n + (f"_{_SMALL[s]}" if s else "")),
    "daz": (_DAZ, lambda s, n: _SMALL.get(s, "") + n),
    "genesis": (_GENESIS, lambda s, n: _SMALL.get(s, "") + n),
    "unity": (_UNITY, lambda s, n: _LEFT.get(s, "") + n),
    "vroid": (_UNITY, lambda s, n: f"J_Bip_{_L.get(s, 'C')}_{n}"),
    "blender": (_UNITY, lambda s, n: n + (f".{_L[s]}" if s else "")),
    "vrchat": (_UNITY, lambda s, n: n + (f"_{_L[s]}" if s else "")),
    "smpl": (_SMPL, lambda s, n: (f"{_L[s]}_" if s else "") + n),
    "smplx": (_SMPL, lambda s, n: ((f"{s}_" if s else "") + n).lower()),
    "rigify": (_RIGIFY, lambda s, n: n + (f".{_L[s]}" if s else "")),
    "rigify def": (_RIGIFY, lambda s, n: "DEF-" + n + (f".{_L[s]}" if s else "")),
    "maya": (_MAYA, lambda s, n: n + (f"_{_L[s]}" if s else "")),
    "motive": (_MOTIVE, lambda s, n: f"Skeleton 001:{_L.get(s, '')}{n}"),
    "ipi": (_IPI, lambda s, n: _L.get(s, "") + n),
    "makehuman": (_MAKEHUMAN, lambda s, n: n + (f".{_L[s]}" if s else "")),
    "auto-rig": (_AUTORIG, lambda s, n: n + (f".{_SMALL[s]}" if s else "")),
    "second life": (_SECOND_LIFE, lambda s, n: n + _LEFT.get(s, "")),
    "fortress": (_FORTRESS, lambda s, n: n + (f"_{_L[s]}" if s else "")),
    "dota": (_DOTA, lambda s, n: n + (f"_{_L[s]}" if s else "")),
    "cat": (_CAT, lambda s, n: f"Human{_L.get(s, '')}{n}"),
    "mikumikudance": (_DANCE, lambda s, n: {"left": "左", "right": "右"}.get(s, "") + n),
    "azure": (_AZURE, lambda s, n: n + (f"_{_LEFT[s].upper()}" if s else "")),
    "lft": (_UPLEG, lambda s, n: {"left": "Lft_", "right": "Rgt_"}.get(s, "") + n),
    "lf": (_UPLEG, lambda s, n: {"left": "lf_", "right": "rt_"}.get(s, "") + n.lower()),
    "counted": (_UPLEG, lambda s, n: f"mixamorig:{_LEFT.get(s, '')}{n}_{next(_counted):02d}"),
    "second of its kind": (_UPLEG, lambda s, n: f"{_LEFT.get(s, '')}{n}.001"),
    "arms of another": (
        _names("Hips Spine Spine1 Spine2 Neck Head", "UpLeg Leg Foot Toe Collar Shoulder Elbow Wrist"),
        lambda s, n: _LEFT.get(s, "") + n,
    ),
}


@dataclass
class Joint:
    name: str
    role: str
    parent: int
    at: np.ndarray


def rig(naming="upleg", *, a_pose=False, fingers=False, twists=False, spines=0, hip_joints=False, helper=False):
    """The joints of a rig in metres, z up."""
    (middle, side), spell = FAMILIES[naming]
    joints: list[Joint] = []
    place: dict[str, int] = {}

    def add(role, name, parent, at):
        place[role] = len(joints)
        joints.append(Joint(name, role, place[parent] if parent else -1, np.array(at, float)))

    def limbs(of):
        for s, sign in (("left", 1), ("right", -1)):
            for part, (parent, at) in SIDE.items():
                above = parent if parent in MIDDLE else f"{s}_{parent}"
                if (above in MIDDLE and above != of) or (above not in MIDDLE and above not in place):
                    continue
                role = f"{s}_{part}"
                if role in place:
                    continue
                point = _arm(part, np.array(at, float), a_pose) * (sign, 1, 1)
                if hip_joints and part == "hip":
                    add(f"{s}_hipjoint", spell(s, "HipJoint"), above, joints[place[above]].at)
                    above = f"{s}_hipjoint"
                add(role, spell(s, side[part]), above, point)
                if twists and part in ("hip", "shoulder"):
                    child = _arm(
                        *{"hip": ("knee",), "shoulder": ("elbow",)}[part],
                        np.array(SIDE[{"hip": "knee", "shoulder": "elbow"}[part]][1], float),
                        a_pose,
                    ) * (sign, 1, 1)
                    add(f"{role}_twist", spell(s, side[part] + "Twist"), role, (point + child) / 2)
                if fingers and part == "wrist":
                    for finger in ("Thumb", "Index", "Middle", "Ring", "Pinky"):
                        before = role
                        for k in range(1, 4):
                            tip = point + np.array([sign * 0.04 * k, 0.02 * len(finger) - 0.1, 0])
                            add(f"{role}{finger}{k}", spell(s, f"Hand{finger}{k}"), before, tip)
                            before = f"{role}{finger}{k}"

    for role, (parent, at) in MIDDLE.items():
        if role == "hips" and helper:
            add("above", spell("", "Reference"), None, (0, 0, 0))
            parent = "above"
        add(role, spell("", middle[role]), parent, at)
        if role == "spine" and spines:
            step = (np.array(MIDDLE["spine1"][1], float) - joints[place["spine"]].at) / (spines + 1)
            for k in range(1, spines + 1):
                add(
                    f"extra{k}",
                    spell("", f"SpineMore{k}"),
                    f"extra{k - 1}" if k > 1 else "spine",
                    joints[place["spine"]].at + step * k,
                )
        if role == "spine1" and spines:
            joints[place["spine1"]].parent = place[f"extra{spines}"]
    for of in ("hips", "spine2"):
        limbs(of)
    return joints


def _arm(part, at, a_pose):
    """Arms of an A-pose hang by 45 degrees."""
    if not a_pose or part not in ("elbow", "wrist"):
        return at
    shoulder = np.array(SIDE["shoulder"][1], float)
    x, y, z = at - shoulder
    return shoulder + np.array([x * np.sqrt(0.5), y, z - x * np.sqrt(0.5)])


def without(joints, roles):
    """A rig that lacks some joints; what was below them hangs from what was above."""
    kept = [i for i, joint in enumerate(joints) if joint.role not in roles]
    place = {i: at for at, i in enumerate(kept)}

    def above(i):
        parent = joints[i].parent
        while parent >= 0 and parent not in place:
            parent = joints[parent].parent
        return place.get(parent, -1)

    return [Joint(joints[i].name, joints[i].role, above(i), joints[i].at) for i in kept]


def bvh(
    joints,
    *,
    unit="cm",
    up="y",
    turned=None,
    aligned=False,
    frames=12,
    fps=30.0,
    ends=True,
    wave=True,
    size=1.0,
    moved=None,
):
    """The text of a BVH file.

    `turned` gives the rotation of the body in each frame (z up; the person standing if not given); with `aligned`
    every joint's space has its x axis along its bone, so that the pose of zero rotations is no body. `moved` turns all
    of the motion in the file's axes, and leaves the OFFSETs as they are.
    """
    to = np.eye(3) if up == "z" else np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
    at = np.array([joint.at for joint in joints]) * size @ to.T / UNITS[unit]
    children = {i: [k for k, joint in enumerate(joints) if joint.parent == i] for i in range(-1, len(joints))}
    tips = {}
    for i, joint in enumerate(joints):
        if not children[i]:
            side, _, part = joint.role.rpartition("_")
            tip = ENDS.get(part or joint.role, joint.at - np.array([0, 0, 0.02]))
            if side and part in ENDS:
                tip = np.array(tip) * ((1 if side == "left" else -1), 1, 1)
            tips[i] = np.asarray(tip) * size @ to.T / UNITS[unit]
    own = [Rotation.identity()] * len(joints)
    if aligned:
        own = [_along((at[children[i][0]] if children[i] else tips[i]) - at[i]) for i in range(len(joints))]
    lines, order = ["HIERARCHY"], []

    def write(i, depth):
        pad = "\t" * depth
        order.append(i)
        parent = joints[i].parent
        offset = own[parent].inv().apply(at[i] - at[parent]) if parent >= 0 else np.zeros(3)
        lines.extend(
            [f"{pad}{'JOINT' if parent >= 0 else 'ROOT'} {joints[i].name}", pad + "{", f"{pad}\tOFFSET {_text(offset)}"]
        )
        shifts = "" if parent >= 0 else "Xposition Yposition Zposition "
        lines.append(f"{pad}\tCHANNELS {3 if parent >= 0 else 6} {shifts}Zrotation Xrotation Yrotation")
        for child in children[i]:
            write(child, depth + 1)
        if not children[i] and ends:
            lines.extend(
                [
                    f"{pad}\tEnd Site",
                    pad + "\t{",
                    f"{pad}\t\tOFFSET {_text(own[i].inv().apply(tips[i] - at[i]))}",
                    pad + "\t}",
                ]
            )
        lines.append(pad + "}")

    write(0, 0)
    basis = Rotation.from_matrix(to)
    rows = []
    for frame in range(frames):
        body = turned[frame] if turned is not None else Rotation.identity()
        body = basis * body * basis.inv()
        low = min(
            (joint.at[2] if turned is None else turned[frame].apply(joint.at - joints[0].at)[2]) for joint in joints
        )
        lift = 0.0 if turned is None else 0.02 - low - joints[0].at[2]
        place = at[0] + (np.array([0.02 * frame, 0, lift * size]) @ to.T) / UNITS[unit]
        if moved is not None:
            place, body = moved.apply(place), moved * body
        if joints[0].role == "above":
            place = at[0]
        row = [*place]
        for i in order:
            bend = Rotation.identity()
            if wave and joints[i].role.endswith("elbow"):
                bend = (
                    basis
                    * Rotation.from_rotvec([0, 0, (-0.05 if "left" in joints[i].role else 0.05) * frame])
                    * basis.inv()
                )
            space = bend * own[i]
            before = own[joints[i].parent] if joints[i].parent >= 0 else Rotation.identity()
            local = (before.inv() * space) if joints[i].parent >= 0 else (body * space)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # at 90 degrees several angles say the same
                row += local.as_euler("ZXY", degrees=True).tolist()
        rows.append(" ".join(f"{value:.6f}" for value in row))
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.7f}", *rows]
    return "\n".join(lines) + "\n"


def _along(bone):
    x = bone / np.linalg.norm(bone)
    y = np.cross([0.3, 0.5, 0.8], x)
    y /= np.linalg.norm(y)
    return Rotation.from_matrix(np.array([x, y, np.cross(x, y)]).T)


def _text(vector):
    return " ".join(f"{value:.6f}" for value in vector)
