"""The matrix products inside a call, timed alone: the limit that a network's speed is held against."""

import time
from collections.abc import Callable

import torch

PRODUCTS = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm")


def products(call: Callable[[], object]) -> Callable[[], object]:
    """The matrix products that a call makes, on random arrays of the same shapes, one after another."""
    call()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        call()
    pairs = []
    for event in profile.events():
        if event.name in PRODUCTS:
            a, b = [shape for shape in event.input_shapes if len(shape) >= 2][-2:]
            # Weights are stored as (out, in) and used transposed.
            pairs.append((torch.randn(a), torch.randn(*b[:-2], b[-1], b[-2]).mT))
    outputs = [a @ b for a, b in pairs]

    def multiply() -> None:
        with torch.inference_mode():
            for (a, b), output in zip(pairs, outputs, strict=True):
                torch.matmul(a, b, out=output)

    return multiply


def times(
    first: Callable[[], object],
    second: Callable[[], object],
    rounds: int,
    calls: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Seconds of each call, the best of some rounds; rounds alternate, so that other work disturbs both."""
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for number, call in enumerate((first, second)):
            start = clock()
            for _ in range(calls):
                call()
            best[number] = min(best[number], (clock() - start) / calls)
    return best[0], best[1]
