"""A rig of a motion file: which body its joints are, and that body in metres, z up (numpy)."""

__all__ = ["Rig", "read_rig"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from vipe.arrays import Array
from vipe.errors import ReadError, SkeletonError
from vipe.readers.contract import Hints
from vipe.readers.rigs.kinematics import Node, Plan, forward_kinematics, world_axes
from vipe.skeletons.body import body_axes, find_unit, find_up, measure, unit_name
from vipe.skeletons.families import match_family
from vipe.skeletons.matching import Match, match
from vipe.skeletons.roles import Roles, body_skeleton
from vipe.skeletons.skeleton import Site, Skeleton, Up, convert
from vipe.skeletons.suggest import propose
from vipe.skeletons.working import H36M17

_LOOKED_AT = 64  # frames of a clip that unit, up axis and head are found from
_SURE = 0.5  # by how much an up axis must be likelier than a stated one to be told
_OFF = (0.6, 1.5)  # size of a body against an adult outside which a stated unit is told to be doubtful
_CROWN = (0.07, 0.30)  # metres above the head joint where a file's own top of the head is believed
_CROWN_OF_NECK = 0.40  # the same where the joint may be that of the neck
# Metres in the space of the head, of an adult: from the head joint up to its top; from there down to, and from the
# joint forward to, the tip of the nose. Measured on the rigs of bandai and cc_base.
_TOP, _NOSE_BELOW, _NOSE_BEFORE = 0.195, 0.12, 0.112
_SOUND = "sound"  # key of a rig's plans: its table was found to fit
_LEAST_SURE = 0.1  # below which a guess is none
_BACKWARD = -0.3  # cosine between toes and body below which left and right are told to be exchanged


@dataclass(frozen=True)
class Rig:
    """The joints of one subject, and which body they are."""

    nodes: Sequence[Node]
    skeleton: Skeleton  # of a family: with unit 1, and sites on the head joint, until a clip says more
    where: Mapping[str, int]  # the skeleton's joints, as nodes
    roles: Roles | None  # None for a table, whose joints need none
    notes: tuple[str, ...] = ()
    sure: float = 1.0  # that the joints are what they are taken for
    plans: dict[Any, Plan] = field(default_factory=dict)  # by unit and sites

    @cached_property
    def rows(self) -> list[int]:
        """The channels of the file that move the body."""
        return sorted({*self.plan(self.skeleton).rows, *self._looked_at[1].rows})

    def plan(self, skeleton: Skeleton) -> Plan:
        """The plan for this rig's skeleton with another unit or other sites."""
        if self.roles is not None:
            return Plan.of(*_with_sites(self.nodes, skeleton, self.where))
        key = skeleton.unit, skeleton.sites
        if key not in self.plans:
            if len(self.plans) > 8:
                self.plans.clear()
            self.plans[key] = Plan.of(*_with_sites(self.nodes, skeleton, self.where))
        return self.plans[key]

    def placed(
        self, values: Float64[Array, "rows frames"], rows: Mapping[int, int], hints: Hints
    ) -> tuple[Skeleton, Float32[Array, "frames joints 3"], tuple[str, ...]]:
        """The body in metres, z up, in every frame.

        Args:
            values: Channels of the file, those of `rows` at least.
            rows: The place in `values` of each channel of the file.
            hints: Unit and up axis, if the user knows them.

        Returns:
            The skeleton with unit and up axis, positions of its joints, and notes.

        Raises:
            ReadError: If the body has no size.
        """

        def moved(plan: Plan, which: Array, up: Up, unit: float) -> Float32[Array, "frames joints 3"]:
            wanted = [rows[row] for row in plan.rows]
            if wanted != list(range(len(which))):
                which = which[wanted]
            return forward_kinematics(plan, which, world_axes(up, unit))

        stated = {"unit": hints.unit, "up": hints.up}
        given = {key: value for key, value in stated.items() if value is not None}
        skeleton = replace(self.skeleton, **given, unstated=self.skeleton.unstated.difference(given))  # type: ignore[arg-type]
        notes: list[str] = list(self.notes)
        # Of a table that states unit and up axis, a clip without a contradiction speaks for all with the same OFFSETs.
        sound = not skeleton.unstated & {"unit", "up"} and not given and self.plans.get(_SOUND)
        if "h36m17" in skeleton.conversions and not sound:
            few = values[:, np.unique(np.linspace(0, values.shape[1] - 1, _LOOKED_AT).round().astype(int))]
            bare, plan = self._looked_at
            look = _Look(bare, moved(plan, few, "z", 1.0), self._rest)
            skeleton, told = _decided(look, skeleton, self)
            notes += told
            if not told and skeleton == self.skeleton:
                self.plans[_SOUND] = self.plan(skeleton)
        return skeleton, moved(self.plan(skeleton), values, skeleton.up, skeleton.unit), tuple(notes)

    @cached_property
    def _looked_at(self) -> tuple[Skeleton, Plan]:
        """The joints that a body is measured by, in the file's unit; for a family also three axes of the head."""
        needed = {
            source for weights in self.skeleton.conversions.get("h36m17", {}).values() for source in weights or ()
        }
        toes = {role: i for role, i in self.roles.joints.items() if role.endswith("_toe")} if self.roles else {}
        bare = replace(self.skeleton.restricted(needed | {self.nodes[i].name for i in toes.values()}), unit=1.0)
        nodes, wanted = _with_sites(self.nodes, bare, self.where)
        if self.roles is not None:
            head = self.roles.joints["head"]
            for axis in np.eye(3) * self._scale:
                wanted.append(len(nodes))
                nodes.append(Node("", head, tuple(axis.tolist())))
        return bare, Plan.of(nodes, wanted)

    @cached_property
    def _scale(self) -> float:
        """About the size of a bone: axes of the head are drawn so long that rounding does not turn them."""
        assert self.roles is not None
        return max(math.hypot(*self.nodes[i].offset) for i in self.roles.joints.values()) or 1.0

    @cached_property
    def _rest(self) -> Float32[Array, "1 joints 3"]:
        """The joints that a body is measured by, where all rotations are zero."""
        bare = self._looked_at[0]
        nodes, wanted = _with_sites(self.nodes, bare, self.where)
        at: dict[int, tuple[float, float, float]] = {-1: (0.0, 0.0, 0.0)}
        for i in wanted:
            chain = []
            while i not in at:
                chain.append(i)
                i = nodes[i].parent
            for j in reversed(chain):
                (x, y, z), (dx, dy, dz) = at[nodes[j].parent], nodes[j].offset
                at[j] = (x + dx, y + dy, z + dz)
        with np.errstate(over="ignore"):
            return np.array([[at[i] for i in wanted]], dtype=np.float32)


def read_rig(nodes: Sequence[Node], ends: int, tables: Sequence[Skeleton], guess: bool) -> Rig:
    """Find out which body a file's joints are: by the user's tables, the library's, its families of names, or a guess.

    Args:
        nodes: Joints of one subject, then the ends of their last bones; parents before children.
        ends: How many of the nodes are such ends.
        tables: A user's own.
        guess: Whether to take a body that topology and rest pose suggest, where names say nothing.

    Raises:
        SkeletonError: If none fits; says how to go on.
    """
    names, parents = [node.name for node in nodes], [node.parent for node in nodes]
    lengths = [math.hypot(*node.offset) for node in nodes]
    try:
        found = match(names, tables, "near", ends)
        return Rig(nodes, found.skeleton, _with_carriers(found, names), None, (found.note,) if found.note else ())
    except SkeletonError as error:
        unknown = error
    family, others, lacks = match_family(names, parents, lengths, ends)
    notes: list[str] = []
    sure = 1.0
    if family is not None:
        name, roles = family.name, family.roles
        if family.from_ends:
            which = ", ".join(role.replace("_", " ") for role in family.from_ends)
            notes.append(f"no joint for {which}: the ends of the bones before it were taken")
        if others:
            notes.append(
                f"the names fit the families {name} and {others[0].name}: {name} was taken, which explains "
                f"{family.explained} of {len(names)} joints, {others[0].name} {others[0].explained}"
            )
    else:
        said = f"{unknown}; {lacks}" if lacks else str(unknown)
        if not guess:
            raise SkeletonError(f"{said}, which `vipe skeletons suggest FILE --out mine.toml` proposes, or use --guess")
        proposal = propose(names, parents, np.array([node.offset for node in nodes]), ends)
        name, roles, sure = "guess", proposal.roles, proposal.sure
        if sure < _LEAST_SURE:
            raise SkeletonError(f"{said}; a guess would be only {sure:.0%} sure: {proposal.said}")
        notes.append(f"a guess, {proposal.sure:.0%} sure: {proposal.said}")
    skeleton = body_skeleton(
        name, names, parents, lengths, roles, nose=(0.0, 0.0, 0.0), crown=(0.0, 0.0, 0.0), unit=1.0, up="z"
    )
    skeleton = replace(skeleton, unstated=frozenset({"unit", "up"}))
    places = {node: i for i, node in enumerate(names)}
    sites = {site.name for site in skeleton.sites}
    where = {joint: places[joint] for joint in skeleton.joints if joint not in sites}
    return Rig(nodes, skeleton, where, roles, tuple(notes), sure)


def _with_carriers(found: Match, names: Sequence[str]) -> dict[str, int]:
    """Where the table's joints are, and joints of the file that carry a site without being listed."""
    where = dict(found.where)
    carriers = {site.joint for site in found.skeleton.sites} - where.keys()
    if carriers:
        where |= {name: i for i, name in enumerate(names) if name in carriers}
    return where


@dataclass(frozen=True)
class _Look:
    """A few frames of a rig in the file's own unit and axes."""

    skeleton: Skeleton
    all_positions: Float32[Array, "frames points 3"]  # its joints; then the tips of the head's axes, if it has some
    rest: Float32[Array, "1 joints 3"]

    @property
    def positions(self) -> Float32[Array, "frames joints 3"]:
        return self.all_positions[:, : len(self.skeleton)]

    @property
    def turned(self) -> Float32[Array, "frames 3 3"]:
        """The axes of the head's space, as rows."""
        head = self.positions[:, -1:]  # sites, of which the last joint is one, still lie on the head joint
        return _unit(self.all_positions[:, len(self.skeleton) :] - head)

    def of(self, positions: Float32[Array, "frames joints 3"]) -> dict[str, Float32[Array, "frames 3"]]:
        converted, _ = convert(positions, self.skeleton, H36M17)
        return {joint: converted[:, i] for i, joint in enumerate(H36M17.joints)}


def _decided(look: _Look, skeleton: Skeleton, rig: Rig) -> tuple[Skeleton, list[str]]:
    """The skeleton with unit, up axis and sites, and what to tell of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        body, rest = look.of(look.positions), look.of(look.rest)
        sizes = measure(body)
        size = sizes.size
    if not (math.isfinite(size) and size > 1e-9):
        if "unit" in skeleton.unstated:
            raise ReadError("the body has no size that its unit could be found from; are its position channels zero?")
        return skeleton, []
    notes = []
    if "unit" in skeleton.unstated:
        unit, name = find_unit(size)
        skeleton = replace(skeleton, unit=unit)
        if not name:
            thigh = sizes.bones["thigh"]
            notes.append(
                f"no usual unit makes this body a person (a thigh measures {thigh:.3g}): scaled to an adult's size, "
                f"{unit:.4g} m a unit"
            )
    elif not _OFF[0] < size * skeleton.unit < _OFF[1]:
        likely, name = find_unit(size)
        notes.append(
            f"in {unit_name(skeleton.unit)}, as stated, a thigh measures {sizes.bones['thigh'] * skeleton.unit:.2g} m; "
            f"the body speaks for {name or unit_name(likely)}: --unit {likely:.4g} would take it so"
        )
    sane = _stands(rest)
    leg = sizes.bones["thigh"] + sizes.bones["shin"]
    up, margin = find_up(
        _unit(rest["thorax"] - (rest["left_ankle"] + rest["right_ankle"]) / 2)[0] if sane else None,
        body_axes(body)[2],
        look.positions.min(axis=1),
        look.positions.max(axis=1),
        body["pelvis"],
        leg,
    )
    if "up" in skeleton.unstated:
        skeleton = replace(skeleton, up=up)
    elif up != skeleton.up and margin > _SURE:
        notes.append(f"{skeleton.up} is up, as stated, but the body stands along {up}: --up {up} would take it so")
    if rig.roles is None:
        if not _OFF[0] < size * skeleton.unit < _OFF[1]:
            skeleton = _with_scaled_sites(skeleton, round(size * skeleton.unit, 2))
    else:
        skeleton = _with_head(look, skeleton, rig, size, rest if sane else None)
        notes += _backward(look, rig, body)
    return skeleton, notes


def _with_head(look: _Look, skeleton: Skeleton, rig: Rig, size: float, rest: Mapping[str, Array] | None) -> Skeleton:
    """Put nose and top of the head where they are on the head: forward and up of the rest pose, or of most frames."""
    assert rig.roles is not None
    if rest is not None:
        _, forward, up = (axis[0] for axis in body_axes(rest))
    else:
        body = look.of(look.positions)
        _, forward, up = (np.einsum("tij,tj->ti", look.turned, axis).mean(axis=0) for axis in body_axes(body))
    up = _unit(up)
    forward = _unit(forward - (forward @ up) * up)
    scale = round(min(max(size * skeleton.unit, 0.6), 1.5), 2)
    crown = up * _TOP * scale
    end = rig.roles.joints.get("head_end")
    most = _CROWN[1] if rig.roles.neck != rig.roles.upper else _CROWN_OF_NECK
    if end is not None and rig.nodes[end].parent == rig.roles.joints["head"]:
        own = np.array(rig.nodes[end].offset) * skeleton.unit
        if _CROWN[0] * scale < own @ up < most * scale:
            crown = own
    nose = forward * _NOSE_BEFORE * scale + up * (crown @ up - _NOSE_BELOW * scale)
    sites = tuple(
        # Rounded, so that clips of one rig that hardly differ get the same head.
        replace(site, offset=(round(float(at[0]), 3), round(float(at[1]), 3), round(float(at[2]), 3)))
        for site, at in zip(skeleton.sites, (nose, crown), strict=True)
    )
    return replace(skeleton, sites=sites)


def _with_scaled_sites(skeleton: Skeleton, scale: float) -> Skeleton:
    """A table's sites are metres on a person; on a much larger or smaller body they lie farther out or nearer."""

    def scaled(site: Site) -> Site:
        x, y, z = site.offset
        return replace(site, offset=(x * scale, y * scale, z * scale))

    return replace(skeleton, sites=tuple(map(scaled, skeleton.sites)))


def _stands(rest: Mapping[str, Array]) -> bool:
    """Whether a rest pose is a standing body: legs straight and away from the trunk, hips and shoulders across it."""
    up = _unit(rest["thorax"] - rest["pelvis"])[0]
    for side in ("left", "right"):
        leg = (rest[f"{side}_ankle"] - rest[f"{side}_hip"])[0]
        steps = np.linalg.norm(rest[f"{side}_knee"] - rest[f"{side}_hip"]) + np.linalg.norm(
            rest[f"{side}_ankle"] - rest[f"{side}_knee"]
        )
        if not (np.linalg.norm(leg) > 0.85 * steps > 0 and leg @ up < -0.8 * np.linalg.norm(leg)):
            return False
    hips, shoulders = (_unit(rest[f"left_{joint}"] - rest[f"right_{joint}"])[0] for joint in ("hip", "shoulder"))
    head = _unit(rest["head"] - rest["thorax"])[0]
    return bool(hips @ shoulders > 0.8 and abs(hips @ up) < 0.4 and head @ up > 0.3)


def _backward(look: _Look, rig: Rig, body: Mapping[str, Array]) -> list[str]:
    assert rig.roles is not None
    names = [rig.nodes[i].name for role, i in rig.roles.joints.items() if role.endswith("_toe")]
    ankles = [rig.nodes[i].name for role, i in rig.roles.joints.items() if role.endswith("_ankle")]
    if len(names) != 2:
        return []
    place = {joint: i for i, joint in enumerate(look.skeleton.joints)}
    toes, heels = (look.positions[:, [place[joint] for joint in joints]].mean(axis=1) for joints in (names, ankles))
    foot = _unit(toes - heels)
    if float(np.median((foot * body_axes(body)[1]).sum(axis=1))) > _BACKWARD:
        return []
    return ["the feet point backward: are left and right exchanged in its names?"]


def _with_sites(nodes: Sequence[Node], skeleton: Skeleton, where: Mapping[str, int]) -> tuple[list[Node], list[int]]:
    """The nodes, and the skeleton's joints among them; sites are nodes of their own."""
    nodes, wanted = list(nodes), []
    sites = {site.name: site for site in skeleton.sites}
    for joint in skeleton.joints:
        if joint in sites:
            x, y, z = (metres / skeleton.unit for metres in sites[joint].offset)
            wanted.append(len(nodes))
            nodes.append(Node(joint, where[sites[joint].joint], (x, y, z)))
        else:
            wanted.append(where[joint])
    return nodes, wanted


def _unit(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))
