"""`selfremaster benchmark`: a grid in; numbers, sounds and a report out."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from selfremaster.commands.benchmark_texts import End, as_plain, finish, show, show_plan
from selfremaster.commands.options import Json, Overwrite, Quiet, Settings, Without
from selfremaster.commands.terminal import (
    Bar,
    Interrupted,
    hush_libraries,
    note,
    progress,
    say_json,
)

LINE_SECONDS = 10  # between two lines on a long training run, where no bar can be seen
SUITES = "selfremaster.benchmarks"


def benchmark(
    grid: Annotated[
        Path,
        typer.Argument(
            metavar="GRID.yaml",
            help="What is compared, on what; or a suite by name, such as smoke.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FOLDER",
            help="Folder of the results. [default: runs/benchmark-NAME]",
            show_default=False,
        ),
    ] = None,
    settings: Settings = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep what is done; of metrics that are added, those alone are measured.",
        ),
    ] = False,
    engine: Annotated[
        str,
        typer.Option("--engine", help="local, or ray: its machines must see the same files."),
    ] = "local",
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, help="How many cells to run at once.")
    ] = 1,
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", min=1, help="Threads of each cell.")
    ] = 1,
    cell_minutes: Annotated[
        float | None,
        typer.Option(
            "--cell-minutes",
            metavar="N",
            min=0,
            help="End a cell (not a training run) that takes longer, as a failure; 0: no limit. "
            "[default: 240, or 30 times as long as its sound]",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            "--dry-run",
            help="Say what would be run, trained and fail, and what is missing; run nothing.",
        ),
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="At the end, delete what earlier grids left in the folder: cells, sounds, "
            "training runs.",
        ),
    ] = False,
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare restorers, and write a report.

    Speech is damaged, restored and measured as the grid says, and examples are kept to be heard.
    Exit code 1 where some files failed, or with --check would fail; the report names them.
    Ctrl-C keeps what is done.
    """
    began = time.monotonic()
    hush_libraries()
    from selfremaster.benchmarks import outputs
    from selfremaster.benchmarks.benchmarking import Benchmark
    from selfremaster.benchmarks.grids import Grid
    from selfremaster.benchmarks.planning import plan
    from selfremaster.core.clusters import check_engine
    from selfremaster.core.errors import SelfRemasterError
    from selfremaster.registry import hub

    chosen = check_engine(engine)
    if check and sweep:
        raise SelfRemasterError("--check runs nothing, and --sweep deletes; give one of them")
    place = _find(grid)
    folder = output or Path("runs") / f"benchmark-{place.stem}"
    with hub.downloads(allowed=not check):
        found = plan(Grid.from_file(place, settings or ()), folder, threads)
    if check:
        from selfremaster.benchmarks.checking import findings

        show_plan(found, findings(found), as_json=as_json)
        return
    again = _command(
        grid, folder, settings or (), engine, jobs, threads, cell_minutes, without or ()
    )
    with (
        outputs.opened(folder, resume=resume, overwrite=overwrite),
        progress(quiet, "benchmark", len(found.cells)) as bar,
    ):
        work = Benchmark(
            found,
            engine=chosen,
            jobs=jobs,
            cell_minutes=cell_minutes,
            command=shlex.join(again),
            told=_Display(bar, quiet=quiet),
        )
        try:
            summary = work.run()
        except KeyboardInterrupt:
            raise Interrupted(
                f"{work.done} of {len(found.cells)} cells are done, go on with: "
                f"{shlex.join([*again, '--resume'])}"
            ) from None
        left = outputs.leftovers(found)
        if sweep:
            left.delete()
    ended = End(time.monotonic() - began, left, swept=sweep)
    if as_json:
        say_json(as_plain(work, summary, ended))
    elif not quiet:
        show(work, summary, ended)
    finish(summary)


def _find(grid: Path) -> Path:
    """The file itself, or the suite of that name that comes with the package."""
    if grid.exists():
        return grid
    from importlib.resources import files

    from selfremaster.core.components import hint
    from selfremaster.core.errors import ExperimentError

    shipped = {path.stem: path for path in Path(str(files(SUITES)), "suites").glob("*.yaml")}
    name = grid.name.removesuffix(".yaml")
    if name in shipped and grid.parent in (Path(), Path("benchmarks/suites")):
        return shipped[name]
    raise ExperimentError(
        f"{grid}: no such file; give a grid in YAML, or a suite by name{hint(name, shipped)}"
    )


def _command(
    grid: Path,
    folder: Path,
    settings: list[str] | tuple[str, ...],
    engine: str,
    jobs: int,
    threads: int,
    cell_minutes: float | None,
    without: list[str] | tuple[str, ...],
) -> list[str]:
    """The words of this command, without those that say what to do with earlier results."""
    words = ["selfremaster", "benchmark", str(grid)]
    words += [word for text in settings for word in ("--set", text)]
    words += ["--output", str(folder)]
    words += ["--engine", engine] if engine != "local" else []
    words += ["--jobs", str(jobs)] if jobs != 1 else []
    words += ["--threads", str(threads)] if threads != 1 else []
    words += ["--cell-minutes", f"{cell_minutes:g}"] if cell_minutes is not None else []
    return words + [word for name in without for word in ("--without", name)]


class _Display:
    """Shows how a benchmark goes: on a bar, or else by lines."""

    def __init__(self, bar: Bar, *, quiet: bool) -> None:
        self._bar = bar
        self._lines = not bar.shown and not quiet
        self._done = 0
        self._told = time.monotonic()

    def __call__(self, done: int, total: int, detail: str) -> None:
        """Take note of a cell that is done, or of a step of a training run."""
        self._bar.at(done, detail)
        late = time.monotonic() - self._told > LINE_SECONDS
        if self._lines and (done > self._done or late):
            note(f"{done} of {total} cells: {detail}")
            self._told = time.monotonic()
        self._done = done
