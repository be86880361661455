"""Parts that do not come back: somebody looks after them, where no other process does."""

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfremaster.core.diaries import at_work_now

VARIABLE = "SELFREMASTER_PART_MINUTES"
MINUTES = 30.0
LOOK_SECONDS = 0.5


@contextmanager
def watched(give_up: Callable[[str, float], None]) -> Iterator[None]:
    """Call ``give_up`` with the part, and the minutes, once one has been at work for so long.

    That is called in a thread of its own: what hangs cannot be interrupted, only ended with its
    process. The variable `VARIABLE` says how many minutes, 0 for no limit.
    """
    minutes = limit_minutes()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            part, seconds = at_work_now()
            if part and seconds > 60 * minutes:
                give_up(part, minutes)
                return

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()


def limit_minutes() -> float:
    """How long a part may be at work at once; what is no such number stands for the usual."""
    try:
        minutes = float(os.environ.get(VARIABLE, ""))
    except ValueError:
        return MINUTES
    return minutes if minutes > 0 else math.inf if minutes == 0 else MINUTES
