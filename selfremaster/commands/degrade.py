"""`selfremaster degrade`: simulated damage, logged and replayable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Inputs, Json, Output, Overwrite, Quiet, Without
from selfremaster.commands.terminal import finish, say, say_json, work_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.core.degrading import Degraded, Level, Recipe, Step
    from selfremaster.core.interfaces import Degradation
    from selfremaster.core.jobs import Failure, Job


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
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            metavar="POLICY",
            help="limit (the default: softer where full scale is exceeded), match (as loud as the "
            "input, by RMS, then limit), or the peak in dBFS, such as -3.",
            show_default=False,
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="PATH",
            help="Do again what this log (NAME.json) says, exactly; of a folder, each input's own.",
            show_default=False,
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="Write there, as CSV, the pairs of degraded files and their clean originals, to "
            "learn from; splits are those of `selfremaster manifest`.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="With --manifest: of the corpus, single (the default), multi-seen or multi-unseen "
            "speakers.",
            show_default=False,
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, help="How many files to do at once.")
    ] = 1,
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Damage recordings on purpose, replayable.

    What was drawn goes into NAME.json beside each result; --replay does the same again, exactly.
    """
    from selfremaster.core import degrading, jobs, pairs
    from selfremaster.core.errors import SelfRemasterError

    _check_choice(degradation, level, replay)
    steps = _drawn_steps(degradation or ())
    policy = _level(level)
    if kind and manifest is None:
        raise SelfRemasterError("--kind says who speaks in a --manifest; give one, or leave it out")
    planned = jobs.plan(inputs, output, overwrite=overwrite, beside=(degrading.LOG_SUFFIX,))
    rows: pairs.Rows = {}
    if manifest:
        rows = pairs.plan_pairs(planned, manifest, kind or "single", overwrite=overwrite)
    if replay:
        recipes = _recipes(planned, replay)
        results = degrading.replay_files(planned, recipes, processes=processes)
    else:
        results = degrading.degrade_files(planned, steps, seed, level=policy, processes=processes)
    done, failures = work_through(results, len(planned), quiet, "degrading", "degraded")
    if manifest and done:
        pairs.write_pairs(done, rows, manifest)
    if as_json:
        say_json(_as_json(done, failures, manifest))
    elif not quiet:
        for result in done:
            say(f"{result.source} -> {result.target}")
        if manifest and done:
            say(f"{len(done)} pairs -> {manifest}")
    finish(failures, len(planned))


def _check_choice(given: Sequence[str] | None, level: str | None, replay: Path | None) -> None:
    from selfremaster.core.errors import ComponentError

    if bool(given) == bool(replay):
        raise ComponentError(
            "give either --degradation (see `selfremaster list degradation`) or --replay"
        )
    if replay and level is not None:
        raise ComponentError("a log says what was done to the level, too; leave --level out")


def _level(given: str | None) -> Level:
    from pydantic import TypeAdapter, ValidationError

    from selfremaster.core.degrading import Level
    from selfremaster.core.errors import ComponentError

    if given is None or given in ("limit", "match"):
        return "match" if given == "match" else "limit"
    try:
        level: Level = TypeAdapter(Level).validate_python(float(given))
    except (ValueError, ValidationError):
        raise ComponentError(
            f"--level {given}: give limit, match, or the peak in dBFS, from -120 to 0"
        ) from None
    return level


def _drawn_steps(given: Sequence[str]) -> list[Step]:
    from selfremaster.core.components import ComponentSpec
    from selfremaster.core.degrading import Step
    from selfremaster.registry.building import build

    return [Step(ComponentSpec.parse(text).name, build("degradation", text)) for text in given]


def _recipes(planned: Sequence[Job], replay: Path) -> list[Recipe]:
    """What is to be done with each file: the same log, or each file's own."""
    from selfremaster.core import jobs
    from selfremaster.core.degrading import LOG_SUFFIX

    logs = [_own_log(job, replay) if replay.is_dir() else replay for job in planned]
    jobs.keep(planned, logs, (LOG_SUFFIX,))
    built: dict[str, Degradation] = {}
    read = {log: _read_recipe(log, built) for log in dict.fromkeys(logs)}
    return [read[log] for log in logs]


def _own_log(job: Job, folder: Path) -> Path:
    """The log that lies in a folder where the file does in its own."""
    from selfremaster.core.degrading import LOG_SUFFIX
    from selfremaster.core.errors import ComponentError

    place = folder / job.place
    # the longer name is that of a file which shares the shorter one with another
    candidates = (place.with_name(place.name + LOG_SUFFIX), place.with_suffix(LOG_SUFFIX))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ComponentError(
        f"{job.source}: no log {candidates[1]} to replay; name the folder that has it there"
    )


def _read_recipe(log: Path, built: dict[str, Degradation]) -> Recipe:
    """What a log says, with parts that several logs share built once."""
    from selfremaster.core.degrading import Recipe, Step, read_log
    from selfremaster.core.errors import ComponentError
    from selfremaster.registry.building import build

    told = read_log(log)
    steps = []
    for one in told.degradations:
        text = json.dumps([one.degradation, one.settings])
        try:
            if text not in built:
                built[text] = build("degradation", {"name": one.degradation, **one.settings})
        except ComponentError as error:
            raise ComponentError(f"{log}: {error}") from None
        steps.append(Step(one.degradation, built[text], one.parameters))
    return Recipe(tuple(steps), told.level)


def _as_json(
    done: Sequence[Degraded], failures: Sequence[Failure], manifest: Path | None
) -> dict[str, Any]:
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
        "manifest": manifest if done else None,
        "failed": [{"input": item.source, "reason": item.reason} for item in failures],
    }
