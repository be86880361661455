"""`selfremaster train`: an experiment in, a bundle out."""

from __future__ import annotations

import shlex
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Json, Quiet, Settings, Without
from selfremaster.commands.terminal import (
    Bar,
    Interrupted,
    hush_libraries,
    note,
    progress,
    say,
    say_json,
    say_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from selfremaster.core.experiments import Experiment
    from selfremaster.core.training import Progress, TrainingResult

LINES_OF_A_RUN = 10  # where no progress bar can be seen
BAR_SECONDS = 0.2  # between two updates of the bar


def train(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT.yaml", help="What to learn, from what, and how.")
    ],
    settings: Settings = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="RUN",
            help="Folder of the run. [default: runs/NAME]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's last checkpoint, or begin.")
    ] = False,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE",
            help="Start from the weights of a bundle: every module that it and the model have.",
            show_default=False,
        ),
    ] = None,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a model as an experiment says.

    Ctrl-C keeps what is done, and --resume goes on from there.
    """
    hush_libraries()
    from selfremaster.core.experiments import Experiment
    from selfremaster.core.files import folder_named
    from selfremaster.registry import runs

    wanted = Experiment.from_file(experiment, settings or ())
    folder = output or folder_named(Path("runs"), wanted.name)
    again = ["selfremaster", "train", str(experiment)]
    again += [word for text in settings or () for word in ("--set", text)]
    again += ["--init", init] if init else []
    again += ["--output", str(folder), "--resume"]
    note_beginning(folder, resume=resume, quiet=quiet)
    with learning("training", wanted, folder, again, quiet=quiet) as report:
        result = runs.train(
            wanted, folder, resume=resume, init=init, report=report, told=report.features
        )
    if result.rank:
        return  # the first of several processes speaks for all
    if as_json:
        say_json(_as_json(result))
    elif not quiet:
        _show(result)


def note_beginning(folder: Path, *, resume: bool, quiet: bool) -> None:
    """Say that there is nothing to go on from, where that was asked for."""
    from selfremaster.core.checkpoints import checkpoint_step

    if resume and checkpoint_step(folder) is None and not quiet:
        note(f"{folder}: no checkpoint to go on from; beginning")


@contextmanager
def learning(
    doing: str,
    experiment: Experiment,
    folder: Path,
    again: Sequence[str],
    *,
    quiet: bool,
    done: str | None = None,
) -> Iterator[RunReport]:
    """Show how a run goes and let Ctrl-C end it between two steps, with words on how to go on.

    ``again`` is the command that goes on, ``done`` what is there for it before the first checkpoint
    is; without such, nothing.
    """
    from selfremaster.core.checkpoints import checkpoint_step

    with progress(quiet, doing, experiment.train.steps) as bar:
        report = RunReport(experiment, bar, quiet=quiet)
        try:
            with stopping_between_steps(report):
                yield report
        except KeyboardInterrupt:
            saved = checkpoint_step(folder)
            there = done if saved is None else f"step {saved} is saved"
            if there is None:
                raise Interrupted("nothing was saved yet") from None
            raise Interrupted(f"{there}, go on with: {shlex.join(again)}") from None


@contextmanager
def stopping_between_steps(report: RunReport) -> Iterator[None]:
    """Let Ctrl-C wait for the end of a step, so that the checkpoint holds whole steps."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        if report.step == 0 or report.stopping:
            raise KeyboardInterrupt
        report.stopping = True
        note("stopping after this step; Ctrl-C again stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class RunReport:
    """Shows how a run goes: on a progress bar, or else by about ten lines."""

    def __init__(self, experiment: Experiment, bar: Bar, *, quiet: bool) -> None:
        self.bar = bar
        self.step = 0
        self.stopping = False
        self._lines = not bar.shown and not quiet
        self._minutes = experiment.train.minutes
        self._started = time.monotonic()
        self._shown = 0
        self._last_seconds = -1.0

    def __call__(self, told: Progress) -> None:
        """Take note of a step; raises `KeyboardInterrupt` after one in which Ctrl-C was pressed."""
        self.step = told.step
        seconds = time.monotonic() - self._started
        if self.bar.shown and (
            seconds - self._last_seconds > BAR_SECONDS or told.step == told.steps
        ):
            self._last_seconds = seconds
            self.bar.at(told.step, _losses_text(told.losses))
        if self._lines:
            self._line(told, seconds)
        if self.stopping:
            raise KeyboardInterrupt

    def features(self, done: int, files: int) -> None:
        """Take note of a file whose speech features were computed, to be kept."""
        if self.bar.shown:
            self.bar.at(0, f"speech features of file {done} of {files}")
        elif self._lines and done == files:
            note(f"speech features of {files} files computed, and kept")

    def _line(self, told: Progress, seconds: float) -> None:
        """A line, if another tenth of the run is done."""
        part = told.step / told.steps
        if self._minutes is not None:
            part = max(part, min(seconds / 60 / self._minutes, 1))
        if int(part * LINES_OF_A_RUN) > self._shown:
            self._shown = int(part * LINES_OF_A_RUN)
            losses = _losses_text(told.losses)
            note(f"step {told.step}/{told.steps}, {seconds / 60:.1f} minutes: {losses}")


def _losses(told: Mapping[str, float]) -> dict[str, float]:
    """The losses, without what only a log wants."""
    return {
        name: value
        for name, value in told.items()
        if name != "learning_rate" and not name.startswith("gradient/")
    }


def _losses_text(told: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in _losses(told).items())


def _show(result: TrainingResult) -> None:
    reasons = {"minutes": " (time is up)", "patience": " (nothing improved any more)"}
    why = reasons.get(result.stopped, "")
    say(f"bundle: {result.bundle}")
    say(f"steps: {result.steps}{why}")
    say(f"minutes: {result.seconds / 60:.2f}")
    rows = [["last step", name, f"{value:.6g}"] for name, value in _losses(result.losses).items()]
    rows += [["held out", name, f"{value:.6g}"] for name, value in result.held_out.items()]
    if rows:
        say_table(["of", "loss", "#value"], rows)


def _as_json(result: TrainingResult) -> dict[str, Any]:
    return {
        "folder": result.folder,
        "bundle": result.bundle,
        "steps": result.steps,
        "minutes": result.seconds / 60,
        "stopped": result.stopped,
        "losses": dict(result.losses),
        "held_out": dict(result.held_out),
    }
