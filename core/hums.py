"""Hum of the mains, told by steady tones at multiples of about 50 or 60 Hz."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.ndimage import median_filter
from scipy.signal.windows import hann

Array = NDArray[np.float64]

WINDOW_SECONDS, HOP_SECONDS = 1.0, 0.25
LEAST_WINDOWS = 4
POINTS_PER_HZ = 4
QUANTILE = 0.25  # over time: what is steady stays, speech does not
MAINS_HZ = (50.0, 60.0)
OFF = 0.04  # part by which a tape or disc may run at the wrong speed
HARMONICS = 10
AROUND_HZ = 30.0
CLEAR_DB = 9.0  # above what is around: the mean of the clearest harmonics
CLEAREST = 3
HIGHEST_HZ = 660.0
MOST_DB = 25.0  # of one harmonic: one whistle is no hum


class Hum(NamedTuple):
    """Hum: its fundamental, and its level (RMS of all harmonics, dB of full scale)."""

    mains_hz: float
    level_db: float


def steady_spectrum(wave: NDArray[np.floating], sample_rate: int) -> Array:
    """The power that a sound has all the time, up to 660 Hz, four points a Hz.

    It is what a quarter of the windows (a second, every quarter of one) lies below. A sine has half
    its amplitude's square in the point nearest to it.

    Shape: (samples,) -> (bins,); all are 0 for a sound of less than a second and three quarters.
    """
    size = round(WINDOW_SECONDS * sample_rate)
    window = hann(size, sym=False)
    points = POINTS_PER_HZ * sample_rate
    last = round(HIGHEST_HZ * points / sample_rate) + 1
    starts = range(0, len(wave) - size + 1, round(HOP_SECONDS * sample_rate))
    if len(starts) < LEAST_WINDOWS:
        return np.zeros(last)
    spectra = [rfft(wave[start : start + size] * window, points)[:last] for start in starts]
    powers = 2 * np.square(np.abs(np.array(spectra)) / window.sum())
    steady: Array = np.quantile(powers, QUANTILE, axis=0)
    return steady


def find_hum(spectra: Sequence[Array]) -> Hum | None:
    """The hum in the steady spectra of a recording's pieces, or none.

    It has to stand above what is beside it by 9 dB, in the mean of its three clearest harmonics;
    recordings that run up to 4 % too fast or too slow are heard, too.
    """
    steady = np.median(np.array(spectra), axis=0)
    if not steady.any():
        return None
    decibels = 10 * np.log10(steady + 1e-20)
    above = decibels - median_filter(decibels, round(2 * AROUND_HZ * POINTS_PER_HZ) + 1)
    best = max(
        (
            _clearness(above, mains * (1 + off), decibels)
            for mains in MAINS_HZ
            for off in np.linspace(-OFF, OFF, 33)
        ),
        key=lambda found: found[0],
    )
    if best[0] < CLEAR_DB:
        return None
    return Hum(round(float(best[1]), 1), best[2])


def _clearness(above: Array, base_hz: float, decibels: Array) -> tuple[float, float, float]:
    """How clear a series of harmonics is, its fundamental, and its level."""
    places = np.round(base_hz * np.arange(1, HARMONICS + 1) * POINTS_PER_HZ).astype(int)
    places = places[places < len(above)]  # the others lie above half the rate
    peaks = np.clip(above[places], 0, MOST_DB)
    clear = float(np.sort(peaks)[-CLEAREST:].mean())
    # of equally clear ones the one that also has the most harmonics
    level = 10 * math.log10(float((10 ** (decibels[places] / 10)).sum()) + 1e-20)
    return clear + 0.05 * float(peaks.mean()), base_hz, level
