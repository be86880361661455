"""`selfremaster benchmark`: a grid in; numbers, sounds and a report out."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from selfremaster.commands.options import Json, Overwrite, Quiet, Settings, Without
from selfremaster.commands.terminal import (
    Bar,
    Interrupted,
    hush_libraries,
    note,
    progress,
    say,
    say_json,
    say_table,
)

if TYPE_CHECKING:
    from selfremaster.benchmarks.benchmarking import Benchmark, Summary
    from selfremaster.benchmarks.outputs import Leftovers
    from selfremaster.benchmarks.planning import Plan

LINE_SECONDS = 10  # between two lines on a long training run, where no bar can be seen
SHOWN_FAILURES = 10
SUITES = "selfremaster.benchmarks"


def benchmark(
    grid: Annotated[
        Path,
        typer.Argument(
            metavar="GRID.yaml",
            help="What is compared, on what; or a suite by name, such as smoke.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FOLDER",
            help="Folder of the results. [default: runs/benchmark-NAME]",
            show_default=False,
        ),
    ] = None,
    settings: Settings = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep what is done; of metrics that are added, those alone are measured.",
        ),
    ] = False,
    engine: Annotated[
        str,
        typer.Option("--engine", help="local, or ray: its machines must see the same files."),
    ] = "local",
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, help="How many cells to run at once.")
    ] = 1,
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", min=1, help="Threads of each cell.")
    ] = 1,
    cell_minutes: Annotated[
        float | None,
        typer.Option(
            "--cell-minutes",
            metavar="N",
            min=0,
            help="End a cell (not a training run) that takes longer, as a failure; 0: no limit. "
            "[default: 240, or 30 times as long as its sound]",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", "--dry-run", help="Say what would be run and trained, and run nothing."
        ),
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="At the end, delete what earlier grids left in the folder: cells, sounds, "
            "training runs.",
        ),
    ] = False,
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare restorers, and write a report.

    Speech is damaged, restored and measured as the grid says, and examples are kept to be heard.
    Exit code 1 where some files failed; they are named in the report. Ctrl-C keeps what is done.
    """
    began = time.monotonic()
    hush_libraries()
    from selfremaster.benchmarks import outputs
    from selfremaster.benchmarks.benchmarking import Benchmark
    from selfremaster.benchmarks.grids import Grid
    from selfremaster.benchmarks.planning import plan
    from selfremaster.core.errors import SelfRemasterError

    if engine not in ("local", "ray"):
        raise SelfRemasterError(f"no engine named {engine!r}; known: local, ray")
    if check and sweep:
        raise SelfRemasterError("--check runs nothing, and --sweep deletes; give one of them")
    place = _find(grid)
    folder = output or Path("runs") / f"benchmark-{place.stem}"
    found = plan(Grid.from_file(place, settings or ()), folder, threads)
    if check:
        _show_plan(found, as_json=as_json)
        return
    again = _command(
        grid, folder, settings or (), engine, jobs, threads, cell_minutes, without or ()
    )
    with (
        outputs.opened(folder, resume=resume, overwrite=overwrite),
        progress(quiet, "benchmark", len(found.cells)) as bar,
    ):
        work = Benchmark(
            found,
            engine="ray" if engine == "ray" else "local",
            jobs=jobs,
            cell_minutes=cell_minutes,
            command=shlex.join(again),
            told=_Display(bar, quiet=quiet),
        )
        try:
            summary = work.run()
        except KeyboardInterrupt:
            raise Interrupted(
                f"{work.done} of {len(found.cells)} cells are done, go on with: "
                f"{shlex.join([*again, '--resume'])}"
            ) from None
        left = outputs.leftovers(found)
        if sweep:
            left.delete()
    ended = _End(time.monotonic() - began, left, swept=sweep)
    if as_json:
        say_json(_as_json(work, summary, ended))
    elif not quiet:
        _show(work, summary)
        _say_end(summary, ended)
    _finish(summary)


class _End(NamedTuple):
    """What is told of a benchmark beside its results."""

    seconds: float  # that all of it took
    left: Leftovers  # of earlier grids
    swept: bool


def _say_end(summary: Summary, ended: _End) -> None:
    """How long it took, and what earlier grids left behind."""
    from selfremaster.benchmarks.reporting.words import counted, duration, memory

    if ended.left.paths:
        words = f"{counted(ended.left.cells, 'cell')} and "
        words += f"{counted(ended.left.runs, 'training run')}, {memory(ended.left.size_bytes)}"
        say(
            f"deleted of earlier grids: {words}"
            if ended.swept
            else f"left of earlier grids: {words}; --resume --sweep deletes them"
        )
    files = f"{counted(summary.cells, 'cell')}, {counted(summary.files, 'file')}"
    say(f"took {duration(ended.seconds)}: {files}")


def _find(grid: Path) -> Path:
    """The file itself, or the suite of that name that comes with the package."""
    if grid.exists():
        return grid
    from importlib.resources import files

    from selfremaster.core.components import hint
    from selfremaster.core.errors import ExperimentError

    shipped = {path.stem: path for path in Path(str(files(SUITES)), "suites").glob("*.yaml")}
    name = grid.name.removesuffix(".yaml")
    if name in shipped and grid.parent in (Path(), Path("benchmarks/suites")):
        return shipped[name]
    raise ExperimentError(
        f"{grid}: no such file; give a grid in YAML, or a suite by name{hint(name, shipped)}"
    )


def _command(
    grid: Path,
    folder: Path,
    settings: list[str] | tuple[str, ...],
    engine: str,
    jobs: int,
    threads: int,
    cell_minutes: float | None,
    without: list[str] | tuple[str, ...],
) -> list[str]:
    """The words of this command, without those that say what to do with earlier results."""
    words = ["selfremaster", "benchmark", str(grid)]
    words += [word for text in settings for word in ("--set", text)]
    words += ["--output", str(folder)]
    words += ["--engine", engine] if engine != "local" else []
    words += ["--jobs", str(jobs)] if jobs != 1 else []
    words += ["--threads", str(threads)] if threads != 1 else []
    words += ["--cell-minutes", f"{cell_minutes:g}"] if cell_minutes is not None else []
    return words + [word for name in without for word in ("--without", name)]


class _Display:
    """Shows how a benchmark goes: on a bar, or else by lines."""

    def __init__(self, bar: Bar, *, quiet: bool) -> None:
        self._bar = bar
        self._lines = not bar.shown and not quiet
        self._done = 0
        self._told = time.monotonic()

    def __call__(self, done: int, total: int, detail: str) -> None:
        """Take note of a cell that is done, or of a step of a training run."""
        self._bar.at(done, detail)
        late = time.monotonic() - self._told > LINE_SECONDS
        if self._lines and (done > self._done or late):
            note(f"{done} of {total} cells: {detail}")
            self._told = time.monotonic()
        self._done = done


def _show_plan(plan: Plan, *, as_json: bool) -> None:
    """Every cell, and what would be trained."""
    cells = [
        {**cell.place._asdict(), "files": len(cell.pieces), "cell": cell.address}
        for cell in plan.cells
    ]
    runs = [
        {"run": run.name, "experiment": run.address, "steps": run.experiment.train.steps}
        for run in plan.runs.values()
    ]
    if as_json:
        say_json({"cells": cells, "runs": runs, "exclusions": plan.exclusions})
        return
    headings = ["condition", "corpus", "#seed", "restorer", "#files", "cell"]
    say_table(headings, [[str(value) for value in cell.values()] for cell in cells])
    if runs:
        say_table(
            ["run", "experiment", "#steps"], [[str(one) for one in run.values()] for run in runs]
        )
    for line in plan.exclusions:
        say(f"left out: {line}")
    say(f"{len(cells)} cells, {plan.files} files, {len(runs)} training runs")


def _means(work: Benchmark) -> list[dict[str, Any]]:
    """For each condition and restorer the mean of every number, over all corpora and seeds."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for cell in work.placed():
        for result in cell.results:
            groups.setdefault((result.condition, result.restorer), []).append(result)
    rows = []
    for (condition, restorer), results in groups.items():
        done = [result for result in results if result.status == "ok"]
        names = list(dict.fromkeys(name for result in done for name in result.scores))
        means = {}
        for name in names:
            known = [one.scores[name] for one in done if one.scores.get(name) is not None]
            means[name] = sum(known) / len(known) if known else None
        failed = len(results) - len(done)
        rows.append(
            {
                "condition": condition,
                "restorer": restorer,
                "files": len(done),
                "failed": failed,
                "means": means,
            }
        )
    return rows


def _show(work: Benchmark, summary: Summary) -> None:
    rows = _means(work)
    names = list(dict.fromkeys(name for row in rows for name in row["means"]))
    headings = ["condition", "restorer", *(f"#{name}" for name in names), "#files", "#failed"]
    say_table(
        headings,
        [
            [
                row["condition"],
                row["restorer"],
                *(_number(row["means"].get(name)) for name in names),
                str(row["files"]),
                str(row["failed"]),
            ]
            for row in rows
        ],
    )
    say(f"results: {summary.folder / 'results.jsonl'}")
    if summary.report:
        say(f"report: {summary.report}, {summary.report.with_suffix('.html')}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _as_json(work: Benchmark, summary: Summary, ended: _End) -> dict[str, Any]:
    return {
        "folder": summary.folder,
        "report": summary.report,
        "html": summary.report and summary.report.with_suffix(".html"),
        "cells": summary.cells,
        "files": summary.files,
        "failed": list(summary.failures),
        "left_out": list(summary.exclusions),
        "seconds": round(ended.seconds, 3),
        "earlier": {
            "cells": ended.left.cells,
            "training_runs": ended.left.runs,
            "bytes": ended.left.size_bytes,
            "deleted": ended.swept,
        },
        "means": _means(work),
    }


def _finish(summary: Summary) -> None:
    """End with exit code 1 where something failed, and say what."""
    if summary.complete:
        return
    for line in summary.exclusions:
        note(f"left out: {line}")
    for line in summary.failures[:SHOWN_FAILURES]:
        note(f"failed: {line}")
    more = len(summary.failures) - SHOWN_FAILURES
    if more > 0:
        note(f"and {more} more, which the report names")
    if summary.report_failure:
        note(f"no report: {summary.report_failure}")
    if summary.failures:
        note(f"error: {len(summary.failures)} of {summary.files} files failed")
    raise typer.Exit(1)
