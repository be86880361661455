"""Whether two channels speak with or against each other."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt
from torch import Tensor

ANTI_PHASE = -0.5
VOICE_HZ = (300, 4000)  # what hum and rumble in both channels have no say in
ORDER = 4
HIGHEST_OF_RATE = 0.45
SOUNDING = 1e-3  # of the power of the loudest second: softer ones are pauses


class Against(NamedTuple):
    """How many seconds of those that sound cancel where both channels are added up."""

    seconds: int
    of: int


class PhaseMeter:
    """How alike the voice is in the two channels of a sound that comes in blocks.

    Other numbers of channels are not compared.

    >>> import torch
    >>> meter = PhaseMeter(8000)
    >>> voice = torch.sin(torch.arange(8000) * 0.5)
    >>> meter.add(torch.stack([voice, -0.5 * voice]))
    >>> round(meter.correlation, 2)
    -1.0
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        band = (VOICE_HZ[0], min(VOICE_HZ[1], HIGHEST_OF_RATE * sample_rate))
        self._sections = butter(ORDER, band, "bandpass", fs=sample_rate, output="sos")
        self._state = np.zeros((len(self._sections), 2, 2))
        self._waiting: NDArray[np.float64] = np.zeros((2, 0))
        self._seconds: list[NDArray[np.float64]] = []  # (3, seconds)

    def add(self, block: Tensor) -> None:
        """Hear the next block, (channels, samples)."""
        if len(block) != 2:
            return
        sound = block.detach().double().cpu().numpy()
        voice, self._state = sosfilt(self._sections, sound, axis=-1, zi=self._state)
        heard = np.concatenate([self._waiting, voice], axis=1)
        many = heard.shape[1] // self.sample_rate
        whole = heard[:, : many * self.sample_rate].reshape(2, many, self.sample_rate)
        self._seconds.append(_sums(whole))
        self._waiting = heard[:, many * self.sample_rate :]

    @property
    def correlation(self) -> float:
        """1 for the same, -1 for anti-phase; NaN for silence and other numbers of channels."""
        return float(_correlations(self._told().sum(axis=1)))

    @property
    def is_anti_phase(self) -> bool:
        """Whether the two all but cancel where they are added up."""
        return self.correlation < ANTI_PHASE

    def against(self, sign: int) -> Against:
        """What cancels where the second channel is added after it was multiplied by the sign."""
        told = self._told()
        powers = told[:2].sum(axis=0)
        sounding = told[:, powers > SOUNDING * powers.max(initial=0.0)]
        cancelled = sign * _correlations(sounding) < ANTI_PHASE
        return Against(int(cancelled.sum()), sounding.shape[1])

    def _told(self) -> NDArray[np.float64]:
        """Energy of both channels and their product, second by second, (3, seconds)."""
        rest = _sums(self._waiting[:, None]) if self._waiting.shape[1] else np.zeros((3, 0))
        return np.concatenate([*self._seconds, rest], axis=1)


def _sums(heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape: (2, seconds, samples) -> (3, seconds)."""
    return np.stack([*np.square(heard).sum(axis=-1), np.prod(heard, axis=0).sum(axis=-1)])


def _correlations(told: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape: (3, ...) -> (...)."""
    one, other, product = told
    scale = np.sqrt(one) * np.sqrt(other)
    found: NDArray[np.float64] = np.where(
        scale > 0, product / np.where(scale > 0, scale, 1), math.nan
    )
    return found
