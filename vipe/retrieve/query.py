"""The question users ask: which moments of an archive show the pose of these keypoints? (numpy; torch inside)."""

__all__ = ["FEWEST_SEEN", "MODES", "NO_ROW", "Mode", "answer", "answer_mirrored", "query"]

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int64

from vipe.arrays import Array, blocks, take_columns
from vipe.detections import Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.lift import Lifter
from vipe.lift.condition import skip_reasons as lift_skip_reasons
from vipe.retrieve.arguments import check_arguments, check_count
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.candidates.affine import FEWEST, MIN_JOINTS, by_affine_camera, skip_reasons
from vipe.retrieve.candidates.body_parts import Joints, only_joints
from vipe.retrieve.candidates.candidates import by_embedding
from vipe.retrieve.candidates.hypotheses import near_hypotheses
from vipe.retrieve.hits import Hits
from vipe.retrieve.labels.labelling import WHOLE_BODY, as_read
from vipe.retrieve.labels.reading import Reading, read_labels
from vipe.retrieve.mirrored import mirrored_people, with_mirrored
from vipe.retrieve.ranking.coverage import coverage_order
from vipe.retrieve.ranking.evidence import VOTERS, FittedCandidates
from vipe.retrieve.ranking.features import CandidateFeatures
from vipe.retrieve.ranking.model import RankingModel
from vipe.retrieve.session import CANDIDATES, SAMPLES, Search, SearchSettings

Mode = Literal["full", "affine", "point", "hypotheses"]

MODES: tuple[str, ...] = get_args(Mode)

FEWEST_SEEN = {"full": FEWEST, "hypotheses": FEWEST, "affine": MIN_JOINTS, "point": MIN_JOINTS}
"""Keypoints that have to be seen of a person, by mode."""

NO_ROW = "no row of the index matches `where`"
_AT_ONCE = 256  # people whose candidates lie in memory together, if each has no more than usual: 0.4 GB


def query(
    index: PoseIndex,
    keypoints: Keypoints,
    k: int = 10,
    mode: Mode | None = None,
    *,
    where: Where | None = None,
    max_per_clip: int | None = None,
    min_gap_seconds: float = 0.0,
    candidates: int = CANDIDATES,
    camera_prior: CameraPrior | None = None,
    joint_offsets: Float[Array, "13 3"] | None = None,
    lifter: Lifter | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    model: RankingModel | None = None,
    confidence: float | None = None,
    mirrored: bool = False,
    joints: Joints | None = None,
) -> Hits:
    """Search an index with people's 2D keypoints.

    Mode "full", the default, has five stages: candidates by affine camera (and by the index's embedding, if it is a
    learned one); a real camera and the person's body fitted to each (`fit_cameras`); features; log odds and
    probabilities (`RankingModel`); and an order in which a second reading of the keypoints comes before a tenth
    neighbour of the first (`coverage_order`). `Hits.probability` is the probability that a hit lies within 0.1 torso
    of the true pose, `Hits.presence` that any pose searched does, `Hits.contributions` what the log odds are made of.
    The distance of a hit is the root mean square from visible keypoints to the fitted pose's image, in RMS radii; it
    need not increase down the list.

    People of whom only four or five joints are seen are looked for all over the archive: a camera and a body are fitted
    to every pose, beyond `LOOKED_AT` to poses spread evenly and then to those around the best. They are ranked alike,
    with probabilities calibrated on such people (`FewJoints`); their labels are taken as they are.

    Keypoints of a convention may still lie at the archive's joints. People who are asked for together share how likely
    that is (`shares_at_the_joints`), so there the answer to one may depend on the others; for keypoints at the
    archive's joints it never does.

    Mode "affine" ranks the archive by how well the best affine camera makes each canonical pose land on the visible
    joints: exact, on an index of any encoder, with any joints missing. Mode "point" ranks by distance in the index's
    learned embedding.

    Mode "hypotheses" ranks it by what a lifter proposes for the keypoints (`near_hypotheses`): with four seen keypoints
    or more, where the other modes need six. Its probabilities are those of the lifter, its distance is that from the
    nearest hypothesis, in torso lengths.

    Args:
        index: The archive.
        keypoints: The people, on coco13; joints that are not visible have mask False.
        k: How many hits a person; as many as there are where the archive (or `where`) has fewer.
        mode: "full", "affine", "point" or "hypotheses".
        where: Search only rows that match, as in `PoseIndex.rows`.
        max_per_clip: At most so many hits of one clip.
        min_gap_seconds: Hits of one clip lie at least so far apart; neighbouring frames are one moment to most users.
        candidates: Poses of each source that cameras are fitted to for each person; at least `k` are.
        camera_prior: Beliefs about camera, body and noise, if not those of the ranking model.
        joint_offsets: From the archive's joints to what these keypoints mark, as `fit_offsets` estimates them.
        model: Turns features into probabilities, if not the model that comes with the library, which is less sure in
            small archives (`ArchiveSize`).
        lifter: For mode "hypotheses"; otherwise the one that comes with the library.
        samples: How many hypotheses of each person mode "hypotheses" draws.
        seed: Of that draw; a person's hypotheses do not depend on who else is in the image.
        confidence: Give each person the shortest list that holds a right hit with this probability, if the archive
            holds the moment: as many hits as that takes (`Hits.enough`), whatever `k` says. Where no list of up to
            `VOTERS` hits is long enough, `k` hits. Mode "full" alone; see `ConfidentLists` for what it is worth.
        mirrored: Also search with each person's mirror image, left and right exchanged. A moment is one hit, and
            `Hits.mirrored` says which were found so (`with_mirrored`). Probabilities are that a hit shows the pose of
            the person, or of the mirror image.
        joints: Search with these keypoints alone, by names of joints or of parts of the body (`BODY_PARTS`), such as
            ("upper",). Probabilities stay those of the whole pose, of which the others may be anywhere.

    Returns:
        One query a person, in order. A person who cannot be searched for (all visible joints at one place, or fewer
        than `FEWEST` in modes "full" and "hypotheses", `MIN_JOINTS` in others) has no hits, and `Hits.skipped` says
        why. `max_per_clip` and `min_gap_seconds` may leave fewer than `k`: they choose among the candidates of mode
        "full", among the whole archive otherwise.

    Raises:
        ShapeError: If the keypoints are on another skeleton.
        VipeError: If there is no such mode, it does not fit the index, a number is out of its range, `where` is wrong,
            or the model was learned under another camera prior; or `confidence` is given with settings that its lists
            were not learned under, or with `mirrored`; or fewer keypoints are named by `joints` than the mode needs;
            an `ArgumentError`, which is a TypeError too, if an argument has the wrong type.
    """
    check_arguments(
        index,
        keypoints,
        k=k,
        candidates=candidates,
        max_per_clip=max_per_clip,
        min_gap_seconds=min_gap_seconds,
        camera_prior=camera_prior,
        confidence=confidence,
    )
    settings = SearchSettings(
        candidates=candidates,
        max_per_clip=max_per_clip,
        min_gap_seconds=min_gap_seconds,
        camera_prior=camera_prior,
        joint_offsets=joint_offsets,
        lifter=lifter,
        samples=samples,
        seed=seed,
        model=model,
    )
    search, mode = Search(index, settings, where), mode or "full"
    if joints is not None:
        keypoints = only_joints(keypoints, joints, FEWEST_SEEN.get(mode, MIN_JOINTS))
    if not mirrored:
        return answer(search, keypoints, k, mode, confidence)
    if confidence is not None:
        raise VipeError("confidence is known of people as they are: leave out mirrored")
    return answer_mirrored(search, keypoints, k, mode)


def answer(
    search: Search, keypoints: Keypoints, k: int = 10, mode: str = "full", confidence: float | None = None
) -> Hits:
    """The hits of `query`, by a search that is made already.

    Raises:
        ShapeError: If the keypoints are on another skeleton.
        VipeError: If there is no such mode, it does not fit the index, or `k` is below 1; or if no list is known to
            hold a right hit with `confidence`.
    """
    if confidence is not None:
        return _confident(search, keypoints, k, mode, confidence)
    if mode not in MODES:
        raise VipeError(f"no mode {mode!r}; expected one of {', '.join(MODES)}")
    if keypoints.skeleton.name != "coco13":
        raise ShapeError(f"keypoints must be on skeleton coco13, got {keypoints.skeleton.name}")
    check_count("k", k)
    if k < 1:
        raise VipeError(f"k must be at least 1, got {k}")
    if mode == "point" and not search.index.is_learned:
        raise VipeError(
            f"index {search.index.path} holds affine signatures, no learned embedding; use mode 'affine', "
            "or build an index with a trained embedder"
        )
    skipped = lift_skip_reasons(keypoints) if mode == "hypotheses" else skip_reasons(keypoints, FEWEST_SEEN[mode])
    people = np.array([number for number, reason in enumerate(skipped) if reason is None], dtype=np.int64)
    k = min(k, len(search))
    if not k:
        skipped = tuple(reason or NO_ROW for reason in skipped)
    if not (k and len(people)):
        return Hits.none(
            search.index, len(keypoints), k, skipped, search.model_of(keypoints).groups if mode == "full" else None
        )
    # A scan serves many people at once; cameras need memory for each.
    several = max(1, _AT_ONCE * CANDIDATES // max(k, search.settings.candidates, CANDIDATES))
    stages, at_once = {"full": (_full, several), "hypotheses": (_by_hypotheses, _AT_ONCE)}.get(
        mode, (_by_score, len(people))
    )
    few = _few_seen(keypoints[people]) & (mode == "full")
    many, others = people[~few], people[few]
    found = [stages(search, keypoints[many[block]], k, mode) for block in blocks(len(many), at_once)]
    found += [_full_of_few(search, keypoints[others[row : row + 1]], k) for row in range(len(others))]
    return Hits.stacked(found).spread_over(np.concatenate([many, others]), skipped)


def answer_mirrored(search: Search, keypoints: Keypoints, k: int = 10, mode: str = "full") -> Hits:
    """The hits of people and of their mirror images, as `query` gives them with `mirrored`.

    Labels are read once, and the reading is mirrored. Whoever is best explained by a mirrored image, or by all sides
    exchanged, is taken as labelled: the search for the mirror image finds what explains them.
    """
    hits, plain = answer(search, keypoints, k, mode), search.as_labelled()
    names = hits.relabelled or ("",) * len(keypoints)
    whole = np.flatnonzero([name in WHOLE_BODY for name in names])
    if len(whole):
        again = answer(plain, keypoints[whole], k, mode)
        places = np.concatenate([np.arange(len(hits)), whole])  # of both, the later one stays
        hits = Hits.stacked([hits, again]).spread_over(places, hits.skipped)
    read = keypoints if hits.relabelled is None else as_read(keypoints, hits.relabelled)
    return with_mirrored(search, read, hits, answer(plain, mirrored_people(read), k, mode), min(k, len(search)))


def _confident(search: Search, keypoints: Keypoints, k: int, mode: str, confidence: float) -> Hits:
    """Lists as long as they have to be, chosen from all that is ranked."""
    if mode != "full" or search.settings.diverse or search.settings.candidates < CANDIDATES:
        raise VipeError(
            "confidence is known of mode full alone, with max_per_clip and min_gap_seconds left out and at least "
            f"{CANDIDATES} candidates; leave the others out, or leave out confidence"
        )
    lists, lists_of_few = search.model_of(keypoints).lists, search.model_of_few(keypoints).lists
    if lists is None or lists_of_few is None:
        raise VipeError("confidence: the ranking model was saved without lengths of lists; learn it again")
    hits = answer(search, keypoints, max(k, VOTERS), mode)
    found = hits.found.sum(axis=1)
    first = np.zeros(len(hits)) if hits.probability is None or not len(search) else hits.probability[:, 0]
    enough = np.where(_few_seen(keypoints), lists_of_few.of(first, confidence), lists.of(first, confidence))
    if len(search) <= VOTERS:  # all of the archive: it holds whatever the archive holds
        enough[enough == 0] = len(search)
    enough = np.minimum(enough, found)
    return replace(hits.first(np.where(enough, enough, k)), confidence=float(confidence), enough=enough)


def _full(search: Search, people: Keypoints, k: int, _: str) -> Hits:
    """Candidates, cameras, features, labels, probabilities, order."""
    count = min(max(k, search.settings.candidates), len(search))
    closely = count if search.settings.diverse else min(max(VOTERS, k), count)
    reading = read_labels(search, people, count, closely)
    ranked = _ranked(search, search.model_of(people), reading.fitted, reading.features, k, reading)
    return replace(ranked, relabelled=reading.names, stretch=reading.stretch)


def _full_of_few(search: Search, people: Keypoints, k: int) -> Hits:
    """The same for people of whom few joints are seen: no choice of candidates, no other reading of labels.

    They come one at a time: each is compared with every pose, and sums over several would differ in their last digits.
    """
    count = min(max(k, search.settings.candidates if search.settings.diverse else VOTERS), len(search))
    fitted = search.fitted_everywhere(people, count)
    ranked = _ranked(search, search.model_of_few(people), fitted, search.features(fitted, people), k)
    return replace(ranked, relabelled=("",) * len(people), stretch=np.ones(len(people), dtype=np.float32))


def _few_seen(people: Keypoints) -> Bool[Array, " Q"]:
    """Of whom too few joints are seen for a choice of candidates by affine camera."""
    return np.asarray(people.mask.sum(axis=1) < MIN_JOINTS)


def _ranked(
    search: Search,
    model: RankingModel,
    fitted: FittedCandidates,
    features: CandidateFeatures,
    k: int,
    reading: Reading | None = None,
) -> Hits:
    """Log odds, order, hits; `reading` is that of the labels, on which the features rest."""
    ranking, log_odds = model.probabilities(features)
    log_odds = search.in_this_archive(log_odds)
    if reading is not None:
        log_odds = log_odds.if_true(reading.probability, reading.presence_otherwise)
    order = coverage_order(ranking, features, fitted.rows.shape[1] if search.settings.diverse else k)
    places = search.diversified(take_columns(fitted.rows, order), k)
    places = np.where(places >= 0, take_columns(order, np.maximum(places, 0)), -1)
    contributions = model.contributions(features.values, log_odds.near)
    return Hits.judged(search.index, fitted, log_odds, contributions, places)


def _by_hypotheses(search: Search, people: Keypoints, k: int, _: str) -> Hits:
    """A lifter's proposals, and every row by them."""
    depth = len(search) if search.settings.diverse else k
    near = near_hypotheses(search.index, search.hypotheses(people), depth, search.rows)
    places = search.diversified(near.rows, k)
    empty = places < 0
    rows, distance, probability = (
        take_columns(part, np.maximum(places, 0)) for part in (near.rows, near.distance, near.probability)
    )
    return Hits.look_up(
        search.index,
        np.where(empty, -1, rows),
        distance,
        probability=np.where(empty, np.float32(0), probability),
        presence=near.presence,
    )


def _by_score(search: Search, people: Keypoints, k: int, mode: str) -> Hits:
    """Neighbours alone; where hits have to differ, as many more as it takes."""
    neighbours = by_affine_camera if mode == "affine" else by_embedding
    depth = k
    while True:
        rows, distance = neighbours(search.index, people, depth, search.rows)
        places = search.diversified(rows, k)
        if depth == len(search) or (places >= 0).all():
            break
        depth = min(4 * depth, len(search))  # neighbours in time filled the list: look deeper

    def taken(values: Array, blank: float | int) -> Array:
        return np.where(places >= 0, take_columns(values, np.maximum(places, 0)), blank)

    taken_rows: Int64[Array, "Q K"] = taken(rows, -1)
    return Hits.look_up(search.index, taken_rows, taken(distance, np.inf).astype(np.float32))
