"""NVIDIA's package `nvidia-vipe` installs the import name `vipe` as well: who has both is told at import."""

__all__ = ["OTHER", "OURS", "warn_of_same_name"]

import os
import sys
import warnings
from collections.abc import Iterable, Iterator

OURS = "vipe-pose"
OTHER = "nvidia-vipe"
_SHOWN = 3  # names of files in the warning


def warn_of_same_name(package: str, path: Iterable[str] | None = None) -> None:
    """Warn in one line if the other package of this import name is installed too, and say which files are whose.

    `import vipe` must stay fast: where the other package is not installed, this lists the folders of `path` and reads
    nothing.

    Args:
        package: The folder of this package.
        path: Folders with packages, `sys.path` if not given.
    """
    for folder in sys.path if path is None else path:
        for info in _installed(folder, OTHER):
            version = info.removesuffix(".dist-info").rpartition("-")[2]
            warnings.warn(f"{OTHER} {version} {_trouble(package, folder, info)}", UserWarning, stacklevel=3)
            return


def _trouble(package: str, folder: str, info: str) -> str:
    """What follows from the other package in this folder, and what to do."""
    advice = f"give each an environment of its own: pip uninstall {OTHER} {OURS}, then install one of them again"
    there = os.path.join(folder, "vipe")  # noqa: PTH118  # pathlib would be most of the time of `import vipe`
    if os.path.realpath(there) != os.path.realpath(package):
        return f"also installs the import name vipe, in {there}; `import vipe` gives {OURS} in {package}; {advice}"
    theirs = dict(_record(folder, info))
    ours = dict(entry for own in _installed(folder, OURS) for entry in _record(folder, own))
    now = {name: _digest(os.path.join(folder, name)) for name in sorted(theirs.keys() & ours.keys())}  # noqa: PTH118
    kept = {OURS: [name for name in now if now[name] == ours[name]]}
    kept[OTHER] = [name for name in now if now[name] == theirs[name] != ours[name]]
    whose = "; ".join(f"{owner} has {_listed(names)}" for owner, names in kept.items() if names)
    return (
        f"also installs the import name vipe, in the same folder {there}; of {len(now)} common files {whose}; {advice}"
    )


def _installed(folder: str, name: str) -> Iterator[str]:
    """The folders in which installers note what they installed of a package; none where there is no such folder."""
    try:
        entries = os.listdir(folder or os.curdir)  # noqa: PTH208
    except OSError:
        return
    start = name.replace("-", "_") + "-"
    yield from (entry for entry in entries if entry.lower().startswith(start) and entry.endswith(".dist-info"))


def _record(folder: str, info: str) -> Iterator[tuple[str, str]]:
    """Files of `vipe` that a package installed, and their digests."""
    try:
        with open(os.path.join(folder, info, "RECORD"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            rows = [line.rsplit(",", 2) for line in file.read().splitlines()]
    except OSError:
        return
    yield from ((row[0], row[1]) for row in rows if row[0].startswith("vipe/") and len(row) == 3 and row[1])


def _digest(file: str) -> str:
    """The digest of a file as installers note it."""
    from base64 import urlsafe_b64encode
    from hashlib import sha256

    try:
        with open(file, "rb") as content:  # noqa: PTH123
            return "sha256=" + urlsafe_b64encode(sha256(content.read()).digest()).decode().rstrip("=")
    except OSError:
        return ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
