"""Labels of one person's images, read together: sides image by image, a squeeze of all that one camera took (numpy)."""

__all__ = ["SequenceReading", "discontinuity", "likeliest_readings", "read_together"]

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.special import expit

from vipe.arrays import Array, put_rows, take_rows
from vipe.detections import Keypoints, normalize_keypoints
from vipe.retrieve.camera.perspective import Fits
from vipe.retrieve.candidates.affine import by_affine_camera
from vipe.retrieve.labels.evidence import lost_joints, misfit, pixel_evidence, unconvincing
from vipe.retrieve.labels.labelling import STRETCHES, Labelling, as_relabelled, can_be_searched, suspected
from vipe.retrieve.session import Search

_SCREENED = 20  # candidates of a reading; it is looked at closely if one fits better than all as they are labelled
_DOUBTED_FROM, _IMAGE_DOUBTED_FROM = 0.6, 0.7
"""Misfit from which labels of an image, and the image's shape, are doubted. Of simulated images with sides exchanged 95
in 100 are above 0.59, of tracks of squeezed images 9 in 10 above 0.7 in the middle."""

_ALONE = 0.3  # seconds: frames further apart say nothing of each other
_SPEED = 0.3  # RMS radii over the root of seconds: how far limbs move from frame to frame, 0.1 in a tenth of a second
_STUDENT = 3.0  # degrees of freedom of that movement: most limbs rest, some are quick
_DEPENDENT = 0.5  # power of its likelihood: the joints of a limb move together
_AS_GIVEN = Labelling(name="")


@dataclass(frozen=True, kw_only=True)
class SequenceReading:
    """How the labels of T images are read, and what is found with them so."""

    people: Keypoints  # as they are read
    near: Int64[Array, "T K"]  # rows nearest to each image by affine camera
    first: Fits  # to those
    names: tuple[str, ...]  # of each image's reading, "" for keypoints as they are
    stretch: Float32[Array, " T"]  # what x was multiplied by
    probability: Float32[Array, " T"]  # of that reading, among those that were tried

    @property
    def name(self) -> str:
        """The readings and of how many images, "" if all are read as they are labelled."""
        counts = Counter(name for name in self.names if name)
        return ", ".join(
            name if count == len(self.names) else f"{name} in {count} of {len(self.names)} images"
            for name, count in counts.most_common()
        )


def read_together(
    search: Search, people: Keypoints, count: int, rows: Int64[Array, " M"], offset: Float64[Array, " T"]
) -> SequenceReading:
    """Find candidates of each image, and for those that are not explained that way, with other readings of the labels.

    Each image is read by its own evidence, as `read_labels` reads it. Frames of one camera also speak for each other:
    limbs move little from one to the next (`discontinuity`), so that exchanged sides show as jumps; and a squeezed
    or mirrored image holds for all frames or none. People of one time are cameras, and are read one by one.

    Args:
        search: Where.
        people: T images, each can be searched for.
        count: Candidates of each.
        rows: Of the index, ascending: what is searched.
        offset: When each image was taken, seconds, ascending.
    """
    near, affine = by_affine_camera(search.index, people, count, rows)
    first = search.cameras(near, people)
    plain = SequenceReading(
        people=people,
        near=near,
        first=first,
        names=("",) * len(people),
        stretch=np.ones(len(people), dtype=np.float32),
        probability=np.ones(len(people), dtype=np.float32),
    )
    off = misfit(first, people)
    doubted = np.flatnonzero((off > _DOUBTED_FROM) & search.settings.relabel)
    if not len(doubted):
        return plain
    one_camera = bool((np.diff(offset) > 0).all())
    images = off > _IMAGE_DOUBTED_FROM
    if one_camera:
        images[:] = np.median(off) > _IMAGE_DOUBTED_FROM
    rivals, of_all = _rivals(search, plain, affine[:, 0], doubted, images[doubted], rows, one_camera)
    if of_all is not None and (changed := _all_read_as(search, plain, doubted, of_all, rows)) is not None:
        return changed
    return _image_by_image(search, plain, rivals, rows, offset)


def _rivals(
    search: Search,
    plain: SequenceReading,
    affine: Float32[Array, " T"],
    doubted: Int64[Array, " D"],
    images: Bool[Array, " D"],
    rows: Int64[Array, " M"],
    one_camera: bool,
) -> tuple[dict[int, Labelling], Labelling | None]:
    """By image the reading that a few candidates fit best under, if better than all as given; and likewise of all.

    Every reading of every image is fitted in one go.
    """
    tried: list[tuple[Labelling, Int64[Array, " m"], Keypoints, Int64[Array, "m C"]]] = []
    some, fits = plain.people[doubted], take_rows(plain.first, doubted)
    near = plain.near[doubted][:, :_SCREENED]
    for labelling, members in suspected(some, fits):
        if len(labelling.unseen) == 1:  # a joint far off decides nothing in a sequence
            continue
        if labelling.stretch != 1:
            members = members[images[members]]
        members = members[can_be_searched(as_relabelled(some[members], labelling))]
        if not len(members):
            continue
        read, kept = as_relabelled(some[members], labelling), np.ones(len(members), dtype=bool)
        if labelling in STRETCHES:  # no affine camera can tell a squeeze
            columns = near[members]
        else:
            columns, residual = by_affine_camera(search.index, read, near.shape[1], rows)
            kept &= (residual[:, 0] < affine[doubted[members]]) | bool(labelling.unseen)
        if kept.any():
            tried.append((labelling, members[kept], read[kept], columns[kept]))
    least = fits.cost.min(axis=1).astype(np.float64)
    rivals: dict[int, Labelling] = {}
    if not tried:
        return rivals, None
    cost = search.cameras(
        np.concatenate([columns for *_, columns in tried]), Keypoints.concat([read for _, _, read, _ in tried])
    ).cost.min(axis=1)
    of_all: list[tuple[float, Labelling]] = []
    for labelling, members, *_ in tried:
        own, cost = cost[: len(members)], cost[len(members) :]
        if one_camera and labelling.stretch != 1:
            if len(members) == len(doubted):
                of_all.append((float(own.sum()) + labelling.cost, labelling))
            continue
        own = own + labelling.cost + lost_joints(some[members], labelling)
        for place in np.flatnonzero(own < least[members]).tolist():
            rivals[int(doubted[members[place]])], least[members[place]] = labelling, own[place]
    total, likeliest = min(of_all, key=lambda one: one[0], default=(np.inf, _AS_GIVEN))
    return rivals, likeliest if total < least.sum() else None


def _all_read_as(
    search: Search, plain: SequenceReading, doubted: Int64[Array, " D"], reading: Labelling, rows: Int64[Array, " M"]
) -> SequenceReading | None:
    """The sequence with all images changed alike, if that is likelier for those that were doubted."""
    people, near = as_relabelled(plain.people, reading), plain.near
    if reading not in STRETCHES:
        near = by_affine_camera(search.index, people, near.shape[1], rows).rows
    first = search.cameras(near, people)
    gains = _gain(search, plain, doubted, people[doubted], take_rows(first, doubted), [reading] * len(doubted))
    gain = float(gains.sum()) + (len(doubted) - 1) * reading.cost / 2  # it is one mistake, whatever the frames
    if gain <= 0:
        return None
    return SequenceReading(
        people=people,
        near=near,
        first=first,
        names=(reading.name,) * len(people),
        stretch=np.full(len(people), reading.stretch, dtype=np.float32),
        probability=np.full(len(people), expit(gain), dtype=np.float32),
    )


def _image_by_image(
    search: Search,
    plain: SequenceReading,
    rivals: dict[int, Labelling],
    rows: Int64[Array, " M"],
    offset: Float64[Array, " T"],
) -> SequenceReading:
    """The likeliest sequence of readings, of each image the labels as given or its rival."""
    if not rivals:
        return plain
    count, places = len(offset), np.array(sorted(rivals), dtype=np.int64)
    readings = [rivals[place] for place in places.tolist()]
    read = Keypoints.concat([as_relabelled(plain.people[place], rivals[place]) for place in places.tolist()])
    near = by_affine_camera(search.index, read, plain.near.shape[1], rows).rows
    first = search.cameras(near, read)
    gain = np.full(count, -np.inf)
    gain[places] = _gain(search, plain, places, read, first, readings)
    every, other = Keypoints.concat([plain.people, read]), np.arange(count)
    other[places] = count + np.arange(len(places))
    chosen, margin = likeliest_readings(gain, discontinuity(plain.people, every[other], offset))
    taken = np.flatnonzero(chosen[places])
    names, stretch, probability = list(plain.names), plain.stretch.copy(), plain.probability.copy()
    probability[places] = expit(np.abs(margin[places]))
    for row in taken.tolist():
        names[places[row]], stretch[places[row]] = readings[row].name, readings[row].stretch
    all_near, all_first = plain.near.copy(), take_rows(plain.first, np.arange(count))
    all_near[places[taken]] = near[taken]
    put_rows(all_first, places[taken], take_rows(first, taken))
    return SequenceReading(
        people=every[np.where(chosen, other, np.arange(count))],
        near=all_near,
        first=all_first,
        names=tuple(names),
        stretch=stretch,
        probability=probability,
    )


def _gain(
    search: Search,
    plain: SequenceReading,
    places: Int64[Array, " m"],
    read: Keypoints,
    fits: Fits,
    readings: Sequence[Labelling],
) -> Float64[Array, " m"]:
    """By how many nats other readings of some images are likelier than the labels as given."""
    given = plain.people[places]
    before = search.evidence(take_rows(plain.first, places), given)
    after = pixel_evidence(search.evidence(fits, read), read, given, readings) - unconvincing(fits, read)
    return np.asarray(after - pixel_evidence(before, given, given, [_AS_GIVEN] * len(given)))


def discontinuity(given: Keypoints, other: Keypoints, offset: Float64[Array, " T"]) -> Float64[Array, "T-1 2 2"]:
    """How unlikely the way from each image to the next is, nats, if either is read as given (0) or otherwise (1).

    About the body's middle each joint moves by a Student distribution of `_STUDENT` degrees of freedom, whose width
    grows with the root of the time between. Images of one time are of several cameras, and say nothing of each other,
    as do those far apart in time.

    >>> one = Keypoints.of(100 * np.random.default_rng(0).random((1, 13, 2)))
    >>> two = Keypoints.concat([one, one])
    >>> float(np.ptp(discontinuity(two, two, np.array([0.0, 0.1]))))
    0.0
    """
    step = np.diff(offset)
    radius = np.maximum(normalize_keypoints(given)[2].astype(np.float64), 1e-9)
    size = np.sqrt(radius[1:] * radius[:-1])
    costs = np.zeros((len(step), 2, 2))
    for before, earlier in enumerate((given, other)):
        for after, later in enumerate((given, other)):
            both = (earlier.mask[:-1] & later.mask[1:])[..., None]
            moved = np.where(both, later.xy[1:].astype(np.float64) - earlier.xy[:-1], 0)
            moved = np.where(both, moved - moved.sum(axis=1, keepdims=True) / np.maximum(both.sum(1), 1)[:, None], 0)
            width = _SPEED * np.sqrt(np.maximum(step, 1e-9)) * size
            squared = np.square(moved).sum(axis=2) / np.square(width)[:, None]
            costs[:, before, after] = (_STUDENT + 2) / 2 * np.log1p(squared / _STUDENT).sum(axis=1)
    costs[(step <= 0) | (step > _ALONE)] = 0
    return np.asarray(_DEPENDENT * costs)


def likeliest_readings(
    gain: Float64[Array, " T"], jump: Float64[Array, "T-1 2 2"]
) -> tuple[Bool[Array, " T"], Float64[Array, " T"]]:
    """Which images are read otherwise on the likeliest path, and by how much each is likelier so, nats, given the rest.

    Args:
        gain: By how much the other reading is likelier than the given one, each image by itself; -inf if there is none.
        jump: As `discontinuity` has it.

    >>> none = np.zeros((1, 2, 2))
    >>> likeliest_readings(np.array([3.0, -2.0]), none)[0].tolist()
    [True, False]
    >>> likeliest_readings(np.array([3.0, -2.0]), none + 4 * (1 - np.eye(2)))[0].tolist()
    [True, True]
    """
    own = np.stack([np.zeros(len(gain)), gain], axis=1)
    best, came = own[0], []
    for image, cost in enumerate(jump, start=1):
        through = best[:, None] - cost
        came.append(through.argmax(axis=0))
        best = through.max(axis=0) + own[image]
    path = [int(best.argmax())]
    for before in reversed(came):
        path.append(int(before[path[-1]]))
    chosen = np.array(path[::-1])
    margin = gain.copy()
    for image, cost in enumerate(jump):
        margin[image + 1] += cost[chosen[image], 0] - cost[chosen[image], 1]
        margin[image] += cost[0, chosen[image + 1]] - cost[1, chosen[image + 1]]
    return chosen == 1, margin
