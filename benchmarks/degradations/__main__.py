"""How fast degradations are, what memory they take, and how other packages compare: a report.

``python -m selfremaster.benchmarks.degradations --output FILE`` measures every registered
degradation on one core, and the work that other packages do too beside them, those that are
installed. ``--parts clip noise`` measures those two.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from selfremaster.benchmarks.degradations import peers as peers
from selfremaster.benchmarks.degradations.costs import (
    BATCH,
    DRAWS,
    MEMORY_TARGET,
    RATES_HZ,
    SPREAD,
    Measured,
    Settings,
    choice_speeds,
    choice_table,
    measure,
    memory_table,
    table,
    target_of,
)
from selfremaster.benchmarks.degradations.works import WORKS
from selfremaster.benchmarks.machines import processor
from selfremaster.core.errors import SelfRemasterError
from selfremaster.registry.building import current, list_components


def report(settings: Settings, command: str) -> str:
    """Measure everything; gives the report as Markdown. What is at work is told on stderr."""
    names = settings.parts or tuple(info.name for info in list_components("degradation"))
    for name in names:
        current().table.find("degradation", name)  # what is wrong is told before the work
    notes = [] if settings.notes is None else [settings.notes.read_text(encoding="utf-8").strip()]
    found = []
    for name in names:
        print(name, file=sys.stderr)
        found.append(measure(name, settings))
    choices: dict[str, list[float] | str] = {}
    for one in found:
        print(f"choices of {one.name}", file=sys.stderr)
        choices |= {} if one.failure else choice_speeds(one.name, settings)
    failures = {one.name: one.failure for one in found if one.failure}
    failures |= {spec: why for spec, why in choices.items() if isinstance(why, str)}
    compared: list[peers.Comparison] = []
    for work in WORKS:
        if work.part in names:
            print(work.name, file=sys.stderr)
            lengths = (settings.seconds, settings.repeats, settings.least_seconds)
            compared += peers.compare_apart(work.name, RATES_HZ, *lengths)
    sections = [
        "# Speed and memory of degradations",
        _how(settings),
        "## Speed",
        _about_speed(found, choices),
        table(found),
        "Settings that are chosen from a list, one wave with each choice that is not the default:",
        choice_table(choices),
        *_failures(failures),
        "## Against other packages",
        peers.describe(compared),
        "## Memory",
        _about_memory(settings),
        memory_table(found),
        *notes,
        "## To measure it again",
        f"```sh\n{command}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def _how(settings: Settings) -> str:
    return (
        f"One core of: {processor()}. torch {torch.__version__}, one thread. "
        f"{settings.seconds:g} s of something like speech, float32; medians of {settings.repeats} "
        "runs or more, warm."
    )


def _about_speed(found: Sequence[Measured], choices: Mapping[str, Sequence[float] | str]) -> str:
    missed = [one.name for one in found if one.misses]
    for spec, speeds in choices.items():
        if not isinstance(speeds, str) and min(speeds) < target_of(spec):
            missed.append(f"`{spec}`")
    told = f"Targets missed by: {', '.join(missed)}." if missed else "No target is missed."
    return (
        f"Seconds of sound for each second of work, drawing included; higher is better. One wave "
        f"with the default settings, and {BATCH} waves with values of their own, drawn within "
        f"{SPREAD:.0%} of the defaults; the mean over {DRAWS} draws. {told}"
    )


def _about_memory(settings: Settings) -> str:
    return (
        f"The most memory above the input while {settings.memory_seconds / 60:g} minutes at "
        f"{RATES_HZ[0]:,} Hz are damaged, in parts of the input, in a fresh process of each; the "
        f"result counts, and is 1 of them. The worst of {DRAWS} draws; target: "
        f"{MEMORY_TARGET:g} at most."
    )


def _failures(failures: Mapping[str, str]) -> list[str]:
    lines = [f"- `{spec}`: {failure}" for spec, failure in failures.items()]
    return ["Not measured:\n\n" + "\n".join(lines)] if lines else []


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.degradations",
        description="Time degradations on one core, beside other packages; a Markdown report.",
    )
    add = made.add_argument
    defaults = Settings()
    add("--parts", nargs="+", default=(), metavar="NAME", help="degradations; by default all")
    add("--seconds", type=float, default=defaults.seconds, help="length of the sound")
    add(
        "--memory-seconds",
        type=float,
        default=defaults.memory_seconds,
        help="length of the sound that the memory is measured with",
    )
    add("--repeats", type=int, default=defaults.repeats, help="how often each is timed at least")
    add("--least-seconds", type=float, default=defaults.least_seconds, help="and how long")
    add("--notes", type=Path, help="Markdown to put at the end: the long run, what limits this")
    add("--output", type=Path, help="write the report there; by default it is printed")
    return made


def _command(words: Sequence[str]) -> str:
    told = [Path(word).name if Path(word).is_absolute() else word for word in words]
    return shlex.join(["python", "-m", "selfremaster.benchmarks.degradations", *told])


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    words = sys.argv[1:] if words is None else words
    given = vars(parser().parse_args(words))
    output = given.pop("output")
    try:
        settings = Settings(**{**given, "parts": tuple(given["parts"])})
        text = report(settings, _command(words))
        if output is None:
            print(text)
        else:
            output.write_text(text, encoding="utf-8")
    except (SelfRemasterError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
