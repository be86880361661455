"""What others print is kept apart from results: it goes to stderr."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


class _Turned:
    """Where stdout was before it was turned aside, by how many at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.stream: TextIO | None = None
        self.number = -1
        self.copy = -1

    def aside(self) -> None:
        self.stream = sys.stdout
        with suppress(OSError, ValueError, AttributeError):  # no file: a notebook, or a test
            self.stream.flush()
            beside, self.number = _stderr_number(), self.stream.fileno()
            self.copy = os.dup(self.number)
            os.dup2(beside, self.number)
        sys.stdout = sys.stderr

    def back(self) -> None:
        if self.copy >= 0:
            with suppress(OSError, ValueError):
                sys.stderr.flush()
            os.dup2(self.copy, self.number)
            os.close(self.copy)
            self.copy = -1
        if self.stream is not None:
            sys.stdout = self.stream


def _stderr_number() -> int:
    """The system's number of stderr, also while Python's own is gathered in memory."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):
        if sys.__stderr__ is None:
            raise
        return sys.__stderr__.fileno()


_turned = _Turned()


@contextmanager
def prints_beside() -> Iterator[None]:
    """Let everything that is printed in the block, by Python or a library, go to stderr.

    >>> with prints_beside():
    ...     print("a part at work")
    """
    with _turned.lock:
        if not _turned.depth:
            _turned.aside()
        _turned.depth += 1
    try:
        yield
    finally:
        with _turned.lock:
            _turned.depth -= 1
            if not _turned.depth:
                _turned.back()
