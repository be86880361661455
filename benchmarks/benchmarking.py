"""Run a benchmark: train what is to be trained, run every cell once, keep what came of it."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfremaster.benchmarks import engines, stores
from selfremaster.benchmarks.engines import Limits, Report
from selfremaster.benchmarks.metering import reason_of
from selfremaster.benchmarks.planning import Cell, Plan
from selfremaster.benchmarks.provenances import provenance_of
from selfremaster.benchmarks.records import Provenance
from selfremaster.benchmarks.sounds import KeepError
from selfremaster.benchmarks.stores import Finished
from selfremaster.benchmarks.training_runs import (
    RunPlan,
    Trained,
    trained_before,
    training_failed,
)
from selfremaster.benchmarks.training_speech import make_speech
from selfremaster.core.clusters import Engine

if TYPE_CHECKING:
    from selfremaster.core.training import Progress

KEEP_SECONDS = 10  # between two times that all results are written
Told = Callable[[int, int, str], None]
"""What a display is told: how many cells are done, of how many, and what is being done."""


@dataclass(frozen=True)
class Summary:
    """What a benchmark came to."""

    folder: Path
    cells: int
    files: int
    failures: tuple[str, ...]  # a line each: where, and why
    exclusions: tuple[str, ...]
    report: Path | None
    report_failure: str = ""

    @property
    def complete(self) -> bool:
        """Whether every file has its numbers, and the report is there."""
        return not (self.failures or self.exclusions or self.report_failure)


class Benchmark:
    """A planned benchmark in its folder, which is this process's own; `run` does what is left.

    ``cell_minutes`` is the longest time of a cell (0: no limit), and none what `Limits` says.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        engine: Engine = "local",
        jobs: int = 1,
        cell_minutes: float | None = None,
        command: str = "",
        told: Told | None = None,
    ) -> None:
        self.plan = plan
        self.engine = engine
        self.jobs = jobs
        self.limits = Limits(cell_minutes)
        self.command = command
        self.told = told or (lambda *_: None)
        self.finished: dict[str, Finished] = {}
        self.trained: dict[str, Trained] = {}
        self._kept = 0.0

    @property
    def done(self) -> int:
        """How many cells are done."""
        return sum(cell.address in self.finished for cell in self.plan.cells)

    def run(self) -> Summary:
        """Do the work, and write the report; what is done when it is interrupted stays.

        Raises `SelfRemasterError` where nothing can be written, and `ComponentError` for an engine
        that is not installed.
        """
        # stdout is the result's own, whatever strangers print
        with redirect_stdout(sys.stderr):
            return self._run()

    def _run(self) -> Summary:
        plan = self.plan
        text = stores.keep_grid(plan.folder, plan.grid)
        provenance = provenance_of(plan, text, self.command)
        stores.keep_provenance(plan.folder, provenance)
        self.finished = {
            cell.address: known for cell in plan.cells if (known := stores.known_cell(cell))
        }
        left = [cell for cell in unique(plan.cells) if cell.address not in self.finished]
        try:
            self._keep()
            failures = self._train(left)
            ready = [replace(cell, failure=failures.get(cell.address, "")) for cell in left]
            for finished in engines.run_cells(ready, self.engine, self.jobs, self.limits):
                self.finished[finished.address] = finished
                self._keep_now_and_then()
                self.told(self.done, len(plan.cells), _named(plan.cells, finished.address))
        finally:
            self._learn_of_earlier_runs()
            stores.keep_provenance(plan.folder, self._with_runs(provenance))
            self._keep()
        return self._summary()

    def _keep(self) -> None:
        """Write all results so far, in the grid's order."""
        stores.keep_results(self.plan.folder, self.placed())
        self._kept = time.monotonic()

    def _keep_now_and_then(self) -> None:
        """The same, but not so often that a large grid does little else."""
        if time.monotonic() - self._kept >= KEEP_SECONDS:
            self._keep()

    def placed(self) -> Iterator[Finished]:
        """The cells that are done, in the grid's order and by its names."""
        for cell in self.plan.cells:
            if cell.address in self.finished:
                minutes = self._minutes(cell)
                yield self.finished[cell.address].placed(cell.place, minutes)

    def _train(self, cells: Sequence[Cell]) -> dict[str, str]:
        """Train what these cells need; gives why some of them cannot be run."""
        wanted = list(self._wanted([address for cell in cells for address in cell.needs]))
        speech = [address for cell in cells for address in cell.speech]
        spoiled = self._make_speech([*speech, *(one for run in wanted for one in run.speech)])
        for level in _levels(wanted):
            ready = []
            for run in level:
                if reason := self._hindrance(run, spoiled):
                    self.trained[run.address] = Trained(run.address, reason)
                else:
                    ready.append(run)
            for trained in engines.train(ready, self.engine, self.jobs, self._report):
                self.trained[trained.address] = trained
        failures: dict[str, str] = {}
        for cell in cells:
            reasons = [spoiled[one] for one in cell.speech if one in spoiled]
            reasons += [self._failure(one) for one in cell.needs if self.trained[one].failure]
            if reasons:
                failures[cell.address] = reasons[0].replace(f"{self.plan.folder}/", "")
        return failures

    def _wanted(self, addresses: Sequence[str]) -> Iterator[RunPlan]:
        """The runs of these addresses and all that they start from, in the plan's order."""
        wanted = set(addresses)
        for address in reversed(self.plan.runs):
            if address in wanted:
                wanted.update(self.plan.runs[address].needs)
        yield from (run for address, run in self.plan.runs.items() if address in wanted)

    def _make_speech(self, addresses: Sequence[str]) -> dict[str, str]:
        """Write the speech to learn from; gives why some of it cannot be had."""
        spoiled: dict[str, str] = {}
        for address in dict.fromkeys(addresses):
            self.told(self.done, len(self.plan.cells), "speech to learn from")
            try:
                make_speech(self.plan.speech[address])
            except KeepError:
                raise
            except (Exception, SystemExit) as error:
                spoiled[address] = f"speech to learn from: {reason_of(error)}"
        return spoiled

    def _hindrance(self, run: RunPlan, spoiled: Mapping[str, str]) -> str:
        """Why a run cannot begin, if so."""
        for address in run.needs:
            if self.trained[address].failure:
                return self._failure(address)
        return next((spoiled[address] for address in run.speech if address in spoiled), "")

    def _failure(self, address: str) -> str:
        return training_failed(self.plan.runs[address], self.trained[address].failure)

    def _report(self, run: RunPlan) -> Report:
        def report(progress: "Progress") -> None:
            detail = f"training {run.name}, step {progress.step} of {progress.steps}"
            self.told(self.done, len(self.plan.cells), detail)

        return report

    def _learn_of_earlier_runs(self) -> None:
        for address, run in self.plan.runs.items():
            if address not in self.trained and (known := trained_before(run)):
                self.trained[address] = known

    def _minutes(self, cell: Cell) -> float | None:
        """How long everything took that the cell's restorer learned."""
        runs = [run.address for run in self._wanted(cell.needs)]
        known = [self.trained[address].minutes for address in runs if address in self.trained]
        return round(sum(known), 2) if known else None

    def _with_runs(self, provenance: Provenance) -> Provenance:
        told = {}
        for address, run in self.plan.runs.items():
            trained = self.trained.get(address)
            note: dict[str, Any] = {"run": run.name, "experiment": address}
            if trained and trained.failure:
                note["failure"] = trained.failure.replace(f"{self.plan.folder}/", "")
            elif trained:
                note |= {"steps": trained.steps, "minutes": trained.minutes}
                note["bundle_sha256"] = trained.sha256
            told[run.folder.name] = note
        return provenance.model_copy(update={"runs": told})

    def _summary(self) -> Summary:
        failures = [
            f"{result.restorer} on {result.corpus}/{result.file}, {result.condition}: "
            f"{result.reason}"
            for cell in self.placed()
            for result in cell.results
            if result.status == "failed"
        ]
        report, trouble = write_report(self.plan.folder)
        return Summary(
            self.plan.folder,
            len(self.plan.cells),
            self.plan.files,
            tuple(failures),
            tuple(self.plan.exclusions),
            report,
            trouble,
        )


def write_report(folder: Path) -> tuple[Path | None, str]:
    """The report of a folder, or why there is none; the results are there all the same."""
    try:
        import_module("selfremaster.benchmarks.reporting.reports").write(folder)
    except Exception as error:  # whatever it is, the results are not to be lost for it
        return None, reason_of(error)
    return folder / "report.md", ""


def unique(cells: Sequence[Cell]) -> list[Cell]:
    """The cells without those that are the same under another name."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.address, cell)
    return list(first.values())


def _named(cells: Sequence[Cell], address: str) -> str:
    return next(str(cell) for cell in cells if cell.address == address)


def _levels(runs: Sequence[RunPlan]) -> Iterator[list[RunPlan]]:
    """Groups of runs, each of which starts from runs of the groups before alone."""
    waiting = {run.address: run for run in runs}
    while waiting:
        ready = [run for run in waiting.values() if not any(one in waiting for one in run.needs)]
        for run in ready:
            del waiting[run.address]
        yield ready
