"""Work on files of stores: fetched, worked on as any file, and put, under the names of the user."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from selfremaster.core.diaries import tell_length
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.files import sha256_of
from selfremaster.core.jobs import Job
from selfremaster.core.limits import SLOWEST
from selfremaster.core.remotes import Identity, Place, Remote
from selfremaster.core.scratch import scratch
from selfremaster.core.stores import store_of

LEAST_BYTES_PER_SECOND = 100_000  # that come from a store: slower ones are taken to hang
RECORDING, RESULT = "recording", "result"  # names here, whatever they are called there


class RemoteJob(NamedTuple):
    """One sound file to work on, and where its result goes; one of them lies in a store."""

    source: Place
    place: Path  # where the file lies in the folder that was given
    target: Place
    stem: Place  # the target without its suffix, unless others would share what is left
    listed: Identity | None = None  # what the store said of the source

    def beside(self, suffix: str) -> Place:
        """A file next to the result: its name with another suffix."""
        return self.stem.with_name(self.stem.name + suffix)


AnyJob = Job | RemoteJob


class Moved(NamedTuple):
    """What the stores say of the input and of the result of a file."""

    fetched: Identity | None = None
    put: Identity | None = None


class Moving(Protocol):
    """What came of a file, in a dataclass."""

    @property
    def source(self) -> Place:
        """The file that it came of."""

    @property
    def target(self) -> Place:
        """Where it is."""

    @property
    def source_sha256(self) -> str:
        """Of the file it came of, where that is known already."""

    @property
    def target_sha256(self) -> str:
        """Of the result, where that is known already."""

    @property
    def moved(self) -> Moved | None:
        """What stores say of it, where it has to do with any."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of it."""


Done = TypeVar("Done", bound=Moving)


@dataclass(frozen=True)
class AtHand(Generic[Done]):
    """Work on files of this machine, made work on files of stores as well.

    Can be handed to other processes and machines if the work can.
    """

    work: Callable[[Job], Done]

    def __call__(self, job: AnyJob) -> Done:
        """Fetch, work and put; a file that is here is worked on as ever."""
        if isinstance(job, Job):
            return self.work(job)
        with scratch() as folder:
            local = _local(job, folder)
            with _named(job, local):
                fetched, source_sha256 = _fetch(job, local)
                done = self.work(local)
                target_sha256 = sha256_of(local.target)
                put = _put_all(job, local)
        told: Any = done
        made: Done = replace(
            told,
            **_places(done, job, local),
            source_sha256=source_sha256,
            target_sha256=target_sha256,
            moved=Moved(fetched, put),
            notes=tuple(_told(note, job, local) for note in done.notes),
        )
        return made


def _local(job: RemoteJob, folder: Path) -> Job:
    """The same work on files of this machine alone."""
    source, target, stem = job.source, job.target, job.stem
    if isinstance(source, Remote):
        source = folder / f"{RECORDING}{PurePosixPath(source.name).suffix}"
    if isinstance(target, Remote):
        results = folder / "results"
        results.mkdir()
        shares = stem != target.with_suffix("")
        target = results / f"{RESULT}{target.suffix}"
        stem = target if shares else target.with_suffix("")
    if isinstance(stem, Remote):
        raise TypeError(f"{job.target} and {stem} lie in different places")
    return Job(source, job.place, target, stem)


def _fetch(job: RemoteJob, local: Job) -> tuple[Identity | None, str]:
    if not isinstance(job.source, Remote):
        return None, sha256_of(job.source)
    if job.listed is not None:  # the limit of a file goes by its sound, which is not known yet
        tell_length(job.listed.size / (SLOWEST * LEAST_BYTES_PER_SECOND))
    return store_of(job.source).fetch(job.source, local.source, job.listed)


def _put_all(job: RemoteJob, local: Job) -> Identity | None:
    """Put what was written, the sound last: where it is, all is that belongs to it."""
    if not isinstance(job.target, Remote):
        return None
    store = store_of(job.target)
    for path in sorted(local.target.parent.iterdir()):
        place = _place(path, job, local)
        hidden = path.name.startswith(".")
        if path != local.target and not hidden and isinstance(place, Remote):
            store.put(path, place)
    return store.put(local.target, job.target)


def _places(done: Any, job: RemoteJob, local: Job) -> dict[str, Place]:
    """What a result says of files, by their own names."""
    values = {one.name: getattr(done, one.name) for one in fields(done)}
    return {
        name: _place(value, job, local) for name, value in values.items() if isinstance(value, Path)
    }


def _place(path: Path, job: RemoteJob, local: Job) -> Place:
    """What the user calls a file here."""
    if path == local.source:
        return job.source
    if path == local.target:
        return job.target
    if path.parent == local.target.parent:
        return job.beside(path.name.removeprefix(local.stem.name))
    return path


@contextmanager
def _named(job: RemoteJob, local: Job) -> Iterator[None]:
    """Say of which files an error is by the names that the user knows."""
    try:
        yield
    except SelfRemasterError as error:
        told = _told(str(error), job, local)
        if told.startswith(f"cannot write {job.target}") and local.target != job.target:
            told += f" on the disk of {tempfile.gettempdir()}, where it is before it is put"
        raise type(error)(told) from None
    except OSError as error:
        if error.filename is not None:
            error.filename = _told(str(error.filename), job, local)
        raise


def _told(text: str, job: RemoteJob, local: Job) -> str:
    for here, there in ((local.source, job.source), (local.target, job.target)):
        text = text.replace(str(here), str(there))
    return text
