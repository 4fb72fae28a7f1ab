"""A pose or its mirror image: people searched for twice, and the two answers made one (numpy)."""

__all__ = ["mirrored_people", "mirrored_poses", "with_mirrored"]

from dataclasses import fields, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vipe.arrays import Array, take_columns
from vipe.detections import Keypoints
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.hits import Hits
from vipe.retrieve.labels.labelling import MIRRORED, as_relabelled
from vipe.retrieve.session import Search
from vipe.skeletons.working import COCO13_MIRRORED, H36M17

_IN_IMAGE = np.array([-1, 1], dtype=np.float32)  # what mirroring an image makes of x and y
_IN_SPACE = np.array([-1, 1, 1], dtype=np.float32)  # of the camera's x, y and z
_IN_BODY = np.array([1, -1, 1], dtype=np.float32)  # of the canonical body's, whose y goes from left to right


def mirrored_people(people: Keypoints) -> Keypoints:
    """What a camera sees of the mirror images of people: x is negated, left and right are exchanged.

    Seen by known cameras (`Keypoints.crop`) they are mirrored about the direction in which the camera looks. Done twice
    it gives the people again.

    Args:
        people: On coco13.
    """
    mirrored = as_relabelled(people, MIRRORED)
    about = np.stack([_axes(people), np.zeros(len(people), dtype=np.float32)], axis=1)
    return replace(mirrored, xy=mirrored.xy + about[:, None])


def mirrored_poses(poses: Float32[Array, "*batch 17 3"]) -> Float32[Array, "*batch 17 3"]:
    """Mirror images of canonical poses: y, from left hip to right hip, is negated, left and right are exchanged.

    Done twice it gives the poses again.
    """
    return np.asarray(poses[..., list(H36M17.mirrored), :] * _IN_BODY)


def with_mirrored(search: Search, people: Keypoints, hits: Hits, mirrored: Hits, k: int) -> Hits:
    """The hits of people and those of their mirror images as one list each, that of the likelier first hit first.

    Both lists keep their order: what comes next is the likelier (or the nearer) of the two first hits that are left.
    A moment that is in both is taken once, where it comes first. Limits on hits hold for the whole list. `presence`
    stays that of the people, and `presence_mirrored` is that of the mirror images.

    Args:
        search: With the limits.
        people: Of whom the hits are.
        hits: Of the people.
        mirrored: Of the mirror images of the people as they were read.
        k: Hits of each.
    """
    rows = np.concatenate([hits.rows, mirrored.rows], axis=1)
    cost = np.concatenate([_cost(hits), _cost(mirrored)], axis=1)
    order = np.argsort(cost, axis=1, kind="stable")
    ordered = take_columns(rows, order)
    for own in ordered:
        again = np.ones(len(own), dtype=bool)
        again[np.unique(own, return_index=True)[1]] = False
        own[again] = -1  # an empty place, which comes last
    solid = np.argsort(ordered < 0, axis=1, kind="stable")
    order, ordered = take_columns(order, solid), take_columns(ordered, solid)
    places = search.diversified(ordered, k)
    chosen = np.maximum(places, 0)
    empty = (places < 0) | (take_columns(ordered, chosen) < 0)
    return _taken(hits, mirrored, take_columns(order, chosen), empty, _axes(people))


def _cost(hits: Hits) -> Float32[Array, "Q K"]:
    """Of each place of a list; it never falls down the list, and is infinite in empty places."""
    own = hits.distance if hits.probability is None else -hits.probability
    return np.maximum.accumulate(np.where(hits.found, own, np.inf), axis=1).astype(np.float32)


def _taken(
    hits: Hits, mirrored: Hits, taken: Int64[Array, "Q K"], empty: Bool[Array, "Q K"], axes: Float32[Array, " Q"]
) -> Hits:
    """The hits at some places of both lists, one behind the other."""

    def of_both(own: Array, others: Array, blank: object) -> Array:
        values = take_columns(np.concatenate([own, others], axis=1), taken)
        values[empty] = blank
        return values

    changed: dict[str, Any] = {
        name: of_both(values, getattr(mirrored, name), blank) for name, blank, values in hits.by_place()
    }
    if hits.contributions is not None and mirrored.contributions is not None:
        changed["contributions"] = {
            name: of_both(values, mirrored.contributions[name], 0) for name, values in hits.contributions.items()
        }
    if hits.fits is not None and mirrored.fits is not None:
        other = _mirrored_fits(mirrored.fits, axes)
        changed["fits"] = Fits(
            **{
                field.name: of_both(getattr(hits.fits, field.name), getattr(other, field.name), np.nan)
                for field in fields(Fits)
            }
        )
    return replace(
        hits,
        **changed,
        mirrored=(taken >= hits.rows.shape[1]) & ~empty,
        presence_mirrored=mirrored.presence,
    )


def _axes(people: Keypoints) -> Float32[Array, " Q"]:
    """Twice the x about which each person is mirrored, pixels."""
    return np.array([0 if crop is None else 2 * crop.centre[0] for crop in people.crop], dtype=np.float32)


def _mirrored_fits(fits: Fits, axes: Float32[Array, " Q"]) -> Fits:
    """The mirror images of fitted bodies, under the cameras that show them where the people were before mirroring."""
    return replace(
        fits,
        rotation=fits.rotation * _IN_SPACE[:, None] * _IN_BODY,
        shift=fits.shift * _IN_IMAGE + np.stack([axes, np.zeros_like(axes)], axis=1)[:, None],
        poses=fits.poses[..., list(H36M17.mirrored), :] * _IN_SPACE,
        error=fits.error[..., list(COCO13_MIRRORED)],
    )
