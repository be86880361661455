"""Stores of objects: list, fetch and put by their URLs, with patience for networks."""

import hashlib
import logging
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple, TypeVar

from selfremaster.core.errors import RemoteError, SelfRemasterError
from selfremaster.core.files import OUT_OF_SPACE
from selfremaster.core.remotes import Identity, Remote

Given = TypeVar("Given")

WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # before each further attempt
FIRST_WAITS = 3  # of these, for a store that never answered
CONNECT_SECONDS = 5
READ_SECONDS = 60  # without a single byte
SPARE_BYTES = 64 << 20  # that are left on the disk
FULL = (
    "it does not fit on the disk for temporary files, where it is worked on; make room, or name "
    "a folder of a larger disk by TMPDIR"
)
CHANGED = "was changed after it was listed; run again with --resume"
NOISY = (
    "asyncio",
    "aiobotocore",
    "aiohttp",
    "boto3",
    "botocore",
    "fsspec",
    "gcsfs",
    "google",
    "s3fs",
    "urllib3",
)

_STORES = {
    "s3": "selfremaster.core.s3_stores:S3Store",
    "gs": "selfremaster.core.google_stores:GoogleStore",
    "https": "selfremaster.core.web_stores:WebStore",
    "http": "selfremaster.core.web_stores:WebStore",
}


class Entry(NamedTuple):
    """What a store says of an object without giving it."""

    key: str
    identity: Identity


class Fetched(NamedTuple):
    """What was read of an object."""

    identity: Identity | None  # where the store has a word for it
    sha256: str


@dataclass
class Stream:
    """An object on its way here, from a byte on."""

    chunks: Iterator[bytes]
    tag: str | None
    size: int | None  # of all of it, as far as it is told


class Trouble(NamedTuple):
    """What went wrong with a store, in words, and whether it may pass."""

    words: str
    passing: bool = False


class Store(ABC):
    """A kind of store; errors of its libraries become `Trouble`.

    Whatever raises does so as what `trouble` understands.
    """

    tries_again: ClassVar[bool] = True  # otherwise its library does
    _answered = False  # as far as is known
    _silent = False  # since it was last waited for: then nobody waits again

    @abstractmethod
    def entries(self, folder: Remote) -> Iterator[Entry]:
        """Every object whose key begins as those in a folder, by as few requests as there can be.

        Raises `RemoteError`.
        """

    @abstractmethod
    def entry(self, remote: Remote) -> Entry | None:
        """What is told of one object, or None where there is none; raises `RemoteError`."""

    @abstractmethod
    def opened(
        self, remote: Remote, start: int, known: Identity | None
    ) -> AbstractContextManager[Stream]:
        """Begin to read an object, as long as it is the one that is known."""

    @abstractmethod
    def put(self, path: Path, remote: Remote) -> Identity:
        """Make a file an object, which is there whole or not at all; raises `RemoteError`."""

    @abstractmethod
    def trouble(self, error: Exception, remote: Remote) -> Trouble | None:
        """What an error of the store's library means; None where it is none of those."""

    def clear_unfinished(self, folder: Remote, keys: frozenset[str]) -> None:
        """Take away what ended runs began to put there under these keys, where that stays."""
        del folder, keys

    def patiently(self, remote: Remote, call: Callable[[], Given]) -> Given:
        """Call until it succeeds, or fails for good; raises `RemoteError` with one line."""
        waits = self._waits()
        while True:
            try:
                given = call()
            except SelfRemasterError:
                raise
            except Exception as error:
                self._wait_or_raise(error, remote, waits)
            else:
                self._answered, self._silent = True, False
                return given

    def _waits(self) -> Iterator[float]:
        """How long to wait before each further attempt: a store that is gone is waited for once."""
        if self._silent or not self.tries_again:
            return iter(())
        return iter(WAITS_SECONDS if self._answered else WAITS_SECONDS[:FIRST_WAITS])

    def _wait_or_raise(self, error: Exception, remote: Remote, waits: Iterator[float]) -> None:
        """Wait for what may pass, or raise `RemoteError`."""
        if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
            raise RemoteError(f"{remote}: {FULL}") from None
        told = self.trouble(error, remote)
        if told is None:
            raise error
        wait = next(waits, None) if told.passing else None
        if wait is None:
            self._silent = told.passing
            raise RemoteError(f"{remote}: {told.words}") from None
        time.sleep(wait)

    def fetch(self, remote: Remote, path: Path, listed: Identity | None) -> Fetched:
        """Copy an object into a file, whole, as it was listed.

        What was read before a connection broke is kept where the store tells its objects apart.
        Raises `RemoteError` where it cannot be had, has changed, or does not fit on the disk.
        """
        download = _Download(self, remote, path, listed)
        with path.open("wb") as file:
            return self.patiently(remote, lambda: download.into(file))


class ShortError(Exception):
    """Less came than was told."""


class _Download:
    """An object on its way into a file, by one connection or several."""

    def __init__(self, store: Store, remote: Remote, path: Path, known: Identity | None) -> None:
        self.store, self.remote, self.path, self.known = store, remote, path, known
        self.hash, self.done = hashlib.sha256(), 0

    def into(self, file: BinaryIO) -> Fetched:
        """Read on, or from the beginning where nobody can say that it is the same object."""
        if self.known is None:
            self.hash, self.done = hashlib.sha256(), 0
            file.seek(0)
            file.truncate()
        with self.store.opened(self.remote, self.done, self.known) as stream:
            if stream.tag is not None and stream.size is not None and self.known is None:
                self.known = Identity(stream.tag, stream.size)
            size = self.known.size if self.known else stream.size
            self._check_room((size or 0) - self.done)
            for chunk in stream.chunks:
                self._check_room(len(chunk))
                file.write(chunk)
                self.hash.update(chunk)
                self.done += len(chunk)
        if size is not None and self.done < size:
            raise ShortError(f"{self.done} of {size} bytes")
        if size is not None and self.done > size:
            raise RemoteError(f"{self.remote}: {CHANGED}")
        file.flush()
        return Fetched(self.known, self.hash.hexdigest())

    def _check_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if wanted + SPARE_BYTES > free:
            raise RemoteError(
                f"{self.remote}: {self.done + wanted} bytes and {free} left on the disk: {FULL}"
            )


def store_of(remote: Remote) -> Store:
    """The store of a URL; raises `ComponentError` where its package is missing."""
    return _opened(_STORES[remote.scheme], os.getpid())


@cache
def _opened(target: str, process: int) -> Store:
    """One a process: connections are not handed on."""
    del process
    for name in NOISY:  # what they say is told in one line, and might hold keys
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    module, _, name = target.partition(":")
    made: Store = getattr(import_module(module), name)()
    return made
