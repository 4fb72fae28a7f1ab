"""Matching people over the frames of a video, and over the cameras of one moment (numpy)."""

__all__ = ["follow", "frame_numbers", "pieces", "together"]

from collections import Counter

import numpy as np
from jaxtyping import Float, Float32, Int64, Integer
from scipy.optimize import linear_sum_assignment

from vipe.arrays import Array
from vipe.detections.keypoints import Keypoints
from vipe.detections.normalize import normalize_keypoints
from vipe.detections.people.image_numbers import image_numbers
from vipe.errors import VipeError

_FARTHEST = 1.0  # RMS radii: between frames nobody moves by their own size
_LOST_AFTER = 10  # frames without a person after which their track ends
_LEAST_SHARED = 3  # joints seen in both frames, without which two people cannot be compared


def frame_numbers(people: Keypoints) -> Int64[Array, " N"]:
    """The frame of each person.

    `frame` if given; else image ids if they are numbers, or the numbers in their names ("10.jpg" is frame 10, and gaps
    stay gaps); else the order of the images, in each video.
    """
    if people.frame is not None:
        return people.frame.astype(np.int64)
    numbers = np.empty(len(people), dtype=np.int64)
    for rows in _videos(people):
        ids = [people.image_id[row] for row in rows.tolist()]
        found = image_numbers(ids)
        if found is None:
            order = {image: number for number, image in enumerate(dict.fromkeys(ids))}
            found = np.array([order[image] for image in ids], dtype=np.int64)
        numbers[rows] = found
    return numbers


def follow(people: Keypoints) -> Int64[Array, " N"]:
    """Match the people of a video over its frames: by the numbers of a tracker, or else by how little the joints move.

    If the keypoints have no tracks at all, each frame's people are matched with the last sighting of each track. The
    matching minimizes the sum of distances of joints seen in both. A track does not continue over a distance above the
    person's own size, nor after 10 frames without a sighting.

    Args:
        people: Of all frames of one video, or of several (`video`), each of which is followed apart.

    Returns:
        Track numbers from 0, by first frame; -1 for people with too few seen joints to be matched.

    Raises:
        VipeError: If these are photos, not the frames of a video: their sizes differ, or nobody is seen in two of them.

    Reference:
        Assignment: Kuhn 1955. As in SORT (Bewley et al. 2016) without its motion model.
    """
    if people.track is not None:
        return _apart_by_video(people)
    frame = frame_numbers(people)
    radius = normalize_keypoints(people)[2]
    track = np.full(len(people), -1, dtype=np.int64)
    count, again = 0, False
    for rows in _videos(people):
        _refuse_sizes(people[rows])
        found = _follow_one(people, frame, radius, rows)
        again = again or bool((np.bincount(found[found >= 0]) > 1).any())
        track[rows] = np.where(found >= 0, found + count, -1)
        count += int(found.max(initial=-1)) + 1
    seen = np.unique(frame[track >= 0])
    if len(seen) > 1 and not again:
        raise VipeError(
            f"to follow people: none of {count} in {len(seen)} images is seen in another of them within {_LOST_AFTER} "
            "frames; photos are searched one by one, without tracks"
        )
    return track


def _follow_one(
    people: Keypoints, frame: Int64[Array, " N"], radius: Float32[Array, " N"], rows: Int64[Array, " n"]
) -> Int64[Array, " n"]:
    """Track numbers of the people of one video, from 0."""
    usable = (people.mask[rows].sum(axis=1) >= _LEAST_SHARED) & (radius[rows] > 0)
    order = np.argsort(frame[rows], kind="stable")
    order = order[usable[order]]
    starts = np.flatnonzero(np.diff(frame[rows][order], prepend=np.nan) != 0)
    track = np.full(len(rows), -1, dtype=np.int64)
    last: dict[int, int] = {}  # the row in which each track that goes on was seen last
    count = 0
    for places in np.split(order, starts[1:]) if len(order) else []:
        here = rows[places]
        last = {one: row for one, row in last.items() if frame[here[0]] - frame[row] <= _LOST_AFTER}
        alive = list(last)
        apart = _apart(people, radius, np.array([last[one] for one in alive], dtype=np.int64), here)
        for before, now in zip(*linear_sum_assignment(apart), strict=True):
            if apart[before, now] < _FARTHEST:
                track[places[now]] = alive[before]
        for place, row in zip(places.tolist(), here.tolist(), strict=True):
            if track[place] < 0:
                track[place] = count
                count += 1
            last[int(track[place])] = row
    return track


def _apart_by_video(people: Keypoints) -> Int64[Array, " N"]:
    """A tracker's numbers, made different in each video: its first person is not the next video's first."""
    assert people.track is not None
    track = people.track.astype(np.int64)
    if people.video is None:
        return track
    known = track >= 0
    _, number = np.unique(np.stack([people.video[known], track[known]], axis=1), axis=0, return_inverse=True)
    apart = np.full(len(people), -1, dtype=np.int64)
    apart[known] = number.reshape(-1)
    return apart


def _videos(people: Keypoints) -> list[Int64[Array, " n"]]:
    """The rows of each video, in their order."""
    if people.video is None:
        return [np.arange(len(people))] if len(people) else []
    order = np.argsort(people.video, kind="stable")
    starts = np.flatnonzero(np.diff(people.video[order])) + 1
    return np.split(order, starts) if len(order) else []


def pieces(track: Integer[Array, " N"], time: Float[Array, " N"], seconds: float) -> Int64[Array, " N"]:
    """Cut tracks into pieces of a length in seconds, counted from each track's start; -1 stays -1.

    Pieces are numbered by track, then time.

    Raises:
        VipeError: If `seconds` is not above 0.
    """
    if not seconds > 0:
        raise VipeError(f"pieces of a track must be longer than 0 s, got {seconds}")
    _, which = np.unique(track, return_inverse=True)
    start = np.full(which.max(initial=-1) + 1, np.inf)
    np.minimum.at(start, which, time)
    piece = np.floor((time - start[which]) / seconds + 1e-6).astype(np.int64)
    _, number = np.unique(np.stack([track, piece], axis=1)[track >= 0], axis=0, return_inverse=True)
    numbers = np.full(len(track), -1, dtype=np.int64)
    numbers[track >= 0] = number.reshape(-1)
    return numbers


def together(people: Keypoints) -> Int64[Array, " N"]:
    """Number the people of images of one moment: by track if the file has tracks, else all as the same person.

    Raises:
        VipeError: If an image shows several people and the file has no tracks.
    """
    if people.track is not None:
        return people.track.astype(np.int64)
    shown = Counter(people.image_id)
    if len(shown) < len(people):
        twice, count = shown.most_common(1)[0]
        raise VipeError(
            f"several views of one moment: image {twice} shows {count} people; say by track_id "
            "who is who, or leave one person an image"
        )
    return np.zeros(len(people), dtype=np.int64)


def _refuse_sizes(people: Keypoints) -> None:
    if people.image_size is None:
        return
    size = people.image_size
    for row in np.flatnonzero((size != size[:1]).any(axis=1))[:1]:
        (width, height), (other_width, other_height) = size[0].tolist(), size[row].tolist()
        raise VipeError(
            f"to follow people: image {people.image_id[0]} has {width:g} x {height:g} pixels and image "
            f"{people.image_id[row]} {other_width:g} x {other_height:g}, so they are no frames of one video; photos "
            "are searched one by one, without tracks"
        )


def _apart(
    people: Keypoints, radius: Float32[Array, " N"], before: Int64[Array, " A"], now: Int64[Array, " B"]
) -> Float32[Array, "A B"]:
    """Mean distance of the joints that both rows show, in RMS radii; `_FARTHEST` where they show too few."""
    both = people.mask[before][:, None] & people.mask[now][None]
    off = np.linalg.norm(people.xy[before][:, None] - people.xy[now][None], axis=-1)
    shared = both.sum(axis=-1)
    mean = (off * both).sum(axis=-1) / np.maximum(shared, 1)
    size = (radius[before][:, None] + radius[now][None]) / 2
    capped = np.minimum(mean / np.where(size > 0, size, 1), _FARTHEST)
    return np.asarray(np.where(shared >= _LEAST_SHARED, capped, _FARTHEST), dtype=np.float32)
