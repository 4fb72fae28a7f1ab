"""The way of clips into a store: converted, thinned, identical ones passed over, names made unique."""

__all__ = ["Ingest"]

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vipe.clips import Clip
from vipe.errors import ArgumentError, SkeletonError, StoreError, VipeError
from vipe.store.conversion import Stored, convert_clip
from vipe.store.identical import Motions, PassedOver, motion_digest


class Ingest:
    """Iterate over it once to get the clips that a part is written from.

    Identical clips within one source are all stored: an archive may have its reasons. A clip that is identical to one
    of an earlier source, or of the store, is passed over.
    """

    def __init__(
        self,
        sources: Sequence[Iterable[Clip]],
        *,
        store: Path,
        fps: float | None,
        names: Iterable[str] = (),
        motions: Motions | None = None,
        on_skip: Callable[[VipeError], None] | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            sources: Clips of one file, folder or archive each.
            store: Where they go, for errors.
            fps: Rate to thin to; None keeps all frames.
            names: Names that the store has already.
            motions: Clips that are not to be stored again; grows. None stores identical clips as well.
            on_skip: Called with the error of each clip that cannot be converted or is no body, which is then left out.

        Raises:
            ArgumentError: If a source is a path or a single clip.
        """
        for source in sources:
            if isinstance(source, str | Path):
                raise ArgumentError(
                    f"clips must be an iterable of Clip, got {type(source).__name__} {str(source)!r}; "
                    f"read it: vipe.read({str(source)!r})"
                )
            if isinstance(source, Clip):
                raise ArgumentError("clips must be an iterable of Clip, got a single Clip; give a list: [clip]")
        self._sources = sources
        self._store = store
        self._fps = fps
        self._names = set(names)
        self._motions = motions
        self._on_skip = on_skip
        self.passed_over: list[PassedOver] = []
        """Identical clips, in the order they came."""

    def __iter__(self) -> Iterator[Stored]:
        for source in self._sources:
            of_this_source: list[tuple[bytes, str]] = []
            for stored in self._converted(source):
                digest = b"" if self._motions is None else motion_digest(stored.clip)
                twin = None if self._motions is None else self._motions.name(digest)
                if twin is not None:
                    self.passed_over.append(PassedOver(stored.original.name, stored.original.source, twin))
                    continue
                name = _unique(stored.original, self._names, self._store)
                self._names.add(name)
                of_this_source.append((digest, name))
                yield replace(stored, clip=replace(stored.clip, name=name))
            if self._motions is not None:
                self._motions.add_all(of_this_source)

    def _converted(self, source: Iterable[Clip]) -> Iterator[Stored]:
        for clip in source:
            try:
                stored = convert_clip(clip, self._fps)
            except (SkeletonError, StoreError) as error:
                if self._on_skip is None:
                    raise
                self._on_skip(error)
                continue
            yield stored


def _unique(clip: Clip, names: set[str], store: Path) -> str:
    """The clip's name, with as many folders of its source before it as it takes to be new."""
    if clip.name not in names:
        return clip.name
    name = clip.name
    for folder in reversed(PurePosixPath(clip.source).parts[:-1]):
        name = f"{folder}/{name}"
        if name not in names:
            return name
    raise StoreError(
        f"{store}: two clips are named {clip.name!r} and their sources do not tell them apart "
        f"(the second is from {clip.source or 'nowhere'!r}); is one file given twice?"
    )
