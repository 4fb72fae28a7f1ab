"""The lifting protocol: poses that lifters propose for simulated photos, held against the poses that were photographed.

No ground truth enters a prediction. The photographed person has its own proportions, the camera full perspective. The
truth is the pose in the space of the camera that looks at the person, pelvis at the origin. As one image does not tell
a person's size, it is scaled to the torso of the reference body, which all hypotheses have.
"""

__all__ = ["AMBIGUOUS", "LIFT_CONDITIONS", "LiftingProtocol", "LiftingViews", "evaluate_lifting", "simulate_lifting"]

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Shaped

from vipe.arrays import Array
from vipe.detections import Keypoints, normalize_keypoints
from vipe.errors import VipeError
from vipe.evaluate.conditions import CONDITIONS, Condition
from vipe.evaluate.protocols.lifting_report import LiftingReport, LiftingScore
from vipe.evaluate.protocols.lifting_scores import score_hypotheses
from vipe.evaluate.study import Progress, quiet
from vipe.geometry.bones import bone_lengths
from vipe.geometry.cameras import look_at
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.lift.lifter import Lifter
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.detector import NOISE_003
from vipe.simulate.rigs import Views, random_views
from vipe.skeletons.working import BONES, COCO13, H36M17
from vipe.store import PoseStore
from vipe.store.store import Where

AMBIGUOUS = Condition(name="ambiguous", noise=NOISE_003)
"""One or two limb joints of each person have a spread of 5 px in a heatmap of 64 px, which the covariance tells."""

LIFT_CONDITIONS: tuple[Condition, ...] = (*(one for one in CONDITIONS if one.name != "one joint off"), AMBIGUOUS)
"""The conditions of the search protocol without the joint off by half a body, and the ambiguous people."""

_AMBIGUOUS_SPREAD = 5 / 64 * 4.3  # RMS radii: a crop of 64 px holds a person with a margin, about 4.3 RMS radii
_LIMBS = [i for i, joint in enumerate(COCO13.joints) if joint.split("_")[-1] in ("elbow", "wrist", "knee", "ankle")]
_TORSO = [BONES.index("spine"), BONES.index("thorax")]


@dataclass(frozen=True, kw_only=True)
class LiftingProtocol:
    """What is photographed, how often it is sampled, and what of the detector reaches the lifter.

    Raises:
        VipeError: If a number is out of its range, or conditions share a name.
    """

    rig: str = "random"  # all around the person, 0.5 below to 0.8 radians above it; or the name of a camera rig
    distance: float = 4.0  # metres
    queries: int = 300  # evenly spaced over the frames
    samples: int = 200
    conditions: tuple[Condition, ...] = LIFT_CONDITIONS
    observed: Literal["covariance", "keypoints"] = "covariance"  # of the simulated detector
    seed: int = 0
    draws: int = 2000  # of the bootstrap

    def __post_init__(self) -> None:
        for name in ("queries", "draws"):
            if getattr(self, name) < 1:
                raise VipeError(f"lifting protocol: {name} must be at least 1, got {getattr(self, name)}")
        if self.samples < 2:
            raise VipeError(f"lifting protocol: samples must be at least 2, got {self.samples}")
        names = [condition.name for condition in self.conditions]
        if not names or len(set(names)) < len(names):
            raise VipeError(f"lifting protocol: conditions must be at least one, each with its own name, got {names}")
        if self.observed not in ("covariance", "keypoints"):
            raise VipeError(f"lifting protocol: observed must be covariance or keypoints, got {self.observed!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain values; of each condition its name."""
        return asdict(self) | {"conditions": [condition.name for condition in self.conditions]}


@dataclass(frozen=True, kw_only=True)
class LiftingViews:
    """Simulated photos of some poses, and the poses as their cameras see them."""

    people: Keypoints
    truth: Float32[Array, "N 17 3"]  # camera space, pelvis at 0, metres of a person whose torso is the reference body's
    clip: Shaped[Array, " N"]
    action: Shaped[Array, " N"]


def evaluate_lifting(
    store: PoseStore,
    lifters: Mapping[str, Lifter],
    *,
    protocol: LiftingProtocol | None = None,
    where: Where = None,
    progress: Progress | None = None,
) -> LiftingReport:
    """Photograph poses of a store under each condition, lift them by each lifter, and score the hypotheses.

    All lifters see the same photos. Each draws from a generator of the protocol's seed.

    Args:
        store: Recorded poses: own proportions, metres, z up.
        lifters: By the names that the report gives them.
        protocol: Sizes and conditions.
        where: Frames of the store to take, such as {"clip": [...]}.
        progress: Told how far it is.

    Raises:
        VipeError: If there is no lifter, or no pose is chosen.
    """
    start = time.perf_counter()
    protocol = protocol or LiftingProtocol()
    tell = progress or quiet
    if not lifters:
        raise VipeError("lifting: no lifter to evaluate; name at least one")
    poses, clip, action = _chosen(store, where, protocol.queries)
    scores: list[LiftingScore] = []
    total = len(protocol.conditions) * len(lifters)
    for condition in protocol.conditions:
        views = simulate_lifting(poses, clip, action, condition, protocol)
        for name, lifter in lifters.items():
            tell("lifting", len(scores), total, f"{name}, {condition.name}")
            scores.append(
                score_hypotheses(
                    lifter,
                    views.people,
                    views.truth,
                    name=name,
                    condition=condition.name,
                    clips=views.clip,
                    actions=views.action,
                    samples=protocol.samples,
                    seed=protocol.seed,
                    draws=protocol.draws,
                )
            )
    tell("lifting", total, total, "")
    return LiftingReport(
        protocol=protocol.to_json(),
        scores=tuple(scores),
        queries=len(poses),
        clips=len(np.unique(clip)),
        seconds=round(time.perf_counter() - start, 3),
    )


def simulate_lifting(
    poses: Float[Array, "N 17 3"],
    clip: Shaped[Array, " N"],
    action: Shaped[Array, " N"],
    condition: Condition,
    protocol: LiftingProtocol,
) -> LiftingViews:
    """Photograph each pose once; every condition sees it from the same camera, with the same draws of noise."""
    generator = np.random.default_rng(protocol.seed)
    if protocol.rig == "random":
        views = replace(random_views(len(poses), generator=generator), distance=None)
    else:
        cameras = CameraRig.load(protocol.rig).cameras
        views = Views.of([cameras[i] for i in generator.integers(len(cameras), size=len(poses))])
    people = simulate_keypoints(poses, views, distance=protocol.distance, noise=condition.noise, generator=generator)
    if condition.hidden:
        sets = np.array([[joint in joints for joint in COCO13.joints] for joints in condition.hidden])
        people = replace(people, mask=people.mask & ~sets[generator.integers(len(sets), size=len(people))])
    if condition.name == AMBIGUOUS.name:
        people = _with_ambiguous_joints(people, generator)
    if protocol.observed == "keypoints":
        people = replace(people, covariance=None)
    return LiftingViews(people=people, truth=_in_camera(poses, views), clip=clip, action=action)


def _with_ambiguous_joints(people: Keypoints, generator: np.random.Generator) -> Keypoints:
    """One or two limb joints of each person drawn anew, with a large spread that the covariance tells."""
    radius = normalize_keypoints(people)[2].astype(np.float64)
    order = generator.random((len(people), len(_LIMBS))).argsort(axis=1)
    count = generator.integers(1, 3, size=len(people))
    chosen = np.zeros(people.mask.shape, dtype=bool)
    chosen[:, _LIMBS] = order < count[:, None]
    spread = _AMBIGUOUS_SPREAD * radius[:, None, None]
    moved = people.xy + spread * generator.standard_normal(people.xy.shape)
    covariance = np.zeros((*people.xy.shape, 2)) if people.covariance is None else people.covariance
    wide = spread[..., None] ** 2 * np.eye(2)
    return replace(
        people,
        xy=np.where(chosen[..., None], moved, people.xy).astype(np.float32),
        covariance=np.where(chosen[..., None, None], covariance + wide, covariance).astype(np.float32),
    )


def _in_camera(poses: Float[Array, "N 17 3"], views: Views) -> Float32[Array, "N 17 3"]:
    """Poses in the space of cameras that look at them, pelvis at the origin, with the torso of the reference body."""
    azimuth, elevation, roll = (torch.from_numpy(part) for part in (views.azimuth, views.elevation, views.roll))
    one = torch.ones(len(poses), dtype=torch.float64)
    target = torch.zeros(len(poses), 3, dtype=torch.float64)
    R_cam_world, _ = look_at(azimuth, elevation, one, roll, target)
    centred = torch.from_numpy(poses.astype(np.float64) - poses[:, :1])
    torso = bone_lengths(centred, H36M17.parents)[:, _TORSO].sum(-1)
    truth = centred @ R_cam_world.mT * (REFERENCE_TORSO / torso)[:, None, None]
    result: Float32[Array, "N 17 3"] = truth.to(torch.float32).numpy()
    return result


def _chosen(
    store: PoseStore, where: Where, queries: int
) -> tuple[Float32[Array, "N 17 3"], Shaped[Array, " N"], Shaped[Array, " N"]]:
    """Evenly spaced frames of the store: poses, clips and actions."""
    table = store.table(["clip", "action"], where)
    if not len(table):
        raise VipeError(f"{store.path}: no frame is chosen; does the split name its clips?")
    rows = np.linspace(0, len(table) - 1, min(queries, len(table))).round().astype(int)
    clip, action = (np.asarray(table[name].to_pylist(), dtype=object)[rows].astype(str) for name in ("clip", "action"))
    return store.poses(where)[rows], clip, action
