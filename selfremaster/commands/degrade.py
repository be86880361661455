"""`selfremaster degrade`: simulated damage, logged and replayable."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Inputs, Json, Output, Overwrite, Quiet, Without
from selfremaster.commands.terminal import finish, note, note_left, say, say_json, work_through

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from selfremaster.core import pairs
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
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Of what is drawn (0).", show_default=False),
    ] = None,
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
            "learn from. Splits are those that `selfremaster manifest` draws if it is given the "
            "same folder as INPUT here, the same --kind, and else its defaults; of a part of the "
            "folder, or of another one, they may be others.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="With --manifest: of the corpus, single (the default), multi-seen or multi-unseen "
            "speakers, which are the folders at the top of INPUT.",
            show_default=False,
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, help="How many files to do at once.")
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep results whose logs tell the same degradations, settings and seed; do the "
            "rest.",
        ),
    ] = False,
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

    _check_choice(degradation, level, replay, seed)
    drawn = degrading.recipe_of(
        _drawn_steps(degradation or ()), _level(level), aligned=manifest is not None
    )
    if kind and manifest is None:
        raise SelfRemasterError("--kind says who speaks in a --manifest; give one, or leave it out")
    beside = (degrading.LOG_SUFFIX,)
    planned = jobs.plan(inputs, output, overwrite=overwrite or resume, beside=beside)
    others = jobs.left_alone(inputs, output)
    recipes = _recipes(planned, replay) if replay else [drawn] * len(planned)
    seed = None if replay else seed or 0
    kept = degrading.done_before(planned, recipes, seed) if resume else {}
    left = [pair for pair in zip(planned, recipes, strict=True) if pair[0] not in kept]
    if resume and not overwrite:
        jobs.refuse_existing(
            path for job, _ in left for path in (job.target, job.beside(degrading.LOG_SUFFIX))
        )
    rows: pairs.Rows = {}
    if manifest:
        pairs.check_aligned(recipes)
        rows = pairs.plan_pairs(
            planned, manifest, kind or "single", overwrite=overwrite, resume=resume
        )
    results = degrading.damage_files(left, seed, processes)
    there = list(kept.values())
    with _listed(there, rows, manifest):
        done, failures = work_through(
            _noted(results, there), len(left), quiet, "degrading", "degraded"
        )
    note_left(others, quiet)
    if as_json:
        told = _as_json(done, list(kept.values()), failures, manifest if there else None)
        say_json(told | {"left_alone": others})
    elif not quiet:
        for result in done:
            say(f"{result.source} -> {result.target}")
        if kept:
            say(f"{len(kept)} of {len(planned)} files were done before")
        if manifest and there:
            say(f"{len(there)} pairs -> {manifest}")
    finish(failures, len(planned))


def _noted(
    results: Iterable[Degraded | Failure], there: list[Degraded]
) -> Iterator[Degraded | Failure]:
    """The results, with those that are there kept in a list, too."""
    from selfremaster.core.degrading import Degraded

    for result in results:
        if isinstance(result, Degraded):
            there.append(result)
        yield result


@contextmanager
def _listed(there: list[Degraded], rows: pairs.Rows, manifest: Path | None) -> Iterator[None]:
    """Write the manifest at the end, also when the work is stopped before."""
    from selfremaster.core import pairs

    try:
        yield
    except BaseException:
        if manifest and there:
            pairs.write_pairs(there, rows, manifest)
            note(f"{len(there)} pairs so far -> {manifest}; --resume does the rest")
        raise
    if manifest and there:
        pairs.write_pairs(there, rows, manifest)


def _check_choice(
    given: Sequence[str] | None, level: str | None, replay: Path | None, seed: int | None
) -> None:
    from selfremaster.core.errors import ComponentError

    if bool(given) == bool(replay):
        raise ComponentError(
            "give either --degradation (see `selfremaster list degradation`) or --replay"
        )
    if replay and level is not None:
        raise ComponentError("a log says what was done to the level, too; leave --level out")
    if replay and seed is not None:
        raise ComponentError("a log says what was drawn, and nothing is anew; leave --seed out")


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
    return Recipe(tuple(steps), told.level, told.advance_samples)


def _as_json(
    done: Sequence[Degraded],
    kept: Sequence[Degraded],
    failures: Sequence[Failure],
    manifest: Path | None,
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
        "kept": [result.target for result in kept],
        "manifest": manifest,
        "failed": [{"input": item.source, "reason": item.reason} for item in failures],
    }
