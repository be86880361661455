"""Measure the toolkit beside the published path, and write a report in Markdown.

``python -m selfremaster.benchmarks.performance --output REPORT.md`` takes about a quarter of an
hour; ``--only losses`` one of its tables, ``--quick`` says no more than that everything works.
"""

import argparse
import platform
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from selfremaster.benchmarks.machines import processor
from selfremaster.benchmarks.performance import (
    archives,
    features,
    losses,
    restoring,
    rounding,
    runtimes,
    sizes,
    starting,
    training,
    vocoders,
)
from selfremaster.benchmarks.performance.comparing import LongFile, Options, Section
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.files import write_atomically

SECTIONS: Mapping[str, Callable[[Options], Section]] = {
    "sizes": sizes.measure,
    "rounding": rounding.measure,
    "archives": archives.measure,
    "runtimes": runtimes.measure,
    "restoring": restoring.measure,
    "training": training.measure,
    "vocoders": vocoders.measure,
    "features": features.measure,
    "losses": losses.measure,
    "starting": starting.measure,
}
QUICK = Options(
    lengths=(1.0,),
    restored=0.5,
    files=(LongFile(0.05), LongFile(0.05, 48000, 2)),
    batch=(2, 1.0),
    seconds=0.2,
    repeats=1,
    least_seconds=0.0,
)


def report(sections: Sequence[Section], words: Sequence[str]) -> str:
    """The whole report."""
    command = shlex.join(["python", "-m", "selfremaster.benchmarks.performance", *words])
    about = (
        "Each work beside a straightforward reference, in the same run and in turns, on one core "
        f"of {processor()} (Python {platform.python_version()}, torch "
        f"{torch.__version__}). Median of several; weights are drawn, as speed does not hang on "
        "them. Other machines have other numbers; the ratios tell more."
    )
    parts = ["# Performance", about]
    for section in sections:
        parts += [f"## {section.title}", section.about, section.table]
    return "\n\n".join([*parts, f"```sh\n{command}\n```"]) + "\n"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.performance",
        description="Time the toolkit beside the published path, and write a report.",
    )
    add = made.add_argument
    usual = Options()
    add("--output", required=True, type=Path, help="the report (.md)")
    add("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    add("--lengths", nargs="+", type=float, help="of recordings to restore, seconds")
    add("--minutes", nargs="+", type=float, help="of files (mono) that the command restores")
    add("--batch", nargs=2, type=float, metavar=("FILES", "SECONDS"), help="restored at once")
    add("--seconds", type=float, help="of sound that vocoders speak")
    add("--repeats", type=int, help="how often each is timed, at least")
    add("--speech", type=Path, default=usual.speech, help="file or folder to take features of")
    add("--vocoders", nargs="+", default=[], help="as NAME:key=value; by default all")
    add("--features", default=usual.features, help="that vocoders speak from; by default their own")
    add("--quick", action="store_true", help="as little as possible, to see that it works")
    return made


def options_of(given: argparse.Namespace) -> Options:
    """What the command line asks for."""
    usual = QUICK if given.quick else Options()
    return Options(
        lengths=tuple(given.lengths or usual.lengths),
        restored=usual.restored,
        files=tuple(map(LongFile, given.minutes)) if given.minutes else usual.files,
        batch=(round(given.batch[0]), given.batch[1]) if given.batch else usual.batch,
        seconds=given.seconds or usual.seconds,
        repeats=given.repeats or usual.repeats,
        least_seconds=usual.least_seconds,
        speech=given.speech,
        vocoders=tuple(given.vocoders),
        features=given.features,
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    said = list(sys.argv[1:] if words is None else words)
    given = parser().parse_args(said)
    options = options_of(given)
    sections = []
    try:
        for name in SECTIONS:
            if name in given.only:
                print(f"measuring: {name}", file=sys.stderr)
                sections.append(SECTIONS[name](options))
        with write_atomically(given.output) as temporary:
            temporary.write_text(report(sections, said), encoding="utf-8")
    except (SelfRemasterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
