"""Where the work of a benchmark is done: in processes of this machine, or on a Ray cluster."""

import logging
import math
import os
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from joblib.externals.loky import ProcessPoolExecutor

from selfremaster.benchmarks.planning import Cell
from selfremaster.benchmarks.running import run_cell
from selfremaster.benchmarks.stores import Finished
from selfremaster.benchmarks.training_runs import RunPlan, Trained, train_run
from selfremaster.core.errors import ComponentError, SelfRemasterError

if TYPE_CHECKING:
    from selfremaster.core.training import Progress

Engine = Literal["local", "ray"]
Report = Callable[["Progress"], None]

ENDED = "its process was ended from outside, most likely for want of memory"
WATCH_SECONDS = 1
LEAST_SECONDS = 4 * 3600  # that a cell has, however short its sound
SLOWEST = 30  # times as long as its sound it may take, where that is longer
LONGEST_WAIT = 3600.0  # seconds, after which the clock is looked at again
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
RETRIES = 2  # of a cell whose process or machine is lost
RAY_ADDRESS = "RAY_ADDRESS"


class Limits(NamedTuple):
    """How long a cell may take: four hours, or 30 times as long as its sound, unless told."""

    minutes: float | None = None  # none: by the length of its sound; 0: as long as it takes

    def seconds(self, cell: Cell) -> float:
        """The longest time of a cell."""
        if self.minutes is not None:
            return self.minutes * 60 or math.inf
        sound_seconds = sum(piece.seconds * piece.channels for piece in cell.pieces)
        return max(LEAST_SECONDS, SLOWEST * sound_seconds)

    def words(self, cell: Cell) -> str:
        """Why a cell that took longer has failed."""
        return (
            f"took longer than {self.seconds(cell) / 60:.4g} minutes and was ended; give it more "
            "by --cell-minutes, or 0 for no limit"
        )


def run_cells(
    cells: Sequence[Cell], engine: Engine, jobs: int, limits: Limits | None = None
) -> Iterator[Finished]:
    """Run cells and give each as it is done; every one of them keeps itself.

    A restorer that takes its process down, or takes too long, is a failure of its cell.
    """
    limits = limits or Limits()
    if engine == "ray":
        with _ray(jobs * cells[0].threads if cells else jobs) as ray:
            yield from _on_ray(ray, cells, limits)
    else:
        yield from _beside(cells, jobs, limits)


def train(
    runs: Sequence[RunPlan], engine: Engine, jobs: int, report: Callable[[RunPlan], Report]
) -> Iterator[Trained]:
    """Train runs that do not wait for each other; on Ray all at once, else one after another."""
    if engine == "ray" and runs:
        with _ray(jobs) as ray:
            work = ray.remote(max_retries=RETRIES)(train_run)
            tasks = [
                work.options(**_resources(run.experiment.train.device, 1)).remote(run)
                for run in runs
            ]
            for run, task in zip(runs, tasks, strict=True):
                try:
                    yield ray.get(task)
                except ray.exceptions.RayError:
                    yield Trained(run.address, ENDED)
        return
    for run in runs:
        yield train_run(run, report(run))


def _beside(cells: Sequence[Cell], jobs: int, limits: Limits) -> Iterator[Finished]:
    """Cells in processes beside this, which a cell may take down with it: then there is the next.

    What a process that is ended writes is whole or not there.
    """
    waiting = deque(cells)
    idle: list[Any] = []
    busy: dict[Any, _Work] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < jobs:
                cell = waiting.popleft()
                if cell.failure:
                    yield run_cell(cell)
                    continue
                pool = idle.pop() if idle else _process(cell.threads)
                until = time.monotonic() + limits.seconds(cell)
                busy[pool.submit(run_cell, cell)] = _Work(cell, pool, until)
            first = min((work.until for work in busy.values()), default=0.0)
            wait(busy, _at_most(first - time.monotonic()), return_when=FIRST_COMPLETED)
            for task in [*busy]:
                if task.done():
                    finished, pool = _outcome(task, busy[task])
                    idle += [pool] if pool else []
                elif busy[task].until <= time.monotonic():
                    _end(busy[task].pool)
                    cell = busy[task].cell
                    finished = run_cell(replace(cell, failure=limits.words(cell)))
                else:
                    continue
                del busy[task]
                yield finished
    finally:
        for pool in [*idle, *(work.pool for work in busy.values())]:
            _end(pool)


class _Work(NamedTuple):
    """A cell that a process is at, and until when it may be."""

    cell: Cell
    pool: Any
    until: float  # on the clock that never goes back


def _outcome(task: Any, work: _Work) -> tuple[Finished, Any]:
    """What came of a cell, and the process that is free for the next one, if it is still there."""
    try:
        return task.result(), work.pool
    except BrokenProcessPool:
        _end(work.pool)
        return run_cell(replace(work.cell, failure=ENDED)), None


def _process(threads: int) -> Any:
    """A process of its own, in which every library has so many threads."""
    environment = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return ProcessPoolExecutor(1, initializer=_begin, env=environment)


def _end(pool: Any) -> None:
    """End a process with all that it has begun."""
    pool.shutdown(kill_workers=True)


def _at_most(seconds: float) -> float | None:
    """How long to wait for one of the processes; none: as long as it takes."""
    return None if math.isinf(seconds) else max(0.0, min(seconds, LONGEST_WAIT))


def _begin() -> None:
    """In the other process: keep off stdout, which is the result's own, and end with this one."""
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is heard by who began this
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _end_with(parent: int) -> None:
    """End when the process that began this one has been killed; nothing is left half-written."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def _on_a_machine(cell: Cell, limits: Limits) -> Finished:
    """A cell where Ray wants it, in a process that can be ended, which Ray's own is not to be."""
    return next(_beside([cell], 1, limits))


def _on_ray(ray: Any, cells: Sequence[Cell], limits: Limits) -> Iterator[Finished]:
    work = ray.remote(max_retries=RETRIES)(_on_a_machine)
    waiting = {}
    for cell in cells:
        device = str(cell.restorer.settings.get("device", "cpu"))
        waiting[work.options(**_resources(device, cell.threads)).remote(cell, limits)] = cell
    try:
        while waiting:
            (ready, *_), _ = ray.wait(list(waiting), num_returns=1)
            cell = waiting.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise SelfRemasterError(f"{cell}: {_cause(error)}") from None
            except ray.exceptions.RayError:  # crashed, out of memory, a machine lost
                yield run_cell(replace(cell, failure=ENDED))
    finally:
        for task in waiting:
            ray.cancel(task, force=False)


def _resources(device: str, threads: int) -> dict[str, Any]:
    """What a task asks of the cluster: Ray hides the accelerators that nobody asked for."""
    return {"num_cpus": threads, "num_gpus": 1 if device.startswith("cuda") else 0}


def _cause(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


@contextmanager
def _ray(jobs: int) -> Iterator[Any]:
    """Ray: as it runs here already, or the cluster at RAY_ADDRESS, or one for the moment.

    All of its machines must see the same files at the same paths.
    """
    try:
        import ray
    except ImportError:
        raise ComponentError(
            "--engine ray needs the package ray; pip install 'selfremaster[ray]'"
        ) from None
    if ray.is_initialized():
        yield ray
        return
    there = os.environ.get(RAY_ADDRESS)
    own = partial(ray.init, address="local", num_cpus=jobs, include_dashboard=False)
    start = partial(ray.init, address=there) if there else own
    start(log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray
    finally:
        ray.shutdown()
