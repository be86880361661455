"""The command `selfremaster`: its commands, and how every error becomes one line."""

import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from selfremaster.commands.adapt import adapt
from selfremaster.commands.benchmark import benchmark
from selfremaster.commands.check import check
from selfremaster.commands.convert import convert
from selfremaster.commands.degrade import degrade
from selfremaster.commands.doctor import doctor
from selfremaster.commands.export import export
from selfremaster.commands.listen import listen
from selfremaster.commands.manifest import manifest
from selfremaster.commands.options import Without
from selfremaster.commands.parts import list_parts, show
from selfremaster.commands.profile import profile
from selfremaster.commands.restore import restore
from selfremaster.commands.serve import serve
from selfremaster.commands.stops import Stops, heard_as_ctrl_c
from selfremaster.commands.survey import survey
from selfremaster.commands.terminal import note
from selfremaster.commands.train import train
from selfremaster.commands.transfer import transfer
from selfremaster.core.errors import SelfRemasterError, one_line
from selfremaster.core.watching import VARIABLE, watched

PROGRAM = "selfremaster"
FAILED = 2
DEBUG = "--debug"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)
"""All commands; `main` runs them."""


def _show_version(wanted: bool) -> None:
    if wanted:
        import selfremaster

        print(f"{PROGRAM} {selfremaster.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    without: Without = None,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Restore old recordings by learning from the recordings alone.

    Exit codes: 0 done, 1 some of several files failed, 2 wrong use or bad input, 130 interrupted
    (143 by SIGTERM, 129 by SIGHUP).
    """
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(FAILED)


for _name, _command, _example in (
    ("restore", restore, "restore tapes --output restored --model runs/a"),
    ("survey", survey, "survey tapes"),
    ("adapt", adapt, "adapt tapes --output runs/tapes"),
    ("degrade", degrade, "degrade clean.wav --output old.wav --degradation clip:ratio=0.3"),
    ("train", train, "train vocoder.yaml --set train.steps=1000 --output runs/vocoder"),
    ("benchmark", benchmark, "benchmark smoke --output runs/smoke"),
    ("convert", convert, "convert g_02500000 --output universal.safetensors"),
    ("export", export, "export default --output default.onnx"),
    ("serve", serve, "serve --open"),
    ("profile", profile, "profile tapes --output tape.json --model runs/a"),
    ("transfer", transfer, "transfer new.wav --profile tape.json --output old.wav --model runs/a"),
    ("manifest", manifest, "manifest corpus --output corpus/manifest.csv --kind multi-unseen"),
    ("list", list_parts, "list vocoder"),
    ("show", show, "show degradation band-limit"),
    ("check", check, "check degradation/clip:ratio=0.3"),
    ("doctor", doctor, "doctor --json"),
):
    app.command(_name, epilog=f"Example: {PROGRAM} {_example}")(_command)
app.add_typer(
    listen,
    name="listen",
    epilog=f"Example: {PROGRAM} listen prepare runs/bench --test mos --output runs/mos",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default this process's own) and give the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = words[: words.index("--")] if "--" in words else words
    debug = DEBUG in options
    words = [*(word for word in options if word != DEBUG), *words[len(options) :]]
    _tolerate_odd_names()
    with heard_as_ctrl_c() as stops:
        return _told(words, debug, stops)


def _told(words: list[str], debug: bool, stops: Stops) -> int:
    """Run a command line; whatever is raised becomes one line."""
    try:
        with _warnings_shown(debug), _threads_in_words(debug), watched(_give_up):
            code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except KeyboardInterrupt as stop:
        note(f"{stops.words()}; {stop}" if str(stop) else stops.words())
        return stops.code
    except BaseException as error:  # a stranger's part may try to end the process
        if debug:
            traceback.print_exception(error)
        note(_message(error))
        return FAILED
    return code


def _run(words: list[str]) -> int:
    command: Any = typer.main.get_command(app)
    try:
        with command.make_context(PROGRAM, words) as context:
            command.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    return 0


def _give_up(part: str, minutes: float) -> None:
    """End this process: a part hangs. What is written is whole, or not there."""
    note(
        f"error: {part} did not come back within {minutes:.4g} minutes, so all was ended; leave it "
        f"out, or give it more by the variable {VARIABLE} (0: no limit)"
    )
    os._exit(FAILED)


def _message(error: BaseException) -> str:
    """One line on what was wrong."""
    if hasattr(error, "format_message"):  # typer's own: an option that there is not, and the like
        return f"error: {_usage(error)}"
    if isinstance(error, SelfRemasterError):
        return f"error: {error}"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"error: {where}{error.strerror.lower()}"
    if isinstance(error, MemoryError):
        return "error: not enough memory; work on shorter files, or a smaller batch"
    return f"internal error: {one_line(error)}; run with {DEBUG} for the traceback"


def _usage(error: Any) -> str:
    text = error.format_message().strip().removesuffix(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else PROGRAM
    return f"{text[:1].lower()}{text[1:]}; see {path} --help"


@contextmanager
def _warnings_shown(debug: bool) -> Iterator[None]:
    """Keep the warnings of libraries from the user, unless they are asked for."""
    with warnings.catch_warnings():
        if not debug and not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


@contextmanager
def _threads_in_words(debug: bool) -> Iterator[None]:
    """One line of a thread that ends by an error; who waits for what it writes is told the same."""

    def told(what: threading.ExceptHookArgs) -> None:
        if what.exc_value is not None and not isinstance(what.exc_value, OSError):
            note(f"a thread ended: {one_line(what.exc_value)}")

    before = threading.excepthook
    if not debug:
        threading.excepthook = told
    try:
        yield
    finally:
        threading.excepthook = before


def _tolerate_odd_names() -> None:
    """File names that are not text are shown with escapes."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Nobody reads any more: keep Python from complaining when it flushes at its end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
