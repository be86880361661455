"""What was done in a folder of results, line by line, so that a batch can be gone on with."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from selfremaster.core.errors import AudioError
from selfremaster.core.files import (
    LONGEST_STEM,
    cannot_write,
    sha256_of,
    write_atomically,
)
from selfremaster.core.jobs import Failure
from selfremaster.core.remote_jobs import AnyJob, Moved, RemoteJob
from selfremaster.core.remotes import Place, Remote, here

LEDGER_NAME = "restored.jsonl"
PROVENANCE_SUFFIX = ".provenance.json"
LONGEST_LINE = 1 << 24  # bytes; what is longer is no line of ours
COMPARED = ("output_sha256", "input", "input_sha256", "input_object")
OWN_VERSION = "selfremaster"
LEFTOVER = re.compile(r"\.(.*)\.[0-9a-f]{8}\.part(|\.[^.]*)", re.DOTALL)


class Result(Protocol):
    """What came of a file."""

    @property
    def source(self) -> Place:
        """The file it came of."""

    @property
    def target(self) -> Place:
        """Where it is."""

    @property
    def seconds(self) -> float:
        """Of sound."""

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


Done = TypeVar("Done", bound=Result)


@dataclass(frozen=True)
class Work:
    """What is done to every file of a batch: by which model, how, and by which versions."""

    model: Mapping[str, str]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    def same_as(self, told: Mapping[str, Any]) -> bool:
        """Whether an entry is of the same work; versions of others do not count."""
        versions = told.get("versions")
        own = versions.get(OWN_VERSION) if isinstance(versions, dict) else None
        return (
            told.get("model") == dict(self.model)
            and told.get("settings") == dict(self.settings)
            and own == self.versions[OWN_VERSION]
        )


@dataclass
class Ledger:
    """The record of a folder of results: what was begun, and what is done and proven.

    A line a file, `restored.jsonl`, forced to the disk; when all ends suddenly, at most the last
    line is not whole, and is passed over. Nothing that it says is ever opened: it is only compared
    with what is planned. Raises `SelfRemasterError` where it cannot be read or written.
    """

    folder: Path
    work: Work
    _hashes: dict[Path, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / LEDGER_NAME

    def remaining(
        self, planned: Sequence[AnyJob], beside: Sequence[str], also: Mapping[Path, Path]
    ) -> list[AnyJob]:
        """The jobs that are not proven done: same input, same work, and the result as it was.

        ``also`` (source -> path) are files that are written elsewhere. Raises `AudioError` for
        files that are there and that the record knows nothing of.
        """
        known, others = self._entries()
        strange = [
            path
            for job in planned
            for path, names in (
                (job.target, known),
                *((one, others) for one in others_of(job, beside, also)),
            )
            if here(path).exists() and self._name(path) not in names
        ]
        if strange:
            more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
            raise AudioError(
                f"{strange[0]}{more}: there, but no result of {self.path}; add --overwrite "
                "without --resume, or name another output"
            )
        return [
            job
            for job in planned
            if not self._proven(job, known.get(self._name(job.target)), beside, also)
        ]

    def clear(self, planned: Iterable[AnyJob], beside: Sequence[str]) -> None:
        """Take away what a run that was ended suddenly left of these results."""
        clear_leftovers(planned, beside)

    def begin(
        self, planned: Iterable[AnyJob], beside: Sequence[str], also: Mapping[Path, Path]
    ) -> None:
        """Say which files are to come, so that they are known even if all ends suddenly."""
        self._append([begun_of(job, beside, also, self._name) for job in planned])

    def following(self, results: Iterable[Done | Failure]) -> Iterator[Done | Failure]:
        """Write down what is done while it is done."""
        for result in results:
            if isinstance(result, Failure):
                self._append([{"failed": str(result.source), "reason": result.reason}])
            else:
                self._append([self.entry(result)])
            yield result

    def entry(self, result: Result) -> dict[str, Any]:
        """What is told of a result."""
        target_sha256 = result.target_sha256 or sha256_of(here(result.target))
        source_sha256 = result.source_sha256 or self._hash(here(result.source))
        hashes = (source_sha256, target_sha256)
        return entry_of(result, self._name(result.target), self.work, *hashes)

    def write_provenance(self, job: AnyJob, result: Result) -> None:
        """Write beside a result where it comes from."""
        path = here(job.beside(PROVENANCE_SUFFIX))
        with write_atomically(path) as temporary:
            temporary.write_bytes(provenance(self.entry(result)))

    def _proven(
        self,
        job: AnyJob,
        told: Mapping[str, Any] | None,
        beside: Sequence[str],
        also: Mapping[Path, Path],
    ) -> bool:
        if told is None or not told.get("same"):
            return False
        target = here(job.target)
        if not all(here(path).is_file() for path in (target, *others_of(job, beside, also))):
            return False
        with suppress(OSError):
            same = sha256_of(target) == told.get("output_sha256")
            return same and self._is_input(job, told)
        return False

    def _is_input(self, job: AnyJob, told: Mapping[str, Any]) -> bool:
        """Whether a result came of what the input holds today; no object is read for that."""
        if isinstance(job, RemoteJob) and isinstance(job.source, Remote):
            listed = job.listed and job.listed.told()
            same = (told.get("input"), told.get("input_object")) == (str(job.source), listed)
            return listed is not None and same
        return self._hash(here(job.source)) == told.get("input_sha256")

    def _hash(self, source: Path) -> str:
        if source not in self._hashes:
            self._hashes[source] = sha256_of(source)
        return self._hashes[source]

    def _name(self, path: Place) -> str:
        """A file as the record names it: by its place in the folder, or else by its path."""
        there = here(path)
        if there.is_relative_to(self.folder):
            return there.relative_to(self.folder).as_posix()
        return Path(os.path.abspath(there)).as_posix()

    def _entries(self) -> tuple[dict[str, Mapping[str, Any]], set[str]]:
        """What is told of each result, the last word counts, and the names of other files.

        Of results only begun nothing is told, and of the others no more than is compared.
        """
        found: dict[str, Mapping[str, Any]] = {}
        others: set[str] = set()
        for told in lines_of(self.path):
            if isinstance(begun := told.get("begun"), str):
                found[begun] = found.get(begun, {})
                others.update(beside_of(told))
            elif isinstance(output := told.get("output"), str):
                kept = {name: told[name] for name in COMPARED if name in told}
                found[output] = {**kept, "same": self.work.same_as(told)}
        return found, others

    def _append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        content = b"".join(as_bytes(entry) + b"\n" for entry in entries)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                if file.tell() and not _ends_a_line(self.path):
                    file.write(b"\n")
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from None


def entry_of(
    result: Result, output: str, work: Work, source_sha256: str, target_sha256: str
) -> dict[str, Any]:
    """What is told of a result, with what stores call the content of its input and of itself."""
    moved = result.moved or Moved()
    objects = {"input_object": moved.fetched, "output_object": moved.put}
    return {
        "output": output,
        "output_sha256": target_sha256,
        "input": str(result.source),
        "input_sha256": source_sha256,
        **{name: identity.told() for name, identity in objects.items() if identity},
        "model": dict(work.model),
        "settings": dict(work.settings),
        "versions": dict(work.versions),
        "seconds": round(result.seconds, 3),
        **({"notes": list(result.notes)} if result.notes else {}),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def provenance(entry: Mapping[str, Any]) -> bytes:
    """What is written beside a result."""
    return as_bytes(entry, indent=2) + b"\n"


def as_bytes(told: Mapping[str, Any], indent: int | None = None) -> bytes:
    """As JSON; names that are no text stay as they are on the disk."""
    return json.dumps(told, ensure_ascii=False, indent=indent).encode("utf-8", "surrogateescape")


def others_of(job: AnyJob, beside: Sequence[str], also: Mapping[Path, Path]) -> list[Place]:
    """What else is written of a recording than its result."""
    found: list[Place] = [job.beside(suffix) for suffix in beside]
    if isinstance(job.source, Path) and job.source in also:
        found.append(also[job.source])
    return found


def begun_of(
    job: AnyJob, beside: Sequence[str], also: Mapping[Path, Path], named: Callable[[Place], str]
) -> dict[str, Any]:
    """What is told of a recording that is to be worked on."""
    others = [named(path) for path in others_of(job, beside, also)]
    return {"begun": named(job.target), **({"beside": others} if others else {})}


def beside_of(told: Mapping[str, Any]) -> list[str]:
    """The names of further files in a line of what is begun."""
    others = told.get("beside")
    return [name for name in others if isinstance(name, str)] if isinstance(others, list) else []


def clear_leftovers(planned: Iterable[AnyJob], beside: Sequence[str]) -> None:
    """Delete what a run that was ended suddenly left of these results: hidden parts of them."""
    ours: dict[Path, set[tuple[str, str]]] = {}
    for job in planned:
        for path in (job.target, *map(job.beside, beside)):
            if isinstance(path, Path):
                own = (path.stem[:LONGEST_STEM], path.suffix)
                ours.setdefault(path.parent, set()).add(own)
    for folder, names in ours.items():
        with suppress(OSError):
            for there in folder.iterdir():  # once: there may be thousands of results in it
                found = LEFTOVER.fullmatch(there.name)
                if found is not None and (found[1], found[2]) in names:
                    there.unlink(missing_ok=True)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def lines_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The lines that are whole, one after the other: a record may be longer than memory."""
    if not path.exists():
        return
    if not path.is_file():
        raise AudioError(f"{path}: is no record of results; move it away, or name another output")
    try:
        with path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                with suppress(ValueError, RecursionError):
                    told = json.loads(line.decode("utf-8", "surrogateescape"))
                    if isinstance(told, dict):
                        yield told
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}; check its rights") from None
