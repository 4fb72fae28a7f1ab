"""All commands in one place. Each loads its modules when it runs, so that `vipe --help` is fast."""

__all__ = ["app", "main"]

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from cyclopts import App, CycloptsError, Parameter, Token, convert
from rich.console import Console

from vipe import __version__
from vipe.cli import demo, detector, find_like, generate, index, lift, query, train
from vipe.cli import map as maps
from vipe.cli.archive import ingest, show, suggest
from vipe.cli.archive import store as stores
from vipe.cli.evaluate import models, searches
from vipe.cores import usable_cores, use_cores
from vipe.errors import VipeError
from vipe.printable import printable
from vipe.shareable import as_typed


def _as_typed(type_: Any, tokens: Sequence[Token]) -> Any:
    """Convert as cyclopts does, but refuse fractions for whole numbers, which it would round."""
    if type_ in (int, int | None):
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
app.command(stores.synth)
app.command(ingest.ingest)
app.command(show.show)
app.command(query.query)
app.command(lift.lift)
app.command(generate.generate)
app.command(find_like.find_like)
app.command(find_like.cycles)
app.command(find_like.duplicates)
app.command(maps.map_, name="map")

app.command(detector.detect)

detectors = App(name="detector", help="Get what finds people in photos and videos.")
detectors.command(detector.fetch)
app.command(detectors)

bodies = App(name="skeletons", help="List skeletons, or propose one for a file.")
bodies.default(stores.skeletons)
bodies.command(suggest.suggest)
app.command(bodies)

store = App(name="store", help="Look into a store of poses.")
store.command(stores.info)
store.command(stores.outliers)
app.command(store)

training = App(name="train", help="Train a model on a store of poses.")
training.command(train.embedding)
training.command(train.lifter)
app.command(training)

indexes = App(
    name="index",
    help="Build what queries search in, keep it up to date, and check it.",
    help_epilogue=index.MANUAL,
)
for command in (index.build, index.add, index.remove, index.compact, index.tune, index.verify, index.info):
    indexes.command(command)
app.command(indexes)

evaluation = App(name="evaluate", help="Measure how good a search, an embedding, or a lifter is.")
evaluation.command(searches.search)
evaluation.command(searches.calibration)
evaluation.command(models.retrieval)
evaluation.command(models.lifting)
evaluation.command(searches.hypotheses)
evaluation.command(searches.real)
app.command(evaluation)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 for success, 2 for wrong input, 130 if interrupted, 141 if the output was closed.

    Wrong input gives one line on standard error; `--debug` adds the traceback. A request to end (SIGTERM, SIGHUP) is
    an interrupt that exits with 128 plus the signal's number.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    _set_threads(tokens)
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed; open it, or send it to a file")
        with _ends_as_interrupts(), as_typed(tokens):
            app(tokens, exit_on_error=False, print_error=False, result_action="return_none", error_console=_STDERR)
    except BrokenPipeError:
        # The reader of the output closed it (`| head`). Without this, Python prints an error when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (VipeError, CycloptsError, OSError) as error:
        if debug:
            traceback.print_exc()
        _STDERR.print(printable(f"vipe: {_one_line(error)}"), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except MemoryError:
        if debug:
            traceback.print_exc()
        _STDERR.print("vipe: memory is not enough for this; give less at a time", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        kept = _KEPT.get("".join(tokens[:1]), _NOTHING_KEPT)
        _STDERR.print(f"vipe: interrupted; {kept}", soft_wrap=True)
        sys.exit(128 + (stop.number if isinstance(stop, _Ended) else signal.SIGINT))


_LARGE_STEPS = (["demo"], ["train"], ["index", "build"])  # which gain by dividing every step over the cores


def _set_threads(tokens: Sequence[str]) -> None:
    """Choose how threads share the cores; what the user's environment says stays. Libraries read it when loaded.

    Threads that share a step wait for each other by spinning, by default for milliseconds. On a busy machine that takes
    minutes in place of seconds; on a quiet one short spinning is as fast. Of small steps none is divided: there blocks
    of rows go to all cores.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if "OMP_NUM_THREADS" not in os.environ and not any(tokens[: len(first)] == first for first in _LARGE_STEPS):
        os.environ["OMP_NUM_THREADS"] = "1"
        use_cores(usable_cores())


_STDERR = Console(stderr=True)
_NOTHING_KEPT = "nothing is half-written, and nothing of this run is kept: run again, it begins anew"
_KEPT = {  # by the first word of the command, where more is kept
    "demo": "its finished steps are kept, and the last checkpoint of a training: run it again to go on",
    "generate": "nothing is half-written: the new store is whole, or not there",
    "index": "nothing is half-written: an index is as it was; a long build is kept: run it again to go on",
    "train": "its last checkpoint is kept, if it came to one: run it again to go on from there",
}


class _Ended(KeyboardInterrupt):
    """A request to end, by another signal than that of Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def _ends_as_interrupts() -> Iterator[None]:
    """Answer requests to end as interrupts, so that nothing half-written stays; as before at the end of the block."""

    def end(number: int, frame: object) -> NoReturn:  # noqa: ARG001
        raise _Ended(number)

    # A signal that is ignored stays so, as under nohup.
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    main_thread = threading.current_thread() is threading.main_thread()  # only there signals can be answered
    numbers = [getattr(signal, name) for name in names if main_thread]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, action in before.items():
            if action == signal.SIG_DFL:
                signal.signal(number, end)
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, VipeError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    kind = "" if isinstance(error, CycloptsError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())
