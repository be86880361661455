"""What an archive of any size takes: figures measured here, and fleets of machines simulated.

``python -m selfremaster.benchmarks.scale --output docs/scale.md`` measures for some minutes and
writes the plan; ``--set archive.hours=2e4 --set fleet.machines=8`` plans another archive, and
``--figures`` takes what was measured elsewhere.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from selfremaster.benchmarks.fleets import Archive, Figures, Fleet, Outcome, most_workers, simulate
from selfremaster.benchmarks.machines import processor
from selfremaster.benchmarks.performance.archives import BUILTIN, Taken, restored, write_speech
from selfremaster.benchmarks.reporting.pages import TEMPLATES
from selfremaster.benchmarks.tables import markdown
from selfremaster.core import audio
from selfremaster.core.errors import AudioError, ExperimentError, SelfRemasterError
from selfremaster.core.files import write_atomically
from selfremaster.core.ledgers import Ledger, Work
from selfremaster.core.levels import resample
from selfremaster.core.restoring import Restored

SHORT_SECONDS, LONG_SECONDS = 10.0, 300.0
FILES = 21
RECORDS = 200
CHECKED = (2, 8, 30.0)  # workers, files, and seconds of each
GIB = 2**30
TERA, MEGA = 1e12, 1e6


PAGE = TEMPLATES / "scale.md"


class Plan(NamedTuple):
    """An archive, and who restores it."""

    archive: Archive = Archive()
    fleet: Fleet = Fleet()


class Measured(NamedTuple):
    """Figures, where they are from, and how well they foretell a batch."""

    figures: Figures
    machine: str
    foretold_seconds: float
    taken_seconds: float


def measure(rate_hz: int) -> Measured:
    """Restore by the command: one short file, several, a long one; then a batch to compare with."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = _taken(folder / "one", 1, SHORT_SECONDS, rate_hz)
        many = _taken(folder / "many", FILES, SHORT_SECONDS, rate_hz)
        long = _taken(folder / "long", 1, LONG_SECONDS, rate_hz)
        sound = (long.seconds - one.seconds) / (LONG_SECONDS - SHORT_SECONDS)
        each = max(0.0, (many.seconds - one.seconds) / (FILES - 1) - SHORT_SECONDS * sound)
        load = max(0.0, one.seconds - each - SHORT_SECONDS * sound)
        held = float(long.peak_bytes or 0)
        figures = Figures(load, each, sound, held, _record_seconds(folder))
        workers, files, seconds = CHECKED
        taken = _taken(folder / "checked", files, seconds, rate_hz, workers)
    hours = files * seconds / 3600
    archive = Archive(hours=hours, mean_minutes=seconds / 60, spread=0.0, unreadable_share=0.0)
    here = Fleet(
        machines=1, workers=workers, losses_per_hour=0.0, request_seconds=0.0, request_failures=0.0
    )
    foretold = simulate(archive, here, figures).seconds
    slowdown = max(1.0, taken.seconds / foretold)
    return Measured(figures._replace(slowdown=slowdown), processor(), foretold, taken.seconds)


def _taken(folder: Path, files: int, seconds: float, rate_hz: int, workers: int = 1) -> Taken:
    first = write_speech(folder / "0.wav", seconds)
    wave, own_rate = audio.read(first)
    audio.write(first, resample(wave, own_rate, rate_hz), rate_hz, subtype="PCM_24")
    for number in range(1, files):
        os.link(first, folder / f"{number}.wav")
    target = folder.with_name(f"{folder.name}-restored")
    return restored(folder, target, "--model", BUILTIN, "--jobs", str(workers))


def _record_seconds(folder: Path) -> float:
    """How long it takes to write down that a file is done."""
    source = write_speech(folder / "source.wav", 1.0)
    target = write_speech(folder / "results" / "0.wav", 1.0)
    ledger = Ledger(target.parent, Work({"name": "", "sha256": ""}, {}, {"selfremaster": ""}))
    result = Restored(source, target, 1.0, 0.0)
    started = time.perf_counter()
    for _ in ledger.following([result] * RECORDS):
        pass
    return (time.perf_counter() - started) / RECORDS


def variations(base: Plan) -> dict[str, Plan]:
    """The plan, and what changes it, one thing at a time."""
    archive, fleet = base

    def hired(**changes: Any) -> Plan:
        return Plan(archive, fleet.model_copy(update=changes))

    return {
        "the plan": base,
        "a tenth of the machines": hired(machines=max(1, fleet.machines // 10)),
        "five times the machines": hired(machines=5 * fleet.machines),
        "machines that are taken back once in two hours": hired(losses_per_hour=0.5),
        "the same, and a file is done again ten times": hired(losses_per_hour=0.5, retries=10),
        "a store that gives and takes 1 GB/s": hired(store_bytes_per_second=1e9),
        "one request in a hundred fails": hired(request_failures=0.01),
        "files of three minutes": Plan(archive.model_copy(update={"mean_minutes": 3.0}), fleet),
        "the same, and twenty drivers": Plan(
            archive.model_copy(update={"mean_minutes": 3.0}),
            fleet.model_copy(update={"drivers": 20}),
        ),
        "stereo at 96 kHz": Plan(
            archive.model_copy(update={"channels": 2, "sample_rate": 96000}), fleet
        ),
    }


def document(measured: Measured, base: Plan, words: Sequence[str]) -> str:
    """The page, in Markdown."""
    archive, fleet = base
    most = most_workers(fleet.workers, fleet.machine_gib * GIB, measured.figures)
    if fleet.workers > most:
        raise ExperimentError(
            f"fleet.workers={fleet.workers}: a machine with {fleet.machine_gib:g} GiB has room for "
            f"{most}, {measured.figures.memory_bytes / GIB:.2f} GiB each; give fewer, or more "
            "fleet.machine_gib"
        )
    plans = variations(base)
    rows = [_row(name, simulate(*plan, measured.figures)) for name, plan in plans.items()]
    heading = ["", "days", "machine hours", "price", "read, TB", "written, TB", "requests, M"]
    heading += ["work lost, %", "unreadable", "given up"]
    command = shlex.join(["python", "-m", "selfremaster.benchmarks.scale", *words])
    return PAGE.read_text("utf-8").format(
        hours=f"{archive.hours:,.0f}",
        command=command,
        machine=measured.machine,
        figures=_figures(measured.figures),
        workers=CHECKED[0],
        files=CHECKED[1],
        seconds=f"{CHECKED[2]:g}",
        foretold=f"{measured.foretold_seconds:.1f}",
        taken=f"{measured.taken_seconds:.1f}",
        assumptions=_assumptions(base),
        table=markdown(heading, rows),
        most=most,
        cores=fleet.workers,
        memory=f"{fleet.machine_gib:g}",
        slowdown=f"{measured.figures.slowdown:.2f}",
    )


def _row(name: str, outcome: Outcome) -> list[str]:
    return [
        name,
        f"{outcome.days:.2f}",
        f"{outcome.machine_seconds / 3600:,.0f}",
        f"{outcome.price:,.0f}",
        f"{outcome.bytes_read / TERA:,.1f}",
        f"{outcome.bytes_written / TERA:,.1f}",
        f"{outcome.requests / MEGA:.2f}",
        f"{100 * outcome.lost_share:.2f}",
        f"{outcome.unreadable:,}",
        f"{outcome.given_up:,}",
    ]


def _figures(figures: Figures) -> str:
    each = f"{figures.file_seconds:.3f}" if figures.file_seconds else "too little to be measured"
    rows = [
        ["from the start of a worker to its first file, s", f"{figures.load_seconds:.2f}"],
        ["of each file, whatever its length, s", each],
        ["of each second of a channel, s", f"{figures.sound_seconds:.4f}"],
        ["memory of a worker, GiB", f"{figures.memory_bytes / GIB:.2f}"],
        ["of the driver for the record of a file here, s", f"{figures.record_seconds:.4f}"],
        ["how much longer workers take beside each other", f"{figures.slowdown:.2f}"],
    ]
    return markdown(["figure", ""], rows)


def _assumptions(base: Plan) -> str:
    rows = [
        [f"{group}.{name}", f"{getattr(part, name):g}", told.description or ""]
        for group, part in base._asdict().items()
        for name, told in type(part).model_fields.items()
    ]
    return markdown(["setting", "value", "what it is"], rows)


def changed(base: Plan, settings: Sequence[str]) -> Plan:
    """The plan with settings such as ``fleet.machines=8``.

    Raises `ExperimentError` for a setting that it does not have, and for what it cannot be.
    """
    for setting in settings:
        name, _, text = setting.partition("=")
        group, _, field = name.partition(".")
        part = base._asdict().get(group)
        if part is None or field not in type(part).model_fields:
            known = ", ".join(
                f"{key}.{one}" for key, own in base._asdict().items() for one in own.model_dump()
            )
            raise ExperimentError(f"--set {setting}: no such setting; known: {known}")
        try:
            new = type(part).model_validate(part.model_dump() | {field: text})
        except ValidationError as error:
            raise ExperimentError(f"--set {setting}: {error.errors()[0]['msg']}") from None
        base = base._replace(**{group: new})
    return base


def read_figures(path: Path) -> Measured:
    """What was measured elsewhere; raises `AudioError` for a file that does not hold it."""
    try:
        told = json.loads(path.read_text("utf-8"))
        figures = Figures(**{name: float(told["figures"][name]) for name in Figures._fields})
        return Measured(
            figures,
            str(told["machine"]),
            float(told["foretold_seconds"]),
            float(told["taken_seconds"]),
        )
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}; check the path") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AudioError(
            f"{path}: holds no figures; write them by --keep-figures, without --figures"
        ) from None


def _kept(measured: Measured) -> Mapping[str, Any]:
    return measured._asdict() | {"figures": measured.figures._asdict()}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.scale",
        description="Plan the restoration of an archive of any size.",
    )
    add = made.add_argument
    add("--output", required=True, type=Path, help="the plan (.md)")
    add("--figures", type=Path, metavar="FILE", help="take figures that were measured before")
    add("--keep-figures", type=Path, metavar="FILE", help="write what is measured there (.json)")
    add("--set", action="append", default=[], metavar="A.B=NUMBER", help="change the plan")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    given = parser().parse_args(words)
    try:
        plan = changed(Plan(), given.set)
        measured = (
            read_figures(given.figures) if given.figures else measure(plan.archive.sample_rate)
        )
        if given.keep_figures:
            with write_atomically(given.keep_figures) as temporary:
                temporary.write_text(json.dumps(_kept(measured), indent=2) + "\n", "utf-8")
        page = document(measured, plan, sys.argv[1:] if words is None else words)
        with write_atomically(given.output) as temporary:
            temporary.write_text(page, "utf-8")
    except SelfRemasterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
