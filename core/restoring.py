"""Restore sound files by a model: the result as the recording was kept, pictures and numbers."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import Tensor

from selfremaster.core import audio, jobs
from selfremaster.core.errors import AudioError, BundleError, ComponentError
from selfremaster.core.files import write_atomically
from selfremaster.core.formats import FORMATS
from selfremaster.core.interfaces import Metric
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.models import Model

PICTURE_SUFFIX = ".png"
LONGEST_PICTURE_SECONDS = 60.0


@dataclass(frozen=True)
class Restored:
    """A file that was restored; the numbers of each metric before and after, where asked for."""

    source: Path
    target: Path
    seconds: float  # of sound
    took_seconds: float
    picture: Path | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)


def restore_files(
    model: Model,
    planned: Sequence[Job],
    *,
    pictures: bool = False,
    metrics: Sequence[Metric] = (),
    references: Mapping[Path, Path] | None = None,
) -> Iterator[Restored | Failure]:
    """Restore one file after another, and give what came of each.

    A result has the rate, channels, length, level and kind of samples of its recording.
    ``references`` (source -> clean original) are what the metrics compare with.

    Raises `BundleError` at once for a model that cannot restore, and `ComponentError` for a metric
    that needs a reference where there is none; what concerns one file is a `Failure`.
    """
    if model.analyzer is None:
        raise BundleError(
            "this model is a vocoder alone: it has no analysis module to restore with"
        )
    known = references or {}
    if any(metric.needs_reference for metric in metrics) and not all(
        job.source in known for job in planned
    ):
        raise ComponentError("these metrics compare with a clean original; give --reference")
    work = partial(_restore, model, pictures, tuple(metrics), known)
    return jobs.run(planned, work)


def _restore(
    model: Model,
    pictures: bool,
    metrics: Sequence[Metric],
    references: Mapping[Path, Path],
    job: Job,
) -> Restored:
    """Read, restore, measure and draw one file; only then is anything written."""
    info = audio.inspect(job.source)
    reference = _reference(references.get(job.source), info.sample_rate)
    started = time.monotonic()
    recording, sample_rate = audio.read(job.source)
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    try:
        restored = model.restore(recording, sample_rate)
        took_seconds = time.monotonic() - started
        if metrics:
            before = measure(metrics, recording, sample_rate, reference)
            after = measure(metrics, restored, sample_rate, reference)
    except (AudioError, ComponentError) as error:
        raise type(error)(f"{job.source}: {error}") from None
    picture = job.beside(PICTURE_SUFFIX) if pictures else None
    with ExitStack() as stack:
        if picture:  # takes its place after the sound has taken its own
            drawn = stack.enter_context(write_atomically(picture))
            waves = {"input": recording, "restored": restored}
            if reference is not None:
                waves["clean original"] = reference
            _draw(drawn, waves, sample_rate)
        started = time.monotonic()
        audio.write(job.target, restored, sample_rate, like=info)
        took_seconds += time.monotonic() - started
    return Restored(job.source, job.target, info.seconds, took_seconds, picture, before, after)


def measure(
    metrics: Iterable[Metric], wave: Tensor, sample_rate: int, reference: Tensor | None
) -> dict[str, float]:
    """The numbers of all metrics, the mean over channels.

    Shape: wave (channels, samples); the reference has as many channels, or is taken as their mean.
    """
    if reference is not None and reference.shape[0] != wave.shape[0]:
        reference = reference.mean(dim=0, keepdim=True).expand(wave.shape[0], -1)
    numbers: dict[str, float] = {}
    for metric in metrics:
        for channel, estimate in enumerate(wave):
            told = metric.compute(
                estimate, sample_rate, None if reference is None else reference[channel]
            )
            for name, number in told.items():
                numbers[name] = numbers.get(name, 0.0) + number / len(wave)
    return numbers


def find_references(planned: Sequence[Job], reference: Path) -> dict[Path, Path]:
    """The clean original of every recording: the file itself, or the one in the same place.

    In a folder another suffix will do. Raises `AudioError` naming a recording that has none.
    """
    if not reference.exists():
        raise AudioError(f"{reference}: no such file or folder; check the path of --reference")
    if reference.is_file():
        if len(planned) > 1:
            raise AudioError(
                f"{reference}: one original for {len(planned)} recordings; name a folder"
            )
        return {planned[0].source: reference}
    return {job.source: _same_place(job, reference) for job in planned}


def _same_place(job: Job, folder: Path) -> Path:
    exact = folder / job.place
    for candidate in (exact, *(exact.with_suffix(suffix) for suffix in FORMATS)):
        if candidate.is_file():
            return candidate
    raise AudioError(f"{job.source}: no clean original {exact}; name the folder that has it there")


def _reference(path: Path | None, sample_rate: int) -> Tensor | None:
    if path is None:
        return None
    wave, own_rate = audio.read(path)
    return audio.resample(wave, own_rate, sample_rate)


def _draw(path: Path, waves: Mapping[str, Tensor], sample_rate: int) -> None:
    """A picture of the first minute, channels mixed."""
    from selfremaster.core.pictures import write_spectrograms  # slow to import

    longest = round(LONGEST_PICTURE_SECONDS * sample_rate)
    write_spectrograms(
        path, {name: wave.mean(dim=0)[:longest] for name, wave in waves.items()}, sample_rate
    )
