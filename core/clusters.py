"""Work on the machines of a Ray cluster; Ray is imported when it is used."""

import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

from selfremaster.core.crews import Care, Crew, Item, Result
from selfremaster.core.diaries import Told
from selfremaster.core.errors import ComponentError, SelfRemasterError, one_line
from selfremaster.core.packages import require
from selfremaster.core.workers import Loss, Outcome, Task, Worker, packed, unpacked

Engine = Literal["local", "ray"]
RAY_ADDRESS = "RAY_ADDRESS"
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
STORE_BYTES = 100 * 2**20  # of shared memory for a cluster of the moment: results are small
OURS = ("SELFREMASTER_", "HF_HUB_", "AWS_ENDPOINT_URL")
"""Beginnings of variables that work elsewhere is to have, too; none of them is a secret."""

OF_STORES = frozenset({"AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "STORAGE_EMULATOR_HOST"})
ASKED_SECONDS = 5.0  # that a machine has to answer


def check_engine(name: str) -> Engine:
    """The engine of a name; raises `ComponentError` with those that there are."""
    if name not in ("local", "ray"):
        raise ComponentError(f"no engine named {name!r}; known: local, ray")
    return "ray" if name == "ray" else "local"


@contextmanager
def connected(processors: int | None = None) -> Iterator[Any]:
    """Ray: as it runs here already, or the cluster at RAY_ADDRESS, or one for the moment.

    That last one is this machine, or so many processors of it, and asks nothing of the network.
    All machines of a cluster must have this package, and see the same files at the same paths.

    Raises `SelfRemasterError` where Ray is not installed, or the cluster does not answer.
    """
    try:
        ray = require("ray", "ray")
    except ComponentError as error:
        raise ComponentError(f"--engine ray {error}") from None
    if ray.is_initialized():
        yield ray
        return
    for variable, text in QUIET.items():
        os.environ.setdefault(variable, text)
    # what Ray tells of its machines it tells to stdout, which is the result's own
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        _begin(ray, processors)
        try:
            yield ray
        finally:
            ray.shutdown()


def _begin(ray: Any, processors: int | None) -> None:
    there = os.environ.get(RAY_ADDRESS)
    own = {"num_cpus": processors, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    how = {"address": there} if there else {"address": "local", **own}
    try:
        if there:
            _knock(there)
        with _signals_kept():
            ray.init(**how, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"{RAY_ADDRESS}={there}" if there else "a cluster of this machine"
        raise SelfRemasterError(
            f"--engine ray: {where} cannot be had ({one_line(error)}); look at `ray status`"
        ) from None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Leave it to who began this what SIGTERM does, which Ray takes over."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _knock(address: str) -> None:
    """Raise `OSError` where nobody listens, which Ray itself notices after minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), ASKED_SECONDS).close()


def resources(ray: Any, device: str, threads: int) -> dict[str, int]:
    """What work asks of a cluster: Ray hides the accelerators that nobody asked for.

    Raises `ComponentError` for a GPU where the cluster has none.
    """
    gpus = ray.cluster_resources().get("GPU", 0)
    if device.startswith("cuda") and not gpus:
        raise ComponentError(
            f"--device {device}: no machine of the cluster has a GPU; take --device auto or cpu"
        )
    wants_one = device.startswith("cuda") or (device == "auto" and gpus > 0)
    return {"num_cpus": threads, "num_gpus": int(wants_one)}


def room_for(ray: Any, asked: dict[str, int]) -> int:
    """How many times a cluster as it is has what work asks of it; at least once."""
    there = ray.cluster_resources()
    kinds = {"CPU": asked["num_cpus"], "GPU": asked["num_gpus"]}
    return max(1, min(int(there.get(kind, 0) // each) for kind, each in kinds.items() if each))


class Agent:
    """On another machine: watches the process there that works, and can be asked about it.

    It is no more than that, so that it answers whatever that process is at, and outlives it.
    """

    def __init__(self, task: Task) -> None:
        self._folder = mkdtemp(prefix="selfremaster-")
        self._worker = Worker(task, Path(self._folder, "diary"))

    def ready(self) -> bytes:
        """The outcome of the beginning."""
        return self._content(self._worker.ready())

    def do(self, item: bytes) -> bytes:
        """The outcome of work on a thing."""
        return self._content(self._worker.do(item))

    def told(self) -> Told:
        """What the process told last of what it is at."""
        return self._worker.told()

    def interrupt(self) -> None:
        """Ask it to stop and to tidy up."""
        self._worker.interrupt()

    def end(self) -> None:
        """End it."""
        self._worker.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _content(self, task: "Future[bytes]") -> bytes:
        wait([task])
        if task.exception() is None:
            return task.result()  # as it is: it is not unpacked here, which would import torch
        return packed(self._worker.outcome(task))


class _Remote:
    """A hand that is an agent on some machine of the cluster."""

    def __init__(self, ray: Any, agent: Any) -> None:
        self._ray = ray
        self._agent = agent
        self._first = agent.told.remote()  # answered as soon as it has a place on a machine
        self._lost = False
        self._told = Told()

    def ready(self) -> "Future[Any]":
        return self._future(self._agent.ready.remote())

    def do(self, item: bytes) -> "Future[Any]":
        return self._future(self._agent.do.remote(item))

    def outcome(self, task: "Future[Any]") -> Outcome:
        try:
            outcome: Outcome = unpacked(task.result())
        except self._ray.exceptions.RayError as error:  # crashed, a machine lost
            self._lost = True
            return Loss("lost", how=_cause(error))
        return outcome

    def told(self) -> Told:
        self._told = self._asked("told") or self._told  # what was last, where none comes in time
        return self._told

    def interrupt(self) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._agent.interrupt.remote()

    def end(self) -> None:
        self._asked("end")
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._agent)

    def _asked(self, question: str) -> Any:
        """An answer, if it comes soon; who waits for a place on a machine gives none."""
        if self._lost or not self._ray.wait([self._first], timeout=0)[0]:
            return None
        with suppress(self._ray.exceptions.RayError):
            return self._ray.get(getattr(self._agent, question).remote(), timeout=ASKED_SECONDS)
        return None

    @staticmethod
    def _future(reference: Any) -> "Future[Any]":
        future: Future[Any] = reference.future()
        return future


@contextmanager
def crew_on_ray(
    ray: Any,
    work: Callable[[Item], Result],
    size: int,
    care: Care | None = None,
    *,
    asked: dict[str, int],
) -> Iterator[Crew[Item, Result]]:
    """Processes on the machines of a cluster, each behind an agent, which asks for ``asked``.

    Those for which there is no room begin when there is.
    """
    environment = {
        name: text
        for name, text in os.environ.items()
        if name.startswith(OURS) or name in OF_STORES
    }
    task = Task(packed(work), str(Path.cwd()), asked["num_cpus"], environment)
    kind = ray.remote(Agent).options(**asked, max_concurrency=4, scheduling_strategy="SPREAD")
    there = ray.put(task)
    crew: Crew[Item, Result] = Crew(lambda: _Remote(ray, kind.remote(there)), size, care)
    try:
        yield crew
    finally:
        crew.end()


def _cause(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
