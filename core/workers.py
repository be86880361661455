"""A process beside this one that does one thing at a time, and can be ended at any moment.

Nothing here imports torch: what watches a process is small, and what works imports what it needs.
"""

import gc
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.cloudpickle_wrapper import dumps, loads

from selfremaster.core import diaries
from selfremaster.core.errors import ADVICE, SelfRemasterError, one_line
from selfremaster.core.interrupts import deaf_to_ctrl_c, hearing_ctrl_c
from selfremaster.core.scratch import clear_scratch

WATCH_SECONDS = 1
RETRIES = 2  # of what was in the hands of a machine that is lost
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
CRASH_VARIABLE = "PYTHONFAULTHANDLER"


class Done(NamedTuple):
    """What work gave."""

    result: Any


class Raised(NamedTuple):
    """What work raised."""

    error: Exception


class Stopped(NamedTuple):
    """Work was interrupted, and has tidied up."""


class Loss(NamedTuple):
    """There is no result: who worked on it is no more, or was ended."""

    why: Literal["hung", "died", "lost"]
    part: str = ""  # that was at work, where that is known
    how: str = ""  # the process ended, or why its machine is lost
    seconds: float = 0.0  # that it was given

    def words(self) -> str:
        """Why there is no result, where nobody ended it for want of time."""
        during = f" while {self.part} was at work" if self.part else ""
        if self.why == "lost":
            return f"what worked on it was lost, {RETRIES + 1} times ({self.how})"
        if not self.how or "SIGKILL" in self.how:
            return (
                f"its process was ended from outside{during}, most likely for want of memory; take "
                "fewer processes (--jobs)"
            )
        if self.part:
            return f"{self.part} ended the process ({self.how}); {ADVICE}"
        return f"its process ended ({self.how})"


Outcome = Done | Raised | Stopped | Loss


class Task(NamedTuple):
    """What a process is for: its work, its place, and in how many threads; plain enough to send."""

    work: bytes  # pickled: a callable, which may have a method `begin`
    folder: str  # to work in
    threads: int | None = 1  # none: as many as there are processors
    environment: Mapping[str, str] | None = None  # variables to set


def packed(work: Any) -> bytes:
    """Work as other processes take it; raises `SelfRemasterError` for what cannot be sent."""
    try:
        content: bytes = dumps(work)
    except Exception as error:
        raise SelfRemasterError(
            f"the work cannot be handed to other processes ({one_line(error)}); "
            "take one process (--jobs 1)"
        ) from None
    return content


def unpacked(content: bytes) -> Any:
    """What `packed` was given, in this process or in one that it began."""
    return loads(content)


class Worker:
    """A process; `ready` lets it take its work up, `do` gives it one thing after another."""

    def __init__(self, task: Task, diary: Path) -> None:
        # what crashes is named in one line, unless its stack is asked for
        variables = {CRASH_VARIABLE: os.environ.get(CRASH_VARIABLE, "")}
        if task.threads is not None:
            variables |= dict.fromkeys(THREAD_VARIABLES, str(task.threads))
        self._diary = diary
        self._pool: Any = ProcessPoolExecutor(
            1,
            initializer=_begin,
            initargs=(task, str(diary)),
            env={**(task.environment or {}), **variables},
        )

    def ready(self) -> "Future[bytes]":
        """Begin; the outcome is what the method `begin` of the work gives, if it has one."""
        with deaf_to_ctrl_c():  # as the process is that begins here
            began: Future[bytes] = self._pool.submit(_take_up)
        return began

    def do(self, item: bytes) -> "Future[bytes]":
        """Work on a thing, packed."""
        try:
            task: Future[bytes] = self._pool.submit(_do, item)
        except BrokenProcessPool:  # which is no fault of the item
            task = Future()
            task.set_result(packed(Loss("lost", how="it ended while it was idle")))
        return task

    def outcome(self, task: "Future[bytes]") -> Outcome:
        """What came of what it was given, once that is done."""
        try:
            content = task.result()
        except BrokenProcessPool as error:
            codes = re.search(r"\{(.*)\}", str(error))
            return Loss("died", self.told().part, codes.group(1) if codes else "")
        outcome: Outcome = unpacked(content)
        return outcome

    def told(self) -> diaries.Told:
        """What it told last of what it is at."""
        return diaries.read(self._diary)

    def interrupt(self) -> None:
        """Ask it to stop what it is at and to tidy up, as Ctrl-C does."""
        pid = self.told().pid
        if pid:
            with suppress(OSError):  # it has ended
                os.kill(pid, signal.SIGINT)

    def end(self) -> None:
        """End it at once, with all that it has begun."""
        self._pool.shutdown(kill_workers=True)


class _Bench:
    """In the other process: the work."""

    task: Task
    work: Callable[[Any], Any] | None = None


_bench = _Bench()


def _begin(task: Task, diary: str) -> None:
    """In the other process: keep off stdout, which is the result's own, and end with this one."""
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # but at work
    if hasattr(signal, "pthread_sigmask"):  # a cluster's processes hold it off
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    diaries.begin(Path(diary))
    clear_scratch()  # of those that were ended here before
    _bench.task = task


def _end_with(parent: int) -> None:
    """End when the process that began this one has been killed; nothing is left half-written."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def _take_up() -> bytes:
    """In the other process: unpack the work, and let it begin."""

    def begin() -> Any:
        own = getattr(_work(), "begin", None)
        about = own() if own else None
        gc.freeze()  # what stays is not searched through for garbage after every thing done
        return about

    return _outcome_of(begin)


def _do(item: bytes) -> bytes:
    """In the other process: work on a thing."""
    return _outcome_of(lambda: _work()(unpacked(item)))


def _work() -> Callable[[Any], Any]:
    """The work, unpacked once a process."""
    if _bench.work is None:
        task = _bench.task
        try:
            os.chdir(task.folder)
        except OSError as error:
            raise SelfRemasterError(
                f"{task.folder}: cannot be worked in on every machine "
                f"({(error.strerror or '').lower()}); all of them must see the same files at the "
                "same paths"
            ) from None
        _bench.work = unpacked(task.work)
        torch = sys.modules.get("torch")
        if torch is not None and task.threads is not None:
            torch.set_num_threads(task.threads)
    return _bench.work


def _outcome_of(work: Callable[[], Any]) -> bytes:
    diaries.tell_length(0.0)
    outcome: Outcome
    try:
        with hearing_ctrl_c():
            outcome = Done(work())
        return packed(outcome)
    except KeyboardInterrupt:
        outcome = Stopped()
    except Exception as error:
        outcome = Raised(error if comes_back(error) else SelfRemasterError(one_line(error)))
    except BaseException as error:  # a stranger's part may even end the process
        outcome = Raised(SelfRemasterError(one_line(error)))
    return packed(outcome)


def comes_back(error: Exception) -> bool:
    """Whether an error comes out of a pickle as it went in; a stranger's may not."""
    try:
        return type(unpacked(dumps(error))) is type(error)
    except Exception:
        return False
