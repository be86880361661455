"""Restore sound files by a model: the result as the recording was kept, pictures and numbers."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from selfremaster.core import audio, jobs, transferring
from selfremaster.core.content import Second, measure_content
from selfremaster.core.content_files import CONTENT_SUFFIX, write_content
from selfremaster.core.errors import AudioError, BundleError, ComponentError
from selfremaster.core.files import write_atomically
from selfremaster.core.formats import FORMATS
from selfremaster.core.interfaces import Metric
from selfremaster.core.jobs import Failure, Job, PathLike
from selfremaster.core.models import Model, check_dry_wet
from selfremaster.core.profiles import ChannelProfile

PICTURE_SUFFIX = ".png"
LONGEST_PICTURE_SECONDS = 60.0


@dataclass(frozen=True)
class Restored:
    """A file that was restored; the numbers of each metric before and after, where asked for.

    ``redegraded`` is the restored speech with the sound of the recording put back, and
    ``explained`` how near that comes to the recording. ``content`` says second by second how the
    restored sound differs from the recording.
    """

    source: Path
    target: Path
    seconds: float  # of sound
    took_seconds: float
    picture: Path | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    redegraded: Path | None = None
    explained: Mapping[str, float] = field(default_factory=dict)
    content: Sequence[Second] = ()
    content_file: Path | None = None


class _Wanted(NamedTuple):
    """What is asked for of each file besides the restored sound."""

    pictures: bool
    metrics: Sequence[Metric]
    references: Mapping[Path, Path]
    redegraded: Mapping[Path, Path]
    profile: ChannelProfile | None
    strength: float
    content: Sequence[Metric] | None


def restore_files(
    model: Model,
    planned: Sequence[Job],
    *,
    pictures: bool = False,
    metrics: Sequence[Metric] = (),
    references: Mapping[Path, Path] | None = None,
    redegraded: Mapping[Path, Path] | None = None,
    profile: ChannelProfile | None = None,
    strength: float = 1.0,
    content: Sequence[Metric] | None = None,
) -> Iterator[Restored | Failure]:
    """Restore one file after another, and give what came of each.

    A result has the rate, channels, length, level and kind of samples of its recording.
    ``references`` (source -> clean original) are what the metrics compare with. ``redegraded``
    (source -> another target) is where the restored speech goes with its sound put back, that of
    the recording itself or of the profile; the metrics compare it with the recording. ``strength``
    goes from the recording, 0, to the restored sound, 1. With ``content``, any number of metrics,
    what `measure_content` tells is written beside each result.

    Raises `BundleError` at once for a model that cannot do it, and `ComponentError` for a metric
    that needs a reference where there is none and for a strength outside 0 to 1; what concerns one
    file is a `Failure`.
    """
    if model.analyzer is None:
        raise BundleError(
            "this model is a vocoder alone: it has no analysis module to restore with"
        )
    check_dry_wet(strength)
    if redegraded:
        transferring.check_channel(model)
        if profile is not None:
            transferring.check_profile(model, profile)
    known = references or {}
    if any(metric.needs_reference for metric in metrics) and not all(
        job.source in known for job in planned
    ):
        raise ComponentError("these metrics compare with a clean original; give --reference")
    wanted = _Wanted(pictures, tuple(metrics), known, redegraded or {}, profile, strength, content)
    return jobs.run(planned, partial(_restore, model, wanted))


def _restore(model: Model, wanted: _Wanted, job: Job) -> Restored:
    """Read, restore, measure and draw one file; only then is anything written."""
    info = audio.inspect(job.source)
    reference = _reference(wanted.references.get(job.source), info.sample_rate)
    started = time.monotonic()
    recording, sample_rate = audio.read(job.source)
    metrics, place = wanted.metrics, wanted.redegraded.get(job.source)
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    explained: dict[str, float] = {}
    redegraded = None
    told: Sequence[Second] = ()
    try:
        restored = model.restore(recording, sample_rate, wanted.strength)
        took_seconds = time.monotonic() - started
        if wanted.content is not None:
            told = measure_content(recording, restored, sample_rate, wanted.content)
        if place is not None:
            redegraded = model.redegrade(recording, sample_rate, wanted.profile)
        if metrics:
            before = measure(metrics, recording, sample_rate, reference)
            after = measure(metrics, restored, sample_rate, reference)
            if redegraded is not None:
                explained = measure(metrics, redegraded, sample_rate, recording)
    except (AudioError, ComponentError) as error:
        raise type(error)(f"{job.source}: {error}") from None
    picture = job.beside(PICTURE_SUFFIX) if wanted.pictures else None
    meter = job.beside(CONTENT_SUFFIX) if wanted.content is not None else None
    with ExitStack() as stack:  # what else is written takes its place after the sound has
        if picture:
            drawn = stack.enter_context(write_atomically(picture))
            waves = {"input": recording, "restored": restored}
            if reference is not None:
                waves["clean original"] = reference
            _draw(drawn, waves, sample_rate, told)
        if meter:
            write_content(stack.enter_context(write_atomically(meter)), told)
        if place is not None and redegraded is not None:
            written = stack.enter_context(write_atomically(place))
            audio.write(written, redegraded, sample_rate, like=info)
        started = time.monotonic()
        audio.write(job.target, restored, sample_rate, like=info)
        took_seconds += time.monotonic() - started
    return Restored(
        job.source,
        job.target,
        info.seconds,
        took_seconds,
        picture,
        before,
        after,
        place,
        explained,
        told,
        meter,
    )


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


def plan_redegraded(
    planned: Sequence[Job],
    inputs: Sequence[PathLike],
    output: PathLike,
    originals: Sequence[Path] = (),
    overwrite: bool = False,
) -> dict[Path, Path]:
    """Where each recording goes when its sound was put back, as `jobs.plan` says of results.

    Recordings that lie in that folder themselves are left out. Raises `AudioError` as `jobs.plan`
    and `jobs.keep` do, and where a restored sound goes to the same place.
    """
    found = jobs.plan(inputs, output, overwrite=overwrite)
    jobs.keep(found, originals)
    restored = {job.target.resolve(): job.source for job in planned}
    for job in found:
        if job.target.resolve() in restored:
            raise AudioError(
                f"{job.target}: the restored sound goes there; name another place with --redegraded"
            )
    return {job.source: job.target for job in found if job.source in restored.values()}


def find_references(
    planned: Sequence[Job], reference: Path, option: str = "--reference"
) -> dict[Path, Path]:
    """The clean original of every recording: the file itself, or the one in the same place.

    In a folder another suffix will do. Raises `AudioError` naming a recording that has none.
    """
    if not reference.exists():
        raise AudioError(f"{reference}: no such file or folder; check the path of {option}")
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


def _draw(
    path: Path, waves: Mapping[str, Tensor], sample_rate: int, told: Sequence[Second]
) -> None:
    """A picture of the first minute, channels mixed."""
    from selfremaster.core.pictures import write_spectrograms  # slow to import

    longest = round(LONGEST_PICTURE_SECONDS * sample_rate)
    write_spectrograms(
        path,
        {name: wave.mean(dim=0)[:longest] for name, wave in waves.items()},
        sample_rate,
        [one for one in told if one.start_seconds < LONGEST_PICTURE_SECONDS],
    )
