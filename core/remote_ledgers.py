"""What was done in a folder of a store, object by object, so that a batch can be gone on with."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfremaster.core.errors import AudioError, RemoteError
from selfremaster.core.files import sha256_of
from selfremaster.core.jobs import Failure
from selfremaster.core.ledgers import (
    OWN_VERSION,
    PROVENANCE_SUFFIX,
    Done,
    Result,
    Work,
    as_bytes,
    begun_of,
    beside_of,
    entry_of,
    lines_of,
    provenance,
)
from selfremaster.core.remote_jobs import AnyJob, Moved
from selfremaster.core.remotes import Identity, Place, Remote
from selfremaster.core.scratch import scratch
from selfremaster.core.stores import store_of

DONE, BEGUN = ".restored/done/", ".restored/begun/"
PROOF_DIGITS = 32


@dataclass
class RemoteLedger:
    """The record of a folder of a store: an object a result, whose name is the proof.

    ``.restored/done/PLACE.PROOF.json`` is put after the result. Its PROOF is a hash of the input's
    identity, the work and the result's identity, so that a listing alone, a request a thousand
    objects, shows what is done: no record is read. What a run will do is put beforehand, as one
    object in ``.restored/begun/``, which is read only where a result has no record, or others lie
    beside results. Nobody appends to anything, and nothing is deleted. Raises `SelfRemasterError`.
    """

    folder: Remote
    work: Work
    there: Mapping[str, Identity]  # what the folder held when it was listed
    _hashes: dict[Path, str] = field(default_factory=dict)

    def remaining(
        self, planned: Sequence[AnyJob], beside: Sequence[str], also: Mapping[Path, Path]
    ) -> list[AnyJob]:
        """The jobs that are not proven done: same input, same work, and the result as it was.

        Nothing else is written elsewhere. Raises `AudioError` for files that are there and that
        the record knows nothing of.
        """
        del also
        places = [self._place(job.target) for job in planned]
        recorded = {
            name.removeprefix(DONE).rsplit(".", 2)[0]
            for name in self.there
            if name.startswith(DONE)
        }
        aside = [self._place(job.beside(suffix)) for job in planned for suffix in beside]
        unknown = [place for place in places if place not in recorded]
        unknown = [place for place in (*unknown, *aside) if place in self.there]
        strange = set(unknown) - self._begun() if unknown else set()
        if strange:
            more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
            raise AudioError(
                f"{self.folder.within(min(strange))}{more}: there, but no result of which "
                f"{self.folder.within(DONE)} knows; add --overwrite without --resume, or name "
                "another output"
            )
        return [
            job
            for job, place in zip(planned, places, strict=True)
            if place not in recorded or not self._proven(job, place, beside)
        ]

    def clear(self, planned: Sequence[AnyJob], beside: Sequence[str]) -> None:
        """Take away what a run that was ended suddenly had not put to its end."""
        keys = {
            path.key
            for job in planned
            for path in (job.target, *map(job.beside, beside))
            if isinstance(path, Remote)
        }
        store_of(self.folder).clear_unfinished(self.folder, frozenset(keys))

    def begin(
        self, planned: Iterable[AnyJob], beside: Sequence[str], also: Mapping[Path, Path]
    ) -> None:
        """Say which files are to come, so that they are known even if all ends suddenly."""
        told = (begun_of(job, beside, also, self._place) for job in planned)
        content = b"".join(as_bytes(line) + b"\n" for line in told)
        digest = hashlib.sha256(content).hexdigest()[:PROOF_DIGITS]
        name = f"{BEGUN}{digest}.jsonl"
        if content and name not in self.there:
            self._put(name, content)

    def following(self, results: Iterable[Done | Failure]) -> Iterator[Done | Failure]:
        """Write down what is done while it is done; what cannot be written down has failed."""
        for result in results:
            if isinstance(result, Failure) or result.moved is None or result.moved.put is None:
                yield result
                continue
            try:
                self._record(result, result.moved, result.moved.put)
            except RemoteError as error:
                yield Failure(result.source, f"{result.source}: {error}", error)
            else:
                yield result

    def entry(self, result: Result) -> dict[str, Any]:
        """What is told of a result."""
        hashes = (result.source_sha256, result.target_sha256)
        return entry_of(result, self._place(result.target), self.work, *hashes)

    def write_provenance(self, job: AnyJob, result: Result) -> None:
        """Put beside a result where it comes from."""
        place = self._place(job.beside(PROVENANCE_SUFFIX))
        self._put(place, provenance(self.entry(result)))

    def _record(self, result: Result, moved: Moved, put: Identity) -> None:
        told = self._input(result.source, moved.fetched, result.source_sha256)
        place = self._place(result.target)
        content = as_bytes(self.entry(result)) + b"\n"
        self._put(f"{DONE}{place}.{self._proof(told, put)}.json", content)

    def _proven(self, job: AnyJob, place: str, beside: Sequence[str]) -> bool:
        put = self.there.get(place)
        aside = [self._place(job.beside(suffix)) for suffix in beside]
        if put is None or not all(one in self.there for one in aside):
            return False
        listed = getattr(job, "listed", None)
        told = self._input(job.source, listed)
        return told is not None and f"{DONE}{place}.{self._proof(told, put)}.json" in self.there

    def _input(self, source: Place, listed: Identity | None, sha256: str = "") -> Any:
        """What tells the content of an input from any other, or None where nothing does."""
        if isinstance(source, Remote):
            return listed and {"input": str(source), **listed.told()}
        if source not in self._hashes:
            self._hashes[source] = sha256 or sha256_of(source)
        return {"sha256": self._hashes[source]}

    def _proof(self, told: Any, put: Identity) -> str:
        same = {
            "input": told,
            "output": put.told(),
            "model": dict(self.work.model),
            "settings": dict(self.work.settings),
            "version": self.work.versions[OWN_VERSION],
        }
        text = json.dumps(same, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:PROOF_DIGITS]

    def _begun(self) -> set[str]:
        """The files that earlier runs said they would write."""
        found: set[str] = set()
        with scratch() as folder:
            for name in self.there:
                if name.startswith(BEGUN):
                    remote, path = self.folder.within(name), folder / "begun.jsonl"
                    store_of(remote).fetch(remote, path, self.there[name])
                    for told in lines_of(path):
                        found.update(beside_of(told))
                        if isinstance(place := told.get("begun"), str):
                            found.add(place)
        return found

    def _place(self, target: Place) -> str:
        found = target.place_in(self.folder) if isinstance(target, Remote) else None
        if found is None:
            raise RemoteError(f"{target}: does not lie in {self.folder}")
        return found

    def _put(self, name: str, content: bytes) -> None:
        remote = self.folder.within(name)
        with scratch() as folder:
            path = folder / "record"
            path.write_bytes(content)
            store_of(remote).put(path, remote)
