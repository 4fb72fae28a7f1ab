"""The command that answers: which moments of the archive show the pose in this image."""

__all__ = ["query"]

import math
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vipe.cli.options.device import Device
from vipe.cli.options.folders import IndexFolder
from vipe.cli.options.known_camera import CameraOptions
from vipe.cli.options.people import (
    Convention,
    DetectorOption,
    ImageFiles,
    ImageSize,
    KeypointFile,
    MinConfidence,
    SkeletonName,
    VideoFile,
    VideoRate,
    Weights,
    read_people,
    with_convention,
)
from vipe.cli.output import Json, Page, counted, emit
from vipe.cli.query.answer_text import answer_table, files_told, lists, nobody, order, read_otherwise
from vipe.cli.query.bent import Variations
from vipe.cli.query.hits_file import HitsFile, check_hits_file, write_hits
from vipe.cli.query.pose import JointsOption, PoseQuestion, parse_joints

if TYPE_CHECKING:
    from collections.abc import Callable

    from vipe import Keypoints, PoseIndex
    from vipe.arrays import Array
    from vipe.retrieve.hits import Hits


_UNVARIED = Variations()
_UNKNOWN_CAMERA = CameraOptions()
_NO_POSE = PoseQuestion()


def query(
    index: IndexFolder,
    /,
    keypoints: KeypointFile = None,
    *,
    image: ImageFiles = (),
    video: VideoFile = None,
    k: Annotated[int | None, Parameter(help="How many moments a person, or a pose; 10 if not given.")] = None,
    mode: Annotated[
        Literal["full", "affine", "point", "hypotheses"] | None,
        Parameter(
            help="`full` (the default): a camera and the person's proportions are fitted to the nearest of `affine` "
            "(and `point`, if there is a learned embedding), ranked by how likely they are. "
            "`affine`: exact for any affine camera and any missing joints. `point`: the index's learned embedding. "
            "`hypotheses`: near the poses that a lifter proposes. Four seen joints are enough for `full` and "
            "`hypotheses`; the others need six."
        ),
    ] = None,
    lifter: Annotated[
        str | None, Parameter(help="Folder or name of the lifter of mode `hypotheses`; `default` if not given.")
    ] = None,
    samples: Annotated[int | None, Parameter(help="Hypotheses of each person in that mode; 200 if not given.")] = None,
    question: PoseQuestion = _NO_POSE,
    mirrored: Annotated[
        bool,
        Parameter(
            negative="",
            help="Also find moments that show the mirror image, left and right exchanged; each hit says whether it "
            "was found so.",
        ),
    ] = False,
    joints: JointsOption = None,
    max_per_clip: Annotated[int | None, Parameter(help="At most so many moments of one clip.")] = None,
    min_gap_seconds: Annotated[
        float, Parameter(help="Moments of one clip lie at least so far apart; 0 allows neighbouring frames.")
    ] = 0.0,
    explain: Annotated[
        bool, Parameter(negative="", help="Print what the log odds of each hit are made of (mode `full`).")
    ] = False,
    confidence: Annotated[
        float | None,
        Parameter(
            help="Such as 0.9: give each person as many moments as it takes that one of them is right nine times in "
            "ten, if the archive holds the moment, in place of --k (mode `full`)."
        ),
    ] = None,
    track: Annotated[
        bool,
        Parameter(
            negative="",
            help="The file is a video: follow people over its frames, and find moments that move as they do.",
        ),
    ] = False,
    fps: VideoRate = None,
    every: Annotated[float, Parameter(help="Seconds of a track that are searched with as one.")] = 1.0,
    views: Annotated[
        bool,
        Parameter(negative="", help="The images of the file show one moment from several cameras."),
    ] = False,
    min_confidence: MinConfidence = 0.2,
    convention: Convention = None,
    skeleton: SkeletonName = None,
    image_size: ImageSize = None,
    camera: CameraOptions = _UNKNOWN_CAMERA,
    detector: DetectorOption = None,
    weights: Weights = None,
    variations: Variations = _UNVARIED,
    device: Device = "cpu",
    page: Page = None,
    hits_file: HitsFile = None,
    as_json: Json = False,
) -> None:
    """Find the moments of an index that show the pose of each person in a keypoint file, in photos or in a video.

    With `--pose` it finds those that show the 3D pose of one of its own moments.
    """
    from vipe import PoseIndex
    from vipe.errors import VipeError
    from vipe.files.output_file import refuse_inputs
    from vipe.retrieve.candidates.body_parts import only_joints
    from vipe.retrieve.doubts import doubts, doubts_of_size
    from vipe.retrieve.query import FEWEST_SEEN
    from vipe.retrieve.query import query as search
    from vipe.skeletons.joint_conventions import load_convention

    if page is not None:
        from vipe.plots.writing import check_page

        check_page(page)
    if hits_file is not None:
        check_hits_file(hits_file)
    refuse_inputs((page, hits_file), (keypoints, *image, video, *camera.camera))
    question.check(
        {
            "a keypoint file": keypoints,
            "--image": image or None,
            "--video": video,
            "--mode": mode,
            "--lifter": lifter,
            "--samples": samples,
            "--explain": explain or None,
            "--confidence": confidence,
            "--track": track or None,
            "--fps": fps,
            "--every": None if every == 1.0 else every,
            "--views": views or None,
            "--min-confidence": None if min_confidence == 0.2 else min_confidence,
            "--convention": convention,
            "--skeleton": skeleton,
            "--image-size": image_size,
            "--camera": camera.camera or None,
            "--camera-name": camera.camera_name or None,
            "--detector": detector,
            "--weights": weights,
            "--vary": variations.vary,
        }
    )
    if question.pose:
        variations.check(mode, several_images=False)
        question.answer(
            index,
            k,
            mirrored=mirrored,
            joints=joints,
            max_per_clip=max_per_clip,
            min_gap_seconds=min_gap_seconds,
            page=page,
            table=hits_file,
            device=device,
            as_json=as_json,
        )
        return
    if keypoints is None and not image and video is None:
        raise VipeError("give --keypoints FILE, --image FILE or --video FILE; or --pose CLIP:FRAME")
    k = 10 if k is None else k
    if mirrored:
        _check_mirrored(confidence)
    if fps is not None and not track and video is None:
        raise VipeError("--fps is the rate of a video: it goes with --track or --video")
    if views and video is not None:
        raise VipeError("--views takes photos of one moment: a video is followed")
    track = track or video is not None
    if every != 1.0 and not track:
        raise VipeError("--every is how long the pieces of a track are: it goes with --track or --video")
    if track or views:
        if mode not in (None, "full"):
            raise VipeError(f"--track, --video and --views fit cameras: they need mode full, got {mode}")
        if track and views:
            raise VipeError("--track and --views: give one of them")
        if confidence is not None:
            raise VipeError("--confidence is known of single images: leave out --track, --video and --views")
    if mode != "hypotheses" and not (lifter is None and samples is None):
        raise VipeError(f"--lifter and --samples go with --mode hypotheses, got mode {mode or 'full'}")
    variations.check(mode, several_images=track or views)
    camera.check()
    empty: list[str | int] = []
    opened = PoseIndex.open(index, device=device)
    given = read_people(
        keypoints,
        min_confidence,
        skeleton,
        image_size,
        empty,
        image=image,
        video=video,
        fps=fps,
        detector=detector,
        weights=weights,
    )
    people, time_of = camera.of(with_convention(given.people, convention)), given.time
    if joints is not None:
        people = only_joints(people, parse_joints(joints), FEWEST_SEEN[mode or "full"])
    variations.check_files(people)
    remarks = list(people.remarks)
    start = time.perf_counter()
    limits: dict[str, Any] = {"max_per_clip": max_per_clip, "min_gap_seconds": min_gap_seconds}
    if mode == "hypotheses":
        from vipe import Lifter

        limits["lifter"] = Lifter.from_pretrained(lifter or "default", device=device)
        limits |= {} if samples is None else {"samples": samples}
    limits["mirrored"] = mirrored
    if track:
        people, images, hits = _of_tracks(opened, people, k, fps, every, limits, time_of)
    elif views:
        people, images, hits = _of_views(opened, people, k, limits)
    else:
        hits, images = search(opened, people, k, mode=mode, confidence=confidence, **limits), []
    if explain and hits.contributions is None:
        raise VipeError(f"--explain needs mode full, got {mode}")
    if not images:
        remarks += doubts(opened, people, hits)
    remarks += doubts_of_size(opened, hits)
    if confidence is not None and not load_convention(people.convention).is_exact:
        remarks.append(
            "the confidence was learned on simulated keypoints; on real photos of one person, lists for 90% held "
            "a right moment for 82 to 86 of 100"
        )
    seconds = time.perf_counter() - start
    bent, told = variations.save(opened, people, hits)
    answers: list[dict[str, Any]] = hits.to_json(people, explain=explain)["queries"]
    for one, seen in zip(answers, images, strict=False):  # of single images there are none
        one["images"] = len(seen)
    asked = counted(len(answers), "query", "queries") if images else counted(len(answers), "person", "people")
    last = f"{asked} in {seconds:.2f} s" + files_told(page, hits_file)
    # The answers come first: a page or a table that cannot be written must not take them away.
    result = {"queries": answers, "without_people": empty, "remarks": remarks, "seconds": round(seconds, 6)}
    result |= {"bent": bent} if variations.vary is not None else {}
    emit(
        result,
        answer_table(answers),
        *nobody(empty),
        *read_otherwise(answers),
        *order(answers),
        *lists(answers),
        *told,
        *remarks,
        last,
        as_json=as_json,
    )
    if hits_file is not None:
        write_hits(hits_file, hits.table(people))
    if page is not None:
        from vipe.plots.pages.answers import save_query_page

        save_query_page(page, opened, people, hits, images=images, pictures=given.pictures, remarks=remarks)


def _check_mirrored(confidence: float | None) -> None:
    """Refuse what is not known of people and their mirror images together: how long lists have to be."""
    from vipe.errors import VipeError

    if confidence is not None:
        raise VipeError("--confidence is known of people as they are: leave out --mirrored")


def _of_tracks(
    index: "PoseIndex",
    people: "Keypoints",
    k: int,
    fps: float | None,
    every: float,
    limits: dict[str, Any],
    time: "Array | None",
) -> "tuple[Keypoints, list[Keypoints], Hits]":
    """One answer a piece of a track: the person and frame that it is about, and all frames of the piece."""
    import numpy as np

    from vipe.detections import follow, frame_numbers, pieces
    from vipe.errors import VipeError
    from vipe.retrieve import query_tracks

    if time is None:
        if fps is None or not 0 < fps < math.inf:
            raise VipeError("--track needs a finite --fps above 0: the frames a second of the video")
        time = frame_numbers(people) / fps
    track = _apart(people, lambda answerable: pieces(follow(people), time, every)[answerable])
    hits = query_tracks(index, people, k, track=track, time=time, **limits)
    in_time = np.argsort(time, kind="stable")
    return hits.people(people), _each(people[in_time], track[in_time]), hits


def _of_views(
    index: "PoseIndex", people: "Keypoints", k: int, limits: dict[str, Any]
) -> "tuple[Keypoints, list[Keypoints], Hits]":
    """One answer a person: the view that it is drawn over on a page, and all views."""
    from vipe.detections import together
    from vipe.retrieve import query_views

    moment = _apart(people, lambda answerable: together(people[answerable]))
    hits = query_views(index, people, k, moment=moment, **limits)
    return hits.people(people), _each(people, moment), hits


def _each(people: "Keypoints", group: "Array") -> "list[Keypoints]":
    """The people of each group, in ascending order of the groups' numbers."""
    import numpy as np

    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order])) + 1
    return [people[rows] for rows in np.split(order, starts)] if len(order) else []


def _apart(people: "Keypoints", groups: "Callable[[Array], Array]") -> "Array":
    """Number the groups of people who can be searched for together, from 0; everybody else is a group alone."""
    import numpy as np

    from vipe.retrieve import skip_reasons

    answerable = np.array([reason is None for reason in skip_reasons(people)], dtype=bool)
    group = np.full(len(people), -1)
    group[answerable] = groups(answerable)
    alone = group < 0  # those of whom a tracker did not say who they are, too
    group[alone] = group.max(initial=-1) + np.arange(1, alone.sum() + 1)
    return group
