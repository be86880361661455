"""Sampling rate and level of a wave."""

import math

import numpy as np
import numpy.typing as npt
import soxr
import torch
from torch import Tensor

from selfremaster.core.errors import AudioError
from selfremaster.core.signals import fit_length

LOWEST_RATE, HIGHEST_RATE = 1000, 768000  # Hz
SILENCE_DB = -120.0


def resampled_length(samples: int, from_hz: int, to_hz: int) -> int:
    """How many samples a wave has at another rate, to the nearest, but one at least of any sound.

    >>> resampled_length(3, 16000, 22050), resampled_length(3, 192000, 8000)
    (4, 1)
    """
    return max((2 * samples * to_hz + from_hz) // (2 * from_hz), min(samples, 1))


def long_enough(rows: npt.NDArray[np.float32], from_hz: int, to_hz: int) -> npt.NDArray[np.float32]:
    """A whole sound, (samples, channels), with silence behind it where soxr would give no sample.

    >>> long_enough(np.ones((3, 1), np.float32), 192000, 8000).shape
    (24, 1)
    """
    least = math.ceil(from_hz / to_hz)
    return np.pad(rows, ((0, max(least - len(rows), 0)), (0, 0)))


def resample(wave: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Change the sampling rate (Hz) of a sound without delay, by soxr at very high quality.

    On the processor; the result is on the device of the wave.

    Shape: (..., samples) -> (..., round(samples * to_hz / from_hz), but 1 at least), float32.
    Raises `AudioError` for rates outside 1000 to 768000 Hz.

    >>> resample(torch.ones(1, 8), 8000, 8000).shape
    torch.Size([1, 8])
    """
    check_rates(from_hz, to_hz)
    length = resampled_length(wave.shape[-1], from_hz, to_hz)
    if from_hz == to_hz or wave.numel() == 0:
        return fit_length(wave.float().clone(), length)
    # in numpy: torch's threads get in each other's way on a busy machine, for nothing here
    rows = wave.detach().float().cpu().reshape(-1, wave.shape[-1]).numpy()
    result = np.zeros((len(rows), length), np.float32)
    for row, target in zip(rows, result, strict=True):
        given = long_enough(row[:, None], from_hz, to_hz)[:, 0]
        sound = soxr.resample(given, from_hz, to_hz, quality="VHQ")[:length]
        target[: len(sound)] = sound
    return torch.from_numpy(result).reshape(*wave.shape[:-1], length).to(wave.device)


def check_rates(from_hz: int, to_hz: int) -> None:
    """Raise `AudioError` for rates that nothing is resampled from or to."""
    for rate in (from_hz, to_hz):
        if rate != int(rate) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise AudioError(
                f"cannot resample from {from_hz} to {to_hz} Hz; whole rates from {LOWEST_RATE} to "
                f"{HIGHEST_RATE} Hz are allowed"
            )


def peak_gain(peak: float, peak_db: float = -3.0, floor_db: float = -80.0) -> float:
    """The factor by which `normalise_peak` multiplies a sound of such a peak.

    >>> peak_gain(0.5, peak_db=0)
    2.0
    """
    return float(10 ** (peak_db / 20) / max(peak, 10 ** (floor_db / 20)))


def normalise_peak(wave: Tensor, peak_db: float = -3.0, floor_db: float = -80.0) -> Tensor:
    """Bring each item to a peak in dB of full scale; silence stays silence.

    A sound whose peak is below the floor gets the gain of one at the floor, so that noise in
    silence is not blown up.

    Shape: (..., samples) -> (..., samples), each row by itself.

    >>> normalise_peak(torch.tensor([[0.1, -0.5], [0.0, 0.0]]), peak_db=0).tolist()
    [[0.20000000298023224, -1.0], [0.0, 0.0]]
    """
    peak = wave.abs().amax(dim=-1, keepdim=True) if wave.shape[-1] else wave.new_zeros(1)
    return wave * (10 ** (peak_db / 20) / peak.clamp(min=10 ** (floor_db / 20)))


def peak_db(wave: Tensor) -> Tensor:
    """The largest magnitude of each row in dB of full scale, not below -120.

    Shape: (..., samples) -> (...).

    >>> peak_db(torch.tensor([0.1, -1.0])).item()
    0.0
    """
    return _decibels(wave.abs().amax(dim=-1))


def rms_db(wave: Tensor) -> Tensor:
    """The root of the mean square of each row in dB of full scale, not below -120.

    Shape: (..., samples) -> (...).

    >>> rms_db(torch.tensor([1.0, -1.0])).item()
    0.0
    """
    return _decibels(wave.double().square().mean(dim=-1).sqrt().to(wave.dtype))


def _decibels(amplitude: Tensor) -> Tensor:
    return 20 * amplitude.clamp(min=10 ** (SILENCE_DB / 20)).log10()
