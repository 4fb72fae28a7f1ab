"""Commands that build an index of a store, check it and describe it."""

__all__ = ["build", "info", "verify"]

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vipe.cli.output import Json, counted, emit, progress

IndexPath = Annotated[Path, Parameter(help="Folder of the index.")]


def build(
    store: Path,
    /,
    *,
    out: IndexPath,
    encoder: Annotated[
        str,
        Parameter(
            help="`affine` (no training needed), `default` (the embedding that comes with the library), or a trained "
            "embedder's folder."
        ),
    ] = "affine",
    recipe: Annotated[
        str,
        Parameter(
            help="How embeddings are stored: `flat`, `fp16`, `int8`, `ivf`, `auto` by size, or your own .toml file."
        ),
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Embed every pose of a store and make them searchable.

    Parameters
    ----------
    store
        Folder of the store.
    """
    from vipe.embed import find_encoder
    from vipe.index import PoseIndex
    from vipe.store import PoseStore

    start = time.perf_counter()
    with progress() as advance:
        index = PoseIndex.build(
            PoseStore.open(store),
            find_encoder(encoder),
            out,
            recipe=recipe,
            progress=lambda done, total: advance("poses", done, total),
        )
    result = {**index.info(), "seconds": round(time.perf_counter() - start, 3)}
    poses = counted(len(index), "pose")
    emit(result, f"{out}: {poses} by {index.encoder.name} in {result['seconds']:.1f} s", as_json=as_json)


def verify(index: Path, /, *, as_json: Json = False) -> None:
    """Check every file of an index against its checksum.

    Parameters
    ----------
    index
        Folder of the index.
    """
    from vipe.index import PoseIndex

    PoseIndex.open(index)
    emit({"index": str(index), "ok": True}, f"{index}: every checksum agrees", as_json=as_json)


def info(index: Path, /, *, as_json: Json = False) -> None:
    """Show encoder, recipe and counts of an index.

    Parameters
    ----------
    index
        Folder of the index.
    """
    from vipe.index import PoseIndex

    found = PoseIndex.open(index).info()
    emit(found, "\n".join(f"{name:<12} {value}" for name, value in found.items()), as_json=as_json)
