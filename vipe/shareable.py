"""What a page or a model card may tell: the running command and names of files, never where these lie."""

__all__ = ["as_typed", "command_line", "shareable"]

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_TOKENS: ContextVar[tuple[str, ...]] = ContextVar("_TOKENS", default=())
_ABSOLUTE = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:;,'\"()\[\]<>|]+){2,}")


@contextmanager
def as_typed(tokens: Sequence[str]) -> Iterator[None]:
    """While the block runs, these words are the command."""
    before = _TOKENS.set(tuple(tokens))
    try:
        yield
    finally:
        _TOKENS.reset(before)


def command_line() -> str:
    """The running command, with names in place of paths; empty where none runs.

    Example:
        >>> with as_typed(["query", "/home/me/archive", "--keypoints=/tmp/photo.json"]):
        ...     command_line()
        'vipe query archive --keypoints=photo.json'
    """
    tokens = _TOKENS.get()
    return shlex.join(["vipe", *map(_short, tokens)]) if tokens else ""


def shareable(text: str) -> str:
    """A text without where things lie on this machine: of each path its last part is left.

    Paths that the command names are known, so they may hold blanks; so are this folder, the user's and the temporary
    one. Any other absolute path is told by its slashes.

    Example:
        >>> with as_typed(["ingest", "/data/my archive"]):
        ...     shareable("/data/my archive/walk.bvh:3: joint; see /etc/motion/rig.toml")
        'my archive/walk.bvh:3: joint; see rig.toml'
    """
    named = [part for token in _TOKENS.get() for part in _parts(token) if _is_path(part)]
    paths = {str(path) for one in named for path in (one, Path(one).absolute(), Path(one).resolve())}
    for path in sorted(paths, key=len, reverse=True):
        text = text.replace(path.rstrip("/\\"), Path(path).name)
    folders = {Path.cwd(), Path(tempfile.gettempdir()), _home() or Path.cwd()}
    for folder in sorted(map(str, folders), key=len, reverse=True):
        text = text.replace(f"{folder.rstrip(os.sep)}{os.sep}", "") if folder != os.sep else text
    return _ABSOLUTE.sub(lambda found: re.split(r"[/\\]", found.group())[-1], text)


def _short(token: str) -> str:
    name, equals, value = token.partition("=")
    if equals and name.startswith("-"):
        return f"{name}={_short(value)}"
    return Path(token).name or token if _is_path(token) else token


def _parts(token: str) -> list[str]:
    name, equals, value = token.partition("=")
    return [value] if equals and name.startswith("-") else [token]


def _is_path(token: str) -> bool:
    return not token.startswith("-") and any(mark in token for mark in ("/", "\\"))


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no home folder
        return None
