"""What recordings are like: how much speech, level, band, clipping, noise, hum."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from selfremaster.core import audio, jobs
from selfremaster.core.bandwidths import bandwidth_hz, low_edge_hz
from selfremaster.core.choices import evenly
from selfremaster.core.flat_tops import find_flat_tops
from selfremaster.core.folders import PathLike, find_audio
from selfremaster.core.formats import BITS
from selfremaster.core.hums import find_hum, steady_spectrum
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.loudness import LoudnessMeter
from selfremaster.core.speech import away_from, find_speech
from selfremaster.core.voicing import HOP_SECONDS, power_spectra

PIECE_SECONDS = 30.0  # of a recording are surveyed at once
SILENCE_DB = -80.0  # a peak below it is silence
NOISELESS = 1e-12  # power of a frame that holds no noise: digital silence
LEAST_PAUSE_SECONDS = 0.3  # of pauses, to hear their noise
SOFTEST, SOFTER = 0.1, 0.25  # of all frames, of those in pauses: what is the noise
AWAY_SECONDS = 0.1  # from speech, where its echo is gone
LOUD_DB = 30.0  # below the loudest speech: what is softer is a pause
ENOUGH_SECONDS, BETTER_SECONDS = 60.0, 600.0  # of speech, to learn from
MUCH_CLIPPED, MUCH_NOISE_DB = 0.05, 5.0
LEAST_CLEAR_DB = 10.0  # with more noise, what the noise covers looks like sound
NO_NOISE_DB = 70.0  # below the speech: nobody hears it


@dataclass(frozen=True)
class FileSurvey:
    """What one recording is like; numbers that cannot be told are NaN.

    ``stretches`` are the beginnings and ends of its speech in seconds. Shares are from 0 to 1.
    """

    source: Path
    seconds: float
    sample_rate: int
    channels: int
    subtype: str
    bits: int | None  # None where samples are no whole numbers, or coded
    speech_seconds: float
    stretches: tuple[tuple[float, float], ...]
    loudness_lufs: float
    peak_dbfs: float
    cutoff_hz: float
    low_hz: float
    clipped_share: float  # of the samples
    clipped_frames_share: float  # of the frames of 16 ms
    speech_dbfs: float
    noise_dbfs: float
    snr_db: float
    hum_hz: float
    hum_dbfs: float
    notes: tuple[str, ...] = ()  # such as how much of it is missing

    @property
    def silent(self) -> bool:
        """Whether there is nothing to hear."""
        return self.peak_dbfs < SILENCE_DB


@dataclass(frozen=True)
class Survey:
    """What recordings are like as a whole."""

    files: tuple[FileSurvey, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def seconds(self) -> float:
        """How long all of them are."""
        return sum(one.seconds for one in self.files)

    @property
    def speech_seconds(self) -> float:
        """How much of it is speech."""
        return sum(one.speech_seconds for one in self.files)

    @property
    def clipped_share(self) -> float:
        """The share of their samples that is clipped; NaN where there are none."""
        clipped = sum(one.clipped_share * one.seconds for one in self.files)
        return clipped / self.seconds if self.files else math.nan

    def typical(self, number: Callable[[FileSurvey], float]) -> float:
        """The median of a number over all speech (over all sound where there is none)."""
        known = [(number(one), one) for one in self.files if not math.isnan(number(one))]
        weights = [one.speech_seconds for _, one in known]
        if not sum(weights):
            weights = [one.seconds for _, one in known]
        return weighted_median([value for value, _ in known], weights)

    @property
    def cutoff_hz(self) -> float:
        """Where their sound ends, typically."""
        return self.typical(lambda one: one.cutoff_hz)

    @property
    def snr_db(self) -> float:
        """By how much noise lies below the speech, typically."""
        return self.typical(lambda one: one.snr_db)

    def words(self) -> str:
        """All of it in one line.

        >>> Survey(()).words()
        '0 seconds of speech in 0 files'
        """
        count = len(self.files)
        told = [f"{_time(self.speech_seconds)} of speech in {count} file{'s' * (count != 1)}"]
        if not math.isnan(self.cutoff_hz):
            told.append(f"cut-off about {self.cutoff_hz / 1000:.1f} kHz")
        if self.files:
            told.append(_clipping(self.clipped_share))
        if not math.isnan(self.snr_db):
            told.append(_noise(self.snr_db))
        hums = [one for one in self.files if not math.isnan(one.hum_hz)]
        if hums:
            typical = self.typical(lambda one: one.hum_hz)
            some = "" if len(hums) == count else f" in {len(hums)} of them"
            told.append(f"hum of {typical:.0f} Hz{some}")
        return ", ".join(told)

    def problems(self) -> list[str]:
        """What stands in the way of learning from them, in plain sentences; none is best."""
        if not self.files:
            return ["none of the recordings can be read"]
        if all(one.silent for one in self.files):
            return ["the recordings are nothing but silence"]
        found = []
        speech = self.speech_seconds
        if speech == 0:
            found.append(
                f"no speech was found in {_time(self.seconds)} of sound; learning needs speech"
            )
        elif speech < ENOUGH_SECONDS:
            found.append(
                f"{_time(speech)} of speech are too little: learning needs a minute of speech at "
                "least, better ten"
            )
        if self.clipped_share >= MUCH_CLIPPED:
            found.append(
                f"{self.clipped_share:.0%} of the samples are clipped: digitise at a lower level "
                "if the original still exists"
            )
        if self.snr_db < MUCH_NOISE_DB:
            found.append(f"the noise lies only {self.snr_db:.0f} dB below the speech")
        silent = sum(one.silent for one in self.files)
        if silent:
            found.append(f"{silent} of {len(self.files)} files are nothing but silence")
        return found


def survey(paths: PathLike | Sequence[PathLike]) -> Survey:
    """Survey the sound files among files and folders; those that cannot be read are failures.

    Raises `AudioError` for a missing path and a folder without sound.
    """
    found = {os.path.realpath(file): file for file, _ in find_audio(paths)}
    return gather(survey_files(list(found.values())))


def survey_files(files: Iterable[Path], part: float = 1.0) -> Iterator[FileSurvey | Failure]:
    """Survey one file after another, or a part of each, and give what came of each."""
    tasks = [Job(file, file, file, file) for file in files]
    return jobs.run(tasks, lambda job: look(job.source, part))


def gather(results: Iterable[FileSurvey | Failure]) -> Survey:
    """All surveys of files as one."""
    told = list(results)
    return Survey(
        tuple(one for one in told if isinstance(one, FileSurvey)),
        tuple(one for one in told if isinstance(one, Failure)),
    )


def look(path: Path, part: float = 1.0) -> FileSurvey:
    """Survey one file, half a minute at a time, so that memory does not grow with its length.

    Only a ``part`` of it, in such half minutes spread evenly over all of it, if that is below 1;
    its length and its peak are then still told, as the header says the one, of what was looked at
    the other.

    Speech is told as `find_speech` does and clipping as `find_flat_tops`. The noise is the level
    that a quarter of the pauses (0.1 s away from speech) lies below, or a tenth of all, whichever
    is softer; digital silence is left out. The speech is the mean level of what lies less than
    30 dB below the loudest, without the noise. White noise is told to 0.5 dB; of noise that
    fluctuates the softer moments count (brown noise: 2 to 5 dB too little). Cut-off and low cut-off
    are those of `bandwidth_hz` (50 dB) and `low_edge_hz` (20 dB), and cannot be told where the
    noise is less than 10 dB below the speech; the hum is that of `find_hum`. Channels are mixed,
    but for clipping, loudness and peak.

    A truncated or damaged file is surveyed as far as it goes, and the notes say so.
    Raises `AudioError` as `audio.read` does where it is not strict.
    """
    info = audio.inspect(path, strict=False)
    bits = BITS.get(info.subtype)
    seen = _Seen(info.sample_rate, 0.0 if bits is None else 2.0 ** (1 - bits))
    samples = round(PIECE_SECONDS * info.sample_rate)
    # as many as `_pieces` gives, the last of which has up to a third more
    count = max(math.ceil(info.samples / samples - 1 / 3), 1)
    wanted = set(evenly(range(count), max(round(part * count), 1)))
    for number, piece in enumerate(_pieces(path, samples)):
        if part >= 1 or number in wanted:
            seen.add(piece, number * samples)
    return FileSurvey(
        path,
        info.seconds,
        info.sample_rate,
        info.channels,
        info.subtype,
        bits,
        **seen.numbers(),
        notes=info.remarks,
    )


def _pieces(path: Path, samples: int) -> Iterator[Tensor]:
    """Stretches of so many samples, (channels, samples); the last one has up to a third more."""
    waiting: list[Tensor] = []
    length = 0
    for block in audio.blocks(path, strict=False):
        waiting.append(block)
        length += block.shape[-1]
        while 3 * length > 4 * samples:
            joined = torch.cat(waiting, dim=-1)
            yield joined[:, :samples]
            waiting = [joined[:, samples:].clone()]
            length -= samples
    yield torch.cat(waiting, dim=-1)


class _Seen:
    """What was seen of a recording so far."""

    def __init__(self, sample_rate: int, step: float) -> None:
        self.sample_rate, self.step = sample_rate, step
        self.samples = self.values = self.clipped = self.frames = self.clipped_frames = 0
        self.peak = 0.0
        self.meter = LoudnessMeter(sample_rate)
        self.spoken: list[NDArray[np.bool_]] = []
        self.powers: list[NDArray[np.float32]] = []
        self.starts: list[float] = []
        self.hums: list[NDArray[np.float64]] = []
        self.edges: list[tuple[float, float, float]] = []  # seconds of speech, low, high

    def add(self, wave: Tensor, start: int) -> None:
        """See the next stretch, (channels, samples), which begins at a sample."""
        self.meter.add(wave)
        self.peak = max(self.peak, float(wave.abs().max()))
        self._clipping(wave.double().numpy())
        mono = wave.mean(dim=0)
        spectra = power_spectra(mono.numpy(), self.sample_rate)
        spoken = find_speech(spectra.bins, self.sample_rate).spoken
        self.starts.append(start / self.sample_rate)
        self.spoken.append(spoken)
        self.powers.append(spectra.total.astype(np.float32))
        self.hums.append(steady_spectrum(mono.numpy(), self.sample_rate))
        low, high = (measure(mono, self.sample_rate) for measure in (low_edge_hz, bandwidth_hz))
        self.edges.append((float(spoken.sum()) * HOP_SECONDS, low, high))
        self.samples = start + wave.shape[-1]

    def _clipping(self, wave: NDArray[np.float64]) -> None:
        tops = np.array([find_flat_tops(row, self.step).clipped for row in wave])
        self.values += tops.size
        self.clipped += int(tops.sum())
        frame = max(round(HOP_SECONDS * self.sample_rate), 1)
        whole: NDArray[np.bool_] = np.logical_or.reduce(tops, axis=0)
        framed = np.maximum.reduceat(whole, np.arange(0, len(whole), frame))
        self.frames += len(framed)
        self.clipped_frames += int(framed.sum())

    def numbers(self) -> dict[str, Any]:
        """What a `FileSurvey` says beside what the header says."""
        stretches = tuple(self._stretches())
        speech, noise = self._levels()
        spoken = [edge for edge in self.edges if edge[0] > 1] or [(1.0, *e[1:]) for e in self.edges]
        low, high = (
            weighted_median([edge[side] for edge in spoken], [edge[0] for edge in spoken])
            for side in (1, 2)
        )
        snr_db = _decibels(speech) - _decibels(noise) if speech > 0 else math.nan
        if snr_db < LEAST_CLEAR_DB:
            low = high = math.nan
        hum = find_hum(self.hums)
        return {
            "speech_seconds": sum(end - start for start, end in stretches),
            "stretches": stretches,
            "loudness_lufs": self.meter.integrated(),
            "peak_dbfs": _decibels(self.peak**2),
            "cutoff_hz": high,
            "low_hz": low,
            "clipped_share": self.clipped / self.values,
            "clipped_frames_share": self.clipped_frames / self.frames,
            "speech_dbfs": _decibels(speech),
            "noise_dbfs": _decibels(noise),
            "snr_db": snr_db,
            "hum_hz": hum.mains_hz if hum else math.nan,
            "hum_dbfs": hum.level_db if hum else math.nan,
        }

    def _stretches(self) -> Iterator[tuple[float, float]]:
        """Where speech begins and ends, seconds; across pieces in one."""
        total = self.samples / self.sample_rate
        hop = round(HOP_SECONDS * self.sample_rate) / self.sample_rate
        last: tuple[float, float] | None = None
        for offset, spoken in zip(self.starts, self.spoken, strict=True):
            edges = np.diff(np.concatenate([[0], spoken.astype(np.int8), [0]]))
            starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
            for start, end in zip(offset + starts * hop, offset + ends * hop, strict=True):
                if last is not None and start <= last[1] + hop:
                    last = (last[0], min(float(end), total))
                    continue
                if last is not None:
                    yield last
                last = (float(start), min(float(end), total))
        if last is not None:
            yield last

    def _levels(self) -> tuple[float, float]:
        """The power of the speech without noise (NaN without speech), and that of the noise."""
        powers = np.concatenate(self.powers).astype(np.float64)
        spoken = np.concatenate(self.spoken)
        noisy = powers > NOISELESS
        pauses = powers[noisy & away_from(spoken, AWAY_SECONDS)]
        # unvoiced sounds far from voiced ones are among the pauses, hence no mean of them
        soft = [np.quantile(powers[noisy], SOFTEST)] if noisy.any() else [0.0]
        if len(pauses) * HOP_SECONDS >= LEAST_PAUSE_SECONDS:
            soft.append(np.quantile(pauses, SOFTER))
        noise = float(min(soft))
        if not spoken.any():
            return math.nan, noise
        said = powers[spoken]
        loud = said[said >= np.quantile(said, 0.95) * 10 ** (-LOUD_DB / 10)]
        return max(float(loud.mean()) - noise, 0.0), noise


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The value that half of the weight lies below; NaN of none, values that are NaN left out.

    >>> weighted_median([1.0, 2.0, 9.0], [1.0, 5.0, 3.0])
    2.0
    """
    known = sorted(pair for pair in zip(values, weights, strict=True) if not math.isnan(pair[0]))
    half = sum(weight for _, weight in known) / 2
    reached = 0.0
    for value, weight in known:
        reached += weight
        if reached >= half:
            return value
    return math.nan


def _decibels(power: float) -> float:
    return math.nan if math.isnan(power) else 10 * math.log10(power) if power > 0 else -math.inf


def _time(seconds: float) -> str:
    """Seconds or minutes, in words.

    >>> _time(1), _time(47.3), _time(420)
    ('1 second', '47 seconds', '7 minutes')
    """
    if seconds < 2 * ENOUGH_SECONDS:
        whole = round(seconds)
        return f"{whole} second{'s' * (whole != 1)}"
    return f"{seconds / 60:.0f} minutes"


def _clipping(share: float) -> str:
    if share == 0:
        return "not clipped"
    if share < 0.0005:
        return "clipped less than 0.1 %"
    return f"clipped {100 * share:.{0 if share >= 0.0095 else 1}f} %"


def _noise(snr_db: float) -> str:
    if snr_db > NO_NOISE_DB:
        return "no noise to be heard"
    if snr_db < 0:
        return f"noise {-snr_db:.0f} dB above the speech"
    return f"noise {snr_db:.0f} dB below the speech"
