"""Batches of recordings: which files, by how many processes, and what is proven done."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from selfremaster.commands.models import load_model
from selfremaster.commands.precisions import set_precision
from selfremaster.commands.runtimes import DEFAULT_RUNTIME, set_runtime
from selfremaster.commands.terminal import note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from selfremaster.commands.urls import AnyLedger
    from selfremaster.core.jobs import Failure, Job
    from selfremaster.core.models import Model
    from selfremaster.core.remote_jobs import AnyJob
    from selfremaster.core.remotes import Place
    from selfremaster.core.restoring import Restored

Told = TypeVar("Told", "Restored", "Failure")

IncludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="PATTERN",
        help="Only files that lie so in their folder, such as 1931/*.wav; capitals make no "
        "difference; may be repeated.",
        show_default=False,
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="PATTERN", help="Not such files; may be repeated.", show_default=False
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with a folder of results: what restored.jsonl proves done is left as it is.",
    ),
]
ProvenanceOption = Annotated[
    bool,
    typer.Option(
        "--provenance",
        help="Write NAME.provenance.json beside each result: what it was made from, how, by what.",
    ),
]


@dataclass(frozen=True)
class Choice:
    """A model by the words of the command, from which any process can load it."""

    reference: str | None
    device: str
    vocoder: str | None
    faithful: bool
    resynthesise: bool
    precision: str
    runtime: str = DEFAULT_RUNTIME

    def load(self, quiet: bool) -> Model:
        """The model; raises `SelfRemasterError` where there is none such."""
        loaded = self._faithful() if self.faithful else self._plain()
        if self.resynthesise:
            loaded.output = None
        set_precision(loaded, self.precision, quiet)
        set_runtime(loaded, self.runtime, quiet)
        return loaded

    def _plain(self) -> Model:
        return load_model(self.reference, self.device, self.vocoder)

    def _faithful(self) -> Model:
        from selfremaster.core.errors import ComponentError
        from selfremaster.registry.assembling import FAITHFUL_VOCODER

        try:
            return load_model(self.reference, self.device, FAITHFUL_VOCODER)
        except ComponentError as error:
            self._plain()  # what is wrong without --faithful too is told as it is
            raise ComponentError(
                f"--faithful does not suit this model, leave it out: {error}"
            ) from None


def folder_of(inputs: Sequence[Path], output: str, planned: Sequence[Job]) -> Path | None:
    """The folder of the results, or none where one file goes to one file."""
    alone = len(inputs) == 1 and not inputs[0].is_dir() and planned[0].target == Path(output)
    return None if alone else Path(output)


def check_resume(resume: bool, overwrite: bool, folder: Place | None) -> None:
    """Raise `AudioError` for a batch that cannot be gone on with."""
    from selfremaster.core.errors import AudioError

    if resume and overwrite:
        raise AudioError(
            "--resume leaves what is done as it is and --overwrite replaces it; give one of them"
        )
    if resume and folder is None:
        raise AudioError(
            "--resume goes on with a folder of results; name one, with / at its end, as --output"
        )


def rest_of(
    planned: Sequence[AnyJob],
    ledger: AnyLedger,
    beside: Sequence[str],
    quiet: bool,
    redegraded: Mapping[Path, Path],
) -> list[AnyJob]:
    """What is still to be done, after what a run left that was ended suddenly is cleared away."""
    ledger.clear(planned, beside)
    left = {job.source for job in ledger.remaining(planned, beside, redegraded)}
    rest = [job for job in planned if job.source in left]
    if not quiet:
        note(f"{len(planned) - len(rest)} of {len(planned)} files were done before")
    return rest


@contextmanager
def locked_while(folder: Place | None) -> Iterator[None]:
    """Have the folder of results for this run alone; a single file needs none, a store has none."""
    if not isinstance(folder, Path):
        yield
        return
    from selfremaster.core.locks import locked

    with locked(folder):
        yield


def tidy(job: AnyJob, beside: Sequence[str], redegraded: Mapping[Path, Path]) -> None:
    """Clear away what is left of a file whose process was ended while it wrote."""
    from selfremaster.core.jobs import Job
    from selfremaster.core.ledgers import clear_leftovers

    clear_leftovers([job], beside)
    if isinstance(job, Job) and (place := redegraded.get(job.source)) is not None:
        clear_leftovers([job._replace(target=place)], ())


def in_order_of(planned: Sequence[AnyJob], results: Iterable[Told]) -> list[Told]:
    """Results as they were planned, whoever was done first; what was refused before is first."""
    places = {job.source: number for number, job in enumerate(planned)}
    return sorted(results, key=lambda result: places.get(result.source, -1))


def written_down(
    results: Iterable[Restored | Failure],
    ledger: AnyLedger,
    planned: Sequence[AnyJob],
    provenance: bool,
) -> Iterator[Restored | Failure]:
    """The results, with what they were made from beside them where that is wanted."""
    from selfremaster.core.errors import SelfRemasterError, one_line
    from selfremaster.core.jobs import Failure

    jobs = {job.source: job for job in planned}
    for result in results:
        if provenance and not isinstance(result, Failure):
            try:
                ledger.write_provenance(jobs[result.source], result)
            except (SelfRemasterError, OSError) as error:
                told = one_line(error) if isinstance(error, OSError) else str(error)
                yield Failure(result.source, f"{result.source}: {told}", error)
                continue
        yield result
