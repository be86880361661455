"""Many things done by several hands, each of which may hang, die or be lost without the rest."""

import math
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from selfremaster.core.diaries import Told
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.interrupts import told_by_ctrl_c
from selfremaster.core.workers import (
    RETRIES,
    Done,
    Loss,
    Outcome,
    Raised,
    Stopped,
    Task,
    Worker,
    packed,
)

Item = TypeVar("Item")
Result = TypeVar("Result")

POLL_SECONDS = 0.2  # after which is looked for Ctrl-C
GRACE_SECONDS = 10.0  # to tidy up in, when all is stopped
ENDED_AT_ONCE = 16


class Hand(Protocol):
    """Who works: a process here (`Worker`), or one on another machine."""

    def ready(self) -> "Future[Any]":
        """Begin."""

    def do(self, item: bytes) -> "Future[Any]":
        """Work on a thing, packed."""

    def outcome(self, task: "Future[Any]") -> Outcome:
        """What came of it, once that is done."""

    def told(self) -> Told:
        """What it told last of what it is at."""

    def interrupt(self) -> None:
        """Ask it to stop and to tidy up."""

    def end(self) -> None:
        """End it at once."""


class Care(NamedTuple):
    """What is done about what goes wrong."""

    limit_seconds: Callable[[Any, float], float] = lambda item, sound_seconds: math.inf
    """How long an item may take, of which so much sound was told so far."""
    lost: Callable[[Any, Loss], Any] | None = None
    """What to give for an item without a result, after tidying up behind it."""
    begin_seconds: float = math.inf
    """How long beginning may take, from when there is a process."""


class _Busy(NamedTuple):
    """What a hand is at."""

    hand: Hand
    number: int
    item: Any
    began: float  # on the clock that never goes back
    until: float


class Crew(Generic[Item, Result]):
    """Hands that do the same work on different things.

    `about` is what the work says of itself when it begins, the same for all; `results` does the
    work. Raises `SelfRemasterError` where no hand can begin.
    """

    def __init__(self, hire: Callable[[], Hand], size: int, care: Care | None = None) -> None:
        self._hire_one = hire
        self._size = size
        self._care = care or Care()
        self._coming: dict[Future[Any], Hand] = {}
        self._begun: dict[Future[Any], float] = {}  # when those who come had a process
        self._idle: list[Hand] = []
        self._busy: dict[Future[Any], _Busy] = {}
        self._tries: dict[int, int] = {}
        self._first: Done | None = None
        self._mishaps = 0
        self._stopped = False

    def about(self) -> Any:
        """What the work gives when it begins, by the first hand that is ready.

        Raises `SelfRemasterError` where that takes too long, and as `Crew`.
        """
        with told_by_ctrl_c() as interrupts:
            while self._first is None:
                self._hire(self._size)
                self._wait()
                self._settle()
                if interrupts or self._stopped:
                    raise KeyboardInterrupt
            return self._first.result

    def results(self, items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
        """Work on every item; gives each result as it is done, with the item's number.

        On Ctrl-C, and when nobody wants further results, those who work are asked to stop, and
        ended where they do not. What was done until then is given before `KeyboardInterrupt` is
        raised.
        """
        waiting = deque(enumerate(items))
        with told_by_ctrl_c() as interrupts:
            try:
                while (waiting or self._busy) and not (interrupts or self._stopped):
                    self._hire(len(waiting))
                    while waiting and self._idle:
                        self._give(self._idle.pop(), *waiting.popleft())
                    self._wait()
                    self._settle()
                    yield from self._finished(waiting)
            except KeyboardInterrupt:
                if not interrupts:  # once more, all ends at once
                    yield from self._stop()
                raise
            except BaseException:  # nobody wants further results, or work went wrong
                for _ in self._stop():
                    pass
                raise
            if interrupts or self._stopped:
                yield from self._stop()
                raise KeyboardInterrupt

    def end(self) -> None:
        """Let all hands go."""
        busy = [one.hand for one in self._busy.values()]
        with ThreadPoolExecutor(ENDED_AT_ONCE) as pool:
            list(pool.map(lambda hand: hand.end(), [*self._idle, *self._coming.values(), *busy]))
        self._idle, self._coming, self._busy = [], {}, {}

    def _hire(self, wanted: int) -> None:
        """As many hands as there is work for."""
        there = len(self._coming) + len(self._idle)
        missing = min(wanted - there, self._size - there - len(self._busy))
        for _ in range(missing):
            hand = self._hire_one()
            self._coming[hand.ready()] = hand

    def _give(self, hand: Hand, number: int, item: Any) -> None:
        began = time.monotonic()
        until = began + self._care.limit_seconds(item, 0.0)
        self._busy[hand.do(packed(item))] = _Busy(hand, number, item, began, until)

    def _wait(self) -> None:
        tasks = [*self._coming, *self._busy]
        first = min((one.until for one in self._busy.values()), default=math.inf)
        seconds = max(0.0, min(POLL_SECONDS, first - time.monotonic()))
        if tasks:
            wait(tasks, seconds, return_when=FIRST_COMPLETED)

    def _settle(self) -> None:
        """See who is ready, and who could not begin."""
        for task in [task for task in self._coming if task.done()]:
            hand = self._coming.pop(task)
            outcome = hand.outcome(task)
            if isinstance(outcome, Done) and self._first in (None, outcome):
                self._first = outcome
                self._idle.append(hand)
                continue
            hand.end()
            if isinstance(outcome, Stopped):
                self._stopped = True
            else:
                self._do_without(outcome)

        for task, loss in self._late():
            self._coming.pop(task).end()
            self._do_without(loss)

    def _late(self) -> list[tuple[Future[Any], Loss]]:
        """Who has had a process for longer than beginning may take; others wait for their place."""
        late = []
        for task, hand in self._coming.items():
            told = hand.told()
            if not told.pid:
                continue
            seconds = self._care.begin_seconds
            began = self._begun.setdefault(task, time.monotonic())
            if time.monotonic() - began > seconds:
                late.append((task, Loss("hung", told.part, seconds=seconds)))
        return late

    def _do_without(self, outcome: Outcome) -> None:
        """One who could not begin is no loss where others can; a machine that is lost is tried."""
        if isinstance(outcome, Done):
            raise SelfRemasterError(
                "the machines do not have the same model or versions; install the same on all, "
                f"and name a model that all can see ({self._first and self._first.result} there, "
                f"{outcome.result} here)"
            )
        self._mishaps += 1
        if isinstance(outcome, Loss) and outcome.why == "lost" and self._mishaps <= RETRIES:
            return
        if self._coming or self._idle or self._busy:
            self._size = max(1, self._size - 1)
            return
        if isinstance(outcome, Raised):
            raise outcome.error
        assert isinstance(outcome, Loss)
        during = f" while {outcome.part} was at work" if outcome.part else ""
        if outcome.why == "hung":
            raise SelfRemasterError(
                f"a process took longer than {outcome.seconds / 60:.4g} minutes to begin{during} "
                "and was ended; leave that part out, or give it more time"
            )
        how = f" ({outcome.how})" if outcome.how else ""
        raise SelfRemasterError(
            f"a process ended before it could begin{during}{how}; take fewer (--jobs) if memory "
            "is short"
        )

    def _finished(self, waiting: deque[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        """What is done, and what has taken too long; what was lost with a machine waits again."""
        for task in [*self._busy]:
            one = self._busy[task]
            if not task.done():
                if one.until > time.monotonic() or self._has_longer(task, one):
                    continue
                outcome: Outcome = _hung(self._busy[task])
            else:
                outcome = one.hand.outcome(task)
            del self._busy[task]
            if isinstance(outcome, Done):
                self._idle.append(one.hand)
                yield one.number, outcome.result
            elif isinstance(outcome, Raised):
                self._idle.append(one.hand)
                raise outcome.error
            elif isinstance(outcome, Stopped):
                self._idle.append(one.hand)
                self._stopped = True
            elif outcome.why == "lost" and self._tries.get(one.number, 0) < RETRIES:
                one.hand.end()
                self._tries[one.number] = self._tries.get(one.number, 0) + 1
                waiting.appendleft((one.number, one.item))
            else:
                one.hand.end()
                yield one.number, self._given_up(one.item, outcome)

    def _has_longer(self, task: "Future[Any]", one: _Busy) -> bool:
        """Whether an item may take longer, now that it is known how long its sound is."""
        seconds = self._care.limit_seconds(one.item, one.hand.told().sound_seconds)
        self._busy[task] = one._replace(until=one.began + seconds)
        return one.began + seconds > time.monotonic()

    def _given_up(self, item: Any, loss: Loss) -> Any:
        if self._care.lost is None:
            raise SelfRemasterError(
                "a process was ended from outside, most likely for want of memory; "
                "take fewer processes (--jobs)"
            )
        return self._care.lost(item, loss)

    def _stop(self) -> Iterator[tuple[int, Any]]:
        """Ask all who are at work to stop; gives what they finished instead."""
        for one in self._busy.values():
            one.hand.interrupt()
        until = time.monotonic() + GRACE_SECONDS
        while self._busy and time.monotonic() < until:
            wait(self._busy, POLL_SECONDS, return_when=FIRST_COMPLETED)
            for task in [task for task in self._busy if task.done()]:
                one = self._busy.pop(task)
                outcome = one.hand.outcome(task)
                self._idle.append(one.hand)
                if isinstance(outcome, Done):
                    yield one.number, outcome.result
        for one in self._busy.values():
            loss = _hung(one)
            one.hand.end()
            if self._care.lost is not None:
                self._care.lost(one.item, loss)  # tidies up
        self._busy = {}


def _hung(one: _Busy) -> Loss:
    return Loss("hung", one.hand.told().part, seconds=one.until - one.began)


@contextmanager
def crew_of_processes(
    work: Callable[[Item], Result],
    processes: int,
    care: Care | None = None,
    *,
    threads: int | None = 1,
) -> Iterator[Crew[Item, Result]]:
    """Processes of this machine, each with so many threads.

    Raises `SelfRemasterError` for work that cannot be handed to another process.
    """
    task = Task(packed(work), str(Path.cwd()), threads)
    numbers = count()
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="selfremaster-"))

        def hire() -> Worker:
            return Worker(task, Path(name, str(next(numbers))))

        crew: Crew[Item, Result] = Crew(hire, processes, care)
        stack.callback(crew.end)
        yield crew


def in_order(results: Iterator[tuple[int, Result]]) -> Iterator[Result]:
    """Results in the order of their numbers, each as soon as those before it are there.

    >>> list(in_order(iter([(1, "b"), (0, "a"), (2, "c")])))
    ['a', 'b', 'c']
    """
    early: dict[int, Result] = {}
    due = 0
    try:
        for number, result in results:
            early[number] = result
            while due in early:
                yield early.pop(due)
                due += 1
    except KeyboardInterrupt:
        yield from (early[number] for number in sorted(early))  # they are done all the same
        raise
