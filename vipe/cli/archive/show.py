"""`vipe show`: a clip that plays on a page, files of it, and the most different poses of a store."""

__all__ = ["show"]

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from vipe.cli.output import Json, counted, emit

if TYPE_CHECKING:
    from vipe.store.moments import Moment

Names = Annotated[
    Literal["h36m17", "mixamo", "unreal"],
    Parameter(help="Names of the joints in .bvh, .glb and .gltf files: the library's own, or those of other programs."),
]
"""Used by `vipe generate` too."""

_NAMED = 80  # characters of a clip's name in the name of a page


def show(
    path: Path,
    clip: Annotated[str | None, Parameter(help="Name of the clip; a file with a single one needs none.")] = None,
    /,
    *,
    start: Annotated[
        float | None, Parameter(name="--from", help="Begin here: seconds in the source clip, as a hit prints them.")
    ] = None,
    end: Annotated[float | None, Parameter(name="--to", help="End here, likewise.")] = None,
    page: Annotated[
        Path | None,
        Parameter(
            help="HTML file in which the clip plays; without a clip, an HTML file or a .png of the store's most "
            "different poses. Default, without --export: an .html named after the clip, or the store, in this folder."
        ),
    ] = None,
    export: Annotated[
        tuple[Path, ...],
        Parameter(help="Also write the motion: .bvh, .glb, .gltf, .npz, .parquet, or COCO keypoints as .json."),
    ] = (),
    names: Names = "h36m17",
    azimuth: Annotated[
        float | None,
        Parameter(help="Where the camera of COCO keypoints stands: degrees from the person's front to their left."),
    ] = None,
    count: Annotated[
        int | None, Parameter(help="How many different poses; default 24.", validator=validators.Number(gte=1, lte=500))
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a clip of a store, or of a motion file, as it moves; or, without a clip, a store's most different poses.

    Parameters
    ----------
    path
        Folder of a store; or a motion file, a folder or an archive of them.
    """
    from vipe.errors import VipeError

    is_store = path.is_dir() and any(path.glob("part-*.parquet"))
    if clip is None and (is_store or (path / "manifest.json").is_file()):
        given: dict[str, object] = {"--from": start, "--to": end, "--export": export or None, "--azimuth": azimuth}
        given |= {"--names": None if names == "h36m17" else names}
        if alone := [name for name, value in given.items() if value is not None]:
            raise VipeError(f"{alone[0]} belongs to a clip: give its name after the store")
        _sheet(path, page, count, as_json=as_json)
        return
    if count is not None:
        raise VipeError("--count belongs to a store's most different poses: leave out the clip")
    for name, value in (("--from", start), ("--to", end), ("--azimuth", azimuth)):
        if value is not None and not math.isfinite(value):
            raise VipeError(f"{name} must be a finite number, got {value}")
    if start is not None and end is not None and start > end:
        raise VipeError(f"--from {start:g} is after --to {end:g}")
    _check_files(page, export, names, azimuth)
    moment = _stored(path, clip, start, end) if is_store else _read(path, clip, start, end)
    if page is None and not export:
        page = _named_after(moment.clip.name)
        _check_files(page, (), names, None)
    files = [_export(place, moment, names, azimuth) for place in export]
    if page is not None:
        from vipe.plots.pages.motion import save_motion_page

        save_motion_page(page, moment)
    span = [round(float(moment.time[0]), 6), round(float(moment.time[-1]), 6)]
    result: dict[str, Any] = {
        "clip": moment.clip.name,
        "frames": len(moment),
        "from": span[0],
        "to": span[1],
        "first_frame": int(moment.frame[0]),
        "last_frame": int(moment.frame[-1]),
        "fps": moment.clip.fps,
        "page": None if page is None else str(page),
        "files": files,
    }
    said = f"{moment.clip.name}: {counted(len(moment), 'frame')}, {span[0]:.2f} to {span[1]:.2f} s"
    lines = [said, *(_line(file) for file in files), *([] if page is None else [f"page: {page}"])]
    emit(result, *lines, as_json=as_json)


def _sheet(path: Path, page: Path | None, count: int | None, *, as_json: bool) -> None:
    from vipe import PoseStore
    from vipe.plots.pages.contact_sheet import check_contact_sheet, save_contact_sheet
    from vipe.store.most_different import most_different

    store = PoseStore.open(path)
    page = _named_after(path.absolute().name) if page is None else page
    check_contact_sheet(page)
    found = most_different(store, 24 if count is None else count)
    save_contact_sheet(page, f"Most different poses of {path.absolute().name}", found, rows=len(store))
    poses = [
        {"clip": clip, "frame": frame, "time": round(time, 6), "distance": round(distance, 6)}
        for clip, frame, time, distance in zip(
            found.clip, found.frame.tolist(), found.time.tolist(), found.distance.tolist(), strict=True
        )
    ]
    emit(
        {"rows": len(store), "page": str(page), "poses": poses},
        f"{path}: {counted(len(found), 'pose')} of {len(store):,}; page: {page}",
        as_json=as_json,
    )


def _check_files(page: Path | None, export: tuple[Path, ...], names: str, azimuth: float | None) -> None:
    """Refuse before any work what could not be written, or would not be used."""
    from vipe.errors import VipeError
    from vipe.writers import RIG_FORMATS, check_place

    if page is not None:
        from vipe.plots.writing import check_page

        if page.suffix.lower() not in (".html", ".htm"):
            raise VipeError(
                f"{page}: ends in {page.suffix or 'nothing'}, expected the name of a page that ends in .html"
            )
        check_page(page)
    for place in export:
        check_place(place)
    endings = {place.suffix.lower() for place in export}
    if names != "h36m17" and not endings & set(RIG_FORMATS):
        raise VipeError(f"--names {names} belongs to --export of {', '.join(RIG_FORMATS)}")
    if azimuth is not None and ".json" not in endings:
        raise VipeError("--azimuth belongs to --export of COCO keypoints, a .json file")


def _stored(path: Path, clip: str | None, start: float | None, end: float | None) -> "Moment":
    from vipe import PoseStore
    from vipe.store.moments import take_moment

    assert clip is not None
    return take_moment(PoseStore.open(path), clip, start, end)


def _read(path: Path, clip: str | None, start: float | None, end: float | None) -> "Moment":
    """The one clip of a motion file, or that of a name."""
    import vipe
    from vipe.errors import ReadError
    from vipe.similar_names import lacks_clip
    from vipe.skeletons.working import H36M17
    from vipe.store.moments import Moment

    found, others = None, list[str]()
    for one in vipe.read(path):
        if found is None and clip in (None, one.name):
            found = one
            if clip is not None:
                break
        else:
            others.append(one.name)
    if found is None:
        raise ReadError(lacks_clip(path, clip, others))
    if clip is None and others:
        raise ReadError(f"{path}: has {counted(len(others) + 1, 'clip')}, such as {found.name!r}; give the name of one")
    return Moment.of(found.to(H36M17), start, end)


def _export(place: Path, moment: "Moment", names: str, azimuth: float | None) -> dict[str, Any]:
    from vipe.writers import write

    error = write(place, moment, names=names, azimuth=math.radians(azimuth or 0.0))
    return {"file": str(place), "error_mm": round(1000 * error, 3)}


def _line(file: dict[str, Any]) -> str:
    far = f"; its bones keep their lengths, so joints are up to {file['error_mm']:.1f} mm off"
    return f"file: {file['file']}{far if file['error_mm'] >= 1 else ''}"


def _named_after(name: str) -> Path:
    """A page in this folder; what could mislead a file system or a shell becomes an underscore."""
    return Path(f"{re.sub(r'[^0-9A-Za-z._-]+', '_', name).strip('._-')[:_NAMED] or 'clip'}.html")
