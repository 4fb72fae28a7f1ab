"""Reading several files at the same time, with their clips in the order of the files (threads)."""

__all__ = ["in_order"]

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from vipe.clips import Clip
from vipe.errors import ReadError
from vipe.readers.archives import Member

_HELD = 1 << 28  # bytes of files that wait or are being parsed
_AHEAD = 2  # files a worker

_Parse = Callable[[Member], Iterable[Clip]]
_Clips = Callable[[], Iterable[Clip]]


def in_order(jobs: Iterable[tuple[Member, _Parse]], workers: int) -> Iterator[_Clips]:
    """What gives each member's clips, or raises its error, in the order of the members.

    With one worker nothing is read before it is asked for. With several, bytes are read here, one member after the
    other, since archives are streams; threads parse them. Of what is read ahead some 256 MB are held.

    Raises:
        ReadError: What reading the next member raises; after the clips of the members before it.
    """
    if workers == 1:
        for member, parse in jobs:
            yield _Call(parse, member)
        return
    waiting: deque[tuple[int, Future[list[Clip]]]] = deque()
    held = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="vipe-read")
    broken: ReadError | None = None
    try:
        source = iter(jobs)
        while True:
            try:
                member, parse = next(source)
            except StopIteration:
                break
            except ReadError as error:  # the archive's own
                broken = error
                break
            waiting.append((member.size, pool.submit(_parsed, parse, _in_memory(member))))
            held += member.size
            while waiting and (len(waiting) > _AHEAD * workers or held > _HELD):
                size, future = waiting.popleft()
                held -= size
                yield future.result
        while waiting:
            yield waiting.popleft()[1].result
        if broken is not None:
            raise broken
    finally:
        pool.shutdown(cancel_futures=True)


class _Call:
    """A call that is made later."""

    def __init__(self, parse: _Parse, member: Member) -> None:
        self._parse, self._member = parse, member

    def __call__(self) -> Iterable[Clip]:
        return self._parse(self._member)


def _parsed(parse: _Parse, member: Member) -> list[Clip]:
    return list(parse(member))


def _in_memory(member: Member) -> Member:
    """The member with its bytes, or with the error that reading them raised."""
    try:
        data = member.read()
    except ReadError as error:
        failed = error

        def refuse() -> bytes:
            raise failed

        return replace(member, read=refuse)
    return replace(member, read=lambda: data)
