"""All commands in one place. Each loads its modules when it runs, so that `vipe --help` is fast."""

__all__ = ["app", "main"]

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError, Parameter, Token, convert
from rich.console import Console

from vipe import __version__
from vipe.cli import archive, demo, evaluate, generate, index, lift, query, train
from vipe.errors import VipeError


def _as_typed(type_: Any, tokens: Sequence[Token]) -> Any:
    """Convert as cyclopts does, but refuse fractions for whole numbers, which it would round."""
    if type_ is int:
        for token in tokens:
            if "." in token.value:
                raise ValueError(f"got {token.value}, expected a whole number")
    return convert(type_, tokens)


app = App(
    name="vipe",
    help="Search motion capture with the 2D keypoints of a photo.",
    version=__version__,
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(converter=_as_typed, negative_iterable=()),
)
app.command(demo.demo)
app.command(archive.synth)
app.command(archive.ingest)
app.command(query.query)
app.command(lift.lift)
app.command(generate.generate)
app.command(archive.skeletons)

store = App(name="store", help="Look into a store of poses.")
store.command(archive.info)
app.command(store)

training = App(name="train", help="Train a model on a store of poses.")
training.command(train.embedding)
training.command(train.lifter)
app.command(training)

indexes = App(name="index", help="Build and check what queries search in.")
indexes.command(index.build)
indexes.command(index.verify)
indexes.command(index.info)
app.command(indexes)

evaluation = App(name="evaluate", help="Measure how good a search, an embedding, or a lifter is.")
evaluation.command(evaluate.search)
evaluation.command(evaluate.calibration)
evaluation.command(evaluate.retrieval)
evaluation.command(evaluate.lifting)
app.command(evaluation)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 for success, 2 for wrong input, 130 if interrupted, 141 if the output was closed.

    Wrong input gives one line on standard error; `--debug` adds the traceback.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    try:
        app(tokens, exit_on_error=False, print_error=False, result_action="return_none", error_console=_STDERR)
    except BrokenPipeError:
        # The reader of the output closed it (`| head`). Without this, Python prints an error when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (VipeError, CycloptsError, OSError) as error:
        if debug:
            traceback.print_exc()
        _STDERR.print(f"vipe: {_one_line(error)}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        kept = _KEPT.get("".join(tokens[:1]), _NOTHING_KEPT)
        _STDERR.print(f"vipe: interrupted; {kept}", soft_wrap=True)
        sys.exit(130)


_STDERR = Console(stderr=True)
_NOTHING_KEPT = "nothing is half-written, and nothing of this run is kept: run again, it begins anew"
_KEPT = {  # by the first word of the command, where more is kept
    "demo": "its finished steps are kept, and the last checkpoint of a training: run it again to go on",
    "generate": "nothing is half-written: the new store is whole, or not there",
    "train": "its last checkpoint is kept, if it came to one: run it again to go on from there",
}


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, VipeError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    kind = "" if isinstance(error, CycloptsError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())
