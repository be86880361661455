"""From files and folders to results: where each result goes, and what could not be done."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch

from selfremaster.core.audio import find_audio
from selfremaster.core.crews import Care
from selfremaster.core.errors import STOPS, AudioError, SelfRemasterError, one_line
from selfremaster.core.files import nearest_folder, real_path
from selfremaster.core.folders import is_wanted, other_files, tally
from selfremaster.core.formats import FORMATS
from selfremaster.core.parallel import spread
from selfremaster.core.remotes import Place
from selfremaster.core.result_names import renamed, stems_of
from selfremaster.core.workers import comes_back

PathLike = str | os.PathLike[str]


class Sourced(Protocol):
    """Work on a file."""

    @property
    def source(self) -> Place:
        """The file that it is on."""


Task = TypeVar("Task", bound=Sourced)
Done = TypeVar("Done")
Thing = TypeVar("Thing")

SHOWN_PATHS = 3


class Job(NamedTuple):
    """One sound file to work on, and where its result goes."""

    source: Path
    place: Path  # where the file lies in the folder that was given
    target: Path
    stem: Path  # the target without its suffix, unless others would share what is left

    def beside(self, suffix: str) -> Path:
        """A file next to the result: its name with another suffix."""
        return self.stem.with_name(self.stem.name + suffix)


@dataclass(frozen=True)
class Failure:
    """A file that could not be done, and why."""

    source: Place
    reason: str
    error: Exception


def plan(
    inputs: Sequence[PathLike],
    output: PathLike,
    *,
    overwrite: bool = False,
    beside: Sequence[str] = (),
    suffix: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    refused: list[Failure] | None = None,
) -> list[Job]:
    """Find the sound files of the inputs and say where each result goes; nothing is written.

    One file goes to ``output`` itself, or into it where it is a folder or ends in a slash. Several
    files, or those of a folder, go into the folder ``output``, which keeps their tree. What lies in
    an output folder inside the input folder is no input. ``beside`` are suffixes of further files
    that are written next to each result. ``suffix`` is that of all results, otherwise they have
    those of their inputs, or .flac where nothing is written as an input is; the input's own suffix
    stays before it where two results would share a name. ``include`` and ``exclude`` are patterns
    of the places of files in their folders, such as ``*.wav`` or ``1931/*``, as `is_wanted` says.

    Folders that cannot be listed are added to ``refused``, or raise without it.

    Raises `AudioError` for missing inputs, a result that would take the place of an input, one that
    exists unless ``overwrite``, and an output that cannot be a folder or be written into.
    """
    given = [Path(path) for path in inputs]
    if not given:
        raise AudioError("no input; name sound files or folders")
    single = len(given) == 1 and not given[0].is_dir()
    found = chosen(found_audio(given, exclude, refused), include, exclude)
    if single:
        source, place = found[0]
        targets = [(source, place, single_target(source, output, suffix))]
    else:
        folder = folder_for_results(output)
        found = [pair for pair in found if not is_within(pair[0], folder, given)]
        if not found:
            raise AudioError(f"{folder}: holds all the sound files there are; name another output")
        places = renamed([place for _, place in found], suffix)
        targets = [
            (source, place, folder / named)
            for (source, place), named in zip(found, places, strict=True)
        ]
    stems = stems_of([target for _, _, target in targets])
    jobs = [Job(*one, stem) for one, stem in zip(targets, stems, strict=True)]
    keep(jobs, (job.source for job in jobs), beside)
    if not overwrite:
        refuse_results(jobs, beside)
    for parent in {job.target.parent for job in jobs}:
        check_writable(parent)
    return jobs


def found_audio(
    given: Sequence[PathLike], exclude: Sequence[str], refused: list[Failure] | None
) -> list[tuple[Path, Path]]:
    """As `find_audio`; folders in it that cannot be listed are refused, unless they are excluded.

    Raises `AudioError` where there is no list for them.
    """

    def unlisted(folder: Path, place: Path, why: str) -> None:
        if not is_wanted(place / "any", (), exclude):
            return
        error = AudioError(
            f"{folder}: cannot be listed: {why}; check its rights, or leave it out "
            f'(--exclude "{place.as_posix()}/*")'
        )
        if refused is None:
            raise error
        refused.append(Failure(folder, str(error), error))

    return find_audio(given, unlisted)


def keep(jobs: Sequence[Job], originals: Iterable[PathLike], beside: Sequence[str] = ()) -> None:
    """Raise `AudioError` if a result would take the place of one of these files."""
    keep_originals(_written(jobs, beside), originals)


def keep_originals(written: Iterable[Path], originals: Iterable[PathLike]) -> None:
    """Raise `AudioError` if one of the files to be written is one of these."""
    kept = {_identity(Path(path)): path for path in originals}
    for path in written:
        original = kept.get(_identity(path)) if path.exists() else None
        if original is not None:
            raise AudioError(
                f"{path}: would take the place of {original}; originals are never overwritten, "
                "name another output"
            )


def run(
    tasks: Iterable[Task], work: Callable[[Task], Done], processes: int = 1
) -> Iterator[Done | Failure]:
    """Do one job after another; one that fails is told as a `Failure`, and the rest goes on.

    With several processes as many are done at once, and told in the same order; one that ends its
    process fails alone, too.
    """
    planned = list(tasks)
    if processes > 1 and len(planned) > 1:
        care = Care(lost=lambda task, loss: given_up(task, loss.words()))
        yield from spread(Attempt(work), planned, min(processes, len(planned)), care)
        return
    for task in planned:
        yield _attempt(work, task)


@dataclass(frozen=True)
class Attempt(Generic[Task, Done]):
    """Work in another process, which hands its errors over; it begins as the work itself does."""

    work: Callable[[Task], Done]

    def begin(self) -> Any:
        """What the work says of itself."""
        own = getattr(self.work, "begin", None)
        return own() if own else None

    def __call__(self, task: Task) -> Done | Failure:
        """What came of a file."""
        outcome = _attempt(self.work, task)
        if isinstance(outcome, Failure) and not comes_back(outcome.error):
            return replace(outcome, error=RuntimeError(one_line(outcome.error)))
        return outcome


def given_up(task: Sourced, why: str) -> Failure:
    """The failure of a file whose process gave no result."""
    reason = f"{task.source}: {why}"
    return Failure(task.source, reason, SelfRemasterError(reason))


def _attempt(work: Callable[[Task], Done], task: Task) -> Done | Failure:
    try:
        return work(task)
    except SelfRemasterError as error:
        return Failure(task.source, str(error), error)
    except OSError as error:
        reason = (error.strerror or one_line(error)).lower()
        return Failure(task.source, f"{error.filename or task.source}: {reason}", error)
    except (MemoryError, torch.OutOfMemoryError) as error:
        reason = f"{task.source}: not enough memory for it; cut it into shorter files"
        return Failure(task.source, reason, error)
    except STOPS:
        raise
    except BaseException as error:  # a stranger's part may even end the process
        told = one_line(error)
        plain = error if isinstance(error, Exception) else RuntimeError(told)
        return Failure(task.source, f"{task.source}: internal error: {told}", plain)


def left_alone(
    inputs: Sequence[PathLike],
    output: PathLike,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> dict[str, int]:
    """How many files `plan` passes over that are no sound, by suffix; hidden ones do not count."""
    given, folder = [Path(path) for path in inputs], Path(output)
    return tally(
        place
        for file, place in other_files(given)
        if is_wanted(place, include, exclude) and not is_within(file, folder, given)
    )


def chosen(
    found: Sequence[tuple[Thing, Path]], include: Sequence[str], exclude: Sequence[str]
) -> list[tuple[Thing, Path]]:
    """What lies in a place that the patterns want; raises `AudioError` where nothing does."""
    wanted = [pair for pair in found if is_wanted(pair[1], include, exclude)]
    if not wanted:
        told = ", ".join([*include, *(f"not {pattern}" for pattern in exclude)])
        raise AudioError(
            f"none of {len(found)} sound files fits ({told}), such as {found[0][1].as_posix()}; "
            "change the patterns of --include and --exclude"
        )
    return wanted


def single_target(source: Place, output: PathLike, suffix: str | None) -> Path:
    """Where the result of the only input goes; raises `AudioError` where it cannot be written."""
    target = Path(output)
    if target.is_dir() or str(os.fspath(output)).endswith(("/", os.sep)):
        return folder_for_results(output) / renamed([Path(source.name)], suffix)[0]
    check_single(target, suffix)
    return target


def check_single(target: Place, suffix: str | None) -> None:
    """Raise `AudioError` for a result that is no sound file by its name, or not of this suffix."""
    if suffix is not None and target.suffix.lower() != suffix:
        raise AudioError(f"{target}: is no {suffix} file; name one that ends so, or a folder")
    if target.suffix.lower() not in FORMATS:
        raise AudioError(
            f"{target}: name a sound file ({', '.join(FORMATS)}), or a folder with / at its end"
        )


def folder_for_results(output: PathLike) -> Path:
    """The folder of several results; raises `AudioError` for a file, there or meant."""
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise AudioError(f"{folder}: is a file; name a folder for the results")
    if not folder.exists() and folder.suffix.lower() in FORMATS:
        raise AudioError(
            f"{folder}: several results need a folder; name one without {folder.suffix}"
        )
    return folder


def is_within(source: Path, folder: Path, given: Sequence[Path]) -> bool:
    """Whether a file comes from an output folder that lies inside one of the input folders."""
    if source in given:
        return False
    results = real_path(folder)
    roots = [real_path(path) for path in given if path.is_dir()]
    return results not in roots and results in Path(os.path.realpath(source)).parents


def _written(jobs: Sequence[Job], beside: Sequence[str]) -> Iterator[Path]:
    for job in jobs:
        yield from (job.target, *map(job.beside, beside))


def refuse_results(jobs: Sequence[Job], beside: Sequence[str] = ()) -> None:
    """Raise `AudioError` if any file that these write is there."""
    refuse_existing(_written(jobs, beside))


def refuse_existing(paths: Iterable[Path]) -> None:
    """Raise `AudioError` if any of these files, which are to be written, is there."""
    refuse([path for path in paths if path.exists()])


def refuse(existing: Sequence[Place]) -> None:
    """Raise `AudioError` if any results are there already."""
    if existing:
        more = len(existing) - SHOWN_PATHS
        named = ", ".join(map(str, existing[:SHOWN_PATHS])) + (
            f" and {more} more" if more > 0 else ""
        )
        there = " exist" if len(existing) > 1 else ": exists"
        raise AudioError(f"{named}{there} already; add --overwrite, or name another output")


def _identity(path: Path) -> tuple[int, int] | Path:
    try:
        status = path.stat()
    except OSError:
        return path
    return (status.st_dev, status.st_ino) if status.st_ino else real_path(path)


def check_writable(folder: Path) -> None:
    """Raise before any work where the nearest folder that exists cannot be written into."""
    nearest = nearest_folder(folder)
    if not nearest.is_dir():
        raise AudioError(f"{folder}: cannot be made, {nearest} is a file; name another output")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise AudioError(f"{nearest}: cannot be written into; choose a folder that can")
