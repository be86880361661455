"""Restore sound files by a model: the result as the recording was kept, pictures and numbers."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from selfremaster.core import audio, guards, jobs, transferring
from selfremaster.core.content import Second, content_of
from selfremaster.core.content_files import CONTENT_SUFFIX, write_content
from selfremaster.core.diaries import tell_length
from selfremaster.core.effects import Channels
from selfremaster.core.errors import AudioError, BundleError, ComponentError
from selfremaster.core.files import real_path, write_atomically
from selfremaster.core.findings import findings, loudness_of
from selfremaster.core.formats import FORMATS
from selfremaster.core.interfaces import Metric
from selfremaster.core.jobs import Failure, Job, PathLike
from selfremaster.core.keeping import check_result, folder_for, keep, naming
from selfremaster.core.models import Model, check_channels, check_dry_wet
from selfremaster.core.pictures import write_beginnings
from selfremaster.core.profiles import ChannelProfile
from selfremaster.core.remote_jobs import AnyJob, AtHand, Moved
from selfremaster.core.remotes import Place
from selfremaster.core.streaming import Filed, Held, Sound, beginning

PICTURE_SUFFIX = ".png"


@dataclass(frozen=True)
class Restored:
    """A file that was restored; the numbers of each metric before and after, where asked for.

    ``redegraded`` is the restored speech with the sound of the recording put back, and
    ``explained`` how near that comes to the recording. ``content`` says second by second how the
    restored sound differs from the recording.
    """

    source: Place
    target: Place
    seconds: float  # of sound
    took_seconds: float
    picture: Place | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    redegraded: Path | None = None
    explained: Mapping[str, float] = field(default_factory=dict)
    content: Sequence[Second] = ()
    content_file: Place | None = None
    notes: tuple[str, ...] = ()  # what is to be known of it
    source_sha256: str = ""  # of the files as they were then, where who restored took them
    target_sha256: str = ""
    moved: Moved | None = None  # where stores have to do with it


@dataclass(frozen=True)
class Form:
    """How recordings are read and restored, and how the results are kept.

    ``strength`` goes from the recording, 0, to the restored sound, 1; for ``channels`` see
    `Model.restore`. ``wanted_lufs``, ``sample_rate`` (Hz) and ``subtype`` take the place of the
    recording's own loudness, rate and kind of samples. What is missing at the end of a recording is
    told, and ``strict`` refuses such a recording; samples that are no finite numbers are refused,
    and ``repair`` makes them up from their neighbours.

    Raises `ComponentError` for a strength outside 0 to 1, and for other channels.
    """

    strength: float = 1.0
    channels: Channels = "linked"
    wanted_lufs: float | None = None
    sample_rate: int | None = None
    subtype: str | None = None
    strict: bool = False
    repair: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked."""
        check_dry_wet(self.strength)
        check_channels(self.channels)


class Wanted(NamedTuple):
    """What is asked for of each file besides the restored sound."""

    form: Form
    pictures: bool
    metrics: Sequence[Metric]
    references: Mapping[Path, Path]
    redegraded: Mapping[Path, Path]
    profile: ChannelProfile | None
    content: Sequence[Metric] | None


def restore_files(
    model: Model,
    planned: Sequence[Job],
    *,
    form: Form | None = None,
    pictures: bool = False,
    metrics: Sequence[Metric] = (),
    references: Mapping[Path, Path] | None = None,
    redegraded: Mapping[Path, Path] | None = None,
    profile: ChannelProfile | None = None,
    content: Sequence[Metric] | None = None,
) -> Iterator[Restored | Failure]:
    """Restore one file after another, and give what came of each.

    A result has the rate, channels, length, loudness and kind of samples of its recording, but for
    what ``form`` says. ``references`` (source -> clean original) are what the metrics compare with.
    ``redegraded`` (source -> another target) is where the restored speech goes with its sound put
    back, that of the recording itself or of the profile; the metrics compare it with the recording.
    With ``content``, any number of metrics, what `content_of` tells is written beside each
    result. Without metrics, content and redegraded sounds, memory does not grow with the length of
    a recording.

    Raises `BundleError` at once for a model that cannot do it, and `ComponentError` for a metric
    that needs a reference where there is none; what concerns one file is a `Failure`.
    """
    wanted = Wanted(
        form or Form(),
        pictures,
        tuple(metrics),
        references or {},
        redegraded or {},
        profile,
        content,
    )
    return jobs.run(planned, worker(model, planned, wanted))


def worker(model: Model, planned: Sequence[AnyJob], wanted: Wanted) -> Callable[[AnyJob], Restored]:
    """Check that all can be done that is asked for; gives what restores a file, here or not."""
    if model.analyzer is None:
        raise BundleError(
            "this model is a vocoder alone: it has no analysis module to restore with"
        )
    if wanted.redegraded:
        transferring.check_channel(model)
        if wanted.profile is not None:
            transferring.check_profile(model, wanted.profile)
    if any(metric.needs_reference for metric in wanted.metrics) and not all(
        job.source in wanted.references for job in planned
    ):
        raise ComponentError("these metrics compare with a clean original; give --reference")
    return AtHand(partial(_restore, model, wanted))


def _restore(model: Model, wanted: Wanted, job: Job) -> Restored:
    """Read, restore, measure and draw one file; only then does anything take its place."""
    form = wanted.form
    info = audio.inspect(job.source, strict=form.strict, repair=form.repair)
    channels = 1 if form.channels == "mono" else info.channels
    check_result(job, info, channels, form.sample_rate, form.subtype)
    tell_length(info.seconds * info.channels)
    reference = _reference(wanted.references.get(job.source), info.sample_rate)
    recording = Filed(job.source, info, form.strict, form.repair)
    started = time.monotonic()
    with naming(job), _restored(model, recording, form, job) as (sound, notes, lufs):
        took_seconds = time.monotonic() - started
        heard = _hear(model, wanted, job, recording, sound, reference)
        picture = job.beside(PICTURE_SUFFIX) if wanted.pictures else None
        meter = job.beside(CONTENT_SUFFIX) if wanted.content is not None else None
        place = wanted.redegraded.get(job.source)
        with ExitStack() as stack:  # what else is written takes its place after the sound has
            if picture:
                write_beginnings(
                    stack.enter_context(write_atomically(picture)),
                    _drawn(recording, sound, reference),
                    heard.content,
                )
            if meter:
                write_content(stack.enter_context(write_atomically(meter)), heard.content)
            if place is not None and heard.redegraded is not None:
                written = stack.enter_context(write_atomically(place))
                audio.write(written, heard.redegraded, info.sample_rate, like=info)
            started = time.monotonic()
            kept = keep(job, sound, info, form.sample_rate, form.subtype, lufs)
            took_seconds += time.monotonic() - started
    return Restored(
        job.source,
        job.target,
        info.seconds,
        took_seconds,
        picture,
        heard.before,
        heard.after,
        place,
        heard.explained,
        heard.content,
        meter,
        (*info.remarks, *notes, *kept),
    )


@contextmanager
def _restored(
    model: Model, recording: Filed, form: Form, job: Job
) -> Iterator[tuple[Sound, tuple[str, ...], float | None]]:
    """The restored sound at the recording's rate, what is to be said of it, and how loud it is."""
    if form.strength == 0 and form.channels != "mono" and form.wanted_lufs is None:
        yield recording, (), None
        return
    with model.sent(
        partial(model.restore_segment, linked=form.channels == "linked"),
        recording,
        channels=form.channels,
        strength=form.strength,
        wanted_lufs=form.wanted_lufs,
        speakers=recording.info.speakers,
        folder=folder_for(recording, job),
    ) as sent:
        notes = tuple(findings(sent, form.channels, form.wanted_lufs))
        yield sent.sound, notes, loudness_of(sent, form.wanted_lufs)


class _Heard(NamedTuple):
    """What was measured of a restored sound, and the recording as the model takes it to be."""

    before: Mapping[str, float]
    after: Mapping[str, float]
    explained: Mapping[str, float]
    redegraded: Tensor | None
    content: Sequence[Second]


def _hear(
    model: Model,
    wanted: Wanted,
    job: Job,
    recording: Sound,
    restored: Sound,
    reference: Tensor | None,
) -> _Heard:
    """Measure what is asked for; for metrics and redegrading whole sounds are held in memory."""
    content: Sequence[Second] = ()
    if wanted.content is not None:
        content = content_of(recording, restored, wanted.content)
    explains = job.source in wanted.redegraded
    if not (wanted.metrics or explains):
        return _Heard({}, {}, {}, None, content)
    rate, metrics = recording.sample_rate, wanted.metrics
    old, new = beginning(recording), beginning(restored)
    redegraded = model.redegrade(old, rate, wanted.profile) if explains else None
    if not metrics:
        return _Heard({}, {}, {}, redegraded, content)
    return _Heard(
        measure(metrics, old, rate, reference),
        measure(metrics, new, rate, reference),
        {} if redegraded is None else measure(metrics, redegraded, rate, old),
        redegraded,
        content,
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
            told = guards.measured(
                metric, estimate, sample_rate, None if reference is None else reference[channel]
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
    restored = {real_path(job.target): job.source for job in planned}
    for job in found:
        if real_path(job.target) in restored:
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


def _drawn(recording: Sound, restored: Sound, reference: Tensor | None) -> dict[str, Sound]:
    sounds = {"input": recording, "restored": restored}
    if reference is not None:
        sounds["clean original"] = Held(reference, recording.sample_rate)
    return sounds
