"""An archive that many machines restore, simulated file by file: time, cost, what is lost."""

import heapq
import math
from bisect import bisect_left
from collections import deque
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, Field

HOUR, DAY = 3600.0, 86400.0
LONGEST_BACKOFF = 8.0  # seconds before a request is made again


class Figures(NamedTuple):
    """What restoring costs, as measured: one worker with one thread and a model of its own."""

    load_seconds: float  # from the start of a worker to its first file
    file_seconds: float  # of each file, whatever its length
    sound_seconds: float  # of work for each second of a channel
    memory_bytes: float  # that a worker holds
    record_seconds: float  # of the one driver for each file: proof, and the line of the record
    slowdown: float = 1.0  # how much longer workers of one machine take beside each other


Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


class Archive(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Files to be restored; their lengths are log-normal, as those of many collections are."""

    hours: Annotated[Positive, Field(le=1e8, description="of sound")] = 1e6
    mean_minutes: Annotated[Positive, Field(description="mean length of a file")] = 30.0
    spread: Annotated[
        Amount, Field(le=3, description="standard deviation of the logarithm of lengths")
    ] = 0.9
    longest_hours: Annotated[Positive, Field(description="about, of a file")] = 6.0
    channels: Count = 1
    sample_rate: Annotated[Count, Field(description="Hz")] = 48000
    sample_bytes: Annotated[Count, Field(description="of a sample of a channel")] = 3
    unreadable_share: Annotated[Share, Field(description="of the files")] = 0.002

    @property
    def bytes_per_second(self) -> float:
        """Of sound, as it is kept."""
        return float(self.channels * self.sample_rate * self.sample_bytes)


class Fleet(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Machines that can be hired, and the store that they read from and write to."""

    machines: Annotated[Count, Field(le=100_000)] = 100
    workers: Annotated[Count, Field(description="on each machine")] = 16
    drivers: Annotated[Count, Field(description="commands that share the archive")] = 1
    machine_gib: Annotated[Positive, Field(description="memory of each machine")] = 64.0
    machine_price: Annotated[Amount, Field(description="for an hour")] = 0.40
    request_price: Amount = 5e-6
    byte_price: Annotated[Amount, Field(description="of what leaves the store")] = 0.0
    losses_per_hour: Annotated[
        Amount, Field(description="of each machine, taken back or broken")
    ] = 0.02
    replaced_seconds: Annotated[Amount, Field(description="until there is another")] = 180.0
    machine_bytes_per_second: Annotated[Positive, Field(description="of its link")] = 1.25e9
    store_bytes_per_second: Annotated[Positive, Field(description="for all together")] = 20e9
    request_seconds: Annotated[Amount, Field(description="until the store answers")] = 0.05
    requests: Annotated[
        Count, Field(description="for each file: list, read, write, side file, record, others")
    ] = 6
    driver_requests: Annotated[
        int, Field(ge=0, description="of them by the driver, one file after another: the record")
    ] = 1
    request_failures: Annotated[Share, Field(description="that are made again")] = 1e-4
    retries: Annotated[int, Field(ge=0, description="of a file whose machine is lost")] = 2


class Outcome(NamedTuple):
    """What became of the archive."""

    files: int
    done: int
    unreadable: int
    given_up: int  # whose machines were lost each time
    seconds: float  # from the first file to the last
    busy_seconds: float  # of all workers, the loading of models included
    lost_seconds: float  # of them for nothing, machines being lost
    machine_seconds: float  # that are paid
    bytes_read: float
    bytes_written: float
    requests: int
    price: float

    @property
    def days(self) -> float:
        """From the first file to the last."""
        return self.seconds / DAY

    @property
    def lost_share(self) -> float:
        """The part of all work that was for nothing."""
        return self.lost_seconds / self.busy_seconds if self.busy_seconds else 0.0


def lengths(archive: Archive, seed: int) -> np.ndarray:
    """The lengths of the files, seconds (files,), which come to the archive's hours together."""
    draw = np.random.default_rng(seed)
    count = max(1, round(archive.hours * 60 / archive.mean_minutes))
    middle = math.log(archive.mean_minutes * 60) - archive.spread**2 / 2
    found = np.exp(draw.normal(middle, archive.spread, count)).clip(1, archive.longest_hours * HOUR)
    return np.asarray(found * (archive.hours * HOUR / found.sum()))


class Losses:
    """When each machine is lost, drawn as far as anybody asks."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.mean_seconds = HOUR / fleet.losses_per_hour if fleet.losses_per_hour else math.inf
        self.gone_seconds = fleet.replaced_seconds
        self.draws = [np.random.default_rng([seed, number]) for number in range(fleet.machines)]
        self.times: list[list[float]] = [[] for _ in range(fleet.machines)]

    def after(self, machine: int, seconds: float) -> float:
        """The first loss of a machine at this time or later."""
        if math.isinf(self.mean_seconds):
            return math.inf
        known = self.times[machine]
        while not known or known[-1] < seconds:
            begun = known[-1] + self.gone_seconds if known else 0.0
            known.append(begun + self.draws[machine].exponential(self.mean_seconds))
        return known[bisect_left(known, seconds)]


def simulate(
    archive: Archive, fleet: Fleet, figures: Figures, seed: int = 0, longest_first: bool = False
) -> Outcome:
    """Hand the files to workers as they are free, lose machines, and count.

    A machine's link and the store are shared evenly by all workers at all times, which is the worst
    case. What a lost machine was at is done again elsewhere, before all that waits, and given up
    after ``retries``. Drivers write down what is done one file after another, in a store by
    requests.
    """
    seconds = lengths(archive, seed)
    if longest_first:
        seconds = np.sort(seconds)[::-1]
    draw = np.random.default_rng([seed, 1])
    unreadable = draw.random(len(seconds)) < archive.unreadable_share
    failures = draw.binomial(fleet.requests, fleet.request_failures, len(seconds))
    worked = _file_seconds(seconds, unreadable, failures, archive, fleet, figures)
    run = _work_through(worked, fleet, figures, Losses(fleet, seed))
    readable = ~unreadable
    recorded = figures.record_seconds + fleet.driver_requests * fleet.request_seconds
    last = max(run.last, len(seconds) * recorded / fleet.drivers)
    byte_count = seconds * archive.bytes_per_second
    requests = int(run.attempts.sum()) * fleet.requests + int(failures.sum())
    read = float((byte_count * run.attempts).sum())
    machine_seconds = last * fleet.machines
    price = (
        machine_seconds / HOUR * fleet.machine_price
        + requests * fleet.request_price
        + read * fleet.byte_price
    )
    return Outcome(
        files=len(seconds),
        done=int((readable & run.done).sum()),
        unreadable=int((unreadable & run.done).sum()),
        given_up=int((~run.done).sum()),
        seconds=last,
        busy_seconds=run.busy,
        lost_seconds=run.lost,
        machine_seconds=machine_seconds,
        bytes_read=read,
        bytes_written=float(byte_count[readable & run.done].sum()),
        requests=requests,
        price=price,
    )


class _Run(NamedTuple):
    """What the workers did."""

    last: float  # when the last file was done
    busy: float
    lost: float
    attempts: np.ndarray  # of each file
    done: np.ndarray


def _file_seconds(
    seconds: np.ndarray,
    unreadable: np.ndarray,
    failures: np.ndarray,
    archive: Archive,
    fleet: Fleet,
    figures: Figures,
) -> np.ndarray:
    """How long each file takes a worker, (files,)."""
    workers = fleet.machines * fleet.workers
    pace = min(
        fleet.machine_bytes_per_second / fleet.workers, fleet.store_bytes_per_second / workers
    )
    moved = seconds * archive.bytes_per_second / pace
    by_workers = max(0, fleet.requests - fleet.driver_requests)
    asked = by_workers * fleet.request_seconds + failures * LONGEST_BACKOFF
    worked = figures.slowdown * seconds * archive.channels * figures.sound_seconds
    restored = moved + worked  # moved: the result
    begun = figures.slowdown * figures.file_seconds
    return np.asarray(asked + begun + moved + np.where(unreadable, 0.0, restored))


def _work_through(worked: np.ndarray, fleet: Fleet, figures: Figures, losses: Losses) -> _Run:
    """Give each file to the worker that is free first."""
    queue = deque(enumerate(worked.tolist()))
    attempts = np.zeros(len(worked), dtype=int)
    done = np.zeros(len(worked), dtype=bool)
    free = [
        (figures.load_seconds, number, number % fleet.machines)
        for number in range(fleet.machines * fleet.workers)
    ]
    heapq.heapify(free)
    busy, lost, last = figures.load_seconds * len(free), 0.0, 0.0
    while queue:
        number, needed = queue.popleft()
        begun, worker, machine = heapq.heappop(free)
        end, lost_at = begun + needed, losses.after(machine, begun)
        attempts[number] += 1
        if lost_at >= end:
            done[number] = True
            busy, last = busy + needed, max(last, end)
            heapq.heappush(free, (end, worker, machine))
            continue
        spent = lost_at - begun
        busy, lost = busy + spent + figures.load_seconds, lost + spent + figures.load_seconds
        last = max(last, lost_at)
        back = lost_at + fleet.replaced_seconds + figures.load_seconds
        heapq.heappush(free, (back, worker, machine))
        if attempts[number] <= fleet.retries:
            queue.appendleft((number, needed))
    return _Run(last, busy, lost, attempts, done)


def most_workers(cores: int, memory_bytes: float, figures: Figures) -> int:
    """How many workers a machine holds: one a core, as far as its memory goes."""
    return max(1, min(cores, int(memory_bytes / figures.memory_bytes)))
