"""The baseline of audio effect transfer: a mean spectrum, measured in files and put onto waves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from selfremaster.core import audio, jobs
from selfremaster.core.effects import Effect, Frame
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.levels import resample
from selfremaster.core.profiles import Source, SpectralProfile, describe_source
from selfremaster.core.spectra import (
    DEFAULT_SIZE,
    LevelSum,
    Spectrum,
    add_levels,
    apply_gain,
    finish_levels,
    hop_of,
    mean_ratio,
    ratio_of_pair,
)

LONGEST_DIFFERENCE_SECONDS = 0.05  # between a recording and its original: what is cut off


class Measured(NamedTuple):
    """The sum over the loud frames of one recording."""

    source: Path
    taken_from: Source
    summed: LevelSum
    notes: tuple[str, ...] = ()  # what is to be known of it


class Compared(NamedTuple):
    """How one recording differs from its clean original."""

    source: Path
    taken_from: Source
    original: Source
    ratio: Tensor  # (bins,), float64


def lowest_rate(paths: Sequence[Path]) -> int:
    """The lowest rate of the sound files that can be read, Hz: what all of them reach up to."""
    rates = []
    for path in paths:
        with suppress(AudioError):
            rates.append(audio.inspect(path, strict=False).sample_rate)
    if not rates:
        raise AudioError(f"{paths[0]}: no recording can be read; check the path")
    return min(rates)


def measure_files(
    paths: Sequence[Path], sample_rate: int, size: int = DEFAULT_SIZE
) -> Iterator[Measured | Failure]:
    """Measure one file after another, and give what came of each."""

    def work(job: Job) -> Measured:
        notes = audio.inspect(job.source, strict=False).remarks
        recording, own_rate = audio.read(job.source, strict=False)
        summed = add_levels(recording, own_rate, sample_rate, size)
        if summed.frames == 0:
            raise AudioError(f"{job.source}: nothing but silence; a mean spectrum needs sound")
        return Measured(job.source, describe_source(job.source), summed, notes)

    return jobs.run([Job(path, path, path, path) for path in paths], work)


def make_level(measured: Sequence[Measured], sample_rate: int, name: str = "") -> SpectralProfile:
    """The mean spectrum over the loud frames of all recordings."""
    if not measured:
        raise AudioError("no recordings; a mean spectrum needs one at least")
    summed = measured[0].summed
    for item in measured[1:]:
        summed = summed.plus(item.summed)
    sources = [item.taken_from for item in measured]
    return SpectralProfile.of(
        finish_levels(summed, sample_rate), "level", name or sources[0].file or "", sources
    )


def compare_files(
    originals: Mapping[Path, Path], sample_rate: int, size: int = DEFAULT_SIZE
) -> Iterator[Compared | Failure]:
    """Compare recordings with their clean originals, aligned, and give what came of each.

    Up to 50 ms more at the end of either are cut off; what differs more is a `Failure`. Where the
    channels are not as many, the mean of the original's is compared with each.
    """

    def work(job: Job) -> Compared:
        original = originals[job.source]
        degraded, clean = (
            resample(wave, own_rate, sample_rate)
            for wave, own_rate in (audio.read(job.source), audio.read(original))
        )
        lengths = degraded.shape[-1], clean.shape[-1]
        if abs(lengths[0] - lengths[1]) > LONGEST_DIFFERENCE_SECONDS * sample_rate:
            seconds, other = (length / sample_rate for length in lengths)
            raise AudioError(
                f"{job.source}: {seconds:.2f} seconds, its clean original {original} {other:.2f}; "
                "give the same speech twice, aligned"
            )
        if degraded.shape[0] != clean.shape[0]:
            clean = clean.mean(dim=0, keepdim=True).expand(degraded.shape[0], -1)
        degraded, clean = (wave[..., : min(lengths)] for wave in (degraded, clean))
        ratio = ratio_of_pair(degraded, clean, size)
        return Compared(job.source, describe_source(job.source), describe_source(original), ratio)

    return jobs.run([Job(path, path, path, path) for path in originals], work)


def make_published_gain(
    compared: Sequence[Compared], sample_rate: int, name: str = ""
) -> SpectralProfile:
    """The mean spectral difference of the paper between recordings and their originals."""
    gain = mean_ratio([pair.ratio for pair in compared], sample_rate)
    sources, clean = (
        [pair.taken_from for pair in compared],
        [pair.original for pair in compared],
    )
    named = name or sources[0].file or ""
    return SpectralProfile.of(gain, "gain", named, sources, clean, form="published")


def equaliser(profile: SpectralProfile) -> Effect:
    """What multiplies the spectrum of waves by the gain of a profile and keeps their level."""
    if profile.quantity != "gain":
        raise ComponentError(
            f"spectral profile {profile.name!r} is the level of recordings; to be put on, it must "
            "be compared with clean speech; make it with --clean"
        )
    values = profile.spectrum.values_db - max(
        profile.values
    )  # the level is that of the wave anyway
    gain = Spectrum(values, profile.sample_rate)

    def at(sample_rate: int) -> tuple[Callable[[Tensor], Tensor], Frame]:
        def equalise(piece: Tensor) -> Tensor:
            return apply_gain(piece, sample_rate, gain)

        return equalise, Frame(sample_rate, hop_of(sample_rate, gain), 0.0, torch.device("cpu"))

    return Effect(at)
