"""What can go wrong, as a user meets it: one line that says where, what came, what was expected."""

__all__ = [
    "ArgumentError",
    "EncoderMismatch",
    "IndexFormatError",
    "MissingExtra",
    "ReadError",
    "ShapeError",
    "SkeletonError",
    "StoreError",
    "VipeError",
    "install_line",
]

from vipe.printable import printable

_LONGEST, _END = 1500, 500  # characters of a message, and those of its end that are kept: the advice stands there


class VipeError(Exception):
    """Any mistake of input, file or setting that this library reports; the command line turns it into exit code 2.

    Messages name files, clips and joints, whose names come from outside. As text each is one line without characters
    that steer a terminal (`printable`), cut in the middle if a name is endless; `args` holds it as it was raised.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST - _END]} ... {text[-_END:]}"
        return printable(" ".join(text.splitlines())).replace("\t", r"\t")


class ArgumentError(VipeError, TypeError):
    """An argument is of another kind than the function takes."""


class ShapeError(VipeError, ValueError):
    """An array has another shape than the function takes."""


class ReadError(VipeError, ValueError):
    """A file from outside is broken, cut, or not what its name says."""


class SkeletonError(VipeError, ValueError):
    """A skeleton is unknown, its table is wrong, or it cannot give the joints asked of it."""


class StoreError(VipeError, ValueError):
    """A pose store cannot be made, opened or extended."""


class IndexFormatError(VipeError, ValueError):
    """An index folder is incomplete, altered, or of another format version."""


class EncoderMismatch(VipeError, ValueError):
    """An index and an encoder do not belong together."""


class MissingExtra(VipeError, ImportError):
    """An optional dependency is not installed; the message names the line that installs it."""

    @classmethod
    def of(cls, lack: str, extra: str) -> "MissingExtra":
        """What needs which package, and how to install the extra that brings it.

        Args:
            lack: Such as "pages need jinja2".
            extra: Of `pyproject.toml`, such as "report".
        """
        return cls(f"{lack}: {install_line(extra)}")


def install_line(extra: str) -> str:
    """The line that adds an extra, wherever it is run; and README's, which is run in a copy of the repository.

    >>> install_line("report")
    'pip install "vipe-pose[report]" (in the repository: pip install -e ".[report]")'
    """
    return f'pip install "vipe-pose[{extra}]" (in the repository: pip install -e ".[{extra}]")'
