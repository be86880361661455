"""What commands print: results on stdout; progress, notes and failures on stderr."""

import json
import logging
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from selfremaster.core.jobs import Failure
    from selfremaster.core.remotes import Place


class Named(Protocol):
    """What came of a file."""

    @property
    def source(self) -> "Place":
        """The file that it came of."""


class Noted(Named, Protocol):
    """What came of a file, and what is to be known of it."""

    @property
    def notes(self) -> Sequence[str]:
        """In words."""


Done = TypeVar("Done", bound=Named)

WIDEST = 10_000  # columns: what is not read on a terminal is not folded
LOUD_LIBRARIES = ("lightning", "lightning.fabric", "lightning.pytorch", "torch", "matplotlib")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with words on what is done and how to go on."""


def say(text: str) -> None:
    """A line of the result."""
    print(text)


def note(text: str) -> None:
    """A line beside the result, on stderr."""
    print(one_line(text), file=sys.stderr)


def hush_libraries() -> None:
    """Let the libraries that training needs tell nothing but errors."""
    for name in LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)


def one_line(text: str) -> str:
    """The text without line breaks and control characters."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())


def say_json(value: Any) -> None:
    """A result for machines; what is not a number (NaN) is null."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def say_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout: folded to a terminal's width, or else each row on one line.

    A heading with # before it is that of a column of numbers.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(
        box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, show_header=any(headings)
    )
    for heading in headings:
        number = heading.startswith("#")
        table.add_column(Text(heading.removeprefix("#")), justify="right" if number else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = _console(sys.stdout)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def say_markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table in Markdown on stdout."""
    print(f"| {' | '.join(headings)} |")
    print(f"|{'---|' * len(headings)}")
    for row in rows:
        cells = (one_line(cell).replace("|", "\\|") for cell in row)
        print(f"| {' | '.join(cells)} |")


@contextmanager
def progress(quiet: bool, what: str, total: int | None) -> Iterator["Bar"]:
    """A progress bar on stderr, if that is a terminal and nobody wants quiet."""
    if quiet or not sys.stderr.isatty():
        yield Bar()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=_console(sys.stderr), transient=True) as shown:
        task = shown.add_task(what, total=total, detail="")
        yield Bar(lambda done, detail: shown.update(task, completed=done, detail=detail))


class Bar:
    """A progress bar, or the want of one."""

    def __init__(self, update: Any = None) -> None:
        self.shown = update is not None
        self._update = update

    def at(self, done: int, detail: str = "") -> None:
        """So much is done."""
        if self._update is not None:
            self._update(done, detail)


def work_through(
    results: "Iterable[Done | Failure]", total: int, quiet: bool, doing: str, done_word: str
) -> "tuple[list[Done], list[Failure]]":
    """Let a command work on its files, on a progress bar; gives what was done and what failed."""
    from selfremaster.core.jobs import Failure

    done: list[Done] = []
    failures: list[Failure] = []
    with progress(quiet, doing, total) as bar:
        try:
            for number, result in enumerate(results, start=1):
                if isinstance(result, Failure):
                    failures.append(result)
                else:
                    done.append(result)
                bar.at(number, result.source.name)
        except KeyboardInterrupt:
            raise Interrupted(f"{len(done)} of {total} files are {done_word}") from None
    return done, failures


def note_remarks(done: "Iterable[Noted]", quiet: bool) -> None:
    """Say what is to be known of files that were done, such as how much of them is missing."""
    for result in () if quiet else done:
        for told in result.notes:
            note(f"{result.source}: {told}")


def note_left(left: Mapping[str, int], quiet: bool) -> None:
    """Say how many files of folders were taken for no sound, by suffix."""
    from selfremaster.core.folders import in_words

    if left and not quiet:
        note(in_words(left))


def finish(failures: "Sequence[Failure]", total: int) -> None:
    """End a command that worked on files: all done, or raise what says that some failed.

    The only file that there was raises its own error; of several, the failed ones are listed.
    """
    if not failures:
        return
    if total == 1:
        raise failures[0].error
    for failure in failures:
        place = str(failure.source)
        about = failure.reason if place in failure.reason else f"{place}: {failure.reason}"
        note(f"failed: {about}")
    rest = "" if len(failures) == total else ", the others are done"
    note(f"error: {len(failures)} of {total} files failed{rest}")
    raise typer.Exit(1)


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(
        file=stream,
        width=None if stream.isatty() else WIDEST,
        highlight=False,
        markup=False,
        emoji=False,
    )
