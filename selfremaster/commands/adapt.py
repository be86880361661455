"""`selfremaster adapt`: one's own recordings in, a model that knows their damage out."""

from __future__ import annotations

import shlex
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.models import ModelOption, model_reference
from selfremaster.commands.options import Device, Json, Overwrite, Quiet, Without
from selfremaster.commands.terminal import (
    Interrupted,
    hush_libraries,
    note,
    progress,
    say,
    say_json,
    say_table,
)
from selfremaster.commands.train import learning, note_beginning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfremaster.registry.adaptation_plans import Wanted
    from selfremaster.registry.adapting import Adapted, Prepared

MINUTES = 15.0
LEAST_PART = 0.5  # of the minutes that learning has, however long the survey took
REPORT_PART = 0.05  # of the minutes, kept for the report


def adapt(
    recordings: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDINGS", help="Degraded recordings: sound files or folders of them."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="FOLDER", help="For the model and its report.")
    ],
    model: ModelOption = None,
    clean: Annotated[
        Path | None,
        typer.Option(
            "--clean",
            metavar="PATH",
            help="Any clean speech, a folder or a manifest. [default: four voices of the package]",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.01, help="How long all of it takes, about.")
    ] = MINUTES,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="Learn for so many steps instead: repeatable, whatever the machine.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Of all chance.")] = 0,
    by_losses: Annotated[
        bool,
        typer.Option(
            "--by-losses", help="Go by the losses alone where no metric of quality is installed."
        ),
    ] = False,
    overwrite: Overwrite = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint, or begin.")
    ] = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Adapt a model to recordings of your own.

    Their speech is found and cut out. Learning starts from the model, stops when nothing improves,
    and the moment is kept at which restored windows of the recordings sound best, by metrics that
    need no original; by those the result is never worse than the model. Ctrl-C keeps what is done.
    """
    hush_libraries()
    from selfremaster.benchmarks.reporting import adaptations, reports
    from selfremaster.registry import adaptation_plans, adapting

    began = time.monotonic()
    wanted = adaptation_plans.Wanted(
        tuple(recordings),
        output,
        str(model_reference(model)),
        clean,
        minutes,
        steps,
        device,
        seed,
        by_losses,
    )
    again = _again(wanted)
    with _looking(quiet=quiet) as told:
        prepared = adapting.prepare(
            wanted,
            resume=resume,
            overwrite=overwrite,
            beside=(reports.PAGE_NAME, reports.TEXT_NAME),
            told=told,
        )
    if not quiet:
        _introduce(prepared)
    note_beginning(output, resume=resume, quiet=quiet)
    left = minutes * (1 - REPORT_PART) - (time.monotonic() - began) / 60
    cut = "the speech is cut"
    with learning("adapting", prepared.experiment, output, again, quiet=quiet, done=cut) as report:
        adapted = adapting.learn(
            prepared, resume=resume, report=report, minutes=max(left, minutes * LEAST_PART)
        )
    try:
        written = adaptations.write(adapted)
    except KeyboardInterrupt:
        done = f"the model is {adapted.result.bundle}, without its report"
        raise Interrupted(f"{done}; for that, go on with: {shlex.join(again)}") from None
    if as_json:
        say_json(_as_json(adapted, written))
    elif not quiet:
        _show(adapted, written)


@contextmanager
def _looking(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far the recordings are looked at."""
    with progress(quiet, "looking at the recordings", None) as bar:

        def told(what: str, done: int, count: int) -> None:
            bar.at(done, f"{what}, {done} of {count}")

        try:
            yield told
        except KeyboardInterrupt:
            raise Interrupted("nothing was learned yet; the same command begins anew") from None


def _introduce(prepared: Prepared) -> None:
    from selfremaster.registry.adapting import BY_LOSSES

    note(prepared.survey)
    for line in prepared.notes:
        note(f"note: {line}")
    if not prepared.measured:
        note(f"note: {BY_LOSSES}")


def _again(wanted: Wanted) -> list[str]:
    words = ["selfremaster", "adapt", *map(str, wanted.recordings), "--output", str(wanted.output)]
    words += ["--model", wanted.model] if wanted.model_name == wanted.model else []
    words += ["--clean", str(wanted.clean)] if wanted.clean else []
    words += ["--minutes", f"{wanted.minutes:g}"] if wanted.minutes != MINUTES else []
    words += ["--steps", str(wanted.steps)] if wanted.steps else []
    words += ["--device", wanted.device] if wanted.device != "auto" else []
    words += ["--seed", str(wanted.seed)] if wanted.seed else []
    words += ["--by-losses"] if wanted.by_losses else []
    return [*words, "--resume"]


def _show(adapted: Adapted, written: list[Path]) -> None:
    say(adapted.words())
    rows = [[words, f"{old:.4g}", f"{new:.4g}"] for words, old, new in adapted.numbers()]
    say_table(["measured", "#before", "#after"], rows)
    say(f"model: {adapted.result.bundle}")
    say(f"report: {written[0]}")
    say(f"next: {adapted.next_command()}")


def _as_json(adapted: Adapted, written: list[Path]) -> dict[str, Any]:
    result, prepared = adapted.result, adapted.prepared
    return {
        "folder": result.folder,
        "bundle": result.bundle,
        "report": written[0],
        "survey": prepared.survey,
        "notes": prepared.notes,
        "quality": list(prepared.measured),
        "improved": adapted.improved,
        "steps": result.steps,
        "minutes": result.seconds / 60,
        "stopped": result.stopped,
        "kept_step": adapted.best.step,
        "before": dict(adapted.start.numbers),
        "after": dict(adapted.best.numbers),
        "course": [{"step": one.step, **one.numbers} for one in adapted.course],
    }
