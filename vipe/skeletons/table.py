"""A skeleton as the text of its TOML table: the way back of `load`."""

__all__ = ["to_toml"]

import json
from collections.abc import Mapping, Sequence

from vipe.skeletons.skeleton import Skeleton


def to_toml(skeleton: Skeleton, comments: Sequence[str] = ()) -> str:
    """The table of a skeleton, which `load` reads back as the same skeleton.

    Args:
        skeleton: Any skeleton.
        comments: Lines to put before it.

    >>> print(to_toml(Skeleton(name="stick", joints=("root", "tip"), parents=(-1, 0)), ["a stick"]))
    # a stick
    name = "stick"
    unit = 1.0  # metres
    up = "z"
    joints = [
        { name = "root" },
        { name = "tip", parent = "root" },
    ]
    <BLANKLINE>
    """
    sites = {site.name for site in skeleton.sites}
    lines = [f"# {comment}" for comment in comments]
    lines += [f"name = {_quoted(skeleton.name)}"]
    if "unit" not in skeleton.unstated:
        lines.append(f"unit = {skeleton.unit!r}  # metres")
    if "up" not in skeleton.unstated:
        lines.append(f"up = {_quoted(skeleton.up)}")
    if skeleton.signature:
        lines.append(f"signature = [{', '.join(map(_quoted, skeleton.signature))}]")
    if skeleton.far_ends:
        lines.append("far_ends = true")
    lines.append("joints = [")
    for joint, parent in zip(skeleton.joints, skeleton.parents, strict=True):
        if joint not in sites:
            above = f", parent = {_quoted(skeleton.joints[parent])}" if parent >= 0 else ""
            lines.append(f"    {{ name = {_quoted(joint)}{above} }},")
    lines.append("]")
    if skeleton.mirror:
        lines.append("mirror = [")
        lines += [f"    [{_quoted(left)}, {_quoted(right)}]," for left, right in skeleton.mirror]
        lines.append("]")
    for site in skeleton.sites:
        offset = ", ".join(repr(float(value)) for value in site.offset)
        lines += ["", "[[sites]]", f"name = {_quoted(site.name)}", f"joint = {_quoted(site.joint)}"]
        lines.append(f"offset = [{offset}]  # metres, in the joint's space")
    for target, rows in skeleton.conversions.items():
        lines += ["", f"[to.{_quoted(target)}]"]
        lines += [f"{_quoted(joint)} = {_weights(weights)}" for joint, weights in rows.items()]
    return "\n".join(lines) + "\n"


def _weights(weights: Mapping[str, float] | None) -> str:
    if weights is None:
        return "false"
    if len(weights) == 1:
        return _quoted(next(iter(weights)))
    return "{ " + ", ".join(f"{_quoted(joint)} = {float(weight)!r}" for joint, weight in weights.items()) + " }"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
