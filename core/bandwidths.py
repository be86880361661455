"""Bandwidth: the frequencies at which the sound of a recording begins and ends."""

import math

import numpy as np
import torch
from scipy.signal import medfilt
from scipy.signal.windows import blackmanharris
from torch import Tensor

from selfremaster.core.signals import fit_length

RANGE_DB = 50.0
LOW_RANGE_DB = 20.0
SPEECH_FROM_HZ = 40.0  # below it there is rumble alone
FRAME_SECONDS = 0.05
LOUD_DB = 30.0  # below the loudest frames: what is softer is a pause
LOUDEST = 0.95  # of the frames are softer than the loudest ones
SOFTEST = 0.1  # of the frames: what is heard in pauses
PAUSE_DB = 10.0  # below the loud frames, at least: else there is no pause
NOISE_FACTOR = 2.0  # the softest frames are softer than the noise is in the mean
WHISTLE_BINS = 17  # twice what a steady tone fills, and one
FRAMES_AT_ONCE = 4096


def bandwidth_hz(wave: Tensor, sample_rate: int, range_db: float = RANGE_DB) -> float:
    """Where the sound ends, Hz: above it nothing is left within a range of the strongest bin.

    Measured on the mean power spectrum of the loud frames (50 ms, windows by Blackman and Harris),
    without the constant part of the wave. Hiss is no part of it: twice the mean power spectrum of
    the softest tenth of the frames is taken off first, where these are pauses (10 dB below the loud
    ones or more). A median over 17 bins (about 0.35 kHz) leaves edges where they are and takes out
    whistles. Exact to three bins, less than 0.1 kHz. Silence has no bandwidth (NaN).

    Shape: wave (samples,), rate in Hz.

    Noise without its upper half:

    >>> noise = torch.randn(16000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> spectrum = torch.fft.rfft(noise)
    >>> spectrum[4000:] = 0
    >>> bandwidth_hz(noise, 16000), round(bandwidth_hz(torch.fft.irfft(spectrum), 16000), -2)
    (8000.0, 4000.0)
    """
    sound = wave.detach().cpu().double()
    size = 2 ** max(round(math.log2(FRAME_SECONDS * sample_rate)), 4)
    powers = _speech_powers(sound - sound.mean(), size)
    if not powers.any():
        return math.nan
    least = float(powers.max()) * 10 ** (-range_db / 10)
    steady = medfilt(np.pad(powers, WHISTLE_BINS // 2, mode="reflect"), WHISTLE_BINS)
    half = WHISTLE_BINS // 2
    heard = np.flatnonzero(steady[half:-half] >= least)
    if not len(heard):  # a steady tone has nothing else
        heard = np.flatnonzero(powers >= least)
    last = int(heard[-1])
    return sample_rate / 2 if last == size // 2 else (last + 0.5) * sample_rate / size


def low_edge_hz(wave: Tensor, sample_rate: int, range_db: float = LOW_RANGE_DB) -> float:
    """Where the sound begins, Hz: below it no third of an octave is within a range of the loudest.

    Measured as `bandwidth_hz` measures, on the mean power per Hz of thirds of an octave, a sixth
    apart. A man's voice itself begins at about 90 Hz, a woman's at about 170 Hz: only what is
    higher says that something was cut off. Silence has no edge (NaN).

    Shape: wave (samples,), rate in Hz.

    >>> noise = torch.randn(16000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> spectrum = torch.fft.rfft(noise)
    >>> spectrum[:300] = 0
    >>> 250 < low_edge_hz(torch.fft.irfft(spectrum), 16000) < 350
    True
    """
    sound = wave.detach().cpu().double()
    size = 2 ** max(round(math.log2(FRAME_SECONDS * sample_rate)), 4)
    powers = _speech_powers(sound - sound.mean(), size)
    count = int(6 * math.log2(max(0.45 * sample_rate / SPEECH_FROM_HZ, 2)))
    centres = SPEECH_FROM_HZ * 2 ** (np.arange(count) / 6)
    bins = np.arange(len(powers)) * sample_rate / size
    bands = [
        np.interp(np.linspace(0.89, 1.12, 9) * centre, bins, powers).mean() for centre in centres
    ]
    if not max(bands) > 0:
        return math.nan
    heard = np.flatnonzero(np.array(bands) >= max(bands) * 10 ** (-range_db / 10))
    return float(centres[heard[0]])


def _speech_powers(wave: Tensor, size: int) -> np.ndarray:
    """The mean power spectrum of the loud frames, less that of the pauses, (size // 2 + 1,)."""
    frames = fit_length(wave, max(len(wave), size)).unfold(0, size, size // 2)
    levels = torch.cat([block.square().mean(-1) for block in torch.split(frames, FRAMES_AT_ONCE)])
    ordered = levels.sort().values
    loudest = float(ordered[math.ceil(LOUDEST * len(ordered)) - 1])
    loud = levels >= max(loudest * 10 ** (-LOUD_DB / 10), 1e-300)
    if not loud.any():
        return np.zeros(size // 2 + 1)
    heard = _mean_powers(frames[loud], size)
    softest = math.ceil(SOFTEST * len(ordered))
    if float(ordered[:softest].mean()) <= float(levels[loud].mean()) * 10 ** (-PAUSE_DB / 10):
        pauses = levels <= ordered[softest - 1]
        heard = (heard - NOISE_FACTOR * _mean_powers(frames[pauses], size)).clamp(min=0)
    return heard.numpy()


def _mean_powers(frames: Tensor, size: int) -> Tensor:
    window = torch.from_numpy(blackmanharris(size, sym=False))
    total = torch.zeros(size // 2 + 1, dtype=torch.float64)
    for block in torch.split(frames, FRAMES_AT_ONCE):
        total += torch.fft.rfft(block * window).abs().square().sum(0)
    return total / len(frames)
