"""`selfremaster restore`: recordings in, restored recordings out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.models import ModelOption, load_model
from selfremaster.commands.options import Device, Inputs, Json, Output, Overwrite, Quiet, Without
from selfremaster.commands.terminal import (
    finish,
    say,
    say_json,
    say_table,
    work_through,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.core.interfaces import Metric
    from selfremaster.core.jobs import Failure
    from selfremaster.core.restoring import Restored

DEFAULT_METRICS = ("lsd", "mel-l1")
ARROWS = {"lower": "↓", "higher": "↑"}


def restore(
    inputs: Inputs,
    output: Output,
    model: ModelOption = None,
    vocoder: Annotated[
        str | None,
        typer.Option(
            "--vocoder",
            metavar="SPEC",
            help="What speaks instead of the model's own vocoder, such as input-phase.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures", help="Write NAME.png, spectrograms before and after, beside each result."
        ),
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="PATH",
            help="Clean originals, a file or a folder with the same tree, to measure against.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="SPEC",
            help="What to measure; may be repeated. With --reference: lsd and mel-l1.",
            show_default=False,
        ),
    ] = None,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Restore recordings, files or folders of them.

    A result has the rate, channels, length, level and kind of file of its recording.
    """
    from selfremaster.core import jobs, restoring

    beside = (restoring.PICTURE_SUFFIX,) if pictures else ()
    planned = jobs.plan(inputs, output, overwrite=overwrite, beside=beside)
    references = restoring.find_references(planned, reference) if reference else {}
    jobs.keep(planned, references.values(), beside)
    metrics = _metrics(metric, reference)
    loaded = load_model(model, device, vocoder)
    results = restoring.restore_files(
        loaded, planned, pictures=pictures, metrics=metrics, references=references
    )
    done, failures = work_through(results, len(planned), quiet, "restoring", "restored")
    if as_json:
        say_json(_as_json(done, failures))
    elif not quiet:
        _show(done, metrics)
    finish(failures, len(planned))


def _metrics(given: Sequence[str] | None, reference: Path | None) -> list[Metric]:
    from selfremaster.core.errors import ComponentError
    from selfremaster.registry.building import build

    wanted = given or (DEFAULT_METRICS if reference else ())
    metrics = []
    for text in wanted:
        metric = build("metric", text)
        if metric.needs_reference and reference is None:
            raise ComponentError(f"metric {text} compares with a clean original; give --reference")
        metrics.append(metric)
    return metrics


def _show(done: Sequence[Restored], metrics: Sequence[Metric]) -> None:
    for result in done:
        say(f"{result.source} -> {result.target}")
    if not done or not metrics:
        return
    directions = {name: way for metric in metrics for name, way in metric.directions.items()}
    names = list(done[0].after)
    headings = ["file"]
    for name in names:
        headings += [f"#{name} {ARROWS.get(directions.get(name, ''), '')} input", "#restored"]
    rows = [_row(str(result.source), result.before, result.after, names) for result in done]
    if len(done) > 1:
        mean_before, mean_after = (
            {name: sum(numbers[name] for numbers in side) / len(done) for name in names}
            for side in ([result.before for result in done], [result.after for result in done])
        )
        rows.append(_row("mean", mean_before, mean_after, names))
    say_table(headings, rows)


def _row(label: str, before: Any, after: Any, names: Sequence[str]) -> list[str]:
    cells = [label]
    for name in names:
        cells += [f"{before[name]:.3f}", f"{after[name]:.3f}"]
    return cells


def _as_json(done: Sequence[Restored], failures: Sequence[Failure]) -> dict[str, Any]:
    return {
        "restored": [
            {
                "input": result.source,
                "output": result.target,
                "picture": result.picture,
                "seconds": result.seconds,
                "took_seconds": round(result.took_seconds, 3),
                "input_metrics": dict(result.before),
                "output_metrics": dict(result.after),
            }
            for result in done
        ],
        "failed": [{"input": item.source, "reason": item.reason} for item in failures],
    }
