"""Several files, folders or archives, as the sources of one store."""

__all__ = ["read_sources"]

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os.path import commonpath
from pathlib import Path

from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers import read
from vipe.skeletons import Skeleton
from vipe.skeletons.skeleton import Up


def read_sources(
    *paths: str | Path,
    skip_bad: bool = False,
    skeletons: Sequence[Skeleton] = (),
    on_skip: Callable[[ReadError], None] | None = None,
    source_fps: float | None = None,
    unit: float | None = None,
    up: Up | None = None,
    guess: bool = False,
    array_skeleton: Skeleton | str | None = None,
    body_models: str | Path | None = None,
    workers: int = 1,
) -> list[Iterator[Clip]]:
    """Read several paths, each as `vipe.read` does: `PoseStore.create(out, *read_sources(a, b))`.

    A clip's `source` begins at the folder that all paths lie in, so that clips of one name can be told apart.

    Args:
        *paths: Files, folders or archives.
        skip_bad: As in `vipe.read`.
        skeletons: As in `vipe.read`.
        on_skip: As in `vipe.read`.
        source_fps: As in `vipe.read`.
        unit: As in `vipe.read`.
        up: As in `vipe.read`.
        guess: As in `vipe.read`.
        array_skeleton: As in `vipe.read`.
        body_models: As in `vipe.read`.
        workers: As in `vipe.read`.

    Returns:
        The clips of each path; nothing is read before they are asked for.

    Raises:
        ReadError: If nothing is at one of the paths.
    """
    places = [Path(path) for path in paths]
    for path in places:
        if not path.exists():
            raise ReadError(f"{path}: no such file or folder")

    def clips(path: Path, above: str) -> Iterator[Clip]:
        for clip in read(
            path,
            skip_bad=skip_bad,
            skeletons=skeletons,
            on_skip=on_skip,
            source_fps=source_fps,
            unit=unit,
            up=up,
            guess=guess,
            array_skeleton=array_skeleton,
            body_models=body_models,
            workers=workers,
        ):
            yield replace(clip, source=above + clip.source)

    return [clips(path, above) for path, above in zip(places, _above(places), strict=True)]


def _above(paths: Sequence[Path]) -> list[str]:
    """Of each path, the folders between the one that all lie in and the path's own: "", or "b/walks/"."""
    homes = [path.resolve() if path.is_dir() else path.resolve().parent for path in paths]
    shared = commonpath(homes) if homes else ""
    return ["".join(f"{folder}/" for folder in home.relative_to(shared).parts) for home in homes]
