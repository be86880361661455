"""What a process is at, told to who watches it, so that it can be named when it hangs or dies."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

NUMBER_BYTES = 24
NAME_BYTES = 400


class Told(NamedTuple):
    """What a process told last."""

    pid: int = 0
    sound_seconds: float = 0.0  # of what it is at, as far as it knows
    part: str = ""  # that is at work, if one is


class _Diary:
    """The file that this process tells it to; none where nobody watches."""

    def __init__(self) -> None:
        self.file: IO[bytes] | None = None
        self.part = ""
        self.since = 0.0  # on the clock that never goes back
        self.is_last = False

    def write(self, text: str, place: int, size: int) -> None:
        if self.file is not None:
            with suppress(OSError):  # a full disk: then it cannot be told
                self.file.seek(place)
                self.file.write(text.encode("utf-8", "replace")[:size].ljust(size, b"\0"))


_diary = _Diary()


def begin(path: Path) -> None:
    """Tell what this process is at to a file, from now on."""
    _diary.file = path.open("wb", buffering=0)
    _diary.write(str(os.getpid()), 0, NUMBER_BYTES)
    tell_length(0.0)


def tell_length(sound_seconds: float) -> None:
    """Tell how long the sound is that is worked on, where this process is watched."""
    _diary.write(f"{sound_seconds:.3f}", NUMBER_BYTES, NUMBER_BYTES)


@contextmanager
def at_work(part: str) -> Iterator[None]:
    """Tell which part is at work in the block.

    Raises `KeyboardInterrupt` in place of it once work is to end, as `end_work` says.
    """
    if _diary.is_last:
        raise KeyboardInterrupt
    before = _diary.part, _diary.since
    _tell_part(part, time.monotonic())
    try:
        yield
    finally:
        _tell_part(*before)


def end_work() -> None:
    """Have no part begin any more in this process: it is to end, and other threads are at work."""
    _diary.is_last = True


def at_work_now() -> tuple[str, float]:
    """The part that is at work in this process, none if empty, and for how many seconds."""
    return _diary.part, time.monotonic() - _diary.since


def _tell_part(part: str, since: float) -> None:
    _diary.part, _diary.since = part, since
    _diary.write(part, 2 * NUMBER_BYTES, NAME_BYTES)


def read(path: Path) -> Told:
    """What a process has told to a file, as far as it has.

    >>> read(Path("no such diary"))
    Told(pid=0, sound_seconds=0.0, part='')
    """
    try:
        content = path.read_bytes()
    except OSError:
        return Told()
    ends = (0, NUMBER_BYTES, 2 * NUMBER_BYTES, 2 * NUMBER_BYTES + NAME_BYTES)
    pid, seconds, part = (
        content[start:end].rstrip(b"\0").decode("utf-8", "ignore") for start, end in pairwise(ends)
    )
    with suppress(ValueError):
        return Told(int(pid), float(seconds or 0), part)
    return Told()
