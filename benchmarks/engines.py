"""Where the work of a benchmark is done: in processes of this machine, or on a Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from selfremaster.benchmarks.planning import Cell
from selfremaster.benchmarks.running import run_cell
from selfremaster.benchmarks.stores import Finished
from selfremaster.benchmarks.training_runs import RunPlan, Trained, train_run
from selfremaster.core.clusters import Engine, connected, crew_on_ray, resources, room_for
from selfremaster.core.crews import Care, crew_of_processes
from selfremaster.core.limits import TimeLimit
from selfremaster.core.workers import RETRIES, Loss

if TYPE_CHECKING:
    from selfremaster.core.training import Progress

Report = Callable[["Progress"], None]

ENDED = "its process was ended from outside, most likely for want of memory"
LEAST_SECONDS = 4 * 3600.0  # that a cell has, however short its sound


class Limits(NamedTuple):
    """How long a cell may take: four hours, or 30 times as long as its sound, unless told."""

    minutes: float | None = None  # none: by the length of its sound; 0: as long as it takes

    def seconds(self, cell: Cell) -> float:
        """The longest time of a cell."""
        sound_seconds = sum(piece.seconds * piece.channels for piece in cell.pieces)
        return self._limit.seconds(sound_seconds)

    def words(self, loss: Loss) -> str:
        """Why a cell without results has failed."""
        return self._limit.words(loss.seconds, loss.part) if loss.why == "hung" else ENDED

    @property
    def _limit(self) -> TimeLimit:
        return TimeLimit(self.minutes, LEAST_SECONDS, "--cell-minutes")


def run_cells(
    cells: Sequence[Cell], engine: Engine, jobs: int, limits: Limits | None = None
) -> Iterator[Finished]:
    """Run cells and give each as it is done; every one of them keeps itself.

    A restorer that takes its process down, or takes too long, is a failure of its cell.
    """
    limits = limits or Limits()
    able = [cell for cell in cells if not cell.failure]
    yield from (run_cell(cell) for cell in cells if cell.failure)
    if engine == "ray" and able:
        yield from _on_ray(able, jobs, limits)
    elif able:
        yield from _beside(able, jobs, limits)


def train(
    runs: Sequence[RunPlan], engine: Engine, jobs: int, report: Callable[[RunPlan], Report]
) -> Iterator[Trained]:
    """Train runs that do not wait for each other; on Ray all at once, else one after another."""
    if engine == "ray" and runs:
        with connected(jobs) as ray:
            work = ray.remote(max_retries=RETRIES)(train_run)
            tasks = [
                work.options(**resources(ray, run.experiment.train.device, 1)).remote(run)
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
    processes = min(jobs, len(cells))
    with crew_of_processes(run_cell, processes, _care(limits), threads=cells[0].threads) as crew:
        yield from (finished for _, finished in crew.results(cells))


def _on_ray(cells: Sequence[Cell], jobs: int, limits: Limits) -> Iterator[Finished]:
    """The same on the machines of a cluster; cells that ask for GPUs after those that do not."""
    with connected(jobs * cells[0].threads) as ray:
        for device, group in groupby(sorted(cells, key=_device), _device):
            alike = list(group)
            asked = resources(ray, device, cells[0].threads)
            size = min(len(alike), room_for(ray, asked))
            with crew_on_ray(ray, run_cell, size, _care(limits), asked=asked) as crew:
                yield from (finished for _, finished in crew.results(alike))


def _device(cell: Cell) -> str:
    return str(cell.restorer.settings.get("device", "cpu"))


def _care(limits: Limits) -> Care:
    return Care(
        limit_seconds=lambda cell, _: limits.seconds(cell),
        lost=lambda cell, loss: run_cell(replace(cell, failure=limits.words(loss))),
    )
