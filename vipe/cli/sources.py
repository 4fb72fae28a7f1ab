"""What `vipe ingest` reads: several paths one after the other, and what an earlier one brought only once."""

__all__ = ["Sources"]

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING

from vipe.errors import ReadError, SkeletonError

if TYPE_CHECKING:
    from vipe.clips import Clip
    from vipe.skeletons import Skeleton


class Sources:
    """The clips of one or more paths, on their way into a store.

    Of several paths, a clip that an earlier one brought is passed over, as `PoseStore.append` does: the same poses at
    the same rate, to the last bit. `source` then begins at the folder that all of them lie in, so that equal names
    can be told apart.

    Raises:
        ReadError: If nothing is at one of the paths.
    """

    def __init__(self, paths: Sequence[Path], *, keep_identical: bool = False) -> None:
        for path in paths:
            if not path.exists():
                raise ReadError(f"{path}: no such file or folder")
        self._paths = paths
        self._once = len(paths) > 1 and not keep_identical
        self._earlier: dict[bytes, int] = {}  # clips of earlier paths, and how many were stored before each
        self._of_this_path: dict[bytes, int] = {}
        self._stored = 0
        self._digest = b""  # of the clip that is out
        self._passed_over: list[tuple[str, str, int]] = []  # name, source, number of the clip that is stored

    def clips(self, skeletons: "Sequence[Skeleton]", on_skip: "Callable[[ReadError], None] | None") -> "Iterator[Clip]":
        """Read the paths; bad files, and bodies that the working skeleton cannot be made of, go to `on_skip`.

        Raises:
            ReadError: At the first of them, if there is no `on_skip`; or if a path holds no motion file.
        """
        from vipe.readers import read
        from vipe.skeletons import load
        from vipe.store.identical import motion_digest

        working = load("h36m17")
        for path, above in zip(self._paths, _above(self._paths), strict=True):
            for clip in read(path, skip_bad=on_skip is not None, skeletons=skeletons, on_skip=on_skip):
                try:
                    body = clip.to(working)
                except SkeletonError as error:
                    refusal = ReadError(f"{clip.source}: {error}; complete the table [to.{working.name}]")
                    if on_skip is None:
                        raise refusal from error
                    on_skip(refusal)
                    continue
                clip = replace(clip, source=above + clip.source)
                if self._once:
                    self._digest = motion_digest(body)
                    if self._digest in self._earlier:
                        self._passed_over.append((clip.name, clip.source, self._earlier[self._digest]))
                        continue
                yield clip
            self._earlier = {**self._of_this_path, **self._earlier}

    def stored(self) -> None:
        """Take note that the clip given last is in the store now."""
        self._of_this_path.setdefault(self._digest, self._stored)
        self._stored += 1

    def passed_over(self, names: Sequence[str]) -> list[dict[str, str]]:
        """The clips that an earlier path had brought; `names` are those of the clips stored, in order."""
        return [
            {"clip": clip, "source": source, "stored_as": names[number]} for clip, source, number in self._passed_over
        ]


def _above(paths: Sequence[Path]) -> list[str]:
    """Of each path, the folders from where all of them lie to where its own `source` begins: "", or "b/walks/"."""
    homes = [path.resolve() if path.is_dir() else path.resolve().parent for path in paths]
    shared = commonpath(homes)
    return ["".join(f"{folder}/" for folder in home.relative_to(shared).parts) for home in homes]
