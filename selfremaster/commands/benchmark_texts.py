"""What `selfremaster benchmark` prints: the plan before, and the numbers after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from selfremaster.commands.terminal import note, say, say_json, say_table

if TYPE_CHECKING:
    from selfremaster.benchmarks.benchmarking import Benchmark, Summary
    from selfremaster.benchmarks.checking import Findings
    from selfremaster.benchmarks.outputs import Leftovers
    from selfremaster.benchmarks.planning import Plan

SHOWN_FAILURES = 10


class End(NamedTuple):
    """What is told of a benchmark beside its results."""

    seconds: float  # that all of it took
    left: Leftovers  # of earlier grids
    swept: bool


def show_plan(plan: Plan, found: Findings, *, as_json: bool) -> None:
    """Every cell, what would be trained, and what would have no numbers; ends as the run would.

    What is not installed is named, and no failure.
    """
    cells = [
        {**cell.place._asdict(), "files": len(cell.pieces), "cell": cell.address}
        for cell in plan.cells
    ]
    runs = [
        {"run": run.name, "experiment": run.address, "steps": run.experiment.train.steps}
        for run in plan.runs.values()
    ]
    if as_json:
        told = {"failing": found.failures, "missing": found.gaps}
        plain = {name: [one._asdict() for one in lines] for name, lines in told.items()}
        say_json({"cells": cells, "runs": runs, "exclusions": plan.exclusions, **plain})
    else:
        headings = ["condition", "corpus", "#seed", "restorer", "#files", "cell"]
        say_table(headings, [[str(value) for value in cell.values()] for cell in cells])
        if runs:
            rows = [[str(one) for one in run.values()] for run in runs]
            say_table(["run", "experiment", "#steps"], rows)
        for line in plan.exclusions:
            say(f"left out: {line}")
        for gap in found.gaps:
            say(f"missing: {gap}")
        for failure in found.failures:
            say(f"would fail: {failure}")
        say(f"{len(cells)} cells, {plan.files} files, {len(runs)} training runs")
    if failing := sum(failure.files for failure in found.failures):
        note(f"error: {failing} of {plan.files} files would fail")
    if failing or plan.exclusions:
        raise typer.Exit(1)


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


def show(work: Benchmark, summary: Summary, ended: End) -> None:
    """The means of every restorer, where the rest is, and how long it took."""
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
    _show_end(summary, ended)


def _show_end(summary: Summary, ended: End) -> None:
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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def as_plain(work: Benchmark, summary: Summary, ended: End) -> dict[str, Any]:
    """The same for machines."""
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


def finish(summary: Summary) -> None:
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
