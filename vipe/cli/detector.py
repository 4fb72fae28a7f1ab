"""`vipe detect` and `vipe detector fetch`: keypoints from photos and videos, and the weights for it."""

__all__ = ["detect", "fetch"]

import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vipe.cli.options.people import DetectorOption, ImageFiles, MinConfidence, VideoFile, Weights, read_people
from vipe.cli.output import Json, counted, emit, listed


def detect(
    *,
    out: Annotated[Path, Parameter(help="COCO results (.json) to write.")],
    image: ImageFiles = (),
    video: VideoFile = None,
    fps: Annotated[
        float | None, Parameter(help="At most so many frames a second of the video are looked at; 15 by default.")
    ] = None,
    detector: DetectorOption = None,
    weights: Weights = None,
    min_confidence: MinConfidence = 0.2,
    as_json: Json = False,
) -> None:
    """Find the people in photos or in a video, and write their keypoints."""
    from vipe.detections import write_coco_results
    from vipe.errors import VipeError
    from vipe.files.output_file import check_output_file

    if not image and video is None:
        raise VipeError("give --image FILE or --video FILE")
    if fps is not None and video is None:
        raise VipeError("--fps goes with --video")
    check_output_file(out, "keypoints")
    start = time.perf_counter()
    empty: list[str | int] = []
    given = read_people(
        None,
        min_confidence,
        None,
        None,
        empty,
        image=image,
        video=video,
        fps=fps,
        detector=detector,
        weights=weights,
    )
    people = given.people
    write_coco_results(out, people)
    seconds = time.perf_counter() - start
    images = len(set(people.image_id))
    looked_at = images + len(empty)
    nobody = [f"nobody in {counted(len(empty), 'image')}: {listed(empty)}"] if empty else []
    found = f"{counted(len(people), 'person', 'people')} in {counted(images, 'image')} of {looked_at:,}"
    result = {
        "people": len(people),
        "images": looked_at,
        "without_people": empty,
        "frames_per_second": given.rate,
        "remarks": list(people.remarks),
        "seconds": round(seconds, 6),
        "ms_per_image": round(1000 * seconds / looked_at, 3),
    }
    rate = f"{1000 * seconds / looked_at:.0f} ms an image"
    emit(result, *nobody, *people.remarks, f"{found}, {seconds:.1f} s, {rate}; keypoints: {out}", as_json=as_json)


def fetch(
    name: Literal["blazepose"],
    /,
    *,
    weights: Annotated[Path | None, Parameter(help="Folder to keep them in; the user's cache by default.")] = None,
    as_json: Json = False,
) -> None:
    """Get the weights of a detector with pip, check them, and keep them for `--image` and `--video`.

    Parameters
    ----------
    name
        `blazepose`, whose weights are in a wheel of MediaPipe (Apache 2.0), of which nothing else is kept.
    """
    from vipe.detections.detectors.blazepose.files import WHEEL
    from vipe.detections.detectors.blazepose.files import fetch as get

    place = get(weights)
    emit({"detector": name, "weights": str(place)}, f"weights of {name} from {WHEEL}: {place}", as_json=as_json)
