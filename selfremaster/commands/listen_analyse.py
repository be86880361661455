"""`selfremaster listen analyse`: what came of a listening test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfremaster.commands.options import Json, Overwrite, Quiet
from selfremaster.commands.terminal import note, say, say_json, say_table

if TYPE_CHECKING:
    from selfremaster.benchmarks.listening.analysis import Analysis


def analyse(
    answers: Annotated[
        list[Path],
        typer.Argument(metavar="RESULTS", help="Listeners' files of answers, or folders of them."),
    ],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="The key.json that prepare wrote.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FOLDER",
            help="Where report.md, results.csv and chart.png go; by default they are not written.",
            show_default=False,
        ),
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Screen nobody out; the report still says who.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Turn answers into the tables of a paper.

    Means with 95 % intervals, or preferences with p-values. Files that are damaged, of another test
    or there twice are left out, and named; the exit code is then 1.
    """
    from selfremaster.benchmarks.listening.analysis import analyse as work
    from selfremaster.benchmarks.listening.analysis import as_json as told
    from selfremaster.benchmarks.listening.report import CHART_NAME, REPORT_NAME, TABLE_NAME
    from selfremaster.core.files import check_place

    names = (REPORT_NAME, TABLE_NAME, CHART_NAME)
    for name in names if output else ():
        check_place((output or Path()) / name, overwrite, name)
    done = work(answers, key, keep_all=keep_all)
    if output:
        from selfremaster.benchmarks.listening.report import write_report

        write_report(done, output)
    if as_json:
        say_json(told(done))
    elif not quiet:
        _tell_tables(done, output)
    for one in done.skipped:
        note(f"left out: {one.path}: {one.reason}")
    if done.skipped:
        raise typer.Exit(1)


def _tell_tables(done: Analysis, output: Path | None) -> None:
    from selfremaster.benchmarks.listening.report import REPORT_NAME, counts_of, p_in_words

    digits = 1 if done.key.test == "mushra" else 2
    for table in done.tables:
        if len(done.tables) > 1:
            say(table.condition or "all conditions")
        if table.preferences:
            say_table(
                ("first", "second", "#first", "#neither", "#second", "#n", "#p (listeners, Holm)"),
                [
                    (
                        one.first,
                        one.second,
                        *(f"{count / one.n:.0%}" for count in counts_of(one)),
                        str(one.n),
                        p_in_words(one.adjusted_listeners),
                    )
                    for one in table.preferences
                ],
            )
        else:
            say_table(
                ("system", f"#{done.key.test}", "#low", "#high", "#n"),
                [
                    (
                        one.label,
                        *(
                            "-" if value is None else f"{value:.{digits}f}"
                            for value in (one.mean, one.low, one.high)
                        ),
                        str(one.n),
                    )
                    for one in table.opinions
                ],
            )
    screened = [one for one in done.verdicts if not one.kept]
    say(f"{len(done.counted)} of {len(done.verdicts)} listeners count")
    for one in screened:
        say(
            f"{'breaks a rule' if done.kept_all else 'screened out'}: {one.listener} "
            f"{'; '.join(one.reasons)}"
        )
    if output:
        say(f"report -> {output / REPORT_NAME}")
