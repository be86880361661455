"""How high a sound rises, between its samples too."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.signal import firwin
from torch import Tensor

OVERSAMPLING = 4  # as in annex 2 of ITU-R BS.1770
REACH = 10  # samples on either side that a point between two hangs on
WINDOW = ("kaiser", 5.0)
STRETCH_SAMPLES = 128  # that are looked into, or not, together
UNHEARD = 1e-9  # as good as nothing


class PeakMeter:
    """The highest point of each channel of a sound that comes in blocks, between samples too.

    By four times the number of samples, as Recommendation ITU-R BS.1770-5, annex 2, has it. Next to
    the beginning and the end of the sound, for ten samples, only samples count.

    >>> meter = PeakMeter(1)
    >>> tone = torch.sin(torch.arange(800) * torch.pi / 2 + torch.pi / 4)[None]
    >>> for block in tone.split(300, dim=1):
    ...     meter.add(block)
    >>> round(float(tone.max()), 3), round(float(meter.peaks), 2)
    (0.707, 1.0)
    """

    def __init__(self, channels: int) -> None:
        self._peaks = torch.zeros(channels)
        self._end = torch.zeros(channels, 0)
        self._between, self._most = _between_samples()

    def add(self, block: Tensor) -> None:
        """Look at the next block, (channels, samples)."""
        self._peaks = torch.maximum(self._peaks, block.abs().amax(dim=1))
        wave = torch.cat([self._end, block.float()], dim=1)
        size = STRETCH_SAMPLES + 2 * REACH - 1
        if wave.shape[1] >= size:
            stretches = wave.unfold(1, size, STRETCH_SAMPLES)
            wave = wave[:, stretches.shape[1] * STRETCH_SAMPLES :].clone()
            self._peaks = self._higher(stretches)
        self._end = wave

    @property
    def peaks(self) -> Tensor:
        """So far, (channels,)."""
        return self._higher(self._end[:, None]) if self._end.shape[1] >= 2 * REACH else self._peaks

    def _higher(self, stretches: Tensor) -> Tensor:
        """The peaks, with what lies between the samples of stretches that can rise above them.

        Shape: (channels, stretches, samples) -> (channels,).
        """
        peaks = self._peaks.clone()
        for channel, rows in enumerate(stretches):
            reachable = self._most * rows.abs().amax(dim=1)
            rising = rows[reachable > peaks[channel].clamp(min=UNHEARD)]
            if len(rising):
                # not by torch, which would count it among the costs of a model
                highest = max(_highest(rising.numpy(), weights) for weights in self._between)
                peaks[channel] = max(float(peaks[channel]), highest)
        return peaks


def _highest(rows: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    """The highest of all points that are such sums of neighbours, (stretches, samples)."""
    count, before = rows.shape[1] - len(weights) + 1, len(weights) // 2
    points = correlate1d(rows, weights, axis=1)[:, before : before + count]
    return float(abs(points).max())


def _between_samples() -> tuple[NDArray[np.float32], float]:
    """The weights of samples in the points between the middle two, and the most they add up to.

    Shape: (points, samples).
    """
    taps = firwin(2 * REACH * OVERSAMPLING + 1, 1 / OVERSAMPLING, window=WINDOW) * OVERSAMPLING
    rows = [
        [taps[REACH * OVERSAMPLING + point - OVERSAMPLING * place] for place in _PLACES]
        for point in range(1, OVERSAMPLING)
    ]
    weights = np.array(rows, dtype=np.float32)
    return weights, float(abs(weights).sum(axis=-1).max())


_PLACES = range(1 - REACH, REACH + 1)
