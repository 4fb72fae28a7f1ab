"""How many cores work that is cut into blocks may use, apart from the threads that torch uses inside one step."""

__all__ = ["cores", "usable_cores", "use_cores"]

import os

from vipe.errors import VipeError

_given: list[int] = []
# A forked process has none of its parent's threads, but OpenMP would wait for them without end: it starts with one.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_given.clear)


def cores(otherwise: int | None = None) -> int:
    """What `use_cores` gave; else `otherwise`; else torch's number of threads."""
    import torch  # late: commands set this before they load it

    return _given[0] if _given else otherwise or torch.get_num_threads()


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cores(count: int) -> None:
    """Let scans, encoders and canonical poses take so many blocks at once, whatever number of threads torch has.

    Torch's own threads wait for each other after every step: beside other programs each step takes as long as the
    thread that came last. Threads that take whole blocks meet once, at the end. So on a busy machine
    `torch.set_num_threads(1)` and `use_cores(usable_cores())` keep all cores at work where there is much to do.

    Args:
        count: Of cores, for this process.

    Raises:
        VipeError: If it is below 1.
    """
    if count < 1:
        raise VipeError(f"cores: expected at least 1, got {count}")
    _given[:] = [count]
