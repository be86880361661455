"""The baseline of audio effect transfer: a mean spectrum, measured in files and put onto waves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from selfremaster.core import audio, jobs
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.models import match_level
from selfremaster.core.profiles import Source, SpectralProfile, describe_source
from selfremaster.core.spectra import (
    DEFAULT_SIZE,
    LevelSum,
    add_levels,
    apply_gain,
    finish_levels,
)


class Measured(NamedTuple):
    """The sum over the loud frames of one recording."""

    source: Path
    taken_from: Source
    summed: LevelSum


def lowest_rate(paths: Sequence[Path]) -> int:
    """The lowest rate of the sound files that can be read, Hz: what all of them reach up to."""
    rates = []
    for path in paths:
        with suppress(AudioError):
            rates.append(audio.inspect(path).sample_rate)
    if not rates:
        raise AudioError(f"{paths[0]}: no recording can be read; check the path")
    return min(rates)


def measure_files(
    paths: Sequence[Path], sample_rate: int, size: int = DEFAULT_SIZE
) -> Iterator[Measured | Failure]:
    """Measure one file after another, and give what came of each."""

    def work(job: Job) -> Measured:
        recording, own_rate = audio.read(job.source)
        summed = add_levels(recording, own_rate, sample_rate, size)
        if summed.frames == 0:
            raise AudioError(f"{job.source}: nothing but silence; a mean spectrum needs sound")
        return Measured(job.source, describe_source(job.source), summed)

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


def equaliser(profile: SpectralProfile) -> Callable[[Tensor, int], Tensor]:
    """What multiplies the spectrum of waves by the gain of a profile and keeps their level."""
    if profile.quantity != "gain":
        raise ComponentError(
            f"spectral profile {profile.name!r} is the level of recordings; to be put on, it must "
            "be compared with clean speech; make it with --clean"
        )
    gain = profile.spectrum

    def equalise(wave: Tensor, sample_rate: int) -> Tensor:
        rows = wave.reshape(-1, wave.shape[-1])
        filtered = apply_gain(rows, sample_rate, gain).to(rows)
        return match_level(filtered, rows).reshape(wave.shape)

    return equalise
