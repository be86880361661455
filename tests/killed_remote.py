"""Batches into a bucket that are killed at moments of their own and gone on with; a program.

``python -m tests.killed_remote RECORDINGS SEED KILLS`` restores s3://archive/tapes into
s3://other/whole without interruption, and again into s3://other/0 and so on, killed so many times
before or after a request to the store that is drawn at random. It prints how many there were.
"""

import os
import random
import signal
import sys
from typing import Any

import aiohttp  # noqa: F401  # as what follows, before all the processes that need it
import botocore.exceptions  # noqa: F401  # loaded before the clock of the kill begins
import s3fs  # noqa: F401  # loaded before the clock of the kill begins

from selfremaster.cli import main
from selfremaster.core import remote_ledgers, remote_plans, restoring  # noqa: F401  # loaded before the clock of the kill begins
from selfremaster.core.s3_stores import S3Store
from selfremaster.registry import assembling, loading  # noqa: F401  # loaded before the clock of the kill begins

ask = S3Store._call


def run(folder: str, output: str, chance: random.Random | None = None) -> int:
    """Restore or go on in a process of its own; gives its exit code."""
    last = chance.randint(1, 2 * REQUESTS) if chance else 0
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    moments = 0

    def moment() -> None:
        nonlocal moments
        moments += 1
        if moments == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def call(store: S3Store, method: str, *given: Any, **words: Any) -> Any:
        moment()
        told = ask(store, method, *given, **words)
        moment()
        return told

    S3Store._call = call  # type: ignore[method-assign]  # a test may
    words = ["restore", "s3://archive/tapes", "--output", f"s3://other/{output}", "--resume"]
    model = ["--model", f"{folder}/tiny.safetensors"]
    os._exit(main([*words, *model, "--quiet", "--provenance"]))


REQUESTS = 16  # lists, what is begun, and of each file what is read, two results and a record


def go_through(folder: str, seed: str, kills: str) -> None:
    """Run without interruption, and again until so many kills have happened."""
    chance = random.Random(int(seed))
    if run(folder, "whole"):
        raise SystemExit("the uninterrupted run failed")
    count, number = 0, 0
    while count < int(kills):
        code = run(folder, str(number), chance)
        count += code == -signal.SIGKILL
        number += code == 0
        if code not in (0, -signal.SIGKILL):
            raise SystemExit(f"{number}: ended with {code}")
    if run(folder, str(number)):
        raise SystemExit("could not be gone on with")
    print(count)


if __name__ == "__main__":
    go_through(*sys.argv[1:])
