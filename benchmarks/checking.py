"""What can be said of a benchmark before it is run: what will fail, and what is missing."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any, NamedTuple

from selfremaster.benchmarks.corpora import Piece
from selfremaster.benchmarks.metering import no_reference, note_of, reason_of
from selfremaster.benchmarks.planning import Cell, Plan
from selfremaster.benchmarks.sounds import no_original, nothing_clean, untold
from selfremaster.benchmarks.training_runs import RunPlan, trained_before, training_failed
from selfremaster.core.components import ComponentSpec
from selfremaster.registry import hub
from selfremaster.registry.building import build, component_class
from selfremaster.registry.runs import check_parts


class Finding(NamedTuple):
    """Files of a restorer of which there will be no numbers, or none of a metric; and why."""

    subject: str  # a restorer's name in the grid, or a metric as written there
    files: int
    of_files: int
    reason: str  # in the words of the run

    def __str__(self) -> str:
        """It in one line."""
        return f"{self.subject} ({self.files} of {self.of_files} files): {self.reason}"


class Findings(NamedTuple):
    """What a run would come to, as far as that is known before anything is restored."""

    failures: tuple[Finding, ...] = ()
    gaps: tuple[Finding, ...] = ()  # what is not installed, or has nothing to be compared with


class _Reason(NamedTuple):
    text: str = ""  # none: nothing is known to be wrong
    missing: bool = False  # whether it is for want of a package


def findings(plan: Plan) -> Findings:
    """Build every part of a plan once, look at every bundle, and say what cannot be had.

    What is trained, made or downloaded in the run itself is taken to turn out well.
    """
    with hub.downloads(allowed=False), redirect_stdout(sys.stderr):  # whatever strangers print
        return _Checker(plan).findings()


class _Checker:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.notes = [note_of(meter) for meter in plan.meters]
        self.built: dict[tuple[str, str], _Reason] = {}
        self.originals: dict[tuple[Piece, bool], str | None] = {}
        self.runs: dict[str, _Reason] = {}
        for address, run in plan.runs.items():  # those that others start from come first
            self.runs[address] = self._of_run(run)

    def findings(self) -> Findings:
        """One for each restorer or metric and reason, with the number of files."""
        failures: Counter[tuple[str, str]] = Counter()
        gaps: Counter[tuple[str, str]] = Counter()
        files: Counter[str] = Counter()
        for cell in self.plan.cells:
            restorer = cell.place.restorer
            files[restorer] += len(cell.pieces)
            for piece, reason in zip(cell.pieces, self._of_files(cell), strict=True):
                if reason.text:
                    words = reason.text.replace(f"{self.plan.folder}/", "")
                    (gaps if reason.missing else failures)[restorer, words] += 1
                else:
                    files.update(note.metric for note in self.notes)
                    gaps.update(self._without_numbers(cell, piece))
        return Findings(
            *(
                tuple(Finding(name, count, files[name], why) for (name, why), count in kept.items())
                for kept in (failures, gaps)
            )
        )

    def _of_cell(self, cell: Cell) -> _Reason:
        """Why nothing of a cell can be had, in the order in which the run would find out."""
        for address in cell.needs:
            if self.runs[address].text:
                words = training_failed(self.plan.runs[address], self.runs[address].text)
                return _Reason(words, self.runs[address].missing)
        if cell.degradation is not None:
            reason = self._build("degradation", cell.degradation)
            if reason.text:
                return reason
        made = [self.plan.speech[address].manifest.is_file() for address in cell.speech]
        trained = [trained_before(self.plan.runs[address]) for address in cell.needs]
        if all(made) and None not in trained:
            return self._build("restorer", cell.restorer)
        return self._class("restorer", cell.restorer)

    def _build(self, kind: str, spec: ComponentSpec) -> _Reason:
        key = kind, spec.model_dump_json()
        if key not in self.built:
            self.built[key] = _tried(lambda: build(kind, spec))
        return self.built[key]

    def _class(self, kind: str, spec: ComponentSpec) -> _Reason:
        return _tried(lambda: component_class(kind, spec.name))

    def _of_run(self, run: RunPlan) -> _Reason:
        """Why a run cannot be trained, if that is known before."""
        if trained_before(run) is not None:
            return _Reason()
        for address in run.needs:
            if self.runs[address].text:
                words = training_failed(self.plan.runs[address], self.runs[address].text)
                return _Reason(words, self.runs[address].missing)
        later = [
            str(self.plan.runs[address].folder)
            for address in run.needs
            if trained_before(self.plan.runs[address]) is None
        ]
        return _tried(lambda: check_parts(run.experiment, later))

    def _of_files(self, cell: Cell) -> Iterator[_Reason]:
        """Why each file cannot be restored."""
        whole = self._of_cell(cell)
        if whole.text:
            yield from [whole] * len(cell.pieces)
            return
        restorer: Any = component_class("restorer", cell.restorer.name)
        for piece in cell.pieces:
            why = self._no_original(cell, piece)
            if why is None:
                yield _Reason()
            elif cell.task == "transfer":
                yield _Reason(nothing_clean(why))
            else:
                yield _Reason(untold(why) if restorer.needs_reference else "")

    def _without_numbers(self, cell: Cell, piece: Piece) -> Iterator[tuple[str, str]]:
        """Metrics that are not there, or have nothing to compare a restored file with."""
        why = self._no_original(cell, piece)
        for note in self.notes:
            if note.missing:
                yield note.metric, note.missing
            elif note.needs_reference and why is not None:
                yield note.metric, no_reference(why)

    def _no_original(self, cell: Cell, piece: Piece) -> str | None:
        key = piece, cell.degradation is not None
        if key not in self.originals:
            self.originals[key] = no_original(piece, damaged=key[1])
        return self.originals[key]


def _tried(attempt: Callable[[], object]) -> _Reason:
    """What comes of it, in the words that a run has for it."""
    try:
        attempt()
    except hub.NotDownloadedError:
        return _Reason()
    except (Exception, SystemExit) as error:
        return _Reason(reason_of(error), isinstance(error.__cause__, ImportError))
    return _Reason()
