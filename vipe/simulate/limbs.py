"""The limbs of drawn people: where they are, how thick, and in what clothes; the table is drawn_people.toml (numpy)."""

__all__ = ["limbs"]

import tomllib
from colorsys import hsv_to_rgb
from importlib import resources
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from vipe.arrays import Array
from vipe.geometry.canonical import REFERENCE_TORSO
from vipe.simulate.painting import Shapes
from vipe.simulate.scenery import stripes, uniform
from vipe.skeletons.working import H36M17

_TORSO = tuple(H36M17.index(joint) for joint in ("pelvis", "spine", "thorax"))
_LIGHT_SKIN, _DARK_SKIN = np.array([0.96, 0.8, 0.69]), np.array([0.36, 0.22, 0.15])
_DARK = np.array([0.12, 0.08, 0.08])


def _load() -> list[dict[str, Any]]:
    """The parts of the table; those of a side twice."""
    text = resources.files("vipe.simulate").joinpath("drawn_people.toml").read_text(encoding="utf-8")
    parts = []
    for part in tomllib.loads(text)["parts"]:
        if not part.get("side"):
            parts.append(part)
            continue
        parts += [part | {end: f"{side}_{part[end]}" for end in ("from", "to")} for side in ("left", "right")]
    return parts


def _weights(places: list[Any]) -> Float64[Array, "parts 17"]:
    """The share of each joint in each place."""
    rows = np.zeros((len(places), len(H36M17)))
    for row, place in zip(rows, places, strict=True):
        one, other, share = place if isinstance(place, list) else (place, place, 0.0)
        row[H36M17.index(one)] += 1 - share
        row[H36M17.index(other)] += share
    return rows


_PARTS = _load()
_START = torch.from_numpy(_weights([part["from"] for part in _PARTS])).float()
_END = torch.from_numpy(_weights([part["to"] for part in _PARTS])).float()
_RADIUS = np.array([part["radius"] for part in _PARTS])  # metres, at both ends
_COLOURS = [part["colour"] for part in _PARTS]
_CLOTH = np.array([name not in ("skin", "hair", "dark") for name in _COLOURS])
_OWN = torch.tensor([hsv_to_rgb(0.381966 * part % 1, 0.9, 0.95 - 0.4 * (part % 2)) for part in range(len(_PARTS))])


def limbs(
    xy: Float32[Tensor, "N 17 2"],
    depth: Float32[Tensor, "N 17"],
    scale: Float32[Tensor, "N 17"],
    width: tuple[float, float],
    uneven: float,
    contrast: float,
    coded: float,
    generator: np.random.Generator,
) -> tuple[Shapes, Float32[Tensor, "N 17"]]:
    """Draw the limbs of each person.

    Args:
        xy: Pixels of each joint.
        depth: Metres from the camera.
        scale: Pixels that a metre has at each joint.
        width: Limits of a person's thickness, against the table's.
        uneven: Of one limb's thickness against the person's, either way.
        contrast: Most, of the stripes of cloth.
        coded: Share of a limb's own colour in its colour, the rest being that of the clothes.
        generator: Every draw uses it.

    Returns:
        The limbs, and how deep each joint lies in them: metres, the largest radius of a limb's end that is the joint.
    """
    count, parts = len(xy), len(_PARTS)
    own = uniform(generator, width, count, 1) * uniform(generator, (1 - uneven, 1 + uneven), count, parts)
    space = torch.cat([(xy - xy.mean(1, keepdim=True)) / scale[..., None], depth[..., None]], dim=-1)
    spine = space[:, _TORSO].diff(dim=1).norm(dim=-1).sum(dim=1)
    radius = torch.from_numpy(own[..., None] * _RADIUS).float() * (spine / REFERENCE_TORSO)[:, None, None]
    pixels = torch.stack([scale @ _START.mT, scale @ _END.mT], dim=-1)  # (N, parts, 2)
    shapes = Shapes(
        start=_START @ xy,
        end=_END @ xy,
        radius=radius * pixels,
        depth=torch.stack([depth @ _START.mT, depth @ _END.mT], dim=-1),
        bulge=radius,
        colour=torch.lerp(_clothes(count, generator), _OWN, coded),
        wave=stripes(generator, (count, parts)),
        contrast=torch.from_numpy(uniform(generator, (0.0, contrast), count, parts) * _CLOTH).float(),
        square=torch.zeros(count, parts, dtype=torch.bool),
    )
    flesh = torch.maximum(radius[..., :1] * (_START == 1), radius[..., 1:] * (_END == 1)).amax(dim=1)
    return shapes, flesh


def _clothes(count: int, generator: np.random.Generator) -> Float32[Tensor, "N parts 3"]:
    """The colour of each part; sleeves and trousers are long or short."""
    skin = _LIGHT_SKIN + (_DARK_SKIN - _LIGHT_SKIN) * generator.random((count, 1))
    shirt, trousers, shoes = generator.uniform(0.05, 1.0, (3, count, 3))
    hair = generator.uniform(0.05, 0.6, (count, 1)) * np.array([1.0, 0.85, 0.7])
    bare = generator.random((3, count, 1)) < np.array([0.25, 0.5, 0.25])[:, None, None]
    sleeve = np.where(bare[0], skin, shirt)
    colours = {
        "skin": skin,
        "hair": hair,
        "dark": np.broadcast_to(_DARK, skin.shape),
        "shirt": shirt,
        "trousers": trousers,
        "shoes": shoes,
        "sleeve": sleeve,
        "forearm": np.where(bare[1], skin, sleeve),
        "shank": np.where(bare[2], skin, trousers),
    }
    return torch.from_numpy(np.stack([colours[name] for name in _COLOURS], axis=1)).float()
