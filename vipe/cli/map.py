"""`vipe map`: the poses of an index in the plane, as a page, a picture, or a table."""

__all__ = ["map_"]

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from vipe.cli.options.folders import IndexFolder
from vipe.cli.options.people import KEYPOINTS, ImageSize, MinConfidence, SkeletonName, read_people
from vipe.cli.output import Json, Seed, counted, emit, listed, progress

if TYPE_CHECKING:
    import numpy as np

    from vipe import PoseIndex
    from vipe.plots.embedding_map.labels import MapLabels
    from vipe.plots.embedding_map.layout import EmbeddingMap
    from vipe.plots.embedding_map.people import MappedPeople

_BY_DEFAULT = "the index holds affine signatures, which do not compare poses: mapped by the embedding `default`"
_CALLED = {"umap": "UMAP", "tsne": "t-SNE"}


def map_(
    index: IndexFolder,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="HTML file to write: the map as a page.")] = None,
    method: Annotated[
        Literal["umap", "tsne"] | None, Parameter(help="How poses are laid out; `umap` if not given.")
    ] = None,
    limit: Annotated[
        int | None,
        Parameter(
            help="Of more poses so many that cover the others; 100,000 if not given.",
            validator=validators.Number(gte=10),
        ),
    ] = None,
    colour: Annotated[
        Literal["action", "subject", "clip", "key", "cluster", "density"] | None,
        Parameter(
            help="What points of the page are coloured by at first; `key`: the nearest of ten key poses. By default "
            "actions, or clips where no two actions are known."
        ),
    ] = None,
    keypoints: Annotated[Path | None, Parameter(help=f"People to draw in. {KEYPOINTS}")] = None,
    min_confidence: MinConfidence = 0.2,
    skeleton: SkeletonName = None,
    image_size: ImageSize = None,
    coordinates: Annotated[
        Path | None, Parameter(help="Also write places, labels and embeddings as a table (.parquet).")
    ] = None,
    onto: Annotated[
        Path | None,
        Parameter(help="A table of an earlier --coordinates: place the poses on that map, in place of a new layout."),
    ] = None,
    picture: Annotated[Path | None, Parameter(help="Also draw the map with ten key poses around it (.png).")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Draw the poses of an index as a map, on which similar poses lie near each other."""
    import numpy as np

    from vipe import PoseIndex
    from vipe.errors import VipeError
    from vipe.plots.embedding_map.labels import label_map
    from vipe.plots.embedding_map.layout import LIMIT, encoder_of, lay_onto, lay_out
    from vipe.plots.embedding_map.people import place_people

    start = time.perf_counter()
    if out is None and coordinates is None and picture is None:
        raise VipeError(
            "give --out FILE.html, --picture FILE.png or --coordinates FILE.parquet: nothing is written else"
        )
    if onto is not None and method is not None:
        raise VipeError("--onto keeps an earlier layout: leave out --method")
    _check_files(out, picture, coordinates)
    opened = PoseIndex.open(index)
    if out is not None:
        from vipe.plots.embedding_map.page import check_fits

        check_fits(out, min(limit or LIMIT, len(opened)))
    encoder = encoder_of(opened)
    remarks = [] if opened.is_learned else [_BY_DEFAULT]
    people = None
    if keypoints is not None:
        people = read_people(keypoints, min_confidence, skeleton, image_size, []).people
        remarks += people.remarks
    generator = np.random.default_rng(seed)
    with progress() as advance:
        if onto is not None:
            from vipe.plots.embedding_map.coordinates import read_coordinates

            layout = lay_onto(read_coordinates(onto), opened, limit or LIMIT, encoder=encoder, progress=advance)
        else:
            layout = lay_out(
                opened, method or "umap", limit or LIMIT, generator=generator, encoder=encoder, progress=advance
            )
        advance("labels and files", 0)
        labels = label_map(opened, layout, generator=generator)
        mapped = None if people is None else place_people(layout, people, encoder)
        measured = _measured(layout, labels, generator)
        if out is not None:
            from vipe.plots.embedding_map.page import save_map_page

            colour = colour or ("action" if len(set(labels.action.tolist())) > 1 else "clip")
            save_map_page(
                out, f"Map of {index}", layout, labels, colour=colour, people=mapped, facts=_facts(opened, layout)
            )
        if picture is not None:
            from vipe.plots.embedding_map.picture import save_map_picture

            save_map_picture(picture, layout, labels, title=f"Map of {index}", people=mapped)
        if coordinates is not None:
            from vipe.plots.embedding_map.coordinates import save_coordinates

            save_coordinates(coordinates, layout, labels)
    if mapped is not None and mapped.skipped:
        remarks.append(f"not drawn in: {listed(mapped.skipped)}")
    seconds = round(time.perf_counter() - start, 3)
    files = [str(path) for path in (out, picture, coordinates) if path is not None]
    result: dict[str, Any] = {
        "index": str(index),
        "poses": len(layout),
        "of": len(opened),
        "method": layout.method,
        "settings": layout.settings,
        "encoder": layout.encoder,
        **{name: round(value, 4) for name, value in measured.items()},
        "people": [] if mapped is None else _told(mapped, layout, opened),
        "remarks": remarks,
        "files": files,
        "seconds": seconds,
    }
    kept = "" if len(layout) == len(opened) else f" of {len(opened):,}, by coverage"
    lines = [
        f"{counted(len(layout), 'pose')}{kept}, by {_CALLED[layout.method]} in {seconds:.1f} s",
        ", ".join(f"{name.replace('_', ' of ')} {value:.3f}" for name, value in measured.items()),
        f"files: {', '.join(files)}",
    ]
    emit(result, *lines, *remarks, as_json=as_json)


def _check_files(out: Path | None, picture: Path | None, coordinates: Path | None) -> None:
    """Refuse before any work what could not be written, and what is not installed."""
    from importlib.util import find_spec

    from vipe.errors import MissingExtra, VipeError
    from vipe.plots.embedding_map.coordinates import check_coordinates
    from vipe.plots.writing import check_page, check_picture

    for module, package in (("sklearn", "scikit-learn"), ("umap", "umap-learn")):
        if find_spec(module) is None:
            raise MissingExtra.of(f"maps need {package}", "maps")
    if out is not None:
        check_page(out)
    if picture is not None:
        check_picture(picture)
    if coordinates is not None:
        check_coordinates(coordinates)
    places = [path.absolute() for path in (out, picture, coordinates) if path is not None]
    if len(set(places)) < len(places):
        raise VipeError(f"{places[0]}: is given for two files; give each a name of its own")


def _measured(layout: "EmbeddingMap", labels: "MapLabels", generator: "np.random.Generator") -> dict[str, float]:
    """How true a map is; purities where there are several words and several clips."""
    import numpy as np

    from vipe.plots.embedding_map.measures import knn_purity, trustworthiness

    near = min(15, (len(layout) - 1) // 2)
    found = {"trustworthiness": trustworthiness(layout.embeddings, layout.xy, near, generator=generator)}
    for name, words in (("action", labels.action), ("subject", labels.subject)):
        if len(np.unique(words.astype(str))) > 1:
            found[f"purity_{name}"] = knn_purity(layout.xy, words, near, apart=labels.clip, generator=generator)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _facts(index: "PoseIndex", layout: "EmbeddingMap") -> list[tuple[str, str]]:
    kept = "" if len(layout) == len(index) else f" of {len(index):,}, chosen to cover them"
    return [
        ("poses", f"{len(layout):,}{kept}"),
        ("layout", _CALLED[layout.method]),
        ("clips", f"{index.manifest.clips:,}"),
    ]


def _told(mapped: "MappedPeople", layout: "EmbeddingMap", index: "PoseIndex") -> list[dict[str, Any]]:
    rows = layout.rows[mapped.nearest]
    moments = {
        name: index.look_up(name, rows, blank).tolist() for name, blank in (("clip", ""), ("frame", 0), ("time", 0.0))
    }
    people = zip(mapped.people.image_id, mapped.people.person.tolist(), mapped.xy.tolist(), strict=True)
    return [
        {
            "image_id": image,
            "person": person,
            "x": round(x, 4),
            "y": round(y, 4),
            "nearest": {name: values[number] for name, values in moments.items()},
        }
        for number, (image, person, (x, y)) in enumerate(people)
    ]
