"""`selfremaster restore`: recordings in, restored recordings out."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.batches import (
    Choice,
    ExcludeOption,
    IncludeOption,
    ProvenanceOption,
    ResumeOption,
    check_resume,
    in_order_of,
    locked_while,
    rest_of,
    tidy,
    written_down,
)
from selfremaster.commands.engines import (
    EngineOption,
    FileMinutesOption,
    JobsOption,
    Restoring,
    Wish,
    placed,
)
from selfremaster.commands.forms import (
    ChannelsOption,
    FormatOption,
    LevelOption,
    RateOption,
    RepairOption,
    StrictOption,
    SubtypeOption,
    make_form,
    suffix_of,
)
from selfremaster.commands.models import ModelOption
from selfremaster.commands.options import (
    Device,
    Json,
    Output,
    Overwrite,
    Quiet,
    Recordings,
    Without,
)
from selfremaster.commands.precisions import DEFAULT_PRECISION, PrecisionOption
from selfremaster.commands.runtimes import DEFAULT_RUNTIME, RuntimeOption
from selfremaster.commands.terminal import (
    finish,
    note,
    note_left,
    note_remarks,
    say,
    say_json,
    say_table,
    work_through,
)
from selfremaster.commands.urls import ledger_of, plan_batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfremaster.core.interfaces import Metric
    from selfremaster.core.jobs import Failure
    from selfremaster.core.profiles import ChannelProfile
    from selfremaster.core.restoring import Restored

DEFAULT_METRICS = ("lsd", "mel-l1")
CONTENT_METRICS = ("speaker-similarity",)
SHOWN_SECONDS = 8
ARROWS = {"lower": "↓", "higher": "↑"}


def restore(
    inputs: Recordings,
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
    faithful: Annotated[
        bool,
        typer.Option(
            "--faithful",
            help="Keep what the recording still has and fill in only what is lost: speak by blend.",
        ),
    ] = False,
    resynthesise: Annotated[
        bool,
        typer.Option("--resynthesise", help="Speak anew, by the model's own vocoder alone."),
    ] = False,
    strength: Annotated[
        float,
        typer.Option("--strength", help="0 leaves the recording as it is, 1 restores altogether."),
    ] = 1.0,
    channels: ChannelsOption = "linked",
    level: LevelOption = "keep",
    file_format: FormatOption = None,
    rate: RateOption = None,
    subtype: SubtypeOption = None,
    strict: StrictOption = False,
    repair_samples: RepairOption = False,
    device: Device = "auto",
    precision: PrecisionOption = DEFAULT_PRECISION,
    runtime: RuntimeOption = DEFAULT_RUNTIME,
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
    content: Annotated[
        bool,
        typer.Option(
            "--content",
            help="Write NAME.content.csv beside each result: second by second, whether it still "
            "says what the recording says, and what has no ground in it.",
        ),
    ] = False,
    content_metric: Annotated[
        list[str] | None,
        typer.Option(
            "--content-metric",
            metavar="SPEC",
            help="With --content: also compare every four seconds by this metric, such as wer; may "
            "be repeated. speaker-similarity where its package is installed.",
            show_default=False,
        ),
    ] = None,
    redegraded: Annotated[
        str | None,  # a path would lose the slash at its end, which says that it is a folder
        typer.Option(
            "--redegraded",
            metavar="PATH",
            help="Write there, too, what the model takes each recording for: the restored speech "
            "with the recording's own sound put back.",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile",
            metavar="FILE",
            help="With --redegraded: put this sound back, such as a profile of all recordings.",
            show_default=False,
        ),
    ] = None,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    engine: EngineOption = "local",
    processes: JobsOption = None,
    file_minutes: FileMinutesOption = None,
    resume: ResumeOption = False,
    provenance: ProvenanceOption = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Restore recordings, files or folders of them.

    A result has the rate, channels, length, loudness and kind of file of its recording. A folder of
    results has a record, restored.jsonl, by which --resume goes on.

    With the extra cloud, inputs and the output may be URLs of object stores; the usual variables,
    such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL, say who asks and where.
    """
    from selfremaster.core import jobs, restoring
    from selfremaster.core.content_files import CONTENT_SUFFIX
    from selfremaster.core.ledgers import PROVENANCE_SUFFIX
    from selfremaster.core.remotes import here
    from selfremaster.registry.building import current

    _check_one_voice(vocoder, faithful, resynthesise)
    form = make_form(strength, channels, level, rate, subtype, strict, repair_samples)
    suffix = suffix_of(file_format)
    beside = (
        *([restoring.PICTURE_SUFFIX] if pictures else []),
        *([CONTENT_SUFFIX] if content else []),
        *([PROVENANCE_SUFFIX] if provenance else []),
    )
    batch = plan_batch(
        inputs,
        output,
        {"--reference": reference, "--redegraded": redegraded, "--profile": profile},
        overwrite=overwrite,
        resume=resume,
        beside=beside,
        suffix=suffix,
        include=include or (),
        exclude=exclude or (),
    )
    planned, folder = batch.jobs, batch.folder
    check_resume(resume, overwrite, folder)
    local = [job for job in planned if isinstance(job, jobs.Job)]
    references = restoring.find_references(local, reference) if reference else {}
    jobs.keep(local, references.values(), beside)
    again: dict[Path, Path] = {}
    if redegraded is not None:
        originals = [*references.values(), *([profile] if profile else [])]
        again = restoring.plan_redegraded(
            local, [here(path) for path in inputs], redegraded, originals, overwrite or resume
        )
        planned = [job for job in local if job.source in again]
    sound = _sound(profile, redegraded)
    metrics = _metrics(metric, reference)
    listeners = _listeners(content, content_metric)
    choice = Choice(model, device, vocoder, faithful, resynthesise, precision, runtime)
    wanted = restoring.Wanted(form, pictures, tuple(metrics), references, again, sound, listeners)
    settings = asdict(form) | {"precision": precision, "runtime": runtime, "format": file_format}
    if again:
        settings["redegraded"] = sound.model_dump(mode="json") if sound else "its own sound"
    if content_metric:
        settings["content_metrics"] = list(content_metric)
    hashed = folder is not None or provenance
    work = Restoring(choice, wanted, tuple(current().blocked), quiet, hashed)
    wish = Wish(engine, processes, file_minutes)
    with placed(work, planned, wish, lambda job: tidy(job, beside, again)) as place:
        ledger = ledger_of(batch, output, place.about.work(settings))
        with locked_while(folder):
            if not overwrite and not resume:  # another run may have ended meanwhile
                jobs.refuse_results(local, beside)
            todo = rest_of(planned, ledger, beside, quiet, again) if resume else planned
            if folder is not None:
                ledger.begin(todo, beside, again)
            results = written_down(place.results(todo), ledger, todo, provenance)
            if folder is not None:
                results = ledger.following(results)
            total = len(batch.refused) + len(todo)
            results = chain(batch.refused, results)
            done, failures = work_through(results, total, quiet, "restoring", "restored")
    done, failures = in_order_of(planned, done), in_order_of(planned, failures)
    for told in () if quiet else batch.notes:
        note(told)
    note_remarks(done, quiet)
    note_left(batch.left, quiet)
    if as_json:
        say_json(_as_json(done, failures) | {"left_alone": dict(batch.left)})
    elif not quiet:
        _show(done, metrics)
        _show_content(done)
    finish(failures, total)


def _check_one_voice(vocoder: str | None, faithful: bool, resynthesise: bool) -> None:
    """Raise `ComponentError` where more than one option says what is to speak."""
    from selfremaster.core.errors import ComponentError

    options = {
        "--vocoder": vocoder is not None,
        "--faithful": faithful,
        "--resynthesise": resynthesise,
    }
    given = [option for option, is_given in options.items() if is_given]
    if len(given) > 1:
        raise ComponentError(f"{' and '.join(given)} each say what speaks; give one of them")


def _sound(profile: Path | None, redegraded: str | None) -> ChannelProfile | None:
    """The sound to put back, where it is not each recording's own."""
    from selfremaster.core.errors import ComponentError
    from selfremaster.core.profiles import ChannelProfile

    if profile is None:
        return None
    if redegraded is None:
        raise ComponentError("--profile is what --redegraded puts back; give --redegraded, too")
    return ChannelProfile.load(profile)


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


def _listeners(content: bool, given: Sequence[str] | None) -> list[Metric] | None:
    """What compares the content beside the meter itself; what is not installed is noted."""
    from selfremaster.core.errors import ComponentError
    from selfremaster.registry.building import build

    if not content:
        if given:
            raise ComponentError("--content-metric is what --content compares by; give --content")
        return None
    listeners: list[Metric] = [build("metric", text) for text in given or ()]
    for name in CONTENT_METRICS if given is None else ():
        try:
            listeners.append(build("metric", name))
        except ComponentError as error:
            note(f"content without {name}: {error}")
    return listeners


def _show_content(done: Sequence[Restored]) -> None:
    """How many seconds of each result are suspicious, and where."""
    told = [result for result in done if result.content_file]
    if not told:
        return
    rows = []
    for result in told:
        where = [one for one in result.content if one.why]
        reasons = dict.fromkeys(reason for one in where for reason in one.why)
        seconds = [f"{one.start_seconds:.0f}" for one in where[:SHOWN_SECONDS]]
        more = ["..."] if len(where) > SHOWN_SECONDS else []
        count = f"{len(where)} of {len(result.content)}"
        cells = [count, ", ".join([*seconds, *more]), "; ".join(reasons), str(result.content_file)]
        rows.append([str(result.source), *cells])
    say_table(["file", "#suspicious seconds", "at", "why", "told in"], rows)


def _show(done: Sequence[Restored], metrics: Sequence[Metric]) -> None:
    for result in done:
        say(f"{result.source} -> {result.target}")
        if result.redegraded:
            say(f"{result.source} -> {result.redegraded} (redegraded)")
    if not done or not metrics:
        return
    directions = {name: way for metric in metrics for name, way in metric.directions.items()}
    names = list(done[0].after)
    columns = ["restored", "redegraded"] if done[0].redegraded else ["restored"]
    headings = ["file"]
    for name in names:
        headings.append(f"#{name} {ARROWS.get(directions.get(name, ''), '')} input")
        headings += [f"#{column}" for column in columns]
    numbers = [(result.before, result.after, result.explained) for result in done]
    rows = [_row(str(result.source), names, row) for result, row in zip(done, numbers, strict=True)]
    if len(done) > 1:
        rows.append(_row("mean", names, [_mean(side) for side in zip(*numbers, strict=True)]))
    say_table(headings, rows)


def _mean(numbers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in numbers) / len(numbers) for name in numbers[0]}


def _row(label: str, names: Sequence[str], sides: Sequence[Mapping[str, float]]) -> list[str]:
    return [label, *(f"{side[name]:.3f}" for name in names for side in sides if side)]


def _as_json(done: Sequence[Restored], failures: Sequence[Failure]) -> dict[str, Any]:
    return {
        "restored": [
            {
                "input": result.source,
                "output": result.target,
                "picture": result.picture,
                "redegraded": result.redegraded,
                "content": result.content_file,
                "suspicious_seconds": [one.start_seconds for one in result.content if one.why],
                "notes": list(result.notes),
                "seconds": result.seconds,
                "took_seconds": round(result.took_seconds, 3),
                "input_metrics": dict(result.before),
                "output_metrics": dict(result.after),
                "redegraded_metrics": dict(result.explained),
            }
            for result in done
        ],
        "failed": [{"input": item.source, "reason": item.reason} for item in failures],
    }
