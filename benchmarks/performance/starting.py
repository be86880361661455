"""How long it takes until anything happens."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from selfremaster.benchmarks.performance.comparing import (
    Comparison,
    Options,
    Section,
    Timed,
    in_turns,
    table,
)

EAGER = "import torch, lightning, scipy.signal, soundfile"
COMMANDS = {
    "import selfremaster": ("-c", "import selfremaster"),
    "selfremaster --version": ("-m", "selfremaster", "--version"),
    "selfremaster --help": ("-m", "selfremaster", "--help"),
    "selfremaster list": ("-m", "selfremaster", "list"),
    "selfremaster show degradation clip": ("-m", "selfremaster", "show", "degradation", "clip"),
}


def measure(options: Options) -> Section:
    """The table of commands."""
    about = (
        "Milliseconds from the start of Python to its end. The reference is a program that imports "
        f"what it may need at its top, as the published ones do (`{EAGER}`), and does nothing."
    )
    return Section("Start-up", about, table(times(options), "ms", 1000))


def times(options: Options) -> list[Timed]:
    """Seconds of each command, beside those of the eager program."""
    eager = partial(_run, ("-c", EAGER))
    return in_turns(
        [Comparison(name, partial(_run, words), eager) for name, words in COMMANDS.items()],
        options,
    )


def _run(words: Sequence[str]) -> None:
    places = [place for place in sys.path if place]
    subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        check=True,
        capture_output=True,
    )
