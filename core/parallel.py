"""Work on many things by several processes, which end what they are at when they are stopped."""

import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from joblib import Parallel, delayed

from selfremaster.core.errors import SelfRemasterError, one_line

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Iterator[Result]:
    """Work on every item, each process with one thread; gives the results in the items' order.

    On Ctrl-C, and when nobody wants further results, no process is killed while it writes: each
    ends what it is at, or is interrupted itself and tidies up, and begins nothing new. What was
    done until then is given before `KeyboardInterrupt` is raised.

    Raises `SelfRemasterError` for work that cannot be handed to another process, and when a process
    is ended from outside.
    """
    with tempfile.TemporaryDirectory(prefix="selfremaster-") as folder:
        stop = Path(folder, "stop")  # a file is what all processes can see
        with _deaf_to_ctrl_c():  # as the processes are that begin here
            tasks = (delayed(_do)(work, item, stop, Path.cwd()) for item in items)
            # by joblib, whose processes do not run the script again that began all this
            found = Parallel(n_jobs=processes, return_as="generator")(tasks)
        with _told_by_ctrl_c(stop) as interrupts:
            try:
                for results in found:
                    yield from results
            except BrokenProcessPool:
                raise SelfRemasterError(
                    "a process was ended from outside, most likely for want of memory; "
                    "take fewer processes (--jobs)"
                ) from None
            except pickle.PicklingError as error:
                raise SelfRemasterError(
                    f"the work cannot be handed to other processes ({_cause(error)}); "
                    "take one process (--jobs 1)"
                ) from None
            finally:
                stop.touch()
                for _ in found:
                    pass
        if interrupts:
            raise KeyboardInterrupt


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: sums are the same to the bit however many processors there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _do(work: Callable[[Item], Result], item: Item, stop: Path, place: Path) -> list[Result]:
    """In another process: the result, or none where all is to stop."""
    if stop.exists():
        return []
    os.chdir(place)  # processes are kept, and may have begun where the caller no longer is
    try:
        with _hearing_ctrl_c(), one_thread():
            return [work(item)]
    except KeyboardInterrupt:
        return []


@contextmanager
def _told_by_ctrl_c(stop: Path) -> Iterator[list[int]]:
    """Keep Ctrl-C in a list and tell the others to stop; the second one ends all at once."""
    interrupts: list[int] = []

    def hear(number: int, frame: Any) -> None:
        if interrupts:
            signal.default_int_handler(number, frame)
        interrupts.append(number)
        stop.touch()

    if not _raises_on_ctrl_c():
        yield interrupts
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _raises_on_ctrl_c() -> bool:
    """Whether it is this thread's to be interrupted, and nobody else has taken it over."""
    mine = threading.current_thread() is threading.main_thread()
    return mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
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
def _hearing_ctrl_c() -> Iterator[None]:
    """In another process: be interrupted at work, and not between two items."""
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cause(error: BaseException) -> str:
    """The last line of what the other side says, as loky hands it over."""
    lines = str(error.__cause__ or error).strip().strip('"').splitlines()
    return lines[-1].strip() if lines else one_line(error)
