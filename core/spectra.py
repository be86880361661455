"""Mean spectra of recordings: measured, compared, and put onto a wave."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from selfremaster.core.chunks import process_in_chunks
from selfremaster.core.errors import AudioError
from selfremaster.core.levels import resample
from selfremaster.core.signals import fit_length, hann_window, istft, stft

Sound = tuple[Tensor, int]
"""A wave (samples,) or (channels, samples), full scale = 1, and its rate in Hz."""

Statistic = Literal["log", "power"]

DEFAULT_SIZE = 1024
DEFAULT_OCTAVES = 1 / 6
LIMIT_DB = 40.0
LOUD_DB = 30.0  # below the loud frames: what is softer is a pause
FLOOR_DB = -120.0  # below the mean power of the loud frames
NOTHING_DB = -300.0  # above half the rate of a recording
TINIEST = 1e-10  # of the published form
CHUNK_SECONDS = 20.0
FRAMES_AT_ONCE = 512

# Byrne et al., "An international comparison of long-term average speech spectra", JASA 96 (1994):
# men and women combined, one-third octaves, dB at 70 dB overall
LTASS_HZ = (
    63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150,
    4000, 5000, 6300, 8000, 10000, 12500, 16000,
)  # fmt: skip
LTASS_DB = (
    38.6, 43.5, 54.4, 57.7, 56.8, 60.2, 60.3, 59.0, 62.1, 62.1, 60.5, 56.8, 53.7, 53.0, 52.0, 48.7,
    48.1, 46.8, 45.6, 44.5, 44.3, 43.7, 43.4, 41.3, 40.7,
)  # fmt: skip


class Spectrum(NamedTuple):
    """A level or a gain at frequencies evenly spaced from 0 to half the rate."""

    values_db: Tensor  # (size // 2 + 1,), float64
    sample_rate: int  # Hz

    @property
    def size(self) -> int:
        """The length of the Fourier transform, samples."""
        return 2 * (len(self.values_db) - 1)

    def at(self, frequencies: Tensor, above_db: float | None = None) -> Tensor:
        """The values at other frequencies (Hz), linear in dB between bins, float64.

        ``above_db`` is the value above half the rate; without it, the last one goes on.
        """
        own = np.linspace(0, self.sample_rate / 2, len(self.values_db))
        heard = np.interp(frequencies.numpy(), own, self.values_db.numpy(), right=above_db)
        return torch.from_numpy(heard)


class LevelSum(NamedTuple):
    """What the loud frames of recordings add up to, so that recordings can be added."""

    total: Tensor  # (bins,), float64: of dB, or of power
    frames: int

    def plus(self, other: "LevelSum") -> "LevelSum":
        """Both together."""
        return LevelSum(self.total + other.total, self.frames + other.frames)


def frequencies(sample_rate: int, size: int) -> Tensor:
    """The frequencies of the bins, Hz, (size // 2 + 1,), float64."""
    return torch.linspace(0, sample_rate / 2, size // 2 + 1, dtype=torch.float64)


def add_levels(
    wave: Tensor, sample_rate: int, to_hz: int, size: int, statistic: Statistic = "log"
) -> LevelSum:
    """Add up the spectra of the loud frames of a recording, relative to their mean power.

    Pauses are left out: frames more than 30 dB below the loud ones. The gain of the recording has
    no influence. A silent recording has no frames.

    Shape: wave (samples,) or (channels, samples), rates in Hz -> a sum over (size // 2 + 1,).
    """
    total = torch.zeros(size // 2 + 1, dtype=torch.float64)
    frames = _frames(resample(wave.detach().cpu(), sample_rate, to_hz), size)
    powers = frames.square().mean(-1)
    loudest = float(powers.sort().values[math.ceil(0.95 * len(powers)) - 1])
    chosen = powers > max(loudest * 10 ** (-LOUD_DB / 10), 0)
    if loudest <= 0 or not chosen.any():
        return LevelSum(total, 0)
    gain = 1 / float(powers[chosen].double().mean().sqrt())
    window = hann_window(size, dtype=torch.float64)
    scale = float(window.square().sum())
    for block in torch.split(frames[chosen], FRAMES_AT_ONCE):
        spectrum = torch.fft.rfft(block.double() * gain * window)
        power = (spectrum.real.square() + spectrum.imag.square()) / scale
        power = power.clamp(min=10 ** (FLOOR_DB / 10))
        total += (power if statistic == "power" else 10 * power.log10()).sum(0)
    return LevelSum(total, int(chosen.sum()))


def finish_levels(summed: LevelSum, sample_rate: int, statistic: Statistic = "log") -> Spectrum:
    """The mean of what `add_levels` summed; raises `AudioError` where nothing was heard."""
    if summed.frames == 0:
        raise AudioError("nothing but silence; a mean spectrum needs sound")
    mean = summed.total / summed.frames
    return Spectrum(10 * mean.log10() if statistic == "power" else mean, sample_rate)


def mean_levels(
    sounds: Iterable[Sound], sample_rate: int, size: int, statistic: Statistic = "log"
) -> Spectrum:
    """The mean spectrum of the loud frames of recordings, dB; each recording at its own level.

    Raises `AudioError` when all of them are silent.

    >>> tone = torch.sin(2 * math.pi * 1000 * torch.arange(8000) / 8000)
    >>> levels = mean_levels([(tone, 8000)], 8000, 256)
    >>> float(frequencies(8000, 256)[levels.values_db.argmax()])
    1000.0
    """
    summed = LevelSum(torch.zeros(size // 2 + 1, dtype=torch.float64), 0)
    for wave, own_rate in sounds:
        summed = summed.plus(add_levels(wave, own_rate, sample_rate, size, statistic))
    return finish_levels(summed, sample_rate, statistic)


def _frames(wave: Tensor, size: int) -> Tensor:
    """Frames at half the size from each other, (frames, size), of all channels."""
    rows = wave.reshape(-1, wave.shape[-1])
    if rows.shape[-1] < size:
        rows = fit_length(rows, size)
    return rows.unfold(-1, size, size // 2).reshape(-1, size)


def smooth(spectrum: Spectrum, octaves: float = DEFAULT_OCTAVES) -> Spectrum:
    """The mean in dB over a band around each bin, so many octaves wide and a bin at least.

    >>> flat = Spectrum(torch.ones(5, dtype=torch.float64), 8000)
    >>> smooth(flat).values_db.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    values = spectrum.values_db.numpy()
    bins = np.arange(len(values))
    low = np.minimum(bins * 2 ** (-octaves / 2), bins - 0.5) + 0.5
    high = np.maximum(bins * 2 ** (octaves / 2), bins + 0.5) + 0.5
    edges = np.arange(len(values) + 1)
    area = np.concatenate([[0.0], np.cumsum(values)])
    low, high = low.clip(0, len(values)), high.clip(0, len(values))
    smoothed = (np.interp(high, edges, area) - np.interp(low, edges, area)) / (high - low)
    return Spectrum(torch.from_numpy(smoothed), spectrum.sample_rate)


def gain_between(
    wanted: Spectrum,
    given: Spectrum,
    octaves: float = DEFAULT_OCTAVES,
    limit_db: float = LIMIT_DB,
    wanted_above_db: float | None = NOTHING_DB,
) -> Spectrum:
    """The filter that makes the one mean spectrum of the other, limited and smoothed.

    It keeps the power of a sound that has the given spectrum, but for the limits on both sides.
    ``wanted_above_db`` is what is wanted above half the rate of the wanted spectrum.

    >>> level = Spectrum(torch.zeros(5, dtype=torch.float64), 8000)
    >>> gain_between(Spectrum(level.values_db + 6, 8000), level).values_db.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    heard = wanted.at(frequencies(given.sample_rate, given.size), wanted_above_db)
    gain = heard - given.values_db
    weight = 10 ** (given.values_db / 10)
    kept = 10 * float(((weight * 10 ** (gain / 10)).sum() / weight.sum()).log10())
    limited = (gain - kept).clamp(-limit_db, limit_db)
    return smooth(Spectrum(limited, given.sample_rate), octaves)


def paired_gain(
    pairs: Iterable[tuple[Tensor, Tensor]], sample_rate: int, size: int = DEFAULT_SIZE
) -> Spectrum:
    """The mean spectral difference of the paper, from the same speech twice, aligned.

    For each bin the mean over frames of |degraded| / (|clean| + 1e-10), averaged over the pairs,
    divided by the sum over bins; here in dB.

    Shape: pairs (degraded, clean) of (samples,) or (channels, samples), at the rate in Hz.
    Source: SelfRemaster (Interspeech 2022), the baseline of its audio effect transfer.
    Raises `AudioError` for a pair of different lengths, or none at all.
    """
    return mean_ratio([ratio_of_pair(*pair, size) for pair in pairs], sample_rate)


def ratio_of_pair(degraded: Tensor, clean: Tensor, size: int = DEFAULT_SIZE) -> Tensor:
    """The mean over frames and channels of |degraded| / (|clean| + 1e-10), for `mean_ratio`.

    Shape: (samples,) or (channels, samples) both -> (size // 2 + 1,), float64.
    """
    if degraded.shape != clean.shape:
        raise AudioError(
            f"a pair of {tuple(degraded.shape)} and {tuple(clean.shape)}; give the same "
            "speech twice, aligned and equally long"
        )
    above, below = (
        stft(wave.detach().cpu().reshape(-1, wave.shape[-1]).double(), size, size // 4).abs()
        for wave in (degraded, clean)
    )
    return (above / (below + TINIEST)).mean(-1).mean(0)


def mean_ratio(ratios: Sequence[Tensor], sample_rate: int) -> Spectrum:
    """The mean of ratios (bins,), divided by its sum, in dB; raises `AudioError` for none."""
    if not ratios:
        raise AudioError("no pairs; give the same speech degraded and clean")
    curve = torch.stack(list(ratios)).mean(0)
    curve = curve / curve.sum().clamp(min=TINIEST)
    return Spectrum(20 * curve.clamp(min=10 ** (NOTHING_DB / 20)).log10(), sample_rate)


def hop_of(sample_rate: int, gain: Spectrum) -> int:
    """The hop of the frames that a gain is put onto, in samples: a quarter of them.

    >>> hop_of(44100, Spectrum(torch.zeros(513), 22050))
    512
    """
    return max(round(gain.size * sample_rate / gain.sample_rate / 4), 4)


def apply_gain(wave: Tensor, sample_rate: int, gain: Spectrum) -> Tensor:
    """Multiply the spectrum of a wave by a gain, frame by frame; nothing is delayed.

    Above half the rate of the gain its last value goes on.

    Shape: (channels, samples) -> (channels, samples), float32, rate in Hz.
    """
    hop_samples = hop_of(sample_rate, gain)
    size = 4 * hop_samples
    curve = 10 ** (gain.at(frequencies(sample_rate, size)) / 20)
    factors = curve.float().to(wave.device)[:, None]

    def multiply(piece: Tensor) -> Tensor:
        return istft(stft(piece, size, hop_samples) * factors, hop_samples, piece.shape[-1])

    context = 4 * size  # and chunks on the grid of the frames
    chunk = math.ceil(CHUNK_SECONDS * sample_rate / size) * size
    return process_in_chunks(multiply, wave.float(), chunk, context)


def average_speech(sample_rate: int, size: int = DEFAULT_SIZE) -> Spectrum:
    """The long-term average spectrum of speech: mean power, levels for each bin, in dB.

    Below 63 Hz and above 16 kHz the density goes on level. Source: Byrne et al., JASA 96 (1994),
    men and women combined.
    """
    centres = np.array(LTASS_HZ, dtype=np.float64)
    density = np.array(LTASS_DB) - 10 * np.log10(centres * (2 ** (1 / 6) - 2 ** (-1 / 6)))
    bins = np.log(frequencies(sample_rate, size).clamp(min=1.0).numpy())
    return Spectrum(torch.from_numpy(np.interp(bins, np.log(centres), density)), sample_rate)


def ltas_distance(
    first: Sequence[Sound],
    second: Sequence[Sound],
    size: int = DEFAULT_SIZE,
    octaves: float = DEFAULT_OCTAVES,
    lowest_hz: float = 50.0,
    range_db: float = 80.0,
) -> float:
    """How far apart the long-term average spectra of two sets of recordings are, in dB.

    The root of the mean square, over bins from ``lowest_hz`` to half the lowest rate, of the
    difference in dB of the mean power spectra of the loud frames, each recording brought to the
    same mean power; what lies ``range_db`` below the highest bin counts as that.

    >>> noise = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    >>> ltas_distance([(noise, 8000)], [(0.1 * noise, 8000)]) < 1e-3
    True
    """
    if not first or not second:
        raise AudioError("no recordings on one side; two sets of waves are compared")
    sample_rate = min(rate for _, rate in _all(first, second))
    levels = []
    for sounds in (first, second):
        measured = smooth(mean_levels(sounds, sample_rate, size, "power"), octaves).values_db
        levels.append(measured.clamp(min=float(measured.max()) - range_db))
    heard = frequencies(sample_rate, size) >= lowest_hz
    return float((levels[0] - levels[1])[heard].square().mean().sqrt())


def _all(*sets: Sequence[Sound]) -> Iterator[Sound]:
    for sounds in sets:
        yield from sounds
