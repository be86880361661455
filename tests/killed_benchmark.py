"""A benchmark that is killed at moments of its own, gone on with, and at last done; a program.

``python -m tests.killed_benchmark GRID FOLDER SEED KILLS`` runs the grid uninterrupted into
FOLDER/whole, and again into FOLDER/0 and so on, killed so many times at moments drawn at random,
and gone on with as often as it takes. It prints how many moments the uninterrupted run had. A
moment is a change of name of a file, or the opening of one, below the output: those are what can
be told apart afterwards.
"""

import os
import random
import signal
import sys
from typing import Any

from selfremaster.cli import main
from tests.odd_parts import quick_benchmarks


class Moments:
    """Counts moments, and ends the process at one of them."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0
        self.below = ""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.below and event in ("open", "os.rename") and self.below in str(arguments[0]):
            self.count += 1
            if self.count == self.last:
                os.kill(os.getpid(), signal.SIGKILL)

    def run(self, grid: str, output: str, last: int = 0) -> int:
        """Run or resume; gives the exit code."""
        self.below, self.last, self.count = output, last, 0
        return main(["benchmark", grid, "--output", output, "--resume", "--quiet"])


def killed(moments: Moments, grid: str, output: str, last: int) -> bool:
    """Run or resume in a process of its own; gives whether it was killed before it was done."""
    child = os.fork()
    if not child:
        os._exit(moments.run(grid, output, last))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"{output}: ended with {code}")
    return code != 0


def go_through(moments: Moments, given: str, folder: str, seed: str, kills: str) -> None:
    """Run without interruption, and again until so many kills have happened."""
    chance = random.Random(int(seed))
    if moments.run(given, f"{folder}/whole"):
        raise SystemExit("the uninterrupted run failed")
    total, left, number = moments.count, int(kills), 0
    while left:
        if killed(moments, given, f"{folder}/{number}", chance.randint(1, total)):
            left -= 1
        else:
            number += 1
    killed(moments, given, f"{folder}/{number}", 0)
    print(total)


if __name__ == "__main__":
    with quick_benchmarks():
        go_through(Moments(), *sys.argv[1:])
