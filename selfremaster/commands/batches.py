"""Batches of recordings: which files, by how many processes, and what is proven done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.models import load_model
from selfremaster.commands.precisions import set_precision
from selfremaster.commands.runtimes import DEFAULT_RUNTIME, set_runtime
from selfremaster.commands.terminal import note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from selfremaster.core.jobs import Failure, Job
    from selfremaster.core.ledgers import Ledger, Work
    from selfremaster.core.models import Model
    from selfremaster.core.restoring import Restored, Wanted

FAITHFUL_VOCODER = "blend"

IncludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="PATTERN",
        help="Only files that lie so in their folder, such as 1931/*.wav; may be repeated.",
        show_default=False,
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="PATTERN", help="Not such files; may be repeated.", show_default=False
    ),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", metavar="N", min=1, help="How many files to restore at once.")
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

        try:
            return load_model(self.reference, self.device, FAITHFUL_VOCODER)
        except ComponentError as error:
            self._plain()  # what is wrong without --faithful too is told as it is
            raise ComponentError(
                f"--faithful does not suit this model, leave it out: {error}"
            ) from None


@dataclass(frozen=True)
class Apart:
    """Restores a file in a process of its own, which loads the model once."""

    choice: Choice
    wanted: Wanted

    def __call__(self, job: Job) -> Restored:
        """What came of the file."""
        from selfremaster.core.restoring import worker

        return worker(_loaded(self.choice), [job], self.wanted)(job)


@lru_cache(maxsize=1)
def _loaded(choice: Choice) -> Model:
    return choice.load(quiet=True)


def work_of(model: Model, settings: Mapping[str, Any]) -> Work:
    """What is done to every file, as a record tells it."""
    import torch

    from selfremaster import __version__
    from selfremaster.core.ledgers import Work
    from selfremaster.core.tensorfiles import content_hash

    speaker = model.output or model.vocoder
    described = {"speaker": type(speaker).__name__, "config": speaker.config.model_dump_json()}
    identity = {"name": model.name, "sha256": content_hash(model.state_dict(), described)}
    versions = {"selfremaster": __version__, "torch": torch.__version__}
    return Work(identity, settings, versions)


def folder_of(inputs: Sequence[Path], output: str, planned: Sequence[Job]) -> Path | None:
    """The folder of the results, or none where one file goes to one file."""
    alone = len(inputs) == 1 and not inputs[0].is_dir() and planned[0].target == Path(output)
    return None if alone else Path(output)


def check_resume(resume: bool, overwrite: bool, folder: Path | None) -> None:
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
    planned: Sequence[Job], ledger: Ledger, beside: Sequence[str], quiet: bool
) -> list[Job]:
    """What is still to be done, after what a run left that was ended suddenly is cleared away."""
    from selfremaster.core.ledgers import clear_leftovers

    clear_leftovers(planned, beside)
    rest = ledger.remaining(planned, beside)
    if not quiet:
        note(f"{len(planned) - len(rest)} of {len(planned)} files were done before")
    return rest


def written_down(
    results: Iterable[Restored | Failure], ledger: Ledger, planned: Sequence[Job], provenance: bool
) -> Iterator[Restored | Failure]:
    """The results, with what they were made from beside them where that is wanted."""
    from selfremaster.core.jobs import Failure
    from selfremaster.core.ledgers import write_provenance

    jobs = {job.source: job for job in planned}
    for result in results:
        if provenance and not isinstance(result, Failure):
            write_provenance(jobs[result.source], ledger.entry(result))
        yield result
