"""From channels, footholds and handholds to the positions of 17 joints (numpy)."""

__all__ = ["Feet", "figure"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vipe.arrays import Array
from vipe.simulate.motion.body import SIDED, SIDES, UNSIDED, Body
from vipe.simulate.motion.ik import middle_joint, reach_for_bend, turn_from_down
from vipe.skeletons.working import H36M17

_SIGN = np.array([1.0, -1.0])  # left is +y
_STRETCH = 0.9965  # share of a leg's length that a standing leg uses at most: the knee keeps 10 degrees
_LOWEST_ANKLE = 0.055
_LOWEST_WRIST = 0.05
_LOWEST_KNEE = 0.04
_LOWEST_ELBOW = 0.03
_SOFT = 0.016  # metres over which the pelvis gives way before a standing leg is stretched
_FORESIGHT = 0.1  # seconds before and after for which the pelvis shares in giving way
_BALANCE = 0.16  # pelvis goes back by this share of the height, times the sine of the trunk's lean
# How far the skin is from a joint, metres, for what may lie on the ground.
_FLESH = {
    "pelvis": 0.11,
    "hip": 0.08,
    "spine": 0.10,
    "thorax": 0.08,
    "nose": 0.03,
    "head": 0.03,
    "shoulder": 0.07,
    "elbow": 0.045,
}
_FLESH |= {"knee": 0.06, "ankle": _LOWEST_ANKLE}


@dataclass(frozen=True)
class Feet:
    """Where the ankles are wanted, left then right, and how much each foot bears: 1 while planted, 0 in the air."""

    ankles: Float[Array, "frames 2 3"]
    yaw: Float[Array, "frames 2"]
    bearing: Float[Array, "frames 2"]


def figure(
    body: Body, controls: Float[Array, "frames channels"], feet: Feet, fps: float = 30.0
) -> Float[Array, "frames 17 3"]:
    """Pose the body at every frame.

    The trunk, head and arms follow from the channels. The pelvis sinks as far as the standing legs need in order to
    reach their footholds (or lies on the ground, by the channel `rest`), then legs and held hands are solved between
    their two ends, so that a planted ankle is exactly where its foothold is.
    """
    c = {name: controls[:, i] for i, name in enumerate(UNSIDED)}
    sided = controls[:, len(UNSIDED) :].reshape(len(controls), 2, len(SIDED))
    s = {name: sided[:, :, i] for i, name in enumerate(SIDED)}

    pelvis_turn, upper = _upper_body(body, c, s)
    hips = (_SIGN * body.hip)[:, None] * pelvis_turn[:, None, :, 1]
    legs = _swung(s["leg_forward"], s["leg_out"]) * reach_for_bend(body.thigh, body.shank, s["knee"])[..., None]
    free_ankles = hips + _turned(pelvis_turn, legs)

    root = _balanced(body, c, feet)
    footholds = _heels_raised(feet, s["tiptoe"])
    _follow_feet(body, root, hips, footholds, feet.bearing * (1 - s["free"]) * (1 - c["rest"])[:, None])
    free_knees = middle_joint(hips, free_ankles, _knee_pole(pelvis_turn, legs, s["leg_twist"]), body.thigh, body.shank)
    lowest = {**upper, "hip": hips, "knee": free_knees, "ankle": free_ankles}
    root[:, 2] = _pelvis_height(body, root, c["rest"], lowest, footholds, s["free"], feet.bearing, fps)

    hips, knees, ankles = _legs(body, root, hips, pelvis_turn, footholds, free_ankles, s, feet.yaw - c["yaw"][:, None])
    upper = {name: points + (root if points.ndim == 2 else root[:, None]) for name, points in upper.items()}
    elbows, wrists = _held_arms(body, upper, s)

    out = np.empty((len(controls), 17, 3))
    for name, points in (("pelvis", root), *((n, upper[n]) for n in ("spine", "thorax", "nose", "head"))):
        out[:, _JOINT[name]] = points
    pairs = (("hip", hips), ("knee", knees), ("ankle", ankles))
    for name, points in (*pairs, ("shoulder", upper["shoulder"]), ("elbow", elbows), ("wrist", wrists)):
        out[:, _PAIR[name]] = points
    return out


_JOINT = {name: H36M17.index(name) for name in ("pelvis", "spine", "thorax", "nose", "head")}
_PAIR = {
    name: [H36M17.index(f"{side}_{name}") for side in SIDES]
    for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
}


def _upper_body(
    body: Body, c: dict[str, Array], s: dict[str, Array]
) -> tuple[Float[Array, "frames 3 3"], dict[str, Array]]:
    """Rotation of the pelvis, and joints above the pelvis as seen from it (world axes)."""
    lean = c["pitch"] + c["lumbar_bend"] + c["chest_bend"]
    low, high = -0.9, 0.85
    nod = np.clip(c["head_bend"] - c["gaze"] * lean, low, high)
    still = np.zeros_like(nod)
    turns = _euler(
        np.stack([c["yaw"], c["lumbar_twist"], c["chest_twist"], c["head_twist"] / 2, c["spin"]]),
        np.stack([c["pitch"], c["lumbar_bend"], c["chest_bend"], nod / 2, still]),
        np.stack([c["roll"], c["lumbar_lean"], c["chest_lean"], c["head_lean"] / 2, still]),
    )
    pelvis = turns[0] @ turns[4]
    lumbar = pelvis @ turns[1]
    chest = lumbar @ turns[2]
    neck = chest @ turns[3]
    skull = neck @ turns[3]
    spine = lumbar @ np.array(body.lumbar)
    thorax = spine + chest @ np.array(body.chest)
    # The skull nods on the neck, so thorax-nose would change its length: it is kept, and the nose moved along it.
    nose_length = float(np.linalg.norm(np.add(body.neck, body.nose)))
    nose = neck @ np.array(body.neck) + skull @ np.array(body.nose)
    nose *= nose_length / np.sqrt((nose * nose).sum(-1, keepdims=True))
    nose += thorax
    head = nose + skull @ np.subtract(body.crown, body.nose)

    # The shoulder blade turns with the arm: a third of the arm's elevation past 30 degrees (Inman 1944).
    swing = np.sqrt(s["arm_forward"] ** 2 + s["arm_out"] ** 2)
    up = (
        body.collar_slope + s["shrug"] + 0.22 * np.maximum(swing - 0.4, 0.0) ** 2 / (0.6 + np.maximum(swing - 0.4, 0.0))
    )
    front = body.collar_sweep + s["protract"] + 0.15 * np.sin(np.clip(s["arm_forward"], -1.5, 1.5))
    collar = body.collar * np.stack(
        [np.cos(up) * np.sin(front), _SIGN * np.cos(up) * np.cos(front), np.sin(up)], axis=-1
    )
    shoulder = thorax[:, None] + _turned(chest, collar)
    upper = _swung(s["arm_forward"], s["arm_out"])
    turn = -_SIGN * s["arm_twist"]
    bend = np.sin(s["elbow"])
    lower = turn_from_down(upper, np.stack([bend * np.cos(turn), bend * np.sin(turn), -np.cos(s["elbow"])], axis=-1))
    elbow = shoulder + _turned(chest, body.upper_arm * upper)
    wrist = elbow + _turned(chest, body.forearm * lower)
    points = {"spine": spine, "thorax": thorax, "nose": nose, "head": head}
    return pelvis, {**points, "shoulder": shoulder, "elbow": elbow, "wrist": wrist}


def _euler(yaw: Array, pitch: Array, roll: Array) -> Float[Array, "*batch 3 3"]:
    """Turn left about z, after leaning forward about y, after leaning right about x."""
    cz, sz, cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    out = np.empty((*yaw.shape, 3, 3))
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = -sy, cy * sx, cy * cx
    return out


def _swung(forward: Float[Array, "frames 2"], out: Float[Array, "frames 2"]) -> Float[Array, "frames 2 3"]:
    """Unit vectors of two limbs: straight down, swung by the angle |(forward, out)| in that direction."""
    angle = np.sqrt(forward**2 + out**2)
    # Past about 170 degrees the way round would no longer be told; no joint goes there.
    kept = np.minimum(angle, 2.95)
    share = np.sin(kept) / np.maximum(angle, 1e-9)
    return np.stack([share * forward, _SIGN * share * out, -np.cos(kept)], axis=-1)


def _turned(rotation: Float[Array, "frames 3 3"], vectors: Float[Array, "frames 2 3"]) -> Float[Array, "frames 2 3"]:
    turned: Array = vectors @ rotation.transpose(0, 2, 1)
    return turned


def _balanced(body: Body, c: dict[str, Array], feet: Feet) -> Float[Array, "frames 3"]:
    """Target of the pelvis: the place in its channels, moved back as the trunk leans forward."""
    root = np.stack([c["x"], c["y"], c["z"]], axis=-1)
    lean = np.clip(c["pitch"] + 0.6 * (c["lumbar_bend"] + c["chest_bend"]), -0.6, 1.6)
    standing = (1 - c["rest"]) * np.minimum(1, feet.bearing.sum(-1)) * np.cos(np.clip(c["pitch"], -1.5, 1.5))
    back = _BALANCE * body.height * np.sin(lean) * standing
    root[:, 0] -= back * np.cos(c["yaw"])
    root[:, 1] -= back * np.sin(c["yaw"])
    return root


def _heels_raised(feet: Feet, tiptoe: Float[Array, "frames 2"]) -> Float[Array, "frames 2 3"]:
    """Where the ankles are when heels are off the ground: up, and forward over the balls of the feet."""
    forward = 0.6 * tiptoe
    raised: Array = np.stack([forward * np.cos(feet.yaw), forward * np.sin(feet.yaw), tiptoe], axis=-1)
    return feet.ankles + raised


def _follow_feet(body: Body, root: Array, hips: Array, footholds: Array, standing: Float[Array, "frames 2"]) -> None:
    """Move the pelvis (in place) over feet that are further away than a leg reaches without kneeling."""
    for side in (0, 1, 0, 1):
        away = footholds[:, side, :2] - root[:, :2] - hips[:, side, :2]
        far = np.sqrt((away * away).sum(-1))
        excess = np.maximum(far - 0.9 * body.leg, 0.0) * standing[:, side]
        root[:, :2] += away * (excess / np.maximum(far, 1e-6))[:, None]


def _pelvis_height(
    body: Body,
    root: Array,
    rest: Array,
    points: dict[str, Array],
    footholds: Array,
    free: Array,
    bearing: Array,
    fps: float,
) -> Float[Array, " frames"]:
    """Height of the pelvis: its channel, as far as standing legs allow, blended with the height of a lying body."""
    hips = points["hip"]
    away = footholds - root[:, None] - hips
    flat = (away[..., :2] ** 2).sum(-1)
    # What a hip may be above its foothold; a foot in the air (or a free leg) does not hold the pelvis down.
    loose = 1 - bearing * (1 - free)
    room = np.sqrt(np.maximum((_STRETCH * body.leg) ** 2 - flat, 0.01)) + 0.25 * loose + 2.0 * loose**8
    most = footholds[..., 2] - hips[..., 2] + room
    height = root[:, 2]
    for side in (0, 1):
        height = most[:, side] - _SOFT * np.logaddexp(0.0, (most[:, side] - height) / _SOFT)
    height = root[:, 2] - _foreseen(root[:, 2] - height, max(1, round(_FORESIGHT * fps)))
    if not rest.any():
        return height
    down = [
        np.full_like(rest, _FLESH["pelvis"]),
        *(_FLESH[n] - points[n][:, 2] for n in ("spine", "thorax", "nose", "head")),
    ]
    for side in (0, 1):
        down += [_FLESH[name] - points[name][:, side, 2] for name in ("shoulder", "elbow", "hip")]
        # A leg counts as far as it is free; planted feet look after themselves.
        down += [free[:, side] * (_FLESH[n] - points[n][:, side, 2] + 1) - 1 for n in ("knee", "ankle")]
    lying = _SOFT * np.logaddexp.reduce(np.stack(down) / _SOFT, axis=0)
    blended: Array = (1 - rest) * height + rest * lying
    return blended


def _legs(
    body: Body,
    root: Array,
    hips: Array,
    pelvis: Array,
    footholds: Array,
    free_ankles: Array,
    s: dict[str, Array],
    foot_turn: Array,
) -> tuple[Array, Array, Array]:
    """Hips, knees and ankles in the world; lifts the pelvis (`root`, in place) where a knee would go into the ground.

    `hips` and `free_ankles` are seen from the pelvis; `foot_turn` is how far a foot points left of it.
    """
    # Knees go half way between the pelvis and a planted foot.
    turn_out = s["leg_twist"] + _SIGN * 0.5 * np.clip(foot_turn, -0.9, 0.9) * (1 - s["free"])
    free = s["free"][..., None]
    for _ in range(4):
        joints = hips + root[:, None]
        ankles = (1 - free) * footholds + free * (free_ankles + root[:, None])
        ankles[..., 2] = np.maximum(ankles[..., 2], _LOWEST_ANKLE)
        ankles = joints + _within_reach(ankles - joints, body.thigh, body.shank)
        ankles[..., 2] = np.maximum(ankles[..., 2], _LOWEST_ANKLE)
        pole = _knee_pole(pelvis, (ankles - joints) @ pelvis, turn_out)
        knees = middle_joint(joints, ankles, pole, body.thigh, body.shank)
        if knees[..., 2].min() > _LOWEST_KNEE:
            break
        # Someone who goes down on a knee stops when it touches: about twice its depth higher at the pelvis.
        deep = (_LOWEST_KNEE + 0.01 - knees[..., 2].min(axis=1)) / _SOFT
        root[:, 2] += 1.5 * _SOFT * np.logaddexp(0.0, deep)
    return joints, knees, ankles


def _foreseen(drop: Float[Array, " frames"], reach: int) -> Float[Array, " frames"]:
    """A smoothed drop that is nowhere smaller than the given one, by a window of 2 reach + 1 frames."""
    padded = np.pad(drop, 2 * reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view
    kernel = np.hanning(2 * reach + 3)[1:-1]
    # A mean of maxima, each taken over a window that contains the middle frame, is at least that frame's value.
    smooth: Array = windows(windows(padded, 2 * reach + 1).max(axis=-1), 2 * reach + 1) @ (kernel / kernel.sum())
    return smooth


def _within_reach(line: Float[Array, "frames 2 3"], upper: float, lower: float) -> Float[Array, "frames 2 3"]:
    """The lines, softly shortened or lengthened to what the limb can reach."""
    length = np.sqrt((line * line).sum(-1, keepdims=True))
    most, least = 0.9996 * (upper + lower), float(reach_for_bend(upper, lower, np.array([2.6]))[0])
    near = _STRETCH * (upper + lower)
    pressed = np.where(length > near, near + (most - near) * np.tanh((length - near) / (most - near)), length)
    pressed = np.where(length < 1.15 * least, least * (1 + 0.15 * np.exp((length / least - 1.15) / 0.15)), pressed)
    kept: Array = line * (pressed / np.maximum(length, 1e-6))
    return kept


def _knee_pole(
    pelvis: Float[Array, "frames 3 3"], line: Float[Array, "frames 2 3"], turn: Float[Array, "frames 2"]
) -> Float[Array, "frames 2 3"]:
    """Direction the knees point to (world), for legs along `line` (pelvis space) and turned out by `turn`."""
    line = line / np.maximum(np.sqrt((line * line).sum(-1, keepdims=True)), 1e-9)
    turn = _SIGN * turn
    ahead = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=-1)
    return _turned(pelvis, turn_from_down(line, ahead))


def _held_arms(body: Body, upper: dict[str, Array], s: dict[str, Array]) -> tuple[Array, Array]:
    """Elbows and wrists, with hands at their holds and none under the ground."""
    shoulders, elbows, wrists = upper["shoulder"], upper["elbow"], upper["wrist"]
    hold = s["hold"][..., None]
    if not hold.any() and (wrists[..., 2] >= _LOWEST_WRIST).all():
        return elbows, wrists
    targets = np.stack([s["hold_x"], s["hold_y"], s["hold_z"]], axis=-1)
    wanted = (1 - hold) * wrists + hold * targets
    wanted[..., 2] = np.maximum(wanted[..., 2], _LOWEST_WRIST)
    # The elbow stays in the plane the angles give it; of an arm that holds, it goes out and down. A straight arm shows
    # no plane, so a little of that is in every pole.
    out = _SIGN[:, None] * (shoulders[:, :1] - shoulders[:, 1:]) - 0.15 * np.array([0.0, 0.0, 1.0])
    pole = (1 - hold) * (elbows - (shoulders + wrists) / 2) + (0.1 + 0.3 * hold) * out
    wrists = shoulders + _within_reach(wanted - shoulders, body.upper_arm, body.forearm)
    elbows = middle_joint(shoulders, wrists, pole, body.upper_arm, body.forearm)
    if elbows[..., 2].min() < _LOWEST_ELBOW:
        # An elbow that would go into the ground gives way upwards, about the line from shoulder to wrist.
        deep = _SOFT * np.logaddexp(0.0, (_LOWEST_ELBOW + 0.01 - elbows[..., 2:]) / _SOFT)
        pole = pole + 15 * deep * np.array([0.0, 0.0, 1.0])
        elbows = middle_joint(shoulders, wrists, pole, body.upper_arm, body.forearm)
    return elbows, wrists
