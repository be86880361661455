"""Where a voice is heard in noise, and how high it speaks, from short-time power spectra."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import uniform_filter1d
from scipy.signal.windows import hann

Array = NDArray[np.float64]

FRAME_SECONDS, HOP_SECONDS = 0.048, 0.016
LOWEST_HZ, HIGHEST_HZ = 65.0, 400.0  # of a speaking voice
FROM_HZ, TO_HZ = 80.0, 1800.0  # where its harmonics stand above most damage
SPECTRA_TO_HZ, RUMBLE_HZ = 4000.0, 40.0
LAG_RATE_HZ = 8000.0
SMOOTHED_FRAMES = 5
FLOOR_QUANTILE = 0.15
FLOOR_BIAS = 2.0  # of noise: its mean power over that quantile of its smoothed power
FRAMES_AT_ONCE = 512


class Grid(NamedTuple):
    """How a wave of some rate is cut into frames."""

    sample_rate: int
    size: int  # samples of a frame
    hop: int
    points: int  # of the transform; more than the frame, so that lags do not wrap around

    @property
    def step_hz(self) -> float:
        """The distance of two bins."""
        return self.sample_rate / self.points

    def bins(self, from_hz: float, to_hz: float) -> slice:
        """The bins from one frequency up to another."""
        return slice(round(from_hz / self.step_hz), round(to_hz / self.step_hz) + 1)


@lru_cache(maxsize=8)
def grid_of(sample_rate: int) -> Grid:
    """Frames of 48 ms every 16 ms."""
    size = round(FRAME_SECONDS * sample_rate)
    lag = round(sample_rate / LOWEST_HZ) + 2
    return Grid(
        sample_rate, size, round(HOP_SECONDS * sample_rate), next_fast_len(size + lag, True)
    )


class Spectra(NamedTuple):
    """Short-time power; a sine of amplitude 1 has 1/2 in all its bins together."""

    bins: Array  # (frames, bins), up to 4000 Hz
    total: Array  # (frames,), of everything above 40 Hz


def power_spectra(wave: NDArray[np.floating], sample_rate: int) -> Spectra:
    """The power in each bin of each frame, and in all of them.

    Frame k begins at sample k * hop; what is missing at the end is silence.

    Shape: (samples,).

    >>> time = np.arange(16000) / 16000
    >>> spectra = power_spectra(np.sin(2 * np.pi * 1000 * time), 16000)
    >>> spectra.bins.shape, float(spectra.total[0].round(3))
    ((63, 257), 0.5)
    """
    grid = grid_of(sample_rate)
    low, audible = grid.bins(0, SPECTRA_TO_HZ), grid.bins(RUMBLE_HZ, sample_rate)
    kept, totals = [], []
    for powers in frame_powers(wave, sample_rate):
        kept.append(powers[:, low].astype(np.float64))
        totals.append(powers[:, audible].sum(axis=-1, dtype=np.float64))
    return Spectra(np.concatenate(kept), np.concatenate(totals))


def frame_powers(wave: NDArray[np.floating], sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """The power in all bins, for 512 frames after another, (samples,) -> (frames, bins)."""
    grid = grid_of(sample_rate)
    frames = max(-(-len(wave) // grid.hop), 1)
    missing = (frames - 1) * grid.hop + grid.size - len(wave)
    sound = np.pad(wave.astype(np.float32), (0, max(missing, 0)))
    window = hann(grid.size, sym=False)
    scale = np.float32(2 / (grid.points * float(np.square(window).sum())))
    cut = np.lib.stride_tricks.sliding_window_view(sound, grid.size)[:: grid.hop][:frames]
    for start in range(0, frames, FRAMES_AT_ONCE):
        part = cut[start : start + FRAMES_AT_ONCE] * window.astype(np.float32)
        yield scale * np.square(np.abs(rfft(part, grid.points, axis=-1)))


def noise_floor(spectra: Array) -> Array:
    """The mean power of steady noise in each bin, beneath whatever comes and goes above it.

    The quantile of 15 % of the power, smoothed over five frames, times what it is too low by for
    noise. Steady tones belong to it.

    Shape: (frames, bins) -> (bins,).
    """
    smooth = uniform_filter1d(spectra, min(SMOOTHED_FRAMES, len(spectra)), axis=0, mode="nearest")
    floor: Array = np.quantile(smooth, FLOOR_QUANTILE, axis=0) * FLOOR_BIAS
    return floor


class Voice(NamedTuple):
    """What is heard of a voice in each frame."""

    strength: Array  # how periodic what stands above the noise is, 0 to 1
    f0_hz: Array  # of the strongest period, voiced or not
    above: Array  # power between 80 and 1800 Hz as a multiple of the noise there


def hear_voice(spectra: Array, floor: Array, sample_rate: int) -> Voice:
    """How periodic each frame is once its noise is taken off, and with what F0.

    Shape: spectra (frames, bins), floor (bins,) -> (frames,) each.
    """
    grid = grid_of(sample_rate)
    band = grid.bins(FROM_HZ, min(TO_HZ, 0.48 * sample_rate))
    noise = floor[band]
    heard = spectra[:, band]
    clean = np.clip(heard - 1.5 * noise, 0, None)
    above = heard.sum(axis=1) / max(float(noise.sum()), 1e-20)
    peaks = np.sqrt(clean)  # or one strong formant would be a pitch
    whole = round(LAG_RATE_HZ / 2 / grid.step_hz)
    padded = np.zeros((len(spectra), whole + 1))
    padded[:, band.start : band.start + peaks.shape[1]] = peaks[:, : whole + 1 - band.start]
    similarity = irfft(padded, 2 * whole, axis=1)
    rate = 2 * whole * grid.step_hz
    first, last = int(rate / HIGHEST_HZ), int(np.ceil(rate / LOWEST_HZ))
    zero = np.maximum(similarity[:, :1], 1e-20)
    lags = np.arange(first - 1, last + 2)
    normal = similarity[:, lags] / zero / _taper(grid, tuple(lags / rate))
    inner = normal[:, 1:-1]
    rising = (inner >= normal[:, :-2]) & (inner >= normal[:, 2:])
    favoured = np.where(rising, inner - 0.02 * np.log2(np.arange(first, last + 1) / first), -1)
    best = favoured.argmax(axis=1)
    rows = np.arange(len(best))
    before, at, after = (normal[rows, best + shift] for shift in range(3))
    bend = before - 2 * at + after
    shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.where(bend < -1e-9, bend, -1), 0)
    f0_hz = rate / (first + best + np.clip(shift, -0.5, 0.5))
    return Voice(np.clip(at, 0, 1) * (clean.sum(axis=1) > 0), f0_hz, above)


@lru_cache(maxsize=8)
def _taper(grid: Grid, seconds: tuple[float, ...]) -> Array:
    """By how much the window itself makes a period look weaker at a lag."""
    window = hann(grid.size, sym=False)
    power = np.square(np.abs(rfft(window, 2 * grid.size)))
    own = irfft(power)
    lags = np.array(seconds) * grid.sample_rate
    taper: Array = np.interp(lags, np.arange(grid.size), own[: grid.size] / own[0])
    return taper
