"""Timing functions in turns, so that other load on the machine affects all of them alike."""
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import numpy as np
from torch.utils.benchmark import Timer

Key = TypeVar('Key', bound=Hashable)

SHORTEST = 0.02  # seconds of a measurement: shorter functions are repeated


def interleaved(functions: Mapping[Key, Callable[[], object]], rounds: int, threads: int,
                done: Callable[[], None] = lambda: None) -> dict[Key, list[float]]:
    """Times each function in each round, and returns the milliseconds of each round by function.

    The order rotates from round to round. ``done`` is called after the warm-up of each function and
    after each measurement; ``threads`` are PyTorch's on the CPU.
    """
    timers, numbers = {}, {}
    for name, function in functions.items():
        timers[name] = Timer('f()', globals={'f': function}, num_threads=threads)
        seconds = timers[name].timeit(1).mean  # timeit() warms up by itself
        done()
        numbers[name] = max(1, round(SHORTEST / seconds))
    times: dict[Key, list[float]] = {name: [] for name in functions}
    names = list(functions)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(1000 * timers[name].timeit(numbers[name]).mean)
            done()
    return times


def quartiles(times: list[float]) -> dict[str, float]:
    """Median and quartiles of times, in the columns of a row."""
    q1, median, q3 = (round(float(ms), 4) for ms in np.percentile(times, [25, 50, 75]))
    return dict(ms=median, q1=q1, q3=q3)
