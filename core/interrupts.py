"""Ctrl-C where several processes are at work: it is heard once, and by who can tidy up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def told_by_ctrl_c() -> Iterator[list[int]]:
    """Keep Ctrl-C in a list, for who looks at it now and then; the second one ends all at once."""
    interrupts: list[int] = []

    def hear(number: int, frame: Any) -> None:
        if interrupts:
            signal.default_int_handler(number, frame)
        interrupts.append(number)

    if not _raises_on_ctrl_c():
        yield interrupts
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; processes that begin meanwhile go on ignoring it."""
    if not _raises_on_ctrl_c():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def hearing_ctrl_c() -> Iterator[None]:
    """In another process: be interrupted at work, once, and not between two items."""

    def hear(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what tidies up is not interrupted
        signal.default_int_handler(number, frame)

    try:
        signal.signal(signal.SIGINT, hear)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _raises_on_ctrl_c() -> bool:
    """Whether it is this thread's to be interrupted, and nobody else has taken it over."""
    mine = threading.current_thread() is threading.main_thread()
    return mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler
