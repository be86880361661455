"""Timing work on one core of the processor, in a process of its own."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unittest import mock

import torch

from selfremaster.benchmarks.machines import peak_memory_bytes

MOST_REPEATS = 100
MOST_SECONDS = 20.0  # after which what was asked for is not awaited
WARM_UPS = 2
WARM_UP_SECONDS = 1  # of sound, that a restorer is given before it is timed
CRASHED = "its process was ended from outside"
KEPT_BYTES = 2**16  # smaller pieces of memory are kept for later
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA")  # what counts its threads by a variable of its own

Given = ParamSpec("Given")
Made = TypeVar("Made")


def apart(work: Callable[Given, Made], *given: Given.args, **named: Given.kwargs) -> Made:
    """Do work in a fresh process that has one thread and, where the system lets it, one core.

    Raises `BrokenProcessPool` when something native takes the process down.
    """
    return _apart({}, work, *given, **named)


def apart_and_frugal(
    work: Callable[Given, Made], *given: Given.args, **named: Given.kwargs
) -> Made:
    """The same, for measuring memory: what is let go goes back to the system at once.

    So the peak is what was held, without what lies about between. By glibc; others do as they do.
    """
    return _apart({"MALLOC_MMAP_THRESHOLD_": str(KEPT_BYTES)}, work, *given, **named)


def _apart(
    settings: Mapping[str, str],
    work: Callable[Given, Made],
    *given: Given.args,
    **named: Given.kwargs,
) -> Made:
    context = multiprocessing.get_context("spawn")
    variables = {**{f"{name}_NUM_THREADS": "1" for name in THREADS}, **settings}
    with (
        mock.patch.dict(os.environ, variables),
        ProcessPoolExecutor(1, mp_context=context, initializer=_stay_on_one_core) as pool,
    ):
        return pool.submit(work, *given, **named).result()


def _stay_on_one_core() -> None:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def median_seconds(
    works: Sequence[Callable[[], Any]], repeats: int, least_seconds: float
) -> list[float]:
    """The median time of each work, done in turns so that all of them meet the same machine.

    As many turns as asked for, and more until they have taken a while altogether; fewer where they
    take very long.
    """
    for _ in range(WARM_UPS):
        for work in works:
            work()
    taken: list[list[float]] = [[] for _ in works]
    begun = time.perf_counter()
    for turn in range(MOST_REPEATS):
        passed = time.perf_counter() - begun
        enough = turn >= repeats and passed >= least_seconds
        if enough or (turn and passed >= MOST_SECONDS):
            break
        for work, times in zip(works, taken, strict=True):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


@contextmanager
def peak_growth() -> Iterator[list[int]]:
    """Count by how many bytes the peak memory of this process grows; the list has it afterwards."""
    with suppress(OSError):  # where that is refused, what was taken earlier hides a little
        Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory_bytes()
    grown: list[int] = []
    yield grown
    grown.append(peak_memory_bytes() - before)
