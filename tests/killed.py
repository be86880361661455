"""Commands that are killed at moments of their own, gone on with, and at last done; a program.

``python -m tests.killed FOLDER SEED KILLS COMMAND=GIVEN ...`` runs each command uninterrupted, and
again, killed so many times at moments drawn at random and gone on with as often as it takes. Every
result is in FOLDER/COMMAND/run while it is made, since some name their own place, and then in
``whole``, ``0`` and so on beside it. It prints how many moments the uninterrupted run had. A moment
is a change of name of a file, or the opening of one, below the result: those are what can be told
apart afterwards; and the end of a step, of what learns. What other processes do is no moment.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch.utils.tensorboard  # what takes time is imported once, before processes fork

from selfremaster.benchmarks.reporting import adaptations, reports
from selfremaster.cli import main
from selfremaster.commands.train import RunReport
from selfremaster.core.training import Progress
from selfremaster.registry import adapting, runs
from tests.adaptations import make_quick
from tests.cli import ROOT
from tests.odd_parts import quick_benchmarks

WHOLE = "whole"
SLOW_TO_IMPORT = (torch.utils.tensorboard, adaptations, reports, adapting, runs)


class Kind(NamedTuple):
    """The words of a command, and what is changed for it."""

    words: Callable[[str], list[str]]
    within: Callable[[], AbstractContextManager[None]] = nullcontext


@contextmanager
def quick_adaptations() -> Iterator[None]:
    """Small numbers, and no network that judges."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        yield


KINDS: Mapping[str, Kind] = {
    "restore": Kind(lambda given: [given, "--model", f"{given}/tiny.safetensors", "--provenance"]),
    "restore-jobs": Kind(
        lambda given: [given, "--model", f"{given}/tiny.safetensors", "--jobs", "2"]
    ),
    "benchmark": Kind(lambda given: [given], quick_benchmarks),
    "train": Kind(lambda given: [given]),
    "adapt": Kind(
        lambda given: [
            *(given, "--model", f"{given}/model.safetensors"),
            *("--steps", "4", "--device", "cpu", "--by-losses"),
        ],
        quick_adaptations,
    ),
}


class Moments:
    """Counts moments, and ends the process at one of them."""

    def __init__(self, below: str, last: int) -> None:
        self.below, self.last, self.count = below, last, 0
        sys.addaudithook(self._hear)
        stepping = RunReport.__call__

        def stepped(report: RunReport, told: Progress) -> None:
            self._pass()
            stepping(report, told)

        setattr(RunReport, "__call__", stepped)  # noqa: B010  # this process ends soon

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.rename") and self.below in str(arguments[0]):
            self._pass()

    def _pass(self) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def ended(name: str, given: str, folder: Path, last: int) -> int | None:
    """Begin or go on in a process of its own; gives the moments, or none if it was killed."""
    told = folder / "moments"
    told.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        moments = Moments(str(folder / "run"), last)
        output = ["--output", str(folder / "run"), "--resume", "--quiet"]
        code = main([name.partition("-")[0], *KINDS[name].words(given), *output])
        moments.below = "\0"
        told.write_text(str(moments.count))
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"{folder}: ended with {code}")
    return int(told.read_text()) if code == 0 else None


def go_through(name: str, given: str, folder: Path, seed: int, kills: int) -> None:
    """Run without interruption, and again until so many kills have happened."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)
    total = ended(name, given, folder, 0)
    (folder / "run").rename(folder / WHOLE)
    left, number = kills, 0
    while left:
        if ended(name, given, folder, chance.randint(1, total or 1)) is None:
            left -= 1
            continue
        (folder / "run").rename(folder / str(number))
        number += 1
    if (folder / "run").exists():
        ended(name, given, folder, 0)
        (folder / "run").rename(folder / str(number))
    (folder / "moments").unlink(missing_ok=True)
    print(total, flush=True)


def killed(folder: Path, seed: int, kills: int, **given: Path) -> list[int]:
    """Let the program do it, by what commands are given; their moments, uninterrupted."""
    words = ["-m", "tests.killed", str(folder), str(seed), str(kills)]
    words += [f"{name.replace('_', '-')}={path}" for name, path in given.items()]
    places = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # plugins, too
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    place, seed, kills, *wanted = sys.argv[1:]
    for word in wanted:
        command, _, what = word.partition("=")
        with KINDS[command].within():
            go_through(command, what, Path(place, command), int(seed), int(kills))
