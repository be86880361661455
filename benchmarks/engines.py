"""Where the work of a benchmark is done: in processes of this machine, or on a Ray cluster."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

from joblib.externals.loky import ProcessPoolExecutor

from selfremaster.benchmarks.planning import Cell
from selfremaster.benchmarks.running import run_cell
from selfremaster.benchmarks.stores import Finished
from selfremaster.benchmarks.training_runs import RunPlan, Trained, train_run
from selfremaster.core.errors import ComponentError, SelfRemasterError
from selfremaster.core.parallel import spread

if TYPE_CHECKING:
    from selfremaster.core.training import Progress

Engine = Literal["local", "ray"]
Report = Callable[["Progress"], None]

ENDED = "its process was ended from outside, most likely for want of memory"
WATCH_SECONDS = 1
RETRIES = 2  # of a cell whose process or machine is lost
RAY_ADDRESS = "RAY_ADDRESS"


def run_cells(cells: Sequence[Cell], engine: Engine, jobs: int) -> Iterator[Finished]:
    """Run cells and give each as it is done; every one of them keeps itself.

    A restorer that takes its process down is a failure of its cell.
    """
    if engine == "ray":
        with _ray(jobs * cells[0].threads if cells else jobs) as ray:
            yield from _on_ray(ray, cells)
    elif jobs == 1 or len(cells) < 2:
        yield from _one_by_one(cells)
    else:
        yield from _in_processes(cells, min(jobs, len(cells)))


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


def _in_processes(cells: Sequence[Cell], jobs: int) -> Iterator[Finished]:
    """Cells in processes that are kept; when one of them is ended, the rest one by one."""
    done: set[str] = set()
    try:
        for finished in spread(run_cell, cells, jobs):
            done.add(finished.address)
            yield finished
    except SelfRemasterError as error:
        if not isinstance(error.__context__, BrokenProcessPool):
            raise
        yield from _one_by_one([cell for cell in cells if cell.address not in done])


def _one_by_one(cells: Sequence[Cell]) -> Iterator[Finished]:
    """Cells in one process beside this, which a cell may take down with it: then in the next."""
    pool: Any = None
    try:
        for cell in cells:
            if cell.failure:
                yield run_cell(cell)
                continue
            pool = pool or ProcessPoolExecutor(1, initializer=_begin)
            try:
                finished: Finished = pool.submit(run_cell, cell).result()
            except BrokenProcessPool:
                pool.shutdown()
                pool = None
                finished = run_cell(replace(cell, failure=ENDED))
            yield finished
    finally:
        if pool is not None:  # whatever it writes is whole or not there
            pool.shutdown(kill_workers=True)


def _begin() -> None:
    """In the other process: keep off stdout, which is the result's own, and end with this one."""
    os.dup2(2, 1)
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _end_with(parent: int) -> None:
    """End when the process that began this one has been killed; nothing is left half-written."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def _on_ray(ray: Any, cells: Sequence[Cell]) -> Iterator[Finished]:
    work = ray.remote(max_retries=RETRIES)(run_cell)
    waiting = {}
    for cell in cells:
        device = str(cell.restorer.settings.get("device", "cpu"))
        waiting[work.options(**_resources(device, cell.threads)).remote(cell)] = cell
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
            "--engine ray needs the package ray; install selfremaster[ray]"
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
