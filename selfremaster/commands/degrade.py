"""`selfremaster degrade`: simulated damage, logged and replayable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Inputs, Json, Output, Overwrite, Quiet, Without
from selfremaster.commands.terminal import finish, say, say_json, work_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.core.degrading import Degraded, Step
    from selfremaster.core.jobs import Failure


def degrade(
    inputs: Inputs,
    output: Output,
    degradation: Annotated[
        list[str] | None,
        typer.Option(
            "--degradation",
            metavar="SPEC",
            help="NAME or NAME:key=value,...; may be repeated, applied in order.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn.")] = 0,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="FILE",
            help="Do again what this log (NAME.json) says, exactly.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Damage recordings on purpose, replayable.

    What was drawn goes into NAME.json beside each result; --replay does the same again, exactly.
    """
    from selfremaster.core import degrading, jobs

    steps = _steps(degradation, replay)
    planned = jobs.plan(inputs, output, overwrite=overwrite, beside=(degrading.LOG_SUFFIX,))
    if replay:
        jobs.keep(planned, [replay], (degrading.LOG_SUFFIX,))
    results = degrading.degrade_files(planned, steps, None if replay else seed)
    done, failures = work_through(results, len(planned), quiet, "degrading", "degraded")
    if as_json:
        say_json(_as_json(done, failures))
    elif not quiet:
        for result in done:
            say(f"{result.source} -> {result.target}")
    finish(failures, len(planned))


def _steps(given: Sequence[str] | None, replay: Path | None) -> list[Step]:
    from selfremaster.core.components import ComponentSpec
    from selfremaster.core.degrading import Step, read_log
    from selfremaster.core.errors import ComponentError
    from selfremaster.registry.building import build

    if bool(given) == bool(replay):
        raise ComponentError(
            "give either --degradation (see `selfremaster list degradation`) or --replay"
        )
    if replay is None:
        return [
            Step(ComponentSpec.parse(text).name, build("degradation", text)) for text in given or ()
        ]
    steps = []
    for applied in read_log(replay).degradations:
        try:
            part = build("degradation", {"name": applied.degradation, **applied.settings})
        except ComponentError as error:
            raise ComponentError(f"{replay}: {error}") from None
        steps.append(Step(applied.degradation, part, applied.parameters))
    return steps


def _as_json(done: Sequence[Degraded], failures: Sequence[Failure]) -> dict[str, Any]:
    return {
        "degraded": [
            {
                "input": result.source,
                "output": result.target,
                "log": result.log_file,
                "gain": result.log.gain,
            }
            for result in done
        ],
        "failed": [{"input": item.source, "reason": item.reason} for item in failures],
    }
