"""`vipe lift`: 3D poses for the people of a keypoint file."""

__all__ = ["lift"]

import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from vipe.cli.options.device import Device
from vipe.cli.options.known_camera import CameraOptions
from vipe.cli.options.people import (
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
)
from vipe.cli.output import Json, Page, Seed, counted, emit, listed, table
from vipe.printable import in_percent

if TYPE_CHECKING:
    from rich.table import Table

    from vipe import Keypoints
    from vipe.lift.aggregation.lifted import LiftedPeople, LiftedTrack

_UNKNOWN_CAMERA = CameraOptions()
_SHARES = 6  # modes of a person that are printed
_UNCERTAIN = 3  # joints that are named
_WIDE = 40  # columns of the reason why a person is left out


def lift(
    keypoints: KeypointFile = None,
    *,
    image: ImageFiles = (),
    video: VideoFile = None,
    lifter: Annotated[str, Parameter(help="Folder or name of a trained lifter.")] = "default",
    samples: Annotated[
        int,
        Parameter(help="Hypotheses of each person that are drawn.", validator=validators.Number(gte=1, lte=100_000)),
    ] = 200,
    height: Annotated[
        float | None,
        Parameter(
            help="Of each person, ground to crown, in metres. Without it each has the torso of the reference body."
        ),
    ] = None,
    track: Annotated[
        bool,
        Parameter(negative="", help="The file is a video: follow people over its frames; one smooth motion of each."),
    ] = False,
    fps: VideoRate = None,
    min_confidence: MinConfidence = 0.2,
    skeleton: SkeletonName = None,
    image_size: ImageSize = None,
    camera: CameraOptions = _UNKNOWN_CAMERA,
    detector: DetectorOption = None,
    weights: Weights = None,
    out: Annotated[
        Path | None,
        Parameter(help="Folder for all files, or one that ends in .bvh (one person or track), .npz or .json."),
    ] = None,
    page: Page = None,
    device: Device = "cpu",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Lift the people of a keypoint file, of photos or of a video: the 3D poses they may have, and how sure that is."""
    from vipe.errors import VipeError
    from vipe.files.output_file import refuse_inputs

    if page is not None:
        from vipe.plots.writing import check_page

        check_page(page)
    refuse_inputs((page, out), (keypoints, *image, video, *camera.camera))
    if video is None and track != (fps is not None):
        raise VipeError("--track and --fps go together: a video, and its frames a second")
    camera.check()
    import numpy as np
    import torch

    from vipe import Lifter
    from vipe.lift.aggregation.files import check_place
    from vipe.lift.aggregation.lifted import check_height, lift_people, lift_tracks
    from vipe.lift.condition import skip_reasons

    if height is not None:
        check_height(height)
    if out is not None:
        check_place(out)
    empty: list[str | int] = []
    model = Lifter.from_pretrained(lifter, device=device)
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
    people, rate = camera.of(given.people), fps if given.rate is None else given.rate
    start = time.perf_counter()
    reasons = skip_reasons(people)
    skipped = _skipped(people, reasons)
    liftable = people[np.array([reason is None for reason in reasons], dtype=bool)]
    generator = torch.Generator().manual_seed(seed)
    result: dict[str, Any] = {"lifter": lifter, "kind": model.kind, "samples": samples, "height": height}
    lifted: LiftedPeople | tuple[LiftedTrack, ...]
    if rate is None:
        lifted = lift_people(model, liftable, samples, generator)
        lifted = lifted if height is None else lifted.of_height(height)
        answers = iter(lifted.to_json())
        result["people"] = [skipped[row] if row in skipped else next(answers) for row in range(len(people))]
        shown, done = _people_table(result["people"]), counted(len(people), "person", "people")
    else:
        lifted = lift_tracks(model, liftable, samples, generator, rate)
        lifted = lifted if height is None else tuple(track.of_height(height) for track in lifted)
        result["tracks"], result["people"] = [one.to_json() for one in lifted], list(skipped.values())
        shown, done = _track_table(result["tracks"], result["people"]), counted(len(lifted), "track")
    result |= {
        "without_people": empty,
        "remarks": [*people.remarks, *(() if isinstance(lifted, tuple) else lifted.doubts())],
        "seconds": round(time.perf_counter() - start, 6),
    }
    if out is not None:
        _save(out, lifted, result)
    places = "".join(f"; {what}: {place}" for what, place in (("files", out), ("page", page)) if place is not None)
    nobody = [f"nobody in {counted(len(empty), 'image')}: {listed(empty)}"] if empty else []
    # The answers come before the page: one that cannot be written must not take them away.
    emit(result, shown, *nobody, *result["remarks"], f"{done} in {result['seconds']:.2f} s{places}", as_json=as_json)
    if page is not None:
        _draw(page, lifted, [(_who(one), one["skipped"]) for one in skipped.values()])


def _save(out: Path, lifted: "LiftedPeople | tuple[LiftedTrack, ...]", result: dict[str, Any]) -> None:
    from vipe.lift.aggregation.files import save_people, save_tracks

    if isinstance(lifted, tuple):
        save_tracks(out, lifted, result)
    else:
        save_people(out, lifted, result)


def _draw(page: Path, lifted: "LiftedPeople | tuple[LiftedTrack, ...]", left_out: list[tuple[str, str]]) -> None:
    from vipe.plots.pages.lifted import save_people_page, save_tracks_page

    if isinstance(lifted, tuple):
        save_tracks_page(page, lifted, left_out)
    else:
        save_people_page(page, lifted, left_out)


def _skipped(people: "Keypoints", reasons: tuple[str | None, ...]) -> dict[int, dict[str, Any]]:
    """An entry for each person that cannot be lifted, by row."""
    from vipe.lift.aggregation.lifted import plain

    return {
        row: {
            "image_id": plain(people.image_id[row]),
            "person": int(people.person[row]),
            "skipped": reason,
            "modes": [],
        }
        for row, reason in enumerate(reasons)
        if reason is not None
    }


def _who(answer: dict[str, Any]) -> str:
    return f"{answer['image_id']} person {answer['person']}"


def _people_table(answers: list[dict[str, Any]]) -> "Table":
    rows = []
    for answer in answers:
        if "skipped" in answer:
            rows.append([_who(answer), "-", "", "", textwrap.fill(answer["skipped"], _WIDE)])
        else:
            seen = f"{len(answer['not_seen'])} not seen" if answer["not_seen"] else "all seen"
            shares = " ".join(in_percent(mode["share"]) for mode in answer["modes"][:_SHARES])
            shares += " ..." if len(answer["modes"]) > _SHARES else ""
            rows.append([_who(answer), seen, shares, *_spread(answer["spread_mm"])])
    return table(["person", "keypoints", "modes", "spread mm", "least certain, mm"], rows)


def _track_table(tracks: list[dict[str, Any]], left_out: list[dict[str, Any]]) -> "Table":
    rows = []
    for track in tracks:
        frames = track["frames"]
        span, seconds = f"{frames[0]} to {frames[-1]}", f"{len(frames) / track['fps']:.2f}"
        rows.append([str(track["track"]), span, seconds, str(sum(track["seen"])), *_spread(track["spread_mm"])])
    rows += [[_who(one), "-", "", "", "", textwrap.fill(one["skipped"], _WIDE)] for one in left_out]
    return table(["track", "frames", "seconds", "seen in", "spread mm", "least certain, mm"], rows)


def _spread(spread: dict[str, float]) -> tuple[str, str]:
    """The mean spread of the joints, and the joints that spread most; the pelvis is the origin and has none."""
    free = {joint: own for joint, own in spread.items() if joint != "pelvis"}
    most = sorted(free, key=lambda joint: -free[joint])[:_UNCERTAIN]
    return f"{sum(free.values()) / len(free):.0f}", ", ".join(f"{joint} {free[joint]:.0f}" for joint in most)
